//! `kind = "signalwire"`: text messages and calls through `SignalWire`'s Compatibility API, and
//! whether they arrived.

use std::time::Duration;

use reqwest::{Request, Url};
use zeroize::Zeroizing;

use super::{
    Message, Outcome, Status, VendorMessageId,
    client::Reply,
    laml::{self, Account, Codes, RING},
    redact::Redactor,
    settings::SignalWireSettings,
    vendor::{Dialect, Meaning, VendorError},
};
use crate::domain::challenge::Channel;

/// Longest time in seconds that `SignalWire` may be told to try.
const LONGEST: u64 = 172_800;

/// `SignalWire`'s Compatibility API: how requests look and what replies mean.
pub(super) struct Api {
    account: Account,
    from: String,
}

impl Dialect for Api {
    fn kind(&self) -> &'static str {
        "signalwire"
    }

    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms | Channel::Voice => true,
        }
    }

    fn address(&self) -> &Url {
        self.account.address()
    }

    fn secrets(&self) -> &[Zeroizing<String>] {
        self.account.secrets()
    }

    fn request(&self, message: &Message) -> Result<Request, String> {
        match message.channel {
            Channel::Sms => Ok(self.text(message)),
            Channel::Voice => self.call(message),
        }
    }

    fn sent(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        laml::sent(channel, reply, redactor, CODES)
    }

    fn hint(&self, reply: &Reply) -> Option<String> {
        self.account.hint(reply, CODES)
    }

    fn question(&self, channel: Channel, id: &VendorMessageId) -> Option<Request> {
        self.account.get(channel, id)
    }

    fn status(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
        laml::status(channel, reply, redactor, CODES)
    }
}

impl Api {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(settings: &SignalWireSettings) -> Result<Self, VendorError> {
        let account = Account::new(
            &settings.base_url,
            "/api/laml/2010-04-01",
            "",
            &settings.project_id,
            ("api-token-file", &settings.api_token),
        )?;
        Ok(Self { account, from: settings.from.clone() })
    }

    fn text(&self, message: &Message) -> Request {
        let valid_for = seconds(message.valid_for);
        let mut fields = vec![
            ("To", message.to.expose()),
            ("From", self.from.as_str()),
            ("Body", message.text.as_str()),
            ("ValidityPeriod", valid_for.as_str()),
        ];
        fields.extend(message.report_url.as_ref().map(|url| ("StatusCallback", url.as_str())));
        self.account.post(Channel::Sms, &fields)
    }

    /// Calls fetch their words: that a document may go with the request is not documented.
    fn call(&self, message: &Message) -> Result<Request, String> {
        let Some(url) = &message.answer_url else {
            return Err(NO_ANSWER.to_owned());
        };
        let mut fields = vec![
            ("To", message.to.expose()),
            ("From", self.from.as_str()),
            ("Url", url.as_str()),
            ("Method", "POST"),
            ("Timeout", RING),
        ];
        fields.extend(message.report_url.as_ref().map(|url| ("StatusCallback", url.as_str())));
        Ok(self.account.post(Channel::Voice, &fields))
    }
}

/// Why there is no call without `[http]`.
const NO_ANSWER: &str = "SignalWire fetches what a call says; add [http] with `listen` and \
                         `public-url`, or remove the gateway from delivery.voice";

/// What is left of a code's life, as `SignalWire` takes it: whole seconds, 1 to 172 800.
fn seconds(valid_for: Duration) -> String {
    valid_for.as_secs().clamp(1, LONGEST).to_string()
}

pub(super) const CODES: Codes = Codes { meaning, is_about_sender };

/// By `SignalWire`'s list of error codes, which has Twilio's numbers and, for some of them, another
/// meaning: 21606 is about the recipient here, 21408 about a URL.
fn meaning(code: u32) -> Option<Meaning> {
    Some(match code {
        // Blocked by its owner, or on a list.
        21610 => Meaning::OptedOut,
        // No number, no mobile telephone; no such handset.
        21211 | 21217 | 21606 | 21614 | 30005 => Meaning::Number,
        // Account, key, rights, trial, funds, daily cap; no such address.
        4001 | 10001 | 20003 | 20010 | 20404 | 21219 | 30002 | 30010 | 35125 => Meaning::Ours,
        // Sender and registration.
        21210 | 21212 | 21213 | 21601 | 21701 | 21703 | 21705 | 21717 => Meaning::Ours,
        // The request: URLs, text, time. 21603 may mean either number, and 21604 that none was sent.
        10000 | 21205 | 21208 | 21209 | 21408 | 21456 | 21602 | 21603 | 21604 | 21617 | 21624
        | 90000 => Meaning::Ours,
        // Too much at once; not taken by the carrier.
        20429 | 21611 | 63011 => Meaning::Route,
        // Not delivered: too late, handset or carrier, blocked, filtered, 10DLC, whatever comes new.
        30000..=30999 => Meaning::Route,
        // An unknown error, an internal one and a timeout: it may have been sent before that.
        20001 | 20504 | 31003 => Meaning::Unclear,
        _ => return None,
    })
}

/// Not bought or verified, malformed, or not fit for this.
fn is_about_sender(code: u32) -> bool {
    matches!(code, 21210 | 21212 | 21601)
}

#[cfg(test)]
mod tests;
