//! What only a terminal sees.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::daemon::Crowd;

/// Runs it on a terminal of its own; all that is written there.
fn on_a_terminal(crowd: &Crowd, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_otpctl");
    let line = format!("{program} {arguments} --socket {}", crowd.socket.display());
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .expect("script(1)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_list_shows_how_far_it_is_without_colours_and_cleans_up() {
    let crowd = Crowd::new(|request| {
        let user = &request["parameters"]["user"];
        let subscriber = json!({ "user": user, "phone": "+1", "country": "US", "channel": "sms",
            "state": "pending", "created_at": 1, "verified_at": null });
        json!({ "parameters": { "subscriber": subscriber, "unchanged": false } }).to_string()
    });
    let list = (0..200).map(|nth| format!("u{nth},+1")).collect::<Vec<_>>().join("\n");
    let path = crowd.socket.with_file_name("list.csv");
    std::fs::write(&path, list).expect("a list");
    let seen = on_a_terminal(&crowd, &format!("enroll --from {}", path.display()));
    assert!(seen.contains(" %") && seen.contains(" done, 0 failed"), "{seen:?}");
    let (_, after) = seen.rsplit_once("\u{1b}[2K").expect("the bar's line is cleared");
    assert!(after.contains("200 enrolled, 0 already, 0 failed\r\n"), "{seen:?}");
    let coloured = seen.split("\u{1b}[").skip(1).any(|rest| {
        rest.find(|c: char| c.is_ascii_alphabetic()).is_some_and(|end| rest[end..].starts_with('m'))
    });
    assert!(!coloured, "{seen:?}");
}
