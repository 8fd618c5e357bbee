//! Codes: how they are drawn, hashed, compared and named.

use std::fmt;

use hmac::{HmacReset, KeyInit, Mac};
use minicbor::{Decode, Encode};
use rand::{CryptoRng, RngExt};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::account::Account;

/// A code of decimal digits. Wiped when dropped; `Debug` shows nothing.
#[derive(Clone)]
pub struct Passcode(Zeroizing<String>);

impl Passcode {
    /// Draws a code uniformly from all of `digits` decimal digits, leading zeros kept.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng, digits: u8) -> Self {
        let mut code = Zeroizing::new(String::with_capacity(usize::from(digits)));
        code.extend((0..digits).map(|_| char::from(b'0' + rng.random_range(0..10u8))));
        Self(code)
    }

    /// What was typed, if it has a code's shape: `digits` ASCII digits once spaces and dashes are
    /// dropped.
    #[must_use]
    pub fn typed(text: &str, digits: u8) -> Option<Self> {
        // Longer than any code with its separators; bounds the work for what a peer sends.
        if text.len() > 32 {
            return None;
        }
        let mut code = Zeroizing::new(String::with_capacity(text.len()));
        code.extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-'));
        let shape = code.len() == usize::from(digits) && code.bytes().all(|b| b.is_ascii_digit());
        shape.then_some(Self(code))
    }

    /// No digits at all: stands where a code was wiped.
    #[must_use]
    pub fn wiped() -> Self {
        Self(Zeroizing::new(String::new()))
    }

    /// Whether it was wiped.
    #[must_use]
    pub fn is_wiped(&self) -> bool {
        self.0.is_empty()
    }

    /// The digits, for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(..)")
    }
}

/// Names a challenge on the wire: 128 random bits, told only to the login it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ChallengeToken(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl ChallengeToken {
    /// Draws one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(rng.random())
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn to_wire(self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The reverse of [`Self::to_wire`].
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    /// What people read to each other: `7K3F-Q2`. Too short to name a challenge to the daemon.
    #[must_use]
    pub fn request(self) -> RequestId {
        let [a, b, c, d, ..] = self.0;
        RequestId(u32::from_be_bytes([a, b, c, d]) >> 2)
    }
}

impl fmt::Debug for ChallengeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChallengeToken({}…)", self.request())
    }
}

/// 30 bits of a challenge's token, for the help desk and the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Crockford's base 32: no I, L, O, U.
pub(super) const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in 0..6u32 {
            if position == 4 {
                f.write_str("-")?;
            }
            let digit = (self.0 >> (25 - 5 * position)) & 31;
            let letter = CROCKFORD.get(digit as usize).copied().unwrap_or(b'?');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// A text that is no [`RequestId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request id has six letters and digits, for example 7K3F-Q2")]
pub struct InvalidRequestId;

/// As people read it to each other: case and dashes do not matter, and neither whether I and L are
/// taken for 1 or O for 0.
impl std::str::FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let mut number = 0_u32;
        let mut digits = 0_usize;
        for letter in text.trim().bytes().filter(|byte| *byte != b'-') {
            let letter = match letter.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                other => other,
            };
            let value = CROCKFORD.iter().zip(0..).find(|(own, _)| **own == letter);
            let (_, value) = value.ok_or(InvalidRequestId)?;
            number = number << 5 | value;
            digits += 1;
        }
        if digits == 6 { Ok(Self(number)) } else { Err(InvalidRequestId) }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells one message from another: a letter and a digit, `K7`, in the prompt and in the message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Reference(#[cbor(n(0), with = "minicbor::bytes")] [u8; 2]);

/// No letter that is read as a digit or another letter.
const LETTERS: &[u8; 22] = b"ABCDEFGHJKMNPQRTUVWXYZ";
/// No 0 and 1, for the same reason.
const DIGITS: &[u8; 8] = b"23456789";

impl Reference {
    /// Draws one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let letter = LETTERS.get(rng.random_range(0..LETTERS.len())).copied().unwrap_or(b'A');
        let digit = DIGITS.get(rng.random_range(0..DIGITS.len())).copied().unwrap_or(b'2');
        Self([letter, digit])
    }

    /// Stands where a damaged row holds none.
    #[must_use]
    pub(super) const fn unknown() -> Self {
        Self(*b"??")
    }

    /// This one, or the first after it that is not in `taken`: the messages of one login must
    /// differ, or "use the newest one" could not be followed.
    #[must_use]
    pub fn apart_from(self, taken: &[Self]) -> Self {
        let [letter, digit] = self.0;
        let start = LETTERS.iter().position(|l| *l == letter).unwrap_or(0);
        let letters = LETTERS.iter().cycle().skip(start).take(LETTERS.len());
        letters
            .map(|letter| Self([*letter, digit]))
            .find(|reference| !taken.contains(reference))
            .unwrap_or(self)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [letter, digit] = self.0;
        write!(f, "{}{}", char::from(letter), char::from(digit))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a code is for; a code for one purpose never serves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// To log in.
    #[n(0)]
    Login,
    /// To prove a number.
    #[n(1)]
    Enrollment,
}

/// The key of [`CodeKey::hash`], 32 bytes, derived from the master.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CodeKey {
    /// Which master it comes from; kept with every hash.
    pub id: u32,
    key: [u8; 32],
    /// Those before it, the newest first: what they hashed cannot be hashed anew.
    earlier: Vec<Self>,
}

