//! A clock that leaps between two runs of the daemon in one boot. The wall clock of this machine is
//! not touched: a time namespace moves the time since boot instead.

use std::process::Command;

use otp_proto::{
    admin::{ConfirmClock, Status},
    service::GetInfo,
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_granted, login},
};

use super::people::PEOPLE;

/// Seconds; half a minute off the full minute, so that nothing depends on a millisecond.
const LEAP: u32 = 9030;

/// A daemon to which the machine has been running for [`LEAP`] seconds more.
fn start_later(place: &Place) -> Daemon {
    let otpd = place.command();
    let mut command = Command::new("unshare");
    command.args(["--time", "--boottime", &LEAP.to_string()]);
    command.arg(otpd.get_program()).args(otpd.get_args());
    Daemon::spawn(command, place.socket(), ": ready ")
}

fn doubts(daemon: &Daemon) -> Vec<String> {
    let status = daemon.connect().call(&Status {}).expect("a status");
    let doubts = status.problems.into_iter().filter(|problem| problem.contains("in doubt"));
    doubts.collect()
}

/// Ends it in order; what it wanted to write down is written.
fn stop(daemon: Daemon) {
    daemon.connect().call(&GetInfo {}).expect("served");
    daemon.terminate();
    assert!(daemon.wait().success());
}

fn logs_in(daemon: &Daemon, phone: &Phone) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(PEOPLE[0].0, None)).challenge;
    assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
}

#[test]
fn a_clock_that_leapt_ahead_is_in_doubt_until_it_is_confirmed() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = start_later(&place);
    daemon.enroll(&phone, PEOPLE[0].0, PEOPLE[0].1);
    assert!(doubts(&daemon).is_empty());
    stop(daemon);

    let doubt = "the clock is in doubt: 2 h 30 min ahead of the time since boot";
    for run in ["the next run", "and the one after it"] {
        let daemon = place.start();
        daemon.wait_for(doubt);
        assert!(matches!(&*doubts(&daemon), [told] if told.starts_with(doubt)), "{run}");
        logs_in(&daemon, &phone);
        let said = daemon.log().matches(doubt).count();
        assert_eq!(said, 1, "{run}: once");
        stop(daemon);
    }

    let daemon = place.start();
    let mut admin = daemon.connect();
    admin.call(&ConfirmClock {}).expect("confirmed");
    daemon.wait_for("the clock is in doubt no more");
    daemon.wait_for("clock-confirmed");
    assert!(doubts(&daemon).is_empty());
    let refusal = admin.call(&ConfirmClock {}).expect_err("there is nothing to confirm");
    assert_eq!(refusal.error, "org.otpd.Admin.Refused");
    logs_in(&daemon, &phone);
    // Killed at once: what was answered is on the disk.
    daemon.kill();

    let daemon = place.start();
    assert!(doubts(&daemon).is_empty(), "confirmed for the next run as well");
    logs_in(&daemon, &phone);
}

#[test]
fn a_clock_that_went_back_is_in_doubt_and_logins_go_on() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, PEOPLE[0].0, PEOPLE[0].1);
    stop(daemon);
    let daemon = start_later(&place);
    let doubt = "the clock is in doubt: 2 h 30 min behind the time since boot";
    daemon.wait_for(doubt);
    logs_in(&daemon, &phone);
    assert!(matches!(&*doubts(&daemon), [told] if told.starts_with(doubt)));
    stop(daemon);
    let daemon = place.start();
    assert!(doubts(&daemon).is_empty(), "it was set right");
}
