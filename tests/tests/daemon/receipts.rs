//! What carriers tell by themselves, through the real process.

use std::net::TcpListener;

use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{Fate, Told},
    },
    daemon::Place,
    phone::Phone,
    wire::{is_granted, login},
};

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// `[http]`, reached without a proxy.
pub(crate) fn http(port: u16, admin: u16) -> String {
    format!(
        "\n[http]\nlisten = \"127.0.0.1:{port}\"\npublic-url = \"http://127.0.0.1:{port}\"\n\
         admin-listen = \"127.0.0.1:{admin}\"\n"
    )
}

/// Twilio's stand-in as a gateway.
fn twilio(carrier: &Carrier, place: &Place) -> String {
    let account = Settings::default().twilio;
    place.write("twilio.token", &account.auth_token);
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
    let settings = by_twilio + &http(free_port(), free_port()) + &twilio(&carrier, &place);
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
    // Once, however often it is told.
    carrier.status(&first.id, "undelivered", Some("30003"));
    daemon.wait_for("message-undelivered");
    assert_eq!(daemon.log().matches("message-undelivered").count(), 1);
    assert!(phone.pending().is_none() && carrier.pending(NUMBER).is_none());
}
