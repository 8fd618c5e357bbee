//! Messages of an earlier run that did not arrive.

use super::granted;
use crate::domain::{
    audit::Event,
    budget::Purse,
    challenge::Delivery,
    login::{Cause, DeliveryResult, Notice, Order, SentBefore, UndeliveredBefore},
    manage::Verb,
    passcode::ChallengeToken,
    scene::{Scene, account, sent, ssh},
};

/// A login whose code a vendor took before the daemon stopped; what the new run knows of its message.
fn outlived(scene: &mut Scene) -> (ChallengeToken, SentBefore) {
    let token = scene.start(ssh(1));
    let order = scene.orders.last().expect("an order");
    let known = SentBefore {
        account: order.account.clone(),
        token,
        to: order.to.clone(),
        index: order.index,
        channel: order.channel,
        reference: order.reference,
        issued_at: order.issued_at,
        expires_at: order.expires_at,
        gateway: "telnyx".to_owned(),
        vendor_id: Some("m-1".to_owned()),
        repeat: order.repeat,
    };
    scene.restart();
    scene.audit.clear();
    (token, known)
}

/// A carrier reports that it did not arrive; what is sent in its place, and what was said.
fn report(
    scene: &mut Scene,
    message: &SentBefore,
    cause: Cause,
    others: bool,
) -> (Option<Order>, &'static str) {
    let report = UndeliveredBefore {
        terms: scene.terms(),
        sent: message.clone(),
        vendor_id: "m-1".to_owned(),
        reason: "delivery_failed: 40006 Carrier down".to_owned(),
        cause,
        others,
        draw: scene.draw(),
    };
    let owner = Some(message.account.clone());
    let before = scene.audit.len();
    let number = Some(message.index);
    let again = scene.decide(owner, number, |records, now| report.decide(records, now));
    let again = again.map(|order| *order);
    scene.orders.extend(again.clone());
    let said = scene.audit.iter().skip(before).filter_map(|event| match event.event {
        Event::MessageUndelivered { then, .. } => Some(then),
        _ => None,
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), 1, "{said:?}");
    (again, said[0])
}

