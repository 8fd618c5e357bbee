//! Whether the wall clock can be believed.
//!
//! Limits refill, codes die and old rows are forgotten by the wall clock, which anybody's mistake,
//! a dead battery or a lying time server can set. The time since boot cannot be set, so the wall
//! clock may differ from it by at most an hour since both last agreed. Beyond that the clock is in
//! doubt: time goes on at the pace of the time since boot, and nothing is forgotten until the wall
//! clock comes back or an administrator says that it is right.
//!
//! Time never goes back either. A decision moves what lies in its future to now, so a clock that
//! went back and was then set right would leave every window empty. After a step back time goes on
//! at half its pace until the wall clock has caught up; no code lives more than twice as long by it.
//!
//! Where the wall clock is a database's, this machine's own is a further witness: more than an hour
//! between both is a doubt as well. It does not say which is wrong, and others decide by the
//! database's on the same rows, so time goes on by that one; but nothing is forgotten.
//!
//! Pure: the clocks' readings come in as values.

use std::{fmt, time::Duration};

use minicbor::{Decode, Encode};

use crate::domain::time::{HOUR, MINUTE, Timestamp};

/// What the two clocks may differ by.
const SLACK: Duration = HOUR;
/// Both agree again after this time at the earliest: then slewing and drift never add up.
const RENEWAL: Duration = MINUTE;
/// How much of a difference a new agreement takes over: one part in so many of the time since the
/// last one. Steps of the wall clock add up to a doubt, however small each is.
const DRIFT: u32 = 10;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The wall clock.
    pub wall: Timestamp,
    /// Since boot, suspension included.
    pub uptime: Duration,
}

/// Which boot of the machine: the kernel's random id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct BootId(#[n(0)] String);

impl BootId {
    /// Takes the kernel's text over.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A moment at which both clocks agreed. The field numbers are the stored format.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Agreement {
    /// The wall clock.
    #[n(0)]
    pub wall: Timestamp,
    /// Since boot.
    #[n(1)]
    pub uptime: Duration,
    /// Since which boot; `None`: not known, and the same as no other.
    #[n(2)]
    pub boot: Option<BootId>,
}

impl Agreement {
    /// What the wall clock should say after `uptime`.
    fn expected(&self, uptime: Duration) -> Timestamp {
        match uptime.checked_sub(self.uptime) {
            Some(elapsed) => self.wall.after(elapsed),
            // Not in one boot; but no reason to be wrong about it.
            None => self.wall.before(self.uptime.saturating_sub(uptime)),
        }
    }
}

/// Which way the wall clock went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Forward.
    Ahead,
    /// Back.
    Behind,
}

/// What the wall clock was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The time since boot.
    Boot,
    /// This machine's own clock, where the wall clock is a database's.
    Machine,
}

/// Why the wall clock is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// By what.
    pub witness: Witness,
    /// Which way it went.
    pub direction: Direction,
    /// How far, more than an hour.
    pub by: Duration,
    /// When the wall clock and the time since boot last agreed, as the wall clock said then.
    pub since: Timestamp,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.by.as_secs() / 60;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let way = match self.direction {
            Direction::Ahead => "ahead of",
            Direction::Behind => "behind",
        };
        match self.witness {
            Witness::Boot => {}
            Witness::Machine => {
                return write!(
                    f,
                    "the clock is in doubt: the database server's is {hours} h {minutes:02} min {way} \
                     this machine's; codes and limits go by the server's, and nothing old is deleted; \
                     set the wrong one right, or if the server's is right: otpctl confirm-clock"
                );
            }
        }
        write!(f, "the clock is in doubt: {hours} h {minutes:02} min {way} the time since boot")?;
        if let Ok(since) = jiff::Timestamp::from_millisecond(self.since.0) {
            write!(f, ", counted from {since:.0}")?;
        }
        f.write_str(match self.direction {
            Direction::Ahead => "; codes and limits go by the time since boot, an hour ahead, and ",
            Direction::Behind => "; codes and limits go by the time since boot, and ",
        })?;
        f.write_str(
            "nothing old is deleted; set the clock right, or if it is right: otpctl confirm-clock",
        )
    }
}

