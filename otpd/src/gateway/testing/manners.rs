//! What the gateway of every vendor does, however its API looks: one check for each rule, which the
//! tests of each vendor run.

use hyper::body::Bytes;
use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::Value;

use super::{Server, kind, message, nobody, raw_server, silent_server};
use crate::{
    domain::{challenge::Channel, time::Timestamp},
    gateway::{
        Gateway, GatewayName, Outcome, Status, VendorMessageId,
        client::Reply,
        route::{Delivered, Routes},
    },
};

/// Opens a gateway of the vendor's kind for an API at this address; it waits shortly for who falls silent.
type Open<'a> = &'a dyn Fn(String) -> Box<dyn Gateway>;

async fn send(gateway: &dyn Gateway) -> Outcome {
    gateway.send(&message(Channel::Sms)).await
}

async fn ask(gateway: &dyn Gateway, id: &str) -> Status {
    let (message, id) = (message(Channel::Sms), VendorMessageId::checked(id).unwrap());
    gateway.status(&message, &id).unwrap().await
}

/// A refusal whose body says nothing that is known is judged by HTTP's status, and says for how long
/// to leave the vendor alone.
pub(in crate::gateway) async fn without_words_the_status_counts(
    open: Open<'_>,
    bodies: &[&'static str],
) {
    let cases = [
        ("misconfigured", &[400, 401, 402, 403, 404, 405, 406, 409, 415, 422][..]),
        ("misconfigured", &[301, 302, 307]),
        ("retryable", &[429, 501, 503]),
        ("unknown", &[408, 500, 502, 504, 520]),
    ];
    for (expected, statuses) in cases {
        for (status, body) in statuses.iter().flat_map(|s| bodies.iter().map(|body| (*s, *body))) {
            let vendor = Server::start(status, &[("retry-after", "7")], body).await;
            let outcome = send(&*open(vendor.url(""))).await;
            assert_eq!(kind(&outcome), expected, "{status} {body}: {outcome:?}");
            if let Outcome::Retryable { after, .. } = outcome {
                assert_eq!(after.map(|after| after.as_secs()), Some(7), "{status} {body}");
            }
        }
    }
}

/// No redirect is followed: the key and the code stay with the vendor.
pub(in crate::gateway) async fn a_redirect_takes_the_key_nowhere(open: Open<'_>) {
    let elsewhere = Server::start(200, &[], "").await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url("/v2/messages");
        let vendor = Server::answering(move |_| {
            (status, vec![("location", location.clone())], Bytes::new())
        });
        let gateway = open(vendor.await.url(""));
        assert_eq!(kind(&send(&*gateway).await), "misconfigured", "{status}");
        assert!(matches!(ask(&*gateway, "m-1").await, Status::Unknown(_)), "{status}");
    }
    assert_eq!((elsewhere.connections(), elsewhere.seen().len()), (0, 0));
}

/// Where nobody listens nothing was sent; where nobody answers, perhaps.
pub(in crate::gateway) async fn absence_is_told_from_silence(open: Open<'_>) {
    let cases = [
        ("retryable", nobody()),
        ("unknown", silent_server().await),
        ("unknown", raw_server(b"", true).await),
    ];
    for (expected, address) in cases {
        let outcome = send(&*open(format!("http://{address}"))).await;
        assert_eq!(kind(&outcome), expected, "{outcome:?}");
    }
}

