use std::sync::{Arc, Mutex};

use super::{Clock, Direction, Readings};
use crate::domain::time::{HOUR, MINUTE, Timestamp};

#[test]
fn the_system_has_a_clock_a_time_since_boot_and_a_boot() {
    let clock = Clock::system(None).expect("Linux");
    assert!(clock.now() > Timestamp(1_700_000_000_000));
    let agreement = clock.agreement().expect("the system's clock is in check");
    assert!(!agreement.uptime.is_zero());
    assert!(agreement.boot.is_some(), "the kernel names its boot");
    assert_eq!(clock.doubt(), None);
    assert!(clock.proposal().is_none(), "there is nothing to confirm");
}

#[test]
fn a_leap_is_in_doubt_until_it_is_confirmed() {
    let first = Readings { wall: Timestamp(1_800_000_000_000), uptime: HOUR };
    let readings = Arc::new(Mutex::new(first));
    let read = Arc::clone(&readings);
    let clock = Clock::from_readings(None, None, move || *read.lock().unwrap());
    assert_eq!((clock.now(), clock.doubt()), (first.wall, None));

    let leap = first.wall.after(9 * HOUR);
    readings.lock().unwrap().wall = leap;
    assert_eq!(clock.now(), first.wall.after(HOUR));
    let (doubt, proposal) = clock.proposal().expect("in doubt");
    assert_eq!((doubt.by, doubt.since), (9 * HOUR, first.wall));
    assert_eq!(clock.now(), first.wall.after(HOUR), "asking changes nothing");

    clock.agree(proposal);
    assert_eq!((clock.now(), clock.doubt()), (leap, None));
    assert_eq!(clock.agreement().map(|agreement| agreement.wall), Some(leap));
}

#[test]
fn a_database_more_than_an_hour_from_this_machine_is_in_doubt_at_the_start_and_later() {
    let first = Readings { wall: Timestamp(1_800_000_000_000), uptime: HOUR };
    let own = Arc::new(Mutex::new(first.wall.before(24 * HOUR)));
    let by = Arc::clone(&own);
    let clock = Clock::from_readings_beside(None, None, move || first, move || *by.lock().unwrap());
    let doubt = clock.doubt().expect("a day apart at the start");
    assert_eq!((doubt.direction, doubt.by), (Direction::Ahead, 24 * HOUR));
    assert!(doubt.to_string().contains("24 h 00 min ahead of this machine's"), "{doubt}");
    assert_eq!(clock.now(), first.wall, "all hosts of the database go by its clock");

    *own.lock().unwrap() = first.wall.after(HOUR);
    assert_eq!(clock.doubt(), None, "an hour apart, and no more");
    *own.lock().unwrap() = first.wall.after(HOUR + MINUTE);
    assert_eq!(clock.doubt().map(|doubt| doubt.direction), Some(Direction::Behind));

    let (_, proposal) = clock.proposal().expect("in doubt");
    clock.agree(proposal);
    assert_eq!(clock.doubt(), None, "somebody said that the database is right");
    *own.lock().unwrap() = first.wall;
    assert_eq!(clock.doubt(), None);
    *own.lock().unwrap() = first.wall.before(2 * HOUR);
    assert!(clock.doubt().is_some(), "what was confirmed is over");
}

#[test]
fn a_plain_clock_is_never_in_doubt() {
    let clock = Clock::from_fn(|| Timestamp(5));
    assert_eq!(clock.now(), Timestamp(5));
    assert!(clock.doubt().is_none() && clock.proposal().is_none() && clock.agreement().is_none());
}
