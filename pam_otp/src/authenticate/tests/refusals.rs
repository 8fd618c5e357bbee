//! Logins that the module itself refuses or leaves.

use pam::constants::PamResultCode;
use serde_json::json;

use super::{
    Args, CODE, Does, Level, Outcome, Program, Says, Session, alice, answers, begins, login,
    prompt, safe, types, verdict,
};
use crate::{begin::misconfigured, entry::contained};

#[test]
fn exempt_users_pass_before_any_connection_and_before_any_check() {
    let args = Args { exempt_users: vec!["root".into(), "alice".into()], ..Args::default() };
    let mut program = Program::new([]);
    program.authtok = false;
    program.tty = Some("ssh");
    program.session.leader = true;
    assert_eq!(login(&program, [], &args), Outcome::Ignored);
    assert_eq!(program.logged(Level::Info).len(), 1);
}

#[test]
fn exempt_is_by_exact_name() {
    for other in ["Alice", "alice ", "alic", "alice2", "alice@corp"] {
        let args = Args { exempt_users: vec![other.into()], ..Args::default() };
        let daemon = [Does::Accepts, begins(verdict("granted"))];
        assert_eq!(login(&Program::new([]), daemon, &args), Outcome::Granted, "{other}");
    }
}

#[test]
fn wrong_arguments_shut_out_everybody_but_exempt_users() {
    let args = Args { exempt_users: vec!["root".into(), "alice".into()], ..Args::default() };
    let errors = ["unknown argument `timout=5`".to_owned(), "`debug` is given twice".to_owned()];
    let cases = [
        (Some("alice"), Outcome::Ignored),
        (Some("root"), Outcome::Ignored),
        (Some("Alice"), Outcome::Misconfigured),
        (Some("bob"), Outcome::Misconfigured),
        (Some(""), Outcome::Misconfigured),
        (None, Outcome::Misconfigured),
    ];
    for (user, outcome) in cases {
        let program = Program::new([]);
        *program.user.borrow_mut() = user.map(str::to_owned);
        assert_eq!(misconfigured(&program, &args, &errors), outcome, "{user:?}");
        let logged = program.logged(Level::Error).concat();
        assert!(errors.iter().all(|error| logged.contains(error)), "{user:?}: {logged}");
    }
}

#[test]
fn names_that_no_account_has_go_no_further() {
    let long = "x".repeat(257);
    let cases =
        [None, Some(""), Some("a/b"), Some("a\nb"), Some("a\0"), Some("\u{1b}"), Some(&*long)];
    for user in cases {
        let program = Program::new([]);
        *program.user.borrow_mut() = user.map(str::to_owned);
        assert_eq!(login(&program, [], &safe()), Outcome::Denied, "{user:?}");
        assert_eq!(program.log.borrow().len(), 1, "{user:?}");
    }
}

#[test]
fn without_a_first_factor_nothing_is_sent() {
    let cases = [
        ("nothing at all", vec![]),
        ("an empty list", vec![(c"SSH_AUTH_INFO_0", "")]),
        ("blank lines", vec![(c"SSH_AUTH_INFO_0", "\n \n")]),
    ];
    for (name, env) in cases {
        let mut program = Program::new([]);
        program.authtok = false;
        program.env = env;
        assert_eq!(login(&program, [], &safe()), Outcome::Unavailable, "{name}");
        let warnings = program.logged(Level::Warning);
        assert!(warnings[0].contains("first_factor_checked"), "{name}: {warnings:?}");
    }
}

#[test]
fn a_first_factor_out_of_sight_must_be_vouched_for() {
    let mut program = Program::new([]);
    program.authtok = false;
    let args = Args { first_factor_checked: true, ..Args::default() };
    let daemon = [Does::Accepts, begins(verdict("granted"))];
    assert_eq!(login(&program, daemon, &args), Outcome::Granted);
}

#[test]
fn sshds_password_method_is_told_by_terminal_and_session() {
    let cases = [
        ("password method", Some("ssh"), true, Outcome::Unavailable),
        ("keyboard-interactive", Some("ssh"), false, Outcome::Granted),
        ("login, which leads its session", Some("tty1"), true, Outcome::Granted),
        ("no terminal", None, true, Outcome::Granted),
    ];
    for (name, tty, leader, outcome) in cases {
        let mut program = Program::new([]);
        program.tty = tty;
        program.session = Session { id: 7, leader };
        let mut parameters = alice();
        parameters["tty"] = tty.into();
        let reply = json!({ "step": verdict("granted") });
        let calls = [Does::Accepts, Does::Replies("Begin", parameters, reply)];
        let calls = calls.into_iter().filter(|_| outcome == Outcome::Granted);
        assert_eq!(login(&program, calls, &safe()), outcome, "{name}");
        let warned = program.logged(Level::Warning);
        assert_eq!(warned.len(), usize::from(outcome != Outcome::Granted), "{name}");
        assert!(warned.iter().all(|line| line.contains("KbdInteractiveAuthentication yes")));
    }
}

