//! What people write to senders, and what they are told of a number that was replaced.

use std::sync::Arc;

use otp_proto::{Secret, login::Verdict};

use super::{
    super::{House, Outcome, Typed, code},
    house,
};
use crate::{
    conversation,
    domain::{enrollment::State, login::Progress, manage::Verb, proof::Refusal},
    gateway::Keyword,
    verifier::{EnrollRequest, Failure, TestFailure, TestRequest},
};

#[tokio::test]
async fn stop_is_heard_and_start_and_an_unlocking() {
    let house = house().await;
    let root = house.root.clone();
    let shown = async |house: &House| {
        let shown = house.verifier.show(&root).await.expect("a read").expect("enrolled");
        shown.opted_out.map(|opted_out| opted_out.gateway)
    };
    house.writes("+12025550142", Keyword::Help).await;
    house.writes("+12025550142", Keyword::Other).await;
    assert!(house.audit.lock().unwrap().is_empty(), "the vendor answers HELP");
    house.writes("+12025550142", Keyword::Stop).await;
    house.writes("+12025550142", Keyword::Stop).await;
    house.writes("+12025550199", Keyword::Stop).await;
    assert_eq!(house.ends().await, ["out ..42 first"]);
    assert_eq!(shown(&house).await.as_deref(), Some("first"));
    let (token, step) = house.verifier.begin(House::claim()).await;
    assert_eq!((token, step.verdict), (None, Some(Verdict::Denied)));
    assert!(step.text.expect("words").contains("ending 42 were stopped by a reply with STOP."));
    // Also not to see whether a gateway works.
    let trial =
        TestRequest { phone: Secret::new("+12025550142".into()), gateway: None, voice: false };
    let refused = house.verifier.test_message(trial, 0).await;
    assert_eq!(refused, Err(TestFailure::Other(Failure::Refused(Refusal::OptedOut))));
    // It is stored.
    let mut house = house.crash().await;
    assert_eq!(shown(&house).await.as_deref(), Some("first"));
    house.writes("+12025550142", Keyword::Start).await;
    assert_eq!(house.ends().await, ["in ..42 Some(\"first\")"]);
    assert_eq!(shown(&house).await, None);
    house.writes("+12025550142", Keyword::Stop).await;
    let done = house.verifier.manage(&root, Verb::Unlock, 0).await.expect("a commit");
    assert!(done.expect("enrolled").opted_in);
    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50009 192.0.2.1 22 1".into());
    let verifier = Arc::clone(&house.verifier);
    let (begun, words) = tokio::join!(verifier.begin(claim), house.accept());
    let (token, code) = (begun.0.expect("a challenge"), code(&words));
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_vendor_that_refuses_for_an_opt_out_ends_all_sending() {
    let mut house = house().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, _) = tokio::join!(verifier.begin(House::claim()), house.settle(Outcome::OptedOut));
    let prompt = begun.1.prompt.expect("a prompt").text;
    assert!(prompt.contains("ending 42 were stopped by a reply with STOP."), "{prompt}");
    assert!(house.vendors.try_recv().is_err(), "another sender would be a way around it");
    assert_eq!(house.ends().await, ["out ..42 first"]);
    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50009 192.0.2.1 22 1".into());
    let (token, step) = verifier.begin(claim).await;
    assert_eq!((token, step.verdict), (None, Some(Verdict::Denied)));
    assert!(step.text.expect("words").contains("ending 42 were stopped by a reply with STOP."));
    assert!(house.vendors.try_recv().is_err(), "no vendor is asked again");
    let listed = verifier.page(None).await.expect("a list");
    assert!(listed.iter().all(|row| row.number.as_ref().is_some_and(|n| n.opted_out.is_some())));
}

#[tokio::test]
async fn a_number_that_opted_out_is_enrolled_again_and_unlocked() {
    let mut house = house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    house.writes("+12025550142", Keyword::Stop).await;
    verifier.manage(&root, Verb::Remove, 0).await.expect("a commit").expect("enrolled");
    let phone = Secret::new("+12025550142".into());
    let request = EnrollRequest { phone, channel: None, replace: false };
    let (enrollment, placed) = verifier.enroll(&root, request, 0).await.expect("entered");
    assert_eq!((enrollment.state, placed.progress), (State::Pending, Progress::Stopped));
    assert!(placed.reason.expect("why").ends_with("and then run: otpctl unlock root"));
    let stopped = Some(Failure::Refused(Refusal::OptedOut));
    assert_eq!(verifier.resend(&root, false, 0).await.err(), stopped);
    verifier.manage(&root, Verb::Unlock, 0).await.expect("a commit").expect("enrolled");
    let (placed, text) = tokio::join!(verifier.resend(&root, false, 0), house.accept());
    assert_eq!(placed.expect("a message").progress, Progress::Sent);
    verifier.verify(&root, Typed::new(&code(&text)), 0).await.expect("the right code");
    assert!(house.vendors.try_recv().is_err(), "one message, after the unlocking");
}

#[tokio::test]
async fn of_an_opt_out_that_no_account_could_lift_nothing_is_kept() {
    let mut house = House::empty().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let phone = || Secret::new("+12025550177".into());
    let trial = TestRequest { phone: phone(), gateway: None, voice: false };
    let (tested, _) =
        tokio::join!(verifier.test_message(trial, 0), house.settle(Outcome::OptedOut));
    assert_eq!(tested.expect("an answer").progress, Progress::Stopped);
    house.writes("+12025550177", Keyword::Stop).await;
    assert!(house.ends().await.is_empty());
    let request = EnrollRequest { phone: phone(), channel: None, replace: false };
    let (enrolled, _) = tokio::join!(verifier.enroll(&root, request, 0), house.accept());
    assert_eq!(enrolled.expect("entered").1.progress, Progress::Sent);
}

#[tokio::test]
async fn only_an_enrollment_tells_the_number_that_it_replaces() {
    let request = || EnrollRequest {
        phone: Secret::new("+12025550177".into()),
        channel: None,
        replace: true,
    };
    let mut house = house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    verifier.register(&root, request(), 0).await.expect("entered");
    verifier.drained().await;
    assert!(house.vendors.try_recv().is_err(), "a list sends nothing");
    let mut house = self::house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let (enrolled, texts) = tokio::join!(verifier.enroll(&root, request(), 0), async {
        [house.accept().await, house.accept().await]
    });
    enrolled.expect("entered");
    verifier.drained().await;
    let notice = conversation::replaced_text("web01");
    assert_eq!(texts.iter().filter(|text| **text == *notice).count(), 1, "{texts:?}");
}
