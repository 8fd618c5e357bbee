//! What the hosts of a database know of each other.

use std::time::Duration;

use super::{keys, testing};
use crate::{
    clock::{Agreement, Clock},
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::{Host, Instance},
        time::{DAY, HOUR, MINUTE, Timestamp},
    },
    keys::MasterKey,
    postgres_server::Server,
    store::{
        Chore, Deleted, GatewaySeen, Life, Presence, Reader, Rotation, Site, StoreError, Told,
        Twin, Use, Word, postgres::Postgres,
    },
};

fn word(run: u32, begun: Option<Timestamp>) -> Word {
    let gateway = GatewaySeen {
        name: "main".to_owned(),
        kind: "telnyx".to_owned(),
        state: Use::Resting,
        reason: Some("no credit".to_owned()),
    };
    let gateways = vec![gateway];
    let presence = Presence {
        version: "0.1.0".to_owned(),
        gateways,
        key: 1,
        next_key: Some(2),
        doubts: false,
    };
    Word { run: Instance(run), begun, presence, stopped: false }
}

async fn told(reader: &Reader, word: Word) -> Told {
    reader.tell(word).await.expect("a word")
}

/// The hosts as a reader lists them: name, run and how each stands.
async fn lives(reader: &Reader) -> Vec<(String, u32, Life)> {
    let hosts = reader.hosts().await.expect("a read");
    hosts.into_iter().map(|host| (host.name, host.run.0, host.life)).collect()
}

#[tokio::test]
async fn every_host_knows_of_every_other() {
    let server = Server::start();
    let [one, two] = [1, 2].map(|number| testing::reader(&server, keys(), number));
    let first = told(&one, word(7, None)).await;
    assert_eq!(first.twin, None);
    told(&two, word(8, None)).await;
    let found = two.hosts().await.expect("a read");
    assert_eq!(found.len(), 2);
    let host = &found[0];
    assert_eq!((host.name.as_str(), host.run, host.life), ("web1", Instance(7), Life::Running));
    assert_eq!((host.started_at, &host.presence), (first.at, &word(7, None).presence));
    // The same run goes on; another one of the same host takes its place.
    let again = told(&one, word(7, Some(first.at))).await;
    let found = two.hosts().await.expect("a read");
    assert_eq!((found[0].started_at, found[0].seen_at), (first.at, again.at));
    told(&one, word(9, None)).await;
    let both = |life| vec![("web1".to_owned(), 9, life), ("web2".to_owned(), 8, Life::Running)];
    assert_eq!(lives(&two).await, both(Life::Running));
    told(&one, Word { stopped: true, ..word(9, None) }).await;
    assert_eq!(lives(&two).await, both(Life::Stopped));
    server.execute("otpd", "UPDATE otpd.host SET stopped = false, seen_at = seen_at - 70000");
    assert_eq!(lives(&two).await[1].2, Life::Silent);
}

#[tokio::test]
async fn a_host_that_is_gone_for_long_is_forgotten() {
    let server = Server::start();
    let [one, two] = [1, 2].map(|number| testing::reader(&server, keys(), number));
    told(&one, word(7, None)).await;
    let aged = |days: u128| {
        let by = days * DAY.as_millis();
        server.execute("otpd", &format!("UPDATE otpd.host SET seen_at = seen_at - {by}"));
    };
    aged(29);
    told(&two, word(8, None)).await;
    assert_eq!(lives(&two).await.len(), 2);
    aged(2);
    told(&two, word(8, None)).await;
    assert_eq!(lives(&two).await, [("web2".to_owned(), 8, Life::Running)]);
}

#[tokio::test]
async fn a_row_that_nobody_understands_hides_no_other_and_not_itself() {
    let server = Server::start();
    let one = testing::reader(&server, keys(), 1);
    told(&one, word(7, None)).await;
    server.execute(
        "otpd",
        "INSERT INTO otpd.host SELECT E'a\\x1b[2J', run, machine, started_at, seen_at, stopped, details
         FROM otpd.host; INSERT INTO otpd.host VALUES ('b', 1, '', 0, 0, false, 'nonsense')",
    );
    let running = |name: &str| (name.to_owned(), 7, Life::Running);
    let unknown = ("b".to_owned(), 1, Life::Silent);
    assert_eq!(lives(&one).await, [running("a[2J"), unknown, running("web1")]);
}

