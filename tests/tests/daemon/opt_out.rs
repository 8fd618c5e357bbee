//! Who replied STOP gets nothing more, through the real process and otpctl.

use otp_proto::{
    admin::{Channel, RecoveryCodes, Watch},
    login::Step,
};
use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{Fate, Told},
    },
    daemon::{Daemon, Place},
    phone::Phone,
    postgres::Server,
    wire::{is_denied, is_granted, login},
};
use serde_json::Value;

use super::{
    people::{PEOPLE, outcome},
    trail::Watcher,
    vendors::{after, delivery, gateway},
    web::Web,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;
const OTHER: &str = PEOPLE[1].0;

/// A program that says: this person wants no more messages.
const STOP: &str = r#"
[gateway.stop]
kind = "command"
program = ["/bin/sh", "-c", "exit 79", "{to}"]
"#;

/// A daemon whose user's number a vendor says to have opted out.
fn stopped(place: &Place, phone: &Phone) -> Daemon {
    place.configure(&(place.settings(phone) + STOP));
    let daemon = place.start();
    daemon.enroll(phone, USER, NUMBER);
    let (exit, _, stderr) = outcome(place.otpctl(&["test-message", NUMBER, "--gateway", "stop"]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("stop: the person stopped messages by a reply with STOP"), "{stderr}");
    daemon.wait_for("event=\"opted-out\"");
    daemon
}

fn opted_out_at(place: &Place) -> Value {
    let (exit, stdout, _) = outcome(place.otpctl(&["show", USER, "--json"]));
    assert_eq!(exit, Some(0));
    let shown: Value = serde_json::from_str(&stdout).expect("JSON");
    shown["opted_out_at"].clone()
}

/// The login that is turned away says what to do, and its request id tells the administrator why.
fn told_and_explained(place: &Place, step: &Step) {
    let text = step.text.as_deref().expect("words");
    let ending = &NUMBER[NUMBER.len() - 2..];
    let said = format!("Messages to the number ending {ending} were stopped by a reply with STOP.");
    assert!(text.starts_with(&said), "{text}");
    assert!(text.contains("send START to their sender, and then ask your"), "{text}");
    assert!(text.contains(&format!("otpctl unlock {USER}")), "{text}");
    let request = text.split("Request id ").nth(1).expect("a request id");
    let (exit, story, _) = outcome(place.otpctl(&["explain", request]));
    assert_eq!(exit, Some(0), "{story}");
    let why = "messages to the number were stopped by a reply with STOP";
    assert!(story.contains(why), "{story}");
    assert!(story.contains(&format!("otpctl unlock {USER}")), "{story}");
}

#[test]
fn it_is_shown_and_said_and_holds_across_a_restart() {
    let phone = Phone::start();
    let place = Place::empty();
    stopped(&place, &phone).kill();
    let daemon = place.start();
    let (_, shown, _) = outcome(place.otpctl(&["show", USER]));
    assert!(shown.contains("opted out since 2") && shown.contains("(stop)"), "{shown}");
    assert!(opted_out_at(&place).is_string());
    let (_, list, _) = outcome(place.otpctl(&["list"]));
    assert!(list.contains("active, opted out"), "{list}");
    let begun = daemon.connect().begin(USER);
    assert!(is_denied(&begun.step) && begun.challenge.is_none());
    told_and_explained(&place, &begun.step);
    let refusals: [&[&str]; 3] = [
        &["test-message", NUMBER],
        &["enroll", OTHER, NUMBER],
        &["enroll", USER, NUMBER, "--replace", "--yes"],
    ];
    for arguments in refusals {
        let (exit, _, stderr) = outcome(place.otpctl(arguments));
        assert_eq!(exit, Some(1), "{arguments:?}");
        let why = "messages to this number were stopped by a reply with STOP";
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    assert!(phone.pending().is_none(), "nothing was sent");
    let (_, log, _) = outcome(place.otpctl(&["log"]));
    assert!(log.contains("messages stopped by a reply with STOP"), "{log}");
    assert!(log.contains("login denied: opted-out"), "{log}");
}

#[test]
fn an_administrator_can_undo_it() {
    let phone = Phone::start();
    let place = Place::empty();
    let daemon = stopped(&place, &phone);
    let (exit, stdout, _) = outcome(place.otpctl(&["unlock", USER]));
    assert_eq!(exit, Some(0));
    assert!(stdout.contains("\nMessages may go to ") && !stdout.contains(NUMBER), "{stdout}");
    assert!(opted_out_at(&place).is_null());
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));
    let (_, log, _) = outcome(place.otpctl(&["log", "--user", USER]));
    assert!(log.contains("messages allowed again"), "{log}");
    let (_, stdout, _) = outcome(place.otpctl(&["unlock", USER]));
    assert!(!stdout.contains("Messages may go"), "{stdout}");
}

#[test]
fn a_recovery_code_lets_in_who_gets_no_messages() {
    let phone = Phone::start();
    let place = Place::empty();
    let daemon = stopped(&place, &phone);
    let mut wire = daemon.connect();
    let made = wire.call(&RecoveryCodes { user: USER.to_owned() }).expect("codes");
    let prompted = wire.prompt(&login(USER, None));
    let text = &prompted.text;
    assert!(text.contains("stopped by a reply with STOP"), "{text}");
    assert!(text.contains("recovery code"), "{text}");
    // Asking again does not get around it.
    for typed in ["r", "v"] {
        let step = wire.answer(&prompted.challenge, typed);
        assert!(step.prompt.is_some(), "{typed}: {step:?}");
    }
    assert!(phone.pending().is_none(), "nothing was sent");
    let code = made.codes.first().expect("a code").expose();
    assert!(is_granted(&wire.answer(&prompted.challenge, code)));
    assert!(phone.pending().is_none(), "nothing was sent");
}

#[test]
fn what_one_vendor_was_told_holds_for_all_of_them() {
    std::thread::scope(|scope| {
        for vendor in Vendor::ALL {
            scope.spawn(move || refused_by(vendor));
        }
    });
}

/// Accounts that every Debian has, and the numbers that this test gives them.
const SIX: [(&str, &str); 6] = [
    PEOPLE[0],
    PEOPLE[1],
    PEOPLE[2],
    PEOPLE[3],
    ("games", "+13125550146"),
    ("uucp", "+13125550147"),
];

/// One that says so at once, and one that takes each message and says so later.
#[test]
fn a_vendor_that_says_it_of_everybody_is_not_believed_and_keeps_nobody_out() {
    std::thread::scope(|scope| {
        for vendor in [Vendor::Twilio, Vendor::Plivo] {
            scope.spawn(move || disbelieved(vendor));
        }
    });
}

fn disbelieved(first: Vendor) {
    let (web, mut accounts, second) = (Web::new(), Settings::default(), after(first));
    accounts.twilio.inbound = Some(web.receipts(Vendor::Twilio));
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let table = |vendor| gateway(&place, &accounts, vendor, &carrier.url(vendor));
    let settings = [web.settings(), delivery(&[first, second], &[]), table(first), table(second)];
    place.configure(&(place.basics() + &settings.concat()));
    let daemon = place.start();
    let of_all = Watch { user: None, after: Some(0) };
    let mut watcher = Watcher::new(daemon.connect(), &of_all);
    // No report that one of these arrived comes late, between the refusals.
    carrier.fate(Told::always(first, Fate::Sent));
    for (user, number) in SIX {
        daemon.prove(user, number, Channel::Sms, || carrier.next(number).code());
        carrier.stop(first, "", number, true);
    }
    let gets_in = |(user, number): (&str, &str)| {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(user, None)).challenge;
        let text = carrier.next(number);
        assert_eq!(text.vendor, second, "{first:?} {user}");
        assert!(is_granted(&wire.answer(&challenge, &text.code())), "{first:?} {user}");
        assert!(daemon.show(user).opted_out.is_none(), "{first:?} {user}");
    };
    for (user, _) in &SIX[..4] {
        let mut wire = daemon.connect();
        let _begun = wire.begin(user);
        watcher.until("opted-out", user);
        assert!(daemon.show(user).opted_out.is_some(), "{first:?} {user}");
    }
    gets_in(SIX[4]);
    for (user, _) in &SIX[..4] {
        watcher.until("opt-out-undone", user);
    }
    daemon.wait_for("it says that 5 people in a row opted out");
    // Nobody is kept out any more, nor is who comes next.
    SIX.into_iter().for_each(gets_in);
    if first == Vendor::Twilio {
        // What the person writes is another matter.
        let (user, number) = SIX[5];
        let sender = accounts.twilio.numbers[0].as_str();
        assert_eq!(carrier.write(first, number, sender, "STOP"), Some(200));
        watcher.until("opted-out", user);
        assert!(is_denied(&daemon.connect().begin(user).step));
    }
}

