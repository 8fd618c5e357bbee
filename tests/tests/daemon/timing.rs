//! What the time of an answer tells of the code: nothing.
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::disallowed_methods, reason = "how long an answer takes is measured")]

use std::time::{Duration, Instant};

use otpd_tests::{
    daemon::{Daemon, LONG_CODES, Place},
    phone::Phone,
    wire::{is_granted, login},
};

use super::people::PEOPLE;

/// A code whose last digit alone is wrong, and one of which every digit is.
fn near_and_far(code: &str) -> [String; 2] {
    let next = |digit: u8| char::from(b'0' + (digit - b'0' + 1) % 10);
    let (start, last) = code.split_at(code.len() - 1);
    let near =
        last.bytes().map(next).fold(start.to_owned(), |near, digit| near + &digit.to_string());
    [near, code.bytes().map(next).collect()]
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    *times.get(times.len() / 2).expect("a time")
}

/// How far two samples are apart: the U of Mann and Whitney, in standard deviations from its mean.
#[expect(clippy::cast_precision_loss, reason = "a statistic of a few thousand times")]
fn distance(one: &[Duration], other: &[Duration]) -> f64 {
    let mut ranked = [(one, true), (other, false)]
        .iter()
        .flat_map(|(times, first)| times.iter().map(move |time| (*time, *first)))
        .collect::<Vec<_>>();
    ranked.sort_unstable();
    let ranks = (1..).zip(&ranked).filter(|(_, (_, first))| *first).map(|(rank, _)| rank);
    let ranks = ranks.sum::<usize>() as f64;
    let (n, m) = (one.len() as f64, other.len() as f64);
    let u = ranks - n * (n + 1.0) / 2.0;
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// The time of a wrong answer to a challenge.
fn wrong_answers(daemon: &Daemon, phone: &Phone, logins: usize) -> [Vec<Duration>; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for (nth, (user, _)) in PEOPLE.iter().cycle().take(logins).enumerate() {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(user, None)).challenge;
        let code = phone.next().code();
        let mut pairs = near_and_far(&code).into_iter().zip(&mut took).collect::<Vec<_>>();
        // Each comes first as often as the other.
        if nth / PEOPLE.len() % 2 == 1 {
            pairs.reverse();
        }
        for (answer, times) in pairs {
            let began = Instant::now();
            let step = wire.answer(&challenge, &answer);
            times.push(began.elapsed());
            assert!(step.prompt.is_some(), "{step:?}");
        }
        assert!(is_granted(&wire.answer(&challenge, &code)), "{user}");
        // So that wrong codes never come to a limit.
        daemon.unlock(user);
    }
    took
}

/// The time from Begin to its refusal, of accounts that are refused at once.
fn refusals(daemon: &Daemon, phone: &Phone, number: usize) {
    let [(locked, _), (disabled, _), ..] = PEOPLE;
    for wrongs in [3, 3, 3, 1] {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(locked, None)).challenge;
        let [near, _] = near_and_far(&phone.next().code());
        for _ in 0..wrongs {
            let _ = wire.answer(&challenge, &near);
        }
        let _ = wire.answer(&challenge, "q");
    }
    let disable = otp_proto::admin::Disable { user: disabled.to_owned() };
    daemon.connect().call(&disable).expect("disabled");
    let accounts = [
        ("unknown", "no-such-user"),
        ("not enrolled", "sys"),
        ("locked", locked),
        ("disabled", disabled),
    ];
    let mut took = accounts.map(|_| Vec::new());
    for _ in 0..number {
        for ((_, user), times) in accounts.iter().zip(&mut took) {
            let mut wire = daemon.connect();
            let began = Instant::now();
            let told = wire.begin(user);
            times.push(began.elapsed());
            assert!(otpd_tests::wire::is_denied(&told.step), "{user}: {told:?}");
        }
    }
    for ((what, _), times) in accounts.iter().zip(&mut took) {
        println!("refused at once because {what}: median {:?} of {number}", median(times));
    }
    assert!(phone.pending().is_none(), "a message was sent");
}

fn answers_take_the_same_time(logins: usize) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    // Many wrong codes make codes longer, which ends the live ones; these are long already.
    place.configure(&(place.settings(&phone) + LONG_CODES));
    let daemon = place.start();
    for (user, number) in PEOPLE {
        daemon.enroll(&phone, user, number);
    }
    let [mut near, mut far] = wrong_answers(&daemon, &phone, logins);
    let apart = distance(&near, &far);
    println!(
        "wrong in the last digit: median {:?}, in every digit: median {:?} of {logins}; \
         {apart:+.2} standard deviations apart",
        median(&mut near),
        median(&mut far)
    );
    // Chance alone does this once in 150,000 runs.
    assert!(apart.abs() < 4.5, "{apart}");
    refusals(&daemon, &phone, logins / 5);
}

#[test]
fn a_wrong_code_takes_as_long_however_much_of_it_is_right() {
    answers_take_the_same_time(100);
}

#[test]
#[ignore = "long: five thousand wrong codes"]
fn a_wrong_code_takes_as_long_in_the_long_run() {
    answers_take_the_same_time(2_300);
}
