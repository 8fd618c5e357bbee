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
    /// At the end: accounts of which something is not in it, because it cannot be read.
    #[serde(default)]
    pub damaged: u64,
    /// The first of them.
    #[serde(default)]
    pub damaged_users: Vec<String>,
    /// Likewise: limits of numbers that nobody has, and of all together.
    #[serde(default)]
    pub damaged_limits: u64,
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

/// Hands out all that is stored to be moved to another store, a piece of its text a reply; called with
/// `more`. For root alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Nobody is let in from then on, until the daemon is started again.
    pub r#final: bool,
}

/// A piece of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportPiece {
    /// Its text; empty at the end.
    pub text: String,
    /// Accounts in the pieces so far.
    pub users: u64,
    /// Enrolled accounts that there are.
    pub of: u64,
    /// All that is in it; at the end.
    #[serde(default)]
    pub tally: Option<Tally>,
}

/// What is in a store, whatever keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Accounts of which anything is kept.
    pub users: u64,
    /// Of them, those with a number.
    pub numbers: u64,
    /// Recovery codes not used yet.
    pub recovery_codes: u64,
    /// Bypasses.
    pub bypasses: u64,
    /// Made of everything about the accounts.
    pub users_checksum: String,
    /// Numbers against which something counts.
    pub limits: u64,
    /// Made of all that counts there.
    pub limits_checksum: String,
    /// Ranges, countries and the whole site.
    pub together: u64,
    /// Events of the trail.
    pub events: u64,
    /// Made of all of them.
    pub events_checksum: String,
}

/// Takes a piece of an export into an empty store: all pieces of one go one after another over one
/// connection. For root alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Its text, as that of [`Restore`].
    pub text: String,
    /// Nothing is changed. The first piece says it for all.
    pub dry_run: bool,
}

/// What came of a piece of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedPiece {
    /// Which export it is, where this piece told.
    #[serde(default)]
    pub export: Option<BackupSeen>,
    /// It was imported before, so nothing is changed.
    pub known: bool,
    /// Accounts in the piece.
    pub users: u64,
    /// At the end: all that is in it, and after an import all that was read back.
    #[serde(default)]
    pub tally: Option<Tally>,
    /// It was the end.
    pub complete: bool,
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
    /// Those whose number came back, and that are switched off as they were.
    #[serde(default)]
    pub still_disabled: Vec<String>,
    /// Those whose number came back without the backup's recovery codes, since some were used or made
    /// anew after it.
    #[serde(default)]
    pub without_codes: Vec<String>,
    /// Those whose number did not come back, since it was removed or replaced after the backup
    /// was taken.
    pub left_removed: Vec<String>,
    /// Those that stay as they are, because what is stored of them cannot be read.
    #[serde(default)]
    pub damaged: Vec<String>,
    /// Events that were added to the trail.
    pub events: u64,
    /// It was the end.
    pub complete: bool,
}
