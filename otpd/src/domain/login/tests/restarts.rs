//! A daemon that stops between prompt and answer.

use super::{Begun, Denial, LimitName, granted, limit, refused};
use crate::domain::{
    challenge::{Delivery, Host, Instance},
    login::{Answered, Notice, Recover},
    passcode::ChallengeToken,
    scene::{Scene, account, ssh},
};

/// A login whose code was on its way when the daemon stopped.
fn lost(scene: &mut Scene) -> ChallengeToken {
    let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("issued") };
    scene.restart();
    scene.events();
    view.token
}

#[test]
fn a_code_that_a_vendor_has_survives_a_restart() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.restart();
    assert!(matches!(scene.begin(ssh(1)), Begun::Resumed(_)));
    assert_eq!(scene.asked(token, "?").0, Notice::Help);
    assert_eq!(scene.sent(), 1);
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_code_that_another_machine_sends_is_not_lost() {
    let mut scene = Scene::new();
    scene.terms.issuer.host = Some(Host([1; 16]));
    let token = lost(&mut scene);
    scene.terms.issuer.host = Some(Host([2; 16]));
    assert_eq!(scene.asked(token, "?").0, Notice::Help);
    assert!(matches!(scene.begin(ssh(1)), Begun::Resumed(_)));
    assert_eq!(scene.sent(), 1);
    scene.terms.issuer.host = Some(Host([1; 16]));
    assert!(matches!(scene.begin(ssh(1)), Begun::Issued(..)), "on its own machine it is");
}

#[test]
fn a_lost_code_is_replaced_and_charged_when_the_login_resumes() {
    let mut scene = Scene::new();
    let token = lost(&mut scene);
    match scene.begin(ssh(1)) {
        Begun::Issued(view, order) => assert_eq!((view.token, order.token), (token, token)),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.events(), ["login-resumed", "code-issued lost"]);
    assert_eq!(scene.charged(), (2, 2));
    let challenge = scene.challenge(token);
    assert_eq!(challenge.delivery, Delivery::Sending { by: Instance(2) });
    assert_eq!((challenge.resends, challenge.renewed), (0, false));
    assert!(matches!(scene.begin(ssh(1)), Begun::Resumed(_)), "once");
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_lost_code_is_replaced_by_whatever_is_typed() {
    for (typed, notice) in [
        ("?", Notice::Replaced),
        ("", Notice::Replaced),
        ("wrong", Notice::Wrong),
        ("r", Notice::Resent),
        ("v", Notice::Resent),
    ] {
        let mut scene = Scene::new();
        let token = lost(&mut scene);
        let wrong = scene.wrong(token);
        let (answer, _) = scene.asked(token, if typed == "wrong" { &wrong } else { typed });
        assert_eq!(answer, notice, "{typed}");
        assert_eq!((scene.sent(), scene.challenge(token).resends), (2, 0), "{typed}");
        assert_eq!(scene.charged(), (2, 2), "{typed}");
        assert!(granted(&scene.right(token)), "{typed}");
    }
}

#[test]
fn the_right_code_of_a_lost_message_is_right() {
    let mut scene = Scene::new();
    let token = lost(&mut scene);
    assert!(granted(&scene.right(token)), "the vendor had it after all");
}

#[test]
fn a_lost_code_that_no_budget_replaces_may_still_be_typed_at_an_open_prompt() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 1;
    let token = lost(&mut scene);
    assert_eq!(scene.asked(token, "?").0, Notice::Help);
    assert_eq!(scene.events(), ["message-held unanswered-per-hour"], "and it is written down why");
    assert_eq!(scene.sent(), 1);
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_lost_code_is_sent_again_on_request_though_all_resends_are_used() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.wait(30);
    scene.asked(token, "r");
    scene.wait(60);
    // The last one was on its way when the daemon stopped.
    assert!(matches!(scene.answer(token, "r"), Answered::Ask(Notice::Resent, _, Some(_))));
    scene.restart();
    assert_eq!(scene.asked(token, "r").0, Notice::Resent);
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_lost_login_that_cannot_be_resumed_is_over() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 1;
    let token = lost(&mut scene);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::UnansweredPerHour);
    assert!(!scene.challenge(token).is_live(), "nobody can come back to it");
    assert_eq!(
        scene.events(),
        ["login-resumed", "challenge-ended cancelled", "login-denied unanswered-per-hour"]
    );
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
}

#[test]
fn a_late_word_from_the_run_before_changes_nothing() {
    let mut scene = Scene::new();
    let token = lost(&mut scene);
    let first = scene.orders[0].clone();
    scene.wait(1);
    scene.asked(token, "?");
    scene.deliver(&first, crate::domain::login::DeliveryResult::Failed);
    assert!(matches!(scene.challenge(token).delivery, Delivery::Accepted { .. }));
    assert_eq!(scene.charged(), (1, 1), "but it was not sent, so it is given back");
    assert!(matches!(scene.right(token), Answered::Granted));
}

/// The daemon asks by itself for what the run before it lost.
fn recover(scene: &mut Scene, token: ChallengeToken) -> bool {
    let recover = Recover { terms: scene.terms(), token, draw: scene.draw() };
    let owner = Some(account("alice"));
    let order = scene.decide(owner, None, |records, now| recover.decide(records, now));
    scene.orders.extend(order.iter().map(|order| (**order).clone()));
    order.is_some()
}

#[test]
fn a_lost_code_is_recovered_once_and_charged() {
    let mut scene = Scene::new();
    let token = lost(&mut scene);
    let first = scene.code(token);
    assert!(recover(&mut scene, token));
    assert_eq!(scene.events(), ["code-issued lost"]);
    assert!(!recover(&mut scene, token));
    assert_eq!(scene.charged(), (2, 2));
    assert_eq!(scene.asked(token, &first).0, Notice::Earlier);
    assert!(granted(&scene.right(token)));
    scene.restart();
    assert!(!recover(&mut scene, token), "it is over");
}

#[test]
fn what_is_not_lost_or_not_waited_for_is_not_recovered() {
    let mut scene = Scene::new();
    let sent = scene.start(ssh(2));
    let token = lost(&mut scene);
    assert!(!recover(&mut scene, sent), "a vendor has it");
    scene.wait(300);
    assert!(!recover(&mut scene, token), "it has expired");
    let mut scene = Scene::new();
    let token = lost(&mut scene);
    assert!(scene.abandon(token));
    assert!(!recover(&mut scene, token), "nobody waits");
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 1;
    let token = lost(&mut scene);
    assert!(!recover(&mut scene, token), "no message may be sent");
    assert_eq!(scene.charged(), (1, 1));
}
