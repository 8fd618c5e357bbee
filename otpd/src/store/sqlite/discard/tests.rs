//! Names that are damaged in the file itself, where no index and no order knows of it.

use std::{collections::BTreeSet, fs, os::unix::fs::FileExt, path::Path};

use rusqlite::Connection;

use super::Sqlite;
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::Channel,
        enrollment::Enrollment,
        phone::{Destination, Line},
        records::Records,
        time::Timestamp,
    },
    keys::{Keys, MasterKey},
    store::{Chore, Engine, LostName, Reader, Scope, StoreError, conformance},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// Their rows fill several pages.
const PEOPLE: u32 = 150;

fn keys(seed: u8) -> Keys {
    MasterKey::from_bytes([seed; 32]).derive()
}

fn account(name: &str) -> Account {
    Account::new(name).expect("a name")
}

fn name(nth: u32) -> String {
    format!("m{nth:04}.user")
}

fn names() -> BTreeSet<String> {
    (0..PEOPLE).map(name).collect()
}

async fn records(sqlite: &mut Sqlite, name: &str) -> Result<Records, StoreError> {
    let scope = Scope::Account(account(name));
    let read = sqlite.load(std::slice::from_ref(&scope)).await.map(|working| working.view(&scope));
    sqlite.abort().await;
    read
}

/// So many people have a number and a login each.
async fn fill(path: &Path, people: u32) {
    let mut sqlite = Sqlite::open(path, keys(1)).expect("a database");
    let scopes = (0..people).map(|nth| Scope::Account(account(&name(nth)))).collect::<Vec<_>>();
    let mut working = sqlite.load(&scopes).await.expect("rows");
    for (scope, nth) in scopes.iter().zip(0_u32..) {
        let number = format!("+1312555{nth:04}").parse().expect("a number");
        let destination = Destination {
            number,
            country: "US".parse().expect("a country"),
            line: Line::FixedOrMobile,
        };
        let (index, range) =
            (keys(1).index(&destination.number), keys(1).range(&destination.number));
        let mut records = working.view(scope);
        records.enrollment = Some(Enrollment::new(destination, index, range, Channel::Sms, NOW));
        records.login.failures.charge(crate::domain::budget::Purse::Common, NOW);
        working.put(scope, records, Vec::new());
    }
    sqlite.commit(&mut working).await.expect("a commit");
}

/// Where in the file the name stands in its row of a table: what comes after it there tells the row from
/// what indexes have of it.
fn place(path: &Path, table: &str, next: &str, name: &str) -> u64 {
    let db = Connection::open(path).expect("the database");
    let select = format!("SELECT {next} FROM {table} WHERE account = ?1");
    let next: Vec<u8> = db.query_row(&select, [name], |row| row.get(0)).expect("a row");
    let bytes = fs::read(path).expect("bytes");
    let mut all = (0..bytes.len()).filter(|at| {
        let rest = &bytes[*at..];
        // Between both is the id of the key.
        rest.starts_with(name.as_bytes())
            && (0..8).any(|gap| rest[name.len() + gap..].starts_with(&next))
    });
    let found = all.next().expect("its row");
    assert_eq!(all.next(), None, "{table} {name}: one row");
    found.try_into().expect("a place")
}

/// A name of the table's root: others are looked for by it.
fn in_the_root(path: &Path) -> String {
    let db = Connection::open(path).expect("the database");
    let select = "SELECT rootpage FROM sqlite_schema WHERE name = 'enrollment'";
    let root: u32 = db.query_row(select, [], |row| row.get(0)).expect("a page");
    let mut all = names().into_iter();
    let is_there =
        |name: &String| place(path, "enrollment", "number", name) / 4096 == u64::from(root - 1);
    all.find(is_there).expect("rows fill several pages")
}

/// Everybody who is listed, page by page; with them who is listed as damaged.
async fn listed(reader: &Reader) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut sound, mut damaged, mut after) = (BTreeSet::new(), BTreeSet::new(), None);
    for _ in 0..=PEOPLE {
        let page = reader.subscribers(after.clone(), 7).await.expect("a page");
        let Some(last) = page.last() else { return (sound, damaged) };
        after = Some(last.account.clone());
        for row in page {
            let which = if row.number.is_some() { &mut sound } else { &mut damaged };
            which.insert(row.account.as_str().to_owned());
        }
    }
    panic!("the list has no end")
}

async fn is_looked_through(reader: &Reader) {
    let mut after = None;
    for _ in 0..=PEOPLE {
        let page = reader.stale(after, NOW).await.expect("a page");
        after = page.last;
        if after.is_none() {
            return;
        }
    }
    panic!("upkeep has no end")
}

