//! Each verb: its request, its result, its refusal.

use crate::{
    ALICE, HOST, STATUS,
    daemon::{Daemon, Run, Several},
};

const PENDING: &str = r#"{"user":"alice","phone":"+1 ••• ••• ••42","country":"US","channel":"sms","state":"pending","created_at":1785585600000,"verified_at":null}"#;
const DELIVERY: &str =
    r#"{"status":"accepted","channel":"sms","reference":"K7","expires_at":1785585900000}"#;
const FAILED: &str = r#"{"status":"failed","channel":"sms","reference":"K7","expires_at":1785585900000,"reason":"telnyx: no credit"}"#;
const ALICE_JSON: &str = r#"{
  "user": "alice",
  "phone": "+1 ••• ••• ••42",
  "country": "US",
  "state": "active",
  "channel": "sms",
  "created_at": "2026-08-01T12:00:00Z",
  "verified_at": "2026-08-01T12:01:00Z"
}
"#;
const ACTIVE: &str = "Logins of alice ask for a code that a message takes to +1 ••• ••• ••42.\n";

fn changed() -> String {
    format!(r#"{{"subscriber":{ALICE}}}"#)
}

#[test]
fn enroll_registers_and_says_what_comes_next() {
    let requests = [
        (&["enroll", "alice", "+13125550142"][..], "null", "false"),
        (&["enroll", "alice", "+13125550142", "--channel", "voice"], r#""voice""#, "false"),
        (&["enroll", "alice", "+13125550142", "--replace", "--yes"], "null", "true"),
    ];
    for (arguments, channel, replace) in requests {
        let reply = format!(r#"{{"subscriber":{PENDING},"delivery":{DELIVERY}}}"#);
        let (request, run) = Daemon::replies(&reply).run(arguments, "");
        assert_eq!(
            request,
            format!(
                r#"{{"method":"org.otpd.Admin.Enroll","parameters":{{"user":"alice","phone":"+13125550142","channel":{channel},"replace":{replace}}}}}"#
            )
        );
        let stdout = "alice is registered with +1 ••• ••• ••42, which is not verified yet.\n\
             A message with a code is on its way to +1 ••• ••• ••42\n\
             (ref K7, valid until 2026-08-01T14:05:00+02:00).\n\
             Ask alice to read it to you, then run: otpctl verify alice\n";
        assert_eq!(run, Run::new(0, stdout, ""), "{arguments:?}");
    }
}

#[test]
fn enroll_without_a_message_is_not_done_but_registered() {
    let reply = format!(r#"{{"subscriber":{PENDING},"delivery":{FAILED}}}"#);
    let stderr = "otpctl: +1 ••• ••• ••42 is registered for alice, but the message with the code \
         could not be sent: telnyx: no credit; once that is mended run: otpctl resend alice\n";
    let (_, run) = Daemon::replies(&reply).run(&["enroll", "alice", "+13125550142"], "");
    assert_eq!(run, Run::new(1, "", stderr));
    let arguments = ["enroll", "alice", "+13125550142", "--json"];
    let (_, run) = Daemon::replies(&reply).run(&arguments, "");
    assert_eq!((run.exit, &*run.stderr), (Some(1), stderr));
    assert!(run.stdout.contains(r#""reason": "telnyx: no credit""#), "{}", run.stdout);
    assert!(run.stdout.contains(r#""state": "pending""#), "{}", run.stdout);
}

#[test]
fn verify_takes_the_code_from_standard_input_or_the_command_line() {
    let request = |code| {
        format!(
            r#"{{"method":"org.otpd.Admin.Verify","parameters":{{"user":"alice","code":"{code}"}}}}"#
        )
    };
    let cases: [(&str, &[&str], &str, &str); 4] = [
        ("standard input", &["verify", "alice"], "482913\n", "482913"),
        ("as it was read out", &["verify", "alice"], " 482 913\r\n", "482 913"),
        ("without a line end", &["verify", "alice"], "482913", "482913"),
        ("command line", &["verify", "alice", "482913"], "", "482913"),
    ];
    for (name, arguments, stdin, code) in cases {
        let (wire, run) = Daemon::replies(&changed()).run(arguments, stdin);
        assert_eq!(wire, request(code), "{name}");
        let stdout = format!("+1 ••• ••• ••42 is verified for alice.\n{ACTIVE}");
        assert_eq!(run, Run::new(0, &stdout, ""), "{name}");
    }
}

#[test]
fn verify_without_a_code_calls_nobody() {
    for stdin in ["", "\n"] {
        let (request, run) = Daemon::replies(&changed()).run(&["verify", "alice"], stdin);
        assert_eq!(request, "");
        let stderr = "otpctl: no code was given; type it when asked, or pipe it in: \
             otpctl verify alice < FILE\n";
        assert_eq!(run, Run::new(2, "", stderr));
    }
}

#[test]
fn a_wrong_code_is_a_no() {
    let daemon = Daemon::refuses("org.otpd.Admin.WrongCode", r#"{"tries_left":2}"#);
    let (_, run) = daemon.run(&["verify", "alice"], "111111\n");
    let stderr = "otpctl: that code is not right, 2 tries are left; ask for the newest one and \
         run: otpctl verify alice\n";
    assert_eq!(run, Run::new(1, "", stderr));
}

#[test]
fn resend_sends_another_one() {
    for (arguments, voice) in
        [(&["resend", "alice"][..], "false"), (&["resend", "alice", "--voice"], "true")]
    {
        let daemon = Daemon::replies(&format!(r#"{{"delivery":{DELIVERY}}}"#));
        let (request, run) = daemon.run(arguments, "");
        assert_eq!(
            request,
            format!(
                r#"{{"method":"org.otpd.Admin.Resend","parameters":{{"user":"alice","voice":{voice}}}}}"#
            )
        );
        let stdout = "A message with a code is on its way to the number of alice\n\
             (ref K7, valid until 2026-08-01T14:05:00+02:00).\n\
             Earlier codes no longer count. Once the new one is there, run: otpctl verify alice\n";
        assert_eq!(run, Run::new(0, stdout, ""));
    }
    let daemon = Daemon::replies(&format!(r#"{{"delivery":{FAILED}}}"#));
    let (_, run) = daemon.run(&["resend", "alice"], "");
    let stderr = "otpctl: the message with the code could not be sent: telnyx: no credit; once \
         that is mended run again: otpctl resend alice\n";
    assert_eq!(run, Run::new(1, "", stderr));
}

#[test]
fn list_collects_every_row() {
    let alice = format!(r#"{{"parameters":{{"subscriber":{ALICE}}},"continues":true}}"#);
    let long = format!("{}@corp.example", "a".repeat(90));
    let other = alice.replace("alice", &long);
    let end = r#"{"parameters":{"subscriber":null}}"#;
    let daemon = Daemon::frames(&[&alice, &other, end]);
    let (request, run) = daemon.run(&["list"], "");
    assert_eq!(request, r#"{"method":"org.otpd.Admin.List","parameters":{},"more":true}"#);
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    // Into a pipe a row is a line, however long the name is.
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.stdout);
    assert!(lines[0].starts_with("USER "));
    assert!(lines[1].starts_with("alice ") && lines[1].ends_with("2026-08-01T14:01:00+02:00"));
    assert!(lines[2].starts_with(&long));

    let (_, run) = Daemon::frames(&[&alice, end]).run(&["list", "--json"], "");
    let row = ALICE_JSON.trim_end_matches("\n}\n").replace('\n', "\n  ");
    let row = format!("{row},\n    \"opted_out_at\": null\n  }}");
    assert_eq!(run, Run::new(0, &format!("[\n  {row}\n]\n"), ""));
    let opted_out = r#"},"opted_out":{"at":1785585600000,"gateway":"telnyx"}},"continues""#;
    let alice = alice.replace("}},\"continues\"", opted_out);
    let (_, run) = Daemon::frames(&[&alice, end]).run(&["list", "--json"], "");
    assert!(run.stdout.contains(r#""opted_out_at": "2026-08-01T12:00:00Z""#), "{}", run.stdout);
    let (_, run) = Daemon::frames(&[&alice, end]).run(&["list"], "");
    assert!(run.stdout.contains("  active, opted out  sms"), "{}", run.stdout);
}

#[test]
fn an_empty_list_is_empty() {
    let end = r#"{"parameters":{"subscriber":null}}"#;
    let (_, run) = Daemon::frames(&[end]).run(&["list"], "");
    let stderr = "otpctl: nobody is enrolled yet; begin with: otpctl enroll USER PHONE\n";
    assert_eq!(run, Run::new(0, "", stderr));
    let (_, run) = Daemon::frames(&[end]).run(&["list", "--json"], "");
    assert_eq!(run, Run::new(0, "[]\n", ""));
}

#[test]
fn a_list_names_who_is_damaged_and_says_that_it_is_not_whole() {
    let alice = format!(r#"{{"parameters":{{"subscriber":{ALICE}}},"continues":true}}"#);
    let bob = r#"{"parameters":{"subscriber":null,"damaged":"bob"},"continues":true}"#;
    let end = r#"{"parameters":{"subscriber":null,"damaged":null}}"#;
    for (arguments, named) in [(&["list"][..], false), (&["list", "--json"], true)] {
        let (_, run) = Daemon::frames(&[&alice, bob, end]).run(arguments, "");
        assert_eq!(run.exit, Some(4), "{}", run.stdout);
        assert!(run.stdout.contains("alice"), "{}", run.stdout);
        assert_eq!(run.stdout.contains("bob"), named, "{}", run.stdout);
        assert!(run.stderr.contains("cannot be listed: bob;"), "{}", run.stderr);
        if named {
            let rows = serde_json::from_str::<serde_json::Value>(&run.stdout).expect("JSON");
            let keys = |row: &serde_json::Value| {
                row.as_object().expect("a row").keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(keys(&rows[0]), keys(&rows[1]));
            assert_eq!((&rows[1]["state"], &rows[1]["phone"]), (&"damaged".into(), &().into()));
        }
    }
}

#[test]
fn a_list_that_breaks_off_prints_nothing() {
    let alice = format!(r#"{{"parameters":{{"subscriber":{ALICE}}},"continues":true}}"#);
    let (_, run) = Daemon::frames(&[&alice]).run(&["list", "--json"], "");
    assert_eq!((run.exit, &*run.stdout), (Some(3), ""));
    assert!(run.stderr.starts_with("otpctl: otpd closed the connection"), "{}", run.stderr);
}

const SHOWN: &str = r#","limits":[{"name":"wrong-codes-per-hour","since":1785585600000,"until":1785587400000}],"failures_24h":10,"sends_24h":5,"live_challenges":0,"recovery_codes_left":8}"#;

#[test]
fn show_tells_everything() {
    let reply = format!(r#"{{"subscriber":{ALICE}{SHOWN}"#);
    let (request, run) = Daemon::replies(&reply).run(&["show", "alice"], "");
    assert_eq!(request, r#"{"method":"org.otpd.Admin.Show","parameters":{"user":"alice"}}"#);
    let stdout = "\
user                 alice
phone                +1 ••• ••• ••42
country              US
state                active
channel              sms
registered           2026-08-01T14:00:00+02:00
verified             2026-08-01T14:01:00+02:00
locked               until 2026-08-01T14:30:00+02:00
wrong codes in 24 h  10
messages in 24 h     5
logins under way     0
recovery codes left  8

LIMIT                 SINCE                      UNTIL
wrong-codes-per-hour  2026-08-01T14:00:00+02:00  2026-08-01T14:30:00+02:00
";
    assert_eq!(run, Run::new(0, stdout, ""));
    let (_, run) = Daemon::replies(&reply).run(&["--json", "show", "alice"], "");
    let rest = r#",
  "locked": true,
  "locked_until": "2026-08-01T12:30:00Z",
  "failures_24h": 10,
  "sends_24h": 5,
  "live_challenges": 0,
  "recovery_codes_left": 8,
  "undelivered": null,
  "opted_out_at": null,
  "opted_out_by": null,
  "limits": [
    {
      "name": "wrong-codes-per-hour",
      "since": "2026-08-01T12:00:00Z",
      "until": "2026-08-01T12:30:00Z"
    }
  ],
  "bypasses": []
}
"#;
    let stdout = ALICE_JSON.trim_end_matches("\n}\n").to_owned() + rest;
    assert_eq!(run, Run::new(0, &stdout, ""));
}

#[test]
fn verbs_that_change_an_account_say_how_it_is_now() {
    let unlocked = "is unlocked: the limits that wrong codes brought are over";
    let cases = [
        ("disable", "Disable", "is disabled"),
        ("enable", "Enable", "is enabled"),
        ("unlock", "Unlock", unlocked),
    ];
    for (verb, method, is) in cases {
        let (request, run) = Daemon::replies(&changed()).run(&[verb, "alice"], "");
        let wire =
            format!(r#"{{"method":"org.otpd.Admin.{method}","parameters":{{"user":"alice"}}}}"#);
        assert_eq!(request, wire);
        assert_eq!(run, Run::new(0, &format!("alice {is}.\n{ACTIVE}"), ""), "{verb}");
        let (_, run) = Daemon::replies(&changed()).run(&[verb, "alice", "--json"], "");
        let whole = match verb {
            "unlock" => {
                ALICE_JSON.trim_end_matches("\n}\n").to_owned() + ",\n  \"opted_in\": false\n}\n"
            }
            _ => ALICE_JSON.to_owned(),
        };
        assert_eq!(run, Run::new(0, &whole, ""), "{verb}");
    }
}

#[test]
fn remove_needs_a_yes() {
    let (request, run) = Daemon::replies("{}").run(&["remove", "alice", "--yes"], "");
    assert_eq!(request, r#"{"method":"org.otpd.Admin.Remove","parameters":{"user":"alice"}}"#);
    let stdout = "alice is removed; number, recovery codes and bypasses are forgotten.\n\
         Logins go by policy.unenrolled from now on; unless it is set, they are denied.\n";
    assert_eq!(run, Run::new(0, stdout, ""));
    let (_, run) = Daemon::replies("{}").run(&["remove", "alice", "--yes", "--json"], "");
    let json = "{\n  \"user\": \"alice\",\n  \"removed\": true,\n  \"damaged\": []\n}\n";
    assert_eq!(run, Run::new(0, json, ""));
    let damaged = || Daemon::replies(r#"{"damaged":true}"#);
    let (_, run) = damaged().run(&["remove", "alice", "--yes", "--json"], "");
    assert!(run.stdout.contains("\"damaged\": [\n    \"alice\"\n  ]"), "{}", run.stdout);
    let (_, run) = damaged().run(&["remove", "alice", "--yes"], "");
    for words in [
        "Bring alice back with otpctl restore",
        "replaced after the backup, it does not",
        "\"ignore\", they ask for no code",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
}

#[test]
fn without_a_terminal_nothing_is_removed_or_replaced_unasked() {
    let cases: [(&[&str], &str); 2] = [
        (&["remove", "alice"], "otpctl remove alice --yes"),
        (
            &["enroll", "alice", "+13125550142", "--replace"],
            "otpctl enroll alice +13125550142 --replace --yes",
        ),
    ];
    for (arguments, remedy) in cases {
        // A yes that nobody was asked for is none.
        let (request, run) = Daemon::replies("{}").run(arguments, "y\n");
        assert_eq!(request, "", "{arguments:?}");
        let stderr = format!(
            "otpctl: this needs a yes, and there is no terminal to ask on; to go ahead run: \
             {remedy}\n"
        );
        assert_eq!(run, Run::new(2, "", &stderr));
    }
}

#[test]
fn status_is_readable_and_cannot_steer_the_terminal() {
    let replies = || {
        let status = format!("{{\"parameters\":{STATUS}}}\0");
        let host = format!("{{\"parameters\":{{\"host\":{HOST}}},\"continues\":true}}\0");
        let end = "{\"parameters\":{\"host\":null}}\0";
        vec![status, host + end]
    };
    let (requests, run) = Several::new(replies()).run(&["status"]);
    let asked = [
        r#"{"method":"org.otpd.Admin.Status","parameters":{}}"#,
        r#"{"method":"org.otpd.Admin.Hosts","parameters":{},"more":true}"#,
    ];
    assert_eq!(requests, asked);
    let stdout = "\
otpd              0.1.0 on web1
store             sqlite
enrolled          3 active, 1 pending, 0 disabled
logins under way  2
problem           main rests

GATEWAY  KIND    STATE    LAST FAILURE
main     telnyx  resting  no\\u{1b}[2J credit
";
    assert_eq!(run, Run::new(0, stdout, ""));
    let (_, run) = Several::new(replies()).run(&["status", "--json"]);
    let mut json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let hosts = json.as_object_mut().and_then(|fields| fields.remove("hosts"));
    let wire: serde_json::Value = serde_json::from_str(STATUS).expect("JSON");
    assert_eq!((run.exit, json), (Some(0), wire));
    let host = hosts.as_ref().and_then(|hosts| hosts.get(0)).expect("a host");
    assert_eq!(
        (&host["state"], &host["seen_at"]),
        (&"here".into(), &"2026-08-01T12:01:00Z".into())
    );
    assert!(!run.stdout.contains('\u{1b}'));
    // A daemon from before it told of hosts.
    let unknown = r#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"x"}}"#;
    let old = vec![format!("{{\"parameters\":{STATUS}}}\0"), format!("{unknown}\0")];
    let (_, run) = Several::new(old).run(&["status"]);
    assert_eq!(run, Run::new(0, stdout, ""));
}

#[test]
fn confirm_clock_says_what_follows_or_why_not() {
    let request = r#"{"method":"org.otpd.Admin.ConfirmClock","parameters":{}}"#;
    let words = "otpd goes by the clock again: limits refill and codes expire by it, and what is \
         old is deleted.\n";
    let json = "{\n  \"confirmed\": true\n}\n";
    for (arguments, stdout) in
        [(&["confirm-clock"][..], words), (&["confirm-clock", "--json"], json)]
    {
        let (asked, run) = Daemon::replies("{}").run(arguments, "");
        assert_eq!((&*asked, run), (request, Run::new(0, stdout, "")), "{arguments:?}");
    }
    let daemon = Daemon::refuses("org.otpd.Admin.Refused", r#"{"reason":"there is no doubt"}"#);
    let (_, run) = daemon.run(&["confirm-clock"], "");
    assert_eq!(run, Run::new(1, "", "otpctl: otpd refuses this: there is no doubt\n"));
}
