//! Peers that are slow: real waiting, all of it at the same time.

use std::time::Duration;

use otp_proto::{
    Method,
    service::{GetInfo, GetInterfaceDescription},
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{Wire, frame, is_denied, is_granted, login},
};
use serde_json::json;

use super::people::PEOPLE;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Quiet until shortly before the limit, and over soon after it.
fn ends_at(wire: &mut Wire, limit: u64, what: &str) {
    assert!(wire.is_quiet_for(seconds(limit - 1)), "{what}: too early");
    assert!(wire.ends_within(seconds(4)), "{what}: too late");
}

fn silent(daemon: &Daemon) {
    ends_at(&mut daemon.connect(), 10, "nothing was sent");
}

fn silent_after_a_call(daemon: &Daemon) {
    let mut wire = daemon.connect();
    wire.call(&GetInfo {}).expect("information");
    ends_at(&mut wire, 10, "nothing was sent after a call");
}

fn half_a_frame(daemon: &Daemon) {
    let mut wire = daemon.connect();
    assert!(wire.send(b"{\"method\":"));
    ends_at(&mut wire, 15, "half a frame");
}

fn a_byte_now_and_then(daemon: &Daemon) {
    let mut wire = daemon.connect();
    for _ in 0..7 {
        assert!(wire.send(b" "));
        assert!(wire.is_quiet_for(seconds(2)), "too early");
    }
    assert!(wire.send(b" "));
    assert!(wire.ends_within(seconds(4)), "a byte does not buy more time");
}

fn half_a_frame_after_a_whole_one(daemon: &Daemon) {
    let mut wire = daemon.connect();
    let call = frame(&json!({ "method": "org.varlink.service.GetInfo" }));
    assert!(wire.send(&[call.as_slice(), b"{"].concat()));
    wire.receive().expect("the first call's reply");
    ends_at(&mut wire, 15, "half a frame behind a call");
}

fn a_prompt_may_take_longer(daemon: &Daemon, phone: &Phone) {
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(phone, user, number);
    let mut wire = daemon.connect();
    let ended = wire.prompt(&login(user, None)).challenge;
    let _ = phone.next();
    assert!(is_denied(&wire.answer(&ended, "q")));
    let challenge = wire.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    // What becomes of another login is nothing to the one that waits here.
    assert!(is_denied(&wire.answer(&ended, &code)));
    assert!(wire.is_quiet_for(seconds(20)), "somebody looks for their phone");
    assert!(is_granted(&wire.answer(&challenge, &code)));
}

fn replies_that_nobody_reads(daemon: &Daemon) {
    let mut wire = daemon.connect();
    let describe = GetInterfaceDescription { interface: "org.otpd.Admin".to_owned() };
    let call = frame(&json!({ "method": GetInterfaceDescription::NAME, "parameters": describe }));
    let calls = 400;
    assert!(wire.send(&call.repeat(calls)), "the calls fit, the replies do not");
    // Another connection is the clock: the daemon answers it all the time.
    let mut other = daemon.connect();
    for _ in 0..4 {
        other.call(&GetInfo {}).expect("others are served");
        assert!(other.is_quiet_for(seconds(5)));
    }
    let replies = std::iter::from_fn(|| wire.receive()).count();
    assert!(replies < calls, "the daemon waited for ever");
}

/// A login whose connection is gone is answerable for 20 seconds, and then cancelled.
fn left_without_a_word(place: &Place, daemon: &Daemon, phone: &Phone) {
    let mut clock = Wire::connect(&place.socket());
    let [(returns, number), (leaves, other_number), ..] = PEOPLE;
    daemon.enroll(phone, returns, number);
    let mut wire = daemon.connect();
    let returning = wire.prompt(&login(returns, None)).challenge;
    let code = phone.next().code();
    daemon.enroll(phone, leaves, other_number);
    let mut gone = daemon.connect();
    let leaving = gone.prompt(&login(leaves, None)).challenge;
    let lost = phone.next().code();
    drop((wire, gone));
    // Eight seconds at a time: the clock's own connection must not be idle for ten.
    let mut wait = |time: u64| {
        clock.call(&GetInfo {}).expect("information");
        assert!(clock.is_quiet_for(seconds(time)));
    };
    wait(8);
    let mut back = daemon.connect();
    assert!(back.answer(&returning, "?").prompt.is_some(), "answerable after 8 s");
    wait(8);
    assert_eq!(daemon.show(leaves).live_challenges, 1, "answerable after 16 s");
    wait(8);
    assert_eq!(daemon.show(leaves).live_challenges, 0, "cancelled after 24 s");
    assert!(is_denied(&daemon.connect().answer(&leaving, &lost)));
    assert!(is_granted(&back.answer(&returning, &code)), "somebody came back for it");
}

#[test]
fn time_limits() {
    // The codes of each login must not be mixed up, so each has a phone of its own.
    let phones = [Phone::start(), Phone::start()];
    let places = [Place::new(&phones[0]), Place::new(&phones[1])];
    let daemons = [places[0].start(), places[1].start()];
    let [daemon, other] = &daemons;
    std::thread::scope(|scope| {
        for case in [
            silent,
            silent_after_a_call,
            half_a_frame,
            a_byte_now_and_then,
            half_a_frame_after_a_whole_one,
            replies_that_nobody_reads,
        ] {
            scope.spawn(move || case(daemon));
        }
        scope.spawn(|| a_prompt_may_take_longer(daemon, &phones[0]));
        scope.spawn(|| left_without_a_word(&places[1], other, &phones[1]));
    });
}
