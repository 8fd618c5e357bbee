//! Flowroute's messaging API in its three versions, under `/flowroute`. There are no calls.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{
    Vendor,
    callback::{Draft, Inbound, draft},
    compatible::is_url,
    exchange::{Asked, Form, Reply, is_e164, text, with_plus},
    records::{Channel, Item, New, Target},
    told::Event,
    world::World,
};

/// What the newer versions send and take.
const JSON_API: &str = "application/vnd.api+json";

/// Name, HTTP status, title and detail of what it refuses; only an opt-out has a code of its own.
const ERRORS: [(&str, u16, &str, &str); 11] = [
    ("400", 400, "Bad Request", "The request could not be processed"),
    ("401", 401, "Unauthorized", "The API credentials are not valid"),
    ("403", 403, "Forbidden", "The from number is not permitted for this account"),
    ("404", 404, "Not Found", "The requested resource was not found"),
    ("405", 405, "Method Not Allowed", "The method is not allowed for the requested URL"),
    ("415", 415, "Unsupported Media Type", "The content type is not supported"),
    ("422", 422, "Unprocessable Entity", "The to attribute is not a valid phone number"),
    ("429", 429, "Too Many Requests", "Too many requests were sent in a given amount of time"),
    ("500", 500, "Internal Server Error", "Please try again later"),
    ("503", 503, "Service Unavailable", "The service is down for maintenance"),
    (
        "1110",
        400,
        "Bad Request",
        "Error 1110: the recipient has opted out of messages from this number",
    ),
];

/// How numbers look in a version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// A flat body; eleven digits.
    V2,
    /// JSON:API; eleven digits.
    V21,
    /// JSON:API; E.164.
    V22,
}

/// Answers a request.
pub(super) fn answer(world: &Arc<World>, asked: &Asked) -> Reply {
    let account = &world.settings.flowroute;
    if !asked.is_from(&account.access_key, &account.secret_key) {
        return error(world, "401");
    }
    let segments = asked.segments();
    let version = match segments.first() {
        Some(&"v2") => Version::V2,
        Some(&"v2.1") => Version::V21,
        Some(&"v2.2") => Version::V22,
        Some(_) | None => return error(world, "404"),
    };
    match (&asked.method, segments.get(1..)) {
        (&Method::POST, Some(["messages"])) => match judge(world, asked, version) {
            Ok(new) => accepted(&world.bring(new), version),
            Err(refusal) => error(world, refusal),
        },
        (&Method::GET, Some(["messages", id])) => match world.item(Vendor::Flowroute, id) {
            Some(item) => Reply::new(200, JSON_API, record(&item).to_string()),
            None => error(world, "404"),
        },
        (_, Some(["messages"] | ["messages", _])) => error(world, "405"),
        _ => error(world, "404"),
    }
}

fn judge(world: &World, asked: &Asked, version: Version) -> Result<New, &'static str> {
    let media = if version == Version::V2 { "application/json" } else { JSON_API };
    if asked.media_type() != media {
        return Err("415");
    }
    let mut body = asked.json().ok_or("400")?;
    if version != Version::V2 && body.contains_key("data") {
        body = attributes(&body).ok_or("400")?;
    }
    let names: &[&str] = match version {
        Version::V2 => &["to", "from", "content"],
        Version::V21 | Version::V22 => {
            &["to", "from", "body", "media_urls", "is_mms", "dlr_callback"]
        }
    };
    if body.keys().any(|name| !names.contains(&name.as_str())) {
        return Err("400");
    }
    let from = text(&body, "from").and_then(|from| number(from, version)).ok_or("403")?;
    if !world.settings.flowroute.numbers.contains(&from) {
        return Err("403");
    }
    let to = text(&body, "to").and_then(|to| number(to, version));
    // The oldest version knows no better word for a number that is none.
    let to = to.ok_or(if version == Version::V2 { "500" } else { "422" })?;
    let name = if version == Version::V2 { "content" } else { "body" };
    let words = text(&body, name).filter(|words| !words.is_empty()).ok_or("422")?;
    let callback = text(&body, "dlr_callback");
    if callback.is_some_and(|url| !is_url(url)) {
        return Err("422");
    }
    if world.is_stopped(Vendor::Flowroute, &from, &to) {
        return Err("1110");
    }
    let receipts = callback.or(world.settings.flowroute.receipts.as_deref());
    Ok(New {
        vendor: Vendor::Flowroute,
        channel: Channel::Text,
        id: format!("mdr2-{}", world.hex()),
        from,
        to,
        text: words.to_owned(),
        callback: receipts.map(Target::post),
        events: Vec::new(),
    })
}

