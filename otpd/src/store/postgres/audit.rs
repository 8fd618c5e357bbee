//! The audit trail of many hosts, read back by id, so that nothing is missed and nothing comes twice.
//!
//! Transactions of different hosts commit in any order, and one that began to write early may commit
//! late. Ids follow the beginnings. So a reader stops before the first transaction that still may
//! write: everything before that is there, and stays as it is.

use std::fmt::Write;

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    Reads, Site,
    session::{Parameter, Purpose, Session},
    trouble::Trouble,
};
use crate::{
    domain::{audit::AuditEvent, time::Timestamp},
    store::{
        AuditRow, StoreError, Trail,
        format::{self, EventColumns},
        found::{FIRST, OUT_OF_ORDER},
    },
};

/// Bits of an id that number the events of one transaction, as `otpd.append_events` gives them.
const PLACES: u32 = 16;

/// Events that one transaction may write down.
const MOST: usize = 1 << PLACES;

/// Appends events, the host's name with each.
pub(super) async fn append(
    session: &Session,
    site: &Site,
    events: &[AuditEvent],
) -> Result<(), Trouble> {
    if events.is_empty() {
        return Ok(());
    }
    if events.len() >= MOST {
        return Err(Trouble::TooMany(events.len()));
    }
    let (mut at, mut requests, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut actors, mut stories) = (Vec::new(), Vec::new());
    for event in events {
        let (actor, story) = format::event_of_host(event, &site.name)?;
        at.push(event.at.0);
        requests.push(event.request.map(|request| i64::from(request.0)));
        accounts.push(event.account.as_str());
        actors.push(actor);
        stories.push(story);
    }
    let values: [Parameter<'_>; 5] = [
        (&at, Type::INT8_ARRAY),
        (&requests, Type::INT8_ARRAY),
        (&accounts, Type::TEXT_ARRAY),
        (&actors, Type::TEXT_ARRAY),
        (&stories, Type::TEXT_ARRAY),
    ];
    session.execute("SELECT otpd.append_events($1, $2, $3, $4, $5)", &values).await.map(drop)
}

/// Keeps ids growing on a server whose transactions have lower numbers than those that wrote what is
/// here, after a dump was restored there. True when something had to be changed.
pub(super) async fn settle_base(session: &Session) -> Result<bool, Trouble> {
    let behind = format!(
        "(SELECT max(id) FROM otpd.audit)
         >= base + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << {PLACES})"
    );
    // Whoever may only read it need not: the database is moved by its administrators.
    let look = format!("SELECT coalesce(bool_or({behind}), false) FROM otpd.audit_base");
    if !session.one(&look, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let update = format!(
        "UPDATE otpd.audit_base SET base = (SELECT max(id) FROM otpd.audit) WHERE {behind}"
    );
    Ok(session.execute(&update, &[]).await? > 0)
}

/// The id before which no event can appear any more. To be asked in a transaction that sees what
/// was committed before each question, and before what is read up to it.
pub(super) async fn horizon(session: &Session) -> Result<i64, Trouble> {
    // The snapshot is older than the look at the locks: whoever takes the lock after that look gets a
    // later number than the snapshot's last. Whoever has the lock and no number yet may have one that
    // is not to be seen there for a moment: then what the snapshot itself saw running counts.
    let select = "SELECT (SELECT base FROM otpd.audit_base),
                         pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
                         pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                         ARRAY(SELECT number.transactionid::text::bigint
                               FROM pg_locks AS writer LEFT JOIN pg_locks AS number
                                    ON number.virtualtransaction = writer.virtualtransaction
                                       AND number.locktype = 'transactionid' AND number.granted
                                       AND number.mode = 'ExclusiveLock'
                               WHERE writer.locktype = 'relation'
                                     AND writer.mode = 'RowExclusiveLock'
                                     AND writer.relation = 'otpd.audit'::regclass
                                     AND writer.database = (SELECT oid FROM pg_database
                                                            WHERE datname = current_database()))";
    let row = session.one(select, &[]).await?;
    let (base, running, next) = (row.try_get::<_, i64>(0)?, row.try_get(1)?, row.try_get(2)?);
    let writing = row.try_get::<_, Vec<Option<i64>>>(3)?;
    let writing =
        writing.into_iter().map(|short| short.map_or(running, |short| whole(short, next)));
    let first = writing.chain([next]).min().unwrap_or(next);
    Ok(base.saturating_add(first.saturating_mul(1 << PLACES)))
}

/// The whole number of a transaction near `next`, of which what locks tell has 32 bits.
fn whole(short: i64, next: i64) -> i64 {
    let behind = (next - short).rem_euclid(1 << 32);
    if behind < 1 << 31 { next - behind } else { next }
}

