//! A stand-in for Telnyx on a loopback address: it takes what the API documents, refuses everything
//! else in Telnyx's own words, and drops repeats by their key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::gateway::testing::{self, Answer, Seen, is_e164};

pub(super) const KEY: &str = "KEY0189A_live_7f3d";
pub(super) const PROFILE: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

/// What it keeps.
#[derive(Default)]
pub(super) struct State {
    /// Messages by their keys: body and id.
    taken: BTreeMap<String, (String, String)>,
    /// What a question about a message is answered.
    records: BTreeMap<String, Value>,
}

pub(super) type StandIn = testing::StandIn<State>;

impl StandIn {
    pub(super) async fn start() -> Self {
        Self::judging(State::default(), judge).await
    }

    /// What a message's record shall say.
    pub(super) fn record(&self, id: &str, status: &str, errors: &Value) {
        let record = record(id, "+13125550142", status, errors);
        self.with(|state| state.records.insert(id.to_owned(), record));
    }
}

pub(super) fn record(id: &str, to: &str, status: &str, errors: &Value) -> Value {
    json!({"data": {
        "record_type": "message", "direction": "outbound", "id": id, "type": "SMS",
        "from": {"phone_number": "+13125550123", "carrier": "Telnyx", "line_type": "Wireless"},
        "to": [{"phone_number": to, "status": status, "carrier": "", "line_type": ""}],
        "text": "482913 is your code", "parts": 1, "encoding": "GSM-7", "errors": errors,
        "cost": {"amount": "0.0045", "currency": "USD"},
    }})
}

fn answer(status: u16, body: &Value) -> Answer {
    let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
    (status, headers, body.to_string().into())
}

fn refusal(status: u16, code: &str, title: &str, pointer: &str) -> Answer {
    let error = json!({"code": code, "title": title, "detail": "", "source": {"pointer": pointer}});
    answer(status, &json!({"errors": [error]}))
}

fn judge(state: &mut State, seen: &Seen) -> Result<Answer, Answer> {
    if seen.header("authorization") != format!("Bearer {KEY}") {
        return Err(refusal(401, "10009", "Authentication failed", "/"));
    }
    match (seen.method.as_str(), seen.path.strip_prefix("/v2/messages")) {
        ("POST", Some("")) => send(state, seen),
        ("GET", Some(id)) if id.starts_with('/') && seen.body.is_empty() => {
            match state.records.get(&id[1..]) {
                Some(record) => Ok(answer(200, record)),
                None => Err(refusal(404, "10005", "Resource not found", "/id")),
            }
        }
        _ => Err(refusal(404, "10005", "Resource not found", "/")),
    }
}

fn send(state: &mut State, seen: &Seen) -> Result<Answer, Answer> {
    if seen.header("content-type") != "application/json" {
        return Err(refusal(415, "10014", "Unsupported Media Type", "/"));
    }
    let wrong = |pointer: &str| refusal(422, "10015", "Bad Request", pointer);
    let body: Value = serde_json::from_str(&seen.body).map_err(|_| wrong("/"))?;
    let fields = body.as_object().ok_or_else(|| wrong("/"))?;
    let known = ["from", "to", "text", "type", "encoding", "messaging_profile_id"];
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(wrong(&format!("/{name}")));
    }
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    if !is_e164(field("to").unwrap_or_default()) {
        return Err(refusal(400, "40310", "Invalid 'to' address", "/to"));
    }
    match (field("from"), field("messaging_profile_id")) {
        (Some(from), _) if is_e164(from) => {}
        (None, Some(PROFILE)) => {}
        _ => return Err(refusal(400, "40305", "Invalid 'from' address", "/from")),
    }
    let text = field("text").unwrap_or_default();
    if text.is_empty() || field("type") != Some("SMS") {
        return Err(refusal(400, "40316", "No content provided", "/text"));
    }
    if field("encoding") != Some("gsm7") || !text.chars().all(|c| GSM7.contains(c)) {
        return Err(wrong("/encoding"));
    }
    let key = seen.header("idempotency-key").to_owned();
    if key.is_empty() {
        return Err(wrong("/idempotency-key"));
    }
    let fresh = format!("40385f64-5717-4562-b3fc-{:012}", state.taken.len() + 1);
    let (taken, id) = state.taken.entry(key).or_insert_with(|| (seen.body.clone(), fresh));
    if *taken != seen.body {
        return Err(wrong("/idempotency-key"));
    }
    Ok(answer(200, &record(id, field("to").unwrap(), "queued", &json!([]))))
}

const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
                    ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€";
