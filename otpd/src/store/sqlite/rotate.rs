//! The key of the database is replaced, all of it in one transaction.

use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::Type};
use tracing::{error, warn};

use super::{
    Sqlite, check_value, corrupt,
    rows::{self, Text},
};
use crate::{
    domain::account::Account,
    failpoint::{self, Point},
    keys::{Keys, Unsealable},
    store::{
        LostName,
        format::{NUMBER, RANGE},
        rotation::{self, Renewed, Rotation},
    },
};

/// Rows that are encrypted anew at once: of a million, no more are held in memory.
const PAGE: u32 = 1000;

/// The code keys from before, as they are kept.
pub(super) fn retired(db: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    let select = "SELECT value FROM meta WHERE name = 'retired-keys'";
    db.query_row(select, [], |row| row.get(0)).optional()
}

/// Whether a rotation has left pages in the file that are as they were before it.
pub(super) fn leaves_stale_pages(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'stale-pages')", [], |row| {
        row.get(0)
    })
}

impl Sqlite {
    /// Keeps further code keys from before; whether there were any: then this run is over.
    pub(super) fn retire(&self, sealed: &[u8]) -> rusqlite::Result<u32> {
        let Ok(joined) = rotation::joined(&self.keys, retired(&self.db)?.as_deref(), sealed) else {
            error!("the keys from before of a backup are damaged, and left out");
            return Ok(0);
        };
        let Some(joined) = joined else { return Ok(0) };
        let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('retired-keys', ?1)";
        self.db.execute(put, [joined])?;
        Ok(1)
    }

    /// Goes over to the next key; how many numbers there are. Nothing is decided with this one from
    /// then on.
    pub(super) fn rotate(&mut self, rotation: &Rotation) -> rusqlite::Result<u32> {
        let db = &self.db;
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        if check_value(db)?.as_deref() != Some(self.keys.check.as_slice()) {
            self.rekeyed.set();
            let why = "the database has gone over to another key";
            return Err(Error::FromSqlConversionFailure(0, Type::Blob, why.into()));
        }
        let damaged = |error: Unsealable| {
            Error::FromSqlConversionFailure(0, Type::Blob, error.to_string().into())
        };
        let next = rotation.next(&self.keys, retired(db)?.as_deref()).map_err(damaged)?;
        let numbers = renew_all(db, &self.keys, &next)?;
        // Of numbers that nobody has any more: found by no key from here on, and not for one to come
        // that is the one before.
        db.execute(
            "DELETE FROM budget WHERE kind IN (?2, ?3) AND key_id <> ?1",
            params![next.id, NUMBER, RANGE],
        )?;
        let mut put = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
        put.execute(params!["key-check", next.check.as_slice()])?;
        put.execute(params!["retired-keys", next.seal_retired()])?;
        put.execute(params!["stale-pages", [0_u8; 0].as_slice()])?;
        rows::append(db, &rotation.done(numbers))?;
        failpoint::reach(Point::Written);
        db.prepare_cached("COMMIT")?.execute([])?;
        drop(put);
        self.rekeyed.set();
        self.stale_pages = true;
        self.overwrite_stale_pages();
        Ok(numbers)
    }

    /// Moves the log into the file, where a rotation has left pages under the key from before: only what
    /// is moved there takes their place. A read that is under way keeps it from that; then the next round
    /// of upkeep does it.
    pub(super) fn overwrite_stale_pages(&mut self) {
        if !self.stale_pages {
            return;
        }
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        match self.db.query_row(checkpoint, [], |row: &Row<'_>| row.get::<_, bool>(0)) {
            Ok(true) => warn!(
                "another program reads the database: what was under the key from before stays in its \
                 files until that has ended, and within the hour after it"
            ),
            Ok(false) => match self.db.execute("DELETE FROM meta WHERE name = 'stale-pages'", []) {
                Ok(_) => self.stale_pages = false,
                Err(error) => warn!(%error, "the log is moved into the file once more"),
            },
            Err(error) => warn!(%error, "what was under the key from before is in the file yet"),
        }
    }
}

/// A row's name, number and index.
type Sealed = (Result<Account, LostName>, Vec<u8>, Vec<u8>);

/// Encrypts all numbers anew, and has what is counted for them found by the next key; how many. An error
/// where one is left that could be read: it would be lost with the key from before.
fn renew_all(db: &Connection, before: &Keys, next: &Keys) -> rusqlite::Result<u32> {
    let mut select = db.prepare(
        "SELECT account, number, number_index FROM enrollment WHERE account > ?1
         ORDER BY account LIMIT ?2",
    )?;
    let update = "UPDATE enrollment SET key_id = ?2, number = ?3, number_index = ?4
                  WHERE account = ?1";
    let mut enrollment = db.prepare(update)?;
    let update = "UPDATE budget SET key_id = ?3, key = ?4 WHERE kind = ?1 AND key = ?2";
    let mut budget = db.prepare(update)?;
    let (mut numbers, mut left_out, mut after) = (0_u32, 0_u32, Vec::new());
    loop {
        let row = |row: &Row<'_>| {
            let name = rows::name_or_lost(row, 0)?;
            Ok((name, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        };
        let page = select.query_map(params![Text(&after), PAGE], row)?;
        let page: Vec<Sealed> = page.collect::<rusqlite::Result<_>>()?;
        let Some((last, ..)) = page.last() else { break };
        let bytes = |name: &Result<Account, LostName>| match name {
            Ok(account) => account.as_str().as_bytes().to_owned(),
            Err(no_name) => no_name.bytes().to_owned(),
        };
        let before_it = std::mem::replace(&mut after, bytes(last));
        if after <= before_it {
            return Err(corrupt("a damaged name leads back to where it was"));
        }
        for (name, sealed, old_index) in page {
            if bytes(&name) <= before_it {
                continue;
            }
            // It stays as it is, and can be removed.
            let Ok(account) = name.inspect_err(LostName::left_out) else {
                left_out += 1;
                continue;
            };
            let renewed = match Renewed::of(before, next, &account, &sealed) {
                Ok(renewed) => renewed,
                // It can be read by no key.
                Err(error) => {
                    error!(%account, %error, "the account's number is damaged, and stays so");
                    left_out += 1;
                    continue;
                }
            };
            let (index, [old_range, range]) = (renewed.index, renewed.range);
            let values = params![account.as_str(), next.id, renewed.number, index.as_slice()];
            if enrollment.execute(values)? != 1 {
                return Err(corrupt("a number is not found by the name beside it"));
            }
            // Of several who share one, the first takes it along.
            budget.execute(params![NUMBER, old_index, next.id, index.as_slice()])?;
            budget.execute(params![RANGE, old_range.as_slice(), next.id, range.as_slice()])?;
            numbers = numbers.saturating_add(1);
        }
    }
    // A damaged name may have led past others. One that is empty is not come by.
    let left = "SELECT count(*) FROM enrollment
                WHERE key_id <> ?1 AND coalesce(CAST(+account AS BLOB), x'') <> x''";
    let left = db.query_row(left, [next.id], |row| row.get::<_, u32>(0))?;
    if left > left_out {
        return Err(corrupt("some numbers are not found in the order of their names"));
    }
    Ok(numbers)
}
