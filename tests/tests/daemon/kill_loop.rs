//! SIGKILL at random moments while several people log in at the same time, with wrong codes, right
//! ones, recovery codes and commands mixed; and the checker of `crash` for what each of them saw.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError, mpsc},
};

use otp_proto::login::{Answer, Begin};
use otpd_tests::{
    daemon::{Daemon, Keeper, Place},
    phone::{Phone, Text},
    wire::{Wire, is_granted, login, typed, wrong},
};

use super::{
    crash::{History, Told},
    people::PEOPLE,
    recovery::recovery_codes,
};

/// Kills in one place: what is on record is counted exactly up to 32 wrong codes.
const KILLS_A_PLACE: u32 = 10;

/// Numbers that look random and are the same in every run: splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).expect("below the limit")
    }
}

/// Another one at each run, to find what nobody has met.
pub(crate) fn any_seed() -> u64 {
    RandomState::new().hash_one(())
}

/// The messages that arrived, for whoever looks for theirs.
struct Inbox<'a> {
    phone: &'a Phone,
    arrived: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    texts: Vec<Text>,
    /// How many codes there ever were for each number.
    counts: HashMap<String, u32>,
}

impl Arrived {
    fn take(&mut self, text: Text) {
        // Who used a recovery code is told so without a charge.
        if text.text.contains("ref ") {
            *self.counts.entry(text.to.clone()).or_default() += 1;
        }
        self.texts.push(text);
    }
}

impl<'a> Inbox<'a> {
    fn new(phone: &'a Phone) -> Self {
        Self { phone, arrived: Mutex::default() }
    }

    /// What has arrived so far.
    fn look<T>(&self, with: impl FnOnce(&mut Arrived) -> T) -> T {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| self.phone.pending()).for_each(|text| arrived.take(text));
        with(&mut arrived)
    }

    /// Forgets what has arrived. References tell the codes of one login apart, and no more: an older
    /// login's may be the same.
    fn forget(&self) {
        self.look(|arrived| arrived.texts.clear());
    }

    /// How many codes came to a number so far.
    fn count(&self, number: &str) -> u32 {
        self.look(|arrived| arrived.counts.get(number).copied().unwrap_or_default())
    }

    /// The code of the prompt, which names its reference; `None` when it has not arrived.
    fn arrived(&self, number: &str, prompt: &str) -> Option<String> {
        self.look(|arrived| find(&arrived.texts, number, prompt))
    }

    /// The same; waits for it.
    fn code(&self, number: &str, prompt: &str) -> String {
        loop {
            if let Some(code) = self.arrived(number, prompt) {
                return code;
            }
            let next = self.phone.next();
            self.look(|arrived| arrived.take(next));
        }
    }
}

fn find(texts: &[Text], number: &str, prompt: &str) -> Option<String> {
    let (_, reference) = prompt.split_once("(ref ")?;
    let reference = reference.get(..2)?;
    let mark = format!("ref {reference}.");
    let mine = texts.iter().rev().find(|text| text.to == number && text.text.contains(&mark));
    mine.map(Text::code)
}

/// Somebody who logs in.
struct Person {
    user: &'static str,
    number: &'static str,
    recovery: Vec<String>,
    /// Messages that were charged before it began.
    sends: u32,
}

/// What one login came to before the daemon was killed.
struct Attempt {
    connection: String,
    /// The challenge and its code, once it was prompted for.
    prompted: Option<(String, String)>,
    history: History,
    /// What the recovery code was told, if one was typed.
    recovery: Option<Told>,
}

/// What is typed.
#[derive(Clone, Copy)]
enum Act {
    Wrong,
    Right,
    Recovery,
    Help,
    Again,
}

fn acts(dice: &mut Dice) -> Vec<Act> {
    let count = 1 + dice.below(4);
    let act = |_| match dice.below(16) {
        0..6 => Act::Wrong,
        6..12 => Act::Right,
        12 => Act::Recovery,
        13..15 => Act::Help,
        _ => Act::Again,
    };
    (0..count).map(act).collect()
}

