//! Many accounts that log in over a real store, at times that a test says.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};

use super::{NOW, Running, Subject, account, changing, keys};
use crate::{
    clock::Clock,
    domain::{
        account::{Account, Source},
        audit::Event,
        budget::{Held, LimitName, Limits},
        challenge::{Channel, CodeRules, Instance, Issuer},
        enrollment::{Enrollment, NumberIndex, RangeIndex},
        login::{
            Abandon, Answer, Answered, Begin, Begun, Delivered, DeliveryResult, Denial, Order,
            Terms, Typed,
        },
        passcode::{ChallengeToken, Draw},
        phone::{Country, Destination, Line},
        policy::{Requirement, SharedSources, Unenrolled},
        proof::{Enroll, Outcome, Refusal, Resent, Verify},
        records::{Decided, Records},
        recovery::{CODES, MakeCodes, RecoveryCode, RecoveryHash},
        time::Timestamp,
    },
    store::Scope,
};

/// A site over one store.
pub(super) struct Town {
    pub(super) running: Running,
    time: Arc<AtomicI64>,
    pub(super) terms: Terms,
    orders: Mutex<HashMap<ChallengeToken, Order>>,
    /// Every message that went out, with its time.
    sent: Mutex<Vec<(Timestamp, Order)>>,
    seed: AtomicU64,
}

/// A number, and where it counts.
struct Place {
    destination: Destination,
    index: NumberIndex,
    range: RangeIndex,
}

impl Place {
    fn of(number: &str, country: Country) -> Self {
        let number = number.parse().expect("a number");
        let (index, range) = (keys(1).index(&number), keys(1).range(&number));
        Self { destination: Destination { number, country, line: Line::Mobile }, index, range }
    }
}

/// An address that nobody else in a test has.
pub(super) fn source(number: u32) -> Source {
    Source::of(Ipv4Addr::from_bits(0xCB00_0000 + number).into())
}

fn country(code: &str) -> Country {
    code.parse().expect("a country")
}

impl Town {
    pub(super) fn open(subject: &impl Subject) -> Self {
        let time = Arc::new(AtomicI64::new(NOW.0));
        let read = Arc::clone(&time);
        let clock = Clock::from_fn(move || Timestamp(read.load(Ordering::Relaxed)));
        let engine = subject.open(keys(1)).expect("a database");
        Self {
            running: Running::with_clock(engine, clock),
            time,
            terms: Terms {
                unenrolled: Unenrolled::Deny,
                rules: CodeRules::default(),
                limits: Limits::default(),
                countries: ["US", "AT"].map(country).into(),
                shared_sources: SharedSources::default(),
                voice: true,
                issuer: Issuer { key: keys(1).code, instance: Instance(1), host: None },
            },
            orders: Mutex::default(),
            sent: Mutex::default(),
            seed: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.time.load(Ordering::Relaxed))
    }

    pub(super) fn clock(&self) -> Clock {
        let read = Arc::clone(&self.time);
        Clock::from_fn(move || Timestamp(read.load(Ordering::Relaxed)))
    }

    pub(super) fn set(&self, now: Timestamp) {
        self.time.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn wait(&self, span: Duration) {
        self.set(self.now().after(span));
    }

    /// Everybody has a number that is proved: `u0`, `u1`… of the country.
    pub(super) async fn populate(&self, people: std::ops::Range<u32>, code: &str) {
        let numbers = people.map(|n| (format!("u{n}"), n));
        let enrolled = numbers.map(|(name, n)| {
            let number = match code {
                "AT" => format!("+43664{n:07}"),
                _ => format!("+1312{n:07}"),
            };
            self.enroll(account(&name), number, country(code))
        });
        futures(enrolled).await;
    }

    /// This number of the United States, proved, is the account's.
    pub(super) async fn give(&self, name: &str, number: &str) {
        self.enroll(account(name), number.to_owned(), country("US")).await;
    }

    async fn enroll(&self, owner: Account, number: String, country: Country) {
        let Place { destination, index, range } = Place::of(&number, country);
        let mut enrollment = Enrollment::new(destination, index, range, Channel::Sms, NOW);
        enrollment.prove(NOW);
        let scope = Scope::Number { account: owner, number: index };
        let put = changing(move |records| records.enrollment = Some(enrollment.clone()));
        self.running.store.transact(scope, put).await.expect("a commit");
    }

    fn draw(&self) -> Draw {
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        Draw::new(&mut StdRng::seed_from_u64(seed), self.terms.rules.digits)
    }

    pub(super) async fn begin(&self, name: &str, from: impl Into<Option<Source>>) -> Begun {
        let begin = Begin {
            terms: Arc::new(self.terms.clone()),
            account: account(name),
            requirement: Requirement::Code,
            service: "sshd".to_owned(),
            attempt: None,
            source: from.into(),
            by_itself: true,
            full: false,
            draw: self.draw(),
        };
        let decide = move |records: &_, now| begin.decide(records, now);
        let scope = Scope::Account(account(name));
        let outcome = self.running.store.transact(scope, decide).await.expect("a decision");
        if let Begun::Issued(_, order) = &outcome {
            self.sent((**order).clone()).await;
        }
        outcome
    }

    /// Decides, and answers once it is committed.
    pub(super) async fn decide<A: Send + 'static>(
        &self,
        scope: Scope,
        decide: impl Fn(&Records, Timestamp) -> Decided<A> + Send + 'static,
    ) -> A {
        self.running.store.transact(scope, decide).await.expect("a decision")
    }

