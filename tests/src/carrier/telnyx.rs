//! Telnyx's API, version 2, under `/telnyx`: messages, and calls by `TeXML`.

mod refusals;

use std::sync::Arc;

use hyper::{Method, body::Bytes};
use serde_json::{Map, Value, json};

use self::refusals::{ERRORS, lost};
use super::{
    Vendor,
    callback::{Draft, Inbound, Word, draft},
    calls::Document,
    compatible::{self, call_fields, is_url, is_wanted, method_of, start},
    exchange::{Asked, Form, Reply, field, is_e164, text},
    gsm7,
    records::{Channel, Item, New, Target},
    told::Event,
    world::World,
};

const MESSAGE: [&str; 13] = [
    "to",
    "from",
    "text",
    "messaging_profile_id",
    "type",
    "encoding",
    "webhook_url",
    "webhook_failover_url",
    "use_profile_webhooks",
    "auto_detect",
    "send_at",
    "media_urls",
    "subject",
];

const CALL: [&str; 18] = [
    "ApplicationSid",
    "To",
    "From",
    "CallerId",
    "Url",
    "UrlMethod",
    "Texml",
    "FallbackUrl",
    "StatusCallback",
    "StatusCallbackMethod",
    "StatusCallbackEvent",
    "Timeout",
    "TimeLimit",
    "MachineDetection",
    "MachineDetectionTimeout",
    "AsyncAmd",
    "DetectionMode",
    "Record",
];

/// Longer texts than in this many parts are not sent.
const MOST_PARTS: usize = 10;

/// Answers a request.
pub(super) fn answer(world: &Arc<World>, asked: &Asked) -> Reply {
    let account = &world.settings.telnyx;
    let key = asked.header("authorization");
    if key.is_empty() {
        // As if there was nothing; so its own notes on errors say.
        return error("10005", "");
    }
    if key.strip_prefix("Bearer ") != Some(account.api_key.as_str()) {
        return error("10009", "The API key is not valid");
    }
    let segments = asked.segments();
    let sid = account.account_sid.as_str();
    match (&asked.method, segments.as_slice()) {
        (&Method::POST, ["v2", "messages"]) => once(world, asked),
        (&Method::GET, ["v2", "messages", id]) => match world.item(Vendor::Telnyx, id) {
            Some(item) if item.channel == Channel::Text => {
                Reply::json(200, &json!({"data": record(world, &item)}))
            }
            Some(_) | None => error("10005", "The message does not exist"),
        },
        (&Method::POST, ["v2", "texml", "Accounts", of, "Calls"]) if *of == sid => {
            call(world, asked)
        }
        (&Method::GET, ["v2", "texml", "Accounts", of, "Calls", id]) if *of == sid => {
            match world.item(Vendor::Telnyx, id) {
                Some(item) if item.channel == Channel::Call => {
                    Reply::json(200, &call_record(world, &item))
                }
                Some(_) | None => error("90000", ""),
            }
        }
        _ => error("10005", "There is nothing at this address"),
    }
}

/// Sends, unless the same was sent before under the same key.
fn once(world: &Arc<World>, asked: &Asked) -> Reply {
    let key = asked.header("idempotency-key");
    if key.is_empty() {
        return send(world, asked);
    }
    if let Some((body, reply)) = world.repeated(key) {
        if body != asked.body {
            return error("10027", "The idempotency key was used with another request");
        }
        return reply.with(REPLAYED, "true");
    }
    let reply = send(world, asked);
    if reply.is_good() {
        // A copy: the body itself would keep the whole buffer that it came in.
        world.remember(key, Bytes::copy_from_slice(&asked.body), reply.clone());
    }
    reply
}

/// Tells this stand-in, and nobody else, that nothing was sent.
pub(super) const REPLAYED: &str = "idempotent-replayed";

fn send(world: &Arc<World>, asked: &Asked) -> Reply {
    if asked.media_type() != "application/json" {
        return error("10014", "The content type must be application/json");
    }
    let Some(body) = asked.json() else { return error("10015", "The body is no JSON object") };
    match judge(world, &body) {
        Ok(new) => {
            let item = world.bring(new);
            Reply::json(200, &json!({"data": record(world, &item)}))
        }
        Err((code, detail)) => error(code, detail),
    }
}

