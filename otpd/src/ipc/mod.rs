//! The socket: who is there ([`peer`]), what they may call ([`permit`]), and the calls themselves.

mod admin;
mod authority;
mod backup;
mod bypass;
mod connection;
mod listen;
mod log;
mod login;
mod numbers;
mod peer;
mod permit;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use listen::serve;

use crate::{quota::Quota, shutdown::Shutdown, verifier::Verifier, waiting::Waiting};

/// What the connections of a socket share.
#[derive(Clone)]
struct Common {
    /// The daemon is ending.
    stop: Shutdown,
    /// Seats for those who watch the audit trail.
    watchers: log::Watchers,
    /// The seat of who has a backup made.
    backups: backup::Seat,
    /// Calls without the right to them that are logged.
    denials: Quota<u32>,
    /// Connections that wait at a prompt.
    prompts: Waiting,
}

/// What stands behind the socket.
#[derive(Clone)]
pub enum Backend {
    /// The daemon as it should be.
    Working(Arc<Verifier>),
    /// The daemon could not start. It answers every login with `unavailable` instead of dying in a
    /// loop that would hang every login.
    Broken {
        /// This host's name.
        host: Arc<str>,
        /// Why, for administrators.
        reason: Arc<str>,
    },
}

impl Backend {
    /// Notes how many connections are open, for whoever watches the daemon.
    fn count(&self, open: usize) {
        match self {
            Self::Working(verifier) => verifier.set_connections(open),
            Self::Broken { .. } => {}
        }
    }
}
