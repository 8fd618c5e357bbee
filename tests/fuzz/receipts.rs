//! What vendors tell by themselves, signed and not: nothing unsigned is acted on, and of what is signed
//! nothing is kept but ids, states, masked reasons and keywords.

use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use sha1::Sha1;
use sha2::Sha256;

use super::{Callback, Keys, STANDARD, flowroute, form::Fields, laml, plivo, telnyx};
use crate::{
    domain::time::Timestamp,
    fuzz::edit::{self, TIME, edited},
    gateway::{GatewayName, Notice, Status},
};

const KEY: &str = "canary-key-7f3a9c1e";
const URL: &str = "https://otp.example.com/receipts/main";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

const BODIES: [&[u8]; 12] = [
    br#"{"data":{"event_type":"message.finalized","id":"e1","payload":{"id":"m-1","direction":"outbound","to":[{"status":"delivery_failed","phone_number":"+13125550142"}],"errors":[{"code":"40300","title":"482913 blocked"}],"text":"482913 is your code"}},"meta":{"attempt":1}}"#,
    br#"{"data":{"event_type":"message.received","id":"e1","payload":{"id":"m-2","direction":"inbound","from":{"phone_number":"+13125550142"},"text":"STOP"}}}"#,
    b"MessageUUID=abc&Status=undelivered&ErrorCode=300&To=13125550142&From=13125550123",
    b"CallUUID=abc&CallStatus=no-answer&Digits=1&HangupCause=482913",
    b"Type=sms&From=13125550142&To=13125550123&Text=STOP&MessageUUID=abc",
    b"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30007&To=%2B13125550142",
    b"CallSid=CA1&CallStatus=busy&To=%2B13125550142&Digits=1",
    b"MessageSid=SM1&From=%2B13125550142&Body=Stop+please&OptOutType=STOP",
    br#"{"data":{"type":"delivery_receipt","id":"mdr2-1","attributes":{"status":"delivered","status_code":1003,"body":"482913 is it"}}}"#,
    br#"{"id":"mdr2-2","to":"1","from":"2","body":"STOP"}"#,
    b"a=1&a=2&b=&=3&%FF=%00",
    b"",
];

/// HMAC in base64 over parts.
macro_rules! sign {
    ($hash:ty, $parts:expr) => {{
        let mac = <Hmac<$hash> as KeyInit>::new_from_slice(KEY.as_bytes()).expect("any length");
        let mac = $parts.iter().fold(mac, |mac, part: &&[u8]| mac.chain_update(part));
        STANDARD.encode(mac.finalize().into_bytes())
    }};
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    pairs.iter().filter_map(pair).collect()
}

/// The vendors' keys.
fn keys() -> [Keys; 5] {
    let main = GatewayName("main".to_owned());
    let telnyx = STANDARD.encode(SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes());
    [
        Keys::Telnyx(telnyx::PublicKey::parse(&telnyx).expect("a key")),
        Keys::Plivo(plivo::Token::new(KEY).expect("a token")),
        Keys::Twilio(laml::Twilio::new(KEY).expect("a token")),
        Keys::SignalWire(laml::SignalWire::new(KEY).expect("a key")),
        Keys::Flowroute(flowroute::Secret::derive(KEY, &main).expect("a secret")),
    ]
}

/// The headers by which the vendor signs this body, and where it posts it.
fn signed(keys: &Keys, url: &str, body: &[u8]) -> (HeaderMap, String) {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let fields = Fields::of(body);
    let sorted = fields.sorted();
    let mut parts: Vec<&[u8]> = vec![url.as_bytes()];
    parts.extend(sorted.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    let headers = match keys {
        Keys::Telnyx(_) => {
            let text = [b"1700000000|", body].concat();
            let signature =
                STANDARD.encode(SigningKey::from_bytes(&[7; 32]).sign(&text).to_bytes());
            headers(&[("telnyx-timestamp", "1700000000"), ("telnyx-signature-ed25519", &signature)])
        }
        Keys::Plivo(_) => {
            let bare = url.split('?').next().unwrap_or_default();
            let signature = sign!(Sha256, [bare.as_bytes(), b"nonce"]);
            headers(&[
                FORM,
                ("x-plivo-signature-v2", &signature),
                ("x-plivo-signature-v2-nonce", "nonce"),
            ])
        }
        Keys::Twilio(_) => headers(&[FORM, ("x-twilio-signature", &sign!(Sha1, parts))]),
        Keys::SignalWire(_) => headers(&[FORM, ("x-signalwire-signature", &sign!(Sha1, parts))]),
        Keys::Flowroute(secret) => return (HeaderMap::new(), format!("{url}/{}", secret.path())),
    };
    (headers, url.to_owned())
}

/// Nothing of a notice tells what nobody may read.
fn fit(notice: &Notice) {
    let id = match notice {
        Notice::Progress { id, status } | Notice::Call { id, status, .. } => {
            match status {
                Status::Failed { reason, .. } | Status::Unknown(reason) => {
                    assert!(reason.chars().count() <= 200 && !reason.chars().any(char::is_control));
                    assert!(
                        !reason.contains("482913") && !reason.contains("3125550142"),
                        "{reason}"
                    );
                }
                Status::Delivered | Status::UnderWay | Status::Unconfirmed => {}
            }
            Some(id)
        }
        Notice::Hint { id } => Some(id),
        Notice::Inbound { from, id, .. } => {
            let digits = from.expose().strip_prefix('+').expect("E.164");
            assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
            id.as_ref()
        }
    };
    if let Some(id) = id {
        assert!((1..=128).contains(&id.0.len()) && id.0.bytes().all(|b| b.is_ascii_graphic()));
    }
}

#[test]
fn receipts() {
    let keys = keys();
    bolero::check!(name = "receipts").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("receipts", input);
        let (first, script) = input.split_at(input.len().min(1));
        let first = first.first().copied().unwrap_or(0);
        let body = edited(&BODIES, script);
        let query = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default());
        let query: String = query.chars().filter(char::is_ascii_graphic).collect();
        let url = if first % 2 == 0 { URL.to_owned() } else { format!("{URL}?{query}") };
        let method = if first % 8 == 7 { Method::GET } else { Method::POST };
        for keys in &keys {
            let (good, at) = signed(keys, &url, &body);
            let ask = |headers: &HeaderMap, url: &str| {
                let callback = Callback { method: &method, url, headers, body: &body, now: NOW };
                assert!(!format!("{callback:?}").contains("482913"));
                (keys.told(&callback), keys.caller(&callback))
            };
            let (told, caller) = ask(&good, &at);
            if let Ok(told) = &told {
                told.notices.iter().for_each(fit);
                assert_eq!(ask(&good, &at).0.as_ref(), Ok(told), "the same again");
            }
            if let Ok(caller) = &caller {
                assert!(!caller.call.is_empty());
            }
            // Without a signature, or with another's, nobody is heard.
            let (told, caller) = ask(&HeaderMap::new(), &url);
            assert!(told.is_err() && caller.is_err(), "{keys:?}");
            let junk = headers(&[
                ("content-type", "application/x-www-form-urlencoded"),
                ("telnyx-timestamp", "1700000000"),
                ("telnyx-signature-ed25519", &query),
                ("x-plivo-signature-v3", &query),
                ("x-plivo-signature-v3-nonce", &query),
                ("x-twilio-signature", &query),
                ("x-signalwire-signature", &query),
            ]);
            let (told, caller) = ask(&junk, &url);
            assert!(told.is_err() && caller.is_err(), "{keys:?} {query}");
        }
    });
    edit::report("receipts");
}
