//! Accounts of the host that the tests borrow, and what an administrator runs.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use otpd_tests::daemon::Place;

/// Accounts that every Debian has, each with a number of its own.
pub(crate) const PEOPLE: [(&str, &str); 4] = [
    ("man", "+13125550142"),
    ("lp", "+13125550143"),
    ("mail", "+13125550144"),
    ("news", "+13125550145"),
];

/// Uid and gid of an account.
pub(crate) fn ids(user: &str) -> (u32, u32) {
    let accounts = fs::read_to_string("/etc/passwd").expect("accounts");
    let row = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(user);
        let mut number = || fields.next().and_then(|field| field.parse::<u32>().ok());
        // The password comes first, and is no number.
        let _ = number();
        found.then(|| number().zip(number())).flatten()
    });
    row.unwrap_or_else(|| panic!("no account {user} on this host"))
}

/// The program that connects as somebody else, where everybody can run it.
pub(crate) fn relay(place: &Place) -> PathBuf {
    let copy = place.file("relay");
    fs::copy(env!("CARGO_BIN_EXE_relay"), &copy).expect("a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
    copy
}

/// What came of a run of otpctl: exit status, standard output and error.
pub(crate) fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("otpctl runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A Python program that works on a file, once it has said its first line; it ends with its input.
pub(crate) fn script(source: &str, file: &Path) -> (Child, String) {
    let mut child = Command::new("python3")
        .args(["-c", source])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    (child, line)
}
