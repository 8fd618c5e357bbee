//! What vendors tell, and who only says to be one.

use super::{Notice, Open, secret, status, twilio, undated};
use crate::{
    domain::phone::E164,
    gateway::{Keyword, Status, VendorMessageId},
};

const PATH: &str = "/receipts/twilio";
const DELIVERED: &[(&str, &str)] = &[("MessageSid", "SM1"), ("MessageStatus", "delivered")];

fn delivered(id: &str) -> Notice {
    Notice::Progress { id: VendorMessageId(id.to_owned()), status: Status::Delivered }
}

#[tokio::test]
async fn a_receipt_is_queued_once_and_answered_as_the_vendor_wants_it() {
    let mut open = Open::public().await;
    for _ in 0..3 {
        let answer = open.twilio(PATH, DELIVERED).await;
        assert_eq!(status(&answer), 200);
        assert!(answer.contains("content-type: text/xml"), "{answer}");
        assert!(answer.ends_with("<Response/>"), "{answer}");
    }
    let (gateway, notice) = open.queue().recv().await.expect("queued");
    assert_eq!((gateway.0.as_str(), notice), ("twilio", delivered("SM1")));
    assert!(open.queue().try_recv().is_err(), "a repeat is not acted on");
    let text = open.metrics.text(&open.house.verifier).await.expect("metrics");
    for line in [
        "otpd_receipts_total{gateway=\"twilio\",outcome=\"taken\"} 1",
        "otpd_receipts_total{gateway=\"twilio\",outcome=\"repeated\"} 2",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn while_the_store_moves_a_vendor_is_told_to_come_again() {
    let mut open = Open::public().await;
    let export = open.house.verifier.export(true, 0).await.expect("begun");
    assert_eq!(status(&open.twilio(PATH, DELIVERED).await), 503);
    assert!(open.queue().try_recv().is_err());
    drop(export);
    assert_eq!(status(&open.twilio(PATH, DELIVERED).await), 200);
    assert!(open.queue().recv().await.is_some(), "it was not heard before");
}

#[tokio::test]
async fn what_people_write_is_told_as_a_keyword() {
    let mut open = Open::public().await;
    let fields = [("Body", "Stop"), ("From", "+14155550100"), ("MessageSid", "SM9")];
    assert_eq!(status(&open.twilio(PATH, &fields).await), 200);
    let (_, notice) = open.queue().recv().await.expect("queued");
    let from = "+14155550100".parse::<E164>().unwrap();
    let Notice::Inbound { from: who, keyword, id, .. } = notice else { panic!("{notice:?}") };
    assert_eq!((who, keyword, id), (from, Keyword::Stop, VendorMessageId::checked("SM9")));
}

#[tokio::test]
async fn flowroute_comes_by_a_path_that_nobody_else_knows() {
    let mut open = Open::public().await;
    let body = r#"{"data":{"id":"mdr2-1","attributes":{"status":"delivered"}}}"#;
    let path = format!("/receipts/flowroute/{}", secret().path());
    assert_eq!(status(&open.post(&path, "", body).await), 200);
    let (_, notice) = open.queue().recv().await.expect("queued");
    assert_eq!(notice, Notice::Hint { id: VendorMessageId("mdr2-1".to_owned()) });
    for path in ["/receipts/flowroute", "/receipts/flowroute/", "/receipts/flowroute/00"] {
        assert_eq!(status(&open.post(path, "", body).await), 404, "{path}");
    }
    assert!(open.queue().try_recv().is_err());
}

/// Nothing in an answer tells which gateways there are, nor what was wrong.
#[tokio::test]
async fn every_refusal_looks_the_same() {
    let mut open = Open::public().await;
    let (signature, body) = twilio(PATH, DELIVERED);
    let unknown = undated(&open.post("/receipts/nobody", &signature, &body).await);
    assert_eq!(status(&unknown), 404);
    let changed = body.replace("delivered", "failed");
    let twice = format!("{signature}{signature}");
    let elsewhere = format!("{PATH}?x=1");
    let cases = [
        ("another body", PATH, signature.as_str(), changed.as_str()),
        ("no signature", PATH, "", &body),
        ("two signatures", PATH, &twice, &body),
        ("no base64", PATH, "x-twilio-signature: !\r\n", &body),
        ("another query", &elsewhere, &signature, &body),
        ("another gateway", "/receipts/flowroute", &signature, &body),
        ("another spelling", "/receipts/tw%69lio", &signature, &body),
        ("a path behind it", "/receipts/twilio/x", &signature, &body),
    ];
    for (name, path, headers, body) in cases {
        assert_eq!(undated(&open.post(path, headers, body).await), unknown, "{name}");
    }
    assert!(open.queue().try_recv().is_err(), "nothing of it is acted on");
}

/// On the runtime's own clock, which moves only when everything waits.
#[tokio::test]
async fn every_refusal_takes_the_same_time() {
    let open = Open::public().await;
    tokio::time::pause();
    let (signature, body) = twilio(PATH, DELIVERED);
    let mut took = Vec::new();
    let wrong = "x-twilio-signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n";
    for (name, path, headers, body) in [
        ("unknown gateway", "/receipts/nobody", wrong, "MessageSid=SM1"),
        ("no signature", PATH, "", "MessageSid=SM1"),
        ("no base64", PATH, "x-twilio-signature: !\r\n", "MessageSid=SM1"),
        ("wrong signature", PATH, wrong, "MessageSid=SM1"),
        ("another body's", PATH, &signature, "MessageSid=SM1"),
        ("another gateway's", "/receipts/flowroute", &signature, &body),
        ("wrong path", "/receipts/flowroute/00", "", "{}"),
        ("unknown call", "/answer/0123456789abcdef0123456789abcdef", wrong, "CallSid=CA1"),
        ("no call", "/answer/x", &signature, &body),
    ] {
        let begun = tokio::time::Instant::now();
        assert_eq!(status(&open.post(path, headers, body).await), 404, "{name}");
        took.push((name, begun.elapsed()));
    }
    // Timers are of whole milliseconds, and never early.
    let most = super::super::REFUSAL + std::time::Duration::from_millis(1);
    let (_, first) = took[0];
    assert!((super::super::REFUSAL..=most).contains(&first), "{first:?}");
    assert!(took.iter().all(|(_, took)| *took == first), "{took:?}");
}

#[tokio::test]
async fn a_full_queue_says_so_and_hears_the_same_later() {
    let mut open = Open::public().await;
    let sid = |index: usize| format!("SM{index}");
    for index in 0..super::super::QUEUE {
        let fields = [("MessageSid", &*sid(index)), ("MessageStatus", "delivered")];
        assert_eq!(status(&open.twilio(PATH, &fields).await), 200, "{index}");
    }
    let last = [("MessageSid", "last"), ("MessageStatus", "delivered")];
    assert_eq!(status(&open.twilio(PATH, &last).await), 503);
    open.queue().recv().await.expect("the first");
    assert_eq!(status(&open.twilio(PATH, &last).await), 200);
    let mut newest = None;
    while let Ok((_, notice)) = open.queue().try_recv() {
        newest = Some(notice);
    }
    assert_eq!(newest, Some(delivered("last")));
}

#[tokio::test]
async fn only_posts_to_paths_that_there_are() {
    let open = Open::public().await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let request = format!("{method} {PATH} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(status(&open.exchange(&request).await), 405, "{method}");
    }
    for path in [
        "/",
        "/receipts",
        "/receipts/",
        "/receipts//twilio",
        "/receipts/../receipts/twilio",
        "/receipts/twilio/x/y",
        "/healthz",
        "/readyz",
        "/metrics",
        "/answer/",
    ] {
        assert_eq!(status(&open.post(path, "", "").await), 404, "{path}");
    }
}
