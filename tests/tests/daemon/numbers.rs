//! Test messages, numbers in full and numbers in national form, by otpctl and the real daemon.

use std::fs;

use otp_proto::admin::{State, Status};
use otpd_tests::{
    daemon::{ADMIN_GROUP, Place},
    phone::Phone,
    wire::frame,
};
use serde_json::json;

use super::people::{PEOPLE, ids, outcome, relay};

const NUMBER: &str = "+13125550142";

#[test]
fn a_test_message_has_no_code_and_is_charged_and_written_down() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for _ in 0..3 {
        let (exit, stdout, stderr) = outcome(place.otpctl(&["test-message", NUMBER]));
        assert_eq!((exit, &*stderr), (Some(0), ""));
        assert!(stdout.starts_with("phone took the message (ref "), "{stdout}");
        assert!(stdout.contains(", its id m-1)"), "{stdout}");
        let text = phone.next();
        assert_eq!(text.to, NUMBER);
        let reference = text.text.split("ref ").nth(1).and_then(|rest| rest.get(..2));
        let reference = reference.expect("a reference");
        let expected = format!("Test message of otpd on box, ref {reference}. Nothing to do.");
        assert_eq!(text.text, expected);
        assert!(stdout.contains(&format!("(ref {reference},")), "{stdout}");
    }
    daemon.wait_for("event=\"test-message\"");
    daemon.wait_for("\"country\":\"US\",\"ending\":\"42\"");
    let (exit, _, stderr) = outcome(place.otpctl(&["test-message", NUMBER]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("the limit unverified-number-per-day holds since"), "{stderr}");
    // They count together with the messages that prove a number.
    let (exit, _, stderr) = outcome(place.otpctl(&["enroll", "man", NUMBER]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("the limit unverified-number-per-day"), "{stderr}");
    assert!(phone.pending().is_none());
}

#[test]
fn what_may_not_be_sent_is_refused_with_a_remedy() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let _daemon = place.start();
    let cases: [(&str, &[&str], &str); 5] = [
        ("country", &["+442079460123"], "add \"GB\" to delivery.countries"),
        ("kind of number", &["+18005550199"], "number is toll-free"),
        ("no gateway that calls", &[NUMBER, "--voice"], "delivery.voice in the configuration"),
        ("unknown gateway", &[NUMBER, "--gateway", "fone"], "there are: phone"),
        (
            "a gateway that does not call",
            &[NUMBER, "--voice", "--gateway", "phone"],
            "gateway phone carries no calls",
        ),
    ];
    for (name, arguments, expected) in cases {
        let arguments = [&["test-message"], arguments].concat();
        let (exit, stdout, stderr) = outcome(place.otpctl(&arguments));
        assert_eq!((exit, &*stdout), (Some(1), ""), "{name}: {stderr}");
        assert!(stderr.contains(expected), "{name}: {stderr}");
    }
    assert!(phone.pending().is_none());
}

#[test]
fn a_gateway_that_is_named_is_the_one_that_carries_it() {
    let (phone, spare) = (Phone::start(), Phone::start());
    let place = Place::new(&phone);
    let second = place.settings(&spare);
    let (_, table) = second.split_once("[gateway.phone]").expect("a gateway");
    place.configure(&format!("{}[gateway.spare]{table}", place.settings(&phone)));
    let daemon = place.start();
    let arguments = ["test-message", NUMBER, "--gateway", "spare", "--json"];
    let (exit, stdout, stderr) = outcome(place.otpctl(&arguments));
    assert_eq!((exit, &*stderr), (Some(0), ""));
    let tested: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((&tested["gateway"], &tested["vendor_id"]), (&json!("spare"), &json!("m-1")));
    assert!(spare.next().text.starts_with("Test message"));
    assert!(phone.pending().is_none(), "the one of the route");
    daemon.wait_for("\"gateway\":\"spare\"");
    outcome(place.otpctl(&["test-message", NUMBER]));
    assert!(phone.next().text.starts_with("Test message"));
}

#[test]
fn a_number_in_full_is_for_root_and_leaves_a_trace() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let (exit, stdout, _) = outcome(place.otpctl(&["show", user]));
    assert!(exit == Some(0) && !stdout.contains(number), "{stdout}");
    let (exit, stdout, stderr) = outcome(place.otpctl(&["show", user, "--reveal"]));
    assert_eq!((exit, &*stderr), (Some(0), ""));
    assert!(stdout.contains(number), "{stdout}");
    daemon.wait_for("event=\"number-revealed\"");
    daemon.wait_for("actor=\"uid 0\"");
    let (member, group) = ids(ADMIN_GROUP);
    let mut wire = daemon.connect_as(&relay(&place), member, group);
    let call = json!({ "method": "org.otpd.Admin.Reveal", "parameters": { "user": user } });
    assert!(wire.send(&frame(&call)));
    let reply = wire.receive().expect("a reply");
    assert_eq!(reply["error"], "org.varlink.service.PermissionDenied");
}

#[test]
fn national_numbers_need_a_default_country_everywhere() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let list = place.file("list.csv");
    fs::write(&list, "user,phone\nlp,(312) 555-0143\n").expect("a file");
    let list = list.to_str().expect("UTF-8");
    let runs: [&[&str]; 3] = [
        &["enroll", "man", "(312) 555-0142"],
        &["enroll", "--from", list],
        &["test-message", "312-555-0144"],
    ];
    let daemon = place.start();
    for arguments in runs {
        let (exit, _, stderr) = outcome(place.otpctl(arguments));
        assert_eq!(exit, Some(1), "{arguments:?}");
        let remedy = "national form needs `delivery.default-country`";
        assert!(stderr.contains(remedy), "{arguments:?}: {stderr}");
    }
    let status = daemon.connect().call(&Status {}).expect("a status");
    assert_eq!(status.pending, 0);
    drop(daemon);
    let settings = place.settings(&phone);
    place.configure(&settings.replace("[delivery]\n", "[delivery]\ndefault-country = \"US\"\n"));
    let daemon = place.start();
    for arguments in runs {
        let (exit, _, stderr) = outcome(place.otpctl(arguments));
        assert_eq!((exit, &*stderr), (Some(0), ""), "{arguments:?}");
    }
    let sent = [phone.next().to, phone.next().to];
    assert_eq!(sent, ["+13125550142", "+13125550144"]);
    for user in ["man", "lp"] {
        let subscriber = daemon.show(user).subscriber;
        assert_eq!((subscriber.state, &*subscriber.country), (State::Pending, "US"), "{user}");
    }
}
