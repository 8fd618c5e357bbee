//! The master key: read, made, and turned into one key for each purpose.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};
use rand::RngExt;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    domain::{
        account::Account,
        challenge::{AttemptKey, Host},
        enrollment::{NumberIndex, RangeIndex},
        passcode::CodeKey,
        phone::E164,
    },
    random,
};

/// 32 random bytes that everything stored depends on.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(
        "{path}: {source}; otpd must be able to read it: chown it to otpd's user, or pass it by \
         LoadCredential=otpd.key:{path} in the unit, then systemctl restart otpd",
        path = path.display()
    )]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(
        "{path}: cannot make the key: {source}; run otpd --make-key as root, then let otpd read it: \
         chown it to otpd's user, or pass it by LoadCredential=otpd.key:{path} in the unit, then \
         systemctl restart otpd",
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
        "{path}: {found} bytes, expected exactly 32; restore the key from your backup, then \
         systemctl restart otpd (a new one, otpd --make-key, fits an empty database only)",
        path = path.display()
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// Its length, at most 33.
        found: usize,
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

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Derived([u8; 32]);

impl Derived {
    /// HMAC over length-prefixed parts, cut to 128 bits.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0)
            .expect("HMAC takes keys of every length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut short = [0; 16];
        short.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        short
    }
}

/// The keys that the daemon works with.
#[derive(Clone)]
pub struct Keys {
    /// Which master they come from; stands beside everything encrypted or hashed.
    pub id: u32,
    /// Hashes codes.
    pub code: CodeKey,
    /// What a database made with these keys holds, so that it is not opened with others.
    pub check: [u8; 16],
    number: Derived,
    index: Derived,
    attempt: Derived,
    backup: Derived,
    retired: Derived,
}

/// Bytes of a code key from before: its id and itself.
const RETIRED: usize = 36;

/// This machine among those that share a store: by the id that its installation was given, and by its
/// name, which a copy of a virtual machine is given anew. A hash, so that the store does not tell the
/// id; its key is no secret, for nobody guesses 128 random bits, and outlives every master.
#[must_use]
pub fn host(machine_id: &str, name: &str) -> Host {
    let key = Derived(*b"otpd host v1: this is no secret.");
    Host(key.mac(&[machine_id.as_bytes(), name.as_bytes()]))
}

/// A stored number that cannot be read: damaged, of another row, or of another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored number does not decrypt")]
pub struct Unsealable;

impl Keys {
    /// Encrypts a number for the row of one account; elsewhere it does not decrypt.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "a number is shorter than the cipher's limit"
    )]
    pub fn seal(&self, account: &Account, number: &E164) -> Vec<u8> {
        let nonce: [u8; 24] = random::system().random();
        let message = Payload { msg: number.expose().as_bytes(), aad: account.as_str().as_bytes() };
        let mut sealed = nonce.to_vec();
        let encrypted = self.cipher().encrypt(&XNonce::from(nonce), message);
        sealed.extend(encrypted.expect("a number is shorter than the cipher's limit"));
        sealed
    }

    /// The reverse of [`Self::seal`].
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn unseal(&self, account: &Account, sealed: &[u8]) -> Result<E164, Unsealable> {
        let (nonce, encrypted) = sealed.split_first_chunk::<24>().ok_or(Unsealable)?;
        let message = Payload { msg: encrypted, aad: account.as_str().as_bytes() };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), message);
        let plain = Zeroizing::new(plain.map_err(|_| Unsealable)?);
        std::str::from_utf8(&plain).ok().and_then(|text| text.parse().ok()).ok_or(Unsealable)
    }

    /// Finds a number without telling it.
    #[must_use]
    pub fn index(&self, number: &E164) -> NumberIndex {
        NumberIndex(self.index.mac(&[number.expose().as_bytes()]))
    }

    /// Finds what numbers like it, which differ in their last four digits only, do together.
    #[must_use]
    pub fn range(&self, number: &E164) -> RangeIndex {
        let digits = number.expose().as_bytes();
        let (range, _) = digits.split_at(digits.len().saturating_sub(4));
        // A part of its own keeps a range apart from a number that reads like it.
        RangeIndex(self.index.mac(&[b"range", range]))
    }

    /// The same for every run of the stack by one connection of sshd.
    #[must_use]
    pub fn attempt(&self, host: &str, service: &str, connection: &str) -> AttemptKey {
        let parts = [host.as_bytes(), service.as_bytes(), connection.as_bytes()];
        AttemptKey(self.attempt.mac(&parts))
    }

    /// How many code keys from before there are.
    #[must_use]
    pub fn retired(&self) -> usize {
        self.code.earlier().count()
    }

    /// These, after those of `before`: what that one's code key hashed is good with these too.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        self.code = self.code.after(&before.code);
        self
    }

    /// The code keys from before, encrypted: recovery codes and codes under way are known by their
    /// hashes alone. A thief of an earlier master gains nothing by them that it did not give.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "a few keys are shorter than the cipher's limit"
    )]
    pub fn seal_retired(&self) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(RETIRED * 17));
        for (id, key) in self.code.earlier() {
            plain.extend_from_slice(&id.to_be_bytes());
            plain.extend_from_slice(key);
        }
        let nonce: [u8; 24] = random::system().random();
        let message = Payload { msg: &plain, aad: b"otpd retired" };
        let mut sealed = nonce.to_vec();
        let cipher = XChaCha20Poly1305::new(&self.retired.0.into());
        let encrypted = cipher.encrypt(&XNonce::from(nonce), message);
        sealed.extend(encrypted.expect("a few keys are shorter than the cipher's limit"));
        sealed
    }

    /// These, with the code keys from before that were sealed, besides those that they have.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn with_retired(mut self, sealed: &[u8]) -> Result<Self, Unsealable> {
        let (nonce, encrypted) = sealed.split_first_chunk::<24>().ok_or(Unsealable)?;
        let message = Payload { msg: encrypted, aad: b"otpd retired" };
        let cipher = XChaCha20Poly1305::new(&self.retired.0.into());
        let plain = cipher.decrypt(&XNonce::from(*nonce), message).map_err(|_| Unsealable)?;
        let plain = Zeroizing::new(plain);
        let (all, rest) = plain.as_chunks::<RETIRED>();
        if !rest.is_empty() {
            return Err(Unsealable);
        }
        let key = |one: &[u8; RETIRED]| {
            let (id, key) = one.split_first_chunk::<4>()?;
            Some(CodeKey::new(u32::from_be_bytes(*id), key.try_into().ok()?))
        };
        let earlier = all.iter().map(key).collect::<Option<Vec<_>>>().ok_or(Unsealable)?;
        self.code = self.code.with_earlier(earlier);
        Ok(self)
    }

    /// Seals a line of a backup: its place in the one of this name, and what it says.
    #[must_use]
    pub fn seal_line(&self, backup: u64, line: u64, content: &[u8]) -> [u8; 16] {
        self.backup.mac(&[&backup.to_be_bytes(), &line.to_be_bytes(), content])
    }

    /// Whether a line of a backup is as it was sealed.
    #[must_use]
    pub fn is_sealed(&self, backup: u64, line: u64, content: &[u8], seal: &[u8]) -> bool {
        self.seal_line(backup, line, content).ct_eq(seal).into()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.number.0.into())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({:08x})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{KeyError, MasterKey};
    use crate::domain::{account::Account, phone::E164};

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
    fn keys_from_before_go_along_under_the_new_one() {
        let [first, second, third] = [1, 2, 3].map(|byte| MasterKey([byte; 32]).derive());
        let second = second.after(&first);
        let third = third.after(&second);
        let sealed = third.seal_retired();
        let read = MasterKey([3; 32]).derive().with_retired(&sealed).unwrap();
        let ids = |keys: &super::Keys| keys.code.earlier().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(&read), [second.id, first.id]);
        assert_eq!(read.code.of(first.id).id, first.id);
        assert_eq!(read.code.of(7).id, third.id, "there is no such key");
        assert!(read.code.earlier().eq(third.code.earlier()));
        let wrong = MasterKey([4; 32]).derive().with_retired(&sealed);
        assert!(wrong.is_err(), "they are under the new key alone");
        assert!(MasterKey([3; 32]).derive().with_retired(&sealed[..30]).is_err(), "cut");
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

    #[test]
    fn a_sealed_number_opens_in_its_own_row_only() {
        let (keys, others) = (MasterKey([1; 32]).derive(), MasterKey([2; 32]).derive());
        let (alice, bob) = (Account::new("alice").unwrap(), Account::new("bob").unwrap());
        let number: E164 = "+13125550123".parse().unwrap();
        let sealed = keys.seal(&alice, &number);
        assert_eq!(keys.unseal(&alice, &sealed).unwrap(), number);
        assert!(keys.unseal(&bob, &sealed).is_err(), "moved to another row");
        assert!(others.unseal(&alice, &sealed).is_err(), "another key");
        assert!(keys.unseal(&alice, &sealed[..20]).is_err(), "cut");
        assert_ne!(keys.seal(&alice, &number), sealed, "never the same twice");
        let clear = sealed.windows(7).any(|window| number.expose().as_bytes().starts_with(window));
        assert!(!clear);
    }

    #[test]
    fn indexes_and_attempts_are_keyed_and_apart() {
        let (keys, others) = (MasterKey([1; 32]).derive(), MasterKey([2; 32]).derive());
        let number: E164 = "+13125550123".parse().unwrap();
        assert_eq!(keys.index(&number), keys.index(&number));
        assert_ne!(keys.index(&number), others.index(&number));
        assert_ne!(keys.attempt("a", "bc", "d"), keys.attempt("ab", "c", "d"));
        assert_eq!(format!("{keys:?}").len(), "Keys(00000000)".len());
    }
}
