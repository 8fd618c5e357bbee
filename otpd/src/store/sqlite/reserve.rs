//! Space that is kept for a full disk.
//!
//! A file beside the database takes up some megabytes. When a write finds the disk full, the file
//! is given up: nothing new begins then, and what is under way has room to end in. Once there is
//! room again it is made anew.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, posix_fallocate},
    sys::statvfs::{FsFlags, Statvfs, statvfs},
};
use tracing::{error, info, warn};

use crate::store::Shortage;

/// What is kept: some thousand decisions' worth.
const SIZE: u32 = 4 << 20;
/// What must be free beside it for normal work to go on: a disk that is as good as full would be
/// full again at once.
const MARGIN: u64 = 8 << 20;
/// With less room than this any failure is taken for one of a full disk: not all say so.
pub(super) const NO_ROOM: u64 = 64 << 10;

/// Whether so many free bytes are room for the file, and for normal work beside it.
fn is_ample(free: u64) -> bool {
    free >= u64::from(SIZE) + MARGIN
}

/// The file, held or given up.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
    shortage: Shortage,
}

impl Reserve {
    /// Makes the file for `database`, or finds it. Without it work goes on, but not when there is
    /// no room for it: then it was given up, or would be soon.
    pub(super) fn open(database: &Path) -> Self {
        let mut reserve = Self::of(database);
        match reserve.allocate() {
            Ok(()) => reserve.held = true,
            Err(Errno::ENOSPC) => reserve.begin_shortage(),
            Err(errno) => {
                let file = reserve.path.display();
                warn!(%file, %errno, "no space can be kept for a full disk");
            }
        }
        reserve
    }

