//! Asking what became of a message.

use super::{
    Cause, Channel, Gateway as _, Server, StandIn, Status, VendorMessageId, ask, gateway, json,
    message, nobody, silent_server,
};

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
    let cases = [
        ("a/b?c#d", "/v2/messages/a%2Fb%3Fc%23d"),
        ("../../v2/balance", "/v2/messages/..%2F..%2Fv2%2Fbalance"),
        ("%2e%2e", "/v2/messages/%252e%252e"),
        ("a&b=c;d", "/v2/messages/a&b=c;d"),
        ("\\x\"", "/v2/messages/%5Cx%22"),
    ];
    for (id, path) in cases {
        let server = Server::start(404, &[], "").await;
        assert!(matches!(ask(server.url(""), id).await, Status::Unknown(_)), "{id}");
        assert_eq!(server.seen()[0].path, path, "{id}");
    }
    for id in [".", ".."] {
        let (gateway, message) =
            (gateway("https://api.example.net".to_owned()), message(Channel::Sms));
        let id = VendorMessageId::checked(id).unwrap();
        assert!(gateway.status(&message, &id).is_none(), "no request for {id:?}");
    }
}

#[tokio::test]
async fn a_vendor_that_does_not_tell_is_no_failure() {
    let vendor = StandIn::start().await;
    for (status, body) in [(401, "{}"), (404, ""), (429, ""), (500, "x"), (200, ""), (200, "[]")] {
        vendor.next(status, &[], body);
        let told = ask(vendor.server.url(""), "m-1").await;
        assert!(matches!(told, Status::Unknown(_)), "{status} {body}: {told:?}");
    }
    for address in [nobody().await, silent_server().await] {
        let told = ask(format!("http://{address}"), "m-1").await;
        assert!(matches!(told, Status::Unknown(_)), "{told:?}");
    }
}
