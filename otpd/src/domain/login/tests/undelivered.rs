//! Messages that a vendor took and that did not arrive.

use super::{Begun, granted, recovered, recovery::codes};
use crate::domain::{
    audit::Event,
    budget::{LimitName, Limits, Purse, Traffic},
    challenge::Delivery,
    enrollment::Enrollment,
    login::{Cause, DeliveryResult, Notice, Order, Progress, Undelivered},
    manage::Verb,
    passcode::{ChallengeToken, Passcode},
    records::TrafficKey,
    scene::{Scene, account, destination, index, range, sent, ssh},
};

/// A carrier reports that a message did not arrive; what is sent in its place.
pub(super) fn report(
    scene: &mut Scene,
    order: &Order,
    gateway: &str,
    cause: Cause,
) -> Option<Order> {
    let report = Undelivered {
        terms: scene.terms(),
        order: order.clone(),
        gateway: gateway.to_owned(),
        vendor_id: "m-1".to_owned(),
        reason: "delivery_failed: 40006 Carrier down".to_owned(),
        cause,
        others: order.lost_by.len() < 2,
    };
    let owner = Some(order.account.clone());
    let again = scene.decide(owner, None, |records, now| report.decide(records, now));
    let again = again.map(|order| *order);
    scene.orders.extend(again.clone());
    again
}

/// What was said about a report, and that there was one.
fn then(scene: &mut Scene) -> &'static str {
    let reports: Vec<_> = scene
        .audit
        .drain(..)
        .filter_map(|event| match event.event {
            Event::MessageUndelivered { then, .. } => Some(then),
            _ => None,
        })
        .collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports[0]
}

fn newest(scene: &Scene) -> Order {
    scene.orders.last().cloned().expect("an order")
}

fn by(gateway: &str) -> DeliveryResult {
    DeliveryResult::Sent { gateway: gateway.to_owned(), vendor_id: None }
}

fn start(scene: &mut Scene) -> (ChallengeToken, Order) {
    let token = scene.start(ssh(1));
    let order = newest(scene);
    (token, order)
}

#[test]
fn a_code_that_was_wiped_is_neither_sent_nor_charged() {
    let mut scene = Scene::new();
    let (_, order) = start(&mut scene);
    scene.deliver(&order, by("first"));
    let charged = scene.charged();
    scene.audit.clear();
    let wiped = Order { code: Passcode::wiped(), ..order };
    assert!(report(&mut scene, &wiped, "first", Cause::Route).is_none());
    assert_eq!((then(&mut scene), scene.charged()), ("not-awaited", charged));
}

#[test]
fn the_same_code_goes_out_again_and_is_charged() {
    let mut scene = Scene::new();
    let (token, first) = start(&mut scene);
    scene.wait(5);
    let again = report(&mut scene, &first, "telnyx", Cause::Route).expect("a message");
    assert_eq!(again.code.expose(), first.code.expose());
    assert_eq!((again.reference, again.expires_at), (first.reference, first.expires_at));
    assert_eq!((again.charged_at, again.repeat), (scene.now, 1));
    assert_eq!(
        (&*again.lost_by, &*again.avoid),
        (&["telnyx".to_owned()][..], &["telnyx".to_owned()][..])
    );
    assert_eq!(then(&mut scene), "sent-again");
    assert_eq!(scene.charged(), (2, 2));
    let challenge = scene.challenge(token);
    assert_eq!((challenge.resends, challenge.repeats), (0, 1), "the claimant's own are left");
    scene.deliver(&again, by("plivo"));
    assert!(granted(&scene.right(token)));
}

#[test]
fn one_that_no_gateway_takes_is_given_back_and_only_that() {
    let mut scene = Scene::new();
    let (_, first) = start(&mut scene);
    scene.wait(5);
    report(&mut scene, &first, "telnyx", Cause::Route).expect("a message");
    scene.fail();
    assert_eq!(scene.charged(), (1, 1));
}

#[test]
fn one_given_back_after_its_login_succeeded_leaves_others_unanswered() {
    let mut scene = Scene::new();
    scene.enrolled("bob", "+13125550177");
    let codes = codes(&mut scene);
    let Begun::Issued(view, own) = scene.begin(ssh(1)) else { panic!("issued") };
    scene.start(ssh(2).of("bob"));
    recovered(&scene.answer(view.token, &codes[0]));
    // So many messages of others that bob's is the last which the limit lets through.
    let all = |scene: &Scene| scene.traffic[&TrafficKey::All].clone();
    let open = |scene: &Scene| {
        let mut site = all(scene);
        let more = |site: &Traffic| site.all_held(0, &Limits::default(), scene.now).is_none();
        (0..100_000)
            .take_while(|_| {
                let more = more(&site);
                site.charge_all(scene.now);
                more
            })
            .count()
    };
    let before = open(&scene);
    scene.deliver(&own, DeliveryResult::Failed);
    assert_eq!(open(&scene), before, "bob's still counts");
}

