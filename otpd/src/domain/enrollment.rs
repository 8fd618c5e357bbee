//! The binding of a phone number to an account: `pending → active → disabled`, and back.

use minicbor::{Decode, Encode};

use super::{
    challenge::Channel,
    phone::{Destination, E164},
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

    /// When the number was proved.
    #[must_use]
    pub fn verified_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => None,
            State::Active { verified_at } => Some(verified_at),
            State::Disabled { verified_at } => verified_at,
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

    proptest! {
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
