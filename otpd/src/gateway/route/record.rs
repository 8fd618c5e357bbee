//! What is remembered of a gateway while messages go by it.

use tracing::error;

use super::{Routes, Slot};
use crate::{
    domain::{challenge::Channel, login::Cause, phone::E164, time::Timestamp},
    gateway::{
        GatewayName, Message, Outcome, Status,
        breaker::Breaker,
        refusals::{Refusal, Refusals, Said, Worth},
    },
};

/// How a gateway fared with the messages so far.
#[derive(Default)]
pub(super) struct Record {
    pub(super) breaker: Breaker,
    /// Why the last message failed.
    pub(super) last_reason: Option<String>,
    refusals: Refusals,
    /// Who was taken for opted out because of it, and is not any more.
    disbelieved: Vec<E164>,
}

impl Routes {
    /// The end of a message that a gateway had taken, as its vendor reports it, and as far as the vendor
    /// is believed. It may be told the same of a message more than once.
    #[must_use]
    pub fn believed(
        &self,
        gateway: &GatewayName,
        to: (Channel, &E164),
        status: Status,
        now: Timestamp,
    ) -> Status {
        let Some(slot) = self.gateways.get(gateway) else { return status };
        slot.record().reported(gateway, to, status, now)
    }

    /// Whom a gateway had taken for opted out, that is not believed any more; each of them once.
    #[must_use]
    pub fn take_disbelieved(&self) -> Vec<(GatewayName, E164)> {
        let taken = |(name, slot): (&GatewayName, &Slot)| {
            let numbers = std::mem::take(&mut slot.record().disbelieved);
            numbers.into_iter().map(|number| (name.clone(), number)).collect::<Vec<_>>()
        };
        self.gateways.iter().flat_map(taken).collect()
    }
}

impl Record {
    /// Notes what became of a message; what it counts as.
    pub(super) fn note(
        &mut self,
        name: &GatewayName,
        message: &Message,
        outcome: Outcome,
        now: Timestamp,
    ) -> Outcome {
        let Said { at_once, later } = self.refusals.by(message.channel);
        // It takes every message, and says of every one that it did not arrive: its reports count.
        let counts = later.are_believed() || !matches!(outcome, Outcome::Accepted { .. });
        let outcome = match outcome {
            Outcome::OptedOut => {
                let refusal = Refusal::OptedOut;
                let worth = at_once.refused(refusal, &message.to);
                if self.believes(name, refusal, worth) {
                    Outcome::OptedOut
                } else {
                    Outcome::Misconfigured(refusal.disbelief().to_owned())
                }
            }
            Outcome::Rejected(reason) => {
                let refusal = Refusal::BadNumber;
                let worth = at_once.refused(refusal, &message.to);
                if self.believes(name, refusal, worth) {
                    Outcome::Rejected(reason)
                } else {
                    Outcome::Misconfigured(format!("{reason} ({})", refusal.disbelief()))
                }
            }
            Outcome::Accepted { .. } => {
                at_once.ended();
                outcome
            }
            Outcome::Retryable { .. } | Outcome::Misconfigured(_) | Outcome::Unknown(_) => outcome,
        };
        if counts {
            self.count(&outcome, now);
        }
        outcome
    }

    /// The same of a message that it took before, once that is at its end.
    fn reported(
        &mut self,
        name: &GatewayName,
        (channel, number): (Channel, &E164),
        status: Status,
        now: Timestamp,
    ) -> Status {
        let later = &mut self.refusals.by(channel).later;
        match status {
            Status::Failed { reason, cause } => {
                let Some(refusal) = Refusal::of(cause) else {
                    later.ended();
                    return Status::Failed { reason, cause };
                };
                later.ended_but(refusal);
                let worth = later.refused(refusal, number);
                if self.believes(name, refusal, worth) {
                    return Status::Failed { reason, cause };
                }
                let disbelief = refusal.disbelief();
                self.count(&Outcome::Misconfigured(disbelief.to_owned()), now);
                Status::Failed { reason: format!("{reason} ({disbelief})"), cause: Cause::Route }
            }
            Status::Delivered | Status::Unconfirmed => {
                let were_believed = later.are_believed();
                later.ended();
                if !were_believed {
                    self.breaker.succeeded();
                    self.last_reason = None;
                }
                status
            }
            Status::UnderWay | Status::Unknown(_) => status,
        }
    }

    fn believes(&mut self, name: &GatewayName, refusal: Refusal, worth: Worth) -> bool {
        let disbelief = refusal.disbelief();
        match (worth, refusal) {
            (Worth::Believed, _) => true,
            (Worth::NoMore(before), Refusal::OptedOut) => {
                error!(gateway = %name, "{disbelief}; the end to messages is undone for those it said it of");
                self.disbelieved.extend(before);
                false
            }
            // Nothing is kept of a number that was called bad.
            (Worth::NoMore(_), Refusal::BadNumber) => {
                error!(gateway = %name, "{disbelief}");
                false
            }
            (Worth::Nothing, _) => false,
        }
    }

    fn count(&mut self, outcome: &Outcome, now: Timestamp) {
        match outcome {
            // Also a no is the work of a gateway in order.
            Outcome::Accepted { .. } | Outcome::Rejected(_) | Outcome::OptedOut => {
                self.breaker.succeeded();
                self.last_reason = None;
            }
            Outcome::Retryable { after, reason } => {
                self.breaker.failed(now, *after);
                self.last_reason = Some(reason.clone());
            }
            Outcome::Misconfigured(reason) | Outcome::Unknown(reason) => {
                self.breaker.failed(now, None);
                self.last_reason = Some(reason.clone());
            }
        }
    }
}
