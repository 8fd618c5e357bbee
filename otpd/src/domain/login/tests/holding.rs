//! What an administrator is told that holds an account back.

use super::{
    LimitName,
    recovery::{STRANGE, codes},
};
use crate::domain::{
    budget::{PROOFS_PER_DAY, Purse},
    challenge::Channel,
    enrollment::State,
    login::holding,
    passcode::ChallengeToken,
    records::{Decided, Records},
    recovery::WRONG_PER_HOUR,
    scene::{Scene, account, ssh},
};

/// What holds alice back.
fn shown(scene: &mut Scene) -> Vec<LimitName> {
    let terms = scene.terms.clone();
    let look = move |records: &Records, now| {
        let holding = holding(records, &terms, now);
        Decided::unchanged(records, holding.iter().map(|held| held.limit).collect())
    };
    scene.decide(Some(account("alice")), None, look)
}

#[test]
fn what_holds_both_an_account_and_its_number_is_said_once() {
    let mut scene = Scene::new();
    assert_eq!(shown(&mut scene), []);
    let (now, number) = (scene.now, scene.enrollments[&account("alice")].index);
    let login = &mut scene.logins.entry(account("alice")).or_default().messages;
    let budget = &mut scene.budgets.entry(number).or_default().messages;
    for id in 0..5 {
        let token = ChallengeToken([id; 16]);
        login.charge(token, Channel::Sms, Purse::Common, now);
        budget.charge(token, Channel::Sms, Purse::Common, now);
    }
    assert_eq!(shown(&mut scene), [LimitName::UnansweredPerHour]);
}

#[test]
fn a_limit_on_recovery_codes_is_said_to_whom_has_some() {
    let mut scene = Scene::new();
    codes(&mut scene);
    let token = scene.start(ssh(1));
    for _ in 0..WRONG_PER_HOUR {
        assert_eq!(shown(&mut scene), []);
        scene.answer(token, STRANGE);
    }
    assert_eq!(shown(&mut scene), [LimitName::RecoveryCodesPerHour]);
    scene.logins.get_mut(&account("alice")).expect("a login").recovery.forget();
    assert_eq!(shown(&mut scene), [], "without codes there is nothing to hold");
}

#[test]
fn a_limit_on_proofs_is_said_while_the_number_is_not_proved() {
    let mut scene = Scene::new();
    let (now, number) = (scene.now, scene.enrollments[&account("alice")].index);
    let budget = scene.budgets.entry(number).or_default();
    (0..PROOFS_PER_DAY).for_each(|_| budget.charge_proof(now));
    assert_eq!(shown(&mut scene), []);
    let alice = scene.enrollments.get_mut(&account("alice")).expect("a number");
    alice.state = State::Pending;
    assert_eq!(shown(&mut scene), [LimitName::UnverifiedPerDay]);
}
