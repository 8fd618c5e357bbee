mod calls;
mod status;
mod vendor;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::vendor::{KEY, PROFILE, StandIn, record};
use super::{
    Api, Channel, Outcome, Redactor, Status, TelnyxSettings, VendorError, VendorMessageId, refused,
    sent, status,
};
use crate::{
    domain::login::Cause,
    gateway::{
        Gateway, Message, MessageId,
        settings::Key,
        standing::tests::asks,
        testing::{accepted, kind, manners, message, patience},
        vendor::{SENDER, Vendor},
    },
};

fn settings(base_url: String) -> TelnyxSettings {
    TelnyxSettings {
        base_url,
        from: Some("+13125550123".to_owned()),
        messaging_profile_id: None,
        webhook_public_key: None,
        api_key: Key { secret: Zeroizing::new(KEY.to_owned()), file: "telnyx.key".to_owned() },
        texml: None,
        ca_file: None,
    }
}

fn opened(settings: &TelnyxSettings) -> Result<Vendor<Api>, VendorError> {
    let patience = patience(&settings.base_url);
    Vendor::open(Api::new(settings)?, settings.ca_file.as_deref(), patience)
}

fn open(settings: &TelnyxSettings) -> Vendor<Api> {
    opened(settings).unwrap()
}

fn gateway(base_url: String) -> Vendor<Api> {
    open(&settings(base_url))
}

fn boxed(base_url: String) -> Box<dyn Gateway> {
    Box::new(gateway(base_url))
}

async fn send(base_url: String) -> Outcome {
    gateway(base_url).send(&message(Channel::Sms)).await
}

async fn ask(base_url: String, id: &str) -> Status {
    let (gateway, message) = (gateway(base_url), message(Channel::Sms));
    let id = VendorMessageId::checked(id).unwrap();
    gateway.status(&message, &id).unwrap().await
}

fn errors(code: &Value, title: &str, detail: &str, pointer: &str) -> Value {
    let source = json!({"pointer": pointer});
    json!({"errors": [{"code": code, "title": title, "detail": detail, "source": source}]})
}

