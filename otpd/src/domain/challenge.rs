//! One passcode question, from its issue to its end.
//!
//! `live → used | spent | expired | cancelled | superseded`; an ended challenge never leaves its end.
//! A live one whose code is withheld asks for a recovery code alone, from its begin or from some point
//! on; it never gets a code again.
//! Tries belong to the challenge: neither a resend nor the fresh code after expiry gives one back.

mod delivery;
mod issuer;
mod state;

use std::time::Duration;

use minicbor::{Decode, Encode};

pub use delivery::{Channel, Delivery};
pub use issuer::{Host, Instance, Issuer};
pub use state::{End, State};

use super::{
    account::{Account, Source},
    budget::resend_wait,
    passcode::{ChallengeToken, CodeHash, CodeKey, Draw, LONG, Passcode, Purpose, Reference},
    time::Timestamp,
};

/// The site's rules for codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CodeRules {
    /// Decimal digits of a code. Range 6 to 8.
    #[n(0)]
    pub digits: u8,
    /// How long a code may be typed. Range 60 s to [`LONGEST_LIFE`].
    #[n(1)]
    pub life: Duration,
    /// Wrong codes a login may have. Range 1 to 5.
    #[n(2)]
    pub tries: u8,
    /// Times a login may have its code sent again. Range 0 to 5.
    #[n(3)]
    pub resends: u8,
}

impl Default for CodeRules {
    fn default() -> Self {
        Self { digits: 6, life: Duration::from_mins(5), tries: 3, resends: 2 }
    }
}

/// The longest that a code may be typed: SP 800-63B allows at most ten minutes.
pub const LONGEST_LIFE: Duration = Duration::from_mins(10);
/// Answers of any kind that one challenge takes.
pub const ANSWERS: u8 = 30;
/// A clock set back by more than this makes a code invalid, not longer-lived.
pub(super) const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// What sshd's connection, the service and the host make together: the same attempt when sshd runs
/// the stack again. A keyed hash, so that the store does not tell where people log in from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct AttemptKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// One passcode question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Challenge {
    /// Its name on the wire.
    #[n(0)]
    pub token: ChallengeToken,
    /// What the code is for.
    #[n(1)]
    pub purpose: Purpose,
    /// The login it belongs to, where the connection tells.
    #[n(2)]
    pub attempt: Option<AttemptKey>,
    /// Where the claimant comes from; none on a console.
    #[n(3)]
    pub source: Option<Source>,
    /// The rules it began under; it ends under them.
    #[n(4)]
    pub rules: CodeRules,
    /// When the newest code was issued, or withheld.
    #[n(5)]
    pub issued_at: Timestamp,
    /// References of its messages, the newest last.
    #[n(6)]
    references: Vec<Reference>,
    /// How the newest code travels.
    #[n(7)]
    pub channel: Channel,
    /// How far its message is.
    #[n(8)]
    pub delivery: Delivery,
    /// Digits of the newest code.
    #[n(9)]
    pub digits: u8,
    /// Wrong codes it may still have.
    #[n(10)]
    pub tries_left: u8,
    /// Times the claimant had the code sent again.
    #[n(11)]
    pub resends: u8,
    /// Whether the one fresh code after expiry was given.
    #[n(12)]
    pub renewed: bool,
    /// Answers of any kind so far.
    #[n(13)]
    pub answers: u8,
    /// Live, or how it ended.
    #[n(14)]
    pub state: State,
    /// The PAM service, for the message.
    #[n(15)]
    pub service: String,
    /// Times its messages were sent again by themselves, since they did not arrive. Rows of the
    /// first version do not have it.
    #[cbor(n(16), default)]
    pub repeats: u8,
    /// The machine whose daemon issued the newest code; none where a store has one daemon alone.
    #[n(17)]
    pub host: Option<Host>,
    /// The gateway that said last that the number of a login is bad, which no other was asked about
    /// then: it is tried last where the claimant asks again. Rows of the first versions do not have it.
    #[n(18)]
    pub refused_by: Option<String>,
}

/// What a new challenge is about.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Whose.
    pub account: &'a Account,
    /// What for.
    pub purpose: Purpose,
    /// The PAM service, for the message.
    pub service: &'a str,
    /// The login it belongs to.
    pub attempt: Option<AttemptKey>,
    /// Where from.
    pub source: Option<Source>,
    /// How the code travels.
    pub channel: Channel,
    /// The rules.
    pub rules: CodeRules,
    /// Whether the code has [`LONG`] digits.
    pub long: bool,
}

/// What a typed code is.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The newest code.
    Right,
    /// A code that a newer one took the place of.
    Earlier,
    /// Neither.
    Wrong,
}

/// Whether a resend may go now.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// It may.
    Now,
    /// After this many seconds, rounded up, at least 1.
    In(u32),
    /// No more in this login.
    Never,
}

impl Challenge {
    /// Issues a challenge and the code that is to be sent.
    #[must_use]
    pub fn issue(
        question: &Question<'_>,
        issuer: &Issuer,
        draw: &Draw,
        now: Timestamp,
    ) -> (Self, Passcode) {
        let code = choose(draw, question.long);
        let hash = issuer.key.hash(question.purpose, draw.token, question.account, &code);
        let challenge = Self {
            token: draw.token,
            purpose: question.purpose,
            attempt: question.attempt,
            source: question.source,
            rules: question.rules,
            issued_at: now,
            references: vec![draw.reference],
            channel: question.channel,
            delivery: Delivery::Sending { by: issuer.instance },
            digits: digits(&code),
            tries_left: question.rules.tries,
            resends: 0,
            renewed: false,
            answers: 0,
            state: State::Live { code: hash, earlier: Vec::new() },
            service: question.service.to_owned(),
            repeats: 0,
            host: issuer.host,
            refused_by: None,
        };
        (challenge, code)
    }

