//! Time as data: the core never reads a clock.

use std::time::Duration;

use minicbor::{Decode, Encode};
use serde::Serialize;

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Timestamp(#[n(0)] pub i64);

impl Timestamp {
    /// The instant `span` later, or the last one there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The instant `span` earlier, or the first one there is.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// True while `self` lies in the window of length `span` that ends now. What lies in the
    /// future, after the clock was set back, counts as now: a budget never refills by a clock.
    #[must_use]
    pub fn is_within(self, span: Duration, now: Self) -> bool {
        self > now.before(span)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// One minute.
pub const MINUTE: Duration = Duration::from_mins(1);
/// One hour.
pub const HOUR: Duration = Duration::from_hours(1);
/// One day of 24 hours.
pub const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::{HOUR, Timestamp};

    #[test]
    fn windows_are_half_open_and_ignore_a_clock_set_back() {
        let now = Timestamp(10 * 3_600_000);
        let cases = [
            ("one millisecond inside", Timestamp(now.0 - 3_600_000 + 1), true),
            ("exactly an hour ago is outside", Timestamp(now.0 - 3_600_000), false),
            ("now", now, true),
            ("in the future", Timestamp(now.0 + 1), true),
        ];
        for (name, event, inside) in cases {
            assert_eq!(event.is_within(HOUR, now), inside, "{name}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(i64::MAX).after(HOUR), Timestamp(i64::MAX));
        assert_eq!(Timestamp(i64::MIN).before(HOUR), Timestamp(i64::MIN));
        assert_eq!(Timestamp(5).since(Timestamp(9)), std::time::Duration::ZERO);
    }
}
