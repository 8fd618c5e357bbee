//! The daemon ends in the middle of logins, and they go on.

use otp_proto::{login::Begin, service::GetInfo};
use otpd_tests::{
    daemon::{Place, hasty},
    phone::{Phone, Vendor},
    wire::{is_granted, login, wrong},
};

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;

/// A login over SSH: the same each time, as when sshd runs the stack again.
fn over_ssh() -> Begin {
    login(USER, Some("192.0.2.7 40000 192.0.2.1 22 0123456789abcdef"))
}

/// A place where somebody is enrolled; the daemon that did it has ended.
fn prepared() -> (Phone, Place) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    daemon.kill();
    (phone, place)
}

#[test]
fn a_code_from_before_the_restart_lets_in_once() {
    let (phone, place) = prepared();
    for graceful in [false, true] {
        let daemon = place.start();
        let mut wire = daemon.connect();
        let prompted = wire.prompt(&login(USER, None));
        let code = phone.next().code();
        let step = wire.answer(&prompted.challenge, &wrong(&code, 0));
        assert!(step.prompt.expect("a prompt").text.contains("2 tries left"));
        if graceful {
            daemon.terminate();
            assert_eq!(wire.receive(), None, "who sits at a prompt is not waited for");
            assert!(daemon.wait().success());
        } else {
            daemon.kill();
        }
        let daemon = place.start();
        let mut wire = daemon.connect();
        let step = wire.answer(&prompted.challenge, &wrong(&code, 1));
        assert!(step.prompt.expect("a prompt").text.contains("1 try left"), "tries are kept");
        assert!(is_granted(&wire.answer(&prompted.challenge, &code)));
        assert!(!is_granted(&wire.answer(&prompted.challenge, &code)));
        daemon.kill();
        let daemon = place.start();
        assert!(!is_granted(&daemon.connect().answer(&prompted.challenge, &code)));
        assert!(phone.pending().is_none(), "no second message");
    }
}

#[test]
fn a_connection_that_begins_again_goes_on_without_a_second_message() {
    let (phone, place) = prepared();
    let daemon = place.start();
    let before = daemon.connect().prompt(&over_ssh());
    assert!(before.text.contains("Code sent by text message"), "{}", before.text);
    let code = phone.next().code();
    daemon.kill();
    let daemon = place.start();
    let mut wire = daemon.connect();
    let after = wire.prompt(&over_ssh());
    assert_eq!((&after.challenge, &after.text), (&before.challenge, &before.text));
    assert!(phone.pending().is_none(), "no second message");
    assert!(is_granted(&wire.answer(&after.challenge, &code)));
}

/// Has the prompts of the next daemon come soon where the vendor says nothing.
fn hurry(phone: &Phone, place: &Place) {
    place.configure(&hasty(&place.settings(phone)));
}

/// A daemon that was killed before the vendor answered; the challenge and its first code.
fn killed_while_sending(phone: &Phone, place: &Place, prompted: bool) -> (String, String) {
    phone.set(Vendor::Stalls);
    hurry(phone, place);
    let daemon = place.start();
    let mut wire = daemon.connect();
    assert!(wire.post(&over_ssh()));
    let code = phone.next().code();
    let mut challenge = String::new();
    if prompted {
        let reply = wire.reply::<Begin>().expect("a reply").expect("a step");
        let text = reply.step.prompt.expect("a prompt").text;
        assert!(text.contains("is being sent"), "never said to be sent: {text}");
        challenge = reply.challenge.expect("a challenge");
    }
    daemon.kill();
    phone.set(Vendor::Accepts);
    (challenge, code)
}

#[test]
fn a_code_that_no_vendor_took_is_followed_by_a_fresh_one() {
    let (phone, place) = prepared();
    for prompted in [true, false] {
        let (challenge, lost) = killed_while_sending(&phone, &place, prompted);
        let daemon = place.start();
        // Nobody has to ask for it.
        let code = phone.next().code();
        let mut wire = daemon.connect();
        let again = wire.prompt(&over_ssh());
        assert!(!prompted || again.challenge == challenge, "the same login");
        // Perhaps the first one came all the same; it is recognised.
        let text = wire.answer(&again.challenge, &lost).prompt.expect("a prompt").text;
        assert!(text.contains("earlier code"), "{text}");
        assert!(is_granted(&wire.answer(&again.challenge, &code)));
        assert_eq!(daemon.show(USER).failures_24h, 0, "no try was used");
        daemon.kill();
    }
    assert!(phone.pending().is_none(), "one message each time");
}

