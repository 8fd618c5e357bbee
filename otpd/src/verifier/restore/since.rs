//! What became, since a backup was taken, of a number that it has and the store has lost.

use crate::{
    domain::{
        enrollment::Enrollment,
        restore::{Kept, Since},
        time::Timestamp,
    },
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
    /// What became of the number that the backup has after it was entered, and not surely before the
    /// backup was taken, as the trail says after the id `after`. What was done before it was entered
    /// was done to another.
    pub(super) async fn since(
        &self,
        kept: &Kept,
        taken_at: Timestamp,
        mut after: i64,
    ) -> Result<Since, StoreError> {
        let mut since = Since::default();
        let Some(Enrollment { created_at, .. }) = kept.enrollment else { return Ok(since) };
        let (account, earliest) = (Some(kept.account.clone()), Some(earliest(taken_at)));
        let trail = Trail { account, since: earliest, request: None };
        // Where the trail tells of its entering, what comes behind that does so by any clock.
        let mut entered = false;
        loop {
            let page = self.reader.events(trail.clone(), after, i64::MAX, EVENTS).await?;
            let Some(last) = page.last() else { return Ok(since) };
            after = last.id;
            for row in &page {
                let enters = row.event == "enrolled" && row.at == created_at;
                let later = !enters && (entered || row.at > created_at);
                if enters {
                    // What was told until here, by a clock that was ahead, was about another number.
                    (entered, since) = (true, Since::default());
                }
                match row.event.as_str() {
                    "removed" | "enrolled" if later => return Ok(Since { gone: true, ..since }),
                    "disabled" if later => since.disabled = true,
                    "enabled" if later => since.disabled = false,
                    "verified" if later => since.verified = Some(row.at),
                    // What is told before of codes was about others than the backup's.
                    "recovery-codes-made" if row.at == kept.login.recovery.made_at() => {
                        since.codes = false;
                    }
                    "recovery-code-used" | "recovery-codes-made" if later => since.codes = true,
                    _ => {}
                }
            }
        }
    }
}
