//! What is deleted, and when: at the millisecond, before it and after it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{NOW, Running, Subject, account, behaviours::number, changing, enrollment, keys};
use crate::{
    clock::{Clock, Readings},
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::Purse,
        challenge::{Channel, End},
        opt_out::{Inbound, OptOut, Said, Wish, WordMark},
        passcode::ChallengeToken,
        records::{Decided, Records},
        time::{DAY, HOUR, Timestamp},
    },
    store::{Chore, Deleted, Scope},
};

const KEEP_AUDIT: Duration = DAY;

/// A time that the test moves; the wall clock and the time since boot apart from each other.
#[derive(Clone)]
struct Times(Arc<Mutex<Readings>>);

impl Times {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Readings { wall: NOW, uptime: DAY })))
    }

    fn clock(&self) -> Clock {
        let readings = Arc::clone(&self.0);
        Clock::from_readings(None, None, move || *readings.lock().unwrap())
    }

    /// Both go on, so that it is `offset` milliseconds after `span` from the beginning.
    fn at(&self, span: Duration, offset: i64) {
        let mut readings = self.0.lock().unwrap();
        let wall = Timestamp(NOW.after(span).0 + offset);
        let Readings { wall: before, uptime } = *readings;
        *readings = Readings { wall, uptime: uptime + wall.since(before) };
    }

    /// The wall clock alone.
    fn leap(&self, span: Duration) {
        let mut readings = self.0.lock().unwrap();
        readings.wall = readings.wall.after(span);
    }
}

/// A store in which everything is of [`NOW`], and the time.
struct House<'a, S: Subject> {
    running: Running,
    subject: &'a S,
    times: Times,
    clock: Clock,
}

impl<'a, S: Subject> House<'a, S> {
    async fn new(subject: &'a S) -> Self {
        let times = Times::new();
        let clock = times.clock();
        let running = Running::with_clock(subject.open(keys(1)).expect("new"), clock.clone());
        let fill = |records: &Records, now| {
            let mut records = records.clone();
            let token = ChallengeToken([9; 16]);
            let budget = records.number_budget(number(1)).expect("the scope names it");
            budget.messages.charge(token, Channel::Sms, Purse::Common, now);
            records.login.messages.charge(token, Channel::Sms, Purse::Common, now);
            let mut challenge = super::behaviours::challenge(1);
            assert!(challenge.end(End::Used, now));
            records.login.challenges.push(challenge);
            let event = AuditEvent {
                at: now,
                request: None,
                account: account("alice"),
                actor: Actor::Daemon,
                event: Event::Unlocked {},
            };
            Decided { records, audit: vec![event.clone(), event], answer: () }
        };
        let scope = Scope::Number { account: account("alice"), number: number(1) };
        running.store.transact(scope, fill).await.expect("a commit");
        Self { running, subject, times, clock }
    }

    async fn forget(&self) -> Deleted {
        let reader = self.subject.reader(keys(1));
        let forgotten = self.running.store.forget(&reader, &self.clock, KEEP_AUDIT).await;
        forgotten.expect("a round of upkeep")
    }

    async fn read(&self) -> Records {
        let scope = Scope::Number { account: account("alice"), number: number(1) };
        let look = changing(|records| records.clone());
        self.running.store.transact(scope, look).await.expect("a read")
    }

    /// The rows that are stored: events, budgets, states of logins.
    fn rows(&self) -> [i64; 3] {
        ["audit", "budget", "login"].map(|table| self.subject.count(table))
    }
}

