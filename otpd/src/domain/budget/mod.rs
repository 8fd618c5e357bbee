//! How often an account may be wrong and how many messages may be sent.
//!
//! Windows roll: an event counts from its time on for the window's length, and a success never
//! clears one. (A counter that a success resets would give a thief of the password a fresh set of
//! guesses after every real login.) Events in the future, after the clock was set back, count as now.

mod failures;
mod messages;
mod traffic;

pub use failures::Failures;
pub use messages::{Budget, Messages, Refunded};
pub use traffic::{Conversion, Low, SHARES, Share, Traffic, wrong_for_long_codes};

use std::time::Duration;

use super::time::{MINUTE, Timestamp};

/// The site's limits on messages; what is not here is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unanswered messages to an account, and to a number, in any hour. Range 1 to 60.
    pub unanswered_per_hour: u32,
    /// The same in any 24 hours. Range 1 to 200.
    pub unanswered_per_day: u32,
    /// Messages to an account, and to a number, answered or not, in any hour. Range 1 to 600.
    pub messages_per_hour: u32,
    /// The same in any 24 hours. Range 1 to 2000.
    pub messages_per_day: u32,
    /// Unanswered messages of all accounts together in any 24 hours; `None`: five for each enrolled
    /// account, at least 200.
    pub all_unanswered_per_day: Option<u32>,
    /// Messages of all accounts together in any 24 hours, answered or not, proofs of numbers too,
    /// whoever asks; `None`: no such limit.
    pub max_messages_per_day: Option<u32>,
    /// What happens when too few messages to a range of numbers or to a country are answered.
    pub conversion: Conversion,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unanswered_per_hour: 5,
            unanswered_per_day: 12,
            messages_per_hour: 40,
            messages_per_day: 120,
            all_unanswered_per_day: None,
            max_messages_per_day: None,
            conversion: Conversion::Alert,
        }
    }
}

/// Wrong codes in an hour that bring a pause.
pub const WRONG_PER_HOUR: usize = 10;
/// How long that pause is.
pub const PAUSE: Duration = Duration::from_mins(30);
/// Wrong codes in 24 hours that lock until the oldest of them leaves the window.
pub const WRONG_PER_DAY: usize = 20;
/// Wrong codes in a row that suspend the account's codes: SP 800-63B allows at most 100.
pub const WRONG_IN_A_ROW: u32 = 100;
/// Wrong codes in [`LONG_CODE_WINDOW`] after which codes have eight digits.
pub const WRONG_FOR_LONG_CODES: usize = 20;
/// See [`WRONG_FOR_LONG_CODES`].
pub const LONG_CODE_WINDOW: Duration = Duration::from_hours(720);
/// Wrong codes in 24 hours that a known source may have beyond what locks the account.
pub const RESERVE_TRIES: usize = 5;
/// Unanswered messages in 24 hours that a known source may have beyond the account's.
pub const RESERVE_MESSAGES: usize = 3;
/// Unanswered calls in 24 hours.
pub const CALLS_PER_DAY: usize = 4;
/// Messages to an account, and to a number, whose charge is taken back in an hour.
pub const REFUNDS_PER_HOUR: usize = 10;
/// Messages in 24 hours to a number that is not proved yet.
pub const PROOFS_PER_DAY: usize = 3;

/// A limit by its name in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitName {
    /// [`WRONG_PER_HOUR`].
    WrongCodesPerHour,
    /// [`WRONG_PER_DAY`].
    WrongCodesPerDay,
    /// [`WRONG_IN_A_ROW`].
    WrongCodesInARow,
    /// [`Limits::unanswered_per_hour`].
    UnansweredPerHour,
    /// [`Limits::unanswered_per_day`].
    UnansweredPerDay,
    /// [`Limits::messages_per_hour`].
    MessagesPerHour,
    /// [`Limits::messages_per_day`].
    MessagesPerDay,
    /// [`CALLS_PER_DAY`].
    CallsPerDay,
    /// [`PROOFS_PER_DAY`].
    UnverifiedPerDay,
    /// Too many logins of the account wait for a code.
    LiveChallenges,
    /// Unanswered messages to one country, of all accounts together, in an hour.
    CountryPerHour,
    /// Unanswered messages of all accounts together in an hour.
    AllPerHour,
    /// [`Limits::all_unanswered_per_day`].
    AllPerDay,
    /// [`Limits::max_messages_per_day`].
    MaxMessagesPerDay,
    /// [`Limits::conversion`].
    Conversion,
    /// [`super::recovery::WRONG_PER_HOUR`].
    RecoveryCodesPerHour,
}

impl LimitName {
    /// What it keeps from happening.
    #[must_use]
    pub const fn kind(self) -> LimitKind {
        match self {
            Self::WrongCodesPerHour | Self::WrongCodesPerDay => LimitKind::WrongCodes,
            Self::WrongCodesInARow => LimitKind::Suspension,
            Self::RecoveryCodesPerHour => LimitKind::RecoveryCodes,
            Self::LiveChallenges => LimitKind::Logins,
            Self::UnansweredPerHour
            | Self::UnansweredPerDay
            | Self::MessagesPerHour
            | Self::MessagesPerDay
            | Self::CallsPerDay
            | Self::UnverifiedPerDay
            | Self::CountryPerHour
            | Self::AllPerHour
            | Self::AllPerDay
            | Self::MaxMessagesPerDay
            | Self::Conversion => LimitKind::Messages,
        }
    }

