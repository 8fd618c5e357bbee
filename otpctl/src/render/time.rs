//! Times in RFC 3339, whole seconds.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// In UTC, for programs.
pub(crate) fn utc(millis: i64) -> String {
    instant(millis).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// In `zone` with its offset, for people.
pub(crate) fn local(millis: i64, zone: &TimeZone) -> String {
    instant(millis).to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The same, without the date when that is `today`.
pub(crate) fn local_since(millis: i64, zone: &TimeZone, today: Date) -> String {
    let zoned = instant(millis).to_zoned(zone.clone());
    if zoned.date() == today {
        zoned.strftime("%H:%M:%S%:z").to_string()
    } else {
        local(millis, zone)
    }
}

/// What the calendar cannot hold shows as its nearest end.
fn instant(millis: i64) -> Timestamp {
    let end = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};

    use super::{local, utc};

    /// 2026-08-01 12:00:00.789 UTC.
    const NOON: i64 = 1_785_585_600_789;

    #[test]
    fn programs_read_utc() {
        assert_eq!(utc(NOON), "2026-08-01T12:00:00Z");
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn people_read_their_own_zone() {
        let cases = [
            ("east", TimeZone::fixed(offset(2)), "2026-08-01T14:00:00+02:00"),
            ("west", TimeZone::fixed(offset(-7)), "2026-08-01T05:00:00-07:00"),
            ("utc", TimeZone::UTC, "2026-08-01T12:00:00+00:00"),
        ];
        for (name, zone, expected) in cases {
            assert_eq!(local(NOON, &zone), expected, "{name}");
        }
    }

    #[test]
    fn impossible_times_do_not_panic() {
        for millis in [i64::MIN, i64::MAX] {
            assert!(!utc(millis).is_empty());
            assert!(!local(millis, &TimeZone::fixed(offset(25))).is_empty());
            assert!(!local(millis, &TimeZone::fixed(offset(-25))).is_empty());
        }
    }
}
