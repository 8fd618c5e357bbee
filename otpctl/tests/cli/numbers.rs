//! Test messages, numbers in full, and completions.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    ALICE,
    daemon::{Crowd, Daemon, Run, otpctl},
};

const ACCEPTED: &str = r#"{"status":"accepted","channel":"sms","reference":"K7","gateway":"telnyx","vendor_id":"m-1","reason":null}"#;

#[test]
fn a_test_message_names_the_gateway_and_what_the_vendor_calls_it() {
    let cases = [
        (&["test-message", "+13125550142"][..], r#""gateway":null,"voice":false"#),
        (
            &["test-message", "+13125550142", "--gateway", "telnyx"],
            r#""gateway":"telnyx","voice":false"#,
        ),
        (&["test-message", "+13125550142", "--voice"], r#""gateway":null,"voice":true"#),
    ];
    for (arguments, rest) in cases {
        let (request, run) = Daemon::replies(ACCEPTED).run(arguments, "");
        let expected = format!(
            r#"{{"method":"org.otpd.Admin.TestMessage","parameters":{{"phone":"+13125550142",{rest}}}}}"#
        );
        assert_eq!(request, expected);
        let stdout = "telnyx took the message (ref K7, its id m-1).\n\
             See whether it is on the phone: that a gateway took it does not mean that it arrives.\n";
        assert_eq!(run, Run::new(0, stdout, ""), "{arguments:?}");
    }
}

#[test]
fn a_test_message_says_what_became_of_it() {
    let cases = [
        ("delivered", "The carrier says that it arrived.\n"),
        (
            "unconfirmed",
            "The carrier does not say whether it arrives: see whether it is on the phone.\n",
        ),
        (
            "under_way",
            "The carrier has not said yet whether it arrived: see whether it is on the phone.\n",
        ),
    ];
    let reply = |arrival: &str, reason: &str| {
        let arrival = format!(r#""arrival":"{arrival}","arrival_reason":{reason}}}"#);
        ACCEPTED.trim_end_matches('}').to_owned() + "," + &arrival
    };
    for (arrival, words) in cases {
        let daemon = Daemon::replies(&reply(arrival, "null"));
        let (_, run) = daemon.run(&["test-message", "+13125550142"], "");
        let stdout = format!("telnyx took the message (ref K7, its id m-1).\n{words}");
        assert_eq!(run, Run::new(0, &stdout, ""), "{arrival}");
    }
    let lost = reply("undelivered", "\"40008 Undeliverable\"");
    let (_, run) = Daemon::replies(&lost).run(&["test-message", "+13125550142"], "");
    let stderr = "otpctl: telnyx took the message (ref K7, its id m-1), but it did not arrive: \
         40008 Undeliverable\n";
    assert_eq!(run, Run::new(1, "", stderr));
    let (_, run) = Daemon::replies(&lost).run(&["test-message", "+13125550142", "--json"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(1), stderr));
    assert!(run.stdout.contains(r#""arrival": "undelivered""#), "{}", run.stdout);
}

#[test]
fn a_test_message_without_an_answer_is_not_said_to_be_taken() {
    let reply = ACCEPTED.replace("accepted", "sending").replace("\"m-1\"", "null");
    let reply = reply
        .replace("\"telnyx\"", "null")
        .replace("\"reason\":null", "\"reason\":\"first: HTTP 503\"");
    let (_, run) = Daemon::replies(&reply).run(&["test-message", "+13125550142"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    assert!(run.stdout.starts_with("The message is being sent (ref K7); no gateway has confirmed"));
    assert!(run.stdout.contains("On the way: first: HTTP 503\n"), "{}", run.stdout);
}

#[test]
fn a_test_message_that_no_gateway_takes_is_a_no() {
    let failed = r#"{"status":"failed","channel":"sms","reference":"K7","gateway":null,"vendor_id":null,"reason":"telnyx: no\u001b[2J credit"}"#;
    let (_, run) = Daemon::replies(failed).run(&["test-message", "+13125550142"], "");
    let stderr = "otpctl: no gateway took the message: telnyx: no\\u{1b}[2J credit; once that is \
         mended run it again (it was not counted)\n";
    assert_eq!(run, Run::new(1, "", stderr));
    let (_, run) = Daemon::replies(failed).run(&["test-message", "+13125550142", "--json"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(1), stderr));
    assert!(run.stdout.contains(r#""status": "failed""#), "{}", run.stdout);
}

#[test]
fn an_unknown_gateway_is_told_the_known_ones() {
    let reason = r#"{"reason":"there is no gateway of this name; there are: main, spare"}"#;
    let daemon = Daemon::refuses("org.otpd.Admin.Refused", reason);
    let (_, run) = daemon.run(&["test-message", "+1", "--gateway", "x"], "");
    let stderr = "otpctl: otpd refuses this: there is no gateway of this name; there are: main, \
         spare\n";
    assert_eq!(run, Run::new(1, "", stderr));
}

/// Answers `Show`, and `Reveal` with this.
fn revealing(reveal: &'static str) -> Crowd {
    let shown = format!(
        r#"{{"parameters":{{"subscriber":{ALICE},"limits":[],"failures_24h":0,"sends_24h":0,"live_challenges":0,"recovery_codes_left":0}}}}"#
    );
    Crowd::new(move |request| {
        let asked = request["method"] == "org.otpd.Admin.Reveal";
        if asked { reveal.to_owned() } else { shown.clone() }
    })
}

#[test]
fn a_number_in_full_stands_in_the_place_of_the_masked_one() {
    let crowd = revealing(r#"{"parameters":{"phone":"+13125550142"}}"#);
    let run = otpctl(&crowd.socket, &["show", "alice", "--reveal"], "");
    assert_eq!((run.exit, &*run.stderr), (Some(0), ""));
    let line = "phone                +13125550142";
    assert!(run.stdout.lines().any(|found| found == line), "{}", run.stdout);
    assert_eq!(crowd.requests(), ["Reveal alice", "Show alice"]);
    let run = otpctl(&crowd.socket, &["show", "alice", "--reveal", "--json"], "");
    assert!(run.stdout.contains("\"phone\": \"+13125550142\","), "{}", run.stdout);
    crowd.requests();
    let run = otpctl(&crowd.socket, &["show", "alice"], "");
    assert!(run.stdout.contains("+1 ••• ••• ••42"), "{}", run.stdout);
    assert_eq!(crowd.requests(), ["Show alice"]);
}

#[test]
fn who_may_not_see_a_number_in_full_reads_why() {
    let crowd = revealing(r#"{"error":"org.varlink.service.PermissionDenied"}"#);
    let run = otpctl(&crowd.socket, &["show", "alice", "--reveal"], "");
    let stderr = "otpctl: only root sees a number in full; run it with sudo, or leave --reveal \
         out\n";
    assert_eq!(run, Run::new(1, "", stderr));
}

#[test]
fn completions_know_the_verbs_and_need_no_daemon() {
    let nowhere = Path::new("/nonexistent");
    for shell in ["bash", "zsh", "fish"] {
        let run = otpctl(nowhere, &["completions", shell], "");
        assert_eq!((run.exit, &*run.stderr), (Some(0), ""), "{shell}");
        for word in ["test-message", "confirm-clock", "gateway"] {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
    }
    let script = otpctl(nowhere, &["completions", "bash"], "").stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
    let mut stdin = bash.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("bash reads it");
    drop(stdin);
    assert!(bash.wait().expect("an end").success(), "bash parses it");
}
