//! What a vendor refuses, its stand-in refuses in the same words.

use super::*;

/// One change to a request that would be taken.
type Change = fn(&mut Ask);

fn swap(ask: &mut Ask, from: &str, to: &str) {
    assert!(ask.body.contains(from), "{from} in {}", ask.body);
    ask.body = ask.body.replace(from, to);
}

type Row = (&'static str, Vendor, Change, u16, &'static str);

const ROWS: [Row; 33] = [
    (
        "flowroute: no such key",
        Vendor::Flowroute,
        |a| a.authorization = basic("a", "b"),
        401,
        "Unauthorized",
    ),
    (
        "flowroute: content type",
        Vendor::Flowroute,
        |a| a.media = "application/json",
        415,
        "Unsupported Media Type",
    ),
    (
        "flowroute: sender",
        Vendor::Flowroute,
        |a| swap(a, "+12065550110", "+12065550111"),
        403,
        "Forbidden",
    ),
    ("flowroute: number", Vendor::Flowroute, |a| swap(a, TO, "12"), 422, "Unprocessable Entity"),
    (
        "flowroute: no text",
        Vendor::Flowroute,
        |a| swap(a, "482913 is your code.", ""),
        422,
        "Unprocessable Entity",
    ),
    (
        "flowroute: another field",
        Vendor::Flowroute,
        |a| swap(a, "\"body\"", "\"text\""),
        400,
        "Bad Request",
    ),
    ("flowroute: no JSON", Vendor::Flowroute, |a| a.body.truncate(9), 400, "Bad Request"),
    (
        "telnyx: no such key",
        Vendor::Telnyx,
        |a| a.authorization = "Bearer KEY00".into(),
        401,
        "10009",
    ),
    ("telnyx: no key", Vendor::Telnyx, |a| a.authorization.clear(), 404, "10005"),
    ("telnyx: content type", Vendor::Telnyx, |a| a.media = exchange::FORM, 415, "10014"),
    ("telnyx: sender", Vendor::Telnyx, |a| swap(a, "+13125550123", "+13125550124"), 400, "40305"),
    ("telnyx: number", Vendor::Telnyx, |a| swap(a, TO, "13125550142"), 400, "40310"),
    ("telnyx: alphabet", Vendor::Telnyx, |a| swap(a, "your", "yo`ur"), 400, "gsm7"),
    ("telnyx: no text", Vendor::Telnyx, |a| swap(a, "482913 is your code.", ""), 400, "40316"),
    ("telnyx: a long text", Vendor::Telnyx, |a| swap(a, "482913", &"1".repeat(1600)), 400, "40302"),
    (
        "telnyx: a field that is none",
        Vendor::Telnyx,
        |a| swap(a, "\"type\"", "\"kind\""),
        400,
        "10015",
    ),
    ("plivo: no such token", Vendor::Plivo, |a| a.authorization = basic("a", "b"), 401, "error"),
    (
        "plivo: no slash at the end",
        Vendor::Plivo,
        |a| a.path.truncate(a.path.len() - 1),
        404,
        "not found",
    ),
    ("plivo: content type", Vendor::Plivo, |a| a.media = exchange::FORM, 415, "content type"),
    ("plivo: sender", Vendor::Plivo, |a| swap(a, "14155550130", "14155550131"), 400, "src"),
    ("plivo: number", Vendor::Plivo, |a| swap(a, "13125550142", "0"), 400, "0 is not a valid"),
    ("plivo: a long text", Vendor::Plivo, |a| swap(a, "482913", &"1".repeat(1600)), 400, "longer"),
    ("plivo: log", Vendor::Plivo, |a| swap(a, "\"false\"", "0"), 400, "log"),
    ("plivo: method", Vendor::Plivo, |a| a.method = "PUT", 405, "method not allowed"),
    (
        "signalwire: no such token",
        Vendor::SignalWire,
        |a| a.authorization = basic("a", "b"),
        401,
        "20003",
    ),
    (
        "signalwire: sender",
        Vendor::SignalWire,
        |a| swap(a, "15125550140", "15125550141"),
        422,
        "21210",
    ),
    ("signalwire: number", Vendor::SignalWire, |a| swap(a, "13125550142", "0"), 400, "21211"),
    ("twilio: no such token", Vendor::Twilio, |a| a.authorization = basic("a", "b"), 401, "20003"),
    ("twilio: content type", Vendor::Twilio, |a| a.media = "application/json", 400, "21604"),
    ("twilio: sender", Vendor::Twilio, |a| swap(a, "19175550150", "19175550151"), 400, "21606"),
    ("twilio: number", Vendor::Twilio, |a| swap(a, "13125550142", "0"), 400, "21211"),
    ("twilio: a long text", Vendor::Twilio, |a| swap(a, "482913", &"1".repeat(1600)), 400, "21617"),
    ("twilio: too long valid", Vendor::Twilio, |a| a.body += "&ValidityPeriod=99999", 400, "20001"),
];

#[test]
fn bad_requests_are_refused() {
    let carrier = Carrier::start(Settings::default());
    for (name, vendor, change, status, part) in ROWS {
        let mut request = text(vendor);
        change(&mut request);
        let got = ask(&carrier, vendor, &request);
        assert_eq!(got.status, status, "{name}: {}", got.body);
        assert!(got.body.contains(part), "{name}: {}", got.body);
        assert_eq!(carrier.pending(TO), None, "{name}");
    }
}

#[test]
fn who_stopped_gets_nothing_more() {
    // Where a later message is refused; Plivo takes it and loses it; SignalWire leaves it to others.
    let cases = [
        (Vendor::Flowroute, "+12065550110", 400, "1110"),
        (Vendor::Telnyx, "+13125550123", 403, "40300"),
        (Vendor::Plivo, "+14155550130", 202, "message_uuid"),
        (Vendor::SignalWire, "+15125550140", 201, "sid"),
        (Vendor::Twilio, "+19175550150", 400, "21610"),
    ];
    let carrier = Carrier::start(Settings::default());
    for (vendor, sender, status, part) in cases {
        assert_eq!(carrier.write(vendor, TO, sender, "Stop"), None, "nobody is told");
        let got = ask(&carrier, vendor, &text(vendor));
        assert_eq!(got.status, status, "{vendor:?}: {}", got.body);
        assert!(got.body.contains(part), "{vendor:?}: {}", got.body);
        let arrived = carrier.pending(TO);
        assert_eq!(arrived.is_some(), vendor == Vendor::SignalWire, "{vendor:?}");
        if vendor == Vendor::Plivo {
            let item = carrier.item(vendor, &id(&got)).unwrap();
            assert_eq!((item.status.as_str(), item.code.as_deref()), ("failed", Some("200")));
        }
        assert_eq!(carrier.write(vendor, TO, sender, "START"), None);
        assert!((200..=202).contains(&ask(&carrier, vendor, &text(vendor)).status), "{vendor:?}");
        assert!(carrier.pending(TO).is_some(), "{vendor:?} brings it again");
    }
    carrier.stop(Vendor::SignalWire, "", TO, true);
    let got = ask(&carrier, Vendor::SignalWire, &text(Vendor::SignalWire));
    assert!(got.body.contains("21610"), "{}", got.body);
}