#[tokio::test]
async fn two_daemons_that_pass_for_one_are_found() {
    let server = Server::start();
    let now = told(&testing::reader(&server, keys(), 3), word(1, None)).await.at;
    let long_ago = Some(now.before(HOUR));
    let [one, clone] = [1, 1].map(|number| testing::reader(&server, keys(), number));
    assert_eq!(told(&one, word(7, long_ago)).await.twin, None, "alone");
    assert_eq!(told(&clone, word(8, long_ago)).await.twin, Some(Twin::Machine));
    assert_eq!(told(&one, word(7, long_ago)).await.twin, Some(Twin::Machine), "at both");
    // The same name on another machine.
    let site = Site { host: Host([9; 16]), name: "web3".to_owned(), state: None };
    let other = Postgres::open(testing::settings(&server), keys(), site).expect("a database");
    let other = Reader::postgres(&other).expect("a thread");
    assert_eq!(told(&other, word(9, long_ago)).await.twin, Some(Twin::Name));

    // Who was killed before this one began, and who stopped, is none.
    told(&clone, Word { stopped: true, ..word(8, long_ago) }).await;
    assert_eq!(told(&one, word(7, long_ago)).await.twin, None);
    let begun = told(&clone, word(8, long_ago)).await.at;
    let soon = Some(begun.before(Duration::from_secs(1)));
    assert_eq!(told(&one, word(10, soon)).await.twin, None, "its last word may come late");
    let since = Some(begun.after(MINUTE));
    assert_eq!(told(&one, word(11, since)).await.twin, None);
    assert_eq!(lives(&one).await.iter().filter(|host| host.0 == "web1").count(), 1);
}

#[tokio::test]
async fn a_word_waits_for_no_standby_and_keeps_no_decision() {
    let server = Server::start();
    let one = testing::reader(&server, keys(), 1);
    told(&one, word(7, None)).await;
    // A row that somebody holds keeps a word back; what is decided goes on.
    let store = super::serve(testing::open(&server, keys(), 1).expect("a database"));
    let connector =
        super::super::connect::Connector::new(testing::settings(&server)).expect("a way");
    let mut session = connector.connect().await.expect("a server");
    session.begin(super::super::Purpose::Decide).await.expect("a transaction");
    session.simple("SELECT FROM otpd.host FOR UPDATE").await.expect("a lock");
    assert!(one.tell(word(7, None)).await.is_err(), "it gives up");
    super::charge(&store, "alice").await.expect("a commit");
    session.rollback().await.expect("the end");
    // A commit that waits for a standby which is not there never ends.
    server.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.execute("postgres", "SELECT pg_reload_conf()");
    let waits = || server.sql("postgres", "SHOW synchronous_standby_names") == "nobody";
    assert!((0..1000).any(|_| waits()));
    told(&one, word(7, None)).await;
}

fn plan(next: u8) -> Chore {
    let next = MasterKey::from_bytes([next; 32]).derive().after(&keys());
    let event = AuditEvent {
        at: super::NOW,
        request: None,
        account: Account::host(),
        actor: Actor::Uid(0),
        event: Event::KeyRotated { key: "00c0ffee".to_owned(), numbers: 0 },
    };
    Chore::Rotate(Box::new(Rotation { next, event }))
}

#[tokio::test]
async fn every_host_leaves_the_key_that_one_has_rotated() {
    let server = Server::start();
    let [one, two] = [1, 2]
        .map(|number| super::serve(testing::open(&server, keys(), number).expect("a database")));
    let postgres = testing::open(&server, keys(), 2).expect("a database");
    let reader = Reader::postgres(&postgres).expect("a thread");
    told(&reader, word(7, None)).await;
    assert_eq!(one.tidy(plan(2)).await, Ok(0));
    // Decisions, reads and words alike: nothing is done by the key from before.
    assert!(!two.rekeyed().holds());
    assert_eq!(super::charge(&two, "alice").await, Err(StoreError::Unavailable));
    assert!(two.rekeyed().holds(), "it knows why");
    assert!(reader.newest_event().await.is_err());
    assert!(reader.tell(word(7, None)).await.is_err());
    // Another rotation, by who does not know of the first, is refused.
    let late = super::serve(postgres);
    assert_eq!(late.tidy(plan(3)).await, Err(StoreError::Unavailable));
    assert!(late.rekeyed().holds());
    let next = MasterKey::from_bytes([2; 32]).derive();
    let now = super::serve(testing::open(&server, next, 2).expect("the next key"));
    super::charge(&now, "alice").await.expect("a commit");
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.rekeyed"), "0");
}

