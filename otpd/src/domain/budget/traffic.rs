//! What many accounts do together: messages to a range of numbers, to a country and of the whole
//! site, and wrong codes of the whole site.
//!
//! Exact lists would grow with the site, so events are counted in buckets of one and of fifteen
//! minutes. A bucket counts as long as any part of it lies in the window: a limit may hold up to
//! one bucket longer than a list would say, never shorter.

use std::time::Duration;

use minicbor::{Decode, Decoder, Encode, decode::Error};

use super::{Held, LimitName, Limits, Refunded};
use crate::domain::time::{DAY, HOUR, MINUTE, Timestamp};

/// What happens when too few messages are answered: somebody may be paid for every message to those
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conversion {
    /// It is written down and logged.
    #[default]
    Alert,
    /// Besides, no message goes there for a while.
    Block,
}

/// Messages in an hour from which on the answered ones are looked at.
const CONVERSION_MESSAGES: u32 = 20;
/// One in this many must be answered.
const CONVERSION_ONE_IN: u32 = 5;
/// After this time a message should have been answered.
const CONVERSION_WAIT: Duration = MINUTE;
/// How long the first block lasts, in minutes; every further one within a day twice as long.
const BLOCK: u32 = 30;
/// The longest block, in minutes.
const LONGEST_BLOCK: u32 = 24 * 60;

/// Wrong codes of all accounts in 24 hours above which codes have eight digits.
#[must_use]
pub fn wrong_for_long_codes(enrolled: u32) -> u32 {
    u32::try_from(u64::from(enrolled) * 3 / 10).unwrap_or(u32::MAX).max(100)
}

fn country_per_hour(enrolled: u32) -> u32 {
    enrolled.saturating_mul(2).max(20)
}

fn all_per_hour(enrolled: u32) -> u32 {
    enrolled.saturating_mul(2).max(60)
}

fn all_per_day(enrolled: u32, limits: &Limits) -> u32 {
    limits.all_unanswered_per_day.unwrap_or_else(|| enrolled.saturating_mul(5).max(200))
}

/// Events of one piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Bucket {
    /// Its begin, minutes since the epoch.
    #[n(0)]
    minute: i64,
    /// Messages, or wrong codes.
    #[n(1)]
    sent: u32,
    /// Messages to logins that succeeded.
    #[n(2)]
    answered: u32,
    /// Messages to logins that ended without success.
    #[n(3)]
    over: u32,
    /// Messages that the carrier says it could not deliver.
    #[n(4)]
    failed: u32,
}

impl Bucket {
    fn unanswered(&self) -> u32 {
        self.sent.saturating_sub(self.answered)
    }

    /// Whether it counts nothing, as after a message that was given back.
    fn is_empty(&self) -> bool {
        *self == Self { minute: self.minute, ..Self::default() }
    }

    /// The first instant after it, when it is so many minutes wide.
    fn end(&self, width: i64) -> Timestamp {
        Timestamp(self.minute.saturating_add(width).saturating_mul(MILLIS))
    }
}

/// Buckets of one width, ascending; as many as a window needs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Buckets {
    /// Minutes.
    #[n(0)]
    width: i64,
    #[n(1)]
    list: Vec<Bucket>,
}

const MILLIS: i64 = 60_000;
/// Width of the buckets of an hour, in minutes.
const NARROW: i64 = 1;
/// Width of the buckets of a day, in minutes.
const WIDE: i64 = 15;

/// A row says the width that is ours or is damaged: by another one nothing would ever count, and no
/// limit hold.
fn of_width<C>(width: i64, row: &mut Decoder<'_>, context: &mut C) -> Result<Buckets, Error> {
    let buckets = Buckets::decode(row, context)?;
    if buckets.width == width {
        Ok(buckets)
    } else {
        Err(Error::message("buckets of a width that is not ours"))
    }
}

fn narrow<C>(row: &mut Decoder<'_>, context: &mut C) -> Result<Buckets, Error> {
    of_width(NARROW, row, context)
}

fn wide<C>(row: &mut Decoder<'_>, context: &mut C) -> Result<Buckets, Error> {
    of_width(WIDE, row, context)
}

impl Buckets {
    fn new(width: i64) -> Self {
        Self { width, list: Vec::new() }
    }

