//! Stories, their ends, and what they mean.

use jiff::tz::TimeZone;
use otp_proto::admin::Record;
use serde_json::{Value, json};

use super::{End, Explained, Style, stories, text};
use crate::render::{event::tests::record, reason::REASONS};

/// A story of events, one a second.
fn story(events: &[(&str, Value)]) -> Vec<Record> {
    let records = events.iter().zip(0..).map(|((event, details), nth)| {
        let mut record = record(event, details);
        (record.id, record.at) = (nth, record.at + nth * 1000);
        record
    });
    records.collect()
}

fn issued(why: &str) -> (&'static str, Value) {
    let details = json!({
        "service": "sshd", "source": "203.0.113.9", "channel": "sms", "reference": "K7",
        "ending": "42", "why": why,
    });
    ("code-issued", details)
}

fn denied(reason: &str) -> (&'static str, Value) {
    let details = json!({ "service": "sshd", "source": "203.0.113.9", "reason": reason });
    ("login-denied", details)
}

fn granted() -> (&'static str, Value) {
    ("login-granted", json!({ "service": "sshd", "source": "203.0.113.9" }))
}

fn sent() -> (&'static str, Value) {
    ("message-sent", json!({ "gateway": "telnyx", "vendor_id": "m-1", "certain": true }))
}

fn failed() -> (&'static str, Value) {
    ("message-failed", json!({ "gateway": "telnyx", "reason": "no credit" }))
}

fn ended(how: &str) -> (&'static str, Value) {
    ("challenge-ended", json!({ "how": how }))
}

fn wrong(left: u32) -> (&'static str, Value) {
    ("code-wrong", json!({ "tries_left": left }))
}

fn refused(reason: &str) -> (&'static str, Value) {
    ("refused", json!({ "verb": "verify", "reason": reason }))
}

fn withheld(reason: &str) -> (&'static str, Value) {
    ("code-withheld", json!({ "service": "sshd", "source": "203.0.113.9", "reason": reason }))
}

fn test_message() -> (&'static str, Value) {
    let details = json!({
        "ending": "42", "country": "US", "channel": "sms", "gateway": null, "reference": "K7",
    });
    ("test-message", details)
}

fn bypassed() -> (&'static str, Value) {
    let details = json!({
        "service": "sshd", "source": "203.0.113.9", "bypass": "1Z6P-0M", "granted_by": 0,
        "reason": "lost phone", "uses_left": null,
    });
    ("login-bypassed", details)
}

/// As it is told `later` milliseconds after its end.
fn told(records: &[Record], later: i64) -> Explained<'_> {
    let now = records.last().map_or(0, |last| last.at) + later;
    Explained::of(records, now).expect("a story")
}

#[test]
fn ends_are_told_from_what_leads_to_them() {
    let hour = 3_600_000;
    let cases = [
        ("granted", vec![issued("login"), sent(), granted()], 0, End::Granted, None),
        (
            "granted, then asked again by sshd",
            vec![issued("login"), granted(), denied("denied-before")],
            0,
            End::Granted,
            None,
        ),
        (
            "tries used up",
            vec![issued("login"), wrong(0), ended("spent"), denied("tries-used-up")],
            0,
            End::Denied,
            Some("tries-used-up"),
        ),
        (
            "and sshd asks again",
            vec![issued("login"), ended("spent"), denied("tries-used-up"), denied("denied-before")],
            0,
            End::Denied,
            Some("tries-used-up"),
        ),
        ("a run of its own", vec![denied("denied-before")], 0, End::Denied, Some("denied-before")),
        (
            "interrupted",
            vec![issued("login"), ended("cancelled")],
            0,
            End::Ended,
            Some("cancelled"),
        ),
        ("at the prompt", vec![issued("login"), sent()], 0, End::Waiting, None),
        ("long ago", vec![issued("login"), sent()], hour, End::Unanswered, None),
        (
            "exempt",
            vec![("login-ignored", json!({ "service": "su", "reason": "exempt" }))],
            0,
            End::Ignored,
            Some("exempt"),
        ),
        (
            "proved after a mistake",
            vec![
                issued("enrollment"),
                refused("not-a-code"),
                ("verified", json!({ "ending": "42" })),
            ],
            0,
            End::Verified,
            None,
        ),
        (
            "a proof refused",
            vec![issued("enrollment"), refused("code-expired")],
            0,
            End::Refused,
            Some("code-expired"),
        ),
        (
            "a proof that goes on",
            vec![issued("enrollment"), refused("resend-wait"), issued("enrollment")],
            0,
            End::Waiting,
            None,
        ),
        ("of a newer daemon", vec![("login-postponed", json!({}))], 0, End::Waiting, None),
    ];
    ends(&cases);
}

