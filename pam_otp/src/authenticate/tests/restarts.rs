//! Daemons that are absent, die or lie.

use std::io::ErrorKind;

use serde_json::json;

use super::{
    Args, CODE, CallError, Does, Level, Outcome, Program, absent, alice, answers, begins, broken,
    gone, late, login, prompt, refused, safe, sorry, types, unusable, verdict,
};

#[test]
fn an_absent_daemon_is_a_failure_unless_failmode_says_otherwise() {
    let cases: [(&str, fn() -> Vec<Does>); 2] = [
        ("nobody listens", || vec![Does::Refuses(absent)]),
        ("gone, and nobody listens any more", || {
            vec![Does::Accepts, Does::Breaks("Begin", gone), Does::Refuses(absent)]
        }),
    ];
    for (name, daemon) in cases {
        let program = Program::new([sorry()]);
        assert_eq!(login(&program, daemon(), &Args::default()), Outcome::Unavailable, "{name}");
        assert_eq!(program.logged(Level::Error).len(), 1, "{name}");
        let program = Program::new([]);
        assert_eq!(login(&program, daemon(), &safe()), Outcome::Ignored, "{name}");
        let alerts = program.logged(Level::Alert);
        assert!(alerts[0].contains("NO CODE ASKED because of failmode=safe"), "{name}: {alerts:?}");
    }
}

/// Who logs in can stop the program for as long as they like, or open logins until the daemon has no
/// connection left for the next one: none of it lets in.
#[test]
fn what_whoever_logs_in_can_bring_about_opens_nothing_under_failmode_safe() {
    let cases: [(&str, fn() -> Vec<Does>); 6] = [
        ("nobody accepts", || vec![Does::Refuses(unusable)]),
        ("no answer in time", || vec![Does::Accepts, Does::Breaks("Begin", late)]),
        ("gone, and nobody accepts", || {
            vec![Does::Accepts, Does::Breaks("Begin", gone), Does::Refuses(unusable)]
        }),
        ("broken twice", || {
            let broken = || Does::Breaks("Begin", gone);
            vec![Does::Accepts, broken(), Does::Accepts, broken()]
        }),
        ("reset twice", || {
            let reset = || Does::Breaks("Begin", || broken(ErrorKind::ConnectionReset));
            vec![Does::Accepts, reset(), Does::Accepts, reset()]
        }),
        ("broken, then no answer in time", || {
            let late = Does::Breaks("Begin", late);
            vec![Does::Accepts, Does::Breaks("Begin", gone), Does::Accepts, late]
        }),
    ];
    for (name, daemon) in cases {
        let program = Program::new([sorry()]);
        assert_eq!(login(&program, daemon(), &safe()), Outcome::Unavailable, "{name}");
        assert_eq!(program.logged(Level::Error).len(), 1, "{name}");
        assert!(program.logged(Level::Alert).is_empty(), "{name}");
    }
}

#[test]
fn what_answers_but_not_as_it_should_is_unavailable_whatever_failmode_says() {
    let cases: [(&str, fn() -> CallError); 9] = [
        ("not a reply", || CallError::Malformed("expected value".into())),
        ("a frame without end", || broken(ErrorKind::InvalidData)),
        ("no right to read", || broken(ErrorKind::PermissionDenied)),
        ("out of memory", || broken(ErrorKind::OutOfMemory)),
        ("unknown challenge", || refused("org.otpd.Login.UnknownChallenge")),
        ("no such method", || refused("org.varlink.service.MethodNotFound")),
        ("no permission", || refused("org.varlink.service.PermissionDenied")),
        ("bad parameters", || refused("org.varlink.service.InvalidParameter")),
        ("an error nobody knows", || refused("org.example.Granted")),
    ];
    for (name, error) in cases {
        let program = Program::new([sorry()]);
        let daemon = [Does::Accepts, Does::Breaks("Begin", error)];
        assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable, "{name}");
        let program = Program::new([types(b"482913"), sorry()]);
        let daemon = [Does::Accepts, begins(prompt(CODE)), Does::Breaks("Answer", error)];
        assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable, "{name}");
        assert_eq!(program.logged(Level::Error).len(), 1, "{name}");
    }
}

