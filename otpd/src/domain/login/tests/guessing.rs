//! How likely guessing succeeds: computed from the limits, and tried with so few codes to draw from that
//! success can be counted.

use super::{Answered, Begun, Denial};
use crate::domain::{
    budget::{RESERVE_TRIES, WRONG_FOR_LONG_CODES, WRONG_PER_DAY},
    scene::{Scene, console, few},
    time::DAY,
};

/// Codes that there are: as if they had two digits.
const CODES: u32 = 100;

/// One day of somebody who has the password of alice, and guesses as often as the limits allow:
/// every code once in a login. True when it got them in.
fn attack(seed: u64) -> bool {
    let mut scene = Scene::seeded(seed);
    scene.codes = Some(CODES);
    // Messages are not what shall stop it.
    scene.terms.limits.unanswered_per_hour = 60;
    scene.terms.limits.unanswered_per_day = 200;
    let end = scene.now.after(DAY);
    let mut next = u32::try_from(seed).expect("a day's number");
    while scene.now < end {
        let view = match scene.begin(console().from(7)) {
            Begun::Issued(view, _) => view,
            Begun::Denied(Denial::Held(held)) => {
                scene.now = held.until.expect("no limit of a day's guesses is for good");
                continue;
            }
            other => panic!("{other:?}"),
        };
        for _ in 0..3 {
            next = next.wrapping_add(37);
            match scene.answer(view.token, &few(next % CODES)) {
                Answered::Granted => return true,
                Answered::Ask(..) => {}
                Answered::Denied(..)
                | Answered::Unknown
                | Answered::Recovered(_)
                | Answered::AskRecovery(..) => break,
            }
        }
        scene.abandon(view.token);
        // What was sent before is of no use to anybody.
        scene.orders.clear();
        scene.audit.clear();
    }
    false
}

#[test]
fn two_thousand_days_of_guessing_at_a_hundred_codes_stay_within_the_bound() {
    const DAYS: u32 = 2_000;
    let broken = (0..DAYS).filter(|day| attack(u64::from(*day))).count();
    // Each compare succeeds with one in a hundred, whatever the number of logins: the union bound.
    let bound =
        f64::from(DAYS) * f64::from(u32::try_from(WRONG_PER_DAY).unwrap()) / f64::from(CODES);
    let slack = 5.0 * (bound * (1.0 - bound / f64::from(DAYS))).sqrt();
    println!("{DAYS} days at {CODES} codes: {broken} broken; bound {bound}, five sigma {slack:.0}");
    let broken = f64::from(u32::try_from(broken).unwrap());
    assert!(broken <= bound + slack, "{broken}");
    // And the budget is really used: nine tenths of what the bound allows less the overlap.
    assert!(broken >= 0.75 * bound, "{broken}: the attack was not the strongest one");
}

/// What the documentation promises: 2.0e-5 a day from anywhere, and 3.3e-4 a year with everything
/// that a known source has besides.
#[test]
fn the_promised_bounds_follow_from_the_limits() {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap());
    let (six, eight) = (1e-6, 1e-8);
    let day = number(WRONG_PER_DAY) * six;
    // In every thirty days the first codes are short, then long.
    let short = number(WRONG_FOR_LONG_CODES) * 365.0 / 30.0;
    let all = number(WRONG_PER_DAY + RESERVE_TRIES) * 365.0;
    let year = short * six + (all - short) * eight;
    println!("guessing at one account succeeds with at most {day:.1e} a day and {year:.1e} a year");
    assert!(day <= 2.0e-5 + f64::EPSILON && year <= 3.35e-4, "{day} {year}");
}
