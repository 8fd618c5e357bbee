//! All that is stored, as it is at one moment, for a backup; and the trail of a backup, put back.
//!
//! A snapshot has a connection and a thread of its own. Nobody waits for it, but while it is held the
//! log of the database cannot be cut off, and grows: so whoever takes one reads it in time or drops it.

use minicbor::{Decode, Encode};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use super::{Reads, check_value, read::open_to_read, rows};
use crate::{
    domain::{login::LoginState, restore::Kept, time::Timestamp},
    keys::Keys,
    store::{
        Imported, Piece, Snapshot, StoreError, TrailRow,
        format::Counted,
        snapshot::{AHEAD, LeftOut, ROWS},
    },
    threads,
};

/// What a snapshot begins with; `None` where the database is under another key by then.
type Begun = rusqlite::Result<Option<(u32, Option<(i64, Timestamp)>)>>;

/// Where its rows go.
type Pieces = mpsc::Sender<Result<Option<Piece>, StoreError>>;

/// Whether anybody still wants the rows.
struct Wanted(bool);

impl Reads {
    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (path, keys) = (self.path.clone(), self.keys.clone());
        let (tell, told) = oneshot::channel::<Begun>();
        let (pieces, rest) = mpsc::channel(AHEAD);
        let work = move || match open_to_read(&path) {
            Ok(db) => {
                // An error to begin with is told first; one later goes where the rows go.
                let start = start(&db, &keys);
                let good = matches!(start, Ok(Some(_)));
                if tell.send(start).is_ok() && good {
                    read(&db, &keys, &pieces);
                }
            }
            Err(error) => error!(%error, "a snapshot of the store cannot be taken"),
        };
        threads::spawn("snapshot", work).map_err(|error| {
            error!(%error, "there is no thread for a snapshot of the store");
            StoreError::Unavailable
        })?;
        let begun = told.await.map_err(|_| StoreError::Unavailable)?.map_err(|error| {
            error!(%error, "a snapshot of the store cannot be taken");
            StoreError::Unavailable
        })?;
        let Some((enrolled, newest)) = begun else {
            // Whoever begins anew by it says so.
            debug!("the database has gone over to another key");
            return Err(StoreError::Unavailable);
        };
        Ok(Snapshot { enrolled, newest, pieces: rest })
    }

    pub(in crate::store) async fn imported(&self) -> Result<Option<Imported>, StoreError> {
        self.read(|db, _| {
            let select = "SELECT value FROM meta WHERE name = 'imported'";
            let found = db.query_row(select, [], |row| rows::decode(0, row.get_ref(0)?.as_blob()?));
            found.optional()
        })
        .await
    }

    pub(in crate::store) async fn trail_moved_by(
        &self,
        backup: u64,
    ) -> Result<Option<i64>, StoreError> {
        self.read(move |db, _| in_front(db, backup)).await
    }

    pub(in crate::store) async fn trail_before(
        &self,
        before: i64,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError> {
        self.read(move |db, _| {
            let mut select = db.prepare_cached(
                "SELECT id, at, request, account, actor, event FROM audit WHERE id < ?1
                 ORDER BY id DESC LIMIT ?2",
            )?;
            let found = select.query_map(params![before, limit], |row| {
                Ok(TrailRow {
                    id: row.get(0)?,
                    at: Timestamp(row.get(1)?),
                    request: row.get(2)?,
                    account: row.get(3)?,
                    actor: row.get(4)?,
                    event: row.get(5)?,
                })
            })?;
            found.collect()
        })
        .await
    }
}

fn start(db: &Connection, keys: &Keys) -> Begun {
    db.execute_batch("BEGIN")?;
    if check_value(db)?.as_deref() != Some(keys.check.as_slice()) {
        return Ok(None);
    }
    let enrolled = rows::enrolled(db)?;
    let newest = "SELECT id, at FROM audit ORDER BY id DESC LIMIT 1";
    let newest = db.query_row(newest, [], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))));
    Ok(Some((enrolled, newest.optional()?)))
}