    /// An administrator enters a number for an account; the message that proves it goes out.
    pub(super) async fn enter(
        &self,
        name: &str,
        number: &str,
        code: &str,
    ) -> Result<ChallengeToken, Refusal> {
        let Place { destination, index, range } = Place::of(number, country(code));
        let enroll = Enroll {
            terms: Arc::new(self.terms.clone()),
            account: account(name),
            destination,
            index,
            range,
            channel: Channel::Sms,
            replace: true,
            uid: 1_000,
            draw: self.draw(),
        };
        let scope = Scope::Number { account: account(name), number: index };
        match self.decide(scope, move |records, now| enroll.decide(records, now)).await {
            Outcome::Done(entered) => Ok(self.carry(entered.order.expect("a message")).await),
            Outcome::Refused(why) => Err(why),
        }
    }

    /// They have the message sent again.
    pub(super) async fn resend(&self, name: &str) -> Result<ChallengeToken, Refusal> {
        let terms = Arc::new(self.terms.clone());
        let owner = account(name);
        let resend =
            Resent { terms, account: owner.clone(), voice: false, uid: 1_000, draw: self.draw() };
        let scope = Scope::Account(owner);
        match self.decide(scope, move |records, now| resend.decide(records, now)).await {
            Outcome::Done(order) => Ok(self.carry(order).await),
            Outcome::Refused(why) => Err(why),
        }
    }

    /// The code of that message comes back; true when it proved the number.
    pub(super) async fn verify(&self, name: &str, code: &str) -> bool {
        let (terms, typed) = (Arc::new(self.terms.clone()), Typed::new(code));
        let verify = Verify { terms, account: account(name), typed, uid: 1_000 };
        let scope = Scope::Account(account(name));
        let verified = self.decide(scope, move |records, now| verify.decide(records, now)).await;
        matches!(verified, Outcome::Done(_))
    }

    /// A new set of recovery codes, as its owner has it on paper.
    pub(super) async fn recovery_codes(&self, name: &str) -> Vec<String> {
        let mut rng = StdRng::seed_from_u64(self.seed.fetch_add(1, Ordering::Relaxed));
        let codes = (0..CODES).map(|_| RecoveryCode::generate(&mut rng)).collect::<Vec<_>>();
        let (owner, key) = (account(name), keys(1).code);
        let hashes = codes.iter().map(|code| RecoveryHash::of(&key, &owner, code)).collect();
        let make = MakeCodes { account: owner.clone(), key, codes: hashes, uid: 0 };
        let scope = Scope::Account(owner);
        let done = self.decide(scope, move |records, now| make.decide(records, now)).await;
        assert!(matches!(done, Outcome::Done(())), "{name}");
        codes.iter().map(|code| code.grouped().to_string()).collect()
    }

