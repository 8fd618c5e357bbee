//! A message without a code, to see whether a gateway delivers.
//!
//! It belongs to no account: it is written down for the host. It goes to a number that nobody has
//! proved to be theirs, as far as anybody knows, so it counts as one of the few messages that such
//! a number gets, and in the cap on all messages of the site. What was surely not sent is not
//! charged, or a gateway could not be mended by trying.

use std::sync::Arc;

use super::{
    account::Account,
    audit::{Actor, Event},
    challenge::Channel,
    enrollment::NumberIndex,
    login::{Cause, DeliveryResult, LEFT_TO_ADMINISTRATOR, Ledger, Terms},
    passcode::{ChallengeToken, Reference},
    phone::{Destination, E164, Line},
    proof::{Outcome, Refusal, refuse, withholds},
    records::{Decided, Records},
    time::Timestamp,
};

/// The verb of `otpctl`, as an event of its refusal names it.
const TEST: &str = "test-message";

/// A test message is asked for.
#[derive(Clone, Debug)]
pub struct TestMessage {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Where to.
    pub destination: Destination,
    /// Finds the number's budget.
    pub index: NumberIndex,
    /// How.
    pub channel: Channel,
    /// The one gateway that is to carry it; it is known to be able to.
    pub gateway: Option<String>,
    /// Who asks.
    pub uid: u32,
    /// Names it in the audit.
    pub token: ChallengeToken,
    /// In the message.
    pub reference: Reference,
}

/// A test message that is to be sent.
#[derive(Clone, Debug)]
pub struct TestOrder {
    /// Names it in the audit.
    pub token: ChallengeToken,
    /// Where to.
    pub to: E164,
    /// The number's budget.
    pub index: NumberIndex,
    /// How.
    pub channel: Channel,
    /// In the text.
    pub reference: Reference,
    /// When it was charged.
    pub charged_at: Timestamp,
}

impl TestMessage {
    /// Decides on the records of [`Account::host`]; the message to send.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<TestOrder>> {
        let mut ledger = Ledger::new(Account::host(), Actor::Uid(self.uid), records, now);
        let Destination { number, country, line } = &self.destination;
        let refusal = match (self.channel, line) {
            _ if !self.terms.countries.contains(country) => Some(Refusal::Country(*country)),
            (Channel::Voice, _) if self.gateway.is_none() && !self.terms.voice => {
                Some(Refusal::NoVoice)
            }
            (Channel::Sms, Line::Fixed) => Some(Refusal::LineTakesNoText),
            (Channel::Voice | Channel::Sms, Line::Mobile | Line::Fixed | Line::FixedOrMobile) => {
                withholds(&mut ledger, self.index, &self.terms)
            }
        };
        if let Some(refusal) = refusal {
            return refuse(ledger, TEST, refusal);
        }
        if let Some(budget) = ledger.records.number_budget(self.index) {
            budget.charge_proof(now);
        }
        if let Some(site) = ledger.records.site() {
            site.charge_proof(now);
        }
        let event = Event::TestMessage {
            ending: number.ending().to_owned(),
            country: country.as_str().to_owned(),
            channel: self.channel.as_str(),
            gateway: self.gateway.clone(),
            reference: self.reference.to_string(),
        };
        ledger.note(self.token, event);
        let order = TestOrder {
            token: self.token,
            to: number.clone(),
            index: self.index,
            channel: self.channel,
            reference: self.reference,
            charged_at: now,
        };
        ledger.decided(Outcome::Done(order))
    }
}

/// What became of a test message.
#[derive(Clone, Debug)]
pub struct TestDelivered {
    /// Names it in the audit.
    pub token: ChallengeToken,
    /// The number's budget.
    pub index: NumberIndex,
    /// When it was charged.
    pub charged_at: Timestamp,
    /// Gateways that did not take it: name and reason.
    pub failures: Vec<(String, String)>,
    /// How it ended.
    pub result: DeliveryResult,
    /// Whether some account has the number: only then is an opt-out remembered. There is nobody else
    /// for whom it could be lifted, and the vendor says it again whenever it is asked to send.
    pub known: bool,
}

impl TestDelivered {
    /// Decides on the records of [`Account::host`].
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let mut ledger = Ledger::new(Account::host(), Actor::Daemon, records, now);
        ledger.note_failures(self.token, &self.failures, &self.result);
        match &self.result {
            DeliveryResult::Sent { gateway, vendor_id } => {
                let (gateway, vendor_id) = (gateway.clone(), vendor_id.clone());
                ledger.note(self.token, Event::MessageSent { gateway, vendor_id, certain: true });
            }
            DeliveryResult::Perhaps { gateway } => {
                let (gateway, vendor_id) = (gateway.clone(), None);
                ledger.note(self.token, Event::MessageSent { gateway, vendor_id, certain: false });
            }
            DeliveryResult::Failed | DeliveryResult::Refused { .. } => self.refund(&mut ledger),
            DeliveryResult::OptedOut { gateway, ending, perhaps } => {
                match perhaps.clone() {
                    Some(gateway) => {
                        let event = Event::MessageSent { gateway, vendor_id: None, certain: false };
                        ledger.note(self.token, event);
                    }
                    None => self.refund(&mut ledger),
                }
                if self.known {
                    ledger.opt_out(self.token, self.index, ending, gateway);
                }
            }
        }
        ledger.decided(())
    }

    fn refund(&self, ledger: &mut Ledger) {
        if let Some(budget) = ledger.records.number_budget(self.index) {
            budget.refund_proof(self.charged_at);
        }
        if let Some(site) = ledger.records.site() {
            site.refund_proof(self.charged_at);
        }
    }
}

/// A test message that a vendor took did not arrive. Nobody waits for a code, and an administrator
/// watches: nothing is sent again.
#[derive(Clone, Debug)]
pub struct TestLost {
    /// The message.
    pub order: TestOrder,
    /// Which gateway had taken it.
    pub gateway: String,
    /// The vendor's name for it.
    pub vendor_id: String,
    /// What the vendor said, masked.
    pub reason: String,
    /// What that means.
    pub cause: Cause,
    /// As in [`TestDelivered::known`].
    pub known: bool,
}

impl TestLost {
    /// Decides on the records of [`Account::host`].
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let mut ledger = Ledger::new(Account::host(), Actor::Daemon, records, now);
        let TestOrder { token, index, to, .. } = &self.order;
        let event = Event::MessageUndelivered {
            gateway: self.gateway.clone(),
            vendor_id: self.vendor_id.clone(),
            reason: self.reason.clone(),
            then: LEFT_TO_ADMINISTRATOR,
        };
        ledger.note(*token, event);
        match self.cause {
            Cause::OptedOut if self.known => {
                ledger.opt_out(*token, *index, to.ending(), &self.gateway);
            }
            Cause::OptedOut | Cause::Route | Cause::Number => {}
        }
        ledger.decided(())
    }
}

#[cfg(test)]
mod tests;
