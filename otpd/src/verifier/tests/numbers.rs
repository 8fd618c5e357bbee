//! Numbers that are entered without a message, shown in full, and tried out.

use std::sync::Arc;

use otp_proto::Secret;

use super::{House, Status, accepted, follow::pass};
use crate::{
    domain::{account::Account, budget::PROOFS_PER_DAY, login::Progress, proof::Refusal},
    gateway::{Outcome, route::Unroutable},
    verifier::{EnrollRequest, Failure, TestFailure, TestRequest},
};

const NUMBER: &str = "+12025550177";

fn test() -> TestRequest {
    TestRequest { phone: Secret::new(NUMBER.into()), gateway: None, voice: false }
}

/// Taken by a vendor that cannot be asked what became of it.
fn unnamed() -> Outcome {
    Outcome::Accepted { vendor_id: None }
}

/// Messages that the number of [`NUMBER`] may still get before it is proved, by trying.
async fn left(house: &mut House) -> usize {
    let mut left = 0;
    loop {
        let verifier = Arc::clone(&house.verifier);
        let sending = verifier.test_message(test(), 0);
        tokio::pin!(sending);
        let tested = tokio::select! {
            tested = &mut sending => tested,
            _ = house.settle(unnamed()) => sending.await,
        };
        match tested {
            Ok(_) => left += 1,
            Err(TestFailure::Other(Failure::Refused(Refusal::Held(_)))) => return left,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_test_message_goes_the_way_of_logins_and_says_who_took_it() {
    let mut house = House::empty().await;
    let verifier = Arc::clone(&house.verifier);
    let (tested, text) = tokio::join!(verifier.test_message(test(), 0), async {
        house.settle(Outcome::Misconfigured("401".into())).await;
        let text = house.accept().await;
        house.verifier.drained().await;
        pass(1).await;
        let asked = house.asked.recv().await.expect("a question");
        asked.tell.send(Status::Delivered).expect("it waits");
        text
    });
    let tested = tested.expect("a message");
    assert_eq!(tested.progress, Progress::Sent);
    assert_eq!(tested.gateway.as_deref(), Some("second"));
    assert_eq!(tested.vendor_id.as_deref(), Some("id-1"));
    assert_eq!(tested.reason.as_deref(), Some("first: configuration: 401"));
    let reference = tested.reference;
    assert_eq!(text, format!("Test message of otpd on web01, ref {reference}. Nothing to do."));
    assert_eq!(left(&mut house).await, PROOFS_PER_DAY - 1);
    let host = house.verifier.is_known(&Account::host()).await;
    assert_eq!(host, Ok(false), "nothing but the audit knows of it");
}

#[tokio::test]
async fn one_gateway_is_asked_when_it_is_named_and_no_other_after_it() {
    let mut house = House::empty().await;
    let verifier = Arc::clone(&house.verifier);
    let through = TestRequest { gateway: Some("second".into()), ..test() };
    let (tested, gateway) = tokio::join!(verifier.test_message(through, 0), async {
        let handed = house.vendors.recv().await.expect("a message");
        handed.settle.send(Outcome::Misconfigured("401".into())).expect("the gateway waits");
        handed.gateway
    });
    assert_eq!(gateway, "second");
    let tested = tested.expect("a message");
    assert_eq!((tested.progress, tested.gateway), (Progress::Failed, None));
    assert_eq!(tested.reason.as_deref(), Some("second: configuration: 401"));
    assert!(house.vendors.try_recv().is_err());
    assert_eq!(left(&mut house).await, PROOFS_PER_DAY, "what did not go is not charged");
    let unknown = TestRequest { gateway: Some("third".into()), ..test() };
    let known = vec!["first".to_owned(), "second".to_owned()];
    let expected = TestFailure::Gateway(Unroutable::Unknown { known });
    assert_eq!(house.verifier.test_message(unknown, 0).await, Err(expected));
}

#[tokio::test]
async fn a_vendor_that_takes_its_time_is_waited_for_and_then_said_to_be_at_it() {
    let mut house = House::empty().await;
    let verifier = Arc::clone(&house.verifier);
    let (tested, handed) = tokio::join!(verifier.test_message(test(), 0), async {
        let handed = house.vendors.recv().await.expect("a message");
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_millis(8_001)).await;
        tokio::time::resume();
        handed
    });
    let tested = tested.expect("a message");
    assert_eq!((tested.progress, tested.gateway), (Progress::Sending, None));
    handed.settle.send(accepted()).expect("the gateway is still asked");
    house.verifier.drained().await;
    assert_eq!(left(&mut house).await, PROOFS_PER_DAY - 1);
}

#[tokio::test]
async fn a_number_is_registered_without_a_message_and_sent_to_once() {
    let mut house = House::empty().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let register = async |replace| {
        let phone = Secret::new(NUMBER.into());
        let request = EnrollRequest { phone, channel: None, replace };
        verifier.register(&root, request, 0).await.expect("a good number")
    };
    let first = register(false).await;
    assert!(!first.unchanged && first.enrollment.proof_sent_at.is_none());
    assert!(house.vendors.try_recv().is_err(), "nothing is sent");
    let (resent, _) = tokio::join!(verifier.resend(&root, false, 0), house.accept());
    resent.expect("a message");
    let again = register(false).await;
    assert!(again.unchanged && again.enrollment.proof_sent_at.is_some());
    house.verifier.drained().await;
    let mut house = house.crash().await;
    let summary = house.verifier.show(&root).await.expect("a read").expect("a number");
    assert!(summary.enrollment.proof_sent_at.is_some(), "it is stored");
    let number = house.verifier.reveal(&root, 0).await.expect("written down");
    assert_eq!(number.expect("a number").expose(), NUMBER);
    assert!(house.vendors.try_recv().is_err());
}
