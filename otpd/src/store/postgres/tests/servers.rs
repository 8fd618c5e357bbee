//! Servers that must not decide: standbys, primaries from before a failover, those that take no
//! changes; and those that can.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    super::{Uncommitted, rotate, trouble::Trouble},
    Postgres, PostgresSettings, StoreError, charge, charged, keys, open, serve, testing,
};
use crate::{
    domain::{account::Account, budget::Purse, time::Timestamp},
    postgres_server::Server as TestServer,
    store::{Engine, Scope, Site},
};

fn both(first: &TestServer, second: &TestServer) -> PostgresSettings {
    let mut settings = testing::settings(first);
    settings.servers.extend(testing::settings(second).servers);
    settings
}

#[tokio::test]
async fn a_standby_decides_nothing_and_the_one_that_takes_changes_is_found() {
    let mut primary = TestServer::start();
    let store = serve(testing::open(&primary, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    let standby = primary.standby();
    let refused = testing::open(&standby, keys(), 1).map(drop).expect_err("a standby").to_string();
    assert!(refused.contains("is a standby; name the primary"), "{refused}");

    let store = serve(open(both(&standby, &primary)));
    assert_eq!(charge(&store, "alice").await, Ok(2), "whichever is named first");
    // It ends in order: the standby has it all before.
    primary.stop();
    // What is told is what can be mended: that a standby is one is as it should be.
    let told = |settings| {
        let refused = Postgres::open(settings, keys(), testing::host(1)).map(drop);
        refused.expect_err("no primary").to_string()
    };
    let away = told(both(&standby, &primary));
    assert!(away.contains("cannot be reached"), "{away}");
    let mode = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(standby.folder(), mode).expect("a mode");
    };
    mode(0o1777);
    let open_to_all = told(both(&primary, &standby));
    assert!(open_to_all.contains("everybody may write to"), "{open_to_all}");
    mode(0o755);
    standby.promote();
    assert_eq!(charge_until_served(&store).await, 3, "by itself, after the failover");

    // The old primary comes back, and takes changes as before.
    primary.go();
    let store = serve(open(both(&primary, &standby)));
    assert_eq!(charged(&store, "alice").await, Ok(3), "of two, the one that has it all");
}

#[tokio::test]
async fn a_primary_from_before_a_failover_is_not_taken() {
    let mut primary = TestServer::start();
    drop(testing::open(&primary, keys(), 1).expect("a schema"));
    let mut standby = primary.standby();
    let store = serve(open(both(&primary, &standby)));
    primary.stop();
    standby.promote();
    assert_eq!(charge_until_served(&store).await, 1);
    standby.stop();
    primary.go();
    for _ in 0..5 {
        assert_eq!(charge(&store, "alice").await, Err(StoreError::Unavailable));
    }
    standby.go();
    assert_eq!(charge_until_served(&store).await, 2);
}

#[tokio::test]
async fn a_primary_from_before_a_failover_is_not_taken_after_a_restart_either() {
    let mut primary = TestServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let site = || Site { state: Some(folder.path().to_owned()), ..testing::host(1) };
    let opened = |settings| Postgres::open(settings, keys(), site());
    drop(opened(testing::settings(&primary)).expect("a schema"));
    let mut standby = primary.standby();
    let store = serve(opened(both(&primary, &standby)).expect("a database"));
    primary.stop();
    standby.promote();
    charge_until_served(&store).await;
    drop(store);
    // All that this host can reach when it starts is the old one.
    standby.stop();
    primary.go();
    let refused = opened(both(&primary, &standby)).map(drop).expect_err("the old one").to_string();
    assert!(refused.contains("an earlier run of otpd has seen timeline 2"), "{refused}");
    assert!(refused.contains("remove that file"), "{refused}");
    standby.go();
    let store = serve(opened(both(&primary, &standby)).expect("the new one"));
    assert_eq!(charge(&store, "alice").await, Ok(2));
    // Whoever knows better says so.
    standby.stop();
    std::fs::remove_file(folder.path().join("timeline")).expect("the file");
    opened(testing::settings(&primary)).expect("the old one, on an administrator's word");
}

#[tokio::test]
async fn a_host_whose_connection_stays_leaves_a_primary_from_before_a_failover() {
    let primary = TestServer::start();
    drop(testing::open(&primary, keys(), 1).expect("a schema"));
    let standby = primary.standby();
    let engine = open(both(&primary, &standby));
    let connector = engine.connector.clone();
    let store = serve(engine);
    assert_eq!(charge(&store, "alice").await, Ok(1));
    // Nobody stops the old one.
    standby.promote();
    super::super::watch::look(&connector).await;
    charge_until_served(&store).await;
    assert_eq!(charge(&store, "bob").await, Ok(1));
    let found = "SELECT count(*) FROM otpd.login WHERE account = 'bob'";
    let counts = [&primary, &standby].map(|server| server.sql("otpd", found));
    assert_eq!(counts, ["0", "1"], "on the new one alone");
}

#[tokio::test]
async fn what_was_begun_on_a_primary_from_before_a_failover_is_not_committed() {
    let primary = TestServer::start();
    drop(testing::open(&primary, keys(), 1).expect("a schema"));
    let standby = primary.standby();
    let mut engine = open(both(&primary, &standby));
    let scope = Scope::Account(Account::new("alice").expect("a name"));
    let mut working = engine.load(std::slice::from_ref(&scope)).await.expect("begun");
    standby.promote();
    let connector = engine.connector.clone();
    super::super::watch::look(&connector).await;
    let mut records = working.view(&scope);
    records.login.failures.charge(Purse::Common, Timestamp(1));
    working.put(&scope, records, Vec::new());
    assert_eq!(engine.commit(&mut working).await, Err(StoreError::Unavailable));
    engine.abort().await;
    let found = "SELECT count(*) FROM otpd.login";
    let counts = [&primary, &standby].map(|server| server.sql("otpd", found));
    assert_eq!(counts, ["0", "0"], "nobody heard of it");
}

#[tokio::test]
async fn upkeep_that_was_begun_on_a_primary_from_before_a_failover_is_not_committed() {
    let primary = TestServer::start();
    drop(testing::open(&primary, keys(), 1).expect("a schema"));
    let standby = primary.standby();
    let mut engine = open(both(&primary, &standby));
    let chore = engine.begun().await.expect("begun");
    let rotation = rotate::begin(&engine.connector).await.expect("begun");
    for (session, name) in [(&chore, "chore"), (&rotation, "rotation")] {
        let write = format!("INSERT INTO otpd.meta VALUES ('{name}', '')");
        session.simple(&write).await.expect("a row");
    }
    standby.promote();
    let connector = engine.connector.clone();
    super::super::watch::look(&connector).await;
    for session in [chore, rotation] {
        let ended = engine.finish(session).await;
        let outdated = Trouble::Outdated { found: 1, known: 2 }.to_string();
        match ended {
            Err(Uncommitted::Refused(trouble)) => assert_eq!(trouble.to_string(), outdated),
            other => panic!("{other:?}"),
        }
    }
    let found = "SELECT count(*) FROM otpd.meta WHERE name IN ('chore', 'rotation')";
    let counts = [&primary, &standby].map(|server| server.sql("otpd", found));
    assert_eq!(counts, ["0", "0"]);
}

#[tokio::test]
async fn a_newer_timeline_of_another_database_is_nothing_to_go_by() {
    let mut ours = TestServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let site = || Site { state: Some(folder.path().to_owned()), ..testing::host(1) };
    let opened = |settings| Postgres::open(settings, keys(), site());
    drop(opened(testing::settings(&ours)).expect("a schema"));
    // A database of the same name in another cluster, behind a name in store.url that is wrong.
    let foreign = TestServer::start();
    drop(testing::open(&foreign, keys(), 2).expect("a schema"));
    let newer = foreign.standby();
    let engine = opened(both(&ours, &newer)).expect("a database");
    let connector = engine.connector.clone();
    let store = serve(engine);
    assert_eq!(charge(&store, "alice").await, Ok(1));
    newer.promote();
    super::super::watch::look(&connector).await;
    assert_eq!(charge(&store, "alice").await, Ok(2), "a look at it changes nothing");
    // For a while it is all that can be reached.
    ours.stop();
    for _ in 0..5 {
        assert_eq!(charge(&store, "alice").await, Err(StoreError::Unavailable));
    }
    ours.go();
    assert_eq!(charge_until_served(&store).await, 3, "the right one, and no restart is needed");
    let found = "SELECT count(*) FROM otpd.login";
    assert_eq!(newer.sql("otpd", found), "0");
    drop(store);
    let kept = std::fs::read_to_string(folder.path().join("timeline")).expect("the file");
    assert!(kept.ends_with(" 1\n"), "{kept}");
    let store = serve(opened(testing::settings(&ours)).expect("the next start"));
    assert_eq!(charge(&store, "alice").await, Ok(4));
}

#[tokio::test]
async fn a_database_is_known_by_its_cluster_too() {
    let server = TestServer::start();
    let engine = testing::open(&server, keys(), 1).expect("a database");
    let session = engine.connector.connect().await.expect("a server");
    let found = &session.identity().expect("it was asked").database;
    // A dump that was restored into a cluster made alike has the same name, and the same number there.
    let cluster = server.sql("otpd", "SELECT system_identifier FROM pg_control_system()");
    assert!(found.contains(&format!("-{cluster}-")), "{found}");
}

/// Tries until a server is there again.
async fn charge_until_served(store: &crate::store::Store) -> usize {
    let served = async {
        loop {
            if let Ok(count) = charge(store, "alice").await {
                return count;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), served).await.expect("a server")
}

#[tokio::test]
async fn a_database_that_takes_no_changes_is_none() {
    let server = TestServer::start();
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    server.execute("postgres", "ALTER DATABASE otpd SET default_transaction_read_only = on");
    let refused = testing::open(&server, keys(), 1).map(drop).expect_err("read-only").to_string();
    assert!(refused.contains("is read-only; see why"), "{refused}");
    server.execute("postgres", "ALTER DATABASE otpd RESET default_transaction_read_only");
    assert_eq!(charge(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_commit_is_durable_whatever_the_database_is_set_to() {
    let server = TestServer::start();
    drop(testing::open(&server, keys(), 1).expect("a schema"));
    server.execute("postgres", "ALTER DATABASE otpd SET synchronous_commit = off");
    let connector = super::super::connect::Connector::new(testing::settings(&server));
    let mut session = connector.expect("a way").connect().await.expect("a server");
    session.begin(super::super::Purpose::Decide).await.expect("a transaction");
    let rows = session.simple("SHOW synchronous_commit").await.expect("a setting");
    assert_eq!(rows[0].get(0), Some("on"));
}

#[tokio::test]
async fn a_transaction_that_the_server_gave_up_is_not_committed() {
    let server = TestServer::start();
    drop(testing::open(&server, keys(), 1).expect("a schema"));
    let connector = super::super::connect::Connector::new(testing::settings(&server));
    let mut session = connector.expect("a way").connect().await.expect("a server");
    session.begin(super::super::Purpose::Decide).await.expect("a transaction");
    let write = "INSERT INTO otpd.meta VALUES ('x', '')";
    session.simple(write).await.expect("a row");
    session.simple(write).await.expect_err("the same row");
    // Refused, and nothing of it is left on the connection.
    let mut engine = testing::open(&server, keys(), 1).expect("a database");
    let ended = engine.finish(session).await;
    assert!(matches!(ended, Err(Uncommitted::Refused(_))), "{ended:?}");
    let kept = engine.idle.as_ref().expect("it serves again");
    kept.simple("SELECT 1").await.expect("no failed transaction");
}
