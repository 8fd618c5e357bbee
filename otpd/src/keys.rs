//! The master key: read, made, and turned into one key for each purpose.

use std::{
    fs::OpenOptions,
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
use rand::RngExt;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    domain::{
        account::Account,
        challenge::AttemptKey,
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
         LoadCredential=otpd.key:{path} in the unit",
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
         chown it to otpd's user, or pass it by LoadCredential=otpd.key:{path} in the unit",
        path = path.display()
    )]
    Make {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not a key.
    #[error(
        "{path}: {found} bytes, expected exactly 32; restore the key from your backup (a new one, \
         otpd --make-key, fits an empty database only)",
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
    /// Reads the key; `None` when there is no such file.
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
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        key.map(|key| Some(Self(key)))
            .map_err(|_| KeyError::Length { path: path.into(), found: bytes.len() })
    }

    /// Makes a key and its file, mode 0600; never over an existing one.
    ///
    /// # Errors
    /// [`KeyError::Exists`] or [`KeyError::Make`].
    pub fn make(path: &Path) -> Result<Self, KeyError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.into() },
            _ => KeyError::Make { path: path.into(), source },
        };
        let key = Self(random::system().random());
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(&key.0).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(key)
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
