//! Recovery codes: what lets a subscriber in whom no message reaches.
//!
//! They are saved recovery codes in the words of SP 800-63B: random, stored as a keyed hash, throttled
//! by a budget of their own, and each of use once. At 120 bits nobody guesses one, so that neither a
//! password hash nor the limits of six-digit codes are asked for; the budget keeps the noise down.

use std::{cmp::Ordering, fmt, time::Duration};

use minicbor::{Decode, Encode};
use rand::{CryptoRng, RngExt};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    account::Account,
    audit::{Actor, Event},
    budget::{Held, LimitName, Purse, Standing, merged, window},
    enrollment::State,
    login::Ledger,
    passcode::{CROCKFORD, ChallengeToken, CodeKey},
    proof::{Outcome, Refusal},
    records::{Decided, Records},
    time::{HOUR, Timestamp},
};

/// Codes that a set has.
pub const CODES: usize = 8;
/// Characters of a code, five bits each: 120 bits. SP 800-63B asks for no password hash from 112 on.
const LENGTH: usize = 24;
/// Wrong codes an account may have in any hour.
pub const WRONG_PER_HOUR: usize = 5;

/// A recovery code in its plain form: 24 digits of Crockford's base 32, upper case. Wiped when
/// dropped; `Debug` shows nothing.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Draws one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut code = Zeroizing::new(String::with_capacity(LENGTH));
        let digit = |value: u8| CROCKFORD.get(usize::from(value)).copied().unwrap_or(b'0');
        code.extend((0..LENGTH).map(|_| char::from(digit(rng.random_range(0..32u8)))));
        Self(code)
    }

    /// What was typed, if it has the shape of a recovery code once spaces and dashes are dropped.
    /// Case does not matter, I and L are read as 1, O as 0: that is what Crockford's digits are for.
    #[must_use]
    pub fn typed(text: &str) -> Option<Self> {
        // Longer than any code with its separators; bounds the work for what a peer sends.
        if text.len() > 4 * LENGTH {
            return None;
        }
        // Room for all of it: growing would leave copies behind that nobody wipes.
        let mut code = Zeroizing::new(String::with_capacity(text.len()));
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            code.push(match character.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                digit if digit.is_ascii() && CROCKFORD.contains(&(digit as u8)) => digit,
                _ => return None,
            });
        }
        (code.len() == LENGTH).then_some(Self(code))
    }

    /// As it is handed out: six groups of four.
    #[must_use]
    pub fn grouped(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / 4));
        for (place, digit) in self.0.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            text.push(digit);
        }
        text
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// A recovery code as it is stored and compared: half of an HMAC-SHA256.
///
/// 128 bits are as good as 256 here. Who has no key cannot try anything at all, and to who has it
/// the code's own 120 bits are what is left to search; eight of them stand in a row that every
/// decision reads.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct RecoveryHash(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl RecoveryHash {
    /// The keyed hash of a code of an account; no other kind of code ever has the same.
    #[must_use]
    pub fn of(key: &CodeKey, account: &Account, code: &RecoveryCode) -> Self {
        let parts: [&[u8]; 3] =
            [b"otpd recovery code v1", account.as_str().as_bytes(), code.0.as_bytes()];
        let mac = key.mac(&parts);
        let mut half = [0; 16];
        half.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Self(half)
    }
}

impl RecoveryHash {
    /// One that was stored.
    #[must_use]
    pub const fn stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for RecoveryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryHash(..)")
    }
}

/// An account's recovery codes and what was typed for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Recovery {
    /// The key of the hashes.
    #[n(0)]
    key_id: u32,
    /// Codes not used yet.
    #[n(1)]
    codes: Vec<RecoveryHash>,
    /// Wrong ones, ascending; the newest [`WRONG_PER_HOUR`] are enough.
    #[n(2)]
    wrong: Vec<Timestamp>,
    /// Wrong ones from known sources and consoles after those: a thief of the password elsewhere must
    /// not keep the subscriber from the last way in.
    #[n(3)]
    #[cbor(default)]
    reserve: Vec<Timestamp>,
    /// The login of the newest use that its owner was not told of yet.
    #[n(4)]
    untold: Option<ChallengeToken>,
    /// When the newest set was made, whatever is left of it: of two copies the newer set counts. Zero
    /// where there never was one, and in rows from before this was kept.
    #[n(5)]
    #[cbor(default)]
    made_at: Timestamp,
}

