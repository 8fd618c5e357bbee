//! What happens when something goes wrong between a decision and its commit.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{NOW, Running, Subject, account, changing, keys};
use crate::{
    clock::Agreement,
    domain::{
        budget::Purse,
        challenge::Channel,
        passcode::ChallengeToken,
        records::{Decided, Records},
    },
    store::{Chore, Engine, QUEUE, Rekeyed, Scope, Shortage, Store, StoreError, Working},
};

/// Holds the engine inside a decision, so that what follows waits and becomes one batch.
pub(in crate::store) struct Gate(std::sync::mpsc::Sender<()>);

impl Gate {
    /// Closes the gate; returns once the engine stands at it.
    pub(in crate::store) async fn close(store: &Store) -> Self {
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let (arrived, mut arrival) = mpsc::unbounded_channel();
        let opened = Mutex::new(opened);
        let wait = move |records: &Records, _| {
            let _ = arrived.send(());
            let _ = opened.lock().expect("one decision at a time").recv();
            Decided { records: records.clone(), audit: Vec::new(), answer: () }
        };
        let store = store.clone();
        // Not a task of the test's own runtime: whoever stops the store waits for its thread, and that for
        // the last that holds on to the store, which may be a task whose turn has not come yet.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime").block_on(store.transact(scope("gate"), wait))
        });
        arrival.recv().await.expect("the engine arrives");
        Self(open)
    }

    pub(in crate::store) fn open(self) {
        drop(self.0);
    }
}

/// What shall go wrong, in order; `None` lets one pass.
#[derive(Default)]
struct Plan {
    loads: Mutex<VecDeque<Option<StoreError>>>,
    commits: Mutex<VecDeque<Option<StoreError>>>,
    committed: AtomicUsize,
    /// Times that the engine can make room.
    reliefs: AtomicUsize,
    /// Where a piece of upkeep says that it is there, and waits for an error.
    tidying: Mutex<Option<(mpsc::UnboundedSender<()>, std::sync::mpsc::Receiver<StoreError>)>>,
}

/// A real engine whose disk fails by plan.
struct Failing<E> {
    engine: E,
    plan: Arc<Plan>,
}

impl<E: Engine + Send> Engine for Failing<E> {
    const REMOTE: bool = E::REMOTE;

    async fn load(&mut self, scopes: &[Scope]) -> Result<Working, StoreError> {
        let fault = self.plan.loads.lock().unwrap().pop_front().flatten();
        let working = self.engine.load(scopes).await?;
        fault.map_or(Ok(working), Err)
    }

    async fn commit(&mut self, working: &mut Working) -> Result<(), StoreError> {
        let fault = self.plan.commits.lock().unwrap().pop_front().flatten();
        if fault == Some(StoreError::Unavailable) {
            return Err(StoreError::Unavailable);
        }
        self.engine.commit(working).await?;
        self.plan.committed.fetch_add(1, Ordering::SeqCst);
        // The connection broke after the commit: it is made, and nobody knows.
        fault.map_or(Ok(()), Err)
    }

    async fn abort(&mut self) {
        self.engine.abort().await;
    }

