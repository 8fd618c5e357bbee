//! What nobody waits for: old rows are deleted, and what the next run must know is written down.
//!
//! Everything goes through the queue of the decisions, a small piece at a time and behind those
//! that wait, so that no login is held up by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use tracing::{error, info};

use super::{
    BudgetId, HostSeen, Idle, Imported, Life, LostName, Reader, Rotation, Scope, Store, StoreError,
    TrailRow, queue,
};
use crate::{
    clock::{Agreement, Clock},
    domain::{audit::AuditEvent, retention::Forget, time::Timestamp},
};

/// Rows that one transaction deletes: a few milliseconds' worth.
pub(super) const PIECE: u32 = 1000;

/// One piece of upkeep, a transaction of its own.
#[derive(Clone, Debug)]
pub enum Chore {
    /// Deletes audit events of `until` and before, at most a thousand, the oldest first; never the
    /// newest there is.
    Audit {
        /// The newest to go.
        until: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// Enters the next thousand audit events into what finds them by account and by request.
    Index,
    /// Deletes those of these budgets in which nothing counts any more at `now`.
    Budgets {
        /// Which were found idle.
        idle: Vec<BudgetId>,
        /// The time.
        now: Timestamp,
    },
    /// Writes down when the clocks last agreed, with what is to be told about it.
    Agreed {
        /// When.
        agreement: Agreement,
        /// Who said so, if it was somebody.
        event: Option<Box<AuditEvent>>,
    },
    /// Puts events of a backup in front of the trail, where this trail began after that of the backup
    /// ended; for each of them once, however often. Goes on from where the same backup was before.
    Trail {
        /// The backup's name.
        backup: u64,
        /// Its newest event.
        newest: (i64, Timestamp),
        /// Some of its events.
        rows: Vec<TrailRow>,
    },
    /// Writes down which export is imported here, and how far that is; and at once with that what
    /// [`Chore::Retired`] does.
    Imported {
        /// Which.
        imported: Imported,
        /// The code keys from before that come with it, sealed.
        retired: Option<Vec<u8>>,
    },
    /// Makes the reserve anew if it is gone and there is room for it.
    Reserve,
    /// Keeps the code keys from before of a backup, sealed, besides those that are kept. Where any is
    /// new, this run is over: its decisions know nothing of them.
    Retired(Vec<u8>),
    /// Takes away what is stored of the event's account where any of it cannot be read: that, and with it
    /// the number and what stands in for it. The event is written down with it. How many rows could not
    /// be read; where all can, nothing is done.
    Discard(Box<AuditEvent>),
    /// Takes away all rows of a name that no account has, and writes the event down with it. How many
    /// there were.
    DiscardLost {
        /// Which.
        name: LostName,
        /// Who wanted it.
        event: Box<AuditEvent>,
    },
    /// Puts another master key in the place of the one that everything is under; how many numbers there
    /// are. Nothing is decided with the one before from then on.
    Rotate(Box<Rotation>),
}

/// What a round of upkeep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Events.
    pub audit: u64,
    /// Budgets in which nothing counted.
    pub budgets: u64,
    /// Accounts of which something was forgotten.
    pub logins: u64,
}

/// Whether the store's disk is full: then nothing new begins, so that what is under way can end.
#[derive(Clone, Debug, Default)]
pub struct Shortage(Arc<AtomicBool>);

impl Shortage {
    /// Whether it holds now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sets it; true when that changed it.
    pub(super) fn set(&self, holds: bool) -> bool {
        self.0.swap(holds, Ordering::AcqRel) != holds
    }
}

/// What an administrator reads about a full disk.
pub const SHORTAGE: &str = "the disk of the store is full: new logins are refused, and those under \
     way can still be answered; free space, the rest mends itself";

impl Store {
    /// Whether the disk is full.
    #[must_use]
    pub fn shortage(&self) -> &Shortage {
        &self.shortage
    }

