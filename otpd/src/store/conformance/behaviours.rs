//! What is kept, and what a decision sees.

use rand::{SeedableRng, rngs::StdRng};

use super::{NOW, Running, Subject, account, changing, enrollment, keys};
use crate::{
    domain::{
        audit::{Actor, AuditEvent, Event},
        budget::{Budget, Purse, Traffic},
        challenge::{Challenge, Channel, CodeRules, Instance, Issuer, Question},
        enrollment::NumberIndex,
        passcode::{ChallengeToken, Draw, Passcode, Purpose},
        records::{BudgetKey, Decided, Records, TrafficKey},
    },
    store::Scope,
};

pub(super) fn number(index: u8) -> NumberIndex {
    NumberIndex([index; 16])
}

fn scope(name: &str) -> Scope {
    Scope::Account(account(name))
}

fn with_number(name: &str, index: u8) -> Scope {
    Scope::Number { account: account(name), number: number(index) }
}

/// A challenge of `alice` whose token is told by `seed`.
pub(super) fn challenge(seed: u64) -> Challenge {
    let issuer = Issuer { key: keys(1).code, instance: Instance(7), host: None };
    issued(seed, &issuer).0
}

/// The same that `issuer` issues, and its code.
pub(in crate::store) fn issued(seed: u64, issuer: &Issuer) -> (Challenge, Passcode) {
    let draw = Draw::new(&mut StdRng::seed_from_u64(seed), 6);
    let alice = account("alice");
    let question = Question {
        account: &alice,
        purpose: Purpose::Login,
        service: "sshd",
        attempt: None,
        source: None,
        channel: Channel::Sms,
        rules: CodeRules::default(),
        long: false,
    };
    Challenge::issue(&question, issuer, &draw, NOW)
}

async fn read(running: &Running, scope: Scope) -> Records {
    let look = changing(|records| records.clone());
    running.store.transact(scope, look).await.expect("a read")
}

pub(super) async fn nothing_is_lost(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let fill = changing(|records| {
        records.enrollment = Some(enrollment("+13125550123", 1));
        records.login.failures.charge(Purse::Common, NOW);
        records.login.messages.charge(ChallengeToken([9; 16]), Channel::Voice, Purse::Common, NOW);
        records.login.challenges.push(challenge(1));
        let budget = records.number_budget(number(1)).expect("the scope names it");
        budget.charge_proof(NOW);
        records.clone()
    });
    let stored = running.store.transact(with_number("alice", 1), fill).await.expect("a commit");
    running.stop();
    let running = Running::start(subject.open(keys(1)).expect("the same database"));
    assert_eq!(running.store.may_administer(), Ok(()), "as its owner, or an administrators' host");
    let (reader, shared) = (subject.reader(keys(1)), subject.host().is_some());
    assert_eq!(reader.is_shared(), shared);
    assert_eq!(reader.kind(), if shared { "postgresql" } else { "sqlite" });
    let found = read(&running, scope("alice")).await;
    // What numbers of the same range and country do was not read with an account without a number.
    assert!(TrafficKey::of(&enrollment("+13125550123", 1)).iter().eq(found.traffic.keys()));
    let traffic = stored.traffic.clone();
    assert_eq!(Records { traffic, enrolled: 0, ..found }, stored);
    let bob = read(&running, scope("bob")).await;
    let site = [(TrafficKey::All, Traffic::default())].into();
    let empty = Records { account: Some(account("bob")), ..Records::default() };
    assert_eq!(bob, Records { traffic: site, enrolled: 1, ..empty });
}

