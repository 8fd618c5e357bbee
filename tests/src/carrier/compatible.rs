//! What Twilio's API of 2010 and the one that `SignalWire` made like it have in common: forms, paths,
//! and the fields of receipts. Words, codes and limits are the vendors' own.

mod rules;

use std::sync::Arc;

use hyper::Method;
use jiff::fmt::rfc2822;
use serde_json::Value;

pub(super) use self::rules::{Codes, Rules};
use super::{
    Vendor,
    callback::{Draft, Inbound, draft},
    calls::Document,
    exchange::{Asked, Form, Reply, field, fields},
    records::{Channel, Item, New, Target},
    told::Event,
    world::World,
};

/// What a path of the API names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Messages,
    Message(String),
    Calls,
    Call(String),
}

/// Reads a path from the version on: what it names, and whether it asks for JSON by its ending.
/// `None`: nothing of this account.
pub(super) fn resource(path: &str, account: &str) -> Option<(Resource, bool)> {
    let rest = path.strip_prefix(&format!("/2010-04-01/Accounts/{account}/"))?;
    let (rest, json) = rest.strip_suffix(".json").map_or((rest, false), |rest| (rest, true));
    let found = match rest.split_once('/') {
        None if rest == "Messages" => Resource::Messages,
        None if rest == "Calls" => Resource::Calls,
        Some(("Messages", id)) if !id.contains('/') => Resource::Message(id.to_owned()),
        Some(("Calls", id)) if !id.contains('/') => Resource::Call(id.to_owned()),
        Some(_) | None => return None,
    };
    Some((found, json))
}

/// What a request about something that was sent is answered: to a question, its description; to a
/// form that empties a text, the description without it. `None`: there is no such thing.
pub(super) fn described(
    world: &World,
    vendor: Vendor,
    (asked, resource): (&Asked, &Resource),
    message: impl Fn(&Item) -> Value,
    call: impl Fn(&Item) -> Value,
) -> Option<Value> {
    match (&asked.method, resource) {
        (&Method::GET, Resource::Message(id)) => Some(message(&world.item(vendor, id)?)),
        (&Method::GET, Resource::Call(id)) => Some(call(&world.item(vendor, id)?)),
        (&Method::POST, Resource::Message(id)) => {
            world.item(vendor, id)?;
            asked.form().filter(|form| field(form, "Body") == Some(""))?;
            Some(message(&world.update(id, |item| item.text.clear())?))
        }
        _ => None,
    }
}

/// Code, HTTP status and words of what a vendor refuses.
pub(super) type Errors = [(u32, u16, &'static str)];

/// The status and the words that go with a code.
pub(super) fn words(errors: &Errors, code: u32) -> (u16, &'static str) {
    let found = errors.iter().find(|(known, ..)| *known == code);
    found.map_or((400, "Invalid request"), |(_, status, words)| (*status, *words))
}

/// A refusal that a test asks for; `None`: no such code is documented.
pub(super) fn refusal(errors: &Errors, code: &str, error: fn(u32) -> Reply) -> Option<Reply> {
    let code = code.parse().ok()?;
    errors.iter().any(|(known, ..)| *known == code).then(|| error(code))
}

/// A call of these fields, with where and what is reported of it.
pub(super) fn call(vendor: Vendor, id: String, from: &str, to: &str, form: &Form) -> New {
    let method = field(form, "StatusCallbackMethod").and_then(method_of).unwrap_or(Method::POST);
    let events = form.iter().filter(|(name, _)| name == "StatusCallbackEvent");
    New {
        vendor,
        channel: Channel::Call,
        id,
        from: from.to_owned(),
        to: to.to_owned(),
        text: String::new(),
        callback: field(form, "StatusCallback").map(|url| Target { url: url.to_owned(), method }),
        events: events.flat_map(|(_, value)| value.split([' ', ','])).map(str::to_owned).collect(),
    }
}

/// A method that callbacks may have.
pub(super) fn method_of(text: &str) -> Option<Method> {
    match text {
        "GET" => Some(Method::GET),
        "POST" => Some(Method::POST),
        _ => None,
    }
}

/// Whether a text is an address that a vendor could ask.
pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.parse::<hyper::Uri>().is_ok()
}

/// Starts a call.
pub(super) fn start(world: &Arc<World>, item: Item, document: Document) {
    world.runtime.spawn(super::calls::ring(Arc::clone(world), item, document));
}

/// Whether somebody asked for a report of this turn of a call; its end is always reported.
pub(super) fn is_wanted(item: &Item) -> bool {
    let event = match item.status.as_str() {
        "queued" => "initiated",
        "ringing" => "ringing",
        "in-progress" => "answered",
        _ => return item.events.is_empty() || item.events.iter().any(|event| event == "completed"),
    };
    item.events.iter().any(|wanted| wanted == event)
}

/// What is told about a call, also when its document is fetched.
pub(super) fn call_fields(account: &str, item: &Item, status: &str) -> Form {
    fields([
        ("CallSid", &item.id),
        ("AccountSid", account),
        ("From", &item.from),
        ("To", &item.to),
        ("CallStatus", status),
        ("ApiVersion", "2010-04-01"),
        ("Direction", "outbound-api"),
    ])
}

/// A receipt: of these fields for a text message, and of a call's own. `None` for a turn that nobody
/// asked for.
pub(super) fn receipt(account: &str, item: &Item, target: Target, text: Form) -> Option<Draft> {
    let mut form = match item.channel {
        Channel::Text => text,
        Channel::Call if is_wanted(item) => call_fields(account, item, &item.status),
        Channel::Call => return None,
    };
    if let Some(code) = &item.code {
        form.push(("ErrorCode".to_owned(), code.clone()));
    }
    Some(Draft { fields: form, ..draft(item, target) })
}

/// A message to the account, with what only this vendor tells of it.
pub(super) fn inbound(
    (vendor, account): (Vendor, &str),
    id: String,
    inbound: &Inbound,
    target: Target,
    own: Form,
) -> Draft {
    let mut form = fields([
        ("MessageSid", &id),
        ("SmsSid", &id),
        ("AccountSid", account),
        ("From", &inbound.from),
        ("To", &inbound.to),
        ("Body", &inbound.text),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
    ]);
    form.extend(own);
    Draft { vendor, event: Event::Inbound, id, target, fields: form, json: String::new() }
}

/// A time as this API writes it.
pub(super) fn date(item: &Item) -> String {
    rfc2822::to_string(&item.at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}
