//! Messages that test a gateway.

use super::{TestDelivered, TestLost, TestMessage, TestOrder};
use crate::domain::{
    account::Account,
    budget::{LimitName, PROOFS_PER_DAY},
    challenge::Channel,
    login::{Cause, DeliveryResult},
    phone::Line,
    proof::{Outcome, Refusal},
    records::TrafficKey,
    scene::{Scene, destination, index, sent},
};

const NUMBER: &str = "+13125550188";

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked {
    line: Line,
    channel: Channel,
    gateway: Option<&'static str>,
}

const TEXT: Asked = Asked { line: Line::Mobile, channel: Channel::Sms, gateway: None };

fn order(scene: &mut Scene, asked: Asked) -> Result<TestOrder, Refusal> {
    let draw = scene.draw();
    let message = TestMessage {
        terms: scene.terms(),
        destination: destination(NUMBER, asked.line),
        index: index(NUMBER),
        channel: asked.channel,
        gateway: asked.gateway.map(str::to_owned),
        uid: 0,
        token: draw.token,
        reference: draw.reference,
    };
    let decided = scene.decide(Some(Account::host()), Some(index(NUMBER)), |records, now| {
        message.decide(records, now)
    });
    match decided {
        Outcome::Done(order) => Ok(order),
        Outcome::Refused(refusal) => Err(refusal),
    }
}

fn deliver(scene: &mut Scene, order: &TestOrder, result: DeliveryResult) {
    settle(scene, order, result, true);
}

fn settle(scene: &mut Scene, order: &TestOrder, result: DeliveryResult, known: bool) {
    let failures = match result {
        DeliveryResult::Sent { .. } => Vec::new(),
        _ => vec![("telnyx".to_owned(), "timeout".to_owned())],
    };
    let delivered = TestDelivered {
        token: order.token,
        index: order.index,
        charged_at: order.charged_at,
        failures,
        result,
        known,
    };
    let (host, number) = (Some(Account::host()), Some(order.index));
    scene.decide(host, number, |records, now| delivered.decide(records, now));
}

