//! Where decisions are made durable: one bounded queue in front of an [`Engine`].
//!
//! A decision is a function of what is stored. The engine takes everything that waits, opens one
//! transaction, locks and reads what the decisions name, runs them one after another, each seeing
//! the one before, writes what changed, commits, and only then answers. That makes single use, tries
//! and budgets exact: no two decisions about an account ever work on the same stale row, and nobody
//! is told anything that a crash could take back.

mod damage;
mod format;
mod found;
mod hosts;
mod postgres;
mod queue;
mod reader;
mod rotation;
mod sent;
mod snapshot;
mod sqlite;
mod upkeep;
mod working;

#[cfg(test)]
mod conformance;

use std::{sync::Arc, time::Duration};

use otp_proto::admin::MEND_DAMAGED;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot, watch};

pub use damage::{Damage, LostName, Unreadable};
pub use found::{
    AuditRow, BudgetId, Counts, Idle, ListedNumber, OUT_OF_ORDER, Stale, Subscriber, Trail,
};
pub use hosts::{GatewaySeen, HostSeen, Life, Presence, Told, Twin, Use, Word};
pub use postgres::{
    DEFAULT_PORT, Password, Postgres, PostgresError, PostgresSettings, Server, Site,
    examine as examine_postgres, key_check as postgres_key_check, migrate as migrate_postgres,
};
pub use reader::Reader;
pub use rotation::{Rekeyed, Rotation};
pub use snapshot::{Imported, Piece, Snapshot, TrailRow};
pub use sqlite::{OpenError, Sqlite, examine, key_check};
pub use upkeep::{Chore, Deleted, SHORTAGE, Shortage};
pub use working::Working;

use damage::CORRUPT;

use crate::{
    clock::Clock,
    domain::{
        account::Account,
        audit::AuditEvent,
        enrollment::NumberIndex,
        passcode::ChallengeToken,
        records::{Decided, Records, TrafficKey},
        time::Timestamp,
    },
    threads,
};

/// Decisions that may wait at once; a further one is refused.
const QUEUE: usize = 1024;
/// Decisions that one transaction takes.
const BATCH: usize = 256;
/// How long a decision may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a commit may take beyond that.
const COMMIT: Duration = Duration::from_secs(25);

/// The buckets of how long transactions take.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048,
    4.096, 8.192,
];

/// What a decision reads, locks and may change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// An account, with the budget of its number.
    Account(Account),
    /// The account that a challenge belongs to.
    Challenge(ChallengeToken),
    /// An account, with the budget of a number that it shall get.
    Number {
        /// The account.
        account: Account,
        /// The number.
        number: NumberIndex,
    },
    /// An account, with what many accounts do together besides what its own number counts in.
    Traffic {
        /// The account.
        account: Account,
        /// Which of them.
        key: TrafficKey,
    },
}

/// Why a decision has no answer. What the caller can do tells the two apart, not the cause, which
/// is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Surely not committed.
    #[error("the store is unavailable; nothing was changed")]
    Unavailable,
    /// Perhaps committed: never tried again, and a denial.
    #[error("the store did not say whether the change was made")]
    Unknown,
    /// Surely not committed, and no better by trying again: a row of the account cannot be read.
    #[error("what is stored of this user is damaged, {0} cannot be read: {MEND_DAMAGED}")]
    Damaged(Damage),
    /// Surely not committed, and no better by trying again: the file of the database is damaged where it
    /// would have to be changed.
    #[error(
        "where otpctl list shows a name as damaged, otpctl remove takes that away first; else {CORRUPT}"
    )]
    Corrupt,
    /// Surely not committed, because it can wait: the disk is full.
    #[error("the disk of the store is full; nothing was changed: free space and try again")]
    Full,
    /// Surely not committed, and never will be from here.
    #[error(
        "the role by which this host uses the database may only log people in; run this at a host of \
         administrators"
    )]
    Forbidden,
    /// Surely not committed: what is decided now would not come along.
    #[error(
        "the store moves, so nobody is let in and nothing is changed: it was exported with --final, which \
         ends with the next start of otpd, or an import is not whole, which is to be run again"
    )]
    Moving,
}

/// Takes the events of a committed transaction, for the log.
pub type AuditSink = Arc<dyn Fn(&AuditEvent) + Send + Sync>;

