//! The master key: read, made, and turned into one key for each purpose.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use hkdf::Hkdf;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};
use rand::RngExt;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Derived, Keys};
use crate::{domain::passcode::CodeKey, random};

/// 32 random bytes that everything stored depends on.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{path}: {source}; otpd must be able to read it: {}", to_read(path), path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(
        "{path}: cannot make the key: {source}; run otpd {} as root, then let otpd read it: {}",
        if is_next(path) { "--make-next-key" } else { "--make-key" },
        to_read(path),
        path = path.display()
    )]
    Make {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is made, but perhaps not on the disk.
    #[error(
        "{path}: the key is made, but its directory cannot be written to the disk: {source}; mend \
         the disk, keep a copy of the key, then systemctl restart otpd",
        path = path.display()
    )]
    Unsynced {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not a key.
    #[error(
        "{path}: {found} bytes, expected exactly 32; {}",
        if is_next(path) { NO_NEXT_KEY } else { NO_KEY },
        path = path.display()
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// Its length, at most 33.
        found: usize,
    },
    /// The next key cannot be read by a daemon to which systemd has handed none.
    #[error(
        "{path}: {source}; systemd has handed otpd no next key: if it was made since otpd was started, \
         systemctl restart otpd hands it over",
        path = path.display()
    )]
    NotHanded {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "{path}: mode {mode:04o} lets everybody read the key; chmod 0600 (or 0640 for its group)",
        path = path.display()
    )]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is one already.
    #[error("{path} exists; move it away first, and know that without it no stored number can be read", path = path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
}

/// What to do about a file that should be the key in use.
const NO_KEY: &str = "restore the key from your backup, then systemctl restart otpd (a new one, otpd \
     --make-key, fits an empty database only)";
/// The same of the key that is to come.
const NO_NEXT_KEY: &str = "it is no key: copy it from a host that has it, or remove it and make one, otpd \
     --make-next-key; then systemctl restart otpd";

/// Whether this is the name of a key that is to come; see [`MasterKey::next_to`].
fn is_next(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "next")
}

/// How otpd comes to read a key's file.
fn to_read(path: &Path) -> String {
    let credential = if is_next(path) { "otpd.key.next" } else { "otpd.key" };
    let path = path.display();
    format!(
        "chown it to otpd's user, or pass it by LoadCredential={credential}:{path} in the unit, then \
         systemctl restart otpd"
    )
}

impl MasterKey {
    /// Reads the key; `None` when there is no such file, or one that says `none`: systemd starts no
    /// service whose credential is missing, so otpd.service passes that where there is no key.
    ///
    /// # Errors
    /// [`KeyError`] when the file is there and is not a key that is kept secret.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        let failed = |source| KeyError::Io { path: path.into(), source };
        let file = match OpenOptions::new().read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o007 != 0 {
            return Err(KeyError::Readable { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(33));
        file.take(33).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.as_slice() == b"none" {
            return Ok(None);
        }
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        key.map(|key| Some(Self(key)))
            .map_err(|_| KeyError::Length { path: path.into(), found: bytes.len() })
    }

    /// Makes a key and its file, mode 0600; never over an existing one. Whatever ends it, there is
    /// the whole key or none: it gets its name once it is on the disk.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::Make`], or [`KeyError::Unsynced`] once it is made.
    pub fn make(path: &Path) -> Result<Self, KeyError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.into() },
            _ => KeyError::Make { path: path.into(), source },
        };
        let key = Self(random::system().random());
        key.write(path).map_err(failed)?;
        sync_folder(path).map_err(|source| KeyError::Unsynced { path: path.into(), source })?;
        Ok(key)
    }

    /// Where the key lies that is to come after the one at `path`.
    #[must_use]
    pub fn next_to(path: &Path) -> PathBuf {
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        next.into()
    }

    /// The mode of a key's file that everybody may read; `None` of one that is kept secret, that is
    /// not there or that cannot be looked at.
    #[must_use]
    pub fn exposed(path: &Path) -> Option<u32> {
        let mode = path.metadata().ok()?.mode() & 0o7777;
        (mode & 0o007 != 0).then_some(mode)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        // A name of its own: two makers at once must not write into each other's file. What one
        // leaves behind that is killed is no key of anything, and in nobody's way.
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push(format!(".new-{:016x}", random::system().random::<u64>()));
        let unnamed = PathBuf::from(unnamed);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unnamed)?;
        let named = file
            .write_all(&self.0)
            .and_then(|()| file.sync_all())
            .and_then(|()| rename_new(&unnamed, path));
        if named.is_err() {
            // Why there is no key says more than why its file stays.
            let _ = fs::remove_file(&unnamed);
        }
        named
    }

    /// A key that a test knows.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// One key for each purpose.
    #[must_use]
    pub fn derive(&self) -> Keys {
        let id = u32::from_be_bytes(self.expand(b"otpd key id v1"));
        Keys {
            id,
            code: CodeKey::new(id, self.expand(b"otpd code v1")),
            number: Derived(self.expand(b"otpd number v1")),
            index: Derived(self.expand(b"otpd index v1")),
            attempt: Derived(self.expand(b"otpd attempt v1")),
            backup: Derived(self.expand(b"otpd backup v1")),
            retired: Derived(self.expand(b"otpd retired v1")),
            check: self.expand(b"otpd check v1"),
        }
    }

    #[expect(clippy::expect_used, reason = "HKDF gives up to 8160 bytes; these are at most 32")]
    fn expand<const N: usize>(&self, purpose: &[u8]) -> [u8; N] {
        let mut out = [0; N];
        Hkdf::<Sha256>::new(None, &self.0).expand(purpose, &mut out).expect("a short output");
        out
    }
}

