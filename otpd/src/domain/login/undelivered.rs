//! A message that a vendor took and that did not arrive: written down, and sent once more by another
//! gateway while somebody waits for it.
//!
//! A report touches no code that this run of the daemon holds: what was sent stays right, wherever it
//! shows up in the end. Of an earlier run's message nobody holds the code, so where another one is
//! sent, a fresh code takes the place of the lost one; see [`before`].

mod before;

use std::sync::Arc;

pub use before::{SentBefore, UndeliveredBefore};

use super::{Denial, Ledger, LoginState, OPTED_OUT, Order, Terms, avoided};
use crate::domain::{
    audit::{Actor, Event},
    budget::Purse,
    challenge::{Challenge, Delivery},
    enrollment::{Enrollment, NumberIndex, State},
    passcode::{ChallengeToken, Purpose},
    records::{Decided, Records},
    time::Timestamp,
};

/// Times that one login's messages are sent again by themselves. A claimant's own resends are
/// counted apart.
pub const REPEATS: u8 = 2;

/// The fixed word for a loss that an administrator watches, who asks for the next message.
pub(in crate::domain) const LEFT_TO_ADMINISTRATOR: &str = "left-to-administrator";

/// Why a message did not arrive, by what that says about another gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another gateway may do better.
    Route,
    /// No message reaches the number.
    Number,
    /// The person asked for an end to messages, which no other sender may get around.
    OptedOut,
}

/// A carrier's report that a message did not arrive.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// What holds.
    pub terms: Arc<Terms>,
    /// The message, with the code that is still held.
    pub order: Order,
    /// Which gateway had taken it.
    pub gateway: String,
    /// The vendor's name for it.
    pub vendor_id: String,
    /// What the vendor said, masked.
    pub reason: String,
    /// What that means.
    pub cause: Cause,
    /// Whether there is a gateway that has not lost this code yet.
    pub others: bool,
}

/// What every report of a loss is judged by.
struct Loss<'a> {
    terms: &'a Terms,
    token: ChallengeToken,
    index: NumberIndex,
    gateway: &'a str,
    vendor_id: &'a str,
    reason: &'a str,
    cause: Cause,
    others: bool,
}

impl Undelivered {
    /// Decides; the message to send, with the same code.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<Box<Order>>> {
        let order = &self.order;
        let mut ledger = Ledger::new(order.account.clone(), Actor::Daemon, records, now);
        ledger.undelivered(order.index, order.charged_at);
        let loss = Loss {
            terms: &self.terms,
            token: order.token,
            index: order.index,
            gateway: &self.gateway,
            vendor_id: &self.vendor_id,
            reason: &self.reason,
            cause: self.cause,
            others: self.others,
        };
        let awaited = |challenge: &Challenge| order.is_awaited_by(challenge, &self.gateway, now);
        let again = loss
            .judge(&mut ledger, awaited)
            .and_then(|enrollment| self.again(&mut ledger, &enrollment));
        let again = loss.note(&mut ledger, again);
        if self.cause == Cause::OptedOut {
            ledger.opt_out(order.token, order.index, order.to.ending(), &self.gateway);
        }
        ledger.decided(again.map(Box::new))
    }

    /// Charges and orders the message, or says in a fixed word why there is none.
    fn again(&self, ledger: &mut Ledger, enrollment: &Enrollment) -> Result<Order, &'static str> {
        let (now, order) = (ledger.now, &self.order);
        // Wiped, because somebody saw the login's end: there is no code to send, and none is paid for.
        if order.code.is_wiped() {
            return Err("not-awaited");
        }
        // It could not be answered any more.
        if ledger.outgrown(order.token) {
            return Err(Denial::Outgrown.as_str());
        }
        let source = ledger.source_of(order.token);
        let allowance =
            ledger.allow(enrollment, &self.terms, order.channel, source).map_err(Denial::as_str)?;
        ledger.charge(&allowance, enrollment, &self.terms, order.token);
        let repeat = ledger.count_repeat(order.token);
        let mut avoid = Vec::new();
        if let Some(challenge) = ledger.challenge_mut(order.token) {
            avoid = avoided(challenge);
            challenge.delivery = Delivery::Sending { by: self.terms.issuer.instance };
        }
        let mut again = Order { charged_at: now, repeat, avoid, ..order.clone() };
        again.lost_by.push(self.gateway.clone());
        Ok(again)
    }
}