    /// An error when the disk is full: what can wait is not begun. Has the engine look first, so
    /// that whoever freed space need not wait for the next round of upkeep.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub async fn has_room(&self) -> Result<(), StoreError> {
        if self.shortage.holds() {
            self.tidy(Chore::Reserve).await?;
        }
        if self.shortage.holds() { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Does one piece of upkeep; how many rows it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tidy(&self, chore: Chore) -> Result<u32, StoreError> {
        let (reply, answer) = oneshot::channel();
        let errand = Box::new(queue::Errand { chore, reply });
        self.queue.try_send(queue::Item::Tidy(errand)).map_err(|_| StoreError::Unavailable)?;
        // Nobody waits at a prompt: it takes as long as it takes.
        answer.await.unwrap_or(Err(StoreError::Unknown))
    }

    /// One round of upkeep: deletes what is older than it must be. While the clock is in doubt or
    /// the disk full it deletes nothing, and stops when that begins.
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted before stays so.
    pub async fn forget(
        &self,
        reader: &Reader,
        clock: &Clock,
        keep_audit: Duration,
    ) -> Result<Deleted, StoreError> {
        let mut deleted = Deleted::default();
        // A clock that jumped may look right to a host that began after that.
        let doubts = |host: &HostSeen| host.life == Life::Running && host.presence.doubts;
        if let Some(host) = reader.hosts().await?.iter().find(|host| doubts(host)) {
            info!(host = host.name, "nothing old is deleted, for this host doubts the clock");
            return Ok(deleted);
        }
        let paused = || clock.doubt().is_some() || self.shortage.holds();
        while !paused() {
            let now = clock.now();
            let until = now.before(keep_audit);
            let rows = self.tidy(Chore::Audit { until, now }).await?;
            deleted.audit += u64::from(rows);
            if rows < PIECE {
                break;
            }
        }
        let mut after = None;
        while !paused() {
            let Idle { idle, last } = reader.idle(after, clock.now()).await?;
            if !idle.is_empty() {
                let rows = self.tidy(Chore::Budgets { idle, now: clock.now() }).await?;
                deleted.budgets += u64::from(rows);
            }
            after = last;
            if after.is_none() {
                break;
            }
        }
        let mut after = None;
        while !paused() {
            let page = reader.stale(after, clock.now()).await?;
            for account in page.stale {
                if paused() {
                    break;
                }
                let forget = Forget;
                let decide = move |records: &_, now| forget.decide(records, now);
                let scope = Scope::Account(account);
                match self.transact(scope, decide).await {
                    Ok(forgotten) => deleted.logins += u64::from(forgotten),
                    // One damaged row must not keep all the others.
                    Err(StoreError::Damaged(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            after = page.last;
            if after.is_none() {
                break;
            }
        }
        Ok(deleted)
    }

    /// Has the newest events found by account and by request from now on, until all are.
    ///
    /// # Errors
    /// [`StoreError`]; the rest is entered the next time, and looked through until then.
    pub async fn index(&self) -> Result<(), StoreError> {
        while !self.shortage.holds() && self.tidy(Chore::Index).await? == PIECE {}
        Ok(())
    }

    /// Writes down when the clocks last agreed, for the next run. In doubt as well: that is then
    /// some time ago, and a restart ends no doubt.
    pub async fn remember(&self, clock: &Clock) {
        if let Some(agreement) = clock.agreement() {
            let chore = Chore::Agreed { agreement, event: None };
            if let Err(error) = self.tidy(chore).await {
                error!(%error, "when the clocks last agreed was not written down");
            }
        }
    }

    /// An hour's upkeep: writes down when the clocks agreed, and has old rows deleted. What goes
    /// wrong is logged, and tried again in the next hour.
    pub async fn keep_up(&self, reader: &Reader, clock: &Clock, keep_audit: Duration) {
        self.remember(clock).await;
        match self.forget(reader, clock, keep_audit).await {
            Ok(deleted) if deleted == Deleted::default() => {}
            Ok(Deleted { audit, budgets, logins }) => {
                info!(audit, budgets, logins, "deleted what was old");
            }
            Err(error) => error!(%error, "old rows were not all deleted"),
        }
    }
}

#[cfg(test)]
mod tests;
