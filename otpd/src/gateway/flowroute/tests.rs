mod status;
mod vendor;

use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::vendor::{ACCESS, BASIC, SECRET, STOPPED, StandIn, record};
use super::{Api, FlowrouteSettings, FlowrouteVersion, sent, status};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Gateway, Message, Outcome, Status, VendorMessageId,
        redact::Redactor,
        settings::Key,
        standing::tests::asks,
        testing::{accepted, kind, manners, message, patience},
        vendor::{Dialect as _, SENDER, Vendor, VendorError},
    },
};

const VERSIONS: [FlowrouteVersion; 3] =
    [FlowrouteVersion::V22, FlowrouteVersion::V21, FlowrouteVersion::V2];

fn settings(version: FlowrouteVersion, base_url: String) -> FlowrouteSettings {
    FlowrouteSettings {
        base_url,
        version,
        from: "+13125550123".parse().unwrap(),
        access_key: ACCESS.to_owned(),
        secret_key: Key { secret: Zeroizing::new(SECRET.to_owned()), file: "fr.key".to_owned() },
        ca_file: None,
    }
}

fn opened(settings: &FlowrouteSettings) -> Result<Vendor<Api>, VendorError> {
    let patience = patience(&settings.base_url);
    Vendor::open(Api::new(settings)?, settings.ca_file.as_deref(), patience)
}

fn gateway(settings: &FlowrouteSettings) -> Vendor<Api> {
    opened(settings).unwrap()
}

fn open(base_url: String) -> Box<dyn Gateway> {
    Box::new(gateway(&settings(FlowrouteVersion::V22, base_url)))
}

async fn send(version: FlowrouteVersion, base_url: String) -> Outcome {
    gateway(&settings(version, base_url)).send(&message(Channel::Sms)).await
}

async fn ask(version: FlowrouteVersion, base_url: String, id: &str) -> Status {
    let (gateway, message) = (gateway(&settings(version, base_url)), message(Channel::Sms));
    let id = VendorMessageId::checked(id).unwrap();
    gateway.status(&message, &id).unwrap().await
}

fn to(number: &str) -> Message {
    Message { to: number.parse().unwrap(), ..message(Channel::Sms) }
}