    /// Whether the disk is full.
    pub(super) fn shortage(&self) -> Shortage {
        self.shortage.clone()
    }

    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".reserve");
        Self { path: path.into(), held: false, shortage: Shortage::default() }
    }

    /// Gives up the reserve of an earlier run when the disk is too full to open `database`; true
    /// when that made room.
    pub(super) fn spare(database: &Path) -> bool {
        let reserve = Self::of(database);
        reserve.room() < NO_ROOM && fs::remove_file(&reserve.path).is_ok()
    }

    /// Whether there is something to give up.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The disk is full: gives the file up. True when that made room.
    pub(super) fn release(&mut self) -> bool {
        self.begin_shortage();
        if !self.held {
            return false;
        }
        self.held = false;
        match fs::remove_file(&self.path) {
            Ok(()) => true,
            // Somebody else was quicker; then there is room as well.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                error!(file = %self.path.display(), %error, "the reserve cannot be removed");
                false
            }
        }
    }

    /// Makes the file anew, once there is room for it and some more; true when it just did.
    pub(super) fn regain(&mut self) -> bool {
        let wanted = !self.held && is_ample(self.room());
        if !wanted || self.allocate().is_err() {
            return false;
        }
        self.held = true;
        if self.shortage.set(false) {
            info!("the disk has room again; new logins are served");
        }
        true
    }

    /// Bytes that are free; none when nobody can tell.
    pub(super) fn room(&self) -> u64 {
        self.disk().map_or(0, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()))
    }

    /// What the system says of the disk.
    fn disk(&self) -> nix::Result<Statvfs> {
        statvfs(self.path.parent().unwrap_or(Path::new("/")))
    }

    /// Whether the disk has become read-only, as it may after an error. `SQLite` does not tell that from
    /// a disk that fails, so this writes into the file, which holds nothing; where it was given up, the
    /// system says of most disks what became of them.
    pub(super) fn is_read_only(&self) -> bool {
        if !self.held {
            return self.disk().is_ok_and(|disk| disk.flags().contains(FsFlags::ST_RDONLY));
        }
        let write = || {
            let mut options = OpenOptions::new();
            let file =
                options.write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&self.path)?;
            file.write_all_at(&[0], 0)
        };
        let read_only = io::ErrorKind::ReadOnlyFilesystem;
        write().is_err_and(|error: io::Error| error.kind() == read_only)
    }

    fn begin_shortage(&self) {
        if self.shortage.set(true) {
            error!(
                file = %self.path.display(),
                "the disk is full: new logins are refused, those under way can still be \
                 answered; free 12 MiB on it, the rest mends itself"
            );
        }
    }

    fn allocate(&self) -> Result<(), Errno> {
        let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&self.path)
            .map_err(errno)?;
        // A file with holes would keep nothing.
        let allocated = file
            .set_len(u64::from(SIZE))
            .map_err(errno)
            .and_then(|()| posix_fallocate(&file, 0, i64::from(SIZE)));
        if allocated.is_err() {
            // What was allocated of it is worth more elsewhere. What cannot be removed is a file
            // of no use and no harm.
            let _ = fs::remove_file(&self.path);
        }
        allocated
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt, path::Path};

    use super::{Reserve, SIZE, is_ample};

    #[test]
    fn the_file_is_really_allocated_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("otpd.db.reserve");
        let reserve = Reserve::open(&dir.path().join("otpd.db"));
        let file = fs::metadata(&path).unwrap();
        assert!(reserve.held && !reserve.shortage().holds() && !reserve.is_read_only());
        assert_eq!((file.len(), file.mode() & 0o7777), (u64::from(SIZE), 0o600));
        assert!(file.blocks() * 512 >= u64::from(SIZE), "{} blocks", file.blocks());
    }

    #[test]
    fn holes_are_filled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("otpd.db.reserve");
        fs::File::create(&path).unwrap().set_len(u64::from(SIZE) * 2).unwrap();
        let reserve = Reserve::open(&dir.path().join("otpd.db"));
        let file = fs::metadata(&path).unwrap();
        assert!(reserve.held && file.len() == u64::from(SIZE));
        assert!(file.blocks() * 512 >= u64::from(SIZE), "{} blocks", file.blocks());
    }

    #[test]
    fn it_is_given_up_once_and_regained() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(&dir.path().join("otpd.db"));
        let shortage = reserve.shortage();
        assert!(!reserve.regain() && reserve.is_held(), "it is there");
        assert!(reserve.release() && shortage.holds() && !reserve.path.exists());
        assert!(!reserve.release() && !reserve.is_held(), "there is nothing more to give up");
        assert!(reserve.regain() && !shortage.holds() && reserve.path.exists());
    }

    #[test]
    fn it_is_regained_where_as_much_is_free_as_an_operator_is_asked_for() {
        let asked_for = 12 << 20;
        assert!(is_ample(asked_for) && is_ample(u64::MAX) && !is_ample(asked_for - 1));
    }

    #[test]
    fn what_is_gone_has_made_room_and_what_stays_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(&dir.path().join("otpd.db"));
        fs::remove_file(&reserve.path).unwrap();
        assert!(reserve.release(), "somebody else was quicker");
        assert!(reserve.regain());
        fs::remove_file(&reserve.path).unwrap();
        fs::create_dir(&reserve.path).unwrap();
        assert!(!reserve.release() && reserve.shortage().holds(), "it cannot be removed");
    }

    #[test]
    fn that_of_an_earlier_run_stays_while_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("otpd.db");
        let reserve = Reserve::open(&database);
        assert!(!Reserve::spare(&database) && reserve.path.exists());
        // There is no room there at all, and no reserve.
        let nowhere = Path::new("/proc/otpd.db");
        assert_eq!(Reserve::of(nowhere).room(), 0);
        assert!(!Reserve::spare(nowhere), "nothing was given up");
    }

    #[test]
    fn without_it_work_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        // A link that leads elsewhere is not followed.
        let elsewhere = dir.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("otpd.db.reserve")).unwrap();
        let reserve = Reserve::open(&dir.path().join("otpd.db"));
        assert!(!reserve.held && !reserve.shortage().holds() && !elsewhere.exists());
    }
}
