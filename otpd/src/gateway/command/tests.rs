use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use nix::{
    errno::Errno,
    sys::{signal::kill, stat::Mode},
    unistd::{Pid, mkfifo},
};

use tokio::time::Instant;

use super::{Channel, Command, CommandSettings, Gateway, Message, Outcome, VendorMessageId};
use crate::gateway::testing::{kind, message};

/// Long enough for a shell on a busy machine.
const PATIENT: Duration = Duration::from_secs(8);

fn command(program: &[&str], timeout: Duration) -> Command {
    let program = program.iter().map(|word| (*word).to_owned()).collect();
    Command::open(&CommandSettings { program, timeout })
}

/// Runs a script with the arguments that follow it.
async fn run(script: &str, arguments: &[&str]) -> Outcome {
    let program = [&["/bin/sh", "-c", script, "sh"], arguments].concat();
    command(&program, PATIENT).send(&message(Channel::Sms)).await
}

fn accepted(id: Option<&str>) -> Outcome {
    Outcome::Accepted { vendor_id: id.and_then(VendorMessageId::checked) }
}

#[tokio::test]
async fn the_text_comes_on_standard_input_and_the_rest_as_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen").display().to_string();
    let script = r#"{ cat; echo; pwd; env | sort | grep -v '^\(PWD\|SHLVL\|_\)='; for a; do echo "<$a>"; done; } > "$1"; echo id-7"#;
    let program = ["/bin/sh", "-c", script, "sh", &file, "--to={to}", "a b  'c\"", "{channel}", ""];
    let mut call = message(Channel::Voice);
    call.text.push_str("\n{to}");
    let outcome = command(&program, PATIENT).send(&call).await;
    assert_eq!(outcome, accepted(Some("id-7")));
    let seen = fs::read_to_string(&file).unwrap();
    let expected = format!(
        "482913 is your code\n{{to}}\n/\nPATH=/usr/bin:/bin\n<{file}>\n<--to=+13125550142>\n\
         <a b  'c\">\n<voice>\n<>\n"
    );
    assert_eq!(seen, expected);
    assert!(command(&program, PATIENT).supports(Channel::Sms));
}

#[tokio::test]
async fn the_exit_status_says_what_became_of_the_message() {
    let cases = [
        ("exit 0", "accepted"),
        ("exit 65", "rejected"),
        ("exit 67", "rejected"),
        ("exit 75", "retryable"),
        ("exit 79", "opted out"),
        ("exit 64", "misconfigured"),
        ("exit 77", "misconfigured"),
        ("exit 78", "misconfigured"),
        ("exit 126", "misconfigured"),
        ("/no/such/program", "misconfigured"),
        ("exit 1", "unknown"),
        ("exit 69", "unknown"),
        ("exit 255", "unknown"),
        ("kill -9 $$", "unknown"),
        ("kill -15 $$", "unknown"),
    ];
    for (script, expected) in cases {
        let outcome = run(script, &[]).await;
        assert_eq!(kind(&outcome), expected, "{script}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_first_line_of_output_is_the_id_and_that_of_errors_the_reason() {
    let cases = [
        ("echo m-1; echo more", accepted(Some("m-1"))),
        ("printf '\\n  m-1  \\r\\n'", accepted(Some("m-1"))),
        ("echo two words", accepted(None)),
        ("printf 'a\\033b'", accepted(None)),
        ("echo m-1 >&2", accepted(None)),
        ("", accepted(None)),
        (
            "echo; echo 'no: 482913 to +13125550142' >&2; echo second >&2; exit 65",
            Outcome::Rejected("exit status: 65: no: [code] to +1 ••• ••• ••42".to_owned()),
        ),
        ("echo out; exit 78", Outcome::Misconfigured("exit status: 78".to_owned())),
        (
            "printf '\\377\\033[31mred' >&2; exit 75",
            Outcome::Retryable { after: None, reason: "exit status: 75: \u{fffd} [31mred".into() },
        ),
        ("kill -9 $$", Outcome::Unknown("signal: 9 (SIGKILL)".to_owned())),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script, &[]).await, expected, "{script}");
    }
}

