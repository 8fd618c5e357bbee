//! What puts the old stack back when nobody confirms: a timer of systemd's, or a process that stays.

use std::{
    fmt::Display,
    fs, io,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Trial, file::write};
use crate::render::io_reason;

/// There where systemd is the init of this host.
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// Ends trials when the host starts: whoever was shut out may have switched it off and on again. The
/// start waits for the first try alone; one that fails is made again, since no timer is left.
const UNIT: &str = "/etc/systemd/system/otpctl-trial.service";
const WANTED: &str = "/etc/systemd/system/sysinit.target.wants/otpctl-trial.service";

/// After how long an end that failed is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

fn unit(program: &str) -> String {
    format!(
        "# Made by `otpctl pam enable --trial`; gone when the trial is over.\n\
         [Unit]\n\
         Description=End trials of PAM stacks that a restart interrupted\n\
         DefaultDependencies=no\n\
         After=local-fs.target\n\
         Before=sysinit.target\n\
         ConditionPathExistsGlob=/var/lib/otpctl/trials/*.json\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={program} pam revert\n\
         Restart=on-failure\n\
         RestartSec={}\n",
        AGAIN.as_secs()
    )
}

/// Has the trial end by itself; whether a restart of the host ends it too.
///
/// # Errors
/// In words.
pub(super) fn arrange(trial: &Trial, lasts: Duration) -> Result<bool, String> {
    let program = std::env::current_exe().map_err(|error| io_reason(&error))?;
    let program = program.to_str().ok_or("the path of otpctl is not UTF-8")?;
    let service = &trial.service;
    let seconds = lasts.as_secs();
    if !Path::new(SYSTEMD).is_dir() {
        let wait = format!("{seconds}s");
        let mut stay = Command::new(program);
        stay.args(["pam", "revert", service, "--in", &wait]).env_clear().current_dir("/");
        stay.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let spawned = stay.spawn().map(drop);
        return spawned.map(|()| false).map_err(|error| io_reason(&error));
    }
    at_boot(program).map_err(|error| format!("{UNIT}: {}", io_reason(&error)))?;
    let timer = Command::new("systemd-run")
        .args(["--quiet", "--collect", "--timer-property=AccuracySec=1s"])
        .arg(format!("--unit={}", timer(service, trial.since)))
        .arg(format!("--on-active={seconds}s"))
        // Again and again until it is done, which stops the timer.
        .arg(format!("--on-unit-inactive={}s", AGAIN.as_secs()))
        .args([program, "pam", "revert", service])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("systemd-run: {}", io_reason(&error)))?;
    if timer.status.success() {
        Ok(true)
    } else {
        let why = String::from_utf8_lossy(&timer.stderr);
        Err(format!("systemd-run: {}", why.lines().next().unwrap_or("it does not say why")))
    }
}

fn at_boot(program: &str) -> io::Result<()> {
    write(Path::new(UNIT), &unit(program), |_| Ok(()))?;
    if let Some(folder) = Path::new(WANTED).parent() {
        fs::create_dir_all(folder)?;
    }
    match symlink("../otpctl-trial.service", WANTED) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// The timer of a trial that began then. Each has one of its own: systemd gives no name away while the
/// timer that had it is being stopped. No service's name has a colon.
fn timer(service: &str, began: impl Display) -> String {
    format!("otpctl-trial-{service}:{began}.timer")
}

/// Nothing more is to happen for `service`, whose trial is over.
pub(super) fn cancel(service: &str) {
    if !Path::new(SYSTEMD).is_dir() && !Path::new(UNIT).exists() {
        return;
    }
    // The timer alone: its service may be what runs here. Whatever began before is over as well.
    let timers = timer(service, "*");
    let mut stop = Command::new("systemctl");
    let _ = stop.args(["--no-block", "--quiet", "stop", &timers]).stderr(Stdio::null()).status();
    if Trial::all().is_ok_and(|left| left.is_empty()) {
        let _ = fs::remove_file(WANTED);
        let _ = fs::remove_file(UNIT);
    }
}

/// Waits for so long, in a session of its own: the end of the login that it was started from does not
/// end it.
#[expect(clippy::disallowed_methods, reason = "the time is all that is waited for")]
pub(super) fn outlive(wait: Duration) {
    // Fails for the leader of a group of processes, which the terminal's shell has made: it may stay.
    let _ = rustix::process::setsid();
    std::thread::sleep(wait);
}

/// Waits before the next try.
#[expect(clippy::disallowed_methods, reason = "the time is all that is waited for")]
pub(super) fn pause() {
    std::thread::sleep(AGAIN);
}
