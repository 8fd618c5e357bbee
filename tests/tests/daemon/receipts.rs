//! What carriers tell by themselves, through the real process.

use otp_proto::{
    Secret,
    admin::{Channel, Enroll, Verify},
};
use otpd_tests::{
    carrier::{
        Carrier, Heard, Vendor,
        settings::Settings,
        told::{Event, Fate, Flaw, Flawed, Habits, Presses, Told},
    },
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_granted, login},
};

use super::{
    people::PEOPLE,
    vendors::{gateway, texml},
    web::Web,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// Twilio's stand-in as a gateway.
fn twilio(carrier: &Carrier, place: &Place) -> String {
    let account = Settings::default().twilio;
    place.keep("twilio.token", &account.auth_token);
    format!(
        "\n[gateway.twilio]\nkind = \"twilio\"\nbase-url = \"{}\"\naccount-sid = \"{}\"\n\
         auth-token-file = \"twilio.token\"\nfrom = \"{}\"\n",
        carrier.url(Vendor::Twilio),
        account.account_sid,
        account.numbers[0],
    )
}

#[test]
fn a_loss_of_a_message_from_before_the_restart_brings_a_fresh_code_by_the_next_gateway() {
    let (phone, carrier) = (Phone::start(), Carrier::start(Settings::default()));
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, NUMBER);
    daemon.kill();
    let by_twilio =
        place.settings(&phone).replace("sms = [\"phone\"]", "sms = [\"twilio\", \"phone\"]");
    let settings = by_twilio + &Web::new().settings() + &twilio(&carrier, &place);
    place.configure(&settings);
    carrier.fate(Told::always(Vendor::Twilio, Fate::Sent));

    let daemon = place.start();
    let begin = login(USER, Some("192.0.2.7 40000 192.0.2.1 22 0123456789abcdef"));
    let prompted = daemon.connect().prompt(&begin);
    assert!(prompted.text.contains("Code sent"), "{}", prompted.text);
    let first = carrier.next(NUMBER);
    daemon.kill();
    let daemon = place.start();
    carrier.status(&first.id, "undelivered", Some("30003"));
    let fresh = phone.next().code();
    assert_ne!(fresh, first.code());

    let mut wire = daemon.connect();
    let text = wire.answer(&prompted.challenge, &first.code()).prompt.expect("a prompt").text;
    assert!(text.contains("earlier code"), "{text}");
    assert!(is_granted(&wire.answer(&prompted.challenge, &fresh)));
    assert_eq!(daemon.show(USER).failures_24h, 0, "no try was used");
    // Once, however often it is told: what was taken is acted on before the daemon ends.
    carrier.status(&first.id, "undelivered", Some("30003"));
    daemon.terminate();
    assert!(daemon.wait().success());
    let _daemon = place.start();
    let log = place.otpctl(&["log"]).output().expect("otpctl runs").stdout;
    let log = String::from_utf8(log).expect("UTF-8");
    assert_eq!(log.matches("message did not arrive").count(), 1, "{log}");
    assert!(phone.pending().is_none() && carrier.pending(NUMBER).is_none());
}

/// Telnyx's stand-in as a gateway that calls.
fn telnyx(carrier: &Carrier, place: &Place) -> String {
    let base = carrier.url(Vendor::Telnyx);
    gateway(place, &Settings::default(), Vendor::Telnyx, &base) + &texml(carrier)
}

/// The code that a call says, digit by digit.
pub(crate) fn spoken(call: &Heard) -> String {
    assert_eq!(call.problem, None, "{}", call.text);
    let said = call.text.split("is: ").nth(1).expect("a code");
    said.chars().filter(char::is_ascii_digit).take(6).collect()
}

