//! `kind = "twilio"`: text messages and calls through Twilio's API of 2010, and whether they arrived.

use std::time::Duration;

use reqwest::{Request, Url};
use zeroize::Zeroizing;

use super::{
    Message, Outcome, Status, VendorMessageId,
    client::Reply,
    laml::{self, Account, Codes, RING},
    redact::Redactor,
    settings::TwilioSettings,
    spoken::Markup,
    vendor::{Dialect, Meaning, VendorError},
};
use crate::domain::challenge::Channel;

/// Longest time in seconds that Twilio may be told to try.
const LONGEST: u64 = 36_000;

/// Longest call, seconds: the question twice, and the words.
const TALK: &str = "120";

/// Twilio's API: how requests look and what replies mean.
pub(super) struct Api {
    account: Account,
    from: Option<String>,
    service: Option<String>,
}

impl Dialect for Api {
    fn kind(&self) -> &'static str {
        "twilio"
    }

    /// A call needs a number of its own: services have them for text messages only.
    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.from.is_some(),
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
        Ok(Self {
            account,
            from: settings.from.clone(),
            service: settings.messaging_service_sid.clone(),
        })
    }

    /// `ContentRetention` is not among the fields: Twilio refuses it (30029) unless the account has
    /// Message Redaction, and an account that has it discards texts without being asked.
    fn text(&self, message: &Message) -> Request {
        let valid_for = seconds(message.valid_for);
        let mut fields = vec![("To", message.to.expose()), ("Body", message.text.as_str())];
        fields.extend(self.from.as_deref().map(|from| ("From", from)));
        fields.extend(self.service.as_deref().map(|sid| ("MessagingServiceSid", sid)));
        fields.push(("ValidityPeriod", &valid_for));
        // Replaces letters beyond GSM-7 by ones that look alike; digits are all in it.
        fields.push(("SmartEncoded", "true"));
        fields.extend(message.report_url.as_ref().map(|url| ("StatusCallback", url.as_str())));
        self.account.post(Channel::Sms, &fields)
    }

    fn call(&self, message: &Message) -> Result<Request, String> {
        let Some(from) = self.from.as_deref() else {
            return Err("`from` is missing: a call needs a number".to_owned());
        };
        let mut fields = vec![("To", message.to.expose()), ("From", from)];
        let document;
        if let Some(url) = &message.answer_url {
            fields.extend([("Url", url.as_str()), ("Method", "POST")]);
        } else {
            document = Markup::Twiml.says(&message.text);
            fields.push(("Twiml", &document));
        }
        fields.extend([("Timeout", RING), ("TimeLimit", TALK)]);
        fields.extend(message.report_url.as_ref().map(|url| ("StatusCallback", url.as_str())));
        Ok(self.account.post(Channel::Voice, &fields))
    }
}

/// What is left of a code's life, as Twilio takes it: whole seconds, 1 to 36 000.
fn seconds(valid_for: Duration) -> String {
    valid_for.as_secs().clamp(1, LONGEST).to_string()
}

pub(super) const CODES: Codes = Codes { meaning, is_about_sender };

/// By Twilio's dictionary of errors.
fn meaning(code: u32) -> Option<Meaning> {
    Some(match code {
        21610 => Meaning::OptedOut,
        // No number, a premium one, no mobile telephone, a landline; no such handset.
        21202 | 21211 | 21217 | 21614 | 21635 | 30005 | 30006 => Meaning::Number,
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
        // Not delivered: queue, handset or carrier, blocked, filtered, too late, whatever comes new.
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
