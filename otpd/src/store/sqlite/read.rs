//! Reads that decide nothing, on a connection of their own: a long list never holds up a login.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use super::{OpenError, check_value, forget_damage, open, rows};
use crate::{
    domain::{
        account::Account,
        budget::Budget,
        bypass::Bypass,
        challenge::Instance,
        enrollment::NumberIndex,
        login::LoginState,
        passcode::ChallengeToken,
        records::{BudgetKey, Records, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Counts, ListedNumber, LostName, StoreError, Subscriber, damage, format::NUMBER, found,
    },
    threads,
};

type Read = Box<dyn FnOnce(&Connection, &Keys) + Send>;

/// A connection that changes nothing.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let db = open(path)?;
    db.pragma_update(None, "query_only", true)
        .map_err(|source| OpenError::Database { path: path.into(), source })?;
    Ok(db)
}

/// The way to a read; cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct Reads {
    queue: mpsc::Sender<Read>,
    pub(super) path: Arc<Path>,
    pub(super) keys: Keys,
}

impl Reads {
    /// Opens a second connection to a database that [`super::Sqlite`] has opened, on a thread of
    /// its own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(in crate::store) fn open(path: &Path, keys: Keys) -> Result<Self, OpenError> {
        let db = open_to_read(path)?;
        let own = keys.clone();
        let (queue, mut reads) = mpsc::channel::<Read>(64);
        threads::spawn("reader", move || {
            while let Some(read) = reads.blocking_recv() {
                read(&db, &own);
            }
        })
        .map_err(|source| OpenError::File { path: path.into(), source })?;
        Ok(Self { queue, path: path.into(), keys })
    }

    pub(in crate::store) async fn account(&self, account: Account) -> Result<Records, StoreError> {
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

    pub(in crate::store) async fn account_among_all(
        &self,
        account: Account,
    ) -> Result<Records, StoreError> {
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

    pub(in crate::store) async fn subscribers(
        &self,
        after: Option<Account>,
        limit: u32,
    ) -> Result<Vec<Subscriber>, StoreError> {
        self.read(move |db, keys| {
            let order = rows::order(db, "enrollment", after.as_ref())?;
            let mut select = db.prepare_cached(&format!(
                "SELECT account, number, number_index, details, budget.state FROM enrollment
                 LEFT JOIN budget ON budget.kind = ?2 AND budget.key = number_index
                 WHERE {order} > ?1 ORDER BY account"
            ))?;
            let after = after.as_ref().map_or("", Account::as_str);
            let mut found = select.query(params![after, NUMBER])?;
            let (mut page, limit) = (Vec::new(), limit.try_into().unwrap_or(usize::MAX));
            while page.len() < limit
                && let Some(row) = found.next()?
            {
                let Some(account) = rows::whose(row, 0)? else { continue };
                if account.as_str() <= after {
                    // A damaged name beside it has led back to what was listed before.
                    continue;
                }
                let read = || -> rusqlite::Result<_> {
                    let enrollment = rows::enrollment(keys, &account, row, 1)?;
                    let budget = row.get_ref(4)?.as_blob_or_null()?;
                    let budget = budget.map(|budget| rows::decode::<Budget>(4, budget));
                    let opted_out = budget.transpose()?.and_then(|budget| budget.opted_out);
                    Ok(ListedNumber { enrollment, opted_out })
                };
                let number = read();
                let number = number.inspect_err(|error| damage::listed(&account, error)).ok();
                if number.is_none() && !rows::is_found(db, "enrollment", &account)? {
                    // Its name is lost, and the next page would begin anywhere.
                    continue;
                }
                page.push(Subscriber { account, number });
            }
            Ok(page)
        })
        .await
    }

    pub(in crate::store) async fn lost_names(&self) -> Result<BTreeSet<LostName>, StoreError> {
        self.read(lost_names).await
    }

    pub(in crate::store) async fn accounts_with(
        &self,
        number: NumberIndex,
    ) -> Result<Vec<Account>, StoreError> {
        self.read(move |db, _| {
            let mut select = db.prepare_cached(
                "SELECT account FROM enrollment WHERE number_index = ?1 ORDER BY account",
            )?;
            let found = select.query_map([number.0.as_slice()], |row| rows::whose(row, 0))?;
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    pub(in crate::store) async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.read(move |db, keys| {
            let mut counts = Counts::default();
            let lost = lost_names(db, keys)?;
            let mut select =
                db.prepare_cached("SELECT account, number, number_index, details FROM enrollment")?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                let Some(account) = rows::whose(row, 0)? else { continue };
                match rows::enrollment(keys, &account, row, 1) {
                    Ok(enrollment) => counts.add(&enrollment),
                    Err(error) => {
                        damage::listed(&account, &error);
                        if rows::is_found(db, "enrollment", &account)? {
                            counts.unreadable.add(account.as_str());
                        }
                    }
                }
            }
            for name in lost {
                counts.unreadable.add(name.to_string());
            }
            counts.unreadable.sums = damaged_sums(db)?;
            each_login_under_way(db, |login| counts.add_login(&login, now))?;
            Ok(counts)
        })
        .await
    }

    pub(in crate::store) async fn lost(
        &self,
        instance: Instance,
        now: Timestamp,
    ) -> Result<Vec<ChallengeToken>, StoreError> {
        self.read(move |db, _| {
            let mut lost = Vec::new();
            each_login_under_way(db, |login| {
                lost.extend(found::lost(&login, instance, now));
            })?;
            Ok(lost)
        })
        .await
    }

    pub(in crate::store) async fn untold(&self) -> Result<Vec<ChallengeToken>, StoreError> {
        self.read(move |db, _| {
            let mut untold = Vec::new();
            each_login_under_way(db, |login| untold.extend(login.recovery.untold()))?;
            Ok(untold)
        })
        .await
    }

    pub(in crate::store) async fn bypasses(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(Account, Bypass)>, StoreError> {
        self.read(move |db, _| {
            let mut select =
                db.prepare_cached("SELECT account, state FROM login ORDER BY account")?;
            let (mut found, mut bypasses) = (select.query([])?, Vec::new());
            while let Some(row) = found.next()? {
                let Some(account) = rows::whose(row, 0)? else { continue };
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
            // The one who asked may have given up, and others wait.
            if reply.is_closed() {
                return;
            }
            let result = match under(db, keys, read) {
                Ok(Some(found)) => Ok(found),
                Ok(None) => {
                    // Whoever begins anew by it says so.
                    debug!("the database has gone over to another key");
                    Err(StoreError::Unavailable)
                }
                Err(error) => Err(if let Some(unread) = rows::unread(&error) {
                    unread.refused("read")
                } else {
                    error!(%error, "a read of the store failed");
                    forget_damage(db, &error);
                    StoreError::Unavailable
                }),
            };
            let _ = reply.send(result);
        });
        self.queue.try_send(job).map_err(|_| StoreError::Unavailable)?;
        match tokio::time::timeout(crate::store::PATIENCE, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable),
        }
    }
}

/// Reads what there is at one moment; `None` where the database is under another key by then: all of it
/// would look damaged.
fn under<T>(
    db: &Connection,
    keys: &Keys,
    read: impl FnOnce(&Connection, &Keys) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let _at_once = db.unchecked_transaction()?;
    if check_value(db)?.as_deref() != Some(keys.check.as_slice()) {
        return Ok(None);
    }
    read(db, keys).map(Some)
}

/// The accounts that have a challenge, live or remembered. A damaged row keeps no other account from
/// what it waits for.
fn each_login_under_way(db: &Connection, mut see: impl FnMut(LoginState)) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT account, state FROM login WHERE account IN (SELECT account FROM challenge)",
    )?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        match rows::login(row, 1) {
            Ok(login) => see(login),
            Err(error) => {
                if let Some(account) = rows::whose(row, 0)? {
                    error!(%account, %error, "the account's logins are damaged");
                }
            }
        }
    }
    Ok(())
}

