//! Health and metrics.

use super::{House, Open, name, site_with, status};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        challenge::Channel,
        time::{MINUTE, Timestamp},
    },
    gateway::{Gateway, Message, MessageId, Outcome, Sending, route::Routes},
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

/// What `/readyz` says; its status goes with it.
async fn readiness(open: &Open) -> String {
    let answer = open.get("/readyz").await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert_eq!(status(&answer), if body.contains("failing") { 503 } else { 200 }, "{answer}");
    let health = open.get("/healthz").await;
    assert_eq!(status(&health), 200, "it runs all the same");
    body.to_owned()
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_said_and_that_it_does_again() {
    let open = Open::admin().await;
    open.house.fail_to_read(true);
    assert_eq!(readiness(&open).await, "store: failing\ngateways: ok\nclock: ok\n");
    open.house.fail_to_read(false);
    assert_eq!(readiness(&open).await, "store: ok\ngateways: ok\nclock: ok\n");
}

#[tokio::test]
async fn one_gateway_that_works_is_enough_and_none_is_not() {
    let open = Open::admin().await;
    let verifier = &open.house.verifier;
    let cases: [(&str, &[bool], &str); 3] = [
        ("all of them", &[true, true], "store: ok\ngateways: ok\nclock: ok\n"),
        ("one of two", &[false, true], "store: ok\ngateways: ok\nclock: ok\n"),
        ("none", &[false, false], "store: ok\ngateways: failing\nclock: ok\n"),
    ];
    for (case, working, expected) in cases {
        let order: Vec<_> = ["a", "b"].iter().map(|one| name(one)).collect();
        let gateways = order.iter().zip(working).map(|(name, works)| {
            let gateway: Box<dyn Gateway> = Box::new(Told(*works));
            (name.clone(), gateway)
        });
        let routes = Routes::new(gateways.collect(), &order, &[]).expect("they exist");
        // Each gateway gets a message of its own, until its breaker opens.
        for other in [1, 0].into_iter().flat_map(|other| [other; 5]) {
            let except = [order[other].clone()];
            let (now, wanted) = (|| Timestamp(1), || std::future::ready(true));
            routes.deliver_while(&message(), &[], &except, now, wanted).await;
        }
        verifier.replace_site(site_with(&verifier.site(), routes));
        assert_eq!(readiness(&open).await, expected, "{case}");
    }
}

#[tokio::test]
async fn a_clock_in_doubt_is_said() {
    let open = Open::admin_of(House::in_doubt().await).await;
    assert_eq!(readiness(&open).await, "store: ok\ngateways: ok\nclock: failing\n");
}

/// A gateway that takes every message, or none.
struct Told(bool);

impl Gateway for Told {
    fn kind(&self) -> &'static str {
        "told"
    }

    fn supports(&self, _: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, _: &'a Message) -> Sending<'a> {
        let outcome = if self.0 {
            Outcome::Accepted { vendor_id: None }
        } else {
            Outcome::Misconfigured("out of order".to_owned())
        };
        Box::pin(std::future::ready(outcome))
    }
}

fn message() -> Message {
    Message {
        id: MessageId([1; 16]),
        to: "+12025550142".parse().expect("a number"),
        channel: Channel::Sms,
        text: "482913 is it".to_owned().into(),
        code: None,
        valid_for: MINUTE,
        answer_url: None,
        report_url: None,
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