#[test]
fn a_login_without_a_code_has_an_end_too() {
    let hour = 3_600_000;
    ends(&[
        ("bypassed", vec![bypassed()], 0, End::Bypassed, None),
        ("a test message", vec![test_message(), sent()], hour, End::Tested, None),
        (
            "withheld",
            vec![withheld("unanswered-per-day")],
            0,
            End::Waiting,
            Some("unanswered-per-day"),
        ),
        (
            "withheld in the middle, long ago",
            vec![issued("login"), withheld("store-full")],
            hour,
            End::Unanswered,
            Some("store-full"),
        ),
        (
            "withheld, wrong recovery codes",
            vec![
                withheld("unanswered-per-day"),
                ("recovery-code-wrong", json!({ "tries_left": 0 })),
                ended("spent"),
                denied("recovery-codes-per-hour"),
            ],
            0,
            End::Denied,
            Some("recovery-codes-per-hour"),
        ),
        (
            "a recovery code, and its owner is told",
            vec![
                withheld("unanswered-per-day"),
                ("recovery-code-used", json!({ "left": 7 })),
                granted(),
                ("owner-told", json!({ "about": "recovery-code-used", "sent": true })),
            ],
            0,
            End::Granted,
            None,
        ),
    ]);
}

/// A name, events, how long ago the last of them was, how it ended and why.
type Case = (&'static str, Vec<(&'static str, Value)>, i64, End, Option<&'static str>);

fn ends(cases: &[Case]) {
    for (name, events, later, end, reason) in cases {
        let records = story(events);
        let summary = told(&records, *later).summary;
        assert_eq!((summary.outcome, summary.reason.as_deref()), (*end, *reason), "{name}");
    }
}

#[test]
fn a_story_is_told_from_its_begin_to_its_end() {
    let records =
        story(&[issued("login"), failed(), sent(), wrong(2), issued("resend"), sent(), granted()]);
    let zone = TimeZone::UTC;
    let style = Style { zone: &zone, today: jiff::civil::date(2026, 8, 1), colours: false };
    let expected = "\
7K3F-Q2: alice, sshd from 203.0.113.9

2026-08-01T12:00:00+00:00 code issued: text to ..42, ref K7, sshd from 203.0.113.9
2026-08-01T12:00:01+00:00 message failed: telnyx, no credit
2026-08-01T12:00:02+00:00 message accepted: telnyx, id m-1
2026-08-01T12:00:03+00:00 wrong code: 2 tries left
2026-08-01T12:00:04+00:00 code issued: text to ..42, ref K7, resend, sshd from 203.0.113.9
2026-08-01T12:00:05+00:00 message accepted: telnyx, id m-1
2026-08-01T12:00:06+00:00 login granted: sshd from 203.0.113.9

Granted after 6 s: the right code was typed in time.
";
    assert_eq!(text(&told(&records, 0), &style), expected);
}

#[test]
fn a_limit_is_said_with_its_end_and_its_remedy() {
    let mut events = [denied("wrong-codes-per-hour")];
    events[0].1["until"] = json!(1_785_587_400_000_i64);
    let records = story(&events);
    let zone = TimeZone::UTC;
    let style = Style { zone: &zone, today: jiff::civil::date(2026, 8, 1), colours: false };
    let text = text(&told(&records, 0), &style);
    let end = "\n\
Denied: 10 wrong codes in an hour pause the account for 30 minutes; that ends at \
2026-08-01T12:30:00+00:00.
To do: wait, or after a look at who that was: otpctl unlock alice
";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn an_outage_of_the_gateways_leads_to_status() {
    for (name, events, outage) in [
        ("none took it", vec![issued("login"), failed(), failed(), ended("cancelled")], true),
        (
            "the next one took it",
            vec![issued("login"), failed(), sent(), ended("cancelled")],
            false,
        ),
        ("a recovery code served", vec![issued("login"), failed(), granted()], false),
    ] {
        let records = story(&events);
        let summary = told(&records, 0).summary;
        let remedy = summary.remedy.unwrap_or_default();
        assert_eq!(remedy.contains("otpctl status"), outage, "{name}: {}", summary.meaning);
    }
}

