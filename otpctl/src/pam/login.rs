//! Whether this process is part of a login that came after a change: the proof that logging in works.

use std::fs;

use super::Trial;
use crate::render::io_reason;

const NO_PROC: &str = "/proc is not there, which a trial needs";

/// The names of the processes that a login by a service is made of; none where it is not known.
pub(super) fn programs(service: &str) -> Option<&'static [&'static str]> {
    match service {
        // Since OpenSSH 9.8 a program of its own serves a connection.
        "sshd" => Some(&["sshd", "sshd-session"]),
        "login" => Some(&["login"]),
        "su" | "su-l" => Some(&["su"]),
        "sudo" | "sudo-i" => Some(&["sudo"]),
        _ => None,
    }
}

/// One process as `/proc/PID/stat` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    name: String,
    parent: u32,
    /// When it was started, in clock ticks since the host was.
    start: u64,
}

/// Reads `PID (NAME) STATE PPID …`. A name may hold spaces and parentheses.
fn parse(text: &str) -> Option<Process> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    // The 22nd field of proc_pid_stat(5).
    let start = fields.nth(17)?.parse().ok()?;
    Some(Process { name: name.to_owned(), parent, start })
}

fn process(pid: u32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// When this process was started.
///
/// # Errors
/// In words.
pub(super) fn own_start() -> Result<u64, String> {
    let own = process(std::process::id());
    own.map(|own| own.start).ok_or_else(|| NO_PROC.to_owned())
}

/// The name that the kernel has given this start of the host.
///
/// # Errors
/// In words.
pub(super) fn boot() -> Result<String, String> {
    const FILE: &str = "/proc/sys/kernel/random/boot_id";
    let text =
        fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {}", io_reason(&error)))?;
    Ok(text.trim().to_owned())
}

/// Whether a code was asked for and right since the trial began: `granted` names the services that the
/// daemon let somebody in by since then. The program alone is no proof: sudo remembers its caller, a key
/// may let in by itself, and su asks root for nothing.
///
/// # Errors
/// Why not, and what to do, in words.
pub(super) fn proved(trial: &Trial, granted: &[String]) -> Result<(), String> {
    let Trial { service, with, asks, .. } = trial;
    let counts = |name: &String| name == service || with.as_ref() == Some(name);
    if !asks || granted.iter().any(counts) {
        return Ok(());
    }
    Err(format!(
        "otpd has let nobody in by {service} with a code since the change: who is exempt, remembered by \
         sudo, or let in by a key alone proves nothing, nor does a rehearsal; log in by {service} with a \
         code, and run it there"
    ))
}

/// Whether this process belongs to a login by the service that began after the trial did.
///
/// # Errors
/// Why not, and what to do, in words.
pub(super) fn is_new(trial: &Trial) -> Result<(), String> {
    if boot()? != trial.boot {
        return Err(format!(
            "the host was started anew since, which ends the trial; if a code is still asked for, run: \
             otpctl pam revert {}",
            trial.service
        ));
    }
    judge(trial, process, std::process::id())
}

/// The nearest process of the service among those that this one descends from counts: a second session
/// over an old connection has an old one.
fn judge(trial: &Trial, process: impl Fn(u32) -> Option<Process>, own: u32) -> Result<(), String> {
    let Trial { service, began, .. } = trial;
    let names = programs(service).unwrap_or_default();
    let Some(mut below) = process(own) else { return Err(NO_PROC.to_owned()) };
    let mut pid = below.parent;
    while let Some(one) = process(pid).filter(|_| pid > 1) {
        if names.contains(&one.name.as_str()) {
            // A waiting getty becomes login without another start; the shell is made after the code.
            let start = if service == "login" { below.start } else { one.start };
            return if start > *began {
                Ok(())
            } else {
                Err(format!(
                    "this login by {service} is older than the change; log in anew, and run it there"
                ))
            };
        }
        pid = one.parent;
        below = one;
    }
    Err(format!("this is no login by {service}; log in by it, and run it there"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Process, Trial, is_new, judge, own_start, parse, proved};

    #[test]
    fn processes_are_read_as_the_kernel_writes_them() {
        let stat = "42 (a) b (c)) S 7 42 42 34816 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2\n";
        let expected = Process { name: "a) b (c)".into(), parent: 7, start: 98765 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("42 (a) S 7 42"), None);
        assert!(own_start().expect("our own") > 0);
    }

    #[test]
    fn only_a_login_after_the_change_counts() {
        let table = |old: u64, new: u64| {
            move |pid: u32| {
                let (name, parent, start) = match pid {
                    11 => ("otpctl", 10, new + 9),
                    10 => ("bash", 9, new + 1),
                    9 => ("sshd", 8, new),
                    8 => ("sshd", 2, old),
                    2 => ("systemd", 1, 1),
                    22 => ("otpctl", 20, 901),
                    20 => ("bash", 21, 900),
                    21 => ("tmux: server", 1, 900),
                    32 => ("otpctl", 31, 901),
                    31 => ("sudo", 10, 900),
                    42 => ("otpctl", 41, 901),
                    41 => ("bash", 40, new),
                    40 => ("login", 1, old),
                    _ => return None,
                };
                Some(Process { name: name.into(), parent, start })
            }
        };
        let cases = [
            ("a new connection", "sshd", 600, 11, None),
            ("with sudo between", "sshd", 600, 32, None),
            ("an old connection", "sshd", 400, 11, Some("older than the change")),
            ("none", "sshd", 600, 22, Some("no login by sshd")),
            ("by another service", "login", 600, 11, Some("no login by login")),
            ("from a getty that waited", "login", 600, 42, None),
            ("an old session on the console", "login", 400, 42, Some("older than the change")),
        ];
        for (name, service, new, own, expected) in cases {
            let mut trial = trial(service);
            trial.began = 500;
            match (judge(&trial, table(100, new), own), expected) {
                (done, None) => assert_eq!(done, Ok(()), "{name}"),
                (done, Some(expected)) => {
                    let why = done.expect_err(name);
                    assert!(why.contains(expected), "{name}: {why}");
                }
            }
        }
    }

    #[test]
    fn after_a_restart_what_ends_the_trial_is_named() {
        let why =
            is_new(&Trial { boot: "another".into(), ..trial("sshd") }).expect_err("restarted");
        assert!(why.ends_with("run: otpctl pam revert sshd"), "{why}");
    }

    fn trial(service: &str) -> Trial {
        Trial::begin(service, None, true, Duration::from_mins(1), "", "").expect("begun")
    }

    #[test]
    fn a_code_must_have_been_right() {
        let with = |service, with: &str| Trial { with: Some(with.into()), ..trial(service) };
        let cases = [
            ("granted", trial("sshd"), &["su", "sshd"][..], true),
            ("by another service", trial("sshd"), &["su", "sudo"], false),
            ("nothing", trial("sudo"), &[], false),
            ("what goes with sudo", with("sudo-i", "sudo"), &["sudo"], true),
            ("a trial without codes", Trial { asks: false, ..trial("sshd") }, &[], true),
        ];
        for (name, trial, granted, expected) in cases {
            let granted = granted.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(proved(&trial, &granted).is_ok(), expected, "{name}");
        }
        let why = proved(&trial("sudo"), &[]).expect_err("nothing");
        assert!(why.contains("remembered by sudo"), "{why}");
    }
}
