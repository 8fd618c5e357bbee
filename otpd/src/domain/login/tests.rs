//! Whole logins, step by step at given times. [`crate::domain::scene`] checks every step.

mod begins;
mod bypasses;
mod codes;
mod crossed;
mod guessing;
mod holding;
mod kept_in;
mod limits;
mod machine;
mod messages;
mod recovery;
mod refused;
mod restarts;
mod rows;
mod size;
mod together;
mod undelivered;
mod undelivered_before;
mod withheld;

use super::{Answered, Begun, Denial};
use crate::domain::{
    budget::LimitName,
    scene::{Scene, console},
};

/// Why a login was denied.
fn denied(answered: &Answered) -> Denial {
    match answered {
        Answered::Denied(denial, _) => *denial,
        other => panic!("not denied: {other:?}"),
    }
}

fn refused(begun: &Begun) -> Denial {
    match begun {
        Begun::Denied(denial) => *denial,
        other => panic!("not denied: {other:?}"),
    }
}

fn limit(denial: Denial) -> LimitName {
    match denial {
        Denial::Held(held) => held.limit,
        other => panic!("no limit: {other:?}"),
    }
}

fn granted(answered: &Answered) -> bool {
    matches!(answered, Answered::Granted)
}

/// The recovery codes that are left after one let somebody in.
fn recovered(answered: &Answered) -> u8 {
    match answered {
        Answered::Recovered(recovered) => recovered.left,
        other => panic!("not granted by a recovery code: {other:?}"),
    }
}

/// Types `count` wrong codes over as many logins as that takes, and ends the last one.
fn guess(scene: &mut Scene, count: usize) {
    scene.terms.limits.unanswered_per_hour = 600;
    scene.terms.limits.unanswered_per_day = 2000;
    for _ in 0..count {
        let token = scene.start(console());
        let wrong = scene.wrong(token);
        scene.answer(token, &wrong);
        scene.abandon(token);
    }
}
