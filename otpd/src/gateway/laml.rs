//! What Twilio's API of 2010 and the one that `SignalWire` made like it have in common: forms to
//! `…/Accounts/{account}/Messages` and `…/Calls`, and how their replies read. Fields, codes and
//! limits are each vendor's own.

mod api;
mod record;

use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;
use zeroize::Zeroizing;

pub(super) use self::api::{Api, Own, seconds};
use self::record::{Progress, Record};
use super::{
    Message, Outcome, Status, VendorMessageId,
    basic::Basic,
    client::{Reply, parse_url, wiped},
    escape::Escape,
    problem::{Problem, told},
    redact::Redactor,
    reply,
    settings::Key,
    vendor::{Meaning, SENDER, VendorError, decisive, key_hint},
};
use crate::domain::{challenge::Channel, login::Cause};

/// How long a telephone rings, seconds: shorter than most voicemails wait before they answer.
pub(super) const RING: &str = "25";

/// An account with one of the two.
pub(super) struct Account {
    /// `…/Accounts/{account}`
    base: Url,
    /// What paths end with.
    suffix: &'static str,
    basic: Basic,
    key_hint: String,
}

/// What a vendor's codes mean.
#[derive(Clone, Copy)]
pub(super) struct Codes {
    /// For a message or a call; `None` for a code that the vendor does not document.
    pub(super) meaning: fn(u32) -> Option<Meaning>,
    /// Whether the sender is not one that the account may use.
    pub(super) is_about_sender: fn(u32) -> bool,
}

/// The vendor did not take the key.
const AUTHENTICATION: u32 = 20003;

impl Account {
    /// Takes the account's name and key. `path` stands between the address of the vendor and
    /// `/Accounts`, `suffix` at the end of every path, and `name` is the configuration's key for
    /// the file that holds the key.
    ///
    /// # Errors
    /// [`VendorError`], for the setting that cannot be used.
    pub(super) fn new(
        base_url: &str,
        path: &str,
        suffix: &'static str,
        account: &str,
        (name, key): (&'static str, &Key),
    ) -> Result<Self, VendorError> {
        let mut base = parse_url(base_url)?;
        let before = base.path().trim_end_matches('/').to_owned();
        base.set_path(&format!("{before}{path}/Accounts"));
        if let Ok(mut segments) = base.path_segments_mut() {
            segments.push(account);
        }
        let basic = Basic::new(account, key, name)?;
        Ok(Self { base, suffix, basic, key_hint: key_hint(name, key) })
    }

    /// An address of the API.
    pub(super) fn address(&self) -> &Url {
        &self.base
    }

    /// What must never be repeated.
    pub(super) fn secrets(&self) -> &[Zeroizing<String>] {
        &self.basic.secrets
    }

    /// Hands a message over in a form of these fields, between whom it is for and where the vendor
    /// tells how far it is.
    pub(super) fn post(&self, message: &Message, own: &[(&str, &str)]) -> Request {
        let mut fields = vec![("To", message.to.expose())];
        fields.extend_from_slice(own);
        fields.extend(message.report_url.as_ref().map(|url| ("StatusCallback", url.as_str())));
        let values: Vec<_> = fields.iter().map(|(_, value)| Escape::Form.apply(value)).collect();
        let mut parts = Vec::with_capacity(4 * fields.len());
        for ((name, _), value) in fields.iter().zip(&values) {
            parts.extend([if parts.is_empty() { "" } else { "&" }, name, "=", value]);
        }
        let body = Zeroizing::new(parts.concat());
        let mut request = self.authorized(Method::POST, self.url(message.channel, None));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        *request.body_mut() = Some(wiped(body));
        request
    }

    /// Asks for a message or a call. `None` for a name that a path cannot hold: `..` would be
    /// another address.
    pub(super) fn get(&self, channel: Channel, id: &VendorMessageId) -> Option<Request> {
        if matches!(id.0.as_str(), "." | "..") {
            return None;
        }
        Some(self.authorized(Method::GET, self.url(channel, Some(&id.0))))
    }

    /// Asks for the account itself, or for its balance.
    pub(super) fn inquiry(&self, balance: bool) -> Request {
        let mut url = self.base.clone();
        if balance && let Ok(mut segments) = url.path_segments_mut() {
            segments.push(&format!("Balance{}", self.suffix));
        }
        self.authorized(Method::GET, url)
    }

    /// Where to look when the vendor refuses for the configuration's sake.
    pub(super) fn hint(&self, reply: &Reply, codes: Codes) -> Option<String> {
        let body = body(reply);
        let problems = body.as_ref().map(Problem::all).unwrap_or_default();
        let found: Vec<u32> = problems.iter().filter_map(code).collect();
        let key = || Some(self.key_hint.clone());
        let sender = || Some(SENDER.to_owned());
        match reply.status {
            401 => key(),
            _ if found.contains(&AUTHENTICATION) => key(),
            _ if found.iter().any(|code| (codes.is_about_sender)(*code)) => sender(),
            403 if found.is_empty() => sender(),
            _ => None,
        }
    }

    fn url(&self, channel: Channel, id: Option<&str>) -> Url {
        let resource = match channel {
            Channel::Sms => "Messages",
            Channel::Voice => "Calls",
        };
        let mut url = self.base.clone();
        // An https address always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            match id {
                None => segments.push(&format!("{resource}{}", self.suffix)),
                Some(id) => segments.push(resource).push(&format!("{id}{}", self.suffix)),
            };
        }
        url
    }

    fn authorized(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.basic.header.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request
    }
}

