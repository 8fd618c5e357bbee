//! Where a challenge stands, and how it ended.

use minicbor::{Decode, Encode};

use crate::domain::{passcode::CodeHash, time::Timestamp};

/// How a challenge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum End {
    /// The right code was typed.
    #[n(0)]
    Used,
    /// The tries or the answers are used up.
    #[n(1)]
    Spent,
    /// Nothing right was typed in time.
    #[n(2)]
    Expired,
    /// The claimant or an administrator gave it up.
    #[n(3)]
    Cancelled,
    /// A newer challenge took its place.
    #[n(4)]
    Superseded,
}

impl End {
    /// The word in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// Where a challenge stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum State {
    /// It may be answered with the code of this hash.
    #[n(0)]
    Live {
        /// The newest code.
        #[n(0)]
        code: CodeHash,
        /// Codes it took the place of, kept only to be recognised.
        #[n(1)]
        earlier: Vec<CodeHash>,
    },
    /// It is over.
    #[n(1)]
    Ended {
        /// How.
        #[n(0)]
        how: End,
        /// When.
        #[n(1)]
        at: Timestamp,
    },
    /// It has no code, and may be answered with a recovery code alone.
    #[n(2)]
    Withheld,
}
