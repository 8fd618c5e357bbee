//! The daemon killed at every step of every verb, and what is found after it: a table for each verb.
//!
//! The daemon of these tests is a build of its own, with the points at which it kills itself.

use std::{fs, os::unix::process::ExitStatusExt, path::PathBuf};

use otp_proto::{
    Method, Secret,
    admin::{Enroll, Resend, Show, State, Verify},
    login::{Answer, Step, Verdict},
};
use otpd_tests::{
    daemon::{Daemon, Keeper, Place, failpoints},
    phone::Phone,
    postgres::Server,
    wall::Wall,
    wire::{Prompted, Refusal, Wire, is_denied, is_granted, login, typed, wrong},
};

use super::{
    people::PEOPLE,
    recovery::{grant, recovery_codes},
};

pub(super) const USER: &str = PEOPLE[0].0;
pub(super) const NUMBER: &str = PEOPLE[0].1;
/// Who is not enrolled.
const OTHER: &str = PEOPLE[1].0;
/// The same each time, as when sshd runs the stack again.
const CONNECTION: Option<&str> = Some("192.0.2.7 40000 192.0.2.1 22 0123456789abcdef");

/// How far it was when the daemon was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Got {
    /// Nothing is committed.
    Nowhere,
    /// The decision is committed.
    Committed,
    /// And a vendor has taken the message that it ordered.
    Taken,
    /// And that is committed, too.
    Recorded,
    /// And the caller was told.
    Told,
}

