//! What a database tells before it is opened, and what is said of one that fails.

use rusqlite::{Connection, Error, ffi};

use super::{OpenError, SCHEMA, Sqlite, examine, key_check, remedy};
use crate::keys::{Keys, MasterKey};

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
