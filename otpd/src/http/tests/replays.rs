//! Requests that somebody recorded and plays again.

use std::sync::Arc;

use otp_proto::Secret;

use super::{House, Open, status};
use crate::verifier::EnrollRequest;

const PATH: &str = "/receipts/twilio";

/// What root's telephone wrote.
fn word<'a>(word: &'a str, id: &'a str) -> [(&'a str, &'a str); 3] {
    [("Body", word), ("From", "+12025550142"), ("MessageSid", id)]
}

impl Open {
    /// The public listener of a house, with what acts on what comes in.
    async fn acting(house: House) -> Self {
        let mut open = Self::public_of(house).await;
        let notices = open.notices.take().expect("nobody acts on them yet");
        tokio::spawn(notices.act(Arc::clone(&open.house.verifier)));
        open
    }

    /// Sends what Twilio signed, and waits until it was acted on: what comes behind it is.
    async fn heard(&self, fields: &[(&str, &str)], marker: &str) {
        assert_eq!(status(&self.twilio(PATH, fields).await), 200);
        let before = self.house.verifier.unknown_receipts();
        let behind = [("MessageSid", marker), ("MessageStatus", "delivered")];
        assert_eq!(status(&self.twilio(PATH, &behind).await), 200);
        while self.house.verifier.unknown_receipts() == before {
            tokio::task::yield_now().await;
        }
    }

    async fn is_stopped(&self) -> bool {
        let shown = self.house.verifier.show(&self.house.root).await.expect("a read");
        shown.expect("enrolled").opted_out.is_some()
    }
}

#[tokio::test]
async fn a_recorded_word_does_nothing_after_a_restart() {
    let house = House::empty().await;
    let phone = Secret::new("+12025550142".into());
    let request = EnrollRequest { phone, channel: None, replace: false };
    house.verifier.register(&house.root, request, 0).await.expect("entered");
    let open = Open::acting(house).await;
    open.heard(&word("STOP", "SM1"), "a").await;
    assert!(open.is_stopped().await);
    open.heard(&word("START", "SM2"), "b").await;
    assert!(!open.is_stopped().await);

    // Whatever was remembered in memory is gone.
    let open = Open::acting(open.house.crash().await).await;
    open.heard(&word("STOP", "SM1"), "c").await;
    assert!(!open.is_stopped().await, "the same STOP");
    // The fields that are signed one behind the other, cut in another place.
    let cut = [("Body", "STOP"), ("From", "+12025550142"), ("MessageSi", "dSM1")];
    open.heard(&cut, "d").await;
    assert!(!open.is_stopped().await, "the same STOP with another id");
    open.heard(&word("STOP", "SM3"), "e").await;
    assert!(open.is_stopped().await, "a new one");
    open.heard(&word("START", "SM2"), "f").await;
    assert!(open.is_stopped().await, "the START of before");
    open.heard(&word("START", "SM4"), "g").await;
    assert!(!open.is_stopped().await);
}
