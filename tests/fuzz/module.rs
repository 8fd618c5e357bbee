//! The module's arguments, and what it makes of texts from elsewhere.

#[path = "edit.rs"]
mod edit;

use otp_proto::args::{Args, FailMode, fault_of_name, parse};

use self::edit::{TIME, edited};
use crate::text::{for_log, for_terminal, shortened, typed};

const LINES: [&[u8]; 5] = [
    b"timeout=10 socket=/run/otpd/otpd.sock failmode=secure",
    b"failmode=safe exempt_user=root,admin exempt_user=backup debug",
    b"first_factor_checked timeout=60",
    b"timeout=1 timeout=2",
    b"",
];

/// As somebody would write them.
fn written(args: &Args) -> String {
    let mut words = vec![
        format!("timeout={}", args.timeout.as_secs()),
        format!("socket={}", args.socket.display()),
    ];
    words.push(match args.failmode {
        FailMode::Secure => "failmode=secure".to_owned(),
        FailMode::Safe => "failmode=safe".to_owned(),
    });
    words.extend(args.exempt_users.iter().map(|name| format!("exempt_user={name}")));
    words.extend(args.first_factor_checked.then(|| "first_factor_checked".to_owned()));
    words.extend(args.debug.then(|| "debug".to_owned()));
    words.join("\0")
}

fn read(line: &[u8], space: u8) -> (Args, Vec<String>) {
    let words = line.split(|byte| *byte == space).filter(|word| !word.is_empty());
    // PAM gives words that end with NUL.
    parse(words.filter(|word| space == 0 || !word.contains(&0)))
}

#[test]
fn arguments() {
    bolero::check!(name = "arguments").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("arguments", input);
        let line = edited(&LINES, input);
        let (args, errors) = read(&line, b' ');
        // What is wrong leaves nothing behind in what is right.
        assert!(errors.iter().all(|error| !error.is_empty()));
        assert!((1..=60).contains(&args.timeout.as_secs()));
        assert!(args.socket.is_absolute() && args.socket.as_os_str().len() <= 107);
        assert!(args.exempt_users.iter().all(|name| fault_of_name(name).is_none()));
        // Names that a comma or another separator is in are never made up.
        assert!(args.exempt_users.iter().all(|name| !name.contains(',')));
        assert_eq!(read(written(&args).as_bytes(), 0), (args, vec![]));
        let text = String::from_utf8_lossy(&line);
        let shown = for_terminal(&text);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(shown.chars().count(), text.chars().count());
        let logged = for_log(&text);
        assert!(!logged.chars().any(char::is_control) && logged.len() <= 1024 + 16);
        let limit = usize::from(line.first().copied().unwrap_or(0));
        assert!(
            shortened(&text, limit).len() <= limit && text.starts_with(shortened(&text, limit))
        );
        assert_eq!(
            typed(&line).expose(),
            text,
            "as the standard library replaces what is no UTF-8"
        );
        if fault_of_name(&text).is_none() {
            assert!((1..=256).contains(&text.len()) && !text.contains(['/', '\0', '\n']));
        }
    });
    edit::report("arguments");
}
