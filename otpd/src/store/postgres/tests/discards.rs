//! What cannot be read is taken away by one host while others decide.

use super::{Postgres, keys, serve, testing};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::Channel,
        enrollment::{Enrollment, NumberIndex},
        phone::{Destination, Line},
        records::Records,
        time::Timestamp,
    },
    postgres_server::Server,
    store::{Chore, Engine, LostName, Scope},
};

const NOW: Timestamp = super::NOW;

fn alice() -> Account {
    Account::new("alice").expect("a name")
}

/// Has Alice's number be there, with what `count` makes of its limits.
async fn enroll(engine: &mut Postgres, count: impl FnOnce(&mut Records, NumberIndex)) {
    let destination = Destination {
        number: "+13125550123".parse().expect("a number"),
        country: "US".parse().expect("a country"),
        line: Line::FixedOrMobile,
    };
    let (index, range) = (keys().index(&destination.number), keys().range(&destination.number));
    let scope = Scope::Number { account: alice(), number: index };
    let mut working = engine.load(std::slice::from_ref(&scope)).await.expect("rows");
    let mut records = working.view(&scope);
    records.enrollment = Some(Enrollment::new(destination, index, range, Channel::Sms, NOW));
    count(&mut records, index);
    working.put(&scope, records, Vec::new());
    engine.commit(&mut working).await.expect("a commit");
}

fn event() -> AuditEvent {
    AuditEvent {
        at: NOW,
        request: None,
        account: alice(),
        actor: Actor::Uid(0),
        event: Event::DamagedRemoved { what: "number", name: None },
    }
}

fn spoil_the_number(server: &Server) {
    server.execute("otpd", "UPDATE otpd.enrollment SET number = '\\x85'");
}

#[tokio::test]
async fn what_is_discarded_is_locked_with_its_numbers_limits() {
    let server = Server::start();
    let mut engine = testing::open(&server, keys(), 1).expect("a database");
    let charge = |records: &mut Records, index| {
        records.number_budget(index).expect("read").charge_proof(NOW);
    };
    enroll(&mut engine, charge).await;
    spoil_the_number(&server);
    let mut session = engine.begun().await.expect("begun");
    assert_eq!(engine.discard(&session, &event()).await.expect("discarded"), 1);
    let free = |table: &str| {
        let lock =
            format!("SELECT count(*) FROM (SELECT FROM otpd.{table} FOR UPDATE SKIP LOCKED) x");
        server.sql("otpd", &lock)
    };
    assert_eq!([free("login"), free("budget")], ["0", "0"]);
    session.rollback().await.expect("given up");
    assert_eq!(free("budget"), "1", "it was there before, and is again");
}

#[tokio::test]
async fn what_is_made_to_be_locked_is_not_left_behind() {
    let server = Server::start();
    let mut engine = testing::open(&server, keys(), 1).expect("a database");
    enroll(&mut engine, |_, _| {}).await;
    spoil_the_number(&server);
    assert_eq!(engine.tidy(&Chore::Discard(Box::new(event()))).await, Ok(1));
    for table in ["enrollment", "login", "budget"] {
        let count = format!("SELECT count(*) FROM otpd.{table}");
        assert_eq!(server.sql("otpd", &count), "0", "{table}");
    }
}

#[tokio::test]
async fn upkeep_is_done_again_once_when_its_connection_had_ended() {
    let server = Server::start();
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(super::charge(&store, "alice").await, Ok(1));
    let end = "SELECT bool_and(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
               WHERE usename = 'otpd'";
    assert_eq!(server.sql("postgres", end), "t");
    let name = LostName::of("nobody's");
    let chore = Chore::DiscardLost { name, event: Box::new(event()) };
    assert_eq!(store.tidy(chore).await, Ok(0));
}

#[tokio::test]
async fn the_server_and_this_program_agree_on_what_no_account_is_called_by() {
    let server = Server::start();
    let reader = testing::reader(&server, keys(), 1);
    let fill = "INSERT INTO otpd.login (account, key_id, state)
                SELECT name, 1, '' FROM (
                  SELECT 'a' || chr(n) || 'b' FROM generate_series(1, 1000) AS n
                  UNION SELECT chr(n) FROM generate_series(8190, 8300) AS n
                  UNION SELECT repeat('x', n) FROM generate_series(0, 300) AS n
                  UNION SELECT repeat(chr(228), n) FROM generate_series(120, 140) AS n
                ) AS all_names (name)";
    server.execute("otpd", fill);
    let names = |from: u32, to: u32| (from..=to).filter_map(char::from_u32);
    let all = names(1, 1000).map(|c| format!("a{c}b"));
    let all = all.chain(names(8190, 8300).map(String::from));
    let all = all.chain((0..=300).map(|n| "x".repeat(n)));
    let all = all.chain((120..=140).map(|n| "\u{e4}".repeat(n)));
    let refused = all.filter_map(|name| LostName::or_account(name.as_bytes()).err());
    let refused = refused.collect::<std::collections::BTreeSet<_>>();
    assert!(refused.len() > 100, "{}", refused.len());
    assert_eq!(reader.lost_names().await, Ok(refused));
}
