//! Every text, as people read it.

mod prompts;
mod recovery;

use std::collections::BTreeSet;

use jiff::tz::{TimeZone, offset};
use otp_proto::login::{Step, Verdict};

use super::{
    Setting, again, denied, proof_text, spoken, spoken_proof, spoken_test, test_text, unavailable,
    verdict,
};
use crate::{
    config::{DEFAULT_TEXT, MessageTemplate},
    domain::{
        account::Account,
        budget::{Held, LimitName},
        challenge::Channel,
        login::{Denial, Notice, Progress, View},
        passcode::{ChallengeToken, Passcode, Reference},
        scene::{START, account, code, reference},
        time::{DAY, HOUR, MINUTE, Timestamp},
    },
};

/// 09:00 on 15 January 2027.
const NOW: Timestamp = START;
const TOKEN: ChallengeToken = ChallengeToken([0x3a; 16]);

fn zone() -> TimeZone {
    TimeZone::fixed(offset(1))
}

fn setting(zone: &TimeZone) -> Setting<'_> {
    Setting { host: "web01", zone, now: NOW }
}

fn view() -> View {
    View {
        token: TOKEN,
        channel: Channel::Sms,
        ending: "42".to_owned(),
        reference: reference("K7"),
        progress: Progress::Sent,
        may_resend: true,
        may_call: true,
        resend_in: 24,
        tries_left: 3,
        recovery: 0,
    }
}

fn prompt(step: &Step) -> &str {
    let prompt = step.prompt.as_ref().expect("a prompt");
    assert!(prompt.echo && step.text.is_none() && step.verdict.is_none());
    fits(&prompt.text);
    assert!(prompt.text.ends_with("\nCode: "), "{:?}", prompt.text);
    &prompt.text
}

/// Lines that every terminal and screen reader takes.
fn fits(text: &str) {
    for line in text.split('\n') {
        assert!(line.chars().count() <= 72, "{} characters: {line:?}", line.chars().count());
        assert_eq!(line.trim_end(), line.strip_suffix("Code: ").map_or(line, |_| "Code:"));
    }
    assert!(text.split('\n').count() <= 5, "{text}");
    assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
}

fn held(limit: LimitName, until: Option<Timestamp>) -> Held {
    Held { limit, since: NOW.before(MINUTE * 20), until }
}

#[test]
fn the_end_of_a_denied_login() {
    let cases = [
        (Denial::NoAccount, None),
        (Denial::Silent, None),
        (Denial::Quit, None),
        (
            Denial::NotEnrolled,
            Some(
                "No phone number is registered for alice on web01,\n\
                 so this login cannot continue. Ask your administrator to run:\n\
                 otpctl enroll alice NUMBER   Request id 78X3-ME",
            ),
        ),
        (
            Denial::NotVerified,
            Some(
                "The phone number of alice is not verified yet on web01.\n\
                 Ask your administrator to run:\n\
                 otpctl verify alice   Request id 78X3-ME",
            ),
        ),
        (
            Denial::Disabled,
            Some(
                "Logins of alice with a code are switched off on web01.\n\
                 Ask your administrator.   Request id 78X3-ME",
            ),
        ),
        (
            Denial::Spent,
            Some(
                "Too many tries in this login, so it is over. Log in again.\n\
                 Request id 78X3-ME",
            ),
        ),
        (
            Denial::Ended,
            Some(
                "This login was ended: newer ones took its place, an administrator\n\
                 ended it, or it was given up. Log in again.\n\
                 Request id 78X3-ME",
            ),
        ),
        (
            Denial::Expired,
            Some(
                "The code expired again. You may start a new login now.\n\
                 Request id 78X3-ME",
            ),
        ),
    ];
    ends(&cases);
}

/// So each of these denials ends a login of alice's.
fn ends(cases: &[(Denial, Option<&str>)]) {
    let zone = zone();
    for (denial, text) in cases {
        let step = denied(*denial, &account("alice"), TOKEN.request(), &setting(&zone));
        assert_eq!(step.text.as_deref(), *text, "{denial:?}");
        assert_eq!((step.verdict, step.prompt), (Some(Verdict::Denied), None), "{denial:?}");
        step.text.as_deref().into_iter().for_each(fits);
    }
}