    fn relieve(&mut self) -> bool {
        let less = |reliefs: usize| reliefs.checked_sub(1);
        self.plan.reliefs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    fn administers(&self) -> bool {
        self.engine.administers()
    }

    fn shortage(&self) -> Shortage {
        self.engine.shortage()
    }

    fn rekeyed(&self) -> Rekeyed {
        self.engine.rekeyed()
    }

    async fn tidy(&mut self, chore: &Chore) -> Result<u32, StoreError> {
        if let Some((arrived, opened)) = self.plan.tidying.lock().unwrap().take() {
            let _ = arrived.send(());
            if let Ok(error) = opened.recv() {
                return Err(error);
            }
        }
        self.engine.tidy(chore).await
    }
}

fn failing(subject: &impl Subject) -> (Running, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let engine = subject.open(keys(1)).expect("a database");
    (Running::start(Failing { engine, plan: Arc::clone(&plan) }), plan)
}

fn scope(name: &str) -> Scope {
    Scope::Account(account(name))
}

/// Charges a message; tells how many there are then.
fn charge() -> impl Fn(&Records, crate::domain::time::Timestamp) -> Decided<usize> + Send {
    changing(|records| {
        records.login.messages.charge(ChallengeToken([9; 16]), Channel::Sms, Purse::Common, NOW);
        records.login.messages.in_a_day(NOW)
    })
}

async fn charged(running: &Running, name: &str) -> usize {
    let look = changing(|records| records.login.messages.in_a_day(NOW));
    running.store.transact(scope(name), look).await.expect("a read")
}

pub(super) async fn poison(subject: &impl Subject) {
    let (running, _) = failing(subject);
    let gate = Gate::close(&running.store).await;
    let panics = |_: &Records, _| -> Decided<usize> { panic!("as planned") };
    let store = &running.store;
    let (before, poisoned, after, same, ()) = tokio::join!(
        store.transact(scope("alice"), charge()),
        store.transact(scope("alice"), panics),
        store.transact(scope("bob"), charge()),
        store.transact(scope("alice"), charge()),
        async { gate.open() },
    );
    assert_eq!(poisoned, Err(StoreError::Unavailable));
    assert_eq!((before, after, same), (Ok(1), Ok(1), Ok(2)));
    assert_eq!((charged(&running, "alice").await, charged(&running, "bob").await), (2, 1));
}

pub(super) async fn lost_commit(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let gate = Gate::close(&running.store).await;
    plan.commits.lock().unwrap().extend([None, Some(StoreError::Unavailable)]);
    let store = &running.store;
    let (first, second, ()) = tokio::join!(
        store.transact(scope("alice"), charge()),
        store.transact(scope("alice"), charge()),
        async { gate.open() },
    );
    assert_eq!((first, second), (Ok(1), Ok(2)), "each counted once though both ran twice");
    assert_eq!(charged(&running, "alice").await, 2);
}

pub(super) async fn signs_of_life(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    assert!(running.store.answers().await, "it works");
    plan.loads.lock().unwrap().push_back(Some(StoreError::Unavailable));
    plan.commits.lock().unwrap().extend([Some(StoreError::Unknown), Some(StoreError::Full)]);
    for _ in 0..3 {
        assert!(running.store.answers().await, "to start it again would not mend its disk");
    }
    assert!(plan.loads.lock().unwrap().is_empty() && plan.commits.lock().unwrap().is_empty());

    let gate = Gate::close(&running.store).await;
    let mut waits = std::pin::pin!(running.store.answers());
    tokio::select! {
        biased;
        alive = &mut waits => panic!("a store that hangs answers {alive}"),
        () = tokio::task::yield_now() => gate.open(),
    }
    assert!(waits.await, "it goes on where it stood");
}

/// Begins a piece of upkeep; returns once the engine stands at it. There it fails with what it is sent, and
/// goes on once nobody can send anything.
async fn held(
    store: &Store,
    plan: &Plan,
    chore: Chore,
) -> (JoinHandle<Result<u32, StoreError>>, std::sync::mpsc::Sender<StoreError>) {
    let (open, opened) = std::sync::mpsc::channel();
    let (arrived, mut arrival) = mpsc::unbounded_channel();
    *plan.tidying.lock().unwrap() = Some((arrived, opened));
    let store = store.clone();
    let tidying = tokio::spawn(async move { store.tidy(chore).await });
    arrival.recv().await.expect("the engine arrives");
    (tidying, open)
}

/// What a store says within a minute, by a clock that goes on by itself where nothing else does.
async fn within_a_minute(store: &Store) -> Option<bool> {
    tokio::time::pause();
    let answer = tokio::time::timeout(Duration::from_mins(1), store.answers()).await;
    tokio::time::resume();
    answer.ok()
}

pub(super) async fn signs_of_a_long_life(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let store = &running.store;
    let rotate = || Chore::Rotate(Box::new(super::rotation(&keys(1), keys(2))));
    let agreement = Agreement { wall: NOW, uptime: Duration::ZERO, boot: None };
    // These minutes do not come back: for the test the engine begins everything so much earlier, which may
    // not add up to a quarter of an hour.
    let cases = [(Chore::Agreed { agreement, event: None }, None), (rotate(), Some(true))];
    for (chore, says) in cases {
        let (tidying, open) = held(store, &plan, chore.clone()).await;
        assert_eq!(within_a_minute(store).await, says, "{chore:?}");
        open.send(StoreError::Unavailable).expect("it waits");
        assert_eq!(tidying.await.expect("no panic"), Err(StoreError::Unavailable));
    }
    let gate = Gate::close(store).await;
    assert_eq!(
        within_a_minute(store).await,
        None,
        "a decision hangs, after a rotation that failed"
    );
    gate.open();
    let (tidying, open) = held(store, &plan, rotate()).await;
    assert_eq!(within_a_minute(store).await, Some(true), "it takes its time");
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(15)).await;
    tokio::time::resume();
    assert_eq!(within_a_minute(store).await, None, "it hangs");
    drop(open);
    assert_eq!(tidying.await.expect("no panic"), Ok(0));
}

