//! What is forgotten when nobody comes back to it.

use std::time::Duration;

use super::{
    budget::{Failures, Messages},
    challenge::State,
    login::LoginState,
    records::{Decided, Records},
    recovery::Recovery,
    time::{DAY, Timestamp},
};

/// How long an ended challenge is kept at most. The account's next login may forget it sooner.
pub const ENDED_KEPT: Duration = DAY;

/// Whether an account's logins hold something that is to be forgotten.
#[must_use]
pub fn is_stale(enrolled: bool, login: &LoginState, now: Timestamp) -> bool {
    let old = login.challenges.iter().any(|challenge| {
        let end = match challenge.state {
            State::Live { .. } | State::Withheld => challenge.expires_at(),
            State::Ended { at, .. } => at,
        };
        !end.is_within(ENDED_KEPT, now)
    });
    // An empty state is not worth a second look; the store has no row for it.
    old || (!enrolled && *login != LoginState::default() && is_idle(login, now))
}

/// Whether every rule would take it for a state that was never written. What is not named here
/// counts as long as [`LoginState::prune`] keeps it.
fn is_idle(login: &LoginState, now: Timestamp) -> bool {
    let mut rest = login.clone();
    rest.prune(now);
    if rest.failures.is_idle(now) {
        rest.failures = Failures::default();
    }
    if rest.messages.idle_at() <= now {
        rest.messages = Messages::default();
    }
    if rest.recovery.is_idle() {
        rest.recovery = Recovery::default();
    }
    rest == LoginState::default()
}

/// Forgets what [`is_stale`] finds.
#[derive(Clone, Copy, Debug)]
pub struct Forget;

impl Forget {
    /// Decides; whether there was something to forget.
    pub fn decide(self, records: &Records, now: Timestamp) -> Decided<bool> {
        let mut records = records.clone();
        let stale = is_stale(records.enrollment.is_some(), &records.login, now);
        if stale {
            records.login.prune(now);
            if records.enrollment.is_none() && is_idle(&records.login, now) {
                records.login = LoginState::default();
            }
        }
        Decided { records, audit: Vec::new(), answer: stale }
    }
}

#[cfg(test)]
mod tests;