/// What differs between databases; nothing else does.
pub trait Engine {
    /// Whether it speaks to its database over a socket, for which its thread needs more.
    const REMOTE: bool;
    /// Opens a transaction; locks and reads, in a fixed order, what the scopes name.
    fn load(
        &mut self,
        scopes: &[Scope],
    ) -> impl Future<Output = Result<Working, StoreError>> + Send;
    /// Writes what changed, appends the audit, commits; of what is committed it may keep the rows.
    fn commit(
        &mut self,
        working: &mut Working,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Gives the transaction up, if one is open.
    fn abort(&mut self) -> impl Future<Output = ()> + Send;
    /// After a transaction that failed, gives up what was kept for a full disk; true when that made
    /// room, or when what stood in the way is gone by itself, so that what surely was not committed is
    /// worth another try.
    fn relieve(&mut self) -> bool;
    /// Whether it may do what administrators do, besides logging people in.
    fn administers(&self) -> bool;
    /// Whether the disk is full.
    fn shortage(&self) -> Shortage;
    /// Whether the database went over to another key.
    fn rekeyed(&self) -> Rekeyed;
    /// Does one piece of upkeep in a transaction of its own; how many rows it was.
    fn tidy(&mut self, chore: &Chore) -> impl Future<Output = Result<u32, StoreError>> + Send;
}

/// The way to a decision; cheap to clone.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<queue::Item>,
    shortage: Shortage,
    administers: bool,
    rekeyed: Rekeyed,
    news: watch::Receiver<()>,
    timing: Histogram,
    busy: queue::Busy,
}

impl Store {
    /// Starts `engine` on a thread of its own. Its end, when the last `Store` is dropped and the
    /// queue is empty, can be waited for.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<E: Engine + Send + 'static>(
        engine: E,
        clock: Clock,
        sink: AuditSink,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        if E::REMOTE {
            runtime.enable_all();
        }
        let runtime = runtime.build()?;
        let (store, serve) = Self::over(engine, clock, sink);
        let thread = threads::spawn("store", move || runtime.block_on(serve))?;
        Ok((store, thread))
    }

    /// A queue and what serves it on a thread of the caller's choice, until every [`Store`] is gone.
    pub(crate) fn over<E: Engine + Send + 'static>(
        engine: E,
        clock: Clock,
        sink: AuditSink,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (shortage, rekeyed) = (engine.shortage(), engine.rekeyed());
        let administers = engine.administers();
        let (tell, news) = watch::channel(());
        let sink: AuditSink = Arc::new(move |event| {
            sink(event);
            tell.send_replace(());
        });
        let timing = Histogram::new(SECONDS);
        let busy = queue::Busy::default();
        let serve = queue::run(engine, clock, sink, timing.clone(), busy.clone(), receiver);
        (Self { queue: sender, shortage, administers, rekeyed, news, timing, busy }, serve)
    }

    /// An error where this host may only log people in: what an administrator wants is not begun then.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`].
    pub fn may_administer(&self) -> Result<(), StoreError> {
        if self.administers { Ok(()) } else { Err(StoreError::Forbidden) }
    }

    /// Decisions that wait or are being made.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Waits for the engine to take a decision that changes nothing. Whatever it says to that, its
    /// thread and its database come back; one that hangs says nothing, and one that puts everything under
    /// another key lives for a quarter of an hour. False when it has ended.
    pub async fn answers(&self) -> bool {
        let decide = |records: &_, _| Decided::unchanged(records, ());
        let (reply, answer) = oneshot::channel();
        let scope = Scope::Account(Account::host());
        let job = queue::Pending::new(scope, decide, reply, queue::Turn::default());
        // No patience here: how long is too long is for the one who asks to say.
        let job = queue::Item::Decide(Box::new(job));
        let answered = async { self.queue.send(job).await.is_ok() && answer.await.is_ok() };
        tokio::select! {
            answered = answered => answered,
            () = self.busy.holds() => true,
        }
    }

    /// How long transactions take, from their begin to the end of their commit, in seconds.
    #[must_use]
    pub fn commit_seconds(&self) -> Histogram {
        self.timing.clone()
    }

    /// Whether the database went over to another key, so that nothing is decided with this one.
    #[must_use]
    pub fn rekeyed(&self) -> &Rekeyed {
        &self.rekeyed
    }

    /// Changes whenever events were committed, and ends with the engine.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.clone()
    }

    /// Decides on what is stored in `scope`, and answers once it is committed.
    ///
    /// `decide` may run more than once, when a transaction that surely did not commit is run again;
    /// so it draws nothing and reads no clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn transact<A, D>(&self, scope: Scope, decide: D) -> Result<A, StoreError>
    where
        A: Send + 'static,
        D: Fn(&Records, Timestamp) -> Decided<A> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        let turn = queue::Turn::default();
        let job = queue::Pending::new(scope, decide, reply, turn.clone());
        let item = queue::Item::Decide(Box::new(job));
        self.queue.try_send(item).map_err(|_| StoreError::Unavailable)?;
        let answered = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answered) => answered,
            // Before its turn came: it will not be decided, so surely nothing was changed.
            Err(_) if turn.give_up() => return Err(StoreError::Unavailable),
            // What is decided must be acted upon: the message that it ordered, for example.
            Err(_) => {
                tokio::time::timeout(COMMIT, answer).await.unwrap_or(Ok(Err(StoreError::Unknown)))
            }
        };
        answered.unwrap_or(Err(StoreError::Unknown))
    }
}
