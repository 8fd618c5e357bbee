//! What calls say, to whom, and for how long.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use otp_proto::Secret;
use zeroize::Zeroizing;

use super::{Open, site_with, status, twilio};
use crate::{
    domain::{
        audit::Event,
        challenge::Channel,
        login::{Terms, Typed},
    },
    gateway::{Gateway, GatewayName, Message, Outcome, Sending, VendorMessageId, route::Routes},
    verifier::{EnrollRequest, Site},
};

/// Takes every call and keeps where its words are, and the words.
#[derive(Clone, Default)]
pub(super) struct Calling(Arc<Mutex<Vec<(String, String)>>>);

impl Gateway for Calling {
    fn kind(&self) -> &'static str {
        "calling"
    }

    fn supports(&self, _: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let url = message.answer_url.as_ref().expect("a call has one").to_string();
        self.0.lock().unwrap().push((url, message.text.to_string()));
        let vendor_id = Some(VendorMessageId("CA1".into()));
        Box::pin(async move { Outcome::Accepted { vendor_id } })
    }
}

impl Calling {
    /// The path of the newest call's words, and its code.
    pub(super) fn newest(&self) -> (String, String) {
        let calls = self.0.lock().unwrap();
        let (url, text) = calls.last().expect("a call");
        let path = url.strip_prefix(super::URL).expect("the public URL").to_owned();
        let digits = text.split("is: ").nth(1).expect("a code").chars();
        (path, digits.filter(char::is_ascii_digit).take(6).collect())
    }
}

/// A daemon that called root to prove root's number.
pub(super) async fn called() -> (Open, Calling) {
    let open = Open::public().await;
    let (calling, verifier) = (Calling::default(), &open.house.verifier);
    let name = GatewayName("twilio".into());
    let order = [name.clone()];
    let gateways: Vec<(GatewayName, Box<dyn Gateway>)> = vec![(name, Box::new(calling.clone()))];
    let reports = BTreeMap::from([(order[0].clone(), Zeroizing::new(String::new()))]);
    let routes = Routes::new(gateways, &order, &order).expect("it exists").reporting(reports);
    let before = verifier.site();
    verifier.replace_site(Site {
        terms: Arc::new(Terms { voice: true, ..Terms::clone(&before.terms) }),
        public_url: Some(super::URL.into()),
        ..site_with(&before, routes)
    });
    let phone = Secret::new("+12025550142".into());
    let request = EnrollRequest { phone, channel: Some(Channel::Voice), replace: false };
    verifier.enroll(&open.house.root, request, 0).await.expect("a good number");
    (open, calling)
}

fn words(answer: &str) -> &str {
    assert_eq!(status(answer), 200, "{answer}");
    assert!(answer.contains("content-type: text/xml; charset=utf-8"), "{answer}");
    assert!(answer.contains("cache-control: no-store"), "{answer}");
    answer.split("\r\n\r\n").nth(1).expect("a document")
}

/// As it is said: each digit a word of its own.
fn spelled(code: &str) -> String {
    code.chars().map(|digit| format!("{digit}.")).collect::<Vec<_>>().join(" ")
}

/// The key that a question names.
pub(super) fn named(question: &str) -> String {
    let key = question.split("press ").nth(1).and_then(|rest| rest.get(..1)).expect("a key");
    assert!("123456789".contains(key), "{question}");
    key.to_owned()
}

const CALL: &[(&str, &str)] = &[("CallSid", "CA1")];

fn pressed(key: &str) -> [(&str, &str); 2] {
    [("CallSid", "CA1"), ("Digits", key)]
}

#[tokio::test]
async fn the_code_is_said_after_the_named_key_to_the_call_that_asked_first() {
    let (open, calling) = called().await;
    let (path, code) = calling.newest();
    let mut key = None;
    for _ in 0..2 {
        let asked = open.twilio(&path, CALL).await;
        let asked = words(&asked);
        assert!(asked.contains("<Gather") && asked.contains("numDigits=\"1\""), "{asked}");
        let key = key.get_or_insert_with(|| named(asked));
        assert_eq!(named(asked), *key, "a vendor that asks again hears of no other key");
        assert!(asked.contains(&format!("action=\"{}{path}\"", super::URL)), "{asked}");
        assert!(!asked.contains(&spelled(&code)), "{asked}");
        let said = open.twilio(&path, &pressed(key)).await;
        assert_eq!(words(&said).matches(&spelled(&code)).count(), 3, "{said}");
    }
    let key = key.expect("it was asked");
    for other in [&[("CallSid", "CA2")][..], &[("CallSid", "CA2"), ("Digits", &key)]] {
        assert_eq!(status(&open.twilio(&path, other).await), 404, "another call");
    }
    let wrong = |event: &Event| matches!(event, Event::CallKeyWrong { .. });
    assert!(!open.house.written().await.iter().any(wrong));
}

