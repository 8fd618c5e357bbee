//! The engine for many hosts: PostgreSQL, whose rows are locked by whoever decides on them.
//!
//! A connection serves decisions, one transaction after another; nothing is remembered from one to the
//! next, for another host may have changed it. A connection whose transaction ended in doubt is never
//! used again.

mod audit;
mod connect;
mod discard;
mod given;
mod hosts;
mod lock;
mod memory;
mod open;
mod read;
mod rotate;
mod rows;
mod schema;
mod sent;
mod session;
mod settings;
mod snapshot;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod trouble;
mod upkeep;
mod watch;
mod write;

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::Type;
use tracing::{debug, error, info};

pub use open::{PostgresError, Site, examine, key_check, migrate};
pub(super) use read::Reads;
pub use settings::{DEFAULT_PORT, Password, PostgresSettings, Server};

use self::{
    connect::Connector,
    lock::{Locked, Wanted},
    session::{Purpose, Session, Uncommitted},
    trouble::Trouble,
    write::Written,
};
use super::{Chore, Engine, Rekeyed, Scope, Shortage, StoreError, Working};
use crate::{
    clock::Agreement,
    domain::time::Timestamp,
    failpoint::{self, Point},
    keys::Keys,
};

/// How long nobody tries to reach a server that could not be reached; it doubles up to [`LONGEST_REST`].
const REST: Duration = Duration::from_millis(100);
/// The longest such pause: so long after its return a server is used again.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// How long it may take to lock and read what a batch needs, a new connection included. With what
/// follows it is less than anybody waits for a commit.
const READ: Duration = Duration::from_secs(10);
/// How long it may take to write what changed.
const WRITE: Duration = Duration::from_secs(6);
/// Times that rows are made and locked which another host deletes meanwhile.
const ATTEMPTS: u32 = 3;

/// The PostgreSQL engine.
pub struct Postgres {
    connector: Connector,
    keys: Keys,
    site: Site,
    /// As the database was opened: when the clocks last agreed, and the database's time.
    times: (Option<Agreement>, Timestamp),
    /// Whether its role may do more than log people in, as the database was opened.
    administers: bool,
    /// A connection with nothing under way.
    idle: Option<Session>,
    /// One with a transaction.
    open: Option<Open>,
    /// The pause after an attempt to connect that failed.
    rest: Option<Rest>,
    shortage: Shortage,
    /// What failed last may succeed at once.
    again: bool,
    /// It could not be reached, and that was said.
    away: bool,
}

/// A time in which no attempt to connect is made.
struct Rest {
    until: Instant,
    length: Duration,
    /// What stood in the way.
    cause: Arc<Trouble>,
}

/// A transaction that has rows locked.
struct Open {
    session: Session,
    locked: Locked,
}

impl Postgres {
    /// When the clocks last agreed on this host, as an earlier run wrote it down, and the database's
    /// time as it was opened.
    #[must_use]
    pub fn times(&self) -> (Option<Agreement>, Timestamp) {
        self.times.clone()
    }

    /// The keys, with those from before that the database has kept.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A way for reads beside this one; what one of both learns about servers, the other knows.
    pub(super) fn reads(&self) -> Result<Reads, PostgresError> {
        Reads::start(self.connector.clone(), self.keys.clone(), self.site.clone())
    }

    /// A connection with nothing under way on it.
    async fn session(&mut self) -> Result<Session, Trouble> {
        if let Some(session) = self.idle.take() {
            return Ok(session);
        }
        if let Some(rest) = &self.rest
            && Instant::now() < rest.until
        {
            return Err(Trouble::Resting(rest.cause.clone()));
        }
        match self.connector.connect().await {
            Ok(session) => {
                self.rest = None;
                if std::mem::take(&mut self.away) {
                    info!("the database is back");
                }
                Ok(session)
            }
            Err(trouble) => {
                let cause = Arc::new(trouble);
                let before = self.rest.as_ref().map(|rest| rest.length);
                self.pause(rest_after(before), cause.clone());
                Err(Trouble::NoEntry(cause))
            }
        }
    }

