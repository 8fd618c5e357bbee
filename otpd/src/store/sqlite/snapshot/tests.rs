//! Snapshots that are whole and hold nothing up, and trails put back.

use std::path::Path;

use super::{Piece, Snapshot, TrailRow};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::Purse,
        enrollment::NumberIndex,
        passcode::RequestId,
        records::{Decided, Records},
        scene::{START, Scene, account},
        time::Timestamp,
    },
    keys::MasterKey,
    store::{Chore, Engine, Reader, Scope, Sqlite, Trail},
};

fn keys() -> crate::keys::Keys {
    MasterKey::from_bytes([1; 32]).derive()
}

fn open(path: &Path) -> (Sqlite, Reader) {
    let sqlite = Sqlite::open(path, keys()).expect("a database");
    (sqlite, Reader::sqlite(path, keys()).expect("a reader"))
}

/// Decides something about an account.
async fn write(sqlite: &mut Sqlite, scope: Scope, decide: impl FnOnce(&mut Records)) {
    let mut working = sqlite.load(std::slice::from_ref(&scope)).await.expect("rows");
    let mut records = working.view(&scope);
    decide(&mut records);
    working.put(&scope, records, Vec::new());
    sqlite.commit(&mut working).await.expect("a commit");
}

async fn enroll(sqlite: &mut Sqlite, nth: usize) {
    let name = format!("u{nth:04}");
    let scope = Scope::Account(account(&name));
    let mut enrollment = Scene::new().enrollments.remove(&account("alice")).expect("alice");
    enrollment.destination.number = format!("+1312556{nth:04}").parse().expect("a number");
    write(sqlite, scope, |records| {
        records.enrollment = Some(enrollment);
        if nth.is_multiple_of(2) {
            records.login.failures.charge(Purse::Common, START);
        }
    })
    .await;
}

async fn accounts(snapshot: &mut Snapshot) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(piece) = snapshot.next().await.expect("rows") {
        if let Piece::Accounts(kept) = piece {
            names.extend(kept.into_iter().map(|kept| kept.account.as_str().to_owned()));
        }
    }
    names
}

#[tokio::test]
async fn a_snapshot_has_everything_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut sqlite, reader) = open(&dir.path().join("otpd.db"));
    for nth in 0..150 {
        enroll(&mut sqlite, nth).await;
    }
    let only = Scope::Account(account("only-counted"));
    write(&mut sqlite, only, |records| {
        records.login.failures.charge(Purse::Common, START);
    })
    .await;
    let number = NumberIndex([7; 16]);
    let scope = Scope::Number { account: Account::host(), number };
    write(&mut sqlite, scope, |records| {
        records.number_budget(number).expect("a budget").charge_proof(START);
    })
    .await;
    let us = crate::domain::records::TrafficKey::Country("US".parse().expect("a country"));
    let scope = Scope::Traffic { account: Account::host(), key: us };
    write(&mut sqlite, scope.clone(), |records| {
        records.traffic.get_mut(&us).expect("read").charge(START);
    })
    .await;

    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.enrolled, snapshot.newest), (150, None));
    // What is decided while it is read is not in it, and does not wait for it.
    enroll(&mut sqlite, 151).await;
    let (mut names, mut budgets, mut traffic) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(piece) = snapshot.next().await.expect("rows") {
        match piece {
            Piece::Accounts(kept) => names.extend(kept),
            Piece::Budgets(found) => budgets.extend(found),
            Piece::Traffic(found) => traffic.extend(found),
            Piece::Unreadable(found) => panic!("{found}"),
        }
    }
    assert_eq!(names.len(), 151);
    assert_eq!(names.iter().filter(|kept| kept.enrollment.is_some()).count(), 150);
    assert_eq!(names.last().map(|kept| kept.account.as_str()), Some("only-counted"));
    let counted = names
        .iter()
        .filter(|kept| kept.login.failures.within(crate::domain::time::DAY, START) == 1);
    assert_eq!(counted.count(), 76);
    assert!(matches!(&budgets[..], [(found, _)] if *found == number));
    assert!(matches!(&traffic[..], [(found, _)] if *found == us), "{traffic:?}");
}

/// The log can be cut off once nobody holds a snapshot, however it ended.
#[tokio::test]
async fn a_snapshot_that_is_given_up_holds_nothing_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let (mut sqlite, reader) = open(&path);
    for nth in 0..400 {
        enroll(&mut sqlite, nth).await;
    }
    let checkpoint = || {
        let db = rusqlite::Connection::open(&path).expect("the same");
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .expect("told")
    };
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert!(snapshot.next().await.expect("rows").is_some());
    enroll(&mut sqlite, 401).await;
    assert_eq!(checkpoint(), 1, "it is held");
    drop(snapshot);
    // Its thread sees it at the next piece that it would hand out.
    let released = std::iter::repeat_with(checkpoint).take(1000).any(|busy| busy == 0);
    assert!(released, "it is held no more");
    let mut again = reader.snapshot().await.expect("a snapshot");
    assert_eq!(accounts(&mut again).await.len(), 401);
}

