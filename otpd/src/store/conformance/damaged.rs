//! Rows that cannot be read: by rot, by a hand that changed them, or because their key is gone.

use std::{collections::BTreeSet, time::Duration};

use super::{
    NOW, Running, Subject, account, behaviours::issued, changing, faults::Gate, keys,
    rotation::rotation, town::Town,
};
use crate::{
    domain::{
        audit::{Actor, AuditEvent, Event},
        budget::Purse,
        bypass::{BypassId, GrantBypass, Wanted},
        enrollment::NumberIndex,
        login::LoginState,
        records::Records,
        time::{DAY, HOUR},
    },
    store::{
        Chore, Damage, Piece, Reader, Scope, Store,
        StoreError::{self, Damaged},
        Trail, Unreadable,
    },
};

const ALICE: &str = "account = 'alice'";
const YEAR: Duration = Duration::from_hours(24 * 365);

fn scope(name: &str) -> Scope {
    Scope::Account(account(name))
}

async fn wrong_codes(store: &Store, name: &str, more: bool) -> Result<usize, StoreError> {
    let charge = changing(move |records: &mut Records| {
        if more {
            records.login.failures.charge(Purse::Common, NOW);
        }
        records.login.failures.within(DAY, NOW)
    });
    store.transact(scope(name), charge).await
}

/// Alice and Bob have a number, a wrong code, recovery codes and a bypass each.
async fn town(subject: &impl Subject) -> Town {
    let town = Town::open(subject);
    for (name, number) in [("alice", "+13125550123"), ("bob", "+13125550124")] {
        town.give(name, number).await;
        town.recovery_codes(name).await;
        let wanted = Wanted::new(3600, "lost it", None, None).expect("a bypass");
        let grant = GrantBypass { account: account(name), id: BypassId::new(8), wanted, uid: 0 };
        let decide = move |records: &_, now| grant.decide(records, now);
        town.decide(scope(name), decide).await.expect("a bypass");
        assert_eq!(wrong_codes(&town.running.store, name, true).await, Ok(1));
        let index = index(number);
        let both = Scope::Number { account: account(name), number: index };
        let charge = changing(move |records: &mut Records| {
            records.number_budget(index).expect("read").charge_proof(NOW);
        });
        town.decide(both, charge).await;
    }
    town
}

fn index(number: &str) -> NumberIndex {
    keys(1).index(&number.parse().expect("a number"))
}

/// What can be damaged of Alice: table, column, rows, and what that is.
const DAMAGES: [(&str, &str, &str, Damage); 5] = [
    ("enrollment", "number", ALICE, Damage::Number),
    ("enrollment", "details", ALICE, Damage::Number),
    ("enrollment", "number_index", ALICE, Damage::Number),
    ("login", "state", ALICE, Damage::Logins),
    (
        "budget",
        "state",
        "kind = 1 AND key = (SELECT number_index FROM enrollment WHERE account = 'alice')",
        Damage::Limits,
    ),
];

fn discard(what: Damage) -> AuditEvent {
    AuditEvent {
        at: NOW,
        request: None,
        account: account("alice"),
        actor: Actor::Uid(7),
        event: Event::DamagedRemoved { what: what.as_str(), name: None },
    }
}

pub(super) async fn a_crowd(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let names = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "zoe"];
    for name in names {
        assert_eq!(wrong_codes(&running.store, name, true).await, Ok(1));
    }
    subject.spoil("login", "state", "account LIKE 'u%'");
    let gate = Gate::close(&running.store).await;
    let mut asked = Vec::new();
    for (before, name) in names.into_iter().enumerate() {
        let store = running.store.clone();
        asked.push(tokio::spawn(async move { wrong_codes(&store, name, true).await }));
        // One behind the other: Zoe is the last of the batch.
        while running.store.depth() <= before {
            tokio::task::yield_now().await;
        }
    }
    gate.open();
    for (name, task) in names.into_iter().zip(asked) {
        let expected = if name == "zoe" { Ok(2) } else { Err(Damaged(Damage::Logins)) };
        assert_eq!(task.await.expect("a task"), expected, "{name}");
    }
}

