//! What is stored of an account, and cannot be read, is taken away without being read.

use rusqlite::{OptionalExtension, params};

use super::{
    Sqlite,
    rows::{self, Text},
};
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
        for table in ["enrollment", "login", "challenge"] {
            let delete = format!("DELETE FROM {table} WHERE account = ?1");
            gone += db.execute(&delete, [Text(name.bytes())])?;
        }
        if gone == 0 {
            db.execute_batch("ROLLBACK")?;
            return Ok(0);
        }
        rows::append(db, event)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }
}
