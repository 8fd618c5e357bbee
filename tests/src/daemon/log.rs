//! What a daemon says, and the waiting for it.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::PATIENCE;

/// The lines that a daemon has written.
#[derive(Default)]
pub(super) struct Log {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them so far.
    pub(super) fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    pub(super) fn push(&self, line: String) {
        self.lock().lines.push(line);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    pub(super) fn wait_for(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    pub(super) fn wait_for_count(&self, text: &str, count: usize) {
        assert!(self.comes(text, count, PATIENCE), "the daemon did not say {text:?}");
    }

    /// Waits until it is said or nothing more will be; whether it was said.
    pub(super) fn comes(&self, text: &str, count: usize, within: Duration) -> bool {
        let said =
            |log: &Written| log.lines.iter().filter(|line| line.contains(text)).count() >= count;
        let missing = |log: &mut Written| !log.ended && !said(log);
        let waited = self.changed.wait_timeout_while(self.lock(), within, missing);
        said(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    pub(super) fn wait_for_end(&self) {
        let running = |log: &mut Written| !log.ended;
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, running);
        let ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        assert!(ended, "the daemon does not end");
    }
}