/// The vendor knows of the STOP, and the daemon learns of it when it sends.
fn refused_by(first: Vendor) {
    let name = first.name();
    let (web, accounts, second) = (Web::new(), Settings::default(), after(first));
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let table = |vendor| gateway(&place, &accounts, vendor, &carrier.url(vendor));
    let settings = [web.settings(), delivery(&[first, second], &[]), table(first), table(second)];
    place.configure(&(place.basics() + &settings.concat()));
    let daemon = place.start();
    daemon.prove(USER, NUMBER, Channel::Sms, || carrier.next(NUMBER).code());
    carrier.stop(first, "", NUMBER, true);

    let begun = daemon.connect().begin(USER);
    // Plivo takes the message, and reports later that it sends nothing to this person.
    if first != Vendor::Plivo {
        let text = begun.step.text.clone().or(begun.step.prompt.map(|prompt| prompt.text));
        let text = text.expect("words");
        assert!(text.contains("were stopped by a reply with STOP"), "{name}: {text}");
    }
    let of_user = Watch { user: Some(USER.to_owned()), after: Some(0) };
    let learned = Watcher::new(daemon.connect(), &of_user).until("opted-out", USER);
    assert_eq!(learned.last().expect("an event").details["gateway"], name);
    let denied = daemon.connect().begin(USER);
    assert!(is_denied(&denied.step) && denied.challenge.is_none(), "{name}: {:?}", denied.step);
    assert_eq!(daemon.show(USER).opted_out.expect("an opt-out").gateway, name);
    told_and_explained(&place, &denied.step);
    let asked = carrier.requests(first).iter().filter(|asked| asked.method == "POST").count();
    assert_eq!((asked, carrier.count(second).asked), (2, 0), "{name}: a proof and a login");
    assert!(carrier.pending(NUMBER).is_none(), "{name}: nothing was sent");
}

/// The vendor was thanked for it, and alone knows of it from then on.
#[test]
fn a_stop_that_cannot_be_written_down_before_the_end_is_said() {
    let (web, mut server) = (Web::new(), Server::start());
    let mut accounts = Settings::default();
    accounts.twilio.inbound = Some(web.receipts(Vendor::Twilio));
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let table = gateway(&place, &accounts, Vendor::Twilio, &carrier.url(Vendor::Twilio));
    let settings = web.settings() + &delivery(&[Vendor::Twilio], &[]) + &table;
    place.configure(&(place.basics() + &settings));
    place.keep_at(&server.url());
    let daemon = place.start();
    daemon.prove(USER, NUMBER, Channel::Sms, || carrier.next(NUMBER).code());
    server.kill();
    let sender = accounts.twilio.numbers[0].as_str();
    assert_eq!(carrier.write(Vendor::Twilio, NUMBER, sender, "STOP"), Some(200));
    daemon.wait_for("a read of the store failed");
    daemon.terminate();
    daemon.wait_for("what people asked of a sender was not recorded before the end");
    assert!(daemon.wait().success());
}
