//! How a typed decision goes through an untyped queue, in batches.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::histogram::Histogram;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::error;

use super::{AuditSink, BATCH, Chore, Engine, Scope, StoreError};
use crate::{
    clock::Clock,
    domain::{
        audit::AuditEvent,
        records::{Decided, Records},
        time::Timestamp,
    },
    failpoint::{self, Point},
};

/// Settles a race: either the decision begins, or the one who asked has given up before.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicU8>);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Turn {
    /// The decision begins, or begins again; false when nobody waits for it any more.
    fn begin(&self) -> bool {
        let before = self.0.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        before != Err(GIVEN_UP)
    }

    /// Nobody waits any more; false when the decision has begun.
    pub(super) fn give_up(&self) -> bool {
        let before =
            self.0.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        before != Err(BEGUN)
    }
}

/// What waits for the engine.
pub(super) enum Item {
    /// A decision.
    Decide(Box<dyn Job>),
    /// A piece of upkeep.
    Tidy(Box<Errand>),
}

/// How long the engine may be at what takes its time.
const LONGEST: Duration = Duration::from_mins(15);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_secs(5);

/// Since when the engine is at what takes its time, if it is: it decides nothing then, and lives. Cheap to
/// clone.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<Mutex<Option<Instant>>>);

impl Busy {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits until it has been so for a while, and not for too long.
    pub(super) async fn holds(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| since.elapsed() < LONGEST) {
                return;
            }
        }
    }
}

/// A piece of upkeep that waits.
pub(super) struct Errand {
    pub(super) chore: Chore,
    pub(super) reply: oneshot::Sender<Result<u32, StoreError>>,
}

/// A decision that waits, whatever its answer's type.
pub(super) trait Job: Send {
    fn scope(&self) -> &Scope;
    /// The decision's turn has come; false when nobody waits for its answer any more.
    fn begin(&self) -> bool;
    fn decide(&mut self, records: &Records, now: Timestamp) -> (Records, Vec<AuditEvent>);
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

pub(super) struct Pending<A, D> {
    scope: Scope,
    decide: D,
    answer: Option<A>,
    reply: oneshot::Sender<Result<A, StoreError>>,
    turn: Turn,
}

impl<A, D> Pending<A, D> {
    pub(super) fn new(
        scope: Scope,
        decide: D,
        reply: oneshot::Sender<Result<A, StoreError>>,
        turn: Turn,
    ) -> Self {
        Self { scope, decide, answer: None, reply, turn }
    }
}

impl<A: Send, D: Fn(&Records, Timestamp) -> Decided<A> + Send> Job for Pending<A, D> {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn begin(&self) -> bool {
        !self.reply.is_closed() && self.turn.begin()
    }

