//! What stands in for a code: recovery codes and bypasses.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// A bypass: the account may log in without a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name, for example `7K3F-Q2`; it opens nothing.
    pub id: String,
    /// The account.
    pub user: String,
    /// Unix milliseconds.
    pub granted_at: i64,
    /// The uid of who granted it.
    pub granted_by: u32,
    /// When it ends, Unix milliseconds.
    pub until: i64,
    /// Why it was granted.
    pub reason: String,
    /// Logins it has let in.
    pub used: u32,
    /// Logins it is still good for; null: as many as there are in its time.
    #[serde(default)]
    pub uses_left: Option<u32>,
    /// Addresses it is good for; null: all of them, and the console.
    #[serde(default)]
    pub from: Option<String>,
}

/// Makes a new set of recovery codes; earlier ones no longer work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryCodes {
    /// The account.
    pub user: String,
}

/// Reply to [`RecoveryCodes`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeCodes {
    /// The codes, in groups of four; nobody can ask for them again.
    pub codes: Vec<Secret>,
}

/// Lets an account log in without a code for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// The account.
    pub user: String,
    /// How long, 60 to 604800.
    pub seconds: i64,
    /// Why: 1 to 200 characters in one line.
    pub reason: String,
    /// For how many logins, 1 to 100; null: for as many as there are in its time.
    pub uses: Option<i64>,
    /// For which addresses: one, or a range; IPv6 in /64 and wider. Null: all, and the console.
    pub from: Option<String>,
}

/// Reply to [`Bypass`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The bypass.
    pub bypass: Grant,
}

/// Lists the bypasses of all accounts; called with `more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypasses {}

/// One row of [`Bypasses`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BypassListed {
    /// Null ends the list.
    #[serde(default)]
    pub bypass: Option<Grant>,
}

/// Ends bypasses of an account before their time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBypass {
    /// The account.
    pub user: String,
    /// The one of this name; null: all of them.
    pub id: Option<String>,
}

/// Reply to [`RevokeBypass`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// How many were ended.
    pub revoked: u32,
}
