//! What a commit writes: the rows that differ, each once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::try_join5;
use rand::RngExt;
use tokio_postgres::types::Type;

use super::{
    ATTEMPTS, BYTES, NUMBERS, Site, TEXTS, audit, given,
    lock::Locked,
    rows,
    session::{Parameter, Session},
    trouble::Trouble,
};
use crate::{
    domain::{
        account::Account,
        audit::{AuditEvent, Event},
        budget::{SHARES, Share, Traffic},
        enrollment::Enrollment,
        login::LoginState,
        records::TrafficKey,
        time::Timestamp,
    },
    keys::Keys,
    random,
    store::{
        Working,
        format::{self, CountedKey, Enrolled},
        working::{Changes, Slot},
    },
};

/// What was written.
pub(super) enum Written {
    /// Nothing: there is nothing to commit.
    Nothing,
    /// All that changed.
    All,
    /// The same, but for an attack that another host has just told of.
    AllButAttack,
}

/// Hosts that find out about an attack within this time tell of the same one.
const SAME_ATTACK: Duration = Duration::from_mins(15);

/// Writes what changed.
pub(super) async fn write(
    session: &Session,
    keys: &Keys,
    site: &Site,
    working: &Working,
    locked: &Locked,
) -> Result<Written, Trouble> {
    let changes = working.changes();
    if is_nothing(&changes) {
        return Ok(Written::Nothing);
    }
    put_enrollments(session, keys, &changes.enrollments).await?;
    given::put(session, &changes.logins).await?;
    // One share for all of them, so that two who write never wait for each other crosswise.
    let share = i16::from(random::system().random_range(0..SHARES));
    let now = working.time().unwrap_or_default();
    let attack = changes.audit.iter().find(|event| is_attack(event));
    // Whether it is written down depends on others.
    let events = if attack.is_none() { changes.audit } else { &[] };
    // Asked at once, and done one after another.
    try_join5(
        put_logins(session, keys, &changes.logins, locked),
        put_numbers(session, keys, &changes, locked),
        put_challenges(session, &changes),
        put_traffic(session, keys, share, now, &changes.traffic, locked),
        audit::append(session, site, events),
    )
    .await?;
    put_enrolled(session, share, i64::from(working.enrolled()) - i64::from(locked.enrolled))
        .await?;
    let Some(attack) = attack else { return Ok(Written::All) };
    if tell_of_attack(session, attack.at).await? {
        audit::append(session, site, changes.audit).await?;
        return Ok(Written::All);
    }
    let others = changes.audit.iter().filter(|event| !is_attack(event)).cloned();
    audit::append(session, site, &others.collect::<Vec<_>>()).await?;
    Ok(Written::AllButAttack)
}

/// Whether an event says that the whole site is under attack.
pub(super) fn is_attack(event: &AuditEvent) -> bool {
    event.event == Event::SiteUnderAttack {}
}

