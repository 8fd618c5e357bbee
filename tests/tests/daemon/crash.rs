//! SIGKILL in the middle of answers, 200 times, and a checker for what was seen around it.

use otp_proto::login::{Answer, Step, Verdict};
use otpd_tests::{
    daemon::{Daemon, Keeper, Place},
    phone::Phone,
    wire::{login, typed, wrong},
};

use super::people::PEOPLE;

/// Wrong codes that a login may have.
const TRIES: u32 = 3;

/// What an answer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Granted,
    /// Wrong, and the login goes on.
    Wrong {
        left: u32,
    },
    Denied,
    /// Nothing: the daemon was killed first.
    Nothing,
}

impl Told {
    pub(crate) fn of(step: Option<Step>) -> Self {
        let Some(step) = step else { return Self::Nothing };
        match (step.verdict, step.prompt) {
            (Some(Verdict::Granted), None) => Self::Granted,
            (Some(Verdict::Denied), None) => Self::Denied,
            (None, Some(prompt)) => {
                let left = prompt.text.split_once(" tr").and_then(|(before, _)| {
                    before.rsplit(' ').next().and_then(|number| number.parse().ok())
                });
                Self::Wrong { left: left.expect("the tries that are left") }
            }
            other => panic!("neither an answer nor a question: {other:?}"),
        }
    }
}

/// All that was seen of one login.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Wrong codes, and what each was told before the daemon was killed.
    pub(crate) wrong: Vec<Told>,
    /// The right code, as often as it was sent.
    pub(crate) right: Vec<Told>,
    /// Wrong codes that the daemon has on record after it came back.
    pub(crate) charged: u32,
    /// Whether it says that the login still waits.
    pub(crate) live: bool,
    /// What the right code was told afterwards, twice.
    pub(crate) again: [Option<Told>; 2],
}

impl History {
    /// The first rule that was broken.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let count = |told: &[Told], what: fn(&Told) -> bool| {
            u32::try_from(told.iter().filter(|told| what(told)).count()).unwrap_or(u32::MAX)
        };
        let is_granted = |told: &Told| *told == Told::Granted;
        let afterwards = self.again.iter().flatten().copied().collect::<Vec<_>>();
        let granted_before = count(&self.right, is_granted);
        let granted_after = count(&afterwards, is_granted);
        let lefts = self
            .wrong
            .iter()
            .filter_map(|told| match told {
                Told::Wrong { left } => Some(*left),
                Told::Granted | Told::Denied | Told::Nothing => None,
            })
            .collect::<Vec<_>>();
        let told_wrong = u32::try_from(lefts.len()).unwrap_or(u32::MAX);
        let denied_before = self.wrong.iter().chain(&self.right).any(|told| *told == Told::Denied);
        let sent = u32::try_from(self.wrong.len()).unwrap_or(u32::MAX);
        // The right code may have been taken without a word.
        let perhaps_used = self.right.contains(&Told::Nothing);
        let over = granted_before > 0 || self.charged >= TRIES;
        let rules = [
            (self.wrong.contains(&Told::Granted), "a wrong code was granted"),
            (granted_before + granted_after > 1, "a code was granted twice"),
            (told_wrong > self.charged, "a wrong code was told and is not on record"),
            (self.charged > sent, "more wrong codes are on record than were sent"),
            (self.charged > TRIES, "more wrong codes were judged than there are tries"),
            (
                lefts.iter().any(|left| TRIES - left > self.charged),
                "a try that was told to be used was handed back",
            ),
            (
                lefts.iter().enumerate().any(|(at, left)| lefts[..at].contains(left)),
                "two wrong codes used one try",
            ),
            (denied_before && !over && !perhaps_used, "denied without a reason"),
            (over && self.live, "an ended login waits again"),
            (!over && !self.live && !perhaps_used, "a login was lost"),
            (self.live && granted_after != 1, "the right code of a live login was refused"),
            (!self.live && granted_after != 0, "a login that is over was granted"),
            (self.again[1] == Some(Told::Granted), "a code was granted after it was granted"),
        ];
        rules.into_iter().find_map(|(broken, rule)| broken.then_some(rule))
    }
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so many other calls, made while the answers wait.
    AfterCalls(usize),
    /// After so many of the answers were told something.
    AfterReplies(usize),
}

/// Which answers are sent, in which order, and when the daemon is killed: another mixture each time.
fn plan(round: usize) -> (Vec<bool>, Moment) {
    let mixtures: [&[bool]; 5] = [
        &[false, true],
        &[true, false, true],
        &[false, false, true, true],
        &[false, false, false, true],
        &[false, false],
    ];
    let rights = mixtures[round % mixtures.len()];
    let turn = round / mixtures.len();
    let moment = match turn % 2 {
        0 => Moment::AfterCalls(turn / 2 % 5),
        _ => Moment::AfterReplies(turn / 2 % (rights.len() + 1)),
    };
    (rights.to_vec(), moment)
}

