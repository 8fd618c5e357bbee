//! What a vendor says of the account that messages go by: asked for by administrators only.

use std::{future::Future, pin::Pin};

use serde_json::Value;

use super::client::{Failure, Reply};

/// How the account is with its vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The vendor knows the credentials.
    Known {
        /// What is left of the money, as `12.50 USD`, where it tells.
        balance: Option<String>,
    },
    /// The vendor refuses the credentials.
    Refused(String),
    /// The vendor could not be asked, or gave no clear answer.
    Unclear(String),
    /// What answers knows no such question: a proxy that passes messages on and no more.
    Untold,
}

/// What asking for a [`Standing`] returns.
pub type Inquiring<'a> = Pin<Box<dyn Future<Output = Standing> + Send + 'a>>;

/// Why nothing came back. What the other side wrote is left out: it cannot be redacted without a
/// message.
pub(super) fn unanswered(failure: &Failure) -> Standing {
    Standing::Unclear(
        match failure {
            Failure::NotSent(_) => "no connection",
            Failure::Untrusted(_) => "its certificate is not trusted",
            Failure::Unknown(_) => "no answer",
        }
        .to_owned(),
    )
}

/// The money in a reply, by JSON pointers to the amount and to its currency. What looks like no amount
/// is not repeated.
pub(super) fn balance(reply: &Reply, amount: &str, currency: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
    let amount = match body.pointer(amount)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | ',');
    if amount.is_empty() || amount.len() > 20 || !amount.chars().all(plain) {
        return None;
    }
    let currency = body.pointer(currency).and_then(Value::as_str).unwrap_or_default();
    let letters = (1..=4).contains(&currency.len())
        && currency.bytes().all(|letter| letter.is_ascii_alphabetic());
    Some(if letters { format!("{amount} {currency}") } else { amount })
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Standing, balance};
    use crate::gateway::{
        Gateway,
        client::Reply,
        laml::testing::{BOTH, Who},
        testing::{Server, json_answer, nobody},
    };

    #[test]
    fn amounts_are_read_and_nothing_else_is_repeated() {
        let cases = [
            (r#"{"a":"12.50","c":"USD"}"#, Some("12.50 USD")),
            (r#"{"a":-0.5,"c":"EUR"}"#, Some("-0.5 EUR")),
            (r#"{"a":"1,000.00"}"#, Some("1,000.00")),
            (r#"{"a":"12","c":"<b>"}"#, Some("12")),
            (r#"{"a":"your key is X","c":"USD"}"#, None),
            (r#"{"a":"","c":"USD"}"#, None),
            (r#"{"a":{},"c":"USD"}"#, None),
            (r#"{"c":"USD"}"#, None),
            ("not JSON", None),
        ];
        for (body, expected) in cases {
            let body = Some(body.as_bytes().to_vec());
            let reply = Reply { status: 200, retry_after: None, rate_reset: None, body };
            let found = balance(&reply, "/a", "/c");
            assert_eq!(found.as_deref(), expected, "{:?}", reply.body);
        }
    }

    /// What a gateway of a vendor asks, and what it makes of the answers. Each vendor's own tests call
    /// it with theirs.
    pub(in crate::gateway) async fn asks(
        open: impl Fn(String) -> Box<dyn Gateway>,
        path: &str,
        (body, balance): (&str, Option<&str>),
        hint: &str,
    ) {
        let known = Standing::Known { balance: balance.map(str::to_owned) };
        let refused = Standing::Refused(format!("HTTP 401 ({hint})"));
        let unclear = Standing::Unclear("HTTP 503".to_owned());
        let answers = [
            (200, known),
            (401, refused),
            (403, Standing::Refused("HTTP 403".to_owned())),
            (404, Standing::Untold),
            (503, unclear),
        ];
        for (status, expected) in answers {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let server = Server::answering(move |_| json_answer(status, &body)).await;
            let gateway = open(server.url(""));
            assert_eq!(gateway.standing().unwrap().await, expected, "{status}");
            let seen = server.seen();
            assert_eq!((&*seen[0].method, &*seen[0].path), ("GET", path));
            assert!(seen[0].body.is_empty() && !seen[0].header("authorization").is_empty());
        }
        let gateway = open(format!("http://{}", nobody()));
        let away = Standing::Unclear("no connection".to_owned());
        assert_eq!(gateway.standing().unwrap().await, away);
    }

    #[tokio::test]
    async fn the_two_alike_tell_of_the_account() {
        for who in BOTH {
            let account = who.path("");
            let account = account.trim_end_matches(".json").trim_end_matches('/');
            let (path, body, balance) = match who {
                Who::Twilio => {
                    let path = format!("{account}/Balance.json");
                    (path, r#"{"currency":"USD","balance":"-0.59"}"#, Some("-0.59 USD"))
                }
                Who::SignalWire => (account.to_owned(), r#"{"status":"active"}"#, None),
            };
            asks(|base| who.gateway(base), &path, (body, balance), who.key()).await;
        }
    }
}
