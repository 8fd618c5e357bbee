//! Rows to values and back.

use minicbor::{Decode, Encode};
use rusqlite::{
    Connection, Error, OptionalExtension, Row, ToSql, params,
    types::{ToSqlOutput, Type, ValueRef},
};

use crate::{
    domain::{
        account::Account,
        audit::AuditEvent,
        budget::{Budget, Traffic},
        enrollment::Enrollment,
        login::LoginState,
        records::{BudgetKey, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Damage, LostName,
        damage::Unread,
        format::{self, Counted, CountedKey, Damaged, Enrolled},
    },
};

/// A damaged value is an error, never a guess.
pub(super) fn damaged(column: usize, kind: Type, error: Damaged) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// Says whose a row is that cannot be read. What the database says stays as it is.
pub(super) fn of<T>(
    account: Option<&Account>,
    what: Damage,
    read: rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    read.map_err(|error| match error {
        Error::FromSqlConversionFailure(column, kind, cause) => {
            let (account, cause) = (account.cloned(), cause.to_string());
            Error::FromSqlConversionFailure(column, kind, Box::new(Unread { account, what, cause }))
        }
        other => other,
    })
}

/// The row that could not be read, if it was that.
pub(super) fn unread(error: &Error) -> Option<&Unread> {
    match error {
        Error::FromSqlConversionFailure(_, _, cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// Sets what cannot be read apart from what the database says: other rows can be read all the same.
pub(super) fn apart<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Result<T, Error>> {
    match read {
        Err(error @ Error::FromSqlConversionFailure(..)) => Ok(Err(error)),
        read => read.map(Ok),
    }
}

/// A value that cannot be stored.
fn unstorable(error: Damaged) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(column: usize, bytes: &'b [u8]) -> rusqlite::Result<T> {
    format::decode(bytes).map_err(|error| damaged(column, Type::Blob, error))
}

pub(super) fn encode(value: &impl Encode<()>) -> rusqlite::Result<Vec<u8>> {
    format::encode(value).map_err(unstorable)
}

/// An account's name in a column.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Account> {
    let text = row.get_ref(column)?.as_str()?;
    format::account(text).map_err(|error| damaged(column, Type::Text, error))
}

/// The same, or what is in its place.
pub(super) fn name_or_lost(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Result<Account, LostName>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => LostName::or_account(text),
        // What its type is, is in the file as well.
        ValueRef::Blob(bytes) => Err(LostName::of(bytes)),
        ValueRef::Null => Err(LostName::of("")),
        ValueRef::Integer(number) => Err(LostName::of(number.to_string())),
        ValueRef::Real(number) => Err(LostName::of(number.to_string())),
    })
}

/// The account whose row it is; `None`, which is logged, where its name is damaged.
pub(super) fn whose(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Account>> {
    Ok(name_or_lost(row, column)?.inspect_err(LostName::left_out).ok())
}

/// A text as a column has it, which need not be UTF-8.
pub(super) struct Text<'b>(pub(super) &'b [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Both rows of an account; empty ones when there are none.
pub(super) fn account(
    db: &Connection,
    keys: &Keys,
    account: &Account,
) -> rusqlite::Result<(Option<Enrollment>, LoginState)> {
    Ok((enrollment_of(db, keys, account)?, login_of(db, account)?))
}

/// The login row alone; an empty one when there is none.
pub(super) fn login_of(db: &Connection, account: &Account) -> rusqlite::Result<LoginState> {
    let mut select = db.prepare_cached("SELECT state FROM login WHERE account = ?1")?;
    let read = select.query_row([account.as_str()], |row| login(row, 0)).optional();
    Ok(of(Some(account), Damage::Logins, read)?.unwrap_or_default())
}

/// Whether a row of a table that was come across is found by its name too: one whose name was damaged in
/// the file stands where no name like it is looked for.
pub(super) fn is_found(db: &Connection, table: &str, account: &Account) -> rusqlite::Result<bool> {
    let select = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE account = ?1)");
    db.prepare_cached(&select)?.query_row([account.as_str()], |row| row.get(0))
}

/// By what a page of a table is looked for that goes on after an account. Where that is not found, for a
/// damaged name on the way to it leads elsewhere, what comes after it would not be either: then the table
/// is gone through from its beginning.
pub(super) fn order(
    db: &Connection,
    table: &str,
    after: Option<&Account>,
) -> rusqlite::Result<&'static str> {
    let found = after.map(|after| is_found(db, table, after)).transpose()?;
    Ok(if found.unwrap_or(true) { "account" } else { "+account" })
}

/// The enrollment row alone.
pub(super) fn enrollment_of(
    db: &Connection,
    keys: &Keys,
    account: &Account,
) -> rusqlite::Result<Option<Enrollment>> {
    let mut select = db.prepare_cached(
        "SELECT number, number_index, details FROM enrollment WHERE account = ?1",
    )?;
    let read = select.query_row([account.as_str()], |row| enrollment(keys, account, row, 0));
    of(Some(account), Damage::Number, read.optional())
}

/// `number, number_index, details`, beginning at `column`.
pub(super) fn enrollment(
    keys: &Keys,
    account: &Account,
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Enrollment> {
    let number = row.get_ref(column)?.as_blob()?;
    let index = row.get_ref(column + 1)?.as_blob()?;
    let details = row.get_ref(column + 2)?.as_blob()?;
    format::enrollment(keys, account, number, index, details)
        .map_err(|error| damaged(column, Type::Blob, error))
}

pub(super) fn put_enrollment(
    db: &Connection,
    keys: &Keys,
    account: &Account,
    enrollment: Option<&Enrollment>,
) -> rusqlite::Result<()> {
    let Some(enrollment) = enrollment else {
        let mut delete = db.prepare_cached("DELETE FROM enrollment WHERE account = ?1")?;
        return delete.execute([account.as_str()]).map(drop);
    };
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO enrollment (account, key_id, number, number_index, details)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let Enrolled { number, index, details } =
        Enrolled::of(keys, account, enrollment).map_err(unstorable)?;
    upsert.execute(params![account.as_str(), keys.id, number, index.as_slice(), details]).map(drop)
}

/// `state` of a login, in a column.
pub(super) fn login(row: &Row<'_>, column: usize) -> rusqlite::Result<LoginState> {
    decode(column, row.get_ref(column)?.as_blob()?)
}

pub(super) fn put_login(
    db: &Connection,
    key_id: u32,
    account: &Account,
    login: &LoginState,
) -> rusqlite::Result<()> {
    // No row reads as an empty state.
    if *login == LoginState::default() {
        let mut delete = db.prepare_cached("DELETE FROM login WHERE account = ?1")?;
        return delete.execute([account.as_str()]).map(drop);
    }
    let mut upsert = db.prepare_cached(
        "INSERT INTO login (account, key_id, state) VALUES (?1, ?2, ?3)
         ON CONFLICT (account) DO UPDATE SET key_id = ?2, state = ?3",
    )?;
    upsert.execute(params![account.as_str(), key_id, encode(login)?]).map(drop)
}

/// `kind, key, state`, beginning at the first column.
pub(super) fn any_counted(row: &Row<'_>) -> rusqlite::Result<Counted> {
    let (key, state) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
    format::any_counted(row.get(0)?, key, state).map_err(|error| damaged(2, Type::Blob, error))
}

fn counted<T: for<'b> Decode<'b, ()> + Default>(
    db: &Connection,
    (kind, key): CountedKey,
) -> rusqlite::Result<T> {
    let mut select = db.prepare_cached("SELECT state FROM budget WHERE kind = ?1 AND key = ?2")?;
    let counted = select
        .query_row(params![kind, key.as_slice()], |row| decode(0, row.get_ref(0)?.as_blob()?))
        .optional()?;
    Ok(counted.unwrap_or_default())
}

fn put_counted(
    db: &Connection,
    key_id: u32,
    (kind, key): CountedKey,
    value: &impl Encode<()>,
    idle_at: Timestamp,
) -> rusqlite::Result<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO budget (kind, key, key_id, state, idle_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, key) DO UPDATE SET key_id = ?3, state = ?4, idle_at = ?5",
    )?;
    upsert.execute(params![kind, key.as_slice(), key_id, encode(value)?, idle_at.0]).map(drop)
}

