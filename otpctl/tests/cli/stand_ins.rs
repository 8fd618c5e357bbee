//! What stands in for a code: recovery codes and bypasses.

use crate::{
    ALICE,
    daemon::{Daemon, Run},
};

const CODES: &str =
    r#"{"codes":["0123-4567-89AB-CDEF-GHJK-MNPQ","ZZZZ-4567-89AB-CDEF-GHJK-MNPQ"]}"#;
const GRANT: &str = r#"{"id":"7K3F-Q2","user":"alice","granted_at":1785585600000,"granted_by":0,"until":1785589200000,"reason":"lost \u001b[2J phone","used":1,"uses_left":2,"from":"10.0.0.0/8"}"#;
const OPEN: &str = r#"{"id":"7K3F-Q3","user":"bob","granted_at":1785585600000,"granted_by":4711,"until":1785589200000,"reason":"travel","used":0,"uses_left":null,"from":null}"#;
const GRANT_JSON: &str = r#"{
  "id": "7K3F-Q2",
  "user": "alice",
  "granted_at": "2026-08-01T12:00:00Z",
  "granted_by": 0,
  "until": "2026-08-01T13:00:00Z",
  "reason": "lost \u001b[2J phone",
  "used": 1,
  "uses_left": 2,
  "from": "10.0.0.0/8"
}
"#;

