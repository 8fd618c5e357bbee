//! Messages that an earlier run of the daemon handed to vendors, looked for in SQL.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};
use tracing::error;

use super::{Reads, audit::before, forget_damage, rows};
use crate::{
    domain::{account::Account, login::SentBefore, time::Timestamp},
    keys::Keys,
    store::{
        StoreError,
        found::OUT_OF_ORDER,
        sent::{LOOKED_AT, MESSAGES, Name, Waiting, Wanted, waiting},
    },
};

impl Reads {
    pub(in crate::store) async fn sent_before(
        &self,
        begun: Timestamp,
    ) -> Result<Vec<SentBefore>, StoreError> {
        self.read(move |db, keys| {
            let mut wanted = wanted(db, keys, begun, MESSAGES)?;
            let Some(since) = wanted.values().map(|wanted| wanted.sent.issued_at).min() else {
                return Ok(Vec::new());
            };
            look_through(db, since, &mut wanted, LOOKED_AT)?;
            Ok(wanted.into_values().filter_map(Wanted::found).collect())
        })
        .await
    }
}

/// What may be told about a message whose challenge is live, of `limit` such messages at most.
fn wanted(
    db: &Connection,
    keys: &Keys,
    begun: Timestamp,
    limit: usize,
) -> rusqlite::Result<HashMap<Name, Wanted>> {
    let mut select = db.prepare_cached(
        "SELECT account, state FROM login WHERE account IN (SELECT account FROM challenge)",
    )?;
    let (mut found, mut wanted) = (select.query([])?, HashMap::new());
    while let Some(row) = found.next()? {
        let (account, challenges) = match row_waiting(row, begun) {
            Ok(read) => read,
            Err(error) => {
                error!(%error, "the messages of a damaged login are not followed");
                continue;
            }
        };
        // Numbers are decrypted for those alone that wait.
        if challenges.is_empty() {
            continue;
        }
        let enrollment = match rows::enrollment_of(db, keys, &account) {
            Ok(Some(enrollment)) => enrollment,
            Ok(None) => continue,
            Err(error) => {
                error!(%account, %error, "the account's messages are not followed");
                forget_damage(db, &error);
                continue;
            }
        };
        for (challenge, gateway) in challenges {
            if wanted.len() >= limit {
                return Ok(wanted);
            }
            let (name, one) = Wanted::new(&account, &enrollment, &challenge, gateway);
            wanted.insert(name, one);
        }
    }
    Ok(wanted)
}

/// The challenges of a row's account that wait for a code which a gateway took before `begun`.
fn row_waiting(row: &Row<'_>, begun: Timestamp) -> rusqlite::Result<(Account, Vec<Waiting>)> {
    let (account, login) = (rows::name(row, 0)?, rows::login(row, 1)?);
    Ok((account, waiting(login, begun)))
}

/// Goes through the end of the trail, from `since` on, and through `limit` events at most.
fn look_through(
    db: &Connection,
    since: Timestamp,
    wanted: &mut HashMap<Name, Wanted>,
    limit: i64,
) -> rusqlite::Result<()> {
    let last: i64 = db.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    let first = before(db, since.before(OUT_OF_ORDER), last)?.max(last - limit);
    let mut select = db.prepare_cached(
        "SELECT at, account, request, event FROM audit
         WHERE id > ?1 AND id <= ?2 AND request IS NOT NULL
         AND (event LIKE '%\"message-sent\"%' OR event LIKE '%\"message-status\"%'
              OR event LIKE '%\"message-undelivered\"%')",
    )?;
    let mut rows = select.query(params![first, last])?;
    while let Some(row) = rows.next()? {
        let Some(one) = wanted.get_mut(&(row.get(1)?, row.get(2)?)) else { continue };
        one.note(Timestamp(row.get(0)?), row.get_ref(3)?.as_str().ok());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
