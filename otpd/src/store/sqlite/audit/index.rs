//! What finds an account's events and a request's among millions, kept apart from the trail itself:
//! a commit that somebody waits for appends its events and no more; upkeep enters them here a
//! thousand at a time, sorted, which costs a fraction of entering each when it happens.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{domain::time::Timestamp, store::upkeep::PIECE};

/// The newest event that is entered; 0 when none is.
pub(in crate::store::sqlite) fn entered(db: &Connection) -> rusqlite::Result<i64> {
    let select = "SELECT value FROM meta WHERE name = 'audit-indexed'";
    let value = db.prepare_cached(select)?.query_row([], |row| row.get(0)).optional()?;
    Ok(value.map_or(0, i64::from_be_bytes))
}

/// Enters the next thousand events; how many there were.
pub(in crate::store::sqlite) fn enter(db: &Connection) -> rusqlite::Result<u32> {
    let after = entered(db)?;
    let select = "SELECT count(*), max(id) FROM
                  (SELECT id FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let (rows, last) = db
        .prepare_cached(select)?
        .query_row(params![after, PIECE], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let Some(last) = last else { return Ok(0) };
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let accounts = "INSERT OR IGNORE INTO audit_account SELECT account, id FROM audit
                    WHERE id > ?1 AND id <= ?2 ORDER BY account, id";
    db.prepare_cached(accounts)?.execute([after, last])?;
    let requests = "INSERT OR IGNORE INTO audit_request SELECT request, id FROM audit
                    WHERE id > ?1 AND id <= ?2 AND request IS NOT NULL ORDER BY request, id";
    db.prepare_cached(requests)?.execute([after, last])?;
    let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('audit-indexed', ?1)";
    db.prepare_cached(put)?.execute([last.to_be_bytes().as_slice()])?;
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(rows)
}

/// Deletes the oldest events as far as they are of `until` or before, a thousand at most; how many
/// there were. One that a clock ahead of `now` wrote goes with the first old one after it, or nothing
/// after it would ever be deleted. The newest stays, so that its id is never given to another event: whoever follows
/// the trail goes by ids.
pub(in crate::store::sqlite) fn cut_off(
    db: &Connection,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<u32> {
    let select = "SELECT id, at FROM audit WHERE id < (SELECT max(id) FROM audit)
                  ORDER BY id LIMIT ?1";
    let mut oldest = db.prepare_cached(select)?;
    let mut found = oldest.query([PIECE])?;
    let (mut rows, mut last, mut ahead) = (0, None, 0);
    // By id, which is the order of the commits: a clock that was set back may keep an event longer.
    while let Some(row) = found.next()? {
        let (id, at) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
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
    drop(found);
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let old = "SELECT account, id FROM audit WHERE id <= ?1";
    let accounts = format!("DELETE FROM audit_account WHERE (account, id) IN ({old})");
    db.prepare_cached(&accounts)?.execute([last])?;
    let old = "SELECT request, id FROM audit WHERE id <= ?1 AND request IS NOT NULL";
    let requests = format!("DELETE FROM audit_request WHERE (request, id) IN ({old})");
    db.prepare_cached(&requests)?.execute([last])?;
    db.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([last])?;
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(rows)
}
