//! A login that nobody waits for any more.

use super::Ledger;
use crate::domain::{
    audit::Actor,
    challenge::End,
    passcode::{ChallengeToken, Purpose},
    records::{Decided, Records},
    time::Timestamp,
};

/// Cancels a challenge: the claimant interrupted the prompt, or the connection is gone.
#[derive(Clone, Copy, Debug)]
pub struct Abandon {
    /// Which.
    pub token: ChallengeToken,
}

impl Abandon {
    /// Decides; true when the challenge was live until now.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let Some(account) = records.account.clone() else {
            return Decided::unchanged(records, false);
        };
        let mut ledger = Ledger::new(account, Actor::Claimant, records, now);
        let live = ledger
            .challenge(self.token)
            .is_some_and(|challenge| challenge.purpose == Purpose::Login && challenge.is_live());
        if live {
            ledger.end(self.token, End::Cancelled);
        }
        ledger.decided(live)
    }
}
