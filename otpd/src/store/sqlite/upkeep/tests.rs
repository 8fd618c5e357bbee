use std::{path::Path, time::Duration};

use minicbor::bytes::ByteVec;
use rusqlite::{Connection, Error, ffi, params};

use super::{
    super::{SCHEMA, reserve::Reserve},
    CHECKPOINT, CHECKPOINT_WHEN_FULL, Sqlite,
};
use crate::{
    clock::{Agreement, BootId},
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::{Budget, Purse},
        challenge::Channel,
        enrollment::NumberIndex,
        passcode::ChallengeToken,
        records::BudgetKey,
        time::{DAY, HOUR, Timestamp},
    },
    keys::{Keys, MasterKey},
    store::{Chore, Engine, Reader, Scope, StoreError},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn keys() -> Keys {
    MasterKey::from_bytes([1; 32]).derive()
}

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, keys()).expect("a database")
}

fn budget() -> Budget {
    let mut budget = Budget::default();
    budget.messages.charge(ChallengeToken([9; 16]), Channel::Sms, Purse::Common, NOW);
    budget
}

/// What the database `db` holds in a column, in order.
fn column(db: &Connection, select: &str) -> Vec<i64> {
    let mut select = db.prepare(select).expect("a query");
    let rows = select.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("numbers")
}

/// A database as the first version left it, with a row in every table.
fn first_version(path: &Path) {
    let mut db = Connection::open(path).expect("a file");
    // By the migration runner itself, so that it knows how far it is.
    super::super::embedded::migrations::runner()
        .set_target(refinery::Target::Version(1))
        .run(&mut db)
        .expect("the first schema");
    let key_check = keys().check;
    db.execute("INSERT INTO meta VALUES ('key-check', ?1)", [key_check.as_slice()]).unwrap();
    let mut login = crate::domain::login::LoginState::default();
    login.failures.charge(Purse::Common, NOW);
    let state = minicbor::to_vec(&login).unwrap();
    db.execute("INSERT INTO login VALUES ('alice', 1, ?1)", [state]).unwrap();
    let state = minicbor::to_vec(budget()).unwrap();
    let key = [1_u8; 16];
    db.execute("INSERT INTO budget VALUES (1, ?1, 1, ?2)", params![key, state]).unwrap();
    db.execute("INSERT INTO challenge VALUES (?1, 'alice')", [[7_u8; 16]]).unwrap();
    for at in [NOW.0, NOW.0 + 1] {
        let insert = "INSERT INTO audit (at, request, account, actor, event)
                      VALUES (?1, 5, 'alice', '\"daemon\"', '{}')";
        db.execute(insert, [at]).unwrap();
    }
}

#[tokio::test]
async fn a_database_of_the_first_version_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otpd.db");
    first_version(&path);
    let mut sqlite = open(&path);

    let alice =
        Scope::Number { account: Account::new("alice").unwrap(), number: NumberIndex([1; 16]) };
    let working = sqlite.load(std::slice::from_ref(&alice)).await.expect("rows");
    let records = working.view(&alice);
    assert_eq!(records.login.failures.within(DAY, NOW), 1);
    assert_eq!(records.budgets[&BudgetKey::Number(NumberIndex([1; 16]))], budget());
    sqlite.abort().await;
    let db = Connection::open(&path).unwrap();
    assert_eq!(column(&db, "SELECT at FROM audit ORDER BY id"), [NOW.0, NOW.0 + 1]);
    assert_eq!(column(&db, "SELECT count(*) FROM challenge"), [1]);
    assert_eq!(column(&db, "SELECT version FROM refinery_schema_history"), [1, 2, 3, 4]);

    // What a row of then counts is not known to the schema: it is kept until it is written anew.
    assert_eq!(column(&db, "SELECT idle_at FROM budget"), [i64::MAX]);
    let reader = Reader::sqlite(&path, keys()).expect("the same");
    let never = reader.idle(None, NOW.after(DAY * 40_000)).await.expect("a page");
    assert_eq!(never.idle, []);
    let mut working = sqlite.load(std::slice::from_ref(&alice)).await.expect("rows");
    let mut records = working.view(&alice);
    let budget = records.number_budget(NumberIndex([1; 16])).expect("read");
    budget.charge_proof(NOW.after(HOUR));
    working.put(&alice, records, Vec::new());
    sqlite.commit(&mut working).await.expect("a commit");
    assert_eq!(column(&db, "SELECT idle_at FROM budget"), [NOW.after(DAY + HOUR).0]);

    drop(sqlite);
    drop(open(&path));
}

