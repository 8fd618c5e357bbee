//! The binding of a phone number to an account: `pending → active → disabled`, and back.

use minicbor::{Decode, Encode};

use super::{
    challenge::Channel,
    phone::{Destination, E164, Line},
    time::Timestamp,
};

/// Where an enrollment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum State {
    /// The number is not proved yet; no login code goes to it.
    #[n(0)]
    Pending,
    /// Possession was proved.
    #[n(1)]
    Active {
        /// When.
        #[n(0)]
        verified_at: Timestamp,
    },
    /// Logins are denied until an administrator enables it again.
    #[n(2)]
    Disabled {
        /// When it was proved, if it was.
        #[n(0)]
        verified_at: Option<Timestamp>,
    },
}

/// A keyed hash of a number: budgets find a number by it, and nobody finds the number from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct NumberIndex(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl std::fmt::Debug for NumberIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NumberIndex(..)")
    }
}

/// A keyed hash of all but the last four digits of a number: who is paid for messages to numbers
/// usually has a range of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeIndex(pub [u8; 16]);

impl std::fmt::Debug for RangeIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RangeIndex(..)")
    }
}

/// One account's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// Where codes go, with its country and kind of line.
    pub destination: Destination,
    /// Finds the number's budget.
    pub index: NumberIndex,
    /// Finds what numbers like it do together.
    pub range: RangeIndex,
    /// How codes travel unless the claimant asks otherwise.
    pub channel: Channel,
    /// Where it stands.
    pub state: State,
    /// When the number was entered.
    pub created_at: Timestamp,
    /// Whether it took the place of a number that was proved: then the account needs codes, also
    /// while this one is pending and whatever policy says about accounts without a number.
    pub required: bool,
    /// When the newest message that proves it was ordered; `None` when there was none, or when it
    /// was surely not sent. Lists of numbers are sent to by it: once each, however often they are
    /// gone through.
    pub proof_sent_at: Option<Timestamp>,
}

impl Enrollment {
    /// A new binding, not proved yet.
    #[must_use]
    pub fn new(
        destination: Destination,
        index: NumberIndex,
        range: RangeIndex,
        channel: Channel,
        now: Timestamp,
    ) -> Self {
        Self {
            destination,
            index,
            range,
            channel,
            state: State::Pending,
            created_at: now,
            required: false,
            proof_sent_at: None,
        }
    }

    /// The number, for a gateway.
    #[must_use]
    pub fn number(&self) -> &E164 {
        &self.destination.number
    }

    /// Whether its line may take text messages.
    #[must_use]
    pub fn takes_texts(&self) -> bool {
        matches!(self.destination.line, Line::Mobile | Line::FixedOrMobile)
    }

