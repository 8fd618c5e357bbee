//! Where the log goes. The configuration decides; no environment variable does.

mod journal;

use std::{io, panic::PanicHookInfo, thread};

use tracing::Level as Verbosity;
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    reload,
};

use self::journal::Journal;
use crate::config::{Format, Level, Log};

/// Events with this target are the audit trail: they are logged whatever the level.
pub const AUDIT: &str = "audit";

/// A log that runs.
#[derive(Debug)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// It was started before.
    #[error("the log was started twice")]
    Started,
    /// A reload came after the log had ended.
    #[error("the log is gone")]
    Gone,
}

impl Telemetry {
    /// Starts the log of this process, and has panics logged. Without a journal to write to, text
    /// goes to standard error, and a warning says so.
    ///
    /// # Errors
    /// [`TelemetryError::Started`] when it was started before.
    pub fn start(log: Log) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(filter(log.level));
        let (output, fallback) = match log.format {
            Format::Journal => match Journal::open() {
                Ok(journal) => (journal.boxed(), None),
                Err(error) => (text(io::stderr), Some(error)),
            },
            Format::Json => (json(io::stderr), None),
            Format::Text => (text(io::stderr), None),
        };
        let subscriber = Registry::default().with(output.with_filter(filter));
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Started)?;
        std::panic::set_hook(Box::new(log_panic));
        if let Some(error) = fallback {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "no journal to log to: logging to standard error");
        }
        Ok(Self { filter: handle })
    }

    /// Changes the level, as a reload does. The format stays: spans that are open hold what it made
    /// of their fields.
    ///
    /// # Errors
    /// [`TelemetryError::Gone`] when the log has ended.
    pub fn set_level(&self, level: Level) -> Result<(), TelemetryError> {
        self.filter.reload(filter(level)).map_err(|_| TelemetryError::Gone)
    }
}

type Output = Box<dyn Layer<Registry> + Send + Sync>;

/// What is logged at a level.
fn filter(level: Level) -> Targets {
    let own = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    // Libraries at `debug` tell what passes through them: requests with keys and codes.
    Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target("otpd", own)
        .with_target(AUDIT, LevelFilter::TRACE)
}

fn json<W>(writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
}

fn text<W>(writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).boxed()
}

/// Logs where a thread panicked. What it said is left out: it may quote a secret.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
    tracing::event!(Verbosity::ERROR, file, line, thread, "panic: this is a bug in otpd");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Subscriber;

    use super::*;

    /// A log that can be read back.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Memory {
        fn taken(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn subscriber(output: Output, level: Level) -> impl Subscriber + Send + Sync {
        Registry::default().with(output.with_filter(filter(level)))
    }

    #[test]
    fn each_level_logs_what_is_at_least_as_important() {
        let cases = [
            (Level::Error, "own error,audit"),
            (Level::Warn, "own error,own warn,foreign warn,audit"),
            (Level::Info, "own error,own warn,own info,foreign warn,audit"),
            (Level::Debug, "own error,own warn,own info,own debug,foreign warn,audit"),
        ];
        for (level, expected) in cases {
            let memory = Memory::default();
            let writer = memory.clone();
            let output = json(move || writer.clone());
            tracing::subscriber::with_default(subscriber(output, level), || {
                tracing::error!("own error");
                tracing::warn!("own warn");
                tracing::info!("own info");
                tracing::debug!("own debug");
                tracing::warn!(target: "hyper", "foreign warn");
                tracing::info!(target: "hyper", "foreign info");
                tracing::debug!(target: "audit", "audit");
            });
            let log = memory.taken();
            let events: Vec<serde_json::Value> =
                log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let messages: Vec<&str> =
                events.iter().map(|event| event["message"].as_str().unwrap()).collect();
            assert_eq!(messages.join(","), expected, "{level:?}");
        }
    }

    #[test]
    fn a_panic_is_logged_by_place_and_thread_only() {
        let memory = Memory::default();
        let writer = memory.clone();
        let output = text(move || writer.clone());
        // The hook is the whole process's, so another test that panics meanwhile runs it too, but
        // without this thread's subscriber.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(subscriber(output, Level::Error), || {
            let panicked = std::panic::catch_unwind(|| panic!("the code is 314159"));
            assert!(panicked.is_err());
        });
        std::panic::set_hook(before);
        let log = memory.taken();
        assert!(log.contains("telemetry.rs") && log.contains("line="), "{log}");
        assert!(log.contains("a_panic_is_logged_by_place_and_thread_only"), "{log}");
        assert!(!log.contains("314159"), "{log}");
    }

    #[test]
    fn a_reload_changes_the_level() {
        let memory = Memory::default();
        let writer = memory.clone();
        let (filter, handle) = reload::Layer::new(super::filter(Level::Error));
        let output = text(move || writer.clone()).with_filter(filter);
        let telemetry = Telemetry { filter: handle };
        tracing::subscriber::with_default(Registry::default().with(output), || {
            tracing::debug!("before");
            telemetry.set_level(Level::Debug).unwrap();
            tracing::debug!("after");
        });
        let log = memory.taken();
        assert!(!log.contains("before") && log.contains("after"), "{log}");
    }
}
