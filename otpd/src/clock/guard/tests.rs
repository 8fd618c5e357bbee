use std::time::Duration;

use proptest::prelude::*;

use super::{Agreement, BootId, Direction, Guard, Readings};
use crate::domain::time::Timestamp;

const WALL: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn at(wall: i64, uptime: i64) -> Readings {
    let uptime = Duration::from_millis(u64::try_from(uptime).expect("after the boot"));
    Readings { wall: Timestamp(WALL + wall), uptime }
}

fn boot(name: &str) -> BootId {
    BootId::new(name)
}

/// Both agreed 1000 s after the boot.
fn guard() -> Guard {
    Guard::new(None, Some(boot("one")), at(0, 1_000_000))
}

fn stored(wall: i64, uptime: i64, name: &str) -> Agreement {
    let Readings { wall, uptime } = at(wall, uptime);
    Agreement { wall, uptime, boot: Some(boot(name)) }
}

#[test]
fn the_clock_is_believed_within_an_hour_of_the_time_since_boot() {
    use Direction::{Ahead, Behind};
    // What the clocks say 10 s after they agreed, and what time it then is.
    let cases = [
        ("as it should be", 10_000, 10_000, None),
        ("an hour ahead", 10_000 + HOUR, 10_000 + HOUR, None),
        ("and a millisecond", 10_001 + HOUR, 10_000 + HOUR, Some((Ahead, HOUR + 1))),
        ("a year ahead", 8_766 * HOUR, 10_000 + HOUR, Some((Ahead, 8_766 * HOUR - 10_000))),
        ("a second behind", 9_000, 9_000, None),
        ("an hour behind: half the pace", 10_000 - HOUR, 5_000, None),
        ("and a millisecond behind", 9_999 - HOUR, 10_000, Some((Behind, HOUR + 1))),
        ("at its beginning", -WALL, 10_000, Some((Behind, WALL + 10_000))),
    ];
    for (name, wall, time, doubt) in cases {
        let mut guard = guard();
        assert_eq!(guard.now(at(wall, 1_010_000)), Timestamp(WALL + time), "{name}");
        let found = guard.doubt().map(|doubt| (doubt.direction, doubt.by.as_millis()));
        let expected = doubt.map(|(way, by)| (way, u128::try_from(by).expect("a span")));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn in_doubt_time_goes_on_at_the_pace_of_the_time_since_boot() {
    let mut guard = guard();
    let jump = 100 * HOUR;
    for elapsed in [0, 1, MINUTE, 50 * HOUR] {
        let now = guard.now(at(jump + elapsed, 1_000_000 + elapsed));
        assert_eq!(now, Timestamp(WALL + elapsed + HOUR), "{elapsed}");
        let doubt = guard.doubt().expect("an hour is not a hundred");
        assert_eq!(doubt.since, Timestamp(WALL), "{elapsed}: when both last agreed");
    }
}

#[test]
fn a_doubt_ends_by_itself_and_by_an_agreement() {
    // An hour that was gained is given back at half pace.
    for (name, jump, then) in [("ahead", 5 * HOUR, HOUR + 10_000), ("behind", -5 * HOUR, 20_000)] {
        let mut back = guard();
        back.now(at(jump, 1_000_000));
        assert!(back.doubt().is_some(), "{name}");
        assert_eq!(back.now(at(20_000, 1_020_000)), Timestamp(WALL + then), "{name}");
        assert_eq!(back.doubt(), None, "{name}: the clock was set right");
        assert_eq!(back.now(at(3 * HOUR, 1_000_000 + 3 * HOUR)), Timestamp(WALL + 3 * HOUR));

        let mut confirmed = guard();
        confirmed.now(at(jump, 1_000_000));
        confirmed.agree(confirmed.agreed_at(at(jump, 1_000_000)));
        let later = confirmed.now(at(jump + 10_000, 1_010_000));
        assert_eq!(later, Timestamp(WALL + jump + 10_000), "{name}");
        assert_eq!(confirmed.doubt(), None, "{name}: an administrator said so");
        confirmed.now(at(0, 1_020_000));
        assert!(confirmed.doubt().is_some(), "{name}: going back is as far");
    }
}

#[test]
fn agreements_are_a_minute_apart_at_least() {
    let mut guard = guard();
    for (elapsed, expected) in [(0, 0), (59_999, 0), (60_000, 60_000), (61_000, 60_000)] {
        guard.now(at(elapsed, 1_000_000 + elapsed));
        assert_eq!(guard.agreement().wall, Timestamp(WALL + expected), "after {elapsed} ms");
    }
}

#[test]
fn a_run_begins_where_the_last_one_left_off() {
    // The agreement of the last run: 2000 s after its boot.
    let hours = |hours: i64| hours * HOUR;
    let cases = [
        ("no last run", None, at(0, 5_000), false, 0),
        ("same boot, at once", Some(stored(0, 2_000_000, "one")), at(0, 2_000_000), false, 0),
        (
            "same boot, a day later",
            Some(stored(0, 2_000_000, "one")),
            at(hours(24), 2_000_000 + hours(24)),
            false,
            hours(24),
        ),
        (
            "same boot, set forward meanwhile",
            Some(stored(0, 2_000_000, "one")),
            at(hours(24), 2_000_000 + hours(2)),
            true,
            hours(3),
        ),
        (
            "same boot, set back meanwhile",
            Some(stored(0, 2_000_000, "one")),
            at(-hours(2), 2_000_000),
            true,
            0,
        ),
        (
            "another boot, off for a week",
            Some(stored(0, 2_000_000, "two")),
            at(hours(168), 5_000),
            false,
            hours(168),
        ),
        (
            "another boot, no clock of its own",
            Some(stored(0, 2_000_000, "two")),
            at(-hours(9_000), 5_000),
            true,
            0,
        ),
        (
            "another boot, a little behind",
            Some(stored(0, 2_000_000, "two")),
            at(-MINUTE, 5_000),
            false,
            0,
        ),
    ];
    for (name, stored, first, doubt, time) in cases {
        let mut guard = Guard::new(stored, Some(boot("one")), first);
        assert_eq!(guard.now(first), Timestamp(WALL + time), "{name}");
        assert_eq!(guard.doubt().is_some(), doubt, "{name}");
    }
}

#[test]
fn setting_the_clock_of_a_machine_without_one_is_no_doubt_the_first_time() {
    for (name, off) in [("a reboot", HOUR), ("off for a month", 720 * HOUR)] {
        let first = at(-9_000 * HOUR, 5_000);
        let mut guard = Guard::new(Some(stored(0, 2_000_000, "two")), Some(boot("one")), first);
        assert_eq!(guard.now(first), Timestamp(WALL), "{name}: not earlier than it was");
        assert!(guard.doubt().is_some(), "{name}");
        assert_eq!(guard.now(at(off, 65_000)), Timestamp(WALL + off), "{name}");
        assert_eq!(guard.doubt(), None, "{name}");
        guard.now(at(off + 2 * HOUR, 65_000));
        assert!(guard.doubt().is_some(), "{name}: but not the second time");
    }
}

#[test]
fn a_restart_ends_no_doubt() {
    let mut guard = guard();
    let leapt = at(5 * HOUR, 1_010_000);
    guard.now(leapt);
    let stored = guard.agreement().clone();
    let mut next = Guard::new(Some(stored), Some(boot("one")), leapt);
    assert_eq!(next.now(leapt), guard.now(leapt));
    assert!(next.doubt().is_some() && next.doubt() == guard.doubt());
}

#[test]
fn a_boot_that_is_not_known_is_no_other() {
    let Readings { wall, uptime } = at(0, 2_000_000);
    let stored = Some(Agreement { wall, uptime, boot: None });
    // The same id would make this a leap of an hour and more.
    let first = at(5 * HOUR, 2_000_000);
    let mut guard = Guard::new(stored, None, first);
    assert_eq!((guard.now(first), guard.doubt()), (first.wall, None));
}

#[test]
fn a_doubt_says_how_far_since_when_and_what_to_do() {
    let mut guard = guard();
    guard.now(at(3 * HOUR + 12 * MINUTE, 1_000_000));
    let text = guard.doubt().expect("in doubt").to_string();
    assert_eq!(
        text,
        "the clock is in doubt: 3 h 12 min ahead of the time since boot, counted from \
         2027-01-15T08:00:00Z; codes and limits go by the time since boot, an hour ahead, and \
         nothing old is deleted; set the clock right, or if it is right: otpctl confirm-clock"
    );
    guard.now(at(-26 * HOUR, 1_000_000));
    let text = guard.doubt().expect("in doubt").to_string();
    assert!(text.contains("26 h 00 min behind the time since boot"), "{text}");
}

#[test]
fn an_agreement_is_stored_in_a_form_that_stays() {
    let agreement = stored(0, 2_000_000, "one");
    let bytes = minicbor::to_vec(&agreement).expect("bytes");
    // [wall, [seconds, nanoseconds], boot]
    let expected = b"\x83\x1b\0\0\x01\xa3\x18\x5c\x50\0\x82\x19\x07\xd0\x00\x63one";
    assert_eq!(bytes, expected);
    assert_eq!(minicbor::decode::<Agreement>(&bytes).expect("the same"), agreement);
}

/// Steps of 59 minutes, a minute apart: none is a doubt by itself.
#[test]
fn small_steps_add_up_to_a_doubt() {
    for (name, step) in [("forward", 60), ("back", -58)] {
        let mut guard = guard();
        let (mut wall, mut uptime, mut now) = (0, 1_000_000, Timestamp(WALL));
        for _ in 0..30 {
            uptime += MINUTE;
            wall += step * MINUTE;
            now = guard.now(at(wall, uptime));
        }
        assert!(guard.doubt().is_some(), "{name}");
        let gained = now.0 - WALL - 30 * MINUTE;
        assert!((-HOUR..=HOUR + 5 * MINUTE).contains(&gained), "{name}: {gained} ms");
    }
}

/// What a decision in the past would move to that past must not be far away when the clock is mended.
#[test]
fn a_clock_that_goes_back_and_comes_right_again_has_moved_nothing() {
    for back in [MINUTE, 59 * MINUTE, 2 * HOUR, 16_800 * HOUR] {
        let mut guard = guard();
        let mut before = guard.now(at(0, 1_000_000));
        for second in 1..600 {
            let wall = if second < 300 { -back } else { 0 } + second * 1_000;
            let now = guard.now(at(wall, 1_000_000 + second * 1_000));
            let step = now.0 - before.0;
            assert!((0..=300_000).contains(&step), "{back}: {step} ms at {second} s");
            before = now;
        }
        assert_eq!(before, Timestamp(WALL + 599_000), "{back}");
    }
}

proptest! {
    #[test]
    fn time_never_goes_back_and_gains_little(
        steps in prop::collection::vec((0i64..HOUR, -3 * HOUR..3 * HOUR), 1..60),
    ) {
        let mut guard = guard();
        let (mut wall, mut uptime, mut before) = (0, 1_000_000, Timestamp(WALL));
        for (elapsed, step) in steps {
            uptime += elapsed;
            wall += elapsed + step;
            let now = guard.now(at(wall, uptime));
            prop_assert!(now >= before);
            let passed = uptime - 1_000_000;
            prop_assert!(now.0 - WALL <= passed + passed / 10 + HOUR + 1_000, "{}", now.0 - WALL);
            before = now;
        }
    }

    #[test]
    fn drift_never_adds_up_to_a_doubt(
        steps in prop::collection::vec((1i64..600_000, -100i64..=100), 1..200),
    ) {
        let mut guard = guard();
        let (mut wall, mut uptime) = (0, 1_000_000);
        for (elapsed, per_mille) in steps {
            uptime += elapsed;
            wall += elapsed + elapsed * per_mille / 1000;
            prop_assert_eq!(guard.now(at(wall, uptime)), Timestamp(WALL + wall));
            prop_assert_eq!(guard.doubt(), None);
        }
    }

    #[test]
    fn one_leap_gains_an_hour_at_most(
        leap in HOUR + 1..100_000 * HOUR,
        steps in prop::collection::vec(0i64..HOUR, 1..50),
    ) {
        let mut guard = guard();
        let mut elapsed = 0;
        for step in steps {
            elapsed += step;
            let now = guard.now(at(leap + elapsed, 1_000_000 + elapsed));
            prop_assert_eq!(now, Timestamp(WALL + elapsed + HOUR));
        }
    }
}
