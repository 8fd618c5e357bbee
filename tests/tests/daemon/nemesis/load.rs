//! People who log in at all hosts without a pause, with right codes and wrong ones, and note down what
//! they are told.

use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use otp_proto::{
    admin::Unlock,
    login::{Answer, Begin, Step, Verdict},
};
use otpd_tests::wire::{Wire, login, typed, wrong};

use super::{
    super::kill_loop::Dice,
    fleet::{Fleet, HOSTS},
    history::{Event, LATE, Outage, Tick, Told, Typed},
    inbox::Inbox,
};

/// How long anything may take before the run has failed.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
/// How long somebody waits for their own host, which may be stopped.
const OWN: Duration = Duration::from_secs(30);
/// The same for another one: there is more to do meanwhile.
const OTHER: Duration = Duration::from_secs(3);
/// Between two logins of one lane: an account may have 600 messages in an hour.
const PAUSE: Duration = Duration::from_millis(80);
/// A code may be asked for anew after thirty seconds.
const RESEND: u64 = 31_000;
/// Logins that wait at their prompts in each lane.
const WAITING: usize = 3;

/// Somebody who is enrolled.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) user: String,
    pub(super) number: String,
}

/// What is going on at a host.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Only what was sent after this moment is counted.
    since: Tick,
    ended: u64,
    granted: u64,
}

/// What is counted of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) refused: u64,
}

/// What all lanes share.
pub(super) struct Load {
    sockets: [PathBuf; HOSTS],
    inboxes: [Mutex<Inbox>; HOSTS],
    ticks: AtomicU64,
    began: Instant,
    over: AtomicBool,
    events: Mutex<Vec<Event>>,
    counts: Mutex<Counts>,
    progress: Mutex<[Progress; HOSTS]>,
    progressed: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how old a code is decides whether it may be granted"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Load {
    pub(super) fn new(fleet: &Fleet) -> Self {
        let inbox = |path| Mutex::new(Inbox::new(path));
        Self {
            sockets: fleet.hosts.each_ref().map(|host| host.place.socket()),
            inboxes: fleet.hosts.each_ref().map(|host| inbox(host.texts())),
            ticks: AtomicU64::new(1),
            began: now(),
            over: AtomicBool::new(false),
            events: Mutex::default(),
            counts: Mutex::default(),
            progress: Mutex::default(),
            progressed: Condvar::new(),
        }
    }

    /// A moment later than all before.
    pub(super) fn tick(&self) -> Tick {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends all lanes after what they are at.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> (Vec<Event>, Counts) {
        (std::mem::take(&mut lock(&self.events)), *lock(&self.counts))
    }

    /// An outage of a host that begins now. It ends with [`Self::ends`].
    pub(super) fn outage(&self, host: usize) -> Outage {
        let from = self.tick();
        Outage { host, from, to: Tick::MAX }
    }

    /// Waits until so many calls have ended at these hosts that were made from now on.
    pub(super) fn goes_on(&self, hosts: &[usize], calls: u64) {
        self.wait(hosts, "calls end", |progress| progress.ended >= calls);
    }

    /// Waits until logins that go on from now are granted at these hosts.
    pub(super) fn serves(&self, hosts: &[usize], logins: u64) {
        self.wait(hosts, "logins are granted", |progress| progress.granted >= logins);
    }

    fn wait(&self, hosts: &[usize], what: &str, holds: impl Fn(&Progress) -> bool) {
        let mut progress = lock(&self.progress);
        for host in hosts {
            progress[*host] = Progress { since: self.tick(), ..Progress::default() };
        }
        let missing = |all: &mut [Progress; HOSTS]| !hosts.iter().all(|host| holds(&all[*host]));
        let waited = self.progressed.wait_timeout_while(progress, PATIENCE, missing);
        let (all, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "no {what} at {hosts:?}: {all:?}");
    }

    /// A call has ended.
    fn note(&self, host: usize, sent: Tick, granted: bool) {
        let mut all = lock(&self.progress);
        let progress = &mut all[host];
        if progress.since < sent {
            progress.ended += 1;
            progress.granted += u64::from(granted);
            self.progressed.notify_all();
        }
    }

    fn connect(&self, host: usize) -> Option<Wire> {
        // The daemon may have been killed.
        UnixStream::connect(&self.sockets[host]).ok().map(Wire::new)
    }

    /// The code of the first message to a number, by this host; waits for it.
    pub(super) fn first_code(&self, host: usize, number: &str) -> String {
        let until = now() + PATIENCE;
        loop {
            if let Some(code) = lock(&self.inboxes[host]).first_code(number) {
                return code;
            }
            assert!(now() < until, "no message to {number}");
            std::thread::yield_now();
        }
    }

    /// The code that a prompt of this host names.
    fn code(&self, host: usize, number: &str, prompt: &str) -> Option<String> {
        lock(&self.inboxes[host]).code(number, prompt)
    }
}

/// A login that waits at its prompt.
struct Prompted {
    host: usize,
    person: Person,
    wire: Wire,
    challenge: String,
    code: String,
    /// When it was read, milliseconds.
    read: u64,
}

/// How a login began.
enum Begun {
    Prompted(Prompted),
    /// For now nobody is let in.
    Unavailable,
    /// The account is held back.
    Denied,
    /// No answer, or no message.
    Nothing,
}

/// Somebody at one host, who goes on until the run is over.
pub(super) struct Lane<'a> {
    load: &'a Load,
    home: usize,
    dice: Dice,
    waiting: Vec<Prompted>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(load: &'a Load, home: usize, seed: u64) -> Self {
        Self { load, home, dice: Dice(seed), waiting: Vec::new() }
    }

