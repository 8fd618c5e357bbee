//! How often an account may be wrong and how many messages may be sent.
//!
//! Windows roll: an event counts from its time on for the window's length, and a success never
//! clears one. (A counter that a success resets would give a thief of the password a fresh set of
//! guesses after every real login.) Events in the future, after the clock was set back, count as now.

use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{
    challenge::Channel,
    passcode::ChallengeToken,
    time::{DAY, HOUR, MINUTE, Timestamp},
};

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unanswered_per_hour: 5,
            unanswered_per_day: 12,
            messages_per_hour: 40,
            messages_per_day: 120,
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
    /// [`super::recovery::WRONG_PER_HOUR`].
    RecoveryCodesPerHour,
}

impl LimitName {
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
            Self::RecoveryCodesPerHour => "recovery-codes-per-hour",
        }
    }
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

/// Wrong codes of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Failures {
    /// Since the last unlock; the newest [`Self::KEPT`], ascending.
    #[n(0)]
    recent: Vec<Timestamp>,
    /// Since the last success or unlock.
    #[n(1)]
    in_a_row: u32,
    /// Before the last unlock: they no longer bring a pause, but still count for
    /// [`Self::wants_long_codes`]. Kept apart, because the time of an unlock would tell the two
    /// wrongly after a clock was set.
    #[n(2)]
    forgiven: Vec<Timestamp>,
}

impl Failures {
    /// No rule looks at more than this many.
    const KEPT: usize = 32;

    /// Has what lies in the future age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.recent.iter_mut().for_each(|at| *at = (*at).min(now));
    }

    /// Charges one wrong code.
    pub fn charge(&mut self, now: Timestamp) {
        // Those of a clock that was ahead count as now, or ten of the same minute would not be ten
        // of the same hour.
        self.recent.iter_mut().for_each(|at| *at = (*at).min(now));
        self.recent.push(now);
        keep_newest(&mut self.recent, Self::KEPT);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// Notes a success: it ends the row, and clears no window.
    pub fn succeed(&mut self) {
        self.in_a_row = 0;
    }

    /// Ends every limit that wrong codes brought.
    pub fn unlock(&mut self) {
        self.in_a_row = 0;
        self.forgiven.append(&mut self.recent);
        keep_newest(&mut self.forgiven, Self::KEPT);
    }

    /// The limit that keeps codes from being compared, if one holds.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Option<Held> {
        let suspended = (self.in_a_row >= WRONG_IN_A_ROW).then(|| Held {
            limit: LimitName::WrongCodesInARow,
            since: self.recent.last().copied().unwrap_or(now),
            until: None,
        });
        // The pause runs from the failure that filled the hour, whatever the hour holds later.
        let pause = self
            .recent
            .windows(WRONG_PER_HOUR)
            .filter_map(|run| Some((run.first()?, run.last()?)))
            .filter(|(first, last)| first.is_within(HOUR, **last))
            .map(|(_, last)| (*last).min(now))
            .next_back()
            .filter(|last| last.is_within(PAUSE, now))
            .map(|last| Held {
                limit: LimitName::WrongCodesPerHour,
                since: last,
                until: Some(last.after(PAUSE)),
            });
        let day = window(&self.recent, WRONG_PER_DAY, DAY, LimitName::WrongCodesPerDay, now);
        later(suspended, later(day, pause))
    }

    /// Whether the account was guessed at so often that its codes need eight digits.
    #[must_use]
    pub fn wants_long_codes(&self, now: Timestamp) -> bool {
        self.within(LONG_CODE_WINDOW, now) > WRONG_FOR_LONG_CODES
    }

    /// Wrong codes in the last `span`; exact up to 32.
    #[must_use]
    pub fn within(&self, span: Duration, now: Timestamp) -> usize {
        let all = self.forgiven.iter().chain(&self.recent);
        all.filter(|at| at.is_within(span, now)).count()
    }
}

fn keep_newest(times: &mut Vec<Timestamp>, count: usize) {
    times.sort_unstable();
    let surplus = times.len().saturating_sub(count);
    times.drain(..surplus);
}

/// One message that was, or is being, sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Sent {
    #[n(0)]
    at: Timestamp,
    /// The login it belongs to: the first bits of its token, enough to tell an account's own logins
    /// of one day apart.
    #[n(1)]
    login: u32,
    /// That login succeeded.
    #[n(2)]
    answered: bool,
    #[n(3)]
    channel: Channel,
}

/// Messages to one account or one number in the last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Messages {
    #[n(0)]
    sent: Vec<Sent>,
    /// Charges that were taken back in the last hour.
    #[n(1)]
    refunds: Vec<Timestamp>,
}

