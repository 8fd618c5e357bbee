//! What is in a store, counted and summed up whatever order it is read in and whatever keeps it.
//!
//! Each row has a keyed hash over what it says, and a checksum is the sum of those: two stores with the
//! same rows have the same, and one row more, less or other makes another.

use minicbor::Encode;

use super::{AccountRow, BudgetRow, NumberRow, Unwritten};
use crate::{
    domain::{budget::Budget, enrollment::NumberIndex, login::LoginState, restore::Kept},
    keys::Keys,
    store::TrailRow,
};

/// Rows of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    sum: u128,
}

impl Sum {
    /// The checksum as it is shown.
    #[must_use]
    pub fn checksum(&self) -> String {
        format!("{:032x}", self.sum)
    }

    fn add(&mut self, keys: &Keys, row: &impl Encode<()>) -> Result<(), Unwritten> {
        // In no backup's name, and under a number that no line has.
        let hash = keys.seal_line(0, u64::MAX, &minicbor::to_vec(row)?);
        self.count += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(hash));
        Ok(())
    }
}

/// All of a store. What reads as nothing is not counted.
#[derive(Clone, Debug)]
pub struct Tally {
    keys: Keys,
    /// Accounts of which anything is kept.
    pub users: Sum,
    /// Of them, those with a number.
    pub numbers: u64,
    /// Recovery codes not used yet.
    pub recovery_codes: u64,
    /// Bypasses.
    pub bypasses: u64,
    /// Numbers against which something counts.
    pub limits: Sum,
    /// Events of the trail.
    pub events: Sum,
}

impl Tally {
    /// Of nothing yet.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            users: Sum::default(),
            numbers: 0,
            recovery_codes: 0,
            bypasses: 0,
            limits: Sum::default(),
            events: Sum::default(),
        }
    }

    /// Adds an account, without what is under way.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn account(&mut self, kept: &Kept) -> Result<(), Unwritten> {
        let login = kept.login.clone().at_rest();
        if kept.enrollment.is_none() && login == LoginState::default() {
            return Ok(());
        }
        self.recovery_codes += u64::from(login.recovery.left());
        self.bypasses += u64::try_from(login.bypasses.all().count()).unwrap_or(u64::MAX);
        self.numbers += u64::from(kept.enrollment.is_some());
        // What encrypts it draws something, so that it is another text each time.
        let number = kept.enrollment.as_ref();
        let number = number.map(|number| NumberRow::of(number, number.index.0.to_vec()));
        let row = AccountRow { account: kept.account.as_str().to_owned(), number, login };
        self.users.add(&self.keys, &row)
    }

    /// Adds what counts for a number.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn budget(&mut self, number: NumberIndex, budget: &Budget) -> Result<(), Unwritten> {
        if *budget == Budget::default() {
            return Ok(());
        }
        let row = BudgetRow { number, budget: budget.clone() };
        self.limits.add(&self.keys, &row)
    }

    /// Adds an event, wherever it stands in the trail.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn event(&mut self, event: &TrailRow) -> Result<(), Unwritten> {
        let row = TrailRow { id: 0, ..event.clone() };
        self.events.add(&self.keys, &row)
    }

    /// Whether there is nothing but events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.count == 0 && self.limits.count == 0
    }

    /// What is not the same in another one, in words; `None` where all is.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.users != other.users {
            Some("users")
        } else if self.limits != other.limits {
            Some("limits of numbers")
        } else if self.events != other.events {
            Some("the log")
        } else {
            None
        }
    }
}