/// One login until it ends or the daemon does. Every call and every reply is an event.
fn attempt(
    person: &mut Person,
    mut wire: Wire,
    inbox: &Inbox,
    dice: &mut Dice,
    events: &mpsc::Sender<()>,
) -> Attempt {
    let event = || {
        // Nobody listens any more once the daemon is being killed.
        let _ = events.send(());
    };
    let connection =
        format!("192.0.2.7 {} 192.0.2.1 22 {}", dice.below(60_000), dice.below(1 << 30));
    let mut attempt =
        Attempt { connection, prompted: None, history: History::default(), recovery: None };
    wire.post(&login(person.user, Some(&attempt.connection)));
    event();
    let Some(begun) = wire.reply::<Begin>() else { return attempt };
    event();
    let begun = begun.expect("a step");
    let (challenge, prompt) = begun.challenge.zip(begun.step.prompt).expect("a prompt");
    // Where the vendor was slow, the code is still on its way.
    let Some(code) = inbox.arrived(person.number, &prompt.text) else { return attempt };
    attempt.prompted = Some((challenge.clone(), code.clone()));
    for (nth, act) in (0..).zip(acts(dice)) {
        let text = match act {
            Act::Wrong => wrong(&code, nth),
            Act::Right => code.clone(),
            // Each of them once.
            Act::Recovery if attempt.recovery.is_some() || person.recovery.is_empty() => continue,
            Act::Recovery => person.recovery.pop().expect("one more"),
            Act::Help => "?".to_owned(),
            Act::Again => "r".to_owned(),
        };
        wire.post(&typed(&challenge, &text));
        event();
        let reply = wire.reply::<Answer>();
        let told = reply.map(|reply| reply.expect("a step").step);
        let killed = told.is_none();
        match act {
            Act::Wrong => attempt.history.wrong.push(Told::of(told)),
            Act::Right => attempt.history.right.push(Told::of(told)),
            Act::Recovery => {
                let told = Told::of(told);
                attempt.recovery = Some(told);
                // To the login it is another right code.
                attempt.history.right.push(told);
            }
            Act::Help | Act::Again => {}
        }
        if killed {
            return attempt;
        }
        event();
    }
    attempt
}

/// What was met, to see that the moments are in the middle, and for the record.
#[derive(Debug, Default)]
struct Met {
    kills: u32,
    unprompted: u32,
    answers: u32,
    untold: u32,
    grants: u32,
    recoveries: u32,
}

/// After the restart: what the daemon says of a login, and what it does with its code.
fn settle(
    daemon: &Daemon,
    inbox: &Inbox,
    person: &Person,
    before: Before,
    attempt: Attempt,
) -> Attempt {
    let Attempt { connection, prompted, mut history, recovery } = attempt;
    // Counted first: what goes out meanwhile is charged before it does.
    let arrived = inbox.count(person.number);
    let shown = daemon.show(person.user);
    let charged = shown.sends_24h - person.sends;
    assert!(charged >= arrived, "{}: {arrived} codes, {charged} charged", person.user);
    let name = |history: &History| format!("{}: {history:?} {recovery:?}", person.user);
    let used = before.recovery - shown.recovery_codes_left;
    let possible = match recovery {
        Some(Told::Granted) => 1..=1,
        Some(Told::Nothing) => 0..=1,
        Some(Told::Denied) | None => 0..=0,
        Some(Told::Wrong { .. }) => panic!("a right one was wrong: {}", name(&history)),
    };
    assert!(possible.contains(&used), "{used} recovery codes are used: {}", name(&history));
    let mut wire = daemon.connect();
    if let Some((challenge, code)) = &prompted {
        history.charged = shown.failures_24h - before.failures;
        history.live = shown.live_challenges == 1;
        assert!(used == 0 || !history.live, "used, and the login waits: {}", name(&history));
        for again in &mut history.again {
            let step = wire.call(&typed(challenge, code)).expect("it is remembered").step;
            *again = Some(Told::of(Some(step)));
        }
        assert_eq!(history.fault(), None, "{}", name(&history));
    } else {
        // Perhaps it began, perhaps not; it can be gone on with, and its code comes.
        assert_eq!(shown.failures_24h, before.failures, "{}", name(&history));
        let prompted = wire.prompt(&login(person.user, Some(&connection)));
        let code = inbox.code(person.number, &prompted.text);
        assert!(is_granted(&wire.answer(&prompted.challenge, &code)), "{}", name(&history));
        assert!(!is_granted(&wire.answer(&prompted.challenge, &code)), "{}", name(&history));
    }
    Attempt { connection, prompted, history, recovery }
}