/// Gives a file its name unless there is one of that name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems cannot; there the file has both names for a moment.
        Err(Errno::EINVAL) => fs::hard_link(from, to).map(|()| {
            // It has its name: a second one that stays is no reason to say it has none.
            let _ = fs::remove_file(from);
        }),
        renamed => renamed.map_err(io::Error::from),
    }
}

/// Has a file's name written to the disk: a database must not be there with a key that is not.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all() {
        // Some file systems have nothing to write for a directory, and say so by this.
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path};

    use super::{KeyError, MasterKey};

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("otpd.key");
        assert!(MasterKey::read(&path).unwrap().is_none());
        let made = MasterKey::make(&path).unwrap().derive();
        let read = MasterKey::read(&path).unwrap().expect("a key").derive();
        assert_eq!((made.id, made.check), (read.id, read.check));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(MasterKey::make(&path), Err(KeyError::Exists { .. })));
    }

    #[test]
    fn what_a_killed_run_left_of_a_key_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let (path, left) = (dir.path().join("otpd.key"), dir.path().join("otpd.key.new"));
        std::fs::write(&left, "half").unwrap();
        let made = MasterKey::make(&path).unwrap().derive();
        assert!(matches!(MasterKey::make(&path), Err(KeyError::Exists { .. })));
        assert_eq!(std::fs::read(&left).unwrap(), b"half", "it may be another maker's");
        assert_eq!(dir.path().read_dir().unwrap().count(), 2, "nothing stays of what has no name");
        assert_eq!(MasterKey::read(&path).unwrap().expect("a key").derive().id, made.id);
    }

    #[test]
    fn of_many_who_make_a_key_at_once_one_does() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("otpd.key");
            let together = std::sync::Barrier::new(8);
            let attempt = || {
                together.wait();
                MasterKey::make(&path)
            };
            let made = std::thread::scope(|scope| {
                let makers = [(); 8].map(|()| scope.spawn(attempt));
                makers.map(|maker| maker.join().expect("no panic"))
            });
            let (one, others): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
            let [Ok(one)] = &one[..] else { panic!("{} keys", one.len()) };
            assert!(others.iter().all(|made| matches!(made, Err(KeyError::Exists { .. }))));
            let read = MasterKey::read(&path).unwrap().expect("a key");
            assert_eq!(read.derive().check, one.derive().check);
            assert_eq!(dir.path().read_dir().unwrap().count(), 1, "and nothing else");
        }
    }

    #[test]
    fn what_is_said_of_a_next_key_never_takes_the_one_in_use_from_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("otpd.key");
        let next = MasterKey::next_to(&path);
        let unreadable = |path: &Path| {
            std::fs::create_dir(path).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
            let told = MasterKey::read(path).err().expect("a folder").to_string();
            std::fs::remove_dir(path).unwrap();
            told
        };
        let passed = |name: &str, path: &Path| format!("LoadCredential={name}:{} ", path.display());
        let told = unreadable(&path);
        assert!(told.contains(&passed("otpd.key", &path)), "{told}");
        let told = unreadable(&next);
        assert!(told.contains(&passed("otpd.key.next", &next)), "{told}");
        std::fs::write(&next, "short").unwrap();
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
        let told = MasterKey::read(&next).err().expect("too short").to_string();
        assert!(told.contains("otpd --make-next-key") && !told.contains("backup"), "{told}");
        let nowhere = MasterKey::next_to(&dir.path().join("no/otpd.key"));
        let told = MasterKey::make(&nowhere).err().expect("no folder").to_string();
        assert!(told.contains("run otpd --make-next-key as root"), "{told}");
        assert!(told.contains(&passed("otpd.key.next", &nowhere)), "{told}");
    }

    #[test]
    fn what_is_no_secret_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, length, mode, good) in [
            ("short", 31, 0o600, false),
            ("long", 33, 0o600, false),
            ("for everybody", 32, 0o604, false),
            ("for its group", 32, 0o640, true),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![7; length]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(MasterKey::read(&path).is_ok(), good, "{name}");
            let exposed = (mode == 0o604).then_some(mode);
            assert_eq!(MasterKey::exposed(&path), exposed, "{name}");
        }
    }
}
