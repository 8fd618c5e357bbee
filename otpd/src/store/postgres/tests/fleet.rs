//! Several hosts on one database.

use std::{sync::Arc, thread};

use super::{
    super::{connect::Connector, lock::Wanted, session::Purpose},
    NOW, Store, StoreError, alice, charge, charged, keys, scope, serve, testing,
};
use crate::{
    clock::Clock,
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::{Challenge, End, Instance, Issuer, Judgement},
        enrollment::NumberIndex,
        passcode::{ChallengeToken, Passcode},
        records::{Decided, Records},
        time::{DAY, Timestamp},
    },
    postgres_server::Server,
    store::{Scope, Trail, conformance::issued},
};

fn hosts(server: &Server, number: u8) -> Vec<Store> {
    let host = |number| serve(testing::open(server, keys(), number).expect("a database"));
    (1..=number).map(host).collect()
}

/// A challenge of alice's that a host issued, and its code.
fn challenge(seed: u64, host: u8, instance: u32) -> (Challenge, Passcode) {
    let host = Some(testing::host(host).host);
    let issuer = Issuer { key: keys().code, instance: Instance(instance), host };
    issued(seed, &issuer)
}

async fn store_challenge(store: &Store, challenge: Challenge) {
    let issue = move |records: &Records, _| {
        let mut records = records.clone();
        records.login.challenges.push(challenge.clone());
        Decided { records, audit: Vec::new(), answer: () }
    };
    store.transact(alice(), issue).await.expect("a commit");
}

/// Answers with the right code; whether that let anybody in.
async fn answer(store: &Store, token: ChallengeToken, code: Passcode) -> Result<bool, StoreError> {
    let key = keys().code;
    let decide = move |records: &Records, now| {
        let mut records = records.clone();
        let account = records.account.clone().expect("it is known");
        let mut all = records.login.challenges.iter_mut();
        let challenge = all.find(|challenge| challenge.token == token).expect("it is stored");
        let right = challenge.judge(&account, &key, &code) == Judgement::Right;
        let granted = right && challenge.end(End::Used, now);
        Decided { records, audit: Vec::new(), answer: granted }
    };
    store.transact(Scope::Challenge(token), decide).await
}