/// A point, how often it must be reached, and how far things are there.
type Row = (&'static str, u32, Got);

/// What orders a message and waits for the vendor: two transactions, and one reply.
const SENDS: [Row; 14] = [
    ("loaded", 1, Got::Nowhere),
    ("decided", 1, Got::Nowhere),
    ("written", 1, Got::Nowhere),
    ("committed", 1, Got::Committed),
    ("ordered", 1, Got::Committed),
    ("taken", 1, Got::Taken),
    ("loaded", 2, Got::Taken),
    ("decided", 2, Got::Taken),
    ("written", 2, Got::Taken),
    ("committed", 2, Got::Recorded),
    ("recorded", 1, Got::Recorded),
    ("reply", 1, Got::Recorded),
    ("half-reply", 1, Got::Recorded),
    ("replied", 1, Got::Told),
];

/// What sends nothing.
const DECIDES: [Row; 7] = [
    ("loaded", 1, Got::Nowhere),
    ("decided", 1, Got::Nowhere),
    ("written", 1, Got::Nowhere),
    ("committed", 1, Got::Committed),
    ("reply", 1, Got::Committed),
    ("half-reply", 1, Got::Committed),
    ("replied", 1, Got::Told),
];

/// A daemon that can be killed at a point, in a place of its own.
pub(super) struct World {
    pub(super) phone: Phone,
    pub(super) place: Place,
    pub(super) wall: Wall,
    pub(super) daemon: Daemon,
}

impl World {
    fn new(keeper: Keeper) -> Self {
        let phone = Phone::start();
        let mut place = Place::new(&phone);
        let wall = Wall::new(&place);
        if keeper == Keeper::Postgres {
            // What time it is, the server decides.
            place.own(Server::start_by(wall.words(), ""));
        }
        let daemon = start(&place, &wall);
        Self { phone, place, wall, daemon }
    }

    /// One whose user is enrolled.
    pub(super) fn enrolled(keeper: Keeper) -> Self {
        let world = Self::new(keeper);
        world.daemon.enroll(&world.phone, USER, NUMBER);
        world
    }

    /// A login that waits for its code.
    fn prompted(&self) -> (Wire, Prompted, String) {
        let mut wire = self.daemon.connect();
        let prompted = wire.prompt(&login(USER, CONNECTION));
        (wire, prompted, self.code())
    }

    /// The next code that arrives.
    fn code(&self) -> String {
        loop {
            let text = self.phone.next();
            if !text.text.starts_with("A recovery code was used") {
                return text.code();
            }
        }
    }

    /// Calls, has the daemon killed at the row's point, and starts it again. What the caller was
    /// told: nothing, unless the point is behind the reply.
    fn killed_in<M: Method>(self, row: Row, wire: &mut Wire, call: &M) -> (Self, Option<Told<M>>) {
        let (world, told) = self.killed(row, || {
            assert!(wire.post(call), "{row:?}");
            wire.reply::<M>()
        });
        assert_eq!(told.is_some(), row.2 == Got::Told, "{row:?}: told at the right moment");
        (world, told)
    }

    /// Has the daemon killed at the row's point while it does this, and starts it again.
    fn killed<T>(self, row: Row, act: impl FnOnce() -> T) -> (Self, T) {
        let (point, times, _) = row;
        let Self { phone, place, wall, daemon } = self;
        fs::write(armed(&place), format!("failpoint-{point} {times}")).expect("a file");
        let done = act();
        let died = daemon.wait();
        assert_eq!(died.signal(), Some(9), "{row:?}: {died:?}");
        fs::remove_file(armed(&place)).expect("the file");
        let daemon = start(&place, &wall);
        (Self { phone, place, wall, daemon }, done)
    }

    /// A login that begins and ends as if nothing had been.
    pub(super) fn logs_in(&self) {
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        assert!(is_granted(&wire.answer(&challenge, &self.code())));
    }
}

type Told<M> = Result<<M as Method>::Reply, Refusal>;

pub(super) fn armed(place: &Place) -> PathBuf {
    place.file("failpoint")
}

pub(super) fn start(place: &Place, wall: &Wall) -> Daemon {
    let mut command = wall.under(place.command_of(failpoints()));
    command.env("OTPD_FAILPOINT", armed(place));
    place.wait_until_left();
    Daemon::spawn(command, place.socket(), ": ready ")
}

/// Runs every row in a place of its own, with either store, and says how many kills were survived.
fn each(rows: &[Row], verb: &str, check: fn(Keeper, Row)) {
    for keeper in Keeper::ALL {
        for row in rows {
            check(keeper, *row);
        }
        println!("{verb}, {keeper:?}: {} kills survived", rows.len());
    }
}

fn step(told: Option<Told<Answer>>) -> Option<Step> {
    told.map(|told| told.expect("a step").step)
}

fn text(step: Step) -> String {
    step.prompt.unwrap_or_else(|| panic!("no prompt: {:?} {:?}", step.verdict, step.text)).text
}

fn begins(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::enrolled(keeper);
    let before = world.daemon.show(USER);
    let mut wire = world.daemon.connect();
    let (world, told) = world.killed_in(row, &mut wire, &login(USER, CONNECTION));
    let first = (got >= Got::Taken).then(|| world.code());
    // A code that was lost is followed by a fresh one, and nobody has to ask for it.
    let second = [Got::Committed, Got::Taken].contains(&got).then(|| world.code());
    let mut wire = world.daemon.connect();
    let again = wire.prompt(&login(USER, CONNECTION));
    let third = (got == Got::Nowhere).then(|| world.code());
    assert!(world.phone.pending().is_none(), "{row:?}: no further message");
    if let Some(told) = told {
        let challenge = told.expect("a step").challenge;
        assert_eq!(challenge.as_ref(), Some(&again.challenge), "{row:?}: the same login");
    }
    let shown = world.daemon.show(USER);
    // Every code that was ordered is charged, whatever became of it.
    let ordered = if second.is_some() { 2 } else { 1 };
    assert_eq!(shown.sends_24h - before.sends_24h, ordered, "{row:?}: charged");
    assert_eq!(shown.live_challenges, 1, "{row:?}");
    if let (Some(lost), Some(_)) = (&first, &second) {
        let said = text(wire.answer(&again.challenge, lost));
        assert!(said.contains("earlier code"), "{row:?}: {said}");
    }
    let code = third.or(second).or(first).expect("a code");
    assert!(is_granted(&wire.answer(&again.challenge, &code)), "{row:?}");
    assert!(is_denied(&wire.answer(&again.challenge, &code)), "{row:?}: once");
}

fn takes_the_right_code(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::enrolled(keeper);
    let (mut wire, prompted, code) = world.prompted();
    let answer = typed(&prompted.challenge, &code);
    let (world, told) = world.killed_in(row, &mut wire, &answer);
    let told = step(told);
    assert!(told.is_none_or(|step| is_granted(&step)), "{row:?}");
    let shown = world.daemon.show(USER);
    assert_eq!(shown.live_challenges, u32::from(got == Got::Nowhere), "{row:?}");
    let mut wire = world.daemon.connect();
    let granted = [(); 3].map(|()| is_granted(&wire.answer(&prompted.challenge, &code)));
    assert_eq!(granted, [got == Got::Nowhere, false, false], "{row:?}: one use in all");
    assert_eq!(shown.failures_24h, 0, "{row:?}");
    world.logs_in();
}

fn takes_a_wrong_code(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::enrolled(keeper);
    let (mut wire, prompted, code) = world.prompted();
    let answer = typed(&prompted.challenge, &wrong(&code, 0));
    let (world, told) = world.killed_in(row, &mut wire, &answer);
    let told = step(told).map(text);
    assert!(told.is_none_or(|told| told.contains("2 tries left")), "{row:?}");
    let charged = u32::from(got != Got::Nowhere);
    assert_eq!(world.daemon.show(USER).failures_24h, charged, "{row:?}: the charge");
    let mut wire = world.daemon.connect();
    let said = text(wire.answer(&prompted.challenge, &wrong(&code, 1)));
    let left = if got == Got::Nowhere { "2 tries left" } else { "1 try left" };
    assert!(said.contains(left), "{row:?}: {said}");
    assert!(is_granted(&wire.answer(&prompted.challenge, &code)), "{row:?}");
    assert!(is_denied(&wire.answer(&prompted.challenge, &code)), "{row:?}");
}

fn sends_again(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::enrolled(keeper);
    let (mut wire, prompted, old) = world.prompted();
    let before = world.daemon.show(USER).sends_24h;
    world.wall.set(31);
    let answer = typed(&prompted.challenge, "r");
    let (world, told) = world.killed_in(row, &mut wire, &answer);
    let told = step(told).map(text);
    assert!(told.is_none_or(|told| told.contains("A new code was sent")), "{row:?}");
    let new = (got >= Got::Taken).then(|| world.code());
    let newer = [Got::Committed, Got::Taken].contains(&got).then(|| world.code());
    let mut wire = world.daemon.connect();
    let said = text(wire.answer(&prompted.challenge, "?"));
    assert!(said.contains("3 tries left"), "{row:?}: {said}");
    assert!(world.phone.pending().is_none(), "{row:?}: no further message");
    let ordered = u32::from(got != Got::Nowhere) + u32::from(newer.is_some());
    assert_eq!(world.daemon.show(USER).sends_24h - before, ordered, "{row:?}: charged");
    let mut codes = vec![old];
    codes.extend([new, newer].into_iter().flatten());
    let newest = codes.pop().expect("a code");
    for earlier in codes {
        let said = text(wire.answer(&prompted.challenge, &earlier));
        assert!(said.contains("earlier code"), "{row:?}: {said}");
    }
    assert!(is_granted(&wire.answer(&prompted.challenge, &newest)), "{row:?}");
    assert!(is_denied(&wire.answer(&prompted.challenge, &newest)), "{row:?}");
}

fn gives_up(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::enrolled(keeper);
    let (mut wire, prompted, code) = world.prompted();
    let answer = typed(&prompted.challenge, "q");
    let (world, told) = world.killed_in(row, &mut wire, &answer);
    let told = step(told);
    assert!(told.is_none_or(|step| is_denied(&step)), "{row:?}");
    let step = world.daemon.connect().answer(&prompted.challenge, &code);
    assert_eq!(is_granted(&step), got == Got::Nowhere, "{row:?}: {step:?}");
    assert_eq!(world.daemon.show(USER).failures_24h, 0, "{row:?}");
    world.logs_in();
}

fn takes_a_recovery_code(keeper: Keeper, row: Row) {
    let (point, times, got) = row;
    let world = World::enrolled(keeper);
    let codes = recovery_codes(&world.daemon, USER);
    let (mut wire, prompted, _) = world.prompted();
    let answer = typed(&prompted.challenge, &codes[0]);
    // The owner is told by the way: that goes on beside the reply.
    let got = match (point, times) {
        ("taken", _) | ("loaded" | "decided" | "written", 2) => Got::Committed,
        _ => got,
    };
    let (world, told) = world.killed(row, || {
        assert!(wire.post(&answer));
        step(wire.reply::<Answer>())
    });
    assert!(told.as_ref().is_none_or(is_granted), "{row:?}");
    assert!(told.is_none() || got != Got::Nowhere, "{row:?}: told before it was committed");
    let left = world.daemon.show(USER).recovery_codes_left;
    assert_eq!(left, if got == Got::Nowhere { 8 } else { 7 }, "{row:?}");
    let mut wire = world.daemon.connect();
    if got == Got::Nowhere {
        assert!(is_granted(&wire.answer(&prompted.challenge, &codes[0])), "{row:?}");
    }
    // Whenever it was killed, the owner of the account learns of it.
    assert!(world.phone.next().text.starts_with("A recovery code was used"), "{row:?}");
    assert!(is_denied(&wire.answer(&prompted.challenge, &codes[0])), "{row:?}: the login is over");
    let other = wire.prompt(&login(USER, None)).challenge;
    let code = world.code();
    assert!(!is_granted(&wire.answer(&other, &codes[0])), "{row:?}: one use in all");
    assert!(is_granted(&wire.answer(&other, &code)), "{row:?}");
}

fn takes_a_bypass(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::new(keeper);
    grant(&world.daemon, OTHER, Some(1), None);
    let mut wire = world.daemon.connect();
    let (world, told) = world.killed_in(row, &mut wire, &login(OTHER, None));
    let told = told.map(|told| told.expect("a step").step.verdict);
    assert!(told.is_none_or(|verdict| verdict == Some(Verdict::Granted)), "{row:?}");
    let mut wire = world.daemon.connect();
    let granted = [(); 2].map(|()| is_granted(&wire.begin(OTHER).step));
    assert_eq!(granted, [got == Got::Nowhere, false], "{row:?}: one login in all");
}

fn enrolls(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::new(keeper);
    let enroll = Enroll {
        user: USER.to_owned(),
        phone: Secret::new(NUMBER.to_owned()),
        channel: None,
        replace: false,
    };
    let mut wire = world.daemon.connect();
    let (world, told) = world.killed_in(row, &mut wire, &enroll);
    assert!(told.is_none_or(|told| told.is_ok()), "{row:?}");
    let mut wire = world.daemon.connect();
    let shown = wire.call(&Show { user: USER.to_owned() });
    let code = match got {
        Got::Nowhere => {
            assert_eq!(shown.expect_err("nobody").error, "org.otpd.Admin.NotEnrolled", "{row:?}");
            wire.call(&enroll).expect("as if nothing had been");
            world.code()
        }
        // Only its administrator waits for it, and asks again.
        Got::Committed | Got::Taken => {
            let state = shown.expect("enrolled").subscriber.state;
            assert_eq!(state, State::Pending, "{row:?}");
            if got == Got::Taken {
                let _ = world.code();
            }
            world.wall.set(31);
            let resend = Resend { user: USER.to_owned(), voice: false };
            wire.call(&resend).expect("sent again");
            world.code()
        }
        Got::Recorded | Got::Told => world.code(),
    };
    let verify = Verify { user: USER.to_owned(), code: Secret::new(code) };
    wire.call(&verify).expect("proved");
    assert!(world.phone.pending().is_none(), "{row:?}: no further message");
    world.logs_in();
}

fn verifies(keeper: Keeper, row: Row) {
    let (_, _, got) = row;
    let world = World::new(keeper);
    let enroll = Enroll {
        user: USER.to_owned(),
        phone: Secret::new(NUMBER.to_owned()),
        channel: None,
        replace: false,
    };
    let mut wire = world.daemon.connect();
    wire.call(&enroll).expect("enrolled");
    let code = world.code();
    let verify = Verify { user: USER.to_owned(), code: Secret::new(code) };
    let (world, told) = world.killed_in(row, &mut wire, &verify);
    assert!(told.is_none_or(|told| told.is_ok()), "{row:?}");
    let state = world.daemon.show(USER).subscriber.state;
    let mut wire = world.daemon.connect();
    if got == Got::Nowhere {
        assert_eq!(state, State::Pending, "{row:?}");
        wire.call(&verify).expect("proved");
    }
    assert_eq!(world.daemon.show(USER).subscriber.state, State::Active, "{row:?}");
    assert!(wire.call(&verify).is_err(), "{row:?}: once");
    world.logs_in();
}

#[test]
fn killed_at_each_step_of_a_begin() {
    each(&SENDS, "begin", begins);
}

#[test]
fn killed_at_each_step_of_a_right_answer() {
    each(&DECIDES, "right code", takes_the_right_code);
}

#[test]
fn killed_at_each_step_of_a_wrong_answer() {
    each(&DECIDES, "wrong code", takes_a_wrong_code);
}

#[test]
fn killed_at_each_step_of_a_resend() {
    each(&SENDS, "resend", sends_again);
}

#[test]
fn killed_at_each_step_of_a_cancel() {
    each(&DECIDES, "cancel", gives_up);
}

#[test]
fn killed_at_each_step_of_a_recovery() {
    each(&SENDS, "recovery code", takes_a_recovery_code);
}

#[test]
fn killed_at_each_step_of_a_bypass() {
    each(&DECIDES, "bypass", takes_a_bypass);
}

#[test]
fn killed_at_each_step_of_an_enrollment() {
    each(&SENDS, "enrollment", enrolls);
}

#[test]
fn killed_at_each_step_of_a_proof() {
    each(&DECIDES, "proof", verifies);
}
