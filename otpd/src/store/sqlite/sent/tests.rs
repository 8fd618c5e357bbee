//! Messages of an earlier run, found on a real database.

use rusqlite::{Connection, params};

use super::{look_through, wanted};
use crate::{
    domain::{
        passcode::ChallengeToken,
        scene::{Scene, account, ssh},
        time::Timestamp,
    },
    keys::{Keys, MasterKey},
    store::{
        Sqlite,
        sqlite::{Reads, rows},
    },
};

/// A database with a login of alice's whose code Telnyx took, and nothing in its trail.
struct House {
    reader: Reads,
    db: Connection,
    keys: Keys,
    scene: Scene,
    _sqlite: Sqlite,
    _dir: tempfile::TempDir,
}

impl House {
    fn new() -> (Self, ChallengeToken) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("otpd.db");
        let keys = MasterKey::from_bytes([1; 32]).derive();
        let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
        let db = Connection::open(&path).expect("the same");
        let reader = Reads::open(&path, keys.clone()).expect("the same");
        let scene = Scene::new();
        let mut house = Self { reader, db, keys, scene, _sqlite: sqlite, _dir: dir };
        let token = house.start("alice", 1);
        (house, token)
    }

    /// A login whose code Telnyx took.
    fn start(&mut self, name: &'static str, id: u8) -> ChallengeToken {
        let token = self.scene.start(ssh(id).of(name));
        let insert = "INSERT INTO challenge (token, account) VALUES (?1, ?2)";
        self.db.execute(insert, params![token.0.as_slice(), name]).expect("a row");
        let owner = account(name);
        let enrollment = self.scene.enrollments.get(&owner);
        rows::put_enrollment(&self.db, &self.keys, &owner, enrollment).expect("a row");
        let login = self.scene.login(name);
        rows::put_login(&self.db, self.keys.id, &owner, &login).expect("a row");
        token
    }

    /// An event of a challenge, so many seconds after its code was issued.
    fn event(&self, name: &str, token: ChallengeToken, after: i64, event: &str) {
        let at = self.scene.now.0 + after * 1000;
        let insert = "INSERT INTO audit (at, request, account, actor, event)
                      VALUES (?1, ?2, ?3, '\"daemon\"', ?4)";
        let request = token.request().0;
        self.db.execute(insert, params![at, request, name, event]).expect("a row");
    }

    /// The vendor's names for what is followed.
    async fn found(&self) -> Vec<Option<String>> {
        let begun = Timestamp(self.scene.now.0 + 30_000);
        let found = self.reader.sent_before(begun).await.expect("a read");
        let mut ids: Vec<_> = found.into_iter().map(|sent| sent.vendor_id).collect();
        ids.sort();
        ids
    }
}

