//! What copies of the store say of themselves: backups, exports, and what came of them.

use otp_proto::admin;
use serde::Serialize;

use super::utc;

/// Result of `backup`.
#[derive(Serialize)]
pub(crate) struct BackedUp<'a> {
    pub(crate) file: &'a str,
    pub(crate) users: u64,
    pub(crate) bytes: u64,
    pub(crate) log: bool,
    #[serde(flatten)]
    pub(crate) damaged: &'a NotBackedUp,
}

/// What is stored and cannot be read.
#[derive(Default, Serialize)]
pub(crate) struct NotBackedUp {
    #[serde(rename = "damaged_users")]
    pub(crate) users: u64,
    /// The first of them.
    #[serde(rename = "damaged")]
    pub(crate) names: Vec<String>,
    #[serde(rename = "damaged_limits")]
    pub(crate) limits: u64,
}

/// Result of `restore`.
#[derive(Default, Serialize)]
pub(crate) struct Restored {
    pub(crate) backup: Option<BackupSeen>,
    pub(crate) dry_run: bool,
    pub(crate) users: u64,
    pub(crate) changed: u64,
    pub(crate) enrolled: Vec<String>,
    pub(crate) disabled: Vec<String>,
    pub(crate) still_disabled: Vec<String>,
    pub(crate) without_codes: Vec<String>,
    pub(crate) left_removed: Vec<String>,
    pub(crate) damaged: Vec<String>,
    pub(crate) events: u64,
}

/// Result of `store export`.
#[derive(Serialize)]
pub(crate) struct Exported<'a> {
    pub(crate) file: &'a str,
    pub(crate) bytes: u64,
    pub(crate) r#final: bool,
    #[serde(flatten)]
    pub(crate) tally: &'a admin::Tally,
}

/// Result of `store import`.
#[derive(Default, Serialize)]
pub(crate) struct Moved {
    pub(crate) export: Option<BackupSeen>,
    /// It was imported before.
    pub(crate) known: bool,
    #[serde(flatten)]
    pub(crate) tally: admin::Tally,
}

/// Which backup it is.
#[derive(Serialize)]
pub(crate) struct BackupSeen {
    pub(crate) id: String,
    pub(crate) taken_at: String,
    pub(crate) host: String,
    version: String,
    users: u64,
}

impl BackupSeen {
    /// As the daemon says it.
    pub(crate) fn new(seen: admin::BackupSeen) -> Self {
        let admin::BackupSeen { id, taken_at, host, version, users } = seen;
        Self { id, taken_at: utc(taken_at), host, version, users }
    }
}
