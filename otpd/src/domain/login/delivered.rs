//! What became of a message: the step that follows sending.

use super::Ledger;
use crate::domain::{
    audit::{Actor, Event},
    challenge::{Challenge, Delivery},
    enrollment::NumberIndex,
    passcode::{ChallengeToken, Purpose},
    records::{Decided, Records},
    time::Timestamp,
};

/// How sending ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// A vendor took it.
    Sent {
        /// Which gateway.
        gateway: String,
        /// The vendor's name for it.
        vendor_id: Option<String>,
    },
    /// A vendor may have taken it.
    Perhaps {
        /// The last gateway that may have.
        gateway: String,
    },
    /// Surely none took it.
    Failed,
    /// Nor here: one said that the number is bad, so no other was asked.
    Refused {
        /// Which gateway.
        gateway: String,
    },
    /// The person at the number told one of them to stop, so no other was asked.
    OptedOut {
        /// Which gateway.
        gateway: String,
        /// The number's last two digits.
        ending: String,
        /// The last gateway that may have taken it before.
        perhaps: Option<String>,
    },
}

/// Records the end of sending one message, of a login or of an enrollment.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The challenge.
    pub token: ChallengeToken,
    /// Which of its codes.
    pub issued_at: Timestamp,
    /// When the message was charged.
    pub charged_at: Timestamp,
    /// What it was for.
    pub purpose: Purpose,
    /// The number's budget.
    pub index: NumberIndex,
    /// Gateways that did not take it: name and reason.
    pub failures: Vec<(String, String)>,
    /// How it ended.
    pub result: Result,
}

impl Delivered {
    /// Decides. A receipt of a code that a newer one has taken the place of changes nothing but
    /// the record of what was sent.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let Some(account) = records.account.clone() else {
            return Decided::unchanged(records, ());
        };
        let mut ledger = Ledger::new(account, Actor::Daemon, records, now);
        ledger.note_failures(self.token, &self.failures, &self.result);
        let delivery = match &self.result {
            Result::Sent { gateway, vendor_id } => {
                let vendor_id = vendor_id.clone();
                let event =
                    Event::MessageSent { gateway: gateway.clone(), vendor_id, certain: true };
                ledger.note(self.token, event);
                Delivery::Accepted { gateway: gateway.clone() }
            }
            Result::Perhaps { gateway } => ledger.note_perhaps(self.token, gateway),
            Result::Failed | Result::Refused { .. } => {
                self.refund(&mut ledger);
                Delivery::Unsent
            }
            Result::OptedOut { gateway, ending, perhaps } => {
                let delivery = if let Some(perhaps) = perhaps {
                    ledger.note_perhaps(self.token, perhaps)
                } else {
                    self.refund(&mut ledger);
                    Delivery::Unsent
                };
                ledger.opt_out(self.token, self.index, ending, gateway);
                delivery
            }
        };
        if let Some(challenge) = ledger.challenge_mut(self.token)
            && challenge.issued_at == self.issued_at
            && challenge.is_live()
        {
            challenge.delivery = delivery;
            if let Result::Refused { gateway } = &self.result {
                challenge.refused_by = Some(gateway.clone());
            }
        }
        ledger.decided(())
    }

    /// What was surely not sent is not charged.
    fn refund(&self, ledger: &mut Ledger) {
        let guessed = ledger.challenge(self.token).is_none_or(Challenge::was_guessed);
        match self.purpose {
            Purpose::Login => ledger.refund(self.index, self.token, self.charged_at),
            // Wrong codes for a proof are bounded by its messages alone.
            Purpose::Enrollment if guessed => {}
            Purpose::Enrollment => {
                // None when the account has another number by now; the old one keeps the charge.
                if let Some(number) = ledger.records.number_budget(self.index) {
                    number.refund_proof(self.charged_at);
                }
                if let Some(site) = ledger.records.site() {
                    site.refund_proof(self.charged_at);
                }
                if let Some(enrollment) = &mut ledger.records.enrollment
                    && enrollment.index == self.index
                    && enrollment.proof_sent_at == Some(self.issued_at)
                {
                    enrollment.proof_sent_at = None;
                }
            }
        }
    }
}

impl Ledger {
    /// Writes down that a gateway may have sent a message; how far that one is.
    fn note_perhaps(&mut self, token: ChallengeToken, gateway: &str) -> Delivery {
        let gateway = gateway.to_owned();
        let event =
            Event::MessageSent { gateway: gateway.clone(), vendor_id: None, certain: false };
        self.note(token, event);
        Delivery::Uncertain { gateway }
    }

    /// Writes down which gateways did not take a message, or that there was none to try.
    pub(in crate::domain) fn note_failures(
        &mut self,
        token: ChallengeToken,
        failures: &[(String, String)],
        result: &Result,
    ) {
        for (gateway, reason) in failures {
            let (gateway, reason) = (gateway.clone(), reason.clone());
            self.note(token, Event::MessageFailed { gateway, reason });
        }
        if failures.is_empty() && *result == Result::Failed {
            let reason = "no gateway could be tried".to_owned();
            self.note(token, Event::MessageFailed { gateway: String::new(), reason });
        }
    }
}
