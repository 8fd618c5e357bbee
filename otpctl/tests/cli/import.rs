//! `enroll --from`: what a list asks of the daemon and what is said about it.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::daemon::{Crowd, Run, otpctl};

/// A reply to `Register`.
fn registered(user: &str, state: &str, unchanged: bool, proof_sent_at: Option<i64>) -> String {
    let subscriber = json!({
        "user": user, "phone": "+1 ••• ••• ••42", "country": "US", "channel": "sms",
        "state": state, "created_at": 1_785_585_600_000_i64, "verified_at": null,
    });
    let parameters = json!({
        "subscriber": subscriber, "unchanged": unchanged, "proof_sent_at": proof_sent_at,
    });
    json!({ "parameters": parameters }).to_string()
}

fn resent(status: &str, reason: Option<&str>) -> String {
    let delivery = json!({
        "status": status, "channel": "sms", "reference": "K7",
        "expires_at": 1_785_585_900_000_i64, "reason": reason,
    });
    json!({ "parameters": { "delivery": delivery } }).to_string()
}

fn refused(error: &str, parameters: &Value) -> String {
    json!({ "error": format!("org.otpd.Admin.{error}"), "parameters": parameters }).to_string()
}

fn user(request: &Value) -> &str {
    request["parameters"]["user"].as_str().expect("a user")
}

fn is_resend(request: &Value) -> bool {
    request["method"] == "org.otpd.Admin.Resend"
}

/// Runs it on a list on standard input.
fn import(crowd: &Crowd, list: &str, more: &[&str]) -> Run {
    let arguments = [&["enroll", "--from", "-"], more].concat();
    otpctl(&crowd.socket, &arguments, list)
}

/// Standard error, a line a failure, sorted: which row comes back first is chance.
fn failures(run: &Run) -> Vec<&str> {
    let mut lines = run.stderr.lines().collect::<Vec<_>>();
    lines.sort_unstable();
    lines
}

#[test]
fn a_list_is_registered_and_nothing_is_sent() {
    let crowd = Crowd::new(|request| registered(user(request), "pending", false, None));
    let list = "\u{feff}user,phone,channel\r\nalice,+13125550142\r\nbob,+13125550143,voice\r\n";
    let run = import(&crowd, list, &[]);
    let stdout = "2 enrolled, 0 already, 0 failed\n\
         Nothing was sent; once it shall be run: otpctl enroll --from - --send\n";
    assert_eq!(run, Run::new(0, stdout, ""));
    let expected =
        ["Register null +13125550142 false alice", "Register voice +13125550143 false bob"];
    assert_eq!(crowd.requests(), expected);
}

#[test]
fn options_hold_for_all_rows() {
    let crowd = Crowd::new(|request| registered(user(request), "pending", false, None));
    let list = "alice,+13125550142\nbob,+13125550143,sms\n";
    let run = import(&crowd, list, &["--channel", "voice", "--replace", "--yes"]);
    assert_eq!(run.exit, Some(0));
    let expected = ["Register sms +13125550143 true bob", "Register voice +13125550142 true alice"];
    assert_eq!(crowd.requests(), expected);
}

#[test]
fn numbers_are_not_replaced_unasked() {
    let crowd = Crowd::new(|_| String::new());
    let run = import(&crowd, "alice,+13125550142\n", &["--replace"]);
    let stderr = "otpctl: this needs a yes, and there is no terminal to ask on; to go ahead run: \
         otpctl enroll --from - --replace --yes\n";
    assert_eq!(run, Run::new(2, "", stderr));
    assert_eq!(crowd.requests(), [""; 0]);
}

#[test]
fn what_fails_is_said_by_row_and_the_rest_is_done() {
    let crowd = Crowd::new(|request| match user(request) {
        "eve" => refused("NoSuchUser", &json!({ "user": "eve" })),
        "bob" => refused("AlreadyEnrolled", &json!({ "user": "bob" })),
        "jan" => refused("CountryNotAllowed", &json!({ "country": "NL" })),
        "dan" => refused(
            "InvalidNumber",
            &json!({ "reason": "number must start with '+' and the country code; national form needs `delivery.default-country`" }),
        ),
        "root" => r#"{"error":"org.varlink.service.PermissionDenied"}"#.to_owned(),
        "old" => registered("old", "active", true, Some(1)),
        user => registered(user, "pending", false, None),
    });
    let list = "alice,+1\neve,+1\nbob,+1\nold,+1\njan,+31\ndan,312\nroot,+1\ncarl;+1\nzoe,+1\n";
    let run = import(&crowd, list, &[]);
    assert_eq!(run.exit, Some(1));
    assert_eq!(run.stdout.lines().next(), Some("2 enrolled, 1 already, 6 failed"));
    let expected = [
        "otpctl: row 2, eve: there is no account \"eve\" on this host (getent passwd eve finds \
         none); check the spelling",
        "otpctl: row 3, bob: has another number already, or another channel; to take those of the \
         list instead add --replace",
        "otpctl: row 5, jan: no messages go to numbers of NL: add \"NL\" to delivery.countries in \
         /etc/otpd/otpd.toml, then run: systemctl reload otpd",
        "otpctl: row 6, dan: the number cannot be used: number must start with '+' and the country \
         code; national form needs `delivery.default-country`; write it with + and the country \
         code, for example +13125550123",
        "otpctl: row 7, root: you may not do this: it takes root or a member of the admin group \
         (server.admin-group in otpd.toml, otpd-admin by default), and root alone for the accounts \
         of those; show, verify and resend also work for your own account; run it with sudo",
        "otpctl: row 8: has 1 column; a row is user,phone or user,phone,channel, with commas",
    ];
    assert_eq!(failures(&run), expected);
    let json = import(&crowd, list, &["--json"]);
    let expected = json!({ "enrolled": 2, "already": 1, "failed": 6, "sent": 0 });
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).expect("JSON"), expected);
}

