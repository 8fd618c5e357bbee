//! `restore` and `store`: the file is read twice, and the second time is held to the first.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::json;

use crate::daemon::{Crowd, Daemon, Run, command, otpctl};

/// Answers as to a backup of two lines; `second` is how often the changing run is answered. When all was
/// checked, another file is copied over `replaced`.
fn crowd(second: u32, replaced: Option<PathBuf>) -> Crowd {
    let answered = AtomicU32::new(0);
    Crowd::new(move |request| {
        let dry_run = request["parameters"]["dry_run"] == json!(true);
        if !dry_run && answered.fetch_add(1, Ordering::Relaxed) == second {
            return String::new();
        }
        let first = request["parameters"]["text"] == json!("one\n");
        if let Some(file) = replaced.as_ref().filter(|_| dry_run && !first) {
            fs::write(file, "eno\ntwo\n").expect("written over");
        }
        let backup = first.then(
            || json!({ "id": "a", "taken_at": 1, "host": "box", "version": "1", "users": 3 }),
        );
        let piece = json!({ "backup": backup, "users": 1, "changed": 1, "enrolled": [],
            "disabled": [], "still_disabled": [], "without_codes": [], "left_removed": [], "events": 0, "complete": !first });
        json!({ "parameters": piece }).to_string()
    })
}

#[test]
fn what_was_not_checked_is_not_restored() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.backup");
    fs::write(&file, "one\ntwo\n").expect("a file");
    let replaced = Some(file.clone());
    let file = file.to_str().expect("UTF-8");
    // As the requests are sorted: the changing run, then the one before it.
    let all = ["false one", "false two", "true one", "true two"];
    let all = all.map(|request| format!("Restore {request}\\n"));
    let cases = [
        ("the same backup", crowd(9, None), Some(0), "", &all[..]),
        (
            "it stops",
            crowd(1, None),
            Some(3),
            "It stopped after 1 of 2 users. What was restored",
            &all[..],
        ),
        // Nothing of it gets to the daemon.
        (
            "another one",
            crowd(9, replaced),
            Some(1),
            "another backup is in the file than was checked",
            &all[2..],
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
    let crowd = crowd(0, None);
    let run = otpctl(&crowd.socket, &["restore", pipe.to_str().expect("UTF-8"), "--yes"], "");
    assert_eq!(run.exit, Some(2), "{run:?}");
    assert!(run.stderr.contains("is no file"), "{run:?}");
}

/// The daemon may have been at its end already when it broke off here.
#[test]
fn a_last_export_that_breaks_off_is_said_to_keep_people_out_perhaps() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.export");
    let file = file.to_str().expect("UTF-8");
    let piece = |text: &str| {
        format!(
            r#"{{"continues":true,"parameters":{{"text":"{text}","users":0,"of":0,"tally":null}}}}"#
        )
    };
    let end = r#"{"parameters":{"text":"","users":0,"of":0,"tally":null}}"#;
    let refused = r#"{"error":"org.otpd.Admin.Refused","parameters":{"reason":"it is damaged"}}"#;
    let frames = |last: &str| format!("{}\0{last}", piece("one\\n")).into_bytes();
    // More than a file may be as long as, and more than is written in one go.
    let long = piece(&"x".repeat(8192));
    let cases = [
        ("nothing comes any more", frames(""), 3, "otpd closed the connection", true),
        ("it has no end", frames(&format!("{end}\0")), 3, "an export without an end", true),
        ("no room", format!("{long}\0").repeat(4).into_bytes(), 1, "cannot write ", true),
        ("otpd gives it up", frames(&format!("{refused}\0")), 1, "it is damaged", false),
    ];
    for (name, said, exit, why, unsure) in cases {
        for last in [true, false] {
            let daemon = Daemon::raw(said.clone());
            let export = ["store", "export", file, "--yes"];
            let export = [&export[..], if last { &["--final"][..] } else { &[] }].concat();
            let mut otpctl = command(&daemon.socket, &export);
            if name == "no room" {
                otpctl = without_room(&otpctl);
            }
            let run = Run::from(otpctl.output().expect("otpctl"));
            assert_eq!(run.exit, Some(exit), "{name}: {run:?}");
            assert!(run.stderr.contains(why), "{name}: {run:?}");
            let told = run.stderr.contains("it may be that nobody is let in by this otpd any more");
            assert_eq!(told, last && unsure, "{name}: {run:?}");
            assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none(), "{name}");
            daemon.request();
        }
    }
}

/// The same, on a disk that has no room: no file may be longer than a few bytes.
fn without_room(otpctl: &Command) -> Command {
    let mut command = Command::new("/bin/sh");
    // A write beyond that fails as on a full disk, once the signal is ignored.
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]);
    command.arg(otpctl.get_program()).args(otpctl.get_args()).env_clear();
    command
}

/// All was handed out, and then there was no place for it.
#[test]
fn who_has_no_export_is_told_that_nobody_is_let_in() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.export");
    let (path, taken) = (file.to_str().expect("UTF-8").to_owned(), file.clone());
    let crowd = Crowd::new(move |_| {
        fs::write(&taken, "somebody else's").expect("a file");
        let tally = json!({ "users": 0, "numbers": 0, "recovery_codes": 0, "bypasses": 0,
            "users_checksum": "", "limits": 0, "limits_checksum": "", "together": 0,
            "events": 0, "events_checksum": "" });
        let piece = json!({ "text": "", "users": 0, "of": 0, "tally": tally });
        json!({ "parameters": piece }).to_string()
    });
    for (last, shut) in [(false, false), (true, true)] {
        let _ = fs::remove_file(&file);
        let export = ["store", "export", &path, "--yes"];
        let export = [&export[..], if last { &["--final"][..] } else { &[] }].concat();
        let run = otpctl(&crowd.socket, &export, "");
        assert_eq!(run.exit, Some(1), "{run:?}");
        assert!(run.stderr.contains("a.export is there already"), "{run:?}");
        let told = run.stderr.contains("nobody is let in by this otpd any more all the same");
        assert_eq!(told, shut, "{run:?}");
        assert_eq!(run.stderr.contains(" --final --force"), shut, "{run:?}");
    }
}
