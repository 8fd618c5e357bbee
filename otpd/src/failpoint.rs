//! Points at which a test has the daemon killed: every step between a decision, its commit and its
//! answer, and around sending.
//!
//! They are there with the Cargo feature `failpoints` only. No build that ships has it: without it
//! the functions are empty, and neither they nor the points' names are in the program.

/// A step after which the daemon may be gone.
#[derive(Clone, Copy)]
pub(crate) enum Point {
    /// What a decision reads is read and locked.
    Loaded,
    /// The decision is made.
    Decided,
    /// What it changes is written, and not committed.
    Written,
    /// It is committed, and nobody was told.
    Committed,
    /// The reply is about to be written.
    Reply,
    /// Half of the reply is written.
    HalfReply,
    /// The reply is written.
    Replied,
    /// A message that was ordered is about to be handed to a vendor.
    Ordered,
    /// A vendor has taken it, and that is not recorded.
    Taken,
    /// What became of it is recorded.
    Recorded,
}

/// Kills the daemon here if a test has asked for it.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) const fn reach(_: Point) {}

/// Whether a test has asked for the daemon to be killed here, and it is the time for it.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) const fn is_due(_: Point) -> bool {
    false
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::{is_due, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::fs;

    use nix::sys::signal::{Signal, raise};

    use super::Point;

    impl Point {
        /// Its name, as tests write it.
        const fn name(self) -> &'static str {
            match self {
                Self::Loaded => "failpoint-loaded",
                Self::Decided => "failpoint-decided",
                Self::Written => "failpoint-written",
                Self::Committed => "failpoint-committed",
                Self::Reply => "failpoint-reply",
                Self::HalfReply => "failpoint-half-reply",
                Self::Replied => "failpoint-replied",
                Self::Ordered => "failpoint-ordered",
                Self::Taken => "failpoint-taken",
                Self::Recorded => "failpoint-recorded",
            }
        }
    }

    /// Kills the daemon here if a test has asked for it.
    pub(crate) fn reach(point: Point) {
        if is_due(point) {
            // Nothing returns from this, and nothing is cleaned up: as `kill -9`.
            let _ = raise(Signal::SIGKILL);
        }
    }

    /// Whether a test has asked for the daemon to be killed here, and it is the time for it. The
    /// file that `OTPD_FAILPOINT` names holds the point, and how often it has to be reached.
    pub(crate) fn is_due(point: Point) -> bool {
        let Some(file) = std::env::var_os("OTPD_FAILPOINT") else { return false };
        let armed = fs::read_to_string(&file).unwrap_or_default();
        let Some((name, times)) = armed.split_once(' ') else { return false };
        if name != point.name() {
            return false;
        }
        match times.parse::<u32>() {
            Ok(1) => true,
            Ok(times @ 2..) => {
                // What cannot be written is not counted, and the test fails.
                let _ = fs::write(&file, format!("{name} {}", times - 1));
                false
            }
            Ok(0) | Err(_) => false,
        }
    }
}