/// The attributes of a message in its wrapper.
fn attributes(body: &Map<String, Value>) -> Option<Map<String, Value>> {
    let data = body.get("data")?.as_object()?;
    if text(data, "type") != Some("message") {
        return None;
    }
    data.get("attributes")?.as_object().cloned()
}

fn number(given: &str, version: Version) -> Option<String> {
    match version {
        Version::V2 | Version::V21 => {
            let national = given.len() == 11 && given.starts_with('1');
            with_plus(given).filter(|_| national)
        }
        Version::V22 => is_e164(given).then(|| given.to_owned()),
    }
}

fn accepted(item: &Item, version: Version) -> Reply {
    if version == Version::V2 {
        return Reply::json(200, &json!({"data": {"id": item.id}}));
    }
    let link = format!("https://api.flowroute.com/v2.1/messages/{}", item.id);
    let data = json!({"id": item.id, "type": "message", "links": {"self": link}});
    Reply::new(202, JSON_API, json!({"data": data}).to_string())
}

fn error(world: &World, name: &str) -> Reply {
    let found = ERRORS.iter().find(|(known, ..)| *known == name);
    let (_, status, title, detail) = found.copied().unwrap_or(("", 400, "Bad Request", ""));
    let one = json!({"id": world.uuid(), "status": status, "title": title, "detail": detail});
    Reply::new(status, JSON_API, json!({"errors": [one]}).to_string())
}

/// A refusal that a test asks for, by its HTTP status or 1110; `None`: it is not documented.
pub(super) fn refusal(world: &World, code: &str) -> Option<Reply> {
    ERRORS.iter().any(|(known, ..)| *known == code).then(|| error(world, code))
}

/// What is said of a status: level, number and words.
fn described(item: &Item) -> (u8, Value, &'static str) {
    match item.status.as_str() {
        "smsc submit" => (1, Value::Null, "Message has been sent"),
        "message buffered" => (2, json!(1003), "Message accepted by Carrier"),
        "delivered" => (2, json!(1000), "Message delivered"),
        _ => {
            let code = item.code.as_deref().and_then(|code| code.parse::<i64>().ok());
            (2, json!(code), "Message could not be delivered")
        }
    }
}

fn record(item: &Item) -> Value {
    let (level, code, words) = described(item);
    let receipt = json!({
        "level": level,
        "status": item.status,
        "status_code": code,
        "status_code_description": words,
        "timestamp": item.at.to_string(),
    });
    json!({
        "data": {
            "attributes": {
                "amount_display": "$0.0040",
                "amount_nanodollars": 4_000_000,
                "body": item.text,
                "delivery_receipts": [receipt],
                "direction": "outbound",
                "from": item.from,
                "is_mms": false,
                "message_encoding": 0,
                "message_type": "longcode",
                "status": item.status,
                "timestamp": item.at.to_string(),
                "to": item.to,
            },
            "id": item.id,
            "links": {"self": format!("https://api.flowroute.com/v2.1/messages/{}", item.id)},
            "type": "message",
        }
    })
}

/// A receipt. Nothing signs it.
pub(super) fn receipt(item: &Item, target: Target) -> Draft {
    let (level, code, words) = described(item);
    let body = json!({
        "data": {
            "type": "delivery_receipt",
            "id": item.id,
            "attributes": {
                "body": item.text,
                "level": level,
                "status": item.status,
                "status_code": code,
                "status_code_description": words,
                "timestamp": item.at.to_string(),
            },
            "links": {"related": format!("https://api.flowroute.com/v2.1/messages/{}", item.id)},
        }
    });
    Draft { json: body.to_string(), ..draft(item, target) }
}

/// A message to the account.
pub(super) fn inbound(world: &World, inbound: &Inbound) -> Option<Draft> {
    let target = Target::post(world.settings.flowroute.inbound.as_deref()?);
    let id = format!("mdr2-{}", world.hex());
    let body = json!({
        "data": {
            "type": "message",
            "id": id,
            "attributes": {
                "body": inbound.text,
                "direction": "inbound",
                "from": inbound.from.trim_start_matches('+'),
                "is_mms": false,
                "message_encoding": 0,
                "message_type": "longcode",
                "status": "delivered",
                "timestamp": jiff::Timestamp::now().to_string(),
                "to": inbound.to.trim_start_matches('+'),
            },
        }
    });
    let (vendor, event) = (Vendor::Flowroute, Event::Inbound);
    Some(Draft { vendor, event, id, target, fields: Form::new(), json: body.to_string() })
}
