//! What the daemon does by itself: it looks after the clock and the store.

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::error;

use super::Verifier;
use crate::{
    clock::Direction,
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        time::MINUTE,
    },
    store::{Chore, StoreError},
};

/// Rounds of a minute from one clean-up to the next.
const ROUNDS: u32 = 60;

fn each_minute() -> Interval {
    let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
    // After a suspension or a long clean-up one round is enough.
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    minutes
}

/// Why the clock was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// There is no doubt.
    #[error("the clock is not in doubt, so there is nothing to confirm")]
    NoDoubt,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Verifier {
    /// Looks after the clock, the reserve and the audit's index every minute, and wipes codes that
    /// expired; deletes what is old every hour, the first time after a minute. Ends with the runtime.
    pub async fn look_after(&self) {
        // Apart: a clean-up may take minutes, and a store that hangs takes as long as it likes.
        tokio::join!(self.look_after_memory(), self.look_after_store());
    }

    async fn look_after_memory(&self) {
        let mut minutes = each_minute();
        loop {
            minutes.tick().await;
            // Has a doubt logged while nobody logs in, and an agreement moved on.
            let _in_doubt = self.clock.doubt();
            self.courier.forget();
        }
    }

    async fn look_after_store(&self) {
        self.store.remember(&self.clock).await;
        let mut minutes = each_minute();
        for round in (0..ROUNDS).cycle() {
            minutes.tick().await;
            if let Err(error) = self.store.tidy(Chore::Reserve).await {
                error!(%error, "the reserve was not looked after");
            }
            if let Err(error) = self.store.index().await {
                error!(%error, "the newest events are found slowly for now");
            }
            if round == 0 {
                self.keep_up().await;
            }
        }
    }

    /// An hour's upkeep. While an import is not whole nothing is deleted: all of it is to be read back.
    pub(super) async fn keep_up(&self) {
        let unfinished = self.unfinished.lock().await;
        if unfinished.is_none() {
            let keep_audit = self.site().keep_audit;
            self.store.keep_up(&self.reader, &self.clock, keep_audit).await;
        }
    }

    /// Takes the wall clock for right, on an administrator's word.
    ///
    /// # Errors
    /// [`Unconfirmed`]; the clock is in doubt as before.
    pub async fn confirm_clock(&self, uid: u32) -> Result<(), Unconfirmed> {
        let (doubt, agreement) = self.clock.proposal().ok_or(Unconfirmed::NoDoubt)?;
        self.store_stays()?;
        let by = i64::try_from(doubt.by.as_secs()).unwrap_or(i64::MAX);
        let ahead_seconds = match doubt.direction {
            Direction::Ahead => by,
            Direction::Behind => -by,
        };
        let event = AuditEvent {
            // By the clock that is confirmed: the audit is read by it from now on.
            at: agreement.wall,
            request: None,
            account: Account::host(),
            actor: Actor::Uid(uid),
            event: Event::ClockConfirmed { ahead_seconds },
        };
        let chore = Chore::Agreed { agreement: agreement.clone(), event: Some(Box::new(event)) };
        self.store.tidy(chore).await.inspect_err(|error| {
            error!(%error, "that the clock was confirmed could not be written down");
        })?;
        self.clock.agree(agreement);
        Ok(())
    }
}
