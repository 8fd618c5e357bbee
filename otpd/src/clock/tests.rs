use std::sync::{Arc, Mutex};

use super::{Clock, Readings};
use crate::domain::time::{HOUR, Timestamp};

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
fn a_plain_clock_is_never_in_doubt() {
    let clock = Clock::from_fn(|| Timestamp(5));
    assert_eq!(clock.now(), Timestamp(5));
    assert!(clock.doubt().is_none() && clock.proposal().is_none() && clock.agreement().is_none());
}
