//! `kind = "signalwire"`: text messages and calls through `SignalWire`'s Compatibility API, and
//! whether they arrived.

use reqwest::Request;

use super::{
    Message,
    laml::{self, Account, Codes, Own, RING, seconds},
    settings::SignalWireSettings,
    vendor::{Meaning, VendorError},
};

/// Longest time in seconds that `SignalWire` may be told to try.
const LONGEST: u64 = 172_800;

/// `SignalWire`'s Compatibility API.
pub(super) type Api = laml::Api<Sender>;

/// The project's number.
pub(super) struct Sender(String);

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
        Ok(Self::with(account, Sender(settings.from.clone())))
    }
}

impl Own for Sender {
    const KIND: &'static str = "signalwire";
    const CODES: Codes = CODES;
    const BALANCE: bool = false;

    fn calls(&self) -> bool {
        true
    }

    fn text(&self, account: &Account, message: &Message) -> Request {
        let valid_for = seconds(message.valid_for, LONGEST);
        let fields = [
            ("From", self.0.as_str()),
            ("Body", message.text.as_str()),
            ("ValidityPeriod", valid_for.as_str()),
        ];
        account.post(message, &fields)
    }

    /// Calls fetch their words: that a document may go with the request is not documented.
    fn call(&self, account: &Account, message: &Message) -> Result<Request, String> {
        let Some(url) = &message.answer_url else {
            return Err(NO_ANSWER.to_owned());
        };
        let fields = [
            ("From", self.0.as_str()),
            ("Url", url.as_str()),
            ("Method", "POST"),
            ("Timeout", RING),
        ];
        Ok(account.post(message, &fields))
    }
}

/// Why there is no call without `[http]`.
const NO_ANSWER: &str = "SignalWire fetches what a call says; add [http] with `listen` and \
                         `public-url`, or remove the gateway from delivery.voice";

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
