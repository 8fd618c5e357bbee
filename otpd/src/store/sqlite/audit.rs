//! The audit trail, read back: by id, so that nothing is missed and nothing comes twice.

pub(super) mod index;

use std::fmt::Write;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value as Column};

use super::Reads;
use crate::{
    domain::time::Timestamp,
    store::{
        AuditRow, StoreError, Trail,
        format::{self, EventColumns},
        found::{FIRST, OUT_OF_ORDER},
    },
};

/// Events with ids after the first and up to the second.
type Span = (i64, i64);

/// Which end of a span comes first.
#[derive(Clone, Copy)]
enum Order {
    OldestFirst,
    NewestFirst,
}

impl Trail {
    /// A query for `columns` of the events in `span`: of those that are entered in the index where
    /// `indexed` says so, else of all by their ids.
    fn query(
        &self,
        columns: &str,
        indexed: bool,
        (after, last): Span,
        order: Order,
        limit: u32,
    ) -> (String, Vec<Column>) {
        let request = self.request.map(|request| Column::from(request.0));
        let account = self.account.as_ref().map(|name| Column::from(name.as_str().to_owned()));
        // A CROSS JOIN is gone through in the order in which it is written.
        let (from, by) = match (indexed, &request, &account) {
            (true, Some(_), _) => {
                ("audit_request AS mark CROSS JOIN audit AS found USING (id)", "mark")
            }
            (true, None, Some(_)) => {
                ("audit_account AS mark CROSS JOIN audit AS found USING (id)", "mark")
            }
            (true, None, None) | (false, _, _) => ("audit AS found", "found"),
        };
        let mut query =
            format!("SELECT {columns} FROM {from} WHERE {by}.id > ?1 AND {by}.id <= ?2");
        let mut values = vec![Column::from(after), Column::from(last)];
        let of_request = if request.is_some() { by } else { "found" };
        let of_account = if request.is_none() { by } else { "found" };
        let parts = [
            (of_request, "request =", request),
            (of_account, "account =", account),
            ("found", "at >=", self.since.map(|since| Column::from(since.0))),
        ];
        for (table, condition, value) in parts {
            if let Some(value) = value {
                values.push(value);
                // Writing to a string cannot fail.
                let _ = write!(query, " AND {table}.{condition} ?{}", values.len());
            }
        }
        let direction = match order {
            Order::OldestFirst => "",
            Order::NewestFirst => " DESC",
        };
        values.push(limit.into());
        let _ = write!(query, " ORDER BY {by}.id{direction} LIMIT ?{}", values.len());
        (query, values)
    }

    /// Up to `limit` events in `span`: what the index knows by the index, the few others one by one.
    fn find<T>(
        &self,
        db: &Connection,
        columns: &str,
        (after, last): Span,
        order: Order,
        limit: u32,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let entered = match (&self.account, self.request) {
            (None, None) => after,
            (Some(_), _) | (_, Some(_)) => index::entered(db)?.clamp(after, last.max(after)),
        };
        let mut spans = [(true, (after, entered)), (false, (entered, last))];
        match order {
            Order::OldestFirst => {}
            Order::NewestFirst => spans.reverse(),
        }
        let mut all = Vec::new();
        for (indexed, span) in spans {
            let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
            if span.0 < span.1 && left > 0 {
                let (query, values) = self.query(columns, indexed, span, order, left);
                let mut select = db.prepare_cached(&query)?;
                for row in select.query_map(params_from_iter(values), &read)? {
                    all.push(row?);
                }
            }
        }
        Ok(all)
    }
}

impl Reads {
    pub(in crate::store) async fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(|db, _| {
            db.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))
        })
        .await
    }

    pub(in crate::store) async fn before_events(
        &self,
        trail: Trail,
        last: i64,
        count: Option<u32>,
    ) -> Result<i64, StoreError> {
        self.read(move |db, _| {
            let begin = match trail.since {
                Some(since) => before(db, since.before(OUT_OF_ORDER), last)?,
                None => FIRST,
            };
            let Some(count) = count else { return Ok(begin) };
            let newest = Order::NewestFirst;
            let ids = trail.find(db, "found.id", (begin, last), newest, count, |row| row.get(0))?;
            Ok(ids.last().map_or(last, |first: &i64| first - 1))
        })
        .await
    }

    pub(in crate::store) async fn events(
        &self,
        trail: Trail,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let columns = "found.id, found.at, found.request, found.account, found.actor, found.event";
        self.read(move |db, _| {
            trail.find(db, columns, (after, last), Order::OldestFirst, limit, event)
        })
        .await
    }
}

/// The id before the first event of `since` or later, of those up to `last`, by halving: events are
/// about in the order of their times.
pub(super) fn before(db: &Connection, since: Timestamp, last: i64) -> rusqlite::Result<i64> {
    let select = "SELECT id, at FROM audit WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1";
    let mut first = db.prepare_cached(select)?;
    let (mut older, mut end) = (FIRST, last.max(FIRST));
    while older < end {
        let middle = older + end.saturating_sub(older) / 2;
        let found = first
            .query_row([middle, end], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        match found {
            Some((id, at)) if at < since.0 => older = id,
            // Nothing older in the upper half.
            Some(_) | None => end = middle,
        }
    }
    Ok(older)
}

fn event(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let columns = EventColumns {
        id: row.get(0)?,
        at: row.get(1)?,
        request: row.get(2)?,
        account: row.get_ref(3)?.as_str()?,
        actor: row.get_ref(4)?.as_str()?,
        event: row.get_ref(5)?.as_str()?,
    };
    Ok(format::event(&columns))
}

#[cfg(test)]
mod tests;