#[tokio::test]
async fn a_text_is_posted_as_the_api_wants_it() {
    let vendor = StandIn::start().await;
    let base = vendor.server.url("");
    let expected = accepted("40385f64-5717-4562-b3fc-000000000001");
    assert_eq!(send(base.clone()).await, expected);
    // A base URL may have a path, as that of a proxy, and end with a slash.
    assert_eq!(send(format!("{base}/")).await, expected, "the same message again");
    let seen = vendor.server.seen();
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", "/v2/messages"));
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(
        body,
        json!({"from": "+13125550123", "to": "+13125550142", "text": "482913 is your code",
               "type": "SMS", "encoding": "gsm7"})
    );
    let pooled = TelnyxSettings {
        from: None,
        messaging_profile_id: Some(PROFILE.to_owned()),
        ..settings(base)
    };
    let outcome = open(&pooled).send(&message(Channel::Sms)).await;
    assert_eq!(outcome, accepted("40385f64-5717-4562-b3fc-000000000002"));
    let body: Value = serde_json::from_str(&vendor.server.seen()[0].body).unwrap();
    assert_eq!(body["messaging_profile_id"], PROFILE);
    assert_eq!(body.get("from"), None);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_what_the_vendor_says() {
    type Change = fn(&mut TelnyxSettings, &mut Message);
    let cases: [(Change, Outcome); 3] = [
        (
            |settings, _| settings.api_key.secret = Zeroizing::new("KEY_revoked_99".to_owned()),
            Outcome::Misconfigured(
                "HTTP 401: 10009 Authentication failed (the key in api-key-file telnyx.key)".into(),
            ),
        ),
        (
            |settings, _| settings.from = Some("Bank".to_owned()),
            Outcome::Misconfigured(format!("HTTP 400: 40305 Invalid 'from' address ({SENDER})")),
        ),
        (
            |_, message| message.text = Zeroizing::new("Ваш код 482913".to_owned()),
            Outcome::Misconfigured("HTTP 422: 10015 Bad Request".to_owned()),
        ),
    ];
    for (change, expected) in cases {
        let vendor = StandIn::start().await;
        let (mut settings, mut message) = (settings(vendor.server.url("")), message(Channel::Sms));
        change(&mut settings, &mut message);
        assert_eq!(open(&settings).send(&message).await, expected);
    }
}

#[tokio::test]
async fn a_repeat_is_known_by_its_key_and_the_key_tells_nothing() {
    let vendor = StandIn::start().await;
    let key = |settings: TelnyxSettings, message: Message| {
        let vendor = &vendor;
        async move {
            open(&settings).send(&message).await;
            let seen = vendor.server.seen();
            seen[0].headers["idempotency-key"].to_str().unwrap().to_owned()
        }
    };
    let own = || settings(vendor.server.url(""));
    let first = key(own(), message(Channel::Sms)).await;
    assert_eq!(first.len(), 32);
    let sooner = Message { valid_for: Duration::from_secs(1), ..message(Channel::Sms) };
    assert_eq!(key(own(), sooner).await, first, "what is left of its life is not part of it");
    let another = Message { id: MessageId([8; 16]), ..message(Channel::Sms) };
    assert_ne!(key(own(), another).await, first, "sent once more on purpose");
    let sender = TelnyxSettings { from: Some("+13125550199".to_owned()), ..own() };
    assert_ne!(key(sender, message(Channel::Sms)).await, first, "another body");
    let mut other = own();
    other.api_key.secret = Zeroizing::new("KEY_other".to_owned());
    assert_ne!(key(other, message(Channel::Sms)).await, first, "nobody else can work it out");
}

/// Every documented code. The status is 400 throughout: the code comes first.
#[tokio::test]
async fn codes_are_told_apart_by_consequence() {
    let cases = [
        ("opted out", "40300", "Blocked due to STOP message", "", "/to"),
        ("opted out", "40300", "Forbidden", "The recipient is on a block rule", ""),
        ("misconfigured", "40300", "Number not assigned to profile", "Nonstop trouble", ""),
        ("rejected", "40310", "Invalid 'to' address", "", ""),
        ("rejected", "40001", "Not routable", "", ""),
        ("rejected", "40012", "Invalid destination number", "", ""),
        ("rejected", "10002", "Invalid phone number", "", "/to"),
        ("rejected", "10016", "Phone number must be in +E.164 format", "", "to"),
        ("misconfigured", "10002", "Invalid phone number", "", "/from"),
        ("misconfigured", "10016", "Phone number must be in +E.164 format", "", ""),
        ("retryable", "40318", "Message queue full", "", ""),
        ("retryable", "10011", "Too many requests", "", ""),
        ("unknown", "10007", "Unexpected error", "", ""),
        ("unknown", "10008", "Request timeout", "", ""),
    ];
    let ours = "10004 10005 10009 10010 10015 10027 20001 20002 20008 20012 20013 20014 20100 40010 \
                40013 40302 40305 40309 40312 40314 40315 40316 40320 40321 40329 40330 40331 40333";
    let route = "40002 40003 40004 40005 40006 40008 40011 40014 40016 40018 40020";
    let listed = |words: &'static str, expected: &'static str| {
        words.split_ascii_whitespace().map(move |code| (expected, code, "A title", "", ""))
    };
    let cases = cases.into_iter().chain(listed(ours, "misconfigured"));
    let vendor = StandIn::start().await;
    for (expected, code, title, detail, pointer) in cases.chain(listed(route, "retryable")) {
        for code in [json!(code), json!(code.parse::<u64>().unwrap())] {
            vendor.next(400, &[], errors(&code, title, detail, pointer).to_string());
            let outcome = send(vendor.server.url("")).await;
            assert_eq!(kind(&outcome), expected, "{code} {title}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn without_a_known_code_the_status_counts() {
    let bodies =
        ["", "<html>down</html>", "{}", r#"{"errors": []}"#, r#"{"errors": [{"code": "99999"}]}"#];
    manners::without_words_the_status_counts(&boxed, &bodies).await;
}

#[tokio::test]
async fn errors_are_read_in_every_form() {
    let error = json!({"code": "40310", "title": "Invalid 'to' address", "detail": "It is short"});
    let text = "HTTP 400: 40310 Invalid 'to' address: It is short";
    let cases = [
        ("a list", json!({"errors": [error]}), text),
        ("one object", json!({"errors": error}), text),
        ("named error", json!({"error": error}), text),
        ("bare", error.clone(), text),
        ("a bare list", json!([error]), text),
        ("with unknown fields", json!({"errors": [error], "meta": {"x": [1]}}), text),
        ("the code alone", json!({"errors": [{"code": 40310}]}), "HTTP 400: 40310"),
        (
            "several",
            json!({"errors": [{"code": "1", "title": "Odd"}, error, {"code": "40305"}]}),
            "HTTP 400: 1 Odd; 40310 Invalid 'to' address: It is short; 40305",
        ),
        (
            "with texts among them",
            json!({"errors": ["broken", error]}),
            "HTTP 400: broken; 40310 Invalid 'to' address: It is short",
        ),
    ];
    let vendor = StandIn::start().await;
    for (name, body, expected) in cases {
        vendor.next(400, &[], body.to_string());
        let outcome = send(vendor.server.url("")).await;
        assert_eq!(outcome, Outcome::Rejected(expected.to_owned()), "{name}");
    }
    let both = json!({"errors": [error, {"code": "40300", "detail": "STOP"}]});
    vendor.next(400, &[], both.to_string());
    assert_eq!(send(vendor.server.url("")).await, Outcome::OptedOut, "outweighs all");
}

#[tokio::test]
async fn a_pause_is_read_from_either_header() {
    let cases = [
        (&[("retry-after", "7")][..], Some(7)),
        (&[("x-ratelimit-reset", "9")], Some(9)),
        (&[("retry-after", "7"), ("x-ratelimit-reset", "9")], Some(7)),
        (&[("x-ratelimit-reset", "1800000000")], Some(3600)),
        (&[("x-ratelimit-reset", "soon")], None),
        (&[], None),
    ];
    let vendor = StandIn::start().await;
    let body = errors(&json!("10011"), "Too many requests", "", "").to_string();
    for (headers, seconds) in cases {
        for body in [&*body, "slow down"] {
            vendor.next(429, headers, body.to_owned());
            match send(vendor.server.url("")).await {
                Outcome::Retryable { after, .. } => {
                    assert_eq!(after, seconds.map(Duration::from_secs), "{headers:?} {body}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_yes_that_is_already_a_no_is_one() {
    let failed = |code: &str, title: &str| json!([{"code": code, "title": title}]);
    let cases = [
        ("queued", "queued", json!([]), accepted("m-1")),
        ("an unknown status", "parked", json!([]), accepted("m-1")),
        ("errors of the past", "sent", failed("40006", "Carrier down"), accepted("m-1")),
        (
            "no such destination",
            "sending_failed",
            failed("40012", "Invalid destination"),
            Outcome::Rejected("sending_failed: 40012 Invalid destination".to_owned()),
        ),
        (
            "not registered",
            "sending_failed",
            failed("40010", "Not 10DLC registered"),
            Outcome::Misconfigured("sending_failed: 40010 Not 10DLC registered".to_owned()),
        ),
        ("opted out", "sending_failed", failed("40300", "Due to STOP"), Outcome::OptedOut),
        (
            "carrier",
            "delivery_failed",
            failed("40006", "Carrier down"),
            Outcome::Retryable {
                after: None,
                reason: "delivery_failed: 40006 Carrier down".to_owned(),
            },
        ),
        (
            "no reason",
            "expired",
            json!([]),
            Outcome::Retryable { after: None, reason: "expired".to_owned() },
        ),
    ];
    let vendor = StandIn::start().await;
    for (name, status, errors, expected) in cases {
        let body = record("m-1", "+13125550142", status, &errors).to_string();
        vendor.next(200, &[], body);
        assert_eq!(send(vendor.server.url("")).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_yes_without_a_usable_body_is_still_one() {
    let bodies: [(&str, Vec<u8>); 6] = [
        ("empty", vec![]),
        ("no JSON", b"OK".into()),
        ("no data", b"{}".into()),
        ("no id", br#"{"data": {"to": [{"status": "queued"}]}}"#.into()),
        ("an odd id", br#"{"data": {"id": "a\nb"}}"#.into()),
        ("ten megabytes", vec![b' '; 10_000_000]),
    ];
    let vendor = StandIn::start().await;
    for (name, body) in bodies {
        vendor.next(200, &[], body);
        assert_eq!(send(vendor.server.url("")).await, accepted(""), "{name}");
    }
    vendor.next(500, &[], vec![b'x'; 10_000_000]);
    let reason = "HTTP 500: (reply too long or cut off)".to_owned();
    assert_eq!(send(vendor.server.url("")).await, Outcome::Unknown(reason));
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    manners::a_redirect_takes_the_key_nowhere(&boxed).await;
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_told_from_one_that_says_nothing() {
    manners::absence_is_told_from_silence(&boxed).await;
}

#[tokio::test]
async fn reasons_hold_neither_code_nor_number_nor_key() {
    let vendor = StandIn::start().await;
    let detail = format!("to +1 312 555 0142: 482913 is your code, key {KEY}");
    let body = errors(&json!("40302"), "No", &detail, "").to_string();
    vendor.next(400, &[], body);
    let reason =
        "HTTP 400: 40302 No: to +1 ••• ••• ••42: [code] is your code, key [key]".to_owned();
    assert_eq!(send(vendor.server.url("")).await, Outcome::Misconfigured(reason));
    assert!(!format!("{:?}", settings(String::new())).contains(KEY));

    vendor.record("m-1", "delivery_failed", &json!([{"code": "40004", "detail": detail}]));
    let reason = "delivery_failed: 40004: to +1 ••• ••• ••42: [code] is your code, key [key]";
    assert_eq!(
        ask(vendor.server.url(""), "m-1").await,
        Status::Failed { reason: reason.to_owned(), cause: Cause::Route }
    );
}

#[tokio::test]
async fn after_no_clear_answer_the_next_gateway_sends_the_same_code() {
    let vendor = StandIn::start().await;
    manners::the_next_gateway_sends_the_same_code(&boxed, &vendor.server).await;
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut TelnyxSettings);
    let cases: [(Change, &str); 3] = [
        (|s| s.base_url = "http://api.telnyx.com".into(), "loopback address only"),
        (|s| s.api_key.secret = Zeroizing::new("s3cret\n".into()), "`api-key-file`"),
        (|s| s.from = None, "`from` is missing"),
    ];
    for (change, expected) in cases {
        let mut settings = settings("https://api.telnyx.com".to_owned());
        change(&mut settings);
        let error = opened(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
    let gateway = gateway("https://api.telnyx.com".to_owned());
    assert!(gateway.supports(Channel::Sms) && !gateway.supports(Channel::Voice));
}

/// JSON that has much of a reply's form.
fn json_like() -> impl Strategy<Value = Value> {
    let words =
        "(40300|40310|STOP|delivery_failed|482913|\\+13125550142|KEY0189A_live_7f3d|.{0,9})";
    let names = "(errors|error|code|title|detail|source|pointer|data|to|status|id)";
    manners::json_like(words.prop_map(Value::from), names)
}

proptest! {
    #[test]
    fn no_reply_panics_or_leaks_and_only_a_success_is_a_yes(
        code in 100u16..600,
        body in json_like(),
    ) {
        let (reply, message) = (manners::reply(code, &body), message(Channel::Sms));
        let secrets = [Zeroizing::new(KEY.to_owned())];
        let redactor = Redactor::new(&message, &secrets);
        let (sent, told) = (sent(&reply, &redactor), status(&reply, &redactor));
        if !(200..=299).contains(&code) {
            prop_assert_eq!(&sent, &refused(&reply, &redactor));
        }
        manners::nothing_is_told_or_made_up(code, sent, &told, KEY)?;
    }
}

#[tokio::test]
async fn the_balance_proves_the_key() {
    let body = r#"{"data":{"record_type":"balance","balance":"300.00","currency":"USD"}}"#;
    let hint = "the key in api-key-file telnyx.key";
    asks(boxed, "/v2/balance", (body, Some("300.00 USD")), hint).await;
}
