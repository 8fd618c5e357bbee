//! What is read beside decisions.

use std::{collections::BTreeSet, time::Duration};

use super::{
    NOW, Running, SqliteFile, Subject, account,
    behaviours::{challenge, number},
    changing, enrollment, keys,
    town::{Town, source},
};
use crate::{
    domain::{
        bypass::{BypassId, GrantBypass, Wanted},
        challenge::{Challenge, Instance},
        enrollment::State,
        login::Answered,
        opt_out::OptOut,
        records::TrafficKey,
        time::{HOUR, MINUTE},
    },
    store::{Chore, Counts, Imported, Reader, Scope},
};

/// A number for each of these states, in the order of the accounts' names, and these logins.
async fn filled(subject: &impl Subject, people: &[(&str, State, &[u64])]) -> Reader {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    for (index, (name, state, logins)) in (1..).zip(people) {
        let (state, challenges) =
            (*state, logins.iter().map(|seed| own(subject, *seed)).collect::<Vec<Challenge>>());
        let enter = changing(move |records| {
            records.enrollment = Some(crate::domain::enrollment::Enrollment {
                state,
                ..enrollment("+13125550123", index)
            });
            records.login.challenges.extend(challenges.clone());
        });
        running.store.transact(Scope::Account(account(name)), enter).await.expect("a commit");
    }
    running.stop();
    subject.reader(keys(1))
}

/// A challenge whose code this machine issued.
fn own(subject: &impl Subject, seed: u64) -> Challenge {
    let mut challenge = challenge(seed);
    challenge.host = subject.host();
    challenge
}

const ACTIVE: State = State::Active { verified_at: NOW };
const DISABLED: State = State::Disabled { verified_at: None };

fn later() -> crate::domain::time::Timestamp {
    NOW.after(Duration::from_mins(5))
}

pub(super) async fn counts(subject: &impl Subject) {
    let people: [(&str, State, &[u64]); 6] = [
        ("alice", ACTIVE, &[1, 2]),
        ("bob", DISABLED, &[]),
        ("carol", DISABLED, &[]),
        ("dave", State::Pending, &[]),
        ("erin", ACTIVE, &[3]),
        ("frank", DISABLED, &[]),
    ];
    let reader = filled(subject, &people).await;
    let counted =
        Counts { pending: 1, active: 2, disabled: 3, live_challenges: 3, ..Counts::default() };
    assert_eq!(reader.counts(NOW).await, Ok(counted.clone()));
    let none_live = Counts { live_challenges: 0, ..counted };
    assert_eq!(reader.counts(later()).await, Ok(none_live));
}

pub(super) async fn lost(subject: &impl Subject) {
    let reader = filled(subject, &[("alice", ACTIVE, &[1, 2]), ("bob", ACTIVE, &[3])]).await;
    let found = reader.lost(Instance(8), NOW).await.expect("a read");
    let found: BTreeSet<_> = found.iter().map(|token| token.0).collect();
    assert_eq!(found, [1, 2, 3].map(|seed| challenge(seed).token.0).into());
    assert_eq!(reader.lost(Instance(7), NOW).await, Ok(vec![]), "the run that sent them");
    assert_eq!(reader.lost(Instance(8), later()).await, Ok(vec![]), "too late");
}