#[test]
fn what_is_typed_wrongly_ends_the_login_and_cancels() {
    static LONG: [u8; 513] = [b'1'; 513];
    let cases = [
        ("no conversation", Says::Fails, Outcome::ConversationFailed),
        ("no string", Says::Null, Outcome::ConversationFailed),
        ("too long", types(&LONG), Outcome::ConversationFailed),
        ("another user", Says::Becomes(Some("bob")), Outcome::Denied),
        ("another spelling", Says::Becomes(Some("Alice")), Outcome::Denied),
        ("no user any more", Says::Becomes(None), Outcome::Denied),
    ];
    for (name, says, outcome) in cases {
        let program = Program::new([says]);
        let daemon = [Does::Accepts, begins(prompt(CODE)), Does::Cancelled("c1")];
        assert_eq!(login(&program, daemon, &safe()), outcome, "{name}");
        assert_eq!(program.log.borrow().len(), 1, "{name}");
    }
}

#[test]
fn what_sshd_puts_in_the_place_of_an_answer_is_told_by_its_bytes() {
    let cases: [(&str, &str, &[u8], bool); 9] = [
        ("whole", "ssh", b"\x08\n\r\x7fINCORRECT", true),
        ("cut to one letter", "ssh", b"\x08", true),
        ("cut to six", "ssh", b"\x08\n\r\x7fIN", true),
        ("begun again", "ssh", b"\x08\n\r\x7fINCORRECT\x08\n\r", true),
        ("a backspace before a code", "ssh", b"\x08482913", false),
        ("other words", "ssh", b"\x08\n\r\x7fINCORRECt", false),
        ("begun again in the middle", "ssh", b"\x08\n\r\x08\n\r", false),
        ("nothing", "ssh", b"", false),
        ("of another program", "tty1", b"\x08\n\r\x7fINCORRECT", false),
    ];
    for (name, tty, reply, junk) in cases {
        let mut program = Program::new([Says::Types(CODE, reply)]);
        program.tty = Some(tty);
        let mut parameters = alice();
        parameters["tty"] = tty.into();
        let begun = json!({ "challenge": "c1", "step": prompt(CODE) });
        let last = if junk {
            Does::Cancelled("c1")
        } else {
            answers(str::from_utf8(reply).expect("ASCII"), verdict("denied"))
        };
        let daemon = [Does::Accepts, Does::Replies("Begin", parameters, begun), last];
        assert_eq!(login(&program, daemon, &Args::default()), Outcome::Denied, "{name}");
        assert_eq!(program.logged(Level::Notice).len(), usize::from(junk), "{name}");
    }
}

#[test]
fn the_longest_reply_and_bytes_of_any_kind_are_passed_on() {
    static LONGEST: [u8; 512] = [b'1'; 512];
    let daemon = [
        Does::Accepts,
        begins(prompt(CODE)),
        answers(&"1".repeat(512), prompt(CODE)),
        answers("4\u{fffd}8", verdict("denied")),
    ];
    let program = Program::new([types(&LONGEST), types(b"4\xff8")]);
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Denied);
}

#[test]
fn items_that_are_too_long_are_cut_so_that_the_request_fits() {
    static KEY: [u8; 5000] = [b'k'; 5000];
    let mut program = Program::new([]);
    let key = str::from_utf8(&KEY).expect("ASCII");
    program.rhost = Some(&key[..300]);
    program.env = vec![(c"SSH_AUTH_INFO_0", key)];
    let mut parameters = alice();
    parameters["rhost"] = key[..256].into();
    parameters["first_factor"] = json!([&key[..2048]]);
    let reply = json!({ "step": verdict("ignored") });
    let daemon = [Does::Accepts, Does::Replies("Begin", parameters, reply)];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Ignored);
}

/// The daemon refuses requests with control characters, and with them the login.
#[test]
fn control_characters_of_items_are_not_sent() {
    let mut program = Program::new([]);
    (program.tty, program.rhost) = (Some("pts/1\u{1b}"), Some("client\n.example"));
    let mut parameters = alice();
    (parameters["tty"], parameters["rhost"]) = ("pts/1?".into(), "client?.example".into());
    let reply = json!({ "step": verdict("granted") });
    let daemon = [Does::Accepts, Does::Replies("Begin", parameters, reply)];
    assert_eq!(login(&program, daemon, &Args::default()), Outcome::Granted);
}

#[test]
fn a_bug_refuses_and_is_logged() {
    let program = Program::new([]);
    let code = contained(&program, || panic!("a bug"));
    assert_eq!(code, PamResultCode::PAM_ABORT);
    assert!(program.logged(Level::Alert).concat().contains("internal error"));
    let code = contained(&program, || PamResultCode::PAM_AUTH_ERR);
    assert_eq!(code, PamResultCode::PAM_AUTH_ERR);
}

#[test]
fn logged_lines_name_the_account_and_the_source() {
    let mut program = Program::new([Says::Fails]);
    program.rhost = Some("client.example");
    let mut parameters = alice();
    parameters["rhost"] = "client.example".into();
    let reply = json!({ "challenge": "c1", "step": prompt(CODE) });
    let daemon = [Does::Accepts, Does::Replies("Begin", parameters, reply), Does::Cancelled("c1")];
    login(&program, daemon, &Args::default());
    let lines = program.logged(Level::Notice);
    assert_eq!(lines, ["alice from client.example: the prompt was not answered"]);
}
