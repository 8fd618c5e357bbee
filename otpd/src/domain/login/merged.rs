//! Two copies of an account's row as one: the one that is stored, and one of a backup.

use super::LoginState;
use crate::domain::{recovery::StandIn, time::Timestamp};

impl LoginState {
    /// As it stands in a backup: without what is under way, which was charged when it began, and which
    /// nobody is to go on with after a restore. Nobody is told anything because of a backup either.
    #[must_use]
    pub fn at_rest(mut self) -> Self {
        self.challenges.clear();
        self.refused.clear();
        if let Some(untold) = self.recovery.untold() {
            self.recovery.told(untold);
        }
        self
    }

    /// Takes in another copy of the row. Whatever counts against somebody in either counts; what makes
    /// things easier is this copy's alone, but where it is of an account that nobody ever logged in to.
    /// `number`: whose the account's is, which recovery codes stand in for.
    pub fn merge(&mut self, other: &Self, number: StandIn, now: Timestamp) {
        self.failures.merge(&other.failures, now);
        self.messages.merge(&other.messages, now);
        self.recovery.merge(&other.recovery, number, now);
        self.bypasses.merge(&other.bypasses, now);
        if self.known.is_empty() && self.succeeded.is_none() {
            self.known.clone_from(&other.known);
            self.succeeded = other.succeeded;
        }
    }
}