pub(super) async fn what_is_lost_can_be_taken_away(subject: &impl Subject) {
    let mut told = 0;
    for (table, column, rows, what) in DAMAGES {
        let town = town(subject).await;
        let (store, name) = (&town.running.store, format!("{table}.{column}"));
        let (challenge, _) = issued(7, &town.terms.issuer);
        let begin = changing(move |records: &mut Records| {
            records.login.challenges.push(challenge.clone());
        });
        town.decide(scope("alice"), begin).await;
        assert_eq!(subject.count("challenge"), 1, "{name}: she waits for a code");
        let chore = || Chore::Discard(Box::new(discard(what)));
        assert_eq!(store.tidy(chore()).await, Ok(0), "{name}: all can be read");
        subject.spoil(table, column, rows);
        for _ in 0..2 {
            assert_eq!(wrong_codes(store, "alice", true).await, Err(Damaged(what)), "{name}");
            assert_eq!(wrong_codes(store, "bob", false).await, Ok(1), "{name}");
        }
        let reader = subject.reader(keys(1));
        let read = reader.account(account("alice")).await.map(drop);
        assert_eq!(read, Err(Damaged(what)), "{name}");

        assert_eq!(store.tidy(chore()).await, Ok(1), "{name}");
        assert_eq!(store.tidy(chore()).await, Ok(0), "{name}: once");
        let alice = town.decide(scope("alice"), changing(|records| records.clone())).await;
        let left = usize::from(what != Damage::Logins);
        assert_eq!(alice.login.failures.within(DAY, NOW), left, "{name}: as far as it is known");
        assert!(alice.enrollment.is_none() && alice.login.challenges.is_empty(), "{name}");
        assert_eq!(subject.count("challenge"), 0, "{name}");
        assert_eq!((alice.enrolled, alice.login.recovery.left()), (1, 0), "{name}");
        assert_eq!(alice.login.bypasses.all().count(), 0, "{name}");
        let bob = reader.account(account("bob")).await.expect("a read");
        assert!(bob.enrollment.is_some() && bob.login.recovery.left() == 8, "{name}");
        // Who has no number is not taken off the count of those who have.
        wrong_codes(store, "alice", true).await.expect("it can be read again");
        subject.spoil("login", "state", ALICE);
        assert_eq!(store.tidy(chore()).await, Ok(1), "{name}");
        let enrolled = town.decide(scope("alice"), changing(|records| records.enrolled)).await;
        assert_eq!(enrolled, 1, "{name}");
        // She can be enrolled again with the same number, and is the same on a further start.
        town.give("alice", "+13125550123").await;
        let events = town.running.stop();
        let events = events.iter().filter(|event| **event == discard(what)).count();
        told += 2;
        assert_eq!(events, 2, "{name}");
        let trail = reader.events(Trail::default(), i64::MIN, i64::MAX, 10_000).await;
        let kept = trail.expect("a read").into_iter().filter(|row| row.event == "damaged-removed");
        assert_eq!(kept.count(), told, "{name}");
        clear(subject, &["alice", "bob"]).await;
    }
}

/// Nobody has a number any more.
async fn clear(subject: &impl Subject, names: &[&str]) {
    let running = Running::start(subject.open(keys(1)).expect("the database"));
    for name in names {
        let clear = changing(|records: &mut Records| {
            records.enrollment = None;
            records.login = LoginState::default();
        });
        running.store.transact(scope(name), clear).await.expect("a commit");
    }
    running.stop();
}

/// Whom a snapshot has, and what it has not.
async fn snapshot(reader: &Reader) -> (BTreeSet<String>, Unreadable) {
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    let (mut names, mut unreadable) = (BTreeSet::new(), Unreadable::default());
    while let Some(piece) = snapshot.next().await.expect("rows") {
        match piece {
            Piece::Accounts(kept) => {
                names.extend(kept.into_iter().map(|kept| kept.account.as_str().to_owned()));
            }
            Piece::Unreadable(found) => unreadable = found,
            Piece::Budgets(_) | Piece::Traffic(_) => {}
        }
    }
    (names, unreadable)
}

