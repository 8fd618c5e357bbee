//! A bypass: an administrator's word that an account may log in without a code for a while.
//!
//! It is for who lost the phone, or whose number is not proved yet. It always ends by itself, is
//! written down with its reason at every step, and yields to an account that is switched off.

mod network;

use std::{fmt, time::Duration};

use minicbor::{Decode, Encode};

pub use network::{Network, NetworkError};

use super::{
    account::{Account, Source},
    audit::{Actor, Event},
    challenge::CLOCK_SLACK,
    enrollment::State,
    login::Ledger,
    passcode::RequestId,
    records::{Decided, Records},
    time::{DAY, MINUTE, Timestamp},
};

/// The shortest bypass.
pub const SHORTEST: Duration = MINUTE;
/// The longest one: 7 days. What is needed for longer is a policy, or another number.
pub const LONGEST: Duration = Duration::from_secs(7 * DAY.as_secs());
/// Most logins that a bypass can be limited to; without a limit it holds for all of its time.
pub const MOST_USES: u8 = 100;
/// Longest reason, characters.
pub const LONGEST_REASON: usize = 200;
/// Bypasses that an account may have at once.
pub const PER_ACCOUNT: usize = 8;

/// Names a bypass to administrators, as in `7K3F-Q2`. It opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct BypassId(#[n(0)] u32);

impl BypassId {
    /// From 32 random bits.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        Self(bits >> 2)
    }

    /// As a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether a typed text names it, in whatever case.
    #[must_use]
    pub fn is_named(self, text: &str) -> bool {
        self.to_string().eq_ignore_ascii_case(text)
    }
}

impl fmt::Display for BypassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RequestId(self.0).fmt(f)
    }
}

/// One bypass of an account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Bypass {
    /// Its name.
    #[n(0)]
    pub id: BypassId,
    /// When it was granted.
    #[n(1)]
    pub granted_at: Timestamp,
    /// When it ends.
    #[n(2)]
    pub until: Timestamp,
    /// Who granted it.
    #[n(3)]
    pub by: u32,
    /// Why: 1 to [`LONGEST_REASON`] characters, none of them a control character.
    #[n(4)]
    pub reason: String,
    /// Logins it is still good for; `None`: as many as there are in its time.
    #[n(5)]
    pub uses_left: Option<u8>,
    /// Logins it let in.
    #[n(6)]
    pub used: u32,
    /// Where it is good for; `None`: everywhere, a console included.
    #[n(7)]
    pub from: Option<Network>,
}

impl Bypass {
    /// Whether nothing can be done with it any more.
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until || self.uses_left == Some(0)
    }

    /// Whether it lets a login in. As with codes, a clock that went back behind its grant makes it
    /// invalid, not longer-lived.
    fn admits(&self, source: Option<Source>, now: Timestamp) -> bool {
        !self.is_over(now)
            && now >= self.granted_at.before(CLOCK_SLACK)
            && self.from.is_none_or(|network| network.holds(source))
    }
}

/// The bypasses of an account, the one that ends first before the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Bypasses(#[n(0)] Vec<Bypass>);

impl Bypasses {
    /// Those that are stored apart.
    #[must_use]
    pub fn stored(mut bypasses: Vec<Bypass>) -> Self {
        bypasses.sort_by_key(|bypass| bypass.until);
        Self(bypasses)
    }

    /// Each of them, over or not.
    pub fn all(&self) -> impl Iterator<Item = &Bypass> {
        self.0.iter()
    }

    /// Drops what is over.
    pub fn prune(&mut self, now: Timestamp) {
        self.0.retain(|bypass| !bypass.is_over(now));
    }

    /// Those that are not over.
    pub fn current(&self, now: Timestamp) -> impl Iterator<Item = &Bypass> {
        self.0.iter().filter(move |bypass| !bypass.is_over(now))
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Bounds each bypass by what another copy of the row knows of it. None is added that is not here:
    /// it may have been ended, or used up.
    pub fn merge(&mut self, other: &Self, now: Timestamp) {
        for bypass in &mut self.0 {
            let Some(other) = other.0.iter().find(|other| other.id == bypass.id) else { continue };
            bypass.until = bypass.until.min(other.until);
            bypass.used = bypass.used.max(other.used);
            let uses = bypass.uses_left.into_iter().chain(other.uses_left);
            bypass.uses_left = uses.min();
        }
        self.0.sort_by_key(|bypass| bypass.until);
        self.prune(now);
    }

    /// Uses the first one that lets this login in; it as it is then.
    pub(super) fn take(&mut self, source: Option<Source>, now: Timestamp) -> Option<Bypass> {
        let bypass = self.0.iter_mut().find(|bypass| bypass.admits(source, now))?;
        bypass.uses_left = bypass.uses_left.map(|uses| uses.saturating_sub(1));
        bypass.used = bypass.used.saturating_add(1);
        let taken = bypass.clone();
        self.prune(now);
        Some(taken)
    }
}

/// A bypass that is asked for; its values are in their ranges.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How long it shall last.
    span: Duration,
    /// Why.
    reason: String,
    /// For how many logins.
    uses: Option<u8>,
    /// For where.
    from: Option<Network>,
}