#[tokio::test]
async fn of_64_right_answers_at_four_hosts_one_is_granted() {
    let server = Server::start();
    let hosts = hosts(&server, 4);
    for round in 0..10 {
        let (issued, code) = challenge(round, 1, 1);
        let token = issued.token;
        store_challenge(&hosts[0], issued).await;
        let answers = (0..64).map(|nth| {
            let (store, code) = (hosts[nth % hosts.len()].clone(), code.clone());
            tokio::spawn(async move { answer(&store, token, code).await })
        });
        let (mut granted, mut refused) = (0, 0);
        for answered in answers.collect::<Vec<_>>() {
            match answered.await.expect("a task") {
                Ok(true) => granted += 1,
                Ok(false) | Err(StoreError::Unavailable) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((granted, refused), (1, 63), "round {round}");
    }
}

#[tokio::test]
async fn no_count_is_lost_between_hosts_and_none_waits_crosswise() {
    let server = Server::start();
    let hosts = hosts(&server, 4);
    let names = ["alice", "bob", "carol", "dave"];
    let all = (0..400).map(|nth| {
        let (store, name) = (hosts[nth % hosts.len()].clone(), names[nth / hosts.len() % 4]);
        tokio::spawn(async move { charge(&store, name).await })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.expect("a task").expect("a commit");
    }
    for name in names {
        for store in &hosts {
            assert_eq!(charged(store, name).await, Ok(100), "{name}, on whichever host");
        }
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'otpd'";
    assert_eq!(server.sql("otpd", deadlocks), "0");
}

#[tokio::test]
async fn rows_that_come_and_go_keep_their_locks() {
    let server = Server::start();
    let hosts = hosts(&server, 3);
    // Each makes the row or deletes it: what was there decides.
    let turn = |records: &Records, now| {
        let mut records = records.clone();
        let empty = records.login.failures.within(DAY, now) == 0;
        if empty {
            records.login.failures.charge(crate::domain::budget::Purse::Common, now);
        } else {
            records.login = crate::domain::login::LoginState::default();
        }
        Decided { records, audit: Vec::new(), answer: empty }
    };
    let all = (0..300).map(|nth| {
        let store = hosts[nth % hosts.len()].clone();
        tokio::spawn(async move { store.transact(alice(), turn).await })
    });
    let (mut made, mut deleted) = (0_i32, 0_i32);
    for task in all.collect::<Vec<_>>() {
        match task.await.expect("a task") {
            Ok(true) => made += 1,
            Ok(false) => deleted += 1,
            // The row went while it was waited for, again and again.
            Err(error) => assert_eq!(error, StoreError::Unavailable),
        }
    }
    let left = server.sql("otpd", "SELECT count(*) FROM otpd.login");
    assert_eq!((made - deleted).to_string(), left, "{made} made, {deleted} deleted");
}

/// Rows of a table, of which one goes while it is waited for, and is there again, made by somebody else,
/// by the time that the other is locked; the states that are told then.
async fn told_of(scope: &[Scope], table: &str, rows: [&str; 2]) -> Vec<Option<Vec<u8>>> {
    let server = Server::start();
    drop(testing::open(&server, keys(), 1).expect("a database"));
    let connector = Connector::new(testing::settings(&server)).expect("a way");
    let begin = async || {
        let mut session = connector.connect().await.expect("a server");
        // The one that waits for minutes.
        session.begin(Purpose::Migrate).await.expect("a transaction");
        let pid = session.simple("SELECT pg_backend_pid()").await.expect("a number");
        (session, pid[0].get(0).expect("a number").to_owned())
    };
    let [first, second] = rows.map(|row| format!("FROM otpd.{table} WHERE {row}"));
    let make = match table {
        "login" => "INSERT INTO otpd.login VALUES ('alice', 1, '')",
        _ => "INSERT INTO otpd.budget VALUES (1, decode(repeat('0a', 16), 'hex'), 0, 1, '', 0)",
    };
    server.execute("otpd", make);
    let ((mut one, one_pid), (mut two, two_pid)) = (begin().await, begin().await);
    one.simple(&format!("SELECT {first} FOR UPDATE")).await.expect("a lock");
    server.execute("otpd", &make.replace("alice", "bob").replace("0a", "0b"));
    two.simple(&format!("SELECT {second} FOR UPDATE")).await.expect("a lock");
    let (late, pid) = begin().await;
    let blocked_by = async |by: &str| {
        let asked = format!("SELECT {by} = ANY(pg_blocking_pids({pid}))");
        while server.sql("otpd", &asked) != "t" {
            tokio::task::yield_now().await;
        }
    };
    let (wanted, keys) = (Wanted::of(scope), keys());
    let others = async {
        blocked_by(&one_pid).await;
        one.simple(&format!("DELETE {first}")).await.expect("it was locked");
        one.commit().await.expect("a commit");
        blocked_by(&two_pid).await;
        server.execute("otpd", make);
        two.rollback().await.expect("the end");
    };
    let (rows, ()) = tokio::join!(wanted.lock(&late, &keys), others);
    let (accounts, numbers) = rows.expect("no error");
    let told = if table == "login" { accounts } else { numbers };
    told.iter().map(|row| row.get::<_, Option<Vec<u8>>>(2)).collect()
}

#[tokio::test]
async fn a_row_that_was_made_anew_meanwhile_is_not_taken_for_locked() {
    let accounts = [alice(), scope("bob")];
    let told = told_of(&accounts, "login", ["account = 'alice'", "account = 'bob'"]).await;
    assert_eq!(told, [None, None]);
    let number = |byte| Scope::Number {
        account: Account::new("alice").expect("a name"),
        number: NumberIndex([byte; 16]),
    };
    let rows = ["get_byte(key, 0) = 10", "get_byte(key, 0) = 11"];
    let told = told_of(&[number(10), number(11)], "budget", rows).await;
    assert_eq!(told, [None, None]);
}

#[test]
fn hosts_that_start_at_once_make_one_schema() {
    let server = Server::start();
    let settings = testing::settings(&server);
    thread::scope(|scope| {
        let open = |number| {
            let settings = settings.clone();
            scope.spawn(move || {
                super::Postgres::open(settings, keys(), testing::host(number)).map(drop)
            })
        };
        let opened = [1, 2, 3, 4, 5, 6].map(open).map(|host| host.join().expect("no panic"));
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    });
    let history = "SELECT count(*), max(version) FROM otpd.refinery_schema_history";
    assert_eq!(server.sql("otpd", history), format!("{0}|{0}", super::super::schema::SCHEMA));
}

#[tokio::test]
async fn a_host_takes_up_its_own_lost_codes_and_no_others() {
    let server = Server::start();
    let hosts = hosts(&server, 2);
    let ((first, _), (second, _)) = (challenge(1, 1, 7), challenge(2, 2, 8));
    let (own, other) = (first.token, second.token);
    store_challenge(&hosts[0], first).await;
    store_challenge(&hosts[1], second).await;
    let lost = async |host, instance| {
        let reader = testing::reader(&server, keys(), host);
        reader.lost(Instance(instance), NOW).await.expect("a read")
    };
    assert_eq!(lost(1, 9).await, [own], "after a restart");
    assert_eq!(lost(2, 9).await, [other]);
    assert_eq!(lost(1, 7).await, [], "the run that holds it");
    assert_eq!(lost(3, 9).await, [], "a host that never issued one");
}

#[tokio::test]
async fn a_host_tells_who_was_let_in_by_it_and_nobody_else() {
    let server = Server::start();
    let hosts = hosts(&server, 2);
    for (host, user) in [(1_u8, "alice"), (2, "bob")] {
        let (issued, _) = challenge(u64::from(host), host, 7);
        let decide = move |records: &Records, _| {
            let mut records = records.clone();
            records.login.recovery.tell(issued.token);
            // One that another host issued lies beside it.
            let (other, _) = challenge(u64::from(10 + host), 3 - host, 7);
            records.login.challenges = [other, issued.clone()].into();
            Decided { records, audit: Vec::new(), answer: () }
        };
        hosts[0].transact(scope(user), decide).await.expect("a commit");
    }
    let untold = async |host| testing::reader(&server, keys(), host).untold().await;
    assert_eq!(untold(1).await, Ok(vec![challenge(1, 1, 7).0.token]));
    assert_eq!(untold(2).await, Ok(vec![challenge(2, 2, 7).0.token]));
    assert_eq!(untold(3).await, Ok(vec![]));
}

fn unlocked(at: Timestamp) -> AuditEvent {
    let account = Account::new("alice").expect("a name");
    AuditEvent { at, request: None, account, actor: Actor::Uid(0), event: Event::Unlocked {} }
}

async fn write_down(store: &Store, name: &str) -> Result<(), StoreError> {
    let decide = |records: &Records, now| Decided {
        records: records.clone(),
        audit: vec![unlocked(now)],
        answer: (),
    };
    store.transact(scope(name), decide).await
}

#[tokio::test]
async fn whoever_follows_the_trail_misses_nothing_and_reads_nothing_twice() {
    let server = Server::start();
    let hosts = hosts(&server, 4);
    let reader = testing::reader(&server, keys(), 1);
    let writers = (0..200).map(|nth| {
        let store = hosts[nth % hosts.len()].clone();
        tokio::spawn(async move { write_down(&store, &format!("u{nth}")).await })
    });
    let mut writers = writers.collect::<Vec<_>>();
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let over = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let page = reader.events(Trail::default(), after, i64::MAX, 7).await.expect("a read");
        if over && page.is_empty() {
            break;
        }
        after = page.last().map_or(after, |last| last.id);
        seen.extend(page.iter().map(|row| row.id));
    }
    for writer in writers.drain(..) {
        writer.await.expect("a task").expect("a commit");
    }
    let ids = server.sql("otpd", "SELECT id FROM otpd.audit ORDER BY id");
    let ids = ids.lines().map(|id| id.parse().expect("a number")).collect::<Vec<i64>>();
    assert_eq!(seen, ids);
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_not_passed_over() {
    let server = Server::start();
    let hosts = hosts(&server, 2);
    let reader = testing::reader(&server, keys(), 1);
    // A transaction that began to write, and whose row somebody else holds up until later.
    let slow = thread::scope(|scope| {
        let (settings, slow) = (testing::settings(&server), &hosts[1]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let held = scope.spawn(move || {
            let connector = Connector::new(settings).expect("a way");
            runtime.expect("a runtime").block_on(async {
                let mut session = connector.connect().await.expect("a server");
                session.begin(Purpose::Decide).await.expect("a transaction");
                let insert = "INSERT INTO otpd.audit SELECT
                              (pg_current_xact_id()::text::bigint << 16) + 1, 1, NULL, 'late',
                              '\"daemon\"', '{\"event\":\"unlocked\"}'";
                session.simple(insert).await.expect("a row");
                write_down(slow, "bob").await.expect("a commit of another host");
                let before = reader.events(Trail::default(), 0, i64::MAX, 9).await.expect("a read");
                let newest = reader.newest_event().await.expect("a read");
                session.commit().await.expect("a commit");
                (before, newest, reader)
            })
        });
        held.join().expect("no panic")
    });
    let (before, newest, reader) = slow;
    assert!(before.is_empty(), "bob's is after one that may still come: {before:?}");
    assert_eq!(newest, 0);
    let all = reader.events(Trail::default(), 0, i64::MAX, 9).await.expect("a read");
    let accounts = all.iter().map(|row| row.account.as_str()).collect::<Vec<_>>();
    assert_eq!(accounts, ["late", "alice"]);
    assert_eq!(all[1].details.get("host").and_then(|host| host.as_str()), Some("web2"));
}

#[tokio::test]
async fn ids_grow_on_a_server_whose_transactions_have_lower_numbers() {
    let server = Server::start();
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    write_down(&store, "alice").await.expect("a commit");
    // As after a dump of a server that had run for years was restored here.
    server.execute("otpd", "UPDATE otpd.audit SET id = 1::bigint << 50");
    drop(store);
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    write_down(&store, "alice").await.expect("a commit");
    let later = "SELECT count(*) FROM otpd.audit WHERE id > 1::bigint << 50";
    assert_eq!(server.sql("otpd", later), "1");
    let reader = testing::reader(&server, keys(), 1);
    let all = reader.events(Trail::default(), 0, i64::MAX, 9).await.expect("a read");
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn the_time_is_the_databases() {
    let server = Server::start();
    let engine = testing::open(&server, keys(), 1).expect("a database");
    let (stored, first) = engine.times();
    assert_eq!(stored, None);
    let clock = Clock::of_database(None, first).expect("a clock");
    let (store, _) = Store::start(engine, clock.clone(), Arc::new(|_| ())).expect("a thread");
    let look = |records: &Records, now| Decided::unchanged(records, now);
    let now = store.transact(alice(), look).await.expect("a decision");
    let there = server.sql("otpd", "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    let there = Timestamp(there.parse().expect("a number"));
    assert!(first <= now && now <= there && there.is_within(crate::domain::time::MINUTE, now));
    store.remember(&clock).await;
    let (stored, _) = testing::open(&server, keys(), 1).expect("the same").times();
    assert_eq!(stored, clock.agreement());
    let (others, _) = testing::open(&server, keys(), 2).expect("another host").times();
    let others = others.expect("what time it was");
    assert_eq!((others.uptime, others.boot), (std::time::Duration::ZERO, None), "another boot");
}
