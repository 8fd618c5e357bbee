//! What the hosts of a database know of each other.

use std::time::Duration;

use super::{keys, testing};
use crate::{
    domain::{
        challenge::{Host, Instance},
        time::{DAY, HOUR, MINUTE, Timestamp},
    },
    postgres_server::Server,
    store::{GatewaySeen, Life, Presence, Reader, Site, Told, Twin, Use, Word, postgres::Postgres},
};

fn word(run: u32, begun: Option<Timestamp>) -> Word {
    let gateway = GatewaySeen {
        name: "main".to_owned(),
        kind: "telnyx".to_owned(),
        state: Use::Resting,
        reason: Some("no credit".to_owned()),
    };
    let presence = Presence { version: "0.1.0".to_owned(), gateways: vec![gateway] };
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
async fn a_row_that_nobody_understands_hides_no_other() {
    let server = Server::start();
    let one = testing::reader(&server, keys(), 1);
    told(&one, word(7, None)).await;
    server.execute(
        "otpd",
        "INSERT INTO otpd.host SELECT E'a\\x1b[2J', run, machine, started_at, seen_at, stopped, details
         FROM otpd.host; INSERT INTO otpd.host VALUES ('b', 1, '', 0, 0, false, 'nonsense')",
    );
    let running = |name: &str| (name.to_owned(), 7, Life::Running);
    assert_eq!(lives(&one).await, [running("a[2J"), running("web1")]);
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
    let site = Site { host: Host([9; 16]), name: "web3".to_owned() };
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
