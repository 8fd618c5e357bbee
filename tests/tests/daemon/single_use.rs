//! One code, many answers at once.

use otp_proto::login::{Answer, Verdict};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{Wire, is_denied, is_granted, login, typed, wrong},
};

use super::people::PEOPLE;

/// Sends these answers at the same time, each on its own connection, and returns what came back.
///
/// The daemon is stopped while they are written, so that it finds them all at once.
fn at_once(daemon: &Daemon, challenge: &str, answers: &[String]) -> Vec<otp_proto::login::Step> {
    let mut wires = answers.iter().map(|_| daemon.connect()).collect::<Vec<_>>();
    daemon.signal("STOP");
    for (wire, answer) in wires.iter_mut().zip(answers) {
        assert!(wire.post(&typed(challenge, answer)));
    }
    daemon.signal("CONT");
    let steps = wires.iter_mut().map(|wire| {
        wire.reply::<Answer>().expect("the daemon stays").expect("a step, not an error").step
    });
    steps.collect()
}

fn right_code_on_every_connection(connections: usize, rounds: usize) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for (user, number) in PEOPLE {
        daemon.enroll(&phone, user, number);
    }
    for (round, (user, _)) in (0..rounds).zip(PEOPLE.iter().cycle()) {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(user, None)).challenge;
        let code = phone.next().code();
        let steps = at_once(&daemon, &challenge, &vec![code; connections]);
        let granted = steps.iter().filter(|step| is_granted(step)).count();
        let denied = steps.iter().filter(|step| is_denied(step)).count();
        assert_eq!((granted, denied), (1, connections - 1), "round {round}");
    }
    for (user, _) in PEOPLE {
        let shown = daemon.show(user);
        assert_eq!((shown.failures_24h, shown.live_challenges), (0, 0), "{user}");
    }
}

#[test]
fn of_64_right_answers_one_is_granted() {
    right_code_on_every_connection(64, 100);
}

#[test]
#[ignore = "long"]
fn of_64_right_answers_one_is_granted_a_thousand_times() {
    right_code_on_every_connection(64, 1000);
}

#[test]
fn of_500_right_answers_one_is_granted() {
    right_code_on_every_connection(500, 100);
}

#[test]
fn of_64_wrong_answers_three_are_judged() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for (user, number) in PEOPLE {
        daemon.enroll(&phone, user, number);
        let challenge = daemon.connect().prompt(&login(user, None)).challenge;
        let code = phone.next().code();
        let answers = (0..64).map(|nth| wrong(&code, nth)).collect::<Vec<_>>();
        let steps = at_once(&daemon, &challenge, &answers);
        let asked = steps.iter().filter_map(|step| step.prompt.as_ref());
        let mut left = asked.map(|prompt| prompt.text.clone()).collect::<Vec<_>>();
        left.sort();
        assert_eq!(left.len(), 2, "{user}: {left:?}");
        assert!(left[0].contains("1 try left") && left[1].contains("2 tries left"), "{left:?}");
        // The third says that it was the last; whoever comes later is turned away without a word.
        let told = steps.iter().filter(|step| is_denied(step) && step.text.is_some()).count();
        let silent = steps.iter().filter(|step| is_denied(step) && step.text.is_none()).count();
        assert_eq!((told, silent), (1, 61), "{user}");
        assert_eq!(daemon.show(user).failures_24h, 3, "{user}");
        let late = daemon.connect().answer(&challenge, &code);
        assert!(is_denied(&late), "{user}: {late:?}");
    }
}

#[test]
fn answers_on_one_connection_are_taken_in_order() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    for answer in [wrong(&code, 0).as_str(), "?", &code, &code] {
        assert!(wire.post(&typed(&challenge, answer)));
    }
    let mut step = || wire.reply::<Answer>().expect("a reply").expect("a step").step;
    let text = |step: otp_proto::login::Step| step.prompt.map(|prompt| prompt.text);
    assert!(text(step()).expect("a prompt").contains("2 tries left"));
    assert!(text(step()).expect("a prompt").contains("Request id"));
    assert_eq!(step().verdict, Some(Verdict::Granted));
    assert_eq!(step().verdict, Some(Verdict::Denied));
}

#[test]
fn codes_of_two_logins_are_not_exchanged() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let login_of = |from: &str| {
        let mut wire: Wire = daemon.connect();
        let challenge = wire.prompt(&login(user, Some(from))).challenge;
        (wire, challenge, phone.next().code())
    };
    let (mut first, one, code_one) = login_of("192.0.2.1 1 192.0.2.9 22 aa");
    let (mut second, two, code_two) = login_of("192.0.2.1 2 192.0.2.9 22 bb");
    assert!(first.answer(&one, &code_two).prompt.is_some(), "another login's code");
    assert!(second.answer(&two, &code_one).prompt.is_some(), "another login's code");
    assert!(is_granted(&first.answer(&one, &code_one)));
    assert!(is_granted(&second.answer(&two, &code_two)));
}
