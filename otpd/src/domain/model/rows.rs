//! What is stored of the one account there is.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
    time::Duration,
};

use crate::domain::{
    account::Account,
    budget::Purse,
    challenge::{Challenge, State},
    login::Terms,
    passcode::ChallengeToken,
    records::{BudgetKey, Records, TrafficKey},
    scene::{START, Scene, account, console},
    time::Timestamp,
};

/// The account whose logins are looked at.
pub(super) const NAME: &str = "alice";
/// Wrong codes that the account may still have before the limit of an hour holds.
pub(super) const WRONG_LEFT: usize = 2;
/// Messages, unanswered ones, that it may still get in the hour.
pub(super) const MESSAGES_LEFT: usize = 3;
/// Logins from the same place that nobody answers: one more than a session's makes them give way.
pub(super) const OTHERS: usize = 2;

/// The stored rows; two are the same when their stored forms are.
#[derive(Clone, Debug)]
pub(super) struct Rows(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    records: Records,
    form: Vec<u8>,
}

impl Rows {
    pub(super) fn new(records: Records) -> Self {
        let mut form = minicbor::to_vec(&records.login).expect("a stored form");
        for budget in records.budgets.values() {
            minicbor::encode(budget, &mut form).expect("a stored form");
        }
        for traffic in records.traffic.values() {
            minicbor::encode(traffic, &mut form).expect("a stored form");
        }
        Self(Arc::new(Kept { records, form }))
    }

    pub(super) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(super) fn challenge(&self, token: ChallengeToken) -> Option<&Challenge> {
        self.records().login.challenges.iter().find(|challenge| challenge.token == token)
    }

    /// How a challenge ended, if it did.
    pub(super) fn end(&self, token: ChallengeToken) -> Option<&'static str> {
        match &self.challenge(token)?.state {
            State::Live { .. } | State::Withheld => None,
            State::Ended { how, .. } => Some(how.as_str()),
        }
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.0.form == other.0.form
    }
}

impl Eq for Rows {}

impl Hash for Rows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.form.hash(state);
    }
}

/// Whose rows these are.
pub(super) fn owner() -> Account {
    account(NAME)
}

/// The rules: a code lives two steps of time and may be sent again once, after one; a login may be wrong
/// twice.
pub(super) fn rules() -> &'static Terms {
    static RULES: LazyLock<Terms> = LazyLock::new(|| {
        let mut terms = Scene::new().terms;
        terms.rules.life = Duration::from_mins(1);
        terms.rules.tries = 2;
        terms.rules.resends = 1;
        terms.limits.unanswered_per_hour = u32::try_from(OTHERS + MESSAGES_LEFT).expect("few");
        terms
    });
    &RULES
}

/// An account that was guessed at before, and of which other logins wait for a code.
pub(super) fn first() -> Rows {
    let mut scene = Scene::new();
    scene.terms = rules().clone();
    for _ in 0..OTHERS {
        scene.start(console());
    }
    let enrollment = scene.enrollments.remove(&owner()).expect("enrolled");
    let mut login = scene.login(NAME);
    for _ in 0..crate::domain::budget::WRONG_PER_HOUR - WRONG_LEFT {
        login.failures.charge(Purse::Common, START.before(Duration::from_mins(1)));
    }
    let number = scene.budgets.remove(&enrollment.index).unwrap_or_default();
    let budgets = [(BudgetKey::Number(enrollment.index), number)].into();
    let kept = |key| (key, scene.traffic.get(&key).cloned().unwrap_or_default());
    let traffic = TrafficKey::of(&enrollment).map(kept).into();
    Rows::new(Records {
        account: Some(owner()),
        enrollment: Some(enrollment),
        login,
        budgets,
        traffic,
        enrolled: scene.enrolled,
    })
}

/// The time after so many steps.
pub(super) fn time(ticks: u8) -> Timestamp {
    START.after(TICK * ticks.into())
}

/// One step of time: the wait before the first resend.
const TICK: Duration = Duration::from_secs(30);