impl Loss<'_> {
    /// Marks the message as lost, and says by which enrollment another one may go out, or in a fixed
    /// word why none may. `awaited`: whether somebody still waits for this very message.
    fn judge(
        &self,
        ledger: &mut Ledger,
        awaited: impl Fn(&Challenge) -> bool,
    ) -> Result<Enrollment, &'static str> {
        let challenge = ledger.challenge_mut(self.token).filter(|challenge| awaited(challenge));
        let Some(challenge) = challenge else { return Err("not-awaited") };
        let (gateway, reason) = (self.gateway.to_owned(), self.reason.to_owned());
        challenge.delivery = Delivery::Undelivered { gateway, reason };
        let (purpose, repeats) = (challenge.purpose, challenge.repeats);
        match self.cause {
            Cause::OptedOut => return Err(OPTED_OUT),
            Cause::Number => return Err("bad-number"),
            Cause::Route => {}
        }
        match purpose {
            Purpose::Login => {}
            Purpose::Enrollment => return Err(LEFT_TO_ADMINISTRATOR),
        }
        let enrollment = ledger.records.enrollment.clone().filter(|enrollment| {
            matches!(enrollment.state, State::Active { .. }) && enrollment.index == self.index
        });
        let Some(enrollment) = enrollment else { return Err("not-enrolled") };
        if repeats >= REPEATS {
            return Err("repeats-used-up");
        }
        if !self.others {
            return Err("no-other-gateway");
        }
        match ledger.purse(self.token, self.terms) {
            Ok(Purse::Common | Purse::Reserve) => Ok(enrollment),
            Err(held) => Err(held.limit.as_str()),
        }
    }

    /// Writes the report down, and what is done about it.
    fn note<T>(&self, ledger: &mut Ledger, again: Result<T, &'static str>) -> Option<T> {
        let event = Event::MessageUndelivered {
            gateway: self.gateway.to_owned(),
            vendor_id: self.vendor_id.to_owned(),
            reason: self.reason.to_owned(),
            then: again.as_ref().err().copied().unwrap_or("sent-again"),
        };
        ledger.note(self.token, event);
        again.ok()
    }
}

impl Ledger {
    /// Counts that a login's message is sent again by itself; how often that was, this time included.
    fn count_repeat(&mut self, token: ChallengeToken) -> u8 {
        let Some(challenge) = self.challenge_mut(token) else { return REPEATS };
        challenge.repeats = challenge.repeats.saturating_add(1);
        challenge.repeats
    }
}

impl Order {
    /// Whether somebody still waits for this very message, which `gateway` took.
    #[must_use]
    pub fn is_awaited(&self, login: &LoginState, gateway: &str, now: Timestamp) -> bool {
        let mut challenges = login.challenges.iter().filter(|c| c.token == self.token);
        challenges.any(|challenge| self.is_awaited_by(challenge, gateway, now))
    }

    /// Whether this very message, which no gateway took yet, would still be of use: its code is the
    /// newest one of a challenge that can be answered.
    #[must_use]
    pub fn is_wanted(&self, login: &LoginState, now: Timestamp) -> bool {
        let mut challenges = login.challenges.iter().filter(|c| c.token == self.token);
        challenges.any(|challenge| self.is_wanted_by(challenge, now))
    }

    fn is_awaited_by(&self, challenge: &Challenge, gateway: &str, now: Timestamp) -> bool {
        let took =
            |taken: &Delivery| matches!(taken, Delivery::Accepted { gateway: by } if by == gateway);
        self.is_wanted_by(challenge, now) && took(&challenge.delivery)
    }

    fn is_wanted_by(&self, challenge: &Challenge, now: Timestamp) -> bool {
        // The reference tells codes of the same millisecond apart.
        let newest = challenge.issued_at == self.issued_at
            && challenge.reference() == self.reference
            && challenge.repeats == self.repeat;
        newest && challenge.is_live() && !challenge.is_expired(now)
    }
}