/// Whose number it is that recovery codes stand in for, when two copies of a row become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// There is none, so there is nothing to stand in for.
    Nobody,
    /// This copy's, since then.
    Own {
        /// When it was entered.
        since: Timestamp,
    },
    /// The other copy's, entered after this copy's.
    Newer,
    /// The other copy's, and this copy has none.
    Only,
}

/// What became of a typed recovery code.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The account has none, so there was nothing to compare and nothing was charged.
    NoCodes,
    /// One of them; it is gone now.
    Right {
        /// Codes not used yet.
        left: u8,
    },
    /// None of them.
    Wrong {
        /// Wrong ones that are still allowed in this hour, there.
        tries_left: u8,
    },
    /// The budget was used up before, so nothing was compared.
    Held(Held),
}

impl Recovery {
    /// [`Self::made_at`] of no set.
    const NEVER: Timestamp = Timestamp(0);

    /// Codes not used yet, hashed.
    #[must_use]
    pub fn codes(&self) -> &[RecoveryHash] {
        &self.codes
    }

    /// As an older program stored a set: without the time when it was made.
    #[cfg(test)]
    pub(super) fn without_time(self) -> Self {
        Self { made_at: Self::NEVER, ..self }
    }

    /// Puts codes there that are stored apart, and nothing else.
    pub(super) fn set_codes(&mut self, codes: Vec<RecoveryHash>) {
        self.codes = codes;
    }

    /// Puts a new set in the place of whatever there is. What counts against guessing stays.
    pub fn replace(&mut self, key: &CodeKey, codes: Vec<RecoveryHash>, now: Timestamp) {
        self.key_id = key.id;
        self.codes = codes;
        // Newer than the one before it by any clock.
        self.made_at = now.max(self.made_at.after(Duration::from_millis(1)));
    }

    /// Forgets the codes. What counts against guessing stays, and when they were made, so that no
    /// backup brings them back.
    pub fn forget(&mut self) {
        self.codes.clear();
        self.key_id = 0;
        self.untold = None;
    }

    /// A login used a code; its owner is to be told.
    pub fn tell(&mut self, token: ChallengeToken) {
        self.untold = Some(token);
    }

    /// The owner was told of this login's use, or cannot be.
    pub fn told(&mut self, token: ChallengeToken) {
        self.untold = self.untold.filter(|untold| *untold != token);
    }

    /// The login of whose use the owner was not told yet.
    #[must_use]
    pub fn untold(&self) -> Option<ChallengeToken> {
        self.untold
    }

    /// Has what lies in the future age from now on, and drops what no longer counts.
    pub fn settle(&mut self, now: Timestamp) {
        for wrong in [&mut self.wrong, &mut self.reserve] {
            for at in wrong.iter_mut() {
                *at = (*at).min(now);
            }
            wrong.retain(|at| at.is_within(HOUR, now));
        }
        // Of codes that are gone nothing is left to be told by.
        if self.codes.is_empty() {
            self.key_id = 0;
        }
    }

    /// Takes in what another copy of the row holds. Of two sets the newer counts, however little is
    /// left of it: it has voided the other. A code of one set is good where both copies have it: the
    /// one that lacks it has used it. Wrong codes of both count.
    pub fn merge(&mut self, other: &Self, number: StandIn, now: Timestamp) {
        let takes = match number {
            StandIn::Nobody => false,
            // A copy that knows of no set may have forgotten it with a number that was removed.
            StandIn::Own { since } => self.made_at != Self::NEVER || other.made_at >= since,
            StandIn::Newer | StandIn::Only => true,
        };
        // Rows from before the time was kept: a copy that had no number has used no code.
        let unused = self.made_at == Self::NEVER && self.codes.is_empty();
        match other.made_at.cmp(&self.made_at) {
            Ordering::Greater if takes => self.take_codes(other),
            Ordering::Equal if unused && number == StandIn::Only => self.take_codes(other),
            Ordering::Equal => self.codes.retain(|code| other.codes.contains(code)),
            Ordering::Greater | Ordering::Less => {}
        }
        if self.codes.is_empty() {
            self.key_id = 0;
        }
        let window = (HOUR, now);
        self.wrong = merged(&self.wrong, &other.wrong, window, WRONG_PER_HOUR);
        self.reserve = merged(&self.reserve, &other.reserve, window, WRONG_PER_HOUR);
    }

    fn take_codes(&mut self, other: &Self) {
        (self.key_id, self.made_at) = (other.key_id, other.made_at);
        self.codes.clone_from(&other.codes);
    }