/// A query for the events of a trail, as it is put together.
struct Query {
    text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Query {
    /// Of the columns of events with ids after the first and up to the second.
    fn new(columns: &str, trail: &Trail, (after, last): (i64, i64)) -> Self {
        let text = format!("SELECT {columns} FROM otpd.audit WHERE id > $1 AND id <= $2");
        let mut query = Self { text, values: Vec::new() };
        query.values.push((Box::new(after), Type::INT8));
        query.values.push((Box::new(last), Type::INT8));
        if let Some(request) = trail.request {
            query.and("request =", Box::new(i64::from(request.0)), Type::INT8);
        }
        if let Some(account) = &trail.account {
            query.and("account =", Box::new(account.as_str().to_owned()), Type::TEXT);
        }
        if let Some(since) = trail.since {
            query.and("at >=", Box::new(since.0), Type::INT8);
        }
        query
    }

    fn and(&mut self, condition: &str, value: Box<dyn ToSql + Sync + Send>, kind: Type) {
        self.values.push((value, kind));
        // Writing to a string cannot fail.
        let _ = write!(self.text, " AND {condition} ${}", self.values.len());
    }

    async fn run(self, session: &Session, order: &str, limit: u32) -> Result<Vec<Row>, Trouble> {
        let text = format!("{} ORDER BY id {order} LIMIT {limit}", self.text);
        let values = self.values.iter();
        let values = values.map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()));
        session.query(&text, &values.collect::<Vec<_>>()).await
    }
}

impl Reads {
    pub(in crate::store) async fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(Purpose::ReadOn, async |session, _| newest(session).await).await
    }

    pub(in crate::store) async fn before_events(
        &self,
        trail: Trail,
        last: i64,
        count: Option<u32>,
    ) -> Result<i64, StoreError> {
        self.read(Purpose::Read, async move |session, _| {
            let begin = match trail.since {
                Some(since) => before(session, since.before(OUT_OF_ORDER), last).await?,
                None => FIRST,
            };
            let Some(count) = count else { return Ok(begin) };
            let query = Query::new("id", &trail, (begin, last));
            let ids = query.run(session, "DESC", count).await?;
            match ids.last() {
                Some(first) => Ok(first.try_get::<_, i64>(0)? - 1),
                None => Ok(last),
            }
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
        self.read(Purpose::ReadOn, async move |session, _| {
            let last = last.min(horizon(session).await? - 1);
            let columns = "id, at, request, account, actor, event";
            let found = Query::new(columns, &trail, (after, last)).run(session, "", limit).await?;
            found.iter().map(event).collect()
        })
        .await
    }
}

/// The newest event that no other can come before.
async fn newest(session: &Session) -> Result<i64, Trouble> {
    let horizon = horizon(session).await?;
    let select = "SELECT coalesce(max(id), 0) FROM otpd.audit WHERE id < $1";
    Ok(session.one(select, &[(&horizon, Type::INT8)]).await?.try_get(0)?)
}

/// An id before that of every event of `since + OUT_OF_ORDER` or later, of those up to `last`: that of
/// the newest event from before `since`.
pub(super) async fn before(session: &Session, since: Timestamp, last: i64) -> Result<i64, Trouble> {
    let select = "SELECT id FROM otpd.audit WHERE at < $1 AND id <= $2
                  ORDER BY at DESC, id DESC LIMIT 1";
    let found = session.query(select, &[(&since.0, Type::INT8), (&last, Type::INT8)]).await?;
    Ok(found.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(FIRST))
}

fn event(row: &Row) -> Result<AuditRow, Trouble> {
    let request = row.try_get::<_, Option<i64>>(2)?;
    let columns = EventColumns {
        id: row.try_get(0)?,
        at: row.try_get(1)?,
        request: request.and_then(|request| u32::try_from(request).ok()),
        account: row.try_get(3)?,
        actor: row.try_get(4)?,
        event: row.try_get(5)?,
    };
    Ok(format::event(&columns))
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn the_number_of_a_transaction_is_whole_again() {
        const ROUND: i64 = 1 << 32;
        for (name, short, next, expected) in [
            ("just before", 99, 100, 99),
            ("of a later round", 99, 3 * ROUND + 100, 3 * ROUND + 99),
            ("from before the round began", ROUND - 1, 2 * ROUND + 5, 2 * ROUND - 1),
            ("begun after the look", 7, 5, 5),
        ] {
            assert_eq!(whole(short, next), expected, "{name}");
        }
    }
}
