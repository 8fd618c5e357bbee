//! Calls: what they say is fetched or comes along, and is heard.

use super::{
    super::told::{Answers, Flaw, Presses},
    *,
};

const QUESTION: &str =
    r#"<Response><Gather numDigits="1" action="/pressed"><Say>Press 1.</Say></Gather></Response>"#;
const PLIVO: &str = r#"<Response><GetDigits numDigits="1" action="/pressed"><Speak>Press 1.</Speak></GetDigits></Response>"#;

/// A call whose words are at an address.
fn call(vendor: Vendor, url: &str) -> Ask {
    let message = text(vendor);
    let path = |name| message.path.replace("Message", "Call").replace("Calls", name);
    match vendor {
        Vendor::Flowroute => unreachable!("it has none"),
        Vendor::Telnyx => Ask {
            path: format!("/v2/texml/Accounts/{}/Calls", Settings::default().telnyx.account_sid),
            body: json!({"To": TO, "From": "+13125550123", "Url": url,
                "ApplicationSid": "2190000000000000001"})
            .to_string(),
            ..message
        },
        Vendor::Plivo => Ask {
            path: path("Calls"),
            body: json!({"to": "13125550142", "from": "14155550130", "answer_url": url})
                .to_string(),
            ..message
        },
        Vendor::SignalWire | Vendor::Twilio => {
            let from = if vendor == Vendor::Twilio { "+19175550150" } else { "+15125550140" };
            Ask {
                path: path("Calls"),
                body: encode(&exchange::fields([("To", TO), ("From", from), ("Url", url)])),
                ..message
            }
        }
    }
}

#[test]
fn a_key_is_pressed_and_the_code_is_heard() {
    for (vendor, status) in [
        (Vendor::Telnyx, 200),
        (Vendor::Plivo, 201),
        (Vendor::SignalWire, 200),
        (Vendor::Twilio, 201),
    ] {
        let site = Site::start(move |path| match (path, vendor) {
            ("/pressed", Vendor::Plivo) => "<Response><Speak>4, 8.</Speak></Response>".to_owned(),
            ("/pressed", _) => "<Response><Say loop=\"2\">4, 8.</Say></Response>".to_owned(),
            (_, Vendor::Plivo) => PLIVO.to_owned(),
            _ => QUESTION.to_owned(),
        });
        let carrier = Carrier::start(Settings::default());
        let got = ask(&carrier, vendor, &call(vendor, &site.url("/answer")));
        assert_eq!(got.status, status, "{vendor:?}: {}", got.body);
        let unheard = carrier.next(TO);
        assert_eq!((unheard.text.as_str(), unheard.pressed.len()), ("Press 1.", 0), "{vendor:?}");
        site.next();

        carrier.habits(TO, Habits { answers: Answers::Yes, presses: Presses::Named });
        ask(&carrier, vendor, &call(vendor, &site.url("/answer")));
        let made = carrier.next(TO);
        let expected =
            if vendor == Vendor::Plivo { "Press 1.\n4, 8." } else { "Press 1.\n4, 8.\n4, 8." };
        assert_eq!((made.text.as_str(), made.problem.as_deref()), (expected, None), "{vendor:?}");
        assert_eq!((made.channel, made.pressed), (Channel::Call, vec!["1".to_owned()]));
        let (_, answer) = site.next();
        assert!(!answer.contains("Digits") && answer.contains("in-progress"), "{answer}");
        let (head, pressed) = site.next();
        assert!(head.starts_with("POST /pressed ") && pressed.contains("Digits=1"), "{pressed}");
    }
}

#[test]
fn words_may_come_along() {
    let carrier = Carrier::start(Settings::default());
    let xml = "<Response><Say>4, 8.</Say></Response>";
    for (vendor, from, to) in [
        (
            Vendor::Twilio,
            "Url=http%3A%2F%2Fx%2F",
            "Twiml=%3CResponse%3E%3CSay%3E4%2C+8.%3C%2FSay%3E%3C%2FResponse%3E",
        ),
        (
            Vendor::Telnyx,
            r#""Url":"http://x/""#,
            r#""Texml":"<Response><Say>4, 8.</Say></Response>""#,
        ),
    ] {
        let mut request = call(vendor, "http://x/");
        assert!(request.body.contains(from), "{}", request.body);
        request.body = request.body.replace(from, to);
        assert!((200..=201).contains(&ask(&carrier, vendor, &request).status), "{vendor:?} {xml}");
        assert_eq!(carrier.next(TO).text, "4, 8.", "{vendor:?}");
    }
}

#[test]
fn calls_are_refused_and_missed() {
    let carrier = Carrier::start(Settings::default());
    let without = Ask { body: call(Vendor::SignalWire, "").body, ..call(Vendor::SignalWire, "") };
    let got = ask(&carrier, Vendor::SignalWire, &without);
    assert_eq!((got.status, &got.json()["errors"][0]["code"]), (400, &json!("21205")));
    let none = Ask { path: "/v2.2/calls".to_owned(), ..text(Vendor::Flowroute) };
    assert_eq!(ask(&carrier, Vendor::Flowroute, &none).status, 404);

    let site = Site::start(|_| String::new());
    for (answers, word) in [(Answers::Busy, "busy"), (Answers::No, "no-answer")] {
        carrier.habits(TO, Habits { answers, presses: Presses::Nothing });
        let mut request = call(Vendor::Twilio, "http://x/");
        request.body = format!("{}&StatusCallback={}", request.body, site.url("/receipt"));
        ask(&carrier, Vendor::Twilio, &request);
        let (_, receipt) = site.next();
        assert!(receipt.contains(&format!("CallStatus={word}")), "{receipt}");
        assert_eq!(carrier.pending(TO), None);
    }
    carrier.habits(TO, Habits::default());
    // The site has no words for a call.
    ask(&carrier, Vendor::Plivo, &call(Vendor::Plivo, &site.url("/answer")));
    let heard = carrier.next(TO);
    assert!(heard.problem.as_deref().unwrap().contains("document parse failure"), "{heard:?}");
}

#[test]
fn questions_for_words_are_signed_and_can_be_signed_wrongly() {
    let carrier = Carrier::start(Settings::default());
    let site = Site::start(|_| "<Response><Speak>4, 8.</Speak></Response>".to_owned());
    let flawed = Flawed { flaw: Flaw::WrongSignature, event: Some(Event::Answer) };
    let token = Settings::default().plivo.auth_token;
    for good in [true, false] {
        if !good {
            carrier.flaw(Told::once(Vendor::Plivo, flawed));
        }
        ask(&carrier, Vendor::Plivo, &call(Vendor::Plivo, &site.url("/answer?a=1")));
        let (head, body) = site.next();
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
        };
        let fields: Form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let url = site.url("/answer?a=1");
        let nonce = header("x-plivo-signature-v3-nonce");
        let expected = sign::plivo_v3(&token, &Method::POST, &url, &fields, nonce);
        assert_eq!(header("x-plivo-signature-v3") == expected, good);
    }
}
