//! Backups.

use serde::{Deserialize, Serialize};

/// Hands out a backup, a piece of its text a reply; called with `more`. For root alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Whether the audit trail is in it.
    pub log: bool,
}

/// A piece of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPiece {
    /// Its text; empty at the end.
    pub text: String,
    /// Accounts in the pieces so far.
    pub users: u64,
    /// Enrolled accounts that there are.
    pub of: u64,
}

/// Which backup it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSeen {
    /// Its name.
    pub id: String,
    /// When it was taken, Unix milliseconds.
    pub taken_at: i64,
    /// The host's name in messages.
    pub host: String,
    /// The otpd that wrote it.
    pub version: String,
    /// Enrolled accounts in it.
    pub users: u64,
}

/// Takes a piece of a backup: all pieces of one go one after another over one connection. For root
/// alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Its text: at most [`Self::LONGEST`] bytes, and no line feed but at its end.
    pub text: String,
    /// Nothing is changed. The first piece says it for all.
    pub dry_run: bool,
}

impl Restore {
    /// Longest text of a piece, bytes.
    pub const LONGEST: usize = 8192;
}

/// What came of a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredPiece {
    /// Which backup it is, where this piece told.
    #[serde(default)]
    pub backup: Option<BackupSeen>,
    /// Accounts in the piece.
    pub users: u64,
    /// Of how many of them anything was changed.
    pub changed: u64,
    /// Those whose number came back.
    pub enrolled: Vec<String>,
    /// Those that are switched off, and were not.
    pub disabled: Vec<String>,
    /// Those whose number did not come back, since it was removed after the backup was taken.
    pub left_removed: Vec<String>,
    /// Events that were added to the trail.
    pub events: u64,
    /// It was the end.
    pub complete: bool,
}
