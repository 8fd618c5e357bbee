//! All that is stored, as it is at one moment, for a backup; and the trail of a backup, put back.
//!
//! A snapshot has a connection and a thread of its own. Nobody waits for it, but while it is held the
//! server keeps every row's old forms: so whoever takes one reads it in time or drops it.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use minicbor::{Decode, Encode};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Row, types::Type};
use tracing::error;

use super::{
    NUMBERS, Reads, TEXTS, given, rows,
    session::{Parameter, Purpose, Session},
    trouble::Trouble,
};
use crate::{
    domain::{
        budget::{Budget, Share},
        records::TrafficKey,
        restore::Kept,
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Imported, Piece, Snapshot, StoreError, TrailRow,
        format::{self, NUMBER},
        snapshot::{AHEAD, LeftOut, ROWS},
    },
    threads,
};

/// What a snapshot begins with.
type Begun = (u32, Option<(i64, Timestamp)>);

/// Where its rows go.
type Pieces = mpsc::Sender<Result<Option<Piece>, StoreError>>;

/// Nobody wants the rows any more.
struct Unwanted;

impl Reads {
    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let reads = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (tell, told) = oneshot::channel::<Begun>();
        let (pieces, rest) = mpsc::channel(AHEAD);
        let runtime = runtime.map_err(|error| no_thread(&error))?;
        threads::spawn("snapshot", move || runtime.block_on(reads.take(tell, pieces)))
            .map_err(|error| no_thread(&error))?;
        let (enrolled, newest) = told.await.map_err(|_| StoreError::Unavailable)?;
        Ok(Snapshot { enrolled, newest, pieces: rest })
    }

    async fn take(self, tell: oneshot::Sender<Begun>, pieces: Pieces) {
        let begun = async {
            let mut session = self.connector.connect().await?;
            session.begin(Purpose::Snapshot).await?;
            self.connector.accept(&session)?;
            let begun = start(&session).await?;
            Ok::<_, Trouble>((session, begun))
        };
        // An error to begin with is told first; one later goes where the rows go.
        let session = match begun.await {
            Ok((session, begun)) if tell.send(begun).is_ok() => session,
            Ok(_) => return,
            Err(error) => {
                error!(%error, remedy = error.remedy(), "a snapshot of the store cannot be taken");
                return;
            }
        };
        let end = match read(&session, &self.keys, &pieces).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(Unwanted)) => return,
            Err(error) => {
                error!(%error, remedy = error.remedy(), "a snapshot of the store cannot be read");
                Err(StoreError::Unavailable)
            }
        };
        // Whoever wanted it may be gone.
        let _ = pieces.send(end).await;
    }

    pub(in crate::store) async fn imported(&self) -> Result<Option<Imported>, StoreError> {
        self.read(Purpose::Read, async |session, _| {
            let select = "SELECT value FROM otpd.meta WHERE name = $1";
            let found = session.query(select, &[(&IMPORTED, Type::TEXT)]).await?;
            found.first().map(|row| rows::decode(row, 0)).transpose()
        })
        .await
    }

    pub(in crate::store) async fn trail_moved_by(
        &self,
        backup: u64,
    ) -> Result<Option<i64>, StoreError> {
        self.read(Purpose::Read, async move |session, _| in_front(session, backup).await).await
    }

    pub(in crate::store) async fn trail_before(
        &self,
        before: i64,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError> {
        self.read(Purpose::Read, async move |session, _| {
            let select = "SELECT id, at, request, account, actor, event FROM otpd.audit
                          WHERE id < $1 ORDER BY id DESC LIMIT $2";
            let values: [Parameter<'_>; 2] =
                [(&before, Type::INT8), (&i64::from(limit), Type::INT8)];
            let event = |row: &Row| -> Result<TrailRow, Trouble> {
                let request = row.try_get::<_, Option<i64>>(2)?;
                Ok(TrailRow {
                    id: row.try_get(0)?,
                    at: Timestamp(row.try_get(1)?),
                    request: request.and_then(|request| u32::try_from(request).ok()),
                    account: row.try_get(3)?,
                    actor: row.try_get(4)?,
                    event: row.try_get(5)?,
                })
            };
            session.query(select, &values).await?.iter().map(event).collect()
        })
        .await
    }
}

fn no_thread(error: &std::io::Error) -> StoreError {
    error!(%error, "there is no thread for a snapshot of the store");
    StoreError::Unavailable
}

async fn start(session: &Session) -> Result<Begun, Trouble> {
    let (enrolled, _) = rows::enrolled_and_now(session).await?;
    let newest = "SELECT id, at FROM otpd.audit ORDER BY id DESC LIMIT 1";
    let newest = session.query(newest, &[]).await?;
    let newest = match newest.first() {
        Some(row) => Some((row.try_get(0)?, Timestamp(row.try_get(1)?))),
        None => None,
    };
    Ok((enrolled, newest))
}

/// Reads everything, as far as somebody takes it.
async fn read(
    session: &Session,
    keys: &Keys,
    pieces: &Pieces,
) -> Result<Result<(), Unwanted>, Trouble> {
    let mut left_out = LeftOut::default();
    // What counts goes first, so that whoever can log in again is held by it: see crate::backup.
    if counted(session, pieces, &mut left_out).await?.is_err() {
        return Ok(Err(Unwanted));
    }
    if accounts(session, keys, pieces, &mut left_out).await?.is_err() {
        return Ok(Err(Unwanted));
    }
    Ok(match left_out.piece() {
        Some(piece) => send(pieces, piece).await,
        None => Ok(()),
    })
}

async fn send(pieces: &Pieces, piece: Piece) -> Result<(), Unwanted> {
    pieces.send(Ok(Some(piece))).await.map_err(|_| Unwanted)
}

/// Accounts, first those with a number.
async fn accounts(
    session: &Session,
    keys: &Keys,
    pieces: &Pieces,
    left_out: &mut LeftOut,
) -> Result<Result<(), Unwanted>, Trouble> {
    let with_number = format!(
        "SELECT enrollment.account, state, {}, number, number_index, details
         FROM otpd.enrollment LEFT JOIN otpd.login USING (account)",
        given::columns("enrollment.account")
    );
    let without_number = format!(
        "SELECT account, state, {} FROM otpd.login WHERE NOT EXISTS (
           SELECT FROM otpd.enrollment WHERE enrollment.account = login.account)",
        given::columns("login.account")
    );
    for (select, numbered) in [(with_number, true), (without_number, false)] {
        let mut found = std::pin::pin!(session.stream(&select, &[]).await?);
        let mut accounts = Vec::with_capacity(ROWS);
        while let Some(row) = found.try_next().await? {
            let read = || {
                let account = rows::name(&row, 0)?;
                let login = rows::login(&row, 1, 2)?;
                let enrollment = numbered.then(|| rows::enrollment(keys, &account, &row, 6));
                Ok((enrollment.transpose()?, account, login))
            };
            match rows::apart(read())? {
                Ok((enrollment, account, login)) => {
                    if let Some(enrollment) = &enrollment {
                        left_out.with_number(&account, enrollment.index);
                    }
                    accounts.push(Kept { account, enrollment, login });
                }
                Err(error) => match rows::name_or_lost(&row, 0)? {
                    Ok(account) => left_out.account(account.as_str(), &error),
                    Err(lost) => left_out.account(&lost.to_string(), &error),
                },
            }
            if accounts.len() == ROWS
                && send(pieces, Piece::Accounts(std::mem::take(&mut accounts))).await.is_err()
            {
                return Ok(Err(Unwanted));
            }
        }
        if send(pieces, Piece::Accounts(accounts)).await.is_err() {
            return Ok(Err(Unwanted));
        }
    }
    Ok(Ok(()))
}