    /// When messages of a kind went out.
    pub(super) fn messages(&self, wanted: impl Fn(&Order) -> bool) -> Vec<Timestamp> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|(_, order)| wanted(order)).map(|(at, _)| *at).collect()
    }

    async fn carry(&self, order: Box<Order>) -> ChallengeToken {
        let token = order.token;
        self.sent(*order).await;
        token
    }

    /// A vendor takes the message at once.
    async fn sent(&self, order: Order) {
        self.sent.lock().unwrap().push((self.now(), order.clone()));
        let delivered = Delivered {
            token: order.token,
            issued_at: order.issued_at,
            charged_at: order.charged_at,
            purpose: order.purpose,
            index: order.index,
            failures: Vec::new(),
            result: DeliveryResult::Sent { gateway: "telnyx".to_owned(), vendor_id: None },
        };
        let scope = Scope::Challenge(order.token);
        self.orders.lock().unwrap().insert(order.token, order);
        let decide = move |records: &_, now| delivered.decide(records, now);
        self.running.store.transact(scope, decide).await.expect("a decision");
    }

    /// Begins; a code is sent.
    pub(super) async fn start(
        &self,
        name: &str,
        from: impl Into<Option<Source>>,
    ) -> ChallengeToken {
        match self.begin(name, from).await {
            Begun::Issued(view, _) => view.token,
            other => panic!("{name}: no code was issued: {other:?}"),
        }
    }

    /// Begins; the limit that keeps a code from being sent.
    pub(super) async fn refused(&self, name: &str, from: impl Into<Option<Source>>) -> Held {
        match self.begin(name, from).await {
            Begun::Denied(Denial::Held(held)) => held,
            other => panic!("{name}: no limit holds: {other:?}"),
        }
    }

    /// Begins and gives up; the limit that holds, if one does.
    pub(super) async fn holds(
        &self,
        name: &str,
        from: impl Into<Option<Source>>,
    ) -> Option<LimitName> {
        match self.begin(name, from).await {
            Begun::Denied(Denial::Held(held)) => Some(held.limit),
            Begun::Issued(view, _) => {
                self.abandon(view.token).await;
                None
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(super) async fn answer(&self, token: ChallengeToken, text: &str) -> Answered {
        let typed = Typed::new(text);
        let answer = Answer {
            terms: Arc::new(self.terms.clone()),
            token,
            typed,
            full: false,
            draw: self.draw(),
        };
        let decide = move |records: &_, now| answer.decide(records, now);
        let scope = Scope::Challenge(token);
        let answered = self.running.store.transact(scope, decide).await.expect("a decision");
        if let Answered::Ask(_, _, Some(order)) = &answered {
            self.sent((**order).clone()).await;
        }
        answered
    }

    pub(super) fn code(&self, token: ChallengeToken) -> String {
        let orders = self.orders.lock().unwrap();
        orders.get(&token).expect("an order").code.expose().to_owned()
    }

    /// A code of the same length that is not the right one.
    pub(super) fn wrong(&self, token: ChallengeToken) -> String {
        let right = self.code(token);
        let other = if right.starts_with('0') { '1' } else { '0' };
        right.chars().map(|_| other).collect()
    }

    pub(super) async fn right(&self, token: ChallengeToken) -> bool {
        matches!(self.answer(token, &self.code(token)).await, Answered::Granted)
    }

    /// A whole login with the right code.
    pub(super) async fn login(&self, name: &str, from: impl Into<Option<Source>>) {
        let token = self.start(name, from).await;
        assert!(self.right(token).await, "{name}");
    }

    pub(super) async fn abandon(&self, token: ChallengeToken) {
        let decide = move |records: &_, now| Abandon { token }.decide(records, now);
        self.running.store.transact(Scope::Challenge(token), decide).await.expect("a decision");
    }

    /// One wrong code, in a login of its own.
    pub(super) async fn guess(&self, name: &str, from: impl Into<Option<Source>>) {
        let token = self.start(name, from).await;
        self.answer(token, &self.wrong(token)).await;
        self.abandon(token).await;
    }

    /// Ends the store, so that everything is in its files.
    pub(super) fn close(self) {
        self.running.stop();
    }

    /// Waits until the events of everything that was answered are told: they follow the answers.
    pub(super) async fn settle(&self) {
        self.decide(Scope::Account(account("nobody")), changing(|_| ())).await;
    }

    /// Events of a kind so far.
    pub(super) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.running.events.lock().unwrap().iter().filter(|event| wanted(&event.event)).count()
    }
}

/// Runs all of them at once, as far as the store's queue goes.
pub(super) async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
