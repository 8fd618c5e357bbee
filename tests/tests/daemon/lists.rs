//! Lists of users: registered once and sent to once, however often it is killed and run again.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use otp_proto::admin::{List, Listed, State, Status, Subscriber};
use otpd_tests::{
    daemon::{ADMIN_GROUP, Daemon, Place, otpctl},
    phone::Phone,
};

use super::people::{ids, outcome};

/// Rows of the long list.
const ROWS: usize = 2_000;

/// The host's own accounts, and one for every row.
fn accounts() -> String {
    let own = fs::read_to_string("/etc/passwd").expect("accounts");
    let rows = (0..ROWS).map(|nth| format!("u{nth}:x:{}:65534::/:/bin/false", 30_000 + nth));
    own.trim_end().lines().map(str::to_owned).chain(rows).collect::<Vec<_>>().join("\n") + "\n"
}

fn number(nth: usize) -> String {
    format!("+1312556{nth:04}")
}

fn list() -> String {
    let rows = (0..ROWS).map(|nth| format!("u{nth},{}", number(nth)));
    ["user,phone".to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\r\n")
}

/// Starts it, and kills it once `seen` says so.
fn kill_once(mut command: Command, mut seen: impl FnMut() -> bool) {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("otpctl starts");
    while !seen() {
        assert!(child.try_wait().expect("a child").is_none(), "it was done before it was killed");
    }
    child.kill().expect("it runs");
    child.wait().expect("an end");
}

fn pending(daemon: &Daemon) -> usize {
    let status = daemon.connect().call(&Status {}).expect("a status");
    usize::try_from(status.pending).expect("a number")
}

fn subscribers(daemon: &Daemon) -> Vec<Subscriber> {
    let mut wire = daemon.connect();
    let mut all = Vec::new();
    let call =
        serde_json::json!({ "method": "org.otpd.Admin.List", "parameters": List {}, "more": true });
    assert!(wire.send(&otpd_tests::wire::frame(&call)));
    while let Some(Listed { subscriber: Some(row), opted_out: None, damaged: None }) =
        wire.reply::<List>().map(|reply| reply.expect("a row"))
    {
        all.push(row);
    }
    all
}

/// The counts in `3 enrolled, 2 already, 1 failed`.
fn counts(stdout: &str) -> Vec<usize> {
    let line = stdout.lines().next().expect("a summary");
    line.split(' ').filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_list_that_is_killed_and_run_again_registers_and_sends_once() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start_among(&accounts());
    let path = place.file("list.csv");
    fs::write(&path, list()).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let register = ["enroll", "--from", path];
    let send = ["enroll", "--from", path, "--send"];

    kill_once(place.otpctl(&register), || pending(&daemon) >= ROWS / 10);
    let (exit, stdout, stderr) = outcome(place.otpctl(&register));
    assert_eq!((exit, &*stderr), (Some(0), ""));
    let [enrolled, already, 0] = counts(&stdout)[..] else { panic!("{stdout}") };
    assert_eq!(enrolled + already, ROWS);
    assert!(enrolled > 0 && already >= ROWS / 10, "it was killed in the middle: {stdout}");
    let users = subscribers(&daemon);
    let names = users.iter().map(|row| row.user.clone()).collect::<BTreeSet<_>>();
    assert_eq!((users.len(), names.len()), (ROWS, ROWS), "everybody, once");
    assert!(users.iter().all(|row| row.state == State::Pending));
    assert!(phone.pending().is_none(), "a message was sent before --send");

    let mut messages = Vec::new();
    kill_once(place.otpctl(&send), || {
        messages.extend(phone.pending());
        messages.len() >= ROWS / 10
    });
    let (exit, stdout, stderr) = outcome(place.otpctl(&send));
    assert_eq!((exit, &*stderr), (Some(0), ""));
    assert_eq!(counts(&stdout), [0, ROWS, 0]);
    let (exit, stdout, _) = outcome(place.otpctl(&send));
    assert_eq!(
        (exit, stdout),
        (Some(0), format!("0 enrolled, {ROWS} already, 0 failed\n0 codes were sent\n"))
    );
    messages.extend(std::iter::from_fn(|| phone.pending()));
    // The last ones of the run that was killed may still be on their way.
    while messages.len() < ROWS {
        messages.push(phone.next());
    }
    assert!(phone.pending().is_none(), "a message too many");
    let reached = messages.iter().map(|message| message.to.clone()).collect::<BTreeSet<_>>();
    assert_eq!(reached, (0..ROWS).map(number).collect(), "everybody, once");
    assert!(messages.iter().all(|message| message.text.contains(" proves this number ")));
}

/// `otpctl` as a member of the admin group runs it.
fn as_member(place: &Place, arguments: &[&str]) -> Command {
    let (uid, gid) = ids(ADMIN_GROUP);
    let copy = place.file("otpctl");
    fs::copy(otpctl(), &copy).expect("a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Command::new(copy);
    command.args(arguments).arg("--socket").arg(place.socket()).uid(uid).gid(gid);
    command
}

#[test]
fn an_administrator_registers_a_list_within_the_seats_of_a_user() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start_among(&accounts());
    let path = place.file("list.csv");
    let list = format!(
        "{}\nroot,+13125550142\n{ADMIN_GROUP},+13125550143\nnobody-here,+13125550144",
        list()
    );
    fs::write(&path, list).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
    let arguments = ["enroll", "--from", path.to_str().expect("UTF-8")];
    let (exit, stdout, stderr) = outcome(as_member(&place, &arguments));
    assert_eq!(exit, Some(1), "{stderr}");
    assert_eq!(counts(&stdout), [ROWS, 0, 3], "{stderr}");
    for (row, why) in [
        (ROWS + 2, "root: you may not"),
        (ROWS + 3, "games: you may not"),
        (ROWS + 4, "nobody-here: there is no account"),
    ] {
        assert!(stderr.contains(&format!("otpctl: row {row}, {why}")), "{stderr}");
    }
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert_eq!(pending(&daemon), ROWS);
    assert!(phone.pending().is_none());
}

#[test]
fn a_limit_that_holds_is_a_failure_and_a_later_run_goes_on() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let settings = place.settings(&phone);
    let capped = settings.replace("[limits]\n", "[limits]\nmax-messages-per-day = 5\n");
    place.configure(&capped);
    let daemon = place.start_among(&accounts());
    let path = place.file("list.csv");
    let rows = (0..8).map(|nth| format!("u{nth},{}", number(nth))).collect::<Vec<_>>();
    fs::write(&path, rows.join("\n")).expect("a file");
    let send = ["enroll", "--from", path.to_str().expect("UTF-8"), "--send"];
    let (exit, stdout, stderr) = outcome(place.otpctl(&send));
    assert_eq!((exit, counts(&stdout)), (Some(1), vec![5, 0, 3]), "{stderr}");
    assert_eq!(stderr.matches("the limit max-messages-per-day holds since").count(), 3);
    assert_eq!(stderr.matches("run this again after 2").count(), 3, "{stderr}");
    drop(daemon);
    place.configure(&settings);
    let _daemon = place.start_among(&accounts());
    let (exit, stdout, _) = outcome(place.otpctl(&send));
    assert_eq!((exit, &*stdout), (Some(0), "0 enrolled, 8 already, 0 failed\n3 codes were sent\n"));
    let reached = (0..8).map(|_| phone.next().to).collect::<BTreeSet<_>>();
    assert_eq!(reached, (0..8).map(number).collect());
    assert!(phone.pending().is_none());
}
