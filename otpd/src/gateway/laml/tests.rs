//! What both vendors have in common.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{BOTH, StandIn, TOKEN, Who, error, form};
use crate::{
    domain::{challenge::Channel, login::Cause},
    gateway::{
        Message, Outcome, Status,
        redact::Redactor,
        signalwire,
        testing::{accepted, manners, message, raw_server},
        twilio,
        vendor::{Dialect, SENDER},
    },
};

#[tokio::test]
async fn errors_are_read_in_every_form() {
    let inner = json!({"code": 21211, "message": "Invalid 'To'", "more_info": "https://x"});
    let texts = json!({"code": "21211", "message": "Invalid 'To'"});
    let text = "HTTP 422: 21211 Invalid 'To'";
    let cases = [
        ("one object", error(&json!(21211), "Invalid 'To'", 422), text),
        ("the code a text", error(&json!("21211"), "Invalid 'To'", 422), text),
        ("a list", json!({"errors": [inner]}), text),
        ("a list, the code a text", json!({"errors": [texts]}), text),
        ("with unknown fields", json!({"errors": [inner], "meta": {"x": [1]}}), text),
        ("the code alone", json!({"code": 21211}), "HTTP 422: 21211"),
        (
            "texts among them",
            json!({"errors": ["To is odd", inner]}),
            "HTTP 422: To is odd; 21211 Invalid 'To'",
        ),
    ];
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        for (name, body, expected) in &cases {
            vendor.next(422, &[], body.to_string());
            let outcome = vendor.send(&message(Channel::Sms)).await;
            assert_eq!(outcome, Outcome::Rejected((*expected).to_owned()), "{who:?} {name}");
        }
        vendor.next(422, &[], r#"{"errors": ["From is odd"]}"#);
        let reason = "HTTP 422: From is odd".to_owned();
        assert_eq!(
            vendor.send(&message(Channel::Sms)).await,
            Outcome::Misconfigured(reason),
            "{who:?}"
        );
        let both = json!({"errors": [inner, {"code": "21610", "message": "STOP"}]});
        vendor.next(400, &[], both.to_string());
        assert_eq!(vendor.send(&message(Channel::Sms)).await, Outcome::OptedOut, "outweighs all");
    }
}

#[tokio::test]
async fn without_a_known_code_the_status_counts() {
    let bodies = [
        "",
        "<?xml version='1.0'?><TwilioResponse><RestException/></TwilioResponse>",
        "{}",
        "{\"code\": ",
        r#"{"errors": []}"#,
        r#"{"code": 99999, "message": "New"}"#,
        r#"{"code": 21999, "message": "New"}"#,
        r#"{"code": null, "message": "New"}"#,
        r#"{"code": -1e300, "message": [1]}"#,
    ];
    for who in BOTH {
        manners::without_words_the_status_counts(&|url| who.gateway(url), &bodies).await;
    }
}