    /// People who know their codes, and mistype them at times.
    pub(super) fn log_in(mut self, people: &[Person]) {
        for person in people.iter().cycle() {
            if self.load.is_over() {
                return;
            }
            let from = format!("192.0.2.{}", 1 + self.home);
            match self.begin(self.home, person, &from) {
                Begun::Prompted(prompted) if self.waiting.len() < WAITING => {
                    self.waiting.push(prompted);
                }
                Begun::Prompted(prompted) => self.act(prompted),
                Begun::Unavailable => self.try_in_vain(),
                Begun::Denied => self.forgive(person),
                Begun::Nothing => {}
            }
            self.visit_waiting();
            std::thread::park_timeout(PAUSE);
        }
    }

    /// People who have no code, and guess at all hosts at once.
    pub(super) fn guess(mut self, people: &[Person]) {
        for (turn, person) in people.iter().cycle().enumerate() {
            while !self.load.is_over() {
                let Begun::Prompted(prompted) = self.begin(turn % HOSTS, person, "198.51.100.1")
                else {
                    break;
                };
                let guesses = (0..6).map(|nth| {
                    let nth = u32::try_from(nth + turn).expect("few");
                    (Typed::Wrong, wrong(&prompted.code, nth))
                });
                let hosts = (0..HOSTS).cycle();
                self.at_once(&prompted, &hosts.zip(guesses).collect::<Vec<_>>());
            }
            if self.load.is_over() {
                return;
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    fn begin(&mut self, host: usize, person: &Person, from: &str) -> Begun {
        let Some(mut wire) = self.load.connect(host) else { return Begun::Nothing };
        let port = 1024 + self.dice.below(60_000);
        let connection = format!("{from} {port} 192.0.2.99 22 {:016x}", self.dice.below(u32::MAX));
        let sent = self.load.tick();
        if !wire.post(&login(&person.user, Some(&connection))) {
            return Begun::Nothing;
        }
        let patience = if host == self.home { OWN } else { OTHER };
        let reply = wire.reply_within::<Begin>(patience);
        self.load.note(host, sent, false);
        let Some(reply) = reply else { return Begun::Nothing };
        let reply = reply.expect("a step");
        match (reply.step.verdict, reply.challenge.zip(reply.step.prompt)) {
            (None, Some((challenge, prompt))) => {
                let read = self.load.milliseconds();
                // One that is being sent may be there only later.
                let sent = prompt.text.contains("Code sent by ");
                let code = || self.load.code(host, &person.number, &prompt.text);
                let Some(code) = sent.then(code).flatten() else { return Begun::Nothing };
                lock(&self.load.counts).logins += 1;
                let person = person.clone();
                Begun::Prompted(Prompted { host, person, wire, challenge, code, read })
            }
            (Some(Verdict::Unavailable), _) => Begun::Unavailable,
            (Some(Verdict::Denied), _) => Begun::Denied,
            other => panic!("neither a prompt nor an end: {other:?}"),
        }
    }

    /// Types at the prompt of the login itself.
    fn answer(&self, prompted: &mut Prompted, kind: Typed, code: &str) -> Told {
        let mut event = self.event(prompted, prompted.host, kind);
        let step = if prompted.wire.post(&typed(&prompted.challenge, code)) {
            prompted.wire.reply_within::<Answer>(OWN).map(|reply| reply.expect("a step").step)
        } else {
            None
        };
        if step.is_none()
            && let Some(wire) = self.load.connect(prompted.host)
        {
            // As the module does.
            prompted.wire = wire;
        }
        event.told = told(step);
        self.record(event)
    }

    /// Types these at these hosts at the same time.
    fn at_once(&self, prompted: &Prompted, all: &[(usize, (Typed, String))]) {
        let posted = all.iter().filter_map(|(host, (kind, code))| {
            let event = self.event(prompted, *host, *kind);
            let mut wire = self.load.connect(*host)?;
            wire.post(&typed(&prompted.challenge, code)).then_some((wire, event))
        });
        for (mut wire, mut event) in posted.collect::<Vec<_>>() {
            let reply = wire.reply_within::<Answer>(OTHER);
            event.told = told(reply.map(|reply| reply.expect("a step").step));
            self.record(event);
        }
    }

    fn event(&self, prompted: &Prompted, host: usize, kind: Typed) -> Event {
        Event {
            host,
            account: prompted.person.user.clone(),
            challenge: prompted.challenge.clone(),
            typed: kind,
            age: self.load.milliseconds() - prompted.read,
            sent: self.load.tick(),
            end: Tick::MAX,
            told: Told::Nothing,
        }
    }

    fn record(&self, mut event: Event) -> Told {
        event.end = self.load.tick();
        self.load.note(event.host, event.sent, event.told == Told::Granted);
        let told = event.told;
        lock(&self.load.events).push(event);
        told
    }

    fn act(&mut self, mut prompted: Prompted) {
        let code = prompted.code.clone();
        let other = (self.home + 1 + self.dice.below(2) as usize) % HOSTS;
        let right = |host| (host, (Typed::Right, code.clone()));
        match self.dice.below(20) {
            0 => {
                let guess = wrong(&code, self.dice.below(100));
                self.answer(&mut prompted, Typed::Wrong, &guess);
                self.answer(&mut prompted, Typed::Right, &code);
            }
            1..5 => self.at_once(&prompted, &[right(self.home), right(other)]),
            5..8 => self.at_once(&prompted, &[right(other)]),
            8..10 => {
                self.answer(&mut prompted, Typed::Right, &code);
                self.at_once(&prompted, &[right(other), right(self.home)]);
            }
            _ => {
                self.answer(&mut prompted, Typed::Right, &code);
            }
        }
    }

    /// While nobody is let in, those who wait are not either. They keep their codes.
    fn try_in_vain(&mut self) {
        if let Some(mut prompted) = self.waiting.pop() {
            lock(&self.load.counts).refused += 1;
            let code = prompted.code.clone();
            if matches!(
                self.answer(&mut prompted, Typed::Right, &code),
                Told::Unavailable | Told::Nothing
            ) {
                self.waiting.insert(0, prompted);
            }
        }
    }

    /// Who waits for long asks for another code, or comes too late.
    fn visit_waiting(&mut self) {
        let age = |prompted: &Prompted| self.load.milliseconds() - prompted.read;
        let Some(oldest) = (0..self.waiting.len()).max_by_key(|nth| age(&self.waiting[*nth]))
        else {
            return;
        };
        let age = age(&self.waiting[oldest]);
        let (renews, comes) = (self.dice.below(20) == 0, self.dice.below(40) == 0);
        if age > LATE {
            let mut late = self.waiting.remove(oldest);
            let code = late.code.clone();
            self.answer(&mut late, Typed::Right, &code);
        } else if age > RESEND && renews {
            let late = self.waiting.remove(oldest);
            self.renew(late);
        } else if comes {
            let prompted = self.waiting.remove(oldest);
            self.act(prompted);
        }
    }

    fn renew(&self, mut prompted: Prompted) {
        if !prompted.wire.post(&typed(&prompted.challenge, "r")) {
            return;
        }
        let reply = prompted.wire.reply_within::<Answer>(OWN);
        let Some(prompt) = reply.and_then(|reply| reply.expect("a step").step.prompt) else {
            return;
        };
        if !prompt.text.contains("A new code was sent") {
            return;
        }
        let (number, host) = (prompted.person.number.clone(), prompted.host);
        let Some(code) = self.load.code(host, &number, &prompt.text) else { return };
        let old = std::mem::replace(&mut prompted.code, code.clone());
        prompted.read = self.load.milliseconds();
        if old != code {
            self.answer(&mut prompted, Typed::Replaced, &old);
        }
        self.answer(&mut prompted, Typed::Right, &code);
    }

    /// An administrator ends what wrong codes have brought.
    fn forgive(&self, person: &Person) {
        if let Some(mut wire) = self.load.connect(self.home)
            && wire.post(&Unlock { user: person.user.clone() })
        {
            // Next time, if not now.
            let _ = wire.reply_within::<Unlock>(OWN);
        }
    }
}

fn told(step: Option<Step>) -> Told {
    let Some(step) = step else { return Told::Nothing };
    match (step.verdict, step.prompt) {
        (Some(Verdict::Granted), None) => Told::Granted,
        (Some(Verdict::Denied), None) => Told::Denied,
        (Some(Verdict::Unavailable), None) => Told::Unavailable,
        (None, Some(prompt)) if prompt.text.contains("not right") => Told::Wrong,
        (None, Some(_)) => Told::Asked,
        other => panic!("neither an answer nor a question: {other:?}"),
    }
}
