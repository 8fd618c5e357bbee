//! Messages to one account, and to one number.

use std::{collections::BTreeMap, time::Duration};

use minicbor::{Decode, Encode};

use super::{
    CALLS_PER_DAY, Held, LimitName, Limits, PROOFS_PER_DAY, Purse, REFUNDS_PER_HOUR,
    RESERVE_MESSAGES, Standing, keep_newest, later, merged, sooner, window,
};
use crate::domain::{
    challenge::Channel,
    opt_out::{OptOut, Words},
    passcode::ChallengeToken,
    time::{DAY, HOUR, Timestamp},
};
/// One message that was, or is being, sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Sent {
    #[n(0)]
    at: Timestamp,
    /// The login it belongs to: the first bits of its token, enough to tell an account's own logins
    /// of one day apart.
    #[n(1)]
    login: u32,
    /// That login succeeded.
    #[n(2)]
    answered: bool,
    #[n(3)]
    channel: Channel,
    /// A known source's reserve paid for it.
    #[n(4)]
    #[cbor(default)]
    reserve: bool,
}

/// Messages to one account or one number in the last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Messages {
    #[n(0)]
    sent: Vec<Sent>,
    /// Charges that were taken back in the last hour.
    #[n(1)]
    refunds: Vec<Timestamp>,
}

/// A charge that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// Its login had succeeded by then, without it.
    pub answered: bool,
}

impl Messages {
    /// Has what lies in the future age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.sent.iter_mut().for_each(|sent| sent.at = sent.at.min(now));
        self.refunds.iter_mut().for_each(|at| *at = (*at).min(now));
    }

    /// Charges one message.
    pub fn charge(
        &mut self,
        login: ChallengeToken,
        channel: Channel,
        purse: Purse,
        now: Timestamp,
    ) {
        self.sent.retain(|sent| sent.at.is_within(DAY, now));
        let reserve = purse == Purse::Reserve;
        self.sent.push(Sent { at: now, login: tag(login), answered: false, channel, reserve });
        self.sent.sort_by_key(|sent| sent.at);
    }

    /// Takes back the charge of a login's message that was surely not sent. `at`: when it was
    /// charged, so that no other message of the login is given back for it, and none twice. `None`
    /// when it was not given back.
    ///
    /// At most [`REFUNDS_PER_HOUR`]: what always fails, for example to a number that opted out, must
    /// not let a thief of the password ask a vendor without end.
    pub fn refund(
        &mut self,
        login: ChallengeToken,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Refunded> {
        self.refunds.retain(|refund| refund.is_within(HOUR, now));
        let charge = |sent: &Sent| sent.login == tag(login) && sent.at == at;
        let charged = self.sent.iter().position(charge);
        let index = charged.filter(|_| self.refunds.len() < REFUNDS_PER_HOUR)?;
        self.refunds.push(now);
        Some(Refunded { answered: self.sent.remove(index).answered })
    }

    /// Marks the messages of a login that succeeded.
    pub fn answer(&mut self, login: ChallengeToken) {
        let own = self.sent.iter_mut().filter(|sent| sent.login == tag(login));
        own.for_each(|sent| sent.answered = true);
    }

    /// Takes in what another copy of the row counts: no message of the last day is forgotten, and
    /// one is answered only where both say so.
    pub fn merge(&mut self, other: &Self, now: Timestamp) {
        let refunds = self.refunds.len().max(REFUNDS_PER_HOUR);
        self.refunds = merged(&self.refunds, &other.refunds, (HOUR, now), refunds);
        let recent = other.sent.iter().filter(|sent| sent.at.is_within(DAY, now));
        let mut counts = BTreeMap::<_, [usize; 4]>::new();
        for (sent, of) in self.sent.iter().map(|sent| (sent, 0)).chain(recent.map(|sent| (sent, 1)))
        {
            let key = (sent.at, sent.login, sent.channel == Channel::Voice, sent.reserve);
            let [own, own_open, others, others_open] = counts.entry(key).or_default();
            let (all, open) = if of == 0 { (own, own_open) } else { (others, others_open) };
            *all += 1;
            *open += usize::from(!sent.answered);
        }
        // In the order of their times, by their keys.
        self.sent = counts
            .into_iter()
            .flat_map(|((at, login, voice, reserve), [own, own_open, others, others_open])| {
                let channel = if voice { Channel::Voice } else { Channel::Sms };
                let (all, open) = (own.max(others), own_open.max(others_open));
                (0..all).map(move |nth| Sent { at, login, answered: nth >= open, channel, reserve })
            })
            .collect();
    }

    /// When the messages of a login went that had no success yet.
    #[must_use]
    pub fn unanswered_of(&self, login: ChallengeToken) -> Vec<Timestamp> {
        let own = self.sent.iter().filter(|sent| sent.login == tag(login) && !sent.answered);
        own.map(|sent| sent.at).collect()
    }

    /// What pays for a further message.
    ///
    /// # Errors
    /// The limit that holds.
    pub fn purse(
        &self,
        limits: &Limits,
        channel: Channel,
        standing: Standing,
        now: Timestamp,
    ) -> Result<Purse, Held> {
        if let Some(held) = self.capped(limits, now) {
            return Err(held);
        }
        match (self.unanswered(limits, channel, now), standing) {
            (None, Standing::Known | Standing::Other) => Ok(Purse::Common),
            (Some(held), Standing::Other) => Err(held),
            (Some(held), Standing::Known) => {
                let reserve = self.times(|sent| sent.reserve && !sent.answered);
                match window(&reserve, RESERVE_MESSAGES, DAY, held.limit, now) {
                    None => Ok(Purse::Reserve),
                    Some(reserve) => Err(sooner(held, reserve)),
                }
            }
        }
    }

    /// The limit that keeps a message from being sent, if one holds; a known source may have a
    /// reserve left, see [`Self::purse`].
    #[must_use]
    pub fn held(&self, limits: &Limits, channel: Channel, now: Timestamp) -> Option<Held> {
        later(self.capped(limits, now), self.unanswered(limits, channel, now))
    }

    /// Limits that hold for every source.
    fn capped(&self, limits: &Limits, now: Timestamp) -> Option<Held> {
        let all = self.times(|_| true);
        let hour = (limits.messages_per_hour, HOUR, LimitName::MessagesPerHour);
        let day = (limits.messages_per_day, DAY, LimitName::MessagesPerDay);
        [hour, day]
            .into_iter()
            .map(|(allowed, span, name)| window(&all, size(allowed), span, name, now))
            .fold(None, later)
    }

    fn unanswered(&self, limits: &Limits, channel: Channel, now: Timestamp) -> Option<Held> {
        let counts = |sent: &Sent| !sent.answered && !sent.reserve;
        let unanswered = self.times(counts);
        let calls = match channel {
            Channel::Sms => None,
            Channel::Voice => {
                let calls = self.times(|sent| counts(sent) && sent.channel == Channel::Voice);
                window(&calls, CALLS_PER_DAY, DAY, LimitName::CallsPerDay, now)
            }
        };
        let hour = (limits.unanswered_per_hour, HOUR, LimitName::UnansweredPerHour);
        let day = (limits.unanswered_per_day, DAY, LimitName::UnansweredPerDay);
        [hour, day]
            .into_iter()
            .map(|(allowed, span, name)| window(&unanswered, size(allowed), span, name, now))
            .fold(calls, later)
    }

    fn times(&self, wanted: impl Fn(&Sent) -> bool) -> Vec<Timestamp> {
        self.sent.iter().filter(|sent| wanted(sent)).map(|sent| sent.at).collect()
    }

    /// From when on nothing in it counts any more.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        let sent = self.sent.iter().map(|sent| sent.at.after(DAY));
        let refunds = self.refunds.iter().map(|at| at.after(HOUR));
        sent.chain(refunds).max().unwrap_or_default()
    }

    /// Messages in the last 24 hours.
    #[must_use]
    pub fn in_a_day(&self, now: Timestamp) -> usize {
        self.within(DAY, now)
    }

    /// Messages in the last `span`, of at most 24 hours.
    #[must_use]
    pub fn within(&self, span: Duration, now: Timestamp) -> usize {
        self.sent.iter().filter(|sent| sent.at.is_within(span, now)).count()
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn tag(login: ChallengeToken) -> u32 {
    login.request().0
}

/// What counts for one telephone number, whatever accounts share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Budget {
    /// Messages to log in.
    #[n(0)]
    pub messages: Messages,
    /// Messages to prove the number, ascending; the newest [`PROOFS_PER_DAY`] are enough.
    #[n(1)]
    proofs: Vec<Timestamp>,
    /// Whether the person at the number asked for an end to messages. Rows from before this field
    /// have none.
    #[n(2)]
    pub opted_out: Option<OptOut>,
    /// What the person at the number wrote to senders; `None` for all who never did, and in rows from
    /// before this field.
    #[n(3)]
    pub heard: Option<Words>,
}

