//! The only place that reads a clock.
//!
//! What decides gets the time from [`Clock::now`]. In the daemon that is the wall clock, kept in
//! check by the time since boot: see [`guard`].

pub mod guard;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};
use tracing::{error, info, warn};

pub use guard::{Agreement, BootId, Direction, Doubt, Readings, Witness};

use crate::domain::time::Timestamp;
use guard::Guard;

/// Where the time comes from; tests pass their own. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    Plain(Box<dyn Fn() -> Timestamp + Send + Sync>),
    Guarded(Guarded),
}

struct Guarded {
    read: Box<dyn Fn() -> Readings + Send + Sync>,
    guard: Mutex<Guard>,
    /// Where the wall clock is a database's: what it is ahead of the time since boot, in milliseconds.
    ahead: Option<Arc<AtomicI64>>,
    /// This machine's own clock beside it.
    own: Option<Box<dyn Fn() -> Timestamp + Send + Sync>>,
}

impl Clock {
    /// The system's wall clock, in check. `stored` is what the last run left behind.
    ///
    /// # Errors
    /// When the kernel does not say how long it has been running.
    pub fn system(stored: Option<Agreement>) -> io::Result<Self> {
        let first = Readings { wall: wall(), uptime: uptime()? };
        let read = move || {
            // Linux gives it to everybody or, by a filter on system calls, to nobody: then the
            // clock is in doubt after an hour.
            Readings { wall: wall(), uptime: uptime().unwrap_or(first.uptime) }
        };
        Ok(Self::from_readings(stored, boot_id(), read))
    }

    /// The clock of a database that several hosts share, in check by this host's time since boot. It
    /// says `first`, goes on by the time since boot, and is told the database's time again and again:
    /// see [`Self::follow`]. `stored` is what the last run left behind.
    ///
    /// # Errors
    /// When the kernel does not say how long it has been running.
    pub fn of_database(stored: Option<Agreement>, first: Timestamp) -> io::Result<Self> {
        let begun = uptime()?;
        let ahead = Arc::new(AtomicI64::new(first.0.saturating_sub(millis(begun))));
        let by = Arc::clone(&ahead);
        let read = move || {
            let uptime = uptime().unwrap_or(begun);
            let wall = by.load(Ordering::Acquire).saturating_add(millis(uptime));
            Readings { wall: Timestamp(wall), uptime }
        };
        warn_if_apart(first);
        Ok(Self::checked(stored, boot_id(), read, Some(ahead), Some(Box::new(wall))))
    }

    /// Takes the database's time over; nothing for a clock that is of this machine.
    pub fn follow(&self, time: Timestamp) {
        if let Source::Guarded(Guarded { ahead: Some(ahead), .. }) = &*self.0
            && let Ok(uptime) = uptime()
        {
            ahead.store(time.0.saturating_sub(millis(uptime)), Ordering::Release);
        }
    }

    /// A clock that says what `read` returns, and is never in doubt.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(Source::Plain(Box::new(read))))
    }

    /// A clock in check, on the readings of `read` in the boot `boot`.
    #[must_use]
    pub fn from_readings(
        stored: Option<Agreement>,
        boot: Option<BootId>,
        read: impl Fn() -> Readings + Send + Sync + 'static,
    ) -> Self {
        Self::checked(stored, boot, read, None, None)
    }

    /// The same of a database's clock, beside this machine's `own`.
    #[must_use]
    pub fn from_readings_beside(
        stored: Option<Agreement>,
        boot: Option<BootId>,
        read: impl Fn() -> Readings + Send + Sync + 'static,
        own: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self::checked(stored, boot, read, None, Some(Box::new(own)))
    }

    fn checked(
        stored: Option<Agreement>,
        boot: Option<BootId>,
        read: impl Fn() -> Readings + Send + Sync + 'static,
        ahead: Option<Arc<AtomicI64>>,
        own: Option<Box<dyn Fn() -> Timestamp + Send + Sync>>,
    ) -> Self {
        let guard = Mutex::new(Guard::new(stored, boot, read()));
        let guarded = Guarded { read: Box::new(read), guard, ahead, own };
        // A doubt of the last run is one from the start, and said at the start.
        guarded.now();
        Self(Arc::new(Source::Guarded(guarded)))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::Plain(read) => read(),
            Source::Guarded(guarded) => guarded.now(),
        }
    }

    /// Why nothing may be forgotten by this clock now, if it is in doubt.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        match &*self.0 {
            Source::Plain(_) => None,
            Source::Guarded(guarded) => {
                guarded.now();
                guarded.lock().doubt()
            }
        }
    }

    /// What the next run must know; `None` for a clock that is not in check.
    #[must_use]
    pub fn agreement(&self) -> Option<Agreement> {
        match &*self.0 {
            Source::Plain(_) => None,
            Source::Guarded(guarded) => Some(guarded.lock().agreement().clone()),
        }
    }

    /// The doubt and the agreement that would end it: the wall clock as it is now is right.
    /// `None` when there is no doubt.
    #[must_use]
    pub fn proposal(&self) -> Option<(Doubt, Agreement)> {
        match &*self.0 {
            Source::Plain(_) => None,
            Source::Guarded(guarded) => {
                let readings = (guarded.read)();
                let mut guard = guarded.lock();
                guarded.judge(&mut guard, readings);
                Some((guard.doubt()?, guard.agreed_at(readings)))
            }
        }
    }

    /// Goes by `agreement` from now on.
    pub fn agree(&self, agreement: Agreement) {
        match &*self.0 {
            Source::Plain(_) => {}
            Source::Guarded(guarded) => {
                guarded.lock().agree(agreement);
                guarded.now();
            }
        }
    }
}

impl Guarded {
    fn lock(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, guard: &mut Guard, readings: Readings) -> Timestamp {
        let now = guard.now(readings);
        if let Some(own) = &self.own {
            guard.compare(readings, own());
        }
        now
    }

    fn now(&self) -> Timestamp {
        let readings = (self.read)();
        let (now, before, after) = {
            let mut guard = self.lock();
            let before = guard.doubt();
            (self.judge(&mut guard, readings), before, guard.doubt())
        };
        match (before, after) {
            (None, Some(doubt)) => error!("{doubt}"),
            (Some(_), None) => info!("the clock is in doubt no more"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        now
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What this machine's clock may differ from the database's before somebody should know: its own
/// journal then tells other times than the trail.
const APART: Duration = Duration::from_mins(1);

fn warn_if_apart(database: Timestamp) {
    let wall = wall();
    let by = database.since(wall).max(wall.since(database));
    if by > APART {
        warn!(
            seconds = by.as_secs(),
            "this machine's clock and the database server's differ; logins go by the server's: see \
             that both are set by NTP"
        );
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Since boot, the time in which the machine was suspended included.
fn uptime() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?))
}

/// Which boot this is; `None` where the kernel's files are hidden, for example in a container.
fn boot_id() -> Option<BootId> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(BootId::new(text.trim()))
}

#[cfg(test)]
mod tests;