#[test]
fn send_goes_to_those_that_wait_and_got_none() {
    let limit = json!({ "limit": { "name": "max-messages-per-day", "since": 1_785_585_600_000_i64,
        "until": 1_785_672_000_000_i64 } });
    let crowd = Crowd::new(move |request| match (is_resend(request), user(request)) {
        (false, "done") => registered("done", "active", true, None),
        (false, "off") => registered("off", "disabled", true, None),
        (false, "sent") => registered("sent", "pending", true, Some(1)),
        (false, "old") => registered("old", "pending", true, None),
        (false, user) => registered(user, "pending", false, None),
        (true, "soon") => refused("TooSoon", &json!({ "retry_after_seconds": 20 })),
        (true, "cap") => refused("LimitReached", &limit),
        (true, "dead") => resent("failed", Some("telnyx: no credit")),
        (true, "slow") => resent("sending", None),
        (true, _) => resent("accepted", None),
    });
    let list = "done,+1\noff,+1\nsent,+1\nold,+1\nnew,+1\nsoon,+1\ncap,+1\ndead,+1\nslow,+1\n";
    let run = import(&crowd, list, &["--send"]);
    assert_eq!(run.stdout, "3 enrolled, 4 already, 2 failed\n3 codes were sent\n");
    assert_eq!(run.exit, Some(1));
    let expected = [
        "otpctl: row 7, cap: the limit max-messages-per-day holds since 2026-08-01T14:00:00+02:00; \
         run this again after 2026-08-02T14:00:00+02:00",
        "otpctl: row 8, dead: is registered, but the code could not be sent: telnyx: no credit; \
         once that is mended run the same again",
    ];
    assert_eq!(failures(&run), expected);
    let resends = crowd.requests().into_iter().filter(|request| request.starts_with("Resend"));
    let expected =
        ["cap", "dead", "new", "old", "slow", "soon"].map(|user| format!("Resend {user} false"));
    assert_eq!(resends.collect::<Vec<_>>(), expected);
}

#[test]
fn a_connection_that_was_dropped_is_made_again_once() {
    let dropped = Mutex::new(BTreeSet::new());
    let crowd = Crowd::new(move |request| {
        let user = user(request);
        let first = dropped.lock().expect("a set").insert(user.to_owned());
        if first { String::new() } else { registered(user, "pending", false, None) }
    });
    let run = import(&crowd, "alice,+1\nbob,+1\n", &["--json"]);
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    assert_eq!(crowd.requests().len(), 4);
}

#[test]
fn a_daemon_that_goes_away_ends_it_and_says_so_once() {
    let served = AtomicUsize::new(0);
    let crowd = Crowd::new(move |request| match served.fetch_add(1, Ordering::Relaxed) {
        0..100 => registered(user(request), "pending", false, None),
        _ => String::new(),
    });
    let list = (0..2000).map(|nth| format!("u{nth},+1")).collect::<Vec<_>>().join("\n");
    let path = crowd.socket.with_file_name("list.csv");
    fs::write(&path, list).expect("a list");
    let path = path.to_str().expect("UTF-8");
    let run = otpctl(&crowd.socket, &["enroll", "--from", path], "");
    assert_eq!(run.exit, Some(3));
    let summary = run.stdout.lines().next();
    assert_eq!(summary, Some("100 enrolled, 0 already, 0 failed"));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("closed the connection"), "{}", run.stderr);
    assert!(run.stderr.ends_with("run the same again then\n"), "{}", run.stderr);
    assert!(crowd.requests().len() < 300, "it does not go on");
}

#[test]
fn a_daemon_that_is_older_is_said_once() {
    let unknown = r#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"org.otpd.Admin.Register"}}"#;
    let crowd = Crowd::new(move |_| unknown.to_owned());
    let run = import(&crowd, "alice,+1\nbob,+1\n", &[]);
    assert_eq!(run.exit, Some(2));
    assert!(
        run.stderr.starts_with("otpctl: the daemon that answers does not know org.otpd.Admin.")
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn a_list_that_cannot_be_read_is_usage() {
    let crowd = Crowd::new(|_| String::new());
    for (path, reason) in [("/nonexistent.csv", "No such file"), ("/", "Is a directory")] {
        let run = otpctl(&crowd.socket, &["enroll", "--from", path], "");
        let stderr = format!("otpctl: cannot read {path}: {reason}");
        assert_eq!(run.exit, Some(2), "{}", run.stderr);
        assert!(run.stderr.starts_with(&stderr), "{}", run.stderr);
    }
    assert_eq!(crowd.requests(), [""; 0]);
}