#[test]
fn who_sits_at_a_prompt_whose_code_was_lost_gets_one_fresh_code() {
    let (phone, place) = prepared();
    let (challenge, _) = killed_while_sending(&phone, &place, true);
    let daemon = place.start();
    let code = phone.next().code();
    let mut wire = daemon.connect();
    let text = wire.answer(&challenge, "?").prompt.expect("a prompt").text;
    assert!(text.contains("Request id") && text.contains("3 tries left"), "{text}");
    assert!(is_granted(&wire.answer(&challenge, &code)));
    daemon.kill();
    place.start().connect().call(&GetInfo {}).expect("served");
    assert!(phone.pending().is_none(), "only one");
}

#[test]
fn a_fresh_code_that_is_lost_again_is_followed_by_another() {
    let (phone, place) = prepared();
    let (challenge, first) = killed_while_sending(&phone, &place, true);
    phone.set(Vendor::Stalls);
    let daemon = place.start();
    let second = phone.next().code();
    daemon.kill();
    phone.set(Vendor::Accepts);
    let daemon = place.start();
    let third = phone.next().code();
    let mut wire = daemon.connect();
    for earlier in [first, second] {
        let text = wire.answer(&challenge, &earlier).prompt.expect("a prompt").text;
        assert!(text.contains("earlier code"), "{text}");
    }
    assert!(is_granted(&wire.answer(&challenge, &third)));
}

#[test]
fn a_stop_waits_for_the_vendor_and_for_who_waits_for_it() {
    let (phone, place) = prepared();
    for prompted in [false, true] {
        phone.set(Vendor::Stalls);
        if prompted {
            hurry(&phone, &place);
        }
        let daemon = place.start();
        let mut idle = daemon.connect();
        let mut wire = daemon.connect();
        let begin =
            login(USER, Some(&format!("192.0.2.7 {} 192.0.2.1 22 aa", 1 + u8::from(prompted))));
        assert!(wire.post(&begin));
        let code = phone.next().code();
        let mut reply = || wire.reply::<Begin>().expect("a reply").expect("a step");
        let early = prompted.then(&mut reply);
        daemon.terminate();
        assert_eq!(idle.receive(), None, "what is idle is closed");
        phone.set(Vendor::Accepts);
        let reply = early.unwrap_or_else(reply);
        assert_eq!(wire.receive(), None);
        let said = reply.step.prompt.expect("a prompt").text;
        let expected = if prompted { "is being sent" } else { "Code sent" };
        assert!(said.contains(expected), "{said}");
        assert_eq!(daemon.wait().code(), Some(0));

        // It was written down that the vendor took it.
        let daemon = place.start();
        let mut wire = daemon.connect();
        let again = wire.prompt(&begin);
        assert!(again.text.contains("Code sent"), "{}", again.text);
        assert!(phone.pending().is_none(), "no second message");
        assert!(is_granted(&wire.answer(&again.challenge, &code)));
        daemon.kill();
    }
}

#[test]
fn a_stop_does_not_wait_for_a_vendor_for_ever() {
    let (phone, place) = prepared();
    phone.set(Vendor::Stalls);
    hurry(&phone, &place);
    let daemon = place.start();
    let mut wire = daemon.connect();
    assert!(wire.post(&over_ssh()));
    let _ = phone.next();
    daemon.terminate();
    let reply = wire.reply::<Begin>().expect("a reply").expect("a step");
    assert!(reply.step.prompt.expect("a prompt").text.contains("is being sent"));
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn a_stop_takes_no_more_calls() {
    let (phone, place) = prepared();
    phone.set(Vendor::Stalls);
    let daemon = place.start();
    let mut wire = daemon.connect();
    assert!(wire.post(&over_ssh()));
    let code = phone.next().code();
    // Calls that are there already, behind the one that is being answered.
    for _ in 0..20 {
        assert!(wire.post(&login("lp", None)));
    }
    let mut idle = daemon.connect();
    daemon.terminate();
    assert_eq!(idle.receive(), None);
    phone.set(Vendor::Accepts);
    let reply = wire.reply::<Begin>().expect("the call that was being answered is");
    let challenge = reply.expect("a step").challenge.expect("a challenge");
    assert_eq!(wire.receive(), None, "the ones behind it are not");
    assert!(daemon.wait().success());
    let daemon = place.start();
    assert!(is_granted(&daemon.connect().answer(&challenge, &code)));
}
