//! Peers that are slow: real waiting, all of it at the same time.
#![expect(clippy::disallowed_methods, reason = "what began before a limit did is noted")]

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

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

/// Quiet until shortly before the limit, and over soon after it. `began` is no later than what the limit
/// counts from.
fn ends_at(wire: &mut Wire, began: Instant, limit: u64, what: &str) {
    let quiet = seconds(limit - 1).saturating_sub(began.elapsed());
    assert!(quiet.is_zero() || wire.is_quiet_for(quiet), "{what}: too early");
    let late = seconds(limit + 4).saturating_sub(began.elapsed());
    assert!(!late.is_zero() && wire.ends_within(late), "{what}: too late");
}

fn silent(daemon: &Daemon) {
    let began = Instant::now();
    ends_at(&mut daemon.connect(), began, 10, "nothing was sent");
}

fn silent_after_a_call(daemon: &Daemon) {
    let mut wire = daemon.connect();
    let began = Instant::now();
    wire.call(&GetInfo {}).expect("information");
    ends_at(&mut wire, began, 10, "nothing was sent after a call");
}

fn half_a_frame(daemon: &Daemon) {
    let mut wire = daemon.connect();
    let began = Instant::now();
    assert!(wire.send(b"{\"method\":"));
    ends_at(&mut wire, began, 15, "half a frame");
}

fn a_byte_now_and_then(daemon: &Daemon) {
    let mut wire = daemon.connect();
    for _ in 0..6 {
        assert!(wire.send(b" "));
        assert!(wire.is_quiet_for(seconds(2)), "too early");
    }
    // Three seconds are left, and ten if a byte bought them.
    assert!(wire.send(b" "));
    assert!(wire.ends_within(seconds(9)), "a byte does not buy more time");
}

fn half_a_frame_after_a_whole_one(daemon: &Daemon) {
    let mut wire = daemon.connect();
    let call = frame(&json!({ "method": "org.varlink.service.GetInfo" }));
    let began = Instant::now();
    assert!(wire.send(&[call.as_slice(), b"{"].concat()));
    wire.receive().expect("the first call's reply");
    ends_at(&mut wire, began, 15, "half a frame behind a call");
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
    // Several times what fits into a socket's buffer, at eight kilobytes a reply and more.
    let buffer = fs::read_to_string("/proc/sys/net/core/wmem_default").expect("a setting");
    let calls = 400 + buffer.trim().parse::<usize>().expect("bytes") / 2_000;
    let mut writer = wire.writer();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The daemon leaves while it waits for room.
            let _ = writer.write_all(&call.repeat(calls));
        });
        // Another connection is the clock: the daemon answers it all the time.
        let mut other = daemon.connect();
        for _ in 0..4 {
            other.call(&GetInfo {}).expect("others are served");
            assert!(other.is_quiet_for(seconds(5)));
        }
        let replies = std::iter::from_fn(|| wire.receive()).count();
        assert!(replies < calls, "the daemon waited for ever");
    });
}

/// A login whose connection is gone is answerable for 20 seconds, and then cancelled.
fn left_without_a_word(daemon: &Daemon, phone: &Phone) {
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
    // A connection that says nothing is the clock, for less than its ten seconds.
    let wait = |time: u64| assert!(daemon.connect().is_quiet_for(seconds(time)));
    wait(7);
    let mut back = daemon.connect();
    assert!(back.answer(&returning, "?").prompt.is_some(), "answerable after 7 s");
    wait(7);
    assert_eq!(daemon.show(leaves).live_challenges, 1, "answerable after 14 s");
    wait(6);
    wait(6);
    assert_eq!(daemon.show(leaves).live_challenges, 0, "cancelled after 26 s");
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
        scope.spawn(|| left_without_a_word(other, &phones[1]));
    });
}