#[tokio::test]
async fn a_rotation_does_not_wait_for_ever_and_leaves_no_trace() {
    let server = Server::start();
    let store = super::serve(testing::open(&server, keys(), 1).expect("a database"));
    super::charge(&store, "alice").await.expect("a commit");
    let connector =
        super::super::connect::Connector::new(testing::settings(&server)).expect("a way");
    let mut session = connector.connect().await.expect("a server");
    session.begin(super::super::Purpose::Decide).await.expect("somebody decides, and hangs");
    assert_eq!(store.tidy(plan(2)).await, Err(StoreError::Unavailable));
    session.rollback().await.expect("the end");
    assert!(!store.rekeyed().holds());
    assert_eq!(super::charge(&store, "alice").await, Ok(2), "as before");
}

#[tokio::test]
async fn another_database_is_not_taken_for_the_one_before() {
    let server = Server::start();
    let store = super::serve(testing::open(&server, keys(), 1).expect("a database"));
    super::charge(&store, "alice").await.expect("a commit");
    let gone = |way: &str| {
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                   WHERE datname IN ('otpd', 'first')";
        server.execute("postgres", end);
        server.execute("postgres", way);
    };
    // A copy in its place, as one is made when a server is cloned: all rows are the same.
    gone("ALTER DATABASE otpd RENAME TO first");
    gone("CREATE DATABASE otpd TEMPLATE first OWNER otpd");
    assert_eq!(super::charge(&store, "alice").await, Err(StoreError::Unavailable));
    let copy = super::serve(testing::open(&server, keys(), 1).expect("whoever begins with it"));
    assert_eq!(super::charge(&copy, "alice").await, Ok(2));
    drop(copy);
    gone("DROP DATABASE otpd WITH (FORCE)");
    gone("ALTER DATABASE first RENAME TO otpd");
    let back = async {
        while super::charge(&store, "alice").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, back).await.expect("the one that it began with");
    // And one that nobody knows any more is not decided on.
    server.execute("otpd", "UPDATE otpd.meta SET name = 'once' WHERE name = 'database'");
    for _ in 0..3 {
        assert_eq!(super::charge(&store, "alice").await, Err(StoreError::Unavailable));
    }
    server.execute("otpd", "UPDATE otpd.meta SET name = 'database' WHERE name = 'once'");
    assert!(super::charge(&store, "alice").await.is_ok());
}

#[tokio::test]
async fn what_one_host_doubts_no_host_forgets_by() {
    let server = Server::start();
    let store = super::serve(testing::open(&server, keys(), 1).expect("a database"));
    let [one, two] = [1, 2].map(|number| testing::reader(&server, keys(), number));
    super::charge(&store, "alice").await.expect("a commit");
    super::charge(&store, "bob").await.expect("a commit");
    // A year later, by a clock that this host has no reason to doubt.
    let later = Clock::from_fn(|| super::NOW.after(400 * DAY));
    let events = || server.sql("otpd", "SELECT count(*) FROM otpd.audit");
    let mut doubting = word(8, None);
    doubting.presence.doubts = true;
    told(&two, doubting.clone()).await;
    let deleted = store.forget(&one, &later, DAY).await.expect("a round");
    assert_eq!((deleted, events()), (Deleted::default(), "2".to_owned()));
    // Who is gone, or doubts no more, keeps nobody from it.
    told(&two, word(8, None)).await;
    store.forget(&one, &later, DAY).await.expect("a round");
    assert_eq!(events(), "1", "all but the newest");
    super::charge(&store, "alice").await.expect("a commit");
    told(&two, Word { stopped: true, ..doubting }).await;
    store.forget(&one, &later, DAY).await.expect("a round");
    assert_eq!(events(), "1");
}

#[tokio::test]
async fn a_host_that_is_new_knows_what_time_it_was_for_others() {
    let server = Server::start();
    let engine = testing::open(&server, keys(), 1).expect("a database");
    let (_, now) = engine.times();
    let store = super::serve(engine);
    let wall = now.after(7 * DAY);
    let agreement = Agreement { wall, uptime: HOUR, boot: None };
    store.tidy(Chore::Agreed { agreement, event: None }).await.expect("written down");
    let (known, _) = testing::open(&server, keys(), 2).expect("another host").times();
    assert_eq!(known.map(|known| known.wall), Some(wall), "a clock behind that is in doubt");
}