#[tokio::test]
async fn huge_output_and_closed_input_hold_nothing_up() {
    let megabytes = "head -c 10000000 /dev/zero";
    let cases = [
        ("output", format!("echo m-1; {megabytes}; {megabytes} >&2")),
        ("input closed at once", "exec <&-; echo m-1".to_owned()),
        ("input not read", "echo m-1".to_owned()),
    ];
    for (name, script) in cases {
        assert_eq!(run(&script, &[]).await, accepted(Some("m-1")), "{name}");
        // More than a pipe holds, so that writing it fails or waits.
        let mut long = message(Channel::Sms);
        long.text.push_str(&"x".repeat(200_000));
        let program = ["/bin/sh", "-c", &script];
        assert_eq!(command(&program, PATIENT).send(&long).await, accepted(Some("m-1")), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_misconfigured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, mode) in [("plain", 0o600), ("no-program", 0o700)] {
        fs::write(path(name), [0x7f, b'E', b'L', b'F', 1]).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let cases = [
        (path("missing"), "No such file"),
        (path("plain"), "Permission denied"),
        (path("no-program"), "Exec format error"),
        (folder.path().display().to_string(), "Permission denied"),
    ];
    for (program, expected) in cases {
        match command(&[&program], PATIENT).send(&message(Channel::Sms)).await {
            Outcome::Misconfigured(reason) => {
                assert!(reason.starts_with("cannot be started: "), "{reason}");
                assert!(reason.contains(expected), "{program}: {reason}");
            }
            other => panic!("{program}: {other:?}"),
        }
    }
}

/// A script whose grandchild writes its own number to `pids` and then waits for ever.
fn forker(folder: &Path, then: &str) -> (String, std::path::PathBuf) {
    let pids = folder.join("pids");
    let script =
        format!("sleep 1000 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; {then}", pids.display());
    (script, pids)
}

/// Whether a process is gone, or dead and only not collected by its parent yet.
fn is_dead(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = state.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'));
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) || zombie
}

async fn dies(pids: &Path) {
    let pid: i32 = fs::read_to_string(pids).unwrap().trim().parse().unwrap();
    // SIGKILL is delivered when the kernel gets to it; that is soon, and nothing tells when.
    let begun = Instant::now();
    while !is_dead(pid) {
        assert!(begun.elapsed() < PATIENT, "{pid} lives on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_that_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let (script, pids) = forker(folder.path(), "echo stuck >&2; wait");
    let slow = command(&["/bin/sh", "-c", &script], Duration::from_secs(5));
    let outcome = slow.send(&message(Channel::Sms)).await;
    assert_eq!(outcome, Outcome::Unknown("not done within 5 s: stuck".to_owned()));
    dies(&pids).await;
}

#[tokio::test]
async fn what_a_program_leaves_at_its_pipes_is_killed_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (script, pids) = forker(folder.path(), "echo m-1");
    let begun = Instant::now();
    assert_eq!(run(&script, &[]).await, accepted(Some("m-1")));
    assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
    dies(&pids).await;
}

#[tokio::test]
async fn a_login_that_is_given_up_ends_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    mkfifo(&started, Mode::S_IRWXU).unwrap();
    let (script, pids) = forker(folder.path(), &format!("echo > '{}'; wait", started.display()));
    let sender = command(&["/bin/sh", "-c", &script], PATIENT);
    let message: Message = message(Channel::Sms);
    let ready = tokio::task::spawn_blocking(move || fs::read(started));
    tokio::select! {
        outcome = sender.send(&message) => panic!("{outcome:?}"),
        ready = ready => assert_eq!(ready.unwrap().unwrap(), b"\n"),
    }
    dies(&pids).await;
}
