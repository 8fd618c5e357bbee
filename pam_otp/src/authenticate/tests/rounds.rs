//! Logins that the daemon decides.

use serde_json::json;

use super::{
    Args, CODE, Does, Kind, Level, Outcome, Program, Says, Script, Session, alice, answers,
    authenticate, begins, login, prompt, safe, sorry, types, verdict,
};

#[test]
fn a_right_code_is_granted() {
    let program = Program::new([types(b"482913")]);
    let daemon = [Does::Accepts, begins(prompt(CODE)), answers("482913", verdict("granted"))];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Granted);
    assert!(program.log.borrow().is_empty(), "the daemon's audit is enough");
}

#[test]
fn every_verdict_has_its_outcome_at_once_and_after_an_answer() {
    let cases = [
        ("granted", Outcome::Granted),
        ("denied", Outcome::Denied),
        ("ignored", Outcome::Ignored),
        ("unavailable", Outcome::Unavailable),
    ];
    for (word, outcome) in cases {
        let at_once = [Does::Accepts, begins(verdict(word))];
        assert_eq!(login(&Program::new([]), at_once, &Args::default()), outcome, "{word}");
        let later = [Does::Accepts, begins(prompt(CODE)), answers("1", verdict(word))];
        assert_eq!(login(&Program::new([types(b"1")]), later, &safe()), outcome, "{word}");
    }
}

#[test]
fn a_verdict_may_come_without_a_challenge() {
    let reply = json!({ "challenge": null, "step": verdict("granted") });
    let daemon = [Does::Accepts, Does::Replies("Begin", alice(), reply)];
    assert_eq!(login(&Program::new([]), daemon, &Args::default()), Outcome::Granted);
}

#[test]
fn texts_are_shown_as_the_verdict_asks_and_cleaned() {
    let cases = [
        ("granted", Kind::Info),
        ("denied", Kind::Error),
        ("ignored", Kind::Info),
        ("unavailable", Kind::Error),
    ];
    for (word, kind) in cases {
        let program = Program::new([Says::Reads(kind, "two\nlines?[2J")]);
        let step = json!({ "text": "two\nlines\u{1b}[2J", "verdict": word });
        login(&program, [Does::Accepts, begins(step)], &Args::default());
    }
}

#[test]
fn prompts_follow_each_other_and_are_cleaned() {
    let program = Program::new([
        types(b""),
        Says::Types("r = again\nCode:?", b"r"),
        Says::Reads(Kind::Info, "Sent again."),
        types(b"48 29 13"),
    ]);
    let again = json!({ "text": "Sent again.", "prompt": { "text": CODE, "echo": true } });
    let daemon = [
        Does::Accepts,
        begins(prompt(CODE)),
        answers("", prompt("r = again\nCode:\u{7}")),
        answers("r", again),
        answers("48 29 13", verdict("granted")),
    ];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Granted);
}

#[test]
fn silent_programs_get_prompts_and_nothing_else() {
    let program = Program::new([types(b"1")]);
    let step = json!({ "text": "hidden", "prompt": { "text": CODE, "echo": true } });
    let end = json!({ "text": "hidden", "verdict": "denied" });
    let mut daemon = Script::new([Does::Accepts, begins(step), answers("1", end)]);
    let outcome = authenticate(&program, &mut daemon, &Args::default(), true);
    assert_eq!(outcome, Outcome::Denied);
}

#[test]
fn steps_that_are_none_are_unavailable() {
    let both = json!({ "prompt": { "text": CODE, "echo": true }, "verdict": "granted" });
    let cases = [("neither", json!({})), ("both", both)];
    for (name, step) in cases {
        let program = Program::new([sorry()]);
        let daemon = [Does::Accepts, begins(step.clone()), Does::Cancelled("c1")];
        assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable, "{name}");
        let program = Program::new([types(b"1"), sorry()]);
        let daemon =
            [Does::Accepts, begins(prompt(CODE)), answers("1", step), Does::Cancelled("c1")];
        assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable, "{name}");
    }
}

#[test]
fn a_prompt_without_a_challenge_is_unavailable() {
    let program = Program::new([sorry()]);
    let reply = json!({ "step": prompt(CODE) });
    let daemon = [Does::Accepts, Does::Replies("Begin", alice(), reply)];
    assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable);
}

#[test]
fn replies_that_do_not_parse_are_unavailable_whatever_failmode_says() {
    let cases = [
        ("a verdict nobody knows", json!({ "challenge": "c1", "step": verdict("maybe") })),
        ("a verdict in capitals", json!({ "challenge": "c1", "step": verdict("Granted") })),
        ("no step", json!({ "challenge": "c1" })),
        ("a step that is a word", json!({ "challenge": "c1", "step": "granted" })),
        ("nothing", json!({})),
    ];
    for (name, reply) in cases {
        let program = Program::new([sorry()]);
        let daemon = [Does::Accepts, Does::Replies("Begin", alice(), reply)];
        assert_eq!(login(&program, daemon, &safe()), Outcome::Unavailable, "{name}");
        assert_eq!(program.logged(Level::Error).len(), 1, "{name}");
    }
}

#[test]
fn a_daemon_that_asks_for_ever_is_left() {
    let program = Program::new((0..40).map(|_| types(b"?")).chain([sorry()]));
    let rounds = (0..40).map(|_| answers("?", prompt(CODE)));
    let daemon = [Does::Accepts, begins(prompt(CODE))].into_iter().chain(rounds);
    let daemon = daemon.chain([Does::Cancelled("c1")]);
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Unavailable);
}

#[test]
fn sshd_tells_more_and_all_of_it_is_passed_on() {
    let mut program = Program::new([]);
    program.tty = Some("ssh");
    program.rhost = Some("client.example");
    program.authtok = false;
    program.session = Session { id: 4711, leader: false };
    program.env = vec![
        (c"SSH_CONNECTION", "203.0.113.9 50000 192.0.2.1 22"),
        (c"SSH_AUTH_INFO_0", "publickey ssh-ed25519 AAAA\npassword\n\n"),
    ];
    let parameters = json!({
        "user": "alice", "service": "login", "rhost": "client.example", "tty": "ssh",
        "ruser": null, "connection": "203.0.113.9 50000 192.0.2.1 22 4711",
        "first_factor": ["publickey ssh-ed25519 AAAA", "password"],
    });
    let reply = json!({ "step": verdict("ignored") });
    let daemon = [Does::Accepts, Does::Replies("Begin", parameters, reply)];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Ignored);
}

#[test]
fn a_connection_is_told_only_under_sshd() {
    let mut program = Program::new([]);
    program.env = vec![(c"SSH_CONNECTION", "203.0.113.9 50000 192.0.2.1 22")];
    let daemon = [Does::Accepts, begins(verdict("ignored"))];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Ignored);
}

#[test]
fn debug_tells_how_it_went_and_never_what_was_typed() {
    let program = Program::new([types(b"482913")]);
    let args = Args { debug: true, ..Args::default() };
    let daemon = [Does::Accepts, begins(prompt(CODE)), answers("482913", verdict("granted"))];
    assert_eq!(login(&program, daemon, &args), Outcome::Granted);
    assert_eq!(program.logged(Level::Debug).len(), 2);
}
