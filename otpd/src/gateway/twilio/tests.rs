//! Twilio's own requests, codes and limits; what it shares with `SignalWire` is in `laml/tests.rs`.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Api, Message, TwilioSettings};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Outcome,
        laml::testing::{FROM, SERVICE, StandIn, Who, error, form, open_twilio, pairs, twilio},
        spoken::Markup,
        testing::{accepted, kind, message},
        vendor::{Dialect as _, SENDER},
    },
};

const URL: &str = "https://otp.example.com/answer/0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_text_is_posted_as_the_api_wants_it() {
    let vendor = StandIn::start(Who::Twilio).await;
    let base = vendor.server.url("");
    assert_eq!(vendor.send(&message(Channel::Sms)).await, accepted("M-1"));
    // A base URL may have a path, as that of a proxy, and end with a slash.
    let behind = open_twilio(&twilio(format!("{base}/")));
    assert_eq!(behind.send(&message(Channel::Sms)).await, accepted("M-2"));
    let seen = vendor.server.seen();
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*Who::Twilio.path("Messages")));
    assert_eq!(seen[0].headers["accept"], "application/json");
    assert_eq!(seen[1].path, seen[0].path);
    let expected = [
        ("To", "+13125550142"),
        ("Body", "482913 is your code"),
        ("From", FROM),
        ("ValidityPeriod", "300"),
        ("SmartEncoded", "true"),
    ];
    assert_eq!(form(&seen[0].body), pairs(&expected));

    let pooled = TwilioSettings {
        from: None,
        messaging_service_sid: Some(SERVICE.to_owned()),
        ..twilio(base)
    };
    let text = Zeroizing::new("482913 is your code & 100% +=ü".to_owned());
    let odd = Message { text, valid_for: Duration::from_millis(200), ..message(Channel::Sms) };
    assert_eq!(open_twilio(&pooled).send(&odd).await, accepted("M-3"));
    let expected = [
        ("To", "+13125550142"),
        ("Body", "482913 is your code & 100% +=ü"),
        ("MessagingServiceSid", SERVICE),
        ("ValidityPeriod", "1"),
        ("SmartEncoded", "true"),
    ];
    assert_eq!(form(&vendor.server.seen()[0].body), pairs(&expected));
}

#[tokio::test]
async fn a_call_says_its_words_or_fetches_them() {
    let vendor = StandIn::start(Who::Twilio).await;
    let call = |answer_url: Option<&str>| Message {
        text: Zeroizing::new("Your code is: 4. 8. 2. 9. 1. 3.".to_owned()),
        answer_url: answer_url.map(|url| Zeroizing::new(url.to_owned())),
        ..message(Channel::Voice)
    };
    assert_eq!(vendor.send(&call(None)).await, accepted("C-1"));
    assert_eq!(vendor.send(&call(Some(URL))).await, accepted("C-2"));
    let seen = vendor.server.seen();
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*Who::Twilio.path("Calls")));
    let document = Markup::Twiml.says("Your code is: 4. 8. 2. 9. 1. 3.");
    let to = [("To", "+13125550142"), ("From", FROM)];
    let limits = [("Timeout", "25"), ("TimeLimit", "120")];
    let inline = [&to[..], &[("Twiml", document.as_str())], &limits].concat();
    assert_eq!(form(&seen[0].body), pairs(&inline));
    let fetched = [&to[..], &[("Url", URL), ("Method", "POST")], &limits].concat();
    assert_eq!(form(&seen[1].body), pairs(&fetched), "and no code");
}