pub(super) async fn to_the_millisecond(subject: &impl Subject) {
    let house = House::new(subject).await;
    house.times.at(DAY, -1);
    assert_eq!((house.forget().await, house.rows()), (Deleted::default(), [2, 1, 1]));
    let before = house.read().await;
    assert_eq!((before.login.challenges.len(), before.budgets.len()), (1, 1));
    house.times.at(DAY, 0);
    let all = Deleted { audit: 1, budgets: 1, logins: 1 };
    assert_eq!((house.forget().await, house.rows()), (all, [1, 0, 0]));
    let by_token = Scope::Challenge(super::behaviours::challenge(1).token);
    let look = changing(|records| records.account.is_some());
    let found = house.running.store.transact(by_token, look).await;
    assert_eq!(found, Ok(false), "its challenge leads nowhere any more");
    house.times.at(DAY, 1);
    assert_eq!(house.forget().await, Deleted::default(), "there is nothing left");
}

pub(super) async fn afterwards_as_well(subject: &impl Subject) {
    let house = House::new(subject).await;
    house.times.at(DAY, 1);
    let all = Deleted { audit: 1, budgets: 1, logins: 1 };
    assert_eq!((house.forget().await, house.rows()), (all, [1, 0, 0]));
}

pub(super) async fn an_enrolled_account_keeps_its_row(subject: &impl Subject) {
    let house = House::new(subject).await;
    let enroll = changing(|records| records.enrollment = Some(enrollment("+13125550123", 1)));
    let scope = Scope::Number { account: account("alice"), number: number(1) };
    house.running.store.transact(scope, enroll).await.expect("a commit");
    house.times.at(DAY * 9, 0);
    assert_eq!(house.forget().await, Deleted { audit: 1, budgets: 1, logins: 1 });
    let after = house.read().await;
    assert!(after.enrollment.is_some() && after.login.challenges.is_empty());
    assert_eq!(house.rows(), [1, 0, 1]);
}

pub(super) async fn an_opt_out_is_kept(subject: &impl Subject) {
    let house = House::new(subject).await;
    let scope = || Scope::Number { account: account("alice"), number: number(1) };
    let set = |opted_out: Option<OptOut>| {
        changing(move |records| {
            records.enrollment = Some(enrollment("+13125550123", 1));
            let budget = records.number_budget(number(1)).expect("the scope names it");
            budget.opted_out.clone_from(&opted_out);
        })
    };
    let opted_out = OptOut { at: NOW, gateway: "telnyx".to_owned() };
    house.running.store.transact(scope(), set(Some(opted_out.clone()))).await.expect("a commit");
    house.times.at(DAY * 9, 0);
    assert_eq!(house.forget().await.budgets, 0);
    assert_eq!(house.read().await.opted_out(number(1)), Some(&opted_out));
    let reader = subject.reader(keys(1));
    let listed = reader.subscribers(None, 10).await.expect("a read");
    assert_eq!(
        listed.iter().map(|row| row.number.clone()?.opted_out).collect::<Vec<_>>(),
        [Some(opted_out)]
    );
    assert_eq!(reader.accounts_with(number(1)).await, Ok(vec![account("alice")]));
    assert_eq!(reader.accounts_with(number(2)).await, Ok(Vec::new()));
    house.running.store.transact(scope(), set(None)).await.expect("a commit");
    assert_eq!(house.forget().await.budgets, 1, "now it is as idle as any");
    let listed = reader.subscribers(None, 10).await.expect("a read");
    assert!(listed.iter().all(|row| row.number.as_ref().is_some_and(|n| n.opted_out.is_none())));
}