/// What became of handing a message or a call over.
pub(super) fn sent(
    channel: Channel,
    reply: &Reply,
    redactor: &Redactor<'_>,
    codes: Codes,
) -> Outcome {
    if !(200..=299).contains(&reply.status) {
        return refused(reply, redactor, codes);
    }
    // A success with a body that cannot be read is still one, without an id.
    let Some(record) = Record::read(reply) else { return Outcome::Accepted { vendor_id: None } };
    match record.progress(channel) {
        Progress::Failed(word) => {
            let (reason, meaning) = failed(word, &record, codes);
            meaning.unwrap_or(Meaning::Route).outcome(redactor.reason(&reason), reply.retry_after)
        }
        Progress::UnderWay | Progress::Delivered | Progress::Unclear => {
            Outcome::Accepted { vendor_id: record.id() }
        }
    }
}

/// How far a message or a call is.
pub(super) fn status(
    channel: Channel,
    reply: &Reply,
    redactor: &Redactor<'_>,
    codes: Codes,
) -> Status {
    if !(200..=299).contains(&reply.status) {
        let body = body(reply);
        let problems = body.as_ref().map(Problem::all).unwrap_or_default();
        let head = format!("HTTP {}", reply.status);
        let said = match problems.as_slice() {
            [] => format!("{head}: {}", reply::said(reply)),
            problems => told(&head, problems),
        };
        return Status::Unknown(redactor.reason(&said));
    }
    let status = Record::read(reply)
        .and_then(|record| described(channel, &record, codes, &|text| redactor.reason(text)));
    // Not with the body: it holds the text.
    status.unwrap_or_else(|| Status::Unknown("no status that is documented".to_owned()))
}

/// How far a message or a call is that the vendor describes without being asked, and its name; `None`
/// for a word that is not documented. `clean` makes reasons fit for a log.
pub(super) fn told_by_itself(
    channel: Channel,
    description: Value,
    codes: Codes,
    clean: &dyn Fn(&str) -> String,
) -> Option<(VendorMessageId, Status)> {
    let record = Record::of(description);
    Some((record.id()?, described(channel, &record, codes, clean)?))
}

fn described(
    channel: Channel,
    record: &Record,
    codes: Codes,
    clean: &dyn Fn(&str) -> String,
) -> Option<Status> {
    match record.progress(channel) {
        Progress::Delivered => Some(Status::Delivered),
        Progress::UnderWay => Some(Status::UnderWay),
        Progress::Failed(word) => {
            let (reason, meaning) = failed(word, record, codes);
            let cause = meaning.map_or(Cause::Route, Meaning::cause);
            Some(Status::Failed { reason: clean(&reason), cause })
        }
        Progress::Unclear => None,
    }
}

/// Why something that the vendor took was not delivered: in words, and what it means.
fn failed(word: &str, record: &Record, codes: Codes) -> (String, Option<Meaning>) {
    let problems: Vec<_> = record.problem().into_iter().collect();
    (told(word, &problems), meaning(&problems, codes))
}

/// A refusal: by the vendor's code, else by what HTTP says.
fn refused(reply: &Reply, redactor: &Redactor<'_>, codes: Codes) -> Outcome {
    let body = body(reply);
    let problems = body.as_ref().map(Problem::all).unwrap_or_default();
    if problems.is_empty() {
        return reply::by_status(reply, redactor);
    }
    let reason = redactor.reason(&told(&format!("HTTP {}", reply.status), &problems));
    match meaning(&problems, codes) {
        Some(meaning) => meaning.outcome(reason, reply.retry_after),
        // Codes come and go, and both vendors say not to build on them: one that is not known is no
        // word against the number, which would end failover for everybody.
        None => reply::by_status_for(reply, reason),
    }
}

fn meaning(problems: &[Problem<'_>], codes: Codes) -> Option<Meaning> {
    decisive(problems.iter().filter_map(|problem| (codes.meaning)(code(problem)?)))
}

fn code(problem: &Problem<'_>) -> Option<u32> {
    problem.code.parse().ok()
}

fn body(reply: &Reply) -> Option<Value> {
    serde_json::from_slice(reply.body.as_deref()?).ok()
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
