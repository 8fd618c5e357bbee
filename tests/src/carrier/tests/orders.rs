//! Every way to misbehave.

use std::time::Duration;

use super::{
    super::told::{On, What},
    *,
};

fn ordered(vendor: Vendor, what: What) -> (Got, bool) {
    let carrier = Carrier::start(Settings::default());
    carrier.order(Told::once(vendor, what.into()));
    let got = ask(&carrier, vendor, &text(vendor));
    let arrived = carrier.pending(TO).is_some();
    // The order was for one request.
    assert!((200..=202).contains(&ask(&carrier, vendor, &text(vendor)).status));
    (got, arrived)
}

#[test]
fn documented_refusals_can_be_ordered() {
    let cases = [
        (Vendor::Flowroute, "401", 401, "Unauthorized"),
        (Vendor::Flowroute, "1110", 400, "1110"),
        (Vendor::Telnyx, "20100", 402, "Insufficient Funds"),
        (Vendor::Telnyx, "40300", 403, "STOP"),
        (Vendor::Plivo, "402", 402, "insufficient credit"),
        (Vendor::SignalWire, "21610", 400, "21610"),
        (Vendor::Twilio, "21610", 400, "Attempt to send to unsubscribed recipient"),
        (Vendor::Twilio, "4711", 500, "4711 is not documented"),
    ];
    for (vendor, code, status, part) in cases {
        let (got, arrived) = ordered(vendor, What::Refuse { code: code.to_owned() });
        assert_eq!((got.status, arrived), (status, false), "{vendor:?} {code}");
        assert!(got.body.contains(part), "{vendor:?} {code}: {}", got.body);
    }
    for vendor in Vendor::ALL {
        let (got, arrived) = ordered(vendor, What::TooMany { retry_after: Some(7) });
        assert_eq!((got.status, arrived), (429, false), "{vendor:?}");
        assert!(got.head.contains("retry-after: 7\r\n"), "{vendor:?}: {}", got.head);
    }
}

#[test]
fn replies_can_be_spoiled() {
    type Check = fn(&Got) -> bool;

    let say = What::Say { status: 418, body: "tea".to_owned() };
    let to = What::Redirect { to: "http://127.0.0.1:1/".to_owned(), status: 307 };
    let all_of_it: Check =
        |got| [TO, "482913", "KEY0189A_stand_in_7f3d"].iter().all(|sent| got.body.contains(sent));
    let cases: [(&str, What, u16, bool, Check); 11] = [
        ("repeated", What::Echo { status: 400 }, 400, false, all_of_it),
        ("cut before the body", What::CutBefore, 0, false, |_| true),
        ("cut after the body", What::CutAfter, 0, false, |_| true),
        ("cut in the reply", What::CutReply, 200, true, |got| !got.whole && !got.body.is_empty()),
        ("nonsense", What::Nonsense, 200, true, |got| got.json()["hello"].is_array()),
        ("endless", What::Endless, 200, true, |got| !got.whole && got.body.len() == 1_000_000),
        ("huge", What::Huge, 200, true, |got| got.whole && got.body.len() == 10_000_000),
        ("elsewhere", to, 307, false, |got| got.head.contains("location: http://127.0.0.1:1/")),
        ("another type", What::WrongType, 200, true, |got| got.head.contains("text/html")),
        ("half the JSON", What::BrokenJson, 200, true, |got| got.whole && got.json().is_null()),
        ("said", say, 418, false, |got| got.body == "tea"),
    ];
    for (name, what, status, taken, check) in cases {
        let (got, arrived) = ordered(Vendor::Telnyx, what);
        assert_eq!((got.status, arrived), (status, taken), "{name}");
        assert!(check(&got), "{name}: {} {:.200}", got.head, got.body);
    }
}

#[test]
fn a_vendor_may_lie_about_the_id() {
    for vendor in Vendor::ALL {
        let carrier = Carrier::start(Settings::default());
        carrier.order(Told::once(vendor, What::WrongId.into()));
        let got = ask(&carrier, vendor, &text(vendor));
        assert_ne!(carrier.next(TO).id, id(&got), "{vendor:?}");
    }
}

#[test]
fn a_stalled_request_is_answered_when_let_go() {
    let carrier = Carrier::start(Settings::default());
    carrier.order(Told::always(Vendor::Plivo, What::Stall.into()));
    let got = std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&carrier, Vendor::Plivo, &text(Vendor::Plivo)));
        assert_eq!(carrier.next(TO).code(), "482913", "it is brought before it is answered");
        assert!(!asked.is_finished());
        carrier.behave();
        asked.join().unwrap()
    });
    assert_eq!(got.status, 202);
}

#[test]
fn orders_are_for_a_vendor_a_kind_and_a_number_of_times() {
    let carrier = Carrier::start(Settings::default());
    let refuse = || What::Refuse { code: "401".to_owned() };
    let polls = Order { on: On::Poll, takes: None, what: refuse() };
    carrier.order(Told::always(Vendor::Flowroute, polls));
    let sends = Order { on: On::Send, takes: Some(true), what: What::CutAfter };
    carrier.order(Told { vendor: None, times: Some(2), what: sends });
    let status = |vendor| ask(&carrier, vendor, &text(vendor)).status;
    assert_eq!(
        [status(Vendor::Flowroute), status(Vendor::Twilio), status(Vendor::Twilio)],
        [0, 0, 201]
    );
    let first = carrier.next(TO);
    assert_eq!(first.vendor, Vendor::Flowroute, "taken before the connection was cut");
    let path = format!("/v2.2/messages/{}", first.id);
    let question = Ask { method: "GET", path, ..text(Vendor::Flowroute) };
    assert_eq!(ask(&carrier, Vendor::Flowroute, &question).status, 401);
    carrier.behave();
    assert_eq!(ask(&carrier, Vendor::Flowroute, &question).status, 200);
}

#[test]
fn a_reply_may_drip() {
    let carrier = Carrier::start(Settings::default());
    carrier.order(Told::once(Vendor::Telnyx, What::Drip.into()));
    let mut stream = TcpStream::connect(carrier.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(raw(Vendor::Telnyx, &text(Vendor::Telnyx)).as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert_eq!(carrier.next(TO).code(), "482913", "it is taken");
    let mut chunks = [0; 18];
    stream.read_exact(&mut chunks).unwrap();
    assert_eq!(&chunks, b"1\r\n \r\n1\r\n \r\n1\r\n \r\n");
}

#[test]
fn a_reply_may_stop_in_the_middle() {
    let carrier = Carrier::start(Settings::default());
    carrier.order(Told::once(Vendor::Telnyx, What::StallReply.into()));
    let (told, stopped) = mpsc::channel();
    let address = carrier.address;
    let request = raw(Vendor::Telnyx, &text(Vendor::Telnyx));
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let whole = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; whole.parse::<usize>().unwrap() / 2];
        stream.read_exact(&mut body).unwrap();
        told.send(body.len()).unwrap();
        // It ends with the carrier.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        told.send(rest.len()).unwrap();
    });
    assert_eq!(carrier.next(TO).code(), "482913", "it is taken");
    assert!(stopped.recv_timeout(PATIENCE).unwrap() > 0, "a half");
    assert!(stopped.recv_timeout(Duration::from_millis(100)).is_err(), "it goes on");
    drop(carrier);
    assert_eq!(stopped.recv_timeout(PATIENCE).unwrap(), 0, "nothing comes behind it");
}
