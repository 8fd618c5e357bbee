//! Where HTTP comes in: ports that are taken, and what a reload does not change.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_granted, login},
};

use super::{
    people::PEOPLE,
    web::{free, http, taken},
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// The answer to a GET; `None` where nothing listens.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    // The daemon gives a request five seconds; one that hangs is a fault and not a wait.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    Some(answer)
}

/// Whether the daemon says that logins would succeed. It gives its store two seconds each time, which a
/// busy machine may not: it is asked again for that, and for nothing else.
pub(crate) fn is_ready(admin: SocketAddr) -> bool {
    let slow = |answer: &Option<String>| {
        answer.as_ref().is_some_and(|answer| answer.contains("store: failing\n"))
    };
    let mut answers = (0..10).map(|_| get(admin, "/readyz"));
    answers.find(|answer| !slow(answer)).flatten().is_some_and(|answer| {
        let body = "store: ok\ngateways: ok\nclock: ok\n";
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(body)
    })
}

/// What vendors find is not for this path, so only that somebody answers.
fn is_for_vendors(public: SocketAddr) -> bool {
    get(public, "/receipts/nobody").is_some_and(|answer| answer.starts_with("HTTP/1.1 405 "))
}

fn logs_in(daemon: &Daemon, phone: &Phone) {
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(USER, None));
    assert!(is_granted(&wire.answer(&prompted.challenge, &phone.next().code())));
}

/// How often the log has a line with all of these.
fn said(daemon: &Daemon, words: &[&str]) -> usize {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    daemon.log().lines().filter(has_all).count()
}

#[test]
fn a_port_that_is_taken_at_the_start_keeps_nobody_from_logging_in() {
    let phone = Phone::start();
    for (key, public_is_taken) in [("http.listen", true), ("http.admin-listen", false)] {
        let place = Place::empty();
        let ([taken], [free]) = (taken(), free());
        let busy = taken.local_addr().expect("an address");
        let (public, admin) = if public_is_taken { (busy, free) } else { (free, busy) };
        place.configure(&(place.settings(&phone) + &http(public, admin)));
        let daemon = place.start();
        let line = [key, &busy.to_string(), "free the port or choose another, and restart"];
        assert_eq!(said(&daemon, &line), 1, "{key}: {}", daemon.log());
        assert_eq!(said(&daemon, &["cannot be listened on"]), 1, "{key}: of one port alone");
        daemon.enroll(&phone, USER, NUMBER);
        logs_in(&daemon, &phone);
        if public_is_taken {
            assert!(is_ready(admin), "the other listener is there");
        } else {
            assert!(is_for_vendors(public), "the other listener is there");
        }
        // The port is free by now, but nothing is bound before a restart, and a reload says so.
        drop(taken);
        daemon.signal("HUP");
        daemon.wait_for("the configuration was read again");
        assert_eq!(said(&daemon, &["http.listen", "at a restart only"]), 1, "{}", daemon.log());
        assert!(get(busy, "/healthz").is_none(), "{key}");
        daemon.kill();
        let daemon = place.start();
        assert!(is_ready(admin) && is_for_vendors(public), "{key}");
        daemon.kill();
    }
}

#[test]
fn another_address_is_taken_over_at_a_restart_only() {
    let phone = Phone::start();
    let place = Place::empty();
    let [public, admin, free] = free();
    place.configure(&(place.settings(&phone) + &http(public, admin)));
    let daemon = place.start();
    daemon.enroll(&phone, USER, NUMBER);
    let [taken] = taken();
    let busy = taken.local_addr().expect("an address");
    for (round, (new_public, new_admin)) in
        [(free, admin), (busy, admin), (public, free), (public, busy)].into_iter().enumerate()
    {
        place.configure(&(place.settings(&phone) + &http(new_public, new_admin)));
        daemon.signal("HUP");
        daemon.wait_for_count("the configuration was read again", round + 1);
        assert_eq!(said(&daemon, &["http.listen", "at a restart only"]), round + 1);
        assert!(is_ready(admin) && is_for_vendors(public), "the old ones stay: round {round}");
        assert!(get(free, "/healthz").is_none(), "nothing new: round {round}");
        logs_in(&daemon, &phone);
    }
    assert_eq!(said(&daemon, &["cannot be listened on"]), 0, "nothing was even tried");
    drop(taken);
    // Without the table they stay as well, until a restart.
    place.configure(&place.settings(&phone));
    daemon.signal("HUP");
    daemon.wait_for_count("the configuration was read again", 5);
    assert!(is_ready(admin) && is_for_vendors(public));
    daemon.kill();
    let daemon = place.start();
    assert!(get(admin, "/readyz").is_none() && get(public, "/").is_none());
    logs_in(&daemon, &phone);
}

#[test]
fn a_daemon_that_cannot_work_answers_no_probe() {
    let phone = Phone::start();
    let place = Place::empty();
    let [public, admin] = free();
    let right = place.settings(&phone) + &http(public, admin);
    place.configure(&right.replace("sms = [\"phone\"]", "sms = [\"nobody\"]"));
    let daemon = place.start_broken();
    assert!(get(admin, "/readyz").is_none() && get(admin, "/healthz").is_none());
    daemon.kill();
    place.configure(&right);
    let daemon = place.start();
    assert!(is_ready(admin));
    // A configuration that is wrong by now changes nothing: the one before is in use.
    place.configure(&right.replace("sms = [\"phone\"]", "sms = [\"nobody\"]"));
    daemon.signal("HUP");
    daemon.wait_for("the configuration is wrong; the one before stays");
    assert!(is_ready(admin));
}