    fn pause(&mut self, length: Duration, cause: Arc<Trouble>) {
        self.rest = Some(Rest { until: Instant::now() + length, length, cause });
        self.away = true;
    }

    async fn begun(&mut self) -> Result<Session, Trouble> {
        let mut session = self.session().await?;
        session.begin(Purpose::Decide).await?;
        self.connector.accept(&session)?;
        Ok(session)
    }

    async fn read(&mut self, scopes: &[Scope]) -> Result<Working, Trouble> {
        let wanted = Wanted::of(scopes);
        for _ in 0..ATTEMPTS {
            let mut session = self.session().await?;
            session.set_out(Purpose::Decide);
            // Asked at once. Whether it has begun counts first, and what was locked elsewhere nothing.
            let begun = session.ask_to_begin(Purpose::Decide);
            let locked = async { Ok(wanted.lock(&session, &self.keys).await) };
            let (begun, locked) = try_join(begun, locked).await?;
            session.has_begun(Purpose::Decide, &begun)?;
            self.connector.accept(&session)?;
            let read = match locked {
                Ok(rows) => wanted.read(&session, &self.keys, &rows).await,
                Err(trouble) => Err(trouble),
            };
            match read {
                Ok((working, locked)) => {
                    self.open = Some(Open { session, locked });
                    return Ok(working);
                }
                Err(Trouble::Overtaken) => {
                    // Locks are taken in one order only: from the beginning, with none held.
                    session.rollback().await?;
                    self.idle = Some(session);
                }
                Err(trouble) => {
                    // What the server says about a statement ends the transaction, not the connection.
                    if !trouble.says_goodbye() && session.rollback().await.is_ok() {
                        self.idle = Some(session);
                    }
                    return Err(trouble);
                }
            }
        }
        Err(Trouble::Overtaken)
    }

    /// Writes what changed and commits.
    async fn write_and_commit(&mut self, working: &Working) -> Result<Written, Uncommitted> {
        let Some(Open { mut session, locked }) = self.open.take() else {
            return Err(Uncommitted::Refused(Trouble::Nonsense("no transaction is open")));
        };
        let writing = write::write(&session, &self.keys, &self.site, working, &locked);
        let written = timeout(WRITE, writing).await.unwrap_or(Err(Trouble::Late(WRITE)));
        match written {
            // Nothing is new, so nothing can be lost.
            Ok(Written::Nothing) => {
                session.rollback().await.map_err(Uncommitted::Refused)?;
                self.idle = Some(session);
                Ok(Written::Nothing)
            }
            Ok(written @ (Written::All | Written::AllButAttack)) => {
                failpoint::reach(Point::Written);
                self.finish(session).await.map(|()| written)
            }
            Err(trouble) => {
                if !trouble.says_goodbye() && session.rollback().await.is_ok() {
                    self.idle = Some(session);
                }
                Err(Uncommitted::Refused(trouble))
            }
        }
    }

    /// Commits. The connection serves again, unless how it ended is in doubt.
    async fn finish(&mut self, mut session: Session) -> Result<(), Uncommitted> {
        // Another server may have been found to be the primary since this began.
        self.connector.accept(&session).map_err(Uncommitted::Refused)?;
        let ended = session.commit().await;
        match &ended {
            Ok(()) => self.idle = Some(session),
            // A transaction that had failed before is still there.
            Err(Uncommitted::Refused(trouble)) => {
                if !trouble.says_goodbye() && session.rollback().await.is_ok() {
                    self.idle = Some(session);
                }
            }
            Err(Uncommitted::Unknown(Trouble::Late(waited))) => self.give_up(&session, *waited),
            Err(Uncommitted::Unknown(_)) => {}
        }
        ended
    }

    /// Ends a commit that nobody waits for any more. It may wait for a standby that is gone, with its
    /// locks, and does not see that its client is: with one more for every try the server would soon
    /// let nobody in.
    fn give_up(&mut self, session: &Session, waited: Duration) {
        let (connector, (way, token)) = (self.connector.clone(), session.cancellation());
        tokio::spawn(async move {
            if let Err(trouble) = connector.cancel(way, token).await {
                debug!(error = %trouble, "a commit that hangs cannot be cancelled");
            }
        });
        self.pause(LONGEST_REST, Trouble::Late(waited).into());
    }