/// Why no such bypass can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// Too short, or too long.
    #[error("a bypass lasts 1 minute to 7 days (--for 1h)")]
    Span,
    /// Empty, too long, or not one line.
    #[error("the reason has 1 to 200 characters in one line (--reason \"lost phone\")")]
    Reason,
    /// None, or too many.
    #[error("a bypass is good for 1 to 100 logins (--uses 3)")]
    Uses,
    /// Not a network.
    #[error("--from: {0}")]
    From(#[from] NetworkError),
}

impl Wanted {
    /// Checks what an administrator asks for. `seconds`: [`SHORTEST`] to [`LONGEST`]; `uses`: 1 to
    /// [`MOST_USES`].
    ///
    /// # Errors
    /// [`WantedError`]: the first thing that is wrong.
    pub fn new(
        seconds: i64,
        reason: &str,
        uses: Option<i64>,
        from: Option<&str>,
    ) -> Result<Self, WantedError> {
        let span =
            u64::try_from(seconds).map(Duration::from_secs).map_err(|_| WantedError::Span)?;
        if !(SHORTEST..=LONGEST).contains(&span) {
            return Err(WantedError::Span);
        }
        let reason = reason.trim();
        let fits = (1..=LONGEST_REASON).contains(&reason.chars().count());
        if !fits || reason.chars().any(char::is_control) {
            return Err(WantedError::Reason);
        }
        let count = |uses: i64| {
            let uses = u8::try_from(uses).map_err(|_| WantedError::Uses)?;
            if (1..=MOST_USES).contains(&uses) { Ok(uses) } else { Err(WantedError::Uses) }
        };
        let uses = uses.map(count).transpose()?;
        let from = from.map(Network::parse).transpose()?;
        Ok(Self { span, reason: reason.to_owned(), uses, from })
    }
}

/// Grants a bypass.
#[derive(Clone, Debug)]
pub struct GrantBypass {
    /// Whose.
    pub account: Account,
    /// Its name, drawn before.
    pub id: BypassId,
    /// What is asked for.
    pub wanted: Wanted,
    /// Who grants it.
    pub uid: u32,
}

/// Why a bypass was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassRefusal {
    /// An administrator switched the account off; that wins over any bypass.
    Disabled,
    /// There are [`PER_ACCOUNT`] already.
    TooMany,
}

impl BypassRefusal {
    /// The fixed word of the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::TooMany => "too-many-bypasses",
        }
    }
}

impl GrantBypass {
    /// Decides; the bypass.
    pub fn decide(
        &self,
        records: &Records,
        now: Timestamp,
    ) -> Decided<Result<Bypass, BypassRefusal>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let state = ledger.records.enrollment.as_ref().map(|enrollment| enrollment.state);
        if matches!(state, Some(State::Disabled { .. })) {
            return refuse(ledger, BypassRefusal::Disabled);
        }
        let Wanted { span, reason, uses, from } = self.wanted.clone();
        let bypass = Bypass {
            id: self.id,
            granted_at: now,
            until: now.after(span),
            by: self.uid,
            reason: reason.clone(),
            uses_left: uses,
            used: 0,
            from,
        };
        let bypasses = &mut ledger.records.login.bypasses.0;
        if bypasses.len() >= PER_ACCOUNT {
            return refuse(ledger, BypassRefusal::TooMany);
        }
        bypasses.push(bypass.clone());
        bypasses.sort_by_key(|bypass| bypass.until);
        let event = Event::BypassGranted {
            bypass: self.id.to_string(),
            seconds: span.as_secs(),
            uses,
            from: from.map(|network| network.to_string()),
            reason,
        };
        ledger.note(None, event);
        ledger.decided(Ok(bypass))
    }
}

/// The verb of `otpctl`, as an event of its refusal names it.
const BYPASS: &str = "bypass";

/// Refuses, and writes it down.
fn refuse(mut ledger: Ledger, refusal: BypassRefusal) -> Decided<Result<Bypass, BypassRefusal>> {
    let reason = refusal.as_str();
    ledger.note(None, Event::Refused { verb: BYPASS, reason, until: None });
    ledger.decided(Err(refusal))
}

/// Ends bypasses of an account before their time.
#[derive(Clone, Debug)]
pub struct RevokeBypass {
    /// Whose.
    pub account: Account,
    /// The one of this name; `None`: all of them.
    pub id: Option<String>,
    /// Who ends them.
    pub uid: u32,
}

impl RevokeBypass {
    /// Decides; how many were ended.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<usize> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let ended = ledger.revoke_bypasses(self.id.as_deref());
        if ended == 0 {
            let reason = "no-such-bypass";
            ledger.note(None, Event::Refused { verb: BYPASS, reason, until: None });
        }
        ledger.decided(ended)
    }
}

impl Ledger {
    /// Ends the bypass of this name, or all of them; how many that were.
    pub(super) fn revoke_bypasses(&mut self, id: Option<&str>) -> usize {
        let bypasses = std::mem::take(&mut self.records.login.bypasses.0);
        let (ended, kept): (Vec<_>, Vec<_>) =
            bypasses.into_iter().partition(|bypass| id.is_none_or(|id| bypass.id.is_named(id)));
        self.records.login.bypasses.0 = kept;
        for bypass in &ended {
            self.note(None, Event::BypassRevoked { bypass: bypass.id.to_string() });
        }
        ended.len()
    }
}

#[cfg(test)]
mod tests;