fn event(word: &str, gateway: &str, id: &str) -> String {
    let id = if id.is_empty() { "null".to_owned() } else { format!("\"{id}\"") };
    format!(r#"{{"event":"{word}","gateway":"{gateway}","vendor_id":{id}}}"#)
}

/// Name; events, each so many seconds after the code was issued; the vendor's name for what is
/// followed, if anything is.
type Case = (&'static str, Vec<(i64, String)>, Option<Option<&'static str>>);

#[tokio::test]
async fn the_one_message_that_somebody_waits_for_is_found() {
    let sent = |id| event("message-sent", "telnyx", id);
    let status = |id| event("message-status", "telnyx", id);
    let lost = |id| event("message-undelivered", "telnyx", id);
    let broken = "{\"event\":\"message-sent\",".to_owned();
    let by_plivo = |word| event(word, "plivo", "p-1");
    let cases: Vec<Case> = vec![
        ("sent", vec![(0, sent("m-1"))], Some(Some("m-1"))),
        ("without a name", vec![(0, sent(""))], Some(None)),
        ("no word of it", vec![], None),
        ("by another gateway", vec![(0, by_plivo("message-sent"))], None),
        (
            "by another gateway before",
            vec![(0, by_plivo("message-sent")), (1, sent("m-1"))],
            Some(Some("m-1")),
        ),
        ("of an earlier code", vec![(-1, sent("m-0")), (0, sent("m-1"))], Some(Some("m-1"))),
        ("only of an earlier code", vec![(-1, sent("m-0"))], None),
        ("one of two", vec![(0, sent("m-1")), (1, sent("m-2"))], None),
        ("delivered", vec![(0, sent("m-1")), (2, status("m-1"))], None),
        ("lost", vec![(0, sent("m-1")), (2, lost("m-1"))], None),
        ("told first", vec![(0, status("m-1")), (0, sent("m-1"))], None),
        ("an earlier code's", vec![(0, sent("m-1")), (2, status("m-0"))], Some(Some("m-1"))),
        (
            "another gateway's",
            vec![(0, sent("m-1")), (2, by_plivo("message-undelivered"))],
            Some(Some("m-1")),
        ),
        ("a call named by its report", vec![(0, sent("")), (2, status("v3:1"))], None),
        ("and one that cannot be read", vec![(0, sent("m-1")), (1, broken.clone())], None),
        ("only one that cannot be read", vec![(0, broken)], None),
    ];
    for (name, events, expected) in cases {
        let (house, token) = House::new();
        for (after, event) in events {
            house.event("alice", token, after, &event);
        }
        // Of another request and another account: nothing to do with it.
        house.event("alice", ChallengeToken([9; 16]), 0, &event("message-sent", "telnyx", "m-9"));
        house.event("bob", token, 0, &event("message-sent", "telnyx", "m-9"));
        let expected: Vec<_> = expected.into_iter().map(|id| id.map(str::to_owned)).collect();
        assert_eq!(house.found().await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_damaged_costs_no_other_its_following() {
    let damages: [(&str, &str); 4] = [
        ("an event", "UPDATE audit SET event = '{\"message-sent\"' WHERE account = 'alice'"),
        ("a login", "UPDATE login SET state = x'ff' WHERE account = 'alice'"),
        ("an enrollment", "UPDATE enrollment SET number = x'00' WHERE account = 'alice'"),
        ("no enrollment", "DELETE FROM enrollment WHERE account = 'alice'"),
    ];
    for (name, damage) in damages {
        let (mut house, alice) = House::new();
        let bob = house.start("bob", 2);
        house.event("alice", alice, 0, &event("message-sent", "telnyx", "m-1"));
        house.event("bob", bob, 0, &event("message-sent", "telnyx", "m-2"));
        assert_eq!(house.found().await.len(), 2, "{name}");
        house.db.execute_batch(damage).expect(name);
        assert_eq!(house.found().await, [Some("m-2".to_owned())], "{name}");
    }
}

#[tokio::test]
async fn a_number_that_nobody_waits_at_is_not_decrypted() {
    let (mut house, token) = House::new();
    house.event("alice", token, 0, &event("message-sent", "telnyx", "m-1"));
    house.scene.right(token);
    let login = house.scene.login("alice");
    rows::put_login(&house.db, house.keys.id, &account("alice"), &login).expect("a row");
    let bob = house.start("bob", 2);
    house.event("bob", bob, 0, &event("message-sent", "telnyx", "m-2"));
    let begun = Timestamp(house.scene.now.0 + 30_000);
    // With a key under which no number can be read, only who waits is lost.
    let other = MasterKey::from_bytes([2; 32]).derive();
    assert!(wanted(&house.db, &other, begun, 9).expect("a read").is_empty());
    assert_eq!(wanted(&house.db, &house.keys, begun, 9).expect("a read").len(), 1);
    assert_eq!(house.found().await, [Some("m-2".to_owned())]);
}

#[tokio::test]
async fn no_more_is_looked_for_or_looked_at_than_so_much() {
    let (mut house, alice) = House::new();
    let bob = house.start("bob", 2);
    let begun = Timestamp(house.scene.now.0 + 30_000);
    for (limit, expected) in [(0, 0), (1, 1), (2, 2), (9, 2)] {
        let wanted = wanted(&house.db, &house.keys, begun, limit).expect("a read");
        assert_eq!(wanted.len(), expected, "{limit}");
    }
    let of_this_run = wanted(&house.db, &house.keys, house.scene.now, 9).expect("a read");
    assert!(of_this_run.is_empty(), "this run follows its own by itself");
    house.event("alice", alice, 0, &event("message-sent", "telnyx", "m-1"));
    house.event("bob", bob, 0, &event("message-sent", "telnyx", "m-2"));
    house.event("bob", bob, 0, &event("code-wrong", "", ""));
    for (limit, expected) in [(1, 0), (2, 1), (3, 2), (9, 2)] {
        let mut wanted = wanted(&house.db, &house.keys, begun, 9).expect("a read");
        look_through(&house.db, house.scene.now, &mut wanted, limit).expect("a read");
        let found = wanted.into_values().filter_map(super::Wanted::found).count();
        assert_eq!(found, expected, "{limit}");
    }
}