    /// Logs a failure; the caller learns only that nothing was committed.
    fn failed(&mut self, step: &'static str, trouble: &Trouble) -> StoreError {
        self.again = trouble.is_passing();
        if matches!(trouble, Trouble::Rekeyed) {
            // Whoever begins anew by it says so.
            debug!(step, "the database has gone over to other keys");
            return StoreError::Unavailable;
        }
        if let Trouble::Unread(unread) = trouble {
            return unread.refused(step);
        }
        if trouble.is_full() {
            if self.shortage.set(true) {
                let remedy = trouble.remedy();
                error!(step, error = %trouble, remedy, "the disk of the store is full");
            }
            return StoreError::Full;
        }
        if trouble.is_forbidden() {
            error!(step, error = %trouble, remedy = trouble.remedy(), "the role lacks a right");
            return StoreError::Forbidden;
        }
        // What stands in the way was said when it was met.
        if self.again || matches!(trouble, Trouble::Resting(_)) {
            debug!(step, error = %trouble, "the store failed");
        } else {
            let remedy = trouble.remedy();
            error!(step, error = %trouble, remedy, "the store failed; nothing is granted until it works");
        }
        self.away |= trouble.says_goodbye() && !self.again;
        StoreError::Unavailable
    }

    fn not_committed(&mut self, step: &'static str, uncommitted: &Uncommitted) -> StoreError {
        match uncommitted {
            Uncommitted::Refused(trouble) => self.failed(step, trouble),
            Uncommitted::Unknown(trouble) => {
                let remedy = trouble.remedy();
                error!(
                    step, error = %trouble, remedy,
                    "the store did not say whether it committed; that is a denial"
                );
                self.again = false;
                StoreError::Unknown
            }
        }
    }
}

impl Engine for Postgres {
    const REMOTE: bool = true;

    async fn load(&mut self, scopes: &[Scope]) -> Result<Working, StoreError> {
        self.again = false;
        // What it leaves behind then is closed, and its locks with it.
        let read = timeout(READ, self.read(scopes)).await.unwrap_or(Err(Trouble::Late(READ)));
        read.map_err(|trouble| self.failed("read", &trouble))
    }

    async fn commit(&mut self, working: &mut Working) -> Result<(), StoreError> {
        let committed = self.write_and_commit(working).await;
        let wrote = committed.map_err(|uncommitted| self.not_committed("commit", &uncommitted))?;
        match wrote {
            Written::Nothing => return Ok(()),
            Written::All => {}
            Written::AllButAttack => working.forget_events(write::is_attack),
        }
        if self.shortage.set(false) {
            info!("the disk of the store has room again; new logins are served");
        }
        Ok(())
    }

    async fn abort(&mut self) {
        if let Some(Open { mut session, .. }) = self.open.take()
            && session.rollback().await.is_ok()
        {
            self.idle = Some(session);
        }
    }

    fn relieve(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }

    fn administers(&self) -> bool {
        self.administers
    }

    fn shortage(&self) -> Shortage {
        self.shortage.clone()
    }

    fn rekeyed(&self) -> Rekeyed {
        self.connector.rekeyed.clone()
    }

    async fn tidy(&mut self, chore: &Chore) -> Result<u32, StoreError> {
        let done = self.carry_out(chore).await;
        done.map_err(|uncommitted| self.not_committed("upkeep", &uncommitted))
    }
}

/// How long nobody tries after another failure, where it was so long before it.
fn rest_after(before: Option<Duration>) -> Duration {
    before.map_or(REST, |before| (before * 2).min(LONGEST_REST))
}

/// A parameter that is a list of texts.
const TEXTS: Type = Type::TEXT_ARRAY;
/// A parameter that is a list of bytes.
const BYTES: Type = Type::BYTEA_ARRAY;
/// A parameter that is a list of numbers.
const NUMBERS: Type = Type::INT8_ARRAY;
