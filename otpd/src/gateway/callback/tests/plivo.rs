use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use reqwest::Method;
use sha2::Sha256;

use super::{Keys, Keyword, Notice, Owned, Refusal, Status, bare, inbound, progress};
use crate::{
    domain::login::Cause,
    gateway::{
        VendorMessageId,
        callback::{Caller, STANDARD, plivo},
        spoken::Markup,
    },
};

fn keys() -> Keys {
    Keys::Plivo(plivo::Token::new("my_auth_token").unwrap())
}

fn version_3(request: Owned, signature: &str) -> Owned {
    request.with("x-plivo-signature-v3", signature).with("x-plivo-signature-v3-nonce", "12345")
}

fn sign(text: &str) -> String {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"my_auth_token").unwrap();
    STANDARD.encode(mac.chain_update(text).finalize().into_bytes())
}

const BODY: &str = "MessageUUID=abc&Status=delivered";
const WITHOUT_QUERY: &str = "ANOKbFJd26+zo2xsL4L5XJCo4ax3Y4rs3gsrD28Bpe4=";

#[test]
fn the_vectors_of_version_3_are_accepted() {
    let delivered = progress("abc", Status::Delivered);
    let cases = [
        ("no query", Owned::form("https://h.example/cb", BODY), WITHOUT_QUERY),
        (
            "a query",
            Owned::form("https://h.example/cb?b=2&a=1", BODY),
            "mDRb0OQnWti54baocVrfRM/EPlZ6L2VYlK/u5kWdNC0=",
        ),
    ];
    for (name, request, signature) in cases {
        assert_eq!(version_3(request, signature).notices(&keys()), Ok(delivered.clone()), "{name}");
    }
    let get = Owned {
        method: Method::GET,
        ..Owned::post("https://h.example/cb?CallUUID=x&To=1&a=1", "")
    };
    let get = version_3(get, "qPUsnr9CXltW5X56xCzOd2OzSYYOK0rp0xA7LkwnvPA=");
    let caller = Caller { call: "x".to_owned(), pressed: None, markup: Markup::Plivo };
    assert_eq!(keys().caller(&get.borrowed()), Ok(caller));
}

#[test]
fn one_of_several_signatures_is_enough() {
    let request = || Owned::form("https://h.example/cb", BODY);
    let cases = [
        (format!("{WITHOUT_QUERY},AAAA"), Ok(())),
        (format!("AAAA, {WITHOUT_QUERY}"), Ok(())),
        ("AAAA,".to_owned(), Err(Refusal::Forged)),
        // Whoever sends thousands has each of them looked at by nobody.
        (format!(",,,{WITHOUT_QUERY}"), Ok(())),
        (format!(",,,,{WITHOUT_QUERY}"), Err(Refusal::Forged)),
        (String::new(), Err(Refusal::Forged)),
    ];
    for (signatures, expected) in cases {
        let told = version_3(request(), &signatures).told(&keys());
        assert_eq!(told.map(drop), expected, "{signatures}");
    }
    assert_eq!(request().told(&keys()), Err(Refusal::Unsigned));
    let no_nonce = request().with("x-plivo-signature-v3", WITHOUT_QUERY);
    assert_eq!(no_nonce.told(&keys()), Err(Refusal::Forged));
}

/// The vector of Plivo's own library for version 2, whose token is empty there.
#[test]
fn version_2_signs_no_fields_so_what_they_say_is_a_hint() {
    let vector = Owned::form("https://answer.url", "")
        .with("x-plivo-signature-v2", "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc=")
        .with("x-plivo-signature-v2-nonce", "12345");
    assert_eq!(vector.notices(&keys()), Ok(Vec::new()));

    let request = |body: &str, nonce: &str| {
        Owned::form("https://h.example/cb?x=1", body)
            .with("x-plivo-signature-v2", &sign(&format!("https://h.example/cb{nonce}")))
            .with("x-plivo-signature-v2-nonce", nonce)
    };
    let hint = vec![Notice::Hint { id: VendorMessageId("abc".to_owned()) }];
    let one = request(BODY, "n1").told(&keys()).unwrap();
    assert_eq!(one.notices, hint);
    // Whatever fields a recorded signature comes with again, it is the same request.
    let again = request("MessageUUID=def&Status=failed", "n1").told(&keys()).unwrap();
    assert_eq!(one.mark, again.mark);
    assert_ne!(one.mark, request(BODY, "n2").told(&keys()).unwrap().mark);
    // Nor does it say who wrote what: Plivo itself keeps to a STOP.
    let written = request("From=14155550100&Text=STOP", "n3");
    let written = written.told(&keys()).unwrap();
    assert!(written.notices.is_empty() && written.unproved, "{written:?}");
    assert!(!one.unproved && !again.unproved, "of a report the vendor is asked");
    // It does not say which call it is.
    let call = request("CallUUID=x", "n1");
    assert_eq!(keys().caller(&call.borrowed()), Err(Refusal::Unsigned));
}

