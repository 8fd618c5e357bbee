//! Asking what became of a message or a call.

use serde_json::json;

use super::{ID, StandIn, Status, UUID, ask, open};
use crate::{
    domain::{challenge::Channel, login::Cause},
    gateway::testing::manners,
};

fn failed(reason: &str, cause: Cause) -> Status {
    Status::Failed { reason: reason.to_owned(), cause }
}

fn undocumented() -> Status {
    Status::Unknown("no status that is documented".to_owned())
}

#[tokio::test]
async fn a_message_is_asked_after_by_its_id() {
    let cases = [
        ("queued", json!(null), "", Status::UnderWay),
        ("sent", json!(null), "", Status::UnderWay),
        ("delivered", json!(null), "", Status::Delivered),
        ("delivered", json!("000"), "", Status::Delivered),
        ("read", json!(null), "", Status::Delivered),
        ("failed", json!(null), "", failed("failed", Cause::Route)),
        ("undelivered", json!("80"), "", failed("undelivered: 80", Cause::Route)),
        ("rejected", json!(30), "Spam", failed("rejected: 30 Spam", Cause::Route)),
        (
            "failed",
            json!("200"),
            "Source blocked by STOP",
            failed("failed: 200 Source blocked by STOP", Cause::OptedOut),
        ),
        ("parked", json!(null), "", undocumented()),
    ];
    let vendor = StandIn::start().await;
    for (state, code, words, expected) in cases {
        let record = json!({
            "api_id": "95747262", "message_state": state, "error_code": code,
            "error_message": words, "from_number": "13125550123", "to_number": "1312555XXXX",
            "message_uuid": UUID, "message_direction": "outbound", "message_type": "sms",
        });
        vendor.record("Message", UUID, record);
        let told = ask(vendor.server.url(""), Channel::Sms, UUID).await;
        assert_eq!(told, expected, "{state} {code}");
    }
    let path = format!("/v1/Account/{ID}/Message/{UUID}/");
    assert!(vendor.server.seen().iter().all(|seen| seen.method == "GET" && seen.path == path));
}

#[tokio::test]
async fn every_code_of_a_failure_has_a_meaning() {
    let route = "10 20 30 40 60 80 90 100 110 201 300 420 450 900 910 1000 77";
    let listed =
        |words: &'static str, cause| words.split_ascii_whitespace().map(move |code| (code, cause));
    let cases = listed("200", Cause::OptedOut)
        .chain(listed("50 70", Cause::Number))
        .chain(listed(route, Cause::Route));
    let vendor = StandIn::start().await;
    for (code, expected) in cases {
        for code in [json!(code), json!(code.parse::<u64>().unwrap())] {
            vendor.record("Message", UUID, json!({"message_state": "failed", "error_code": code}));
            let told = ask(vendor.server.url(""), Channel::Sms, UUID).await;
            let Status::Failed { cause, .. } = told else { panic!("{code}: {told:?}") };
            assert_eq!(cause, expected, "{code}");
        }
    }
}

#[tokio::test]
async fn a_call_has_a_record_once_it_ended() {
    let (began, ended) = ("2026-11-21 18:00:00+00:00", "2026-11-21 18:00:40+00:00");
    let record = |answered: Option<&str>, ended: Option<&str>, code: Option<u32>, name: &str| {
        json!({
            "call_uuid": UUID, "call_direction": "outbound", "answer_time": answered,
            "end_time": ended, "hangup_cause_code": code, "hangup_cause_name": name,
            "bill_duration": 0, "to_number": "13125550142",
        })
    };
    let cases = [
        (
            "heard out",
            record(Some(began), Some(ended), Some(4010), "End Of XML Instructions"),
            Status::Delivered,
        ),
        (
            "hung up on",
            record(Some(began), Some(ended), Some(4000), "Normal Hangup"),
            Status::Delivered,
        ),
        ("without a cause", record(Some(began), Some(ended), None, ""), Status::Delivered),
        ("not at its end", record(Some(began), None, None, ""), Status::UnderWay),
        (
            "busy",
            record(None, Some(ended), Some(3010), "Busy Line"),
            failed("not answered: 3010 Busy Line", Cause::Route),
        ),
        (
            "nobody, without a cause",
            record(None, Some(ended), None, ""),
            failed("not answered", Cause::Route),
        ),
        (
            "no such number",
            record(None, Some(ended), Some(2000), "Invalid Destination Address"),
            failed("not answered: 2000 Invalid Destination Address", Cause::Number),
        ),
        (
            "out of service",
            record(None, Some(ended), Some(2010), "Destination Out Of Service"),
            failed("not answered: 2010 Destination Out Of Service", Cause::Route),
        ),
        (
            "the country",
            record(None, Some(ended), Some(2030), "Destination Country Barred"),
            failed("not answered: 2030 Destination Country Barred", Cause::Route),
        ),
        (
            "no words",
            record(Some(began), Some(ended), Some(7011), "Error Reaching Answer URL"),
            failed("nothing said: 7011 Error Reaching Answer URL", Cause::Route),
        ),
        (
            "live",
            json!({"call_uuid": UUID, "call_status": "in-progress", "direction": "outbound"}),
            Status::UnderWay,
        ),
        ("another word", json!({"call_uuid": UUID, "call_status": "parked"}), undocumented()),
        ("nothing", json!({}), undocumented()),
    ];
    let vendor = StandIn::start().await;
    for (name, record, expected) in cases {
        vendor.record("Call", UUID, record);
        let told = ask(vendor.server.url(""), Channel::Voice, UUID).await;
        assert_eq!(told, expected, "{name}");
    }
    let path = format!("/v1/Account/{ID}/Call/{UUID}/");
    assert!(vendor.server.seen().iter().all(|seen| seen.method == "GET" && seen.path == path));
    let told = ask(vendor.server.url(""), Channel::Voice, "a-call-that-rings").await;
    assert_eq!(told, Status::UnderWay);
}

#[tokio::test]
async fn an_id_stays_one_part_of_the_path() {
    let path = |id: &str| format!("/v1/Account/{ID}/Message/{id}/");
    manners::an_id_stays_one_part_of_the_path(&open, &path).await;
}

#[tokio::test]
async fn a_vendor_that_does_not_tell_is_no_failure() {
    manners::what_is_not_told_is_no_failure(&open).await;
}
