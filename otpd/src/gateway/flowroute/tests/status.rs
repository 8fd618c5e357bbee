//! Asking what became of a message.

use serde_json::{Value, json};

use super::{FlowrouteVersion, StandIn, Status, ask, open, record};
use crate::{domain::login::Cause, gateway::testing::manners};

const ID: &str = "mdr2-39cadeace66e11e7aff806cd7f24ba2d";

#[tokio::test]
async fn a_message_is_asked_after_by_its_id() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let receipt = |level: u8, status: &str, code: Value, description: &str| {
        json!({"level": level, "status": status, "status_code": code,
               "status_code_description": description, "timestamp": "2026-11-21T18:00:00Z"})
    };
    let submitted = receipt(1, "smsc submit", json!(null), "");
    let buffered = receipt(2, "message buffered", json!(1003), "Message accepted by Carrier");
    let delivered = receipt(2, "delivered", json!(null), "");
    let undocumented = Status::Unknown("no status that is documented".to_owned());
    let cases = [
        ("no receipt yet", vec![], Status::UnderWay),
        ("with the carrier", vec![submitted.clone()], Status::UnderWay),
        ("buffered", vec![submitted.clone(), buffered.clone()], Status::UnderWay),
        (
            "the code as a text",
            vec![receipt(2, "Message Buffered", json!("1003"), "")],
            Status::UnderWay,
        ),
        ("arrived", vec![submitted.clone(), delivered.clone()], Status::Delivered),
        ("in another order", vec![delivered.clone(), buffered.clone()], Status::Delivered),
        ("to the carrier only", vec![receipt(1, "delivered", json!(null), "")], Status::UnderWay),
        (
            "failed",
            vec![submitted.clone(), receipt(2, "message failed", json!(null), "")],
            failed("message failed", Cause::Route),
        ),
        (
            "undelivered, with a code",
            vec![receipt(2, "undelivered", json!(1104), "Destination unreachable"), submitted],
            failed("undelivered: 1104 Destination unreachable", Cause::Route),
        ),
        (
            "by the code alone",
            vec![receipt(2, "", json!("1101"), "")],
            failed("1101", Cause::Route),
        ),
        (
            "opted out",
            vec![receipt(2, "rejected", json!(null), ""), receipt(2, "failed", json!(1110), "")],
            failed("failed: 1110", Cause::OptedOut),
        ),
        (
            "arrived in the end",
            vec![receipt(2, "message failed", json!(1104), ""), delivered],
            Status::Delivered,
        ),
        ("another word", vec![receipt(2, "parked", json!(7), "")], undocumented.clone()),
        ("no receipt's form", vec![json!("delivered"), json!(null)], undocumented),
    ];
    for version in [FlowrouteVersion::V22, FlowrouteVersion::V21, FlowrouteVersion::V2] {
        let vendor = StandIn::start(version).await;
        for (name, receipts, expected) in &cases {
            vendor.record(ID, record(ID, &json!(receipts)));
            assert_eq!(ask(version, vendor.server.url(""), ID).await, *expected, "{name}");
        }
        let path = format!("/{}/messages/{ID}", version.as_str());
        assert!(vendor.server.seen().iter().all(|s| s.method == "GET" && s.path == path));
    }
}

#[tokio::test]
async fn a_record_is_read_in_every_form() {
    let cases = [
        ("flat", json!({"id": ID, "status": "delivered"}), Status::Delivered),
        ("data alone", json!({"data": {"status": "message failed"}}), {
            Status::Failed { reason: "message failed".to_owned(), cause: Cause::Route }
        }),
        (
            "a status beside receipts",
            json!({"data": {"attributes": {"status": "delivered", "delivery_receipts": []}}}),
            Status::Delivered,
        ),
        (
            "receipts of another form",
            json!({"data": {"attributes": {"delivery_receipts": {"level": 2}}}}),
            Status::UnderWay,
        ),
    ];
    let version = FlowrouteVersion::V22;
    let vendor = StandIn::start(version).await;
    for (name, record, expected) in cases {
        vendor.record(ID, record);
        assert_eq!(ask(version, vendor.server.url(""), ID).await, expected, "{name}");
    }
}

#[tokio::test]
async fn an_id_stays_one_part_of_the_path() {
    let path = |id: &str| format!("/v2.2/messages/{id}");
    manners::an_id_stays_one_part_of_the_path(&open, &path).await;
}

#[tokio::test]
async fn a_vendor_that_does_not_tell_is_no_failure() {
    manners::what_is_not_told_is_no_failure(&open).await;
}