    fn minute(&self, at: Timestamp) -> i64 {
        let minute = at.0.div_euclid(MILLIS);
        minute.saturating_sub(minute.checked_rem_euclid(self.width).unwrap_or_default())
    }

    fn begin(bucket: &Bucket) -> Timestamp {
        Timestamp(bucket.minute.saturating_mul(MILLIS))
    }

    /// The first instant after a bucket.
    fn end(&self, bucket: &Bucket) -> Timestamp {
        bucket.end(self.width)
    }

    /// Drops what is out of the window and what counts nothing, which not every store keeps; what lies in
    /// the future counts as now.
    fn settle(&mut self, span: Duration, now: Timestamp) {
        let width = self.width;
        self.list.retain(|bucket| bucket.end(width) > now.before(span) && !bucket.is_empty());
        let current = self.minute(now);
        let ahead = self.list.partition_point(|bucket| bucket.minute <= current);
        let ahead = self.list.split_off(ahead);
        if ahead.is_empty() {
            return;
        }
        let bucket = self.current(now);
        for early in ahead {
            bucket.sent = bucket.sent.saturating_add(early.sent);
            bucket.answered = bucket.answered.saturating_add(early.answered);
            bucket.over = bucket.over.saturating_add(early.over);
            bucket.failed = bucket.failed.saturating_add(early.failed);
        }
    }

    /// The bucket of this time, made if there is none. The caller has settled, so it is the last.
    fn current(&mut self, now: Timestamp) -> &mut Bucket {
        let minute = self.minute(now);
        let index = match self.list.binary_search_by_key(&minute, |bucket| bucket.minute) {
            Ok(index) => index,
            Err(index) => {
                self.list.insert(index, Bucket { minute, ..Bucket::default() });
                index
            }
        };
        &mut self.list[index]
    }

    /// The bucket that counts what happened then, if it still counts.
    fn at(&mut self, at: Timestamp) -> Option<&mut Bucket> {
        let minute = self.minute(at);
        self.list.iter_mut().find(|bucket| bucket.minute == minute)
    }

    fn inside(&self, span: Duration, now: Timestamp) -> impl Iterator<Item = &Bucket> {
        self.list.iter().filter(move |bucket| self.end(bucket) > now.before(span))
    }

    fn sum(&self, of: impl Fn(&Bucket) -> u32, span: Duration, now: Timestamp) -> u32 {
        self.inside(span, now).fold(0, |sum, bucket| sum.saturating_add(of(bucket)))
    }

    /// Whether `allowed` events in the window are used up, and until when.
    fn held(
        &self,
        of: impl Fn(&Bucket) -> u32,
        allowed: u32,
        span: Duration,
        limit: LimitName,
        now: Timestamp,
    ) -> Option<Held> {
        let total = self.sum(&of, span, now);
        if total < allowed {
            return None;
        }
        let (mut seen, mut since, mut until) = (0_u32, now, None);
        for bucket in self.inside(span, now) {
            let before = seen;
            seen = seen.saturating_add(of(bucket));
            if before < allowed && seen >= allowed {
                since = Self::begin(bucket).min(now);
            }
            // Once this one leaves the window, fewer than allowed are left.
            if until.is_none() && total.saturating_sub(seen) < allowed {
                until = Some(self.end(bucket).after(span));
            }
        }
        Some(Held { limit, since, until })
    }
}

/// That too few messages were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Flag {
    /// When it was found.
    #[n(0)]
    at: Timestamp,
    /// How long it stands.
    #[n(1)]
    minutes: u32,
}

impl Flag {
    fn until(self) -> Timestamp {
        self.at.after(MINUTE.saturating_mul(self.minutes))
    }

    fn stands(self, now: Timestamp) -> bool {
        now < self.until()
    }
}

/// Too few messages were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Low {
    /// Messages that should have been answered by now.
    pub counted: u32,
    /// Those that were.
    pub answered: u32,
    /// When a block that follows from it ends.
    pub until: Timestamp,
}

mod merged;
mod shared;

pub use shared::{SHARES, Share};