pub(super) fn budget(db: &Connection, key: BudgetKey) -> rusqlite::Result<Budget> {
    of(None, Damage::Limits, counted(db, format::budget_key(key)))
}

pub(super) fn put_budget(
    db: &Connection,
    key_id: u32,
    key: BudgetKey,
    budget: &Budget,
) -> rusqlite::Result<()> {
    put_counted(db, key_id, format::budget_key(key), budget, budget.idle_at())
}

pub(super) fn traffic(db: &Connection, key: TrafficKey) -> rusqlite::Result<Traffic> {
    counted(db, format::traffic_key(key))
}

pub(super) fn put_traffic(
    db: &Connection,
    key_id: u32,
    key: TrafficKey,
    traffic: &Traffic,
) -> rusqlite::Result<()> {
    put_counted(db, key_id, format::traffic_key(key), traffic, traffic.idle_at())
}

/// Accounts with a number.
pub(super) fn enrolled(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("SELECT count(*) FROM enrollment", [], |row| row.get(0))
}

pub(super) fn append(db: &Connection, event: &AuditEvent) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO audit (at, request, account, actor, event) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let request = event.request.map(|request| request.0);
    let (actor, what) = format::event_columns(event).map_err(unstorable)?;
    insert.execute(params![event.at.0, request, event.account.as_str(), actor, what]).map(drop)
}
