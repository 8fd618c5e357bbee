//! Who still waits at a prompt.
//!
//! A connection that ends without a word leaves its challenge answerable for a while: the module
//! reconnects after a restart, and sshd runs the stack again. Then the challenge is cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Verifier;
use crate::domain::passcode::ChallengeToken;

/// How long a challenge outlives its connection.
const GRACE: Duration = Duration::from_secs(20);

/// The connection that each open prompt belongs to; the newest one counts.
#[derive(Default)]
pub(super) struct Attended(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    holders: HashMap<ChallengeToken, u64>,
}

impl Attended {
    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes the entry if `holder` still has it.
    fn take(&self, token: ChallengeToken, holder: u64) -> bool {
        self.with(|table| {
            let held = table.holders.get(&token) == Some(&holder);
            if held {
                table.holders.remove(&token);
            }
            held
        })
    }
}

/// A connection's hold on a challenge. Dropping it without [`Attendance::finish`] starts the grace
/// period.
pub struct Attendance {
    verifier: Arc<Verifier>,
    token: ChallengeToken,
    holder: u64,
}

impl Attendance {
    /// The connection now waits at the prompt of `token`.
    #[must_use]
    pub fn begin(verifier: &Arc<Verifier>, token: ChallengeToken) -> Self {
        let holder = verifier.attendance.with(|table| {
            table.next += 1;
            table.holders.insert(token, table.next);
            table.next
        });
        Self { verifier: Arc::clone(verifier), token, holder }
    }

    /// The challenge.
    #[must_use]
    pub fn token(&self) -> ChallengeToken {
        self.token
    }

    /// The login has ended, or was given up in words: nothing is left to cancel.
    pub fn finish(self) {
        self.verifier.attendance.take(self.token, self.holder);
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let (verifier, token, holder) = (Arc::clone(&self.verifier), self.token, self.holder);
        let held = verifier.attendance.with(|table| table.holders.get(&token) == Some(&holder));
        // Outside a runtime the daemon is stopping: the challenge stays for the next run.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && held
        {
            runtime.spawn(async move {
                tokio::time::sleep(GRACE).await;
                if verifier.attendance.take(token, holder) {
                    verifier.cancel(token).await;
                }
            });
        }
    }
}
