//! Two copies of what many accounts did together as one: the one that is stored, and one of a backup.

use super::{Bucket, Buckets, Traffic};

impl Bucket {
    /// The larger of both: it is the same piece of time, and one copy saw more of it. As many
    /// messages stay unanswered as in the copy that has more of those.
    fn merge(&mut self, other: &Self) {
        let unanswered = self.unanswered().max(other.unanswered());
        self.sent = self.sent.max(other.sent);
        self.answered = self.sent.saturating_sub(unanswered);
        self.over = self.over.max(other.over);
        self.failed = self.failed.max(other.failed);
    }
}

impl Buckets {
    fn merge(&mut self, other: &Self) {
        for bucket in &other.list {
            match self.list.binary_search_by_key(&bucket.minute, |own| own.minute) {
                Ok(index) => self.list.get_mut(index).into_iter().for_each(|own| own.merge(bucket)),
                Err(index) => self.list.insert(index, *bucket),
            }
        }
    }
}

impl Traffic {
    /// Takes in what another copy of the row counts: no message and no wrong code of either is
    /// forgotten, and the block that ends later holds.
    pub fn merge(&mut self, other: &Self) {
        self.hour.merge(&other.hour);
        self.day.merge(&other.day);
        self.wrong.merge(&other.wrong);
        let flags = self.flag.into_iter().chain(other.flag);
        self.flag = flags.max_by_key(|flag| (flag.until(), flag.minutes));
        self.told = self.told.max(other.told);
    }
}
