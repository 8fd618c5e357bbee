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
    test_runner::{Config, TestRunner},
};

use ops::{Op, op};
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

/// So many sequences, in equal parts on hosts of their own.
fn sequences(cases: u32) {
    let parts = std::thread::scope(|scope| {
        let hosts = (0..HOSTS).map(|_| scope.spawn(|| on_one_host(cases / HOSTS)));
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
    println!("{cases} sequences of {steps} steps together met:");
    for (kind, count) in &met {
        println!("  {count:>8} {kind}");
    }
    let missed = MET.iter().filter(|kind| !met.contains_key(**kind)).collect::<Vec<_>>();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

/// What they met, and how many steps they had.
fn on_one_host(cases: u32) -> (Tally, usize) {
    let trial = RefCell::new(None);
    let met = RefCell::new(Tally::new());
    let steps = Cell::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let strategy = prop::collection::vec(op(), 1..24);
    let outcome = runner.run(&strategy, |ops| {
        // After a failure the model knows nothing for sure: what is made smaller runs on a new host.
        let mut one = trial.take().unwrap_or_else(Trial::new);
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

/// Found at random: a login that is cancelled has others of the account forgotten, which died long ago.
#[test]
fn the_plain_codes_of_logins_that_are_forgotten_are_wiped() {
    let begin = |connection| Op::Begin { who: 0, connection };
    let later = Op::Advance { seconds: 900 };
    let ops = [begin(1), begin(0), begin(2), later, Op::Abandon { who: 0, which: 1 }];
    let mut trial = Trial::new();
    trial.start().expect("a new subscriber");
    for op in ops {
        trial.run(op).expect("as the rules say");
    }
    trial.end().expect("no plain code is left");
}

#[test]
fn ten_thousand_sequences_agree_with_the_rules() {
    sequences(10_000);
}

#[test]
#[ignore = "long"]
fn two_hundred_thousand_sequences_agree_with_the_rules() {
    sequences(200_000);
}
