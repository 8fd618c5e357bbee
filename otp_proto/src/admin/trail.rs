//! The audit trail.

use serde::{Deserialize, Serialize};

/// One event of the audit trail; [`crate::event::Event::of`] reads what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Ascending in the order of the commits.
    pub id: i64,
    /// When it was decided, Unix milliseconds.
    pub at: i64,
    /// The request it is about, as people read it: `7K3F-Q2`.
    #[serde(default)]
    pub request: Option<String>,
    /// The account it is about; `-`: the host.
    pub user: String,
    /// Who brought it about: `claimant`, `otpd`, or `uid` and a number.
    pub actor: String,
    /// What happened: a fixed word.
    pub event: String,
    /// Its details; which, the word tells.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// Reads the audit trail, the oldest event first; called with `more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Only events about this account; `-`: about the host.
    pub user: Option<String>,
    /// Only events of this time and later, Unix milliseconds.
    pub since: Option<i64>,
    /// Only events of this request: case, dashes and look-alikes (I, L, O) do not matter.
    pub request: Option<String>,
    /// At most so many: the newest.
    pub limit: Option<u32>,
}

/// One row of [`Log`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Null ends the list.
    #[serde(default)]
    pub record: Option<Record>,
}

/// Hands out every event as it is committed, until the caller hangs up; called with `more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Only events about this account; `-`: about the host.
    pub user: Option<String>,
    /// Begins after the event with this id; null: with what is committed from now on.
    pub after: Option<i64>,
}

/// One row of [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The event.
    pub record: Record,
}
