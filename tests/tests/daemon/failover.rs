//! A vendor that fails and one that does not: each fault, with each vendor as the one that has it,
//! over real HTTP.

use otp_proto::{
    admin::{Channel, GatewayState, Watch},
    event::Event,
};
use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{On, Order, Told, What},
    },
    daemon::{Daemon, Place, hasty},
    wire::{is_granted, login},
};

use super::{
    people::PEOPLE,
    trail::Watcher,
    vendors::{after, delivery, gateway},
    web::Web,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// Nobody listens there: it is no port that programs are given.
const NOBODY: &str = "http://127.0.0.1:1";

/// What is wrong with the first vendor.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nobody is there.
    Down,
    /// It takes the message, and says so when the prompt is there already.
    Late,
    /// It never answers, and took nothing.
    Silent,
    /// It never answers, but has taken the message: by the time that the next one is to be asked, the
    /// login is over.
    SilentAndTaken,
    /// It does not know our key.
    Key,
    /// It wants to be asked later.
    Busy,
    /// It reads all, takes nothing, and hangs up without a word.
    Cut,
    /// It hangs up without a word as well, but has taken the message.
    CutAndTaken,
}

const FAULTS: [Fault; 8] = [
    Fault::Down,
    Fault::Late,
    Fault::Silent,
    Fault::SilentAndTaken,
    Fault::Key,
    Fault::Busy,
    Fault::Cut,
    Fault::CutAndTaken,
];

/// What a fault leads to.
struct Expected {
    /// What the first vendor does with a message, and whether it takes it where that does not say.
    order: Option<(What, Option<bool>)>,
    /// How the prompt begins.
    prompt: &'static str,
    /// Who brings the code: the first, the second, or both, and then it is the same.
    brought_by: (bool, bool),
    /// What is written down about the first; `None`: it took the message.
    reason: Option<&'static str>,
    /// Whether the first is left alone from then on.
    rests: bool,
}

const SENT: &str = "Code sent by text message to the number ending 42";
const SENDING: &str = "A code is being sent by text message to the number ending 42";

fn expected(fault: Fault, first: Vendor) -> Expected {
    let second = (false, true);
    let cut = Expected {
        order: Some((What::CutAfter, None)),
        prompt: SENT,
        brought_by: second,
        reason: Some("no clear answer: "),
        rests: false,
    };
    match fault {
        Fault::Down => Expected { order: None, reason: Some("Connection refused"), ..cut },
        Fault::Late => Expected {
            order: Some((What::Stall, None)),
            prompt: SENDING,
            brought_by: (true, false),
            reason: None,
            rests: false,
        },
        Fault::Silent => Expected {
            order: Some((What::Stall, Some(false))),
            prompt: SENDING,
            reason: Some("no clear answer: no reply within 8 s"),
            ..cut
        },
        Fault::SilentAndTaken => Expected {
            order: Some((What::Stall, Some(true))),
            brought_by: (true, false),
            ..expected(Fault::Silent, first)
        },
        Fault::Key => Expected {
            order: Some((What::Refuse { code: unauthorized(first).to_owned() }, None)),
            reason: Some("configuration: HTTP 401"),
            ..cut
        },
        Fault::Busy => Expected {
            order: Some((What::TooMany { retry_after: Some(60) }, None)),
            reason: Some("HTTP 429"),
            rests: true,
            ..cut
        },
        Fault::Cut => cut,
        Fault::CutAndTaken => {
            Expected { order: Some((What::CutAfter, Some(true))), brought_by: (true, true), ..cut }
        }
    }
}

/// How a vendor calls a key that it does not know.
fn unauthorized(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Flowroute | Vendor::Plivo => "401",
        Vendor::Telnyx => "10009",
        Vendor::SignalWire | Vendor::Twilio => "20003",
    }
}

/// What a daemon sends by: `first`, and then the one after it.
fn routes(place: &Place, carrier: &Carrier, first: Vendor, base: &str) -> String {
    let (accounts, second) = (Settings::default(), after(first));
    let tables = [
        delivery(&[first, second], &[]),
        gateway(place, &accounts, first, base),
        gateway(place, &accounts, second, &carrier.url(second)),
    ];
    place.basics() + &tables.concat()
}

/// A daemon with these settings, and somebody who is enrolled.
fn daemon(place: &Place, carrier: &Carrier, settings: &str) -> Daemon {
    place.configure(settings);
    let daemon = place.start();
    daemon.prove(USER, NUMBER, Channel::Sms, || carrier.next(NUMBER).code());
    daemon
}

