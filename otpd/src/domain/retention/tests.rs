use super::{Forget, is_stale};
use crate::domain::{
    account::Account,
    budget::Purse,
    challenge::End,
    login::LoginState,
    records::Records,
    scene::{Scene, account, ssh},
    time::{DAY, HOUR, Timestamp},
};

fn records(scene: &Scene, name: &str, enrolled: bool) -> Records {
    let name = account(name);
    Records {
        enrollment: scene.enrollments.get(&name).filter(|_| enrolled).cloned(),
        login: scene.logins.get(&name).cloned().unwrap_or_default(),
        account: Some(name),
        ..Records::default()
    }
}

fn forget(records: &Records, now: Timestamp) -> Option<LoginState> {
    let decided = Forget.decide(records, now);
    assert!(decided.audit.is_empty(), "nothing happened to anybody");
    assert_eq!(decided.records.enrollment, records.enrollment);
    assert!(decided.answer || decided.records == *records, "nothing else is touched");
    decided.answer.then_some(decided.records.login)
}

/// When the account's one challenge ended, with that end.
fn ended(scene: &mut Scene, how: Option<End>) -> Timestamp {
    let token = scene.start(ssh(1));
    scene.wait(10);
    let alice = account("alice");
    let login = scene.logins.get_mut(&alice).expect("a row");
    let challenge = login.challenges.iter_mut().find(|c| c.token == token).expect("it");
    match how {
        Some(how) => {
            assert!(challenge.end(how, scene.now));
            scene.now
        }
        None => challenge.expires_at(),
    }
}

#[test]
fn an_ended_challenge_is_kept_for_a_day_to_the_millisecond() {
    let cases =
        [("used", Some(End::Used)), ("spent", Some(End::Spent)), ("nobody came back", None)];
    for (name, how) in cases {
        let mut scene = Scene::new();
        let end = ended(&mut scene, how);
        let records = records(&scene, "alice", true);
        for (offset, kept) in [(-1, true), (0, false), (1, false)] {
            let now = Timestamp(end.after(DAY).0 + offset);
            let after = forget(&records, now);
            assert_eq!(after.is_none(), kept, "{name}, {offset} ms");
            if let Some(after) = after {
                assert!(after.challenges.is_empty(), "{name}, {offset} ms");
                assert!(!is_stale(true, &after, now), "{name}: and that is that");
            }
        }
    }
}

#[test]
fn what_lies_in_the_future_is_kept() {
    let mut scene = Scene::new();
    let end = ended(&mut scene, Some(End::Used));
    assert_eq!(forget(&records(&scene, "alice", true), end.before(DAY * 9)), None);
}

#[test]
fn without_a_number_a_row_goes_when_nothing_in_it_counts() {
    let mut scene = Scene::new();
    let end = ended(&mut scene, Some(End::Cancelled));
    let (enrolled, removed) = (records(&scene, "alice", true), records(&scene, "alice", false));
    // The message was sent ten seconds before the end, and counts for a day; the challenge counts
    // for ten minutes, the source it came from never did.
    let sent = Timestamp(end.0 - 10_000);
    for (offset, kept) in [(-1, true), (0, false), (1, false)] {
        let now = Timestamp(sent.after(DAY).0 + offset);
        let after = forget(&removed, now);
        assert_eq!(after.is_none(), kept, "{offset} ms");
        assert!(after.is_none_or(|after| after == LoginState::default()), "{offset} ms");
        assert_eq!(forget(&enrolled, now), None, "an enrolled account's row stays");
    }
}

#[test]
fn wrong_codes_outlive_the_number() {
    let now = Timestamp(1_800_000_000_000);
    let mut login = LoginState::default();
    login.failures.charge(Purse::Common, now);
    let records = |login: &LoginState| Records {
        account: Some(Account::new("alice").expect("a name")),
        login: login.clone(),
        ..Records::default()
    };
    // A row of wrong codes ends with a success or an unlock, never with time.
    assert_eq!(forget(&records(&login), now.after(DAY * 4000)), None);
    login.failures.unlock();
    // Those of the last 30 days make the next number's codes longer.
    let last = now.after(DAY * 30);
    for (offset, kept) in [(-1, true), (0, false), (1, false)] {
        let after = forget(&records(&login), Timestamp(last.0 + offset));
        assert_eq!(after.is_none(), kept, "{offset} ms");
    }
}

#[test]
fn an_empty_row_is_not_worth_a_look() {
    assert!(!is_stale(false, &LoginState::default(), Timestamp(1_800_000_000_000).after(HOUR)));
}
