//! What a vendor's API or the way to it can do to a request, for each vendor's dialect, over real
//! HTTP and TLS: no login hangs, the daemon lives, no key goes astray, and what is said is true.

use std::thread;

use otp_proto::{
    admin::{Channel, Watch},
    event::Event,
};
use otpd_tests::{
    carrier::{
        Carrier, Heard, Vendor,
        settings::Settings,
        told::{Habits, On, Order, Presses, Told, What},
    },
    daemon::{Daemon, Place},
    wire::{is_granted, login},
};

use super::{
    people::PEOPLE,
    receipts::spoken,
    tls::{CA_FILE, Ear, Front},
    trail::Watcher,
    vendors::{after, delivery, gateway, texml},
    web::Web,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

const SENT: &str = "Code sent by text message to the number ending 42";
const SENDING: &str = "A code is being sent by text message to the number ending 42";

const CALLED: &str = "The number ending 42 is being called with a code";
const CALLING: &str = "A call with a code is being placed to the number ending 42";

/// Vendors that call.
const CALLERS: [Vendor; 4] = [Vendor::Telnyx, Vendor::Plivo, Vendor::SignalWire, Vendor::Twilio];

/// What a fault comes to.
enum Outcome {
    /// The vendor's status said that it took the message, and that counts. Whether its name for it
    /// could be read.
    Taken { named: bool },
    /// This is written down about it, and the next vendor brings the code.
    Next(&'static str),
}

/// A vendor with something wrong, another one behind it, and somebody who logs in.
struct Scene {
    carrier: Carrier,
    daemon: Daemon,
    trail: Watcher,
    first: Vendor,
    second: Vendor,
    by: Channel,
    _place: Place,
}

impl Scene {
    /// `base` is where the first vendor's API is, `more` what its table says besides.
    fn new(carrier: Carrier, first: Vendor, base: &str, more: &str) -> Self {
        Self::by(Channel::Sms, carrier, [first, after(first)], base, more)
    }

    /// The same where codes come by call, to somebody who takes it.
    fn calling(carrier: Carrier, vendors: [Vendor; 2]) -> Self {
        let habits = Habits { presses: Presses::Named, ..Habits::default() };
        carrier.habits(NUMBER, habits);
        let base = carrier.url(vendors[0]);
        Self::by(Channel::Voice, carrier, vendors, &base, "")
    }

    fn by(by: Channel, carrier: Carrier, vendors: [Vendor; 2], base: &str, more: &str) -> Self {
        let (place, accounts, [first, second]) = (Place::empty(), Settings::default(), vendors);
        let route = match by {
            Channel::Sms => delivery(&vendors, &[]),
            Channel::Voice => Web::new().settings() + &delivery(&vendors, &vendors),
        };
        // Calls need more of one vendor's table.
        let calls = |vendor| match (vendor, by) {
            (Vendor::Telnyx, Channel::Voice) => texml(&carrier),
            _ => String::new(),
        };
        let tables = [
            route,
            gateway(&place, &accounts, first, base),
            calls(first),
            more.to_owned(),
            gateway(&place, &accounts, second, &carrier.url(second)),
            calls(second),
        ];
        place.configure(&(place.basics() + &tables.concat()));
        let daemon = place.start();
        daemon.prove(USER, NUMBER, by, || code(by, &carrier.next(NUMBER)));
        let of_user = Watch { user: Some(USER.to_owned()), after: Some(0) };
        let mut trail = Watcher::new(daemon.connect(), &of_user);
        trail.deliveries(1);
        Self { carrier, daemon, trail, first, second, by, _place: place }
    }

    /// A login, which must come to `outcome`.
    fn log_in(&mut self, name: &str, prompt: &str, outcome: &Outcome) {
        let name = format!("{name}, {}", self.first.name());
        let before = self.daemon.show(USER).sends_24h;
        let mut wire = self.daemon.connect();
        let prompted = wire.prompt(&login(USER, None));
        assert!(prompted.text.starts_with(prompt), "{name}: {}", prompted.text);
        let heard = self.carrier.next(NUMBER);
        let bringer = match outcome {
            Outcome::Taken { .. } => self.first,
            Outcome::Next(_) => self.second,
        };
        assert_eq!(heard.vendor, bringer, "{name}");
        let code = code(self.by, &heard);
        assert!(is_granted(&wire.answer(&prompted.challenge, &code)), "{name}");
        let delivered = self.trail.deliveries(1);
        let (last, failed) = delivered.split_last().expect("an event");
        let Event::MessageSent { gateway, vendor_id, certain } = last else {
            panic!("{name}: {last:?}")
        };
        assert_eq!((gateway.as_str(), *certain), (bringer.name(), true), "{name}");
        match (outcome, failed) {
            (Outcome::Taken { named }, []) => {
                assert_eq!(vendor_id.is_some(), *named, "{name}: {vendor_id:?}");
            }
            (Outcome::Next(expected), [Event::MessageFailed { gateway, reason }]) => {
                assert_eq!(gateway, self.first.name(), "{name}");
                assert!(reason.contains(expected), "{name}: {reason}");
            }
            (_, failed) => panic!("{name}: {failed:?}"),
        }
        assert!(self.carrier.pending(NUMBER).is_none(), "{name}: it comes once");
        assert_eq!(self.daemon.show(USER).sends_24h, before + 1, "{name}: charged once");
        assert!(self.daemon.is_running(), "{name}");
    }

    /// What must be neither in the log nor anywhere else than at the vendor.
    fn keys(&self) -> Vec<String> {
        let accounts = Settings::default();
        let key = match self.first {
            Vendor::Flowroute => accounts.flowroute.secret_key,
            Vendor::Telnyx => accounts.telnyx.api_key,
            Vendor::Plivo => accounts.plivo.auth_token,
            Vendor::SignalWire => accounts.signalwire.api_token,
            Vendor::Twilio => accounts.twilio.auth_token,
        };
        vec![key, "uthorization".to_owned()]
    }
}

/// The code in what came by this way.
fn code(by: Channel, heard: &Heard) -> String {
    match by {
        Channel::Sms => heard.code(),
        Channel::Voice => spoken(heard),
    }
}

/// Replies that break, one after the other through one daemon.
fn spoiled_replies(first: Vendor) {
    let carrier = Carrier::start(Settings::default());
    let url = carrier.url(first);
    let mut scene = Scene::new(carrier, first, &url, "");
    let ear = Ear::start();
    let elsewhere = |status| What::Redirect { to: format!("http://{}/", ear.address()), status };
    let unnamed = || Outcome::Taken { named: false };
    let cases = [
        ("10 MB", What::Huge, SENT, unnamed()),
        ("without end", What::Endless, SENT, unnamed()),
        ("stops in the middle", What::StallReply, SENDING, unnamed()),
        ("a byte at a time, without end", What::Drip, SENDING, unnamed()),
        ("cut in the middle", What::CutReply, SENT, unnamed()),
        ("half the JSON", What::BrokenJson, SENT, unnamed()),
        ("other JSON", What::Nonsense, SENT, unnamed()),
        ("called HTML", What::WrongType, SENT, Outcome::Taken { named: true }),
        ("elsewhere", elsewhere(302), SENT, Outcome::Next("configuration: HTTP 302")),
        ("elsewhere, as it is", elsewhere(307), SENT, Outcome::Next("configuration: HTTP 307")),
        ("cut before the body", What::CutBefore, SENT, Outcome::Next("no clear answer: ")),
        ("cut after the body", What::CutAfter, SENT, Outcome::Next("no clear answer: ")),
    ];
    for (name, what, prompt, outcome) in cases {
        scene.carrier.order(Told::once(first, Order { on: On::Send, takes: None, what }));
        scene.log_in(name, prompt, &outcome);
    }
    assert!(ear.heard().is_empty(), "{}: redirects are not followed", first.name());
    let log = scene.daemon.log();
    assert!(scene.keys().iter().all(|key| !log.contains(key.as_str())), "{log}");
}

/// The same to the request for a call, and none at all.
fn spoiled_calls(vendors: [Vendor; 2]) {
    let mut scene = Scene::calling(Carrier::start(Settings::default()), vendors);
    let ear = Ear::start();
    let elsewhere = What::Redirect { to: format!("http://{}/", ear.address()), status: 307 };
    let unnamed = || Outcome::Taken { named: false };
    let unclear = || Outcome::Next("no clear answer: ");
    let cases = [
        ("stops in the middle", What::StallReply, CALLING, unnamed()),
        ("a byte at a time, without end", What::Drip, CALLING, unnamed()),
        ("half the JSON", What::BrokenJson, CALLED, unnamed()),
        ("elsewhere", elsewhere, CALLED, Outcome::Next("configuration: HTTP 307")),
        ("cut before the body", What::CutBefore, CALLED, unclear()),
        ("cut after the body", What::CutAfter, CALLED, unclear()),
        ("no reply", What::Stall, CALLING, Outcome::Next("no clear answer: no reply within 8 s")),
    ];
    for (name, what, prompt, outcome) in cases {
        let takes = matches!(outcome, Outcome::Taken { .. });
        let order = Order { on: On::Send, takes: Some(takes), what };
        scene.carrier.order(Told::once(scene.first, order));
        scene.log_in(name, prompt, &outcome);
    }
    assert!(ear.heard().is_empty(), "{}: redirects are not followed", scene.first.name());
    let log = scene.daemon.log();
    assert!(scene.keys().iter().all(|key| !log.contains(key.as_str())), "{log}");
}

/// A server whose certificate nobody vouches for.
fn untrusted(first: Vendor) {
    let carrier = Carrier::start(Settings::default());
    let front = Front::start(&carrier);
    let mut scene = Scene::new(carrier, first, &front.url(first), "");
    scene.log_in("untrusted", SENT, &Outcome::Next("invalid peer certificate: UnknownIssuer"));
    assert_eq!(scene.carrier.count(first).asked, 0, "{}: nothing was said", first.name());
}

/// A server that speaks no TLS.
fn plain_text(first: Vendor) {
    let (carrier, ear) = (Carrier::start(Settings::default()), Ear::start());
    let base = format!("https://localhost:{}", ear.address().port());
    let mut scene = Scene::new(carrier, first, &base, "");
    scene.log_in("no TLS", SENT, &Outcome::Next("received corrupt message"));
    let heard = ear.heard();
    assert!(heard.len() >= 2, "{}: a proof and a login", first.name());
    for begun in heard {
        assert_eq!(begun.first(), Some(&0x16), "{}: the begin of a handshake", first.name());
        for key in scene.keys() {
            let has = begun.windows(key.len()).any(|part| part == key.as_bytes());
            assert!(!has, "{}: {key} arrived", first.name());
        }
    }
}

/// A server whose certificate the site's own authority vouches for.
fn trusted(first: Vendor) {
    let carrier = Carrier::start(Settings::default());
    let front = Front::start(&carrier);
    let more = format!("ca-file = \"{CA_FILE}\"\n");
    let mut scene = Scene::new(carrier, first, &front.url(first), &more);
    scene.log_in("ca-file", SENT, &Outcome::Taken { named: true });
}

fn with_each_vendor(case: fn(Vendor)) {
    thread::scope(|scope| {
        for vendor in Vendor::ALL {
            scope.spawn(move || case(vendor));
        }
    });
}

#[test]
fn a_spoiled_reply_neither_hangs_a_login_nor_takes_a_key_elsewhere() {
    with_each_vendor(spoiled_replies);
}

#[test]
fn a_spoiled_reply_about_a_call_neither_hangs_a_login_nor_takes_a_key_elsewhere() {
    thread::scope(|scope| {
        for (nth, first) in CALLERS.into_iter().enumerate() {
            let second = CALLERS[(nth + 1) % CALLERS.len()];
            scope.spawn(move || spoiled_calls([first, second]));
        }
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for_gets_nothing() {
    with_each_vendor(untrusted);
}

#[test]
fn a_server_without_tls_gets_nothing() {
    with_each_vendor(plain_text);
}

#[test]
fn a_certificate_counts_with_its_authority_in_ca_file() {
    with_each_vendor(trusted);
}
