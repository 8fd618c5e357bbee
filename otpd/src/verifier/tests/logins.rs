//! A login, a message and their ends, as one who logs in and the vendor see them.

use std::{sync::Arc, time::Duration};

use otp_proto::{Secret, login::Verdict};

use super::{House, accepted, code};
use crate::{
    domain::{
        audit::Event,
        budget::Limits,
        login::Typed,
        time::{DAY, Timestamp},
    },
    gateway::Outcome,
    verifier::{Attendance, Claim, EnrollRequest},
};

#[tokio::test]
async fn a_text_carries_the_code_that_the_prompt_asks_for() {
    let mut house = House::new().await;
    let (token, prompt, code) = house.begin().await;
    assert!(prompt.starts_with("Code sent by text message to the number ending 42 (ref "));
    assert_eq!(house.answer(token, "000000x").await, None, "no code's shape");
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Denied), "used once");
}

#[tokio::test]
async fn of_logins_that_are_refused_only_so_many_are_written_down() {
    let house = House::empty().await;
    for nth in 0..100 {
        let connection = Some(format!("203.0.113.9 {nth} 192.0.2.1 22 {nth}"));
        let (_, step) = house.verifier.begin(Claim { connection, ..House::claim() }).await;
        assert_eq!(step.verdict, Some(Verdict::Denied));
    }
    let audit = house.audit.lock().unwrap();
    let denied = audit.iter().filter(|row| matches!(row.event, Event::LoginDenied { .. }));
    assert_eq!((denied.count(), house.verifier.unwritten().get()), (60, 40));
}

#[tokio::test]
async fn sent_is_not_said_before_a_vendor_took_it() {
    let mut house = House::new().await;
    let begun = house.verifier.begin(House::claim()).await;
    let prompt = begun.1.prompt.expect("a prompt after the time for a vendor").text;
    assert!(prompt.starts_with("A code is being sent by text message to the number ending 42"));
    let text = house.accept().await;
    house.verifier.drained().await;
    let again = house.verifier.begin(House::claim()).await;
    assert_eq!(again.0, begun.0, "the same connection goes on with the same login");
    let prompt = again.1.prompt.expect("a prompt").text;
    assert!(prompt.starts_with("Code sent by text message"), "{prompt}");
    assert!(house.vendors.try_recv().is_err(), "and no second message is sent");
    let token = again.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&text)).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn after_no_clear_answer_the_next_gateway_gets_the_same_code() {
    let mut house = House::new().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, texts) = tokio::join!(verifier.begin(House::claim()), async {
        let first = house.settle(Outcome::Unknown("cut".into())).await;
        (first, house.accept().await)
    });
    assert_eq!(texts.0, texts.1);
    let token = begun.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&texts.1)).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn what_no_gateway_takes_is_said_and_not_charged() {
    let mut house = House::new().await;
    let limit = Limits::default().unanswered_per_hour;
    for round in 0..=limit {
        let mut claim = House::claim();
        claim.connection = Some(format!("203.0.113.9 5000{round} 192.0.2.1 22 1"));
        let verifier = Arc::clone(&house.verifier);
        let ((token, step), ()) = tokio::join!(verifier.begin(claim), async {
            for _ in 0..2 {
                house.settle(Outcome::Misconfigured("401".into())).await;
            }
        });
        let prompt = step.prompt.expect("a prompt").text;
        assert!(prompt.contains("could not be sent"), "round {round}: {prompt}");
        verifier.cancel(token.expect("a challenge")).await;
    }
}

#[tokio::test]
async fn a_resend_goes_by_another_route() {
    let mut house = House::new().await;
    let (token, _, old) = house.begin().await;
    *house.now.lock().unwrap() = Timestamp(1_800_000_031_000);
    let verifier = Arc::clone(&house.verifier);
    let typed = Typed::new("r");
    let (_, handed) = tokio::join!(verifier.answer(token, typed), async {
        let handed = house.vendors.recv().await.expect("a message");
        handed.settle.send(accepted()).expect("the gateway waits");
        (handed.gateway, code(&handed.text))
    });
    assert_eq!(handed.0, "second");
    assert_ne!(handed.1, old);
    assert_eq!(house.answer(token, &handed.1).await, Some(Verdict::Granted));
}

/// Its number was proved, so what the first gateway says of it may be wrong.
#[tokio::test]
async fn who_asks_again_after_a_refused_number_gets_a_code_by_another_gateway() {
    let mut house = House::new().await;
    let refused = Outcome::Rejected("no such number".into());
    let verifier = Arc::clone(&house.verifier);
    let (begun, _) = tokio::join!(verifier.begin(House::claim()), house.settle(refused));
    let token = begun.0.expect("a challenge");
    let prompt = begun.1.prompt.expect("a prompt").text;
    assert!(prompt.contains("could not be sent"), "{prompt}");
    house.verifier.drained().await;
    assert!(house.vendors.try_recv().is_err(), "no other is asked by itself");
    *house.now.lock().unwrap() = Timestamp(1_800_000_031_000);
    let (_, (gateway, typed)) = tokio::join!(verifier.answer(token, Typed::new("r")), async {
        let handed = house.vendors.recv().await.expect("a message");
        handed.settle.send(accepted()).expect("the gateway waits");
        (handed.gateway, code(&handed.text))
    });
    assert_eq!(gateway, "second");
    assert_eq!(house.answer(token, &typed).await, Some(Verdict::Granted));
    // And with the next login it need not be asked for.
    let (_, gateway) = tokio::join!(verifier.begin(House::claim()), async {
        let handed = house.vendors.recv().await.expect("a message");
        handed.settle.send(accepted()).expect("the gateway waits");
        handed.gateway
    });
    assert_eq!(gateway, "second");
}

