//! Whether a gateway is believed that nothing may or can be sent to people, as values with pure
//! transitions.
//!
//! That somebody has opted out, and that a number is bad, is the end of a message: no other gateway is
//! asked, and an opt-out holds for all of them. A vendor whose account was blocked as a whole, whose
//! look-up of numbers is out of order, or that is hostile, says it of everybody, and would keep
//! everybody's codes away. So it is believed of a few people in a row only.

use crate::domain::{challenge::Channel, login::Cause, phone::E164};

/// People in a row of whom a gateway says the same, from which on it is not believed. Of messages for
/// logins hardly any is refused so, for numbers were proved, and one that opted out gets none: five in
/// a row, with none taken in between, are the vendor's doing.
pub(super) const DISBELIEVED: usize = 5;

/// What a gateway says of a person that is the end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// They asked for an end to messages.
    OptedOut,
    /// Nothing can be sent to their number.
    BadNumber,
}

impl Refusal {
    /// What a report of a loss says; `None` where another gateway may do better anyway.
    pub(super) fn of(cause: Cause) -> Option<Self> {
        match cause {
            Cause::OptedOut => Some(Self::OptedOut),
            Cause::Number => Some(Self::BadNumber),
            Cause::Route => None,
        }
    }

    /// Why it counts as a fault of the account at the vendor where it is not believed.
    pub(super) fn disbelief(self) -> &'static str {
        match self {
            Self::OptedOut => {
                "it says that 5 people in a row opted out, and took nothing in between, so it is not \
                 believed; ask the vendor whether the account or the sender is blocked"
            }
            Self::BadNumber => {
                "it says that the numbers of 5 people in a row are bad, and took nothing in between, \
                 so it is not believed; ask the vendor whether the account or the sender is blocked"
            }
        }
    }
}

/// What a gateway refuses, each channel for itself: an account may be blocked for texts, and still call.
#[derive(Default)]
pub(super) struct Refusals {
    texts: Said,
    calls: Said,
}

impl Refusals {
    /// What it says of messages by this channel.
    pub(super) fn by(&mut self, channel: Channel) -> &mut Said {
        match channel {
            Channel::Sms => &mut self.texts,
            Channel::Voice => &mut self.calls,
        }
    }
}

/// What it says when a message is handed to it, and later by reports. Apart, because one that reports
/// later takes every message.
#[derive(Default)]
pub(super) struct Said {
    /// Ended by a message that is taken.
    pub(super) at_once: Runs,
    /// Ended by a message that has another end.
    pub(super) later: Runs,
}

/// Those in a row of whom it says the same.
#[derive(Default)]
pub(super) struct Runs {
    opted_out: Run,
    bad_number: Run,
}

impl Runs {
    /// The gateway says this of the owner of a number.
    pub(super) fn refused(&mut self, refusal: Refusal, number: &E164) -> Worth {
        self.of(refusal).refused(number)
    }

    /// Whether its next word, whichever it is, may be true.
    pub(super) fn are_believed(&self) -> bool {
        self.opted_out.is_believed() && self.bad_number.is_believed()
    }

    /// The gateway did something else: it is believed again.
    pub(super) fn ended(&mut self) {
        *self = Self::default();
    }

    /// It did this, which is something else than all the others.
    pub(super) fn ended_but(&mut self, refusal: Refusal) {
        let run = std::mem::take(self.of(refusal));
        self.ended();
        *self.of(refusal) = run;
    }

    fn of(&mut self, refusal: Refusal) -> &mut Run {
        match refusal {
            Refusal::OptedOut => &mut self.opted_out,
            Refusal::BadNumber => &mut self.bad_number,
        }
    }
}

/// Those in a row, each of another number.
#[derive(Default)]
struct Run(Vec<E164>);

/// What a gateway's word is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is taken for true.
    Believed,
    /// It is not, from now on; nor is it any more for these.
    NoMore(Vec<E164>),
    /// It is not, as before.
    Nothing,
}