/// A daemon that calls by Telnyx, and else by Twilio; somebody proved their number by such a call.
fn calling(phone: &Phone, carrier: &Carrier) -> (Place, Daemon) {
    let place = Place::empty();
    let routes = "sms = [\"phone\"]\nvoice = [\"telnyx\", \"twilio\"]";
    let settings = place.settings(phone).replace("sms = [\"phone\"]", routes)
        + &Web::new().settings()
        + &telnyx(carrier, &place)
        + &twilio(carrier, &place);
    place.configure(&settings);
    let keys = Habits { presses: Presses::Named, ..Habits::default() };
    carrier.habits(NUMBER, keys);
    let daemon = place.start();
    let (user, phone) = (USER.to_owned(), Secret::new(NUMBER.to_owned()));
    let enroll = Enroll { user, phone, channel: Some(Channel::Voice), replace: false };
    daemon.connect().call(&enroll).expect("enrolled");
    let call = carrier.next(NUMBER);
    assert_eq!(call.vendor, Vendor::Telnyx);
    let verify = Verify { user: USER.to_owned(), code: Secret::new(spoken(&call)) };
    daemon.connect().call(&verify).expect("verified");
    // That it was taken is told too, and is the end of it.
    daemon.wait_for("event=\"message-status\"");
    (place, daemon)
}

/// As a mailbox would do that plays a tone; a person does so by a slip.
#[test]
fn who_presses_another_key_hears_no_code_and_is_called_again() {
    let (phone, carrier) = (Phone::start(), Carrier::start(Settings::default()));
    let (_place, daemon) = calling(&phone, &carrier);
    carrier.habits(NUMBER, Habits { presses: Presses::Other, ..Habits::default() });
    let mut waiting = daemon.connect();
    let _prompted = waiting.prompt(&login(USER, None));
    let call = carrier.next(NUMBER);
    assert_eq!((call.problem.as_deref(), call.pressed.len()), (None, 1), "{}", call.text);
    assert!(call.text.ends_with("Please ask for another call."), "{}", call.text);
    assert!(!call.text.contains("is: "), "{}", call.text);
    daemon.wait_for("event=\"call-key-wrong\"");
    carrier.habits(NUMBER, Habits { presses: Presses::Named, ..Habits::default() });
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(USER, None));
    assert!(is_granted(&wire.answer(&prompted.challenge, &spoken(&carrier.next(NUMBER)))));
}

const LOST: Fate = Fate::Failed { code: None, word: None };

/// Telnyx names no call when it takes it: what it reports is known by the URL alone.
#[test]
fn a_call_that_the_vendor_does_not_name_and_that_fails_is_made_again_by_the_next_gateway() {
    let (phone, carrier) = (Phone::start(), Carrier::start(Settings::default()));
    let (_place, daemon) = calling(&phone, &carrier);
    carrier.fate(Told::once(Vendor::Telnyx, LOST));
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(USER, None));
    let call = carrier.next(NUMBER);
    assert_eq!(call.vendor, Vendor::Twilio);
    daemon.wait_for("sent-again");
    assert!(is_granted(&wire.answer(&prompted.challenge, &spoken(&call))));
    let asked = carrier.requests(Vendor::Telnyx);
    assert!(asked.iter().all(|asked| asked.method == "POST"), "there is no name to ask by");
}

#[test]
fn such_a_call_is_known_after_a_restart_as_well() {
    let (phone, carrier) = (Phone::start(), Carrier::start(Settings::default()));
    let (place, daemon) = calling(&phone, &carrier);
    let before = carrier.callbacks(Vendor::Telnyx, 1).len();
    carrier.fate(Told::once(Vendor::Telnyx, LOST));
    let held = Flawed { flaw: Flaw::Held, event: Some(Event::Receipt) };
    carrier.flaw(Told::once(Vendor::Telnyx, held));
    let prompted = daemon.connect().prompt(&login(USER, None));
    let callbacks = carrier.callbacks(Vendor::Telnyx, before + 1);
    let report = callbacks.last().expect("the one that is held");
    assert!(report.held, "{report:?}");
    daemon.kill();
    let daemon = place.start();
    assert_eq!(carrier.call_back(report), 200);
    let call = carrier.next(NUMBER);
    assert_eq!(call.vendor, Vendor::Twilio);
    assert!(is_granted(&daemon.connect().answer(&prompted.challenge, &spoken(&call))));
}
