//! Plivo's API, version 1, and its PHLO runner, both under `/plivo`.

mod records;

use std::sync::Arc;

use hyper::Method;
use serde_json::{Map, Value, json};

use self::records::{call_record, message, plain};
pub(super) use self::records::{fields_of_call, inbound, receipt};
use super::{
    Vendor,
    calls::Document,
    compatible::{is_url, method_of, start},
    exchange::{Asked, Reply, text, with_plus},
    records::{Channel, Item, New, Target},
    settings::Plivo,
    world::World,
};

/// HTTP status and words of what it refuses.
const ERRORS: [(u16, &str); 12] = [
    (400, "a parameter is missing or is invalid"),
    (401, "authentication failed"),
    (402, "insufficient credit"),
    (403, "geo permission is not enabled for this destination"),
    (404, "not found"),
    (405, "method not allowed"),
    (409, "conflict"),
    (415, "content type is not supported"),
    (422, "unprocessable entity"),
    (429, "too many requests"),
    (500, "internal server error"),
    (503, "service unavailable"),
];

const MESSAGE: &[&str] = &[
    "src",
    "powerpack_uuid",
    "dst",
    "text",
    "type",
    "url",
    "method",
    "log",
    "trackable",
    "message_expiry",
    "media_urls",
    "media_ids",
    "template",
    "interactive",
    "location",
    "dlt_entity_id",
    "dlt_template_id",
    "dlt_template_category",
];

const CALL: &[&str] = &[
    "from",
    "to",
    "answer_url",
    "answer_method",
    "ring_url",
    "ring_method",
    "hangup_url",
    "hangup_method",
    "fallback_url",
    "fallback_method",
    "caller_name",
    "send_digits",
    "send_on_preanswer",
    "time_limit",
    "hangup_on_ring",
    "machine_detection",
    "machine_detection_time",
    "ring_timeout",
    "machine_detection_url",
    "machine_detection_method",
    "sip_headers",
    "parent_call_uuid",
    "error_if_parent_not_found",
];

/// Longer texts are not taken, characters.
const LONGEST: usize = 1600;

type Refused = (u16, String);

/// Answers a request.
pub(super) fn answer(world: &Arc<World>, asked: &Asked) -> Reply {
    let account = &world.settings.plivo;
    if !asked.is_from(&account.auth_id, &account.auth_token) {
        return error(world, 401, None);
    }
    let own = account.auth_id.as_str();
    let segments = asked.segments();
    let result = match (&asked.method, segments.as_slice()) {
        // The slash at the end belongs to the address.
        (&Method::POST, ["v1", "Account", id, "Message", ""]) if *id == own => send(world, asked),
        (&Method::GET, ["v1", "Account", id, "Message", name, ""]) if *id == own => {
            found(world, name, Channel::Text, |item| message(world, item))
        }
        (&Method::POST, ["v1", "Account", id, "Call", ""]) if *id == own => call(world, asked),
        (&Method::GET, ["v1", "Account", id, "Call", name, ""]) if *id == own => {
            call_found(world, asked, name)
        }
        (
            &Method::POST,
            ["v1", "account", id, "phlo", phlo] | ["v1", "account", id, "phlo", phlo, ""],
        ) if *id == own => run(world, asked, phlo),
        (&Method::GET, ["v1", "phlo", phlo, ""]) if account.phlos.contains_key(*phlo) => {
            let body = json!({
                "api_id": world.uuid(),
                "created_on": "2026-01-05 09:30:00.000000+00:00",
                "name": "codes",
                "phlo_id": phlo,
            });
            Ok(Reply::json(200, &body))
        }
        (_, ["v1", "Account", _, "Message" | "Call", ""]) => Err((405, String::new())),
        _ => Err((404, String::new())),
    };
    result.unwrap_or_else(|(status, words)| {
        error(world, status, Some(words.as_str()).filter(|words| !words.is_empty()))
    })
}

fn json_body(asked: &Asked, names: &[&str]) -> Result<Map<String, Value>, Refused> {
    if asked.media_type() != "application/json" {
        return Err((415, String::new()));
    }
    let body = asked.json().ok_or((400, "the body is not valid JSON".to_owned()))?;
    match body.keys().find(|name| !names.is_empty() && !names.contains(&name.as_str())) {
        Some(name) => Err((400, format!("{name} is not a valid parameter"))),
        None => Ok(body),
    }
}

