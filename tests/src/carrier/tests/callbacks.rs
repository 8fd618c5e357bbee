//! Receipts and inbound messages: what they say, and how they can be spoiled.

use super::{super::told::Flaw, *};

/// A text whose receipts go to the site, where the request can say so.
fn with_receipts(vendor: Vendor, url: &str) -> Ask {
    let mut ask = text(vendor);
    let (from, to) = match vendor {
        Vendor::Flowroute => ("\"from\"", format!("\"dlr_callback\":\"{url}\",\"from\"")),
        Vendor::Telnyx => ("\"from\"", format!("\"webhook_url\":\"{url}\",\"from\"")),
        Vendor::Plivo => ("\"src\"", format!("\"url\":\"{url}\",\"src\"")),
        Vendor::SignalWire | Vendor::Twilio => ("From=", format!("StatusCallback={url}&From=")),
    };
    ask.body = ask.body.replacen(from, &to, 1);
    ask
}

#[test]
fn each_vendor_reports_in_its_own_way() {
    let site = Site::start(|_| String::new());
    let carrier = Carrier::start(Settings::default());
    for (vendor, words) in [
        (Vendor::Flowroute, ["\"message buffered\"", "\"delivered\""]),
        (Vendor::Telnyx, ["\"message.sent\"", "\"message.finalized\""]),
        (Vendor::Plivo, ["Status=sent", "Status=delivered"]),
        (Vendor::SignalWire, ["MessageStatus=sent", "MessageStatus=delivered"]),
        (Vendor::Twilio, ["MessageStatus=sent", "MessageStatus=delivered"]),
    ] {
        let got = ask(&carrier, vendor, &with_receipts(vendor, &site.url("/r")));
        for word in words {
            let (head, body) = site.next();
            assert!(head.starts_with("POST /r "), "{vendor:?}: {head}");
            assert!(body.contains(word) && body.contains(&id(&got)), "{vendor:?}: {body}");
        }
        let known = carrier.callbacks(vendor, 2);
        assert!(known.iter().all(|one| one.answer == Some(200)), "{vendor:?}");
        carrier.status(&id(&got), "failed", Some("300"));
        let (_, body) = site.next();
        assert!(body.contains("failed") && body.contains("300"), "{vendor:?}: {body}");
    }
}

#[test]
fn callbacks_can_be_spoiled() {
    let site = Site::start(|_| String::new());
    let settings = Settings::default();
    let key = super::super::sign::telnyx_key(&settings.telnyx.signing_seed).verifying_key();
    let carrier = Carrier::start(settings);
    let valid = |callback: &Callback| {
        let signature = callback.headers.get("telnyx-signature-ed25519")?;
        let bytes = STANDARD.decode(signature).ok()?.try_into().ok()?;
        let seconds = callback.headers.get("telnyx-timestamp")?;
        let signed = format!("{seconds}|{}", callback.body);
        let age = jiff::Timestamp::now().as_second() - seconds.parse::<i64>().ok()?;
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        Some((key.verify_strict(signed.as_bytes(), &signature).is_ok(), age))
    };
    let cases = [
        ("good", None, Some((true, 0))),
        ("wrong", Some(Flaw::WrongSignature), Some((false, 0))),
        ("none", Some(Flaw::NoSignature), None),
        ("changed", Some(Flaw::ChangedBody), Some((false, 0))),
        ("stale", Some(Flaw::Stale), Some((true, 600))),
        ("of the future", Some(Flaw::Future), Some((true, -600))),
    ];
    for (at, (name, flaw, expected)) in cases.into_iter().enumerate() {
        if let Some(flaw) = flaw {
            carrier.flaw(Told::once(Vendor::Telnyx, Flawed { flaw, event: None }));
        }
        ask(&carrier, Vendor::Telnyx, &with_receipts(Vendor::Telnyx, &site.url("/r")));
        let all = carrier.callbacks(Vendor::Telnyx, 2 * at + 2);
        let found = valid(&all[2 * at]);
        // The second of the two is always good.
        assert!(valid(&all[2 * at + 1]).unwrap().0, "{name}");
        let near = |found: i64, expected: i64| (found - expected).abs() <= 30;
        match (found, expected) {
            (Some((found, age)), Some((expected, old))) => {
                assert_eq!(found, expected, "{name}");
                assert!(near(age, old), "{name}: {age} s old");
            }
            (found, expected) => assert_eq!(found, expected, "{name}"),
        }
    }
}

