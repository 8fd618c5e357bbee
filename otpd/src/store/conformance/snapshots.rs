//! All that is stored, as it is at one moment, and a trail that is put in front of another.

use super::{NOW, Running, Subject, account, behaviours::number, changing, enrollment, keys};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::Purse,
        passcode::RequestId,
        records::{Decided, Records, TrafficKey},
        time::{DAY, Timestamp},
    },
    store::{Chore, Piece, Reader, Scope, Store, Trail, TrailRow, snapshot::ROWS},
};

/// An account with a number and something that counts for that; every second has one wrong code.
async fn enroll(store: &Store, nth: u8) {
    let enroll = changing(move |records| {
        records.enrollment = Some(enrollment(&format!("+1312556{nth:04}"), nth));
        if nth.is_multiple_of(2) {
            records.login.failures.charge(Purse::Common, NOW);
        }
        records.number_budget(number(nth)).expect("the scope names it").charge_proof(NOW);
    });
    let scope = Scope::Number { account: account(&format!("u{nth:04}")), number: number(nth) };
    store.transact(scope, enroll).await.expect("a commit");
}

pub(super) async fn whole(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    for nth in 0..150 {
        enroll(&running.store, nth).await;
    }
    let wrong = changing(|records| {
        records.login.failures.charge(Purse::Common, NOW);
    });
    let only = Scope::Account(account("only-counted"));
    running.store.transact(only, wrong).await.expect("a commit");
    let us = TrafficKey::Country("US".parse().expect("a country"));
    let charge = changing(move |records| {
        records.traffic.get_mut(&us).expect("the scope names it").charge(NOW);
    });
    let scope = Scope::Traffic { account: Account::host(), key: us };
    running.store.transact(scope, charge).await.expect("a commit");

    let reader = subject.reader(keys(1));
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.enrolled, snapshot.newest), (150, None));
    // What is decided while it is read is not in it, and does not wait for it.
    enroll(&running.store, 151).await;
    let (mut names, mut budgets, mut traffic) = (Vec::new(), Vec::new(), Vec::new());
    let mut pieces = 0;
    while let Some(piece) = snapshot.next().await.expect("rows") {
        pieces += 1;
        match piece {
            Piece::Accounts(kept) => names.extend(kept),
            Piece::Budgets(found) => budgets.extend(found),
            Piece::Traffic(found) => traffic.extend(found),
            Piece::Unreadable(found) => panic!("{found}"),
        }
    }
    assert!(pieces <= (names.len() + budgets.len()) / ROWS + 4, "{pieces} pieces");
    assert_eq!(names.len(), 151);
    assert_eq!(names.iter().filter(|kept| kept.enrollment.is_some()).count(), 150);
    assert_eq!(names.last().map(|kept| kept.account.as_str()), Some("only-counted"));
    let counted = names.iter().filter(|kept| kept.login.failures.within(DAY, NOW) == 1);
    assert_eq!(counted.count(), 76);
    let mut numbers = budgets.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..150).map(number).collect::<Vec<_>>());
    assert!(matches!(&traffic[..], [(found, _)] if *found == us), "{traffic:?}");
}

async fn note(store: &Store, at: i64) {
    let event = AuditEvent {
        at: Timestamp(at),
        request: Some(RequestId(8)),
        account: account("alice"),
        actor: Actor::Claimant,
        event: Event::CodeEarlier {},
    };
    let write = move |records: &Records, _| Decided {
        records: records.clone(),
        audit: vec![event.clone()],
        answer: (),
    };
    store.transact(Scope::Account(account("alice")), write).await.expect("a commit");
}

/// What a trail tells, oldest first: times.
async fn told(reader: &Reader, trail: Trail) -> Vec<i64> {
    let last = reader.newest_event().await.expect("an id");
    let after = reader.before_events(trail.clone(), last, None).await.expect("an id");
    let rows = reader.events(trail, after, last, 100).await.expect("rows");
    rows.iter().map(|row| row.at.0).collect()
}

