//! What a gateway said of a number, and what that leaves to do.

use super::{Begun, granted};
use crate::domain::{
    challenge::Delivery,
    login::{Answered, Cause, DeliveryResult, Notice, Order, Progress, Undelivered},
    passcode::ChallengeToken,
    scene::{Run, Scene, index, ssh},
};

const NUMBER: &str = "+13125550142";

fn begin(scene: &mut Scene, run: Run) -> (ChallengeToken, Order) {
    match scene.begin(run) {
        Begun::Issued(view, order) => (view.token, *order),
        other => panic!("no code was issued: {other:?}"),
    }
}

/// The message that `r` has sent.
fn again(scene: &mut Scene, token: ChallengeToken) -> Order {
    scene.wait(60);
    match scene.answer(token, "r") {
        Answered::Ask(Notice::Resent, _, Some(order)) => *order,
        other => panic!("not sent again: {other:?}"),
    }
}

fn refused_by(gateway: &str) -> DeliveryResult {
    DeliveryResult::Refused { gateway: gateway.to_owned() }
}

fn taken_by(gateway: &str) -> DeliveryResult {
    DeliveryResult::Sent { gateway: gateway.to_owned(), vendor_id: None }
}

#[test]
fn a_gateway_that_refused_the_number_is_tried_last_when_its_owner_asks_again() {
    let mut scene = Scene::new();
    let (token, order) = begin(&mut scene, ssh(1));
    assert!(order.avoid.is_empty());
    scene.deliver(&order, refused_by("first"));
    assert_eq!(scene.charged(), (0, 0), "it was not sent");
    assert_eq!(scene.challenge(token).delivery, Delivery::Unsent);
    let order = again(&mut scene, token);
    assert_eq!(order.avoid, ["first"]);
    // Of two that refuse it, the one that did so last.
    scene.deliver(&order, refused_by("second"));
    let order = again(&mut scene, token);
    assert_eq!(order.avoid, ["second"]);
    scene.deliver(&order, taken_by("first"));
    assert_eq!(scene.challenge(token).resends, 0, "none of them was sent but this");
    // And where that brings nothing, neither it nor the other is to begin.
    let order = again(&mut scene, token);
    assert_eq!(order.avoid, ["first", "second"]);
    assert!(granted(&scene.right(token)));
}

#[test]
fn what_is_sent_again_by_itself_does_not_begin_with_it_either() {
    let mut scene = Scene::new();
    let (token, order) = begin(&mut scene, ssh(1));
    scene.deliver(&order, refused_by("first"));
    let order = again(&mut scene, token);
    scene.deliver(&order, taken_by("second"));
    let lost = Undelivered {
        terms: scene.terms(),
        order,
        gateway: "second".to_owned(),
        vendor_id: "m-1".to_owned(),
        reason: "carrier down".to_owned(),
        cause: Cause::Route,
        others: true,
    };
    let owner = Some(crate::domain::scene::account("alice"));
    let order = scene.decide(owner, None, |records, now| lost.decide(records, now));
    assert_eq!(order.expect("a message").avoid, ["second", "first"]);
}

#[test]
fn nor_do_the_next_logins_begin_with_it() {
    let mut scene = Scene::new();
    let (token, order) = begin(&mut scene, ssh(1));
    scene.deliver(&order, refused_by("first"));
    let order = again(&mut scene, token);
    scene.deliver(&order, taken_by("second"));
    assert!(granted(&scene.right(token)));
    for id in 2..4 {
        let (token, order) = begin(&mut scene, ssh(id));
        assert_eq!(order.avoid, ["first"], "{id}");
        scene.deliver(&order, taken_by("second"));
        assert!(granted(&scene.right(token)));
    }
    // The newest word counts.
    let (_, order) = begin(&mut scene, ssh(4));
    scene.deliver(&order, refused_by("second"));
    assert_eq!(begin(&mut scene, ssh(5)).1.avoid, ["second"]);
}

/// A late word about an earlier message says nothing of what holds now.
#[test]
fn a_refusal_of_an_earlier_code_is_not_remembered() {
    let mut scene = Scene::new();
    let (token, first) = begin(&mut scene, ssh(1));
    again(&mut scene, token);
    scene.deliver(&first, refused_by("first"));
    assert_eq!(scene.challenge(token).refused_by, None);
}

/// One gateway did not answer and may have sent the code; the next one says that its owner opted out.
#[test]
fn an_opt_out_gives_nothing_back_of_what_perhaps_was_sent() {
    for (perhaps, charged, delivery) in [
        (None, (0, 0), Delivery::Unsent),
        (Some("first"), (1, 1), Delivery::Uncertain { gateway: "first".to_owned() }),
    ] {
        let mut scene = Scene::new();
        let (token, order) = begin(&mut scene, ssh(1));
        scene.events();
        let opted_out = DeliveryResult::OptedOut {
            gateway: "second".to_owned(),
            ending: "42".to_owned(),
            perhaps: perhaps.map(str::to_owned),
        };
        scene.deliver(&order, opted_out);
        assert_eq!(scene.charged(), charged, "{perhaps:?}");
        assert_eq!(scene.challenge(token).delivery, delivery, "{perhaps:?}");
        let stopped = scene.budgets[&index(NUMBER)].opted_out.as_ref().expect("it is remembered");
        assert_eq!(stopped.gateway, "second");
        let events = scene.events();
        let sent = events.iter().any(|event| event == "message-sent");
        assert_eq!(sent, perhaps.is_some(), "{events:?}");
        let progress = scene.asked(token, "?").1.progress;
        let expected = if sent { Progress::Sending } else { Progress::Stopped };
        assert_eq!(progress, expected, "{perhaps:?}");
        assert!(granted(&scene.right(token)), "the code may have come");
    }
}
