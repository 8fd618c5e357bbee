//! Lines that are cut: before a commit, in it, and after.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    super::{PostgresError, rest_after},
    Postgres, PostgresSettings, Server, StoreError, charge, charged, keys, open, serve, testing,
};
use crate::postgres_server::Server as TestServer;

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Nothing that says this leaves for the server.
    Before(&'static [u8]),
    /// It arrives; no answer to it comes back.
    After(&'static [u8]),
}

/// A way to a server that is cut at some word, once.
struct Line {
    folder: tempfile::TempDir,
    /// Times that the word was said.
    said: Arc<AtomicUsize>,
}

impl Line {
    fn to(server: &TestServer, cut: Cut) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let behind = server.folder().join(".s.PGSQL.5432");
        let said = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&said);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, behind) = (client.expect("a client"), behind.clone());
                let count = Arc::clone(&count);
                std::thread::spawn(move || carry(client, &behind, cut, &count));
            }
        });
        Self { folder, said }
    }

    fn settings(&self) -> PostgresSettings {
        let folder = self.folder.path().to_owned();
        PostgresSettings {
            servers: vec![Server::Socket { folder, port: 5432 }],
            user: "otpd".to_owned(),
            database: "otpd".to_owned(),
            password: None,
            ca_file: None,
        }
    }
}

/// Carries both directions until an end closes, or the line is cut.
fn carry(mut client: UnixStream, behind: &Path, cut: Cut, said: &AtomicUsize) {
    let Ok(mut server) = UnixStream::connect(behind) else { return };
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answered = std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..length];
        let says = |word: &[u8]| sent.windows(word.len()).any(|window| window == word);
        let (word, arrives) = match cut {
            Cut::Before(word) => (word, false),
            Cut::After(word) => (word, true),
        };
        // The opening of the database commits too, and is let through; so is what comes later.
        if says(word) && says(b"xact_id_if_assigned()::text") && {
            said.fetch_add(1, Ordering::SeqCst) == 1
        } {
            // The client hears nothing any more, whatever the server answers.
            let _ = client.shutdown(std::net::Shutdown::Both);
            if arrives {
                let _ = server.write_all(sent);
                // The server closes once it has done what it was told.
                let _ = server.shutdown(std::net::Shutdown::Write);
            } else {
                let _ = server.shutdown(std::net::Shutdown::Both);
            }
            break;
        }
        if server.write_all(sent).is_err() {
            break;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Write);
    let _ = answered.join();
}

const COMMIT: &[u8] = b"COMMIT";

#[tokio::test]
async fn an_answer_to_a_commit_that_never_comes_is_a_denial_and_never_tried_again() {
    let server = TestServer::start();
    let line = Line::to(&server, Cut::After(COMMIT));
    let store = serve(open(line.settings()));
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Unknown));
    assert_eq!(charged(&store, "alice").await, Ok(1), "it was committed, once");
    assert_eq!(charge(&store, "alice").await, Ok(2), "a new line serves");
    assert_eq!(line.said.load(Ordering::SeqCst), 3, "of each commit one attempt");
}

#[tokio::test]
async fn a_commit_that_may_have_left_is_a_denial_too() {
    let server = TestServer::start();
    let line = Line::to(&server, Cut::Before(COMMIT));
    let store = serve(open(line.settings()));
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Unknown));
    assert_eq!(charged(&store, "alice").await, Ok(0));
    assert_eq!(charge(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_server_that_was_started_again_is_found_by_the_first_who_comes() {
    let mut server = TestServer::start();
    let engine = testing::open(&server, keys(), 1).expect("a database");
    let reader = testing::reader(&server, keys(), 1);
    let store = serve(engine);
    assert_eq!(charge(&store, "alice").await, Ok(1));
    let alice = || crate::domain::account::Account::new("alice").expect("a name");
    assert!(reader.account(alice()).await.is_ok());
    // It says farewell, or it does not: what was answered is there.
    for (ways, count) in [(TestServer::stop as fn(&mut TestServer), 2), (TestServer::kill, 3)] {
        ways(&mut server);
        server.go();
        assert_eq!(charge(&store, "alice").await, Ok(count));
        let read = reader.account(alice()).await.expect("a read");
        assert_eq!(read.login.messages.in_a_day(super::NOW), count);
    }
}

#[tokio::test]
async fn without_a_server_everything_is_denied_at_once_until_it_is_back() {
    let mut server = TestServer::start();
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    server.kill();
    for _ in 0..20 {
        assert_eq!(charge(&store, "alice").await, Err(StoreError::Unavailable));
    }
    server.go();
    // The pause between two attempts is over by itself.
    let back = async {
        loop {
            match charge(&store, "alice").await {
                Ok(count) => return count,
                Err(error) => assert_eq!(error, StoreError::Unavailable),
            }
            tokio::task::yield_now().await;
        }
    };
    let back = tokio::time::timeout(std::time::Duration::from_secs(5), back).await;
    assert_eq!(back, Ok(2), "nothing of what was denied counts");
}

#[tokio::test]
async fn a_server_that_is_away_from_the_start_is_said_so() {
    let mut server = TestServer::start();
    server.stop();
    let refused = testing::open(&server, keys(), 1).map(drop).expect_err("nobody is there");
    // Then a check of the configuration has found nothing wrong with that.
    assert!(refused.is_away() && !PostgresError::Unusable("?".to_owned()).is_away());
    let refused = refused.to_string();
    assert!(refused.contains("cannot be reached"), "{refused}");
    assert!(refused.contains("see that the server runs"), "{refused}");
    server.go();
    assert!(Postgres::open(testing::settings(&server), keys(), testing::host(1)).is_ok());
}

#[tokio::test]
async fn commits_that_wait_for_a_standby_that_is_gone_do_not_pile_up() {
    let server = TestServer::start();
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    server.set("synchronous_standby_names = 'gone'");
    server.execute("postgres", "SELECT pg_reload_conf()");
    // It takes notice in its own time.
    let ended = loop {
        if let Err(error) = charge(&store, "alice").await {
            break error;
        }
    };
    assert_eq!(ended, StoreError::Unknown);
    assert_eq!(charge(&store, "bob").await, Err(StoreError::Unavailable), "it rests");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let ended = async {
        while server.sql("postgres", waiting) != "0" {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_mins(1), ended).await;
    assert!(ended.is_ok(), "it waits with its locks");
}

#[test]
fn a_server_that_stays_away_is_looked_for_less_often_and_never_seldom() {
    let rests = std::iter::successors(Some(rest_after(None)), |rest| Some(rest_after(Some(*rest))));
    let milliseconds = rests.map(|rest| rest.as_millis()).take(8).collect::<Vec<_>>();
    assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
}
