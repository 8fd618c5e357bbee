//! What many accounts do together, counted by many at once.
//!
//! One row for all of a site would be waited for by every login of every host. So each row is kept in
//! [`SHARES`] shares: whoever decides reads the sum of all without a lock, and adds what the decision
//! changed to one of them. A share alone means nothing: what it counts may be taken back in another,
//! so its counts may be below zero.

use minicbor::{Decode, Encode};

use super::{Bucket, Buckets, DAY, Flag, HOUR, Timestamp, Traffic};

/// Shares that a row is kept in.
pub const SHARES: u8 = 16;

/// What a share counts of one piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Part {
    /// Its begin, minutes since the epoch.
    #[n(0)]
    minute: i64,
    #[n(1)]
    sent: i64,
    #[n(2)]
    answered: i64,
    #[n(3)]
    over: i64,
    #[n(4)]
    failed: i64,
}

impl Part {
    /// What has to be added to `before` to make it `after`.
    fn between(before: &Bucket, after: &Bucket) -> Self {
        let more = |before: u32, after: u32| i64::from(after) - i64::from(before);
        Self {
            minute: after.minute,
            sent: more(before.sent, after.sent),
            answered: more(before.answered, after.answered),
            over: more(before.over, after.over),
            failed: more(before.failed, after.failed),
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self { minute: self.minute, ..Self::default() }
    }

    fn add(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.answered = self.answered.saturating_add(other.answered);
        self.over = self.over.saturating_add(other.over);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// As a bucket of the sum. A sum below zero is one of which a part was not read: it counts as none.
    fn bucket(&self) -> Bucket {
        let count = |sum: i64| u32::try_from(sum.max(0)).unwrap_or(u32::MAX);
        Bucket {
            minute: self.minute,
            sent: count(self.sent),
            answered: count(self.answered),
            over: count(self.over),
            failed: count(self.failed),
        }
    }
}

/// Parts in the order of their times, one a piece of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
struct Parts(#[n(0)] Vec<Part>);

impl Parts {
    /// What made `before` of `after`. What is gone because it was too old is not taken back: every
    /// share forgets it by itself. What is gone from after the newest was a clock's error, and counts
    /// there now.
    fn between(before: &Buckets, after: &Buckets) -> Self {
        let mut parts = Vec::new();
        for bucket in &after.list {
            let known = before.list.binary_search_by_key(&bucket.minute, |bucket| bucket.minute);
            let empty = Bucket::default();
            let known = known.ok().and_then(|index| before.list.get(index)).unwrap_or(&empty);
            parts.push(Part::between(known, bucket));
        }
        if let Some(newest) = after.list.last() {
            let ahead = before.list.iter().filter(|bucket| bucket.minute > newest.minute);
            parts.extend(ahead.map(|bucket| {
                Part::between(bucket, &Bucket { minute: bucket.minute, ..Bucket::default() })
            }));
        }
        parts.retain(|part| !part.is_nothing());
        Self(parts)
    }

    fn add(&mut self, other: &Self) {
        for part in &other.0 {
            match self.0.binary_search_by_key(&part.minute, |own| own.minute) {
                Ok(index) => self.0.get_mut(index).into_iter().for_each(|own| own.add(part)),
                Err(index) => self.0.insert(index, *part),
            }
        }
    }

    /// Drops what counts no more; `width` minutes is a piece of time.
    fn settle(&mut self, width: i64, span: std::time::Duration, now: Timestamp) {
        let end = |part: &Part| part.bucket().end(width);
        self.0.retain(|part| end(part) > now.before(span) && !part.is_nothing());
    }

    fn buckets(&self, width: i64) -> Buckets {
        let list = self.0.iter().map(Part::bucket);
        Buckets { list: list.filter(|bucket| !bucket.is_empty()).collect(), width }
    }

    fn end(&self, width: i64, span: std::time::Duration) -> Option<Timestamp> {
        self.0.last().map(|part| part.bucket().end(width).after(span))
    }
}

/// One of the shares of a row, or what a decision adds to one. The field numbers are the stored
/// format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Share {
    #[n(0)]
    hour: Parts,
    #[n(1)]
    day: Parts,
    #[n(2)]
    wrong: Parts,
    #[n(3)]
    flag: Option<Flag>,
    #[n(4)]
    told: Option<Timestamp>,
}

impl Share {
    /// What a decision changed.
    #[must_use]
    pub fn between(before: &Traffic, after: &Traffic) -> Self {
        Self {
            hour: Parts::between(&before.hour, &after.hour),
            day: Parts::between(&before.day, &after.day),
            wrong: Parts::between(&before.wrong, &after.wrong),
            flag: after.flag.filter(|_| after.flag != before.flag),
            told: after.told.filter(|_| after.told != before.told),
        }
    }

    /// Adds what another share counts.
    pub fn add(&mut self, other: &Self) {
        self.hour.add(&other.hour);
        self.day.add(&other.day);
        self.wrong.add(&other.wrong);
        let flags = self.flag.into_iter().chain(other.flag);
        self.flag = flags.max_by_key(|flag| (flag.until(), flag.minutes));
        self.told = self.told.max(other.told);
    }

    /// Drops what counts no more.
    pub fn settle(&mut self, now: Timestamp) {
        let widths = Traffic::default();
        self.hour.settle(widths.hour.width, HOUR, now);
        self.day.settle(widths.day.width, DAY, now);
        self.wrong.settle(widths.wrong.width, DAY, now);
        // As in the sum: else it would be found ahead, and begin anew, for as long as it lies there.
        self.flag = self.flag.map(|flag| Flag { at: flag.at.min(now), ..flag });
        self.flag = self.flag.filter(|flag| flag.until().is_within(DAY, now));
        self.told = self.told.map(|told| told.min(now)).filter(|told| told.is_within(DAY, now));
    }

    /// When nothing in it counts any more.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        let widths = Traffic::default();
        let flag = self.flag.map(|flag| flag.until().after(DAY));
        let ends = [
            self.hour.end(widths.hour.width, HOUR),
            self.day.end(widths.day.width, DAY),
            self.wrong.end(widths.wrong.width, DAY),
            flag,
            self.told.map(|told| told.after(DAY)),
        ];
        ends.into_iter().flatten().max().unwrap_or_default()
    }

    /// What all shares of a row together say.
    #[must_use]
    pub fn total(self) -> Traffic {
        let widths = Traffic::default();
        Traffic {
            hour: self.hour.buckets(widths.hour.width),
            day: self.day.buckets(widths.day.width),
            wrong: self.wrong.buckets(widths.wrong.width),
            flag: self.flag,
            told: self.told,
        }
    }
}

#[cfg(test)]
mod tests;
