//! Upkeep in SQL, and what becomes of a full disk.
//!
//! Pages that are freed stay in the file and are used again: `auto_vacuum` is off, because it would
//! move pages about in every commit. The file does not shrink.

use rusqlite::{ErrorCode, OptionalExtension, params};
use tracing::{debug, error, warn};

use super::{
    OpenError, READ_ONLY, Reads, Sqlite, audit::index, forget_damage, report, reserve::NO_ROOM,
    rows, snapshot, tell,
};
use crate::{
    clock::Agreement,
    domain::{account::Account, retention::is_stale, time::Timestamp},
    store::{BudgetId, Chore, Idle, Stale, StoreError},
};

/// Rows of logins, or of budgets, that one look takes.
const PAGE: u32 = 1000;
/// After so many pages of new log it is moved into the database: `SQLite`'s default. The log keeps
/// its size meanwhile, so in the long run it needs no room.
const CHECKPOINT: u32 = 1000;
/// The same on a full disk: a log that is short needs no room that is not there.
const CHECKPOINT_WHEN_FULL: u32 = 64;

impl Reads {
    pub(in crate::store) async fn idle(
        &self,
        after: Option<BudgetId>,
        now: Timestamp,
    ) -> Result<Idle, StoreError> {
        self.read(move |db, _| {
            let mut select = db.prepare_cached(
                "SELECT kind, key, idle_at <= ?3 FROM budget WHERE (kind, key) > (?1, ?2)
                 ORDER BY kind, key LIMIT ?4",
            )?;
            let after = after.unwrap_or(BudgetId { kind: 0, key: Vec::new() });
            let mut found = select.query(params![after.kind, &after.key, now.0, PAGE])?;
            let mut page = Idle::default();
            while let Some(row) = found.next()? {
                let id = BudgetId { kind: row.get(0)?, key: row.get(1)? };
                if page.last.as_ref().unwrap_or(&after) >= &id {
                    // Damage in the file has led back, or ahead.
                    continue;
                }
                if row.get(2)? {
                    page.idle.push(id.clone());
                }
                page.last = Some(id);
            }
            Ok(page)
        })
        .await
    }

    pub(in crate::store) async fn stale(
        &self,
        after: Option<Account>,
        now: Timestamp,
    ) -> Result<Stale, StoreError> {
        self.read(move |db, _| {
            let order = rows::order(db, "login", after.as_ref())?;
            // Where a name is damaged, whether another is IN the names is NULL.
            let mut select = db.prepare_cached(&format!(
                "SELECT account, state,
                        EXISTS (SELECT 1 FROM enrollment
                                WHERE enrollment.account = login.account)
                 FROM login WHERE {order} > ?1 ORDER BY account"
            ))?;
            let after = after.as_ref().map_or("", Account::as_str);
            let mut found = select.query([after])?;
            let (mut page, mut seen) = (Stale::default(), 0);
            while seen < PAGE
                && let Some(row) = found.next()?
            {
                let Some(account) = rows::whose(row, 0)? else { continue };
                if account.as_str() <= after {
                    // A damaged name beside it has led back to what was seen before.
                    continue;
                }
                seen += 1;
                // One damaged row must not keep all the others.
                match rows::login(row, 1) {
                    Ok(login) if is_stale(row.get(2)?, &login, now) => {
                        page.stale.push(account.clone());
                    }
                    Ok(_) => {}
                    Err(error) => error!(%account, %error, "the account's logins are damaged"),
                }
                page.last = page.last.max(Some(account));
            }
            Ok(page)
        })
        .await
    }
}

impl Sqlite {
    /// When the clocks last agreed, as an earlier run wrote it down.
    ///
    /// # Errors
    /// [`OpenError::Database`].
    pub fn agreement(&self) -> Result<Option<Agreement>, OpenError> {
        let select = "SELECT value FROM meta WHERE name = 'clock'";
        let read = self.db.query_row(select, [], |row| rows::decode(0, row.get_ref(0)?.as_blob()?));
        let failed = |source| OpenError::Database {
            path: self.db.path().unwrap_or_default().into(),
            source,
        };
        read.optional().map_err(failed)
    }