    /// Issues a challenge without a code: no message goes out, and only a recovery code answers it.
    #[must_use]
    pub fn withheld(
        question: &Question<'_>,
        host: Option<Host>,
        draw: &Draw,
        now: Timestamp,
    ) -> Self {
        Self {
            token: draw.token,
            purpose: question.purpose,
            attempt: question.attempt,
            source: question.source,
            rules: question.rules,
            issued_at: now,
            references: Vec::new(),
            channel: question.channel,
            delivery: Delivery::Unsent,
            digits: question.rules.digits,
            tries_left: question.rules.tries,
            resends: 0,
            renewed: false,
            answers: 0,
            repeats: 0,
            host,
            refused_by: None,
            state: State::Withheld,
            service: question.service.to_owned(),
        }
    }

    /// Takes the codes out of a live challenge: from now on only a recovery code answers it. Nothing
    /// that becomes of a message from before is about it any more.
    pub fn withhold(&mut self, now: Timestamp) {
        if self.is_live() {
            self.state = State::Withheld;
            self.delivery = Delivery::Unsent;
            self.issued_at = now;
        }
    }

    /// Whether it is live without a code.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        matches!(self.state, State::Withheld)
    }

    /// Puts a fresh code in the place of the newest one, which from now on is only recognised.
    ///
    /// `None` when the challenge is over or its code is withheld.
    #[must_use]
    pub fn reissue(
        &mut self,
        account: &Account,
        issuer: &Issuer,
        draw: &Draw,
        channel: Channel,
        long: bool,
        now: Timestamp,
    ) -> Option<Passcode> {
        let State::Live { code: newest, earlier } = &mut self.state else { return None };
        // Never shorter than before: a code that was long because of guessing stays so.
        let code = choose(draw, long || self.digits > digits(&draw.code));
        let hash = issuer.key.hash(self.purpose, self.token, account, &code);
        earlier.push(std::mem::replace(newest, hash));
        self.references.push(draw.reference.apart_from(&self.references));
        self.issued_at = now;
        self.channel = channel;
        self.digits = digits(&code);
        self.delivery = Delivery::Sending { by: issuer.instance };
        self.host = issuer.host;
        Some(code)
    }

    /// Whether the challenge may still be answered; its code may have expired.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.state {
            State::Live { .. } | State::Withheld => true,
            State::Ended { .. } => false,
        }
    }

    /// Whether the newest code is out of its life: `now ≥ expires_at`, or the clock went back
    /// behind its issue by more than 5 s.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at() || now < self.issued_at.before(CLOCK_SLACK)
    }

    /// When the newest code dies.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.issued_at.after(self.rules.life)
    }

    /// The newest message's reference.
    #[must_use]
    pub fn reference(&self) -> Reference {
        // Whatever has a code has one; the fall-back only keeps damaged rows from panicking.
        self.references.last().copied().unwrap_or_else(Reference::unknown)
    }

    /// Whether nobody holds the newest code any more and no vendor is known to have taken it: the
    /// daemon that was sending it has stopped.
    #[must_use]
    pub fn is_lost(&self, instance: Instance) -> bool {
        match self.delivery {
            Delivery::Sending { by } => by != instance,
            Delivery::Accepted { .. }
            | Delivery::Uncertain { .. }
            | Delivery::Undelivered { .. }
            | Delivery::Unsent => false,
        }
    }

    /// Compares what was typed. The caller has checked that the challenge is live and in time, and
    /// charges for [`Judgement::Wrong`] in the same transaction.
    pub fn judge(&self, account: &Account, key: &CodeKey, typed: &Passcode) -> Judgement {
        let State::Live { code, earlier } = &self.state else { return Judgement::Wrong };
        // Each by the key that it was made with: the master may have been replaced since.
        let is = |stored: &CodeHash| {
            let hash = key.of(stored.key_id).hash(self.purpose, self.token, account, typed);
            stored.matches(&hash)
        };
        if is(code) {
            return Judgement::Right;
        }
        // All are compared, so that the time does not tell which one it was.
        let known = earlier.iter().fold(false, |known, old| is(old) | known);
        if known { Judgement::Earlier } else { Judgement::Wrong }
    }

    /// Whether the claimant may have the code sent again. A message that no gateway took was none:
    /// it can always be tried again, after the wait that keeps the gateways from being hammered.
    pub fn may_resend(&self, now: Timestamp) -> Resend {
        let used_up = self.resends >= self.rules.resends;
        match self.resend_in(now) {
            _ if used_up && self.delivery != Delivery::Unsent => Resend::Never,
            0 => Resend::Now,
            seconds => Resend::In(seconds),
        }
    }

    /// Seconds, rounded up, until a further message may go, if one may.
    #[must_use]
    pub fn resend_in(&self, now: Timestamp) -> u32 {
        let wait = resend_wait(self.resends);
        // After the clock was set back nobody waits longer than the wait itself.
        let left = self.issued_at.after(wait).since(now).min(wait);
        u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    /// Whether a wrong code was typed.
    #[must_use]
    pub fn was_guessed(&self) -> bool {
        self.tries_left < self.rules.tries
    }

    /// Ends a live challenge; an ended one stays as it is. True when this ended it.
    pub fn end(&mut self, how: End, now: Timestamp) -> bool {
        let live = self.is_live();
        if live {
            self.state = State::Ended { how, at: now };
        }
        live
    }
}

fn choose(draw: &Draw, long: bool) -> Passcode {
    if long { draw.long_code.clone() } else { draw.code.clone() }
}

fn digits(code: &Passcode) -> u8 {
    u8::try_from(code.expose().len()).unwrap_or(LONG)
}

#[cfg(test)]
mod tests;