#[test]
fn a_server_that_is_not_trusted_is_told_nothing_whatever_failmode_says() {
    let program = Program::new([sorry()]);
    assert_eq!(login(&program, [Does::Refuses(unusable)], &safe()), Outcome::Unavailable);
    let program = Program::new([types(b"482913"), sorry()]);
    let swapped = [
        Does::Accepts,
        begins(prompt(CODE)),
        Does::Breaks("Answer", gone),
        Does::Refuses(unusable),
    ];
    assert_eq!(login(&program, swapped, &safe()), Outcome::Unavailable);
}

#[test]
fn a_restart_is_survived_in_every_exchange() {
    let kinds: [fn() -> CallError; 5] = [
        gone,
        || broken(ErrorKind::ConnectionReset),
        || broken(ErrorKind::BrokenPipe),
        || broken(ErrorKind::ConnectionAborted),
        || broken(ErrorKind::WriteZero),
    ];
    for kind in kinds {
        let program = Program::new([types(b"?"), types(b"482913")]);
        let daemon = [
            Does::Accepts,
            Does::Breaks("Begin", kind),
            Does::Accepts,
            begins(prompt(CODE)),
            Does::Breaks("Answer", kind),
            Does::Accepts,
            answers("?", prompt(CODE)),
            Does::Breaks("Answer", kind),
            Does::Accepts,
            answers("482913", verdict("granted")),
        ];
        assert_eq!(login(&program, daemon, &Args::default()), Outcome::Granted);
    }
}

#[test]
fn an_exchange_is_repeated_once_and_never_after_its_deadline() {
    let twice = [
        Does::Accepts,
        begins(prompt(CODE)),
        Does::Breaks("Answer", gone),
        Does::Accepts,
        Does::Breaks("Answer", gone),
    ];
    let program = Program::new([types(b"482913"), sorry()]);
    assert_eq!(login(&program, twice, &safe()), Outcome::Unavailable);
    let program = Program::new([types(b"482913"), sorry()]);
    let slow = [Does::Accepts, begins(prompt(CODE)), Does::Breaks("Answer", late)];
    assert_eq!(login(&program, slow, &safe()), Outcome::Unavailable);
}

#[test]
fn after_the_first_reply_failmode_safe_opens_nothing() {
    let program = Program::new([types(b"482913"), sorry()]);
    let stopped =
        [Does::Accepts, begins(prompt(CODE)), Does::Breaks("Answer", gone), Does::Refuses(absent)];
    assert_eq!(login(&program, stopped, &safe()), Outcome::Unavailable);
    assert!(program.logged(Level::Alert).is_empty());
}

#[test]
fn a_daemon_that_forgot_the_login_is_named_in_the_log() {
    let program = Program::new([types(b"482913"), sorry()]);
    let forgotten = || refused("org.otpd.Login.UnknownChallenge");
    let daemon = [
        Does::Accepts,
        begins(prompt(CODE)),
        Does::Breaks("Answer", gone),
        Does::Accepts,
        Does::Breaks("Answer", forgotten),
    ];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Unavailable);
    assert!(program.logged(Level::Error)[0].contains("does not know this login"));
}

#[test]
fn a_program_that_is_not_roots_is_named_in_the_log() {
    let program = Program::new([sorry()]);
    let denied = || refused("org.varlink.service.PermissionDenied");
    let daemon = [Does::Accepts, Does::Breaks("Begin", denied)];
    assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable);
    let line = program.logged(Level::Error).concat();
    assert!(line.contains("does not run as root") && line.contains("its stack"), "{line}");
}

#[test]
fn failmode_safe_changes_nothing_while_the_daemon_is_there() {
    let reply = json!({ "step": verdict("denied") });
    let daemon = [Does::Accepts, Does::Replies("Begin", alice(), reply)];
    assert_eq!(login(&Program::new([]), daemon, &safe()), Outcome::Denied);
}