impl Budget {
    /// Has what lies in the future, by a clock that was ahead, age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.messages.settle(now);
        self.proofs.iter_mut().for_each(|at| *at = (*at).min(now));
        self.opted_out.iter_mut().for_each(|opted_out| opted_out.at = opted_out.at.min(now));
        self.heard.iter_mut().for_each(|heard| heard.settle(now));
    }

    /// Takes in what another copy of the row counts: no message of either is forgotten, and no end to
    /// messages that either knows of.
    pub fn merge(&mut self, other: &Self, now: Timestamp) {
        if other.is_idle(now) {
            return;
        }
        self.messages.merge(&other.messages, now);
        self.proofs = merged(&self.proofs, &other.proofs, (DAY, now), PROOFS_PER_DAY);
        if self.opted_out.is_none() {
            self.opted_out.clone_from(&other.opted_out);
        }
        if let Some(heard) = &other.heard {
            self.heard.get_or_insert_default().merge(heard);
        }
    }

    /// The limit that keeps an unproved number from getting a message, if it holds.
    #[must_use]
    pub fn proofs_held(&self, now: Timestamp) -> Option<Held> {
        window(&self.proofs, PROOFS_PER_DAY, DAY, LimitName::UnverifiedPerDay, now)
    }

    /// Charges a message that proves the number.
    pub fn charge_proof(&mut self, now: Timestamp) {
        self.proofs.push(now);
        keep_newest(&mut self.proofs, PROOFS_PER_DAY);
    }

    /// Takes back the charge of a message that was surely not sent. `at`: when it was charged.
    pub fn refund_proof(&mut self, at: Timestamp) {
        if let Some(index) = self.proofs.iter().position(|charged| *charged == at) {
            self.proofs.remove(index);
        }
    }

    /// From when on nothing in it counts any more: 24 hours after its newest event, 30 days after the
    /// newest word from the number, and never while no message may be sent there.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        if self.opted_out.is_some() {
            return Timestamp(i64::MAX);
        }
        let proofs = self.proofs.iter().map(|at| at.after(DAY));
        let heard = self.heard.as_ref().map(Words::idle_at);
        proofs.chain(heard).fold(self.messages.idle_at(), Ord::max)
    }

    /// True when nothing in it counts any more.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.idle_at() <= now
    }
}