#[tokio::test]
async fn a_text_is_posted_as_each_version_wants_it() {
    let wrapped = |to: &str, from: &str| {
        json!({"data": {"type": "message", "attributes": {
            "to": to, "from": from, "body": "482913 is your code"}}})
    };
    let json_api = "application/vnd.api+json";
    let flat = json!({"to": "13125550142", "from": "13125550123",
                      "content": "482913 is your code"});
    let cases = [
        ("/v2.2/messages", json_api, wrapped("+13125550142", "+13125550123")),
        ("/v2.1/messages", json_api, wrapped("13125550142", "13125550123")),
        ("/v2/messages", "application/json", flat),
    ];
    for (version, (path, media_type, body)) in VERSIONS.into_iter().zip(cases) {
        let vendor = StandIn::start(version).await;
        let base = vendor.server.url("");
        let first = accepted("mdr2-00000000000000000000000000000001");
        assert_eq!(send(version, base.clone()).await, first);
        // A base URL may end with a slash.
        let second = accepted("mdr2-00000000000000000000000000000002");
        assert_eq!(send(version, format!("{base}/")).await, second);
        for seen in vendor.server.seen() {
            assert_eq!((&*seen.method, &*seen.path), ("POST", path));
            assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), body);
            assert_eq!(seen.headers["authorization"], BASIC);
            for name in ["content-type", "accept"] {
                assert_eq!(seen.headers[name], media_type, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_what_the_vendor_says() {
    let hint =
        format!("HTTP 403: Forbidden: The number does not belong to your account ({SENDER})");
    for version in VERSIONS {
        let vendor = StandIn::start(version).await;
        let own = || settings(version, vendor.server.url(""));
        let mut revoked = own();
        revoked.secret_key.secret = Zeroizing::new("another-secret".to_owned());
        let foreign = FlowrouteSettings { from: "+13125550124".parse().unwrap(), ..own() };
        let cases = [
            (
                revoked,
                message(Channel::Sms),
                Outcome::Misconfigured(
                    "HTTP 401: Unauthorized: Invalid API credentials (the key in secret-key-file \
                     fr.key)"
                        .to_owned(),
                ),
            ),
            (foreign, message(Channel::Sms), Outcome::Misconfigured(hint.clone())),
            (own(), to(STOPPED), Outcome::OptedOut),
        ];
        for (settings, message, expected) in cases {
            assert_eq!(gateway(&settings).send(&message).await, expected, "{version:?}");
        }
    }
}

#[tokio::test]
async fn numbers_that_a_version_cannot_write_stay_here() {
    for version in [FlowrouteVersion::V21, FlowrouteVersion::V2] {
        let vendor = StandIn::start(version).await;
        let gateway = gateway(&settings(version, vendor.server.url("")));
        let outcome = gateway.send(&to("+436641234567")).await;
        let expected = format!(
            "api-version {} has North American numbers only; use \"v2.2\"",
            version.as_str()
        );
        assert_eq!(outcome, Outcome::Misconfigured(expected));
        assert!(vendor.server.seen().is_empty());
    }
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    let gateway = gateway(&settings(FlowrouteVersion::V22, vendor.server.url("")));
    assert_eq!(kind(&gateway.send(&to("+436641234567")).await), "accepted");
    let call = gateway.send(&message(Channel::Voice)).await;
    assert_eq!(call, Outcome::Misconfigured("Flowroute makes no calls".to_owned()));
}

/// Flowroute documents statuses; the only code that it names is that of an opt-out.
#[tokio::test]
async fn errors_are_told_apart_by_consequence() {
    let error = |title: &str, detail: &str| json!({"errors": [{"title": title, "detail": detail}]});
    let pointer =
        |pointer: &str| json!({"errors": [{"title": "Invalid", "source": {"pointer": pointer}}]});
    let cases = [
        ("opted out", 400, error("Bad Request", "Error code: 1110")),
        ("opted out", 400, error("1110", "")),
        ("opted out", 403, json!({"errors": [{"code": 1110}]})),
        ("opted out", 422, json!({"code": "1110", "detail": "Recipient opted out"})),
        ("misconfigured", 400, error("Bad Request", "to 312-555-1110: failed")),
        ("misconfigured", 400, error("Bad Request", "to 13125551110, 11105")),
        ("misconfigured", 400, json!({"errors": [{"id": "1110", "status": 400, "title": "No"}]})),
        ("unknown", 500, error("Error code: 1110", "")),
        ("rejected", 422, error("Unprocessable Entity", "'to' is no number")),
        ("rejected", 400, error("Bad Request", "the value of \"to\" is invalid")),
        ("rejected", 422, pointer("/data/attributes/to")),
        ("misconfigured", 422, pointer("/data/attributes/from")),
        ("misconfigured", 422, error("Unprocessable Entity", "'from' and 'to' are the same")),
        ("misconfigured", 422, error("Unprocessable Entity", "go to our pages")),
        ("misconfigured", 403, error("Forbidden", "'to' is not allowed")),
        ("unknown", 500, error("Internal Server Error", "'to' is no number")),
    ];
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    for (expected, status, body) in cases {
        vendor.next(status, &[], body.to_string());
        let outcome = send(FlowrouteVersion::V22, vendor.server.url("")).await;
        assert_eq!(kind(&outcome), expected, "{status} {body}: {outcome:?}");
    }
}

#[tokio::test]
async fn without_a_known_code_the_status_counts() {
    let bodies = ["", "<html>down</html>", "{}", r#"{"errors": []}"#, r#"{"errors": [{"a": 1}]}"#];
    manners::without_words_the_status_counts(&open, &bodies).await;
}

#[tokio::test]
async fn errors_are_read_in_every_form() {
    let error = json!({"id": "6bd1", "status": 422, "title": "Unprocessable Entity",
                       "detail": "'to' is short"});
    let text = "HTTP 422: Unprocessable Entity: 'to' is short";
    let cases = [
        ("a list", json!({"errors": [error]}), text),
        ("one object", json!({"errors": error}), text),
        ("bare", error.clone(), text),
        ("a bare list", json!([error]), text),
        ("with unknown fields", json!({"errors": [error], "meta": {"x": [1]}}), text),
        ("a text", json!({"error": "'to' is short"}), "HTTP 422: 'to' is short"),
        ("texts", json!({"errors": ["'to' is short"]}), "HTTP 422: 'to' is short"),
        ("a message", json!({"message": "'to' is short"}), "HTTP 422: 'to' is short"),
        (
            "several",
            json!({"errors": [{"code": 7, "title": "Odd"}, error]}),
            "HTTP 422: 7 Odd; Unprocessable Entity: 'to' is short",
        ),
    ];
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    for (name, body, expected) in cases {
        vendor.next(422, &[("content-type", "text/html")], body.to_string());
        let outcome = send(FlowrouteVersion::V22, vendor.server.url("")).await;
        assert_eq!(outcome, Outcome::Rejected(expected.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_yes_without_a_usable_body_is_still_one() {
    let bodies: [(&str, Vec<u8>, &str); 7] = [
        ("empty", vec![], ""),
        ("no JSON", b"OK".into(), ""),
        ("no data", b"{}".into(), ""),
        ("flat", br#"{"id": "mdr2-7"}"#.into(), "mdr2-7"),
        ("an odd id", br#"{"data": {"id": "a\nb"}}"#.into(), ""),
        ("no text", br#"{"data": {"id": ["mdr2-7"]}}"#.into(), ""),
        ("ten megabytes", vec![b' '; 10_000_000], ""),
    ];
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    for (name, body, id) in bodies {
        for status in [200, 202] {
            vendor.next(status, &[], body.clone());
            let outcome = send(FlowrouteVersion::V22, vendor.server.url("")).await;
            assert_eq!(outcome, accepted(id), "{name}");
        }
    }
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    manners::a_redirect_takes_the_key_nowhere(&open).await;
}

#[tokio::test]
async fn reasons_hold_neither_code_nor_number_nor_key() {
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    let encoded = BASIC.strip_prefix("Basic ").unwrap();
    let detail = format!("to +1 312 555 0142: 482913 is your code, {SECRET}, {encoded}");
    vendor.next(400, &[], json!({"errors": [{"detail": detail}]}).to_string());
    let said = "to +1 ••• ••• ••42: [code] is your code, [key], [key]";
    let outcome = send(FlowrouteVersion::V22, vendor.server.url("")).await;
    assert_eq!(outcome, Outcome::Misconfigured(format!("HTTP 400: {said}")));

    let receipt = json!([{"level": 2, "status": "failed", "status_code_description": detail}]);
    vendor.record("m-1", record("m-1", &receipt));
    let Status::Failed { reason, .. } =
        ask(FlowrouteVersion::V22, vendor.server.url(""), "m-1").await
    else {
        panic!("it failed");
    };
    assert_eq!(reason, format!("failed: {said}"));
    let settings = settings(FlowrouteVersion::V22, String::new());
    assert!(!format!("{settings:?}").contains(SECRET));
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_told_from_one_that_says_nothing() {
    manners::absence_is_told_from_silence(&open).await;
}

#[tokio::test]
async fn after_no_clear_answer_the_next_gateway_sends_the_same_code() {
    let vendor = StandIn::start(FlowrouteVersion::V22).await;
    manners::the_next_gateway_sends_the_same_code(&open, &vendor.server).await;
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut FlowrouteSettings);
    let cases: [(Change, &str); 4] = [
        (|s| s.base_url = "http://api.flowroute.com".into(), "loopback address only"),
        (|s| s.secret_key.secret = Zeroizing::new("s3cret\n".into()), "`secret-key-file`"),
        (|s| s.access_key = "a:b".into(), "`secret-key-file`"),
        (
            |s| (s.version, s.from) = (FlowrouteVersion::V2, "+436641234567".parse().unwrap()),
            "`from` must be a number of North America",
        ),
    ];
    for (change, expected) in cases {
        let mut settings = settings(FlowrouteVersion::V22, "https://api.flowroute.com".to_owned());
        change(&mut settings);
        let error = opened(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
    let api = Api::new(&settings(FlowrouteVersion::V22, "https://api.flowroute.com".to_owned()));
    let api = api.unwrap();
    assert!(api.supports(Channel::Sms) && !api.supports(Channel::Voice));
}

/// JSON that has much of a reply's form.
fn json_like() -> impl Strategy<Value = Value> {
    let words = "(1110|delivered|failed|482913|'to'|\\+13125550142|s3cr3t-of-9f41c6|.{0,9})";
    let names = "(errors|error|code|title|detail|source|pointer|data|attributes|status|id|level|\
                 status_code|status_code_description|delivery_receipts)";
    manners::json_like(words.prop_map(Value::from), names)
}

proptest! {
    #[test]
    fn no_reply_panics_or_leaks_and_only_a_success_is_a_yes(
        code in 100u16..600,
        body in json_like(),
    ) {
        let (reply, message) = (manners::reply(code, &body), message(Channel::Sms));
        let secrets = [Zeroizing::new(SECRET.to_owned())];
        let redactor = Redactor::new(&message, &secrets);
        let (sent, told) = (sent(&reply, &redactor), status(&reply, &redactor));
        prop_assert_eq!(kind(&sent) == "accepted", (200..=299).contains(&code));
        manners::nothing_is_told_or_made_up(code, sent, &told, SECRET)?;
    }
}

#[tokio::test]
async fn flowroute_is_told_where_to_report_from_version_2_1_on() {
    const REPORTS: &str = "https://h.example/receipts/flowroute/0123";
    for version in VERSIONS {
        let vendor = StandIn::start(version).await;
        let report_url = Some(Zeroizing::new(REPORTS.to_owned()));
        let message = Message { report_url, ..message(Channel::Sms) };
        let settings = settings(version, vendor.server.url(""));
        let outcome = gateway(&settings).send(&message).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        let body: Value = serde_json::from_str(&vendor.server.seen()[0].body).unwrap();
        let told = body.pointer("/data/attributes/dlr_callback").and_then(Value::as_str);
        let expected = match version {
            FlowrouteVersion::V22 | FlowrouteVersion::V21 => Some(REPORTS),
            FlowrouteVersion::V2 => None,
        };
        assert_eq!(told, expected, "{version:?}");
    }
}

#[tokio::test]
async fn a_number_of_the_accounts_proves_the_key() {
    let hint = "the key in secret-key-file fr.key";
    asks(open, "/v2/numbers?limit=1", (r#"{"data":[]}"#, None), hint).await;
}
