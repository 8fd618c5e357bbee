//! What is the same for all verbs: refusals, a daemon that is not there or talks nonsense, output
//! that nobody takes, wrong usage.

use std::{fs::File, io::pipe, os::unix::net::UnixListener, path::Path, process::Stdio};

use crate::daemon::{Daemon, Run, command, otpctl};

#[test]
fn refusals_are_worded_and_exit_with_1() {
    let cases = [
        (
            "org.otpd.Admin.NoSuchUser",
            r#"{"user":"eve"}"#,
            "there is no account \"eve\" on this host (getent passwd eve finds none); check the \
             spelling\n",
        ),
        ("org.varlink.service.PermissionDenied", "{}", "you may not do this: it takes root or a"),
        ("org.otpd.Admin.Later", "{}", "otpd answers with an error that otpctl"),
    ];
    for (error, parameters, expected) in cases {
        let (_, run) = Daemon::refuses(error, parameters).run(&["show", "eve"], "");
        assert_eq!((run.exit, &*run.stdout), (Some(1), ""), "{error}");
        assert!(run.stderr.starts_with(&format!("otpctl: {expected}")), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1);
    }
}

#[test]
fn a_daemon_that_is_not_there_exits_with_3() {
    let dir = tempfile::tempdir().expect("directory");
    let absent = dir.path().join("absent");
    let left_behind = dir.path().join("left-behind");
    drop(UnixListener::bind(&left_behind).expect("bind"));
    for (socket, reason) in
        [(absent, "No such file or directory"), (left_behind, "Connection refused")]
    {
        let expected = format!(
            "otpctl: otpd does not answer at {} ({reason}): systemctl status otpd.socket otpd\n",
            socket.display()
        );
        assert_eq!(otpctl(&socket, &["list"], ""), Run::new(3, "", &expected));
    }
}

#[test]
fn nonsense_instead_of_a_reply_exits_with_3() {
    let misfit = "otpctl: what answers at ";
    let long = vec![b'x'; 20_000];
    let cases: [(&str, &[u8], &str); 5] = [
        ("not JSON", b"HTTP/1.1 400\0", misfit),
        ("fields missing", b"{\"parameters\":{}}\0", misfit),
        ("end of file", b"", "otpctl: otpd closed the connection without an answer; "),
        ("half a reply", b"{\"para", "otpctl: otpd closed the connection without an answer; "),
        ("too long", &long, "otpctl: the exchange with otpd failed (frame longer than 16384 bytes"),
    ];
    for (name, reply, expected) in cases {
        let (_, run) = Daemon::raw(reply).run(&["show", "alice"], "");
        assert_eq!((run.exit, &*run.stdout), (Some(3), ""), "{name}");
        assert!(run.stderr.starts_with(expected), "{name}: {}", run.stderr);
    }
}

#[test]
fn a_reader_that_stops_early_is_no_error_and_a_full_disk_is() {
    let broken = || {
        let (reader, writer) = pipe().expect("pipe");
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("/dev/full"));
    let stderr = "otpctl: cannot write to standard output: No space left on device\n";
    for (stdout, exit, expected) in [(broken(), 0, ""), (full(), 1, stderr)] {
        let daemon = Daemon::replies("{}");
        let mut command = command(&daemon.socket, &["confirm-clock"]);
        command.stdout(stdout).stderr(Stdio::piped());
        let output = command.spawn().and_then(std::process::Child::wait_with_output);
        assert_eq!(Run::from(output.expect("otpctl")), Run::new(exit, "", expected));
        daemon.request();
    }
    let help = command(Path::new("/s"), &["--help"]).stdout(broken()).status().expect("otpctl");
    assert_eq!(help.code(), Some(0));
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let wrong: [&[&str]; 16] = [
        &[],
        &["frobnicate"],
        &["show"],
        &["show", ""],
        &["enroll", "alice"],
        &["enroll", "alice", "+1", "--channel", "fax"],
        &["list", "alice"],
        &["log", "--limit", "-1"],
        &["explain"],
        &["enroll", "--send"],
        &["enroll", "alice", "+1", "--send"],
        &["enroll", "alice", "--from", "list.csv"],
        &["test-message"],
        &["test-message", ""],
        &["completions"],
        &["completions", "csh"],
    ];
    for arguments in wrong {
        let run = otpctl(Path::new("/nonexistent"), arguments, "");
        assert_eq!((run.exit, &*run.stdout), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains("--help"), "{arguments:?}: {}", run.stderr);
    }
    let verbs = [
        "enroll",
        "verify",
        "resend",
        "list",
        "show",
        "disable",
        "enable",
        "remove",
        "unlock",
        "recovery-codes",
        "bypass",
        "test-message",
        "completions",
        "status",
        "confirm-clock",
        "log",
        "explain",
    ];
    for verb in verbs {
        let run = otpctl(Path::new("/nonexistent"), &[verb, "--help"], "");
        assert_eq!((run.exit, &*run.stderr), (Some(0), ""), "{verb}");
        assert!(run.stdout.contains(&format!("  otpctl {verb}")), "{verb}: {}", run.stdout);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{verb}");
    }
    let run = otpctl(Path::new("/nonexistent"), &["--version"], "");
    let version = format!("otpctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run, Run::new(0, &version, ""));
}
