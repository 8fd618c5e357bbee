//! A message that a vendor took and that is at its end: it arrived, or nobody will ever say.

use crate::domain::{
    account::Account,
    audit::{Actor, AuditEvent, Event},
    passcode::ChallengeToken,
    records::{Decided, Records},
    time::Timestamp,
};

/// A carrier's report that a message arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Whose.
    pub account: Account,
    /// The challenge.
    pub token: ChallengeToken,
    /// Which gateway had taken it.
    pub gateway: String,
    /// The vendor's name for it.
    pub vendor_id: String,
    /// Whether it surely arrived; else the carrier does not say.
    pub confirmed: bool,
}

impl Arrived {
    /// Decides: it is written down for whoever looks for a message. Nothing that is stored changes,
    /// so that a receipt costs a line of the audit and no more.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let event = Event::MessageStatus {
            gateway: self.gateway.clone(),
            vendor_id: self.vendor_id.clone(),
            status: if self.confirmed { "delivered" } else { "unconfirmed" },
        };
        let event = AuditEvent {
            at: now,
            request: Some(self.token.request()),
            account: self.account.clone(),
            actor: Actor::Daemon,
            event,
        };
        Decided { records: records.clone(), audit: vec![event], answer: () }
    }
}