fn delivered() -> (&'static str, Value) {
    let details = json!({ "gateway": "telnyx", "vendor_id": "m-1", "status": "delivered" });
    ("message-status", details)
}

#[test]
fn a_receipt_after_the_success_makes_the_login_no_longer() {
    let records = story(&[issued("login"), sent(), granted(), delivered()]);
    let summary = told(&records, 0).summary;
    assert_eq!((summary.seconds, summary.messages_delivered), (2, 1));
}

#[test]
fn what_stands_in_for_a_code_is_said() {
    let used = ("recovery-code-used", json!({ "left": 7 }));
    let lost = json!({
        "gateway": "telnyx", "vendor_id": "m-1", "reason": "absent subscriber",
        "then": "no-other-gateway",
    });
    let lost = ("message-undelivered", lost);
    let cases = [
        ("a recovery code", vec![issued("login"), used, granted()], "a recovery code was typed"),
        ("a bypass", vec![bypassed()], "an administrator had granted a bypass"),
        (
            "a prompt for a recovery code",
            vec![withheld("calls-per-day")],
            "only a recovery code may be typed, because 4 calls of 24 hours were not answered",
        ),
        (
            "for a reason of a newer daemon",
            vec![withheld("not-known-yet")],
            "only a recovery code may be typed",
        ),
        (
            "a message that did not arrive",
            vec![issued("login"), sent(), lost.clone(), ended("cancelled")],
            "the user interrupted it or went away, or an administrator ended it; the carrier \
             reports that a message did not arrive",
        ),
        (
            "a test message that arrived",
            vec![test_message(), sent(), delivered()],
            "the message arrived",
        ),
        (
            "a test message that a vendor took",
            vec![test_message(), failed(), sent()],
            "a vendor took the message; whether it arrived, says the telephone",
        ),
        (
            "a test message that none took",
            vec![test_message(), failed()],
            "a message without a code was asked for; no gateway took a message",
        ),
        (
            "that did not matter",
            vec![issued("login"), sent(), lost, granted()],
            "the right code was typed in time",
        ),
    ];
    for (name, events, expected) in cases {
        let records = story(&events);
        assert_eq!(told(&records, 0).summary.meaning, expected, "{name}");
    }
}

#[test]
fn every_reason_has_a_meaning_and_commands_name_the_account() {
    for (reason, ..) in REASONS {
        let mut records = story(&[denied(reason)]);
        records[0].user = "o'neil".into();
        let summary = told(&records, 0).summary;
        assert!(!summary.meaning.contains("see the events"), "{reason}");
        let remedy = summary.remedy.unwrap_or_default();
        assert!(!remedy.contains("USER"), "{reason}: {remedy}");
        assert_eq!(remedy.contains("neil"), remedy.contains(r"'o'\''neil'"), "{reason}: {remedy}");
    }
    let records = story(&[denied("not-known-yet")]);
    assert_eq!(told(&records, 0).summary.meaning, "see the events above");
}

#[test]
fn logins_that_share_an_id_are_told_apart() {
    let mut records = story(&[issued("login"), granted(), issued("login"), granted(), granted()]);
    let year = 365 * 24 * 3_600_000;
    records[2].at += year;
    records[3].at += year;
    records[4].at += year;
    records[4].user = "bob".into();
    let lengths: Vec<_> = stories(&records).into_iter().map(<[Record]>::len).collect();
    assert_eq!(lengths, [2, 2, 1]);
    assert!(stories(&[]).is_empty() && Explained::of(&[], 0).is_none());
}