    pub(super) fn carry_out(&mut self, chore: &Chore) -> rusqlite::Result<u32> {
        if matches!(chore, Chore::Agreed { .. }) {
            self.overwrite_stale_pages();
        }
        let db = &self.db;
        let rows = match chore {
            Chore::Reserve => return Ok(u32::from(self.regain())),
            Chore::Audit { until, now } => return index::cut_off(db, *until, *now),
            Chore::Index => return index::enter(db),
            Chore::Rotate(rotation) => return self.rotate(rotation),
            Chore::Retired(sealed) => {
                let learned = self.retire(sealed)?;
                if learned > 0 {
                    self.rekeyed.set();
                }
                return Ok(learned);
            }
            Chore::Discard(event) => return self.discard(event),
            Chore::DiscardLost { name, event } => return self.discard_lost(name, event),
            Chore::Trail { backup, newest, rows } => {
                return snapshot::put_in_front(db, *backup, *newest, rows);
            }
            Chore::Budgets { idle, now } => {
                db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                // It may have been charged since it was looked at.
                let mut delete = db.prepare_cached(
                    "DELETE FROM budget WHERE kind = ?1 AND key = ?2 AND idle_at <= ?3",
                )?;
                let delete = |key: &BudgetId| delete.execute(params![key.kind, key.key, now.0]);
                let deleted = idle.iter().map(delete).sum::<rusqlite::Result<usize>>()?;
                db.prepare_cached("COMMIT")?.execute([])?;
                deleted
            }
            Chore::Imported { imported, retired } => {
                let imported = rows::encode(imported)?;
                db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                db.execute(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES ('imported', ?1)",
                    [imported],
                )?;
                let learned = retired.as_deref().map_or(Ok(0), |sealed| self.retire(sealed))?;
                db.prepare_cached("COMMIT")?.execute([])?;
                if learned > 0 {
                    self.rekeyed.set();
                }
                return Ok(1 + learned);
            }
            Chore::Agreed { agreement, event } => {
                let agreement = rows::encode(agreement)?;
                db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('clock', ?1)";
                db.prepare_cached(put)?.execute([agreement])?;
                event.iter().try_for_each(|event| rows::append(db, event))?;
                db.prepare_cached("COMMIT")?.execute([])?;
                1
            }
        };
        Ok(u32::try_from(rows).unwrap_or(u32::MAX))
    }

    /// Logs a failure, and remembers a full disk.
    pub(super) fn failed(&mut self, step: &'static str, error: &rusqlite::Error) -> StoreError {
        let code = error.sqlite_error_code();
        let full = code == Some(ErrorCode::DiskFull);
        let fails = code == Some(ErrorCode::SystemIoFailure);
        self.full = full || fails && self.reserve.room() < NO_ROOM;
        if full && self.reserve.is_held() {
            // Giving the reserve up is logged, and this is tried again.
            debug!(step, %error, "the disk is full");
            return StoreError::Unavailable;
        }
        forget_damage(&self.db, error);
        if fails && self.reserve.is_read_only() {
            return tell(step, error, READ_ONLY);
        }
        report(step, error)
    }

    /// Logs a failure of a COMMIT. One that found the database busy leaves the transaction open, and
    /// one that found the disk full did not write its last frame, which alone makes it one: so
    /// surely nothing is committed. After any other nobody knows.
    pub(super) fn failed_to_commit(
        &mut self,
        step: &'static str,
        error: &rusqlite::Error,
    ) -> StoreError {
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let open = !self.db.is_autocommit();
        let unavailable = self.failed(step, error);
        if open || full { unavailable } else { StoreError::Unknown }
    }

    /// Gives the reserve up if the last transaction found the disk full; true when that made room.
    pub(super) fn give_up_reserve(&mut self) -> bool {
        if !std::mem::take(&mut self.full) {
            return false;
        }
        let released = self.reserve.release();
        if released {
            self.checkpoint_after(CHECKPOINT_WHEN_FULL);
            // Makes the log, which keeps its size, all room for what is to come.
            if let Err(error) = self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            {
                warn!(%error, "the log cannot be moved into the database now");
            }
        }
        released
    }

    /// Keeps the log short from the start when the disk is full already.
    pub(super) fn settle_in(&mut self) {
        self.overwrite_stale_pages();
        if self.reserve.shortage().holds() {
            self.checkpoint_after(CHECKPOINT_WHEN_FULL);
        }
    }

    /// Whether the disk is full no more: every transaction looks, so that the first one that finds
    /// room again is served.
    pub(super) fn look_for_room(&mut self) {
        if self.reserve.shortage().holds() {
            self.regain();
        }
    }

    /// Makes the reserve anew when there is room; true when it just did.
    fn regain(&mut self) -> bool {
        let regained = self.reserve.regain();
        if regained {
            self.checkpoint_after(CHECKPOINT);
        }
        regained
    }

    fn checkpoint_after(&self, pages: u32) {
        if let Err(error) = self.db.pragma_update(None, "wal_autocheckpoint", pages) {
            warn!(%error, "the log keeps its length");
        }
    }
}

#[cfg(test)]
mod tests;