/// Judges the wall clock.
#[derive(Clone, Debug)]
pub struct Guard {
    base: Agreement,
    /// The time that was said last, and when that was.
    said: (Timestamp, Duration),
    /// The machine began in the past: it has no clock of its own, and nobody has set it yet.
    unset: bool,
    doubt: Option<Doubt>,
    /// What this machine's own clock says against it.
    apart: Option<Doubt>,
    /// Somebody said that it is right all the same, as long as both stay apart.
    confirmed: bool,
}

impl Guard {
    /// Begins where the last run left off. After a boot nobody knows how long the machine was off,
    /// so the wall clock is believed, but not to be earlier than it was. A machine without a clock of
    /// its own begins somewhere in the past, and whoever sets it then is believed.
    #[must_use]
    pub fn new(stored: Option<Agreement>, boot: Option<BootId>, first: Readings) -> Self {
        let (base, unset) = match stored {
            Some(stored) if stored.boot.is_some() && stored.boot == boot => (stored, false),
            stored => {
                let before = stored.map_or(first.wall, |stored| stored.wall);
                let unset = before.since(first.wall) > SLACK;
                (Agreement { wall: before.max(first.wall), uptime: first.uptime, boot }, unset)
            }
        };
        let said = (base.expected(first.uptime), first.uptime);
        Self { base, said, unset, doubt: None, apart: None, confirmed: false }
    }

    /// The time by these readings.
    pub fn now(&mut self, readings: Readings) -> Timestamp {
        let (before, at) = self.said;
        let elapsed = readings.uptime.saturating_sub(at);
        let now = self.believed(readings).max(before.after(elapsed / 2));
        self.said = (now, readings.uptime);
        now
    }

    /// The wall clock, as far as it can be believed.
    fn believed(&mut self, readings: Readings) -> Timestamp {
        let Readings { wall, uptime } = readings;
        let expected = self.base.expected(uptime);
        let (ahead, behind) = (wall.since(expected), expected.since(wall));
        if self.unset && ahead > SLACK {
            self.begin_at(self.agreed_at(readings));
            self.doubt = None;
            return wall;
        }
        let (witness, since) = (Witness::Boot, self.base.wall);
        let doubt = |direction, by| Some(Doubt { witness, direction, by, since });
        if ahead > SLACK {
            self.doubt = doubt(Direction::Ahead, ahead);
            return expected.after(SLACK);
        }
        if behind > SLACK {
            self.doubt = doubt(Direction::Behind, behind);
            return expected;
        }
        self.doubt = None;
        self.unset = false;
        let elapsed = uptime.saturating_sub(self.base.uptime);
        if elapsed >= RENEWAL {
            let drift = elapsed / DRIFT;
            let agreed = wall.clamp(expected.before(drift), expected.after(drift));
            self.base = Agreement { wall: agreed, ..self.agreed_at(readings) };
        }
        wall
    }

    /// Compares the wall clock, which is a database's, with this machine's own.
    pub fn compare(&mut self, readings: Readings, own: Timestamp) {
        let (ahead, behind) = (readings.wall.since(own), own.since(readings.wall));
        let (direction, by) =
            if ahead > behind { (Direction::Ahead, ahead) } else { (Direction::Behind, behind) };
        self.confirmed &= by > SLACK;
        let (witness, since) = (Witness::Machine, self.base.wall);
        let apart = by > SLACK && !self.confirmed;
        self.apart = apart.then_some(Doubt { witness, direction, by, since });
    }

    /// Why the wall clock was in doubt at the last reading, if it was.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt.or(self.apart)
    }

    /// When both clocks last agreed.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        &self.base
    }

    /// What an agreement at these readings is, in this boot.
    #[must_use]
    pub fn agreed_at(&self, readings: Readings) -> Agreement {
        Agreement { wall: readings.wall, uptime: readings.uptime, boot: self.base.boot.clone() }
    }

    /// Goes by `agreement` from now on, even if that leads back.
    pub fn agree(&mut self, agreement: Agreement) {
        self.begin_at(agreement);
        (self.apart, self.confirmed) = (None, true);
    }

    fn begin_at(&mut self, agreement: Agreement) {
        self.said = (agreement.wall, agreement.uptime);
        self.unset = false;
        self.base = agreement;
    }
}

#[cfg(test)]
mod tests;
