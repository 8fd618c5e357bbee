//! What many accounts do together, and a disk without room.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, mpsc},
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

use super::{
    super::{connect::Connector, lock::Locked, rows::shares, session::Purpose, write::put_traffic},
    NOW, Store, StoreError, alice, charge, keys, open, serve, testing,
};
use crate::{
    clock::Clock,
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::{Share, Traffic},
        records::{Decided, Records, TrafficKey},
        time::Timestamp,
    },
    postgres_server::Server,
    store::{AuditSink, working::Slot},
};

/// Counts a wrong code of the whole site, which has nobody; whether it brings eight digits.
async fn guess(store: &Store) -> Result<bool, StoreError> {
    let decide = |records: &Records, now| {
        let mut records = records.clone();
        let long = records.site().is_some_and(|site| site.charge_wrong(0, now));
        Decided { records, audit: Vec::new(), answer: long }
    };
    store.transact(alice(), decide).await
}

#[tokio::test]
async fn what_counts_by_the_believed_time_is_not_forgotten_by_the_databases() {
    let server = Server::start();
    let engine = open(testing::settings(&server));
    // The database is years ahead, and in doubt: decisions go by this.
    let believed = Clock::from_fn(|| Timestamp(1_700_000_000_000));
    let store = Store::start(engine, believed, Arc::new(|_| ())).expect("a thread").0;
    let mut crossed = 0;
    for _ in 0..120 {
        crossed += u32::from(guess(&store).await.expect("a commit"));
    }
    assert_eq!(crossed, 1, "all are counted, in whichever share");
}

#[tokio::test]
async fn what_another_host_counted_in_a_share_since_it_was_read_is_kept() {
    let server = Server::start();
    drop(open(testing::settings(&server)));
    let connector = Connector::new(testing::settings(&server)).expect("a way");
    let mut session = connector.connect().await.expect("a server");
    let mut slot = Slot::new(Traffic::default());
    slot.now.charge_wrong(0, NOW);
    let one = Share::between(&slot.read, &slot.now);
    let (mut stale, mut expected) = (Locked::default(), Share::default());
    // By what was read: no row twice, then a row of which one was counted, twice again.
    for round in 0..4 {
        session.begin(Purpose::Decide).await.expect("a transaction");
        let changed = [(TrafficKey::All, &slot)];
        put_traffic(&session, &keys(), 3, NOW, &changed, &stale).await.expect("a write");
        let stored = shares(&session, &BTreeSet::from([TrafficKey::All])).await.expect("a read");
        session.commit().await.expect("a commit");
        expected.add(&one);
        assert_eq!(stored.sums.get(&TrafficKey::All), Some(&expected), "round {round}");
        if round == 1 {
            stale.shares = stored.each;
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_full_until_something_was_written() {
    let server = Server::start();
    let store = serve(open(testing::settings(&server)));
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$";
    server.execute("otpd", full);
    for table in ["login", "meta"] {
        let trigger = format!(
            "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON otpd.{table}
             EXECUTE FUNCTION full_disk()"
        );
        server.execute("otpd", &trigger);
    }
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Full));
    assert_eq!(store.has_room().await, Err(StoreError::Full));
    assert!(store.shortage().holds(), "to ask makes no room");
    server.execute("otpd", "DROP TRIGGER full_disk ON otpd.login");
    server.execute("otpd", "DROP TRIGGER full_disk ON otpd.meta");
    assert_eq!(store.has_room().await, Ok(()));
    assert_eq!(charge(&store, "alice").await, Ok(1));
}

/// Keeps a decision from its end until it is let go.
struct Held {
    arrived: UnboundedReceiver<()>,
    go: mpsc::Sender<()>,
}

/// Counts a wrong code as a login does, and tells of an attack where that is due; held back between its
/// read and its commit where `hold` says so.
fn guess_as_a_login(store: &Store, name: &str, hold: bool) -> (Held, JoinHandle<()>) {
    let ((arrive, arrived), (go, gone)) = (unbounded_channel(), mpsc::channel());
    let gone = Mutex::new(gone);
    let account = Account::new(name).expect("a name");
    let decide = move |records: &Records, now| {
        let mut records = records.clone();
        let tell = records.site().is_some_and(|site| site.charge_wrong(0, now));
        let _ = arrive.send(());
        if hold {
            let _ = gone.lock().expect("one decision").recv();
        }
        let event = AuditEvent {
            at: now,
            request: None,
            account: account.clone(),
            actor: Actor::Claimant,
            event: Event::SiteUnderAttack {},
        };
        Decided { records, audit: tell.then_some(event).into_iter().collect(), answer: () }
    };
    let (store, scope) = (store.clone(), super::scope(name));
    let decided =
        tokio::spawn(async move { store.transact(scope, decide).await.expect("a commit") });
    (Held { arrived, go }, decided)
}

/// Two hosts that may only log people in, their logs, and so many wrong codes before.
async fn besieged(server: &Server, codes: usize) -> ([Store; 2], Arc<Mutex<Vec<Event>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    testing::divide(server, &keys());
    let stores = [1, 2].map(|number| {
        let told = Arc::clone(&told);
        let sink: AuditSink =
            Arc::new(move |event| told.lock().expect("a list").push(event.event.clone()));
        let engine = testing::open_as(server, "web", keys(), number).expect("a database");
        Store::start(engine, Clock::from_fn(|| NOW), sink).expect("a thread").0
    });
    for _ in 0..codes {
        let (_, decided) = guess_as_a_login(&stores[0], "alice", false);
        decided.await.expect("a task");
    }
    (stores, told)
}

/// Has both hosts count a wrong code, of which neither sees the other's.
async fn at_once(stores: &[Store; 2]) {
    let mut held = Vec::new();
    for (store, name) in stores.iter().zip(["bob", "carol"]) {
        let mut guess = guess_as_a_login(store, name, true);
        guess.0.arrived.recv().await.expect("it has read");
        held.push(guess);
    }
    for (held, _) in &held {
        held.go.send(()).expect("it waits");
    }
    for (_, decided) in held {
        decided.await.expect("a task");
    }
}

fn attacks(server: &Server, told: &Mutex<Vec<Event>>) -> (String, usize) {
    let select = "SELECT count(*) FROM otpd.audit WHERE event LIKE '%site-under-attack%'";
    (server.sql("otpd", select), told.lock().expect("a list").len())
}

#[tokio::test]
async fn an_attack_that_two_hosts_find_at_once_is_told_once() {
    let server = Server::start();
    let (stores, told) = besieged(&server, 100).await;
    assert_eq!(attacks(&server, &told), ("0".to_owned(), 0));
    at_once(&stores).await;
    assert_eq!(attacks(&server, &told), ("1".to_owned(), 1));
    let (_, decided) = guess_as_a_login(&stores[1], "alice", false);
    decided.await.expect("a task");
    assert_eq!(attacks(&server, &told), ("1".to_owned(), 1), "and not again");
}

#[tokio::test]
async fn an_attack_that_no_host_saw_begin_is_told_with_the_next_code() {
    let server = Server::start();
    let (stores, told) = besieged(&server, 99).await;
    // 99 and one are not above the line, and 101 are.
    at_once(&stores).await;
    assert_eq!(attacks(&server, &told), ("0".to_owned(), 0));
    let (_, decided) = guess_as_a_login(&stores[1], "alice", false);
    decided.await.expect("a task");
    assert_eq!(attacks(&server, &told), ("1".to_owned(), 1));
}
