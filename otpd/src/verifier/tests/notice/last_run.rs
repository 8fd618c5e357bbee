//! Messages that an earlier run of the daemon sent.

use std::sync::{Arc, atomic::Ordering};

use otp_proto::login::Verdict;

use super::{
    super::{House, Typed, accepted, code, follow::pass},
    failed, house,
};
use crate::{
    config::{Message as Text, MessageTemplate},
    domain::{
        challenge::CodeRules,
        login::{Cause, Terms},
        policy::Policy,
    },
    gateway::Status,
    verifier::{Site, follow::FOLLOWED},
};

#[tokio::test]
async fn a_loss_of_the_last_run_s_message_brings_a_fresh_code_by_the_next_gateway() {
    let mut house = house().await;
    let (token, _, lost) = house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    let (one, other) = (failed(Cause::Route), failed(Cause::Route));
    tokio::join!(house.told("first", one), house.told("first", other));
    house.vendor_says(failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    let fresh = code(&handed.text);
    assert_eq!(handed.gateway, "second");
    assert_ne!(fresh, lost);
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    house.told("first", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    assert_eq!(house.verifier.unknown_receipts(), 1, "it was told after the end of it");
    assert_eq!(house.answer(token, &lost).await, None, "recognised, no try");
    assert_eq!(house.answer(token, &fresh).await, Some(Verdict::Granted));
    assert!(house.vendors.try_recv().is_err());
}

#[tokio::test]
async fn a_false_loss_of_the_last_run_s_message_leaves_its_code_alone() {
    for (status, expected) in [
        (Status::Delivered, &["first delivered"][..]),
        (Status::UnderWay, &[]),
        (Status::Unknown("HTTP 500".to_owned()), &[]),
    ] {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        let mut house = house.crash().await;
        house.passes(1);
        house.verifier.recover_lost().await;
        house.told("first", failed(Cause::Route)).await;
        house.vendor_says(status.clone()).await;
        // What it said is acted on by the task that asked, which has its place until then; another
        // waits to ask in the seconds to come, unless the message is at its end.
        let left = FOLLOWED - usize::from(expected.is_empty());
        while house.verifier.courier.followed.available_permits() < left {
            tokio::task::yield_now().await;
        }
        assert_eq!(house.ends().await, expected, "{status:?}");
        assert!(house.vendors.try_recv().is_err(), "{status:?}");
        assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted), "{status:?}");
    }
}

#[tokio::test]
async fn a_loss_of_the_last_run_s_message_is_believed_where_its_vendor_cannot_be_asked() {
    let mut house = house().await;
    let (token, _, lost) = house.begin().await;
    let mut house = house.crash().await;
    house.mute.store(true, Ordering::Relaxed);
    house.passes(1);
    house.verifier.recover_lost().await;
    house.told("first", failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!(handed.gateway, "second");
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.answer(token, &lost).await, None, "recognised, no try");
}

#[tokio::test]
async fn a_fresh_code_for_the_last_run_s_message_goes_by_the_rules_that_hold_then() {
    let mut house = house().await;
    let (token, _, _) = house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    let old = house.verifier.site();
    let rules = CodeRules { digits: 8, ..old.terms.rules };
    house.verifier.replace_site(Site {
        policy: Policy::default(),
        terms: Arc::new(Terms { rules, ..(*old.terms).clone() }),
        message: Text {
            template: MessageTemplate::parse("{code} for {host}, ref {ref}", "web02")
                .expect("fits"),
            host: "web02".into(),
        },
        delivery: old.delivery.clone(),
        routes: Arc::clone(&old.routes),
        public_url: None,
        admin_group: old.admin_group.clone(),
        keep_audit: old.keep_audit,
    });
    house.told("first", failed(Cause::Route)).await;
    house.vendor_says(failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    assert!(handed.text.contains(" for web02, ref "), "{}", handed.text);
    let fresh = code(&handed.text);
    assert_eq!(fresh.len(), 8);
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.answer(token, &fresh).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_proof_of_the_last_run_that_did_not_arrive_is_left_to_the_administrator() {
    let mut house = House::empty().await;
    let text = house.enroll().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    house.told("first", failed(Cause::Route)).await;
    house.vendor_says(failed(Cause::Route)).await;
    while house.ends().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ends().await, ["first lost: left-to-administrator"]);
    assert!(house.vendors.try_recv().is_err(), "nothing is sent again");
    let proved = house.verifier.verify(&house.root, Typed::new(&code(&text)), 0).await;
    proved.expect("it came after all");
}

#[tokio::test]
async fn what_comes_before_the_last_run_s_messages_are_found_waits_for_them() {
    let mut house = house().await;
    let (token, _, code) = house.begin().await;
    let house = house.crash().await;
    house.passes(1);
    house.told("first", Status::Delivered).await;
    assert!(house.ends().await.is_empty());
    house.verifier.recover_lost().await;
    while house.ends().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ends().await, ["first delivered"]);
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn the_last_run_s_messages_are_asked_after_too() {
    let mut house = house().await;
    house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    pass(5).await;
    let asked = house.asked.recv().await.expect("a question");
    assert_eq!((asked.gateway, asked.id.as_str()), ("first", "id-1"));
    asked.tell.send(failed(Cause::Route)).expect("it waits");
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!(handed.gateway, "second");
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
}

#[tokio::test]
async fn of_the_last_run_s_messages_only_those_that_somebody_waits_for_are_followed() {
    type Then = fn(&House);
    let cases: [(&str, bool, Then); 3] = [
        ("granted", true, |_| {}),
        ("out of time", false, |house| house.passes(300_000)),
        ("not of an earlier run", false, |_| {}),
    ];
    for (name, granted, then) in cases {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        if granted {
            assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
        }
        let house = house.crash().await;
        then(&house);
        house.verifier.recover_lost().await;
        house.told("first", failed(Cause::Route)).await;
        assert!(house.ends().await.is_empty(), "{name}");
        assert_eq!(house.verifier.unknown_receipts(), 1, "{name}");
    }
}