fn judge(world: &World, body: &Map<String, Value>) -> Result<New, (&'static str, &'static str)> {
    let account = &world.settings.telnyx;
    if body.keys().any(|name| !MESSAGE.contains(&name.as_str())) {
        return Err(("10015", "There is a parameter that is not known"));
    }
    let to = text(body, "to").ok_or(("10004", "The parameter 'to' is missing"))?;
    if !is_e164(to) {
        return Err(("40310", "The 'to' address should be in +E.164 format"));
    }
    let profile = text(body, "messaging_profile_id");
    if profile.is_some_and(|profile| !account.profiles.iter().any(|own| own == profile)) {
        return Err(("10015", "The messaging profile does not exist"));
    }
    let from = match (text(body, "from"), profile) {
        (Some(from), _) => from,
        (None, Some(_)) => account.numbers.first().ok_or(("40321", ""))?,
        (None, None) => return Err(("40305", "The parameter 'from' is missing")),
    };
    if !account.numbers.iter().any(|own| own == from) {
        return Err(("40305", "The 'from' address is not one of this account"));
    }
    let words = text(body, "text").filter(|words| !words.is_empty()).ok_or(("40316", ""))?;
    match text(body, "type") {
        None | Some("SMS") => {}
        Some(_) => return Err(("10015", "The type is not SMS")),
    }
    match (text(body, "encoding"), gsm7::septets(words)) {
        (None | Some("auto" | "ucs2"), _) | (Some("gsm7"), Some(_)) => {}
        (Some("gsm7"), None) => return Err(("10015", "The text cannot be encoded in gsm7")),
        (Some(_), _) => return Err(("10015", "The encoding is none of auto, gsm7, ucs2")),
    }
    if gsm7::parts(words) > MOST_PARTS {
        return Err(("40302", ""));
    }
    let webhook = text(body, "webhook_url");
    if webhook.is_some_and(|url| !is_url(url)) {
        return Err(("10015", "The webhook_url is no URL"));
    }
    if world.is_stopped(Vendor::Telnyx, from, to) {
        return Err((
            "40300",
            "Messages from this messaging profile to this number are blocked due to STOP",
        ));
    }
    Ok(New {
        vendor: Vendor::Telnyx,
        channel: Channel::Text,
        id: world.uuid(),
        from: from.to_owned(),
        to: to.to_owned(),
        text: words.to_owned(),
        callback: webhook.or(account.receipts.as_deref()).map(Target::post),
        events: Vec::new(),
    })
}

