//! The stand-in over real HTTP: what it takes, what it refuses, and how it misbehaves.

mod callbacks;
mod calls;
mod orders;
mod refusals;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    Callback, Carrier, Channel, Count, Vendor,
    exchange::{self, Form, encode},
    settings::Settings,
    sign,
    told::{Event, Flawed, Habits, Order, Told},
};
use crate::PATIENCE;

/// Somebody's telephone.
const TO: &str = "+13125550142";

/// What a vendor answered, as far as it came.
struct Got {
    /// 0: nothing came.
    status: u16,
    head: String,
    body: String,
    /// Whether the body is as long as its header says.
    whole: bool,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A request that a vendor takes; tests change one thing of it.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    path: String,
    authorization: String,
    media: &'static str,
    body: String,
    more: &'static str,
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A text message as each vendor wants it.
fn text(vendor: Vendor) -> Ask {
    let settings = Settings::default();
    let form = |from: &str| {
        encode(&exchange::fields([("To", TO), ("From", from), ("Body", "482913 is your code.")]))
    };
    let (path, authorization, media, body) = match vendor {
        Vendor::Flowroute => {
            let attributes =
                json!({"to": TO, "from": "+12065550110", "body": "482913 is your code."});
            (
                "/v2.2/messages".to_owned(),
                basic(&settings.flowroute.access_key, &settings.flowroute.secret_key),
                "application/vnd.api+json",
                json!({"data": {"type": "message", "attributes": attributes}}).to_string(),
            )
        }
        Vendor::Telnyx => {
            let body = json!({"to": TO, "from": "+13125550123", "text": "482913 is your code.",
                "type": "SMS", "encoding": "gsm7"});
            (
                "/v2/messages".to_owned(),
                format!("Bearer {}", settings.telnyx.api_key),
                "application/json",
                body.to_string(),
            )
        }
        Vendor::Plivo => {
            let body = json!({"dst": "13125550142", "src": "14155550130",
                "text": "482913 is your code.", "log": "false", "message_expiry": 300});
            (
                format!("/v1/Account/{}/Message/", settings.plivo.auth_id),
                basic(&settings.plivo.auth_id, &settings.plivo.auth_token),
                "application/json",
                body.to_string(),
            )
        }
        Vendor::SignalWire => {
            let project = &settings.signalwire;
            (
                format!("/api/laml/2010-04-01/Accounts/{}/Messages", project.project_id),
                basic(&project.project_id, &project.api_token),
                exchange::FORM,
                form("+15125550140"),
            )
        }
        Vendor::Twilio => {
            let account = &settings.twilio;
            (
                format!("/2010-04-01/Accounts/{}/Messages.json", account.account_sid),
                basic(&account.account_sid, &account.auth_token),
                exchange::FORM,
                form("+19175550150"),
            )
        }
    };
    Ask { method: "POST", path, authorization, media, body, more: "" }
}

/// The bytes of a request.
fn raw(vendor: Vendor, ask: &Ask) -> String {
    let Ask { method, path, authorization, media, body, more } = ask;
    let length = body.len();
    format!(
        "{method} /{}{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\n\
         content-type: {media}\r\ncontent-length: {length}\r\n{more}\r\n{body}",
        vendor.name(),
    )
}

/// Asks a vendor over a connection of its own.
fn ask(carrier: &Carrier, vendor: Vendor, ask: &Ask) -> Got {
    let request = raw(vendor, ask);
    let mut stream = TcpStream::connect(carrier.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that cuts the connection may do so before it has all.
    let _ = stream.write_all(request.as_bytes());
    read(&mut BufReader::new(stream))
}

fn read(stream: &mut impl BufRead) -> Got {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            return Got { status: 0, head, body: String::new(), whole: false };
        }
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    // What ends without a length may never end.
    let most = length.map_or(1_000_000, |length| length.parse().unwrap());
    let whole = match stream.take(most).read_to_end(&mut body) {
        Ok(read) => length.is_some() && read as u64 == most,
        Err(_) => false,
    };
    Got { status, head, body: String::from_utf8(body).unwrap(), whole }
}

/// A web server of otpd's side: it tells what came and answers what it was given for the path.
struct Site {
    address: SocketAddr,
    came: mpsc::Receiver<(String, String)>,
}

impl Site {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, came) = mpsc::channel();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Clients keep connections, also while they open another.
                let (answer, sender) = (Arc::clone(&answer), sender.clone());
                std::thread::spawn(move || Self::serve(BufReader::new(stream), &*answer, &sender));
            }
        });
        Self { address, came }
    }

    fn serve(
        mut stream: BufReader<TcpStream>,
        answer: &dyn Fn(&str) -> String,
        sender: &mpsc::Sender<(String, String)>,
    ) {
        loop {
            let Got { head, body, .. } = heard(&mut stream);
            let Some(path) = head.split(' ').nth(1) else { break };
            let body_of_answer = answer(path);
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body_of_answer}",
                body_of_answer.len()
            );
            let sent = stream.get_mut().write_all(reply.as_bytes());
            if sender.send((head, body)).is_err() || sent.is_err() {
                break;
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn next(&self) -> (String, String) {
        self.came.recv_timeout(PATIENCE).expect("a request")
    }
}

