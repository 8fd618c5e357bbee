//! A wall clock that is stepped while the daemon runs, and while it does not: no code outlives its
//! life, none works twice, and no budget is filled again by going back. What decides goes by the time
//! since boot where the two disagree, and by at most an hour more.

use otp_proto::login::Verdict;
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wall::Wall,
    wire::{Wire, is_granted, login, typed, wrong},
};

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

struct Scene {
    phone: Phone,
    place: Place,
    wall: Wall,
    daemon: Daemon,
}

impl Scene {
    fn new() -> Self {
        Self::with(("", ""))
    }

    /// One with something else in its configuration.
    fn with((this, that): (&str, &str)) -> Self {
        let phone = Phone::start();
        let place = Place::empty();
        place.configure(&place.settings(&phone).replace(this, that));
        let wall = Wall::new(&place);
        let daemon = start(&place, &wall);
        daemon.enroll(&phone, USER, PEOPLE[0].1);
        Self { phone, place, wall, daemon }
    }

    /// The same daemon, or the next one.
    fn after(self, seconds: i64, restart: bool) -> Self {
        let Self { phone, place, wall, daemon } = self;
        let daemon = if restart {
            daemon.kill();
            wall.set(seconds);
            start(&place, &wall)
        } else {
            wall.set(seconds);
            daemon
        };
        Self { phone, place, wall, daemon }
    }

    fn begun(&self) -> (Wire, String, String) {
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        (wire, challenge, self.phone.next().code())
    }

    /// Whether this answer lets in; a login that is forgotten lets nobody in.
    fn lets_in(&self, challenge: &str, code: &str) -> bool {
        let reply = self.daemon.connect().call(&typed(challenge, code));
        reply.is_ok_and(|reply| is_granted(&reply.step))
    }
}

fn start(place: &Place, wall: &Wall) -> Daemon {
    Daemon::spawn(wall.under(place.command()), place.socket(), ": ready ")
}

/// What the code from before a step does after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    LetsIn,
    /// It has expired, and another one was sent.
    Renewed,
    /// Nobody waits at that prompt any more.
    Forgotten,
}

#[test]
fn a_step_in_the_middle_of_a_login() {
    let steps = [
        ("NTP, on", 2, After::LetsIn),
        ("NTP, back", -2, After::LetsIn),
        ("NTP, far back", -4, After::LetsIn),
        ("a minute on", 60, After::LetsIn),
        ("shortly before its end", 290, After::LetsIn),
        ("its end", 301, After::Renewed),
        ("an hour on", HOUR, After::Forgotten),
        ("a year on", YEAR, After::Forgotten),
        // Its life goes by the time since boot.
        ("ten seconds back", -10, After::LetsIn),
        ("an hour back", -HOUR, After::LetsIn),
        ("a year back", -YEAR, After::LetsIn),
    ];
    for (name, seconds, expected) in steps {
        let scene = Scene::new();
        let (_wire, challenge, code) = scene.begun();
        let mut scene = scene.after(seconds, false);
        assert_eq!(scene.lets_in(&challenge, &code), expected == After::LetsIn, "{name}");
        let mut grants = usize::from(expected == After::LetsIn);
        let mut codes = vec![code];
        if expected == After::Renewed {
            let fresh = scene.phone.next().code();
            assert!(scene.lets_in(&challenge, &fresh), "{name}: the fresh one");
            grants += 1;
            codes.push(fresh);
        }
        assert!(scene.phone.pending().is_none(), "{name}: nothing else is sent");
        // Whatever the clock does next, and over a restart: one use in all. Nobody has used the one
        // that was forgotten, so with the clock set right it may still be in its life.
        for (seconds, restart) in [(0, false), (-YEAR, false), (seconds, true), (-HOUR, true)] {
            scene = scene.after(seconds, restart);
            grants += codes.iter().filter(|code| scene.lets_in(&challenge, code)).count();
            let expected = if expected == After::Forgotten { 0..=1 } else { 1..=1 };
            assert!(expected.contains(&grants), "{name}, then {seconds} s {restart}: {grants}");
        }
        assert_eq!(scene.daemon.show(USER).failures_24h, 0, "{name}: nobody typed a wrong code");
    }
}

/// Steps back, and whether the daemon is started anew with each.
const BACK: [(i64, bool); 7] = [
    (0, false),
    (-10, false),
    (-HOUR, false),
    (-YEAR, false),
    (-HOUR, true),
    (-YEAR, true),
    (0, true),
];

#[test]
fn wrong_codes_count_as_before_when_the_clock_goes_back() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        let (mut wire, challenge, code) = scene.begun();
        let _ = wire.answer(&challenge, &wrong(&code, 0));
    }
    for (seconds, restart) in BACK {
        scene = scene.after(seconds, restart);
        let begun = scene.daemon.connect().begin(USER);
        let said = format!("{seconds} s {restart}: {:?}", begun.step);
        assert_eq!(begun.step.verdict, Some(Verdict::Denied), "{said}");
        assert!(begun.step.text.is_some_and(|text| text.starts_with("Too many wrong")), "{said}");
        assert_eq!(scene.daemon.show(USER).failures_24h, 10, "{said}");
        assert!(scene.phone.pending().is_none(), "{said}");
    }
}

#[test]
fn messages_count_as_before_when_the_clock_goes_back() {
    let mut scene = Scene::with(("unanswered-per-hour = 60", "unanswered-per-hour = 3"));
    for _ in 0..3 {
        let _ = scene.begun();
    }
    for (seconds, restart) in BACK {
        scene = scene.after(seconds, restart);
        let begun = scene.daemon.connect().begin(USER);
        assert!(begun.challenge.is_none(), "{seconds} s {restart}: {:?}", begun.step);
        assert!(scene.phone.pending().is_none(), "{seconds} s {restart}: nothing is sent");
    }
}

#[test]
fn a_clock_that_is_stepped_far_is_said_to_be_in_doubt_and_logins_go_on() {
    for (seconds, said) in [(YEAR, "ahead of the time"), (-YEAR, "behind the time")] {
        let scene = Scene::new().after(seconds, false);
        let (mut wire, challenge, code) = scene.begun();
        assert!(is_granted(&wire.answer(&challenge, &code)));
        scene.daemon.wait_for("the clock is in doubt: ");
        scene.daemon.wait_for(said);
    }
}