fn wrong(name: &str) -> Refused {
    (400, format!("{name} parameter is missing or is invalid"))
}

/// A number of the account, in E.164 form.
fn owned(account: &Plivo, body: &Map<String, Value>, name: &str) -> Result<String, Refused> {
    let number = text(body, name).and_then(with_plus).ok_or_else(|| wrong(name))?;
    if account.numbers.contains(&number) {
        Ok(number)
    } else {
        Err((400, format!("{name} is not a number of this account")))
    }
}

fn url(body: &Map<String, Value>, name: &str, method: &str) -> Result<Option<Target>, Refused> {
    let Some(url) = text(body, name) else { return Ok(None) };
    let method = match text(body, method) {
        None => Method::POST,
        Some(word) => method_of(word).ok_or_else(|| wrong(method))?,
    };
    if !is_url(url) {
        return Err(wrong(name));
    }
    Ok(Some(Target { url: url.to_owned(), method }))
}

fn send(world: &Arc<World>, asked: &Asked) -> Result<Reply, Refused> {
    let account = &world.settings.plivo;
    let body = json_body(asked, MESSAGE)?;
    let from = owned(account, &body, "src")?;
    // Several numbers may stand there; nobody sends a code to several.
    let to = text(&body, "dst").ok_or_else(|| wrong("dst"))?;
    let to = with_plus(to).ok_or_else(|| (400, format!("{to} is not a valid phone number")))?;
    let words = text(&body, "text").filter(|text| !text.is_empty()).ok_or_else(|| wrong("text"))?;
    if words.chars().count() > LONGEST {
        return Err((400, format!("text is longer than {LONGEST} characters")));
    }
    if text(&body, "type").is_some_and(|kind| kind != "sms") {
        return Err(wrong("type"));
    }
    let flag = match body.get("log") {
        None | Some(Value::Bool(_)) => true,
        Some(Value::String(flag)) => matches!(flag.as_str(), "true" | "false"),
        Some(_) => false,
    };
    let expiry = body
        .get("message_expiry")
        .is_none_or(|value| value.as_u64().is_some_and(|seconds| (5..=10_800).contains(&seconds)));
    if !flag || !expiry {
        return Err(wrong(if flag { "message_expiry" } else { "log" }));
    }
    let callback = url(&body, "url", "method")?;
    let new = New {
        vendor: Vendor::Plivo,
        channel: Channel::Text,
        id: world.uuid(),
        from,
        to,
        text: words.to_owned(),
        callback,
        events: Vec::new(),
    };
    let item = bring(world, new);
    let body = json!({
        "api_id": world.uuid(),
        "message": "message(s) queued",
        "message_uuid": [item.id],
    });
    Ok(Reply::json(202, &body))
}

/// Takes a message. One to somebody who wants none is taken too, and fails later.
fn bring(world: &Arc<World>, new: New) -> Item {
    if world.is_stopped(Vendor::Plivo, &new.from, &new.to) {
        let item = world.take(new);
        let (world, id) = (Arc::clone(world), item.id.clone());
        world.update(&id, |item| {
            "failed".clone_into(&mut item.status);
            item.code = Some("200".to_owned());
        });
        world.runtime.clone().spawn(async move {
            super::callback::report(&world, &id, "failed", Some("200")).await;
        });
        item
    } else {
        world.bring(new)
    }
}

fn call(world: &Arc<World>, asked: &Asked) -> Result<Reply, Refused> {
    let account = &world.settings.plivo;
    let body = json_body(asked, CALL)?;
    let from = owned(account, &body, "from")?;
    let to = text(&body, "to").and_then(with_plus).ok_or_else(|| wrong("to"))?;
    let answer = url(&body, "answer_url", "answer_method")?.ok_or_else(|| wrong("answer_url"))?;
    let callback = url(&body, "hangup_url", "hangup_method")?;
    for (name, most) in [("ring_timeout", 600), ("time_limit", 86_400)] {
        let whole = |value: &Value| {
            value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        };
        let good = |value| whole(value).is_some_and(|seconds| (1..=most).contains(&seconds));
        if !body.get(name).is_none_or(good) {
            return Err(wrong(name));
        }
    }
    let item = world.take(call_of(world, from, to, callback));
    let reply = json!({
        "message": "call fired",
        "request_uuid": item.id,
        "api_id": world.uuid(),
    });
    start(world, item, Document::At(answer));
    Ok(Reply::json(201, &reply))
}