pub(super) async fn pages_of_people(subject: &impl Subject) {
    let names = ["alice", "bob", "carol", "dave"];
    filled(subject, &names.map(|name| (name, ACTIVE, &[][..]))).await;
    let running = Running::start(subject.open(keys(1)).expect("the database"));
    let opt_out = OptOut { at: NOW, gateway: "telnyx".to_owned() };
    let stop = changing({
        let opt_out = opt_out.clone();
        move |records| {
            let budget = records.number_budget(number(2)).expect("bob's is read");
            budget.opted_out = Some(opt_out.clone());
        }
    });
    let bob = Scope::Number { account: account("bob"), number: number(2) };
    running.store.transact(bob, stop).await.expect("a commit");
    running.stop();
    let reader = subject.reader(keys(1));
    let rows: [(Option<&str>, u32, &[&str]); 5] = [
        (None, 10, &names),
        (None, 2, &["alice", "bob"]),
        (Some("bob"), 2, &["carol", "dave"]),
        (Some("bobby"), 1, &["carol"]),
        (Some("dave"), 10, &[]),
    ];
    for (after, limit, expected) in rows {
        let found = reader.subscribers(after.map(account), limit).await.expect("a read");
        let names: Vec<_> = found.iter().map(|row| row.account.as_str()).collect();
        assert_eq!(names, expected, "{limit} after {after:?}");
        for row in found {
            let bobs = row.account == account("bob");
            let listed = row.number.expect("readable");
            assert_eq!(listed.opted_out, bobs.then(|| opt_out.clone()), "{:?}", row.account);
        }
    }
}

pub(super) async fn what_logins_leave(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.terms.issuer.host = subject.host();
    town.give("alice", "+13125550123").await;
    let codes = town.recovery_codes("alice").await;
    let waiting = town.start("alice", source(1)).await;
    let recovered = town.start("alice", source(2)).await;
    let granted = town.answer(recovered, codes.first().expect("a code")).await;
    assert!(matches!(granted, Answered::Recovered(_)), "{granted:?}");
    let wanted = Wanted::new(3600, "lost it", None, None).expect("a bypass");
    let grant = GrantBypass { account: account("bob"), id: BypassId::new(8), wanted, uid: 0 };
    let bobs = Scope::Account(account("bob"));
    let bypass = town.decide(bobs, move |records, now| grant.decide(records, now)).await;
    let bypass = bypass.expect("a bypass");

    let reader = subject.reader(keys(1));
    let alice = reader.account(account("alice")).await.expect("a read");
    assert_eq!(alice.account, Some(account("alice")));
    assert!(alice.enrollment.is_some() && alice.budgets.len() == 1, "{alice:?}");
    assert_eq!(alice.login.challenges.len(), 2);
    let among = reader.account_among_all(account("alice")).await.expect("a read");
    assert_eq!((among.enrolled, among.login), (1, alice.login));
    assert!(among.traffic.contains_key(&TrafficKey::All), "{:?}", among.traffic);
    assert_eq!(reader.untold().await, Ok(vec![recovered]));
    assert_eq!(reader.bypasses(NOW).await, Ok(vec![(account("bob"), bypass)]));
    assert_eq!(reader.bypasses(NOW.after(HOUR)).await, Ok(vec![]), "it is over");
    let sent = reader.sent_before(later().before(MINUTE)).await.expect("a read");
    let sent: Vec<_> = sent.iter().map(|sent| (sent.account.as_str(), sent.token)).collect();
    assert_eq!(sent, [("alice", waiting)], "the other one is over");
    town.close();
}

pub(super) async fn imported(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let reader = subject.reader(keys(1));
    assert_eq!(reader.imported().await, Ok(None));
    for whole in [false, true] {
        let imported = Imported { export: 7, whole };
        assert_eq!(running.store.tidy(Chore::Imported { imported, retired: None }).await, Ok(1));
        assert_eq!(reader.imported().await, Ok(Some(imported)));
    }
}

#[tokio::test]
async fn a_damaged_row_keeps_nobody_elses_code_from_being_sent_again() {
    let subject = SqliteFile::new();
    let reader = filled(&subject, &[("alice", ACTIVE, &[1]), ("bob", ACTIVE, &[2])]).await;
    let db = rusqlite::Connection::open(subject.path()).expect("the database");
    let damage = "UPDATE login SET state = x'85' WHERE account = 'alice'";
    assert_eq!(db.execute(damage, []), Ok(1));
    assert_eq!(reader.lost(Instance(8), NOW).await, Ok(vec![challenge(2).token]));
    assert_eq!(reader.untold().await, Ok(vec![]));
    assert_eq!(reader.counts(NOW).await.map(|counts| counts.live_challenges), Ok(1));
}