#[test]
fn a_fresh_code_goes_out_by_another_gateway_and_the_lost_one_is_recognised() {
    let mut scene = Scene::new();
    let (token, message) = outlived(&mut scene);
    let lost = scene.code(token);
    scene.wait(5);
    let (fresh, said) = report(&mut scene, &message, Cause::Route, true);
    let fresh = fresh.expect("a message");
    assert_eq!((said, fresh.lost_by.as_slice()), ("sent-again", &["telnyx".to_owned()][..]));
    assert_ne!(fresh.code.expose(), lost);
    assert_eq!((fresh.issued_at, fresh.charged_at, fresh.repeat), (scene.now, scene.now, 1));
    assert_eq!(scene.charged(), (2, 2));
    assert_eq!(
        scene.events(),
        ["code-issued undelivered", "message-undelivered delivery_failed: 40006 Carrier down"]
    );
    let by_other = DeliveryResult::Sent { gateway: "plivo".to_owned(), vendor_id: None };
    scene.deliver(&fresh, by_other);
    let challenge = scene.challenge(token);
    assert_eq!((challenge.resends, challenge.repeats), (0, 1), "the claimant's own are left");
    let tries = challenge.tries_left;
    assert_eq!(scene.asked(token, &lost).0, Notice::Earlier);
    assert_eq!(scene.challenge(token).tries_left, tries, "no try is used");
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_report_of_an_opt_out_is_remembered_for_the_number() {
    for (cause, opted_out) in
        [(Cause::OptedOut, true), (Cause::Number, false), (Cause::Route, false)]
    {
        let mut scene = Scene::new();
        let (_, message) = outlived(&mut scene);
        report(&mut scene, &message, cause, false);
        let budget = &scene.budgets[&message.index];
        let expected = opted_out.then_some((scene.now, "telnyx"));
        let found = budget.opted_out.as_ref().map(|out| (out.at, out.gateway.as_str()));
        assert_eq!(found, expected, "{cause:?}");
        let events = scene.events();
        assert_eq!(events.contains(&"opted-out".to_owned()), opted_out, "{events:?}");
    }
    // Also when nobody waits any more: who it was about stays true.
    let mut scene = Scene::new();
    let (token, message) = outlived(&mut scene);
    assert!(granted(&scene.right(token)));
    report(&mut scene, &message, Cause::OptedOut, false);
    assert!(scene.budgets[&message.index].opted_out.is_some());
}

#[test]
fn a_loss_counts_for_no_conversion_and_once() {
    let mut scene = Scene::new();
    let (_, message) = outlived(&mut scene);
    let sent_at = scene.now;
    scene.wait(90);
    let before = scene.traffic.clone();
    let mut expected = before.clone();
    for traffic in expected.values_mut() {
        traffic.undeliver(sent_at);
    }
    assert_ne!(expected, before);
    for _ in 0..2 {
        report(&mut scene, &message, Cause::Route, false);
        assert_eq!(scene.traffic, expected, "range, country and all");
    }
}

#[test]
fn every_report_is_written_down_and_few_send_again() {
    type Before = fn(&mut Scene, ChallengeToken, &SentBefore);
    let nothing: Before = |_, _, _| {};
    let cases: [(&str, &str, Cause, bool, Before); 13] = [
        ("the person opted out", "opted-out", Cause::OptedOut, true, nothing),
        ("a bad number", "bad-number", Cause::Number, true, nothing),
        ("no other gateway", "no-other-gateway", Cause::Route, false, nothing),
        ("granted", "not-awaited", Cause::Route, true, |scene, token, _| {
            assert!(granted(&scene.right(token)));
        }),
        ("given up", "not-awaited", Cause::Route, true, |scene, token, _| {
            scene.abandon(token);
        }),
        ("expired", "not-awaited", Cause::Route, true, |scene, _, _| scene.wait(300)),
        ("a newer code", "not-awaited", Cause::Route, true, |scene, token, _| {
            scene.wait(30);
            scene.asked(token, "r");
        }),
        ("reported before", "not-awaited", Cause::Route, true, |scene, _, message| {
            report(scene, message, Cause::Route, true).0.expect("a message");
        }),
        ("reported before, and sent", "not-awaited", Cause::Route, true, |scene, _, message| {
            let again = report(scene, message, Cause::Route, true).0.expect("a message");
            scene.deliver(&again, sent());
        }),
        ("a limit", "unanswered-per-hour", Cause::Route, true, |scene, _, _| {
            for id in 2..6 {
                scene.start(ssh(id).from(id));
            }
        }),
        ("wrong codes", "wrong-codes-per-hour", Cause::Route, true, |scene, _, _| {
            let login = scene.logins.get_mut(&account("alice")).expect("a login");
            for _ in 0..10 {
                login.failures.charge(Purse::Common, scene.now);
            }
        }),
        ("another number", "not-enrolled", Cause::Route, true, |scene, _, _| {
            scene.enrolled("alice", "+13125550188");
        }),
        ("switched off", "not-awaited", Cause::Route, true, |scene, _, _| {
            scene.manage("alice", Verb::Disable);
        }),
    ];
    for (name, expected, cause, others, before) in cases {
        let mut scene = Scene::new();
        let (token, message) = outlived(&mut scene);
        before(&mut scene, token, &message);
        let charged = scene.charged();
        let (again, said) = report(&mut scene, &message, cause, others);
        assert!(again.is_none(), "{name}");
        assert_eq!(said, expected, "{name}");
        assert_eq!(scene.charged(), charged, "{name}");
    }
}

#[test]
fn a_report_that_brings_no_other_message_never_touches_the_code() {
    for (cause, others) in [(Cause::Route, false), (Cause::Number, true), (Cause::OptedOut, true)] {
        let mut scene = Scene::new();
        let (token, message) = outlived(&mut scene);
        let code = scene.code(token);
        report(&mut scene, &message, cause, others);
        let lost = Delivery::Undelivered {
            gateway: "telnyx".to_owned(),
            reason: "delivery_failed: 40006 Carrier down".to_owned(),
        };
        assert_eq!(scene.challenge(token).delivery, lost, "{cause:?}");
        assert!(granted(&scene.answer(token, &code)), "it arrived after all: {cause:?}");
    }
}

#[test]
fn what_runs_before_sent_again_counts() {
    let mut scene = Scene::new();
    let (token, message) = outlived(&mut scene);
    let first = report(&mut scene, &message, Cause::Route, true).0.expect("a message");
    scene.deliver(&first, sent());
    scene.restart();
    let second = SentBefore { reference: first.reference, ..message };
    let order = report(&mut scene, &second, Cause::Route, true).0.expect("a message");
    assert_eq!((order.repeat, scene.challenge(token).repeats), (2, 2));
    scene.deliver(&order, sent());
    scene.restart();
    let third = SentBefore { reference: order.reference, ..second };
    assert_eq!(report(&mut scene, &third, Cause::Route, true).1, "repeats-used-up");
}
