//! Asking what became of a message.

use super::{Cause, StandIn, Status, ask, boxed, json, manners};

#[tokio::test]
async fn a_message_is_asked_after_by_its_id() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let error = |code: &str, title: &str| json!([{"code": code, "title": title}]);
    let cases = [
        ("queued", json!([]), Status::UnderWay),
        ("sending", json!([]), Status::UnderWay),
        ("sent", json!([]), Status::UnderWay),
        ("delivered", json!([]), Status::Delivered),
        ("delivery_unconfirmed", json!([]), Status::Unconfirmed),
        ("expired", json!([]), failed("expired", Cause::Route)),
        ("sending_failed", json!(null), failed("sending_failed", Cause::Route)),
        (
            "delivery_failed",
            error("40001", "Not routable"),
            failed("delivery_failed: 40001 Not routable", Cause::Number),
        ),
        (
            "delivery_failed",
            error("40020", "Blocked as artificial"),
            failed("delivery_failed: 40020 Blocked as artificial", Cause::Route),
        ),
        (
            "delivery_failed",
            error("40008", "Undeliverable"),
            failed("delivery_failed: 40008 Undeliverable", Cause::Route),
        ),
        (
            "sending_failed",
            error("40300", "Blocked due to STOP message"),
            failed("sending_failed: 40300 Blocked due to STOP message", Cause::OptedOut),
        ),
        ("parked", json!([]), Status::Unknown("no status that is documented".to_owned())),
    ];
    let vendor = StandIn::start().await;
    for (status, errors, expected) in cases {
        vendor.record("m-1", status, &errors);
        assert_eq!(ask(vendor.server.url(""), "m-1").await, expected, "{status} {errors}");
    }
    let seen = vendor.server.seen();
    assert!(seen.iter().all(|seen| seen.method == "GET" && seen.path == "/v2/messages/m-1"));
}

#[tokio::test]
async fn an_id_stays_one_part_of_the_path() {
    let path = |id: &str| format!("/v2/messages/{id}");
    manners::an_id_stays_one_part_of_the_path(&boxed, &path).await;
}

#[tokio::test]
async fn a_vendor_that_does_not_tell_is_no_failure() {
    manners::what_is_not_told_is_no_failure(&boxed).await;
}
