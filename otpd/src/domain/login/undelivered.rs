//! A message that a vendor took and that did not arrive: written down, and sent once more by another
//! gateway while somebody waits for it.
//!
//! A report never touches a code: what was sent stays right, wherever it shows up in the end.

use std::sync::Arc;

use super::{Denial, Ledger, LoginState, OPTED_OUT, Order, Terms};
use crate::domain::{
    audit::{Actor, Event},
    challenge::{Challenge, Delivery},
    enrollment::State,
    passcode::Purpose,
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

impl Undelivered {
    /// Decides; the message to send, with the same code.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<Box<Order>>> {
        let account = self.order.account.clone();
        let mut ledger = Ledger::new(account, Actor::Daemon, records, now);
        ledger.undelivered(self.order.index, self.order.charged_at);
        let (again, then) = match self.again(&mut ledger) {
            Ok(order) => (Some(Box::new(order)), "sent-again"),
            Err(why) => (None, why),
        };
        let event = Event::MessageUndelivered {
            gateway: self.gateway.clone(),
            vendor_id: self.vendor_id.clone(),
            reason: self.reason.clone(),
            then,
        };
        ledger.note(self.order.token, event);
        match self.cause {
            Cause::OptedOut => {
                let ending = self.order.to.ending();
                ledger.opt_out(self.order.token, self.order.index, ending, &self.gateway);
            }
            Cause::Route | Cause::Number => {}
        }
        ledger.decided(again)
    }

    /// Charges and orders the message, or says in a fixed word why there is none.
    fn again(&self, ledger: &mut Ledger) -> Result<Order, &'static str> {
        let (now, order) = (ledger.now, &self.order);
        let challenge = ledger.challenge_mut(order.token);
        let Some(challenge) = challenge.filter(|c| order.is_awaited_by(c, &self.gateway, now))
        else {
            return Err("not-awaited");
        };
        challenge.delivery =
            Delivery::Undelivered { gateway: self.gateway.clone(), reason: self.reason.clone() };
        let (repeats, source) = (challenge.repeats, challenge.source);
        match self.cause {
            Cause::OptedOut => return Err(OPTED_OUT),
            Cause::Number => return Err("bad-number"),
            Cause::Route => {}
        }
        match order.purpose {
            Purpose::Login => {}
            Purpose::Enrollment => return Err(LEFT_TO_ADMINISTRATOR),
        }
        let enrollment = ledger.records.enrollment.clone().filter(|enrollment| {
            matches!(enrollment.state, State::Active { .. }) && enrollment.index == order.index
        });
        let Some(enrollment) = enrollment else { return Err("not-enrolled") };
        if repeats >= REPEATS {
            return Err("repeats-used-up");
        }
        if !self.others {
            return Err("no-other-gateway");
        }
        if let Err(held) = ledger.purse(order.token, &self.terms) {
            return Err(held.limit.as_str());
        }
        // It could not be answered any more.
        if ledger.outgrown(order.token) {
            return Err(Denial::Outgrown.as_str());
        }
        let allowance = ledger
            .allow(&enrollment, &self.terms, order.channel, source)
            .map_err(Denial::as_str)?;
        ledger.charge(&allowance, &enrollment, &self.terms, order.token);
        if let Some(challenge) = ledger.challenge_mut(order.token) {
            challenge.repeats = repeats.saturating_add(1);
            challenge.delivery = Delivery::Sending { by: self.terms.issuer.instance };
        }
        let mut again = Order {
            charged_at: now,
            repeat: repeats.saturating_add(1),
            avoid: Some(self.gateway.clone()),
            ..order.clone()
        };
        again.lost_by.push(self.gateway.clone());
        Ok(again)
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
