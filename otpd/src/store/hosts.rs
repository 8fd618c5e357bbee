//! The daemons that share a database, as each tells of itself.
//!
//! What another host wrote is foreign: it is bounded and made fit to be shown, also when it is read.

use minicbor::{Decode, Encode};

use crate::domain::{
    challenge::Instance,
    time::{DAY, MINUTE, Timestamp},
};

/// Without a word for so long a daemon is not taken to run any more: three times what passes from one
/// word to the next.
pub(super) const SILENT: std::time::Duration = MINUTE;
/// So long after its last word a daemon is forgotten.
pub(super) const KEPT: std::time::Duration = DAY.saturating_mul(30);
/// Hosts that are told of at most.
pub(super) const MOST: i64 = 1000;

/// Characters of a name, of a host or of a gateway.
const NAME: usize = 64;
/// Characters of a reason.
const REASON: usize = 200;
/// Gateways of one host.
const GATEWAYS: usize = 16;

/// What a daemon tells of itself. The field numbers are the stored format.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    /// Its version.
    #[n(0)]
    pub version: String,
    /// How its gateways are.
    #[n(1)]
    pub gateways: Vec<GatewaySeen>,
    /// The id of the key that it works with.
    #[n(2)]
    pub key: u32,
    /// That of the one that it holds for later.
    #[n(3)]
    pub next_key: Option<u32>,
    /// It doubts the database's clock: then nobody forgets anything by that.
    #[n(4)]
    pub doubts: bool,
}

/// Whether a gateway is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Use {
    /// It is.
    #[n(0)]
    Ready,
    /// It is left alone after failures.
    #[n(1)]
    Resting,
    /// A message is on its way to find out whether it works again.
    #[n(2)]
    Probing,
}

/// A gateway of a host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GatewaySeen {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its kind.
    #[n(1)]
    pub kind: String,
    /// Whether it is in use.
    #[n(2)]
    pub state: Use,
    /// Why its last message failed.
    #[n(3)]
    pub reason: Option<String>,
}

impl Presence {
    /// Of a daemon that cannot be understood: nothing is known to be well with it.
    #[must_use]
    pub fn unknown() -> Self {
        let version = "unknown".to_owned();
        Self { version, gateways: Vec::new(), key: 0, next_key: None, doubts: true }
    }

    /// As much of it as is kept, fit to be shown.
    #[must_use]
    pub fn bounded(self) -> Self {
        let gateway = |gateway: GatewaySeen| GatewaySeen {
            name: plain(&gateway.name, NAME),
            kind: plain(&gateway.kind, NAME),
            state: gateway.state,
            reason: gateway.reason.map(|reason| plain(&reason, REASON)),
        };
        Self {
            version: plain(&self.version, NAME),
            gateways: self.gateways.into_iter().take(GATEWAYS).map(gateway).collect(),
            ..self
        }
    }
}

/// A host's name, fit to be shown.
pub(super) fn name(name: &str) -> String {
    plain(name, NAME)
}

fn plain(text: &str, longest: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(longest).collect()
}

/// How a daemon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Running,
    /// It was not heard of for a minute, and did not say that it stops.
    Silent,
    /// It was stopped.
    Stopped,
}

/// A daemon, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSeen {
    /// Its machine's name.
    pub name: String,
    /// Which run of it.
    pub run: Instance,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// How it stands.
    pub life: Life,
    /// What it tells of itself.
    pub presence: Presence,
}

impl Life {
    /// How a daemon stands `now` that was last heard of at `seen_at`.
    pub(super) fn of(stopped: bool, seen_at: Timestamp, now: Timestamp) -> Self {
        if stopped {
            Self::Stopped
        } else if now.since(seen_at) > SILENT || seen_at.since(now) > SILENT {
            // A clock that was ahead wrote what is later than now: whoever runs writes it anew.
            Self::Silent
        } else {
            Self::Running
        }
    }
}

/// What a daemon says to the others.
#[derive(Clone, Debug)]
pub struct Word {
    /// Which run of it this is.
    pub run: Instance,
    /// When that began, by the database's clock; `None` with its first word.
    pub begun: Option<Timestamp>,
    /// How it is.
    pub presence: Presence,
    /// It stops.
    pub stopped: bool,
}

/// What came of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it was said, by the database's clock.
    pub at: Timestamp,
    /// Whether another daemon passes for this one.
    pub twin: Option<Twin>,
}

/// Another daemon that runs now and passes for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// By its name alone.
    Name,
    /// By what tells machines apart: each takes the other's codes for its own.
    Machine,
}

#[cfg(test)]
mod tests {
    use super::{GATEWAYS, GatewaySeen, Life, NAME, Presence, REASON, Timestamp, Use, name};

    #[test]
    fn what_a_host_tells_is_bounded_and_steers_no_terminal() {
        let gateway = GatewaySeen {
            name: "n".repeat(999),
            kind: "k\u{1b}[2J".to_owned(),
            state: Use::Resting,
            reason: Some("no\ncredit".to_owned() + &"!".repeat(999)),
        };
        let gateways = vec![gateway; 999];
        let version = "0.1\u{7}".to_owned();
        let told = Presence { version, gateways, key: 1, next_key: None, doubts: false };
        let kept = told.bounded();
        assert_eq!((kept.version.as_str(), kept.gateways.len()), ("0.1", GATEWAYS));
        let first = &kept.gateways[0];
        assert_eq!((first.name.len(), first.kind.as_str()), (NAME, "k[2J"));
        let reason = first.reason.as_deref().expect("a reason");
        assert!(reason.starts_with("nocredit") && reason.len() == REASON, "{reason}");
        assert_eq!(name("web1\u{9b}2J\n"), "web12J");
    }

    #[test]
    fn who_says_nothing_is_silent() {
        let seen = Timestamp(1_800_000_000_000);
        let at = |seconds| seen.after(std::time::Duration::from_secs(seconds));
        assert_eq!(Life::of(false, seen, at(60)), Life::Running);
        assert_eq!(Life::of(false, seen, at(61)), Life::Silent);
        assert_eq!(Life::of(false, at(60), seen), Life::Running, "a clock that went back a little");
        assert_eq!(Life::of(false, at(61), seen), Life::Silent, "a word from the future");
        assert_eq!(Life::of(false, Timestamp(i64::MAX), seen), Life::Silent);
        assert_eq!(Life::of(true, seen, seen), Life::Stopped);
    }
}
