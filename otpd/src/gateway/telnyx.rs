//! `kind = "telnyx"`: text messages and calls through Telnyx's API, version 2, and whether they
//! arrived.

mod call;
mod problem;
mod record;

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{
    Method, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use self::{
    call::Calls,
    problem::{decisive, is_about_key, is_about_sender},
    record::{Progress, Record},
};
use super::{
    Message, Outcome, Status, VendorMessageId,
    client::{Reply, json, parse_url, wiped},
    problem::{Problem, told},
    redact::Redactor,
    reply,
    settings::TelnyxSettings,
    standing,
    vendor::{Dialect, Meaning, SENDER, VendorError, key_hint},
};
use crate::domain::{challenge::Channel, login::Cause};

/// Telnyx's API: how requests look and what replies mean.
pub(super) struct Api {
    messages: Url,
    from: Option<String>,
    profile: Option<String>,
    calls: Option<Calls>,
    authorization: HeaderValue,
    secrets: [Zeroizing<String>; 1],
    key_hint: String,
    repeats: Hmac<Sha256>,
}

/// The body of a request to send.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_profile_id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
}

/// Why a call is not made; the configuration's checks come before that.
const NO_CALLS: &str = "calls need texml-application-id, texml-account-sid and a number as `from`";

impl Dialect for Api {
    fn kind(&self) -> &'static str {
        "telnyx"
    }

    /// Calls need an application of their own with this vendor, and a number.
    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.calls.is_some(),
        }
    }

    fn address(&self) -> &Url {
        &self.messages
    }

    fn secrets(&self) -> &[Zeroizing<String>] {
        &self.secrets
    }

    fn request(&self, message: &Message) -> Result<Request, String> {
        let (url, body) = match message.channel {
            Channel::Sms => (&self.messages, self.text(message)),
            Channel::Voice => {
                let calls = self.calls.as_ref().ok_or_else(|| NO_CALLS.to_owned())?;
                (calls.url(), calls.body(message))
            }
        };
        let body = body.map_err(|error| error.to_string())?;
        let mut request = self.authorized(Method::POST, url.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(key) = HeaderValue::from_str(&self.repeat_key(message, &body)) {
            headers.insert("idempotency-key", key);
        }
        *request.body_mut() = Some(wiped(body));
        Ok(request)
    }

    fn sent(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        match channel {
            Channel::Sms => sent(reply, redactor),
            Channel::Voice => call::sent(reply, redactor),
        }
    }

    fn hint(&self, reply: &Reply) -> Option<String> {
        let body = reply.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
        let problems = body.as_ref().map(Problem::all).unwrap_or_default();
        if reply.status == 401 || problems.iter().any(is_about_key) {
            Some(self.key_hint.clone())
        } else {
            problems.iter().any(is_about_sender).then(|| SENDER.to_owned())
        }
    }

    /// `None` for a name that a path cannot hold: `..` would be another address.
    fn question(&self, channel: Channel, id: &VendorMessageId) -> Option<Request> {
        if matches!(id.0.as_str(), "." | "..") {
            return None;
        }
        let url = match channel {
            Channel::Sms => {
                let mut url = self.messages.clone();
                url.path_segments_mut().ok()?.push(&id.0);
                url
            }
            Channel::Voice => self.calls.as_ref()?.one(id)?,
        };
        Some(self.authorized(Method::GET, url))
    }

    fn status(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
        match channel {
            Channel::Sms => status(reply, redactor),
            Channel::Voice => call::status(reply, redactor),
        }
    }

    fn account(&self) -> Option<Request> {
        let mut url = self.messages.clone();
        url.path_segments_mut().ok()?.pop().push("balance");
        Some(self.authorized(Method::GET, url))
    }

    fn balance(&self, reply: &Reply) -> Option<String> {
        standing::balance(reply, "/data/balance", "/data/currency")
    }
}

impl Api {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(settings: &TelnyxSettings) -> Result<Self, VendorError> {
        if settings.from.is_none() && settings.messaging_profile_id.is_none() {
            let remedy = "`from` is missing; add it, or a `messaging-profile-id` with numbers";
            return Err(VendorError::Sender(remedy));
        }
        let mut messages = parse_url(&settings.base_url)?;
        let calls = Calls::new(&messages, settings);
        let path = format!("{}/v2/messages", messages.path().trim_end_matches('/'));
        messages.set_path(&path);
        let bearer = Zeroizing::new(format!("Bearer {}", settings.api_key.secret.as_str()));
        let mut authorization =
            HeaderValue::from_str(&bearer).map_err(|_| VendorError::Key("api-key-file"))?;
        authorization.set_sensitive(true);
        let repeats = <Hmac<Sha256> as KeyInit>::new_from_slice(settings.api_key.secret.as_bytes())
            .map_err(|_| VendorError::Key("api-key-file"))?;
        Ok(Self {
            messages,
            from: settings.from.clone(),
            profile: settings.messaging_profile_id.clone(),
            calls,
            authorization,
            secrets: [settings.api_key.secret.clone()],
            key_hint: key_hint("api-key-file", &settings.api_key),
            repeats,
        })
    }

