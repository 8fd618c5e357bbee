use base64::Engine as _;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::{
    Keys, Keyword, Method, Notice, Owned, Refusal, Status, VendorMessageId, inbound, progress,
};
use crate::{
    domain::login::Cause,
    gateway::{
        MessageId,
        callback::{Caller, STANDARD, telnyx::PublicKey},
        spoken::Markup,
    },
};

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn keys() -> Keys {
    let public = STANDARD.encode(signer().verifying_key().as_bytes());
    Keys::Telnyx(PublicKey::parse(&public).unwrap())
}

/// Signed at 1 700 000 000, which is when requests of these tests come.
fn signed(request: Owned) -> Owned {
    signed_at(request, "1700000000")
}

fn signed_at(request: Owned, stamp: &str) -> Owned {
    let text = [stamp.as_bytes(), b"|", &request.body].concat();
    let signature = STANDARD.encode(signer().sign(&text).to_bytes());
    request.with("telnyx-timestamp", stamp).with("telnyx-signature-ed25519", &signature)
}

fn event(kind: &str, payload: &str) -> String {
    format!(
        r#"{{"data":{{"event_type":"{kind}","id":"e1","payload":{payload}}},"meta":{{"attempt":1}}}}"#
    )
}

#[test]
fn only_a_signature_of_the_account_within_five_minutes_counts() {
    let body = event("message.sent", r#"{"id":"m","to":[{"status":"sent"}]}"#);
    let request = || Owned::post("https://h.example/receipts/telnyx", &body);
    let cases = [
        ("now", "1700000000", Ok(())),
        ("five minutes old", "1699999700", Ok(())),
        ("older", "1699999699", Err(Refusal::Stale)),
        ("five minutes ahead", "1700000300", Ok(())),
        ("further", "1700000301", Err(Refusal::Stale)),
        ("no time", "soon", Err(Refusal::Stale)),
        ("beyond all time", "9223372036854775807", Err(Refusal::Stale)),
    ];
    for (name, stamp, expected) in cases {
        assert_eq!(signed_at(request(), stamp).told(&keys()).map(drop), expected, "{name}");
    }
    let good = signed(request());
    for header in ["telnyx-timestamp", "telnyx-signature-ed25519"] {
        let mut request = good.clone();
        request.headers.remove(header);
        assert_eq!(request.told(&keys()), Err(Refusal::Unsigned), "{header}");
    }
    let other = STANDARD.encode(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    let other = Keys::Telnyx(PublicKey::parse(&other).unwrap());
    assert_eq!(good.told(&other), Err(Refusal::Forged));
}

#[test]
fn a_key_is_32_bytes_and_no_weak_one() {
    let good = STANDARD.encode(signer().verifying_key().as_bytes());
    let short = STANDARD.encode([1; 31]);
    // The neutral element: any signature can be made right for it.
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak = STANDARD.encode(weak);
    for (name, text, right) in [
        ("good", good.as_str(), true),
        ("short", &short, false),
        ("weak", &weak, false),
        ("no base64", "-----BEGIN", false),
        ("empty", "", false),
    ] {
        assert_eq!(PublicKey::parse(text).is_some(), right, "{name}");
    }
}

#[test]
fn what_is_said() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let received = |more: &str| format!(r#"{{"from":{{"phone_number":"+14155550100"}},{more}}}"#);
    let cases = [
        ("message.sent", r#"{"id":"m","to":[{"status":"sent"}]}"#.to_owned(), progress("m", Status::UnderWay)),
        ("message.finalized", r#"{"id":"m","to":[{"status":"delivered"}],"text":"482913 is it"}"#.to_owned(), progress("m", Status::Delivered)),
        ("message.finalized", r#"{"id":"m","to":[{"status":"delivery_unconfirmed"}]}"#.to_owned(), progress("m", Status::Unconfirmed)),
        (
            "message.finalized",
            r#"{"id":"m","to":[{"status":"delivery_failed"}],"errors":[{"code":"40008","title":"Undeliverable to +14155550100"}]}"#.to_owned(),
            progress("m", failed("delivery_failed: 40008 Undeliverable to [digits]", Cause::Route)),
        ),
        (
            "message.finalized",
            r#"{"id":"m","to":[{"status":"sending_failed"}],"errors":[{"code":"40300","title":"Blocked due to STOP message"}]}"#.to_owned(),
            progress("m", failed("sending_failed: 40300 Blocked due to STOP message", Cause::OptedOut)),
        ),
        ("message.finalized", r#"{"id":"m","to":[{"status":"odd"}]}"#.to_owned(), Vec::new()),
        ("message.finalized", "{}".to_owned(), Vec::new()),
        ("message.received", received(r#""text":"Stop""#), inbound(Keyword::Stop)),
        ("message.received", received(r#""text":"arret","autoresponse_type":"STOP""#), inbound(Keyword::Stop)),
        ("message.received", received(r#""text":"stop","autoresponse_type":"START""#), inbound(Keyword::Start)),
        ("message.received", received(r#""text":"482913""#), inbound(Keyword::Other)),
        ("message.received", "{}".to_owned(), Vec::new()),
        ("call.answered", "{}".to_owned(), Vec::new()),
    ];
    for (kind, payload, expected) in cases {
        let request = signed(Owned::post("https://h.example/", &event(kind, &payload)));
        assert_eq!(request.notices(&keys()), Ok(expected), "{kind} {payload}");
    }
    for body in ["", "[]", "{}", "null", "\u{0}"] {
        let request = signed(Owned::post("https://h.example/", body));
        assert_eq!(request.told(&keys()), Err(Refusal::Unreadable), "{body}");
    }
}

#[test]
fn a_repeat_is_signed_anew_and_still_the_same() {
    let body = event("message.received", "{}");
    let request = Owned::post("https://h.example/", &body);
    let one = signed_at(request.clone(), "1700000000").told(&keys()).unwrap();
    let again = signed_at(request, "1700000005").told(&keys()).unwrap();
    assert_eq!(one.mark, again.mark);
}

#[test]
fn calls_are_told_in_fields() {
    let request = signed(Owned::form("https://h.example/", "CallSid=c&CallStatus=completed"));
    assert_eq!(request.notices(&keys()), Ok(progress("c", Status::Delivered)));
    // Which call it is stands in the URL that was given for it, and in no other.
    let ours = MessageId([0xab; 16]);
    let of_call =
        vec![Notice::Call { ours, id: VendorMessageId("c".to_owned()), status: Status::Delivered }];
    let name = ours.name().0;
    for (path, expected) in [
        (format!("/receipts/telnyx/{name}"), of_call.clone()),
        (format!("/receipts/telnyx/{name}?x=1"), of_call),
        (format!("/receipts/{name}"), progress("c", Status::Delivered)),
        (format!("/answer/telnyx/{name}"), progress("c", Status::Delivered)),
        (format!("/receipts/telnyx/{}", name.to_uppercase()), progress("c", Status::Delivered)),
        (format!("/receipts/telnyx/{name}0"), progress("c", Status::Delivered)),
    ] {
        let url = format!("https://h.example{path}");
        let request = signed(Owned::form(&url, "CallSid=c&CallStatus=completed"));
        assert_eq!(request.notices(&keys()), Ok(expected), "{path}");
    }
    let told = |path: &str| {
        let url = format!("https://h.example{path}");
        signed(Owned::form(&url, "CallSid=c&CallStatus=completed")).told(&keys()).unwrap().mark
    };
    let other = MessageId([0xcd; 16]).name().0;
    let its = told(&format!("/receipts/telnyx/{name}"));
    assert_eq!(its, told(&format!("/receipts/telnyx/{name}?x=1")), "a repeat is one");
    assert_ne!(its, told(&format!("/receipts/telnyx/{other}")), "another call's uses nothing up");
    let caller = Caller { call: "c".to_owned(), pressed: None, markup: Markup::Twiml };
    assert_eq!(keys().caller(&request.borrowed()), Ok(caller));
}

/// Telnyx signs the time and the body: a query may be anybody's.
#[test]
fn what_a_query_says_of_a_call_is_not_heard() {
    let url = "https://h.example/answer/t?CallSid=c&Digits=7";
    let get = Owned { method: Method::GET, ..Owned::form(url, "") };
    let unsigned = |request: Owned| keys().caller(&signed(request).borrowed());
    assert_eq!(unsigned(get.clone()), Err(Refusal::Unsigned));
    // Nor with a body that holds the same.
    let body = Owned { body: b"CallSid=c&Digits=7".to_vec(), ..get };
    assert_eq!(unsigned(body), Err(Refusal::Unsigned));
    assert_eq!(unsigned(Owned::post(url, "CallSid=c&Digits=7")), Err(Refusal::Unsigned));
    // Of a form that is posted the body counts, and nothing of the query.
    let pressed = |body| unsigned(Owned::form(url, body)).map(|caller| caller.pressed);
    assert_eq!(pressed("CallSid=c"), Ok(None));
    assert_eq!(pressed("CallSid=c&Digits=3"), Ok(Some("3".to_owned())));
}

proptest! {
    #[test]
    fn no_changed_bit_of_the_body_is_accepted(place in 0..200usize, bit in 0..7u8) {
        let body = event("message.sent", r#"{"id":"m","to":[{"status":"sent"}]}"#);
        let mut request = signed(Owned::post("https://h.example/", &body));
        let place = place % request.body.len();
        request.body[place] ^= 1 << bit;
        prop_assert_eq!(request.told(&keys()), Err(Refusal::Forged));
    }
}
