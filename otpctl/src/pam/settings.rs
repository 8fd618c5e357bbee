//! A file of sshd's that goes when a trial ends: what it demands (a key and a code) would keep people out
//! once the stack asks for a password again.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{file::sync_folder, schedule::SYSTEMD};
use crate::render::io_reason;

/// Where such files are.
const FOLDER: &str = "/etc/ssh/sshd_config.d";

/// Where sshd writes its process id, and anew when it reads its files again.
const PID: &str = "/run/sshd.pid";

/// Whether `path` names one that may be taken away.
pub(super) fn may_go(path: &str) -> bool {
    let name = Path::new(path).strip_prefix(FOLDER).ok().and_then(Path::to_str);
    name.is_some_and(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'))
}

/// Whether `path` may be taken away.
///
/// # Errors
/// Why not, in words.
pub(super) fn check(path: &str) -> Result<(), String> {
    if !may_go(path) {
        return Err(format!("--sshd-file: {path} is no file right below {FOLDER}"));
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("--sshd-file: {path} is no plain file")),
        Err(error) => Err(format!("--sshd-file: {path}: {}", io_reason(&error))),
    }
}

/// Takes the file away, if it is there, and has a running sshd read its files anew.
///
/// # Errors
/// In words; it may be done again.
pub(super) fn take_back(path: &Path) -> Result<(), String> {
    remove(path).map_err(|error| format!("{}: {}", path.display(), io_reason(&error)))?;
    if Path::new(SYSTEMD).is_dir() { reload_unit() } else { reload_process(Path::new(PID)) }
}

/// Renames it to what no `Include` of sshd's matches, so that nothing that was written is lost.
fn remove(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match fs::rename(path, path.with_file_name(format!(".{name}.otpctl-ended"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.and_then(|()| sync_folder(path)),
    }
}

/// Debian's unit is called `ssh`, Red Hat's `sshd`. One that does not run reads its files when it does: at
/// the start of the host a reload would wait for it for ever.
fn reload_unit() -> Result<(), String> {
    let systemctl = |words: &[&str]| {
        let mut systemctl = Command::new("systemctl");
        systemctl.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        systemctl.status().is_ok_and(|status| status.success())
    };
    for unit in ["ssh.service", "sshd.service"] {
        if systemctl(&["is-active", "--quiet", unit]) {
            let reloaded = systemctl(&["reload", unit]);
            return if reloaded { Ok(()) } else { Err(format!("systemctl reload {unit} fails")) };
        }
    }
    Ok(())
}

/// The process that the file names, if it is an sshd.
fn reload_process(file: &Path) -> Result<(), String> {
    let Some(pid) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) else {
        return Ok(());
    };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let Some(process) = Pid::from_raw(pid).filter(|_| name.trim() == "sshd") else { return Ok(()) };
    kill_process(process, Signal::HUP)
        .map_err(|error| format!("sshd: {}", io_reason(&error.into())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{check, remove};

    #[test]
    fn only_a_file_of_sshds_may_be_taken_away() {
        for path in [
            "/etc/passwd",
            "/etc/ssh/sshd_config",
            "/etc/ssh/sshd_config.d",
            "/etc/ssh/sshd_config.d/",
            "/etc/ssh/sshd_config.d/../sshd_config",
            "/etc/ssh/sshd_config.d/a/b.conf",
            "/etc/ssh/sshd_config.d/.hidden",
            "10-otpd.conf",
        ] {
            let why = check(path).expect_err(path);
            assert!(why.contains("is no file right below /etc/ssh/sshd_config.d"), "{why}");
        }
        let why = check("/etc/ssh/sshd_config.d/no-such-file.conf").expect_err("not there");
        assert!(
            why.starts_with("--sshd-file: /etc/ssh/sshd_config.d/no-such-file.conf: "),
            "{why}"
        );
    }

    #[test]
    fn what_is_taken_away_lies_where_sshd_does_not_read_it() {
        let folder = tempfile::tempdir().expect("directory");
        let file = folder.path().join("10-otpd.conf");
        fs::write(&file, "UsePAM yes\n").expect("written");
        remove(&file).expect("removed");
        let left = fs::read_dir(folder.path()).expect("folder").map(|entry| entry.expect("entry"));
        let left = left.map(|entry| entry.file_name()).collect::<Vec<_>>();
        // A pattern such as `*` or `*.conf` takes no name with a leading dot.
        assert_eq!(left, [".10-otpd.conf.otpctl-ended"]);
        assert_eq!(fs::read_to_string(folder.path().join(&left[0])).expect("text"), "UsePAM yes\n");
        remove(&file).expect("again, for an end that is tried again");
    }
}
