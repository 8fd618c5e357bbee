//! The audit trail, as an administrator reads it.

use tokio::sync::watch;

use super::Verifier;
use crate::store::{AuditRow, StoreError, Trail};

/// Events that are read, and held in memory, at once.
const PAGE: u32 = 100;

/// A place in the audit trail from which it is read on.
#[derive(Clone, Debug)]
pub struct Position {
    trail: Trail,
    after: i64,
    last: i64,
}

impl Verifier {
    /// The events of `trail` that there are now; with a count the newest of them only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn events(&self, trail: Trail, count: Option<u32>) -> Result<Position, StoreError> {
        // What is committed while somebody reads does not make the list endless.
        let last = self.reader.newest_event().await?;
        let after = self.reader.before_events(trail.clone(), last, count).await?;
        Ok(Position { trail, after, last })
    }

    /// The events of `trail` after the id `after`, those to come among them; `None`: those to come.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn coming_events(
        &self,
        trail: Trail,
        after: Option<i64>,
    ) -> Result<Position, StoreError> {
        let after = match after {
            Some(after) => after,
            None => self.reader.newest_event().await?,
        };
        Ok(Position { trail, after, last: i64::MAX })
    }

    /// The next page of events; empty when there are no more for now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the position stays.
    pub async fn next_events(&self, at: &mut Position) -> Result<Vec<AuditRow>, StoreError> {
        let page = self.reader.events(at.trail.clone(), at.after, at.last, PAGE).await?;
        at.after = page.last().map_or(at.after, |last| last.id);
        Ok(page)
    }

    /// Whether other daemons write to the same trail, of which [`Self::news`] tells nothing.
    #[must_use]
    pub fn shares_store(&self) -> bool {
        self.reader.is_shared()
    }

    /// Changes whenever events were committed.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.store.news()
    }
}
