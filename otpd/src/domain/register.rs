//! A number is entered for an account, and nothing is sent: lists of numbers are entered first, and
//! sent to when the administrator says so.

use std::sync::Arc;

use super::{
    account::Account,
    audit::{Actor, Event},
    challenge::{Channel, End},
    enrollment::{Enrollment, NumberIndex, RangeIndex, State},
    login::{Ledger, Terms},
    passcode::ChallengeToken,
    phone::Destination,
    proof::{ENROLL, Outcome, Refusal, refuse, unfit},
    records::{Decided, Records},
    time::Timestamp,
};

/// A number is entered.
#[derive(Clone, Debug)]
pub struct Register {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Whose number.
    pub account: Account,
    /// The number.
    pub destination: Destination,
    /// Finds the number's budget.
    pub index: NumberIndex,
    /// Finds what numbers like it do together.
    pub range: RangeIndex,
    /// How codes shall travel; `None`: as before if the number was there before, else by text.
    pub channel: Option<Channel>,
    /// Whether it may take the place of another.
    pub replace: bool,
    /// Who enters it.
    pub uid: u32,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The account as it is now.
    pub enrollment: Enrollment,
    /// The number was there before, in the same way, and stays as it is, proved or not.
    pub unchanged: bool,
}

impl Register {
    /// Decides. Twice is once: the same number for the same account changes nothing.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<Registered>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let country = self.destination.country;
        if !self.terms.countries.contains(&country) {
            return refuse(ledger, ENROLL, Refusal::Country(country));
        }
        if let Some(old) = &ledger.records.enrollment {
            let same_way = self.channel.is_none_or(|channel| channel == old.channel);
            if old.destination.number == self.destination.number && same_way {
                let registered = Registered { enrollment: old.clone(), unchanged: true };
                return ledger.decided(Outcome::Done(registered));
            }
            if !self.replace {
                return refuse(ledger, ENROLL, Refusal::AlreadyEnrolled);
            }
        }
        let channel = self.channel.unwrap_or(Channel::Sms);
        if let Some(refusal) = unfit(self.destination.line, channel, &self.terms) {
            return refuse(ledger, ENROLL, refusal);
        }
        let enrollment =
            Enrollment::new(self.destination.clone(), self.index, self.range, channel, now);
        // Nor is the old number told: a list sends nothing.
        let (enrollment, _) = enter(&mut ledger, enrollment, None);
        ledger.decided(Outcome::Done(Registered { enrollment, unchanged: false }))
    }
}

/// Puts a number in its place, and ends what went to the one before, which comes with it.
pub(super) fn enter(
    ledger: &mut Ledger,
    mut enrollment: Enrollment,
    request: Option<ChallengeToken>,
) -> (Enrollment, Option<Enrollment>) {
    // Whatever waits for a code that went to the old number ends with it, and counts for that number.
    ledger.end_all(End::Cancelled);
    let old = ledger.records.enrollment.take();
    if let Some(old) = &old {
        enrollment.required = old.needs_codes();
        if matches!(old.state, State::Disabled { .. }) {
            // A new number switches nobody on again.
            enrollment.disable();
        }
    }
    ledger.records.enrollment = Some(enrollment.clone());
    let event = Event::Enrolled {
        ending: enrollment.number().ending().to_owned(),
        country: enrollment.destination.country.as_str().to_owned(),
        channel: enrollment.channel.as_str(),
        replaced: old.is_some(),
    };
    ledger.note(request, event);
    (enrollment, old)
}

#[cfg(test)]
mod tests;