pub(super) async fn full_disk(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let full = Some(StoreError::Unavailable);
    let store = &running.store;
    let cases = [
        ("room was made", 1, vec![full], Ok(1)),
        ("not enough", 2, vec![full, full], Err(StoreError::Unavailable)),
        (
            "perhaps committed, so never again",
            1,
            vec![Some(StoreError::Unknown)],
            Err(StoreError::Unknown),
        ),
    ];
    for (name, reliefs, commits, expected) in cases {
        plan.reliefs.store(reliefs, Ordering::SeqCst);
        plan.commits.lock().unwrap().extend(commits);
        let charged = store.transact(scope(name), charge()).await;
        assert_eq!(charged, expected, "{name}");
        plan.reliefs.store(0, Ordering::SeqCst);
    }
    let on_record = ["room was made", "not enough", "perhaps committed, so never again"];
    for (name, count) in on_record.into_iter().zip([1, 0, 1]) {
        assert_eq!(charged(&running, name).await, count, "{name}");
    }
    let gate = Gate::close(store).await;
    plan.reliefs.store(1, Ordering::SeqCst);
    plan.commits.lock().unwrap().extend([None, full]);
    let (first, second, ()) = tokio::join!(
        store.transact(scope("alice"), charge()),
        store.transact(scope("alice"), charge()),
        async { gate.open() },
    );
    assert_eq!((first, second), (Ok(1), Ok(2)), "a whole batch, as one");
}

pub(super) async fn doubtful_commit(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let gate = Gate::close(&running.store).await;
    plan.commits.lock().unwrap().extend([None, Some(StoreError::Unknown)]);
    let store = &running.store;
    let (first, second, ()) = tokio::join!(
        store.transact(scope("alice"), charge()),
        store.transact(scope("bob"), charge()),
        async { gate.open() },
    );
    assert_eq!((first, second), (Err(StoreError::Unknown), Err(StoreError::Unknown)));
    assert_eq!(plan.committed.load(Ordering::SeqCst), 2, "the gate's commit and this one");
    assert_eq!((charged(&running, "alice").await, charged(&running, "bob").await), (1, 1));
    assert!(running.stop().is_empty());
}

pub(super) async fn failing_load(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    plan.loads.lock().unwrap().push_back(Some(StoreError::Unavailable));
    let refused = running.store.transact(scope("alice"), charge()).await;
    assert_eq!(refused, Err(StoreError::Unavailable));
    plan.commits.lock().unwrap().push_back(Some(StoreError::Unavailable));
    let refused = running.store.transact(scope("alice"), charge()).await;
    assert_eq!(refused, Err(StoreError::Unavailable));
    assert_eq!(running.store.transact(scope("alice"), charge()).await, Ok(1));
}

pub(super) async fn failing_for_all(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let gate = Gate::close(&running.store).await;
    plan.loads.lock().unwrap().extend([Some(StoreError::Unavailable); 20]);
    let waiting = (0..10).map(|nth| {
        let store = running.store.clone();
        tokio::spawn(async move { store.transact(scope(&format!("u{nth}")), charge()).await })
    });
    let waiting = waiting.collect::<Vec<_>>();
    assert_eq!(running.store.depth(), 0, "the gate's decision waits no more");
    while running.store.depth() < 10 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for task in waiting {
        assert_eq!(task.await.expect("a task"), Err(StoreError::Unavailable));
    }
    let left = std::mem::take(&mut *plan.loads.lock().unwrap()).len();
    assert_eq!(20 - left, 1 + 3, "all together, then three alone, and the others not at all");
    assert_eq!(running.store.transact(scope("u9"), charge()).await, Ok(1));
}

/// How many transactions were measured.
fn measured(store: &Store) -> String {
    let (mut registry, mut text) = (Registry::default(), String::new());
    registry.register("seconds", "as they say", store.commit_seconds());
    encode(&mut text, &registry).expect("text");
    let count = |line: &str| line.strip_prefix("seconds_count ").map(str::to_owned);
    text.lines().find_map(count).expect("a histogram")
}