#[test]
fn a_login_s_messages_go_out_again_twice_at_most() {
    let mut scene = Scene::new();
    let (token, first) = start(&mut scene);
    let second = report(&mut scene, &first, "telnyx", Cause::Route).expect("a message");
    scene.deliver(&second, by("plivo"));
    let third = report(&mut scene, &second, "plivo", Cause::Route).expect("a message");
    assert_eq!((third.lost_by.len(), third.repeat), (2, 2));
    scene.deliver(&third, by("twilio"));
    scene.audit.clear();
    assert!(report(&mut scene, &third, "twilio", Cause::Route).is_none());
    assert_eq!(then(&mut scene), "repeats-used-up");
    // A code that the claimant asked for is sent again no more either.
    scene.wait(30);
    assert_eq!(scene.asked(token, "r").0, Notice::Resent);
    let fresh = newest(&scene);
    assert!(report(&mut scene, &fresh, "telnyx", Cause::Route).is_none());
    assert!(granted(&scene.right(token)));
}

#[test]
fn every_report_is_written_down_once_and_few_send_again() {
    type Before = fn(&mut Scene, ChallengeToken, &Order);
    let nothing: Before = |_, _, _| {};
    let cases: [(&str, &str, Cause, Before); 13] = [
        ("the person opted out", "opted-out", Cause::OptedOut, nothing),
        ("a bad number", "bad-number", Cause::Number, nothing),
        ("granted", "not-awaited", Cause::Route, |scene, token, _| {
            assert!(granted(&scene.right(token)));
        }),
        ("given up", "not-awaited", Cause::Route, |scene, token, _| {
            scene.abandon(token);
        }),
        ("forgotten", "not-awaited", Cause::Route, |scene, token, _| {
            scene.abandon(token);
            scene.wait(3600);
            scene.begin(ssh(9));
        }),
        ("expired", "not-awaited", Cause::Route, |scene, _, _| scene.wait(300)),
        ("a newer code", "not-awaited", Cause::Route, |scene, token, _| {
            scene.wait(30);
            scene.asked(token, "r");
        }),
        ("reported before", "not-awaited", Cause::Route, |scene, _, order| {
            report(scene, order, "telnyx", Cause::Route).expect("a message");
        }),
        ("reported before, and sent", "not-awaited", Cause::Route, |scene, _, order| {
            let again = report(scene, order, "telnyx", Cause::Route).expect("a message");
            scene.deliver(&again, sent());
        }),
        ("a limit", "unanswered-per-hour", Cause::Route, |scene, _, _| {
            for id in 2..6 {
                scene.start(ssh(id).from(id));
            }
        }),
        ("wrong codes", "wrong-codes-per-hour", Cause::Route, |scene, _, _| {
            let login = scene.logins.get_mut(&account("alice")).expect("a login");
            for _ in 0..10 {
                login.failures.charge(Purse::Common, scene.now);
            }
        }),
        ("a country no more", "country-not-allowed", Cause::Route, |scene, _, _| {
            scene.terms.countries.clear();
        }),
        ("another number", "not-enrolled", Cause::Route, |scene, _, _| {
            scene.enrolled("alice", "+13125550188");
        }),
    ];
    assert_eq!(LimitName::UnansweredPerHour.as_str(), "unanswered-per-hour");
    for (name, expected, cause, before) in cases {
        let mut scene = Scene::new();
        let (token, order) = start(&mut scene);
        before(&mut scene, token, &order);
        let charged = scene.charged();
        scene.audit.clear();
        assert!(report(&mut scene, &order, "telnyx", cause).is_none(), "{name}");
        assert_eq!(then(&mut scene), expected, "{name}");
        assert_eq!(scene.charged(), charged, "{name}");
    }
}

