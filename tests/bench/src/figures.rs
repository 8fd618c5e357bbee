//! Many times, as the few figures that describe them.

use std::time::Duration;

use serde::Serialize;

/// How long something took that was done many times; microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// How often it was done.
    pub count: usize,
    /// Half took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
}

impl Figures {
    /// Of these times; none of no times.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let share = |percent: usize| {
            let place = (times.len() * percent / 100).min(times.len().checked_sub(1)?);
            times.get(place).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Self { count: times.len(), p50: share(50)?, p99: share(99)? })
    }
}
