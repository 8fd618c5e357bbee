//! What vendors tell by themselves.

mod last_run;
mod test_messages;
mod words;

use std::sync::Arc;

use otp_proto::login::Verdict;
use rand::RngExt;

use super::{House, accepted, code, follow::pass};
use crate::{
    domain::{audit::Event, login::Cause},
    gateway::{GatewayName, Keyword, Notice, Status, VendorMessageId, callback::Mark},
    random,
    verifier::follow::FOLLOWED,
};

fn failed(cause: Cause) -> Status {
    // The vendor repeats the number, which must not be written down.
    Status::Failed { reason: "40006 +12025550142 unreachable".to_owned(), cause }
}

impl House {
    async fn told(&self, gateway: &str, status: Status) {
        let id = VendorMessageId("id-1".into());
        let notice = Notice::Progress { id, status };
        self.verifier.notice(&GatewayName(gateway.into()), notice).await;
    }

    fn passes(&self, milliseconds: i64) {
        self.now.lock().unwrap().0 += milliseconds;
    }

    async fn hint(&self, gateway: &str) {
        let id = VendorMessageId("id-1".into());
        self.verifier.notice(&GatewayName(gateway.into()), Notice::Hint { id }).await;
    }

    pub(super) async fn writes(&self, from: &str, keyword: Keyword) {
        let from = from.parse().expect("a number");
        let (mark, id) = (Mark(random::system().random()), None);
        let notice = Notice::Inbound { from, keyword, mark, id };
        self.verifier.notice(&GatewayName("first".into()), notice).await;
    }

    /// What was written down about messages after vendors took them, and about opt-outs.
    async fn ends(&self) -> Vec<String> {
        let of = |event: &Event| match event {
            Event::MessageUndelivered { gateway, then, reason, .. } => {
                assert!(!reason.contains("5550142"), "{reason}");
                Some(format!("{gateway} lost: {then}"))
            }
            Event::MessageStatus { gateway, status, .. } => Some(format!("{gateway} {status}")),
            Event::OptedOut { ending, gateway } => Some(format!("out ..{ending} {gateway}")),
            Event::OptedIn { ending, gateway } => Some(format!("in ..{ending} {gateway:?}")),
            _ => None,
        };
        self.written().await.iter().filter_map(of).collect()
    }

    /// A vendor is asked, and says this.
    async fn vendor_says(&mut self, status: Status) {
        let asked = self.asked.recv().await.expect("a question");
        assert_eq!((asked.gateway, asked.id.as_str()), ("first", "id-1"));
        asked.tell.send(status).expect("it waits");
    }

    async fn nobody_is_asked(&mut self) {
        while self.verifier.courier.followed.available_permits() < FOLLOWED {
            tokio::task::yield_now().await;
        }
        assert!(self.asked.try_recv().is_err());
    }
}

/// A house where nothing is followed yet: the proof's message is at its end.
async fn house() -> House {
    let mut house = House::new().await;
    house.told("first", Status::Unconfirmed).await;
    house.nobody_is_asked().await;
    assert_eq!(house.ends().await, ["first unconfirmed"]);
    house.audit.lock().unwrap().clear();
    house
}

#[tokio::test]
async fn a_receipt_ends_the_asking_and_is_written_down_once() {
    for (status, expected) in
        [(Status::Delivered, "first delivered"), (Status::Unconfirmed, "first unconfirmed")]
    {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        house.told("first", Status::UnderWay).await;
        assert_eq!(house.verifier.courier.followed.available_permits(), FOLLOWED - 1);
        for _ in 0..3 {
            house.told("first", status.clone()).await;
        }
        house.told("first", failed(Cause::Route)).await;
        // Without a second of waiting.
        house.nobody_is_asked().await;
        assert_eq!(house.ends().await, [expected]);
        assert!(house.vendors.try_recv().is_err());
        assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    }
}

#[tokio::test]
async fn a_receipt_of_a_loss_sends_by_the_next_gateway_at_once_and_once() {
    let mut house = house().await;
    let (token, _, first) = house.begin().await;
    let (one, other) = (failed(Cause::Route), failed(Cause::Route));
    tokio::join!(house.told("first", one), house.told("first", other));
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!((handed.gateway, code(&handed.text)), ("second", first.clone()));
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    house.told("first", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    let sends = house.verifier.show(&house.root).await.expect("a read").expect("enrolled").sends;
    assert_eq!(sends, 2, "charged like any message");
    house.told("second", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again", "second delivered"]);
    house.nobody_is_asked().await;
    assert_eq!(house.answer(token, &first).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_poll_and_a_receipt_about_one_message_are_one() {
    let mut house = house().await;
    house.begin().await;
    pass(5).await;
    let asked = house.asked.recv().await.expect("a question");
    house.told("first", Status::Delivered).await;
    // The task that asked has ended; its answer comes too late.
    house.nobody_is_asked().await;
    assert!(asked.tell.send(failed(Cause::Route)).is_err());
    assert_eq!(house.ends().await, ["first delivered"]);
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_vendors_own_reply_is_not_lost() {
    let mut house = house().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, text) = tokio::join!(verifier.begin(House::claim()), async {
        let handed = house.vendors.recv().await.expect("a message");
        house.told("first", failed(Cause::Route)).await;
        handed.settle.send(accepted()).expect("it waits");
        house.accept().await
    });
    house.verifier.drained().await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    let token = begun.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&text)).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn what_nobody_sent_is_ignored_and_counted() {
    let house = house().await;
    let before = house.verifier.unknown_receipts();
    for status in [Status::Delivered, failed(Cause::OptedOut), failed(Cause::Route)] {
        house.told("third", status).await;
    }
    house.hint("third").await;
    assert_eq!(house.verifier.unknown_receipts(), before + 3);
    assert!(house.ends().await.is_empty());
}

#[tokio::test]
async fn a_hint_has_the_vendor_asked_at_once_but_not_without_end() {
    let mut house = house().await;
    house.begin().await;
    for _ in 0..5 {
        house.hint("first").await;
    }
    let asked = house.asked.recv().await.expect("a question");
    asked.tell.send(Status::UnderWay).expect("it waits");
    // Once more for the four that came after: what it said may be of before their news.
    pass(3).await;
    house.vendor_says(Status::UnderWay).await;
    // And for none of them besides: the next question is that of the tenth second, since the one of the
    // fifth came too soon after this.
    pass(7).await;
    house.vendor_says(Status::Delivered).await;
    house.nobody_is_asked().await;
    assert_eq!(house.ends().await, ["first delivered"]);
}

/// The last question without a hint is that of the fortieth second.
#[tokio::test]
async fn a_hint_right_after_the_last_question_is_followed_up() {
    let mut house = house().await;
    house.begin().await;
    for wait in [5, 5, 10, 20] {
        pass(wait).await;
        house.vendor_says(Status::UnderWay).await;
    }
    house.hint("first").await;
    house.hint("first").await;
    pass(3).await;
    house.vendor_says(failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!(handed.gateway, "second");
}