pub(super) async fn what_is_sound_is_found(subject: &impl Subject) {
    for (table, column, rows, what) in DAMAGES {
        let town = town(subject).await;
        let name = format!("{table}.{column}");
        subject.spoil(table, column, rows);
        let reader = subject.reader(keys(1));
        let (names, unreadable) = snapshot(&reader).await;
        assert!(names.contains("bob"), "{name}: {names:?}");
        let hers = Unreadable { accounts: 1, first: vec!["alice".to_owned()], sums: 0 };
        assert_eq!(unreadable, hers, "{name}");
        // Nothing counts against a number whose user is known.
        assert_eq!(names.contains("alice"), what == Damage::Limits, "{name}: {names:?}");

        let listed = reader.subscribers(None, 10).await.expect("a read");
        let listed = listed.iter().map(|row| (row.account.as_str(), row.number.is_some()));
        // A list says nothing of logins.
        let whole = what == Damage::Logins;
        assert_eq!(listed.collect::<Vec<_>>(), [("alice", whole), ("bob", true)], "{name}");
        let counts = reader.counts(NOW).await.expect("a read");
        let whole = what != Damage::Number;
        assert_eq!((counts.active, counts.unreadable.is_empty()), (1 + u32::from(whole), whole));
        assert_eq!(counts.unreadable.first, hers.first[usize::from(whole)..], "{name}");
        town.running.store.tidy(Chore::Discard(Box::new(discard(what)))).await.expect("away");
        assert_eq!(snapshot(&reader).await.1, Unreadable::default(), "{name}");
        town.running.stop();
        clear(subject, &["alice", "bob"]).await;
    }
}

