//! The module as it is shipped, through real libpam, against a scripted daemon.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers outside test functions fail the test"
)]

use otpd_tests::pam::{
    build::built,
    daemon::{Connection, Daemon, Then, answer, begin, cancel, frame, prompt},
    login::{Login, Told},
};
use serde_json::{Value, json};

#[path = "pam_module/artifact.rs"]
mod artifact;
#[path = "pam_module/faults.rs"]
mod faults;
#[path = "pam_module/squatters.rs"]
mod squatters;

const SORRY: &str = "Login codes cannot be checked at the moment. Please try again later or tell your administrator.";

/// `PAM_IGNORE` of a module that stands alone, as libpam tells it.
const IGNORED: &str = "PAM_PERM_DENIED";

fn verdict(verdict: &str) -> Value {
    json!({ "verdict": verdict })
}

/// A login with these connections and these lines typed; what arrived is as scripted.
fn login(arguments: &str, script: Vec<Connection>, lines: &[&str]) -> Told {
    let login = Login::new(arguments);
    let daemon = Daemon::start(&login.socket(), script);
    let told = login.run(lines);
    let _arrived = daemon.finish();
    told
}

#[test]
fn a_right_code_logs_in() {
    let login = Login::new("");
    let script = vec![vec![begin(&prompt("Sent.\nCode: ")), answer(&verdict("granted"))]];
    let daemon = Daemon::start(&login.socket(), script);
    let told = login.run(&["reply 482913"]);
    assert_eq!(told.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(told.result("setcred"), "PAM_SUCCESS");
    for hook in ["acct_mgmt", "open_session", "close_session", "chauthtok"] {
        assert_eq!(told.result(hook), IGNORED, "{hook}");
    }
    assert_eq!(told.texts("prompt"), ["Sent.\nCode: "]);
    assert_eq!(told.numbers("prompt", "echo"), [1]);
    assert_eq!(told.texts("info").len() + told.texts("error").len() + told.texts("log").len(), 0);
    let arrived = daemon.finish();
    let expected = json!({
        "user": "alice", "service": "test", "rhost": null, "tty": "tty1", "ruser": null,
        "connection": null, "first_factor": ["publickey ssh-ed25519 AAAA"],
    });
    assert_eq!(arrived[0].parameters, expected);
    assert_eq!(arrived[1].parameters, json!({ "challenge": "c1", "answer": "482913" }));
}

#[test]
fn verdicts_become_results() {
    let cases = [
        ("granted", "PAM_SUCCESS", "info", false),
        ("denied", "PAM_AUTH_ERR", "error", true),
        ("ignored", IGNORED, "info", false),
        ("unavailable", "PAM_AUTHINFO_UNAVAIL", "error", false),
    ];
    for (verdict, result, shown, delayed) in cases {
        let step = json!({ "text": "Why.", "verdict": verdict });
        let told = login("failmode=safe", vec![vec![begin(&step)]], &[]);
        assert_eq!(told.result("authenticate"), result, "{verdict}");
        assert_eq!(told.texts(shown), ["Why."], "{verdict}");
        // libpam draws the delay from around what was asked; it is told even where none is due.
        let delay = told.numbers("delay", "microseconds");
        assert_eq!(delay.iter().any(|&delay| delay > 500_000), delayed, "{verdict}: {delay:?}");
    }
}

#[test]
fn a_wrong_code_is_asked_again_and_texts_are_cleaned() {
    let again = prompt("That code is not right. 2 tries left.\u{1b}]0;x\u{7}\nCode: ");
    let script = vec![vec![begin(&prompt("Code: ")), answer(&again), answer(&verdict("granted"))]];
    let told = login("", script, &["reply 111111", "reply 482 913"]);
    assert_eq!(told.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(told.texts("prompt")[1], "That code is not right. 2 tries left.?]0;x?\nCode: ");
}

#[test]
fn silent_callers_are_shown_prompts_only() {
    let login = Login::new("").switch("--silent");
    let step = json!({ "text": "hidden", "prompt": { "text": "Code: ", "echo": true } });
    let end = json!({ "text": "hidden", "verdict": "denied" });
    let daemon = Daemon::start(&login.socket(), vec![vec![begin(&step), answer(&end)]]);
    let told = login.run(&["reply 1"]);
    assert_eq!(told.result("authenticate"), "PAM_AUTH_ERR");
    assert_eq!(told.texts("info").len() + told.texts("error").len(), 0);
    assert_eq!(daemon.finish().len(), 2);
}

/// What it reads and prints would go to the daemon else.
#[test]
fn a_program_without_standard_streams_gets_none_from_the_module() {
    let login = Login::new("").switch("--closed");
    let script = vec![vec![begin(&prompt("Code: ")), answer(&verdict("granted"))]];
    let daemon = Daemon::start(&login.socket(), script);
    let told = login.run(&["reply 482913"]);
    assert_eq!(told.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(told.numbers("prompt", "standard"), [0]);
    assert_eq!(daemon.finish().len(), 2);
}

#[test]
fn the_end_of_the_input_cancels() {
    let told = login("", vec![vec![begin(&prompt("Code: ")), cancel()]], &[]);
    assert_eq!(told.result("authenticate"), "PAM_CONV_ERR");
}

#[test]
fn an_absent_daemon_fails_the_login_or_passes_it_loudly() {
    for (failmode, result, errors) in [("secure", "PAM_AUTHINFO_UNAVAIL", 1), ("safe", IGNORED, 0)]
    {
        let login = Login::new(&format!("failmode={failmode}"));
        let never_there = login.run(&[]);
        drop(std::os::unix::net::UnixListener::bind(login.socket()).expect("bind"));
        let nobody_listens = login.run(&[]);
        for told in [never_there, nobody_listens] {
            assert_eq!(told.result("authenticate"), result, "{failmode}");
            assert_eq!(told.texts("error"), vec![SORRY; errors], "{failmode}");
            let alert = told.numbers("log", "level") == [1];
            assert_eq!(alert, failmode == "safe", "{told:?}");
        }
    }
}

#[test]
fn a_restart_of_the_daemon_goes_unseen() {
    let login = Login::new("");
    let script = vec![
        vec![("Begin", Then::HangUp)],
        vec![begin(&prompt("Code: ")), ("Answer", Then::HangUp)],
        vec![answer(&verdict("granted"))],
    ];
    let daemon = Daemon::start(&login.socket(), script);
    let told = login.run(&["reply 482913"]);
    assert_eq!(told.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(told.texts("error").len(), 0);
    let arrived = daemon.finish();
    assert_eq!(arrived[0], arrived[1]);
    assert_eq!(arrived[2], arrived[3]);
}

#[test]
fn a_daemon_that_hung_up_before_the_answer_kills_nobody() {
    // The driver leaves SIGPIPE at its default action, which ends the program.
    let step = json!({ "challenge": "c1", "step": prompt("Code: ") });
    let reply = frame(&json!({ "parameters": step }));
    let login = Login::new("");
    let listener = std::os::unix::net::UnixListener::bind(login.socket()).expect("bind");
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("accept");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("read") > 0);
        stream.write_all(&reply).expect("write");
    });
    // The whole daemon is gone, socket and all, before anything is typed.
    let told = login.run_after(|| server.join().expect("server"), &["reply 482913"]);
    assert_eq!(told.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
}

#[test]
fn exempt_users_are_left_alone_without_a_daemon() {
    let told = Login::without_first_factor("exempt_user=root,alice").run(&[]);
    assert_eq!(told.result("authenticate"), IGNORED);
    let told = Login::new("exempt_user=root,alice").option("--user", "Alice").run(&[]);
    assert_eq!(told.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
}

#[test]
fn wrong_arguments_fail_every_login_and_say_why() {
    for arguments in ["timeout=0", "failmode=open", "nullok", "exempt_user=", "socket=s"] {
        let told = Login::new(arguments).run(&[]);
        assert_eq!(told.result("authenticate"), "PAM_SERVICE_ERR", "{arguments}");
        assert!(told.texts("log")[0].contains("until it is right"), "{arguments}");
    }
}

#[test]
fn a_wrong_argument_does_not_shut_out_exempt_users() {
    let cases = [
        ("exempt_user=alice timout=5", IGNORED),
        ("exempt_user=, exempt_user=root,alice", IGNORED),
        ("exempt_user=alice,", "PAM_SERVICE_ERR"),
        ("exempt_user=bob timout=5", "PAM_SERVICE_ERR"),
    ];
    for (arguments, result) in cases {
        let told = Login::new(arguments).run(&[]);
        assert_eq!(told.result("authenticate"), result, "{arguments}");
        assert!(told.texts("log")[0].contains("until it is right"), "{arguments}: {told:?}");
    }
}

#[test]
fn a_first_factor_must_be_in_sight_or_vouched_for() {
    let told = Login::without_first_factor("").run(&[]);
    assert_eq!(told.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
    assert!(told.texts("log")[0].contains("first_factor_checked"));
    let granted = || vec![vec![begin(&verdict("granted"))]];

    let login = Login::without_first_factor("first_factor_checked");
    let daemon = Daemon::start(&login.socket(), granted());
    assert_eq!(login.run(&[]).result("authenticate"), "PAM_SUCCESS");
    assert_eq!(daemon.finish()[0].parameters["first_factor"], json!([]));

    let typed = built().typed.display();
    let login = Login::without_first_factor("");
    let stack = format!("auth required {typed}\nauth requisite {}", login.line(""));
    let login = login.stack(&stack);
    let daemon = Daemon::start(&login.socket(), granted());
    assert_eq!(login.run(&[]).result("authenticate"), "PAM_SUCCESS");
    assert_eq!(daemon.finish().len(), 1);
}

#[test]
fn sshds_password_method_spends_no_message() {
    let told = Login::new("failmode=safe").option("--tty", "ssh").switch("--setsid").run(&[]);
    assert_eq!(told.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
    assert!(told.texts("log")[0].contains("KbdInteractiveAuthentication yes"));
}

#[test]
fn sshds_connection_is_told_with_the_session() {
    let login = Login::new("")
        .option("--tty", "ssh")
        .option("--rhost", "client.example")
        .option("--ruser", "carol")
        .env("SSH_CONNECTION=203.0.113.9 50000 192.0.2.1 22");
    let daemon = Daemon::start(&login.socket(), vec![vec![begin(&verdict("granted"))]]);
    assert_eq!(login.run(&[]).result("authenticate"), "PAM_SUCCESS");
    let arrived = daemon.finish();
    let connection = arrived[0].parameters["connection"].as_str().expect("a string");
    let session = connection.strip_prefix("203.0.113.9 50000 192.0.2.1 22 ").expect("as sshd said");
    assert!(session.parse::<i32>().expect("a session id") >= 0);
    assert_eq!(arrived[0].parameters["rhost"], "client.example");
    assert_eq!(arrived[0].parameters["ruser"], "carol");
}

#[test]
fn names_cannot_forge_lines_of_the_log() {
    let told = Login::new("").option("--user", "alice\nsshd: accepted").run(&[]);
    assert_eq!(told.result("authenticate"), "PAM_AUTH_ERR");
    assert!(!told.texts("log")[0].contains('\n'));
}

#[test]
fn debug_never_logs_what_was_typed() {
    let script = vec![vec![begin(&prompt("Code: ")), answer(&verdict("granted"))]];
    let told = login("debug", script, &["reply 482913"]);
    assert!(!told.texts("log").is_empty());
    assert!(told.texts("log").iter().all(|line| !line.contains("482913")));
}