#[test]
fn the_last_migration_is_known_and_a_later_one_is_refused() {
    let all = super::super::embedded::migrations::runner().get_migrations().clone();
    assert_eq!(all.iter().map(|one| one.version().into()).max(), Some(SCHEMA));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otpd.db");
    drop(open(&path));
    let later =
        "INSERT INTO refinery_schema_history VALUES (?1, 'later', '2027-01-01T00:00:00Z', '1')";
    Connection::open(&path).unwrap().execute(later, [SCHEMA + 1]).unwrap();
    let error = Sqlite::open(&path, keys()).err().expect("refused").to_string();
    let remedy = "install that version again, or restore a backup from before";
    assert!(error.contains("a newer otpd") && error.ends_with(remedy), "{error}");
}

#[tokio::test]
async fn agreements_are_found_by_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otpd.db");
    let mut sqlite = open(&path);
    assert_eq!(sqlite.agreement().unwrap(), None);
    let agreement = |hours| Agreement {
        wall: NOW.after(HOUR * hours),
        uptime: Duration::from_secs(5) + HOUR * hours,
        boot: Some(BootId::new("one")),
    };
    for hours in [0, 1] {
        let chore = Chore::Agreed { agreement: agreement(hours), event: None };
        assert_eq!(sqlite.tidy(&chore).await, Ok(1));
    }
    let event = AuditEvent {
        at: NOW,
        request: None,
        account: Account::host(),
        actor: Actor::Uid(1000),
        event: Event::ClockConfirmed { ahead_seconds: 7200 },
    };
    let chore = Chore::Agreed { agreement: agreement(2), event: Some(Box::new(event)) };
    assert_eq!(sqlite.tidy(&chore).await, Ok(1));
    drop(sqlite);
    assert_eq!(open(&path).agreement().unwrap(), Some(agreement(2)));
    let db = Connection::open(&path).unwrap();
    let told = db.query_row("SELECT account, actor, event FROM audit", [], |row| {
        Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?])
    });
    let expected = ["-", r#"{"uid":1000}"#, r#"{"event":"clock-confirmed","ahead_seconds":7200}"#];
    assert_eq!(told.unwrap(), expected);
}

#[test]
fn a_damaged_agreement_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otpd.db");
    drop(open(&path));
    let db = Connection::open(&path).unwrap();
    let damaged = minicbor::to_vec(ByteVec::from(vec![1])).unwrap();
    db.execute("INSERT INTO meta VALUES ('clock', ?1)", [damaged]).unwrap();
    assert!(open(&path).agreement().is_err());
}

fn failure(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

/// After how many pages the log is moved into the database.
fn log_length(sqlite: &Sqlite) -> u32 {
    let told = sqlite.db.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get(0));
    told.expect("a number")
}

#[tokio::test]
async fn a_commit_that_failed_is_surely_not_made_or_in_doubt() {
    use StoreError::{Unavailable, Unknown};
    for (name, code, open, answer, full) in [
        ("full", ffi::SQLITE_FULL, false, Unavailable, true),
        ("full, with the transaction open", ffi::SQLITE_FULL, true, Unavailable, true),
        ("busy, which leaves it open", ffi::SQLITE_BUSY, true, Unavailable, false),
        ("a disk that fails", ffi::SQLITE_IOERR, false, Unknown, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = self::open(&dir.path().join("otpd.db"));
        if open {
            sqlite.load(&[]).await.expect("a transaction");
        }
        assert_eq!(sqlite.failed_to_commit("commit", &failure(code)), answer, "{name}");
        sqlite.abort().await;
        // Only for want of room is the reserve given up, and the log kept short.
        assert_eq!((sqlite.relieve(), sqlite.shortage().holds()), (full, full), "{name}");
        let pages = if full { CHECKPOINT_WHEN_FULL } else { CHECKPOINT };
        assert_eq!(log_length(&sqlite), pages, "{name}");
        assert!(!sqlite.relieve(), "{name}: there is nothing more to give up");
        sqlite.load(&[]).await.expect("a transaction");
        assert!(!sqlite.shortage().holds(), "{name}: there is room again");
        assert_eq!(log_length(&sqlite), CHECKPOINT, "{name}");
    }
}

#[test]
fn a_disk_that_fails_without_any_room_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut sqlite = open(&dir.path().join("otpd.db"));
    // There is no room at all.
    sqlite.reserve = Reserve::open(Path::new("/proc/otpd.db"));
    for (code, full) in [(ffi::SQLITE_BUSY, false), (ffi::SQLITE_IOERR, true)] {
        assert_eq!(sqlite.failed("write", &failure(code)), StoreError::Unavailable);
        assert!(!sqlite.relieve(), "there is nothing to give up");
        assert_eq!(sqlite.shortage().holds(), full, "{code}");
    }
    assert_eq!(log_length(&sqlite), CHECKPOINT);
    sqlite.settle_in();
    assert_eq!(log_length(&sqlite), CHECKPOINT_WHEN_FULL, "short from the start");
}
