use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Keys, Keyword, Notice, Owned, Refusal, Status, inbound, progress};
use crate::{
    domain::login::Cause,
    gateway::{
        callback::{Caller, STANDARD, laml},
        spoken::Markup,
    },
};
use base64::Engine as _;

const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const FIELDS: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234\
                      &From=%2B14158675309&To=%2B18005551212";

pub(super) fn twilio(token: &str) -> Keys {
    Keys::Twilio(laml::Twilio::new(token).unwrap())
}

fn signalwire(key: &str) -> Keys {
    Keys::SignalWire(laml::SignalWire::new(key).unwrap())
}

/// Twilio's signature over parts, with the key `12345`.
fn sha1(parts: &[&str]) -> String {
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(b"12345").unwrap();
    STANDARD.encode(parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes())
}

fn signed(url: &str, body: &str, parts: &[&str]) -> Owned {
    Owned::form(url, body).with("x-twilio-signature", &sha1(parts))
}

#[test]
fn the_vendors_vector_is_accepted_by_both() {
    let request = Owned::form(URL, FIELDS);
    let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    let (call, pressed) = ("CA1234567890ABCDE".to_owned(), Some("1234".to_owned()));
    let caller = Caller { call, pressed, markup: Markup::Twiml };
    for (keys, header) in [
        (twilio("12345"), "x-twilio-signature"),
        (signalwire("12345"), "x-twilio-signature"),
        (signalwire("12345"), "x-signalwire-signature"),
    ] {
        let request = request.clone().with(header, signature);
        assert_eq!(keys.caller(&request.borrowed()), Ok(caller.clone()), "{keys:?} {header}");
    }
    let other = request.clone().with("x-twilio-signature", signature);
    assert_eq!(twilio("12346").caller(&other.borrowed()), Err(Refusal::Forged));
    assert_eq!(twilio("12345").caller(&request.borrowed()), Err(Refusal::Unsigned));
}