    fn decide(&mut self, records: &Records, now: Timestamp) -> (Records, Vec<AuditEvent>) {
        let decided = (self.decide)(records, now);
        self.answer = Some(decided.answer);
        (decided.records, decided.audit)
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        // The one who asked may have given up; then nobody is there to be told.
        let _ = reply.send(committed.and_then(|()| answer.ok_or(StoreError::Unavailable)));
    }
}

/// After so many failures in a row it is the database that fails, not a decision: the others do not
/// wait for its lock one after another.
const CULPRITS: usize = 3;

/// So many decisions in one transaction are a crowd.
const COMPANY: usize = 3;
/// How long a crowd is waited for: a fraction of what a commit takes on most disks.
const GATHER: Duration = Duration::from_micros(300);

/// Lets a transaction fill before it begins, as a database's commit delay does. Nobody who is alone
/// ever waits for it. A login under load waits less than it gains: every commit is a disk's sync,
/// and the pages that all transactions share are written by each.
#[expect(clippy::disallowed_methods, reason = "the engine's thread has nothing else to do")]
fn gather() {
    std::thread::sleep(GATHER);
}

/// Serves the queue until every [`super::Store`] is gone.
pub(super) async fn run<E: Engine>(
    mut engine: E,
    clock: Clock,
    sink: AuditSink,
    timing: Histogram,
    busy: Busy,
    mut queue: mpsc::Receiver<Item>,
) {
    let mut items = Vec::with_capacity(BATCH);
    let mut last = 0;
    loop {
        // Where several came together, more are about to: each of them saves a commit.
        if last >= COMPANY && queue.len() < last {
            gather();
        }
        last = queue.recv_many(&mut items, BATCH).await;
        if last == 0 {
            return;
        }
        let (mut jobs, mut errands) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items.drain(..) {
            match item {
                Item::Decide(job) => jobs.push(job),
                Item::Tidy(errand) => errands.push(errand),
            }
        }
        let begun = Instant::now();
        let committed = batch(&mut engine, &clock, &mut jobs).await;
        if committed.is_ok() && !jobs.is_empty() {
            timing.observe(begun.elapsed().as_secs_f64());
        }
        match committed {
            Err(StoreError::Unavailable | StoreError::Forbidden | StoreError::Damaged(_))
                if jobs.len() > 1 =>
            {
                // Surely nothing was committed. One by one, only the culprit fails.
                let mut in_a_row = 0;
                for mut job in jobs.drain(..) {
                    let committed = if in_a_row < CULPRITS {
                        batch(&mut engine, &clock, std::slice::from_mut(&mut job)).await
                    } else {
                        Err(StoreError::Unavailable)
                    };
                    in_a_row = match committed {
                        // Its account's row is damaged, and the database is well.
                        Ok(_) | Err(StoreError::Damaged(_)) => 0,
                        Err(_) => in_a_row + 1,
                    };
                    finish(&sink, std::iter::once(job), &committed);
                }
            }
            committed => finish(&sink, jobs.drain(..), &committed),
        }
        // Whoever waits at a prompt comes first.
        for errand in errands {
            tidy(&mut engine, &sink, &busy, *errand).await;
        }
    }
}

async fn tidy<E: Engine>(engine: &mut E, sink: &AuditSink, busy: &Busy, errand: Errand) {
    let Errand { chore, reply } = errand;
    // All of a store is one transaction there, and a watchdog must not end it again and again.
    let is_long = matches!(chore, Chore::Rotate(_) | Chore::DiscardLost { .. });
    busy.set(is_long.then(Instant::now));
    let mut done = engine.tidy(&chore).await;
    if let Err(error) = done {
        engine.abort().await;
        // Once, as a decision that surely was not committed.
        if engine.relieve() && error == StoreError::Unavailable {
            done = engine.tidy(&chore).await;
            if done.is_err() {
                engine.abort().await;
            }
        }
    }
    busy.set(None);
    match (&done, &chore) {
        (Ok(_), Chore::Agreed { event: Some(event), .. }) => sink(event),
        (Ok(numbers), Chore::Rotate(rotation)) => sink(&rotation.done(*numbers)),
        (Ok(1..), Chore::Discard(event) | Chore::DiscardLost { event, .. }) => sink(event),
        (Ok(_) | Err(_), _) => {}
    }
    // The one who asked may have been stopped; the piece is done all the same.
    let _ = reply.send(done);
}

fn finish(
    sink: &AuditSink,
    jobs: impl Iterator<Item = Box<dyn Job>>,
    committed: &Result<Vec<AuditEvent>, StoreError>,
) {
    let answer = committed.as_ref().map(|_| ()).map_err(|error| *error);
    for job in jobs {
        job.finish(answer);
    }
    committed.iter().flatten().for_each(|event| sink(event));
}

/// One transaction: all of `jobs` or none.
async fn batch<E: Engine>(
    engine: &mut E,
    clock: &Clock,
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<AuditEvent>, StoreError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let mut result = decide_and_commit(engine, clock, jobs).await;
    if let Err(error) = result {
        engine.abort().await;
        // Once: there is nothing more to give up after that.
        if engine.relieve() && error == StoreError::Unavailable {
            result = decide_and_commit(engine, clock, jobs).await;
            if result.is_err() {
                engine.abort().await;
            }
        }
    }
    result
}

async fn decide_and_commit<E: Engine>(
    engine: &mut E,
    clock: &Clock,
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<AuditEvent>, StoreError> {
    let scopes = jobs.iter().map(|job| job.scope().clone()).collect::<Vec<_>>();
    let mut working = engine.load(&scopes).await?;
    failpoint::reach(Point::Loaded);
    if let Some(time) = working.time() {
        clock.follow(time);
        // As far as it can be believed.
        working.set_time(clock.now());
    }
    for (job, scope) in jobs.iter_mut().zip(&scopes) {
        // Nobody has heard anything about this one, and nobody will: better not to decide it.
        if !job.begin() {
            continue;
        }
        let records = working.view(scope);
        // The time is read with the locks held: what waited for them must not look younger.
        let now = clock.now();
        let decided = catch_unwind(AssertUnwindSafe(|| job.decide(&records, now)));
        let Ok((records, audit)) = decided else {
            error!("a decision panicked; its transaction is given up");
            return Err(StoreError::Unavailable);
        };
        working.put(scope, records, audit);
    }
    failpoint::reach(Point::Decided);
    engine.commit(&mut working).await?;
    failpoint::reach(Point::Committed);
    Ok(working.into_audit())
}

#[cfg(test)]
mod tests {
    use super::Turn;

    #[test]
    fn a_decision_begins_or_is_given_up_and_never_both() {
        let begun = Turn::default();
        assert!(begun.begin() && !begun.give_up());
        assert!(begun.begin(), "a transaction that surely did not commit is run again");
        let given_up = Turn::default();
        assert!(given_up.give_up() && !given_up.begin());
        assert!(given_up.give_up(), "and stays so");
    }
}
