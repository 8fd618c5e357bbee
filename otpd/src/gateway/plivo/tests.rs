mod calls;
mod phlo;
mod status;
mod vendor;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::vendor::{BARRED, BASIC, ID, LANDLINE, PHLO, StandIn, TOKEN, UUID};
use super::{Api, PlivoSettings, Way, sent, status};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Gateway, Message, Outcome, Status, VendorMessageId,
        redact::Redactor,
        settings::Key,
        standing::tests::asks,
        testing::{accepted, kind, manners, message, patience},
        vendor::{SENDER, Vendor, VendorError},
    },
};

fn settings(base_url: String) -> PlivoSettings {
    PlivoSettings {
        base_url,
        auth_id: ID.to_owned(),
        auth_token: Key {
            secret: Zeroizing::new(TOKEN.to_owned()),
            file: "plivo.token".to_owned(),
        },
        from: Some("+13125550123".to_owned()),
        phlo_id: None,
        ca_file: None,
    }
}

fn opened(settings: &PlivoSettings) -> Result<Vendor<Api>, VendorError> {
    let patience = patience(&settings.base_url);
    Vendor::open(Api::new(settings)?, settings.ca_file.as_deref(), patience)
}

fn gateway(settings: &PlivoSettings) -> Vendor<Api> {
    opened(settings).unwrap()
}

fn open(base_url: String) -> Box<dyn Gateway> {
    Box::new(gateway(&settings(base_url)))
}

async fn send(base_url: String) -> Outcome {
    gateway(&settings(base_url)).send(&message(Channel::Sms)).await
}

async fn ask(base_url: String, channel: Channel, id: &str) -> Status {
    let (gateway, message) = (gateway(&settings(base_url)), message(channel));
    let id = VendorMessageId::checked(id).unwrap();
    gateway.status(&message, &id).unwrap().await
}

fn error(text: &str) -> Value {
    json!({"api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb", "error": text})
}

#[tokio::test]
async fn a_text_is_posted_as_the_api_wants_it() {
    let vendor = StandIn::start().await;
    let base = vendor.server.url("");
    assert_eq!(send(base.clone()).await, accepted(UUID));
    // A base URL may end with a slash.
    assert_eq!(send(format!("{base}/")).await, accepted(UUID));
    for seen in vendor.server.seen() {
        let path = format!("/v1/Account/{ID}/Message/");
        assert_eq!((&*seen.method, &*seen.path), ("POST", &*path));
        assert_eq!(seen.headers["authorization"], BASIC);
        assert_eq!(
            serde_json::from_str::<Value>(&seen.body).unwrap(),
            json!({"src": "+13125550123", "dst": "+13125550142", "text": "482913 is your code",
                   "type": "sms", "log": "false", "message_expiry": 300})
        );
    }
}