async fn take_away(sqlite: &mut Sqlite, name: &LostName) -> Result<u32, StoreError> {
    let event = AuditEvent {
        at: NOW,
        request: None,
        account: Account::host(),
        actor: Actor::Uid(0),
        event: Event::DamagedRemoved { what: "name", name: Some(name.to_string()) },
    };
    let chore = Chore::DiscardLost { name: name.clone(), event: Box::new(event) };
    let done = sqlite.tidy(&chore).await;
    sqlite.abort().await;
    done
}

async fn rotate(sqlite: &mut Sqlite) -> Result<u32, StoreError> {
    let rotate = Chore::Rotate(Box::new(conformance::rotation(&keys(1), keys(2))));
    let done = sqlite.tidy(&rotate).await;
    sqlite.abort().await;
    done
}

fn assert_sound(path: &Path, what: &str) {
    let db = Connection::open(path).expect("the database");
    let told: String =
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(told, "ok", "{what}");
}

/// Whoever is not in `but` has the number that he had.
async fn assert_kept(sqlite: &mut Sqlite, but: &str, what: &str) {
    for name in names().into_iter().filter(|name| name != but) {
        let records = records(sqlite, &name).await.expect("rows");
        assert!(records.enrollment.is_some(), "{what}: {name}");
    }
}

/// A byte of the name of `victim` in `table` becomes another one.
async fn damaged(filled: &Path, table: &str, victim: &str, byte: u8) {
    let what = format!("{table} {victim} {byte:#x}");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    fs::copy(filled, &path).expect("a copy");
    let next = if table == "login" { "state" } else { "number" };
    let at = place(&path, table, next, victim);
    let file = fs::File::options().write(true).open(&path).expect("the file");
    file.write_all_at(&[byte], at).expect("damage");
    drop(file);
    let bytes = [&[byte], &victim.as_bytes()[1..]].concat();
    let lost = LostName::of(bytes);
    // Nobody can tell whose a login is but by its name.
    let is_a_name = LostName::or_account(lost.bytes()).is_ok();
    let is_login = table == "login";

    let mut sqlite = Sqlite::open(&path, keys(1)).expect("the database");
    let reader = Reader::sqlite(&path, keys(1)).expect("the database");
    is_looked_through(&reader).await;
    let (sound, shown) = listed(&reader).await;
    let left_out = names().difference(&sound).cloned().collect::<Vec<_>>();
    let expected = if is_login { Vec::new() } else { vec![victim.to_owned()] };
    assert_eq!(left_out, expected, "{what}: of those who are sound, nobody");
    let all_lost = reader.lost_names().await.expect("a read");
    let counts = reader.counts(NOW).await.expect("a read");
    if is_login && is_a_name {
        assert!(all_lost.is_empty() && counts.unreadable.is_empty(), "{what}");
        return;
    }
    // Either it stands where it is looked for, and is an account whose number cannot be read, or not.
    let found = shown.iter().map(String::as_bytes).chain(all_lost.iter().map(LostName::bytes));
    let found = found.collect::<Vec<_>>();
    // One that is found, though it stands out of the order, is in the counts alone.
    let by_chance = is_a_name && found.is_empty();
    assert!(found == [lost.bytes()] || by_chance, "{what}: named once, {found:?}");
    assert_eq!((counts.active, counts.unreadable.accounts), (0, 1), "{what}");

    // All are under the next key, or all under the one from before.
    let before = dir.path().join("before.db");
    drop((sqlite, reader));
    fs::copy(&path, &before).expect("a copy");
    sqlite = Sqlite::open(&path, keys(1)).expect("the database");
    let others = PEOPLE - u32::from(!is_login);
    match rotate(&mut sqlite).await {
        Ok(numbers) => {
            assert_eq!(numbers, others, "{what}");
            drop(sqlite);
            let mut sqlite = Sqlite::open(&path, keys(2)).expect("the next key");
            assert_kept(&mut sqlite, if is_login { "" } else { victim }, &what).await;
        }
        Err(error) => {
            assert_eq!(error, StoreError::Corrupt, "{what}");
            drop(sqlite);
            let reader = Reader::sqlite(&path, keys(1)).expect("the key from before");
            assert_eq!(listed(&reader).await.0, sound, "{what}");
        }
    }

    for extra in ["otpd.db-wal", "otpd.db-shm"] {
        let _ = fs::remove_file(dir.path().join(extra));
    }
    fs::copy(&before, &path).expect("as it was");
    let mut sqlite = Sqlite::open(&path, keys(1)).expect("the database");
    if all_lost.is_empty() {
        return;
    }
    assert_eq!(take_away(&mut sqlite, &lost).await, Ok(1), "{what}");
    assert_eq!(take_away(&mut sqlite, &lost).await, Ok(0), "{what}: once");
    assert_sound(&path, &what);
    let reader = Reader::sqlite(&path, keys(1)).expect("the database");
    assert!(reader.lost_names().await.expect("a read").is_empty(), "{what}");
    assert!(reader.counts(NOW).await.expect("a read").unreadable.is_empty(), "{what}");
    assert_eq!(listed(&reader).await, (sound, BTreeSet::new()), "{what}");
    let but = if is_login { "" } else { victim };
    assert_kept(&mut sqlite, but, &what).await;
    assert_eq!(rotate(&mut sqlite).await, Ok(others), "{what}");
    drop(sqlite);
    let mut sqlite = Sqlite::open(&path, keys(2)).expect("the next key");
    assert_kept(&mut sqlite, but, &what).await;
    assert_sound(&path, &what);
}

