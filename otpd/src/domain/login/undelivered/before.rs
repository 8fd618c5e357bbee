//! The same for a message that an earlier run of the daemon sent. Nobody holds its code any more, so
//! a fresh one takes its place: the lost one is recognised from then on, but no longer right. So a loss
//! is to be believed here only when the vendor was asked, where it can be.

use std::sync::Arc;

use super::{Cause, Ledger, Loss, Order, Terms};
use crate::domain::{
    account::Account,
    audit::Actor,
    challenge::{Challenge, Channel, Delivery},
    enrollment::{Enrollment, NumberIndex},
    login::{Denial, LoginState},
    passcode::{ChallengeToken, Draw, Reference},
    phone::E164,
    records::{Decided, Records},
    time::Timestamp,
};

/// A message that an earlier run of the daemon handed to a vendor, and that somebody may wait for:
/// all that is stored of it.
#[derive(Clone, Debug)]
pub struct SentBefore {
    /// Whose.
    pub account: Account,
    /// The challenge.
    pub token: ChallengeToken,
    /// Where to.
    pub to: E164,
    /// The number's budget.
    pub index: NumberIndex,
    /// How.
    pub channel: Channel,
    /// In its text: tells codes of the same millisecond apart.
    pub reference: Reference,
    /// When its code was issued.
    pub issued_at: Timestamp,
    /// When that dies.
    pub expires_at: Timestamp,
    /// Which gateway took it.
    pub gateway: String,
    /// The vendor's name for it, where it gave one.
    pub vendor_id: Option<String>,
    /// How often this code was sent again by itself before.
    pub repeat: u8,
}

/// A carrier's report that such a message did not arrive.
#[derive(Clone, Debug)]
pub struct UndeliveredBefore {
    /// What holds.
    pub terms: Arc<Terms>,
    /// The message.
    pub sent: SentBefore,
    /// The vendor's name for it; empty where it gave none.
    pub vendor_id: String,
    /// What the vendor said, masked.
    pub reason: String,
    /// What that means.
    pub cause: Cause,
    /// Whether there is another gateway.
    pub others: bool,
    /// For the fresh code.
    pub draw: Draw,
}

impl SentBefore {
    /// Whether somebody still waits for this very message.
    #[must_use]
    pub fn is_awaited(&self, login: &LoginState, now: Timestamp) -> bool {
        let mut challenges = login.challenges.iter().filter(|c| c.token == self.token);
        challenges.any(|challenge| self.is_awaited_by(challenge, now))
    }

    fn is_awaited_by(&self, challenge: &Challenge, now: Timestamp) -> bool {
        let took = |taken: &Delivery| matches!(taken, Delivery::Accepted { gateway } if *gateway == self.gateway);
        challenge.issued_at == self.issued_at
            && challenge.reference() == self.reference
            && challenge.is_live()
            && !challenge.is_expired(now)
            && took(&challenge.delivery)
    }
}

impl UndeliveredBefore {
    /// Decides; the message to send, with a fresh code. The lost one is recognised from then on, as
    /// any earlier code is.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<Box<Order>>> {
        let sent = &self.sent;
        let mut ledger = Ledger::new(sent.account.clone(), Actor::Daemon, records, now);
        // What the login was charged for last is this message, while it is its newest.
        let charged = ledger.records.login.messages.unanswered_of(sent.token).into_iter().max();
        if let Some(charged) = charged.filter(|_| sent.is_awaited(&records.login, now)) {
            ledger.undelivered(sent.index, charged);
        }
        let loss = Loss {
            terms: &self.terms,
            token: sent.token,
            index: sent.index,
            gateway: &sent.gateway,
            vendor_id: &self.vendor_id,
            reason: &self.reason,
            cause: self.cause,
            others: self.others,
        };
        let again = loss
            .judge(&mut ledger, |challenge| sent.is_awaited_by(challenge, now))
            .and_then(|enrollment| self.again(&mut ledger, &enrollment));
        let again = loss.note(&mut ledger, again);
        if self.cause == Cause::OptedOut {
            ledger.opt_out(sent.token, sent.index, sent.to.ending(), &sent.gateway);
        }
        ledger.decided(again.map(Box::new))
    }

    fn again(&self, ledger: &mut Ledger, enrollment: &Enrollment) -> Result<Order, &'static str> {
        let token = self.sent.token;
        let (_, order) = ledger
            .renew(&self.terms, enrollment, token, &self.draw, None, "undelivered")
            .map_err(Denial::as_str)?;
        let repeat = ledger.count_repeat(token);
        // It took the code before this one, but a way that loses one code may lose the next.
        Ok(Order { repeat, lost_by: vec![self.sent.gateway.clone()], ..order })
    }
}
