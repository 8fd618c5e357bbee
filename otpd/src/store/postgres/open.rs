//! Opening a database: reached, brought up to date, and checked to belong to the key.
//!
//! It is done on a thread of its own with connections of its own, for the one that decides is made
//! where it is used, and made anew whenever it is lost.

use std::{io, time::Duration};

use tokio_postgres::types::Type;
use tracing::info;

use super::{
    Postgres, PostgresSettings,
    connect::Connector,
    rows,
    schema::{self, SCHEMA, Unfit},
    session::{Purpose, Session},
    trouble::Trouble,
};
use crate::{
    clock::Agreement,
    domain::{challenge::Host, time::Timestamp},
    keys::Keys,
    store::{Shortage, format},
};

/// How long all of it may take, an upgrade of a large database included.
const LONGEST: Duration = Duration::from_mins(15);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server cannot be reached, or does not do what it is asked.
    #[error("{place}: {reason}; {remedy}")]
    Server {
        /// Which.
        place: String,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// What is needed for it is not there.
    #[error("{0}")]
    Unusable(String),
    /// A later version has brought its schema further.
    #[error(
        "{place}: a newer otpd has used it (its schema is {found}, this otpd knows {SCHEMA}); install \
         the version that the other hosts have, or restore a backup from before into a new database"
    )]
    Newer {
        /// Which.
        place: String,
        /// The last migration that it has seen.
        found: i32,
    },
    /// It was made with another master key.
    #[error(
        "{place}: made with another master key (the key at hand is {found:08x}); every host of the \
         database needs the same one: copy the key file that belongs to it"
    )]
    WrongKey {
        /// Which.
        place: String,
        /// The id of the key at hand.
        found: u32,
    },
    /// Its schema is not there yet, or that of an older otpd, and the role may not change that.
    #[error(
        "{place}: {found}, and the role {role} may not change that; let the role own the database or \
         its schema otpd, or run at a host of administrators: otpd --migrate OWNER"
    )]
    NotOwner {
        /// Which.
        place: String,
        /// What there is.
        found: String,
        /// The role.
        role: String,
    },
    /// It was restored from another server's, and the role may not have its trail go on.
    #[error(
        "{place}: it came from another server, and the role {role} may not set its trail to go on \
         here; start otpd at a host of administrators first"
    )]
    Moved {
        /// Which.
        place: String,
        /// The role.
        role: String,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// This machine, among others that share a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// It alone, whatever it is called.
    pub host: Host,
    /// Its name in the audit trail.
    pub name: String,
}

fn unfit(settings: &PostgresSettings, keys: Option<&Keys>, unfit: Unfit) -> PostgresError {
    let (place, role) = (settings.to_string(), settings.user.clone());
    match unfit {
        Unfit::Trouble(trouble) => {
            let (reason, remedy) = (trouble.to_string(), trouble.remedy());
            PostgresError::Server { place, reason, remedy }
        }
        Unfit::Newer(found) => PostgresError::Newer { place, found },
        Unfit::NotOwner(found) => {
            let found = found.map_or_else(
                || "it has no schema of otpd yet".to_owned(),
                |found| format!("its schema is that of an older otpd ({found})"),
            );
            PostgresError::NotOwner { place, found, role }
        }
        Unfit::Moved => PostgresError::Moved { place, role },
        Unfit::WrongKey => PostgresError::WrongKey { place, found: keys.map_or(0, |keys| keys.id) },
    }
}

/// Does something with a connection of its own, and waits for it, inside a runtime or outside.
fn with_session<T: Send>(
    connector: &Connector,
    keys: Option<&Keys>,
    act: impl AsyncFnOnce(&mut Session) -> Result<T, Unfit> + Send,
) -> Result<T, PostgresError> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = async {
            let mut session = connector.connect().await?;
            act(&mut session).await
        };
        let runtime = runtime.map_err(PostgresError::Thread)?;
        let done = runtime.block_on(async {
            tokio::time::timeout(LONGEST, done)
                .await
                .unwrap_or_else(|_| Err(Trouble::Late(LONGEST).into()))
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        done.map_err(|error| unfit(connector.settings(), keys, error))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("postgres".to_owned());
        let thread = thread.spawn_scoped(scope, work).map_err(PostgresError::Thread)?;
        let ended = "the thread that opens the database has panicked".to_owned();
        thread.join().unwrap_or(Err(PostgresError::Unusable(ended)))
    })
}

/// Whether the database holds anything that needs its key: then a new key must not be made.
///
/// # Errors
/// [`PostgresError`].
pub fn is_in_use(settings: &PostgresSettings) -> Result<bool, PostgresError> {
    let connector = Connector::new(settings.clone()).map_err(PostgresError::Unusable)?;
    with_session(&connector, None, schema::look)
}

/// Looks whether the server answers, lets this host in and has a schema that this otpd knows, or none
/// yet. Changes nothing.
///
/// # Errors
/// [`PostgresError`].
pub fn examine(settings: &PostgresSettings) -> Result<(), PostgresError> {
    is_in_use(settings).map(drop)
}

/// Makes the schema of a database or brings it up to date, and gives the roles of the hosts their
/// rights.
///
/// # Errors
/// [`PostgresError`]; nothing is changed then.
pub fn migrate(settings: &PostgresSettings, keys: &Keys) -> Result<(), PostgresError> {
    let connector = Connector::new(settings.clone()).map_err(PostgresError::Unusable)?;
    with_session(&connector, Some(keys), async |session| {
        schema::prepare(session, keys).await?;
        match schema::grant(session).await {
            Err(Unfit::Trouble(trouble)) if trouble.is_forbidden() => {
                Err(Unfit::NotOwner(Some(SCHEMA)))
            }
            done => done,
        }
    })
}

impl Postgres {
    /// Reaches the database, brings its schema up to date, and checks that `keys` belong to it.
    ///
    /// # Errors
    /// [`PostgresError`]; nothing is changed in a database of another key or of a newer otpd.
    pub fn open(settings: PostgresSettings, keys: Keys, site: Site) -> Result<Self, PostgresError> {
        let connector = Connector::new(settings).map_err(PostgresError::Unusable)?;
        let (times, administers) = with_session(&connector, Some(&keys), async |session| {
            schema::prepare(session, &keys).await?;
            Ok(found(session, &site).await?)
        })?;
        if !administers {
            info!(role = connector.settings().user, "the role of this host may only log people in");
        }
        Ok(Self {
            connector,
            keys,
            site,
            times,
            administers,
            idle: None,
            open: None,
            rest: None,
            shortage: Shortage::default(),
            again: false,
            away: false,
        })
    }
}

/// When the clocks of this host last agreed, and the database's time; whether it is one of
/// administrators.
async fn found(
    session: &mut Session,
    site: &Site,
) -> Result<((Option<Agreement>, Timestamp), bool), Trouble> {
    session.begin(Purpose::Read).await?;
    let select = "SELECT value FROM otpd.meta WHERE name = $1";
    let found = session.query(select, &[(&site.clock(), Type::TEXT)]).await?;
    let agreement = match found.first() {
        Some(row) => Some(format::decode(row.try_get(0)?)?),
        None => None,
    };
    let (_, now) = rows::enrolled_and_now(session).await?;
    let administers = schema::administers(session).await?;
    session.rollback().await?;
    Ok(((agreement, now), administers))
}

impl Site {
    /// The name under which it is kept when the clocks of this host agreed.
    pub(super) fn clock(&self) -> String {
        format!("clock {}", crate::hex::write(self.host.0))
    }
}