#[test]
fn signalwires_vectors_over_url_and_body() {
    let (url, body) = ("https://h.example/sw", r#"{"a":1}"#);
    let cases = [
        ("x-signalwire-signature", "64ff33cb22e17df4c08af99c0391feca7ea06448", Ok(())),
        (
            "x-signalwire-sha256-signature",
            "d60a6cd59c71b8559f5983c118f60e3be5b2a7dcfcee46c76b40ac42e36bda6a",
            Ok(()),
        ),
        (
            "x-signalwire-signature",
            "64FF33CB22E17DF4C08AF99C0391FECA7EA06448",
            Err(Refusal::Forged),
        ),
        ("x-signalwire-sha256-signature", "", Err(Refusal::Forged)),
        ("x-signalwire-signature", "64ff3", Err(Refusal::Forged)),
    ];
    let keys = signalwire("PSK_test");
    for (header, signature, expected) in cases {
        let request = Owned::post(url, body).with("content-type", "application/json");
        let request = request.with(header, signature);
        assert_eq!(request.notices(&keys).map(drop), expected, "{header} {signature}");
    }
    // What is wrong with the stronger one is not made good by the weaker.
    let both = Owned::post(url, body)
        .with("x-signalwire-signature", "64ff33cb22e17df4c08af99c0391feca7ea06448")
        .with("x-signalwire-sha256-signature", "00");
    assert_eq!(both.told(&keys), Err(Refusal::Forged));
}

#[test]
fn a_signature_over_the_url_alone_is_good_for_no_body() {
    let signature = sha1(&["https://h.example/cb"]);
    for (keys, body) in
        [(twilio("12345"), "MessageSid=SM1&MessageStatus=delivered"), (signalwire("12345"), "{}")]
    {
        for kind in ["application/x-www-form-urlencoded", "application/json", "text/plain"] {
            let request = Owned::post("https://h.example/cb", body)
                .with("content-type", kind)
                .with("x-twilio-signature", &signature);
            assert_eq!(request.told(&keys), Err(Refusal::Forged), "{keys:?} {kind}");
        }
    }
}

#[test]
fn a_body_that_is_no_form_is_signed_by_its_hash_in_the_url() {
    let body = r#"{"a":1}"#;
    let hash =
        Sha256::digest(body).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let url = format!("https://h.example/cb?bodySHA256={hash}");
    let request = |body: &str| {
        Owned::post(&url, body)
            .with("content-type", "application/json")
            .with("x-twilio-signature", &sha1(&[&url]))
    };
    for keys in [twilio("12345"), signalwire("12345")] {
        assert_eq!(request(body).notices(&keys), Ok(Vec::new()), "{keys:?}");
        assert_eq!(request(r#"{"a":2}"#).told(&keys), Err(Refusal::Forged), "{keys:?}");
    }
}

#[test]
fn twilios_shared_keys_sign_with_sha_256() {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"12345").unwrap();
    let mac = mac.chain_update("https://h.example/cbMessageSidSM1MessageStatussent");
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let cases = [
        ("key=k,algorithm=HMAC_SHA256", Ok(())),
        ("algorithm=hmac_sha256", Ok(())),
        ("key=k", Err(Refusal::Forged)),
        ("key=k,algorithm=HMAC_SHA1", Err(Refusal::Forged)),
        ("key=k,algorithm=NONE", Err(Refusal::Forged)),
    ];
    for (settings, expected) in cases {
        let request = Owned::form("https://h.example/cb", "MessageSid=SM1&MessageStatus=sent")
            .with("x-twilio-signature", &signature)
            .with("x-twilio-webhooks-signature-settings", settings);
        assert_eq!(request.told(&twilio("12345")).map(drop), expected, "{settings}");
    }
}

#[test]
fn the_port_may_be_written_or_not() {
    let cases = [
        ("as it is", "https://h.example/cb?x=1", "https://h.example/cb?x=1", true),
        ("with its port", "https://h.example/cb?x=1", "https://h.example:443/cb?x=1", true),
        ("without its port", "https://h.example:8443/cb", "https://h.example/cb", true),
        ("plain", "http://127.0.0.1/cb", "http://127.0.0.1:80/cb", true),
        ("IPv6", "http://[::1]/cb", "http://[::1]:80/cb", true),
        ("IPv6 with one", "http://[::1]:8080/cb", "http://[::1]/cb", true),
        ("no path", "https://h.example?x=1", "https://h.example:443?x=1", true),
        ("another port", "https://h.example:8443/cb", "https://h.example:9443/cb", false),
        ("another scheme", "https://h.example/cb", "http://h.example/cb", false),
    ];
    for (name, url, signed, right) in cases {
        let signature = sha1(&[signed, "MessageSid", "SM1", "MessageStatus", "sent"]);
        let request = Owned::form(url, "MessageSid=SM1&MessageStatus=sent")
            .with("x-twilio-signature", &signature);
        assert_eq!(request.told(&twilio("12345")).is_ok(), right, "{name}");
    }
}

#[test]
fn fields_that_come_twice_are_signed_once_or_as_they_came() {
    let (url, body) = ("https://h.example/cb", "b=2&a=y&a=x&a=x");
    let sorted = signed(url, body, &[url, "axaybb".trim_end_matches('b'), "b2"]);
    assert!(sorted.told(&twilio("12345")).is_ok());
    let stable = signed(url, body, &[url, "ayaxaxb2"]);
    assert!(stable.told(&signalwire("12345")).is_ok());
}

#[test]
fn what_is_said_about_messages_and_calls() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let cases = [
        ("MessageSid=SM1&MessageStatus=queued", progress("SM1", Status::UnderWay)),
        ("MessageSid=SM1&MessageStatus=delivered&To=x", progress("SM1", Status::Delivered)),
        (
            "MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003",
            progress("SM1", failed("undelivered: 30003", Cause::Route)),
        ),
        (
            "SmsSid=SM1&SmsStatus=failed&ErrorCode=21610&ErrorMessage=to+14155550100+code+482913",
            progress("SM1", failed("failed: 21610 to [digits] code [digits]", Cause::OptedOut)),
        ),
        (
            "MessageSid=SM1&MessageStatus=failed&ErrorCode=30006",
            progress("SM1", failed("failed: 30006", Cause::Route)),
        ),
        // SignalWire's reports hold the text.
        ("MessageSid=u1&MessageStatus=sent&Body=STOP", progress("u1", Status::UnderWay)),
        ("MessageSid=SM1&MessageStatus=whatever", Vec::new()),
        ("CallSid=CA1&CallStatus=ringing", progress("CA1", Status::UnderWay)),
        ("CallSid=CA1&CallStatus=completed", progress("CA1", Status::Delivered)),
        ("CallSid=CA1&CallStatus=no-answer", progress("CA1", failed("no-answer", Cause::Route))),
        ("MessageSid=SM2&From=%2B14155550100&Body=Stop", inbound(Keyword::Stop)),
        (
            "MessageSid=SM2&SmsStatus=received&From=%2B14155550100&Body=start",
            inbound(Keyword::Start),
        ),
        ("From=%2B14155550100&Body=x&OptOutType=STOP", inbound(Keyword::Stop)),
        ("From=%2B14155550100&Body=482913", inbound(Keyword::Other)),
        ("From=anonymous&Body=STOP", Vec::new()),
        ("MessageSid=a%20b&MessageStatus=sent", Vec::new()),
        ("", Vec::new()),
    ];
    for (body, expected) in cases {
        let mut fields: Vec<(String, String)> =
            form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        fields.sort();
        let canonical = fields.into_iter().map(|(name, value)| name + &value).collect::<String>();
        let request = signed("https://h.example/cb", body, &["https://h.example/cb", &canonical]);
        assert_eq!(request.notices(&twilio("12345")), Ok(expected), "{body}");
    }
}

proptest! {
    #[test]
    fn no_changed_bit_is_accepted(place in 0..400usize, bit in 0..7u8) {
        let request = Owned::form(URL, FIELDS).with("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        prop_assert!(request.told(&twilio("12345")).is_ok());
        if let Some(flipped) = request.flipped(place, bit) {
            // Another spelling of the same fields is the same: `+` for `%20`, capitals of escapes.
            let same = form_urlencoded::parse(&flipped.body).eq(form_urlencoded::parse(&request.body))
                && flipped.url == request.url;
            prop_assert_eq!(flipped.told(&twilio("12345")).is_ok(), same);
        }
    }

    #[test]
    fn nothing_makes_it_panic(url in ".{0,60}", body in prop::collection::vec(any::<u8>(), 0..200), signature in "[ -~]{0,40}") {
        for header in ["x-twilio-signature", "x-signalwire-signature", "x-signalwire-sha256-signature"] {
            let request = Owned { body: body.clone(), ..Owned::form(&url, "") }.with(header, &signature);
            prop_assert!(request.told(&signalwire("k")).is_err());
            prop_assert!(request.told(&twilio("k")).is_err());
        }
    }
}

#[test]
fn a_notice_has_no_text() {
    let body = "From=%2B14155550100&Body=canary";
    let request = signed(
        "https://h.example/cb",
        body,
        &["https://h.example/cb", "BodycanaryFrom+14155550100"],
    );
    let notices: Vec<Notice> = request.notices(&twilio("12345")).unwrap();
    assert!(!format!("{notices:?}").contains("canary"));
}

/// What is signed is the same, so it is the same request, whatever is made of it.
#[test]
fn a_recorded_request_that_is_written_otherwise_has_the_same_mark() {
    let url = "https://h.example/cb";
    let body = "Body=x&From=%2B14155550100&MessageSid=SM1";
    let keyed = ["Body", "x", "From", "+14155550100", "MessageSid", "SM1"];
    let signature = sha1(&[&[url][..], &keyed].concat());
    let once = ["Body=x", "From=%2B14155550100", "MessageSid=SM1"];
    let cases = [
        ("escaped", "%42ody=%78&From=%2B14155550100&MessageSid=SM1".to_owned()),
        ("small letters in escapes", body.replace("%2B", "%2b")),
        ("reordered", [once[2], once[0], once[1]].join("&")),
        ("doubled", format!("{body}&{body}")),
        ("a separator more", format!("&{body}&&")),
        (
            "cut into other fields",
            "Body=xFrom&MessageSid=SM1".replace("From", "From%2B14155550100"),
        ),
        ("cut into one field", "BodyxFrom%2B14155550100MessageSid=SM1".to_owned()),
    ];
    for (keys, header) in
        [(twilio("12345"), "x-twilio-signature"), (signalwire("12345"), "x-signalwire-signature")]
    {
        let mark = |url: &str, body: &str| {
            let request = Owned::form(url, body).with(header, &signature);
            request.told(&keys).map(|told| told.mark)
        };
        let first = mark(url, body).unwrap();
        for (name, body) in &cases {
            // SignalWire keeps what comes twice, so that doubled fields are no longer what it signed.
            let told = mark(url, body);
            let refused = *name == "doubled" && matches!(keys, Keys::SignalWire(_));
            assert!(told == Ok(first) || refused, "{name} {keys:?} {told:?}");
        }
        assert_eq!(mark("https://h.example:443/cb", body), Ok(first), "with its port");
        let other = signed(url, "MessageSid=SM2", &[url, "MessageSidSM2"]);
        assert_ne!(other.told(&keys).unwrap().mark, first, "another request");
    }
}

/// Both of `SignalWire`'s signatures are made with one key: the fields of one request, one after
/// the other, are the bytes of another.
#[test]
fn a_form_whose_bytes_are_signed_is_refused() {
    use std::fmt::Write as _;

    let (url, body) = ("https://h.example/cb", "From=%2B14155550100&Body=x&OptOutType=STOP");
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(b"12345").unwrap();
    let sha1 = hex(&mac.chain_update(url).chain_update(body).finalize().into_bytes());
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"12345").unwrap();
    let sha256 = hex(&mac.chain_update(url).chain_update(body).finalize().into_bytes());
    let keys = signalwire("12345");
    for (header, signature, expected) in [
        ("x-signalwire-signature", &sha1, Refusal::Forged),
        ("x-twilio-signature", &sha1, Refusal::Forged),
        ("x-signalwire-sha256-signature", &sha256, Refusal::Unsigned),
    ] {
        let form = Owned::form(url, body).with(header, signature);
        assert_eq!(form.told(&keys), Err(expected), "{header}");
        // Of another kind, it is SignalWire's, but no form, and so says nothing.
        let other = Owned::post(url, body).with("content-type", "text/plain");
        assert_eq!(other.with(header, signature).notices(&keys), Ok(Vec::new()), "{header}");
    }
    // A form's own signature counts, whatever else comes with it.
    let fields = ["Body", "x", "From", "+14155550100", "OptOutType", "STOP"];
    let both = signed(url, body, &[&[url][..], &fields].concat());
    let both = both.with("x-signalwire-sha256-signature", &sha256);
    assert_eq!(both.notices(&keys), Ok(inbound(Keyword::Stop)));
}
