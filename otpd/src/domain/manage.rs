//! An administrator's verbs that send nothing.

use super::{
    account::Account,
    audit::{Actor, Event},
    challenge::End,
    enrollment::Enrollment,
    login::Ledger,
    records::{Decided, Records},
    time::Timestamp,
};

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Deny its logins, and end those that wait.
    Disable,
    /// Back to the state before [`Verb::Disable`].
    Enable,
    /// Forget the number, and with it recovery codes and bypasses. What counts against guessing stays, or removing and enrolling again
    /// would hand out fresh guesses.
    Remove,
    /// End the limits that wrong codes brought, and an opt-out of the number.
    Unlock,
}

impl Verb {
    /// The verb of `otpctl`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Remove => "remove",
            Self::Unlock => "unlock",
        }
    }
}

/// A verb and who asks for it.
#[derive(Clone, Debug)]
pub struct Manage {
    /// Whose account.
    pub account: Account,
    /// What is done.
    pub verb: Verb,
    /// Who asks.
    pub uid: u32,
}

/// What a verb has led to.
#[derive(Clone, Debug)]
pub struct Managed {
    /// The enrollment as it is now; for [`Verb::Remove`] as it was.
    pub enrollment: Enrollment,
    /// Messages may go to the number again, and could not before.
    pub opted_in: bool,
}

impl Manage {
    /// Decides; `None` when the account has no number.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<Managed>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let Some(mut enrollment) = ledger.records.enrollment.clone() else {
            return self.without_number(ledger);
        };
        let event = match self.verb {
            Verb::Disable => {
                enrollment.disable();
                Event::Disabled {}
            }
            Verb::Enable => {
                enrollment.enable();
                Event::Enabled {}
            }
            Verb::Remove => {
                ledger.records.login.forget_stand_ins();
                Event::Removed {}
            }
            Verb::Unlock => {
                ledger.records.login.failures.unlock();
                Event::Unlocked {}
            }
        };
        if matches!(self.verb, Verb::Disable | Verb::Remove) {
            ledger.end_all(End::Cancelled);
        }
        // Only now: what ended counts for the number that it went to.
        let kept = (self.verb != Verb::Remove).then(|| enrollment.clone());
        ledger.records.enrollment = kept;
        ledger.note(None, event);
        let opted_in = self.verb == Verb::Unlock && ledger.opt_in(&enrollment);
        ledger.decided(Some(Managed { enrollment, opted_in }))
    }
}

impl Manage {
    /// An account without a number may still have a bypass, which is a way in as well. The verb is
    /// refused all the same, and that is written down.
    fn without_number(&self, mut ledger: Ledger) -> Decided<Option<Managed>> {
        if matches!(self.verb, Verb::Disable | Verb::Remove) {
            ledger.records.login.recovery.forget();
            ledger.revoke_bypasses(None);
        }
        let verb = self.verb.as_str();
        ledger.note(None, Event::Refused { verb, reason: "not-enrolled", until: None });
        ledger.decided(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{Manage, Managed, Verb};
    use crate::domain::{
        account::Account,
        audit::Event,
        budget::Purse,
        challenge::Channel,
        enrollment::{Enrollment, NumberIndex, RangeIndex, State},
        phone::{Country, Destination, Line},
        records::Records,
        time::Timestamp,
    };

    fn enrolled() -> Records {
        let destination = Destination {
            number: "+13125550123".parse().expect("a number"),
            country: "US".parse::<Country>().expect("a country"),
            line: Line::FixedOrMobile,
        };
        let index = NumberIndex([1; 16]);
        let mut enrollment =
            Enrollment::new(destination, index, RangeIndex([1; 16]), Channel::Sms, Timestamp(1));
        enrollment.prove(Timestamp(2));
        let mut records = Records { enrollment: Some(enrollment), ..Records::default() };
        for _ in 0..10 {
            records.login.failures.charge(Purse::Common, Timestamp(1000));
        }
        records
    }

    fn manage(verb: Verb, records: &Records) -> super::Decided<Option<Managed>> {
        let account = Account::new("alice").expect("a name");
        Manage { account, verb, uid: 0 }.decide(records, Timestamp(2000))
    }

    #[test]
    fn verbs_change_what_they_say_and_are_written_down() {
        let cases = [
            (Verb::Disable, Some(State::Disabled { verified_at: Some(Timestamp(2)) }), true),
            (Verb::Enable, Some(State::Active { verified_at: Timestamp(2) }), true),
            (Verb::Remove, None, true),
            (Verb::Unlock, Some(State::Active { verified_at: Timestamp(2) }), false),
        ];
        for (verb, state, still_locked) in cases {
            let decided = manage(verb, &enrolled());
            let stored = decided.records.enrollment.map(|enrollment| enrollment.state);
            assert_eq!(stored, state, "{verb:?}");
            let held = decided.records.login.failures.held(Timestamp(2000));
            assert_eq!(held.is_some(), still_locked, "{verb:?}");
            assert_eq!(decided.audit.len(), 1, "{verb:?}");
        }
    }

    #[test]
    fn an_account_without_a_number_stays_as_it_is() {
        for verb in [Verb::Disable, Verb::Enable, Verb::Remove, Verb::Unlock] {
            let decided = manage(verb, &Records::default());
            assert!(decided.answer.is_none() && decided.records == Records::default());
            let events = decided.audit.into_iter().map(|event| event.event).collect::<Vec<_>>();
            let reason = "not-enrolled";
            let refused = Event::Refused { verb: verb.as_str(), reason, until: None };
            assert_eq!(events, [refused], "{verb:?}");
        }
    }
}
