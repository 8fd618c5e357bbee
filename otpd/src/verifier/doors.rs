//! The doors of a store that moves: while they are closed nobody is let in, and nothing is changed that
//! would not come along.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::warn;

use crate::{
    domain::{
        records::{Decided, Records},
        time::Timestamp,
    },
    store::StoreError,
};

/// Whether anybody is let in, and anything changed; cheap to clone.
#[derive(Clone, Default)]
pub struct Doors(Arc<AtomicUsize>);

impl Doors {
    /// Lets nobody in, and nothing be changed, for as long as what this returns lives.
    pub(super) fn close(&self) -> Closed {
        self.0.fetch_add(1, Ordering::AcqRel);
        Closed(self.clone())
    }

    /// Whether nobody is let in.
    pub(super) fn are_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// Has it decided, unless they are closed, or closed before its turn has come: whoever closes them
    /// and then has an answer of the store knows that all is decided that will be.
    ///
    /// `transact` hands to the store what it is given.
    pub(super) async fn pass<A, D, F>(
        &self,
        decide: D,
        transact: impl FnOnce(Box<Guarded<A>>) -> F,
    ) -> Result<A, StoreError>
    where
        D: Fn(&Records, Timestamp) -> Decided<A> + Send + 'static,
        F: Future<Output = Result<Option<A>, StoreError>>,
    {
        if self.are_closed() {
            return Err(StoreError::Moving);
        }
        let doors = self.clone();
        let guarded = move |records: &Records, now| {
            if doors.are_closed() {
                return Decided::unchanged(records, None);
            }
            let Decided { records, audit, answer } = decide(records, now);
            Decided { records, audit, answer: Some(answer) }
        };
        transact(Box::new(guarded)).await?.ok_or(StoreError::Moving)
    }
}

/// A decision that is not made behind closed doors.
type Guarded<A> = dyn Fn(&Records, Timestamp) -> Decided<Option<A>> + Send;

/// Keeps the doors closed.
pub(super) struct Closed(Doors);

impl Closed {
    /// Until the daemon ends.
    pub(super) fn for_good(self) {
        warn!("all was exported for good: nobody is let in here until otpd is started again");
        std::mem::forget(self);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
