//! The trail on a real database.

use rusqlite::{Connection, params};
use serde_json::json;

use super::{FIRST, Order, Reads, Trail, before};
use crate::{
    domain::{account::Account, audit::Actor, passcode::RequestId, time::Timestamp},
    keys::MasterKey,
    store::{Chore, Engine, Sqlite},
};

/// Id, time, request, account.
const ROWS: [(i64, i64, Option<u32>, &str); 6] = [
    (1, 100, Some(7), "alice"),
    (2, 200, Some(8), "bob"),
    // The clock was set back.
    (3, 150, Some(7), "alice"),
    (5, 300, None, "alice"),
    (8, 300, Some(8), "bob"),
    (9, 400, None, "-"),
];

struct House {
    reader: Reads,
    sqlite: Sqlite,
    db: Connection,
    _dir: tempfile::TempDir,
}

fn house() -> House {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
    let db = Connection::open(&path).expect("the same");
    for (id, at, request, account) in ROWS {
        let insert = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, '{\"uid\":5}', ?5)";
        let event = r#"{"event":"code-wrong","tries_left":2}"#;
        db.execute(insert, params![id, at, request, account, event]).expect("a row");
    }
    House { reader: Reads::open(&path, keys).expect("the same"), sqlite, db, _dir: dir }
}

fn account(name: &str) -> Account {
    Account::new(name).expect("a name")
}

impl House {
    async fn index(&mut self) {
        self.sqlite.tidy(&Chore::Index).await.expect("entered");
    }

    /// The ids of what a list of the trail holds.
    async fn list(&self, trail: Trail, count: Option<u32>) -> Vec<i64> {
        let last = self.reader.newest_event().await.expect("an id");
        let mut after = self.reader.before_events(trail.clone(), last, count).await.expect("an id");
        let mut ids = Vec::new();
        loop {
            // Small pages, so that there are several.
            let page = self.reader.events(trail.clone(), after, last, 2).await.expect("a page");
            let Some(end) = page.last() else { return ids };
            after = end.id;
            ids.extend(page.iter().map(|row| row.id));
        }
    }
}

/// Whether nothing, some or all of the trail is entered in its index makes no difference.
#[tokio::test]
async fn a_list_is_what_it_is_asked_for_and_in_order() {
    let mut house = house();
    assert_lists(&house).await;
    for entered in [0_i64, 1, 4, 8] {
        house.db.execute("DELETE FROM audit_account WHERE id > ?1", [entered]).expect("a part");
        house.db.execute("DELETE FROM audit_request WHERE id > ?1", [entered]).expect("a part");
        let put = "INSERT OR REPLACE INTO meta VALUES ('audit-indexed', ?1)";
        house.db.execute(put, [entered.to_be_bytes().as_slice()]).expect("a mark");
        house.index().await;
        assert_lists(&house).await;
        let put = "INSERT OR REPLACE INTO meta VALUES ('audit-indexed', ?1)";
        house.db.execute(put, [entered.to_be_bytes().as_slice()]).expect("a mark");
        assert_lists(&house).await;
    }
}

async fn assert_lists(house: &House) {
    let all = Trail::default;
    let since = |at| Trail { since: Some(Timestamp(at)), ..all() };
    let of = |name| Trail { account: Some(account(name)), ..all() };
    let request = |id| Trail { request: Some(RequestId(id)), ..all() };
    let cases: [(&str, Trail, Option<u32>, &[i64]); 17] = [
        ("everything", all(), None, &[1, 2, 3, 5, 8, 9]),
        ("the newest two", all(), Some(2), &[8, 9]),
        ("more than there are", all(), Some(100), &[1, 2, 3, 5, 8, 9]),
        ("none", all(), Some(0), &[]),
        ("an account", of("alice"), None, &[1, 3, 5]),
        ("its newest", of("alice"), Some(1), &[5]),
        ("the host", of("-"), None, &[9]),
        ("a stranger", of("carol"), None, &[]),
        ("a stranger's newest", of("carol"), Some(5), &[]),
        ("since the millisecond", since(200), None, &[2, 5, 8, 9]),
        ("since the one after", since(201), None, &[5, 8, 9]),
        ("since the clock was set back", since(150), None, &[2, 3, 5, 8, 9]),
        ("since always", since(i64::MIN), None, &[1, 2, 3, 5, 8, 9]),
        ("since the future", since(401), None, &[]),
        ("the newest since", since(150), Some(2), &[8, 9]),
        ("a request", request(7), None, &[1, 3]),
        (
            "all at once",
            Trail { since: Some(Timestamp(150)), request: Some(RequestId(7)), ..of("alice") },
            Some(9),
            &[3],
        ),
    ];
    for (name, trail, count, expected) in cases {
        assert_eq!(house.list(trail, count).await, expected, "{name}");
    }
}

