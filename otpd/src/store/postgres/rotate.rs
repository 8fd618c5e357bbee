//! The key of the database is replaced, all of it in one transaction.
//!
//! Numbers are encrypted anew before that, while logins go on; so what happens while nobody can decide
//! is short. Whatever ends it before its commit leaves everything under the key from before.

use tokio::sync::oneshot;
use tokio_postgres::{Row, types::Type};
use tracing::error;

use super::{
    BYTES, Postgres, Reads, TEXTS, audit,
    connect::Connector,
    rows,
    schema::{self, KEY_CHECK, RETIRED, SCHEMA},
    session::{Parameter, Purpose, Session, Uncommitted},
    trouble::Trouble,
};
use crate::{
    keys::Keys,
    store::{
        StoreError,
        format::{Damaged, NUMBER, RANGE},
        rotation::{self, Renewed, Rotation},
    },
    threads,
};

/// Rows that are encrypted anew at once.
const PAGE: i64 = 2000;

impl Reads {
    /// Encrypts the numbers anew, beside those that are in use.
    pub(in crate::store) async fn prepare_rotation(&self, next: Keys) -> Result<(), StoreError> {
        let reads = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let failed = |error: std::io::Error| {
            error!(%error, "there is no thread to prepare another key");
            StoreError::Unavailable
        };
        let runtime = runtime.map_err(failed)?;
        let (tell, told) = oneshot::channel();
        let work = async move {
            let _ = tell.send(prepare(&reads, &next).await);
        };
        threads::spawn("rotation", move || runtime.block_on(work)).map_err(failed)?;
        told.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

async fn prepare(reads: &Reads, next: &Keys) -> Result<(), StoreError> {
    let prepared = async {
        let session = begin(&reads.connector).await?;
        session.simple("DELETE FROM otpd.rekeyed").await?;
        let select = "SELECT account, number, number_index FROM otpd.enrollment
                      WHERE account > $1 ORDER BY account LIMIT $2";
        renew(&session, select, &reads.keys, next).await?;
        // Where nobody has a number nothing was written, which is no failure here.
        session.simple("COMMIT").await.map(drop)
    };
    prepared.await.map_err(|trouble: Trouble| {
        error!(error = %trouble, remedy = trouble.remedy(), "another key cannot be prepared");
        StoreError::Unavailable
    })
}

/// Begins a transaction in which no other rotation is under way, of the database that was opened and
/// under its key.
pub(super) async fn begin(connector: &Connector) -> Result<Session, Trouble> {
    let mut session = connector.connect().await?;
    match session.begin(Purpose::Rotate).await {
        Err(trouble) if trouble.is_locked() => return Err(Trouble::Rotating),
        begun => begun?,
    }
    connector.accept(&session)?;
    Ok(session)
}

/// Encrypts what a statement finds, a page at a time. A damaged row stays as it is: it can be read by
/// no key.
async fn renew(session: &Session, select: &str, before: &Keys, next: &Keys) -> Result<(), Trouble> {
    let mut after = String::new();
    loop {
        let found = session.query(select, &[(&after, Type::TEXT), (&PAGE, Type::INT8)]).await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.try_get(0)?;
        keep(session, &found, before, next).await?;
    }
}

async fn keep(session: &Session, found: &[Row], before: &Keys, next: &Keys) -> Result<(), Trouble> {
    let (mut names, mut olds, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut old_indexes, mut indexes) = (Vec::new(), Vec::new());
    let mut ranges = [Vec::new(), Vec::new()];
    for row in found {
        // One without a name stays as it is, and can be removed.
        let Some(account) = rows::whose(row, 0)? else { continue };
        let old = row.try_get::<_, &[u8]>(1)?;
        let renewed = match Renewed::of(before, next, &account, old) {
            Ok(renewed) => renewed,
            Err(error) => {
                error!(%account, %error, "the account's number is damaged, and stays so");
                continue;
            }
        };
        names.push(account.as_str().to_owned());
        olds.push(old);
        numbers.push(renewed.number);
        old_indexes.push(row.try_get::<_, &[u8]>(2)?);
        indexes.push(renewed.index.to_vec());
        for (all, range) in ranges.iter_mut().zip(renewed.range) {
            all.push(range.to_vec());
        }
    }
    let insert = "INSERT INTO otpd.rekeyed (account, key_id, old_number, number, old_index,
                                            number_index, old_range, range_index)
                  SELECT account, $2, old_number, number, old_index, number_index, old_range, range
                  FROM unnest($1, $3, $4, $5, $6, $7, $8) AS new
                       (account, old_number, number, old_index, number_index, old_range, range)
                  ON CONFLICT (account) DO UPDATE SET key_id = excluded.key_id,
                    old_number = excluded.old_number, number = excluded.number,
                    old_index = excluded.old_index, number_index = excluded.number_index,
                    old_range = excluded.old_range, range_index = excluded.range_index";
    let [old_ranges, new_ranges] = ranges;
    let values: [Parameter<'_>; 8] = [
        (&names, TEXTS),
        (&i64::from(next.id), Type::INT8),
        (&olds, BYTES),
        (&numbers, BYTES),
        (&old_indexes, BYTES),
        (&indexes, BYTES),
        (&old_ranges, BYTES),
        (&new_ranges, BYTES),
    ];
    session.execute(insert, &values).await.map(drop)
}

impl Postgres {
    /// Goes over to the next key; how many numbers there are.
    pub(super) async fn rotate(&mut self, rotation: &Rotation) -> Result<u32, Uncommitted> {
        // It takes longer than a decision may, on a connection of its own.
        let begun = async {
            let session = begin(&self.connector).await?;
            let numbers = self.switch(&session, rotation).await?;
            Ok((session, numbers))
        };
        let (session, numbers) = begun.await.map_err(Uncommitted::Refused)?;
        crate::failpoint::reach(crate::failpoint::Point::Written);
        self.finish(session).await?;
        self.connector.rekeyed.set();
        Ok(numbers)
    }