fn heard(stream: &mut impl BufRead) -> Got {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            return Got { status: 0, head: String::new(), body: String::new(), whole: false };
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: u64 = length.map_or(0, |length| length.parse().unwrap());
    let mut body = String::new();
    stream.take(length).read_to_string(&mut body).unwrap();
    Got { status: 200, head, body, whole: true }
}

/// The vendor's name for what it just took.
fn id(got: &Got) -> String {
    let body = got.json();
    let places = ["/data/id", "/sid", "/message_uuid/0", "/request_uuid"];
    let id = places.iter().find_map(|place| body.pointer(place)?.as_str());
    id.unwrap_or_else(|| panic!("no id in {}", got.body)).to_owned()
}

#[test]
fn each_vendor_brings_a_text_and_says_that_it_arrived() {
    let carrier = Carrier::start(Settings::default());
    let cases = [
        (Vendor::Flowroute, 202, "/v2.1/messages/", "/data/attributes/status"),
        (Vendor::Telnyx, 200, "/v2/messages/", "/data/to/0/status"),
        (Vendor::Plivo, 202, "/v1/Account/MASTANDIN0PLIVO00042/Message/", "/message_state"),
        (Vendor::SignalWire, 201, "", "/status"),
        (Vendor::Twilio, 201, "", "/status"),
    ];
    for (vendor, status, poll, place) in cases {
        let sent = text(vendor);
        let got = ask(&carrier, vendor, &sent);
        assert_eq!((got.status, got.whole), (status, true), "{vendor:?}: {}", got.body);
        let heard = carrier.next(TO);
        assert_eq!((heard.vendor, heard.code().as_str()), (vendor, "482913"));
        assert_eq!((heard.id.clone(), heard.channel), (id(&got), Channel::Text), "{vendor:?}");
        let path = match vendor {
            Vendor::Flowroute | Vendor::Telnyx => format!("{poll}{}", heard.id),
            Vendor::Plivo => format!("{poll}{}/", heard.id),
            Vendor::SignalWire => format!("{}/{}", sent.path, heard.id),
            Vendor::Twilio => sent.path.replace(".json", &format!("/{}.json", heard.id)),
        };
        let question = Ask { method: "GET", path, body: String::new(), ..sent };
        let told = ask(&carrier, vendor, &question);
        let word = told.json().pointer(place).cloned();
        assert_eq!((told.status, word), (200, Some(json!("delivered"))), "{vendor:?}");
        assert_eq!(carrier.count(vendor), Count { asked: 2, taken: 1, repeated: 0 });
        let stranger = Ask { authorization: "Basic bm86bm8=".to_owned(), ..question.clone() };
        assert_eq!(ask(&carrier, vendor, &stranger).status, 401, "{vendor:?}");
        let other = Ask { path: question.path.replace(&heard.id, "other"), ..question };
        assert_eq!(ask(&carrier, vendor, &other).status, 404, "{vendor:?}");
    }
    assert_eq!(carrier.pending(TO), None);
    let requests = carrier.requests(Vendor::Telnyx);
    assert_eq!(
        requests.iter().map(|one| one.status).collect::<Vec<_>>(),
        [200, 200, 401, 404].map(Some)
    );
    assert!(requests.iter().all(|one| !one.headers.contains_key("authorization")));
}