#[test]
fn where_a_time_begins_is_found_by_halving() {
    let house = house();
    for (since, last, expected) in [
        (100, 9, FIRST),
        (300, 9, 3),
        (400, 9, 8),
        (401, 9, 9),
        (301, 5, 5),
        (i64::MIN, 9, FIRST),
        (i64::MAX, 0, FIRST),
    ] {
        let found = before(&house.db, Timestamp(since), last);
        assert_eq!(found, Ok(expected), "since {since} up to {last}");
    }
}

#[tokio::test]
async fn a_row_reads_as_it_was_written() {
    let house = house();
    let page = house.reader.events(Trail::default(), 1, 2, 10).await.expect("a page");
    let [row] = &page[..] else { panic!("one row: {page:?}") };
    assert_eq!((row.id, row.at, row.request), (2, Timestamp(200), Some(RequestId(8))));
    assert_eq!((&row.account, row.actor), (&account("bob"), Actor::Uid(5)));
    assert_eq!(row.event, "code-wrong");
    assert_eq!(serde_json::Value::from(row.details.clone()), json!({ "tries_left": 2 }));
}

#[tokio::test]
async fn an_empty_trail_ends_at_once() {
    let house = house();
    house.db.execute("DELETE FROM audit", []).expect("empty");
    assert_eq!(house.reader.newest_event().await, Ok(0));
    assert!(house.list(Trail::default(), Some(5)).await.is_empty());
    let since = Trail { since: Some(Timestamp(0)), ..Trail::default() };
    assert!(house.list(since, None).await.is_empty());
}

#[tokio::test]
async fn what_is_entered_is_entered_once_and_goes_with_its_events() {
    let mut house = house();
    let count = |house: &House, table: &str| -> i64 {
        let select = format!("SELECT count(*) FROM {table}");
        house.db.query_row(&select, [], |row| row.get(0)).expect("a number")
    };
    assert_eq!(house.sqlite.tidy(&Chore::Index).await, Ok(6));
    assert_eq!(house.sqlite.tidy(&Chore::Index).await, Ok(0));
    assert_eq!((count(&house, "audit_account"), count(&house, "audit_request")), (6, 4));
    let until = |at| Chore::Audit { until: Timestamp(at), now: Timestamp(i64::MAX) };
    assert_eq!(house.sqlite.tidy(&until(99)).await, Ok(0));
    assert_eq!(house.sqlite.tidy(&until(200)).await, Ok(3), "in the order of the commits");
    assert_eq!((count(&house, "audit_account"), count(&house, "audit_request")), (3, 1));
    assert_eq!(house.sqlite.tidy(&until(i64::MAX)).await, Ok(2), "the newest stays");
    assert_eq!(house.list(Trail::default(), None).await, [9]);
    assert_eq!((count(&house, "audit_account"), count(&house, "audit_request")), (1, 0));
}

#[test]
fn no_list_sorts_what_it_need_not() {
    let house = house();
    let (since, request) = (Some(Timestamp(5)), Some(RequestId(7)));
    let of = Trail { account: Some(account("a")), since, request: None };
    let about = Trail { request, ..Trail::default() };
    let cases = [
        ("everything", Trail::default(), false, "INTEGER PRIMARY KEY"),
        ("since", Trail { since, ..Trail::default() }, false, "INTEGER PRIMARY KEY"),
        ("an account", of.clone(), true, "mark USING PRIMARY KEY (account=? AND id>? AND id<?)"),
        ("a request", about.clone(), true, "mark USING PRIMARY KEY (request=? AND id>? AND id<?)"),
        ("an account's newest", of, false, "INTEGER PRIMARY KEY"),
        ("a request's newest", about, false, "INTEGER PRIMARY KEY"),
    ];
    for (name, trail, indexed, way) in cases {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (query, values) = trail.query("found.at", indexed, (0, 9), order, 5);
            let mut plan = house.db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("one");
            let rows = plan.query_map(rusqlite::params_from_iter(values), |row| {
                row.get::<_, String>("detail")
            });
            let plan = rows.expect("a plan").collect::<Result<Vec<_>, _>>().expect("text");
            let plan = plan.join("; ");
            assert!(plan.contains(way) && !plan.contains("TEMP B-TREE"), "{name}: {plan}");
        }
    }
}
