//! How often one uid may make the daemon write something down: a local user must not be able to
//! fill the log, or the disk with the audit trail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines that one uid may cause in [`SPAN`]. Root may cause any number.
const ALLOWED: u32 = 60;
/// See [`ALLOWED`].
const SPAN: Duration = Duration::from_hours(1);

/// What each uid has caused; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quota(Arc<Mutex<HashMap<u32, Used>>>);

#[derive(Clone, Copy, Debug)]
struct Used {
    since: Instant,
    count: u32,
}

/// What became of a line.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is written.
    Written,
    /// It is written, and is the last for a while: worth saying.
    Last,
    /// It is left out.
    LeftOut,
}

impl Quota {
    /// Whether a line that this uid causes would be written now.
    pub(crate) fn has_room(&self, uid: u32) -> bool {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uid == 0 || used.get(&uid).is_none_or(|used| used.is_over() || used.count < ALLOWED)
    }

    /// Counts a line.
    pub(crate) fn take(&self, uid: u32) -> Line {
        if uid == 0 {
            return Line::Written;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, used| !used.is_over());
        let used = all.entry(uid).or_insert_with(|| Used { since: Instant::now(), count: 0 });
        used.count = used.count.saturating_add(1);
        match used.count.cmp(&ALLOWED) {
            std::cmp::Ordering::Less => Line::Written,
            std::cmp::Ordering::Equal => Line::Last,
            std::cmp::Ordering::Greater => Line::LeftOut,
        }
    }
}

impl Used {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::{ALLOWED, Line, Quota, SPAN};

    #[tokio::test(start_paused = true)]
    async fn a_uid_has_its_lines_for_an_hour() {
        let quota = Quota::default();
        for _ in 1..ALLOWED {
            assert_eq!(quota.take(1000), Line::Written);
        }
        assert!(quota.has_room(1000));
        assert_eq!(quota.take(1000), Line::Last);
        assert!(!quota.has_room(1000) && quota.has_room(1001));
        assert_eq!((quota.take(1000), quota.take(1001)), (Line::LeftOut, Line::Written));
        tokio::time::advance(SPAN).await;
        assert!(quota.has_room(1000));
        assert_eq!(quota.take(1000), Line::Written);
    }

    #[tokio::test]
    async fn root_has_any_number() {
        let quota = Quota::default();
        assert!((0..=ALLOWED).all(|_| quota.take(0) == Line::Written) && quota.has_room(0));
    }
}