#[tokio::test]
async fn a_pause_is_what_the_vendor_asks_for() {
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        let told = error(&json!(20429), "Too many requests", 429).to_string();
        for (headers, seconds) in [(&[("retry-after", "7")][..], Some(7)), (&[], None)] {
            for body in [&*told, "slow down"] {
                vendor.next(429, headers, body.to_owned());
                match vendor.send(&message(Channel::Sms)).await {
                    Outcome::Retryable { after, .. } => {
                        assert_eq!(after, seconds.map(Duration::from_secs), "{who:?} {body}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_says_where_to_look() {
    let sender = |who| if who == Who::Twilio { 21606 } else { 21210 };
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        let key = who.key();
        let cases = [
            (401, "nothing".to_owned(), format!("HTTP 401: nothing ({key})")),
            (403, "nothing".to_owned(), format!("HTTP 403: nothing ({SENDER})")),
            (
                403,
                error(&json!(20003), "No", 403).to_string(),
                format!("HTTP 403: 20003 No ({key})"),
            ),
            (
                400,
                error(&json!(sender(who)), "No", 400).to_string(),
                format!("HTTP 400: {} No ({SENDER})", sender(who)),
            ),
            (
                403,
                error(&json!(21219), "Trial", 403).to_string(),
                "HTTP 403: 21219 Trial".to_owned(),
            ),
            (404, error(&json!(20404), "None", 404).to_string(), "HTTP 404: 20404 None".to_owned()),
        ];
        for (status, body, expected) in cases {
            vendor.next(status, &[], body.clone());
            let outcome = vendor.send(&message(Channel::Sms)).await;
            assert_eq!(outcome, Outcome::Misconfigured(expected.clone()), "{who:?} {status}");
            vendor.next(status, &[], body);
            let told = vendor.ask(&message(Channel::Sms), "SM1").await;
            assert_eq!(told, Status::Unknown(expected), "{who:?} {status}");
        }
    }
}

#[tokio::test]
async fn a_yes_that_is_already_a_no_is_one() {
    let route = |reason: &str| Outcome::Retryable { after: None, reason: reason.to_owned() };
    let cases = [
        ("queued", json!(null), "", accepted("m-1")),
        ("parked", json!(null), "", accepted("m-1")),
        ("sent", json!(30008), "of the past", accepted("m-1")),
        ("failed", json!(null), "", route("failed")),
        ("failed", json!("30003"), "Unreachable", route("failed: 30003 Unreachable")),
        ("undelivered", json!(30099), "New", route("undelivered: 30099 New")),
        ("failed", json!(77777), "New", route("failed: 77777 New")),
        ("failed", json!(21610), "STOP", Outcome::OptedOut),
        (
            "undelivered",
            json!(30005),
            "Unknown handset",
            Outcome::Rejected("undelivered: 30005 Unknown handset".to_owned()),
        ),
        (
            "failed",
            json!("30002"),
            "Suspended",
            Outcome::Misconfigured("failed: 30002 Suspended".to_owned()),
        ),
    ];
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        for (status, code, said, expected) in &cases {
            let body = json!({"sid": "m-1", "status": status, "error_code": code,
                "error_message": said});
            vendor.next(201, &[], body.to_string());
            let outcome = vendor.send(&message(Channel::Sms)).await;
            assert_eq!(outcome, *expected, "{who:?} {status} {code}");
        }
    }
}

#[tokio::test]
async fn a_yes_without_a_usable_body_is_still_one() {
    let bodies: [(&str, Vec<u8>); 7] = [
        ("empty", vec![]),
        ("XML", b"<TwilioResponse/>".into()),
        ("no object", b"[1]".into()),
        ("no id", br#"{"status": "queued"}"#.into()),
        ("an id of another type", br#"{"sid": {"a": 1}, "status": ["failed"]}"#.into()),
        ("an odd id", br#"{"sid": "a\nb"}"#.into()),
        ("ten megabytes", vec![b' '; 10_000_000]),
    ];
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        for (name, body) in &bodies {
            vendor.next(201, &[("content-type", "text/xml")], body.clone());
            let outcome = vendor.send(&message(Channel::Sms)).await;
            assert_eq!(outcome, accepted(""), "{who:?} {name}");
        }
        vendor.next(500, &[], vec![b'x'; 10_000_000]);
        let reason = "HTTP 500: (reply too long or cut off)".to_owned();
        assert_eq!(vendor.send(&message(Channel::Sms)).await, Outcome::Unknown(reason));
    }
}

#[tokio::test]
async fn a_reply_that_never_ends_is_left() {
    const HEAD: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n{\"sid\"";
    let address = raw_server(HEAD, false).await;
    for who in BOTH {
        let gateway = who.gateway(format!("http://{address}"));
        assert_eq!(gateway.send(&message(Channel::Sms)).await, accepted(""), "{who:?}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    for who in BOTH {
        manners::a_redirect_takes_the_key_nowhere(&|url| who.gateway(url)).await;
    }
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_told_from_one_that_says_nothing() {
    for who in BOTH {
        manners::absence_is_told_from_silence(&|url| who.gateway(url)).await;
    }
}

#[tokio::test]
async fn messages_and_calls_are_asked_after_by_their_ids() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let texts = [
        ("accepted", json!(null), Status::UnderWay),
        ("scheduled", json!(null), Status::UnderWay),
        ("queued", json!(null), Status::UnderWay),
        ("initiated", json!(null), Status::UnderWay),
        ("sending", json!(null), Status::UnderWay),
        ("sent", json!(null), Status::UnderWay),
        ("delivered", json!(null), Status::Delivered),
        ("read", json!(null), Status::Delivered),
        ("failed", json!(30008), failed("failed: 30008 Because", Cause::Route)),
        ("undelivered", json!("30007"), failed("undelivered: 30007 Because", Cause::Route)),
        ("undelivered", json!(30005), failed("undelivered: 30005 Because", Cause::Number)),
        ("failed", json!("21610"), failed("failed: 21610 Because", Cause::OptedOut)),
        ("failed", json!(88888), failed("failed: 88888 Because", Cause::Route)),
        ("canceled", json!(null), failed("canceled", Cause::Route)),
        ("received", json!(null), Status::Unknown("no status that is documented".to_owned())),
    ];
    let calls = [
        ("queued", Status::UnderWay),
        ("ringing", Status::UnderWay),
        ("in-progress", Status::UnderWay),
        ("completed", Status::Delivered),
        ("busy", failed("busy", Cause::Route)),
        ("no-answer", failed("no-answer", Cause::Route)),
        ("failed", failed("failed", Cause::Route)),
        ("canceled", failed("canceled", Cause::Route)),
        ("delivered", Status::Unknown("no status that is documented".to_owned())),
    ];
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        for (status, code, expected) in &texts {
            let said = if code.is_null() { "" } else { "Because" };
            vendor.record("Messages/SM1", status, code, said);
            let told = vendor.ask(&message(Channel::Sms), "SM1").await;
            assert_eq!(told, *expected, "{who:?} {status} {code}");
        }
        for (status, expected) in &calls {
            vendor.record("Calls/CA1", status, &json!(null), "");
            let told = vendor.ask(&message(Channel::Voice), "CA1").await;
            assert_eq!(told, *expected, "{who:?} {status}");
        }
        let unknown = vendor.ask(&message(Channel::Sms), "SM2").await;
        let reason = "HTTP 404: 20404 The requested resource was not found".to_owned();
        assert_eq!(unknown, Status::Unknown(reason), "{who:?}");
    }
}

#[tokio::test]
async fn an_id_stays_one_part_of_the_path() {
    for who in BOTH {
        let path = |id: &str| who.path(&format!("Messages/{id}"));
        manners::an_id_stays_one_part_of_the_path(&|url| who.gateway(url), &path).await;
    }
}

#[tokio::test]
async fn a_vendor_that_does_not_tell_is_no_failure() {
    for who in BOTH {
        manners::what_is_not_told_is_no_failure(&|url| who.gateway(url)).await;
    }
}

#[tokio::test]
async fn after_no_clear_answer_the_next_gateway_sends_the_same_code() {
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        let open = |url| who.gateway(url);
        manners::the_next_gateway_sends_the_same_code(&open, &vendor.server).await;
    }
}

#[tokio::test]
async fn reasons_hold_neither_code_nor_number_nor_key() {
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        let said = format!("to +1 312 555 0142: 482913 is your code, key {TOKEN}");
        vendor.next(400, &[], error(&json!(21617), &said, 400).to_string());
        let clean = "to +1 ••• ••• ••42: [code] is your code, key [key]";
        assert_eq!(
            vendor.send(&message(Channel::Sms)).await,
            Outcome::Misconfigured(format!("HTTP 400: 21617 {clean}")),
            "{who:?}"
        );
        vendor.record("Messages/SM1", "failed", &json!(30008), &said);
        assert_eq!(
            vendor.ask(&message(Channel::Sms), "SM1").await,
            Status::Failed { reason: format!("failed: 30008 {clean}"), cause: Cause::Route },
            "{who:?}"
        );
        // The header as the vendor got it.
        vendor.send(&message(Channel::Sms)).await;
        let seen = vendor.server.seen();
        let header = seen.last().unwrap().headers["authorization"].to_str().unwrap().to_owned();
        vendor.next(400, &[], header);
        assert_eq!(
            vendor.send(&message(Channel::Sms)).await,
            Outcome::Misconfigured("HTTP 400: Basic [key]".to_owned()),
            "{who:?}"
        );
    }
}

/// JSON that has much of a reply's form, and much that must not be shown.
fn json_like() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        (21_000..31_000).prop_map(Value::from),
        "(21610|30003|failed|completed|queued|.{0,9})".prop_map(Value::from),
        Just(Value::from(format!("code 482913, +13125550142, {TOKEN}"))),
    ];
    let names = "(errors|code|message|status|sid|error_code|error_message|more_info)";
    manners::json_like(words, names)
}

proptest! {
    #[test]
    fn no_reply_panics_or_tells_and_only_a_success_is_a_yes(
        code in 100u16..600, body in json_like(), voice in any::<bool>(),
    ) {
        let reply = manners::reply(code, &body);
        let channel = if voice { Channel::Voice } else { Channel::Sms };
        let url = || "https://api.example.net".to_owned();
        let apis: [Box<dyn Dialect>; 2] = [
            Box::new(twilio::Api::new(&super::testing::twilio(url())).unwrap()),
            Box::new(signalwire::Api::new(&super::testing::signalwire(url())).unwrap()),
        ];
        for api in apis {
            let message = message(channel);
            let redactor = Redactor::new(&message, api.secrets());
            let sent = api.sent(channel, &reply, &redactor);
            let told = api.status(channel, &reply, &redactor);
            manners::nothing_is_told_or_made_up(code, sent, &told, TOKEN)?;
            let hint = api.hint(&reply).unwrap_or_default();
            prop_assert!(!hint.contains(TOKEN) && !hint.contains("482913"), "{}", hint);
        }
    }
}

#[tokio::test]
async fn the_vendor_is_told_where_to_report() {
    const REPORTS: &str = "https://otp.example.com/receipts/main?x=1&y=2";
    for who in BOTH {
        let vendor = StandIn::start(who).await;
        for channel in [Channel::Sms, Channel::Voice] {
            let url = |text: &str| Some(zeroize::Zeroizing::new(text.to_owned()));
            let (report_url, answer_url) = (url(REPORTS), url("https://otp.example.com/answer/1"));
            let message = Message { answer_url, report_url, ..message(channel) };
            assert!(matches!(vendor.send(&message).await, Outcome::Accepted { .. }));
            let seen = vendor.server.seen();
            let fields = form(&seen.last().unwrap().body);
            let told: Vec<_> = fields.iter().filter(|(name, _)| name == "StatusCallback").collect();
            assert_eq!(told, [&("StatusCallback".to_owned(), REPORTS.to_owned())]);
        }
    }
}
