//! What reads find.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Unreadable;
use crate::domain::{
    account::Account,
    audit::Actor,
    challenge::Instance,
    enrollment::{Enrollment, State},
    login::LoginState,
    opt_out::OptOut,
    passcode::{ChallengeToken, RequestId},
    time::Timestamp,
};

/// An account and its number.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The account.
    pub account: Account,
    /// Its number; `None` where that, or what counts for it, cannot be read.
    pub number: Option<ListedNumber>,
}

/// What a list says of a number.
#[derive(Clone, Debug)]
pub struct ListedNumber {
    /// The number.
    pub enrollment: Enrollment,
    /// Since when nothing may be sent there, if that is so.
    pub opted_out: Option<OptOut>,
}

/// How many of what there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Enrollments not proved yet.
    pub pending: u32,
    /// Enrollments in use.
    pub active: u32,
    /// Enrollments switched off.
    pub disabled: u32,
    /// Logins that wait for a code.
    pub live_challenges: u32,
    /// What of that cannot be read.
    pub unreadable: Unreadable,
}

impl Counts {
    pub(super) fn add(&mut self, enrollment: &Enrollment) {
        match enrollment.state {
            State::Pending => self.pending += 1,
            State::Active { .. } => self.active += 1,
            State::Disabled { .. } => self.disabled += 1,
        }
    }

    pub(super) fn add_login(&mut self, login: &LoginState, now: Timestamp) {
        self.live_challenges += u32::try_from(login.live(now)).unwrap_or(u32::MAX);
    }
}

/// The challenges of an account that wait for a code which was lost with another run.
pub(super) fn lost(
    login: &LoginState,
    instance: Instance,
    now: Timestamp,
) -> impl Iterator<Item = ChallengeToken> {
    let waiting = login.challenges.iter().filter(move |challenge| {
        challenge.is_live() && !challenge.is_expired(now) && challenge.is_lost(instance)
    });
    waiting.map(|challenge| challenge.token)
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Ascending in the order of the commits.
    pub id: i64,
    /// When it was decided.
    pub at: Timestamp,
    /// The challenge it is about.
    pub request: Option<RequestId>,
    /// The account it is about, or [`Account::host`].
    pub account: Account,
    /// Who brought it about.
    pub actor: Actor,
    /// What was decided: a fixed word.
    pub event: String,
    /// Its fields.
    pub details: Map<String, Value>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Of this account.
    pub account: Option<Account>,
    /// Of this time and later.
    pub since: Option<Timestamp>,
    /// About this challenge.
    pub request: Option<RequestId>,
}

/// A clock that is set back by less than an hour is followed, so events are in the order of their
/// times but for that much.
pub const OUT_OF_ORDER: Duration = Duration::from_hours(2);

/// Before every id. Events of a restored backup stand before the first, so they may be below zero.
pub(super) const FIRST: i64 = -(1 << 60);

/// Accounts of which something is to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Which, of those that were looked at.
    pub stale: Vec<Account>,
    /// Where the next look begins; `None`: these were the last.
    pub last: Option<Account>,
}

/// Names a budget as the table does, and in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BudgetId {
    pub(super) kind: i16,
    pub(super) key: Vec<u8>,
}

/// Budgets in which nothing counts any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Which, of those that were looked at.
    pub idle: Vec<BudgetId>,
    /// Where the next look begins; `None`: these were the last.
    pub last: Option<BudgetId>,
}
