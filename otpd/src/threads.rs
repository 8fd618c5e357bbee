//! Threads that the daemon cannot do without.

use std::{
    io,
    thread::{Builder, JoinHandle, panicking},
};

/// Starts a thread. When it panics, the process ends: a daemon that lives on without its store
/// would refuse every login, and nothing would start it anew.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        let _watch = Watch;
        work();
    })
}

struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        if panicking() {
            // The panic itself is in the log by now.
            std::process::abort();
        }
    }
}