#[test]
fn the_longest_words_fit_a_request() {
    use crate::{conversation, domain::scene::code};

    let host = "&".repeat(64);
    for words in [
        conversation::spoken(&code("12345678"), &host),
        conversation::spoken_proof(&code("12345678"), &host),
        conversation::spoken_test(&host),
    ] {
        let document = Markup::Twiml.says(&words);
        assert!(document.chars().count() <= 4000, "{}", document.len());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_what_the_vendor_says() {
    type Change = fn(&mut TwilioSettings, &mut Message);
    let cases: [(Change, Outcome); 5] = [
        (
            |settings, _| settings.auth_token.secret = Zeroizing::new("revoked_token".to_owned()),
            Outcome::Misconfigured(format!("HTTP 401: 20003 Authenticate ({})", Who::Twilio.key())),
        ),
        (
            |settings, _| settings.from = Some("+13125550199".to_owned()),
            Outcome::Misconfigured(format!("HTTP 400: 21606 'From' is not yours ({SENDER})")),
        ),
        (
            |settings, _| settings.messaging_service_sid = Some("MG0".to_owned()),
            Outcome::Misconfigured(
                "HTTP 400: 21705 The Messaging Service Sid is invalid".to_owned(),
            ),
        ),
        (
            |_, message| message.text = Zeroizing::new(String::new()),
            Outcome::Misconfigured("HTTP 400: 21602 Message body is required".to_owned()),
        ),
        (
            |settings, _| settings.base_url.push_str("/elsewhere"),
            Outcome::Misconfigured(
                "HTTP 404: 20404 The requested resource was not found".to_owned(),
            ),
        ),
    ];
    for (change, expected) in cases {
        let vendor = StandIn::start(Who::Twilio).await;
        let (mut settings, mut message) = (twilio(vendor.server.url("")), message(Channel::Sms));
        change(&mut settings, &mut message);
        assert_eq!(open_twilio(&settings).send(&message).await, expected);
    }
}

/// Every documented code. The status is 400 throughout: the code comes first.
#[tokio::test]
async fn codes_are_told_apart_by_consequence() {
    let cases = [
        ("opted out", "21610"),
        ("rejected", "21202 21211 21217 21614 21635 30005"),
        (
            "misconfigured",
            "10001 10002 20003 20404 21201 21205 21210 21212 21213 21215 21219 21408 21602 21603 \
             21604 21605 21606 21608 21617 21619 21624 21659 21660 21703 21705 30002 30024 30029 \
             30030 30032 30034 30450 60410 90007",
        ),
        (
            "retryable",
            "20429 21214 21216 21611 21612 30001 30003 30004 30006 30007 30008 30022 30036 30999",
        ),
        // No word against the number.
        ("misconfigured", "21000 21999 31000 1 4294967296"),
    ];
    let vendor = StandIn::start(Who::Twilio).await;
    for (expected, codes) in cases {
        for code in codes.split_ascii_whitespace() {
            for code in [json!(code), json!(code.parse::<u64>().unwrap())] {
                vendor.next(400, &[], error(&code, "Some message", 400).to_string());
                let outcome = vendor.send(&message(Channel::Sms)).await;
                assert_eq!(kind(&outcome), expected, "{code}: {outcome:?}");
            }
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut TwilioSettings);
    let cases: [(Change, &str); 3] = [
        (|s| s.base_url = "http://api.twilio.com".into(), "loopback address only"),
        (|s| s.auth_token.secret = Zeroizing::new("s3cret\n".into()), "`auth-token-file`"),
        (|s| s.from = None, "`from` is missing"),
    ];
    for (change, expected) in cases {
        let mut settings = twilio("https://api.twilio.com".to_owned());
        change(&mut settings);
        let error = Api::new(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn calls_need_a_number() {
    let mut settings = twilio("https://api.twilio.com".to_owned());
    let api = Api::new(&settings).unwrap();
    assert!(api.supports(Channel::Sms) && api.supports(Channel::Voice));
    settings.from = None;
    settings.messaging_service_sid = Some(SERVICE.to_owned());
    let api = Api::new(&settings).unwrap();
    assert!(api.supports(Channel::Sms) && !api.supports(Channel::Voice));
    assert!(api.request(&message(Channel::Voice)).unwrap_err().contains("`from`"));
}
