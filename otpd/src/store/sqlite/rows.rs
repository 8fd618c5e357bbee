//! Rows to values and back.

use minicbor::{Decode, Encode};
use rusqlite::{
    Connection, OptionalExtension, Row, params,
    types::{FromSqlError, Type},
};

use crate::{
    domain::{
        account::Account,
        audit::AuditEvent,
        budget::{Budget, Traffic},
        challenge::Channel,
        enrollment::{Enrollment, NumberIndex, State},
        login::LoginState,
        phone::{Country, Destination, Line},
        records::{BudgetKey, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
};

/// `enrollment.details`; the field numbers are the stored format.
#[derive(Encode, Decode)]
struct Details {
    #[n(0)]
    country: Country,
    #[n(1)]
    line: Line,
    #[n(2)]
    channel: Channel,
    #[n(3)]
    state: State,
    #[n(4)]
    created_at: Timestamp,
    #[n(5)]
    required: bool,
    /// Not in rows from before this field.
    #[n(8)]
    proof_sent_at: Option<Timestamp>,
}

/// A damaged value is an error, never a guess.
pub(super) fn damaged(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(column: usize, bytes: &'b [u8]) -> rusqlite::Result<T> {
    minicbor::decode(bytes).map_err(|error| damaged(column, Type::Blob, error))
}

pub(super) fn encode(value: &impl Encode<()>) -> rusqlite::Result<Vec<u8>> {
    minicbor::to_vec(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// An account's name in a column.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Account> {
    let text = row.get_ref(column)?.as_str()?;
    Account::new(text).map_err(|error| damaged(column, Type::Text, error))
}

/// Both rows of an account; empty ones when there are none.
pub(super) fn account(
    db: &Connection,
    keys: &Keys,
    account: &Account,
) -> rusqlite::Result<(Option<Enrollment>, LoginState)> {
    let enrollment = enrollment_of(db, keys, account)?;
    let mut select = db.prepare_cached("SELECT state FROM login WHERE account = ?1")?;
    let login = select
        .query_row([account.as_str()], |row| decode(0, row.get_ref(0)?.as_blob()?))
        .optional()?;
    Ok((enrollment, login.unwrap_or_default()))
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
    select.query_row([account.as_str()], |row| enrollment(keys, account, row, 0)).optional()
}

/// `number, number_index, details`, beginning at `column`.
pub(super) fn enrollment(
    keys: &Keys,
    account: &Account,
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Enrollment> {
    let number = keys
        .unseal(account, row.get_ref(column)?.as_blob()?)
        .map_err(|error| damaged(column, Type::Blob, error))?;
    let index = row.get_ref(column + 1)?.as_blob()?;
    let index = <[u8; 16]>::try_from(index).map_err(|_| FromSqlError::InvalidType)?;
    let details: Details = decode(column + 2, row.get_ref(column + 2)?.as_blob()?)?;
    Ok(Enrollment {
        range: keys.range(&number),
        destination: Destination { number, country: details.country, line: details.line },
        index: NumberIndex(index),
        channel: details.channel,
        state: details.state,
        created_at: details.created_at,
        required: details.required,
        proof_sent_at: details.proof_sent_at,
    })
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
    let details = Details {
        country: enrollment.destination.country,
        line: enrollment.destination.line,
        channel: enrollment.channel,
        state: enrollment.state,
        created_at: enrollment.created_at,
        required: enrollment.required,
        proof_sent_at: enrollment.proof_sent_at,
    };
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO enrollment (account, key_id, number, number_index, details)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let sealed = keys.seal(account, enrollment.number());
    let index = enrollment.index.0.as_slice();
    upsert.execute(params![account.as_str(), keys.id, sealed, index, encode(&details)?]).map(drop)
}

/// The login row alone.
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

/// `budget.kind` and `budget.key`.
type Key = (i64, [u8; 16]);

/// `budget.kind` of numbers.
pub(super) const NUMBER: i64 = 1;

fn budget_key(key: BudgetKey) -> Key {
    match key {
        BudgetKey::Number(index) => (NUMBER, index.0),
    }
}

fn traffic_key(key: TrafficKey) -> Key {
    match key {
        TrafficKey::Range(index) => (2, index.0),
        TrafficKey::Country(country) => {
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(country.as_str().bytes()).for_each(|(place, byte)| *place = byte);
            (3, bytes)
        }
        TrafficKey::All => (4, [0; 16]),
    }
}

fn counted<T: for<'b> Decode<'b, ()> + Default>(
    db: &Connection,
    (kind, key): Key,
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
    (kind, key): Key,
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
    counted(db, budget_key(key))
}

pub(super) fn put_budget(
    db: &Connection,
    key_id: u32,
    key: BudgetKey,
    budget: &Budget,
) -> rusqlite::Result<()> {
    put_counted(db, key_id, budget_key(key), budget, budget.idle_at())
}

pub(super) fn traffic(db: &Connection, key: TrafficKey) -> rusqlite::Result<Traffic> {
    counted(db, traffic_key(key))
}

pub(super) fn put_traffic(
    db: &Connection,
    key_id: u32,
    key: TrafficKey,
    traffic: &Traffic,
) -> rusqlite::Result<()> {
    put_counted(db, key_id, traffic_key(key), traffic, traffic.idle_at())
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
    let (actor, what) = (json(&event.actor)?, json(&event.event)?);
    insert.execute(params![event.at.0, request, event.account.as_str(), actor, what]).map(drop)
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use minicbor::Encode;

    use super::{Channel, Country, Details, Line, State, Timestamp, decode, encode};

    /// As it was stored before `proof_sent_at`.
    #[derive(Encode)]
    struct First {
        #[n(0)]
        country: Country,
        #[n(1)]
        line: Line,
        #[n(2)]
        channel: Channel,
        #[n(3)]
        state: State,
        #[n(4)]
        created_at: Timestamp,
        #[n(5)]
        required: bool,
    }

    #[test]
    fn rows_from_before_a_field_read_as_without_it() {
        let old = First {
            country: "US".parse().expect("a country"),
            line: Line::Mobile,
            channel: Channel::Voice,
            state: State::Active { verified_at: Timestamp(7) },
            created_at: Timestamp(5),
            required: true,
        };
        let now: Details = decode(0, &encode(&old).expect("bytes")).expect("an old row");
        assert_eq!((now.created_at, now.required), (Timestamp(5), true));
        assert_eq!(now.state, State::Active { verified_at: Timestamp(7) });
        assert_eq!(now.proof_sent_at, None);
        let sent = Details { proof_sent_at: Some(Timestamp(9)), ..now };
        let read: Details = decode(0, &encode(&sent).expect("bytes")).expect("a new row");
        assert_eq!(read.proof_sent_at, Some(Timestamp(9)));
    }
}
