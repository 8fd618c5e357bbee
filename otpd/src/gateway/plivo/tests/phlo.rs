//! Sending through a flow of the site's own.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    ID, Outcome, PHLO, PlivoSettings, StandIn, UUID, VendorMessageId, accepted, gateway, message,
    settings,
};
use crate::{
    domain::challenge::Channel,
    gateway::{Gateway as _, Message},
};

fn flow(base_url: String, from: Option<&str>) -> PlivoSettings {
    let from = from.map(str::to_owned);
    PlivoSettings { from, phlo_id: Some(PHLO.to_owned()), ..settings(base_url) }
}

#[tokio::test]
async fn a_flow_gets_what_it_may_need() {
    let vendor = StandIn::start().await;
    let code = || Some(Zeroizing::new("482913".to_owned()));
    let all = json!({"from": "+13125550123", "to": "+13125550142", "mode": "sms",
                     "text": "482913 is your code", "otp": "482913"});
    let cases = [
        ("a text", Some("+13125550123"), Channel::Sms, code(), all),
        (
            "a call, which needs no address for its words",
            Some("+13125550123"),
            Channel::Voice,
            code(),
            json!({"from": "+13125550123", "to": "+13125550142", "mode": "call",
                   "text": "482913 is your code", "otp": "482913"}),
        ),
        (
            "a flow with a number of its own, and a message without a code",
            None,
            Channel::Sms,
            None,
            json!({"to": "+13125550142", "mode": "sms", "text": "482913 is your code"}),
        ),
    ];
    for (name, from, channel, code, expected) in cases {
        let gateway = gateway(&flow(vendor.server.url(""), from));
        let message = Message { code, ..message(channel) };
        assert_eq!(gateway.send(&message).await, accepted(UUID), "{name}");
        let seen = vendor.server.seen();
        let path = format!("/v1/account/{ID}/phlo/{PHLO}");
        assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*path), "{name}");
        assert_eq!(serde_json::from_str::<Value>(&seen[0].body).unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_flow_tells_nothing_later() {
    let gateway = gateway(&flow("https://phlorunner.plivo.com".to_owned(), None));
    let id = VendorMessageId::checked(UUID).unwrap();
    for channel in [Channel::Sms, Channel::Voice] {
        assert!(gateway.status(&message(channel), &id).is_none(), "{channel:?}");
    }
}

#[tokio::test]
async fn another_flow_is_the_configuration_s_fault() {
    let vendor = StandIn::start().await;
    let other = PlivoSettings {
        phlo_id: Some("00000000-b4a5-4697-8879-6a5b4c3d2e1f".to_owned()),
        ..flow(vendor.server.url(""), None)
    };
    let outcome = gateway(&other).send(&message(Channel::Sms)).await;
    assert_eq!(outcome, Outcome::Misconfigured("HTTP 404: not found".to_owned()));
}
