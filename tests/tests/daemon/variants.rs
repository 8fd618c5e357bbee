//! Other ways into the same vendors: Plivo's flows, and the older versions of Flowroute's API.

use otp_proto::admin::{Channel, Watch};
use otpd_tests::{
    carrier::{
        self, Carrier, Vendor,
        settings::Settings,
        told::{Fate, Told},
    },
    daemon::Place,
    wire::{is_granted, login},
};

use super::{
    people::PEOPLE,
    trail::Watcher,
    vendors::{delivery, gateway},
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

#[test]
fn codes_come_through_a_flow_of_plivos() {
    const FLOW: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";
    let cases = [
        ("a text in our words", Channel::Sms, "{text}", carrier::Channel::Text),
        ("a text in the flow's words", Channel::Sms, "{otp} opens the box", carrier::Channel::Text),
        ("a call", Channel::Voice, "{otp} is the code", carrier::Channel::Call),
    ];
    for (name, channel, words, came) in cases {
        let mut accounts = Settings::default();
        accounts.plivo.phlos = [(FLOW.to_owned(), words.to_owned())].into();
        let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
        let route = [Vendor::Plivo];
        let voice: &[Vendor] = if channel == Channel::Voice { &route } else { &[] };
        let table = gateway(&place, &accounts, Vendor::Plivo, &carrier.url(Vendor::Plivo));
        let settings = place.basics() + &delivery(&route, voice) + &table;
        place.configure(&format!("{settings}phlo-id = \"{FLOW}\"\n"));
        let daemon = place.start();
        daemon.prove(USER, NUMBER, channel, || carrier.next(NUMBER).code());
        let mut wire = daemon.connect();
        let prompted = wire.prompt(&login(USER, None));
        let heard = carrier.next(NUMBER);
        assert_eq!((heard.channel, heard.problem.as_deref()), (came, None), "{name}");
        assert!(is_granted(&wire.answer(&prompted.challenge, &heard.code())), "{name}");
        let path = format!("/v1/account/{}/phlo/{FLOW}", accounts.plivo.auth_id);
        let mode = if channel == Channel::Voice { "call" } else { "sms" };
        for asked in carrier.requests(Vendor::Plivo) {
            assert_eq!((asked.method.as_str(), &asked.path), ("POST", &path), "{name}");
            assert!(asked.body.contains(&format!("\"mode\":\"{mode}\"")), "{name}");
        }
    }
}

#[test]
fn each_version_of_flowroutes_api_sends_and_tells_of_losses() {
    std::thread::scope(|scope| {
        for (version, to) in
            [("v2.2", "+13125550142"), ("v2.1", "13125550142"), ("v2", "13125550142")]
        {
            scope.spawn(move || sends_and_tells_of_losses(version, to));
        }
    });
}

fn sends_and_tells_of_losses(version: &str, to: &str) {
    let (accounts, first, second) = (Settings::default(), Vendor::Flowroute, Vendor::Twilio);
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let tables = [
        delivery(&[first, second], &[]),
        gateway(&place, &accounts, first, &carrier.url(first)),
        format!("api-version = \"{version}\"\n"),
        gateway(&place, &accounts, second, &carrier.url(second)),
    ];
    place.configure(&(place.basics() + &tables.concat()));
    let daemon = place.start();
    daemon.prove(USER, NUMBER, Channel::Sms, || carrier.next(NUMBER).code());
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(USER, None));
    let heard = carrier.next(NUMBER);
    assert_eq!(heard.vendor, first, "{version}");
    assert!(is_granted(&wire.answer(&prompted.challenge, &heard.code())), "{version}");
    for asked in carrier.requests(first).iter().filter(|asked| asked.method == "POST") {
        assert_eq!(asked.path, format!("/{version}/messages"));
        assert!(asked.body.contains(&format!("\"to\":\"{to}\"")), "{version}: {}", asked.body);
    }

    // One that is lost: otpd asks after five seconds, and sends it by the next vendor.
    carrier.fate(Told::once(first, Fate::Failed { code: None, word: None }));
    let prompted = wire.prompt(&login(USER, None));
    let heard = carrier.next(NUMBER);
    assert_eq!(heard.vendor, second, "{version}");
    assert!(is_granted(&wire.answer(&prompted.challenge, &heard.code())), "{version}");
    let of_user = Watch { user: Some(USER.to_owned()), after: Some(0) };
    let lost = Watcher::new(daemon.connect(), &of_user).until("message-undelivered", USER);
    let lost = lost.last().expect("an event");
    assert_eq!(lost.details["gateway"], first.name(), "{version}");
    let questions = carrier.requests(first);
    let question = questions.iter().find(|asked| asked.method == "GET").expect("a question");
    assert!(question.path.starts_with(&format!("/{version}/messages/mdr2-")), "{version}");
    assert_eq!(question.status, Some(200), "{version}");
}