    /// Keeps further code keys from before; whether there were any.
    pub(super) async fn retire(&self, session: &Session, sealed: &[u8]) -> Result<u32, Trouble> {
        // One host at a time: each adds to what the one before has kept.
        let lock = "SELECT FROM otpd.meta WHERE name = $1 FOR UPDATE";
        session.query(lock, &[(&KEY_CHECK, Type::TEXT)]).await?;
        let kept = schema::meta(session, RETIRED).await?;
        match rotation::joined(&self.keys, kept.as_deref(), sealed) {
            Ok(Some(joined)) => schema::put_meta(session, RETIRED, &joined).await.map(|()| 1),
            Ok(None) => Ok(0),
            Err(_) => {
                error!("the keys from before of a backup are damaged, and left out");
                Ok(0)
            }
        }
    }

    /// Puts everything under the next key, in the transaction under way; how many numbers there are.
    pub(super) async fn switch(
        &self,
        session: &Session,
        rotation: &Rotation,
    ) -> Result<u32, Trouble> {
        // Who decides holds a weaker lock on it: from here on nobody does, on whichever host. Decisions
        // under way are waited for a few seconds; those that come meanwhile wait behind.
        session.simple("LOCK TABLE otpd.audit IN EXCLUSIVE MODE").await?;
        session.simple("SET LOCAL lock_timeout = 60000").await?;
        match schema::version(session).await? {
            Some(found) if found > SCHEMA => return Err(Trouble::Newer(found)),
            Some(_) | None => {}
        }
        if schema::meta(session, KEY_CHECK).await?.as_deref() != Some(self.keys.check.as_slice()) {
            return Err(Trouble::Rekeyed);
        }
        let kept = schema::meta(session, RETIRED).await?;
        let next = &rotation.next(&self.keys, kept.as_deref()).map_err(Damaged::from)?;
        // What changed since it was prepared: a number that is written is encrypted differently.
        let delete = "DELETE FROM otpd.rekeyed WHERE key_id <> $1 OR NOT EXISTS (
                        SELECT FROM otpd.enrollment
                        WHERE enrollment.account = rekeyed.account
                          AND enrollment.number = rekeyed.old_number)";
        let key_id = i64::from(next.id);
        session.execute(delete, &[(&key_id, Type::INT8)]).await?;
        let select = "SELECT account, number, number_index FROM otpd.enrollment
                      WHERE account > $1
                        AND NOT EXISTS (SELECT FROM otpd.rekeyed
                                        WHERE rekeyed.account = enrollment.account)
                      ORDER BY account LIMIT $2";
        renew(session, select, &self.keys, next).await?;
        let update = "UPDATE otpd.enrollment SET key_id = $1, number = rekeyed.number,
                        number_index = rekeyed.number_index
                      FROM otpd.rekeyed WHERE rekeyed.account = enrollment.account";
        let numbers = session.execute(update, &[(&key_id, Type::INT8)]).await?;
        for (kind, columns) in
            [(NUMBER, "old_index, number_index"), (RANGE, "old_range, range_index")]
        {
            let update = format!(
                "UPDATE otpd.budget SET key_id = $1, key = renewed.next
                 FROM (SELECT DISTINCT {columns} FROM otpd.rekeyed) AS renewed (old, next)
                 WHERE kind = $2 AND key = renewed.old"
            );
            session.execute(&update, &[(&key_id, Type::INT8), (&kind, Type::INT2)]).await?;
        }
        // Of numbers that nobody has any more: found by no key from here on, and not for one to come
        // that is the one before.
        let delete = "DELETE FROM otpd.budget WHERE kind IN ($2, $3) AND key_id <> $1";
        let values: [Parameter<'_>; 3] =
            [(&key_id, Type::INT8), (&NUMBER, Type::INT2), (&RANGE, Type::INT2)];
        session.execute(delete, &values).await?;
        schema::put_meta(session, KEY_CHECK, &next.check).await?;
        schema::put_meta(session, RETIRED, &next.seal_retired()).await?;
        let numbers = u32::try_from(numbers).unwrap_or(u32::MAX);
        audit::append(session, &self.site, &[rotation.done(numbers)]).await?;
        session.simple("DELETE FROM otpd.rekeyed").await?;
        Ok(numbers)
    }
}
