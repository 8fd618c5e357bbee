//! `otpctl backup`: all that is stored, as a file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, IsTerminal, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use otp_proto::{admin, service::ServiceError};
use tempfile::NamedTempFile;

use super::{Outcome, progress::Progress};
use crate::{
    Exit, cli,
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
        let (users, damaged) = copy(session, log, &mut output, &Failure::Output)?;
        output.flush().map_err(Failure::Output)?;
        let stderr = backups::taken("-", users, log);
        return Ok(missing(Outcome { stderr, ..Outcome::done(String::new()) }, &damaged));
    }
    let name = arguments.file.display().to_string();
    let command = format!("otpctl backup {} ", word(&name));
    let smaller = if log { " (otpctl backup --no-log is smaller)" } else { "" };
    let failed =
        |error: io::Error| Failure::Host(unwritten(&arguments.file, &command, smaller, &error));
    let mut draft = Draft::begin(&arguments.file, arguments.force).map_err(failed)?;
    let (users, damaged) = copy(session, log, &mut draft.0, &failed)?;
    let bytes = draft.keep(&arguments.file, arguments.force, &failed)?;
    let value = json::BackedUp { file: &name, users, bytes, log, damaged: &damaged };
    let done = Outcome::either(session, &value, || backups::taken(&name, users, log) + "\n");
    Ok(missing(done, &damaged))
}

/// Says what is not in a backup, where anything is missing. It is of use all the same.
fn missing(done: Outcome, damaged: &json::NotBackedUp) -> Outcome {
    match backups::missing(damaged) {
        Some(missing) => {
            let before = if done.stderr.is_empty() { String::new() } else { done.stderr + "\n" };
            Outcome { stderr: before + &missing, exit: Exit::Incomplete, ..done }
        }
        None => done,
    }
}