pub(super) async fn no_update_is_lost(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let charge = || {
        changing(|records| {
            records.login.messages.charge(
                ChallengeToken([9; 16]),
                Channel::Sms,
                Purse::Common,
                NOW,
            );
            records.login.messages.in_a_day(NOW)
        })
    };
    let all = (0..600).map(|_| {
        let (store, charge) = (running.store.clone(), charge());
        tokio::spawn(async move { store.transact(scope("alice"), charge).await })
    });
    let mut seen = Vec::new();
    for task in all.collect::<Vec<_>>() {
        seen.push(task.await.expect("a task").expect("a commit"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=600).collect::<Vec<_>>(), "each saw all before it, and nobody twice");
}

pub(super) async fn one_batch_sees_itself(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let gate = super::faults::Gate::close(&running.store).await;
    let issue = changing(|records| records.login.challenges.push(challenge(1)));
    let token = challenge(1).token;
    let answer = changing(move |records| {
        records.login.challenges.iter().any(|challenge| challenge.token == token)
    });
    let enroll = changing(|records| records.enrollment = Some(enrollment("+13125550123", 1)));
    let budget = changing(|records| records.number_budget(number(1)).is_some());
    let (issued, answered, enrolled, budgeted, ()) = tokio::join!(
        running.store.transact(scope("alice"), issue),
        running.store.transact(scope("alice"), answer),
        running.store.transact(with_number("alice", 1), enroll),
        running.store.transact(scope("alice"), budget),
        async { gate.open() },
    );
    assert_eq!((issued, answered), (Ok(()), Ok(true)));
    assert_eq!((enrolled, budgeted), (Ok(()), Ok(true)));
}

pub(super) async fn challenges_lead_to_their_account(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let issue = changing(|records| records.login.challenges.push(challenge(1)));
    running.store.transact(scope("alice"), issue).await.expect("a commit");
    let by_token = Scope::Challenge(challenge(1).token);
    assert_eq!(read(&running, by_token.clone()).await.account, Some(account("alice")));

    let unknown = Scope::Challenge(challenge(2).token);
    assert_eq!(read(&running, unknown.clone()).await, Records::default());
    let sneak = changing(|records| records.enrollment = Some(enrollment("+13125550123", 1)));
    running.store.transact(unknown.clone(), sneak).await.expect("nothing to write");
    assert_eq!(read(&running, unknown).await, Records::default());

    let forget = changing(|records| records.login.challenges.clear());
    running.store.transact(by_token.clone(), forget).await.expect("a commit");
    assert_eq!(read(&running, by_token.clone()).await, Records::default());
    running.stop();
    let running = Running::start(subject.open(keys(1)).expect("the same database"));
    assert_eq!(read(&running, by_token).await, Records::default());
}

pub(super) async fn accounts_share_a_number(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    for name in ["alice", "bob"] {
        let enroll = changing(|records| {
            records.enrollment = Some(enrollment("+13125550123", 1));
            records.number_budget(number(1)).expect("named").charge_proof(NOW);
        });
        running.store.transact(with_number(name, 1), enroll).await.expect("a commit");
    }
    let third = changing(|records| {
        let budget = records.number_budget(number(1)).expect("the account's own number");
        budget.charge_proof(NOW);
        budget.proofs_held(NOW).is_some()
    });
    let held = running.store.transact(scope("alice"), third).await.expect("a commit");
    assert!(held, "three messages to one number, whoever asked for them");
    let bob = read(&running, scope("bob")).await;
    assert!(bob.budgets[&BudgetKey::Number(number(1))].proofs_held(NOW).is_some());
}

pub(super) async fn unread_budgets_stay(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let charge = changing(|records| {
        records.number_budget(number(1)).expect("named").charge_proof(NOW);
    });
    running.store.transact(with_number("alice", 1), charge).await.expect("a commit");
    let overwrite = changing(|records| {
        records.budgets.insert(BudgetKey::Number(number(1)), Budget::default());
    });
    running.store.transact(scope("bob"), overwrite).await.expect("nothing to write");
    let mut kept = read(&running, with_number("alice", 1)).await;
    assert!(!kept.number_budget(number(1)).expect("named").is_idle(NOW));
}

pub(super) async fn removal(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let enroll = changing(|records| records.enrollment = Some(enrollment("+13125550123", 1)));
    running.store.transact(with_number("alice", 1), enroll).await.expect("a commit");
    let remove = changing(|records| records.enrollment = None);
    running.store.transact(scope("alice"), remove).await.expect("a commit");
    running.stop();
    let running = Running::start(subject.open(keys(1)).expect("the same database"));
    assert_eq!(read(&running, scope("alice")).await.enrollment, None);
}

#[expect(clippy::unused_async, reason = "behaviours have one form")]
pub(super) async fn other_keys_are_refused(subject: &impl Subject) {
    drop(subject.open(keys(1)).expect("a new database"));
    let refusal = subject.open(keys(2)).err().expect("another key");
    assert!(refusal.contains("another master key"), "{refusal}");
    drop(subject.open(keys(1)).expect("the right key still opens it"));
}

pub(super) async fn nothing_is_in_clear(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let draw = Draw::new(&mut StdRng::seed_from_u64(1), 6);
    let fill = changing(|records| {
        records.enrollment = Some(enrollment("+13125550123", 1));
        records.login.challenges.push(challenge(1));
    });
    running.store.transact(with_number("alice", 1), fill).await.expect("a commit");
    running.stop();
    let bytes = subject.bytes();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("alice") && holds("sshd"), "the search finds what is in clear");
    for secret in ["13125550123", "3125550123", "5550123", draw.code.expose()] {
        assert!(!holds(secret), "{secret} is in clear");
    }
}

pub(super) async fn audit_is_whole(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    for uid in 0..3 {
        let event = AuditEvent {
            at: NOW,
            request: None,
            account: account("alice"),
            actor: Actor::Uid(uid),
            event: Event::Unlocked {},
        };
        let decide = move |records: &Records, _| Decided {
            records: records.clone(),
            audit: vec![event.clone()],
            answer: (),
        };
        running.store.transact(scope("alice"), decide).await.expect("a commit");
    }
    let told = running.stop();
    let actors = told.iter().map(|event| event.actor).collect::<Vec<_>>();
    assert_eq!(actors, [0, 1, 2].map(Actor::Uid));
    let bytes = subject.bytes();
    let stored = bytes.windows(8).filter(|window| *window == b"unlocked").count();
    assert!(stored >= 3, "{stored} of 3 events are stored");
}