    /// When the number was proved.
    #[must_use]
    pub fn verified_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => None,
            State::Active { verified_at } => Some(verified_at),
            State::Disabled { verified_at } => verified_at,
        }
    }

    /// Takes in what another copy of the row says. The number that was entered last counts, and the
    /// same one is proved where one of them says so. It is switched off where one of them says so,
    /// and the account needs codes where it did in one of them. True when it is the other's.
    pub fn merge(&mut self, other: &Self) -> bool {
        let disabled = self.is_disabled() || other.is_disabled();
        let needed = self.needs_codes() || other.needs_codes();
        let required = self.required || other.required;
        let others = other.created_at > self.created_at;
        if others {
            *self = other.clone();
        } else if other.created_at == self.created_at && other.index == self.index {
            self.proof_sent_at = self.proof_sent_at.max(other.proof_sent_at);
            if let Some(proved) = self.verified_at().max(other.verified_at()) {
                self.prove(proved);
            }
        }
        // One that is proved needs them by itself.
        self.required = required || (needed && self.verified_at().is_none());
        if disabled {
            self.disable();
        }
        others
    }

    /// Whether the account needs codes whatever policy says: a number was proved, this one or one
    /// before it.
    #[must_use]
    pub fn needs_codes(&self) -> bool {
        self.required || self.verified_at().is_some()
    }

    /// Whether it is switched off.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        match self.state {
            State::Disabled { .. } => true,
            State::Pending | State::Active { .. } => false,
        }
    }

    /// The number was proved. A disabled enrollment stays disabled.
    pub fn prove(&mut self, now: Timestamp) {
        self.state = match self.state {
            State::Pending | State::Active { .. } => State::Active { verified_at: now },
            State::Disabled { .. } => State::Disabled { verified_at: Some(now) },
        };
    }

    /// Denies logins from now on; twice is once.
    pub fn disable(&mut self) {
        self.state = State::Disabled { verified_at: self.verified_at() };
    }

    /// Back to the state before [`Self::disable`]; of no effect on any other.
    pub fn enable(&mut self) {
        self.state = match self.state {
            State::Disabled { verified_at: Some(verified_at) } => State::Active { verified_at },
            State::Disabled { verified_at: None } => State::Pending,
            state @ (State::Pending | State::Active { .. }) => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Enrollment, NumberIndex, RangeIndex, State};
    use crate::domain::{
        challenge::Channel,
        phone::{Country, Destination, Line},
        time::Timestamp,
    };

    fn pending() -> Enrollment {
        let destination = Destination {
            number: "+13125550123".parse().expect("a number"),
            country: "US".parse::<Country>().expect("a country"),
            line: Line::FixedOrMobile,
        };
        Enrollment::new(
            destination,
            NumberIndex([1; 16]),
            RangeIndex([1; 16]),
            Channel::Sms,
            Timestamp(1),
        )
    }

    #[test]
    fn states_follow_the_verbs() {
        let proved = State::Active { verified_at: Timestamp(2) };
        let mut enrollment = pending();
        assert_eq!(enrollment.state, State::Pending);
        enrollment.disable();
        enrollment.enable();
        assert_eq!(enrollment.state, State::Pending, "what was not proved is not proved by enable");
        enrollment.prove(Timestamp(2));
        assert_eq!(enrollment.state, proved);
        enrollment.disable();
        enrollment.disable();
        assert_eq!(enrollment.state, State::Disabled { verified_at: Some(Timestamp(2)) });
        enrollment.enable();
        assert_eq!(enrollment.state, proved);
        enrollment.enable();
        assert_eq!(enrollment.state, proved);
    }

    #[test]
    fn debug_shows_no_number() {
        let text = format!("{:?}", pending());
        assert!(!text.contains("312555"), "{text}");
    }

    const PENDING: State = State::Pending;
    const PROVED: State = State::Active { verified_at: Timestamp(7) };
    const LATER: State = State::Active { verified_at: Timestamp(9) };
    const OFF: State = State::Disabled { verified_at: None };
    const PROVED_OFF: State = State::Disabled { verified_at: Some(Timestamp(7)) };

    fn entered(at: i64, state: State, required: bool) -> Enrollment {
        Enrollment { created_at: Timestamp(at), state, required, ..pending() }
    }

    #[test]
    fn no_need_for_a_code_and_no_proof_is_lost_between_two_copies() {
        // Both copies: when entered, where they stand, whether required; then what comes of them.
        let rows = [
            ("a newer one over a proved", (1, PROVED, false), (2, PENDING, false), (PENDING, true)),
            ("a proved one before", (2, PENDING, false), (1, PROVED, false), (PENDING, true)),
            ("proved and off before", (2, PENDING, false), (1, PROVED_OFF, false), (OFF, true)),
            ("a proved newer one", (1, PROVED, false), (2, LATER, false), (LATER, false)),
            ("nothing was proved", (1, PENDING, false), (2, PENDING, false), (PENDING, false)),
            ("required before", (1, PENDING, true), (2, PENDING, false), (PENDING, true)),
            ("proved in the other", (1, PENDING, false), (1, PROVED, false), (PROVED, false)),
            ("proved in this", (1, PROVED, false), (1, PENDING, false), (PROVED, false)),
            ("proved in both", (1, PROVED, false), (1, LATER, false), (LATER, false)),
            ("off, and proved", (1, OFF, false), (1, PROVED, false), (PROVED_OFF, false)),
            ("proved, and off", (1, PROVED, false), (1, OFF, false), (PROVED_OFF, false)),
        ];
        for (name, mine, theirs, (state, required)) in rows {
            let mut merged = entered(mine.0, mine.1, mine.2);
            let other = entered(theirs.0, theirs.1, theirs.2);
            assert_eq!(merged.merge(&other), theirs.0 > mine.0, "{name}");
            assert_eq!((merged.state, merged.required), (state, required), "{name}");
        }
        let mut own = entered(1, PENDING, false);
        let another = Enrollment { index: NumberIndex([2; 16]), ..entered(1, PROVED, false) };
        assert!(!own.merge(&another));
        assert_eq!((own.state, own.required), (PENDING, true), "nobody proved this number");
    }

    prop_compose! {
        fn copy()(
            at in 1i64..4,
            state in prop::sample::select(vec![PENDING, PROVED, LATER, OFF, PROVED_OFF]),
            required in any::<bool>(),
            number in 1u8..3,
        ) -> Enrollment {
            Enrollment { index: NumberIndex([number; 16]), ..entered(at, state, required) }
        }
    }

    proptest! {
        #[test]
        fn two_copies_are_at_least_as_strict_as_each_and_twice_is_once(a in copy(), b in copy()) {
            let mut merged = a.clone();
            merged.merge(&b);
            for other in [&a, &b] {
                prop_assert!(merged.is_disabled() || !other.is_disabled());
                prop_assert!(merged.needs_codes() || !other.needs_codes());
            }
            let proved = [&a, &b].into_iter().any(|one| {
                one.index == merged.index && one.verified_at() == merged.verified_at()
            });
            prop_assert!(proved || merged.verified_at().is_none(), "of the number that it is");
            let once = merged.clone();
            merged.merge(&b);
            prop_assert_eq!(&merged, &once);
            let mut itself = a.clone();
            itself.merge(&a);
            prop_assert_eq!(itself, a);
        }

        #[test]
        fn only_a_proof_leads_to_active(verbs in prop::collection::vec(0u8..3, 0..12)) {
            let (mut enrollment, mut proved) = (pending(), false);
            for verb in verbs {
                match verb {
                    0 => enrollment.disable(),
                    1 => enrollment.enable(),
                    _ => { enrollment.prove(Timestamp(3)); proved = true; }
                }
                prop_assert_eq!(enrollment.verified_at().is_some(), proved);
                let active = matches!(enrollment.state, State::Active { .. });
                prop_assert!(proved || !active);
            }
        }
    }
}
