//! A call that did not say its words, because another key was pressed than the one that it named.

use crate::domain::{
    account::Account,
    audit::{Actor, AuditEvent, Event},
    passcode::ChallengeToken,
    records::{Decided, Records},
    time::Timestamp,
};

/// A wrong key in a call: a slip, or a mailbox whose greeting plays tones.
#[derive(Clone, Debug)]
pub struct WrongKey {
    /// Whose call.
    pub account: Account,
    /// The challenge.
    pub token: ChallengeToken,
    /// Which gateway made the call.
    pub gateway: String,
}

impl WrongKey {
    /// Decides: it is written down, and the code stays good. The call is charged as one that nobody
    /// answered already, so that who presses wrong may ask for another within the limits of calls.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let event = AuditEvent {
            at: now,
            request: Some(self.token.request()),
            account: self.account.clone(),
            actor: Actor::Daemon,
            event: Event::CallKeyWrong { gateway: self.gateway.clone() },
        };
        Decided { records: records.clone(), audit: vec![event], answer: () }
    }
}
