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
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
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

    /// Types this many wrong codes, each in a login of its own.
    fn guess(&self, number: u32) {
        for _ in 0..number {
            let (mut wire, challenge, code) = self.begun();
            assert!(!is_granted(&wire.answer(&challenge, &wrong(&code, 0))));
        }
    }

    /// No login begins for all the wrong codes, of which so many count.
    fn is_locked(&self, counted: u32, name: &str) {
        let begun = self.daemon.connect().begin(USER);
        let said = format!("{name}: {:?}", begun.step);
        assert_eq!(begun.step.verdict, Some(Verdict::Denied), "{said}");
        assert!(begun.step.text.is_some_and(|text| text.starts_with("Too many wrong")), "{said}");
        assert_eq!(self.daemon.show(USER).failures_24h, counted, "{said}");
        assert!(self.phone.pending().is_none(), "{said}");
    }

    /// Nothing is sent for all the messages, of which so many count.
    fn sends_nothing(&self, counted: u32, name: &str) {
        let begun = self.daemon.connect().begin(USER);
        assert!(begun.challenge.is_none(), "{name}: {:?}", begun.step);
        assert!(self.phone.pending().is_none(), "{name}: nothing is sent");
        assert_eq!(self.daemon.show(USER).sends_24h, counted, "{name}");
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

/// Steps on, the same way.
const ON: [(i64, bool); 7] = [
    (HOUR, false),
    (YEAR, false),
    (2 * YEAR, false),
    (0, false),
    (YEAR, true),
    (HOUR, true),
    (0, true),
];

#[test]
fn wrong_codes_count_as_before_when_the_clock_goes_back() {
    let mut scene = Scene::new();
    scene.guess(10);
    for (seconds, restart) in BACK {
        scene = scene.after(seconds, restart);
        scene.is_locked(10, &format!("{seconds} s {restart}"));
    }
}

/// Of all that follows no more than an hour is believed: the second pause, begun after 40 minutes of it,
/// lasts for 30.
#[test]
fn wrong_codes_count_as_before_when_the_clock_goes_on() {
    let mut scene = Scene::new();
    scene.guess(10);
    scene.is_locked(10, "ten");
    scene = scene.after(40 * MINUTE, false);
    scene.guess(1);
    scene.is_locked(11, "one more, after the first pause");
    for (seconds, restart) in ON {
        scene = scene.after(seconds, restart);
        scene.is_locked(11, &format!("{seconds} s {restart}"));
    }
}

#[test]
fn messages_count_as_before_when_the_clock_goes_back() {
    let mut scene = Scene::with(("unanswered-per-hour = 60", "unanswered-per-hour = 3"));
    let proved = scene.daemon.show(USER).sends_24h;
    for _ in 0..3 {
        let _ = scene.begun();
    }
    for (seconds, restart) in BACK {
        scene = scene.after(seconds, restart);
        scene.sends_nothing(proved + 3, &format!("{seconds} s {restart}"));
    }
}

#[test]
fn messages_count_as_before_when_the_clock_goes_on() {
    let wide = "unanswered-per-hour = 60\nunanswered-per-day = 200";
    let narrow = "unanswered-per-hour = 3\nunanswered-per-day = 3";
    let mut scene = Scene::with((wide, narrow));
    let proved = scene.daemon.show(USER).sends_24h;
    for _ in 0..3 {
        let _ = scene.begun();
    }
    for (seconds, restart) in ON {
        scene = scene.after(seconds, restart);
        scene.sends_nothing(proved + 3, &format!("{seconds} s {restart}"));
    }
}

#[test]
fn a_clock_that_is_stepped_far_is_said_to_be_in_doubt_and_logins_go_on() {
    for (seconds, said) in [(YEAR, "ahead of the time"), (-YEAR, "behind the time")] {
        let mut scene = Scene::new();
        let pid = scene.daemon.pid();
        // Set wrong, and right again.
        for (seconds, in_doubt) in [(seconds, true), (0, false)] {
            scene = scene.after(seconds, false);
            let (mut wire, challenge, code) = scene.begun();
            assert!(is_granted(&wire.answer(&challenge, &code)));
            if in_doubt {
                scene.daemon.wait_for("the clock is in doubt: ");
                scene.daemon.wait_for(said);
            } else {
                scene.daemon.wait_for("the clock is in doubt no more");
            }
            let problems = scene.daemon.status().problems;
            let doubt = problems.iter().any(|problem| problem.contains("in doubt"));
            assert_eq!(doubt, in_doubt, "{problems:?}");
        }
        assert!(scene.daemon.is_running() && scene.daemon.pid() == pid, "the same process");
    }
}