/// Writes what the daemon hands out; how many accounts that were, and what is not among it.
fn copy(
    session: &Session,
    log: bool,
    output: &mut impl Write,
    failed: &impl Fn(io::Error) -> Failure,
) -> Result<(u64, json::NotBackedUp), Failure> {
    let mut progress = None;
    let (mut users, mut whole) = (0, false);
    let mut damaged = json::NotBackedUp::default();
    let each = |piece: admin::BackupPiece| {
        users = piece.users;
        whole = piece.text.is_empty();
        damaged.users = piece.damaged;
        damaged.names = piece.damaged_users;
        damaged.limits = piece.damaged_limits;
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
    if whole {
        Ok((users, damaged))
    } else {
        Err(Failure::Malformed("a backup without an end".to_owned()))
    }
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

/// What the names of drafts begin with; the rest is random.
const DRAFT: &str = ".otpctl-draft-";
/// How many are made until one stays: each that does not is removed by another run that has just begun.
const DRAFTS: usize = 100;

/// A file that has no name of its own yet, and gets one when it is whole.
pub(super) struct Draft(pub(super) BufWriter<NamedTempFile>);

impl Draft {
    pub(super) fn begin(path: &Path, force: bool) -> io::Result<Self> {
        if !force && path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let folder = folder(path);
        sweep(folder);
        // For root alone, like everything that the crate makes.
        let draft = locked(|| tempfile::Builder::new().prefix(DRAFT).tempfile_in(folder))?;
        Ok(Self(BufWriter::new(draft)))
    }

    /// Gives it its name once it is on the disk; its length. `failed` words what kept it from that.
    pub(super) fn keep(
        self,
        path: &Path,
        force: bool,
        failed: &impl Fn(io::Error) -> Failure,
    ) -> Result<u64, Failure> {
        self.keep_by(path, force, failed, sync)
    }

    pub(super) fn keep_by(
        self,
        path: &Path,
        force: bool,
        failed: &impl Fn(io::Error) -> Failure,
        sync: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<u64, Failure> {
        let named = || {
            let draft = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
            draft.as_file().sync_all()?;
            let bytes = draft.as_file().metadata()?.len();
            let file = if force { draft.persist(path) } else { draft.persist_noclobber(path) };
            file.map(|_| bytes).map_err(|kept| kept.error)
        };
        let bytes = named().map_err(failed)?;
        // It is there from here on, whatever comes.
        sync(folder(path)).map_err(|error| Failure::Host(unsynced(path, &error)))?;
        Ok(bytes)
    }
}

/// A draft that no other run takes for left over. Before it is locked one may, and remove it: then another
/// is made. The folder itself is not locked, which anybody could who may read it.
fn locked(make: impl Fn() -> io::Result<NamedTempFile>) -> io::Result<NamedTempFile> {
    for _ in 0..DRAFTS {
        let draft = make()?;
        // Where the file system has no locks nobody removes what another run has made.
        let taken = matches!(draft.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !taken && is_there(&draft)? {
            return Ok(draft);
        }
    }
    Err(io::Error::other("what is written there is removed at once by somebody else"))
}

/// Whether a draft still has its name.
fn is_there(draft: &NamedTempFile) -> io::Result<bool> {
    let own = draft.as_file().metadata()?;
    let found = draft.path().symlink_metadata();
    Ok(found.is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino())))
}

/// Has a folder's names written to the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems have nothing to write for a directory, and say so by this.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Removes drafts that a killed run has left: nobody holds their locks. One that stays is in nobody's way.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let drafts = entries.filter(|entry| entry.file_name().as_bytes().starts_with(DRAFT.as_bytes()));
    for draft in drafts {
        // Somebody else may write to the folder: no link is followed, and nothing is waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = flags.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(draft.path());
        let left = file.is_ok_and(|file| {
            let own = rustix::process::geteuid().as_raw();
            file.metadata().is_ok_and(|found| found.is_file() && found.uid() == own)
                && file.try_lock().is_ok()
        });
        if left {
            let _ = fs::remove_file(draft.path());
        }
    }
}

/// The file has its name, and only that may get lost.
fn unsynced(path: &Path, error: &io::Error) -> String {
    format!(
        "{} is there and whole, but its directory cannot be written to the disk: {}; mend the disk, and \
         see that the file is still there after a crash",
        path.display(),
        io_reason(error)
    )
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
    use std::{
        cell::RefCell,
        fs::{self, File, OpenOptions},
        io,
        os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
        path::Path,
        sync::mpsc,
        thread,
        time::Duration,
    };

    use tempfile::NamedTempFile;

    use super::{DRAFT, Draft, Failure, locked, unwritten};

    fn keep(draft: Draft, path: &Path, force: bool) -> Result<u64, Failure> {
        draft.keep(path, force, &|error| {
            Failure::Host(unwritten(path, "otpctl backup ", "", &error))
        })
    }

    #[test]
    fn what_is_there_is_never_said_not_to_be() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.backup");
        let draft = Draft::begin(&path, false).expect("a draft");
        let failed = |error| Failure::Host(unwritten(&path, "otpctl backup ", "", &error));
        let fails = |_: &Path| Err(io::Error::from(io::ErrorKind::StorageFull));
        let Err(Failure::Host(why)) = draft.keep_by(&path, false, &failed, fails) else {
            panic!("it is not said")
        };
        assert!(path.exists());
        assert!(why.contains("is there and whole") && !why.contains("nothing of it"), "{why}");
    }

    #[test]
    fn what_a_killed_run_left_is_gone_with_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = |name: &str| dir.path().join(name);
        let left = place(&format!("{DRAFT}killed"));
        fs::write(&left, "half").expect("a file");
        // Another run is at work, somebody has another file, and somebody made a link.
        let at_work = Draft::begin(&place("other.backup"), false).expect("a draft");
        assert!(!left.exists());
        let foreign = place("a.backup.new-mine");
        fs::write(&foreign, "mine").expect("a file");
        let link = place(&format!("{DRAFT}link"));
        symlink(&foreign, &link).expect("a link");
        let draft = Draft::begin(&place("a.backup"), false).expect("a draft");
        assert!(at_work.0.get_ref().path().exists() && foreign.exists());
        assert!(link.symlink_metadata().is_ok());
        keep(draft, &place("a.backup"), false).expect("kept");
        keep(at_work, &place("other.backup"), false).expect("kept");
        // With its name a file is no draft, whoever holds a lock.
        assert!(File::open(place("a.backup")).is_ok_and(|file| file.try_lock().is_ok()));
    }

    #[test]
    fn nobody_holds_a_backup_up_by_a_lock_on_its_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = File::open(dir.path()).expect("a directory");
        held.lock().expect("a lock");
        let (begun, told) = mpsc::channel();
        let path = dir.path().join("a.backup");
        thread::spawn(move || begun.send(Draft::begin(&path, false).is_ok()));
        assert_eq!(told.recv_timeout(Duration::from_mins(1)), Ok(true));
    }

    #[test]
    fn a_draft_that_another_run_removes_or_looks_at_is_made_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let (paths, looks) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let make = || {
            let draft = NamedTempFile::new_in(dir.path())?;
            let nth = paths.borrow().len();
            paths.borrow_mut().push(draft.path().to_owned());
            if nth == 0 {
                fs::remove_file(draft.path())?;
            } else if nth == 1 {
                let other = File::open(draft.path())?;
                other.lock()?;
                looks.borrow_mut().push(other);
            }
            Ok(draft)
        };
        let draft = locked(make).expect("a draft");
        assert_eq!(paths.borrow().len(), 3);
        assert_eq!(paths.borrow().last().map(AsRef::as_ref), Some(draft.path()));
        let other = File::open(draft.path()).expect("its file");
        assert!(other.try_lock().is_err(), "it is locked");
        // Where one is removed each time, that has an end.
        let removed = || {
            let draft = NamedTempFile::new_in(dir.path())?;
            fs::remove_file(draft.path())?;
            Ok(draft)
        };
        assert!(locked(removed).is_err());
    }

    #[test]
    fn where_there_are_no_locks_there_is_a_draft_all_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let make = || {
            let path = NamedTempFile::new_in(dir.path())?.into_temp_path();
            // Nothing can be locked by such a descriptor.
            let flags = rustix::fs::OFlags::PATH.bits().cast_signed();
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
            assert!(matches!(file.try_lock(), Err(fs::TryLockError::Error(_))));
            Ok(NamedTempFile::from_parts(file, path))
        };
        assert!(locked(make).is_ok_and(|draft| draft.path().exists()));
    }

    #[test]
    fn a_backup_gets_its_name_when_it_is_whole_and_takes_no_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.backup");
        let names = || fs::read_dir(dir.path()).expect("a directory").count();
        let draft = Draft::begin(&path, false).expect("a draft");
        assert!(!path.exists());
        drop(draft);
        assert_eq!(names(), 0, "nothing is left of what was given up");

        keep(Draft::begin(&path, false).expect("a draft"), &path, false).expect("kept");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(Draft::begin(&path, false).is_err(), "it is there");
        let forced = Draft::begin(&path, true).expect("a draft");
        assert!(keep(forced, &path, false).is_err(), "it came there meanwhile");
        keep(Draft::begin(&path, true).expect("a draft"), &path, true).expect("replaced");
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let draft = Draft::begin(dir.path(), true).expect("a draft");
        assert!(keep(draft, dir.path(), true).is_err());
        assert!(Draft::begin(&dir.path().join("no/such"), false).is_err());
        assert!(Draft::begin("/".as_ref(), true).is_err());
    }
}
