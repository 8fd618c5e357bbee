//! What a database tells before it is opened, and what is said of one that fails.

use std::os::unix::fs::PermissionsExt;

use rusqlite::{Connection, Error, ffi};

use super::{OpenError, SCHEMA, Sqlite, examine, key_check, remedy};
use crate::{
    clock::Agreement,
    domain::time::Timestamp,
    keys::{Keys, MasterKey},
    store::{Chore, Engine, conformance},
};

fn keys(seed: u8) -> Keys {
    MasterKey::from_bytes([seed; 32]).derive()
}

#[test]
fn a_database_tells_whose_it_is_before_it_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    assert_eq!(key_check(&path).expect("no database"), None);
    assert_eq!(examine(&path).expect("no database"), None);
    assert!(!path.exists(), "none is made");
    std::fs::File::create(&path).expect("a file");
    assert_eq!(key_check(&path).expect("an empty one"), None);
    drop(Sqlite::open(&path, keys(1)).expect("a database"));
    assert_eq!(key_check(&path).expect("a database"), Some(keys(1).check.to_vec()));
    assert_eq!(examine(&path).expect("a database"), Some(keys(1).check.to_vec()));
    let later =
        "INSERT INTO refinery_schema_history VALUES (?1, 'later', '2027-01-01T00:00:00Z', '1')";
    Connection::open(&path).expect("the same").execute(later, [SCHEMA + 1]).expect("a row");
    let judged = examine(&path);
    assert!(
        matches!(judged, Err(OpenError::Newer { found, .. }) if found == SCHEMA + 1),
        "{judged:?}"
    );
}

#[test]
fn nobody_else_reads_the_files_of_a_database() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let _database = Sqlite::open(&path, keys(1)).expect("a database");
    let mode = |name: &str| {
        let found = std::fs::metadata(dir.path().join(name)).expect("a file");
        found.permissions().mode() & 0o777
    };
    assert_eq!(["otpd.db", "otpd.db-wal", "otpd.db-shm"].map(mode), [0o600; 3]);
    // And a folder that is not there is named by its error.
    let error = Sqlite::open(&dir.path().join("no/otpd.db"), keys(1)).map(drop).expect_err("none");
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[tokio::test]
async fn what_a_rotation_leaves_because_of_another_reader_goes_with_a_later_round_of_upkeep() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let mut before = Sqlite::open(&path, keys(1)).expect("a database");
    let mut reader = Connection::open(&path).expect("the same");
    let reads = reader.transaction().expect("a transaction");
    let select = "SELECT count(*) FROM meta";
    let _: i64 = reads.query_row(select, [], |row| row.get(0)).expect("a number");
    let rotate = Chore::Rotate(Box::new(conformance::rotation(&keys(1), keys(2))));
    assert_eq!(before.tidy(&rotate).await, Ok(0), "done, whoever reads");
    drop(before);
    let mut next = Sqlite::open(&path, keys(2)).expect("the next key");
    let agreed = || Chore::Agreed {
        agreement: Agreement {
            wall: Timestamp(1_800_000_000_000),
            uptime: std::time::Duration::ZERO,
            boot: None,
        },
        event: None,
    };
    assert_eq!(next.tidy(&agreed()).await, Ok(1));
    // What a key is known by, in the file or in its log, as whoever gets hold of them finds it.
    let is_there = |keys: &Keys| {
        let has = |name: &str| {
            let bytes = std::fs::read(dir.path().join(name)).expect("bytes");
            bytes.windows(keys.check.len()).any(|window| window == keys.check)
        };
        has("otpd.db") || has("otpd.db-wal")
    };
    assert!(next.stale_pages && is_there(&keys(1)), "it reads yet");
    drop(reads);
    assert_eq!(next.tidy(&agreed()).await, Ok(1));
    assert!(!next.stale_pages && !is_there(&keys(1)) && is_there(&keys(2)));
    drop(next);
    let next = Sqlite::open(&path, keys(2)).expect("the same");
    assert!(!next.stale_pages, "and is not looked for again");
}

#[test]
fn a_failure_says_what_to_do_about_it() {
    for (code, words) in [
        (ffi::SQLITE_FULL, "free 12 MiB"),
        (ffi::SQLITE_READONLY, "remount or chown it"),
        (ffi::SQLITE_BUSY, "another program"),
        (ffi::SQLITE_LOCKED, "another program"),
        (ffi::SQLITE_CORRUPT, "restore your last backup"),
        (ffi::SQLITE_NOTADB, "restore your last backup"),
        (ffi::SQLITE_IOERR, "see dmesg"),
        (ffi::SQLITE_CANTOPEN, "read and write it and its directory"),
        (ffi::SQLITE_ERROR, "see the error"),
    ] {
        let told = remedy(&Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(told.contains(words), "{code}: {told}");
    }
}
