//! Another master key: what was under the one before is under it, and nothing else has changed.

use super::{NOW, Running, Subject, account, behaviours::issued, changing, enrollment, keys};
use crate::{
    domain::{
        audit::{Actor, AuditEvent, Event},
        budget::Standing,
        challenge::{Challenge, Instance, Issuer, Judgement},
        opt_out::OptOut,
        passcode::{CodeKey, Passcode},
        records::{BudgetKey, Records},
        recovery::{Entered, RecoveryCode, RecoveryHash},
    },
    keys::Keys,
    store::{Chore, Imported, Rotation, Scope, Store, StoreError, Trail},
};
use rand::{SeedableRng, rngs::StdRng};

const NUMBER: &str = "+13125550123";

fn alice() -> Scope {
    Scope::Account(account("alice"))
}

pub(in crate::store) fn rotation(before: &Keys, next: Keys) -> Rotation {
    let event = AuditEvent {
        at: NOW,
        request: None,
        account: account("-"),
        actor: Actor::Uid(0),
        event: Event::KeyRotated { key: "00c0ffee".to_owned(), numbers: 0 },
    };
    Rotation { next: next.after(before), event }
}

async fn rotate(store: &Store, rotation: Rotation) -> Result<u32, StoreError> {
    store.tidy(Chore::Rotate(Box::new(rotation))).await
}

/// An account's number under `keys`, with an opt-out of it.
async fn enroll(store: &Store, keys: &Keys, name: &str, number: &str) {
    let mut enrolled = enrollment(number, 0);
    enrolled.index = keys.index(enrolled.number());
    enrolled.range = keys.range(enrolled.number());
    let index = enrolled.index;
    let fill = changing(move |records| {
        records.enrollment = Some(enrolled.clone());
        let budget = records.number_budget(index).expect("the scope names it");
        budget.opted_out = Some(OptOut { at: NOW, gateway: "main".to_owned() });
    });
    let scope = Scope::Number { account: account(name), number: index };
    store.transact(scope, fill).await.expect("a commit");
}

fn challenge(key: CodeKey) -> (Challenge, Passcode) {
    let issuer = Issuer { key, instance: Instance(7), host: None };
    issued(7, &issuer)
}

async fn read(store: &Store, name: &str) -> Records {
    let look = changing(|records| records.clone());
    store.transact(Scope::Account(account(name)), look).await.expect("a read")
}

/// Whether a number stands where it should under `keys`, with what counts for it.
fn assert_kept(records: &Records, keys: &Keys, number: &str) {
    let enrolled = records.enrollment.as_ref().expect("a number");
    assert_eq!(enrolled.number().expose(), number);
    assert_eq!(enrolled.index, keys.index(enrolled.number()), "found by the key");
    let budget = &records.budgets[&BudgetKey::Number(enrolled.index)];
    assert!(budget.opted_out.is_some(), "{number}: whoever wants no messages gets none");
}