    /// The body of a text message.
    fn text(&self, message: &Message) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let fields = Body {
            from: self.from.as_deref(),
            to: message.to.expose(),
            text: &message.text,
            messaging_profile_id: self.profile.as_deref(),
            kind: "SMS",
            // Refused where the text needs another alphabet, rather than sent in several parts.
            encoding: "gsm7",
            webhook_url: message.report_url.as_ref().map(|url| url.as_str()),
        };
        json(&fields)
    }

    /// The same for a repeat of the same message, which Telnyx then does not send again. The body is
    /// part of it because a key with another body is refused; the API key makes it tell nothing.
    fn repeat_key(&self, message: &Message, body: &[u8]) -> String {
        use std::fmt::Write as _;

        let mac = self.repeats.clone().chain_update(message.id.0).chain_update(body);
        let bytes = mac.finalize().into_bytes();
        bytes.iter().take(16).fold(String::with_capacity(32), |mut key, byte| {
            let _ = write!(key, "{byte:02x}");
            key
        })
    }

    fn authorized(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request
    }
}

/// What became of handing a message over.
fn sent(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    if !(200..=299).contains(&reply.status) {
        return refused(reply, redactor);
    }
    // A success with a body that cannot be read is still one, without an id.
    let Some(record) = Record::read(reply) else { return Outcome::Accepted { vendor_id: None } };
    match record.progress() {
        Progress::Failed(word) => {
            let problems = record.problems();
            let reason = redactor.reason(&told(word, &problems));
            let meaning = decisive(&problems).unwrap_or(Meaning::Route);
            meaning.outcome(reason, pause(reply))
        }
        Progress::UnderWay | Progress::Delivered | Progress::Unconfirmed | Progress::Unclear => {
            Outcome::Accepted { vendor_id: record.id() }
        }
    }
}

/// A refusal: by the code that Telnyx gives, else by what HTTP says.
fn refused(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    let body = reply.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let problems = body.as_ref().map(Problem::all).unwrap_or_default();
    if problems.is_empty() {
        return paused(reply::by_status(reply, redactor), reply);
    }
    let reason = redactor.reason(&told(&format!("HTTP {}", reply.status), &problems));
    match decisive(&problems) {
        Some(meaning) => meaning.outcome(reason, pause(reply)),
        None => paused(reply::by_status_for(reply, reason), reply),
    }
}

/// Telnyx says in either of two headers when it may be asked again.
fn pause(reply: &Reply) -> Option<Duration> {
    reply.retry_after.or(reply.rate_reset)
}

fn paused(outcome: Outcome, reply: &Reply) -> Outcome {
    match outcome {
        Outcome::Retryable { after: None, reason } => {
            Outcome::Retryable { after: pause(reply), reason }
        }
        other => other,
    }
}

/// A reply that tells nothing about what was asked after.
fn untold(reply: &Reply, redactor: &Redactor<'_>) -> Status {
    let said = format!("HTTP {}: {}", reply.status, reply::said(reply));
    Status::Unknown(redactor.reason(&said))
}

/// Not with the body: it holds the text.
fn undocumented() -> Status {
    Status::Unknown("no status that is documented".to_owned())
}

/// How far a message is.
fn status(reply: &Reply, redactor: &Redactor<'_>) -> Status {
    let record = Record::read(reply).filter(|_| (200..=299).contains(&reply.status));
    let Some(record) = record else { return untold(reply, redactor) };
    described(&record, &|text| redactor.reason(text))
}

/// How far a message is that Telnyx describes without being asked, and its name. `clean` makes
/// reasons fit for a log.
pub(super) fn told_by_itself(
    message: Value,
    clean: &dyn Fn(&str) -> String,
) -> Option<(VendorMessageId, Status)> {
    let record = Record::of(message);
    Some((record.id()?, described(&record, clean)))
}

fn described(record: &Record, clean: &dyn Fn(&str) -> String) -> Status {
    match record.progress() {
        Progress::Delivered => Status::Delivered,
        Progress::UnderWay => Status::UnderWay,
        Progress::Unconfirmed => Status::Unconfirmed,
        Progress::Failed(word) => {
            let problems = record.problems();
            let cause = decisive(&problems).map_or(Cause::Route, Meaning::cause);
            Status::Failed { reason: clean(&told(word, &problems)), cause }
        }
        Progress::Unclear => undocumented(),
    }
}

#[cfg(test)]
mod tests;
