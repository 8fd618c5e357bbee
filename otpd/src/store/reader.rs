//! Reads that decide nothing, by a way of their own: a long list never holds up a login.
//!
//! Which database answers is known here and nowhere behind.

use std::{collections::BTreeSet, path::Path};

use super::{
    AuditRow, BudgetId, Counts, HostSeen, Idle, Imported, LostName, OpenError, Postgres,
    PostgresError, Snapshot, Stale, StoreError, Subscriber, Told, Trail, TrailRow, Word, postgres,
    sqlite,
};
use crate::{
    domain::{
        account::Account, bypass::Bypass, challenge::Instance, enrollment::NumberIndex,
        login::SentBefore, passcode::ChallengeToken, records::Records, time::Timestamp,
    },
    keys::Keys,
};

/// The way to a read; cheap to clone.
#[derive(Clone)]
pub struct Reader(Source);

/// Which database it is.
#[derive(Clone)]
enum Source {
    Sqlite(sqlite::Reads),
    Postgres(postgres::Reads),
}

impl Reader {
    /// Opens a second connection to a database that [`super::Sqlite`] has opened, on a thread of
    /// its own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn sqlite(path: &Path, keys: Keys) -> Result<Self, OpenError> {
        Ok(Self(Source::Sqlite(sqlite::Reads::open(path, keys)?)))
    }

    /// Prepares a second connection to the database of `postgres`, on a thread of its own.
    ///
    /// # Errors
    /// [`PostgresError::Thread`].
    pub fn postgres(postgres: &Postgres) -> Result<Self, PostgresError> {
        Ok(Self(Source::Postgres(postgres.reads()?)))
    }

    /// Whether other daemons write to the same database: what they commit is no news here.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match &self.0 {
            Source::Sqlite(_) => false,
            Source::Postgres(_) => true,
        }
    }

    /// What kind of database it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Source::Sqlite(_) => "sqlite",
            Source::Postgres(_) => "postgresql",
        }
    }

    /// Does what can be done while logins go on before another key takes the place of this one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prepare_rotation(&self, next: Keys) -> Result<(), StoreError> {
        match &self.0 {
            Source::Sqlite(_) => Ok(()),
            Source::Postgres(reads) => reads.prepare_rotation(next).await,
        }
    }

    /// Tells the daemons that share the database that this run of this one goes on, or that it stops;
    /// whether another passes for it. Nobody's decision waits for that. One that has its database
    /// alone tells nobody.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn tell(&self, word: Word) -> Result<Told, StoreError> {
        match &self.0 {
            Source::Sqlite(_) => Ok(Told { at: word.begun.unwrap_or_default(), twin: None }),
            Source::Postgres(reads) => reads.tell(word).await,
        }
    }

    /// The daemons that share the database, as they told of themselves, by their names; none where it
    /// is not shared.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn hosts(&self) -> Result<Vec<HostSeen>, StoreError> {
        match &self.0 {
            Source::Sqlite(_) => Ok(Vec::new()),
            Source::Postgres(reads) => reads.hosts().await,
        }
    }

    /// One account as it is stored, with the budget of its number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account(&self, account: Account) -> Result<Records, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.account(account).await,
            Source::Postgres(reads) => reads.account(account).await,
        }
    }

    /// The same, with what many accounts do together. With SQLite it counts all enrollments.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account_among_all(&self, account: Account) -> Result<Records, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.account_among_all(account).await,
            Source::Postgres(reads) => reads.account_among_all(account).await,
        }
    }

    /// Up to `limit` enrollments in the order of their names, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn subscribers(
        &self,
        after: Option<Account>,
        limit: u32,
    ) -> Result<Vec<Subscriber>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.subscribers(after, limit).await,
            Source::Postgres(reads) => reads.subscribers(after, limit).await,
        }
    }

    /// What is in the place of accounts' names, and no account is called by. It goes through all names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lost_names(&self) -> Result<BTreeSet<LostName>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.lost_names().await,
            Source::Postgres(reads) => reads.lost_names().await,
        }
    }

    /// The accounts with this number, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn accounts_with(&self, number: NumberIndex) -> Result<Vec<Account>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.accounts_with(number).await,
            Source::Postgres(reads) => reads.accounts_with(number).await,
        }
    }

    /// How many of what there are.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.counts(now).await,
            Source::Postgres(reads) => reads.counts(now).await,
        }
    }

    /// Live challenges in time whose code was lost with another run of the daemon.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lost(
        &self,
        instance: Instance,
        now: Timestamp,
    ) -> Result<Vec<ChallengeToken>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.lost(instance, now).await,
            Source::Postgres(reads) => reads.lost(instance, now).await,
        }
    }

    /// Logins of which a recovery code's owner was not told yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn untold(&self) -> Result<Vec<ChallengeToken>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.untold().await,
            Source::Postgres(reads) => reads.untold().await,
        }
    }

    /// Every bypass that is not over, in the order of the accounts. There are few, whatever the number
    /// of accounts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn bypasses(&self, now: Timestamp) -> Result<Vec<(Account, Bypass)>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.bypasses(now).await,
            Source::Postgres(reads) => reads.bypasses(now).await,
        }
    }

    /// Messages with a code that may still be typed, of challenges whose code was issued before
    /// `begun`. Those that cannot be told apart from another message of their login are left out, and
    /// those that were reported to have arrived, or not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sent_before(&self, begun: Timestamp) -> Result<Vec<SentBefore>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.sent_before(begun).await,
            Source::Postgres(reads) => reads.sent_before(begun).await,
        }
    }

    /// The id of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.newest_event().await,
            Source::Postgres(reads) => reads.newest_event().await,
        }
    }

    /// The id before the first of the newest `count` events of `trail`, none of them after `last`.
    /// Without a count: before the first that can be one of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn before_events(
        &self,
        trail: Trail,
        last: i64,
        count: Option<u32>,
    ) -> Result<i64, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.before_events(trail, last, count).await,
            Source::Postgres(reads) => reads.before_events(trail, last, count).await,
        }
    }

    /// Up to `limit` events of `trail` after the id `after` and up to `last`, in their order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn events(
        &self,
        trail: Trail,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.events(trail, after, last, limit).await,
            Source::Postgres(reads) => reads.events(trail, after, last, limit).await,
        }
    }

    /// Begins a snapshot, which ends when it is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.snapshot().await,
            Source::Postgres(reads) => reads.snapshot().await,
        }
    }

    /// Up to `limit` events before the id `before`, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn trail_before(&self, before: i64, limit: u32) -> Result<Vec<TrailRow>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.trail_before(before, limit).await,
            Source::Postgres(reads) => reads.trail_before(before, limit).await,
        }
    }

    /// By how much the ids of a backup's events were moved to stand in front of the trail; `None` where
    /// none of them does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn trail_moved_by(&self, backup: u64) -> Result<Option<i64>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.trail_moved_by(backup).await,
            Source::Postgres(reads) => reads.trail_moved_by(backup).await,
        }
    }

    /// Looks at a page of budgets, in their order, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn idle(&self, after: Option<BudgetId>, now: Timestamp) -> Result<Idle, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.idle(after, now).await,
            Source::Postgres(reads) => reads.idle(after, now).await,
        }
    }

    /// Looks at a page of accounts, in the order of their names, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn stale(&self, after: Option<Account>, now: Timestamp) -> Result<Stale, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.stale(after, now).await,
            Source::Postgres(reads) => reads.stale(after, now).await,
        }
    }

    /// Which export was imported last, if one was.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn imported(&self) -> Result<Option<Imported>, StoreError> {
        match &self.0 {
            Source::Sqlite(reads) => reads.imported().await,
            Source::Postgres(reads) => reads.imported().await,
        }
    }
}