/// Nobody can say whose such rows are. They stop nothing that is about others.
pub(super) async fn a_name_that_is_lost(subject: &impl Subject) {
    let town = town(subject).await;
    let shown = subject.misname_alice(subject.named());
    let (store, reader) = (&town.running.store, subject.reader(keys(1)));
    let lost = reader.lost_names().await.expect("a read");
    assert_eq!(lost.iter().map(ToString::to_string).collect::<Vec<_>>(), [shown]);
    let (names, unreadable) = snapshot(&reader).await;
    assert_eq!(names, BTreeSet::from(["bob".to_owned()]));
    assert_eq!((unreadable.accounts, &*unreadable.first), (1, &[shown.to_owned()][..]));
    // The page is filled by those who have a name, whoever stands before them.
    let listed = reader.subscribers(None, 1).await.expect("a read");
    assert_eq!(listed.iter().map(|row| row.account.as_str()).collect::<Vec<_>>(), ["bob"]);
    let counts = reader.counts(NOW).await.expect("a read");
    assert_eq!((counts.active, &*counts.unreadable.first), (1, &[shown.to_owned()][..]));
    let bypasses = reader.bypasses(NOW).await.expect("a read");
    assert_eq!(bypasses.iter().map(|(whose, _)| whose.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(reader.accounts_with(index("+13125550123")).await, Ok(Vec::new()));
    assert_eq!(reader.untold().await, Ok(Vec::new()));
    store.forget(&reader, &town.clock(), DAY).await.expect("upkeep");

    let event = AuditEvent {
        account: account("-"),
        event: Event::DamagedRemoved { what: "name", name: Some(shown.to_owned()) },
        ..discard(Damage::Number)
    };
    let name = lost.into_iter().next().expect("one");
    let chore = || Chore::DiscardLost { name: name.clone(), event: Box::new(event.clone()) };
    assert!(store.tidy(chore()).await.expect("away") >= 2);
    assert_eq!(store.tidy(chore()).await, Ok(0), "once");
    assert_eq!(reader.lost_names().await, Ok(BTreeSet::new()));
    assert_eq!(snapshot(&reader).await.1, Unreadable::default());
    assert!(reader.counts(NOW).await.expect("a read").unreadable.is_empty());
    let bob = town.decide(scope("bob"), changing(|records| records.clone())).await;
    assert_eq!((bob.enrolled, bob.login.recovery.left()), (1, 8));
    // Who had no number is not taken off the count of those who have.
    assert_eq!(wrong_codes(store, "alice", true).await, Ok(1));
    subject.misname_alice(&["login"]);
    assert_eq!(store.tidy(chore()).await, Ok(1));
    let bob = town.decide(scope("bob"), changing(|records| records.clone())).await;
    assert_eq!(bob.enrolled, 1);
    town.give("alice", "+13125550123").await;
    let trail = reader.events(Trail::default(), i64::MIN, i64::MAX, 10_000).await;
    let kept = trail.expect("a read").into_iter().filter(|row| row.event == "damaged-removed");
    let kept = kept.map(|row| row.details["name"].clone()).collect::<Vec<_>>();
    assert_eq!(kept, [shown; 2].map(serde_json::Value::from));
    let told = town.running.stop();
    assert_eq!(told.iter().filter(|told| **told == event).count(), 2);
}

pub(super) async fn a_lost_name_at_a_rotation(subject: &impl Subject) {
    let town = town(subject).await;
    let shown = subject.misname_alice(subject.named());
    let plan = rotation(&keys(1), keys(2));
    let reader = subject.reader(keys(1));
    assert_eq!(reader.prepare_rotation(plan.next.clone()).await, Ok(()), "{shown}");
    let rotated = town.running.store.tidy(Chore::Rotate(Box::new(plan))).await;
    assert_eq!(rotated, Ok(1), "{shown}: Bob's number");
    town.running.stop();
}

pub(super) async fn what_is_of_all(subject: &impl Subject) {
    let town = town(subject).await;
    // Other sums, which are sound.
    town.give("carol", "+13125550125").await;
    town.start("carol", None).await;
    let guess = changing(|records: &mut Records| {
        records.site().expect("read").charge_wrong(0, NOW);
    });
    town.decide(scope("alice"), guess).await;
    subject.spoil("budget", "state", "kind = 4");
    let site = || changing(|records: &mut Records| records.site().is_some());
    assert!(!town.decide(scope("alice"), site()).await, "not read: what it limits is held");
    assert_eq!(wrong_codes(&town.running.store, "alice", true).await, Ok(2));
    let (names, unreadable) = snapshot(&subject.reader(keys(1))).await;
    assert_eq!((names.len(), unreadable.sums, unreadable.accounts), (3, 1, 0));
    let told = subject.reader(keys(1)).counts(NOW).await.expect("a read").unreadable;
    assert_eq!((told.sums, told.accounts), (1, 0), "an administrator reads of it");
    // It is deleted without being read.
    town.wait(DAY + HOUR);
    let (reader, clock) = (subject.reader(keys(1)), town.clock());
    town.running.store.forget(&reader, &clock, DAY).await.expect("upkeep");
    assert!(town.decide(scope("alice"), site()).await);
    let told = subject.reader(keys(1)).counts(NOW).await.expect("a read").unreadable;
    assert!(told.is_empty());
}

pub(super) async fn upkeep(subject: &impl Subject) {
    let town = town(subject).await;
    assert_eq!(wrong_codes(&town.running.store, "carol", true).await, Ok(1));
    // The number of one whose logins have something that is to be forgotten; and the limits of another.
    let (_, _, limits, _) = DAMAGES[4];
    for (name, number) in [("bea", "+13125550125"), ("erin", "+13125550126")] {
        town.give(name, number).await;
        // With a bypass there would be nothing to forget.
        town.start(name, None).await;
    }
    subject.spoil("enrollment", "number", "account = 'bea'");
    subject.spoil("login", "state", "account = 'carol'");
    subject.spoil("budget", "state", limits);
    let alice = wrong_codes(&town.running.store, "alice", false).await;
    assert_eq!(alice, Err(Damaged(Damage::Limits)));
    town.wait(YEAR);
    let (reader, clock) = (subject.reader(keys(1)), town.clock());
    let deleted = town.running.store.forget(&reader, &clock, DAY).await.expect("upkeep");
    assert!(deleted.budgets >= 2 && deleted.logins == 1, "{deleted:?}");
    assert_eq!(wrong_codes(&town.running.store, "alice", false).await, Ok(1), "idle, and deleted");
    for (name, what) in [("bea", Damage::Number), ("carol", Damage::Logins)] {
        assert_eq!(wrong_codes(&town.running.store, name, false).await, Err(Damaged(what)));
    }
}