async fn counted(
    session: &Session,
    pieces: &Pieces,
    left_out: &mut LeftOut,
) -> Result<Result<(), Unwanted>, Trouble> {
    let select = "SELECT key, state FROM otpd.budget WHERE kind = $1";
    let mut found = std::pin::pin!(session.stream(select, &[(&NUMBER, Type::INT2)]).await?);
    let mut numbers = Vec::with_capacity(ROWS);
    while let Some(row) = found.try_next().await? {
        let key = row.try_get::<_, &[u8]>(0)?;
        let read = || Ok((format::number_index(key)?, rows::decode::<Budget>(&row, 1)?));
        match rows::apart(read())? {
            Ok(read) => numbers.push(read),
            Err(error) => left_out.counted(NUMBER, key.to_vec(), &error),
        }
        if numbers.len() == ROWS
            && send(pieces, Piece::Budgets(std::mem::take(&mut numbers))).await.is_err()
        {
            return Ok(Err(Unwanted));
        }
    }
    if send(pieces, Piece::Budgets(numbers)).await.is_err() {
        return Ok(Err(Unwanted));
    }
    // Ranges that are counted now are few beside people.
    let mut sums = BTreeMap::<TrafficKey, Share>::new();
    let select = "SELECT kind, key, state FROM otpd.budget WHERE kind <> $1";
    let mut found = std::pin::pin!(session.stream(select, &[(&NUMBER, Type::INT2)]).await?);
    while let Some(row) = found.try_next().await? {
        let (kind, key) = (row.try_get(0)?, row.try_get::<_, &[u8]>(1)?);
        let read = || Ok((format::traffic_of(kind, key)?, rows::decode::<Share>(&row, 2)?));
        match rows::apart(read())? {
            Ok((key, share)) => sums.entry(key).or_default().add(&share),
            Err(error) => left_out.counted(kind, key.to_vec(), &error),
        }
    }
    let together = sums.into_iter().map(|(key, sum)| (key, sum.total())).collect::<Vec<_>>();
    for piece in together.chunks(ROWS) {
        if send(pieces, Piece::Traffic(piece.to_vec())).await.is_err() {
            return Ok(Err(Unwanted));
        }
    }
    Ok(Ok(()))
}