#[test]
fn callbacks_can_be_held_reordered_and_repeated() {
    let site = Site::start(|_| String::new());
    let carrier = Carrier::start(Settings::default());
    let what = Flawed { flaw: Flaw::Held, event: Some(Event::Receipt) };
    carrier.flaw(Told { vendor: Some(Vendor::Twilio), times: Some(2), what });
    ask(&carrier, Vendor::Twilio, &with_receipts(Vendor::Twilio, &site.url("/r")));
    let waiting = carrier.callbacks(Vendor::Twilio, 2);
    assert!(waiting.iter().all(|one| one.held && one.answer.is_none()));
    assert!(site.came.try_recv().is_err(), "nothing came yet");
    let [sent, delivered] = [&waiting[0], &waiting[1]];
    for (callback, word) in [(delivered, "delivered"), (sent, "sent"), (delivered, "delivered")] {
        assert_eq!(carrier.call_back(callback), 200);
        let (head, body) = site.next();
        assert!(body.contains(&format!("MessageStatus={word}")), "{body}");
        assert!(head.contains(&callback.headers["x-twilio-signature"]), "the same signature");
    }
}

#[test]
fn plivo_signs_receipts_in_either_way() {
    let site = Site::start(|_| String::new());
    for (third, expected) in [(false, "x-plivo-signature-v2"), (true, "x-plivo-signature-v3")] {
        let mut settings = Settings::default();
        settings.plivo.third_signatures = third;
        let token = settings.plivo.auth_token.clone();
        let carrier = Carrier::start(settings);
        let url = site.url("/r?b=2&a=1");
        ask(&carrier, Vendor::Plivo, &with_receipts(Vendor::Plivo, &url));
        let callback = &carrier.callbacks(Vendor::Plivo, 2)[0];
        let nonce = &callback.headers[&format!("{expected}-nonce")];
        let fields: Form = form_urlencoded::parse(callback.body.as_bytes()).into_owned().collect();
        let signature = if third {
            sign::plivo_v3(&token, &Method::POST, &url, &fields, nonce)
        } else {
            sign::plivo_v2(&token, &url, nonce)
        };
        assert_eq!(callback.headers[expected], signature);
        let names = callback.headers.keys().filter(|name| name.starts_with("x-plivo"));
        assert_eq!(names.count(), 2, "no other signature");
    }
}

#[test]
fn a_public_address_is_signed_and_the_local_one_is_asked() {
    let site = Site::start(|_| String::new());
    let public = "https://otp.example.org";
    let connect = [(public.to_owned(), site.url(""))].into();
    let carrier = Carrier::start(Settings { connect, ..Settings::default() });
    let url = format!("{public}/receipts/tw?x=1");
    ask(&carrier, Vendor::Twilio, &with_receipts(Vendor::Twilio, &url));
    let (head, body) = site.next();
    assert!(head.starts_with("POST /receipts/tw?x=1 "), "{head}");
    assert!(head.contains("host: otp.example.org\r\n"), "{head}");
    let fields: Form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let expected = sign::twilio(&Settings::default().twilio.auth_token, &url, &fields);
    assert!(head.contains(&expected), "{head}");
}

#[test]
fn inbound_messages_are_told() {
    let site = Site::start(|_| String::new());
    let mut settings = Settings::default();
    let url = Some(site.url("/in"));
    settings.flowroute.inbound.clone_from(&url);
    settings.telnyx.receipts.clone_from(&url);
    settings.plivo.inbound.clone_from(&url);
    settings.signalwire.inbound.clone_from(&url);
    settings.twilio.inbound = url;
    let carrier = Carrier::start(settings);
    for (vendor, part) in [
        (Vendor::Flowroute, "\"direction\":\"inbound\""),
        (Vendor::Telnyx, "\"autoresponse_type\":\"STOP\""),
        (Vendor::Plivo, "Text=Stop"),
        (Vendor::SignalWire, "Body=Stop"),
        (Vendor::Twilio, "OptOutType=STOP"),
    ] {
        assert_eq!(carrier.write(vendor, TO, "+15125550199", "Stop"), Some(200), "{vendor:?}");
        let (_, body) = site.next();
        assert!(body.contains(part) && body.contains("3125550142"), "{vendor:?}: {body}");
    }
}
