//! `kind = "flowroute"`: text messages through Flowroute's API in its versions 2.2, 2.1 and 2, and
//! whether they arrived. Flowroute has no interface for calls.

mod problem;
mod record;

use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use zeroize::Zeroizing;

use self::record::{Progress, Record};
use super::{
    Message, Outcome, Status, VendorMessageId,
    basic::Basic,
    client::{Reply, json, parse_url, wiped},
    problem::{Problem, told},
    redact::Redactor,
    reply,
    settings::{FlowrouteSettings, FlowrouteVersion},
    vendor::{Dialect, SENDER, VendorError, decisive, key_hint},
};
use crate::domain::challenge::Channel;

/// Flowroute's API: how requests look and what replies mean.
pub(super) struct Api {
    messages: Url,
    version: FlowrouteVersion,
    /// As this version writes numbers.
    from: String,
    account: Basic,
    key_hint: String,
}

/// The body of a request to send, from version 2.1 on (JSON:API).
#[derive(Serialize)]
struct Body<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    to: &'a str,
    from: &'a str,
    body: &'a str,
    /// Where Flowroute reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    dlr_callback: Option<&'a str>,
}

/// The body of a request to send in version 2.
#[derive(Serialize)]
struct Flat<'a> {
    to: &'a str,
    from: &'a str,
    content: &'a str,
}

impl Dialect for Api {
    fn kind(&self) -> &'static str {
        "flowroute"
    }

    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => false,
        }
    }

    fn address(&self) -> &Url {
        &self.messages
    }

    fn secrets(&self) -> &[Zeroizing<String>] {
        &self.account.secrets
    }

    fn request(&self, message: &Message) -> Result<Request, String> {
        match message.channel {
            Channel::Sms => {}
            Channel::Voice => return Err("Flowroute makes no calls".to_owned()),
        }
        // Refused here: version 2 answers a number that it cannot read like a failure of its own.
        let to = number(self.version, message.to.expose()).ok_or_else(|| {
            let version = self.version.as_str();
            format!("api-version {version} has North American numbers only; use \"v2.2\"")
        })?;
        let body = match self.version {
            FlowrouteVersion::V22 | FlowrouteVersion::V21 => {
                let dlr_callback = message.report_url.as_ref().map(|url| url.as_str());
                let attributes =
                    Attributes { to: &to, from: &self.from, body: &message.text, dlr_callback };
                json(&Body { data: Data { kind: "message", attributes } })
            }
            FlowrouteVersion::V2 => {
                let content = &message.text;
                json(&Flat { to: &to, from: &self.from, content })
            }
        };
        let body = body.map_err(|error| error.to_string())?;
        let mut request = self.authorized(Method::POST, self.messages.clone());
        request.headers_mut().insert(CONTENT_TYPE, self.media_type());
        *request.body_mut() = Some(wiped(body));
        Ok(request)
    }

    fn sent(&self, _channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        sent(reply, redactor)
    }

    fn hint(&self, reply: &Reply) -> Option<String> {
        match reply.status {
            401 => Some(self.key_hint.clone()),
            403 => Some(SENDER.to_owned()),
            _ => None,
        }
    }

    /// `None` for a name that a path cannot hold: `..` would be another address.
    fn question(&self, _channel: Channel, id: &VendorMessageId) -> Option<Request> {
        if matches!(id.0.as_str(), "." | "..") {
            return None;
        }
        let mut url = self.messages.clone();
        url.path_segments_mut().ok()?.push(&id.0);
        Some(self.authorized(Method::GET, url))
    }

    fn status(&self, _channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
        status(reply, redactor)
    }

    /// One of the account's numbers: the API tells no balance.
    fn account(&self) -> Option<Request> {
        let mut url = self.messages.clone();
        url.path_segments_mut().ok()?.pop().pop().extend(["v2", "numbers"]);
        url.set_query(Some("limit=1"));
        Some(self.authorized(Method::GET, url))
    }
}

impl Api {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(settings: &FlowrouteSettings) -> Result<Self, VendorError> {
        let version = settings.version;
        let remedy = "`from` must be a number of North America with this `api-version`";
        let from = number(version, settings.from.expose()).ok_or(VendorError::Sender(remedy))?;
        let mut messages = parse_url(&settings.base_url)?;
        let base = messages.path().trim_end_matches('/');
        messages.set_path(&format!("{base}/{}/messages", version.as_str()));
        Ok(Self {
            messages,
            version,
            from,
            account: Basic::new(&settings.access_key, &settings.secret_key, SECRET)?,
            key_hint: key_hint(SECRET, &settings.secret_key),
        })
    }

    fn authorized(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        request.headers_mut().insert(AUTHORIZATION, self.account.header.clone());
        request.headers_mut().insert(ACCEPT, self.media_type());
        request
    }

    fn media_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self.version {
            FlowrouteVersion::V22 | FlowrouteVersion::V21 => "application/vnd.api+json",
            FlowrouteVersion::V2 => "application/json",
        })
    }
}

/// The configuration's name for the file with the key.
const SECRET: &str = "secret-key-file";

/// A number as a version writes it: E.164, or before version 2.2 the eleven digits of North America
/// without a plus. `None` where it has no such form.
fn number(version: FlowrouteVersion, e164: &str) -> Option<String> {
    match version {
        FlowrouteVersion::V22 => Some(e164.to_owned()),
        FlowrouteVersion::V21 | FlowrouteVersion::V2 => {
            let digits = e164.strip_prefix('+')?;
            (digits.len() == 11 && digits.starts_with('1')).then(|| digits.to_owned())
        }
    }
}

/// What became of handing a message over.
fn sent(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    if (200..=299).contains(&reply.status) {
        // A success with a body that cannot be read is still one, without an id.
        let vendor_id = reply::id(reply, "/data/id").or_else(|| reply::id(reply, "/id"));
        return Outcome::Accepted { vendor_id };
    }
    let body = reply.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let problems = body.as_ref().map(Problem::all).unwrap_or_default();
    if problems.is_empty() {
        return reply::by_status(reply, redactor);
    }
    let reason = redactor.reason(&told(&format!("HTTP {}", reply.status), &problems));
    match decisive(problems.iter().filter_map(|one| problem::meaning(one, reply.status))) {
        Some(meaning) => meaning.outcome(reason, reply.retry_after),
        // 500 among them: a yes that got lost, a fault of theirs and in version 2 a number that it
        // cannot read look alike. The next gateway gets the same code.
        None => reply::by_status_for(reply, reason),
    }
}

/// How far a message is.
fn status(reply: &Reply, redactor: &Redactor<'_>) -> Status {
    let record = Record::read(reply).filter(|_| (200..=299).contains(&reply.status));
    let Some(record) = record else {
        let said = format!("HTTP {}: {}", reply.status, reply::said(reply));
        return Status::Unknown(redactor.reason(&said));
    };
    match record.progress() {
        Progress::Delivered => Status::Delivered,
        Progress::UnderWay => Status::UnderWay,
        Progress::Failed { told, meaning } => {
            Status::Failed { reason: redactor.reason(&told), cause: meaning.cause() }
        }
        // Not with the body: it holds the text.
        Progress::Unclear => Status::Unknown("no status that is documented".to_owned()),
    }
}

#[cfg(test)]
mod tests;
