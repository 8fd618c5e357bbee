//! The key of the database is replaced, all of it in one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use tracing::error;

use super::{Sqlite, rows};
use crate::{
    failpoint::{self, Point},
    store::{
        format::NUMBER,
        rotation::{Renewed, Rotation},
    },
};

/// What is counted for a range, as a kind.
const RANGE: i16 = 2;

/// The code keys from before, as they are kept.
pub(super) fn retired(db: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    let select = "SELECT value FROM meta WHERE name = 'retired-keys'";
    db.query_row(select, [], |row| row.get(0)).optional()
}

impl Sqlite {
    /// Keeps further code keys from before; whether there were any: then this run is over.
    pub(super) fn retire(&self, sealed: &[u8]) -> rusqlite::Result<u32> {
        let Ok(joined) = self.keys.clone().with_retired(sealed) else {
            error!("the keys from before of a backup are damaged, and left out");
            return Ok(0);
        };
        if joined.retired() == self.keys.retired() {
            return Ok(0);
        }
        let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('retired-keys', ?1)";
        self.db.execute(put, [joined.seal_retired()])?;
        Ok(1)
    }

    /// Goes over to the next key; how many numbers there are. Nothing is decided with this one from
    /// then on.
    pub(super) fn rotate(&self, rotation: &Rotation) -> rusqlite::Result<u32> {
        let (db, next) = (&self.db, &rotation.next);
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut select = db.prepare("SELECT account, number, number_index FROM enrollment")?;
        let mut found = select.query([])?;
        let mut renewed = Vec::new();
        let mut keys = BTreeMap::<(i16, Vec<u8>), [u8; 16]>::new();
        while let Some(row) = found.next()? {
            let (account, sealed) = (rows::name(row, 0)?, row.get::<_, Vec<u8>>(1)?);
            match Renewed::of(&self.keys, next, &account, &sealed) {
                Ok(one) => {
                    keys.insert((NUMBER, row.get(2)?), one.index);
                    let [before, after] = one.range;
                    keys.insert((RANGE, before.to_vec()), after);
                    renewed.push((account, one));
                }
                // It can be read by no key.
                Err(error) => {
                    error!(%account, %error, "the account's number is damaged, and stays so");
                }
            }
        }
        let update = "UPDATE enrollment SET key_id = ?2, number = ?3, number_index = ?4
                      WHERE account = ?1";
        let mut update = db.prepare(update)?;
        for (account, one) in &renewed {
            let index = one.index.as_slice();
            update.execute(params![account.as_str(), next.id, one.number, index])?;
        }
        let mut update =
            db.prepare("UPDATE budget SET key_id = ?3, key = ?4 WHERE kind = ?1 AND key = ?2")?;
        for ((kind, before), after) in &keys {
            update.execute(params![kind, before, next.id, after.as_slice()])?;
        }
        let mut put = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
        put.execute(params!["key-check", next.check.as_slice()])?;
        put.execute(params!["retired-keys", next.seal_retired()])?;
        let numbers = u32::try_from(renewed.len()).unwrap_or(u32::MAX);
        rows::append(db, &rotation.done(numbers))?;
        failpoint::reach(Point::Written);
        db.prepare_cached("COMMIT")?.execute([])?;
        self.rekeyed.set();
        Ok(numbers)
    }
}