impl Messages {
    /// Has what lies in the future age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.sent.iter_mut().for_each(|sent| sent.at = sent.at.min(now));
        self.refunds.iter_mut().for_each(|at| *at = (*at).min(now));
    }

    /// Charges one message.
    pub fn charge(&mut self, login: ChallengeToken, channel: Channel, now: Timestamp) {
        self.sent.retain(|sent| sent.at.is_within(DAY, now));
        self.sent.push(Sent { at: now, login: tag(login), answered: false, channel });
        self.sent.sort_by_key(|sent| sent.at);
    }

    /// Takes back the charge of a login's message that was surely not sent. `at`: when it was
    /// charged, so that no other message of the login is given back for it, and none twice.
    ///
    /// At most [`REFUNDS_PER_HOUR`]: what always fails, for example to a number that opted out, must
    /// not let a thief of the password ask a vendor without end.
    pub fn refund(&mut self, login: ChallengeToken, at: Timestamp, now: Timestamp) {
        self.refunds.retain(|refund| refund.is_within(HOUR, now));
        let charge = |sent: &Sent| sent.login == tag(login) && sent.at == at;
        let charged = self.sent.iter().position(charge);
        if let Some(index) = charged.filter(|_| self.refunds.len() < REFUNDS_PER_HOUR) {
            self.sent.remove(index);
            self.refunds.push(now);
        }
    }

    /// Marks the messages of a login that succeeded.
    pub fn answer(&mut self, login: ChallengeToken) {
        self.sent.iter_mut().filter(|sent| sent.login == tag(login)).for_each(|sent| {
            sent.answered = true;
        });
    }

    /// The limit that keeps a message from being sent, if one holds.
    #[must_use]
    pub fn held(&self, limits: &Limits, channel: Channel, now: Timestamp) -> Option<Held> {
        let times = |wanted: &dyn Fn(&Sent) -> bool| {
            self.sent.iter().filter(|s| wanted(s)).map(|s| s.at).collect::<Vec<_>>()
        };
        let all = times(&|_| true);
        let unanswered = times(&|sent| !sent.answered);
        let calls = times(&|sent| !sent.answered && sent.channel == Channel::Voice);
        let size = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let voice = (channel == Channel::Voice)
            .then(|| window(&calls, CALLS_PER_DAY, DAY, LimitName::CallsPerDay, now))
            .flatten();
        [
            (&unanswered, limits.unanswered_per_hour, HOUR, LimitName::UnansweredPerHour),
            (&unanswered, limits.unanswered_per_day, DAY, LimitName::UnansweredPerDay),
            (&all, limits.messages_per_hour, HOUR, LimitName::MessagesPerHour),
            (&all, limits.messages_per_day, DAY, LimitName::MessagesPerDay),
        ]
        .into_iter()
        .map(|(events, allowed, span, name)| window(events, size(allowed), span, name, now))
        .fold(voice, later)
    }

    /// Messages in the last 24 hours.
    #[must_use]
    pub fn in_a_day(&self, now: Timestamp) -> usize {
        self.sent.iter().filter(|sent| sent.at.is_within(DAY, now)).count()
    }
}

fn tag(login: ChallengeToken) -> u32 {
    login.request().0
}

/// What counts for one telephone number, whatever accounts share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Budget {
    /// Messages to log in.
    #[n(0)]
    pub messages: Messages,
    /// Messages to prove the number, ascending; the newest [`PROOFS_PER_DAY`] are enough.
    #[n(1)]
    proofs: Vec<Timestamp>,
}

impl Budget {
    /// Has what lies in the future, by a clock that was ahead, age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.messages.settle(now);
        self.proofs.iter_mut().for_each(|at| *at = (*at).min(now));
    }

    /// The limit that keeps an unproved number from getting a message, if it holds.
    #[must_use]
    pub fn proofs_held(&self, now: Timestamp) -> Option<Held> {
        window(&self.proofs, PROOFS_PER_DAY, DAY, LimitName::UnverifiedPerDay, now)
    }

    /// Charges a message that proves the number.
    pub fn charge_proof(&mut self, now: Timestamp) {
        self.proofs.push(now);
        keep_newest(&mut self.proofs, PROOFS_PER_DAY);
    }

    /// Takes back the charge of a message that was surely not sent. `at`: when it was charged.
    pub fn refund_proof(&mut self, at: Timestamp) {
        if let Some(index) = self.proofs.iter().position(|charged| *charged == at) {
            self.proofs.remove(index);
        }
    }

    /// True when nothing in it counts any more.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.messages.in_a_day(now) == 0 && !self.proofs.iter().any(|at| at.is_within(DAY, now))
    }
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
