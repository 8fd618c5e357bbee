//! What a backup holds comes back: merged into what is stored, never in its place.
//!
//! Whatever the database or the backup holds against somebody holds afterwards: wrong codes, charged
//! messages, locks, an end to messages, an account that is switched off. What lets somebody in is the
//! stricter of both: a recovery code that one of them has seen used is used, a bypass comes back from
//! no backup. So an old backup refills no budget and brings no code back to life, and restoring twice
//! is restoring once. But what was counted by a clock that was ahead counts from the time of the
//! restore on, as it does wherever it is read: each restore has that begin anew, and last longer.

use super::{
    account::Account,
    audit::{Actor, Event},
    budget::{Budget, Traffic},
    challenge::End,
    enrollment::{Enrollment, NumberIndex},
    login::{Ledger, LoginState},
    records::{BudgetKey, Decided, Records, TrafficKey},
    recovery::StandIn,
    time::Timestamp,
};

/// An account as a backup has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub account: Account,
    /// The number, if there was one.
    pub enrollment: Option<Enrollment>,
    /// Logins and what counted against guessing, [`LoginState::at_rest`].
    pub login: LoginState,
}

/// What became of a number that is lost, after the backup was taken and as far as the trail tells. What
/// was damaged and taken away cannot say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// It was removed, or another took its place: that is no loss to be made good, and the backup's may
    /// be in the hands of a thief.
    pub gone: bool,
    /// The account was switched off, and not on again.
    pub disabled: bool,
    /// When it was proved.
    pub verified: Option<Timestamp>,
    /// Recovery codes were used or made anew: nobody knows which of the backup's are good.
    pub codes: bool,
}

/// An account comes back from a backup.
#[derive(Clone, Debug)]
pub struct RestoreAccount {
    /// As the backup has it.
    pub kept: Kept,
    /// What became of its number after the backup was taken, where it is lost.
    pub since: Since,
    /// It had a number when that was looked up. Where it has none when this is decided, somebody
    /// removed it in between.
    pub had: bool,
    /// Who restores.
    pub uid: u32,
}

/// What becomes of an account's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is, be it none.
    #[default]
    Kept,
    /// It is the backup's.
    Restored,
    /// The backup's does not come back, because it was removed or replaced after the backup was taken.
    LeftRemoved,
}

/// Whether a restore leaves an account switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Off {
    /// It is on, or was off before.
    #[default]
    No,
    /// It was on here, and the backup has it switched off.
    Now,
    /// Its number was lost, and comes back switched off, as the backup or the trail has it.
    Still,
}

/// What a restore changes of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The number.
    pub number: Fate,
    /// Whether it is switched off, and was not.
    pub off: Off,
    /// Recovery codes of the backup did not come back, since some were used or made anew after it.
    pub codes_lost: bool,
    /// Anything at all.
    pub changed: bool,
}

impl RestoreAccount {
    /// Decides. Whatever waits for a code ends if anything of its account is changed.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Restored> {
        let Kept { account, enrollment: kept, login } = &self.kept;
        let mut ledger = Ledger::new(account.clone(), Actor::Uid(self.uid), records, now);
        let before = (ledger.records.enrollment.clone(), ledger.records.login.clone());
        let mut login = login.clone().at_rest();
        login.prune(now);
        let mut restored = Restored::default();
        if self.since.codes {
            restored.codes_lost = login.recovery.left() > 0;
            login.recovery.forget();
        }
        let enrollment = match (before.0.clone(), kept) {
            (None, Some(_)) if self.since.gone || self.had => {
                restored.number = Fate::LeftRemoved;
                None
            }
            (None, Some(kept)) => {
                restored.number = Fate::Restored;
                let mut kept = kept.clone();
                if let Some(at) = self.since.verified {
                    kept.prove(at);
                }
                if self.since.disabled {
                    kept.disable();
                }
                Some(kept)
            }
            (Some(mut own), Some(kept)) => {
                if own.merge(kept) {
                    restored.number = Fate::Restored;
                }
                Some(own)
            }
            (own, None) => own,
        };
        let is_off = enrollment.as_ref().is_some_and(Enrollment::is_disabled);
        restored.off = match &before.0 {
            _ if !is_off => Off::No,
            None => Off::Still,
            Some(own) if own.is_disabled() => Off::No,
            Some(_) => Off::Now,
        };
        let enrolled = restored.number == Fate::Restored;
        restored.codes_lost &= enrolled;
        let number = match &enrollment {
            None => StandIn::Nobody,
            Some(_) if enrolled && before.0.is_none() => StandIn::Only,
            Some(_) if enrolled => StandIn::Newer,
            Some(own) => StandIn::Own { since: own.created_at },
        };
        let mut merged = before.1.clone();
        merged.merge(&login, number, now);
        restored.changed = before != (enrollment.clone(), merged.clone());
        if !restored.changed {
            return Decided::unchanged(records, restored);
        }
        // While the number is there that they went to: they count for it.
        ledger.end_all(End::Cancelled);
        // What ended counts no less than before it did.
        let mut ended = ledger.records.login.clone();
        ended.merge(&login, number, now);
        ledger.records.login = ended;
        ledger.records.enrollment.clone_from(&enrollment);
        if let Some(enrollment) = enrollment.filter(|_| enrolled) {
            let event = Event::NumberRestored {
                ending: enrollment.number().ending().to_owned(),
                country: enrollment.destination.country.as_str().to_owned(),
                channel: enrollment.channel.as_str(),
            };
            ledger.note(None, event);
        }
        let proved = |of: &Option<Enrollment>| of.as_ref().and_then(Enrollment::verified_at);
        let newly = proved(&ledger.records.enrollment).is_some() && proved(&before.0).is_none();
        if let Some(own) = ledger.records.enrollment.clone().filter(|_| newly && !enrolled) {
            let ending = own.number().ending().to_owned();
            ledger.note(None, Event::Verified { ending });
        }
        if restored.off != Off::No {
            ledger.note(None, Event::Disabled {});
        }
        ledger.decided(restored)
    }
}

