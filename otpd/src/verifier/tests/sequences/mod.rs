//! Random sequences of what people, administrators, vendors, the clock and crashes do, against the real
//! verifier over the real store. After every step `model` compares what was said, sent and written down
//! with the rules, and what the daemon shows of the account with its own count. (The same for the
//! decisions alone, in longer sequences: `domain::login::tests::machine`.)

mod host;
mod model;
mod ops;
mod trial;

use std::cell::{Cell, RefCell};

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use rand::RngExt;

use crate::random;
use host::Keeper;
use ops::{Op, Typed, op};
use trial::{Tally, Trial};

/// All that the sequences must have met, or they prove nothing about it.
const MET: &[&str] = &[
    "bypass-granted",
    "challenge-ended cancelled",
    "challenge-ended expired",
    "challenge-ended spent",
    "code-earlier",
    "code-issued enrollment",
    "code-issued expired",
    "code-issued login",
    "code-issued lost",
    "code-issued resend",
    "code-issued voice",
    "code-withheld",
    "code-wrong",
    "disabled",
    "enabled",
    "login-bypassed",
    "login-denied code-expired",
    "login-denied denied-before",
    "login-denied disabled",
    "login-denied given-up",
    "login-denied not-enrolled",
    "login-denied not-verified",
    "login-denied tries-used-up",
    "login-denied unanswered-per-hour",
    "login-denied wrong-codes-per-day",
    "login-denied wrong-codes-per-hour",
    "login-granted",
    "login-resumed",
    "message-failed",
    "message-held calls-per-day",
    "message-held resend-wait",
    "message-held resends-used-up",
    "message-sent",
    "owner-told",
    "pair",
    "proof refused",
    "proof right",
    "recovery-code-used",
    "removed",
    "restart",
    "unlocked",
    "verified",
];

/// How many hosts are tried beside each other: what CI has processors.
const HOSTS: u32 = 2;

/// What sequences are drawn from.
#[derive(Clone, Copy)]
enum Draw {
    /// The same at every run: what comes again is a regression.
    Same,
    /// Others at every run, to find what nobody has met.
    Fresh,
}

impl Draw {
    /// The seed of the first host; each further one has the next. One that `PROPTEST_RNG_SEED` names is
    /// taken, so that a run can be repeated but for what the daemon itself draws.
    fn seed(self) -> u64 {
        match (Config::default().rng_seed, self) {
            (RngSeed::Fixed(seed), _) => seed,
            (RngSeed::Random, Self::Same) => 1,
            (RngSeed::Random, Self::Fresh) => random::system().random(),
        }
    }
}