pub(super) async fn timing(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    assert_eq!(running.store.transact(scope("alice"), charge()).await, Ok(1));
    assert!(running.store.answers().await);
    assert_eq!(measured(&running.store), "2");
    plan.commits.lock().unwrap().push_back(Some(StoreError::Unavailable));
    let refused = running.store.transact(scope("alice"), charge()).await;
    assert_eq!(refused, Err(StoreError::Unavailable));
    running.store.index().await.expect("upkeep");
    assert_eq!(measured(&running.store), "2", "neither what failed nor upkeep");
}

pub(super) async fn full_queue(subject: &impl Subject) {
    let (running, _) = failing(subject);
    let gate = Gate::close(&running.store).await;
    let waiting = (0..QUEUE).map(|_| {
        let store = running.store.clone();
        tokio::spawn(async move { store.transact(scope("alice"), charge()).await })
    });
    let waiting = waiting.collect::<Vec<_>>();
    while running.store.queue.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let surplus = running.store.transact(scope("bob"), charge()).await;
    assert_eq!(surplus, Err(StoreError::Unavailable));
    gate.open();
    for task in waiting {
        task.await.expect("a task").expect("what was taken is done");
    }
    assert_eq!((charged(&running, "alice").await, charged(&running, "bob").await), (QUEUE, 0));
}

pub(super) async fn abandoned(subject: &impl Subject) {
    let (running, _) = failing(subject);
    let gate = Gate::close(&running.store).await;
    let store = running.store.clone();
    let task = tokio::spawn(async move { store.transact(scope("alice"), charge()).await });
    while running.store.queue.capacity() == QUEUE {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    gate.open();
    assert_eq!(charged(&running, "alice").await, 0);
}

pub(super) async fn waited_too_long(subject: &impl Subject) {
    let (running, _) = failing(subject);
    let gate = Gate::close(&running.store).await;
    // With the engine held, nothing but its own patience wakes this task.
    tokio::time::pause();
    let refused = running.store.transact(scope("alice"), charge()).await;
    tokio::time::resume();
    assert_eq!(refused, Err(StoreError::Unavailable), "surely not decided, then or later");
    gate.open();
    assert_eq!(charged(&running, "alice").await, 0);
}

pub(super) async fn begun_without_end(subject: &impl Subject) {
    let (running, _) = failing(subject);
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let (arrived, mut arrival) = mpsc::unbounded_channel();
    let opened = Mutex::new(opened);
    let wait = move |records: &Records, _| {
        let _ = arrived.send(());
        let _ = opened.lock().expect("one decision at a time").recv();
        Decided::unchanged(records, ())
    };
    let store = running.store.clone();
    let asked = tokio::spawn(async move { store.transact(scope("alice"), wait).await });
    arrival.recv().await.expect("the decision begins");
    // With the engine held, nothing but its own patience wakes the one who asked.
    tokio::time::pause();
    let answer = asked.await.expect("a task");
    tokio::time::resume();
    assert_eq!(answer, Err(StoreError::Unknown), "it may be committed yet");
    drop(open);
}

pub(super) async fn upkeep_again(subject: &impl Subject) {
    let (running, plan) = failing(subject);
    let agreement = Agreement { wall: NOW, uptime: Duration::ZERO, boot: None };
    for (error, reliefs, expected) in [
        (StoreError::Unavailable, 1, Ok(1)),
        (StoreError::Unavailable, 0, Err(StoreError::Unavailable)),
        (StoreError::Unknown, 1, Err(StoreError::Unknown)),
        (StoreError::Full, 1, Err(StoreError::Full)),
    ] {
        let (arrived, _arrival) = mpsc::unbounded_channel();
        let (fail, told) = std::sync::mpsc::channel();
        fail.send(error).expect("it is told at once");
        *plan.tidying.lock().unwrap() = Some((arrived, told));
        plan.reliefs.store(reliefs, Ordering::SeqCst);
        let chore = Chore::Agreed { agreement: agreement.clone(), event: None };
        assert_eq!(running.store.tidy(chore).await, expected, "{error:?} {reliefs}");
        assert_eq!(plan.reliefs.load(Ordering::SeqCst), 0, "what was kept is given up");
    }
}
