//! The audit trail, read back: by id, so that nothing is missed and nothing comes twice.

use std::fmt::Write;

use rusqlite::{
    Connection, Row, params_from_iter,
    types::{Type, Value as Column},
};
use serde_json::{Map, Value};

use super::{
    Reader,
    rows::{damaged, name},
};
use crate::{
    domain::{account::Account, audit::Actor, passcode::RequestId, time::Timestamp},
    store::StoreError,
};

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Ascending in the order of the commits.
    pub id: i64,
    /// When it was decided.
    pub at: Timestamp,
    /// The challenge it is about.
    pub request: Option<RequestId>,
    /// The account it is about, or [`Account::host`].
    pub account: Account,
    /// Who brought it about.
    pub actor: Actor,
    /// What was decided: a fixed word.
    pub event: String,
    /// Its fields.
    pub details: Map<String, Value>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Of this account.
    pub account: Option<Account>,
    /// Of this time and later.
    pub since: Option<Timestamp>,
    /// About this challenge.
    pub request: Option<RequestId>,
}

impl Trail {
    /// The condition, and what stands in it: events after `after`, up to `last`.
    fn condition(&self, after: i64, last: i64) -> (String, Vec<Column>) {
        let mut condition = "id > ?1 AND id <= ?2".to_owned();
        let mut columns = vec![Column::from(after), Column::from(last)];
        // A plus sign keeps SQLite from going by time and then sorting all of it by id.
        let parts = [
            ("+at >= ", self.since.map(|since| Column::from(since.0))),
            ("account = ", self.account.as_ref().map(|name| name.as_str().to_owned().into())),
            ("request = ", self.request.map(|request| request.0.into())),
        ];
        for (part, column) in parts {
            if let Some(column) = column {
                columns.push(column);
                // Writing to a string cannot fail.
                let _ = write!(condition, " AND {part}?{}", columns.len());
            }
        }
        (condition, columns)
    }
}

impl Reader {
    /// The id of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(|db, _| {
            db.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))
        })
        .await
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
        self.read(move |db, _| {
            let begin = match trail.since {
                // Of the index alone: no row before is read.
                Some(since) => db
                    .prepare_cached("SELECT min(id) FROM audit WHERE at >= ?1")?
                    .query_row([since.0], |row| row.get::<_, Option<i64>>(0))?
                    .map_or(last, |first| first - 1),
                None => 0,
            };
            let Some(count) = count else { return Ok(begin) };
            let (condition, mut columns) = trail.condition(begin, last);
            columns.push(count.into());
            let select = format!(
                "SELECT id FROM audit WHERE {condition} ORDER BY id DESC LIMIT ?{}",
                columns.len()
            );
            let mut select = db.prepare_cached(&select)?;
            let mut ids =
                select.query_map(params_from_iter(columns), |row| row.get::<_, i64>(0))?;
            let first = ids.try_fold(None, |_, id| id.map(Some))?;
            Ok(first.map_or(last, |first| first - 1))
        })
        .await
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
        self.read(move |db, _| page(db, &trail, after, last, limit)).await
    }
}

fn page(
    db: &Connection,
    trail: &Trail,
    after: i64,
    last: i64,
    limit: u32,
) -> rusqlite::Result<Vec<AuditRow>> {
    let (condition, mut columns) = trail.condition(after, last);
    columns.push(limit.into());
    let select = format!(
        "SELECT id, at, request, account, actor, event FROM audit WHERE {condition}
         ORDER BY id LIMIT ?{}",
        columns.len()
    );
    let mut select = db.prepare_cached(&select)?;
    let found = select.query_map(params_from_iter(columns), event)?;
    found.collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let json = |column, error| damaged(column, Type::Text, error);
    let actor = row.get_ref(4)?.as_str()?;
    let mut details: Map<String, Value> =
        serde_json::from_str(row.get_ref(5)?.as_str()?).map_err(|error| json(5, error))?;
    let event = details.remove("event");
    Ok(AuditRow {
        id: row.get(0)?,
        at: Timestamp(row.get(1)?),
        request: row.get::<_, Option<u32>>(2)?.map(RequestId),
        account: name(row, 3)?,
        actor: serde_json::from_str(actor).map_err(|error| json(4, error))?,
        event: event.as_ref().and_then(Value::as_str).unwrap_or("unknown").to_owned(),
        details,
    })
}

#[cfg(test)]
mod tests;