fn call_of(world: &World, from: String, to: String, callback: Option<Target>) -> New {
    let (vendor, channel) = (Vendor::Plivo, Channel::Call);
    let (id, text) = (world.uuid(), String::new());
    New { vendor, channel, id, from, to, text, callback, events: Vec::new() }
}

/// Runs a PHLO: it sends or says what it was made for, and tells nobody how that went.
fn run(world: &Arc<World>, asked: &Asked, phlo: &str) -> Result<Reply, Refused> {
    let account = &world.settings.plivo;
    let words = account.phlos.get(phlo).ok_or((404, "PHLO not found".to_owned()))?;
    let body = json_body(asked, &[])?;
    // A flow may have a number of its own.
    let from = match text(&body, "from") {
        Some(_) => owned(account, &body, "from")?,
        None => account.numbers.first().cloned().unwrap_or_default(),
    };
    let to = text(&body, "to").and_then(with_plus).ok_or_else(|| wrong("to"))?;
    let mut said = words.clone();
    for (name, value) in &body {
        said = said.replace(&format!("{{{name}}}"), value.as_str().unwrap_or_default());
    }
    match text(&body, "mode") {
        Some("sms") => {
            let new = New {
                vendor: Vendor::Plivo,
                channel: Channel::Text,
                id: world.uuid(),
                from,
                to,
                text: said,
                callback: None,
                events: Vec::new(),
            };
            bring(world, new);
        }
        Some("call") => {
            let item = world.take(call_of(world, from, to, None));
            let said = said.replace('&', "&amp;").replace('<', "&lt;");
            let xml = format!("<Response><Speak>{said}</Speak></Response>");
            start(world, item, Document::Inline(xml));
        }
        Some(_) | None => return Err(wrong("mode")),
    }
    let reply = json!({
        "api_id": world.uuid(),
        "phlo_id": phlo,
        "message": "PHLO triggered successfully",
    });
    Ok(Reply::json(201, &reply))
}

fn found(
    world: &World,
    id: &str,
    channel: Channel,
    show: impl FnOnce(&Item) -> Value,
) -> Result<Reply, Refused> {
    match world.item(Vendor::Plivo, id).filter(|item| item.channel == channel) {
        Some(item) => Ok(Reply::json(200, &show(&item))),
        None => Err((404, String::new())),
    }
}

/// A call is among the live ones until it ended, and among the others then.
fn call_found(world: &World, asked: &Asked, id: &str) -> Result<Reply, Refused> {
    let live = form_urlencoded::parse(asked.query.as_bytes()).find(|(name, _)| name == "status");
    let ended = |item: &Item| !matches!(item.status.as_str(), "queued" | "ringing" | "in-progress");
    let item = world.item(Vendor::Plivo, id).filter(|item| item.channel == Channel::Call);
    let item = item.ok_or((404, String::new()))?;
    match live.as_ref().map(|(_, status)| status.as_ref()) {
        Some("live" | "queued") if !ended(&item) => {
            let body = json!({
                "api_id": world.uuid(),
                "call_status": item.status,
                "call_uuid": item.id,
                "direction": "outbound",
                "from": plain(&item.from),
                "to": plain(&item.to),
            });
            Ok(Reply::json(200, &body))
        }
        None if ended(&item) => Ok(Reply::json(200, &call_record(world, &item))),
        Some(_) | None => Err((404, String::new())),
    }
}

fn error(world: &World, status: u16, words: Option<&str>) -> Reply {
    let found = ERRORS.iter().find(|(known, _)| *known == status);
    let words = words.or(found.map(|(_, words)| *words)).unwrap_or("error");
    Reply::json(status, &json!({"api_id": world.uuid(), "error": words}))
}

/// A refusal that a test asks for, by its HTTP status; `None`: it is not documented.
pub(super) fn refusal(world: &World, code: &str) -> Option<Reply> {
    let status = code.parse().ok()?;
    ERRORS.iter().any(|(known, _)| *known == status).then(|| error(world, status, None))
}
