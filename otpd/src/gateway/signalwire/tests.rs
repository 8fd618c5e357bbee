//! `SignalWire`'s own requests, codes and limits; what it shares with Twilio is in `laml/tests.rs`.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Api, Message, NO_ANSWER, SignalWireSettings};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Outcome,
        laml::testing::{FROM, StandIn, Who, error, form, open_signalwire, pairs, signalwire},
        testing::{accepted, kind, message},
        vendor::SENDER,
    },
};

const URL: &str = "https://otp.example.com/answer/0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_text_is_posted_as_the_api_wants_it() {
    let vendor = StandIn::start(Who::SignalWire).await;
    assert_eq!(vendor.send(&message(Channel::Sms)).await, accepted("M-1"));
    let short = Message { valid_for: Duration::from_millis(200), ..message(Channel::Sms) };
    assert_eq!(vendor.send(&short).await, accepted("M-2"));
    let seen = vendor.server.seen();
    for (seen, seconds) in seen.iter().zip(["300", "1"]) {
        assert_eq!((&*seen.method, &*seen.path), ("POST", &*Who::SignalWire.path("Messages")));
        let expected = [
            ("To", "+13125550142"),
            ("From", FROM),
            ("Body", "482913 is your code"),
            ("ValidityPeriod", seconds),
        ];
        assert_eq!(form(&seen.body), pairs(&expected));
    }
}

#[tokio::test]
async fn a_call_fetches_its_words_and_is_not_made_without() {
    let vendor = StandIn::start(Who::SignalWire).await;
    let outcome = vendor.send(&message(Channel::Voice)).await;
    assert_eq!(outcome, Outcome::Misconfigured(NO_ANSWER.to_owned()));
    assert_eq!(vendor.server.connections(), 0);
    let answer_url = Some(Zeroizing::new(URL.to_owned()));
    let call = Message { answer_url, ..message(Channel::Voice) };
    assert_eq!(vendor.send(&call).await, accepted("C-1"));
    let seen = vendor.server.seen();
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*Who::SignalWire.path("Calls")));
    let expected = [
        ("To", "+13125550142"),
        ("From", FROM),
        ("Url", URL),
        ("Method", "POST"),
        ("Timeout", "25"),
    ];
    assert_eq!(form(&seen[0].body), pairs(&expected), "and no code");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_what_the_vendor_says() {
    type Change = fn(&mut SignalWireSettings, &mut Message);
    let cases: [(Change, Outcome); 3] = [
        (
            |settings, _| settings.api_token.secret = Zeroizing::new("PT_revoked_1".to_owned()),
            Outcome::Misconfigured(format!(
                "HTTP 401: 20003 Authenticate ({})",
                Who::SignalWire.key()
            )),
        ),
        (
            |settings, _| settings.from = "+13125550199".to_owned(),
            Outcome::Misconfigured(format!("HTTP 400: 21210 'From' is not yours ({SENDER})")),
        ),
        (
            |_, message| message.text = Zeroizing::new(String::new()),
            Outcome::Misconfigured("HTTP 400: 21602 Message body is required".to_owned()),
        ),
    ];
    for (change, expected) in cases {
        let vendor = StandIn::start(Who::SignalWire).await;
        let (mut settings, mut message) =
            (signalwire(vendor.server.url("")), message(Channel::Sms));
        change(&mut settings, &mut message);
        assert_eq!(open_signalwire(&settings).send(&message).await, expected);
    }
}

/// Every documented code. The status is 422 throughout: the code comes first.
#[tokio::test]
async fn codes_are_told_apart_by_consequence() {
    let cases = [
        ("opted out", "21610"),
        ("rejected", "21211 21217 21606 21614 30005"),
        (
            "misconfigured",
            "4001 10000 10001 20003 20010 20404 21205 21208 21209 21210 21212 21213 21219 21408 \
             21456 21601 21602 21603 21604 21617 21624 21701 21703 21705 21717 30002 30010 35125 \
             90000",
        ),
        (
            "retryable",
            "20429 21611 30001 30003 30004 30006 30007 30008 30009 30022 30027 30999 63011",
        ),
        ("unknown", "20001 20504 31003"),
        // No word against the number.
        ("misconfigured", "21000 21999 31000 1 4294967296"),
    ];
    let vendor = StandIn::start(Who::SignalWire).await;
    for (expected, codes) in cases {
        for code in codes.split_ascii_whitespace() {
            let one = error(&json!(code.parse::<u64>().unwrap()), "Some message", 422);
            let listed = json!({"errors": [{"code": code, "message": "Some message"}]});
            for body in [one, listed] {
                vendor.next(422, &[], body.to_string());
                let outcome = vendor.send(&message(Channel::Sms)).await;
                assert_eq!(kind(&outcome), expected, "{code}: {outcome:?}");
            }
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut SignalWireSettings);
    let cases: [(Change, &str); 2] = [
        (|s| s.base_url = "http://example.signalwire.com".into(), "loopback address only"),
        (|s| s.api_token.secret = Zeroizing::new("s3cret\n".into()), "`api-token-file`"),
    ];
    for (change, expected) in cases {
        let mut settings = signalwire("https://example.signalwire.com".to_owned());
        change(&mut settings);
        let error = Api::new(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
}