/// So many sequences, in equal parts on hosts of their own.
fn sequences(keeper: Keeper, cases: u32, draw: Draw, wanted: &[&str]) {
    let seed = draw.seed();
    println!("to draw the same again: PROPTEST_RNG_SEED={seed}");
    let parts = std::thread::scope(|scope| {
        let on_one = |nth| on_one_host(keeper, cases / HOSTS, seed.wrapping_add(nth));
        let hosts = (0..u64::from(HOSTS)).map(|nth| scope.spawn(move || on_one(nth)));
        let hosts = hosts.collect::<Vec<_>>().into_iter();
        hosts.map(|host| host.join().expect("the sequences of each host")).collect::<Vec<_>>()
    });
    let (mut met, mut steps) = (Tally::new(), 0);
    for (part, count) in parts {
        steps += count;
        for (kind, count) in part {
            *met.entry(kind).or_default() += count;
        }
    }
    println!("{cases} sequences of {steps} steps together over {keeper:?} met:");
    for (kind, count) in &met {
        println!("  {count:>8} {kind}");
    }
    let missed = wanted.iter().filter(|kind| !met.contains_key(**kind)).collect::<Vec<_>>();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

/// What they met, and how many steps they had.
fn on_one_host(keeper: Keeper, cases: u32, seed: u64) -> (Tally, usize) {
    let trial = RefCell::new(None);
    let met = RefCell::new(Tally::new());
    let steps = Cell::new(0);
    let rng_seed = RngSeed::Fixed(seed);
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let strategy = prop::collection::vec(op(), 1..24);
    let outcome = runner.run(&strategy, |ops| {
        // After a failure the model knows nothing for sure: what is made smaller runs on a new host.
        let mut one = trial.take().unwrap_or_else(|| Trial::new(keeper));
        one.start()?;
        for op in &ops {
            one.run(*op)?;
        }
        one.end()?;
        steps.set(steps.get() + ops.len());
        for (kind, count) in std::mem::take(&mut one.met) {
            *met.borrow_mut().entry(kind).or_default() += count;
        }
        trial.replace(Some(one));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    (met.into_inner(), steps.get())
}

/// Does this on a host with new subscribers; what was met.
fn scripted(ops: impl IntoIterator<Item = Op>) -> Tally {
    let mut trial = Trial::new(Keeper::Sqlite);
    trial.start().expect("new subscribers");
    for op in ops {
        trial.run(op).expect("as the rules say");
    }
    trial.end().expect("what is shown, and no plain code is left");
    trial.met
}

/// Found at random: a login that is cancelled has others of the account forgotten, which died long ago.
#[test]
fn the_plain_codes_of_logins_that_are_forgotten_are_wiped() {
    let begin = |connection| Op::Begin { who: 0, connection };
    let later = Op::Advance { seconds: 900 };
    scripted([begin(1), begin(0), begin(2), later, Op::Abandon { who: 0, which: 1 }]);
}

/// Longer than a sequence that is drawn: twenty wrong codes a day, for five days.
#[test]
fn a_hundred_wrong_codes_in_a_row_suspend_until_an_administrator_unlocks() {
    let day = [Op::Besiege { who: 0, hours: 2 }, Op::Advance { seconds: 86_400 }];
    let days = |number: usize| day.into_iter().cycle().take(2 * number);
    let begin = Op::Begin { who: 0, connection: 7 };
    let count = |met: &Tally, kind: &str| met.get(kind).copied().unwrap_or(0);
    let suspended = |met: &Tally| count(met, "login-denied wrong-codes-in-a-row");
    assert_eq!(suspended(&scripted(days(4).chain([begin]))), 0);
    // However long it waits.
    let (waits, five) = (Op::Advance { seconds: 40 * 86_400 }, suspended(&scripted(days(5))));
    let met = scripted(days(5).chain([begin, waits, begin]));
    assert_eq!((count(&met, "code-wrong"), suspended(&met)), (100, five + 2), "{met:?}");
    let right = Op::Answer { who: 0, which: 0, typed: Typed::Right };
    let met = scripted(days(5).chain([Op::Unlock { who: 0 }, begin, right]));
    assert_eq!((count(&met, "code-wrong"), count(&met, "login-granted")), (100, 1), "{met:?}");
}

#[test]
fn ten_thousand_sequences_agree_with_the_rules() {
    sequences(Keeper::Sqlite, 10_000, Draw::Same, MET);
}

#[test]
#[ignore = "long"]
fn two_hundred_thousand_sequences_agree_with_the_rules() {
    sequences(Keeper::Sqlite, 200_000, Draw::Fresh, MET);
}

/// What so few meet for sure.
const MET_BY_FEW: &[&str] = &[
    "code-issued login",
    "code-issued resend",
    "code-issued voice",
    "code-wrong",
    "login-denied tries-used-up",
    "login-granted",
    "message-failed",
    "restart",
];

#[test]
fn a_hundred_sequences_over_postgresql_agree_with_the_rules() {
    sequences(Keeper::Postgres, 100, Draw::Same, MET_BY_FEW);
}

#[test]
#[ignore = "long"]
fn ten_thousand_sequences_over_postgresql_agree_with_the_rules() {
    sequences(Keeper::Postgres, 10_000, Draw::Fresh, MET);
}