/// What counts for a number comes back from a backup.
#[derive(Clone, Debug)]
pub struct RestoreBudget {
    /// Which number.
    pub number: NumberIndex,
    /// As the backup has it.
    pub kept: Budget,
}

impl RestoreBudget {
    /// Decides, on records that have the number's budget; whether anything changed.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let mut after = records.clone();
        let key = BudgetKey::Number(self.number);
        let mut kept = self.kept.clone();
        kept.settle(now);
        let changed = after.budgets.get_mut(&key).is_some_and(|budget| {
            let before = budget.clone();
            budget.settle(now);
            budget.merge(&kept, now);
            *budget != before
        });
        Decided { records: after, audit: Vec::new(), answer: changed }
    }
}

/// What many accounts did together comes back from a backup.
#[derive(Clone, Debug)]
pub struct RestoreTraffic {
    /// Which of them.
    pub key: TrafficKey,
    /// As the backup has it.
    pub kept: Traffic,
}

impl RestoreTraffic {
    /// Decides, on records that have it; whether anything changed.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let mut after = records.clone();
        let mut kept = self.kept.clone();
        kept.settle(now);
        let changed = after.traffic.get_mut(&self.key).is_some_and(|traffic| {
            let before = traffic.clone();
            traffic.settle(now);
            traffic.merge(&kept);
            *traffic != before
        });
        Decided { records: after, audit: Vec::new(), answer: changed }
    }
}

/// An account comes from another store. Where there is nothing of it yet but logins that were refused, it
/// is as it was there, with its bypasses; else somebody was here before, and it is merged as a backup is.
#[derive(Clone, Debug)]
pub struct ImportAccount {
    /// As the other store has it.
    pub kept: Kept,
    /// Who imports.
    pub uid: u32,
}

impl ImportAccount {
    /// Decides.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let login = self.kept.login.clone().at_rest();
        let stored = records.login.clone().at_rest();
        if (&records.enrollment, &stored) == (&self.kept.enrollment, &login) {
            // By an import that was interrupted: what counts no more since then stays all the same.
            return Decided::unchanged(records, ());
        }
        if records.enrollment.is_some() || stored != LoginState::default() {
            let kept = self.kept.clone();
            let merge = RestoreAccount { kept, since: Since::default(), had: false, uid: self.uid };
            let Decided { records, audit, answer: _ } = merge.decide(records, now);
            return Decided { records, audit, answer: () };
        }
        let mut after = records.clone();
        after.enrollment.clone_from(&self.kept.enrollment);
        after.login = login;
        Decided { records: after, audit: Vec::new(), answer: () }
    }
}

/// What counts for a number comes from another store, likewise.
#[derive(Clone, Debug)]
pub struct ImportBudget(pub RestoreBudget);

impl ImportBudget {
    /// Decides, on records that have the number's budget.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let Self(RestoreBudget { number, kept }) = self;
        let mut after = records.clone();
        match after.number_budget(*number) {
            Some(budget) if budget == kept => Decided::unchanged(records, false),
            Some(budget) if *budget == Budget::default() => {
                budget.clone_from(kept);
                Decided { records: after, audit: Vec::new(), answer: true }
            }
            Some(_) | None => self.0.decide(records, now),
        }
    }
}

/// What many accounts did together comes from another store, likewise.
#[derive(Clone, Debug)]
pub struct ImportTraffic(pub RestoreTraffic);

impl ImportTraffic {
    /// Decides, on records that have it.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let Self(RestoreTraffic { key, kept }) = self;
        let counted = |traffic: &Traffic| {
            let mut traffic = traffic.clone();
            traffic.settle(now);
            traffic
        };
        let mut after = records.clone();
        match after.traffic.get_mut(key) {
            // As it is: by a clock that is behind, it would stand elsewhere each time.
            Some(traffic) if *traffic == Traffic::default() => {
                traffic.clone_from(kept);
                Decided { records: after, audit: Vec::new(), answer: true }
            }
            Some(traffic) if counted(traffic) == counted(kept) => {
                Decided::unchanged(records, false)
            }
            Some(_) | None => self.0.decide(records, now),
        }
    }
}

/// Something is written down about the host, and nothing changes.
#[derive(Clone, Debug)]
pub struct Note {
    /// What.
    pub event: Event,
    /// Who brought it about.
    pub uid: u32,
}

impl Note {
    /// Decides, on the records of [`Account::host`].
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(Account::host(), actor, records, now);
        ledger.note(None, self.event.clone());
        ledger.decided(())
    }
}

#[cfg(test)]
mod tests;
