//! Whether a number that a backup has was removed since.

use crate::{
    domain::{enrollment::Enrollment, restore::Kept, time::Timestamp},
    store::{OUT_OF_ORDER, StoreError, Trail},
    verifier::Verifier,
};

/// Events of an account that are looked through at once.
const EVENTS: u32 = 100;

/// The earliest time that an event from after the backup can have: the clock may have been set back.
/// Somebody who is wrongly taken for removed is named to the administrator; nobody is told of one
/// who wrongly came back.
pub(super) fn earliest(taken_at: Timestamp) -> Timestamp {
    taken_at.before(OUT_OF_ORDER)
}

impl Verifier {
    /// Whether the number that the backup has was removed after it was entered, and not surely before
    /// the backup was taken, as the trail says after the id `after`. A removal of one before it, after
    /// which this one was entered, is none.
    pub(super) async fn was_removed(
        &self,
        kept: &Kept,
        taken_at: Timestamp,
        mut after: i64,
    ) -> Result<bool, StoreError> {
        let Some(Enrollment { created_at, .. }) = kept.enrollment else { return Ok(false) };
        let (account, since) = (Some(kept.account.clone()), Some(earliest(taken_at)));
        let trail = Trail { account, since, request: None };
        // Where the trail tells of its entering, what comes behind that does so by any clock.
        let mut entered = false;
        loop {
            let page = self.reader.events(trail.clone(), after, i64::MAX, EVENTS).await?;
            let Some(last) = page.last() else { return Ok(false) };
            after = last.id;
            for row in &page {
                entered |= row.event == "enrolled" && row.at == created_at;
                if row.event == "removed" && (entered || row.at > created_at) {
                    return Ok(true);
                }
            }
        }
    }
}
