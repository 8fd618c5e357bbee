//! Reads that decide nothing, on a connection of their own: a long list never holds up a login.

use std::path::Path;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{OpenError, open, rows};
use crate::{
    domain::{
        account::Account,
        budget::Budget,
        bypass::Bypass,
        challenge::Instance,
        enrollment::{Enrollment, NumberIndex, State},
        login::LoginState,
        opt_out::OptOut,
        passcode::ChallengeToken,
        records::{BudgetKey, Records, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::StoreError,
    threads,
};

type Read = Box<dyn FnOnce(&Connection, &Keys) + Send>;

/// An account and its number.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The account.
    pub account: Account,
    /// Its number.
    pub enrollment: Enrollment,
    /// Since when nothing may be sent there, if that is so.
    pub opted_out: Option<OptOut>,
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Enrollments not proved yet.
    pub pending: u32,
    /// Enrollments in use.
    pub active: u32,
    /// Enrollments switched off.
    pub disabled: u32,
    /// Logins that wait for a code.
    pub live_challenges: u32,
}

/// The way to a read; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    queue: mpsc::Sender<Read>,
}

impl Reader {
    /// Opens a second connection to a database that [`super::Sqlite`] has opened, on a thread of
    /// its own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, keys: Keys) -> Result<Self, OpenError> {
        let db = open(path)?;
        db.pragma_update(None, "query_only", true)
            .map_err(|source| OpenError::Database { path: path.into(), source })?;
        let (queue, mut reads) = mpsc::channel::<Read>(64);
        threads::spawn("reader", move || {
            while let Some(read) = reads.blocking_recv() {
                read(&db, &keys);
            }
        })
        .map_err(|source| OpenError::File { path: path.into(), source })?;
        Ok(Self { queue })
    }

    /// One account as it is stored, with the budget of its number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account(&self, account: Account) -> Result<Records, StoreError> {
        self.read(move |db, keys| {
            let (enrollment, login) = rows::account(db, keys, &account)?;
            let mut records =
                Records { account: Some(account), enrollment, login, ..Records::default() };
            if let Some(enrollment) = &records.enrollment {
                let key = BudgetKey::Number(enrollment.index);
                records.budgets.insert(key, rows::budget(db, key)?);
            }
            Ok(records)
        })
        .await
    }

    /// The same, with what many accounts do together. It counts all enrollments.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account_among_all(&self, account: Account) -> Result<Records, StoreError> {
        let mut records = self.account(account).await?;
        self.read(move |db, _| {
            for key in records.enrollment.iter().flat_map(TrafficKey::of) {
                records.traffic.insert(key, rows::traffic(db, key)?);
            }
            records.enrolled = rows::enrolled(db)?;
            Ok(records)
        })
        .await
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
        self.read(move |db, keys| {
            let mut select = db.prepare_cached(
                "SELECT account, number, number_index, details, budget.state FROM enrollment
                 LEFT JOIN budget ON budget.kind = ?3 AND budget.key = number_index
                 WHERE account > ?1 ORDER BY account LIMIT ?2",
            )?;
            let after = after.as_ref().map_or("", Account::as_str);
            let found = select.query_map(params![after, limit, rows::NUMBER], |row| {
                let account = rows::name(row, 0)?;
                let enrollment = rows::enrollment(keys, &account, row, 1)?;
                let budget = row.get_ref(4)?.as_blob_or_null()?;
                let budget = budget.map(|budget| rows::decode::<Budget>(4, budget)).transpose()?;
                let opted_out = budget.and_then(|budget| budget.opted_out);
                Ok(Subscriber { account, enrollment, opted_out })
            })?;
            found.collect()
        })
        .await
    }

    /// The accounts with this number, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn accounts_with(&self, number: NumberIndex) -> Result<Vec<Account>, StoreError> {
        self.read(move |db, _| {
            let mut select = db.prepare_cached(
                "SELECT account FROM enrollment WHERE number_index = ?1 ORDER BY account",
            )?;
            let found = select.query_map([number.0.as_slice()], |row| rows::name(row, 0))?;
            found.collect()
        })
        .await
    }

    /// How many of what there are.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.read(move |db, keys| {
            let mut counts = Counts::default();
            let mut select =
                db.prepare_cached("SELECT account, number, number_index, details FROM enrollment")?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                let account = rows::name(row, 0)?;
                match rows::enrollment(keys, &account, row, 1)?.state {
                    State::Pending => counts.pending += 1,
                    State::Active { .. } => counts.active += 1,
                    State::Disabled { .. } => counts.disabled += 1,
                }
            }
            each_login_under_way(db, |login| {
                counts.live_challenges += u32::try_from(login.live(now)).unwrap_or(u32::MAX);
            })?;
            Ok(counts)
        })
        .await
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
        self.read(move |db, _| {
            let mut lost = Vec::new();
            each_login_under_way(db, |login| {
                let waiting = login.challenges.iter().filter(|challenge| {
                    challenge.is_live() && !challenge.is_expired(now) && challenge.is_lost(instance)
                });
                lost.extend(waiting.map(|challenge| challenge.token));
            })?;
            Ok(lost)
        })
        .await
    }

    /// Logins of which a recovery code's owner was not told yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn untold(&self) -> Result<Vec<ChallengeToken>, StoreError> {
        self.read(move |db, _| {
            let mut untold = Vec::new();
            each_login_under_way(db, |login| untold.extend(login.recovery.untold()))?;
            Ok(untold)
        })
        .await
    }

    /// Every bypass that is not over, in the order of the accounts. There are few, whatever the number
    /// of accounts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn bypasses(&self, now: Timestamp) -> Result<Vec<(Account, Bypass)>, StoreError> {
        self.read(move |db, _| {
            let mut select =
                db.prepare_cached("SELECT account, state FROM login ORDER BY account")?;
            let (mut found, mut bypasses) = (select.query([])?, Vec::new());
            while let Some(row) = found.next()? {
                let account = rows::name(row, 0)?;
                let login = match rows::login(row, 1) {
                    Ok(login) => login,
                    Err(error) => {
                        error!(%account, %error, "the account's logins are damaged");
                        continue;
                    }
                };
                let current = login.bypasses.current(now).cloned();
                bypasses.extend(current.map(|bypass| (account.clone(), bypass)));
            }
            Ok(bypasses)
        })
        .await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &Keys) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |db: &Connection, keys: &Keys| {
            let result = read(db, keys).map_err(|error| {
                error!(%error, "a read of the store failed");
                StoreError::Unavailable
            });
            // The one who asked may have given up.
            let _ = reply.send(result);
        });
        self.queue.try_send(job).map_err(|_| StoreError::Unavailable)?;
        match tokio::time::timeout(crate::store::PATIENCE, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable),
        }
    }
}

/// The accounts that have a challenge, live or remembered.
fn each_login_under_way(db: &Connection, mut see: impl FnMut(LoginState)) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT state FROM login WHERE account IN (SELECT account FROM challenge)",
    )?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        see(rows::login(row, 0)?);
    }
    Ok(())
}
