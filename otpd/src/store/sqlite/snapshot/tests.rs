//! Snapshots that are whole and hold nothing up, and trails put back.

use std::{path::Path, time::Duration};

use super::{Piece, Snapshot, TrailRow};
use crate::{
    domain::{
        budget::Purse,
        records::Records,
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

/// The log can be cut off once nobody holds a snapshot, however it ended.
#[tokio::test]
async fn a_snapshot_that_is_given_up_holds_nothing_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let (mut sqlite, reader) = open(&path);
    for nth in 0..400 {
        enroll(&mut sqlite, nth).await;
    }
    // Whoever looks waits so long for it to be held no more.
    let checkpoint = |patience| {
        let db = rusqlite::Connection::open(&path).expect("the same");
        db.busy_timeout(patience).expect("set");
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .expect("told")
    };
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert!(snapshot.next().await.expect("rows").is_some());
    enroll(&mut sqlite, 401).await;
    assert_eq!(checkpoint(Duration::ZERO), 1, "it is held");
    drop(snapshot);
    // Its thread sees it at the next piece that it would hand out.
    assert_eq!(checkpoint(Duration::from_mins(1)), 0, "it is held no more");
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
    let ids = async || {
        let rows = reader.events(Trail::default(), 0, i64::MAX, 9).await.expect("rows");
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(new.tidy(&chore(vec![5, 4])).await, Ok(2));
    assert_eq!(ids().await, [4, 5]);
    assert_eq!(new.tidy(&chore(vec![3, 2])).await, Ok(2));
    assert_eq!(ids().await, [2, 3, 4, 5]);
}
