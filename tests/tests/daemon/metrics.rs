//! What `/metrics` says after real logins, as Prometheus' own checker reads it.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use otp_proto::admin::{Channel, Watch};
use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{Event, Fate, Flaw, Flawed, Order, Told, What},
    },
    daemon::{Daemon, Place},
    wire::{is_denied, is_granted, login, wrong},
};

use super::{
    people::PEOPLE,
    trail::Watcher,
    vendors::{delivery, gateway},
    web::Web,
};

/// Every name of a label; a person can bring in none of their values.
const LABELS: [&str; 6] = ["channel", "gateway", "kind", "le", "outcome", "state"];

/// Two gateways that report to a daemon whose people are enrolled.
fn daemon(place: &Place, web: &Web, carrier: &Carrier, accounts: &Settings) -> Daemon {
    let route = [Vendor::Twilio, Vendor::Plivo];
    let tables = route.map(|vendor| gateway(place, accounts, vendor, &carrier.url(vendor)));
    place
        .configure(&(place.basics() + &web.settings() + &delivery(&route, &[]) + &tables.concat()));
    let daemon = place.start();
    for (user, number) in &PEOPLE[..2] {
        daemon.prove(user, number, Channel::Sms, || carrier.next(number).code());
    }
    daemon
}

/// What Prometheus' checker says: nothing where all is well.
fn checked(text: &str) -> (Option<i32>, String) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs; it is in Debian's package prometheus");
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("UTF-8"))
}

/// The value of a sample; `None` where there is none.
fn value(text: &str, sample: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().expect("a whole number"))
}

/// The labels of all samples: names and values.
fn labels(text: &str) -> BTreeSet<(&str, &str)> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let inside = samples.filter_map(|line| line.split_once('{')?.1.split_once('}'));
    let pairs = inside.flat_map(|(labels, _)| labels.split("\","));
    pairs.map(|pair| pair.split_once("=\"").expect("a label")).collect()
}

#[test]
fn promtool_has_nothing_to_say_and_labels_name_nobody() {
    let web = Web::new();
    let mut accounts = Settings::default();
    accounts.twilio.inbound = Some(web.receipts(Vendor::Twilio));
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let daemon = daemon(&place, &web, &carrier, &accounts);
    let [(man, number), (lp, other), ..] = PEOPLE;
    let mut wire = daemon.connect();

    // A wrong code, and the right one.
    let challenge = wire.prompt(&login(man, Some("203.0.113.9 1 192.0.2.1 22 aa"))).challenge;
    let code = carrier.next(number).code();
    assert!(wire.answer(&challenge, &wrong(&code, 0)).prompt.is_some());
    assert!(is_granted(&wire.answer(&challenge, &code)));
    // A vendor that refuses our key, and the next one.
    let refusal = What::Refuse { code: "20003".to_owned() };
    carrier.order(Told::once(Vendor::Twilio, Order::from(refusal)));
    let challenge = wire.prompt(&login(man, None)).challenge;
    let heard = carrier.next(number);
    assert_eq!(heard.vendor, Vendor::Plivo);
    assert!(is_granted(&wire.answer(&challenge, &heard.code())));
    // A message that is lost on its way, as its carrier reports, and comes by the other vendor.
    carrier
        .fate(Told::once(Vendor::Twilio, Fate::Failed { code: Some("30003".into()), word: None }));
    let challenge = wire.prompt(&login(man, None)).challenge;
    let heard = carrier.next(number);
    assert_eq!(heard.vendor, Vendor::Plivo, "sent again by itself");
    assert!(is_granted(&wire.answer(&challenge, &heard.code())));
    // Somebody who says that they are the vendor.
    let forged = Flawed { flaw: Flaw::WrongSignature, event: Some(Event::Inbound) };
    carrier.flaw(Told::once(Vendor::Twilio, forged));
    let sender = accounts.twilio.numbers[0].as_str();
    assert_eq!(carrier.write(Vendor::Twilio, other, sender, "STOP"), Some(404));
    // Who writes STOP gets nothing more.
    assert_eq!(carrier.write(Vendor::Twilio, other, sender, "STOP"), Some(200));
    daemon.wait_for("event=\"opted-out\"");
    assert!(is_denied(&wire.begin(lp).step));
    assert!(is_denied(&wire.begin("nobody").step), "no account of ours");

    // What was counted by then is in the trail: each message that a vendor took.
    let of_man = Watch { user: Some(man.to_owned()), after: Some(0) };
    Watcher::new(daemon.connect(), &of_man).deliveries(5);
    // And a login is answered before it is counted.
    let counted = |text: &String| text.contains("otpd_logins_total{outcome=\"denied\"} 2");
    let text = (0..2000).map(|_| web.metrics()).find(counted).unwrap_or_else(|| web.metrics());
    assert_eq!(checked(&text), (Some(0), String::new()), "{text}");
    let samples = [
        ("otpd_logins_total{outcome=\"granted\"}", 3),
        ("otpd_logins_total{outcome=\"denied\"}", 2),
        ("otpd_logins_unwritten_total", 0),
        ("otpd_messages_total{gateway=\"twilio\",channel=\"sms\",outcome=\"misconfigured\"}", 1),
        ("otpd_messages_total{gateway=\"twilio\",channel=\"sms\",outcome=\"accepted\"}", 4),
        ("otpd_messages_total{gateway=\"plivo\",channel=\"sms\",outcome=\"accepted\"}", 2),
        ("otpd_messages_undelivered_total{gateway=\"twilio\"}", 1),
        ("otpd_receipts_total{gateway=\"twilio\",outcome=\"refused\"}", 1),
        ("otpd_gateway_state{gateway=\"twilio\",kind=\"twilio\",state=\"ready\"}", 1),
        ("otpd_enrolled_accounts{state=\"active\"}", 2),
        ("otpd_live_challenges", 0),
    ];
    for (sample, expected) in samples {
        assert_eq!(value(&text, sample), Some(expected), "{sample} in {text}");
    }
    let guide = include_str!("../../../packaging/doc/guide.md");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().expect("a name");
        assert!(guide.contains(&format!("`{name}")), "the guide does not name {name}");
    }
    let taken = value(&text, "otpd_receipts_total{gateway=\"twilio\",outcome=\"taken\"}");
    assert!(taken.is_some_and(|taken| taken >= 2), "a loss and a STOP at least: {text}");
    for (name, value) in labels(&text) {
        assert!(LABELS.contains(&name), "{name}=\"{value}\"");
        // The bounds of a histogram are numbers, and nobody's.
        let digits = name != "le" && value.bytes().any(|byte| byte.is_ascii_digit());
        let named = PEOPLE.iter().any(|(user, _)| value.contains(user));
        assert!(!digits && !named, "{name}=\"{value}\"");
    }
}

#[test]
fn promtool_would_have_something_to_say() {
    let (status, said) = checked("# TYPE otpd_logins counter\notpd_logins 1\n");
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("counter metrics should have \"_total\" suffix"), "{said}");
}
