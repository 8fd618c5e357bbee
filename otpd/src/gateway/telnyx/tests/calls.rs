//! Calls by `TeXML`.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Cause, Channel, Gateway as _, Message, Outcome, StandIn, Status, TelnyxSettings,
    VendorMessageId, accepted, errors, kind, message, open, settings,
};
use crate::gateway::settings::TexmlSettings;

const ACCOUNT: &str = "61bf923e-5e4d-4595-a110-56190ea18a1b";
const APPLICATION: &str = "1293384261075731499";
const REPORTS: &str = "https://otp.example.net/receipts/telnyx";
const SID: &str = "v3:KBnLO0ZK3DhKM5s7bE9VluaSmKsOchKht_fUYvxcp8ysbmzCCtpkmA";

fn calling(base_url: String) -> TelnyxSettings {
    let texml =
        TexmlSettings { application_sid: APPLICATION.to_owned(), account_sid: ACCOUNT.to_owned() };
    TelnyxSettings { texml: Some(texml), ..settings(base_url) }
}

async fn ask(base_url: String) -> Status {
    let (gateway, message) = (open(&calling(base_url)), message(Channel::Voice));
    let id = VendorMessageId::checked(SID).unwrap();
    gateway.status(&message, &id).unwrap().await
}

#[tokio::test]
async fn a_call_carries_its_words_or_says_where_they_are() {
    let url = "https://otp.example.net/answer/5f0d3a";
    let vendor = StandIn::start().await;
    let words = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Pause length=\"1\"/>\
                 <Say language=\"en-US\">482913 is your code</Say><Hangup/></Response>";
    let cases = [
        (None, json!({"Texml": words})),
        (
            Some(url),
            json!({"Url": url, "UrlMethod": "POST", "StatusCallbackMethod": "POST",
                   "StatusCallback": format!("{REPORTS}/{}", message(Channel::Voice).id.name().0)}),
        ),
    ];
    for (answer_url, how) in cases {
        let reply = json!({"from": "+13125550123", "to": "+13125550142", "status": "queued",
                           "call_sid": SID});
        vendor.next(200, &[], reply.to_string());
        let answer_url = answer_url.map(|url| Zeroizing::new(url.to_owned()));
        let report_url = answer_url.as_ref().map(|_| Zeroizing::new(REPORTS.to_owned()));
        let message = Message { answer_url, report_url, ..message(Channel::Voice) };
        let outcome = open(&calling(vendor.server.url(""))).send(&message).await;
        assert_eq!(outcome, accepted(SID));
        let seen = vendor.server.seen();
        let path = format!("/v2/texml/Accounts/{ACCOUNT}/Calls");
        assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", &*path));
        assert_eq!(seen[0].headers["content-type"], "application/json");
        let mut expected = json!({"ApplicationSid": APPLICATION, "To": "+13125550142",
                                  "From": "+13125550123", "Timeout": 25, "TimeLimit": 120});
        expected.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
        assert_eq!(serde_json::from_str::<Value>(&seen[0].body).unwrap(), expected);
    }
}

#[tokio::test]
async fn replies_to_calling_are_read_in_every_form() {
    let cases = [
        (200, json!({"status": "queued"}).to_string(), accepted("")),
        (200, json!({"data": {"sid": SID, "status": "ringing"}}).to_string(), accepted(SID)),
        (200, "OK".to_owned(), accepted("")),
        (200, "[]".to_owned(), accepted("")),
        (
            200,
            json!({"call_sid": SID, "status": "failed"}).to_string(),
            Outcome::Retryable { after: None, reason: "failed".to_owned() },
        ),
        (
            422,
            errors(&json!("10016"), "Phone number must be in +E.164 format", "", "/To").to_string(),
            Outcome::Rejected("HTTP 422: 10016 Phone number must be in +E.164 format".to_owned()),
        ),
        (
            422,
            errors(&json!("10016"), "Phone number must be in +E.164 format", "", "/From")
                .to_string(),
            Outcome::Misconfigured(
                "HTTP 422: 10016 Phone number must be in +E.164 format".to_owned(),
            ),
        ),
        (500, String::new(), Outcome::Unknown("HTTP 500: (empty reply)".to_owned())),
    ];
    let vendor = StandIn::start().await;
    for (status, body, expected) in cases {
        vendor.next(status, &[], body.clone());
        let outcome = open(&calling(vendor.server.url(""))).send(&message(Channel::Voice)).await;
        assert_eq!(outcome, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_call_is_asked_after_by_its_id() {
    let failed = |word: &str| Status::Failed { reason: word.to_owned(), cause: Cause::Route };
    let undocumented = || Status::Unknown("no status that is documented".to_owned());
    let cases = [
        ("queued", Status::UnderWay),
        ("initiated", Status::UnderWay),
        ("ringing", Status::UnderWay),
        ("in-progress", Status::UnderWay),
        ("completed", Status::Delivered),
        ("busy", failed("busy")),
        ("no-answer", failed("no-answer")),
        ("failed", failed("failed")),
        ("canceled", failed("canceled")),
        ("parked", undocumented()),
    ];
    let vendor = StandIn::start().await;
    for (word, expected) in cases {
        let record = json!({"account_sid": ACCOUNT, "answered_by": null, "sid": SID,
                            "status": word, "direction": "outbound", "to": "+13125550142"});
        vendor.next(200, &[], record.to_string());
        assert_eq!(ask(vendor.server.url("")).await, expected, "{word}");
    }
    let path = format!("/v2/texml/Accounts/{ACCOUNT}/Calls/{SID}");
    assert!(vendor.server.seen().iter().all(|seen| seen.method == "GET" && seen.path == path));
    for (status, body) in [(404, ""), (401, "{}"), (200, ""), (200, "[]"), (500, "x")] {
        vendor.next(status, &[], body);
        let told = ask(vendor.server.url("")).await;
        assert!(matches!(told, Status::Unknown(_)), "{status} {body}: {told:?}");
    }
    let gateway = open(&calling("https://api.example.net".to_owned()));
    let id = VendorMessageId::checked("..").unwrap();
    assert!(gateway.status(&message(Channel::Voice), &id).is_none());
}

#[tokio::test]
async fn calls_need_an_application_and_a_number() {
    let own = || calling("https://api.example.net".to_owned());
    let cases = [
        (own(), true),
        (TelnyxSettings { texml: None, ..own() }, false),
        (TelnyxSettings { from: Some("12345".to_owned()), ..own() }, false),
    ];
    for (settings, calls) in cases {
        let gateway = open(&settings);
        assert!(gateway.supports(Channel::Sms), "{settings:?}");
        assert_eq!(gateway.supports(Channel::Voice), calls, "{settings:?}");
    }
    let without = open(&settings("https://api.example.net".to_owned()));
    assert_eq!(kind(&without.send(&message(Channel::Voice)).await), "misconfigured");
    let id = VendorMessageId::checked(SID).unwrap();
    assert!(without.status(&message(Channel::Voice), &id).is_none());
}

#[tokio::test]
async fn a_document_s_reply_tells_nothing() {
    let vendor = StandIn::start().await;
    let said = "482913 to +13125550142";
    vendor.next(422, &[], errors(&json!("10015"), said, "", "").to_string());
    let outcome = open(&calling(vendor.server.url(""))).send(&message(Channel::Voice)).await;
    assert_eq!(kind(&outcome), "misconfigured");
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("482913") && !shown.contains("5550142"), "{shown}");
}