/// Reads everything, as far as somebody takes it.
fn read(db: &Connection, keys: &Keys, pieces: &Pieces) {
    let all = || -> rusqlite::Result<()> {
        let mut left_out = LeftOut::default();
        // What counts goes first, so that whoever can log in again is held by it: see crate::backup.
        for pass in [counted, with_number, without_number] {
            if let Wanted(false) = pass(db, keys, pieces, &mut left_out)? {
                return Ok(());
            }
        }
        if let Some(piece) = left_out.piece() {
            let Wanted(_) = send(pieces, piece);
        }
        Ok(())
    };
    let end = all().map(|()| None).map_err(|error| {
        error!(%error, "a snapshot of the store cannot be read");
        StoreError::Unavailable
    });
    // Whoever wanted it may be gone.
    let _ = pieces.blocking_send(end);
}

fn send(pieces: &Pieces, piece: Piece) -> Wanted {
    Wanted(pieces.blocking_send(Ok(Some(piece))).is_ok())
}

/// How an account is named whose row cannot be read.
fn named(row: &Row<'_>) -> rusqlite::Result<String> {
    let name = rows::name_or_lost(row, 0)?;
    Ok(name.map_or_else(|lost| lost.to_string(), |account| account.as_str().to_owned()))
}

fn with_number(
    db: &Connection,
    keys: &Keys,
    pieces: &Pieces,
    left_out: &mut LeftOut,
) -> rusqlite::Result<Wanted> {
    let select = "SELECT enrollment.account, state, number, number_index, details FROM enrollment
                  LEFT JOIN login ON login.account = enrollment.account";
    let mut select = db.prepare(select)?;
    let mut found = select.query([])?;
    let mut accounts = Vec::with_capacity(ROWS);
    while let Some(row) = found.next()? {
        let read = || {
            let account = rows::name(row, 0)?;
            let state = row.get_ref(1)?.as_blob_or_null()?;
            let login = state.map(|state| rows::decode::<LoginState>(1, state)).transpose()?;
            Ok((rows::enrollment(keys, &account, row, 2)?, account, login))
        };
        match rows::apart(read())? {
            Ok((enrollment, account, login)) => {
                left_out.with_number(&account, enrollment.index);
                let login = login.unwrap_or_default();
                accounts.push(Kept { account, enrollment: Some(enrollment), login });
            }
            Err(error) => left_out.account(&named(row)?, &error),
        }
        if accounts.len() == ROWS
            && let Wanted(false) = send(pieces, Piece::Accounts(std::mem::take(&mut accounts)))
        {
            return Ok(Wanted(false));
        }
    }
    Ok(send(pieces, Piece::Accounts(accounts)))
}

fn without_number(
    db: &Connection,
    _: &Keys,
    pieces: &Pieces,
    left_out: &mut LeftOut,
) -> rusqlite::Result<Wanted> {
    let select = "SELECT account, state FROM login
                  WHERE NOT EXISTS (SELECT 1 FROM enrollment
                                    WHERE enrollment.account = login.account)";
    let mut select = db.prepare(select)?;
    let mut found = select.query([])?;
    let mut accounts = Vec::with_capacity(ROWS);
    while let Some(row) = found.next()? {
        let read = || Ok((rows::name(row, 0)?, rows::login(row, 1)?));
        match rows::apart(read())? {
            Ok((account, login)) => accounts.push(Kept { account, enrollment: None, login }),
            Err(error) => left_out.account(&named(row)?, &error),
        }
        if accounts.len() == ROWS
            && let Wanted(false) = send(pieces, Piece::Accounts(std::mem::take(&mut accounts)))
        {
            return Ok(Wanted(false));
        }
    }
    Ok(send(pieces, Piece::Accounts(accounts)))
}

