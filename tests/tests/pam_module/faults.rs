//! Everything that can go wrong under the module's feet, through real libpam.
//!
//! What holds for all of it: success only where the daemon granted this very challenge, being passed
//! over only where `failmode=safe` says so, and never a crash, unless memory is refused.

use std::os::unix::{net::UnixListener, process::ExitStatusExt};

use libc::{
    EACCES, EAFNOSUPPORT, EAGAIN, EBADF, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINTR, EINVAL,
    EIO, ELOOP, EMFILE, ENFILE, ENOBUFS, ENOENT, ENOMEM, ENOPROTOOPT, ENOTCONN, ENOTDIR, EPERM,
    EPIPE, EPROTOTYPE, ETIMEDOUT, SIGABRT,
};
use otpd_tests::pam::{
    build::{Built, built, sanitized},
    daemon::{CODE, Daemon, Then, Willing, answer, begin, cancel, frame, prompt},
    login::{Login, Told},
};
use serde_json::{Value, json};

use crate::{IGNORED, SORRY, verdict};

const GRANTED: &str = "PAM_SUCCESS";
const UNAVAILABLE: &str = "PAM_AUTHINFO_UNAVAIL";
const DENIED: &str = "PAM_AUTH_ERR";
const INTERRUPTED: &str = "PAM_CONV_ERR";
/// What `pam-bindings` makes of a panic.
const PANICKED: &str = "PAM_ABORT";

const ONCE: u32 = 1;
const FOR_EVER: u32 = 0;

/// A function of C's, which call of it fails first and how many fail, with what, and how the login
/// ends with `failmode=secure` and with `failmode=safe`.
///
/// The calls of a login are: statx of the directory and of the socket, socket, setsockopt, connect,
/// getsockopt; then for Begin and for Answer setsockopt, send, setsockopt, recv.
type Fault = (&'static str, u32, u32, &'static [i32], &'static str, &'static str);

