//! A stand-in for Plivo on a loopback address: it takes what the API documents, runs one PHLO, and
//! refuses everything else in Plivo's form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::gateway::testing::{self, Answer, Seen, is_e164, json_answer as answer};

pub(super) const ID: &str = "MAJHUDTEYWLSIUYTDBCZ";
pub(super) const TOKEN: &str = "t0ken-of-plivo-7d2f";
/// `MAJHUDTEYWLSIUYTDBCZ:t0ken-of-plivo-7d2f`.
pub(super) const BASIC: &str = "Basic TUFKSFVEVEVZV0xTSVVZVERCQ1o6dDBrZW4tb2YtcGxpdm8tN2QyZg==";
pub(super) const PHLO: &str = "f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f";
pub(super) const UUID: &str = "db3ce55a-7f1d-11e1-8ea7-1231380bc196";
/// A number that takes no texts.
pub(super) const LANDLINE: &str = "+13125550199";
/// In a country that the account does not send to.
pub(super) const BARRED: &str = "+436641234567";

/// What a question is answered, by its path.
type Records = BTreeMap<String, Value>;

pub(super) type StandIn = testing::StandIn<Records>;

impl StandIn {
    pub(super) async fn start() -> Self {
        Self::judging(Records::new(), |records, seen| judge(records, seen)).await
    }

    /// What a message's or a call's record shall say.
    pub(super) fn record(&self, resource: &str, id: &str, record: Value) {
        let path = format!("/v1/Account/{ID}/{resource}/{id}/");
        self.with(|records| records.insert(path, record));
    }
}

fn refusal(status: u16, error: &str) -> Answer {
    answer(status, &json!({"api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb", "error": error}))
}

fn judge(records: &Records, seen: &Seen) -> Result<Answer, Answer> {
    if seen.header("authorization") != BASIC {
        return Err(refusal(401, "authentication failed"));
    }
    if seen.method == "GET" && seen.body.is_empty() {
        let record = records.get(&seen.path);
        return record.map(|found| answer(200, found)).ok_or_else(|| refusal(404, "not found"));
    }
    if seen.method != "POST" {
        return Err(refusal(405, "method not allowed"));
    }
    if seen.header("content-type") != "application/json" {
        return Err(refusal(415, "the content type is not supported"));
    }
    let invalid = |text: &str| refusal(400, text);
    let body: Value = serde_json::from_str(&seen.body).map_err(|_| invalid("no JSON"))?;
    let fields = body.as_object().ok_or_else(|| invalid("no object"))?;
    match seen.path.strip_prefix(&format!("/v1/Account/{ID}/")) {
        Some("Message/") => message(fields),
        Some("Call/") => call(fields),
        _ if seen.path == format!("/v1/account/{ID}/phlo/{PHLO}") => run(fields),
        _ => Err(refusal(404, "not found")),
    }
}

/// Refuses keys that the API does not have, and hands out the texts.
fn known<'a>(
    fields: &'a Map<String, Value>,
    names: &[&str],
) -> Result<impl Fn(&str) -> &'a str, Answer> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(refusal(400, &format!("{name} is unknown"))),
        None => Ok(|name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default()),
    }
}

fn message(fields: &Map<String, Value>) -> Result<Answer, Answer> {
    let names = ["src", "dst", "text", "type", "log", "message_expiry", "url", "method"];
    let field = known(fields, &names)?;
    if field("src") != "+13125550123" {
        return Err(refusal(400, "src is not a number of your account"));
    }
    let to = field("dst");
    if !is_e164(to) {
        return Err(refusal(400, &format!("{to} is not a valid phone number")));
    }
    if to == LANDLINE {
        let digits = to.trim_start_matches('+');
        return Err(refusal(400, &format!("{digits} is not an SMS enabled phone number")));
    }
    if field("dst") == BARRED {
        return Err(refusal(403, "Permission to send to this country is not enabled"));
    }
    let expiry = fields.get("message_expiry").and_then(Value::as_u64).unwrap_or_default();
    if !(5..=10_799).contains(&expiry) {
        return Err(refusal(400, "message_expiry is out of range"));
    }
    if field("text").is_empty() || field("type") != "sms" || field("log") != "false" {
        return Err(refusal(400, "a parameter is missing"));
    }
    let queued = json!({"api_id": "db342550-7f1d-11e1-8ea7-1231380bc196",
                        "message": "message(s) queued", "message_uuid": [UUID]});
    Ok(answer(202, &queued))
}

fn call(fields: &Map<String, Value>) -> Result<Answer, Answer> {
    let urls = ["answer_url", "answer_method", "hangup_url", "hangup_method"];
    let names = [&["from", "to", "ring_timeout", "time_limit"], &urls[..]].concat();
    let field = known(fields, &names)?;
    if field("from") != "+13125550123" || !is_e164(field("to")) {
        return Err(refusal(400, "`to` is no valid number"));
    }
    if !field("answer_url").starts_with("https://") || field("answer_method") != "POST" {
        return Err(refusal(400, "answer_url is invalid"));
    }
    let within = |name: &str, most: u64| {
        fields
            .get(name)
            .and_then(Value::as_u64)
            .is_some_and(|seconds| (1..=most).contains(&seconds))
    };
    if !within("ring_timeout", 120) || !within("time_limit", 86_400) {
        return Err(refusal(400, "a time is invalid"));
    }
    let fired = json!({"message": "call fired", "request_uuid": UUID, "api_id": "97ceeb52"});
    Ok(answer(201, &fired))
}

fn run(fields: &Map<String, Value>) -> Result<Answer, Answer> {
    let field = known(fields, &["from", "to", "mode", "text", "otp"])?;
    if !is_e164(field("to")) || !["sms", "call"].contains(&field("mode")) {
        return Err(refusal(400, "the PHLO's parameters are invalid"));
    }
    if field("text").is_empty() {
        return Err(refusal(400, "text is missing"));
    }
    let message = format!("PHLO executed: sent {}", field("text"));
    Ok(answer(201, &json!({"phlo_id": PHLO, "api_id": UUID, "message": message})))
}
