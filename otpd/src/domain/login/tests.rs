//! Whole logins, step by step at given times. [`crate::domain::scene`] checks every step.

mod begins;
mod codes;
mod limits;
mod machine;
mod messages;
mod restarts;
mod size;
mod undelivered;

use super::{Answered, Begun, Denial};
use crate::domain::budget::LimitName;

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
