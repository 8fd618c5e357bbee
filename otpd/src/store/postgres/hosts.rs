//! The daemons that use the database: each keeps a row of its own.
//!
//! It is written by the way for reads, in transactions that lock nothing a decision needs, so no login
//! waits for it and none fails by it.

use std::time::Duration;

use tokio_postgres::{Row, types::Type};
use tracing::debug;

use super::{
    Reads, rows,
    session::{Parameter, Purpose, Session},
    trouble::Trouble,
};
use crate::{
    domain::{challenge::Instance, time::Timestamp},
    store::{
        StoreError, format,
        hosts::{self, HostSeen, KEPT, Life, MOST, Presence, SILENT, Told, Twin, Word},
    },
};

/// Rows of roles that may still do what a login host does: one that fell is not heard any more.
const SPEAKS: &str = "EXISTS (
  SELECT FROM pg_roles
  WHERE rolname = written_by AND rolcanlogin
        AND has_table_privilege(pg_roles.oid, 'otpd.login'::regclass, 'UPDATE'))";

/// So long after this daemon's begin a word of one that was killed before may still arrive.
const LATE: Duration = Duration::from_secs(3);

impl Reads {
    /// Tells the others that this daemon runs, or that it stops; whether another passes for it.
    pub(in crate::store) async fn tell(&self, word: Word) -> Result<Told, StoreError> {
        let site = self.site.clone();
        self.read(Purpose::Tell, async move |session, _| {
            // Nobody needs it after a crash, so it waits for no disk and no standby.
            session.simple("SET LOCAL synchronous_commit = off").await?;
            let name = hosts::name(&site.name);
            let Word { run, begun, presence, stopped } = word;
            let details = format::encode(&presence.bounded())?;
            let put = "INSERT INTO otpd.host
                         (name, run, machine, started_at, seen_at, stopped, details)
                       SELECT $1, $2, $3, coalesce($6, now), now, $4, $5
                       FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
                            AS clock (now)
                       ON CONFLICT (name, run) DO UPDATE SET seen_at = excluded.seen_at,
                         stopped = excluded.stopped, details = excluded.details
                       RETURNING started_at, seen_at";
            let run = i64::from(run.0);
            let begun = begun.map(|begun| begun.0);
            let values: [Parameter<'_>; 6] = [
                (&name, Type::TEXT),
                (&run, Type::INT8),
                (&site.host.0.as_slice(), Type::BYTEA),
                (&stopped, Type::BOOL),
                (&details, Type::BYTEA),
                (&begun, Type::INT8),
            ];
            let row = session.one(put, &values).await?;
            let (begun, now) = (Timestamp(row.try_get(0)?), Timestamp(row.try_get(1)?));
            forget(session, &name, run, begun, now).await?;
            let twin = twin(session, &name, run, &site.host.0, begun, now).await?;
            Ok(Told { at: now, twin })
        })
        .await
    }

    /// The daemons that were heard of lately, by their names.
    pub(in crate::store) async fn hosts(&self) -> Result<Vec<HostSeen>, StoreError> {
        self.read(Purpose::Read, async |session, _| {
            // Of each role so many, so that one cannot hide the others by what it writes.
            let select = format!(
                "SELECT name, run, started_at, seen_at, stopped, details,
                        (extract(epoch FROM clock_timestamp()) * 1000)::bigint
                 FROM (SELECT host.*, row_number() OVER (PARTITION BY written_by
                                                         ORDER BY seen_at DESC, name, run) AS place
                       FROM otpd.host WHERE {SPEAKS}) AS host
                 WHERE place <= $1 ORDER BY name, run"
            );
            let found = session.query(&select, &[(&MOST, Type::INT8)]).await?;
            found.iter().map(host).collect()
        })
        .await
    }
}

fn host(row: &Row) -> Result<HostSeen, Trouble> {
    let run = row.try_get::<_, i64>(1)?;
    let seen_at = Timestamp(row.try_get(3)?);
    // One that a later version wrote hides neither itself nor the others.
    let presence = rows::decode::<Presence>(row, 5).unwrap_or_else(|error| {
        debug!(%error, "what a host tells of itself cannot be read");
        Presence::unknown()
    });
    Ok(HostSeen {
        name: hosts::name(row.try_get(0)?),
        run: Instance(u32::try_from(run).unwrap_or_default()),
        started_at: Timestamp(row.try_get(2)?),
        seen_at,
        life: Life::of(row.try_get(4)?, seen_at, Timestamp(row.try_get(6)?)),
        presence: presence.bounded(),
    })
}

/// Forgets this machine's daemons from before, whoever was not heard of for long, or by a clock that is
/// ahead, or whose role was taken away; as far as this host's own role may. What somebody writes now is
/// left for the next time.
async fn forget(
    session: &Session,
    name: &str,
    run: i64,
    begun: Timestamp,
    now: Timestamp,
) -> Result<(), Trouble> {
    let delete = format!(
        "DELETE FROM otpd.host WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM otpd.host
           WHERE (name = $1 AND run <> $2 AND seen_at < $3) OR seen_at NOT BETWEEN $4 AND $5
                 OR NOT ({SPEAKS})
           FOR UPDATE SKIP LOCKED))"
    );
    let values: [Parameter<'_>; 5] = [
        (&name, Type::TEXT),
        (&run, Type::INT8),
        (&begun.0, Type::INT8),
        (&now.before(KEPT).0, Type::INT8),
        (&now.after(SILENT).0, Type::INT8),
    ];
    session.execute(&delete, &values).await.map(drop)
}

/// Another daemon that calls itself as this one does, and that was heard of since this one began.
async fn twin(
    session: &Session,
    name: &str,
    run: i64,
    machine: &[u8],
    begun: Timestamp,
    now: Timestamp,
) -> Result<Option<Twin>, Trouble> {
    let select = format!(
        "SELECT bool_or(machine = $3) FROM otpd.host
         WHERE name = $1 AND run <> $2 AND NOT stopped AND seen_at > $4
               AND seen_at BETWEEN $5 AND $6 AND {SPEAKS}"
    );
    let values: [Parameter<'_>; 6] = [
        (&name, Type::TEXT),
        (&run, Type::INT8),
        (&machine, Type::BYTEA),
        (&begun.after(LATE).0, Type::INT8),
        (&now.before(SILENT).0, Type::INT8),
        (&now.after(SILENT).0, Type::INT8),
    ];
    let found = session.one(&select, &values).await?.try_get::<_, Option<bool>>(0)?;
    Ok(found.map(|same| if same { Twin::Machine } else { Twin::Name }))
}
