//! What one decision sees and leaves behind.

use std::collections::BTreeMap;

use super::{
    account::Account,
    audit::AuditEvent,
    budget::{Budget, Traffic},
    enrollment::{Enrollment, NumberIndex, RangeIndex},
    login::LoginState,
    phone::Country,
};

/// Names a budget that several accounts may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetKey {
    /// One telephone number.
    Number(NumberIndex),
}

/// Names what many accounts do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficKey {
    /// Numbers that differ in their last four digits only.
    Range(RangeIndex),
    /// The numbers of a country.
    Country(Country),
    /// The whole site.
    All,
}

impl TrafficKey {
    /// What a message to this number counts in.
    #[must_use]
    pub fn of(enrollment: &Enrollment) -> [Self; 3] {
        let country = enrollment.destination.country;
        [Self::Range(enrollment.range), Self::Country(country), Self::All]
    }
}

/// All that is stored about one account, read under its lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Whose; none when a challenge was named that is not stored.
    pub account: Option<Account>,
    /// The number, if there is one.
    pub enrollment: Option<Enrollment>,
    /// Logins and what counts against guessing.
    pub login: LoginState,
    /// Shared budgets that the decision may charge: one for every key its scope names.
    pub budgets: BTreeMap<BudgetKey, Budget>,
    /// What the account's number counts in: its range, its country and the whole site.
    pub traffic: BTreeMap<TrafficKey, Traffic>,
    /// Accounts with a number, of the whole site: limits on all together grow with it.
    pub enrolled: u32,
}

impl Records {
    /// The budget of a number. `None` when the decision's scope does not name it: what was not
    /// locked and read must not be written.
    pub fn number_budget(&mut self, number: NumberIndex) -> Option<&mut Budget> {
        self.budgets.get_mut(&BudgetKey::Number(number))
    }

    /// What the whole site does; `None` as for [`Self::number_budget`].
    pub fn site(&mut self) -> Option<&mut Traffic> {
        self.traffic.get_mut(&TrafficKey::All)
    }
}

/// A decision: what is to be stored, what is to be written down, and what may be said once both
/// are committed.
#[must_use]
#[derive(Clone, Debug)]
pub struct Decided<A> {
    /// The records as they shall be.
    pub records: Records,
    /// What happened.
    pub audit: Vec<AuditEvent>,
    /// For the caller, after the commit.
    pub answer: A,
}

impl<A> Decided<A> {
    /// Nothing changes and nothing happened.
    pub fn unchanged(records: &Records, answer: A) -> Self {
        Self { records: records.clone(), audit: Vec::new(), answer }
    }
}
