//! `restore`: the file is read twice, and the second time is held to the first.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::json;

use crate::daemon::{Crowd, otpctl};

/// Answers as to a backup of two lines; `second` is how often the changing run is answered, and `id`
/// the name of what it finds.
fn crowd(second: u32, id: &'static str) -> Crowd {
    let answered = AtomicU32::new(0);
    Crowd::new(move |request| {
        let dry_run = request["parameters"]["dry_run"] == json!(true);
        if !dry_run && answered.fetch_add(1, Ordering::Relaxed) == second {
            return String::new();
        }
        let first = request["parameters"]["text"] == json!("one\n");
        let id = if dry_run { "a" } else { id };
        let backup = first
            .then(|| json!({ "id": id, "taken_at": 1, "host": "box", "version": "1", "users": 3 }));
        let piece = json!({ "backup": backup, "users": 1, "changed": 1, "enrolled": [],
            "disabled": [], "left_removed": [], "events": 0, "complete": !first });
        json!({ "parameters": piece }).to_string()
    })
}

#[test]
fn what_was_not_checked_is_not_restored() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.backup");
    fs::write(&file, "one\ntwo\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    // As the requests are sorted: the changing run, then the one before it.
    let all = ["false one", "false two", "true one", "true two"];
    let all = all.map(|request| format!("Restore {request}\\n"));
    let cases = [
        ("the same backup", crowd(9, "a"), Some(0), "", &all[..]),
        (
            "another one",
            crowd(9, "b"),
            Some(1),
            "another backup is in the file than was checked",
            &[&all[..1], &all[2..]].concat()[..],
        ),
        (
            "it stops",
            crowd(1, "a"),
            Some(3),
            "It stopped after 1 of 2 users. What was restored",
            &all[..],
        ),
    ];
    for (name, crowd, exit, said, asked) in cases {
        let run = otpctl(&crowd.socket, &["restore", file, "--yes"], "");
        assert_eq!(run.exit, exit, "{name}: {run:?}");
        assert!(run.stderr.contains(said), "{name}: {run:?}");
        assert_eq!(crowd.requests(), asked, "{name}");
    }
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a directory");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let crowd = crowd(0, "a");
    let run = otpctl(&crowd.socket, &["restore", pipe.to_str().expect("UTF-8"), "--yes"], "");
    assert_eq!(run.exit, Some(2), "{run:?}");
    assert!(run.stderr.contains("is no file"), "{run:?}");
}
