//! A line for every kind of event.

use jiff::tz::{TimeZone, offset};
use otp_proto::{admin::Record, event::Event};
use serde_json::{Value, json};

use super::Style;

/// 2026-08-01 12:00:00 UTC.
const NOON: i64 = 1_785_585_600_000;

pub(crate) fn record(event: &str, details: &Value) -> Record {
    Record {
        id: 1,
        at: NOON,
        request: Some("7K3F-Q2".into()),
        user: "alice".into(),
        actor: "claimant".into(),
        event: event.into(),
        details: details.as_object().cloned().expect("an object"),
    }
}

fn line(record: &Record) -> String {
    let zone = TimeZone::fixed(offset(1));
    let today = jiff::civil::date(2026, 8, 1);
    Style { zone: &zone, today, colours: false }.line(record)
}

/// What stands between the account and the request id.
fn story(event: &str, details: &Value) -> String {
    let line = line(&record(event, details));
    let rest = line.strip_prefix("13:00:00+01:00 alice ");
    let story = rest.and_then(|rest| rest.strip_suffix(" (7K3F-Q2)\n"));
    story.unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// A kind, details of it, and its words.
type Case = (&'static str, Value, &'static str);

fn logins_and_codes() -> Vec<Case> {
    let (service, source) = ("sshd", "203.0.113.9");
    vec![
        (
            "login-ignored",
            json!({ "service": service, "reason": "exempt" }),
            "login without a code: exempt, sshd",
        ),
        (
            "login-denied",
            json!({ "service": service, "source": source, "reason": "unanswered-per-hour" }),
            "login denied: unanswered-per-hour, sshd from 203.0.113.9",
        ),
        (
            "login-denied",
            json!({ "service": "login", "source": null, "reason": "given-up", "until": null }),
            "login denied: given-up, login",
        ),
        (
            "login-granted",
            json!({ "service": service, "source": "2001:db8:1:2::/64" }),
            "login granted: sshd from 2001:db8:1:2::/64",
        ),
        (
            "login-bypassed",
            json!({
                "service": service, "source": source, "bypass": "1Z6P-0M", "granted_by": 0,
                "reason": "lost phone", "uses_left": 1,
            }),
            "login without a code by a bypass: 1Z6P-0M, granted by root, 1 use left, \
             sshd from 203.0.113.9, lost phone",
        ),
        (
            "login-bypassed",
            json!({
                "service": "login", "source": null, "bypass": "1Z6P-0M", "granted_by": 1000,
                "reason": "lost phone", "uses_left": null,
            }),
            "login without a code by a bypass: 1Z6P-0M, granted by uid 1000, login, lost phone",
        ),
        (
            "code-withheld",
            json!({ "service": service, "source": source, "reason": "unanswered-per-day" }),
            "code withheld, recovery code asked for: unanswered-per-day, sshd from 203.0.113.9",
        ),
        (
            "code-issued",
            json!({
                "service": service, "source": source, "channel": "sms", "reference": "K7",
                "ending": "42", "why": "login",
            }),
            "code issued: text to ..42, ref K7, sshd from 203.0.113.9",
        ),
        (
            "code-issued",
            json!({
                "service": "", "source": null, "channel": "voice", "reference": "K7",
                "ending": "42", "why": "enrollment",
            }),
            "code issued: call to ..42, ref K7, enrollment",
        ),
    ]
}

fn answers_and_limits() -> Vec<Case> {
    vec![
        ("login-resumed", json!({ "service": "sshd" }), "login resumed: sshd"),
        ("code-wrong", json!({ "tries_left": 2 }), "wrong code: 2 tries left"),
        ("code-wrong", json!({ "tries_left": 1 }), "wrong code: 1 try left"),
        ("code-earlier", json!({}), "earlier code typed: no try used"),
        ("recovery-code-used", json!({ "left": 7 }), "recovery code used: 7 codes left"),
        ("recovery-code-wrong", json!({ "tries_left": 4 }), "wrong recovery code: 4 tries left"),
        (
            "recovery-code-held",
            json!({ "limit": "recovery-codes-per-hour", "until": NOON }),
            "recovery code held back: recovery-codes-per-hour",
        ),
        (
            "owner-told",
            json!({ "about": "recovery-code-used", "sent": true }),
            "owner told by text: recovery-code-used",
        ),
        (
            "owner-told",
            json!({ "about": "recovery-code-used", "sent": false }),
            "owner could not be told: recovery-code-used",
        ),
        ("challenge-ended", json!({ "how": "expired" }), "ended without success: expired"),
        (
            "message-held",
            json!({ "limit": "messages-per-hour", "until": NOON }),
            "message held back: messages-per-hour",
        ),
        (
            "conversion-low",
            json!({
                "scope": "range", "country": "US", "messages": 25, "answered": 3, "blocked": true,
            }),
            "few messages answered: range in US, 3 of 25 in an hour, blocked",
        ),
        (
            "site-under-attack",
            json!({}),
            "many wrong codes on this host: codes have eight digits now",
        ),
    ]
}

fn messages() -> Vec<Case> {
    vec![
        (
            "message-sent",
            json!({ "gateway": "telnyx", "vendor_id": "m-1", "certain": true }),
            "message accepted: telnyx, id m-1",
        ),
        (
            "message-sent",
            json!({ "gateway": "telnyx", "vendor_id": null, "certain": false }),
            "message perhaps sent: telnyx",
        ),
        (
            "message-failed",
            json!({ "gateway": "telnyx", "reason": "no credit" }),
            "message failed: telnyx, no credit",
        ),
        (
            "message-failed",
            json!({ "gateway": "", "reason": "no gateway could be tried" }),
            "message failed: no gateway could be tried",
        ),
        (
            "message-undelivered",
            json!({
                "gateway": "telnyx", "vendor_id": "m-1", "reason": "absent subscriber",
                "then": "sent-again",
            }),
            "message did not arrive: telnyx, id m-1, absent subscriber, sent again",
        ),
        (
            "message-status",
            json!({ "gateway": "telnyx", "vendor_id": "m-1", "status": "delivered" }),
            "message delivered: telnyx, id m-1",
        ),
        (
            "message-status",
            json!({ "gateway": "telnyx", "vendor_id": "m-1", "status": "unconfirmed" }),
            "message perhaps delivered, the carrier does not say: telnyx, id m-1",
        ),
        (
            "message-status",
            json!({ "gateway": "telnyx", "vendor_id": "m-1", "status": "read" }),
            "message followed: telnyx, id m-1, read",
        ),
        ("call-key-wrong", json!({ "gateway": "plivo" }), "wrong key in a call: plivo"),
        (
            "opted-out",
            json!({ "ending": "42", "gateway": "telnyx" }),
            "messages stopped by a reply with STOP: ..42, telnyx",
        ),
        (
            "opted-in",
            json!({ "ending": "42", "gateway": "telnyx" }),
            "messages allowed again: ..42, by START, telnyx",
        ),
        (
            "opted-in",
            json!({ "ending": "42", "gateway": null }),
            "messages allowed again: ..42, by otpctl unlock",
        ),
        (
            "opt-out-undone",
            json!({ "ending": "42", "gateway": "telnyx" }),
            "messages allowed again: ..42, telnyx is not believed",
        ),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        (
            "enrolled",
            json!({ "ending": "42", "country": "US", "channel": "sms", "replaced": false }),
            "number registered: ..42, US, by text",
        ),
        (
            "enrolled",
            json!({ "ending": "42", "country": "US", "channel": "voice", "replaced": true }),
            "number registered: ..42, US, by call, in place of another",
        ),
        ("verified", json!({ "ending": "42" }), "number verified: ..42"),
        ("disabled", json!({}), "disabled"),
        ("enabled", json!({}), "enabled"),
        ("removed", json!({}), "number removed"),
        ("damaged-removed", json!({ "what": "logins" }), "damaged rows taken away: logins"),
        (
            "damaged-removed",
            json!({ "what": "name", "name": "/al%2Fice" }),
            "damaged rows taken away: name /al%2Fice",
        ),
        (
            "key-rotated",
            json!({ "key": "00c0ffee", "numbers": 3 }),
            "master key rotated: to 00c0ffee, numbers: 3",
        ),
    ]
}

fn verbs() -> Vec<Case> {
    vec![
        (
            "recovery-codes-made",
            json!({ "codes": 8, "replaced": 0 }),
            "recovery codes made: 8 codes",
        ),
        (
            "recovery-codes-made",
            json!({ "codes": 8, "replaced": 3 }),
            "recovery codes made: 8 codes, 3 earlier void",
        ),
        (
            "bypass-granted",
            json!({
                "bypass": "1Z6P-0M", "seconds": 3600, "uses": 3, "from": "203.0.113.0/24",
                "reason": "lost phone",
            }),
            "bypass granted: 1Z6P-0M, for 3600 s, 3 uses, from 203.0.113.0/24, lost phone",
        ),
        (
            "bypass-granted",
            json!({
                "bypass": "1Z6P-0M", "seconds": 60, "uses": null, "from": null,
                "reason": "lost phone",
            }),
            "bypass granted: 1Z6P-0M, for 60 s, lost phone",
        ),
        ("bypass-revoked", json!({ "bypass": "1Z6P-0M" }), "bypass ended: 1Z6P-0M"),
        ("unlocked", json!({}), "unlocked"),
        ("number-revealed", json!({ "ending": "42" }), "number shown in full: ..42"),
        (
            "test-message",
            json!({
                "ending": "42", "country": "US", "channel": "sms", "gateway": "telnyx",
                "reference": "K7",
            }),
            "test message: text to ..42, US, ref K7, through telnyx",
        ),
        (
            "test-message",
            json!({
                "ending": "42", "country": "US", "channel": "voice", "gateway": null,
                "reference": "K7",
            }),
            "test message: call to ..42, US, ref K7",
        ),
        ("clock-confirmed", json!({ "ahead_seconds": -7200 }), "clock confirmed: 7200 s behind"),
        ("clock-confirmed", json!({ "ahead_seconds": 7200 }), "clock confirmed: 7200 s ahead"),
        (
            "backup-taken",
            json!({ "backup": "0f1e", "accounts": 1, "log": false }),
            "backup made: 0f1e, 1 user, without the log",
        ),
        (
            "backup-taken",
            json!({ "backup": "0f1e", "accounts": 3, "log": true }),
            "backup made: 0f1e, 3 users, with the log",
        ),
        (
            "restore-begun",
            json!({ "backup": "0f1e", "taken_at": 0 }),
            "restore of a backup begun: 0f1e of 1970-01-01T00:00:00Z",
        ),
        (
            "backup-restored",
            json!({ "backup": "0f1e", "taken_at": 0, "enrolled": 1, "changed": 2 }),
            "backup restored: 0f1e of 1970-01-01T00:00:00Z, 1 user back, 2 users changed",
        ),
        (
            "number-restored",
            json!({ "ending": "42", "country": "US", "channel": "sms" }),
            "number restored from a backup: ..42, US, by text",
        ),
        (
            "refused",
            json!({ "verb": "verify", "reason": "not-a-code" }),
            "verify refused: not-a-code",
        ),
        (
            "refused",
            json!({ "verb": "resend", "reason": "resend-wait", "until": NOON }),
            "resend refused: resend-wait",
        ),
    ]
}

#[test]
fn every_kind_has_its_words() {
    let cases = [logins_and_codes(), answers_and_limits(), messages(), numbers(), verbs()].concat();
    for (event, details, expected) in &cases {
        assert_eq!(story(event, details), *expected);
    }
    let mut covered: Vec<_> = cases.iter().map(|(event, ..)| (*event).to_owned()).collect();
    covered.dedup();
    assert_eq!(covered, Event::kinds());
}

#[test]
fn a_line_fits_a_terminal() {
    let details = json!({ "service": "sshd", "source": "203.0.113.9", "reason": "tries-used-up" });
    let expected =
        "13:00:00+01:00 alice login denied: tries-used-up, sshd from 203.0.113.9 (7K3F-Q2)\n";
    assert_eq!(line(&record("login-denied", &details)), expected);
}

#[test]
fn who_did_it_is_said_where_it_is_not_plain() {
    let cases = [
        ("claimant", "disabled"),
        ("otpd", "disabled"),
        ("uid 0", "disabled, by root"),
        ("uid 1000", "disabled, by uid 1000"),
    ];
    for (actor, expected) in cases {
        let record = Record { actor: actor.into(), ..record("disabled", &json!({})) };
        assert_eq!(line(&record), format!("13:00:00+01:00 alice {expected} (7K3F-Q2)\n"));
    }
}

#[test]
fn another_day_has_its_date_and_the_host_no_request() {
    let day = 24 * 3_600_000;
    let record = Record {
        at: NOON - day,
        user: "-".into(),
        request: None,
        ..record("site-under-attack", &json!({}))
    };
    let expected = "2026-07-31T13:00:00+01:00 - many wrong codes on this host: codes have eight \
         digits now\n";
    assert_eq!(line(&record), expected);
    // An hour before midnight here is the next day in the east.
    let late = Record { at: NOON + 11 * 3_600_000 + 1, ..record };
    assert!(line(&late).starts_with("2026-08-02T00:00:00+01:00 - "), "{}", line(&late));
}

#[test]
fn what_is_not_known_is_shown_as_it_is() {
    let details = json!({ "until": 5, "mood": "bad" });
    assert_eq!(story("code-forgotten", &details), "code forgotten: mood bad, until 5");
    assert_eq!(story("code-wrong", &json!({})), "code wrong");
}

#[test]
fn nothing_steers_the_terminal() {
    let details = json!({ "gateway": "telnyx", "reason": "no\u{1b}[2J\ncredit" });
    let told = story("message-failed", &details);
    assert_eq!(told, "message failed: telnyx, no\\u{1b}[2J\\u{a}credit");
    let mut alien = record("code\u{1b}-x", &json!({}));
    alien.user = "\u{202e}eve".into();
    alien.request = Some("\u{9b}".into());
    alien.actor = "uid\u{7}".into();
    assert!(!line(&alien).trim_end().chars().any(super::super::is_hidden), "{}", line(&alien));
}

#[test]
fn colours_are_for_success_and_trouble_only() {
    let zone = TimeZone::UTC;
    let style = Style { zone: &zone, today: jiff::civil::date(2026, 8, 1), colours: true };
    let cases = [
        (
            "login-granted",
            json!({ "service": "s", "source": null }),
            "\u{1b}[32mlogin granted\u{1b}[0m: s",
        ),
        ("code-wrong", json!({ "tries_left": 1 }), "\u{1b}[31mwrong code\u{1b}[0m: 1 try left"),
        ("enabled", json!({}), "enabled"),
    ];
    for (event, details, expected) in cases {
        assert_eq!(style.story(&record(event, &details)), expected);
    }
}