/// The name under which it is kept what was imported.
pub(super) const IMPORTED: &str = "imported";

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
pub(super) async fn put_in_front(
    session: &Session,
    backup: u64,
    newest: (i64, Timestamp),
    trail: &[TrailRow],
) -> Result<u32, Trouble> {
    // One at a time; whoever appends reads the row without its lock.
    session.query("SELECT base FROM otpd.audit_base FOR UPDATE", &[]).await?;
    let Some(moved) = moved(session, backup, newest).await? else { return Ok(0) };
    let ids = trail.iter().map(|event| event.id.saturating_add(moved)).collect::<Vec<_>>();
    let at = trail.iter().map(|event| event.at.0).collect::<Vec<_>>();
    let requests = trail.iter().map(|event| event.request.map(i64::from)).collect::<Vec<_>>();
    let accounts = trail.iter().map(|event| event.account.as_str()).collect::<Vec<_>>();
    let actors = trail.iter().map(|event| event.actor.as_str()).collect::<Vec<_>>();
    let events = trail.iter().map(|event| event.event.as_str()).collect::<Vec<_>>();
    let insert = "INSERT INTO otpd.audit (id, at, request, account, actor, event)
                  SELECT * FROM unnest($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
    let values: [Parameter<'_>; 6] = [
        (&ids, NUMBERS),
        (&at, NUMBERS),
        (&requests, NUMBERS),
        (&accounts, TEXTS),
        (&actors, TEXTS),
        (&events, TEXTS),
    ];
    let added = session.execute(insert, &values).await?;
    Ok(u32::try_from(added).unwrap_or(u32::MAX))
}

/// By how much this backup's ids are moved; `None` where its events have no place.
async fn moved(
    session: &Session,
    backup: u64,
    (newest, ended): (i64, Timestamp),
) -> Result<Option<i64>, Trouble> {
    if let Some(moved) = in_front(session, backup).await? {
        return Ok(Some(moved));
    }
    let first = "SELECT id, at FROM otpd.audit ORDER BY id LIMIT 1";
    let first = session.query(first, &[]).await?;
    let moved = match first.first() {
        // What is still to come may have any id above zero.
        None => newest.saturating_neg(),
        Some(row) if row.try_get::<_, i64>(1)? >= ended.0 => {
            row.try_get::<_, i64>(0)?.saturating_sub(1).saturating_sub(newest)
        }
        Some(_) => return Ok(None),
    };
    let front = format::encode(&InFront { backup, moved })?;
    let put = "INSERT INTO otpd.meta (name, value) VALUES ('trail-in-front', $1)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session.execute(put, &[(&front, Type::BYTEA)]).await?;
    Ok(Some(moved))
}

/// By how much this backup's ids were moved, if they were.
async fn in_front(session: &Session, backup: u64) -> Result<Option<i64>, Trouble> {
    let select = "SELECT value FROM otpd.meta WHERE name = 'trail-in-front'";
    let front = session.query(select, &[]).await?;
    let front = front.first().map(|row| rows::decode::<InFront>(row, 0)).transpose()?;
    Ok(front.filter(|front| front.backup == backup).map(|front| front.moved))
}
