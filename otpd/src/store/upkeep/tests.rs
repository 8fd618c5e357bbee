use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::params;

use crate::{
    clock::{Clock, Readings},
    domain::{
        account::Account,
        budget::Purse,
        records::{Decided, Records},
        time::{DAY, Timestamp},
    },
    keys::MasterKey,
    store::{Deleted, Reader, Scope, Sqlite, Store, StoreError, Trail},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// How long a decision takes, over and over, until `stop` says so: how many, and the longest.
#[expect(clippy::disallowed_methods, reason = "it is a measurement")]
async fn decisions(store: &Store, mut stop: tokio::sync::oneshot::Receiver<()>) -> (u32, Duration) {
    let (mut number, mut longest) = (0, Duration::ZERO);
    while stop.try_recv().is_err() {
        let scope = Scope::Account(Account::new("alice").expect("a name"));
        let charge = |records: &Records, now| {
            let mut records = records.clone();
            records.login.failures.charge(Purse::Common, now);
            Decided { records, audit: Vec::new(), answer: () }
        };
        let begun = Instant::now();
        store.transact(scope, charge).await.expect("a commit");
        longest = longest.max(begun.elapsed());
        number += 1;
    }
    (number, longest)
}

/// Puts events into a trail.
fn fill(path: &Path, events: i64) {
    let mut db = rusqlite::Connection::open(path).expect("the same");
    let fill = db.transaction().expect("a transaction");
    {
        let insert = "INSERT INTO audit (at, request, account, actor, event) VALUES
                      (?1, ?1, 'user' || (?1 % 5000), '\"claimant\"', ?2)";
        let mut insert = fill.prepare(insert).expect("an insertion");
        let event = r#"{"event":"login-granted","service":"sshd","source":"203.0.113.9"}"#;
        for at in 0..events {
            insert.execute(params![at, event]).expect("a row");
        }
    }
    fill.commit().expect("a commit");
}

#[expect(clippy::disallowed_methods, reason = "it is a measurement")]
async fn measure(events: i64) -> (u32, Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
    fill(&path, events);
    let reader = Reader::sqlite(&path, keys).expect("the same");
    let clock = Clock::from_fn(|| NOW);
    let (store, _) = Store::start(sqlite, clock.clone(), Arc::new(|_| ())).expect("a thread");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let begun = Instant::now();
    let forget = async {
        let deleted = store.forget(&reader, &clock, DAY).await.expect("a round");
        let _ = stop.send(());
        deleted
    };
    let (deleted, (number, longest)) = tokio::join!(forget, decisions(&store, stopped));
    // The newest stays.
    let all = u64::try_from(events - 1).expect("a number");
    assert_eq!(deleted, Deleted { audit: all, ..Deleted::default() });
    let took = begun.elapsed();
    println!("{events} events deleted in {took:?}; {number} decisions, the longest {longest:?}");
    (number, longest)
}

/// Whoever asks for room has the engine look, and is told what it found.
#[tokio::test]
async fn what_can_wait_is_refused_while_the_disk_is_full() {
    let dir = tempfile::tempdir().expect("a directory");
    // Where the reserve belongs stands something that is none: there is no room for it.
    let reserve = dir.path().join("otpd.db.reserve");
    std::fs::create_dir(&reserve).expect("a directory");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let sqlite = Sqlite::open(&dir.path().join("otpd.db"), keys).expect("a database");
    let clock = Clock::from_fn(|| NOW);
    let (store, thread) = Store::start(sqlite, clock, Arc::new(|_| ())).expect("a thread");
    assert_eq!(store.has_room().await, Ok(()));
    assert!(store.shortage().set(true) && !store.shortage().set(true), "a change is told once");
    assert_eq!(store.has_room().await, Err(StoreError::Full));
    assert!(store.shortage().holds());
    std::fs::remove_dir(&reserve).expect("an empty directory");
    assert_eq!(store.has_room().await, Ok(()), "the engine looks before it refuses");
    assert!(!store.shortage().holds());
    drop(store);
    thread.join().expect("the store's thread ends in order");
}

#[tokio::test]
async fn every_event_is_entered_where_it_is_found_and_none_while_the_disk_is_full() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let sqlite = Sqlite::open(&path, keys).expect("a database");
    let clock = Clock::from_fn(|| NOW);
    let (store, _) = Store::start(sqlite, clock, Arc::new(|_| ())).expect("a thread");
    fill(&path, 2001);
    let db = rusqlite::Connection::open(&path).expect("the same");
    let entered = || {
        let count = "SELECT count(*) FROM audit_account";
        db.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    for (full, expected) in [(true, 0), (false, 2001)] {
        store.shortage().set(full);
        store.index().await.expect("a transaction");
        assert_eq!(entered(), expected);
    }
}

#[tokio::test]
async fn an_hours_upkeep_deletes_what_is_old_and_writes_down_when_the_clocks_agreed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
    let reader = Reader::sqlite(&path, keys.clone()).expect("the same");
    let clock = Clock::from_readings(None, None, || Readings { wall: NOW, uptime: DAY });
    let (store, thread) = Store::start(sqlite, clock.clone(), Arc::new(|_| ())).expect("a thread");
    fill(&path, 3);
    store.keep_up(&reader, &clock, DAY).await;
    let events = reader.events(Trail::default(), 0, i64::MAX, 9).await.expect("a read");
    assert_eq!(events.len(), 1, "the newest stays");
    drop(store);
    thread.join().expect("the store's thread ends in order");
    let agreement = Sqlite::open(&path, keys).expect("the same").agreement().expect("a read");
    assert_eq!(agreement.map(|agreement| agreement.wall), Some(NOW));
}

#[tokio::test]
async fn decisions_are_made_while_old_events_are_deleted() {
    let (number, _) = measure(10_000).await;
    assert!(number > 1, "a decision between two pieces: {number}");
}

#[tokio::test]
#[ignore = "a measurement: a million rows take minutes; run it with --run-ignored"]
async fn a_million_old_events_hold_up_no_decision() {
    let (_, longest) = measure(1_000_000).await;
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}
