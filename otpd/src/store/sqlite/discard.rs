//! What is stored of an account, and cannot be read, is taken away without being read.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::{Sqlite, corrupt, rows};
use crate::{
    domain::{audit::AuditEvent, records::BudgetKey},
    store::{
        LostName,
        format::{self, NUMBER},
    },
};

impl Sqlite {
    /// See [`crate::store::Chore::Discard`].
    pub(super) fn discard(&self, event: &AuditEvent) -> rusqlite::Result<u32> {
        let (db, account) = (&self.db, &event.account);
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let number = rows::apart(rows::enrollment_of(db, &self.keys, account))?;
        let login = rows::apart(rows::login_of(db, account))?;
        let select = "SELECT number_index FROM enrollment WHERE account = ?1";
        let index = db.query_row(select, [account.as_str()], |row| row.get::<_, Vec<u8>>(0));
        let index = index.optional()?.and_then(|index| format::number_index(&index).ok());
        let limits = index.map(|index| rows::budget(db, BudgetKey::Number(index)));
        let limits = limits.map(rows::apart).transpose()?;
        let lost = [number.is_err(), login.is_err(), matches!(limits, Some(Err(_)))];
        let rows = lost.into_iter().map(u32::from).sum();
        if rows == 0 {
            db.execute_batch("ROLLBACK")?;
            return Ok(0);
        }
        db.execute("DELETE FROM enrollment WHERE account = ?1", [account.as_str()])?;
        db.execute("DELETE FROM challenge WHERE account = ?1", [account.as_str()])?;
        let login = login.unwrap_or_default().without_number();
        rows::put_login(db, self.keys.id, account, &login)?;
        if let (Some(index), Some(Err(_))) = (index, limits) {
            let delete = "DELETE FROM budget WHERE kind = ?1 AND key = ?2";
            db.execute(delete, params![NUMBER, index.0.as_slice()])?;
        }
        rows::append(db, event)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(rows)
    }

    /// See [`crate::store::Chore::DiscardLost`].
    pub(super) fn discard_lost(
        &self,
        name: &LostName,
        event: &AuditEvent,
    ) -> rusqlite::Result<u32> {
        let db = &self.db;
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut gone = 0;
        for (table, column) in TABLES {
            gone += take_away(db, (table, column), name)?;
        }
        if gone == 0 {
            db.execute_batch("ROLLBACK")?;
            return Ok(0);
        }
        rows::append(db, event)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(gone)
    }
}

/// Where names of accounts stand, and a column of each table that no index has: what reads that reads the
/// table itself. `NOT INDEXED` does not keep SQLite from an index that has all that is asked for.
const TABLES: [(&str, &str); 3] =
    [("enrollment", "number"), ("login", "state"), ("challenge", "token")];

/// How many rows are put down anew at once.
const PIECE: i64 = 100;

/// The name of a row as it stands there, whatever its type is.
const NAME: &str = "coalesce(CAST(+account AS BLOB), x'')";

/// Takes the rows of a lost name out of a table; how many there were. One that was damaged in the file
/// stands where its name is not looked for, and the way to others leads by it: so all others are put down
/// anew.
fn take_away(
    db: &Connection,
    (table, column): (&str, &str),
    name: &LostName,
) -> rusqlite::Result<u32> {
    let name = [name.bytes()];
    let count = format!("SELECT count(typeof({column})) FROM {table} WHERE {NAME} = ?1");
    let there = db.query_row(&count, name, |row| row.get(0))?;
    if there == 0 {
        return Ok(0);
    }
    let text = "CAST(?1 AS TEXT)";
    let found = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE account = {text})");
    let is_found = db.query_row(&found, name, |row| row.get::<_, bool>(0))?;
    // What is found by a name that an account may have is that account's.
    if is_found && LostName::or_account(name[0]).is_ok() {
        return Ok(0);
    }
    // To delete it by its name could take a sound row for it, or end half done.
    let anew = || {
        // Beside it, not in memory: there may be a million.
        let keep = format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE {NAME} <> ?1");
        db.execute(&keep, name)?;
        db.execute(&format!("DELETE FROM {table}"), [])?;
        let last = "SELECT coalesce(max(rowid), 0) FROM kept";
        let last: i64 = db.query_row(last, [], |row| row.get(0))?;
        // In pieces: what a statement changes is kept in memory until it ends.
        let put = format!("INSERT INTO {table} SELECT * FROM kept WHERE rowid BETWEEN ?1 AND ?2");
        let mut put = db.prepare(&put)?;
        let mut first = 1;
        while first <= last {
            put.execute([first, first + PIECE - 1])?;
            first += PIECE;
        }
        drop(put);
        db.execute_batch("DROP TABLE kept")
    };
    anew().map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => corrupt("rows beside it are damaged as well"),
        _ => error,
    })?;
    Ok(there)
}

#[cfg(test)]
mod tests;
