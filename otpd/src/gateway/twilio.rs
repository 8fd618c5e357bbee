//! `kind = "twilio"`: text messages and calls through Twilio's API of 2010, and whether they arrived.

use reqwest::Request;

use super::{
    Message,
    laml::{self, Account, Codes, Own, RING, seconds},
    settings::TwilioSettings,
    spoken::Markup,
    vendor::{Meaning, VendorError},
};

/// Longest time in seconds that Twilio may be told to try.
const LONGEST: u64 = 36_000;

/// Longest call, seconds: the question twice, and the words.
const TALK: &str = "120";

/// Twilio's API.
pub(super) type Api = laml::Api<Senders>;

/// Who sends: a number, a service with numbers of its own, or both.
pub(super) struct Senders {
    from: Option<String>,
    service: Option<String>,
}

impl Api {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(settings: &TwilioSettings) -> Result<Self, VendorError> {
        if settings.from.is_none() && settings.messaging_service_sid.is_none() {
            let remedy = "`from` is missing; add it, or a `messaging-service-sid` with numbers";
            return Err(VendorError::Sender(remedy));
        }
        // Without `.json` the API answers in XML.
        let account = Account::new(
            &settings.base_url,
            "/2010-04-01",
            ".json",
            &settings.account_sid,
            ("auth-token-file", &settings.auth_token),
        )?;
        let (from, service) = (settings.from.clone(), settings.messaging_service_sid.clone());
        Ok(Self::with(account, Senders { from, service }))
    }
}

impl Own for Senders {
    const KIND: &'static str = "twilio";
    const CODES: Codes = CODES;
    const BALANCE: bool = true;

    /// A call needs a number of its own: services have them for text messages only.
    fn calls(&self) -> bool {
        self.from.is_some()
    }

    /// `ContentRetention` is not among the fields: Twilio refuses it (30029) unless the account has
    /// Message Redaction, and an account that has it discards texts without being asked.
    fn text(&self, account: &Account, message: &Message) -> Request {
        let valid_for = seconds(message.valid_for, LONGEST);
        let mut fields = vec![("Body", message.text.as_str())];
        fields.extend(self.from.as_deref().map(|from| ("From", from)));
        fields.extend(self.service.as_deref().map(|sid| ("MessagingServiceSid", sid)));
        fields.push(("ValidityPeriod", &valid_for));
        // Replaces letters beyond GSM-7 by ones that look alike; digits are all in it.
        fields.push(("SmartEncoded", "true"));
        account.post(message, &fields)
    }

    fn call(&self, account: &Account, message: &Message) -> Result<Request, String> {
        let Some(from) = self.from.as_deref() else {
            return Err("`from` is missing: a call needs a number".to_owned());
        };
        let mut fields = vec![("From", from)];
        let document;
        if let Some(url) = &message.answer_url {
            fields.extend([("Url", url.as_str()), ("Method", "POST")]);
        } else {
            document = Markup::Twiml.says(&message.text);
            fields.push(("Twiml", &document));
        }
        fields.extend([("Timeout", RING), ("TimeLimit", TALK)]);
        Ok(account.post(message, &fields))
    }
}

pub(super) const CODES: Codes = Codes { meaning, is_about_sender };

/// By Twilio's dictionary of errors.
fn meaning(code: u32) -> Option<Meaning> {
    Some(match code {
        21610 => Meaning::OptedOut,
        // No number, a premium one, no mobile telephone, a landline; no such handset.
        21202 | 21211 | 21217 | 21614 | 21635 | 30005 => Meaning::Number,
        // Account, key, rights, trial, funds; no such address.
        10001 | 10002 | 20003 | 20404 | 21219 | 21608 | 30002 => Meaning::Ours,
        // Countries and the block against artificial traffic, which the account's owner sets.
        21215 | 21408 | 30450 | 60410 => Meaning::Ours,
        // Sender, service, registration.
        21210 | 21212 | 21213 | 21603 | 21606 | 21659 | 21660 | 21703 | 21705 | 30024 | 30032
        | 30034 => Meaning::Ours,
        // The request: URL, recipient missing, text, time, retention.
        21201 | 21205 | 21602 | 21604 | 21605 | 21617 | 21619 | 21624 | 30029 | 30030 | 90007 => {
            Meaning::Ours
        }
        // Not by this account: too much at once, a pair of numbers without a way, a barred number.
        20429 | 21214 | 21216 | 21611 | 21612 => Meaning::Route,
        // Not delivered: queue, handset or carrier, blocked, filtered, too late, whatever comes new. Among
        // them 30006, a landline or a carrier that this sender does not reach: the number was proved.
        30000..=30999 => Meaning::Route,
        _ => return None,
    })
}

/// Not the account's, or not fit for this.
fn is_about_sender(code: u32) -> bool {
    matches!(code, 21210 | 21212 | 21606 | 21659 | 21660)
}

#[cfg(test)]
mod tests;