#[test]
fn flowroute_has_three_versions() {
    let carrier = Carrier::start(Settings::default());
    let second = Ask {
        path: "/v2/messages".to_owned(),
        media: "application/json",
        body: json!({"to": "13125550142", "from": "12065550110", "content": "482913"}).to_string(),
        ..text(Vendor::Flowroute)
    };
    let digits = text(Vendor::Flowroute).body.replace("\"+", "\"");
    let first = Ask { path: "/v2.1/messages".to_owned(), body: digits, ..text(Vendor::Flowroute) };
    let bad =
        |ask: &Ask| Ask { body: ask.body.replace("13125550142", "3125550142"), ..ask.clone() };
    let cases = [
        ("v2", second.clone(), 200),
        (
            "v2, another number form",
            Ask { body: text(Vendor::Flowroute).body, ..second.clone() },
            400,
        ),
        ("v2, ten digits", bad(&second), 500),
        ("v2.1", first.clone(), 202),
        ("v2.1, ten digits", bad(&first), 422),
        ("v2.1 with a plus", Ask { body: text(Vendor::Flowroute).body, ..first.clone() }, 403),
        ("v2.2 without a plus", Ask { path: "/v2.2/messages".to_owned(), ..first }, 403),
    ];
    for (name, request, status) in cases {
        assert_eq!(ask(&carrier, Vendor::Flowroute, &request).status, status, "{name}");
    }
}

#[test]
fn telnyx_sends_a_repeat_once() {
    let carrier = Carrier::start(Settings::default());
    let first = Ask { more: "idempotency-key: k-1\r\n", ..text(Vendor::Telnyx) };
    let sent = ask(&carrier, Vendor::Telnyx, &first);
    let again = ask(&carrier, Vendor::Telnyx, &first);
    assert_eq!((again.status, &again.body), (200, &sent.body));
    assert!(!again.head.contains("replayed"), "only the stand-in's log says so: {}", again.head);
    let other = Ask { body: first.body.replace("482913", "482914"), ..first };
    assert_eq!(ask(&carrier, Vendor::Telnyx, &other).status, 422);
    assert_eq!(carrier.count(Vendor::Telnyx), Count { asked: 3, taken: 1, repeated: 1 });
    let repeats: Vec<_> = carrier.requests(Vendor::Telnyx).iter().map(|one| one.repeat).collect();
    assert_eq!(repeats, [false, true, false]);
    assert_eq!(carrier.next(TO).code(), "482913");
    assert_eq!(carrier.pending(TO), None);
}

#[test]
fn twilio_speaks_xml_unless_asked_for_json() {
    let carrier = Carrier::start(Settings::default());
    let plain = text(Vendor::Twilio);
    let xml = Ask { path: plain.path.replace(".json", ""), ..plain };
    let got = ask(&carrier, Vendor::Twilio, &xml);
    assert_eq!(got.status, 201);
    assert!(got.body.contains("<TwilioResponse><Message>"), "{}", got.body);
    assert!(got.head.contains("application/xml"), "{}", got.head);
    let stranger = Ask { authorization: String::new(), ..xml };
    assert!(ask(&carrier, Vendor::Twilio, &stranger).body.contains("<Code>20003</Code>"));
}

