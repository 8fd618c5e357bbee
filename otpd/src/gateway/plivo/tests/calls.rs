//! Calls whose words Plivo fetches.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{ID, StandIn, UUID, accepted, error, gateway, kind, message, settings};
use crate::{
    domain::challenge::Channel,
    gateway::{Gateway as _, Message, Outcome},
};

const URL: &str = "https://otp.example.net/answer/5f0d3a";

fn call() -> Message {
    Message { answer_url: Some(Zeroizing::new(URL.to_owned())), ..message(Channel::Voice) }
}

#[tokio::test]
async fn a_call_is_told_where_its_words_are_and_never_what_they_are() {
    let vendor = StandIn::start().await;
    let outcome = gateway(&settings(vendor.server.url(""))).send(&call()).await;
    assert_eq!(outcome, accepted(UUID));
    let seen = vendor.server.seen();
    let path = format!("/v1/Account/{ID}/Call/");
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*path));
    assert_eq!(
        serde_json::from_str::<Value>(&seen[0].body).unwrap(),
        json!({"from": "+13125550123", "to": "+13125550142", "answer_url": URL,
               "answer_method": "POST", "ring_timeout": 25, "time_limit": 120})
    );
}

#[tokio::test]
async fn a_call_without_words_to_fetch_is_not_made() {
    let vendor = StandIn::start().await;
    let gateway = gateway(&settings(vendor.server.url("")));
    let remedy = "Plivo fetches what a call says: add [http] with `public-url`, or a phlo-id";
    let outcome = gateway.send(&message(Channel::Voice)).await;
    assert_eq!(outcome, Outcome::Misconfigured(remedy.to_owned()));
    assert!(vendor.server.seen().is_empty());
}

#[tokio::test]
async fn refusals_and_odd_replies_are_read_like_those_of_texts() {
    let cases = [
        (400, error("`to` is no valid number").to_string(), "rejected"),
        (403, error("not enabled").to_string(), "misconfigured"),
        (429, error("limit reached").to_string(), "retryable"),
        (500, String::new(), "unknown"),
        (201, "no JSON".to_owned(), "accepted"),
        (201, json!({"request_uuid": [UUID]}).to_string(), "accepted"),
    ];
    let vendor = StandIn::start().await;
    for (status, body, expected) in cases {
        vendor.next(status, &[], body.clone());
        let outcome = gateway(&settings(vendor.server.url(""))).send(&call()).await;
        assert_eq!(kind(&outcome), expected, "{status} {body}: {outcome:?}");
    }
}