/// What counts for a range of numbers (all but the last four digits), for a country, or for all.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Traffic {
    /// Messages in the last hour.
    #[n(0)]
    #[cbor(decode_with = "narrow")]
    hour: Buckets,
    /// Messages in the last 24 hours; of the whole site only.
    #[n(1)]
    #[cbor(decode_with = "wide")]
    day: Buckets,
    /// Wrong codes in the last 24 hours; of the whole site only.
    #[n(2)]
    #[cbor(decode_with = "wide")]
    wrong: Buckets,
    #[n(3)]
    flag: Option<Flag>,
    /// When it was told last that wrong codes bring eight digits; of the whole site only.
    #[n(4)]
    told: Option<Timestamp>,
}

impl Default for Traffic {
    fn default() -> Self {
        let (hour, day, wrong) = (Buckets::new(NARROW), Buckets::new(WIDE), Buckets::new(WIDE));
        Self { hour, day, wrong, flag: None, told: None }
    }
}

impl Traffic {
    /// Drops what counts no more; what lies in the future, by a clock that was ahead, counts as now.
    pub fn settle(&mut self, now: Timestamp) {
        self.hour.settle(HOUR, now);
        self.day.settle(DAY, now);
        self.wrong.settle(DAY, now);
        // One that a clock ahead left behind ends when it would have ended by this one.
        self.flag = self.flag.map(|flag| Flag { at: flag.at.min(now), ..flag });
        // Longer than a day after its end it doubles nothing any more.
        self.flag = self.flag.filter(|flag| flag.until().is_within(DAY, now));
        self.told = self.told.map(|told| told.min(now)).filter(|told| told.is_within(DAY, now));
    }

    /// Counts a message to log in, of a range or a country.
    pub fn charge(&mut self, now: Timestamp) {
        self.settle(now);
        add(&mut self.hour.current(now).sent);
    }

    /// Counts a message to log in, of the whole site.
    pub fn charge_all(&mut self, now: Timestamp) {
        self.charge(now);
        add(&mut self.day.current(now).sent);
    }

    /// Counts a message that proves a number, of the whole site: it costs money, and who asks for it
    /// is an administrator. So no limit on unanswered ones counts it.
    pub fn charge_proof(&mut self, now: Timestamp) {
        self.charge_answered(now);
    }

    /// The same of any message that needs no answer.
    pub fn charge_answered(&mut self, now: Timestamp) {
        self.settle(now);
        let bucket = self.day.current(now);
        add(&mut bucket.sent);
        add(&mut bucket.answered);
    }

    /// Takes back a message to log in, charged `at`, that was surely not sent. One that counted as
    /// answered does so no more, or it would stand for another one that was not.
    pub fn refund(&mut self, at: Timestamp, refunded: Refunded) {
        for buckets in [&mut self.hour, &mut self.day] {
            if let Some(bucket) = buckets.at(at) {
                bucket.sent = bucket.sent.saturating_sub(1);
                bucket.answered = bucket.answered.saturating_sub(refunded.answered.into());
            }
        }
    }

    /// Takes back a message that proves a number.
    pub fn refund_proof(&mut self, at: Timestamp) {
        if let Some(bucket) = self.day.at(at) {
            bucket.sent = bucket.sent.saturating_sub(1);
            bucket.answered = bucket.answered.saturating_sub(1);
        }
    }

    /// A login succeeded that had a message charged `at`.
    pub fn answer(&mut self, at: Timestamp) {
        for buckets in [&mut self.hour, &mut self.day] {
            buckets.at(at).into_iter().for_each(|bucket| add(&mut bucket.answered));
        }
    }

    /// A login ended without success that had a message charged `at`.
    pub fn close(&mut self, at: Timestamp) {
        self.hour.at(at).into_iter().for_each(|bucket| add(&mut bucket.over));
    }

    /// The carrier could not deliver a message charged `at`: it says nothing about who answers.
    pub fn undeliver(&mut self, at: Timestamp) {
        self.hour.at(at).into_iter().for_each(|bucket| add(&mut bucket.failed));
    }

