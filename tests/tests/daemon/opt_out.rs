//! Who replied STOP gets nothing more, through the real process and otpctl.

use std::process::Command;

use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_denied, is_granted, login},
};
use serde_json::Value;

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;
const OTHER: &str = PEOPLE[1].0;

/// A program that says: this person wants no more messages.
const STOP: &str = r#"
[gateway.stop]
kind = "command"
program = ["/bin/sh", "-c", "exit 79", "{to}"]
"#;

/// What came of a run of otpctl: exit status, standard output and error.
fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("otpctl runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A daemon whose user's number a vendor says to have opted out.
fn stopped(place: &Place, phone: &Phone) -> Daemon {
    place.configure(&(place.settings(phone) + STOP));
    let daemon = place.start();
    daemon.enroll(phone, USER, NUMBER);
    let (exit, _, stderr) = outcome(place.otpctl(&["test-message", NUMBER, "--gateway", "stop"]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("stop: the person stopped messages by a reply with STOP"), "{stderr}");
    daemon.wait_for("event=\"opted-out\"");
    daemon
}

fn opted_out_at(place: &Place) -> Value {
    let (exit, stdout, _) = outcome(place.otpctl(&["show", USER, "--json"]));
    assert_eq!(exit, Some(0));
    let shown: Value = serde_json::from_str(&stdout).expect("JSON");
    shown["opted_out_at"].clone()
}

#[test]
fn it_is_shown_and_said_and_holds_across_a_restart() {
    let phone = Phone::start();
    let place = Place::empty();
    stopped(&place, &phone).kill();
    let daemon = place.start();
    let (_, shown, _) = outcome(place.otpctl(&["show", USER]));
    assert!(shown.contains("opted out since 2") && shown.contains("(stop)"), "{shown}");
    assert!(opted_out_at(&place).is_string());
    let (_, list, _) = outcome(place.otpctl(&["list"]));
    assert!(list.contains("active, opted out"), "{list}");
    let begun = daemon.connect().begin(USER);
    assert!(is_denied(&begun.step) && begun.challenge.is_none());
    let text = begun.step.text.expect("words");
    let ending = &NUMBER[NUMBER.len() - 2..];
    let said = format!("Messages to the number ending {ending} were stopped by a reply with STOP.");
    assert!(text.starts_with(&said), "{text}");
    let refusals: [&[&str]; 3] = [
        &["test-message", NUMBER],
        &["enroll", OTHER, NUMBER],
        &["enroll", USER, NUMBER, "--replace", "--yes"],
    ];
    for arguments in refusals {
        let (exit, _, stderr) = outcome(place.otpctl(arguments));
        assert_eq!(exit, Some(1), "{arguments:?}");
        let why = "messages to this number were stopped by a reply with STOP";
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    assert!(phone.pending().is_none(), "nothing was sent");
    let (_, log, _) = outcome(place.otpctl(&["log"]));
    assert!(log.contains("messages stopped by a reply with STOP"), "{log}");
    assert!(log.contains("login denied: opted-out"), "{log}");
}

#[test]
fn an_administrator_can_undo_it() {
    let phone = Phone::start();
    let place = Place::empty();
    let daemon = stopped(&place, &phone);
    let (exit, stdout, _) = outcome(place.otpctl(&["unlock", USER]));
    assert_eq!(exit, Some(0));
    assert!(stdout.contains("\nMessages may go to ") && !stdout.contains(NUMBER), "{stdout}");
    assert!(opted_out_at(&place).is_null());
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));
    let (_, log, _) = outcome(place.otpctl(&["log", "--user", USER]));
    assert!(log.contains("messages allowed again"), "{log}");
    let (_, stdout, _) = outcome(place.otpctl(&["unlock", USER]));
    assert!(!stdout.contains("Messages may go"), "{stdout}");
}
