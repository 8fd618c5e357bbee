//! Rows as the last transactions left them: a login is decided about three times within seconds, and
//! is read and decrypted once.
//!
//! Only what is committed is kept, and only as long as nobody else writes to the database.

use std::{collections::HashMap, hash::Hash};

use rusqlite::Connection;

use crate::domain::{
    account::Account,
    budget::{Budget, Traffic},
    enrollment::Enrollment,
    login::LoginState,
    passcode::ChallengeToken,
    records::{BudgetKey, TrafficKey},
};

/// Rows of a kind that are kept at least, and half of those that are kept at most.
const KEPT: usize = 512;

/// Rows that need not be read.
#[derive(Default)]
pub(in crate::store) struct Recent {
    pub(in crate::store) accounts: Kept<Account, (Option<Enrollment>, LoginState)>,
    pub(in crate::store) owners: Kept<ChallengeToken, Account>,
    pub(in crate::store) budgets: Kept<BudgetKey, Budget>,
    pub(in crate::store) traffic: Kept<TrafficKey, Traffic>,
    /// Changes when another connection commits.
    version: Option<i64>,
}

impl Recent {
    /// Forgets everything that another connection may have changed. To be called with the database
    /// locked.
    pub(super) fn check(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let version = db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version != Some(version) {
            *self = Self { version: Some(version), ..Self::default() };
        }
        Ok(())
    }

    /// Forgets budgets of all kinds.
    pub(super) fn forget_budgets(&mut self) {
        (self.budgets, self.traffic) = Default::default();
    }
}

/// Some rows of one kind, by their keys: those that were used last.
pub(in crate::store) struct Kept<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Kept<K, V> {
    /// Takes a row out, if it is there: whoever takes it puts it back once it is committed.
    pub(in crate::store) fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Puts a row in.
    pub(in crate::store) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Account, ChallengeToken, KEPT, Kept};
    use crate::{
        domain::{budget::Purse, time::Timestamp},
        keys::MasterKey,
        store::{Engine, Scope, Sqlite},
    };

    #[test]
    fn what_was_used_last_is_kept_and_no_more() {
        let mut kept = Kept::default();
        for key in 0..10 * KEPT {
            kept.put(key, key);
            assert_eq!(kept.take(&0), Some(0), "used all the time");
            kept.put(0, 0);
        }
        let all = (0..10 * KEPT).filter(|key| kept.take(key).is_some()).count();
        assert!((KEPT..=2 * KEPT).contains(&all), "{all}");
    }

    /// Wrong codes of alice, after one more where `more` says so.
    async fn wrong_codes(sqlite: &mut Sqlite, more: bool) -> usize {
        let scope = Scope::Account(Account::new("alice").expect("a name"));
        let mut working = sqlite.load(std::slice::from_ref(&scope)).await.expect("rows");
        let mut records = working.view(&scope);
        if more {
            records.login.failures.charge(Purse::Common, Timestamp(1));
        }
        let wrong = records.login.failures.within(crate::domain::time::DAY, Timestamp(1));
        working.put(&scope, records, Vec::new());
        sqlite.commit(&mut working).await.expect("a commit");
        wrong
    }

    #[tokio::test]
    async fn what_another_program_writes_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("otpd.db");
        let keys = MasterKey::from_bytes([1; 32]).derive();
        let mut sqlite = Sqlite::open(&path, keys).expect("a database");
        assert_eq!(wrong_codes(&mut sqlite, true).await, 1);
        assert_eq!(wrong_codes(&mut sqlite, true).await, 2);
        let other = Connection::open(&path).expect("the same");
        other.execute("DELETE FROM login", []).expect("gone");
        assert_eq!(wrong_codes(&mut sqlite, false).await, 0);
    }

    #[tokio::test]
    async fn what_was_not_committed_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = MasterKey::from_bytes([1; 32]).derive();
        let mut sqlite = Sqlite::open(&dir.path().join("otpd.db"), keys).expect("a database");
        assert_eq!(wrong_codes(&mut sqlite, true).await, 1);
        let scopes = [Scope::Account(Account::new("alice").expect("a name"))];
        let mut working = sqlite.load(&scopes).await.expect("rows");
        let mut records = working.view(&scopes[0]);
        records.login.failures.charge(Purse::Common, Timestamp(1));
        working.put(&scopes[0], records, Vec::new());
        sqlite.abort().await;
        assert_eq!(wrong_codes(&mut sqlite, false).await, 1);
        let unknown = [Scope::Challenge(ChallengeToken([1; 16]))];
        let working = sqlite.load(&unknown).await.expect("rows");
        assert_eq!(working.view(&unknown[0]).account, None);
    }
}
