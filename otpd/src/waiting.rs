//! Who leaves when all seats are taken: whoever has waited longest. So nobody keeps others out by
//! holding seats, however many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Those who wait, in the order in which they began to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// One who waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    waiting: Waiting,
    number: u64,
    leave: Arc<Notify>,
}

impl Waiting {
    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to wait.
    pub(crate) fn enter(&self) -> Place {
        let leave = Arc::new(Notify::new());
        let number = self.with(|table| {
            table.next += 1;
            table.waiting.insert(table.next, Arc::clone(&leave));
            table.next
        });
        Place { waiting: self.clone(), number, leave }
    }

    /// Has the one leave who has waited longest, and is not leaving yet; false where there is none.
    pub(crate) fn relieve(&self) -> bool {
        let oldest = self.with(|table| table.waiting.pop_first());
        oldest.map(|(_, leave)| leave.notify_one()).is_some()
    }
}

impl Place {
    /// Ends when the place is needed for somebody else.
    pub(crate) async fn needed(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.with(|table| table.waiting.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::Waiting;

    fn is_over(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_has_waited_longest_leaves_and_once() {
        let waiting = Waiting::default();
        assert!(!waiting.relieve(), "nobody waits");
        let (first, second, third) = (waiting.enter(), waiting.enter(), waiting.enter());
        drop(first);
        assert!(waiting.relieve());
        assert!(is_over(second.needed()) && !is_over(third.needed()));
        assert!(waiting.relieve());
        assert!(is_over(third.needed()));
        assert!(!waiting.relieve(), "both are leaving");
    }
}