    /// Whether it is as good as none for an account without a number.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self { made_at: self.made_at, ..Self::default() }
    }

    /// Which key the codes were hashed with.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// When the codes were made; the earliest time there is where there were none.
    #[must_use]
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// Codes not used yet.
    #[must_use]
    pub fn left(&self) -> u8 {
        u8::try_from(self.codes.len()).unwrap_or(u8::MAX)
    }

    /// What pays for a wrong one.
    fn purse(&self, standing: Standing, now: Timestamp) -> Result<Purse, Held> {
        let limit = LimitName::RecoveryCodesPerHour;
        let held = |wrong: &[Timestamp]| window(wrong, WRONG_PER_HOUR, HOUR, limit, now);
        match (held(&self.wrong), standing) {
            (None, Standing::Known | Standing::Other) => Ok(Purse::Common),
            (Some(common), Standing::Other) => Err(common),
            (Some(_), Standing::Known) => held(&self.reserve).map_or(Ok(Purse::Reserve), Err),
        }
    }

    /// The limit that keeps recovery codes from being compared, if it holds there.
    #[must_use]
    pub fn held(&self, standing: Standing, now: Timestamp) -> Option<Held> {
        self.purse(standing, now).err()
    }

    /// Codes that could be used there now: none while [`Self::held`].
    #[must_use]
    pub fn usable(&self, standing: Standing, now: Timestamp) -> u8 {
        if self.held(standing, now).is_some() { 0 } else { self.left() }
    }

    /// Compares a typed code: a right one is taken out, a wrong one stays charged.
    pub fn enter(
        &mut self,
        key: &CodeKey,
        typed: &RecoveryHash,
        standing: Standing,
        now: Timestamp,
    ) -> Entered {
        if self.codes.is_empty() {
            return Entered::NoCodes;
        }
        let purse = match self.purse(standing, now) {
            Ok(purse) => purse,
            Err(held) => return Entered::Held(held),
        };
        self.settle(now);
        let wrong = match purse {
            Purse::Common => &mut self.wrong,
            Purse::Reserve => &mut self.reserve,
        };
        wrong.push(now);
        // All are compared, so that the time does not tell which one it was.
        let found = self.codes.iter().enumerate().fold(None, |found, (place, code)| {
            if bool::from(code.0.ct_eq(&typed.0)) { Some(place) } else { found }
        });
        if let Some(place) = found.filter(|_| self.key_id == key.id) {
            self.codes.remove(place);
            wrong.pop();
            return Entered::Right { left: self.left() };
        }
        Entered::Wrong { tries_left: self.tries_left(standing) }
    }

    /// Wrong ones still allowed in this hour, of both budgets where that is so; settled before.
    fn tries_left(&self, standing: Standing) -> u8 {
        let left = |wrong: &[Timestamp]| WRONG_PER_HOUR.saturating_sub(wrong.len());
        let reserve = match standing {
            Standing::Known => left(&self.reserve),
            Standing::Other => 0,
        };
        u8::try_from(left(&self.wrong).saturating_add(reserve)).unwrap_or(u8::MAX)
    }
}

/// A new set of codes for an account; the plain ones never come near what is stored.
#[derive(Clone, Debug)]
pub struct MakeCodes {
    /// Whose.
    pub account: Account,
    /// Made the hashes.
    pub key: CodeKey,
    /// The codes, hashed.
    pub codes: Vec<RecoveryHash>,
    /// Who asks for them.
    pub uid: u32,
}

impl MakeCodes {
    /// Decides. It takes a number, proved or not, that is not switched off: the codes stand in for
    /// it, and belong to the person, so that they outlive the number's replacement. A login asks for
    /// one once the number is proved.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<()>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let refusal = match ledger.records.enrollment.as_ref().map(|enrollment| enrollment.state) {
            None => Some(Refusal::NotEnrolled),
            Some(State::Disabled { .. }) => Some(Refusal::Disabled),
            Some(State::Pending | State::Active { .. }) => None,
        };
        if let Some(refusal) = refusal {
            let (verb, reason) = ("recovery-codes", refusal.as_str());
            ledger.note(None, Event::Refused { verb, reason, until: None });
            return ledger.decided(Outcome::Refused(refusal));
        }
        let replaced = ledger.records.login.recovery.left();
        ledger.records.login.recovery.replace(&self.key, self.codes.clone(), now);
        let codes = ledger.records.login.recovery.left();
        ledger.note(None, Event::RecoveryCodesMade { codes, replaced });
        ledger.decided(Outcome::Done(()))
    }
}

#[cfg(test)]
mod tests;