    /// Counts a wrong code, of the whole site. True when it is to be told that they bring eight digits:
    /// with the one that does, or with the first after that, where several hosts crossed the line at
    /// once and none of them saw it.
    pub fn charge_wrong(&mut self, enrolled: u32, now: Timestamp) -> bool {
        self.settle(now);
        let before = self.wants_long_codes(enrolled, now);
        add(&mut self.wrong.current(now).sent);
        let told = before && self.told.is_some_and(|told| told.is_within(DAY, now));
        let tell = self.wants_long_codes(enrolled, now) && !told;
        if tell {
            self.told = Some(now);
        }
        tell
    }

    /// Whether the site was guessed at so often that codes need eight digits.
    #[must_use]
    pub fn wants_long_codes(&self, enrolled: u32, now: Timestamp) -> bool {
        self.wrong.sum(|bucket| bucket.sent, DAY, now) > wrong_for_long_codes(enrolled)
    }

    /// The limit of a country.
    #[must_use]
    pub fn country_held(&self, enrolled: u32, now: Timestamp) -> Option<Held> {
        let allowed = country_per_hour(enrolled);
        self.hour.held(Bucket::unanswered, allowed, HOUR, LimitName::CountryPerHour, now)
    }

    /// The limits of the whole site on unanswered messages.
    #[must_use]
    pub fn all_held(&self, enrolled: u32, limits: &Limits, now: Timestamp) -> Option<Held> {
        let (hour, day) = (all_per_hour(enrolled), all_per_day(enrolled, limits));
        super::later(
            self.hour.held(Bucket::unanswered, hour, HOUR, LimitName::AllPerHour, now),
            self.day.held(Bucket::unanswered, day, DAY, LimitName::AllPerDay, now),
        )
    }

    /// The site's limit on all messages; it knows no exception.
    #[must_use]
    pub fn capped(&self, limits: &Limits, now: Timestamp) -> Option<Held> {
        let allowed = limits.max_messages_per_day?;
        self.day.held(|bucket| bucket.sent, allowed, DAY, LimitName::MaxMessagesPerDay, now)
    }

    /// The block that too few answered messages brought, where the site wants one.
    #[must_use]
    pub fn blocked(&self, limits: &Limits, now: Timestamp) -> Option<Held> {
        let flag = self.flag.filter(|flag| flag.stands(now))?;
        let (limit, since, until) = (LimitName::Conversion, flag.at.min(now), Some(flag.until()));
        match limits.conversion {
            Conversion::Alert => None,
            Conversion::Block => Some(Held { limit, since, until }),
        }
    }

    /// Looks at how many messages were answered. What was found stands for 30 minutes, and twice as
    /// long each further time within a day of its end, up to 24 hours; meanwhile it is not found
    /// again. Only messages since the last time are looked at.
    pub fn find_low_conversion(&mut self, now: Timestamp) -> Option<Low> {
        let (from, minutes) = match self.flag {
            Some(flag) if flag.stands(now) => return None,
            Some(flag) => (flag.at, flag.minutes.saturating_mul(2).min(LONGEST_BLOCK)),
            None => (Timestamp(i64::MIN), BLOCK),
        };
        let (mut counted, mut answered) = (0_u32, 0_u32);
        for bucket in self.hour.inside(HOUR, now).filter(|bucket| Buckets::begin(bucket) >= from) {
            let waited = now >= self.hour.end(bucket).after(CONVERSION_WAIT);
            let ended = bucket.answered.saturating_add(bucket.over).min(bucket.sent);
            let ripe = if waited { bucket.sent } else { ended };
            counted = counted.saturating_add(ripe.saturating_sub(bucket.failed));
            answered = answered.saturating_add(bucket.answered);
        }
        let low =
            counted >= CONVERSION_MESSAGES && answered.saturating_mul(CONVERSION_ONE_IN) < counted;
        low.then(|| {
            let flag = Flag { at: now, minutes };
            self.flag = Some(flag);
            Low { counted, answered, until: flag.until() }
        })
    }

    /// When nothing in it counts any more.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        let end = |buckets: &Buckets, span| {
            buckets.list.last().map(|bucket| buckets.end(bucket).after(span))
        };
        let flag = self.flag.map(|flag| flag.until().after(DAY));
        let told = self.told.map(|told| told.after(DAY));
        let ends = [end(&self.hour, HOUR), end(&self.day, DAY), end(&self.wrong, DAY), flag, told];
        ends.into_iter().flatten().max().unwrap_or_default()
    }
}

fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests;