pub(super) async fn a_word_told_again(subject: &impl Subject) {
    let times = Times::new();
    let start = || {
        let engine = subject.open(keys(1)).expect("the same database");
        House {
            running: Running::with_clock(engine, times.clock()),
            subject,
            clock: times.clock(),
            times: times.clone(),
        }
    };
    let tell = async |house: &House<'_, _>, wish, nth: u8| {
        let inbound = Inbound {
            number: number(1),
            ending: "23".to_owned(),
            words: vec![Said {
                mark: WordMark::new("twilio", &[nth; 32], Some(&format!("SM{nth}"))),
                wish,
                gateway: "twilio".to_owned(),
            }],
            accounts: vec![account("alice")],
        };
        let scope = Scope::Number { account: Account::host(), number: number(1) };
        let decide = move |records: &_, now| inbound.decide(records, now);
        house.running.store.transact(scope, decide).await.expect("a commit")
    };
    let house = start();
    assert!(tell(&house, Wish::Stop, 1).await && tell(&house, Wish::Start, 2).await);
    house.running.stop();
    let house = start();
    assert!(!tell(&house, Wish::Stop, 1).await, "played again after a restart");
    house.times.at(DAY * 30, -1);
    assert_eq!(house.forget().await.budgets, 0);
    assert!(!tell(&house, Wish::Stop, 1).await, "and as long as it is known");
    // The newest word keeps all of them, and so does an end to messages.
    assert!(tell(&house, Wish::Stop, 3).await);
    house.times.at(DAY * 300, 0);
    assert_eq!(house.forget().await.budgets, 0);
    assert!(!tell(&house, Wish::Start, 2).await);
    assert!(tell(&house, Wish::Start, 4).await, "a new word is one");
    house.times.at(DAY * 330, 0);
    assert_eq!(house.forget().await.budgets, 1, "nothing of it is kept for ever");
}

pub(super) async fn nothing_in_doubt(subject: &impl Subject) {
    let house = House::new(subject).await;
    // By the time that decisions get, an hour ahead, everything is just old enough.
    house.times.at(HOUR * 23, 0);
    house.times.leap(DAY * 4000);
    assert!(house.clock.doubt().is_some());
    assert_eq!(house.clock.now(), NOW.after(DAY));
    assert_eq!((house.forget().await, house.rows()), (Deleted::default(), [2, 1, 1]));
    let (_, agreement) = house.clock.proposal().expect("in doubt");
    house.clock.agree(agreement);
    let all = Deleted { audit: 1, budgets: 1, logins: 1 };
    assert_eq!((house.forget().await, house.rows()), (all, [1, 0, 0]), "confirmed");
}

pub(super) async fn nothing_when_the_clock_went_back(subject: &impl Subject) {
    let house = House::new(subject).await;
    house.times.at(DAY * 9, 0);
    let early = house.clock.now();
    {
        let mut readings = house.times.0.lock().unwrap();
        readings.wall = readings.wall.before(DAY * 2);
    }
    assert_eq!(house.clock.now(), early, "it is not believed");
    assert_eq!((house.forget().await, house.rows()), (Deleted::default(), [2, 1, 1]));
}

pub(super) async fn a_clock_that_was_ahead(subject: &impl Subject) {
    let running = Running::start(subject.open(keys(1)).expect("a new database"));
    let write = |records: &Records, _| {
        let event = |at| AuditEvent {
            at: Timestamp(at),
            request: None,
            account: account("alice"),
            actor: Actor::Daemon,
            event: Event::Unlocked {},
        };
        let audit = [900, 100, 900, 900, 150, 500, 120, 950].map(event).into();
        Decided { records: records.clone(), audit, answer: () }
    };
    running.store.transact(Scope::Account(account("alice")), write).await.expect("a commit");
    for (until, expected, left) in [(99, 0, 8), (100, 2, 6), (200, 3, 3)] {
        let chore = Chore::Audit { until: Timestamp(until), now: Timestamp(500) };
        assert_eq!(running.store.tidy(chore).await, Ok(expected), "until {until}");
        assert_eq!(subject.count("audit"), left, "until {until}");
    }
}

pub(super) async fn many_pieces(subject: &impl Subject) {
    let house = House::new(subject).await;
    let many = |records: &Records, now| {
        let event = AuditEvent {
            at: now,
            request: None,
            account: account("alice"),
            actor: Actor::Daemon,
            event: Event::Unlocked {},
        };
        Decided { records: records.clone(), audit: vec![event; 2500], answer: () }
    };
    let scope = Scope::Account(account("alice"));
    house.running.store.transact(scope, many).await.expect("a commit");
    house.times.at(DAY, 0);
    assert_eq!(house.forget().await.audit, 2501);
}
