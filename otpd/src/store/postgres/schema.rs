//! The schema: brought up to date by whichever daemon comes first, and checked to belong to the key.

use tokio_postgres::types::Type;

use super::{
    ATTEMPTS, audit,
    session::{Purpose, Session, Uncommitted},
    trouble::Trouble,
};
use crate::{
    failpoint::{self, Point},
    keys::Keys,
};

mod embedded {
    refinery::embed_migrations!("src/store/postgres/migrations");
}

/// The last migration.
pub(super) const SCHEMA: i32 = 1;

/// Under this name is kept what the key is known by.
pub(super) const KEY_CHECK: &str = "key-check";
/// Under this one the code keys from before, encrypted.
pub(super) const RETIRED: &str = "retired-keys";

/// What was found where a schema is needed.
#[derive(Debug)]
pub(super) enum Unfit {
    Trouble(Trouble),
    /// A later version has brought it further, up to this.
    Newer(i32),
    /// An older otpd made it, this one, and its hosts could not use it any more.
    Older(i32),
    /// It belongs to another key.
    WrongKey,
    /// It belongs to none yet, and there is none at hand.
    NoKey,
    /// It is not there yet, or that of an older otpd, and this role may not change that.
    NotOwner(Option<i32>),
    /// It came from another server, and this role may not have the trail go on here.
    Moved,
}

impl<T: Into<Trouble>> From<T> for Unfit {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

impl From<Uncommitted> for Unfit {
    fn from(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::Refused(trouble) | Uncommitted::Unknown(trouble) => Self::Trouble(trouble),
        }
    }
}

