//! `kind = "plivo"`: text messages and calls through Plivo's API, version 1, and whether they
//! arrived; or through a PHLO, a flow of the site's own at Plivo, which tells nothing.

mod call;
mod problem;
mod record;

use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use self::record::Progress;
use super::{
    Message, Outcome, Status, VendorMessageId,
    basic::Basic,
    client::{self, Reply, parse_url, wiped},
    problem::{Problem, told},
    redact::Redactor,
    reply,
    settings::PlivoSettings,
    standing,
    vendor::{Dialect, SENDER, VendorError, decisive, key_hint},
};
use crate::domain::{challenge::Channel, phone::E164};

/// Plivo's API: how requests look and what replies mean.
pub(super) struct Api {
    /// The account's address, or the PHLO's.
    base: Url,
    from: Option<String>,
    phlo: bool,
    account: Basic,
    key_hint: String,
}

/// How a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Text,
    Call,
    Phlo,
}

/// A text message.
#[derive(Serialize)]
struct Sms<'a> {
    src: &'a str,
    dst: &'a str,
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// A string: there are more than two settings of it.
    log: &'static str,
    /// Seconds that it may wait in Plivo's queue.
    message_expiry: u64,
    /// Where Plivo reports, by POST unless it is told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
}

/// A call.
#[derive(Serialize)]
struct Call<'a> {
    from: &'a str,
    to: &'a str,
    answer_url: &'a str,
    answer_method: &'static str,
    /// Seconds that it rings.
    ring_timeout: u16,
    /// Seconds that it may last.
    time_limit: u16,
    /// Where Plivo reports the call's end, by POST unless it is told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    hangup_url: Option<&'a str>,
}

/// A run of a PHLO: what its start node gets. The flow decides what it uses.
#[derive(Serialize)]
struct Run<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    to: &'a str,
    /// `sms` or `call`.
    mode: &'static str,
    /// The whole text, or what is to be said.
    text: &'a str,
    /// The code alone, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    otp: Option<&'a str>,
}

/// How long a telephone rings, seconds: shorter than most voicemails wait before they answer.
const RING: u16 = 25;
/// Longest call, seconds: the question twice, and the words.
const TALK: u16 = 120;
/// Seconds that Plivo may be told to keep a message waiting, at least and at most.
const EXPIRY: (u64, u64) = (5, 10_799);
/// The configuration's name for the file with the key.
const TOKEN: &str = "auth-token-file";
/// The hint for a 403, which Plivo documents for this alone.
const COUNTRY: &str = "Plivo's Geo Permissions do not have the number's country";

impl Dialect for Api {
    fn kind(&self) -> &'static str {
        "plivo"
    }

    /// A call needs a number to call from, unless the PHLO has its own.
    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.phlo || self.caller().is_some(),
        }
    }

    fn address(&self) -> &Url {
        &self.base
    }

    fn secrets(&self) -> &[Zeroizing<String>] {
        &self.account.secrets
    }

    fn request(&self, message: &Message) -> Result<Request, String> {
        let body = match self.way(message.channel) {
            Way::Text => self.text(message),
            Way::Call => self.call(message),
            Way::Phlo => self.run(message),
        };
        let url = match self.way(message.channel) {
            Way::Text => self.resource(&["Message"]),
            Way::Call => self.resource(&["Call"]),
            Way::Phlo => Some(self.base.clone()),
        };
        let url = url.ok_or_else(|| "the base URL takes no path".to_owned())?;
        let mut request = self.authorized(Method::POST, url);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        *request.body_mut() = Some(wiped(body?));
        Ok(request)
    }

    fn sent(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        sent(self.way(channel), reply, redactor)
    }

    fn hint(&self, reply: &Reply) -> Option<String> {
        match reply.status {
            401 => Some(self.key_hint.clone()),
            403 => Some(COUNTRY.to_owned()),
            _ => {
                let body = body(reply);
                let problems = body.as_ref().map(Problem::all).unwrap_or_default();
                problems.iter().any(problem::is_about_sender).then(|| SENDER.to_owned())
            }
        }
    }

    /// `None` for a PHLO, which tells nothing, and for a name that a path cannot hold: `..` would be
    /// another address.
    fn question(&self, channel: Channel, id: &VendorMessageId) -> Option<Request> {
        let resource = match self.way(channel) {
            Way::Text => "Message",
            Way::Call => "Call",
            Way::Phlo => return None,
        };
        if matches!(id.0.as_str(), "." | "..") {
            return None;
        }
        Some(self.authorized(Method::GET, self.resource(&[resource, &id.0])?))
    }

    fn status(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
        status(channel, reply, redactor)
    }

    /// What runs a PHLO tells nothing of the account.
    fn account(&self) -> Option<Request> {
        if self.phlo {
            return None;
        }
        Some(self.authorized(Method::GET, self.resource(&[])?))
    }

    fn balance(&self, reply: &Reply) -> Option<String> {
        standing::balance(reply, "/cash_credits", "/currency")
    }
}

impl Api {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(settings: &PlivoSettings) -> Result<Self, VendorError> {
        if settings.from.is_none() && settings.phlo_id.is_none() {
            return Err(VendorError::Sender("`from` is missing; add it, or a `phlo-id`"));
        }
        let mut base = parse_url(&settings.base_url)?;
        let before = base.path().trim_end_matches('/').to_owned();
        base.set_path(&before);
        if let Ok(mut segments) = base.path_segments_mut() {
            match settings.phlo_id.as_deref() {
                None => segments.extend(["v1", "Account", &settings.auth_id]),
                Some(id) => segments.extend(["v1", "account", &settings.auth_id, "phlo", id]),
            };
        }
        Ok(Self {
            base,
            from: settings.from.clone(),
            phlo: settings.phlo_id.is_some(),
            account: Basic::new(&settings.auth_id, &settings.auth_token, TOKEN)?,
            key_hint: key_hint(TOKEN, &settings.auth_token),
        })
    }

