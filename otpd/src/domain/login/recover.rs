//! A code that was lost with an earlier run of the daemon, while somebody waits for it.

use std::sync::Arc;

use super::{Ledger, Order, Terms};
use crate::domain::{
    audit::Actor,
    enrollment::State,
    passcode::{ChallengeToken, Draw, Purpose},
    records::{Decided, Records},
    time::Timestamp,
};

/// Puts a fresh code in the place of a lost one, within the budgets.
#[derive(Clone, Debug)]
pub struct Recover {
    /// What holds.
    pub terms: Arc<Terms>,
    /// The challenge.
    pub token: ChallengeToken,
    /// For the fresh code.
    pub draw: Draw,
}

impl Recover {
    /// Decides; the message to send, if the code is lost and a message may be sent. Where none may
    /// be, the claimant learns it with the next answer.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<Box<Order>>> {
        let unchanged = || Decided::unchanged(records, None);
        let (Some(account), Some(enrollment)) = (&records.account, &records.enrollment) else {
            return unchanged();
        };
        let mut ledger = Ledger::new(account.clone(), Actor::Daemon, records, now);
        let issuer = &self.terms.issuer;
        let waits = ledger.challenge(self.token).is_some_and(|challenge| {
            challenge.purpose == Purpose::Login
                && challenge.is_live()
                && !challenge.is_expired(now)
                && issuer.has_lost(challenge)
        });
        // What cannot be answered is not worth a message.
        let locked = ledger.purse(self.token, &self.terms).is_err();
        if !waits || locked || !matches!(enrollment.state, State::Active { .. }) {
            return unchanged();
        }
        match ledger.renew(&self.terms, enrollment, self.token, &self.draw, None, "lost") {
            Ok((_, order)) => ledger.decided(Some(Box::new(order))),
            Err(denial) => {
                ledger.note_unreplaced(self.token, denial);
                ledger.decided(None)
            }
        }
    }
}