impl Run {
    /// The gateway says it of the owner of this number.
    fn refused(&mut self, number: &E164) -> Worth {
        if !self.is_believed() {
            return Worth::Nothing;
        }
        if self.0.contains(number) {
            return Worth::Believed;
        }
        let before = self.0.clone();
        self.0.push(number.clone());
        if self.is_believed() { Worth::Believed } else { Worth::NoMore(before) }
    }

    /// Whether the next word of it may be true.
    fn is_believed(&self) -> bool {
        self.0.len() < DISBELIEVED
    }
}

#[cfg(test)]
mod tests {
    use super::{DISBELIEVED, E164, Refusal, Run, Runs, Worth};

    fn number(last: u32) -> E164 {
        format!("+120255501{last:02}").parse().expect("a number")
    }

    /// What becomes of each step: a number that is refused, or 0, a message that is taken. `b`: believed,
    /// a digit: believed no more, with so many before it; `n`: not believed.
    fn words(steps: &[u32]) -> String {
        let mut run = Run::default();
        let step = |step: &u32| {
            if *step == 0 {
                run = Run::default();
                return '.';
            }
            match run.refused(&number(*step)) {
                Worth::Believed => 'b',
                Worth::NoMore(before) => {
                    char::from_digit(u32::try_from(before.len()).unwrap(), 10).unwrap()
                }
                Worth::Nothing => 'n',
            }
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn five_people_in_a_row_are_not_believed() {
        let cases: [(&str, &[u32], &str); 7] = [
            ("four", &[1, 2, 3, 4], "bbbb"),
            ("five and more", &[1, 2, 3, 4, 5, 6, 7], "bbbb4nn"),
            ("and the same again", &[1, 2, 3, 4, 5, 5, 1], "bbbb4nn"),
            ("one person many times", &[1, 1, 1, 1, 1, 1], "bbbbbb"),
            ("one of them twice", &[1, 2, 1, 2, 3, 4, 5], "bbbbbb4"),
            ("one taken in between", &[1, 2, 3, 4, 0, 5, 6, 7, 8, 9], "bbbb.bbbb4"),
            ("believed again", &[1, 2, 3, 4, 5, 6, 0, 7], "bbbb4n.b"),
        ];
        for (name, steps, expected) in cases {
            assert_eq!(words(steps), expected, "{name}");
        }
    }

    #[test]
    fn those_before_are_named() {
        let mut run = Run::default();
        for last in 1..5 {
            assert_eq!(run.refused(&number(last)), Worth::Believed);
        }
        let before = (1..5).map(number).collect();
        assert_eq!(run.refused(&number(5)), Worth::NoMore(before));
        for refusal in [Refusal::OptedOut, Refusal::BadNumber] {
            assert!(refusal.disbelief().contains(&format!(" {DISBELIEVED} people in a row")));
        }
    }

    #[test]
    fn each_word_is_counted_for_itself() {
        let mut runs = Runs::default();
        for last in 1..5 {
            assert_eq!(runs.refused(Refusal::OptedOut, &number(last)), Worth::Believed);
            assert_eq!(runs.refused(Refusal::BadNumber, &number(last)), Worth::Believed);
        }
        assert!(runs.are_believed());
        let five = |runs: &mut Runs, refusal| runs.refused(refusal, &number(5));
        assert!(matches!(five(&mut runs, Refusal::BadNumber), Worth::NoMore(_)));
        assert!(!runs.are_believed());
        // What is another end for the one is none for the other.
        runs.ended_but(Refusal::OptedOut);
        assert_eq!(five(&mut runs, Refusal::BadNumber), Worth::Believed);
        assert!(matches!(five(&mut runs, Refusal::OptedOut), Worth::NoMore(_)));
        runs.ended();
        assert!(runs.are_believed());
        assert_eq!(five(&mut runs, Refusal::OptedOut), Worth::Believed);
    }
}
