//! The keys and types of each verb's `--json`, which README documents and programs rely on.

use serde_json::{Value, json};

use crate::{
    ALICE, HOST, STATUS,
    daemon::{Crowd, otpctl},
};

const SUBSCRIBER: &str = "user:text phone:text country:text state:text channel:text \
     created_at:time verified_at:time?";
const DELIVERY: &str = "status:text channel:text reference:text expires_at:time reason:text?";

const GRANT: &str = "id:text user:text granted_at:time granted_by:number until:time reason:text \
     used:number uses_left:number? from:text?";
const RECORD: &str = "id:number at:time request:text? user:text actor:text event:text details{}";

/// A verb, its arguments, and the keys of its JSON in order; `key{…}` and `key[…]` hold those of
/// `SHAPES`.
const VERBS: [(&str, &[&str], &str); 25] = [
    ("enroll", &["alice", "+13125550142"], "SUBSCRIBER delivery{DELIVERY}"),
    ("enroll", &["--from", "-"], "enrolled:number already:number failed:number sent:number"),
    ("verify", &["alice", "123456"], "SUBSCRIBER"),
    ("resend", &["alice"], "user:text delivery{DELIVERY}"),
    ("list", &[], "[SUBSCRIBER opted_out_at:time?]"),
    (
        "show",
        &["alice"],
        "SUBSCRIBER locked:flag locked_until:time? failures_24h:number sends_24h:number \
         live_challenges:number recovery_codes_left:number undelivered:text? \
         opted_out_at:time? opted_out_by:text? limits[name:text since:time until:time?] bypasses[GRANT]",
    ),
    ("disable", &["alice"], "SUBSCRIBER"),
    ("enable", &["alice"], "SUBSCRIBER"),
    ("remove", &["alice", "--yes"], "user:text removed:flag damaged[]"),
    ("unlock", &["alice"], "SUBSCRIBER opted_in:flag"),
    ("recovery-codes", &["alice"], "user:text codes[text]"),
    ("bypass", &["alice", "--for", "1h", "--reason", "lost phone"], "GRANT"),
    ("bypass", &["alice", "--revoke"], "user:text revoked:number"),
    ("bypass", &["--list"], "[GRANT]"),
    ("log", &[], "RECORD"),
    (
        "explain",
        &["7K3F-Q2"],
        "[summary{request:text? user:text service:text? source:text? began_at:time last_at:time \
         outcome:text reason:text? until:time? messages_sent:number messages_failed:number \
         messages_undelivered:number messages_delivered:number \
         wrong_codes:number meaning:text remedy:text?} \
         records[RECORD]]",
    ),
    (
        "test-message",
        &["+13125550142"],
        "status:text channel:text reference:text gateway:text? vendor_id:text? reason:text? \
         arrival:text? arrival_reason:text?",
    ),
    (
        "status",
        &[],
        "version:text host:text store:text pending:number active:number disabled:number \
         live_challenges:number gateways[name:text kind:text state:text reason:text?] \
         problems[text] \
         hosts[name:text version:text state:text started_at:time seen_at:time gateways[] key:text next_key:text?]",
    ),
    ("confirm-clock", &[], "confirmed:flag"),
    ("key", &["rotate", "--yes"], "key:text numbers:number without[text] finish:text"),
    ("key", &["is-rotated"], "rotated:flag"),
    (
        "backup",
        &[concat!(env!("CARGO_TARGET_TMPDIR"), "/schema.backup"), "--force"],
        "file:text users:number bytes:number log:flag damaged[] damaged_users:number \
         damaged_limits:number",
    ),
    (
        "restore",
        // Any file will do: the daemon here takes everything.
        &[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--dry-run"],
        "backup{id:text taken_at:time host:text version:text users:number} dry_run:flag users:number \
         changed:number enrolled[text] disabled[text] still_disabled[text] without_codes[text] left_removed[text] damaged[] events:number",
    ),
    (
        "store",
        &["export", concat!(env!("CARGO_TARGET_TMPDIR"), "/schema.export"), "--force"],
        "file:text bytes:number final:flag users:number numbers:number recovery_codes:number \
         bypasses:number users_checksum:text limits:number limits_checksum:text together:number \
         events:number events_checksum:text",
    ),
    (
        "store",
        &["import", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--yes"],
        "export{id:text taken_at:time host:text version:text users:number} known:flag users:number \
         numbers:number recovery_codes:number bypasses:number users_checksum:text limits:number \
         limits_checksum:text together:number events:number events_checksum:text",
    ),
];

/// A daemon that has an answer for every method.
fn daemon() -> Crowd {
    let subscriber: Value = serde_json::from_str(ALICE).expect("JSON");
    let mut status: Value = serde_json::from_str(STATUS).expect("JSON");
    status["problems"] = json!(["the key was rotated, and more is to be done"]);
    Crowd::new(move |request| {
        let delivery = json!({ "status": "accepted", "channel": "sms", "reference": "K7",
            "expires_at": 1, "reason": null });
        let limit = json!({ "name": "wrong-codes-per-hour", "since": 1, "until": 2 });
        let grant = json!({ "id": "1Z6P-0M", "user": "alice", "granted_at": 1, "granted_by": 0,
            "until": 2, "reason": "lost phone", "used": 0, "uses_left": null, "from": null });
        let record = json!({ "id": 1, "at": 1, "request": "7K3F-Q2", "user": "alice",
            "actor": "claimant", "event": "code-earlier", "details": {} });
        let tally = json!({ "users": 1, "numbers": 1, "recovery_codes": 1, "bypasses": 1,
            "users_checksum": "a", "limits": 1, "limits_checksum": "b", "together": 1,
            "events": 1, "events_checksum": "c" });
        let method = request["method"].as_str().expect("a method");
        let parameters = match method.rsplit('.').next().expect("a name") {
            "Enroll" => json!({ "subscriber": subscriber, "delivery": delivery }),
            "Register" => json!({ "subscriber": subscriber, "unchanged": false }),
            "Resend" => json!({ "delivery": delivery }),
            "Show" => json!({ "subscriber": subscriber, "limits": [limit], "failures_24h": 1,
                "sends_24h": 2, "live_challenges": 3, "recovery_codes_left": 4,
                "undelivered": null, "bypasses": [grant] }),
            "Backup" => {
                let piece = |text| json!({ "text": text, "users": 1, "of": 1 });
                let first = json!({ "parameters": piece("x"), "continues": true });
                let last = json!({ "parameters": piece("") });
                return format!("{first}\0{last}");
            }
            "Export" => {
                let first = json!({ "text": "x", "users": 1, "of": 1, "tally": null });
                let first = json!({ "parameters": first, "continues": true });
                let last = json!({ "text": "", "users": 1, "of": 1, "tally": tally });
                let last = json!({ "parameters": last });
                return format!("{first}\0{last}");
            }
            "Import" => json!({ "export": { "id": "1", "taken_at": 1, "host": "box",
                "version": "1", "users": 1 }, "known": false, "users": 1, "tally": tally,
                "complete": true }),
            "Restore" => json!({ "backup": { "id": "1", "taken_at": 1, "host": "box",
                "version": "1", "users": 1 }, "users": 1, "changed": 1, "enrolled": ["alice"],
                "disabled": ["alice"], "still_disabled": ["alice"], "without_codes": ["alice"], "left_removed": ["alice"], "events": 1, "complete": true }),
            "RecoveryCodes" => json!({ "codes": ["ABCD-EFGH"] }),
            "Bypass" => json!({ "bypass": grant }),
            "RevokeBypass" => json!({ "revoked": 1 }),
            "Bypasses" => return rows("bypass", &grant),
            "Log" => return rows("record", &record),
            "RotateKey" => json!({ "key": "00c0ffee", "numbers": 3, "without": ["web3"],
                "finish": "cd /etc/otpd" }),
            "Remove" | "ConfirmClock" => json!({}),
            "CheckGateways" => json!({ "gateways": [] }),
            "Policy" => json!({ "unenrolled": "deny", "exempt_users": [], "exempt_groups": [],
                "sms": ["main"], "voice": [], "truncated": false }),
            "Status" => status.clone(),
            "Hosts" => return rows("host", &serde_json::from_str(HOST).expect("JSON")),
            "TestMessage" => json!({ "status": "accepted", "channel": "sms", "reference": "K7",
                "gateway": "main", "vendor_id": "m-1", "reason": null }),
            "List" => return rows("subscriber", &subscriber),
            _ => json!({ "subscriber": subscriber }),
        };
        json!({ "parameters": parameters }).to_string()
    })
}

/// A list of one row.
fn rows(name: &str, row: &Value) -> String {
    let row = json!({ "parameters": { name: row }, "continues": true });
    let end = json!({ "parameters": { name: null } });
    format!("{row}\0{end}")
}

/// The shape of a verb's answer, each name of another shape replaced by that.
fn whole(shape: &str) -> String {
    [("SUBSCRIBER", SUBSCRIBER), ("DELIVERY", DELIVERY), ("GRANT", GRANT), ("RECORD", RECORD)]
        .iter()
        .fold(shape.to_owned(), |shape, (name, keys)| shape.replace(name, keys))
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
        // What is to be done with recovery codes is said beside them.
        let silent = run.stderr.is_empty() || verb == "recovery-codes";
        assert!(run.exit == Some(0) && silent, "{verb}: {:?} {}", run.exit, run.stderr);
        let value: Value = serde_json::from_str(&run.stdout).expect(verb);
        let (found, expected) = (fields(&shape(&value)), fields(&whole(expected)));
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
        for field in fields(&whole(shape)) {
            let key = field.split(':').next().unwrap_or_default();
            assert!(documented.contains(&format!("`{key}`")) || key == "text", "{verb}: {key}");
        }
    }
}

/// What the doctor finds depends on the host; how it says it does not.
#[test]
fn the_doctor_prints_the_documented_keys() {
    let daemon = daemon();
    let run = otpctl(&daemon.socket, &["doctor", "--json"], "");
    let value: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(run.exit, Some(i32::from(value["healthy"] != true)), "{}", run.stderr);
    let findings = value["findings"].as_array().expect("a list");
    assert!(findings.iter().any(|finding| finding["subject"] == "daemon"));
    let readme = include_str!("../../../README.md");
    for finding in findings {
        let keys = fields(&shape(finding)).join(" ");
        let told = keys.replace("remedy:null", "remedy:text");
        assert_eq!(told, "remedy:text state:text subject:text text:text");
        let state = finding["state"].as_str().expect("a word");
        assert!(readme.contains(&format!("`{state}`")), "{state}");
        assert!(state != "problem" || finding["remedy"].is_string(), "{finding}");
    }
}

#[test]
fn who_is_not_root_changes_no_stack_and_rehearses_nothing() {
    let daemon = daemon();
    // Root is told apart by what root would be told: there is no such service.
    for arguments in [
        &["pam", "enable", "no-such-service"][..],
        &["pam", "disable", "../shadow"],
        &["pam", "confirm", "no-such-service"],
        &["rehearse", "alice", "--service", "../shadow"],
    ] {
        let run = otpctl(&daemon.socket, arguments, "");
        assert_eq!(run.exit, Some(1), "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{arguments:?}");
    }
}
