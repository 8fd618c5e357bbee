//! What the server says no to, and rows that are not what they should be.

use super::{Postgres, StoreError, charge, charged, keys, scope, serve, testing};
use crate::{
    clock::Clock,
    domain::{
        account::Account,
        budget::Purse,
        challenge::Channel,
        enrollment::NumberIndex,
        passcode::ChallengeToken,
        records::{Decided, Records},
    },
    postgres_server::Server,
    store::{Chore, Damage, Scope, Store},
};

fn opened(server: &Server) -> Postgres {
    testing::open(server, keys(), 1).expect("a database")
}

/// Has the server answer changes of logins with an error of this name, as long as `when` holds.
fn refuse(server: &Server, error: &str, when: &str) {
    server.execute("otpd", "DROP FUNCTION IF EXISTS otpd.refuse CASCADE");
    server.execute("otpd", "DROP SEQUENCE IF EXISTS otpd.refusals");
    server.execute("otpd", "CREATE SEQUENCE otpd.refusals");
    let refuse = format!(
        "CREATE FUNCTION otpd.refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF {when} THEN RAISE {error}; END IF; RETURN new; END $$"
    );
    server.execute("otpd", &refuse);
    server.execute("otpd", "GRANT ALL ON ALL SEQUENCES IN SCHEMA otpd TO otpd");
    server.execute(
        "otpd",
        "CREATE TRIGGER refuse BEFORE UPDATE ON otpd.login FOR EACH ROW
         EXECUTE FUNCTION otpd.refuse()",
    );
}

#[tokio::test]
async fn what_collided_is_run_again_once() {
    let server = Server::start();
    let store = serve(opened(&server));
    refuse(&server, "serialization_failure", "nextval('otpd.refusals') = 1");
    assert_eq!(charge(&store, "alice").await, Ok(1), "the second time");
    refuse(&server, "deadlock_detected", "nextval('otpd.refusals') > 0");
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Unavailable), "not for ever");
    assert_eq!(server.sql("otpd", "SELECT last_value FROM otpd.refusals"), "2");
    assert_eq!(charged(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_full_disk_of_the_server_is_said_so_until_there_is_room() {
    let server = Server::start();
    let store = serve(opened(&server));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    refuse(&server, "disk_full", "true");
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Full));
    assert!(store.shortage().holds());
    assert_eq!(charged(&store, "alice").await, Ok(1), "what needs no room goes on");
    assert!(store.shortage().holds(), "and is no sign of room");
    server.execute("otpd", "DROP TRIGGER refuse ON otpd.login");
    assert_eq!(charge(&store, "alice").await, Ok(2));
    assert!(!store.shortage().holds());
    assert_eq!(store.tidy(Chore::Reserve).await, Ok(0));
}

#[tokio::test]
async fn a_damaged_row_is_one_accounts_alone() {
    let server = Server::start();
    let store = serve(opened(&server));
    for name in ["alice", "bob"] {
        assert_eq!(charge(&store, name).await, Ok(1));
    }
    server.execute("otpd", "UPDATE otpd.login SET state = '\\x85' WHERE account = 'alice'");
    // Together in one batch, and one by one.
    for count in 2..6 {
        let (alice, bob) = tokio::join!(charge(&store, "alice"), charge(&store, "bob"));
        assert_eq!((alice, bob), (Err(StoreError::Damaged(Damage::Logins)), Ok(count)));
    }
    let reader = testing::reader(&server, keys(), 1);
    assert_eq!(reader.bypasses(super::NOW).await.map(|all| all.len()), Ok(0));
    assert!(reader.stale(None, super::NOW).await.is_ok_and(|page| page.stale.is_empty()));
}

#[tokio::test]
async fn a_write_that_misses_a_row_is_not_committed() {
    let server = Server::start();
    let store = serve(opened(&server));
    let number = NumberIndex([7; 16]);
    // Of the account, and of the number: how many messages there are then.
    let count = async || {
        let account = Account::new("alice").expect("a name");
        let decide = move |records: &Records, now| {
            let mut records = records.clone();
            let token = ChallengeToken([9; 16]);
            records.login.messages.charge(token, Channel::Sms, Purse::Common, now);
            let of_account = records.login.messages.in_a_day(now);
            let budget = records.number_budget(number).expect("it is named");
            budget.messages.charge(token, Channel::Sms, Purse::Common, now);
            let answer = (of_account, budget.messages.in_a_day(now));
            Decided { records, audit: Vec::new(), answer }
        };
        store.transact(Scope::Number { account, number }, decide).await
    };
    assert_eq!(count().await, Ok((1, 1)));
    let miss = "CREATE FUNCTION miss() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RETURN NULL; END $$";
    server.execute("otpd", miss);
    for table in ["login", "budget"] {
        let trigger = format!(
            "CREATE TRIGGER miss BEFORE UPDATE ON otpd.{table} FOR EACH ROW EXECUTE FUNCTION miss()"
        );
        server.execute("otpd", &trigger);
        assert_eq!(count().await, Err(StoreError::Unavailable), "{table}");
        server.execute("otpd", &format!("DROP TRIGGER miss ON otpd.{table}"));
    }
    assert_eq!(count().await, Ok((2, 2)));
}

#[tokio::test]
async fn a_decision_that_panics_leaves_nothing_locked() {
    let server = Server::start();
    let (store, other) = (serve(opened(&server)), serve(opened(&server)));
    let panics = |_: &Records, _| -> Decided<()> { panic!("as planned") };
    assert_eq!(store.transact(scope("alice"), panics).await, Err(StoreError::Unavailable));
    assert_eq!(charge(&other, "alice").await, Ok(1));
    assert_eq!(charge(&store, "alice").await, Ok(2));
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.login"), "1");
}

#[tokio::test]
async fn a_decision_that_changes_nothing_leaves_no_row() {
    let server = Server::start();
    let clock = Clock::from_fn(|| super::NOW);
    let (store, thread) =
        Store::start(opened(&server), clock, std::sync::Arc::new(|_| ())).expect("a thread");
    assert_eq!(charged(&store, "nobody").await, Ok(0));
    assert!(store.answers().await);
    drop(store);
    thread.join().expect("it ends in order");
    for table in ["login", "budget", "audit"] {
        assert_eq!(server.sql("otpd", &format!("SELECT count(*) FROM otpd.{table}")), "0");
    }
}
