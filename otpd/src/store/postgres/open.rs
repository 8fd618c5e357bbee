//! Opening a database: reached, brought up to date, and checked to belong to the key.
//!
//! It is done on a thread of its own with connections of its own, for the one that decides is made
//! where it is used, and made anew whenever it is lost.

use std::{io, path::PathBuf, time::Duration};

use tracing::{info, warn};

use super::{
    Postgres, PostgresSettings,
    connect::Connector,
    memory::Memory,
    rows,
    schema::{self, RETIRED, SCHEMA, Unfit},
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
        /// It may come back by itself.
        away: bool,
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
    /// An older otpd brought its schema to where it is, and would not understand it any further.
    #[error(
        "{place}: hosts with an older otpd share it (its schema is {found}, this otpd makes it {SCHEMA}, and \
         theirs would refuse every login then); install this version on all of them, then: systemctl \
         restart otpd on each, after otpd --migrate OWNER where hosts have roles of their own"
    )]
    Older {
        /// Which.
        place: String,
        /// The last migration that it has seen.
        found: i32,
    },
    /// It was made with another master key.
    #[error(
        "{place}: made with another master key (the key at hand is {found:08x}); every host of the \
         database needs the same one: copy the key file that belongs to it; a rotation \
         puts the one before beside it, as otpd.key.old"
    )]
    WrongKey {
        /// Which.
        place: String,
        /// The id of the key at hand.
        found: u32,
    },
    /// It is a new one, and there is no key that it could be made for.
    #[error("{place}: it is new, and there is no key at hand that it could be made for")]
    NoKey {
        /// Which.
        place: String,
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

impl PostgresError {
    /// Whether no server that takes changes can be reached, which may end by itself.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Server { away, .. } => *away,
            Self::Unusable(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::WrongKey { .. }
            | Self::NoKey { .. }
            | Self::NotOwner { .. }
            | Self::Moved { .. }
            | Self::Thread(_) => false,
        }
    }
}

/// This machine, among others that share a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// It alone, whatever it is called.
    pub host: Host,
    /// Its name in the audit trail.
    pub name: String,
    /// Where it keeps what it must know after a restart, if there is such a place.
    pub state: Option<PathBuf>,
}

fn unfit(settings: &PostgresSettings, keys: Option<&Keys>, unfit: Unfit) -> PostgresError {
    let (place, role) = (settings.to_string(), settings.user.clone());
    match unfit {
        Unfit::Trouble(trouble) => {
            let (reason, remedy) = (trouble.to_string(), trouble.remedy());
            let away = trouble.is_away();
            PostgresError::Server { place, reason, remedy, away }
        }
        Unfit::Newer(found) => PostgresError::Newer { place, found },
        Unfit::Older(found) => PostgresError::Older { place, found },
        Unfit::NotOwner(found) => {
            let found = found.map_or_else(
                || "it has no schema of otpd yet".to_owned(),
                |found| format!("its schema is that of an older otpd ({found})"),
            );
            PostgresError::NotOwner { place, found, role }
        }
        Unfit::Moved => PostgresError::Moved { place, role },
        Unfit::NoKey => PostgresError::NoKey { place },
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

/// What the key of the database is known by, if it holds anything that needs one: then a new key must
/// not be made.
///
/// # Errors
/// [`PostgresError`].
pub fn key_check(settings: &PostgresSettings) -> Result<Option<Vec<u8>>, PostgresError> {
    let connector = Connector::new(settings.clone()).map_err(PostgresError::Unusable)?;
    with_session(&connector, None, schema::look)
}

/// As [`key_check`], for a start that is only thought of: one that could not be, or that other hosts
/// would not outlive, is an error.
///
/// # Errors
/// [`PostgresError`].
pub fn examine(settings: &PostgresSettings) -> Result<Option<Vec<u8>>, PostgresError> {
    let connector = Connector::new(settings.clone()).map_err(PostgresError::Unusable)?;
    with_session(&connector, None, schema::examine)
}

/// Makes the schema of a database or brings it up to date, and gives the roles of the hosts their
/// rights. A new one is made for `keys`; one that has its key already can do without them.
///
/// # Errors
/// [`PostgresError`]; nothing is changed then.
pub fn migrate(settings: &PostgresSettings, keys: Option<&Keys>) -> Result<(), PostgresError> {
    let connector = Connector::new(settings.clone()).map_err(PostgresError::Unusable)?;
    with_session(&connector, keys, async |session| {
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
        let memory = Memory::new(site.state.as_deref());
        let connector =
            Connector::with_memory(settings, memory).map_err(PostgresError::Unusable)?;
        let found = with_session(&connector, Some(&keys), async |session| {
            // Before anything is written there.
            if let Some(database) = schema::name(session).await? {
                connector.recall(&database, session)?;
            }
            schema::prepare(session, Some(&keys)).await?;
            session.begin(Purpose::Read).await?;
            connector.settle_on(session);
            let times = times(session, &site).await?;
            let retired = schema::meta(session, RETIRED).await?;
            let administers = schema::administers(session).await?;
            session.rollback().await?;
            Ok((times, retired, administers))
        })?;
        let (times, retired, administers) = found;
        if !administers {
            info!(role = connector.settings().user, "the role of this host may only log people in");
        }
        let keys = match retired {
            Some(sealed) => keys.with_retired(&sealed).map_err(|_| {
                PostgresError::Unusable("the keys from before are damaged: otpctl restore".into())
            })?,
            None => keys,
        };
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

/// When the clocks of this host last agreed, and the database's time.
async fn times(session: &Session, site: &Site) -> Result<(Option<Agreement>, Timestamp), Trouble> {
    let mut agreement = None;
    let mut newest = Timestamp::default();
    let select = "SELECT name, value FROM otpd.meta WHERE starts_with(name, 'clock ')";
    for row in session.query(select, &[]).await? {
        let name = row.try_get::<_, &str>(0)?;
        // What one host has written must not keep the others from their start.
        match format::decode::<Agreement>(row.try_get(1)?) {
            Ok(kept) => {
                newest = newest.max(kept.wall);
                if name == site.clock() {
                    agreement = Some(kept);
                }
            }
            Err(error) => warn!(name, %error, "when a host's clocks agreed cannot be read"),
        }
    }
    // What another host knows to have been, has been: a host that is new here doubts a clock that is
    // far behind that.
    let agreement = agreement.or_else(|| {
        let known = newest > Timestamp::default();
        known.then_some(Agreement { wall: newest, uptime: Duration::ZERO, boot: None })
    });
    let (_, now) = rows::enrolled_and_now(session).await?;
    Ok((agreement, now))
}

impl Site {
    /// The name under which it is kept when the clocks of this host agreed.
    pub(super) fn clock(&self) -> String {
        format!("clock {}", crate::hex::write(self.host.0))
    }
}