fn call(method: &str, parameters: &str) -> String {
    format!(r#"{{"method":"org.otpd.Admin.{method}","parameters":{parameters}}}"#)
}

#[test]
fn recovery_codes_are_all_there_is_on_standard_output() {
    let told = "otpctl: these are the recovery codes of alice, shown this once; earlier ones no \
         longer work. Hand them over in person, to be kept apart from the phone\n";
    let (request, run) = Daemon::replies(CODES).run(&["recovery-codes", "alice"], "");
    assert_eq!(request, call("RecoveryCodes", r#"{"user":"alice"}"#));
    let stdout = "0123-4567-89AB-CDEF-GHJK-MNPQ\nZZZZ-4567-89AB-CDEF-GHJK-MNPQ\n";
    assert_eq!(run, Run::new(0, stdout, told));
    let (_, run) = Daemon::replies(CODES).run(&["recovery-codes", "alice", "--json"], "");
    let stdout = r#"{
  "user": "alice",
  "codes": [
    "0123-4567-89AB-CDEF-GHJK-MNPQ",
    "ZZZZ-4567-89AB-CDEF-GHJK-MNPQ"
  ]
}
"#;
    assert_eq!(run, Run::new(0, stdout, told));
}

#[test]
fn recovery_codes_that_cannot_be_made_are_none() {
    let cases = [
        (
            "org.otpd.Admin.NotEnrolled",
            r#"{"user":"alice"}"#,
            "otpctl: alice has no number registered; register one with: otpctl enroll alice PHONE\n",
        ),
        (
            "org.otpd.Admin.Refused",
            r#"{"reason":"alice is disabled; otpctl enable alice first"}"#,
            "otpctl: otpd refuses this: alice is disabled; otpctl enable alice first\n",
        ),
    ];
    for (error, parameters, stderr) in cases {
        let (_, run) = Daemon::refuses(error, parameters).run(&["recovery-codes", "alice"], "");
        assert_eq!(run, Run::new(1, "", stderr), "{error}");
    }
    let (_, run) = Daemon::raw(b"").run(&["recovery-codes", "alice"], "");
    assert_eq!((run.exit, &*run.stdout), (Some(3), ""));
    assert!(run.stderr.contains("may have been done, see: otpctl show alice"), "{}", run.stderr);
}

#[test]
fn a_bypass_is_asked_for_as_it_was_typed() {
    let plain = ["bypass", "alice", "--for", "1h", "--reason", "lost phone"];
    let limits = ["--uses", "3", "--from", "10.0.0.0/8"];
    let cases: [(&[&str], &str); 2] = [
        (&[], r#"{"user":"alice","seconds":3600,"reason":"lost phone","uses":null,"from":null}"#),
        (
            &limits,
            r#"{"user":"alice","seconds":3600,"reason":"lost phone","uses":3,"from":"10.0.0.0/8"}"#,
        ),
    ];
    for (more, parameters) in cases {
        let arguments = plain.iter().chain(more).copied().collect::<Vec<_>>();
        let reply = format!(r#"{{"bypass":{GRANT}}}"#);
        let (request, run) = Daemon::replies(&reply).run(&arguments, "");
        assert_eq!(request, call("Bypass", parameters));
        let stdout = "alice may log in without a code until 2026-08-01T15:00:00+02:00, 2 times, \
             from 10.0.0.0/8.\n\
             To end that before run: otpctl bypass alice --revoke 7K3F-Q2\n";
        assert_eq!(run, Run::new(0, stdout, ""));
    }
    let mut arguments = plain.to_vec();
    arguments.push("--json");
    let (_, run) = Daemon::replies(&format!(r#"{{"bypass":{GRANT}}}"#)).run(&arguments, "");
    assert_eq!(run, Run::new(0, GRANT_JSON, ""));
}

#[test]
fn a_bypass_that_is_refused_exits_with_1_and_one_that_cannot_be_with_2() {
    let reason = r#"{"reason":"alice has 8 bypasses already; end one first: otpctl bypass alice --revoke [ID]"}"#;
    let arguments = ["bypass", "alice", "--for", "1h", "--reason", "x"];
    let (_, run) = Daemon::refuses("org.otpd.Admin.Refused", reason).run(&arguments, "");
    let stderr = "otpctl: otpd refuses this: alice has 8 bypasses already; end one first: \
         otpctl bypass alice --revoke [ID]\n";
    assert_eq!(run, Run::new(1, "", stderr));
    let wrong = [
        ("1mo", "write 1 minute to 7 days as in 30m, 1h or 2d"),
        ("8d", "write 1 minute to 7 days as in 30m, 1h or 2d"),
    ];
    for (time, remedy) in wrong {
        let arguments = ["bypass", "alice", "--for", time, "--reason", "x"];
        let (request, run) = Daemon::replies("{}").run(&arguments, "");
        assert_eq!((request.as_str(), run.exit), ("", Some(2)), "{time}");
        assert!(run.stderr.contains(remedy), "{}", run.stderr);
    }
}

#[test]
fn bypasses_are_revoked_one_by_one_or_all() {
    let cases: [(&[&str], &str, &str); 2] = [
        (
            &["bypass", "alice", "--revoke"],
            r#"{"user":"alice","id":null}"#,
            "2 bypasses of alice ended; logins ask for a code again.\n",
        ),
        (
            &["bypass", "alice", "--revoke", "7K3F-Q2"],
            r#"{"user":"alice","id":"7K3F-Q2"}"#,
            "1 bypass of alice ended; logins ask for a code again.\n",
        ),
    ];
    for ((arguments, parameters, stdout), revoked) in cases.into_iter().zip([2, 1]) {
        let reply = format!(r#"{{"revoked":{revoked}}}"#);
        let (request, run) = Daemon::replies(&reply).run(arguments, "");
        assert_eq!(request, call("RevokeBypass", parameters));
        assert_eq!(run, Run::new(0, stdout, ""));
    }
    let none = r#"{"revoked":0}"#;
    let (_, run) = Daemon::replies(none).run(&["bypass", "alice", "--revoke", "7K3F-Q2"], "");
    let stderr =
        "otpctl: alice has no bypass 7K3F-Q2; see what there is with: otpctl bypass --list\n";
    assert_eq!(run, Run::new(1, "", stderr));
    let (_, run) = Daemon::replies(none).run(&["bypass", "alice", "--revoke", "--json"], "");
    let stderr = "otpctl: alice has no bypass; see what there is with: otpctl bypass --list\n";
    assert_eq!(run, Run::new(1, "{\n  \"user\": \"alice\",\n  \"revoked\": 0\n}\n", stderr));
}

#[test]
fn bypasses_are_listed_and_cannot_steer_the_terminal() {
    let row = |grant: &str| format!(r#"{{"parameters":{{"bypass":{grant}}},"continues":true}}"#);
    let end = r#"{"parameters":{"bypass":null}}"#;
    let (first, second) = (row(GRANT), row(OPEN));
    let (request, run) = Daemon::frames(&[&first, &second, end]).run(&["bypass", "--list"], "");
    assert_eq!(request, r#"{"method":"org.otpd.Admin.Bypasses","parameters":{},"more":true}"#);
    let stdout = "\
BYPASS   USER   UNTIL                      LEFT  FROM        BY        REASON
7K3F-Q2  alice  2026-08-01T15:00:00+02:00  2     10.0.0.0/8  uid 0     lost \\u{1b}[2J phone
7K3F-Q3  bob    2026-08-01T15:00:00+02:00  any   anywhere    uid 4711  travel
";
    assert_eq!(run, Run::new(0, stdout, ""));
    let (_, run) = Daemon::frames(&[&first, end]).run(&["bypass", "--list", "--json"], "");
    let row = GRANT_JSON.trim_end().replace('\n', "\n  ");
    assert_eq!(run, Run::new(0, &format!("[\n  {row}\n]\n"), ""));
    let (_, run) = Daemon::frames(&[end]).run(&["bypass", "--list"], "");
    assert_eq!(run, Run::new(0, "", "otpctl: nobody has a bypass\n"));
    let (_, run) = Daemon::frames(&[end]).run(&["bypass", "--list", "--json"], "");
    assert_eq!(run.stdout, "[]\n");
}

#[test]
fn show_lists_bypasses_below_the_rest() {
    let counts = r#""limits":[],"failures_24h":0,"sends_24h":0,"live_challenges":0"#;
    let reply = format!(
        r#"{{"subscriber":{ALICE},{counts},"recovery_codes_left":7,"bypasses":[{GRANT}]}}"#
    );
    let (_, run) = Daemon::replies(&reply).run(&["show", "alice"], "");
    let (facts, table) = run.stdout.split_once("\n\n").expect("two parts");
    assert!(facts.ends_with("recovery codes left  7"), "{facts}");
    assert!(table.starts_with("BYPASS ") && table.contains("\n7K3F-Q2  alice "), "{table}");
    let (_, run) = Daemon::replies(&reply).run(&["show", "alice", "--json"], "");
    let json = serde_json::from_str::<serde_json::Value>(&run.stdout).expect("JSON");
    assert_eq!(json["bypasses"][0]["until"], "2026-08-01T13:00:00Z");
}