    fn way(&self, channel: Channel) -> Way {
        if self.phlo {
            return Way::Phlo;
        }
        match channel {
            Channel::Sms => Way::Text,
            Channel::Voice => Way::Call,
        }
    }

    /// The number that calls: a short code or a name cannot.
    fn caller(&self) -> Option<&str> {
        self.from.as_deref().filter(|from| from.parse::<E164>().is_ok())
    }

    fn text(&self, message: &Message) -> Result<Zeroizing<Vec<u8>>, String> {
        let (shortest, longest) = EXPIRY;
        json(&Sms {
            src: self.from.as_deref().unwrap_or_default(),
            dst: message.to.expose(),
            text: &message.text,
            kind: "sms",
            // Neither text nor number are kept.
            log: "false",
            message_expiry: message.valid_for.as_secs().clamp(shortest, longest),
            url: message.report_url.as_ref().map(|url| url.as_str()),
        })
    }

    fn call(&self, message: &Message) -> Result<Zeroizing<Vec<u8>>, String> {
        let Some(answer_url) = message.answer_url.as_deref() else {
            let remedy =
                "Plivo fetches what a call says: add [http] with `public-url`, or a phlo-id";
            return Err(remedy.to_owned());
        };
        let caller = self.caller().ok_or("`from` is no number, and a call needs one")?;
        json(&Call {
            from: caller,
            to: message.to.expose(),
            answer_url,
            answer_method: "POST",
            ring_timeout: RING,
            time_limit: TALK,
            hangup_url: message.report_url.as_ref().map(|url| url.as_str()),
        })
    }

    fn run(&self, message: &Message) -> Result<Zeroizing<Vec<u8>>, String> {
        json(&Run {
            from: self.from.as_deref(),
            to: message.to.expose(),
            mode: match message.channel {
                Channel::Sms => "sms",
                Channel::Voice => "call",
            },
            text: &message.text,
            otp: message.code.as_ref().map(|code| code.as_str()),
        })
    }

    /// An address below the account's. All of them end with a slash.
    fn resource(&self, segments: &[&str]) -> Option<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.extend(segments).push("");
        Some(url)
    }

    fn authorized(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        request.headers_mut().insert(AUTHORIZATION, self.account.header.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        request
    }
}

fn json(fields: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, String> {
    client::json(fields).map_err(|error| error.to_string())
}

fn body(reply: &Reply) -> Option<Value> {
    serde_json::from_slice(reply.body.as_deref()?).ok()
}

/// What became of handing a message over.
fn sent(way: Way, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    if !(200..=299).contains(&reply.status) {
        return refused(reply, redactor);
    }
    let accepted = |pointer: &str| {
        // One recipient, one name; in a list where there could be more.
        let vendor_id =
            reply::id(reply, &format!("{pointer}/0")).or_else(|| reply::id(reply, pointer));
        Outcome::Accepted { vendor_id }
    };
    match way {
        Way::Text if problem::is_refused_number(reply) => {
            Outcome::Rejected(redactor.reason(&format!("HTTP {}: invalid number", reply.status)))
        }
        Way::Text => accepted("/message_uuid"),
        Way::Call => accepted("/request_uuid"),
        // The run's name, by which Plivo's console knows it.
        Way::Phlo => accepted("/api_id"),
    }
}

/// A refusal: by what it is about, else by what HTTP says.
fn refused(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    let body = body(reply);
    let problems = body.as_ref().map(Problem::all).unwrap_or_default();
    if problems.is_empty() {
        return reply::by_status(reply, redactor);
    }
    let reason = redactor.reason(&told(&format!("HTTP {}", reply.status), &problems));
    match decisive(problems.iter().filter_map(|one| problem::meaning(one, reply.status, redactor)))
    {
        Some(meaning) => meaning.outcome(reason, reply.retry_after),
        None => reply::by_status_for(reply, reason),
    }
}

/// How far a message or a call is.
fn status(channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
    let read: fn(&Value) -> Progress = match channel {
        Channel::Sms => record::message,
        Channel::Voice => call::progress,
    };
    let success = (200..=299).contains(&reply.status);
    let Some(record) = body(reply).filter(|body| success && body.is_object()) else {
        // A call has a record once it ended.
        if channel == Channel::Voice && reply.status == 404 {
            return Status::UnderWay;
        }
        let said = format!("HTTP {}: {}", reply.status, reply::said(reply));
        return Status::Unknown(redactor.reason(&said));
    };
    described(read(&record), &|text| redactor.reason(text))
        .unwrap_or_else(|| Status::Unknown("no status that is documented".to_owned()))
}

/// How far a message or a call is that Plivo describes without being asked; `None` for what is not
/// documented. `clean` makes reasons fit for a log.
pub(super) fn told_by_itself(
    channel: Channel,
    record: &Value,
    clean: &dyn Fn(&str) -> String,
) -> Option<Status> {
    let progress = match channel {
        Channel::Sms => record::message(record),
        Channel::Voice => call::progress(record),
    };
    described(progress, clean)
}

fn described(progress: Progress, clean: &dyn Fn(&str) -> String) -> Option<Status> {
    match progress {
        Progress::Delivered => Some(Status::Delivered),
        Progress::UnderWay => Some(Status::UnderWay),
        Progress::Failed { told, cause } => Some(Status::Failed { reason: clean(&told), cause }),
        Progress::Unclear => None,
    }
}

#[cfg(test)]
mod tests;