/// What was on record before the kill.
#[derive(Clone, Copy)]
struct Before {
    failures: u32,
    recovery: u32,
}

fn killed_once(
    place: &Place,
    daemon: Daemon,
    inbox: &Inbox,
    people: &mut [Person],
    dice: &mut Dice,
    met: &mut Met,
) -> Daemon {
    let before = people.iter().map(|person| {
        daemon.unlock(person.user);
        let shown = daemon.show(person.user);
        Before { failures: shown.failures_24h, recovery: shown.recovery_codes_left }
    });
    let before = before.collect::<Vec<_>>();
    inbox.forget();
    let moment = 1 + dice.below(30);
    let (events, seen) = mpsc::channel();
    let attempts = std::thread::scope(|scope| {
        let begin = |person| {
            let (wire, events) = (daemon.connect(), events.clone());
            let mut dice = Dice(u64::from(dice.below(u32::MAX)));
            scope.spawn(move || attempt(person, wire, inbox, &mut dice, &events))
        };
        let logins = people.iter_mut().map(begin).collect::<Vec<_>>();
        drop(events);
        // All of them may be over by then.
        for _ in 0..moment {
            let _ = seen.recv();
        }
        daemon.kill();
        let ends = logins.into_iter().map(|login| login.join().expect("a login"));
        ends.collect::<Vec<_>>()
    });
    let daemon = place.start();
    met.kills += 1;
    for ((person, before), attempt) in people.iter().zip(before).zip(attempts) {
        let Attempt { prompted, history, recovery, .. } =
            settle(&daemon, inbox, person, before, attempt);
        let told = history.wrong.iter().chain(&history.right);
        met.unprompted += u32::from(prompted.is_none());
        met.recoveries += u32::from(recovery.is_some());
        for told in told {
            met.answers += 1;
            met.untold += u32::from(*told == Told::Nothing);
            met.grants += u32::from(*told == Told::Granted);
        }
    }
    daemon
}

fn killed_under_load(keeper: Keeper, times: u32, seed: u64) {
    println!("drawn by the seed {seed}");
    let phone = Phone::start();
    let (mut dice, mut met) = (Dice(seed), Met::default());
    for _ in 0..times / KILLS_A_PLACE {
        let place = Place::kept_by(keeper, &phone);
        let mut daemon = place.start();
        let mut people = PEOPLE.map(|(user, number)| {
            daemon.enroll(&phone, user, number);
            let sends = daemon.show(user).sends_24h;
            Person { user, number, recovery: recovery_codes(&daemon, user), sends }
        });
        let inbox = Inbox::new(&phone);
        for _ in 0..KILLS_A_PLACE {
            daemon = killed_once(&place, daemon, &inbox, &mut people, &mut dice, &mut met);
        }
        daemon.kill();
        while phone.pending().is_some() {}
    }
    assert!(met.untold > 0 && met.grants > 0, "the moments are not in the middle: {met:?}");
    println!("{} kills survived under load: {met:?}", met.kills);
}

#[test]
fn killed_200_times_under_load() {
    killed_under_load(Keeper::Sqlite, 200, 1);
}

#[test]
fn killed_60_times_under_load_on_postgresql() {
    killed_under_load(Keeper::Postgres, 60, 1);
}

#[test]
#[ignore = "long"]
fn killed_2500_times_under_load() {
    killed_under_load(Keeper::Sqlite, 2500, any_seed());
}

#[test]
#[ignore = "long"]
fn killed_another_2500_times_under_load() {
    killed_under_load(Keeper::Sqlite, 2500, any_seed());
}

#[test]
#[ignore = "long"]
fn killed_2500_times_more_under_load() {
    killed_under_load(Keeper::Sqlite, 2500, any_seed());
}

#[test]
#[ignore = "long"]
fn killed_2500_times_at_last_under_load() {
    killed_under_load(Keeper::Sqlite, 2500, any_seed());
}

#[test]
#[ignore = "long"]
fn killed_1000_times_under_load_on_postgresql() {
    killed_under_load(Keeper::Postgres, 1000, any_seed());
}