/// A mailbox may play all tones that there are, and a vendor ask for the words as often as it likes.
#[tokio::test]
async fn another_key_ends_the_call_without_the_code_and_is_written_down_once() {
    let (open, calling) = called().await;
    let (path, code) = calling.newest();
    let key = named(words(&open.twilio(&path, CALL).await));
    let wrong = if key == "9" { "1" } else { "9" };
    let ended = open.twilio(&path, &pressed(wrong)).await;
    let said = words(&ended);
    assert!(said.contains("That was not the key") && said.ends_with("<Hangup/></Response>"));
    assert!(!said.contains("<Gather") && !said.contains(&spelled(&code)), "{said}");
    for digit in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "123456789"] {
        let over = open.twilio(&path, &pressed(digit)).await;
        assert!(words(&over).contains("nothing to say any more"), "{digit}: {over}");
        assert!(!over.contains(&spelled(&code)), "{digit}: {over}");
    }
    let over = open.twilio(&path, CALL).await;
    assert!(words(&over).contains("nothing to say any more"), "{over}");
    let events = open.house.written().await;
    let wrong = events.iter().filter_map(|event| match event {
        Event::CallKeyWrong { gateway } => Some(gateway.as_str()),
        _ => None,
    });
    assert_eq!(wrong.collect::<Vec<_>>(), ["twilio"]);
    // The code itself is as good as before.
    let root = &open.house.root;
    open.house.verifier.verify(root, Typed::new(&code), 0).await.expect("the right code");
}

#[tokio::test]
async fn the_code_is_not_in_the_url_and_the_url_is_no_proof() {
    let (open, calling) = called().await;
    let (path, code) = calling.newest();
    assert!(path.len() == "/answer/".len() + 32 && !path.contains(&code), "{path}");
    let key = named(words(&open.twilio(&path, CALL).await));
    let (signature, body) = twilio(&path, &pressed(&key));
    let forged = signature.replace("x-twilio-signature: ", "x-twilio-signature: A");
    let cases = [
        ("no signature", "", body.as_str()),
        ("a wrong one", &forged, &body),
        ("another's body", &signature, "CallSid=CA9&Digits=1"),
        ("another key", &signature, "CallSid=CA1&Digits=0"),
    ];
    for (name, headers, body) in cases {
        assert_eq!(status(&open.post(&path, headers, body).await), 404, "{name}");
    }
    for method in ["HEAD", "PUT", "OPTIONS"] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        assert_eq!(status(&open.exchange(&request).await), 405, "{method}");
    }
    // None of these has taken the call for itself, or ended it.
    assert!(words(&open.twilio(&path, &pressed(&key)).await).contains(&spelled(&code)));
}

#[tokio::test]
async fn with_the_challenge_the_words_end() {
    let (open, calling) = called().await;
    let (path, code) = calling.newest();
    let key = named(words(&open.twilio(&path, CALL).await));
    let root = &open.house.root;
    open.house.verifier.verify(root, Typed::new(&code), 0).await.expect("the right code");
    let over = open.twilio(&path, &pressed(&key)).await;
    assert!(words(&over).contains("nothing to say any more"), "{over}");
    assert!(!over.contains(&spelled(&code)), "{over}");
}

#[tokio::test]
async fn a_store_that_fails_once_does_not_end_the_words() {
    let (open, calling) = called().await;
    let (path, code) = calling.newest();
    let key = named(words(&open.twilio(&path, CALL).await));
    open.house.fail_to_read(true);
    let over = open.twilio(&path, &pressed(&key)).await;
    assert!(words(&over).contains("nothing to say any more"), "{over}");
    open.house.fail_to_read(false);
    assert!(words(&open.twilio(&path, &pressed(&key)).await).contains(&spelled(&code)));
}

#[tokio::test]
async fn after_a_restart_the_call_says_to_ask_for_another() {
    let (open, _) = called().await;
    let unknown = "/answer/0123456789abcdef0123456789abcdef";
    let over = open.twilio(unknown, &pressed("1")).await;
    assert!(words(&over).contains("Please ask for another one."), "{over}");
    // Only to the vendor, and only for what may have been a token.
    assert_eq!(status(&open.post(unknown, "", "CallSid=CA1").await), 404);
    for strange in ["/answer/x", "/answer/0123456789ABCDEF0123456789abcdef"] {
        assert_eq!(status(&open.twilio(strange, CALL).await), 404, "{strange}");
    }
}
