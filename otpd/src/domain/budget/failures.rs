//! Wrong codes of one account.

use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{
    Held, LONG_CODE_WINDOW, LimitName, PAUSE, Purse, RESERVE_TRIES, Standing, WRONG_FOR_LONG_CODES,
    WRONG_IN_A_ROW, WRONG_PER_DAY, WRONG_PER_HOUR, keep_newest, later, merged, sooner, window,
};
use crate::domain::time::{DAY, HOUR, Timestamp};
/// Wrong codes of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Failures {
    /// Since the last unlock; the newest [`Self::KEPT`], ascending.
    #[n(0)]
    recent: Vec<Timestamp>,
    /// Since the last success or unlock.
    #[n(1)]
    in_a_row: u32,
    /// Before the last unlock: they no longer bring a pause, but still count for
    /// [`Self::wants_long_codes`]. Kept apart, because the time of an unlock would tell the two
    /// wrongly after a clock was set.
    #[n(2)]
    forgiven: Vec<Timestamp>,
    /// From known sources while a limit held, ascending. They prolong no limit for the others.
    #[n(3)]
    #[cbor(default)]
    reserve: Vec<Timestamp>,
}

impl Failures {
    /// No rule looks at more than this many.
    const KEPT: usize = 32;

    /// Has what lies in the future age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        // Or ten of the same minute, by two clocks, would not be ten of the same hour.
        self.recent.iter_mut().chain(&mut self.reserve).for_each(|at| *at = (*at).min(now));
    }

    /// Charges one wrong code.
    pub fn charge(&mut self, purse: Purse, now: Timestamp) {
        self.settle(now);
        let charged = match purse {
            Purse::Common => &mut self.recent,
            Purse::Reserve => &mut self.reserve,
        };
        charged.push(now);
        keep_newest(charged, Self::KEPT);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// Notes a success: it ends the row, and clears no window.
    pub fn succeed(&mut self) {
        self.in_a_row = 0;
    }

    /// Ends every limit that wrong codes brought.
    pub fn unlock(&mut self) {
        self.in_a_row = 0;
        self.forgiven.append(&mut self.recent);
        self.forgiven.append(&mut self.reserve);
        keep_newest(&mut self.forgiven, Self::KEPT);
    }

    /// Takes in what another copy of the row counts: no wrong code of either is forgotten, none is
    /// counted twice, and what only one of them forgave is not forgiven.
    pub fn merge(&mut self, other: &Self, now: Timestamp) {
        let window = (LONG_CODE_WINDOW, now);
        let all = |of: &Self| [&*of.forgiven, &*of.recent, &*of.reserve].concat();
        let mut counted = merged(&all(self), &all(other), window, usize::MAX);
        self.recent = merged(&self.recent, &other.recent, window, Self::KEPT);
        self.reserve = merged(&self.reserve, &other.reserve, window, Self::KEPT);
        for at in self.recent.iter().chain(&self.reserve) {
            if let Ok(index) = counted.binary_search(at) {
                counted.remove(index);
            }
        }
        keep_newest(&mut counted, Self::KEPT);
        self.forgiven = counted;
        self.in_a_row = self.in_a_row.max(other.in_a_row);
    }

    /// What pays if a code is wrong; without that, no code is compared.
    ///
    /// # Errors
    /// The limit that holds.
    pub fn purse(&self, standing: Standing, now: Timestamp) -> Result<Purse, Held> {
        match (self.held(now), standing) {
            (None, Standing::Known | Standing::Other) => Ok(Purse::Common),
            (Some(held), Standing::Other) => Err(held),
            // A suspension is for good: SP 800-63B knows no reserve.
            (Some(held), Standing::Known) if held.until.is_none() => Err(held),
            (Some(held), Standing::Known) => {
                match window(&self.reserve, RESERVE_TRIES, DAY, held.limit, now) {
                    None => Ok(Purse::Reserve),
                    Some(reserve) => Err(sooner(held, reserve)),
                }
            }
        }
    }

    /// The limit that keeps codes from being compared, if one holds; a known source may have a
    /// reserve left, see [`Self::purse`].
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Option<Held> {
        let suspended = (self.in_a_row >= WRONG_IN_A_ROW).then(|| Held {
            limit: LimitName::WrongCodesInARow,
            since: self.recent.last().copied().unwrap_or(now),
            until: None,
        });
        // The pause runs from the failure that filled the hour, whatever the hour holds later.
        let pause = self
            .recent
            .windows(WRONG_PER_HOUR)
            .filter_map(|run| Some((run.first()?, run.last()?)))
            .filter(|(first, last)| first.is_within(HOUR, **last))
            .map(|(_, last)| (*last).min(now))
            .next_back()
            .filter(|last| last.is_within(PAUSE, now))
            .map(|last| Held {
                limit: LimitName::WrongCodesPerHour,
                since: last,
                until: Some(last.after(PAUSE)),
            });
        let day = window(&self.recent, WRONG_PER_DAY, DAY, LimitName::WrongCodesPerDay, now);
        later(suspended, later(day, pause))
    }

    /// Whether the account was guessed at so often that its codes need eight digits.
    #[must_use]
    pub fn wants_long_codes(&self, now: Timestamp) -> bool {
        self.within(LONG_CODE_WINDOW, now) > WRONG_FOR_LONG_CODES
    }

    /// True when no rule would take it for anything but none at all.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.in_a_row == 0 && self.within(LONG_CODE_WINDOW, now) == 0
    }

    /// Wrong codes in the last `span`; exact up to 32.
    #[must_use]
    pub fn within(&self, span: Duration, now: Timestamp) -> usize {
        let all = self.forgiven.iter().chain(&self.recent).chain(&self.reserve);
        all.filter(|at| at.is_within(span, now)).count()
    }
}