#[test]
fn the_end_of_a_login_that_a_limit_holds() {
    let minutes = |count| Some(NOW.after(MINUTE * count));
    let cases = [
        (
            Denial::Held(held(LimitName::WrongCodesPerHour, minutes(15))),
            Some(
                "Too many wrong codes. Login for alice is locked until\n\
                 09:15 (in 15 minutes).\n\
                 Ask your administrator to run:\n\
                 otpctl unlock alice   Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::WrongCodesPerDay, Some(NOW.after(HOUR * 23)))),
            Some(
                "Too many wrong codes. Login for alice is locked until\n\
                 08:00 on 16 January (in 23 hours).\n\
                 Ask your administrator to run:\n\
                 otpctl unlock alice   Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::WrongCodesInARow, None)),
            Some(
                "Too many wrong codes in a row. Codes for alice are suspended.\n\
                 Ask your administrator to run:\n\
                 otpctl unlock alice   Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::MessagesPerDay, minutes(1))),
            Some(
                "No more messages can be sent until 09:01 (in 1 minute).\n\
                 Limit messages-per-day, since 08:40.\n\
                 Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::MessagesPerDay, None)),
            Some(
                "No more messages can be sent.\n\
                 Limit messages-per-day, since 08:40.\n\
                 Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::LiveChallenges, minutes(4))),
            Some(
                "Too many logins of alice wait for a code at once.\n\
                 Finish one of them, or try again in a few minutes.\n\
                 Request id 78X3-ME",
            ),
        ),
        (
            Denial::Held(held(LimitName::CallsPerDay, minutes(1))),
            Some(
                "No more calls can be placed until 09:01 (in 1 minute).\n\
                 Limit calls-per-day, since 08:40.\n\
                 Request id 78X3-ME",
            ),
        ),
    ];
    ends(&cases);
}

/// Names of 12 characters, a host of 12, a limit of every name: nothing runs over the line.
#[test]
fn ordinary_names_fit_the_line() {
    let zone = zone();
    let setting = Setting { host: "build-17.lan", zone: &zone, now: NOW };
    let account: Account = account("m.mustermann");
    let limits = [
        LimitName::WrongCodesPerHour,
        LimitName::WrongCodesPerDay,
        LimitName::WrongCodesInARow,
        LimitName::UnansweredPerHour,
        LimitName::UnansweredPerDay,
        LimitName::MessagesPerHour,
        LimitName::MessagesPerDay,
        LimitName::CallsPerDay,
        LimitName::UnverifiedPerDay,
        LimitName::LiveChallenges,
    ];
    let untils = [None, Some(NOW.after(MINUTE * 119)), Some(NOW.after(DAY))];
    let held = limits.iter().flat_map(|limit| {
        untils.map(|until| Held { limit: *limit, since: NOW.before(DAY * 110), until })
    });
    let others = [Denial::NotEnrolled, Denial::NotVerified, Denial::Disabled, Denial::Spent];
    let mut texts = BTreeSet::new();
    for denial in held.clone().map(Denial::Held).chain(others) {
        let step = denied(denial, &account, TOKEN.request(), &setting);
        let text = step.text.expect("a text");
        fits(&text);
        texts.insert(text);
    }
    assert!(texts.len() > 20, "different limits read differently");
    for held in held {
        prompt(&again(Notice::Held(held), &view(), &setting));
    }
    let step = unavailable(setting.host);
    assert_eq!((step.verdict, &step.prompt), (Some(Verdict::Unavailable), &None));
    fits(step.text.as_deref().expect("a text"));
}

#[test]
fn a_verdict_has_no_text() {
    for kind in [Verdict::Granted, Verdict::Denied, Verdict::Ignored] {
        assert_eq!(verdict(kind), Step { text: None, prompt: None, verdict: Some(kind) });
    }
}

#[test]
fn times_of_day() {
    let second = std::time::Duration::from_secs(1);
    let cases = [
        ("now", NOW, "09:00"),
        ("to come: never too early", NOW.after(second), "09:01"),
        ("a minute to come", NOW.after(MINUTE), "09:01"),
        ("past: never in the future", NOW.before(second), "08:59"),
        ("the last minute of today", NOW.after(HOUR * 15).before(second * 60), "23:59"),
        (
            "the first of tomorrow, when rounded",
            NOW.after(HOUR * 15).before(second),
            "00:00 on 16 January",
        ),
        ("tomorrow", NOW.after(DAY), "09:00 on 16 January"),
        ("yesterday", NOW.before(HOUR * 10), "23:00 on 14 January"),
        ("beyond all calendars", Timestamp(i64::MAX), "23:00 on 30 December"),
    ];
    let zone = zone();
    for (name, at, text) in cases {
        assert_eq!(setting(&zone).clock(at), text, "{name}");
    }
    let spans = [
        (second, "09:01 (in 1 minute)"),
        (MINUTE, "09:01 (in 1 minute)"),
        (MINUTE + second, "09:02 (in 2 minutes)"),
        (HOUR, "10:00 (in 60 minutes)"),
        (MINUTE * 119, "10:59 (in 119 minutes)"),
        (HOUR * 2, "11:00 (in 2 hours)"),
        (HOUR * 2 + MINUTE, "11:01 (in 3 hours)"),
        (DAY, "09:00 on 16 January (in 24 hours)"),
    ];
    for (span, text) in spans {
        assert_eq!(setting(&zone).until(NOW.after(span)), text);
    }
}

/// 3GPP TS 23.038: 160 characters of the basic set are one message.
fn is_one_message(text: &str) {
    let basic = |c: char| c.is_ascii_alphanumeric() || " .,:;?!'()+-/*=@_&%#\"<>\n".contains(c);
    assert!(text.chars().all(basic), "{text:?}");
    assert!(text.len() <= 160, "{} characters: {text}", text.len());
}

#[test]
fn messages_are_one_segment() {
    let (code, reference) = (code("00482913"), reference("K7"));
    assert_eq!(
        *proof_text(&code, reference, "web01"),
        "00482913 proves this number for logins on web01, ref K7. Tell it only to the \
         administrator who registers you."
    );
    for host in ["web01".to_owned(), "x".repeat(64), "[a]{b}~|^\\".repeat(6), String::new()] {
        is_one_message(&proof_text(&code, reference, &host));
    }
    for host in ["web01".to_owned(), "x".repeat(40)] {
        let template = MessageTemplate::parse(DEFAULT_TEXT, &host).expect("a template");
        let reference = reference.to_string();
        let text = template.render(code.expose(), &reference, &host, "systemd-user-long");
        is_one_message(&text);
        assert!(text.starts_with("00482913 is your systemd-user-lon code for "));
    }
}

#[test]
fn a_test_message_is_one_message_without_anything_that_looks_like_a_code() {
    let reference = reference("K7");
    let text = test_text(reference, "web01");
    assert_eq!(*text, "Test message of otpd on web01, ref K7. Nothing to do.");
    for host in ["x".repeat(64), "[a]{b}~|^\\".repeat(6), String::new()] {
        is_one_message(&test_text(reference, &host));
    }
    let call = spoken_test("web01");
    let once = "This is a test call of otpd on web01. There is nothing to do.";
    assert_eq!(*call, format!("{once} Again: {once}"));
}

#[test]
fn a_call_says_the_code_three_times_and_who_may_hear_it() {
    let code: Passcode = code("048291");
    assert_eq!(
        *spoken(&code, "web01"),
        "Your login code for web01 is: 0. 4. 8. 2. 9. 1. Again: 0. 4. 8. 2. 9. 1. \
         Once more: 0. 4. 8. 2. 9. 1. Never share it."
    );
    assert_eq!(
        *spoken_proof(&code, "web01"),
        "Your code to prove this number for logins on web01 is: 0. 4. 8. 2. 9. 1. \
         Again: 0. 4. 8. 2. 9. 1. Once more: 0. 4. 8. 2. 9. 1. \
         Tell it only to the administrator who registers you."
    );
}

#[test]
fn references_read_as_they_were_drawn() {
    let reference: Reference = reference("M3");
    assert_eq!(reference.to_string(), "M3");
}

#[test]
fn a_login_of_who_wants_no_messages_is_denied_with_the_ways_out() {
    let number: crate::domain::phone::E164 = "+13125550107".parse().expect("a number");
    let denial = Denial::OptedOut(number.last_two());
    let step = denied(denial, &account("alice"), TOKEN.request(), &setting(&zone()));
    let text = step.text.expect("words");
    fits(&text);
    let request = TOKEN.request();
    let expected = format!(
        "Messages to the number ending 07 were stopped by a reply with STOP.\n\
         To undo that, send START to their sender, and then ask your\n\
         administrator to run:\n\
         otpctl unlock alice   Request id {request}"
    );
    assert_eq!(text, expected);
}
