//! Signals: SIGTERM and SIGINT end the daemon, SIGHUP reloads its configuration.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Tells a task that the daemon is ending. Cheap to clone: every task has its own.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Ends the daemon.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<bool>);

/// SIGHUPs as they come; several that come together are one.
#[derive(Debug)]
pub struct Reloads(Signal);

/// A trigger and what it triggers.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

/// Catches the signals of this process from now on: the first SIGTERM or SIGINT pulls `trigger`.
///
/// # Errors
/// The system's, when a signal cannot be caught.
///
/// # Panics
/// Outside a tokio runtime.
pub fn catch_signals(trigger: Trigger) -> io::Result<Reloads> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let reloads = Reloads(signal(SignalKind::hangup())?);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "ending");
        trigger.pull();
    });
    Ok(reloads)
}

impl Trigger {
    /// Tells every task that the daemon is ending. More than once is the same as once.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until the daemon is ending; at once when it is already. It is safe to drop and call
    /// again, so it fits `select!`.
    pub async fn requested(&mut self) {
        // Nobody is left who could pull the trigger: whoever held it has ended, and so do we.
        let _gone = self.0.wait_for(|ending| *ending).await;
    }

    /// True once the daemon is ending.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

impl Reloads {
    /// Waits for the next SIGHUP. It is safe to drop and call again, so it fits `select!`.
    pub async fn next(&mut self) {
        // The stream ends with the runtime only.
        let _ended = self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn kill(signal: &str) {
        let own = std::process::id().to_string();
        assert!(Command::new("kill").args([signal, &own]).status().unwrap().success());
    }

    #[tokio::test]
    async fn a_pulled_trigger_reaches_every_clone_at_once_and_stays() {
        let (trigger, mut shutdown) = channel();
        let mut clone = shutdown.clone();
        assert!(!shutdown.is_requested());
        trigger.pull();
        trigger.pull();
        shutdown.requested().await;
        clone.requested().await;
        clone.requested().await;
        assert!(clone.is_requested());
    }

    #[tokio::test]
    async fn a_lost_trigger_ends_the_daemon() {
        let (trigger, mut shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
    }

    #[tokio::test]
    async fn signals_reload_and_end() {
        let (trigger, mut shutdown) = channel();
        let mut reloads = catch_signals(trigger).unwrap();
        kill("-HUP");
        reloads.next().await;
        assert!(!shutdown.is_requested());
        kill("-TERM");
        shutdown.requested().await;
    }
}
