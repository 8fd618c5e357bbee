//! `otpctl backup`: all that is stored, as a file.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use otp_proto::{admin, service::ServiceError};
use tempfile::NamedTempFile;

use super::{Outcome, progress::Progress};
use crate::{
    cli,
    failure::Failure,
    render::{backups, io_reason, json, word},
    session::{ANSWER_DEADLINE, Session},
};

/// Writes the backup.
pub(crate) fn run(session: &Session, arguments: &cli::Backup) -> Result<Outcome, Failure> {
    let log = !arguments.no_log;
    if arguments.file.as_os_str() == "-" {
        let mut stdout = io::stdout().lock();
        if stdout.is_terminal() {
            let why = "a backup is no text for a terminal; give a file, or pipe it on".to_owned();
            return Err(Failure::Usage(why));
        }
        let mut output = BufWriter::new(&mut stdout);
        let users = copy(session, log, &mut output, &Failure::Output)?;
        output.flush().map_err(Failure::Output)?;
        return Ok(Outcome {
            stderr: backups::taken("-", users, log),
            ..Outcome::done(String::new())
        });
    }
    let name = arguments.file.display().to_string();
    let command = format!("otpctl backup {} ", word(&name));
    let smaller = if log { " (otpctl backup --no-log is smaller)" } else { "" };
    let failed =
        |error: io::Error| Failure::Host(unwritten(&arguments.file, &command, smaller, &error));
    let mut draft = Draft::begin(&arguments.file, arguments.force).map_err(failed)?;
    let users = copy(session, log, &mut draft.0, &failed)?;
    let bytes = draft.keep(&arguments.file, arguments.force).map_err(failed)?;
    let value = json::BackedUp { file: &name, users, bytes, log };
    Ok(Outcome::either(session, &value, || backups::taken(&name, users, log) + "\n"))
}

/// Writes what the daemon hands out; how many accounts that were.
fn copy(
    session: &Session,
    log: bool,
    output: &mut impl Write,
    failed: &impl Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    let mut progress = None;
    let (mut users, mut whole) = (0, false);
    let each = |piece: admin::BackupPiece| {
        users = piece.users;
        whole = piece.text.is_empty();
        let bar = progress.get_or_insert_with(|| Progress::new(Some(piece.of)));
        bar.at(users.min(piece.of), || format!("{users} users"));
        output.write_all(piece.text.as_bytes()).map_err(failed)
    };
    let done = session.stream(&admin::Backup { log }, ANSWER_DEADLINE, each);
    if let Some(progress) = &progress {
        progress.finish();
    }
    done.map_err(root_only)?;
    // A reply that is the last one and says nothing is the end of it, and nothing else is.
    if whole { Ok(users) } else { Err(Failure::Malformed("a backup without an end".to_owned())) }
}

/// Nobody else may: what the daemon says of its administrators is not true of this.
pub(super) fn root_only(failure: Failure) -> Failure {
    match failure {
        Failure::Service(ServiceError::PermissionDenied {}) => Failure::Host(
            "only root makes, restores and moves backups, which hold everybody; run it with sudo"
                .into(),
        ),
        other => other,
    }
}

/// A file that has no name of its own yet, and gets one when it is whole.
pub(super) struct Draft(pub(super) BufWriter<NamedTempFile>);

impl Draft {
    pub(super) fn begin(path: &Path, force: bool) -> io::Result<Self> {
        if !force && path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let mut prefix = name.to_owned();
        prefix.push(".new-");
        // For root alone, like everything that the crate makes.
        let draft = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder(path))?;
        Ok(Self(BufWriter::new(draft)))
    }

    /// Gives it its name once it is on the disk; its length.
    pub(super) fn keep(self, path: &Path, force: bool) -> io::Result<u64> {
        let draft = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        draft.as_file().sync_all()?;
        let file = if force { draft.persist(path) } else { draft.persist_noclobber(path) };
        let bytes = file.map_err(|kept| kept.error)?.metadata()?.len();
        match File::open(folder(path))?.sync_all() {
            // Some file systems have nothing to write for a directory, and say so by this.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            synced => synced?,
        }
        Ok(bytes)
    }
}

/// Where a file is.
fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// `command`: what was run, for the remedy; `smaller`: what needs less room.
pub(super) fn unwritten(path: &Path, command: &str, smaller: &str, error: &io::Error) -> String {
    let name = path.display().to_string();
    match error.kind() {
        io::ErrorKind::AlreadyExists => format!(
            "{name} is there already; give another name, or put it in its place with: \
             {command}--force"
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "cannot write {name}: {}; free space or give a file on another disk{smaller}; nothing of it is \
             left there",
            io_reason(error)
        ),
        _ => format!(
            "cannot write {name}: {}; give a file in a directory that root may write to",
            io_reason(error)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::Draft;

    #[test]
    fn a_backup_gets_its_name_when_it_is_whole_and_takes_no_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.backup");
        let names = || fs::read_dir(dir.path()).expect("a directory").count();
        let draft = Draft::begin(&path, false).expect("a draft");
        assert!(!path.exists());
        drop(draft);
        assert_eq!(names(), 0, "nothing is left of what was given up");

        Draft::begin(&path, false).and_then(|draft| draft.keep(&path, false)).expect("kept");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(Draft::begin(&path, false).is_err(), "it is there");
        let forced = Draft::begin(&path, true).expect("a draft");
        assert!(forced.keep(&path, false).is_err(), "it came there meanwhile");
        Draft::begin(&path, true).and_then(|draft| draft.keep(&path, true)).expect("replaced");
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(
            Draft::begin(dir.path(), true).is_ok_and(|draft| draft.keep(dir.path(), true).is_err())
        );
        assert!(Draft::begin(&dir.path().join("no/such"), false).is_err());
        assert!(Draft::begin("/".as_ref(), true).is_err());
    }
}