fn of(name: &str) -> Trail {
    Trail { account: Some(account(name)), ..Trail::default() }
}

/// Events of a backup whose newest has the id 5; each is as old as its id.
fn put_back(backup: u64, rows: impl IntoIterator<Item = i64>) -> Chore {
    let row = |id| TrailRow {
        id,
        at: Timestamp(id),
        request: Some(7),
        account: if id % 2 == 0 { "alice" } else { "bob" }.to_owned(),
        actor: "\"claimant\"".to_owned(),
        event: "{\"event\":\"code-earlier\"}".to_owned(),
    };
    Chore::Trail { backup, newest: (5, Timestamp(5)), rows: rows.into_iter().map(row).collect() }
}

pub(super) async fn a_trail_in_front(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let (store, reader) = (&running.store, subject.reader(keys(1)));
    note(store, 10).await;
    store.index().await.expect("entered");
    note(store, 11).await;
    // In pieces, interrupted, and again.
    assert_eq!(store.tidy(put_back(1, [5, 4])).await, Ok(2));
    note(store, 12).await;
    assert_eq!(store.tidy(put_back(1, [5, 4, 3])).await, Ok(1));
    assert_eq!(store.tidy(put_back(1, 1..=5)).await, Ok(2));
    assert_eq!(store.tidy(put_back(1, 1..=5)).await, Ok(0));
    assert_eq!(told(&reader, Trail::default()).await, [1, 2, 3, 4, 5, 10, 11, 12]);
    assert_eq!(told(&reader, of("alice")).await, [2, 4, 10, 11, 12]);
    // By how much its ids were moved, and that another backup's were not.
    let first = reader.before_events(Trail::default(), i64::MAX, None).await.expect("an id");
    let first = reader.events(Trail::default(), first, i64::MAX, 1).await.expect("rows")[0].id;
    let moved = reader.trail_moved_by(1).await.expect("a read").expect("it is there");
    assert_eq!(first, moved + 1);
    assert_eq!(reader.trail_moved_by(2).await, Ok(None));
    let request = Trail { request: Some(RequestId(7)), ..Trail::default() };
    assert_eq!(told(&reader, request).await, [1, 2, 3, 4, 5]);
    let since = Trail { since: Some(Timestamp(4)), ..Trail::default() };
    assert_eq!(told(&reader, since).await, [4, 5, 10, 11, 12]);
    let last = reader.newest_event().await.expect("an id");
    let after = reader.before_events(Trail::default(), last, Some(4)).await.expect("an id");
    let newest = reader.events(Trail::default(), after, last, 100).await.expect("rows");
    assert_eq!(newest.iter().map(|row| row.at.0).collect::<Vec<_>>(), [5, 10, 11, 12]);
    assert_eq!(newest[0].id + 1, newest[1].id, "right before it");
    // As the next backup has them.
    let backwards = reader.trail_before(last, 3).await.expect("rows");
    assert_eq!(backwards.iter().map(|row| row.at.0).collect::<Vec<_>>(), [11, 10, 5]);
    let snapshot = reader.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.newest, Some((last, Timestamp(12))));
    // The same trail under another name is there already, as far as anybody can tell.
    assert_eq!(store.tidy(put_back(2, 1..=5)).await, Ok(0));
    // Old events go first.
    let until = Chore::Audit { until: Timestamp(3), now: Timestamp(20) };
    assert_eq!(store.tidy(until).await, Ok(3));
    assert_eq!(told(&reader, Trail::default()).await, [4, 5, 10, 11, 12]);
}

pub(super) async fn a_trail_into_an_empty_one(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let (store, reader) = (&running.store, subject.reader(keys(1)));
    assert_eq!(store.tidy(put_back(1, [5, 4])).await, Ok(2));
    note(store, 10).await;
    store.index().await.expect("entered");
    assert_eq!(store.tidy(put_back(1, [3, 2])).await, Ok(2));
    assert_eq!(told(&reader, Trail::default()).await, [2, 3, 4, 5, 10]);
    assert_eq!(told(&reader, of("bob")).await, [3, 5]);
}
