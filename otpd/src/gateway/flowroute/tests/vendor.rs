//! A stand-in for Flowroute on a loopback address: it takes what the API documents in the version
//! that it speaks, and refuses everything else as Flowroute would.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::gateway::{
    settings::FlowrouteVersion,
    testing::{self, Answer, Seen},
};

pub(super) const ACCESS: &str = "8c21a9d0";
pub(super) const SECRET: &str = "s3cr3t-of-9f41c6";
/// `8c21a9d0:s3cr3t-of-9f41c6`.
pub(super) const BASIC: &str = "Basic OGMyMWE5ZDA6czNjcjN0LW9mLTlmNDFjNg==";
/// Somebody who answered STOP.
pub(super) const STOPPED: &str = "+13125550199";

/// What it keeps.
#[derive(Default)]
pub(super) struct State {
    /// What a question about a message is answered.
    records: BTreeMap<String, Value>,
    sent: usize,
}

pub(super) type StandIn = testing::StandIn<State>;

impl StandIn {
    pub(super) async fn start(version: FlowrouteVersion) -> Self {
        Self::judging(State::default(), move |state, seen| judge(version, state, seen)).await
    }

    /// What a message's record shall say.
    pub(super) fn record(&self, id: &str, record: Value) {
        self.with(|state| state.records.insert(id.to_owned(), record));
    }
}

/// A record with these receipts.
pub(super) fn record(id: &str, receipts: &Value) -> Value {
    json!({"data": {"type": "message", "id": id, "attributes": {
        "body": "482913 is your code", "direction": "outbound", "timestamp": "2026-11-21T18:00:00Z",
        "amount_nanodollars": 4_000_000, "from": "13125550123", "to": "13125550142",
        "message_encoding": 0, "is_mms": false, "amount_display": "$0.0040",
        "message_type": "longcode", "delivery_receipts": receipts,
    }}})
}

fn refusal(status: u16, title: &str, detail: &str) -> Answer {
    let error = json!({"id": "3f2b1110-aaaa-4c4b-9d7e-0d6f4b0a1110", "status": status,
                       "title": title, "detail": detail});
    (status, vec![], json!({"errors": [error]}).to_string().into())
}

fn judge(version: FlowrouteVersion, state: &mut State, seen: &Seen) -> Result<Answer, Answer> {
    if seen.header("authorization") != BASIC {
        return Err(refusal(401, "Unauthorized", "Invalid API credentials"));
    }
    let media_type = match version {
        FlowrouteVersion::V22 | FlowrouteVersion::V21 => "application/vnd.api+json",
        FlowrouteVersion::V2 => "application/json",
    };
    if seen.header("accept") != media_type {
        return Err(refusal(406, "Not Acceptable", ""));
    }
    let path = match version {
        FlowrouteVersion::V22 => "/v2.2/messages",
        FlowrouteVersion::V21 => "/v2.1/messages",
        FlowrouteVersion::V2 => "/v2/messages",
    };
    match (seen.method.as_str(), seen.path.strip_prefix(path)) {
        ("POST", Some("")) if seen.header("content-type") == media_type => {
            send(version, state, seen)
        }
        ("POST", Some("")) => Err(refusal(415, "Unsupported Media Type", "")),
        ("GET", Some(id)) if id.starts_with('/') && seen.body.is_empty() => {
            match state.records.get(&id[1..]) {
                Some(record) => Ok((200, vec![], record.to_string().into())),
                None => Err(refusal(404, "Not Found", "No such message")),
            }
        }
        _ => Err(refusal(404, "Not Found", "")),
    }
}

fn send(version: FlowrouteVersion, state: &mut State, seen: &Seen) -> Result<Answer, Answer> {
    let unprocessable = |detail: &str| refusal(422, "Unprocessable Entity", detail);
    let body: Value = serde_json::from_str(&seen.body).map_err(|_| unprocessable("no JSON"))?;
    let (fields, text) = match version {
        FlowrouteVersion::V22 | FlowrouteVersion::V21 => {
            if body["data"]["type"] != "message" || body.as_object().unwrap().len() != 1 {
                return Err(unprocessable("'data' is no message"));
            }
            (body["data"]["attributes"].clone(), "body")
        }
        FlowrouteVersion::V2 => (body, "content"),
    };
    let fields = fields.as_object().ok_or_else(|| unprocessable("no attributes"))?;
    let mut names = vec!["to", "from", text];
    if version != FlowrouteVersion::V2 {
        names.push("dlr_callback");
    }
    if let Some(odd) = fields.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(unprocessable(&format!("{odd} is unknown")));
    }
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_number = |text: &str| {
        let digits = match version {
            FlowrouteVersion::V22 => text.strip_prefix('+').unwrap_or_default(),
            FlowrouteVersion::V21 | FlowrouteVersion::V2 => text,
        };
        digits.len() >= 11 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(field("to")) {
        return Err(match version {
            FlowrouteVersion::V2 => refusal(500, "Internal Server Error", "Try again later"),
            FlowrouteVersion::V22 | FlowrouteVersion::V21 => unprocessable("'to' is no number"),
        });
    }
    if field("from").trim_start_matches('+') != "13125550123" || !is_number(field("from")) {
        return Err(refusal(403, "Forbidden", "The number does not belong to your account"));
    }
    if field(text).is_empty() {
        return Err(unprocessable(&format!("'{text}' is empty")));
    }
    if field("to").trim_start_matches('+') == STOPPED.trim_start_matches('+') {
        return Err(refusal(400, "Bad Request", "Error code: 1110"));
    }
    state.sent += 1;
    let id = format!("mdr2-{:032x}", state.sent);
    let links = json!({"self": format!("https://api.flowroute.com{}/{id}", seen.path)});
    let reply = json!({"data": {"id": id, "type": "message", "links": links}});
    Ok((
        202,
        vec![("content-type", "application/vnd.api+json".to_owned())],
        reply.to_string().into(),
    ))
}