    /// The name as the administrator reads it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongCodesPerHour => "wrong-codes-per-hour",
            Self::WrongCodesPerDay => "wrong-codes-per-day",
            Self::WrongCodesInARow => "wrong-codes-in-a-row",
            Self::UnansweredPerHour => "unanswered-per-hour",
            Self::UnansweredPerDay => "unanswered-per-day",
            Self::MessagesPerHour => "messages-per-hour",
            Self::MessagesPerDay => "messages-per-day",
            Self::CallsPerDay => "calls-per-day",
            Self::UnverifiedPerDay => "unverified-number-per-day",
            Self::LiveChallenges => "live-challenges",
            Self::CountryPerHour => "country-unanswered-per-hour",
            Self::AllPerHour => "all-unanswered-per-hour",
            Self::AllPerDay => "all-unanswered-per-day",
            Self::MaxMessagesPerDay => "max-messages-per-day",
            Self::Conversion => "conversion",
            Self::RecoveryCodesPerHour => "recovery-codes-per-hour",
        }
    }
}

/// What a limit keeps from happening: all that texts need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Codes are compared again after a while.
    WrongCodes,
    /// No code is compared until somebody acts.
    Suspension,
    /// Recovery codes are compared again after a while.
    RecoveryCodes,
    /// No further login until one of those that wait ends.
    Logins,
    /// No message goes out.
    Messages,
}

/// A limit that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub limit: LimitName,
    /// When it began to hold.
    pub since: Timestamp,
    /// When it ends; `None`: when an administrator or a recovery code ends it.
    pub until: Option<Timestamp>,
}

/// Where a login comes from, as budgets see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The account logged in from there with success in the last 30 days: it has a reserve, so that
    /// a thief of the password elsewhere cannot use up what the subscriber needs.
    Known,
    /// Anywhere else, and a console.
    Other,
}

/// What pays for a guess or a message.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// The budget that every source shares.
    Common,
    /// What is kept for known sources.
    Reserve,
}

/// The later end wins: a claimant is told when all limits are over.
pub(super) fn later(a: Option<Held>, b: Option<Held>) -> Option<Held> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let end = |held: &Held| held.until.map_or(i64::MAX, |until| until.0);
            Some(if end(&b) > end(&a) { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

/// The sooner end wins: the claimant can go on as soon as either budget has room.
fn sooner(a: Held, b: Held) -> Held {
    let end = |held: &Held| held.until.map_or(i64::MAX, |until| until.0);
    if end(&b) < end(&a) { b } else { a }
}

/// Whether `allowed` events in any `span` are used up by `events` (ascending), and until when.
pub(super) fn window(
    events: &[Timestamp],
    allowed: usize,
    span: Duration,
    limit: LimitName,
    now: Timestamp,
) -> Option<Held> {
    let inside = events.iter().copied().filter(|at| at.is_within(span, now)).collect::<Vec<_>>();
    // Once this one leaves the window, one fewer than allowed is left.
    let leaving = inside.len().checked_sub(allowed).and_then(|index| inside.get(index).copied())?;
    let since = inside.get(allowed.saturating_sub(1)).copied().unwrap_or(leaving);
    Some(Held { limit, since: since.min(now), until: Some(leaving.min(now).after(span)) })
}

/// Two lists of events as one, ascending: what stands in both is one event, and none of either is left
/// out.
fn union(a: &[Timestamp], b: &[Timestamp]) -> Vec<Timestamp> {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort_unstable();
    b.sort_unstable();
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    std::iter::from_fn(|| match (a.peek(), b.peek()) {
        (Some(one), Some(other)) if one == other => {
            b.next();
            a.next()
        }
        (Some(one), Some(other)) if one > other => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
    .collect()
}

/// As [`union`], the newest `count` of them; of `b` only what is within `span`.
pub(super) fn merged(
    a: &[Timestamp],
    b: &[Timestamp],
    (span, now): (Duration, Timestamp),
    count: usize,
) -> Vec<Timestamp> {
    let recent = b.iter().copied().filter(|at| at.is_within(span, now)).collect::<Vec<_>>();
    let mut all = union(a, &recent);
    keep_newest(&mut all, count);
    all
}

fn keep_newest(times: &mut Vec<Timestamp>, count: usize) {
    times.sort_unstable();
    let surplus = times.len().saturating_sub(count);
    times.drain(..surplus);
}

/// The waits before a resend: the first after 30 s, every further one after 60 s.
#[must_use]
pub fn resend_wait(resends_done: u8) -> Duration {
    if resends_done == 0 { MINUTE / 2 } else { MINUTE }
}

/// For how long a source counts as known after a full success from it.
pub const KNOWN_FOR: Duration = LONG_CODE_WINDOW;

#[cfg(test)]
mod tests;