#[tokio::test]
async fn a_name_that_is_damaged_in_the_file_is_found_and_taken_away_and_loses_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let filled = dir.path().join("filled.db");
    fill(&filled, PEOPLE).await;
    let root = in_the_root(&filled);
    // No text; none that a name has; a name that would stand elsewhere.
    let bytes = [0xff, b'/', 0x01, b'z', b'a'];
    for victim in [&name(0), &name(PEOPLE / 3), &name(PEOPLE - 1), &root] {
        for byte in bytes {
            for table in ["enrollment", "login"] {
                damaged(&filled, table, victim, byte).await;
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_taken_away_says_how_to_recover() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    fill(&path, PEOPLE).await;
    let victim = name(PEOPLE / 2);
    let at = place(&path, "enrollment", "number", &victim);
    // And one beside it has the name of another.
    let double = place(&path, "enrollment", "number", &name(PEOPLE / 2 + 1));
    let file = fs::File::options().write(true).open(&path).expect("the file");
    file.write_all_at(b"\xff", at).expect("damage");
    file.write_all_at(name(0).as_bytes(), double).expect("damage");
    let mut sqlite = Sqlite::open(&path, keys(1)).expect("the database");
    let lost = LostName::of([b"\xff", &victim.as_bytes()[1..]].concat());
    let told = take_away(&mut sqlite, &lost).await;
    assert_eq!(told, Err(StoreError::Corrupt));
    assert!(StoreError::Corrupt.to_string().contains("stop otpd"));
    assert!(records(&mut sqlite, &name(1)).await.expect("rows").enrollment.is_some());
}

#[tokio::test]
async fn what_cannot_be_put_under_the_next_key_stops_no_rotation() {
    let cases = [
        ("no number", "number = x'85'"),
        // Nobody comes by it in the order of names.
        ("no name", "account = ''"),
    ];
    for (what, damage) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("otpd.db");
        fill(&path, PEOPLE).await;
        let db = Connection::open(&path).expect("the database");
        let update = format!("UPDATE enrollment SET {damage} WHERE account = ?1");
        assert_eq!(db.execute(&update, [name(3)]), Ok(1));
        drop(db);
        let mut sqlite = Sqlite::open(&path, keys(1)).expect("a database");
        assert_eq!(rotate(&mut sqlite).await, Ok(PEOPLE - 1), "{what}");
    }
}

/// The last one of a page has a name that stands behind all others.
#[tokio::test]
async fn a_name_that_leads_past_others_stops_a_rotation_and_loses_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("otpd.db");
    let people = 1050;
    fill(&path, people).await;
    let reader = Reader::sqlite(&path, keys(1)).expect("the database");
    let page = reader.stale(None, NOW).await.expect("a page");
    assert_eq!(page.last, Some(account(&name(999))), "a thousand rows are a page");
    drop(reader);
    let at = place(&path, "enrollment", "number", &name(999));
    let file = fs::File::options().write(true).open(&path).expect("the file");
    file.write_all_at(b"z", at).expect("damage");
    drop(file);
    let mut sqlite = Sqlite::open(&path, keys(1)).expect("the database");
    assert_eq!(rotate(&mut sqlite).await, Err(StoreError::Corrupt));
    drop(sqlite);
    let db = Connection::open(&path).expect("the database");
    let kept = "SELECT count(*) FROM enrollment WHERE key_id = ?1";
    assert_eq!(db.query_row(kept, [keys(1).id], |row| row.get(0)), Ok(people));
}