/// After either of these the next gateway sends, and the same code. `vendor` takes messages.
pub(in crate::gateway) async fn the_next_gateway_sends_the_same_code(
    open: Open<'_>,
    vendor: &Server,
) {
    let cases = [
        ("silent", silent_server().await),
        ("closed without a word", raw_server(b"", true).await),
        ("nobody", nobody()),
    ];
    for (name, address) in cases {
        let names = ["first", "second"].map(|name| GatewayName(name.to_owned()));
        let gateways = vec![
            (names[0].clone(), open(format!("http://{address}"))),
            (names[1].clone(), open(vendor.url(""))),
        ];
        let routes = Routes::new(gateways, &names, &[]).unwrap();
        let now = || Timestamp(1_800_000_000_000);
        let delivery = routes.deliver(&message(Channel::Sms), &[], now).await;
        assert!(
            matches!(&delivery.result, Delivered::Sent { gateway, .. } if *gateway == names[1]),
            "{name}: {delivery:?}"
        );
        let seen = vendor.seen();
        assert_eq!(seen.len(), 1, "{name}");
        // A form writes spaces in its own way.
        let body = seen[0].body.replace("%20", " ");
        assert!(body.contains("482913 is your code"), "{name}: {body}");
    }
}

/// An id is a vendor's text: it leads to no other address. `path` has one in it that needs no
/// escape.
pub(in crate::gateway) async fn an_id_stays_one_part_of_the_path(
    open: Open<'_>,
    path: &dyn Fn(&str) -> String,
) {
    let cases = [
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("../../v2/balance", "..%2F..%2Fv2%2Fbalance"),
        ("%2e%2e", "%252e%252e"),
        ("a&b=c;d", "a&b=c;d"),
        ("\\x\"", "%5Cx%22"),
    ];
    let vendor = Server::start(404, &[], "").await;
    let gateway = open(vendor.url(""));
    for (id, escaped) in cases {
        ask(&*gateway, id).await;
        assert_eq!(vendor.seen()[0].path, path(escaped), "{id}");
    }
    for id in [".", ".."] {
        let (message, id) = (message(Channel::Sms), VendorMessageId::checked(id).unwrap());
        assert!(gateway.status(&message, &id).is_none(), "no request for {id:?}");
    }
}

/// A question that is not answered, or not in a form that is documented, says nothing about the
/// message.
pub(in crate::gateway) async fn what_is_not_told_is_no_failure(open: Open<'_>) {
    let replies =
        [(401, "{}"), (404, ""), (429, ""), (500, "x"), (200, ""), (200, "[]"), (200, "{}")];
    for (status, body) in replies {
        let vendor = Server::start(status, &[], body).await;
        let told = ask(&*open(vendor.url("")), "m-1").await;
        assert!(matches!(told, Status::Unknown(_)), "{status} {body}: {told:?}");
    }
    for address in [nobody(), silent_server().await] {
        let told = ask(&*open(format!("http://{address}")), "m-1").await;
        assert!(matches!(told, Status::Unknown(_)), "{told:?}");
    }
}

/// JSON that has much of a reply's form: `leaf` has words of the vendor's, `name` its fields.
pub(in crate::gateway) fn json_like(
    leaf: impl Strategy<Value = Value> + 'static,
    name: &'static str,
) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        3 => leaf,
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A reply with this body.
pub(in crate::gateway) fn reply(status: u16, body: &Value) -> Reply {
    Reply { status, retry_after: None, rate_reset: None, body: Some(body.to_string().into_bytes()) }
}

/// Whatever a reply holds: what is made of it is short, tells neither the code nor the number nor
/// `key`, and a refusal is neither an acceptance nor news of the message. `told`: what the same
/// reply says when it answers a question.
pub(in crate::gateway) fn nothing_is_told_or_made_up(
    status: u16,
    sent: Outcome,
    told: &Status,
    key: &str,
) -> Result<(), TestCaseError> {
    let success = (200..=299).contains(&status);
    prop_assert!(success || kind(&sent) != "accepted");
    prop_assert!(success || matches!(told, Status::Unknown(_) | Status::UnderWay));
    // An id is looked at where it is kept, by the routes.
    let sent = match sent {
        Outcome::Accepted { .. } => Outcome::Accepted { vendor_id: None },
        other => other,
    };
    let shown = format!("{sent:?} {told:?}");
    prop_assert!(shown.chars().count() < 1000);
    for secret in ["482913", "3125550142", key] {
        prop_assert!(!shown.contains(secret), "{}", shown);
    }
    Ok(())
}
