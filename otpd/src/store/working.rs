//! What one transaction has read and what its decisions made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scope, sqlite::Recent};
use crate::domain::{
    account::Account,
    audit::AuditEvent,
    budget::{Budget, Traffic},
    enrollment::Enrollment,
    login::LoginState,
    passcode::ChallengeToken,
    records::{BudgetKey, Records, TrafficKey},
    time::Timestamp,
};

/// A value as it was read and as it is now.
#[derive(Clone, Debug)]
pub(super) struct Slot<T> {
    pub(super) read: T,
    pub(super) now: T,
}

impl<T: Clone> Slot<T> {
    pub(super) fn new(read: T) -> Self {
        Self { now: read.clone(), read }
    }
}

impl<T: PartialEq> Slot<T> {
    fn changed(&self) -> Option<&T> {
        (self.now != self.read).then_some(&self.now)
    }
}

#[derive(Clone, Debug)]
struct AccountSlot {
    enrollment: Slot<Option<Enrollment>>,
    login: Slot<LoginState>,
}

/// The rows of a batch, by account and by budget: two scopes may name the same one, and the second
/// decision sees what the first one made of it.
#[derive(Clone, Debug, Default)]
pub struct Working {
    accounts: BTreeMap<Account, AccountSlot>,
    budgets: BTreeMap<BudgetKey, Slot<Budget>>,
    traffic: BTreeMap<TrafficKey, Slot<Traffic>>,
    enrolled: u32,
    owners: BTreeMap<ChallengeToken, Account>,
    audit: Vec<AuditEvent>,
    time: Option<Timestamp>,
}

