//! How often one uid or account may make the daemon write something down: nobody must be able to fill
//! the log, or the disk with the audit trail.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines that one of them may cause in [`SPAN`].
const ALLOWED: u32 = 60;
/// See [`ALLOWED`].
const SPAN: Duration = Duration::from_hours(1);

/// Those who are remembered at once. There are no more users in an hour, and where there are, the
/// further ones cause nothing.
const REMEMBERED: usize = 10_000;

/// What each of them has caused; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Quota<K>(Arc<Mutex<HashMap<K, Used>>>);

impl<K> Default for Quota<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

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

impl<K: Clone + Eq + Hash> Quota<K> {
    /// Whether a line that this one causes would be written now.
    pub(crate) fn has_room(&self, who: &K) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(who) {
            Some(used) => used.is_over() || used.count < ALLOWED,
            None => all.len() < REMEMBERED || all.values().any(Used::is_over),
        }
    }

    /// Counts a line.
    pub(crate) fn take(&self, who: &K) -> Line {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(who) && all.len() >= REMEMBERED {
            all.retain(|_, used| !used.is_over());
            if all.len() >= REMEMBERED {
                return Line::LeftOut;
            }
        }
        let new = Used { since: Instant::now(), count: 0 };
        let used = all.entry(who.clone()).or_insert(new);
        if used.is_over() {
            *used = new;
        }
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
    use super::{ALLOWED, Line, Quota, REMEMBERED, SPAN};

    #[tokio::test(start_paused = true)]
    async fn each_has_its_lines_for_an_hour() {
        let quota = Quota::default();
        for _ in 1..ALLOWED {
            assert_eq!(quota.take(&1000), Line::Written);
        }
        assert!(quota.has_room(&1000));
        assert_eq!(quota.take(&1000), Line::Last);
        assert!(!quota.has_room(&1000) && quota.has_room(&1001));
        assert_eq!((quota.take(&1000), quota.take(&1001)), (Line::LeftOut, Line::Written));
        tokio::time::advance(SPAN).await;
        assert!(quota.has_room(&1000));
        assert_eq!(quota.take(&1000), Line::Written);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_remembered_and_no_more() {
        let quota = Quota::default();
        assert!((0..REMEMBERED).all(|who| quota.take(&who) == Line::Written));
        assert!(!quota.has_room(&REMEMBERED) && quota.has_room(&0));
        assert_eq!((quota.take(&REMEMBERED), quota.take(&0)), (Line::LeftOut, Line::Written));
        tokio::time::advance(SPAN).await;
        assert!(quota.has_room(&REMEMBERED));
        assert_eq!(quota.take(&REMEMBERED), Line::Written);
    }
}
