//! What one decision sees and leaves behind.

use std::collections::BTreeMap;

use super::{
    account::Account,
    audit::AuditEvent,
    budget::Budget,
    enrollment::{Enrollment, NumberIndex},
    login::LoginState,
};

/// Names a budget that several accounts may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetKey {
    /// One telephone number.
    Number(NumberIndex),
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
}

impl Records {
    /// The budget of a number. `None` when the decision's scope does not name it: what was not
    /// locked and read must not be written.
    pub fn number_budget(&mut self, number: NumberIndex) -> Option<&mut Budget> {
        self.budgets.get_mut(&BudgetKey::Number(number))
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