/// Of what many accounts do together, how much cannot be read.
fn damaged_sums(db: &Connection) -> rusqlite::Result<u64> {
    let mut select = db.prepare_cached("SELECT kind, key, state FROM budget WHERE kind > ?1")?;
    let (mut found, mut damaged) = (select.query([NUMBER])?, 0);
    while let Some(row) = found.next()? {
        damaged += u64::from(rows::apart(rows::any_counted(row))?.is_err());
    }
    Ok(damaged)
}

/// What is in the place of accounts' names, as the tables themselves have it: the index of numbers may have
/// the name that was, and is read where nothing else than the name is asked for. A name is lost, too, that
/// looks like one: where no row is found by it, and the number beside it is not that account's.
fn lost_names(db: &Connection, keys: &Keys) -> rusqlite::Result<BTreeSet<LostName>> {
    let mut lost = BTreeSet::new();
    let mut select = db.prepare_cached("SELECT account, number FROM enrollment")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        match rows::name_or_lost(row, 0)? {
            Ok(account) => {
                let number = row.get_ref(1)?.as_blob();
                let is_its = || number.is_ok_and(|number| keys.unseal(&account, number).is_ok());
                if !rows::is_found(db, "enrollment", &account)? && !is_its() {
                    lost.insert(LostName::of(account.as_str()));
                }
            }
            Err(name) => {
                lost.insert(name);
            }
        }
    }
    let mut select =
        db.prepare_cached("SELECT account FROM login UNION ALL SELECT account FROM challenge")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        lost.extend(rows::name_or_lost(row, 0)?.err());
    }
    Ok(lost)
}

#[cfg(test)]
mod tests;