pub(super) async fn everything_goes_along(subject: &impl Subject) {
    let first = keys(1);
    let running = Running::start(subject.open(first.clone()).expect("a new database"));
    enroll(&running.store, &first, "alice", NUMBER).await;
    enroll(&running.store, &first, "bob", "+13125550199").await;
    let recovery = RecoveryCode::generate(&mut StdRng::seed_from_u64(9));
    let hash = RecoveryHash::of(&first.code, &account("alice"), &recovery);
    let (issued, code) = challenge(first.code.clone());
    let (token, key) = (issued.token, first.code.clone());
    let fill = changing(move |records| {
        records.login.challenges.push(issued.clone());
        records.login.recovery.replace(&key, vec![hash.clone()], NOW);
    });
    running.store.transact(alice(), fill).await.expect("a commit");
    let reader = subject.reader(first.clone());
    let plan = rotation(&first, keys(2));
    reader.prepare_rotation(plan.next.clone()).await.expect("prepared");
    // What happens after it was prepared goes along too.
    enroll(&running.store, &first, "carol", "+13125550142").await;
    let forget = changing(|records| records.enrollment = None);
    let gone = running.store.transact(Scope::Account(account("bob")), forget).await;
    gone.expect("a commit");
    enroll(&running.store, &first, "alice", NUMBER).await;

    assert_eq!(rotate(&running.store, plan).await, Ok(2));
    assert!(running.store.rekeyed().holds());
    // Whoever began with the key from before decides nothing any more.
    let stale = running.store.transact(alice(), changing(|_| ())).await;
    assert_eq!(stale, Err(StoreError::Unavailable));
    let told = running.stop();
    let done = Event::KeyRotated { key: "00c0ffee".to_owned(), numbers: 2 };
    assert_eq!(told.last().map(|event| &event.event), Some(&done), "in the log of the host");
    let refused = subject.open(first).err().expect("the key from before");
    assert!(refused.contains("made with another master key"), "{refused}");

    let engine = subject.open(keys(2)).expect("the next key");
    let now = engine.kept();
    let running = Running::start(engine);
    let records = read(&running.store, "alice").await;
    assert_kept(&records, &now, NUMBER);
    assert_kept(&read(&running.store, "carol").await, &now, "+13125550142");
    assert!(read(&running.store, "bob").await.enrollment.is_none());
    // A code that was sent before is good, as long as its login lives, and one of recovery for ever.
    let mut all = records.login.challenges.iter();
    let challenge = all.find(|challenge| challenge.token == token).expect("it lives");
    assert_eq!(challenge.judge(&account("alice"), &now.code, &code), Judgement::Right);
    let mut recoveries = records.login.recovery.clone();
    let key = now.code.of(recoveries.key_id());
    let hash = RecoveryHash::of(key, &account("alice"), &recovery);
    let entered = recoveries.enter(key, &hash, Standing::Other, NOW);
    assert_eq!(entered, Entered::Right { left: 0 });
    let events = subject.reader(keys(2)).events(Trail::default(), 0, i64::MAX, 99).await;
    let events = events.expect("a read");
    assert_eq!(events.last().map(|row| row.event.as_str()), Some("key-rotated"));
    assert_eq!(events.last().and_then(|row| row.details["numbers"].as_u64()), Some(2));

    // And once more: what the first key hashed is still known.
    let plan = rotation(&now, keys(3));
    assert_eq!(rotate(&running.store, plan).await, Ok(2), "nothing was prepared");
    running.stop();
    let engine = subject.open(keys(3)).expect("the third key");
    let now = engine.kept();
    assert_eq!(now.code.of(keys(1).id).id, keys(1).id);
    let running = Running::start(engine);
    assert_kept(&read(&running.store, "alice").await, &now, NUMBER);
}

/// The keys that an engine works with, those from before among them.
pub(super) trait Keyed {
    fn kept(&self) -> Keys;
}

impl Keyed for crate::store::Sqlite {
    fn kept(&self) -> Keys {
        self.keys().clone()
    }
}

impl Keyed for crate::store::Postgres {
    fn kept(&self) -> Keys {
        self.keys().clone()
    }
}

pub(super) async fn a_backup_brings_earlier_keys(subject: &impl Subject) {
    // As a backup says it that was taken after a rotation.
    let [first, second] = [1, 2].map(keys);
    let told = second.clone().after(&first).seal_retired();
    let running = Running::start(subject.open(second.clone()).expect("a new database"));
    let imported = Imported { export: 7, whole: true };
    let alone = Chore::Imported { imported, retired: None };
    assert_eq!(running.store.tidy(alone).await, Ok(1));
    assert!(!running.store.rekeyed().holds());
    // With the word that an import is whole: one that is does not bring them any more.
    let chore = Chore::Imported { imported, retired: Some(told.clone()) };
    assert_eq!(running.store.tidy(chore).await, Ok(2));
    assert!(running.store.rekeyed().holds(), "this run knows nothing of them");
    running.stop();
    let engine = subject.open(second.clone()).expect("the same database");
    assert_eq!(engine.kept().code.of(first.id).id, first.id);
    let running = Running::start(engine);
    let earliest = keys(4);
    let more = second.clone().after(&earliest).seal_retired();
    assert_eq!(running.store.tidy(Chore::Retired(more)).await, Ok(1));
    assert!(running.store.rekeyed().holds());
    running.stop();
    let engine = subject.open(second.clone()).expect("the same database");
    for kept in [&first, &earliest] {
        assert_eq!(engine.kept().code.of(kept.id).id, kept.id);
    }
    let running = Running::start(engine);
    assert_eq!(running.store.tidy(Chore::Retired(told)).await, Ok(0), "they are there");
    let foreign = keys(3).after(&first).seal_retired();
    assert_eq!(running.store.tidy(Chore::Retired(foreign)).await, Ok(0), "of another master");
    assert!(!running.store.rekeyed().holds());
}