fn a_login_gets_its_code(fault: Fault, first: Vendor) {
    let name = format!("{fault:?}, {}", first.name());
    let Expected { order, prompt, brought_by, reason, rests } = expected(fault, first);
    let second = after(first);
    let (place, carrier) = (Place::empty(), Carrier::start(Settings::default()));
    let base = if order.is_some() { carrier.url(first) } else { NOBODY.to_owned() };
    let settings = routes(&place, &carrier, first, &base);
    let settings = if prompt == SENDING { hasty(&settings) } else { settings };
    let mut daemon = daemon(&place, &carrier, &settings);
    let of_user = Watch { user: Some(USER.to_owned()), after: Some(0) };
    let mut trail = Watcher::new(daemon.connect(), &of_user);
    trail.deliveries(1);
    let charged = daemon.show(USER).sends_24h;
    if let Some((what, takes)) = order {
        carrier.order(Told::once(first, Order { on: On::Send, takes, what }));
    }

    let mut wire = daemon.connect();
    // Where the vendor says nothing its words tell that it did not wait for the next one either.
    let prompted = wire.prompt(&login(USER, None));
    assert!(prompted.text.starts_with(prompt), "{name}: {}", prompted.text);
    if let Fault::Late = fault {
        carrier.behave();
    }
    let count = usize::from(brought_by.0) + usize::from(brought_by.1);
    let brought: Vec<_> = (0..count).map(|_| carrier.next(NUMBER)).collect();
    let by: Vec<_> = brought.iter().map(|heard| heard.vendor).collect();
    let mut vendors = vec![first, second];
    vendors.retain(|vendor| if *vendor == first { brought_by.0 } else { brought_by.1 });
    assert_eq!(by, vendors, "{name}");
    let code = brought[0].code();
    assert!(brought.iter().all(|heard| heard.code() == code), "{name}: one code");
    assert!(is_granted(&wire.answer(&prompted.challenge, &code)), "{name}");

    let delivered = trail.deliveries(1);
    let (last, failed) = delivered.split_last().expect("an event");
    let taker = if brought_by.1 { second } else { first };
    // That the first took it is never known where it did not say so.
    let known = brought_by.1 || reason.is_none();
    let Event::MessageSent { gateway, certain, .. } = last else { panic!("{name}: {last:?}") };
    assert_eq!((gateway.as_str(), *certain), (taker.name(), known), "{name}");
    match (reason, failed) {
        (None, []) => {}
        (Some(expected), [Event::MessageFailed { gateway, reason }]) => {
            assert_eq!(gateway, first.name(), "{name}");
            assert!(reason.contains(expected), "{name}: {reason}");
            daemon.wait_for("event=\"message-failed\"");
        }
        (_, failed) => panic!("{name}: {failed:?}"),
    }
    assert_eq!(daemon.show(USER).sends_24h, charged + 1, "{name}: one message, whoever tried");
    assert!(carrier.pending(NUMBER).is_none(), "{name}: nothing else was sent");
    let gateways = daemon.status().gateways;
    let state = gateways.iter().find(|one| one.name == first.name()).map(|one| one.state);
    let expected = if rests { GatewayState::Resting } else { GatewayState::Ready };
    assert_eq!(state, Some(expected), "{name}");
    assert!(daemon.is_running(), "{name}");
}

#[test]
fn the_next_vendor_brings_what_the_first_does_not() {
    std::thread::scope(|scope| {
        for first in Vendor::ALL {
            scope.spawn(move || FAULTS.map(|fault| a_login_gets_its_code(fault, first)));
        }
    });
}

/// That it is asked again after its rest is shown where the time can be set, by the route's own tests.
#[test]
fn a_vendor_that_fails_five_times_in_a_row_is_left_alone() {
    let first = Vendor::Telnyx;
    let (place, carrier, web) = (Place::empty(), Carrier::start(Settings::default()), Web::new());
    let settings = routes(&place, &carrier, first, &carrier.url(first)) + &web.settings();
    let daemon = daemon(&place, &carrier, &settings);
    let asked = || carrier.requests(first).iter().filter(|one| one.method == "POST").count();
    let resting = || {
        let text = web.metrics();
        let state = "otpd_gateway_state{gateway=\"telnyx\",kind=\"telnyx\",state=\"resting\"} ";
        text.lines().find_map(|line| line.strip_prefix(state).map(str::to_owned))
    };
    let before = asked();
    let refuse = What::Refuse { code: unauthorized(first).to_owned() };
    carrier.order(Told::always(first, Order { on: On::Send, takes: None, what: refuse }));
    for failures in 1..=7 {
        let mut wire = daemon.connect();
        let prompted = wire.prompt(&login(USER, None));
        let heard = carrier.next(NUMBER);
        assert_eq!(heard.vendor, after(first), "login {failures}");
        assert!(is_granted(&wire.answer(&prompted.challenge, &heard.code())), "login {failures}");
        assert_eq!(asked() - before, failures.min(5), "login {failures}");
        let expected = if failures < 5 { "0" } else { "1" };
        assert_eq!(resting().as_deref(), Some(expected), "login {failures}");
    }
    let (reason, state) = {
        let status = daemon.status();
        let one = status.gateways.iter().find(|one| one.name == first.name()).expect("a gateway");
        (one.reason.clone().expect("a reason"), one.state)
    };
    assert_eq!(state, GatewayState::Resting);
    assert!(reason.contains("HTTP 401"), "{reason}");
}