fn counted(
    db: &Connection,
    _: &Keys,
    pieces: &Pieces,
    left_out: &mut LeftOut,
) -> rusqlite::Result<Wanted> {
    let mut select = db.prepare("SELECT kind, key, state FROM budget ORDER BY kind, key")?;
    let mut found = select.query([])?;
    let (mut numbers, mut together) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    while let Some(row) = found.next()? {
        match rows::apart(rows::any_counted(row))? {
            Ok(Counted::Number(number, budget)) => numbers.push((number, budget)),
            Ok(Counted::Together(key, traffic)) => together.push((key, traffic)),
            Err(error) => left_out.counted(row.get(0)?, row.get(1)?, &error),
        }
        if numbers.len() == ROWS
            && let Wanted(false) = send(pieces, Piece::Budgets(std::mem::take(&mut numbers)))
        {
            return Ok(Wanted(false));
        }
        if together.len() == ROWS
            && let Wanted(false) = send(pieces, Piece::Traffic(std::mem::take(&mut together)))
        {
            return Ok(Wanted(false));
        }
    }
    match send(pieces, Piece::Budgets(numbers)) {
        Wanted(true) => Ok(send(pieces, Piece::Traffic(together))),
        unwanted @ Wanted(false) => Ok(unwanted),
    }
}

/// Which backup stands in front of the trail, and by how much its ids were moved for it.
#[derive(Clone, Copy, Encode, Decode)]
struct InFront {
    #[n(0)]
    backup: u64,
    #[n(1)]
    moved: i64,
}

/// Puts events of a backup in front of the trail, with ids moved so that the newest of them stands
/// right before the trail's first; how many were not there. None where the trail has events from
/// before the backup's newest: then it is the same trail, or one that cannot be put in order with it.
pub(super) fn put_in_front(
    db: &Connection,
    backup: u64,
    newest: (i64, Timestamp),
    trail: &[TrailRow],
) -> rusqlite::Result<u32> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut added = 0;
    if let Some(moved) = moved(db, backup, newest)? {
        let row = "INSERT OR IGNORE INTO audit (id, at, request, account, actor, event)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut row = db.prepare_cached(row)?;
        let account = "INSERT OR IGNORE INTO audit_account (account, id) VALUES (?1, ?2)";
        let mut account = db.prepare_cached(account)?;
        let request = "INSERT OR IGNORE INTO audit_request (request, id) VALUES (?1, ?2)";
        let mut request = db.prepare_cached(request)?;
        for event in trail {
            let id = event.id.saturating_add(moved);
            let TrailRow { id: _, at, request: about, account: whose, actor, event } = event;
            added += row.execute(params![id, at.0, about, whose, actor, event])?;
            // Upkeep enters what comes after the newest that it has entered, and these come before.
            account.execute(params![whose, id])?;
            if let Some(about) = about {
                request.execute(params![about, id])?;
            }
        }
    }
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(u32::try_from(added).unwrap_or(u32::MAX))
}

/// By how much this backup's ids are moved; `None` where its events have no place.
fn moved(
    db: &Connection,
    backup: u64,
    (newest, ended): (i64, Timestamp),
) -> rusqlite::Result<Option<i64>> {
    if let Some(moved) = in_front(db, backup)? {
        return Ok(Some(moved));
    }
    let first = "SELECT id, at FROM audit ORDER BY id LIMIT 1";
    let first = db.query_row(first, [], |row| Ok((row.get::<_, i64>(0)?, Timestamp(row.get(1)?))));
    let moved = match first.optional()? {
        None => 0,
        Some((first, began)) if began >= ended => first.saturating_sub(1).saturating_sub(newest),
        Some(_) => return Ok(None),
    };
    let front = rows::encode(&InFront { backup, moved })?;
    let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('trail-in-front', ?1)";
    db.execute(put, [front])?;
    Ok(Some(moved))
}

/// By how much this backup's ids were moved, if they were.
fn in_front(db: &Connection, backup: u64) -> rusqlite::Result<Option<i64>> {
    let select = "SELECT value FROM meta WHERE name = 'trail-in-front'";
    let front =
        db.query_row(select, [], |row| rows::decode::<InFront>(0, row.get_ref(0)?.as_blob()?));
    let front = front.optional()?.filter(|front| front.backup == backup);
    Ok(front.map(|front| front.moved))
}

#[cfg(test)]
mod tests;