#[tokio::test]
async fn a_database_that_fails_ends_a_snapshot_with_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let (mut sqlite, reader) = open(&path);
    enroll(&mut sqlite, 0).await;
    let db = rusqlite::Connection::open(&path).expect("the same");
    db.execute("DROP TABLE budget", []).expect("gone");
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    let mut last = snapshot.next().await;
    while let Ok(Some(_)) = last {
        last = snapshot.next().await;
    }
    assert!(last.is_err(), "there is an end, or an error");
}

fn happened(name: &str, request: u32, at: i64) -> AuditEvent {
    AuditEvent {
        at: Timestamp(at),
        request: Some(RequestId(request)),
        account: account(name),
        actor: Actor::Claimant,
        event: Event::CodeEarlier {},
    }
}

async fn note(sqlite: &mut Sqlite, event: AuditEvent) {
    let scope = Scope::Account(event.account.clone());
    let mut working = sqlite.load(std::slice::from_ref(&scope)).await.expect("rows");
    let records = working.view(&scope);
    let Decided { records, .. } = Decided::unchanged(&records, ());
    working.put(&scope, records, vec![event]);
    sqlite.commit(&mut working).await.expect("a commit");
}

/// What a trail tells, oldest first: times.
async fn told(reader: &Reader, trail: Trail) -> Vec<i64> {
    let last = reader.newest_event().await.expect("an id");
    let after = reader.before_events(trail.clone(), last, None).await.expect("an id");
    let rows = reader.events(trail, after, last, 100).await.expect("rows");
    rows.iter().map(|row| row.at.0).collect()
}

fn of(name: &str) -> Trail {
    Trail { account: Some(account(name)), ..Trail::default() }
}

#[tokio::test]
async fn a_trail_is_put_in_front_of_a_newer_one_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut old, old_reader) = open(&dir.path().join("old.db"));
    for nth in 1..=5 {
        note(&mut old, happened(if nth % 2 == 0 { "alice" } else { "bob" }, 7, nth)).await;
    }
    let trail = old_reader.trail_before(i64::MAX, 100).await.expect("rows");
    assert_eq!(trail.iter().map(|row| row.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(old_reader.trail_before(3, 1).await.expect("rows")[0].id, 2);

    let (mut new, reader) = open(&dir.path().join("new.db"));
    note(&mut new, happened("alice", 8, 10)).await;
    new.tidy(&Chore::Index).await.expect("entered");
    note(&mut new, happened("alice", 8, 11)).await;
    let chore = |backup, rows: &[TrailRow]| Chore::Trail {
        backup,
        newest: (5, Timestamp(5)),
        rows: rows.to_vec(),
    };
    // In pieces, interrupted, and again.
    assert_eq!(new.tidy(&chore(1, &trail[..2])).await, Ok(2));
    note(&mut new, happened("alice", 8, 12)).await;
    assert_eq!(new.tidy(&chore(1, &trail[..3])).await, Ok(1));
    assert_eq!(new.tidy(&chore(1, &trail)).await, Ok(2));
    assert_eq!(new.tidy(&chore(1, &trail)).await, Ok(0));
    assert_eq!(told(&reader, Trail::default()).await, [1, 2, 3, 4, 5, 10, 11, 12]);
    assert_eq!(told(&reader, of("alice")).await, [2, 4, 10, 11, 12]);
    let request = Trail { request: Some(RequestId(7)), ..Trail::default() };
    assert_eq!(told(&reader, request).await, [1, 2, 3, 4, 5]);
    let since = Trail { since: Some(Timestamp(4)), ..Trail::default() };
    assert_eq!(told(&reader, since).await, [4, 5, 10, 11, 12]);
    let newest = reader.before_events(Trail::default(), 3, Some(4)).await.expect("an id");
    let rows = reader.events(Trail::default(), newest, 3, 100).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.at.0).collect::<Vec<_>>(), [5, 10, 11, 12]);
    // The same trail under another name is there already, as far as anybody can tell.
    assert_eq!(new.tidy(&chore(2, &trail)).await, Ok(0));
    // Old events go first.
    let until = Chore::Audit { until: Timestamp(3), now: Timestamp(20) };
    assert_eq!(new.tidy(&until).await, Ok(3));
    assert_eq!(told(&reader, Trail::default()).await, [4, 5, 10, 11, 12]);
}

#[tokio::test]
async fn a_trail_is_put_into_an_empty_one_with_its_ids() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut new, reader) = open(&dir.path().join("new.db"));
    let row = |id| TrailRow {
        id,
        at: Timestamp(id),
        request: None,
        account: "alice".to_owned(),
        actor: "\"daemon\"".to_owned(),
        event: "{\"event\":\"unlocked\"}".to_owned(),
    };
    let chore = |rows: Vec<i64>| Chore::Trail {
        backup: 1,
        newest: (5, Timestamp(5)),
        rows: rows.into_iter().map(row).collect(),
    };
    assert_eq!(new.tidy(&chore(vec![5, 4])).await, Ok(2));
    note(&mut new, happened("alice", 8, 10)).await;
    new.tidy(&Chore::Index).await.expect("entered");
    assert_eq!(new.tidy(&chore(vec![3, 2])).await, Ok(2));
    assert_eq!(told(&reader, of("alice")).await, [2, 3, 4, 5, 10]);
    let rows = reader.events(of("alice"), 0, 100, 100).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
}
