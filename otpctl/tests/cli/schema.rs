//! The keys and types of each verb's `--json`, which README documents and programs rely on.

use serde_json::{Value, json};

use crate::{
    ALICE, STATUS,
    daemon::{Crowd, otpctl},
};

const SUBSCRIBER: &str = "user:text phone:text country:text state:text channel:text \
     created_at:time verified_at:time?";
const DELIVERY: &str = "status:text channel:text reference:text expires_at:time reason:text?";

/// A verb, its arguments, and the keys of its JSON in order; `key{…}` and `key[…]` hold those of
/// `SHAPES`.
const VERBS: [(&str, &[&str], &str); 13] = [
    ("enroll", &["alice", "+13125550142"], "SUBSCRIBER delivery{DELIVERY}"),
    ("enroll", &["--from", "-"], "enrolled:number already:number failed:number sent:number"),
    ("verify", &["alice", "123456"], "SUBSCRIBER"),
    ("resend", &["alice"], "user:text delivery{DELIVERY}"),
    ("list", &[], "[SUBSCRIBER]"),
    (
        "show",
        &["alice"],
        "SUBSCRIBER locked:flag locked_until:time? failures_24h:number sends_24h:number \
         live_challenges:number recovery_codes_left:number limits[name:text since:time until:time?]",
    ),
    ("disable", &["alice"], "SUBSCRIBER"),
    ("enable", &["alice"], "SUBSCRIBER"),
    ("remove", &["alice", "--yes"], "user:text removed:flag"),
    ("unlock", &["alice"], "SUBSCRIBER"),
    (
        "test-message",
        &["+13125550142"],
        "status:text channel:text reference:text gateway:text? vendor_id:text? reason:text?",
    ),
    (
        "status",
        &[],
        "version:text host:text store:text pending:number active:number disabled:number \
         live_challenges:number gateways[name:text kind:text state:text reason:text?] \
         problems[text]",
    ),
    ("confirm-clock", &[], "confirmed:flag"),
];

/// A daemon that has an answer for every method.
fn daemon() -> Crowd {
    let subscriber: Value = serde_json::from_str(ALICE).expect("JSON");
    let status: Value = serde_json::from_str(STATUS).expect("JSON");
    Crowd::new(move |request| {
        let delivery = json!({ "status": "accepted", "channel": "sms", "reference": "K7",
            "expires_at": 1, "reason": null });
        let limit = json!({ "name": "wrong-codes-per-hour", "since": 1, "until": 2 });
        let method = request["method"].as_str().expect("a method");
        let parameters = match method.rsplit('.').next().expect("a name") {
            "Enroll" => json!({ "subscriber": subscriber, "delivery": delivery }),
            "Register" => json!({ "subscriber": subscriber, "unchanged": false }),
            "Resend" => json!({ "delivery": delivery }),
            "Show" => json!({ "subscriber": subscriber, "limits": [limit], "failures_24h": 1,
                "sends_24h": 2, "live_challenges": 3, "recovery_codes_left": 4 }),
            "Remove" | "ConfirmClock" => json!({}),
            "Status" => status.clone(),
            "TestMessage" => json!({ "status": "accepted", "channel": "sms", "reference": "K7",
                "gateway": "main", "vendor_id": "m-1", "reason": null }),
            "List" => {
                let row = json!({ "parameters": { "subscriber": subscriber }, "continues": true });
                let end = json!({ "parameters": { "subscriber": null } });
                return format!("{row}\0{end}");
            }
            _ => json!({ "subscriber": subscriber }),
        };
        json!({ "parameters": parameters }).to_string()
    })
}

/// A value's shape, in the words of the table.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "flag".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => {
            let is_time = text.len() == 20 && text.ends_with('Z') && text.contains('T');
            if is_time { "time" } else { "text" }.to_owned()
        }
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| match (value, shape(value)) {
                (Value::Object(_), inner) => format!("{key}{{{inner}}}"),
                (Value::Array(_), inner) => format!("{key}{inner}"),
                (_, inner) => format!("{key}:{inner}"),
            };
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The fields of a shape, sorted, for comparison: JSON objects have no order.
fn fields(shape: &str) -> Vec<String> {
    let split = shape.replace(['[', ']', '{', '}'], " ");
    let mut fields = split.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    fields.sort_unstable();
    fields
}

#[test]
fn each_verb_prints_the_documented_keys_and_types() {
    let daemon = daemon();
    for (verb, arguments, expected) in VERBS {
        let arguments = [&[verb], arguments, &["--json"]].concat();
        let run = otpctl(&daemon.socket, &arguments, "alice,+13125550142\n");
        assert_eq!((run.exit, &*run.stderr), (Some(0), ""), "{verb}");
        let value: Value = serde_json::from_str(&run.stdout).expect(verb);
        let expected = expected.replace("SUBSCRIBER", SUBSCRIBER).replace("DELIVERY", DELIVERY);
        let (found, expected) = (fields(&shape(&value)), fields(&expected));
        assert_eq!(found.len(), expected.len(), "{verb}: {found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            // What may be null is so in some answer; here it is either.
            let key = |field: &str| field.split(':').next().map(str::to_owned);
            let optional = expected.ends_with('?') && found.ends_with(":null");
            let same = found == expected.trim_end_matches('?');
            assert!(
                same || (optional && key(found) == key(expected)),
                "{verb}: {found} {expected}"
            );
        }
    }
}

#[test]
fn readme_documents_every_key() {
    let readme = include_str!("../../../README.md");
    let (_, documented) = readme.split_once("### JSON").expect("a part about JSON");
    let (documented, _) = documented.split_once("\n## ").expect("a next part");
    for (verb, _, shape) in VERBS {
        assert!(documented.contains(&format!("`{verb}`")), "{verb}");
        let shape = shape.replace("SUBSCRIBER", SUBSCRIBER).replace("DELIVERY", DELIVERY);
        for field in fields(&shape) {
            let key = field.split(':').next().unwrap_or_default();
            assert!(documented.contains(&format!("`{key}`")) || key == "text", "{verb}: {key}");
        }
    }
}
