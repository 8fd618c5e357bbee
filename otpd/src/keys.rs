//! The keys that the daemon works with: one for each purpose, all from the master key.

mod master;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rand::RngExt;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use self::master::{KeyError, MasterKey};
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
    use super::MasterKey;
    use crate::domain::{account::Account, phone::E164};

    #[test]
    fn keys_from_before_go_along_under_the_new_one() {
        let [first, second, third] =
            [1, 2, 3].map(|byte| MasterKey::from_bytes([byte; 32]).derive());
        let second = second.after(&first);
        let third = third.after(&second);
        let sealed = third.seal_retired();
        let read = MasterKey::from_bytes([3; 32]).derive().with_retired(&sealed).unwrap();
        let ids = |keys: &super::Keys| keys.code.earlier().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(&read), [second.id, first.id]);
        assert_eq!(read.code.of(first.id).id, first.id);
        assert_eq!(read.code.of(7).id, third.id, "there is no such key");
        assert!(read.code.earlier().eq(third.code.earlier()));
        let wrong = MasterKey::from_bytes([4; 32]).derive().with_retired(&sealed);
        assert!(wrong.is_err(), "they are under the new key alone");
        assert!(
            MasterKey::from_bytes([3; 32]).derive().with_retired(&sealed[..30]).is_err(),
            "cut"
        );
    }

    #[test]
    fn a_sealed_number_opens_in_its_own_row_only() {
        let (keys, others) =
            (MasterKey::from_bytes([1; 32]).derive(), MasterKey::from_bytes([2; 32]).derive());
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
        let (keys, others) =
            (MasterKey::from_bytes([1; 32]).derive(), MasterKey::from_bytes([2; 32]).derive());
        let number: E164 = "+13125550123".parse().unwrap();
        assert_eq!(keys.index(&number), keys.index(&number));
        assert_ne!(keys.index(&number), others.index(&number));
        assert_ne!(keys.attempt("a", "bc", "d"), keys.attempt("ab", "c", "d"));
        assert_eq!(format!("{keys:?}").len(), "Keys(00000000)".len());
    }
}
