//! Upkeep in SQL. Every host does it, and one at a time: whoever finds another at it leaves it.

use rand::Rng;
use tokio_postgres::{Row, types::Type};
use tracing::{error, info};

use super::{
    BYTES, Postgres, Reads, audit, given, rows,
    schema::put_meta,
    session::{Parameter, Purpose, Session, Uncommitted},
    snapshot,
    trouble::Trouble,
};
use crate::{
    domain::{account::Account, retention::is_stale, time::Timestamp},
    random,
    store::{BudgetId, Chore, Idle, Stale, StoreError, format, upkeep::PIECE},
};

/// Rows of logins, or of budgets, that one look takes.
const PAGE: i64 = 1000;
/// Bytes that are written to find out whether the server's disk has room.
const ROOM: usize = 64 * 1024;

impl Reads {
    pub(in crate::store) async fn idle(
        &self,
        after: Option<BudgetId>,
        now: Timestamp,
    ) -> Result<Idle, StoreError> {
        self.read(Purpose::Read, async move |session, _| {
            // Of what is kept in shares, each is idle for itself.
            let select = "SELECT kind, key, bool_or(idle_at <= $3) FROM otpd.budget
                          WHERE (kind, key) > ($1, $2) GROUP BY kind, key
                          ORDER BY kind, key LIMIT $4";
            let after = after.unwrap_or(BudgetId { kind: 0, key: Vec::new() });
            let values: [Parameter<'_>; 4] = [
                (&after.kind, Type::INT2),
                (&after.key, Type::BYTEA),
                (&now.0, Type::INT8),
                (&PAGE, Type::INT8),
            ];
            let mut page = Idle::default();
            for row in session.query(select, &values).await? {
                let id = BudgetId { kind: row.try_get(0)?, key: row.try_get(1)? };
                if row.try_get(2)? {
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
        self.read(Purpose::Read, async move |session, _| {
            let select = format!(
                "SELECT account, state,
                        EXISTS (SELECT FROM otpd.enrollment
                                WHERE enrollment.account = login.account), {}
                 FROM otpd.login WHERE account > $1 ORDER BY account LIMIT $2",
                given::columns("login.account")
            );
            let mut after = after.map_or_else(String::new, |after| after.as_str().to_owned());
            let mut page = Stale::default();
            loop {
                let values: [Parameter<'_>; 2] = [(&after, Type::TEXT), (&PAGE, Type::INT8)];
                let found = session.query(&select, &values).await?;
                for row in &found {
                    let Some(account) = rows::whose(row, 0)? else { continue };
                    // One damaged row must not keep all the others.
                    match rows::login(row, 1, 3) {
                        Ok(login) if is_stale(row.try_get(2)?, &login, now) => {
                            page.stale.push(account.clone());
                        }
                        Ok(_) => {}
                        Err(error) => error!(%account, %error, "the account's logins are damaged"),
                    }
                    page.last = Some(account);
                }
                match found.last() {
                    // None of them has a name; there may be more.
                    Some(last) if page.last.is_none() => after = last.try_get(0)?,
                    _ => return Ok(page),
                }
            }
        })
        .await
    }
}

impl Postgres {
    /// Does one piece of upkeep in a transaction; how many rows it was.
    pub(super) async fn carry_out(&mut self, chore: &Chore) -> Result<u32, Uncommitted> {
        match chore {
            // Events are found by indexes that are kept with them.
            Chore::Index => return Ok(0),
            // The trail is cut off by hosts of administrators: one that fell, or whose audit-days are
            // few, must not make away with what was written about it.
            Chore::Audit { .. } if !self.administers => return Ok(0),
            // The server has its own reserve, or none: there is room when something was written.
            Chore::Reserve if !self.shortage.holds() => return Ok(0),
            Chore::Audit { .. }
            | Chore::Budgets { .. }
            | Chore::Agreed { .. }
            | Chore::Trail { .. }
            | Chore::Imported { .. }
            | Chore::Reserve => {}
            Chore::Rotate(rotation) => return self.rotate(rotation).await,
            Chore::Retired(_) | Chore::Discard(_) | Chore::DiscardLost { .. } => {}
        }
        let mut session = self.begun().await.map_err(Uncommitted::Refused)?;
        match self.in_transaction(&session, chore).await {
            Ok(0) => {
                session.rollback().await.map_err(Uncommitted::Refused)?;
                self.idle = Some(session);
                Ok(0)
            }
            Ok(rows) => {
                self.finish(session).await?;
                let learned = match chore {
                    Chore::Retired(_) => true,
                    // Besides the row that says how far it is.
                    Chore::Imported { .. } => rows > 1,
                    _ => false,
                };
                if learned {
                    self.connector.rekeyed.set();
                }
                if self.shortage.set(false) {
                    info!("the disk of the store has room again; new logins are served");
                }
                Ok(rows)
            }
            Err(trouble) => Err(Uncommitted::Refused(trouble)),
        }
    }

    async fn in_transaction(&self, session: &Session, chore: &Chore) -> Result<u32, Trouble> {
        match chore {
            Chore::Audit { until, now } => {
                if alone(session).await? {
                    cut_off(session, *until, *now).await
                } else {
                    Ok(0)
                }
            }
            Chore::Budgets { idle, now } => delete_idle(session, idle, *now).await,
            Chore::Agreed { agreement, event } => {
                let name = self.site.clock();
                put_meta(session, &name, &format::encode(agreement)?).await?;
                let event = event.as_deref().map_or(&[][..], std::slice::from_ref);
                audit::append(session, &self.site, event).await?;
                Ok(1)
            }
            Chore::Trail { backup, newest, rows } => {
                snapshot::put_in_front(session, *backup, *newest, rows).await
            }
            Chore::Imported { imported, retired } => {
                put_meta(session, snapshot::IMPORTED, &format::encode(imported)?).await?;
                match retired {
                    Some(sealed) => Ok(1 + self.retire(session, sealed).await?),
                    None => Ok(1),
                }
            }
            Chore::Reserve => {
                // More than a page has left, and nothing that compresses.
                let mut value = vec![0; ROOM];
                random::system().fill_bytes(&mut value);
                put_meta(session, "room", &value).await?;
                Ok(1)
            }
            Chore::Retired(sealed) => self.retire(session, sealed).await,
            Chore::Discard(event) => self.discard(session, event).await,
            Chore::DiscardLost { name, event } => self.discard_lost(session, name, event).await,
            Chore::Index | Chore::Rotate(_) => Ok(0),
        }
    }
}

/// Whether no other host deletes what is old now.
async fn alone(session: &Session) -> Result<bool, Trouble> {
    let lock = "SELECT FROM otpd.meta WHERE name = 'retention' FOR UPDATE SKIP LOCKED";
    Ok(!session.query(lock, &[]).await?.is_empty())
}

/// Deletes the oldest events as far as they are of `until` or before, a thousand at most; how many
/// there were. One that a clock ahead of `now` wrote goes with the first old one after it, or nothing
/// after it would ever be deleted. The newest stays: whoever follows the trail goes on from it.
async fn cut_off(session: &Session, until: Timestamp, now: Timestamp) -> Result<u32, Trouble> {
    let select = "SELECT id, at FROM otpd.audit WHERE id < (SELECT max(id) FROM otpd.audit)
                  ORDER BY id LIMIT $1";
    let found = session.query(select, &[(&i64::from(PIECE), Type::INT8)]).await?;
    let (mut rows, mut last, mut ahead) = (0, None, 0);
    for row in &found {
        let (id, at) = (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?);
        if at > now.0 {
            ahead += 1;
        } else if at <= until.0 {
            (rows, last) = (rows + ahead + 1, Some(id));
            ahead = 0;
        } else {
            break;
        }
    }
    let Some(last) = last else { return Ok(0) };
    session.execute("DELETE FROM otpd.audit WHERE id <= $1", &[(&last, Type::INT8)]).await?;
    Ok(rows)
}

/// Deletes those in which nothing counts any more; what somebody decides on now waits for the next
/// round.
async fn delete_idle(session: &Session, idle: &[BudgetId], now: Timestamp) -> Result<u32, Trouble> {
    if idle.is_empty() || !alone(session).await? {
        return Ok(0);
    }
    let kinds = idle.iter().map(|id| id.kind).collect::<Vec<_>>();
    let keys = idle.iter().map(|id| id.key.as_slice()).collect::<Vec<_>>();
    let delete = "DELETE FROM otpd.budget
                  WHERE ctid = ANY(ARRAY(
                    SELECT budget.ctid FROM otpd.budget
                    JOIN unnest($1, $2) AS wanted (kind, key) USING (kind, key)
                    WHERE idle_at <= $3 FOR UPDATE OF budget SKIP LOCKED))
                  RETURNING kind";
    let values: [Parameter<'_>; 3] =
        [(&kinds, Type::INT2_ARRAY), (&keys, BYTES), (&now.0, Type::INT8)];
    let deleted: Vec<Row> = session.query(delete, &values).await?;
    Ok(u32::try_from(deleted.len()).unwrap_or(u32::MAX))
}