#[test]
fn without_another_gateway_nothing_is_sent() {
    let mut scene = Scene::new();
    let (token, order) = start(&mut scene);
    scene.audit.clear();
    let lost = Order { lost_by: vec!["a".into(), "b".into()], ..order };
    assert!(report(&mut scene, &lost, "telnyx", Cause::Route).is_none());
    assert_eq!(then(&mut scene), "no-other-gateway");
    let reason = "delivery_failed: 40006 Carrier down".to_owned();
    let delivery = Delivery::Undelivered { gateway: "telnyx".to_owned(), reason };
    assert_eq!(scene.challenge(token).delivery, delivery);
    // The claimant reads it, and what `r` then sends goes another way.
    assert_eq!(scene.asked(token, "?").1.progress, Progress::Lost);
    scene.wait(30);
    assert_eq!(scene.asked(token, "r").0, Notice::Resent);
    assert_eq!(newest(&scene).avoid, ["telnyx"]);
    assert_eq!(scene.challenge(token).resends, 1, "it was sent, so it counts");
}

#[test]
fn a_report_never_touches_a_code() {
    for cause in [Cause::Route, Cause::Number, Cause::OptedOut] {
        let mut scene = Scene::new();
        let (token, order) = start(&mut scene);
        let code = scene.code(token);
        report(&mut scene, &order, "telnyx", cause);
        assert!(granted(&scene.answer(token, &code)), "it arrived after all: {cause:?}");
    }
}

#[test]
fn a_code_that_goes_out_again_when_the_daemon_stops_is_lost_like_any() {
    let mut scene = Scene::new();
    let (_, order) = start(&mut scene);
    report(&mut scene, &order, "telnyx", Cause::Route).expect("a message");
    scene.restart();
    let Begun::Issued(_, fresh) = scene.begin(ssh(1)) else { panic!("a fresh code") };
    assert_ne!(fresh.code.expose(), order.code.expose());
}

#[test]
fn an_account_that_is_switched_off_gets_nothing() {
    let mut scene = Scene::new();
    let (_, order) = start(&mut scene);
    scene.manage("alice", Verb::Disable);
    assert!(report(&mut scene, &order, "telnyx", Cause::Route).is_none());
    let fresh = Enrollment::new(
        destination("+13125550142", crate::domain::phone::Line::Mobile),
        index("+13125550142"),
        range("+13125550142"),
        crate::domain::challenge::Channel::Sms,
        scene.now,
    );
    scene.enrollments.insert(account("alice"), fresh);
    let (again, charged) = (report(&mut scene, &order, "telnyx", Cause::Route), scene.charged());
    assert!(again.is_none() && charged == (1, 1), "nor one whose number is not proved");
}

#[test]
fn a_message_is_wanted_while_its_code_lets_somebody_in() {
    type Turn = fn(&mut Scene, ChallengeToken);

    let cases: [(&str, Turn, bool); 8] = [
        ("nothing happened", |_, _| {}, true),
        (
            "a wrong code",
            |scene, token| {
                let wrong = scene.wrong(token);
                let _ = scene.answer(token, &wrong);
            },
            true,
        ),
        ("its connection is gone", |scene, token| assert!(scene.abandon(token)), false),
        ("just before its end", |scene, _| scene.wait(299), true),
        ("its end", |scene, _| scene.wait(300), false),
        ("it was granted", |scene, token| assert!(granted(&scene.right(token))), false),
        ("it was given up", |scene, token| drop(scene.answer(token, "q")), false),
        (
            "a newer code",
            |scene, token| {
                scene.wait(30);
                let _ = scene.asked(token, "r");
            },
            false,
        ),
    ];
    for (name, turn, expected) in cases {
        let mut scene = Scene::new();
        let (token, order) = start(&mut scene);
        turn(&mut scene, token);
        let wanted = |order: &Order| order.is_wanted(&scene.login("alice"), scene.now);
        assert_eq!(wanted(&order), expected, "{name}");
        let awaited = |by: &str| order.is_awaited(&scene.login("alice"), by, scene.now);
        assert_eq!(
            (awaited("telnyx"), awaited("plivo")),
            (expected, false),
            "{name}: of its gateway"
        );
        let newest = newest(&scene);
        assert_eq!(wanted(&newest), expected || newest.issued_at != order.issued_at, "{name}");
    }
    // What a carrier lost goes out again: the repeat is wanted then, and the first message no more.
    let mut scene = Scene::new();
    let (_, order) = start(&mut scene);
    let again = report(&mut scene, &order, "telnyx", Cause::Route).expect("a message");
    let wanted = |order: &Order| order.is_wanted(&scene.login("alice"), scene.now);
    assert_eq!((wanted(&order), wanted(&again)), (false, true));
}