/// Whether this host is the one to tell of an attack: of several that find it out at once, whoever
/// writes first. The others wait for its commit here, with nothing left to lock.
async fn tell_of_attack(session: &Session, now: Timestamp) -> Result<bool, Trouble> {
    // Times after the epoch are in the order of these bytes.
    let claim = "INSERT INTO otpd.meta (name, value) VALUES ('attack', $1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value
                 WHERE meta.value NOT BETWEEN $2 AND $1";
    let (to, from) = (now.0.to_be_bytes(), now.before(SAME_ATTACK).0.to_be_bytes());
    let values: [Parameter<'_>; 2] =
        [(&to.as_slice(), Type::BYTEA), (&from.as_slice(), Type::BYTEA)];
    Ok(session.execute(claim, &values).await? > 0)
}

fn is_nothing(changes: &Changes<'_>) -> bool {
    changes.enrollments.is_empty()
        && changes.logins.is_empty()
        && changes.budgets.is_empty()
        && changes.traffic.is_empty()
        && changes.audit.is_empty()
}

async fn put_enrollments(
    session: &Session,
    keys: &Keys,
    changed: &[(&Account, Option<&Enrollment>)],
) -> Result<(), Trouble> {
    let gone = changed.iter().filter(|(_, enrollment)| enrollment.is_none());
    let gone = gone.map(|(account, _)| account.as_str()).collect::<Vec<_>>();
    if !gone.is_empty() {
        let delete = "DELETE FROM otpd.enrollment WHERE account = ANY($1)";
        session.execute(delete, &[(&gone, TEXTS)]).await?;
    }
    let mut rows = Vec::new();
    for (account, enrollment) in changed {
        if let Some(enrollment) = enrollment {
            rows.push((account.as_str(), Enrolled::of(keys, account, enrollment)?));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let names = rows.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let numbers = rows.iter().map(|(_, row)| row.number.as_slice()).collect::<Vec<_>>();
    let indexes = rows.iter().map(|(_, row)| row.index.as_slice()).collect::<Vec<_>>();
    let details = rows.iter().map(|(_, row)| row.details.as_slice()).collect::<Vec<_>>();
    let upsert = "INSERT INTO otpd.enrollment (account, key_id, number, number_index, details)
                  SELECT account, $2, number, number_index, details
                  FROM unnest($1, $3, $4, $5) AS new (account, number, number_index, details)
                  ON CONFLICT (account) DO UPDATE SET key_id = excluded.key_id,
                    number = excluded.number, number_index = excluded.number_index,
                    details = excluded.details";
    let values: [Parameter<'_>; 5] = [
        (&names, TEXTS),
        (&i64::from(keys.id), Type::INT8),
        (&numbers, BYTES),
        (&indexes, BYTES),
        (&details, BYTES),
    ];
    session.execute(upsert, &values).await.map(drop)
}

async fn put_logins(
    session: &Session,
    keys: &Keys,
    changed: &[(&Account, &Slot<LoginState>)],
    locked: &Locked,
) -> Result<(), Trouble> {
    let empty = LoginState::default();
    let mut gone = locked.made_accounts.iter().map(String::as_str).collect::<BTreeSet<_>>();
    let (mut names, mut states) = (Vec::new(), Vec::new());
    for (account, login) in changed {
        // No row reads as an empty state.
        if login.now == empty {
            gone.insert(account.as_str());
        } else {
            gone.remove(account.as_str());
            names.push(account.as_str());
            states.push(format::encode(&given::without(&login.now))?);
        }
    }
    if names.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let gone = gone.into_iter().collect::<Vec<_>>();
    let values: [Parameter<'_>; 4] =
        [(&names, TEXTS), (&i64::from(keys.id), Type::INT8), (&states, BYTES), (&gone, TEXTS)];
    let written = session.one("SELECT otpd.put_logins($1, $2, $3, $4)", &values).await?;
    expect(written.try_get::<_, i64>(0)?, names.len())
}

async fn put_numbers(
    session: &Session,
    keys: &Keys,
    changes: &Changes<'_>,
    locked: &Locked,
) -> Result<(), Trouble> {
    let mut gone = locked.made_numbers.iter().map(Vec::as_slice).collect::<BTreeSet<_>>();
    let (mut names, mut states, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for (key, budget) in &changes.budgets {
        names.push(format::budget_key(*key).1);
        states.push(format::encode(budget)?);
        idle.push(budget.idle_at().0);
    }
    let names = names.iter().map(<[u8; 16]>::as_slice).collect::<Vec<_>>();
    for name in &names {
        gone.remove(name);
    }
    if names.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let gone = gone.into_iter().collect::<Vec<_>>();
    let values: [Parameter<'_>; 5] = [
        (&names, BYTES),
        (&i64::from(keys.id), Type::INT8),
        (&states, BYTES),
        (&idle, NUMBERS),
        (&gone, BYTES),
    ];
    let written = session.one("SELECT otpd.put_numbers($1, $2, $3, $4, $5)", &values).await?;
    expect(written.try_get::<_, i64>(0)?, names.len())
}

async fn put_challenges(session: &Session, changes: &Changes<'_>) -> Result<(), Trouble> {
    if changes.gone.is_empty() && changes.born.is_empty() {
        return Ok(());
    }
    let gone = changes.gone.iter().map(|token| token.0.as_slice()).collect::<Vec<_>>();
    let born = changes.born.iter().map(|(token, _)| token.0.as_slice()).collect::<Vec<_>>();
    let names = changes.born.iter().map(|(_, account)| account.as_str()).collect::<Vec<_>>();
    let values: [Parameter<'_>; 3] = [(&gone, BYTES), (&born, BYTES), (&names, TEXTS)];
    session.execute("SELECT otpd.put_challenges($1, $2, $3)", &values).await.map(drop)
}

/// Adds what changed to one share of each row, whatever others have added meanwhile.
pub(super) async fn put_traffic(
    session: &Session,
    keys: &Keys,
    share: i16,
    now: Timestamp,
    changed: &[(TrafficKey, &Slot<Traffic>)],
    locked: &Locked,
) -> Result<(), Trouble> {
    let more = changed
        .iter()
        .map(|(key, slot)| (format::traffic_key(*key), Share::between(&slot.read, &slot.now)));
    let more = more.filter(|(_, more)| *more != Share::default());
    // By the table's order, in which all lock them: what is there, and what is to be added.
    let mut left = more
        .map(|(key, more)| (key, (locked.shares.get(&(key, share)).cloned(), more)))
        .collect::<BTreeMap<CountedKey, (Option<Vec<u8>>, Share)>>();
    for _ in 0..ATTEMPTS {
        if left.is_empty() {
            return Ok(());
        }
        let kinds = left.keys().map(|(kind, _)| *kind).collect::<Vec<_>>();
        let names = left.keys().map(|(_, key)| key.as_slice()).collect::<Vec<_>>();
        let (mut before, mut states, mut idle) = (Vec::new(), Vec::new(), Vec::new());
        for (stored, more) in left.values() {
            let sum = stored.as_deref().map(format::decode::<Share>).transpose()?;
            let mut sum = sum.unwrap_or_default();
            sum.settle(now);
            sum.add(more);
            before.push(stored.as_deref());
            states.push(format::encode(&sum)?);
            idle.push(sum.idle_at().0);
        }
        let values: [Parameter<'_>; 7] = [
            (&share, Type::INT2),
            (&i64::from(keys.id), Type::INT8),
            (&kinds, Type::INT2_ARRAY),
            (&names, BYTES),
            (&before, BYTES),
            (&states, BYTES),
            (&idle, NUMBERS),
        ];
        let put = "SELECT * FROM otpd.put_shares($1, $2, $3, $4, $5, $6, $7)";
        // Another host was there, or upkeep, since they were read.
        let mut others = BTreeMap::new();
        for row in session.query(put, &values).await? {
            others.insert(rows::counted_key(&row)?, row.try_get::<_, Option<Vec<u8>>>(2)?);
        }
        left.retain(|key, (stored, _)| others.remove(key).map(|found| *stored = found).is_some());
    }
    if left.is_empty() { Ok(()) } else { Err(Trouble::Overtaken) }
}

/// Counts enrollments that are new, or gone.
pub(super) async fn put_enrolled(session: &Session, share: i16, more: i64) -> Result<(), Trouble> {
    if more == 0 {
        return Ok(());
    }
    let add = "INSERT INTO otpd.enrolled (share, count) VALUES ($1, $2)
               ON CONFLICT (share) DO UPDATE SET count = enrolled.count + excluded.count";
    session.execute(add, &[(&share, Type::INT2), (&more, Type::INT8)]).await.map(drop)
}

/// What is locked is there: an update that misses a row must not be committed.
pub(super) fn expect<N>(touched: N, rows: usize) -> Result<(), Trouble>
where
    usize: TryFrom<N>,
{
    if usize::try_from(touched).is_ok_and(|touched| touched == rows) {
        Ok(())
    } else {
        Err(Trouble::Nonsense("a locked row is gone"))
    }
}