/// Earlier keys that are kept.
const EARLIER: usize = 16;

impl CodeKey {
    /// Takes derived key bytes over.
    #[must_use]
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { id, key, earlier: Vec::new() }
    }

    /// This one, after `before` and those before that.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        let alone = |key: &Self| Self::new(key.id, key.key);
        let all = std::iter::once(before).chain(&before.earlier).map(alone);
        self.earlier = all.filter(|key| key.id != self.id).take(EARLIER).collect();
        self
    }

    /// This one, with these before it besides those that it has.
    #[must_use]
    pub fn with_earlier(mut self, earlier: Vec<Self>) -> Self {
        for key in earlier {
            let known = key.id == self.id || self.earlier.iter().any(|own| own.id == key.id);
            if !known && self.earlier.len() < EARLIER {
                self.earlier.push(key);
            }
        }
        self
    }

    /// Those before it, the newest first: their ids and what they are.
    pub fn earlier(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.earlier.iter().map(|key| (key.id, &key.key))
    }

    /// The key of this id, be it an earlier one; this one where there is none of that id, whose hashes
    /// match none of it.
    #[must_use]
    pub fn of(&self, id: u32) -> &Self {
        self.earlier.iter().find(|key| key.id == id && id != self.id).unwrap_or(self)
    }

    /// The keyed hash of a code, bound to its purpose, challenge and account. Every part is
    /// preceded by its length, so that no two inputs run together to the same bytes.
    #[must_use]
    pub fn hash(
        &self,
        purpose: Purpose,
        challenge: ChallengeToken,
        account: &Account,
        code: &Passcode,
    ) -> CodeHash {
        let purpose: &[u8] = match purpose {
            Purpose::Login => b"login",
            Purpose::Enrollment => b"enrollment",
        };
        let parts = [
            b"otpd code v1",
            purpose,
            &challenge.0,
            account.as_str().as_bytes(),
            code.0.as_bytes(),
        ];
        CodeHash { key_id: self.id, mac: self.mac(&parts) }
    }

    /// HMAC-SHA256 over the parts, each preceded by its length. The first one names what is hashed.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = HmacReset::<Sha256>::new_from_slice(&self.key)
            .expect("HMAC takes keys of every length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        // Where it is: to be moved would leave a copy of what it has buffered, of which the last is the code.
        mac.finalize_reset().into_bytes().into()
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeKey({})", self.id)
    }
}

/// A code as it is stored.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct CodeHash {
    /// The key it was made with.
    #[n(0)]
    pub key_id: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    mac: [u8; 32],
}

impl CodeHash {
    /// Whether both are hashes of the same code, in time that does not depend on their bytes.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.key_id == other.key_id && bool::from(self.mac.ct_eq(&other.mac))
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(..)")
    }
}

/// Everything random that one decision may need, drawn before it.
#[derive(Clone, Debug)]
pub struct Draw {
    /// For a new challenge.
    pub token: ChallengeToken,
    /// A code of the configured length.
    pub code: Passcode,
    /// A code of [`LONG`] digits, for an account under attack.
    pub long_code: Passcode,
    /// For the message.
    pub reference: Reference,
}

/// Digits of a code once an account has been guessed at too often.
pub const LONG: u8 = 8;

impl Draw {
    /// Draws all of it; `digits` is the configured length of a code.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng, digits: u8) -> Self {
        Self {
            token: ChallengeToken::generate(rng),
            code: Passcode::generate(rng, digits),
            long_code: Passcode::generate(rng, LONG.max(digits)),
            reference: Reference::generate(rng),
        }
    }
}

#[cfg(test)]
mod tests;