#[test]
fn a_phlo_sends_what_it_was_made_for() {
    let carrier = Carrier::start(Settings::default());
    let path = "/v1/account/MASTANDIN0PLIVO00042/phlo/7c1b1d6e-0f5e-4f6c-9f1a-1d2e3f4a5b6c";
    let run = |mode: &str| Ask {
        path: path.to_owned(),
        body: json!({"from": "+14155550130", "to": TO, "otp": "482913", "mode": mode}).to_string(),
        ..text(Vendor::Plivo)
    };
    for mode in ["sms", "call"] {
        let got = ask(&carrier, Vendor::Plivo, &run(mode));
        assert_eq!(got.status, 201, "{mode}: {}", got.body);
        assert!(got.json()["phlo_id"].is_string(), "{}", got.body);
        assert_eq!(carrier.next(TO).text, "482913", "{mode}");
    }
    assert_eq!(ask(&carrier, Vendor::Plivo, &run("fax")).status, 400);
    let other = Ask { path: path.replace("7c1b", "0000"), ..run("sms") };
    assert_eq!(ask(&carrier, Vendor::Plivo, &other).status, 404);
}

#[test]
fn memory_is_bounded() {
    let carrier = Carrier::start(Settings { keep: 2, inbox: 2, log: 2, ..Settings::default() });
    let ids: Vec<_> =
        (0..3).map(|_| id(&ask(&carrier, Vendor::Twilio, &text(Vendor::Twilio)))).collect();
    let known = ids.iter().map(|id| carrier.item(Vendor::Twilio, id).is_some());
    assert_eq!(known.collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(carrier.requests(Vendor::Twilio).len(), 2);
    assert_eq!([carrier.next(TO).n, carrier.next(TO).n], [2, 3]);

    let quiet = Carrier::start(Settings { quiet: true, ..Settings::default() });
    ask(&quiet, Vendor::Twilio, &text(Vendor::Twilio));
    assert_eq!(quiet.next(TO).code(), "482913");
    assert_eq!((quiet.requests(Vendor::Twilio).len(), quiet.count(Vendor::Twilio).taken), (0, 1));
}

#[test]
fn it_is_controlled_over_http() {
    let carrier = Carrier::start(Settings::default());
    let control = |method: &'static str, path: &str, body: &Value| {
        let body = body.to_string();
        let mut stream = TcpStream::connect(carrier.control).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let got = read(&mut BufReader::new(stream));
        (got.status, got.json())
    };
    let order = json!({"vendor": "plivo", "times": 1, "do": "refuse", "code": "403"});
    assert_eq!(control("POST", "/orders", &order).0, 200);
    assert_eq!(ask(&carrier, Vendor::Plivo, &text(Vendor::Plivo)).status, 403);
    let fate = json!({"vendor": "plivo", "fate": "failed", "code": "300"});
    assert_eq!(control("POST", "/fates", &fate).0, 200);
    let lost = id(&ask(&carrier, Vendor::Plivo, &text(Vendor::Plivo)));
    let (_, item) = control("GET", &format!("/items/plivo/{lost}"), &json!({}));
    assert_eq!((&item["status"], &item["code"]), (&json!("undelivered"), &json!("300")));
    assert_eq!(control("DELETE", "/fates", &json!({})).0, 200);
    let phone = format!("/phones/{TO}?after=0&wait=30");
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| control("GET", &phone, &json!({})));
        ask(&carrier, Vendor::Plivo, &text(Vendor::Plivo));
        waiting.join().unwrap()
    });
    assert_eq!(waiting.1[0]["text"], "482913 is your code.");
    assert_eq!(control("GET", &format!("/phones/{TO}?after=1"), &json!({})), (200, json!([])));
    let (_, requests) = control("GET", "/requests?vendor=plivo&after=2", &json!({}));
    assert_eq!(requests.as_array().map(Vec::len), Some(1), "{requests}");
    let counts = control("GET", "/counts", &json!({})).1;
    assert_eq!(counts["plivo"]["taken"], 2, "{counts}");
    for (name, path, body) in [
        ("an order of no sense", "/orders", json!({"do": "dance"})),
        ("no such vendor", "/status", json!({"vendor": "x", "id": "1", "status": "sent"})),
        ("no such address", "/dance", json!({})),
    ] {
        assert_eq!(control("POST", path, &body).0, 400, "{name}");
    }
}