/// A call whose fields may be a form or JSON.
fn call(world: &Arc<World>, asked: &Asked) -> Reply {
    let form = match asked.media_type().as_str() {
        "application/json" => {
            let Some(body) = asked.json() else {
                return error("10015", "The body is no JSON object");
            };
            let plain =
                |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            body.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        _ => match asked.form() {
            Some(form) => form,
            None => return error("10014", "The body is neither a form nor JSON"),
        },
    };
    match judge_call(world, &form) {
        Ok((new, document)) => {
            let item = world.take(new);
            let reply = json!({"from": item.from, "status": item.status, "to": item.to});
            start(world, item, document);
            Reply::json(200, &reply)
        }
        Err((code, detail)) => error(code, detail),
    }
}

fn judge_call(world: &World, form: &Form) -> Result<(New, Document), (&'static str, &'static str)> {
    let account = &world.settings.telnyx;
    if form.iter().any(|(name, _)| !CALL.contains(&name.as_str())) {
        return Err(("10015", "There is a parameter that is not known"));
    }
    let missing = ("10004", "To, From or ApplicationSid is missing");
    let to = field(form, "To").ok_or(missing)?;
    let from = field(form, "From").ok_or(missing)?;
    let application = field(form, "ApplicationSid").ok_or(missing)?;
    if !account.applications.iter().any(|own| own == application) {
        return Err(("10005", "The TeXML application does not exist"));
    }
    if !is_e164(to) {
        return Err(("10016", ""));
    }
    if !account.numbers.iter().any(|own| own == from) {
        return Err(("10010", "The number in From is not one of this account"));
    }
    let seconds = |name: &str, range: std::ops::RangeInclusive<u64>| {
        field(form, name).is_none_or(|text| text.parse().is_ok_and(|n| range.contains(&n)))
    };
    if !seconds("Timeout", 5..=120) || !seconds("TimeLimit", 30..=14_400) {
        return Err(("90015", "Timeout or TimeLimit is out of range"));
    }
    let document = match (field(form, "Url"), field(form, "Texml")) {
        (Some(url), None) if is_url(url) => {
            let method = field(form, "UrlMethod").and_then(method_of).unwrap_or(Method::POST);
            Document::At(Target { url: url.to_owned(), method })
        }
        (None, Some(xml)) => Document::Inline(xml.to_owned()),
        _ => return Err(("90015", "There must be either a Url or Texml")),
    };
    let id = format!("v3:{}", world.hex());
    Ok((compatible::call(Vendor::Telnyx, id, from, to, form), document))
}

/// A refusal in Telnyx's words.
fn error(code: &str, detail: &str) -> Reply {
    let found = ERRORS.iter().find(|(known, ..)| *known == code);
    let (_, status, title) = found.copied().unwrap_or(("", 400, "Bad Request"));
    let detail = if detail.is_empty() { title } else { detail };
    let one = json!({
        "code": code,
        "title": title,
        "detail": detail,
        "meta": {"url": format!("https://developers.telnyx.com/docs/overview/errors/{code}")},
    });
    Reply::json(status, &json!({"errors": [one]}))
}

/// A refusal that a test asks for; `None`: no such code is documented.
pub(super) fn refusal(code: &str) -> Option<Reply> {
    ERRORS.iter().any(|(known, ..)| *known == code).then(|| error(code, ""))
}

fn record(world: &World, item: &Item) -> Value {
    let errors: Vec<Value> = item
        .code
        .iter()
        .map(|code| {
            let (title, detail) = lost(code);
            json!({"code": code, "title": title, "detail": detail})
        })
        .collect();
    let ended = !matches!(item.status.as_str(), "queued" | "sending" | "sent");
    json!({
        "record_type": "message",
        "direction": "outbound",
        "id": item.id,
        "type": "SMS",
        "messaging_profile_id": world.settings.telnyx.profiles.first(),
        "from": {"phone_number": item.from, "carrier": "Telnyx", "line_type": "Wireless"},
        "to": [{
            "phone_number": item.to,
            "status": item.status,
            "carrier": "T-MOBILE USA, INC.",
            "line_type": "Wireless",
        }],
        "text": item.text,
        "media": [],
        "webhook_url": item.callback.as_ref().map(|target| &target.url),
        "webhook_failover_url": null,
        "encoding": if gsm7::septets(&item.text).is_some() { "GSM-7" } else { "UCS-2" },
        "parts": gsm7::parts(&item.text),
        "tags": [],
        "cost": {"amount": "0.0040", "currency": "USD"},
        "received_at": item.at.to_string(),
        "sent_at": null,
        "completed_at": ended.then(|| item.at.to_string()),
        "valid_until": null,
        "errors": errors,
    })
}

fn call_record(world: &World, item: &Item) -> Value {
    let sid = &world.settings.telnyx.account_sid;
    json!({
        "sid": item.id,
        "account_sid": sid,
        "from": item.from,
        "to": item.to,
        "status": item.status,
        "direction": "outbound-api",
        "date_created": compatible::date(item),
        "uri": format!("/v2/texml/Accounts/{sid}/Calls/{}", item.id),
    })
}

/// What is told when a call's document is fetched.
pub(super) fn fields_of_call(world: &World, item: &Item, status: &str) -> Form {
    call_fields(&world.settings.telnyx.account_sid, item, status)
}

/// A receipt; it holds the text. `None` for a turn that nobody asked for.
pub(super) fn receipt(world: &World, item: &Item, target: Target) -> Option<Draft> {
    match item.channel {
        Channel::Text => {
            let kind = if item.status == "sent" { "message.sent" } else { "message.finalized" };
            let json = event(world, kind, &record(world, item), &target.url);
            Some(Draft { json, ..draft(item, target) })
        }
        Channel::Call if is_wanted(item) => {
            let fields = fields_of_call(world, item, &item.status);
            Some(Draft { fields, ..draft(item, target) })
        }
        Channel::Call => None,
    }
}

/// A message to the account.
pub(super) fn inbound(world: &World, inbound: &Inbound) -> Option<Draft> {
    let account = &world.settings.telnyx;
    let target = Target::post(account.receipts.as_deref()?);
    let id = world.uuid();
    let mut payload = json!({
        "record_type": "message",
        "direction": "inbound",
        "id": id,
        "type": "SMS",
        "messaging_profile_id": account.profiles.first(),
        "from": {"phone_number": inbound.from, "carrier": "", "line_type": "Wireless"},
        "to": [{"phone_number": inbound.to, "status": "webhook_delivered", "carrier": "", "line_type": ""}],
        "text": inbound.text,
        "encoding": "GSM-7",
        "parts": 1,
        "errors": [],
    });
    if let (Some(word), Some(object)) = (Word::of(&inbound.text).name(), payload.as_object_mut()) {
        object.insert("autoresponse_type".to_owned(), json!(word));
    }
    let json = event(world, "message.received", &payload, &target.url);
    let (vendor, event) = (Vendor::Telnyx, Event::Inbound);
    Some(Draft { vendor, event, id, target, fields: Form::new(), json })
}

fn event(world: &World, kind: &str, payload: &Value, to: &str) -> String {
    let body = json!({
        "data": {
            "event_type": kind,
            "id": world.uuid(),
            "occurred_at": jiff::Timestamp::now().to_string(),
            "payload": payload,
            "record_type": "event",
        },
        "meta": {"attempt": 1, "delivered_to": to},
    });
    body.to_string()
}