pub(super) async fn what_nobody_has_goes(subject: &impl Subject) {
    let [first, second] = [1, 2].map(keys);
    let running = Running::start(subject.open(first.clone()).expect("a new database"));
    enroll(&running.store, &first, "alice", NUMBER).await;
    enroll(&running.store, &first, "bob", "+13125550199").await;
    let forget = changing(|records| records.enrollment = None);
    let bob = || Scope::Account(account("bob"));
    running.store.transact(bob(), forget).await.expect("a commit");
    assert_eq!(subject.count("budget"), 2, "he wants no messages, whoever has his number");
    assert_eq!(rotate(&running.store, rotation(&first, second.clone())).await, Ok(1));
    running.stop();
    assert_eq!(subject.count("budget"), 1, "no key finds it any more");
    // The number has a user again, and the key from before comes back.
    let engine = subject.open(second.clone()).expect("the next key");
    let now = engine.kept();
    let running = Running::start(engine);
    enroll(&running.store, &second, "bob", "+13125550199").await;
    assert_eq!(rotate(&running.store, rotation(&now, first.clone())).await, Ok(2));
    running.stop();
    let running = Running::start(subject.open(first.clone()).expect("the key from before"));
    assert_kept(&read(&running.store, "bob").await, &first, "+13125550199");
}

pub(super) async fn nothing_by_the_key_from_before(subject: &impl Subject) {
    let [zeroth, first, second, third] = [0, 1, 2, 3].map(keys);
    let running = Running::start(subject.open(first.clone()).expect("a new database"));
    enroll(&running.store, &first, "alice", NUMBER).await;
    // They wait for the engine behind one another.
    let brought = Chore::Retired(first.clone().after(&zeroth).seal_retired());
    let plan = rotation(&first, second.clone());
    let (done, again, kept) = tokio::join!(
        rotate(&running.store, plan),
        rotate(&running.store, rotation(&first, third)),
        running.store.tidy(brought),
    );
    assert_eq!(done, Ok(1));
    assert_eq!((again, kept), (Err(StoreError::Unavailable), Err(StoreError::Unavailable)));
    let told = running.stop();
    assert_eq!(told.len(), 1, "{told:?}");
    let now = subject.open(second).expect("the next key").kept();
    assert_eq!(now.code.of(first.id).id, first.id);
}

pub(super) async fn no_trace_of_the_key_from_before(subject: &impl Subject) {
    let [first, second] = [1, 2].map(keys);
    let running = Running::start(subject.open(first.clone()).expect("a new database"));
    let number = |nth: u32| format!("+1312555{nth:04}");
    let name = |nth: u32| format!("user{nth}");
    // More than fit into a page; some change their number, and some go.
    for nth in 0..120 {
        enroll(&running.store, &first, &name(nth % 100), &number(nth)).await;
    }
    for nth in 30..60 {
        let forget = changing(|records| records.enrollment = None);
        let gone = running.store.transact(Scope::Account(account(&name(nth))), forget).await;
        gone.expect("a commit");
    }
    let traces = |keys: &Keys| {
        let bytes = subject.bytes();
        let index = |nth| keys.index(&number(nth).parse().expect("a number")).0;
        let is_there = |index: &[u8; 16]| bytes.windows(16).any(|window| window == index);
        (0..120).map(index).filter(is_there).count()
    };
    assert!(traces(&first) > 0, "what is looked for");
    assert_eq!(rotate(&running.store, rotation(&first, second.clone())).await, Ok(70));
    subject.clean_up();
    assert_eq!(traces(&first), 0);
    assert_eq!(traces(&second), 70);
    running.stop();
    assert_eq!(traces(&first), 0);
}

pub(super) async fn nothing_is_read_by_the_key_from_before(subject: &impl Subject) {
    let [first, second] = [1, 2].map(keys);
    let running = Running::start(subject.open(first.clone()).expect("a new database"));
    enroll(&running.store, &first, "alice", NUMBER).await;
    let reader = subject.reader(first.clone());
    assert!(reader.account(account("alice")).await.expect("a read").enrollment.is_some());
    assert_eq!(rotate(&running.store, rotation(&first, second)).await, Ok(1));
    // All of it would look damaged, or as if there were nothing.
    let told = reader.account(account("alice")).await.map(drop);
    assert_eq!(told, Err(StoreError::Unavailable));
    let told = reader.subscribers(None, 10).await.map(|page| page.len());
    assert_eq!(told, Err(StoreError::Unavailable));
    let told = reader.counts(NOW).await.map(|counts| counts.unreadable.accounts);
    assert_eq!(told, Err(StoreError::Unavailable));
    assert_eq!(reader.lost_names().await, Err(StoreError::Unavailable));
    assert_eq!(reader.snapshot().await.map(drop), Err(StoreError::Unavailable));
    running.stop();
}
