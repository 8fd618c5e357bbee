//! Health and metrics.

use super::{Open, name, status};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::Channel,
        time::Timestamp,
    },
    gateway::Outcome,
};

#[tokio::test]
async fn a_daemon_in_order_is_healthy_and_ready() {
    let open = Open::admin().await;
    let health = open.get("/healthz").await;
    assert_eq!((status(&health), health.ends_with("\r\n\r\nok\n")), (200, true), "{health}");
    let ready = open.get("/readyz").await;
    assert_eq!(status(&ready), 200, "{ready}");
    assert!(ready.ends_with("store: ok\ngateways: ok\nclock: ok\n"), "{ready}");
    for path in ["/receipts/twilio", "/answer/x", "/", "/debug"] {
        assert_eq!(status(&open.get(path).await), 404, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_counts_and_conditions_without_people() {
    let open = Open::admin().await;
    let service = "canary-service".to_owned();
    for event in [
        Event::LoginGranted { service: service.clone(), source: Some("192.0.2.77".into()) },
        Event::LoginIgnored { service, reason: "exempt" },
        Event::MessageUndelivered {
            gateway: "first".into(),
            vendor_id: "canary-id".into(),
            reason: "canary reason".into(),
            then: "sent-again",
        },
        Event::CodeWrong { tries_left: 2 },
    ] {
        let (account, actor) = (Account::host(), Actor::Claimant);
        open.metrics.note(&AuditEvent { at: Timestamp(1), request: None, account, actor, event });
    }
    let refused = Outcome::Rejected("canary reason".to_owned());
    open.metrics.tally().count(&name("first"), Channel::Voice, &refused);
    assert_eq!(status(&open.get("/readyz").await), 200, "and so commits something");
    let answer = open.get("/metrics").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let (_, text) = answer.split_once("\r\n\r\n").expect("a body");
    for line in [
        "# TYPE otpd_logins_total counter",
        "otpd_logins_total{outcome=\"granted\"} 1",
        "otpd_logins_total{outcome=\"ignored\"} 1",
        "otpd_messages_total{gateway=\"first\",channel=\"voice\",outcome=\"rejected\"} 1",
        "otpd_messages_undelivered_total{gateway=\"first\"} 1",
        "otpd_gateway_state{gateway=\"first\",kind=\"scripted\",state=\"ready\"} 1",
        "otpd_gateway_state{gateway=\"first\",kind=\"scripted\",state=\"resting\"} 0",
        "otpd_enrolled_accounts{state=\"active\"} 0",
        "otpd_live_challenges 0",
        "otpd_store_queue_depth 0",
        "# TYPE otpd_store_commit_seconds histogram",
        "otpd_store_commit_seconds_count 1",
        "otpd_socket_connections 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for canary in ["canary", "192.0.2.77"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
    // Labels of which there are few, whatever people do.
    let labels = text.lines().filter_map(|line| line.split_once('{')?.1.split_once('}'));
    for label in labels.flat_map(|(labels, _)| labels.split("\",")) {
        let name = label.split('=').next().expect("a name");
        let known = ["gateway", "kind", "state", "outcome", "channel", "le"];
        assert!(known.contains(&name), "{label}");
    }
}