/// One login, killed in the middle; the daemon that came back, and what was seen.
fn killed_once(
    place: &Place,
    phone: &Phone,
    daemon: Daemon,
    user: &str,
    round: usize,
) -> (Daemon, History) {
    daemon.unlock(user);
    let before = daemon.show(user).failures_24h;
    let challenge = daemon.connect().prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    let (rights, moment) = plan(round);
    let mut wires = rights.iter().map(|_| daemon.connect()).collect::<Vec<_>>();
    let mut other = daemon.connect();
    for ((nth, wire), right) in (0..).zip(&mut wires).zip(&rights) {
        let answer = if *right { code.clone() } else { wrong(&code, nth) };
        assert!(wire.post(&typed(&challenge, &answer)));
    }
    let mut receive = |at: usize| -> Told {
        let reply = wires[at].reply::<Answer>();
        Told::of(reply.map(|reply| reply.expect("a step, not an error").step))
    };
    let mut told = Vec::new();
    match moment {
        Moment::AfterCalls(calls) => {
            for _ in 0..calls {
                other.call(&otp_proto::service::GetInfo {}).expect("information");
            }
        }
        Moment::AfterReplies(replies) => told.extend((0..replies).map(&mut receive)),
    }
    daemon.kill();
    told.extend((told.len()..rights.len()).map(receive));

    let daemon = place.start();
    let shown = daemon.show(user);
    let mut history = History {
        charged: shown.failures_24h - before,
        live: shown.live_challenges == 1,
        ..History::default()
    };
    for (right, told) in rights.iter().zip(told) {
        if *right { history.right.push(told) } else { history.wrong.push(told) }
    }
    for again in &mut history.again {
        let reply = daemon.connect().call(&typed(&challenge, &code));
        *again = Some(Told::of(Some(reply.expect("the challenge is remembered").step)));
    }
    (daemon, history)
}

fn killed(keeper: Keeper, times: usize, offset: usize) {
    let phone = Phone::start();
    let mut met = Met::default();
    // What is on record is counted exactly up to 32 wrong codes: a few kills, then a new place.
    for batch in 0..times / 20 {
        let place = Place::kept_by(keeper, &phone);
        let mut daemon = place.start();
        for (user, number) in PEOPLE {
            daemon.enroll(&phone, user, number);
        }
        for (nth, (user, _)) in (0..20).zip(PEOPLE.iter().cycle()) {
            let round = offset + batch * 20 + nth;
            let history;
            (daemon, history) = killed_once(&place, &phone, daemon, user, round);
            assert_eq!(history.fault(), None, "round {round}, {user}: {history:?}");
            met.meet(&history);
        }
    }
    assert!(met.untold > 0 && met.told > 0, "the moments are not in the middle: {met:?}");
}

/// What the kills met, to see that they come at every moment.
#[derive(Debug, Default)]
struct Met {
    /// Nothing was told to anybody.
    untold: u32,
    /// Some answers were told something, others not.
    some: u32,
    /// All were told something.
    told: u32,
    /// A wrong code was on record, and nobody had been told.
    charged_untold: u32,
    /// The right code was taken, and nobody had been told.
    granted_untold: u32,
}

impl Met {
    fn meet(&mut self, history: &History) {
        let told = history.wrong.iter().chain(&history.right);
        let nothing = told.clone().filter(|told| **told == Told::Nothing).count();
        match nothing {
            0 => self.told += 1,
            all if all == told.count() => self.untold += 1,
            _ => self.some += 1,
        }
        let wrong = history.wrong.iter().filter(|told| **told != Told::Nothing).count();
        self.charged_untold += u32::from(history.charged as usize > wrong);
        let used = !history.live && history.charged < TRIES;
        self.granted_untold += u32::from(used && !history.right.contains(&Told::Granted));
    }
}

#[test]
fn killed_100_times_nothing_is_handed_back() {
    killed(Keeper::Sqlite, 100, 0);
}

#[test]
fn killed_another_100_times_nothing_is_handed_back() {
    killed(Keeper::Sqlite, 100, 100);
}

#[test]
fn killed_100_times_on_postgresql_nothing_is_handed_back() {
    killed(Keeper::Postgres, 100, 0);
}

#[test]
fn killed_another_100_times_on_postgresql_nothing_is_handed_back() {
    killed(Keeper::Postgres, 100, 100);
}

/// Puts a fault into a sound history.
type Break = fn(&mut History);

#[test]
fn the_checker_sees_every_fault() {
    use Told::{Denied, Granted, Nothing, Wrong};
    let sound = || History {
        wrong: vec![Wrong { left: 2 }, Nothing],
        right: vec![],
        charged: 2,
        live: true,
        again: [Some(Granted), Some(Denied)],
    };
    assert_eq!(sound().fault(), None);
    let faults: [(&str, Break); 12] = [
        ("a wrong code was granted", |h| h.wrong[1] = Granted),
        ("a code was granted twice", |h| h.right = vec![Granted]),
        ("a wrong code was told and is not on record", |h| h.charged = 0),
        ("more wrong codes are on record than were sent", |h| h.charged = 3),
        ("a try that was told to be used was handed back", |h| {
            h.wrong = vec![Wrong { left: 1 }, Nothing];
            h.charged = 1;
        }),
        ("two wrong codes used one try", |h| h.wrong[1] = Wrong { left: 2 }),
        ("denied without a reason", |h| h.right = vec![Denied]),
        ("an ended login waits again", |h| {
            h.right = vec![Granted];
            h.again = [Some(Denied), Some(Denied)];
        }),
        ("a login was lost", |h| h.live = false),
        ("the right code of a live login was refused", |h| h.again = [Some(Denied), Some(Denied)]),
        ("a login that is over was granted", |h| {
            h.right = vec![Nothing];
            h.live = false;
        }),
        ("more wrong codes were judged than there are tries", |h| {
            h.wrong = vec![Nothing; 4];
            h.charged = 4;
        }),
    ];
    for (rule, break_it) in faults {
        let mut history = sound();
        break_it(&mut history);
        assert_eq!(history.fault(), Some(rule), "{history:?}");
    }
}