#[tokio::test]
async fn an_opt_out_after_no_clear_answer_leaves_the_code_that_may_come() {
    let mut house = House::new().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, text) = tokio::join!(verifier.begin(House::claim()), async {
        let text = house.settle(Outcome::Unknown("cut".into())).await;
        house.settle(Outcome::OptedOut).await;
        text
    });
    let prompt = begun.1.prompt.expect("a prompt").text;
    assert!(prompt.starts_with("A code is being sent by text message"), "{prompt}");
    house.verifier.drained().await;
    let shown = house.verifier.show(&house.root).await.expect("a read").expect("enrolled");
    assert_eq!(shown.sends, 1, "it may have been sent, so it is charged");
    let events = house.written().await;
    assert!(events.iter().any(|event| matches!(event, Event::OptedOut { .. })), "{events:?}");
    let perhaps = |event: &Event| matches!(event, Event::MessageSent { gateway, certain: false, .. } if gateway == "first");
    assert!(events.iter().any(perhaps), "{events:?}");
    let token = begun.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&text)).await, Some(Verdict::Granted));
}

/// Lets twenty seconds of the runtime's time pass, and what then falls due happen.
async fn grace() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(20_001)).await;
    tokio::time::resume();
    // The cancellation is a decision like any other; one more behind it comes after it.
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_is_cancelled_after_a_while() {
    let mut house = House::new().await;
    let (token, _, code) = house.begin().await;
    drop(Attendance::begin(&house.verifier, token));
    tokio::task::yield_now().await;
    grace().await;
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Denied));
}

#[tokio::test]
async fn one_that_comes_back_goes_on() {
    let mut house = House::new().await;
    let (token, _, code) = house.begin().await;
    drop(Attendance::begin(&house.verifier, token));
    tokio::task::yield_now().await;
    let back = Attendance::begin(&house.verifier, token);
    grace().await;
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    back.finish();
}

#[tokio::test]
async fn a_code_that_a_crash_lost_is_sent_anew() {
    let mut house = House::new().await;
    let begun = house.verifier.begin(House::claim()).await;
    let handed = house.vendors.recv().await.expect("a message that no vendor answers");
    let mut house = house.crash().await;
    house.verifier.recover_lost().await;
    let text = house.accept().await;
    assert_ne!(code(&text), code(&handed.text));
    house.verifier.drained().await;
    let token = begun.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&handed.text)).await, None, "recognised, no try");
    assert_eq!(house.answer(token, &code(&text)).await, Some(Verdict::Granted));
    house.verifier.recover_lost().await;
    assert!(house.vendors.try_recv().is_err(), "nobody waits any more");
}

#[tokio::test]
async fn a_code_that_a_vendor_took_survives_a_crash() {
    let mut house = House::new().await;
    let (token, _, code) = house.begin().await;
    let mut house = house.crash().await;
    house.verifier.recover_lost().await;
    assert!(house.vendors.try_recv().is_err(), "it is not sent again");
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn what_is_old_is_forgotten_after_a_minute_without_being_asked() {
    let mut house = House::new().await;
    let (token, _, code) = house.begin().await;
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    *house.now.lock().unwrap() = Timestamp(1_800_000_000_000).after(2 * DAY);
    let verifier = Arc::clone(&house.verifier);
    let upkeep = tokio::spawn(async move { verifier.look_after().await });
    tokio::task::yield_now().await;
    let kept = async || {
        let records = house.verifier.reader.account(house.root.account.clone()).await;
        records.expect("a read").login.challenges.len()
    };
    assert_eq!(kept().await, 2, "the login, and the proof of the number");
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(60_001)).await;
    tokio::time::resume();
    let forgotten = async { while kept().await > 0 {} };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("it is forgotten");
    upkeep.abort();
}

#[tokio::test]
async fn numbers_are_refused_by_country_and_kind() {
    let house = House::empty().await;
    for (phone, expected) in
        [("+442079460123", "Refused(Country"), ("+18005550199", "Number"), ("12", "Number")]
    {
        let phone = Secret::new(phone.into());
        let request = EnrollRequest { phone, channel: None, replace: false };
        let failure = house.verifier.enroll(&house.root, request, 0).await.expect_err(expected);
        assert!(format!("{failure:?}").starts_with(expected), "{failure:?}");
    }
}
