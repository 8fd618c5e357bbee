//! `log` and `explain`: what they ask for, what they print, how they end.

use std::{io::pipe, process::Stdio};

use crate::daemon::{Daemon, Run, Several, command};

const ISSUED: &str = r#"{"id":7,"at":1785585600000,"request":"7K3F-Q2","user":"alice","actor":"claimant","event":"code-issued","details":{"service":"sshd","source":"203.0.113.9","channel":"sms","reference":"K7","ending":"42","why":"login"}}"#;
const DENIED: &str = r#"{"id":9,"at":1785585607000,"request":"7K3F-Q2","user":"alice","actor":"claimant","event":"login-denied","details":{"service":"sshd","source":"203.0.113.9","reason":"wrong-codes-per-hour","until":1785587400000}}"#;
const END: &str = "{\"parameters\":{\"record\":null}}\0";
const ISSUED_LINE: &str = "2026-08-01T14:00:00+02:00 alice code issued: text to ..42, ref K7, \
     sshd from 203.0.113.9 (7K3F-Q2)\n";
const DENIED_LINE: &str = "2026-08-01T14:00:07+02:00 alice login denied: wrong-codes-per-hour, \
     sshd from 203.0.113.9 (7K3F-Q2)\n";

/// A reply with one of these.
fn row(record: &str) -> String {
    format!("{{\"parameters\":{{\"record\":{record}}},\"continues\":true}}\0")
}

fn both() -> String {
    row(ISSUED) + &row(DENIED) + END
}

fn asked(user: &str, since: &str, request: &str, limit: &str) -> String {
    format!(
        r#"{{"method":"org.otpd.Admin.Log","parameters":{{"user":{user},"since":{since},"request":{request},"limit":{limit}}},"more":true}}"#
    )
}