/// What a commit writes.
pub(super) struct Changes<'a> {
    pub(super) enrollments: Vec<(&'a Account, Option<&'a Enrollment>)>,
    /// As they were read and as they are now.
    pub(super) logins: Vec<(&'a Account, &'a Slot<LoginState>)>,
    pub(super) budgets: Vec<(BudgetKey, &'a Budget)>,
    /// As they were read and as they are now.
    pub(super) traffic: Vec<(TrafficKey, &'a Slot<Traffic>)>,
    /// New challenges: token, account, when the code dies.
    pub(super) born: Vec<(ChallengeToken, &'a Account)>,
    /// Challenges that are stored no more.
    pub(super) gone: Vec<ChallengeToken>,
    pub(super) audit: &'a [AuditEvent],
}

impl Working {
    /// Adds an account as it was read.
    pub(super) fn add_account(
        &mut self,
        account: Account,
        enrollment: Option<Enrollment>,
        login: LoginState,
    ) {
        let slot = AccountSlot { enrollment: Slot::new(enrollment), login: Slot::new(login) };
        self.accounts.insert(account, slot);
    }

    /// Adds a budget as it was read.
    pub(super) fn add_budget(&mut self, key: BudgetKey, budget: Budget) {
        self.budgets.insert(key, Slot::new(budget));
    }

    /// Adds what many accounts do together, as it was read.
    pub(super) fn add_traffic(&mut self, key: TrafficKey, traffic: Traffic) {
        self.traffic.insert(key, Slot::new(traffic));
    }

    /// Says how many accounts have a number.
    pub(super) fn set_enrolled(&mut self, enrolled: u32) {
        self.enrolled = enrolled;
    }

    /// How many accounts have a number, by the decisions so far.
    pub(super) fn enrolled(&self) -> u32 {
        self.enrolled
    }

    /// Says what time it is with everything locked: first the database's, then what is believed.
    pub(super) fn set_time(&mut self, time: Timestamp) {
        self.time = Some(time);
    }

    /// The time, where the database has a clock of its own.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Adds what account a challenge belongs to.
    pub(super) fn add_owner(&mut self, token: ChallengeToken, account: Account) {
        self.owners.insert(token, account);
    }

    /// The budgets that the accounts read so far need.
    pub(super) fn budgets_needed(&self) -> BTreeSet<BudgetKey> {
        self.accounts
            .values()
            .filter_map(|slot| slot.enrollment.read.as_ref())
            .map(|enrollment| BudgetKey::Number(enrollment.index))
            .collect()
    }

    /// What the numbers of the accounts read so far count in.
    pub(super) fn traffic_needed(&self) -> BTreeSet<TrafficKey> {
        let enrollments = self.accounts.values().filter_map(|slot| slot.enrollment.read.as_ref());
        let own = enrollments.flat_map(TrafficKey::of);
        own.chain([TrafficKey::All]).collect()
    }

    fn account<'a>(&'a self, scope: &'a Scope) -> Option<&'a Account> {
        match scope {
            Scope::Account(account)
            | Scope::Number { account, .. }
            | Scope::Traffic { account, .. } => Some(account),
            Scope::Challenge(token) => self.owners.get(token),
        }
    }

    /// What a decision sees. An unknown challenge leads to empty records without an account.
    pub(super) fn view(&self, scope: &Scope) -> Records {
        let Some((account, slot)) =
            self.account(scope).and_then(|account| self.accounts.get_key_value(account))
        else {
            return Records::default();
        };
        let enrollment = slot.enrollment.now.as_ref();
        let own = enrollment.map(|enrollment| enrollment.index);
        let further = match scope {
            Scope::Number { number, .. } => Some(*number),
            Scope::Account(_) | Scope::Challenge(_) | Scope::Traffic { .. } => None,
        };
        let besides = match scope {
            Scope::Traffic { key, .. } => Some(*key),
            Scope::Account(_) | Scope::Challenge(_) | Scope::Number { .. } => None,
        };
        let keys = own.into_iter().chain(further).map(BudgetKey::Number);
        let budget = |key| self.budgets.get(&key).map(|slot| (key, slot.now.clone()));
        let together =
            enrollment.map(TrafficKey::of).into_iter().flatten().chain([TrafficKey::All]);
        let together = together.chain(besides);
        let traffic = |key| self.traffic.get(&key).map(|slot| (key, slot.now.clone()));
        Records {
            account: Some(account.clone()),
            enrollment: enrollment.cloned(),
            login: slot.login.now.clone(),
            budgets: keys.filter_map(budget).collect(),
            traffic: together.filter_map(traffic).collect(),
            enrolled: self.enrolled,
        }
    }

    /// What a decision leaves. Of an unknown challenge nothing is kept, and no budget that was not
    /// read.
    pub(super) fn put(&mut self, scope: &Scope, records: Records, audit: Vec<AuditEvent>) {
        let Some(account) = self.account(scope).cloned() else { return };
        let Some(slot) = self.accounts.get_mut(&account) else { return };
        match (&slot.enrollment.now, &records.enrollment) {
            (None, Some(_)) => self.enrolled = self.enrolled.saturating_add(1),
            (Some(_), None) => self.enrolled = self.enrolled.saturating_sub(1),
            (None, None) | (Some(_), Some(_)) => {}
        }
        slot.enrollment.now = records.enrollment;
        slot.login.now = records.login;
        for (key, budget) in records.budgets {
            if let Some(slot) = self.budgets.get_mut(&key) {
                slot.now = budget;
            }
        }
        for (key, traffic) in records.traffic {
            if let Some(slot) = self.traffic.get_mut(&key) {
                slot.now = traffic;
            }
        }
        // A later decision of this batch may name a challenge that this one issued.
        for challenge in &slot.login.now.challenges {
            self.owners.insert(challenge.token, account.clone());
        }
        self.audit.extend(audit);
    }

    pub(super) fn changes(&self) -> Changes<'_> {
        let mut changes = Changes {
            enrollments: Vec::new(),
            logins: Vec::new(),
            budgets: Vec::new(),
            traffic: Vec::new(),
            born: Vec::new(),
            gone: Vec::new(),
            audit: &self.audit,
        };
        for (account, slot) in &self.accounts {
            if let Some(enrollment) = slot.enrollment.changed() {
                changes.enrollments.push((account, enrollment.as_ref()));
            }
            if let Some(login) = slot.login.changed() {
                changes.logins.push((account, &slot.login));
                let (before, after) = (tokens(&slot.login.read), tokens(login));
                changes.born.extend(after.difference(&before).map(|token| (*token, account)));
                changes.gone.extend(before.difference(&after));
            }
        }
        let budgets = self.budgets.iter();
        changes.budgets.extend(budgets.filter_map(|(key, slot)| Some((*key, slot.changed()?))));
        let traffic = self.traffic.iter();
        let differs = traffic.filter(|(_, slot)| slot.changed().is_some());
        changes.traffic.extend(differs.map(|(key, slot)| (*key, slot)));
        changes
    }

    /// Hands over the rows as they are now, once they are committed.
    pub(super) fn keep_in(&mut self, recent: &mut Recent) {
        for (account, AccountSlot { enrollment, login }) in std::mem::take(&mut self.accounts) {
            for token in tokens(&login.read).difference(&tokens(&login.now)) {
                recent.owners.take(token);
            }
            for challenge in &login.now.challenges {
                recent.owners.put(challenge.token, account.clone());
            }
            recent.accounts.put(account, (enrollment.now, login.now));
        }
        for (key, slot) in std::mem::take(&mut self.budgets) {
            recent.budgets.put(key, slot.now);
        }
        for (key, slot) in std::mem::take(&mut self.traffic) {
            recent.traffic.put(key, slot.now);
        }
    }

    /// Leaves events out that were not written down.
    pub(super) fn forget_events(&mut self, which: impl Fn(&AuditEvent) -> bool) {
        self.audit.retain(|event| !which(event));
    }

    pub(super) fn into_audit(self) -> Vec<AuditEvent> {
        self.audit
    }
}

fn tokens(login: &LoginState) -> BTreeSet<ChallengeToken> {
    login.challenges.iter().map(|challenge| challenge.token).collect()
}