#[test]
fn what_is_wrong_with_version_3_is_not_made_good_by_version_2() {
    let request = |headers: &[(&str, &str)]| {
        let request = Owned::form("https://h.example/cb", BODY)
            .with("x-plivo-signature-v2", &sign("https://h.example/cbn1"))
            .with("x-plivo-signature-v2-nonce", "n1");
        headers.iter().fold(request, |request, (name, value)| request.with(name, value))
    };
    let (signature, nonce) = ("x-plivo-signature-v3", "x-plivo-signature-v3-nonce");
    let cases = [
        ("version 2 alone", &[][..], Ok(())),
        ("both right", &[(signature, WITHOUT_QUERY), (nonce, "12345")], Ok(())),
        ("a wrong signature", &[(signature, "AAAA"), (nonce, "12345")], Err(Refusal::Forged)),
        ("an empty one", &[(signature, ""), (nonce, "12345")], Err(Refusal::Forged)),
        ("another nonce", &[(signature, WITHOUT_QUERY), (nonce, "12346")], Err(Refusal::Forged)),
        ("no nonce", &[(signature, WITHOUT_QUERY)], Err(Refusal::Forged)),
        ("a nonce alone", &[(nonce, "12345")], Err(Refusal::Forged)),
        (
            "two signatures",
            &[(signature, WITHOUT_QUERY), (signature, "AAAA"), (nonce, "12345")],
            Err(Refusal::Forged),
        ),
    ];
    for (name, headers, expected) in cases {
        assert_eq!(request(headers).told(&keys()).map(drop), expected, "{name}");
    }
}

/// The nonce stands at the end of what is signed, behind a dot that a text may hold too.
#[test]
fn a_text_cut_into_another_nonce_is_the_same_request() {
    let signature = sign("https://h.example/cb?From14155550100TextSTOP.now.12345");
    let request = |body: &str, nonce: &str| {
        Owned::form("https://h.example/cb", body)
            .with("x-plivo-signature-v3", &signature)
            .with("x-plivo-signature-v3-nonce", nonce)
            .told(&keys())
            .unwrap()
    };
    let one = request("From=14155550100&Text=STOP.now", "12345");
    let cut = request("From=14155550100&Text=STOP", "now.12345");
    for told in [&one, &cut] {
        let [Notice::Inbound { mark, .. }] = &told.notices[..] else { panic!("{told:?}") };
        assert_eq!(*mark, told.mark, "what is written is known again by what was signed");
    }
    assert_eq!(one.mark, cut.mark);
    let expected = (inbound(Keyword::Other), inbound(Keyword::Stop));
    assert_eq!((bare(one.notices), bare(cut.notices)), expected);
}

#[test]
fn what_is_said_about_messages_and_calls() {
    let failed = |reason: &str, cause| Status::Failed { reason: reason.to_owned(), cause };
    let cases = [
        ("MessageUUID=m&Status=queued", progress("m", Status::UnderWay)),
        ("MessageUUID=m&Status=sent", progress("m", Status::UnderWay)),
        ("MessageUUID=m&Status=delivered", progress("m", Status::Delivered)),
        (
            "ErrorCode=200&MessageUUID=m&Status=failed",
            progress("m", failed("failed: 200", Cause::OptedOut)),
        ),
        (
            "ErrorCode=50&MessageUUID=m&Status=undelivered",
            progress("m", failed("undelivered: 50", Cause::Number)),
        ),
        (
            "ErrorCode=450&MessageUUID=m&Status=rejected",
            progress("m", failed("rejected: 450", Cause::Route)),
        ),
        ("MessageUUID=m&Status=odd", Vec::new()),
        ("CallStatus=completed&RequestUUID=c", progress("c", Status::Delivered)),
        (
            "CallStatus=busy&CallUUID=c&HangupCauseCode=3010&HangupCauseName=Busy+Line",
            progress("c", failed("not answered: 3010 Busy Line", Cause::Route)),
        ),
        ("From=14155550100&Text=Stop", inbound(Keyword::Stop)),
        ("From=%2B14155550100&Text=unstop", inbound(Keyword::Start)),
        ("From=14155550100&MessageUUID=m", Vec::new()),
    ];
    for (body, expected) in cases {
        let fields = form_urlencoded::parse(body.as_bytes()).into_owned();
        let fields: String = fields.map(|(name, value)| name + &value).collect();
        let signature = sign(&format!("https://h.example/cb?{fields}.12345"));
        let request = version_3(Owned::form("https://h.example/cb", body), &signature);
        assert_eq!(request.notices(&keys()), Ok(expected), "{body}");
    }
}

proptest! {
    #[test]
    fn no_changed_bit_is_accepted(place in 0..100usize, bit in 0..7u8) {
        let request = version_3(Owned::form("https://h.example/cb", BODY), WITHOUT_QUERY);
        if let Some(flipped) = request.flipped(place, bit) {
            // Plivo puts nothing between names and values, so `a=bc` and `ab=c` are signed alike.
            let text = |owned: &Owned| -> String {
                let mut fields: Vec<_> = form_urlencoded::parse(&owned.body).into_owned().collect();
                fields.sort();
                fields.into_iter().map(|(name, value)| name + &value).collect()
            };
            let same = flipped.url == request.url && text(&flipped) == text(&request);
            prop_assert_eq!(flipped.told(&keys()).is_ok(), same);
        }
    }
}
