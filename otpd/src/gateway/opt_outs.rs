//! Whether a gateway is believed that people have opted out, as values with pure transitions.
//!
//! An opt-out is the person's word, and holds for all gateways. A vendor whose account was blocked as a
//! whole, or that is hostile, says it of everybody, and would keep everybody's codes away. So it is
//! believed of a few people in a row only.

use crate::domain::{challenge::Channel, phone::E164};

/// People in a row whom a gateway says to have opted out, from which on it is not believed. Of
/// messages for logins hardly any is refused for that, for a number is refused once and then gets
/// none: five in a row, with none taken in between, are the vendor's doing.
pub(super) const DISBELIEVED: usize = 5;

/// Why such a refusal counts as a fault of the account at the vendor.
pub(super) const REASON: &str = "it says that 5 people in a row opted out, and took nothing in \
                                 between, so it is not believed; ask the vendor whether the \
                                 account or the sender is blocked";

/// What a gateway says of opt-outs, each channel for itself: an account may be blocked for texts, and still
/// call.
#[derive(Default)]
pub(super) struct OptOuts {
    texts: Said,
    calls: Said,
}

impl OptOuts {
    /// What it says of messages by this channel.
    pub(super) fn by(&mut self, channel: Channel) -> &mut Said {
        match channel {
            Channel::Sms => &mut self.texts,
            Channel::Voice => &mut self.calls,
        }
    }
}

/// What it says when a message is handed to it, and later by reports. Apart, because one that reports them
/// later takes every message.
#[derive(Default)]
pub(super) struct Said {
    /// Ended by a message that is taken.
    pub(super) at_once: Run,
    /// Ended by a message that has another end.
    pub(super) later: Run,
}

/// Those in a row, each of another number.
#[derive(Default)]
pub(super) struct Run(Vec<E164>);

/// What a gateway's word is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is taken for the person's.
    Believed,
    /// It is not, from now on; nor is it any more for these.
    NoMore(Vec<E164>),
    /// It is not, as before.
    Nothing,
}

impl Run {
    /// The gateway says that the owner of this number has opted out.
    pub(super) fn refused(&mut self, number: &E164) -> Worth {
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

    /// Whether the next word of it may be the person's.
    pub(super) fn is_believed(&self) -> bool {
        self.0.len() < DISBELIEVED
    }

    /// The gateway did something else: it is believed again.
    pub(super) fn ended(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{DISBELIEVED, E164, REASON, Run, Worth};

    fn number(last: u32) -> E164 {
        format!("+120255501{last:02}").parse().expect("a number")
    }

    /// What becomes of each step: a number that is refused, or 0, a message that is taken. `b`: believed,
    /// a digit: believed no more, with so many before it; `n`: not believed.
    fn words(steps: &[u32]) -> String {
        let mut run = Run::default();
        let step = |step: &u32| {
            if *step == 0 {
                run.ended();
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
        assert!(REASON.contains(&format!("that {DISBELIEVED} people")));
    }
}