fn limit(refused: Result<TestOrder, Refusal>) -> LimitName {
    match refused {
        Err(Refusal::Held(held)) => held.limit,
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn a_number_gets_three_a_day_and_each_is_written_down() {
    let mut scene = Scene::new();
    for _ in 0..PROOFS_PER_DAY {
        let order = order(&mut scene, TEXT).expect("a message");
        assert_eq!(scene.events(), ["test-message"]);
        deliver(&mut scene, &order, sent());
        assert_eq!(scene.events(), ["message-sent"]);
        scene.wait(1);
    }
    assert_eq!(limit(order(&mut scene, TEXT)), LimitName::UnverifiedPerDay);
    assert_eq!(scene.events(), ["refused unverified-number-per-day"]);
    assert!(!scene.enrollments.contains_key(&Account::host()));
    scene.wait(24 * 3600);
    order(&mut scene, TEXT).expect("another day");
}

#[test]
fn what_surely_did_not_go_is_not_charged_and_what_perhaps_did_is() {
    let perhaps = DeliveryResult::Perhaps { gateway: "telnyx".to_owned() };
    let stopped = |perhaps| DeliveryResult::OptedOut {
        gateway: "telnyx".to_owned(),
        ending: "42".to_owned(),
        perhaps,
    };
    for (name, result, charged) in [
        ("failed", DeliveryResult::Failed, false),
        ("refused", DeliveryResult::Refused { gateway: "telnyx".to_owned() }, false),
        ("stopped", stopped(None), false),
        ("stopped after perhaps", stopped(Some("plivo".to_owned())), true),
        ("perhaps", perhaps, true),
        ("sent", sent(), true),
    ] {
        let mut scene = Scene::new();
        scene.terms.limits.max_messages_per_day = Some(1);
        let first = order(&mut scene, TEXT).expect("a message");
        // Of a number that no account has, whose opt-out would be kept with its budget.
        settle(&mut scene, &first, result, false);
        let budget = scene.budgets[&index(NUMBER)].clone();
        assert_eq!(budget.is_idle(scene.now), !charged, "{name}: the number's");
        let site = &scene.traffic[&TrafficKey::All];
        let capped = site.capped(&scene.terms.limits, scene.now).is_some();
        assert_eq!(capped, charged, "{name}: the site's");
        assert_eq!(order(&mut scene, TEXT).is_err(), charged, "{name}");
    }
}

#[test]
fn that_there_was_no_gateway_to_try_is_written_down() {
    let mut scene = Scene::new();
    let order = order(&mut scene, TEXT).expect("a message");
    let (token, index, charged_at) = (order.token, order.index, order.charged_at);
    let result = DeliveryResult::Failed;
    let none =
        TestDelivered { token, index, charged_at, failures: Vec::new(), result, known: true };
    scene.events();
    scene.decide(Some(Account::host()), Some(index), |records, now| none.decide(records, now));
    assert_eq!(scene.events(), ["message-failed no gateway could be tried"]);
}

#[test]
fn the_cap_on_all_messages_counts_it() {
    let mut scene = Scene::new();
    scene.terms.limits.max_messages_per_day = Some(2);
    for _ in 0..2 {
        order(&mut scene, TEXT).expect("a message");
    }
    assert_eq!(limit(order(&mut scene, TEXT)), LimitName::MaxMessagesPerDay);
}

#[test]
fn country_line_and_channel_are_as_for_enrollment() {
    let call = Asked { channel: Channel::Voice, ..TEXT };
    let through = Some("telnyx");
    let cases: [(&str, bool, bool, Asked, Option<Refusal>); 7] = [
        ("a text", true, true, TEXT, None),
        ("a call", true, true, call, None),
        ("no gateway that calls", true, false, call, Some(Refusal::NoVoice)),
        ("a gateway of one's own choice", true, false, Asked { gateway: through, ..call }, None),
        (
            "a text to a landline",
            true,
            true,
            Asked { line: Line::Fixed, ..TEXT },
            Some(Refusal::LineTakesNoText),
        ),
        ("a call to a landline", true, true, Asked { line: Line::Fixed, ..call }, None),
        (
            "another country",
            false,
            true,
            TEXT,
            Some(Refusal::Country("US".parse().expect("a country"))),
        ),
    ];
    for (name, listed, voice, asked, expected) in cases {
        let mut scene = Scene::new();
        scene.terms.voice = voice;
        if !listed {
            scene.terms.countries.clear();
        }
        assert_eq!(order(&mut scene, asked).err(), expected, "{name}");
    }
}

#[test]
fn an_opt_out_is_remembered_where_an_account_can_be_unlocked() {
    let stopped = || DeliveryResult::OptedOut {
        gateway: "stop".to_owned(),
        ending: "88".to_owned(),
        perhaps: None,
    };
    for known in [false, true] {
        let mut scene = Scene::new();
        let refused = order(&mut scene, TEXT).expect("a message");
        settle(&mut scene, &refused, stopped(), known);
        assert_eq!(order(&mut scene, TEXT).err(), known.then_some(Refusal::OptedOut), "at once");
        let mut scene = Scene::new();
        let taken = order(&mut scene, TEXT).expect("a message");
        settle(&mut scene, &taken, sent(), known);
        let lost = TestLost {
            order: taken.clone(),
            gateway: "stop".to_owned(),
            vendor_id: "m-1".to_owned(),
            reason: "stopped".to_owned(),
            cause: Cause::OptedOut,
            known,
        };
        let (host, number) = (Some(Account::host()), Some(taken.index));
        scene.decide(host, number, |records, now| lost.decide(records, now));
        assert_eq!(order(&mut scene, TEXT).err(), known.then_some(Refusal::OptedOut), "later");
    }
}