#[test]
fn log_asks_for_what_it_is_told_and_prints_a_line_an_event() {
    let cases: [(&[&str], String); 5] = [
        (&["log"], asked("null", "null", "null", "null")),
        (&["log", "--user", "alice"], asked(r#""alice""#, "null", "null", "null")),
        (&["log", "--user", "-", "--limit", "3"], asked(r#""-""#, "null", "null", "3")),
        // Two hours east of Greenwich.
        (&["log", "--since", "2026-08-01"], asked("null", "1785535200000", "null", "null")),
        (
            &["log", "--since", "2026-08-01T12:00:00Z"],
            asked("null", "1785585600000", "null", "null"),
        ),
    ];
    for (arguments, request) in cases {
        let (wire, run) = Daemon::raw(both()).run(arguments, "");
        assert_eq!(wire, request);
        assert_eq!(run, Run::new(0, &format!("{ISSUED_LINE}{DENIED_LINE}"), ""));
    }
    let (_, run) = Daemon::raw(END).run(&["log"], "");
    assert_eq!(run, Run::new(0, "", ""), "an empty trail");
}

#[test]
fn json_is_an_object_a_line() {
    let (_, run) = Daemon::raw(both()).run(&["log", "--json"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    let lines: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["at"], "2026-08-01T12:00:07Z");
    assert_eq!(lines[1]["event"], "login-denied");
    assert_eq!(lines[1]["details"]["until"], "2026-08-01T12:30:00Z");
    let keys: Vec<_> = run.stdout.split('"').take(4).collect();
    assert_eq!(keys, ["{", "id", ":7,", "at"]);
}

#[test]
fn a_time_that_cannot_be_understood_calls_nobody() {
    let (request, run) = Daemon::raw(both()).run(&["log", "--since", "yesterday"], "");
    let stderr = "otpctl: --since does not understand \"yesterday\"; write for example 1h, 2d, \
         2026-11-20 or 2026-11-20T14:00:00+01:00\n";
    assert_eq!((&*request, run), ("", Run::new(2, "", stderr)));
}

#[test]
fn a_trail_that_breaks_off_says_so() {
    let (_, run) = Daemon::raw(row(ISSUED)).run(&["log"], "");
    assert_eq!((run.exit, &*run.stdout), (Some(3), ISSUED_LINE));
    assert!(run.stderr.starts_with("otpctl: otpd closed the connection"), "{}", run.stderr);
}

#[test]
fn follow_begins_with_the_last_and_goes_on_where_they_end() {
    let watch = |user: &str, after: &str| {
        format!(
            r#"{{"method":"org.otpd.Admin.Watch","parameters":{{"user":{user},"after":{after}}},"more":true}}"#
        )
    };
    let newest = asked("null", "null", "null", "1");
    let cases: [(&[&str], String, String, String, String); 4] = [
        (
            &["log", "--follow"],
            row(ISSUED) + END,
            asked("null", "null", "null", "10"),
            row(ISSUED) + END,
            watch("null", "7"),
        ),
        // Nothing about bob yet; what is there already is not new.
        (
            &["log", "-f", "--user", "bob"],
            row(ISSUED) + END,
            asked(r#""bob""#, "null", "null", "10"),
            END.to_owned(),
            watch(r#""bob""#, "7"),
        ),
        (
            &["log", "--follow", "--since", "2026-08-01T12:00:00Z"],
            END.to_owned(),
            asked("null", "1785585600000", "null", "null"),
            END.to_owned(),
            watch("null", "0"),
        ),
        // One more came between the two questions.
        (
            &["log", "--follow", "--limit", "1"],
            row(&ISSUED.replace(":7,", ":6,")) + END,
            asked("null", "null", "null", "1"),
            row(ISSUED) + END,
            watch("null", "7"),
        ),
    ];
    for (arguments, end, log, before, follow) in cases {
        let printed = if before == END { "" } else { ISSUED_LINE };
        let daemon = Several::new(vec![end, before, row(DENIED), forbidden()]);
        let (requests, run) = daemon.run(arguments);
        // It asks on when the daemon hangs up, until that is refused.
        assert_eq!(requests, [newest.clone(), log, follow, newest.clone()], "{arguments:?}");
        assert_eq!(run.exit, Some(1));
        assert_eq!(run.stdout, format!("{printed}{DENIED_LINE}"), "{arguments:?}");
    }
}

/// The reply to somebody who may not ask that, or no longer.
fn forbidden() -> String {
    "{\"error\":\"org.varlink.service.PermissionDenied\"}\0".to_owned()
}

#[test]
fn follow_goes_on_after_the_last_event_when_the_daemon_was_away() {
    let unavailable =
        r#"{"error":"org.otpd.Admin.Unavailable","parameters":{"reason":"the store fails"}}"#;
    let unavailable = format!("{unavailable}\0");
    let later = |id: &str| row(&DENIED.replace(":9,", id));
    let watched = |user: &str, after: u8| {
        format!(
            r#"{{"method":"org.otpd.Admin.Watch","parameters":{{"user":{user},"after":{after}}},"more":true}}"#
        )
    };
    let newest = asked("null", "null", "null", "1");
    let alice = r#""alice""#;
    let replies = vec![
        row(ISSUED) + END,
        END.to_owned(),
        // Stopped in the middle of a reply.
        later(":9,") + "{\"parameters\":",
        // Back, and away again at once; then it cannot read its store.
        String::new(),
        later(":30,") + END,
        later(":12,") + &unavailable,
        unavailable.clone(),
        // An older copy of the store, whose ids are lower.
        later(":5,") + END,
        later(":6,"),
        forbidden(),
    ];
    let expected = [
        newest.clone(),
        asked(alice, "null", "null", "10"),
        watched(alice, 7),
        newest.clone(),
        newest.clone(),
        watched(alice, 9),
        newest.clone(),
        newest.clone(),
        watched(alice, 5),
        newest,
    ];
    let (requests, run) = Several::new(replies).run(&["log", "--follow", "--user", "alice"]);
    assert_eq!(requests, expected);
    assert_eq!((run.exit, run.stdout), (Some(1), DENIED_LINE.repeat(3)));
    let wait = "waiting up to 60 s for it, nothing is left out\n";
    let (away, back) = ("otpd is away, stopped or about to restart", "otpctl: otpd is back\n");
    let said = format!(
        "otpctl: {away}; {wait}{back}otpctl: otpd cannot go on: the store fails; {wait}{back}\
         otpctl: {away}; {wait}otpctl: you may not do this"
    );
    assert!(run.stderr.starts_with(&said), "{}", run.stderr);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let many = row(ISSUED).repeat(2000) + END;
    for arguments in [&["log"][..], &["log", "--json"]] {
        let (reader, writer) = pipe().expect("pipe");
        drop(reader);
        let daemon = Daemon::raw(many.clone());
        let mut command = command(&daemon.socket, arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().and_then(std::process::Child::wait_with_output);
        assert_eq!(Run::from(output.expect("otpctl")), Run::new(0, "", ""));
        daemon.request();
    }
}

#[test]
fn explain_tells_one_login() {
    let (wire, run) = Daemon::raw(both()).run(&["explain", "7k3fq2"], "");
    assert_eq!(wire, asked("null", "null", r#""7k3fq2""#, "null"));
    let stdout = "\
7K3F-Q2: alice, sshd from 203.0.113.9

2026-08-01T14:00:00+02:00 code issued: text to ..42, ref K7, sshd from 203.0.113.9
2026-08-01T14:00:07+02:00 login denied: wrong-codes-per-hour, sshd from 203.0.113.9

Denied: 10 wrong codes in an hour pause the account for 30 minutes; that ends at \
2026-08-01T14:30:00+02:00.
To do: wait, or after a look at who that was: otpctl unlock alice
";
    assert_eq!(run, Run::new(0, stdout, ""));
}

#[test]
fn explain_as_json_is_summaries_with_their_records() {
    let later = DENIED.replace("1785585607000", "1985585607000").replace("alice", "bob");
    let (_, run) = Daemon::raw(row(ISSUED) + &row(DENIED) + &row(&later) + END)
        .run(&["explain", "7K3F-Q2", "--json"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let stories = json.as_array().expect("a list");
    assert_eq!(stories.len(), 2, "two logins share the id, the newest last");
    let summary = &stories[0]["summary"];
    assert_eq!(summary["outcome"], "denied");
    assert_eq!(summary["reason"], "wrong-codes-per-hour");
    assert_eq!(summary["until"], "2026-08-01T12:30:00Z");
    assert_eq!(summary["began_at"], "2026-08-01T12:00:00Z");
    assert_eq!(stories[0]["records"][1]["at"], "2026-08-01T12:00:07Z");
    assert_eq!(stories[1]["summary"]["user"], "bob");
}

#[test]
fn explain_of_what_is_not_there() {
    let (_, run) = Daemon::raw(END).run(&["explain", "7K3F-Q2"], "");
    let stderr = "otpctl: nothing is written down about 7K3F-Q2; it is kept for log.audit-days, \
         see: otpctl log\n";
    assert_eq!(run, Run::new(1, "", stderr));
    let (_, run) = Daemon::raw(END).run(&["explain", "7K3F-Q2", "--json"], "");
    assert_eq!(run, Run::new(1, "[]\n", stderr));
    let error = "org.varlink.service.InvalidParameter";
    let daemon = Daemon::refuses(error, r#"{"parameter":"request"}"#);
    let (_, run) = daemon.run(&["explain", "alice"], "");
    let stderr = "otpctl: \"alice\" is no request id; one has six letters and digits, for \
         example 7K3F-Q2\n";
    assert_eq!(run, Run::new(2, "", stderr));
}
