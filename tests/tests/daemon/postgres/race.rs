//! The right code at four hosts at once.

use otpd_tests::{
    phone::Phone,
    postgres::Server,
    wire::{is_granted, login, typed},
};

use super::{Host, NAMES, PEOPLE, at_once};

/// Types the right code of one login so often at once, again and again.
fn right_code_at_four_hosts(answers: usize, rounds: usize) {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = NAMES.map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    for (user, number) in PEOPLE {
        daemons[0].enroll(&phone, user, number);
    }
    for (round, (user, _)) in (0..rounds).zip(PEOPLE.iter().cycle()) {
        let issues = &daemons[round % daemons.len()];
        let challenge = issues.connect().prompt(&login(user, None)).challenge;
        let code = phone.next().code();
        let calls = vec![typed(&challenge, &code); answers];
        let steps = at_once(&daemons, &calls).into_iter().map(|reply| reply.expect("a step").step);
        let granted = steps.filter(is_granted).count();
        assert_eq!(granted, 1, "round {round}, {user}");
    }
    for (user, _) in PEOPLE {
        let shown = daemons[1].show(user);
        assert_eq!((shown.failures_24h, shown.live_challenges), (0, 0), "{user}");
    }
    let log = hosts[0].otpctl(&["log", "--json"]);
    assert_eq!(log.matches("\"login-granted\"").count(), rounds, "as many as were told");
}

#[test]
fn of_64_right_answers_at_four_hosts_one_is_granted() {
    right_code_at_four_hosts(64, 20);
}

#[test]
#[ignore = "long: a hundred times five hundred answers"]
fn of_500_right_answers_at_four_hosts_one_is_granted() {
    right_code_at_four_hosts(500, 100);
}
