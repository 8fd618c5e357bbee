//! Guessing and bombing at four hosts at once: they have one budget together.

use std::fs;

use otp_proto::login::Begin;
use otpd_tests::{
    daemon::Daemon,
    phone::Phone,
    postgres::Server,
    wire::{is_granted, login, typed, wrong},
};

use super::{Host, NAMES, NUMBER, PEOPLE, USER, at_once};

/// Wrong codes that an account may have in an hour.
const WRONG_CODES: usize = 10;
/// Messages that a number may have in an hour without an answer, where a test has set it so.
const MESSAGES: usize = 5;
/// Messages that all may have together, where a test has set it so.
const MESSAGES_IN_ALL: usize = 20;

/// Hosts whose configuration says this instead of that.
fn hosts(phone: &Phone, server: &Server, settings: &[(&str, &str)]) -> [Host; NAMES.len()] {
    NAMES.map(|name| {
        let host = Host::new(name, phone, server);
        let mut text = fs::read_to_string(host.place.config()).expect("a configuration");
        for (wide, narrow) in settings {
            assert!(text.contains(wide), "{text}");
            text = text.replace(wide, narrow);
        }
        host.place.configure(&text);
        host
    })
}

/// Begins all of these at once; the challenges of those that are asked for a code.
fn prompted(daemons: &[Daemon], begins: &[Begin]) -> Vec<String> {
    let replies = at_once(daemons, begins).into_iter().map(|reply| reply.expect("a step"));
    replies.filter_map(|reply| reply.step.prompt.and(reply.challenge)).collect()
}

/// Guesses that are typed at once.
const CHUNK: usize = 96;

/// Types so many wrong codes at least, at four hosts at once.
fn wrong_codes(number: usize) {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = hosts(&phone, &server, &[]);
    let daemons = hosts.each_ref().map(Host::start);
    daemons[0].enroll(&phone, USER, NUMBER);
    // From eight addresses: an account may wait for so many codes, and each is good for three tries.
    let begins = (1..=8).map(|nth| {
        let from = format!("192.0.2.{nth} 40000 192.0.2.99 22 {nth:016x}");
        login(USER, Some(&from))
    });
    let begins = begins.collect::<Vec<_>>();
    let (mut codes, mut asked) = (Vec::new(), Vec::new());
    let judged = || usize::try_from(daemons[3].show(USER).failures_24h).expect("a count");
    // Whoever is told that nothing can be kept just now comes again.
    for round in 0.. {
        if judged() >= WRONG_CODES {
            break;
        }
        assert!(round < 20, "the budget has no end");
        let challenges = prompted(&daemons, &begins);
        codes.extend(challenges.iter().map(|_| phone.next().code()));
        asked.extend(challenges.iter().cloned());
        let guesses = challenges.iter().flat_map(|challenge| {
            // None of them is right, wherever it is typed.
            let guesses = (0..).map(|nth| wrong(&codes[0], nth)).filter(|it| !codes.contains(it));
            guesses.take(12).map(|guess| typed(challenge, &guess)).collect::<Vec<_>>()
        });
        let guesses = guesses.collect::<Vec<_>>();
        for reply in at_once(&daemons, &guesses) {
            assert!(!is_granted(&reply.expect("a step").step));
        }
        if judged() >= WRONG_CODES {
            // Now no right code helps any more, of whichever login.
            for (challenge, code) in
                challenges.iter().flat_map(|it| codes.iter().map(move |code| (it, code)))
            {
                assert!(!is_granted(&daemons[2].connect().answer(challenge, code)));
            }
        }
    }
    let wrong = (0..).map(|nth| wrong(&codes[0], nth)).filter(|guess| !codes.contains(guess));
    let guesses = wrong.zip(asked.iter().cycle()).map(|(guess, asked)| typed(asked, &guess));
    let guesses = guesses.take(number).collect::<Vec<_>>();
    for chunk in guesses.chunks(CHUNK) {
        for reply in at_once(&daemons, chunk) {
            assert!(!is_granted(&reply.expect("a step").step));
        }
    }
    assert!(prompted(&daemons, &begins).is_empty(), "whoever comes from elsewhere waits");
    assert_eq!(judged(), WRONG_CODES);
    let log = hosts[0].otpctl(&["log", "--json"]);
    assert_eq!(log.matches("\"code-wrong\"").count(), WRONG_CODES, "{log}");
    assert!(!log.contains("\"login-granted\""), "{log}");
}

#[test]
fn wrong_codes_at_four_hosts_at_once_use_up_one_budget_of_the_account() {
    wrong_codes(CHUNK);
}

#[test]
#[ignore = "long"]
fn ten_thousand_wrong_codes_at_four_hosts_use_up_no_more_of_the_budget() {
    wrong_codes(10_000);
}

#[test]
fn messages_to_one_number_from_four_hosts_at_once_have_one_budget() {
    let (phone, server) = (Phone::start(), Server::start());
    let narrow = [("unanswered-per-hour = 60", &*format!("unanswered-per-hour = {MESSAGES}"))];
    let hosts = hosts(&phone, &server, &narrow);
    let daemons = hosts.each_ref().map(Host::start);
    // As many as may prove one number in a day.
    let sharers = PEOPLE.map(|(user, _)| user).into_iter().take(3);
    for user in sharers.clone() {
        daemons[0].enroll(&phone, user, NUMBER);
    }
    let begins = sharers.cycle().take(32).map(|user| login(user, None)).collect::<Vec<_>>();
    let mut sent = 0;
    for _ in 0..3 {
        sent += prompted(&daemons, &begins).len();
    }
    assert_eq!(sent, MESSAGES, "whatever the account and the host");
    for _ in 0..sent {
        assert_eq!(phone.next().to, NUMBER);
    }
    assert!(phone.pending().is_none());
}

#[test]
fn messages_of_all_accounts_from_four_hosts_at_once_have_one_budget() {
    let (phone, server) = (Phone::start(), Server::start());
    let narrow = [
        ("unanswered-per-hour = 60", "unanswered-per-hour = 20"),
        (
            "unanswered-per-day = 200",
            &*format!("unanswered-per-day = 20\nall-unanswered-per-day = {MESSAGES_IN_ALL}"),
        ),
    ];
    let hosts = hosts(&phone, &server, &narrow);
    let daemons = hosts.each_ref().map(Host::start);
    for (user, number) in PEOPLE {
        daemons[0].enroll(&phone, user, number);
    }
    let mut sent = 0;
    // Four at a time: what is counted without a lock may be passed by what is under way.
    for _ in 0..MESSAGES_IN_ALL {
        sent += prompted(&daemons, &PEOPLE.map(|(user, _)| login(user, None))).len();
    }
    let most = MESSAGES_IN_ALL + NAMES.len() - 1;
    assert!((MESSAGES_IN_ALL..=most).contains(&sent), "{sent} messages");
}