const FAULTS: &[Fault] = &[
    // Who stands at the socket cannot be told; only where there is none, nobody is there.
    ("statx", 1, ONCE, &[EACCES, EPERM, ELOOP, ENOTDIR, ENOMEM, EIO], UNAVAILABLE, UNAVAILABLE),
    ("statx", 1, ONCE, &[ENOENT], UNAVAILABLE, IGNORED),
    ("statx", 2, ONCE, &[EACCES, EPERM, ELOOP, ENOTDIR, ENOMEM, EIO], UNAVAILABLE, UNAVAILABLE),
    ("statx", 2, ONCE, &[ENOENT], UNAVAILABLE, IGNORED),
    // The program is out of something: that says nothing about the daemon.
    (
        "socket",
        1,
        FOR_EVER,
        &[EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES, EPERM, EAFNOSUPPORT, EINTR],
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    ("setsockopt", 1, ONCE, &[EINVAL, ENOPROTOOPT, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("connect", 1, FOR_EVER, &[ENOENT, ECONNREFUSED], UNAVAILABLE, IGNORED),
    // That nobody accepts in time is not enough: whoever logs in may have stopped the program meanwhile,
    // or filled the queue.
    (
        "connect",
        1,
        FOR_EVER,
        &[
            EAGAIN, ETIMEDOUT, EACCES, EPERM, ENOMEM, ENOTDIR, ELOOP, EPROTOTYPE, ECONNRESET, EIO,
            EBADF,
        ],
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    // A signal is no answer.
    ("connect", 1, ONCE, &[EINTR], GRANTED, GRANTED),
    ("connect", 1, 3, &[EINTR], GRANTED, GRANTED),
    ("connect", 1, FOR_EVER, &[EINTR], UNAVAILABLE, UNAVAILABLE),
    ("getsockopt", 1, ONCE, &[EINVAL, ENOPROTOOPT, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("setsockopt", 2, ONCE, &[EINVAL, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    // Begin: a broken connection is made again, once. That no reply came in the little time that there is
    // here lets nobody in, and nor does a daemon that hangs up: its connections may all be taken.
    ("send", 1, ONCE, &[EPIPE, ECONNRESET, ENOTCONN, ECONNABORTED, EINTR], GRANTED, GRANTED),
    ("send", 1, FOR_EVER, &[EPIPE, ECONNRESET, ENOTCONN, EAGAIN, EINTR], UNAVAILABLE, UNAVAILABLE),
    ("send", 1, ONCE, &[EAGAIN, ETIMEDOUT], UNAVAILABLE, UNAVAILABLE),
    ("send", 1, FOR_EVER, &[ENOMEM, ENOBUFS, EACCES, EIO, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("setsockopt", 3, ONCE, &[EINVAL, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    (
        "recv",
        1,
        ONCE,
        &[ECONNRESET, ENOTCONN, ECONNABORTED, EINTR, EAGAIN, ETIMEDOUT],
        GRANTED,
        GRANTED,
    ),
    ("recv", 1, FOR_EVER, &[ECONNRESET, ENOTCONN, EAGAIN, EINTR], UNAVAILABLE, UNAVAILABLE),
    ("recv", 1, FOR_EVER, &[ENOMEM, EIO, EINVAL, EBADF, ECONNREFUSED], UNAVAILABLE, UNAVAILABLE),
    // Answer: somebody who was asked once is not let in unasked, whatever failmode says.
    ("setsockopt", 4, ONCE, &[EINVAL, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("send", 2, ONCE, &[EPIPE, ECONNRESET, ENOTCONN, ECONNABORTED, EINTR], GRANTED, GRANTED),
    ("send", 2, FOR_EVER, &[EPIPE, ECONNRESET, ENOTCONN, EAGAIN, EINTR], UNAVAILABLE, UNAVAILABLE),
    ("send", 2, FOR_EVER, &[ENOMEM, ENOBUFS, EACCES, EIO, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("setsockopt", 5, ONCE, &[EINVAL, ENOMEM, EBADF], UNAVAILABLE, UNAVAILABLE),
    ("recv", 2, ONCE, &[ECONNRESET, ENOTCONN, ECONNABORTED, EINTR], GRANTED, GRANTED),
    ("recv", 2, FOR_EVER, &[ECONNRESET, ENOTCONN, EAGAIN, EINTR], UNAVAILABLE, UNAVAILABLE),
    ("recv", 2, FOR_EVER, &[ENOMEM, EIO, EINVAL, EBADF, ECONNREFUSED], UNAVAILABLE, UNAVAILABLE),
    // Stopped for 100 s: the time is over, and the reply is there.
    ("stopped", 1, ONCE, &[100], GRANTED, GRANTED),
    ("stopped", 2, ONCE, &[100], GRANTED, GRANTED),
    // A byte at a time, both ways.
    ("send", 1, FOR_EVER, &[0], GRANTED, GRANTED),
    ("recv", 1, FOR_EVER, &[0], GRANTED, GRANTED),
    // Nothing hangs on these.
    ("close", 1, FOR_EVER, &[EINTR, EIO], GRANTED, GRANTED),
    ("getsid", 1, FOR_EVER, &[EPERM], GRANTED, GRANTED),
    // A real panic: the standard library knows no machine without a clock. It ends at the edge of
    // the module, as an error code.
    ("clock_gettime", 1, ONCE, &[EINVAL, EPERM], PANICKED, PANICKED),
    ("clock_gettime", 3, ONCE, &[EINVAL, EPERM], PANICKED, PANICKED),
    ("clock_gettime", 7, ONCE, &[EINVAL, EPERM], PANICKED, PANICKED),
];

const FAILMODES: [&str; 2] = ["failmode=secure", "failmode=safe"];

/// What holds of every login, whatever went wrong in it.
fn lawful(told: &Told, failmode: &str, granted: bool, name: &str) {
    let result = told.result("authenticate");
    assert!(result != GRANTED || granted, "{name}: success without a grant");
    assert!(result != IGNORED || failmode == "failmode=safe", "{name}: passed over");
    let logged = told.texts("log").concat();
    assert!(!logged.contains(CODE), "{name}: the code is in the log: {logged}");
}

/// Every system call fails in every way that is worth telling apart.
fn system_calls(built: &'static Built) -> usize {
    // Some rows wait for the module's own time, so the two halves run side by side.
    std::thread::scope(|scope| {
        let halves = FAILMODES.map(|failmode| scope.spawn(move || half(built, failmode)));
        halves.into_iter().map(|half| half.join().expect("no row failed")).sum()
    })
}

fn half(built: &'static Built, failmode: &str) -> usize {
    let mut number = 0;
    for &(call, first, count, errors, secure, safe) in FAULTS {
        let expected = if failmode == "failmode=safe" { safe } else { secure };
        for error in errors {
            let name = format!("{call} {first} {count} {error} {failmode}");
            // Only what never ends runs out of time.
            let endless = count == FOR_EVER && [EINTR, EAGAIN].contains(error);
            let timeout = if endless { 1 } else { 10 };
            let login = Login::by(built, &format!("timeout={timeout} {failmode}"));
            let login = login.fault(&format!("{call} {first} {count} {error}"));
            let daemon = Willing::start(&login.socket());
            let told = login.run(&[&format!("reply {CODE}")]);
            let granted = daemon.has_granted();
            assert_eq!(told.result("authenticate"), expected, "{name}: {told:?}");
            lawful(&told, failmode, granted, &name);
            assert!(login.faults() > 0, "{name}: nothing failed");
            let panicked = told.texts("log").concat().contains("internal error");
            assert_eq!(panicked, expected == PANICKED, "{name}");
            number += 1;
        }
    }
    number
}

#[test]
fn every_system_call_may_fail() {
    let number = system_calls(built());
    println!("{number} system calls failed");
    assert_eq!(number, 262);
}

/// Under sshd it is empty, and under su and sudo it is the user's.
#[test]
fn the_environment_of_the_program_is_never_looked_at() {
    for failmode in FAILMODES {
        let login = Login::new(failmode).fault("getenv 1 0 0");
        let daemon = Willing::start(&login.socket());
        let told = login.run(&[&format!("reply {CODE}")]);
        assert!(daemon.has_granted(), "{failmode}");
        assert_eq!(told.result("authenticate"), GRANTED, "{failmode}: {told:?}");
        assert_eq!(login.faults(), 0, "{failmode}: variables that were asked for");
    }
}

/// Every request for memory is refused, one login each. Rust ends the program then; the login is not
/// granted, which is all that is promised.
#[test]
fn every_request_for_memory_may_fail() {
    let (mut aborted, mut refused) = (0, 0);
    for failmode in FAILMODES {
        for nth in 1.. {
            let login = Login::new(failmode).fault(&format!("memory {nth} 1 {}", libc::ENOMEM));
            let daemon = Willing::start(&login.socket());
            let ended = login.attempt(|| {}, &[&format!("reply {CODE}")]);
            let granted = daemon.has_granted();
            match ended {
                Ok(told) if login.faults() == 0 => {
                    assert_eq!(told.result("authenticate"), GRANTED, "without a fault");
                    break;
                }
                Ok(told) => {
                    lawful(&told, failmode, granted, "memory");
                    assert_ne!(told.result("authenticate"), IGNORED, "{nth}");
                    refused += 1;
                }
                Err(crash) => {
                    assert_eq!(crash.status.signal(), Some(SIGABRT), "{nth}: {crash:?}");
                    // The last ones are requests of the hooks that follow.
                    assert!(granted || !crash.told.contains(GRANTED), "{nth}: {crash:?}");
                    aborted += 1;
                }
            }
        }
    }
    println!("{aborted} refused requests for memory ended the program, {refused} did not");
    assert!(aborted + refused >= 60, "{aborted} and {refused}");
}

/// A reply ends after each of its bytes, on the first connection and on the next.
fn cut_replies(built: &'static Built) -> usize {
    let ask = json!({ "parameters": { "challenge": "c1", "step": prompt("Code: ") } });
    let grant = json!({ "parameters": { "challenge": null, "step": verdict("granted") } });
    let mut number = 0;
    for failmode in FAILMODES {
        for (reply, begun) in [(&ask, false), (&grant, false), (&grant, true)] {
            let reply = frame(reply);
            for length in 0..reply.len() {
                let part = || Then::Cut(reply.iter().copied().take(length).collect());
                let script = if begun {
                    let asked = vec![begin(&prompt("Code: ")), ("Answer", part())];
                    vec![asked, vec![("Answer", part())]]
                } else {
                    vec![vec![("Begin", part())], vec![("Begin", part())]]
                };
                let login = Login::by(built, failmode);
                let daemon = Daemon::start(&login.socket(), script);
                let told = login.run(&[&format!("reply {CODE}")]);
                let name = format!("{length} bytes, begun: {begun}, {failmode}");
                assert_eq!(told.result("authenticate"), UNAVAILABLE, "{name}: {told:?}");
                lawful(&told, failmode, false, &name);
                let _arrived = daemon.finish();
                number += 1;
            }
        }
    }
    number
}

#[test]
fn a_reply_may_end_after_each_of_its_bytes() {
    let number = cut_replies(built());
    println!("{number} replies were cut");
    assert_eq!(number, 416);
}

/// Replies that are none: what is sent, each in the place of both replies of a login.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |text: &str| [text.as_bytes(), b"\0"].concat();
    let step = |step: &str| raw(&format!(r#"{{"parameters":{{"challenge":"c1","step":{step}}}}}"#));
    let deep = "[".repeat(7_000) + &"]".repeat(7_000);
    vec![
        ("not JSON", raw("granted")),
        ("an empty frame", raw("")),
        ("nothing", raw("null")),
        ("a text", raw(r#""granted""#)),
        ("a list", raw(r#"[{"step":{"verdict":"granted"}}]"#)),
        ("two values", raw(r#"{"parameters":{"step":{"verdict":"granted"}}}{}"#)),
        ("half of it", raw(r#"{"parameters":{"step":{"verdict":"granted"}}"#)),
        ("a frame without end", vec![b'x'; 20_000]),
        (
            "not UTF-8",
            b"{\"parameters\":{\"step\":{\"text\":\"\xff\",\"verdict\":\"granted\"}}}\0".to_vec(),
        ),
        ("no parameters", raw("{}")),
        ("parameters a list", raw(r#"{"parameters":[{"verdict":"granted"}]}"#)),
        ("the verdict too high up", raw(r#"{"verdict":"granted"}"#)),
        ("no step", raw(r#"{"parameters":{"challenge":"c1"}}"#)),
        ("a step that is nothing", step("null")),
        ("a step that is a text", step(r#""granted""#)),
        ("an unknown verdict", step(r#"{"verdict":"maybe"}"#)),
        ("a verdict in capitals", step(r#"{"verdict":"Granted"}"#)),
        ("a verdict with a space", step(r#"{"verdict":"granted "}"#)),
        ("an empty verdict", step(r#"{"verdict":""}"#)),
        ("a verdict that is true", step(r#"{"verdict":true}"#)),
        ("a verdict that is a number", step(r#"{"verdict":0}"#)),
        ("a verdict that is a list", step(r#"{"verdict":["granted"]}"#)),
        ("two verdicts", step(r#"{"verdict":"denied","verdict":"granted"}"#)),
        ("a verdict with a NUL inside", step("{\"verdict\":\"gran\0ted\"}")),
        ("a verdict with a written NUL", step(r#"{"verdict":"granted\u0000"}"#)),
        ("a bare control character", step("{\"text\":\"\u{1}\",\"verdict\":\"granted\"}")),
        ("half of a pair", step(r#"{"text":"\ud800","verdict":"granted"}"#)),
        ("a text that is a number", step(r#"{"text":1,"verdict":"granted"}"#)),
        ("a prompt that is a text", step(r#"{"prompt":"Code: "}"#)),
        ("a prompt without echo", step(r#"{"prompt":{"text":"Code: "}}"#)),
        ("a prompt without a text", step(r#"{"prompt":{"echo":true}}"#)),
        ("echo that is a text", step(r#"{"prompt":{"text":"Code: ","echo":"yes"}}"#)),
        ("deep nesting", step(&deep)),
        ("deep nesting in the text", step(&format!(r#"{{"text":{deep},"verdict":"granted"}}"#))),
        (
            "an error and a verdict",
            raw(r#"{"error":"a.B","parameters":{"step":{"verdict":"granted"}}}"#),
        ),
        ("an empty error", raw(r#"{"error":"","parameters":{"step":{"verdict":"granted"}}}"#)),
        (
            "an error that is a number",
            raw(r#"{"error":1,"parameters":{"step":{"verdict":"granted"}}}"#),
        ),
        (
            "unknown challenge",
            raw(r#"{"error":"org.otpd.Login.UnknownChallenge","parameters":{}}"#),
        ),
        ("no such method", raw(r#"{"error":"org.varlink.service.MethodNotFound"}"#)),
        ("no permission", raw(r#"{"error":"org.varlink.service.PermissionDenied"}"#)),
        // These two are steps, but say too little or too much; the challenge is given up.
        ("neither", step("{}")),
        ("both", step(r#"{"prompt":{"text":"Code: ","echo":true},"verdict":"granted"}"#)),
    ]
}

fn malformed(built: &'static Built) -> usize {
    let mut number = 0;
    for failmode in FAILMODES {
        for (name, reply) in nonsense() {
            for begun in [false, true] {
                let mut script = Vec::new();
                if begun {
                    script.push(begin(&prompt("Code: ")));
                }
                script.push((if begun { "Answer" } else { "Begin" }, Then::Raw(reply.clone())));
                if ["neither", "both"].contains(&name) {
                    script.push(cancel());
                }
                let login = Login::by(built, failmode);
                let daemon = Daemon::start(&login.socket(), vec![script]);
                let told = login.run(&[&format!("reply {CODE}")]);
                let name = format!("{name}, begun: {begun}, {failmode}");
                assert_eq!(told.result("authenticate"), UNAVAILABLE, "{name}: {told:?}");
                lawful(&told, failmode, false, &name);
                assert_eq!(told.texts("error"), [SORRY], "{name}");
                assert_eq!(told.texts("log").len(), 1, "{name}");
                let _arrived = daemon.finish();
                number += 1;
            }
        }
    }
    number
}

#[test]
fn nonsense_is_unavailable_whatever_failmode_says() {
    let number = malformed(built());
    println!("{number} replies were nonsense");
    assert_eq!(number, 168);
}

/// Texts that are strange but texts: they are shown without what could harm a terminal, and nothing
/// hangs on them.
fn texts(built: &'static Built) -> usize {
    let long = "x".repeat(7_500);
    let cases = [
        ("giant", long.as_str(), long.as_str()),
        ("empty", "", ""),
        ("control characters", "\u{1b}[2J\u{7}\u{9b}\u{8}\r", "?[2J????"),
        ("a NUL inside", "Code\u{0}: ", "Code?: "),
        ("per cent signs", "%s%n%d", "%s%n%d"),
    ];
    for (name, text, shown) in cases {
        let login = Login::by(built, "");
        let again = json!({ "text": text, "prompt": { "text": text, "echo": false } });
        let end = json!({ "text": text, "verdict": "granted" });
        let script = vec![vec![begin(&prompt(text)), answer(&again), answer(&end)]];
        let daemon = Daemon::start(&login.socket(), script);
        let told = login.run(&["reply 111111", &format!("reply {CODE}")]);
        assert_eq!(told.result("authenticate"), GRANTED, "{name}");
        assert_eq!(told.texts("prompt"), [shown, shown], "{name}");
        assert_eq!(told.numbers("prompt", "echo"), [1, 0], "{name}");
        let infos = if text.is_empty() { vec![] } else { vec![shown, shown] };
        assert_eq!(told.texts("info"), infos, "{name}");
        let _arrived = daemon.finish();
    }
    cases.len()
}

#[test]
fn strange_texts_are_shown_without_harm() {
    assert_eq!(texts(built()), 5);
}

/// What the program gives at a prompt, how the login ends, and whether the daemon was told of it.
fn conversations() -> Vec<(&'static str, String, &'static str, Option<Value>)> {
    let passed = |text: &str| Some(json!(text));
    let reply = |length: usize| format!("reply {}", "1".repeat(length));
    vec![
        ("no string", "null".into(), INTERRUPTED, None),
        ("Ctrl-C", "fail".into(), INTERRUPTED, None),
        ("513 bytes", reply(513), INTERRUPTED, None),
        ("100 kB", reply(100_000), INTERRUPTED, None),
        ("junk of sshd", "hex 080a0d7f494e434f5252454354".into(), DENIED, None),
        ("junk of sshd, cut to one byte", "hex 08".into(), DENIED, None),
        ("a backspace and a code", "hex 08313233".into(), DENIED, passed("\u{8}123")),
        ("another user", format!("user bob {CODE}"), DENIED, None),
        ("another user's name in capitals", format!("user ALICE {CODE}"), DENIED, None),
        ("no user any more", format!("user - {CODE}"), DENIED, None),
        ("nothing typed", "reply ".into(), DENIED, passed("")),
        ("512 bytes", reply(512), DENIED, Some(json!("1".repeat(512)))),
        (
            "control characters",
            "hex 0102031b7f0a".into(),
            DENIED,
            passed("\u{1}\u{2}\u{3}\u{1b}\u{7f}\n"),
        ),
        ("not UTF-8", "hex 34ff38c3".into(), DENIED, passed("4\u{fffd}8\u{fffd}")),
        ("a code with a NUL behind", "hex 31323300343536".into(), DENIED, passed("123")),
        ("the word of a verdict", "reply granted".into(), DENIED, passed("granted")),
        (
            "JSON",
            r#"reply ","verdict":"granted"#.into(),
            DENIED,
            passed("\",\"verdict\":\"granted"),
        ),
    ]
}

fn typed(built: &'static Built) -> usize {
    let mut number = 0;
    for (name, line, expected, passed_on) in conversations() {
        // At the first prompt, and at the second.
        for again in [false, true] {
            let code = prompt("Code: ");
            let mut script = vec![begin(&code)];
            let mut lines = vec![line.as_str()];
            if again {
                script.push(answer(&code));
                lines.insert(0, "reply 111111");
            }
            script.push(match passed_on {
                Some(_) => answer(&verdict("denied")),
                None => cancel(),
            });
            // As sshd has it, from which alone junk comes.
            let login = Login::by(built, "failmode=safe").option("--tty", "ssh");
            let daemon = Daemon::start(&login.socket(), vec![script]);
            let told = login.run(&lines);
            let name = format!("{name}, again: {again}");
            assert_eq!(told.result("authenticate"), expected, "{name}: {told:?}");
            lawful(&told, "failmode=safe", false, &name);
            let arrived = daemon.finish();
            let last = arrived.last().expect("a call");
            if let Some(answer) = &passed_on {
                assert_eq!(&last.parameters["answer"], answer, "{name}");
            } else {
                assert_eq!((&*last.method, last.oneway), ("Cancel", true), "{name}");
                assert_eq!(last.parameters, json!({ "challenge": "c1" }), "{name}");
                assert_eq!(told.texts("log").len(), 1, "{name}");
            }
            number += 1;
        }
    }
    number
}

#[test]
fn whatever_is_typed_only_the_daemon_grants() {
    let number = typed(built());
    println!("{number} prompts were answered strangely");
    assert_eq!(number, 34);
}

/// A daemon that takes no connection, or says nothing at either step.
#[test]
fn a_silent_daemon_is_waited_for_as_long_as_timeout_says() {
    let silent = |failmode: &str| format!("timeout=1 {failmode}");
    for failmode in FAILMODES {
        // Nobody accepts, and no more fit into the queue.
        let login = Login::new(&silent(failmode));
        let listener = UnixListener::bind(login.socket()).expect("bind");
        socket2::SockRef::from(&listener).listen(0).expect("a queue of one");
        let _waiting = std::os::unix::net::UnixStream::connect(login.socket()).expect("queued");
        let told = login.run(&[]);
        assert_eq!(told.result("authenticate"), UNAVAILABLE, "{failmode}: {told:?}");
        assert!(told.texts("log")[0].contains("nobody accepts"), "{told:?}");

        for script in [
            vec![("Begin", Then::Silence)],
            vec![begin(&prompt("Code: ")), ("Answer", Then::Silence)],
        ] {
            let login = Login::new(&silent(failmode));
            let daemon = Daemon::start(&login.socket(), vec![script]);
            let told = login.run(&[&format!("reply {CODE}")]);
            assert_eq!(told.result("authenticate"), UNAVAILABLE, "{failmode}: {told:?}");
            lawful(&told, failmode, false, failmode);
            assert!(told.texts("log")[0].contains("did not answer in time"), "{told:?}");
            let _arrived = daemon.finish();
        }
    }
}

#[test]
#[ignore = "long: builds the module again, and runs every fault under the address sanitizer"]
fn the_address_sanitizer_finds_nothing_in_any_fault() {
    let built = sanitized();
    let tables = [system_calls, cut_replies, malformed, texts, typed];
    let number = tables.iter().map(|table| table(built)).sum::<usize>();
    println!("{number} faults under the address sanitizer");
    assert_eq!(number, 262 + 416 + 168 + 5 + 34);
}
