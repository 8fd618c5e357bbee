//! When a gateway that keeps failing is left alone, as a value with pure transitions.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Failures in a row after which a gateway rests.
const FAILURES: u32 = 5;
/// The first rest.
const REST: Duration = Duration::from_secs(30);
/// The longest rest.
const MAX_REST: Duration = Duration::from_mins(10);
/// How long a probe may be under way: longer than any gateway's deadline. One that never ended,
/// because its login was cancelled, must not keep the gateway shut.
const PROBE: Duration = Duration::from_secs(10);

/// A gateway's breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// In use; `failures` in a row so far, fewer than five.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// Left alone.
    Resting {
        /// Since when.
        since: Timestamp,
        /// For how long.
        rest: Duration,
    },
    /// One message is on its way to find out.
    Probing {
        /// Since when.
        since: Timestamp,
        /// The rest before, which doubles when the probe fails.
        rest: Duration,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a message may go to the gateway now. The first after a rest is the probe; others
    /// are kept back until it is decided.
    pub(super) fn admit(&mut self, now: Timestamp) -> bool {
        match *self {
            Self::Closed { .. } => true,
            Self::Resting { since, rest } if is_over(since, rest, now) => {
                *self = Self::Probing { since: now, rest };
                true
            }
            Self::Probing { since, rest } if is_over(since, PROBE, now) => {
                *self = Self::Probing { since: now, rest };
                true
            }
            Self::Resting { .. } | Self::Probing { .. } => false,
        }
    }

    /// The gateway did its work, even if only to say no.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The gateway failed. `ask_after` is the wait it asked for, which starts a first rest at
    /// once, of at most 30 s: one number's quota must not close the gateway for everybody.
    pub(super) fn failed(&mut self, now: Timestamp, ask_after: Option<Duration>) {
        *self = match *self {
            Self::Closed { failures } if failures + 1 < FAILURES => match ask_after {
                None | Some(Duration::ZERO) => Self::Closed { failures: failures + 1 },
                Some(wait) => Self::Resting { since: now, rest: wait.min(REST) },
            },
            Self::Closed { .. } => Self::Resting { since: now, rest: REST },
            Self::Probing { rest, .. } => {
                Self::Resting { since: now, rest: (rest * 2).clamp(REST, MAX_REST) }
            }
            // A message that was sent before the rest, or for want of any other gateway: longer
            // rests are for probes, or a busy hour would keep the gateway shut for good.
            resting @ Self::Resting { .. } => resting,
        };
    }
}

/// Whether `span` is over. A clock set back ends it: a rest never grows by a clock.
fn is_over(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    now < since || now >= since.after(span)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Breaker, Duration, MAX_REST, PROBE, REST, Timestamp};

    const START: Timestamp = Timestamp(1_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    fn tripped() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            assert!(breaker.admit(START));
            breaker.failed(START, None);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_start_a_rest_of_30_s() {
        let mut breaker = tripped();
        assert!(!breaker.admit(at(0)));
        assert!(!breaker.admit(at(29)));
        assert!(breaker.admit(at(30)), "the probe");
        assert!(!breaker.admit(at(30)), "only one");
        breaker.succeeded();
        assert!(breaker.admit(at(30)) && breaker.admit(at(30)));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.failed(START, None);
            }
            assert!(breaker.admit(START));
            breaker.succeeded();
        }
    }

    #[test]
    fn rests_double_to_ten_minutes() {
        let mut breaker = tripped();
        let mut now = START;
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            let over = now.after(Duration::from_secs(seconds));
            assert!(!breaker.admit(over.before(Duration::from_millis(1))), "{seconds}");
            assert!(breaker.admit(over), "{seconds}");
            breaker.failed(over, None);
            now = over;
        }
    }

    #[test]
    fn failures_during_a_rest_do_not_prolong_it() {
        let mut breaker = tripped();
        breaker.failed(at(29), None);
        assert!(breaker.admit(at(30)));
    }

    #[test]
    fn a_probe_that_never_ends_is_followed_by_another() {
        let mut breaker = tripped();
        assert!(breaker.admit(at(30)));
        assert!(!breaker.admit(at(39)));
        assert!(breaker.admit(at(40)));
    }

    #[test]
    fn a_gateway_that_asks_for_a_pause_gets_a_short_one() {
        let cases = [(0, None), (5, Some(5)), (3600, Some(30))];
        for (asked, rest) in cases {
            let mut breaker = Breaker::default();
            breaker.failed(START, Some(Duration::from_secs(asked)));
            assert_eq!(breaker.admit(START), rest.is_none(), "{asked}");
            assert!(breaker.admit(at(rest.unwrap_or(0))), "{asked}");
        }
    }

    #[test]
    fn a_clock_set_back_ends_a_rest() {
        let mut breaker = tripped();
        assert!(breaker.admit(START.before(Duration::from_secs(1))));
    }

    proptest! {
        /// Whatever happens, a gateway is asked again within ten minutes and a probe's time.
        #[test]
        fn no_gateway_is_shut_for_good(
            steps in prop::collection::vec((0u64..700, 0u8..3), 0..60)
        ) {
            let mut breaker = Breaker::default();
            let mut now = START;
            for (seconds, step) in steps {
                now = now.after(Duration::from_secs(seconds));
                match step {
                    0 => breaker.succeeded(),
                    1 => breaker.failed(now, None),
                    _ => { breaker.admit(now); }
                }
                if let Breaker::Resting { rest, .. } = breaker {
                    prop_assert!(rest >= REST && rest <= MAX_REST);
                }
            }
            prop_assert!(breaker.admit(now.after(MAX_REST + PROBE)));
        }
    }
}