/// The last migration that the database has seen; `None` when it is a new one. Within a transaction.
pub(super) async fn version(session: &Session) -> Result<Option<i32>, Trouble> {
    let there = "SELECT to_regclass('otpd.refinery_schema_history') IS NOT NULL";
    if !session.one(there, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let last = "SELECT max(version) FROM otpd.refinery_schema_history";
    Ok(session.one(last, &[]).await?.try_get(0)?)
}

/// What is kept under a name.
pub(super) async fn meta(session: &Session, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let select = "SELECT value FROM otpd.meta WHERE name = $1";
    let row = session.query(select, &[(&name, Type::TEXT)]).await?.into_iter().next();
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Keeps something under a name.
pub(super) async fn put_meta(session: &Session, name: &str, value: &[u8]) -> Result<(), Trouble> {
    let put = "INSERT INTO otpd.meta (name, value) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session.execute(put, &[(&name, Type::TEXT), (&value, Type::BYTEA)]).await.map(drop)
}

/// The name of the database that this is; `None` when it is a new one.
pub(super) async fn name(session: &mut Session) -> Result<Option<String>, Trouble> {
    session.begin(Purpose::Greet).await?;
    let there = version(session).await?.is_some();
    session.rollback().await?;
    if !there {
        return Ok(None);
    }
    session.begin(Purpose::Read).await?;
    let name = session.identity().map(|identity| identity.database.clone());
    session.rollback().await?;
    Ok(name)
}

/// Whether this otpd can use the database, which may be a new one; changes nothing. What its key is
/// known by, if it holds something that needs one.
pub(super) async fn look(session: &mut Session) -> Result<Option<Vec<u8>>, Unfit> {
    session.begin(Purpose::Greet).await?;
    let check = match version(session).await? {
        Some(found) if found > SCHEMA => return Err(Unfit::Newer(found)),
        Some(_) => meta(session, KEY_CHECK).await?,
        None => None,
    };
    session.rollback().await?;
    Ok(check)
}

/// As [`look`], and whether a daemon can start with this role without changing what other hosts work with.
pub(super) async fn examine(session: &mut Session) -> Result<Option<Vec<u8>>, Unfit> {
    session.begin(Purpose::Greet).await?;
    let found = version(session).await?;
    let may_make = match found {
        Some(_) => true,
        None => session.one(MAY_MAKE, &[]).await?.try_get(0)?,
    };
    session.rollback().await?;
    match found {
        Some(found) if found < SCHEMA => Err(Unfit::Older(found)),
        None if !may_make => Err(Unfit::NotOwner(None)),
        Some(_) | None => look(session).await,
    }
}

/// Whether this role may make a schema where there is none yet, or its tables in one that is empty.
const MAY_MAKE: &str = "SELECT CASE WHEN to_regnamespace('otpd') IS NULL
  THEN has_database_privilege(current_database(), 'CREATE')
  ELSE has_schema_privilege('otpd', 'CREATE') END";

/// Brings the schema up to date and checks that it belongs to `keys`, where they are at hand: all of it
/// or nothing. Daemons that start at once wait for each other.
pub(super) async fn prepare(session: &mut Session, keys: Option<&Keys>) -> Result<(), Unfit> {
    for _ in 1..ATTEMPTS {
        match prepare_once(session, keys).await {
            // Of two that make the schema one waits, and is told that it is there.
            Err(Unfit::Trouble(trouble)) if trouble.is_there_already() => {
                session.rollback().await?;
            }
            done => return done,
        }
    }
    prepare_once(session, keys).await
}

async fn prepare_once(session: &mut Session, keys: Option<&Keys>) -> Result<(), Unfit> {
    session.begin(Purpose::Migrate).await?;
    let found = version(session).await?;
    match found {
        Some(SCHEMA) => {}
        Some(found) if found > SCHEMA => return Err(Unfit::Newer(found)),
        found => match bring_up(session, found).await {
            Err(Unfit::Trouble(trouble)) if trouble.is_forbidden() => {
                return Err(Unfit::NotOwner(found));
            }
            done => done?,
        },
    }
    match (meta(session, KEY_CHECK).await?, keys) {
        (Some(check), Some(keys)) if check != keys.check => return Err(Unfit::WrongKey),
        (Some(_), _) => {}
        (None, Some(keys)) => put_meta(session, KEY_CHECK, &keys.check).await?,
        (None, None) => return Err(Unfit::NoKey),
    }
    match audit::settle_base(session).await {
        Err(trouble) if trouble.is_forbidden() => return Err(Unfit::Moved),
        settled => settled?,
    }
    // A daemon that finds everything in order writes nothing.
    let wrote = session.one("SELECT pg_current_xact_id_if_assigned() IS NOT NULL", &[]).await?;
    if wrote.try_get(0)? {
        failpoint::reach(Point::Written);
        session.commit().await?;
        failpoint::reach(Point::Committed);
    } else {
        session.rollback().await?;
    }
    Ok(())
}

/// Makes the schema, or brings it further, as its owner. What another host did meanwhile stays.
async fn bring_up(session: &Session, found: Option<i32>) -> Result<(), Unfit> {
    become_owner(session).await?;
    if found.is_none() {
        migrate(session, None).await?;
    } else {
        // Of those that bring it further, each sees what the one before has done; and nobody decides
        // meanwhile.
        let lock = "LOCK TABLE otpd.refinery_schema_history IN EXCLUSIVE MODE";
        session.simple(lock).await?;
        match version(session).await? {
            Some(SCHEMA) => return Ok(()),
            Some(found) if found > SCHEMA => return Err(Unfit::Newer(found)),
            found => {
                session.simple("LOCK TABLE otpd.audit IN EXCLUSIVE MODE").await?;
                migrate(session, found).await?;
            }
        }
    }
    session.simple("SELECT otpd.grant_rights()").await?;
    Ok(())
}

/// Has what is made belong to the schema's owner, whichever of its members makes it: another of them
/// may have to change it.
async fn become_owner(session: &Session) -> Result<(), Trouble> {
    let owner = "SELECT quote_ident(rolname) FROM pg_namespace JOIN pg_roles ON pg_roles.oid = nspowner
                 WHERE nspname = 'otpd' AND rolname <> current_user AND pg_has_role(nspowner, 'MEMBER')";
    if let Some(row) = session.query(owner, &[]).await?.first() {
        let owner = row.try_get::<_, &str>(0)?;
        session.simple(&format!("SET LOCAL ROLE {owner}")).await?;
    }
    Ok(())
}

/// Gives the roles of several hosts their rights again, as the owner of the schema.
pub(super) async fn grant(session: &mut Session) -> Result<(), Unfit> {
    session.begin(Purpose::Migrate).await?;
    become_owner(session).await?;
    session.simple("SELECT otpd.grant_rights()").await?;
    // It may have changed nothing, and then there is nothing that a commit could tell.
    session.simple("COMMIT").await?;
    Ok(())
}

/// Whether this role may do what administrators do, besides logging people in.
pub(super) async fn administers(session: &Session) -> Result<bool, Trouble> {
    let may = "SELECT has_table_privilege('otpd.enrollment', 'INSERT')
                      AND has_table_privilege('otpd.audit', 'DELETE')";
    Ok(session.one(may, &[]).await?.try_get(0)?)
}

async fn migrate(session: &Session, from: Option<i32>) -> Result<(), Trouble> {
    if from.is_none() {
        // A role that owns the schema alone may not even ask for one.
        let there = "SELECT to_regnamespace('otpd') IS NOT NULL";
        if !session.one(there, &[]).await?.try_get::<_, bool>(0)? {
            session.simple("CREATE SCHEMA otpd").await?;
        }
        // Its form is that of the library that reads the files.
        session
            .simple(
                "CREATE TABLE otpd.refinery_schema_history (
                   version int PRIMARY KEY, name text, applied_on text, checksum text)",
            )
            .await?;
    }
    let runner = embedded::migrations::runner();
    let mut all = runner.get_migrations().iter().collect::<Vec<_>>();
    all.sort();
    for migration in all {
        if from.is_some_and(|from| migration.version() <= from) {
            continue;
        }
        session.simple(migration.sql().unwrap_or_default()).await?;
        let (name, checksum) = (migration.name(), migration.checksum().to_string());
        let insert =
            "INSERT INTO otpd.refinery_schema_history (version, name, applied_on, checksum)
                      VALUES ($1, $2, clock_timestamp()::text, $3)";
        let values: [super::session::Parameter<'_>; 3] =
            [(&migration.version(), Type::INT4), (&name, Type::TEXT), (&checksum, Type::TEXT)];
        session.execute(insert, &values).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};
    use crate::keys::MasterKey;

    #[tokio::test]
    async fn whoever_waited_while_another_brought_it_further_sees_how_far() {
        let server = crate::postgres_server::Server::start();
        let keys = MasterKey::from_bytes([1; 32]).derive();
        let engine = testing::open(&server, keys, 1).expect("a database");
        let mut session = engine.connector.connect().await.expect("a server");
        for version in [SCHEMA, SCHEMA + 1] {
            let update = format!("UPDATE otpd.refinery_schema_history SET version = {version}");
            server.execute("otpd", &update);
            session.begin(Purpose::Migrate).await.expect("a transaction");
            let done = bring_up(&session, Some(SCHEMA - 1)).await;
            session.rollback().await.expect("its end");
            let expected = if version == SCHEMA {
                done.is_ok()
            } else {
                matches!(done, Err(Unfit::Newer(found)) if found == version)
            };
            assert!(expected, "{version}: {done:?}");
        }
    }
}