#[tokio::test]
async fn no_message_waits_longer_than_its_code_lives() {
    let vendor = StandIn::start().await;
    let cases = [(0, 5), (4, 5), (61, 61), (10_799, 10_799), (86_400, 10_799)];
    for (seconds, expected) in cases {
        let valid_for = Duration::from_secs(seconds);
        let message = Message { valid_for, ..message(Channel::Sms) };
        let outcome = gateway(&settings(vendor.server.url(""))).send(&message).await;
        assert_eq!(outcome, accepted(UUID), "{seconds}");
        let body: Value = serde_json::from_str(&vendor.server.seen()[0].body).unwrap();
        assert_eq!(body["message_expiry"], expected, "{seconds}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_what_the_vendor_says() {
    let vendor = StandIn::start().await;
    let own = || settings(vendor.server.url(""));
    let mut revoked = own();
    revoked.auth_token.secret = Zeroizing::new("another-token".to_owned());
    let foreign = PlivoSettings { from: Some("Bank".to_owned()), ..own() };
    let abroad = Message { to: BARRED.parse().unwrap(), ..message(Channel::Sms) };
    let cases = [
        (
            revoked,
            message(Channel::Sms),
            "HTTP 401: authentication failed (the key in auth-token-file plivo.token)".to_owned(),
        ),
        (
            foreign,
            message(Channel::Sms),
            format!("HTTP 400: src is not a number of your account ({SENDER})"),
        ),
        (
            own(),
            abroad,
            "HTTP 403: Permission to send to this country is not enabled (Plivo's Geo Permissions \
             do not have the number's country)"
                .to_owned(),
        ),
    ];
    for (settings, message, expected) in cases {
        let outcome = gateway(&settings).send(&message).await;
        assert_eq!(outcome, Outcome::Misconfigured(expected));
    }
}

#[tokio::test]
async fn a_number_that_takes_no_texts_is_no_fault_of_ours() {
    let vendor = StandIn::start().await;
    let message = Message { to: LANDLINE.parse().unwrap(), ..message(Channel::Sms) };
    let outcome = gateway(&settings(vendor.server.url(""))).send(&message).await;
    let said = "HTTP 400: +1 ••• ••• ••99 is not an SMS enabled phone number";
    assert_eq!(outcome, Outcome::Rejected(said.to_owned()));
}

#[tokio::test]
async fn errors_are_told_apart_by_consequence() {
    let cases = [
        ("rejected", 400, error("dst is no valid number")),
        ("rejected", 422, error("the parameter `to` is invalid")),
        // As Plivo writes it, and as its clients have seen it.
        ("rejected", 400, error("13125550142 is not a valid phone number")),
        ("rejected", 400, error("'13125550142' is not a valid phone number.")),
        ("rejected", 400, error("+13125550142 is not an SMS enabled phone number")),
        ("rejected", 422, error("13125550142 is not an MMS enabled phone number")),
        // Our own number, one that holds the recipient's, and no number at all.
        ("misconfigured", 400, error("13125550123 is not a valid phone number")),
        ("misconfigured", 400, error("113125550142 is not a valid phone number")),
        ("misconfigured", 400, error("src 13125550142 is not a valid phone number")),
        ("misconfigured", 400, error("13125550142 is not a valid source")),
        ("misconfigured", 403, error("13125550142 is not an SMS enabled phone number")),
        ("misconfigured", 400, error("src and dst cannot be the same")),
        ("misconfigured", 400, error("'from' and 'to' overlap")),
        ("misconfigured", 400, error("go to our pages")),
        ("misconfigured", 400, error("dst_list is too long")),
        ("misconfigured", 402, error("insufficient credit for dst")),
        ("misconfigured", 403, error("dst is in a country that is not enabled")),
        ("misconfigured", 404, error("not found")),
        ("retryable", 429, error("too many requests")),
        ("unknown", 500, error("dst is no valid number")),
        // Listed as wrong by a reply that is a success.
        ("rejected", 207, json!({"message_uuid": [], "invalid_number": ["13125550142"]})),
        ("accepted", 207, json!({"message_uuid": ["a"], "invalid_number": ["13125550142"]})),
        ("accepted", 202, json!({"message_uuid": [], "invalid_number": []})),
    ];
    let vendor = StandIn::start().await;
    for (expected, status, body) in cases {
        vendor.next(status, &[], body.to_string());
        let outcome = send(vendor.server.url("")).await;
        assert_eq!(kind(&outcome), expected, "{status} {body}: {outcome:?}");
    }
}

#[tokio::test]
async fn without_a_readable_error_the_status_counts() {
    let bodies =
        ["", "<html>down</html>", "{}", r#"{"error": {"dst": ["invalid"]}}"#, r#"{"error": 7}"#];
    manners::without_words_the_status_counts(&open, &bodies).await;
}

#[tokio::test]
async fn errors_are_read_in_every_form() {
    let cases = [
        ("a text", json!({"error": "dst is short"}), "dst is short"),
        ("with an id", error("dst is short"), "dst is short"),
        ("an object", json!({"error": {"code": 7, "message": "dst is short"}}), "7 dst is short"),
        ("a list", json!({"error": ["dst is short", "and odd"]}), "dst is short; and odd"),
        ("a message", json!({"message": "dst is short"}), "dst is short"),
    ];
    let vendor = StandIn::start().await;
    for (name, body, expected) in cases {
        vendor.next(400, &[("content-type", "text/html")], body.to_string());
        let outcome = send(vendor.server.url("")).await;
        assert_eq!(outcome, Outcome::Rejected(format!("HTTP 400: {expected}")), "{name}");
    }
}

#[tokio::test]
async fn a_yes_without_a_usable_body_is_still_one() {
    let bodies: [(&str, Vec<u8>, &str); 6] = [
        ("empty", vec![], ""),
        ("no JSON", b"OK".into(), ""),
        ("no id", b"{}".into(), ""),
        ("an id that is no list", br#"{"message_uuid": "u-7"}"#.into(), "u-7"),
        ("an odd id", br#"{"message_uuid": ["a\nb"]}"#.into(), ""),
        ("ten megabytes", vec![b' '; 10_000_000], ""),
    ];
    let vendor = StandIn::start().await;
    for (name, body, id) in bodies {
        vendor.next(202, &[], body);
        assert_eq!(send(vendor.server.url("")).await, accepted(id), "{name}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    manners::a_redirect_takes_the_key_nowhere(&open).await;
}

#[tokio::test]
async fn reasons_hold_neither_code_nor_number_nor_key() {
    let vendor = StandIn::start().await;
    let encoded = BASIC.strip_prefix("Basic ").unwrap();
    let said = format!("to +1 312 555 0142: 482913 is your code, {TOKEN}, {encoded}");
    let clean = "to +1 ••• ••• ••42: [code] is your code, [key], [key]";
    vendor.next(400, &[], error(&said).to_string());
    let outcome = send(vendor.server.url("")).await;
    assert_eq!(outcome, Outcome::Misconfigured(format!("HTTP 400: {clean}")));

    let record = json!({"message_state": "failed", "error_code": "30", "error_message": said});
    vendor.record("Message", UUID, record);
    let told = ask(vendor.server.url(""), Channel::Sms, UUID).await;
    let Status::Failed { reason, .. } = told else { panic!("{told:?}") };
    assert_eq!(reason, format!("failed: 30 {clean}"));
    assert!(!format!("{:?}", settings(String::new())).contains(TOKEN));
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_told_from_one_that_says_nothing() {
    manners::absence_is_told_from_silence(&open).await;
}

#[tokio::test]
async fn after_no_clear_answer_the_next_gateway_sends_the_same_code() {
    let vendor = StandIn::start().await;
    manners::the_next_gateway_sends_the_same_code(&open, &vendor.server).await;
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut PlivoSettings);
    let cases: [(Change, &str); 4] = [
        (|s| s.base_url = "http://api.plivo.com".into(), "loopback address only"),
        (|s| s.auth_token.secret = Zeroizing::new("s3cret\n".into()), "`auth-token-file`"),
        (|s| s.auth_id = "a:b".into(), "`auth-token-file`"),
        (|s| s.from = None, "`from` is missing"),
    ];
    for (change, expected) in cases {
        let mut settings = settings("https://api.plivo.com".to_owned());
        change(&mut settings);
        let error = opened(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn calls_need_a_number_or_a_phlo() {
    let cases = [
        (Some("+13125550123"), None, true),
        (Some("12345"), None, false),
        (Some("Bank"), None, false),
        (None, Some(PHLO), true),
        (Some("Bank"), Some(PHLO), true),
    ];
    for (from, phlo, calls) in cases {
        let gateway = gateway(&PlivoSettings {
            from: from.map(str::to_owned),
            phlo_id: phlo.map(str::to_owned),
            ..settings("https://api.plivo.com".to_owned())
        });
        assert!(gateway.supports(Channel::Sms), "{from:?}");
        assert_eq!(gateway.supports(Channel::Voice), calls, "{from:?} {phlo:?}");
    }
}

/// JSON that has much of a reply's form.
fn json_like() -> impl Strategy<Value = Value> {
    let words = "(200|2000|delivered|failed|dst|482913|\\+13125550142|t0ken-of-plivo-7d2f|.{0,9})";
    let names = "(errors|error|code|title|message|message_uuid|invalid_number|message_state|\
                 error_code|error_message|answer_time|end_time|hangup_cause_code|call_uuid|\
                 hangup_cause_name|call_status)";
    manners::json_like(words.prop_map(Value::from), names)
}

proptest! {
    #[test]
    fn no_reply_panics_or_leaks_and_only_a_success_is_a_yes(
        code in 100u16..600,
        body in json_like(),
    ) {
        let reply = manners::reply(code, &body);
        let ways =
            [(Way::Text, Channel::Sms), (Way::Call, Channel::Voice), (Way::Phlo, Channel::Sms)];
        for (way, channel) in ways {
            let message = message(channel);
            let secrets = [Zeroizing::new(TOKEN.to_owned())];
            let redactor = Redactor::new(&message, &secrets);
            let (sent, told) = (sent(way, &reply, &redactor), status(channel, &reply, &redactor));
            manners::nothing_is_told_or_made_up(code, sent, &told, TOKEN)?;
        }
    }
}

#[tokio::test]
async fn plivo_is_told_where_to_report() {
    let vendor = StandIn::start().await;
    let url = |text: &str| Some(Zeroizing::new(text.to_owned()));
    for (channel, field) in [(Channel::Sms, "url"), (Channel::Voice, "hangup_url")] {
        let (report_url, answer_url) = (url("https://h.example/r"), url("https://h.example/a"));
        let message = Message { answer_url, report_url, ..message(channel) };
        let outcome = gateway(&settings(vendor.server.url(""))).send(&message).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        let body: Value = serde_json::from_str(&vendor.server.seen().last().unwrap().body).unwrap();
        assert_eq!(body[field], "https://h.example/r");
    }
}

#[tokio::test]
async fn the_account_proves_the_token() {
    let body = r#"{"account_type":"standard","cash_credits":"12.34"}"#;
    let (path, hint) = (format!("/v1/Account/{ID}/"), "the key in auth-token-file plivo.token");
    asks(open, &path, (body, Some("12.34")), hint).await;
    let phlo = PlivoSettings {
        phlo_id: Some("p-1".to_owned()),
        ..settings("http://127.0.0.1:1".to_owned())
    };
    assert!(gateway(&phlo).standing().is_none());
}
