//! Why a login is denied, and the words of the audit for it.

use crate::domain::{budget::Held, phone::Ending, time::Timestamp};

/// The fixed word of the audit for what an opt-out keeps from happening.
pub(in crate::domain) const OPTED_OUT: &str = "opted-out";

/// Why a login is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// NSS knows no such account.
    NoAccount,
    /// No number is registered.
    NotEnrolled,
    /// The number is not proved yet.
    NotVerified,
    /// An administrator switched the account off.
    Disabled,
    /// Nothing may be sent to the number's country any more.
    Country,
    /// The person at the number, which ends so, asked for an end to messages.
    OptedOut(Ending),
    /// A limit holds.
    Held(Held),
    /// The store has no room for a new code.
    Full,
    /// The tries are used up.
    Spent,
    /// The code expired, and the one fresh code too.
    Expired,
    /// Codes have more digits since this one was issued.
    Outgrown,
    /// The login was ended while its claimant waited: by newer ones, or by an administrator.
    Ended,
    /// The claimant gave up.
    Quit,
    /// Said before on this connection, or nothing to say: no text.
    Silent,
}

impl Denial {
    /// The fixed word of the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAccount => "no-such-account",
            Self::NotEnrolled => "not-enrolled",
            Self::NotVerified => "not-verified",
            Self::Disabled => "disabled",
            Self::Country => "country-not-allowed",
            Self::OptedOut(_) => OPTED_OUT,
            Self::Held(held) => held.limit.as_str(),
            Self::Full => "store-full",
            Self::Spent => "tries-used-up",
            Self::Expired => "code-expired",
            Self::Outgrown => "code-too-short-by-now",
            Self::Ended => "login-ended",
            Self::Quit => "given-up",
            Self::Silent => "denied-before",
        }
    }
}

impl Denial {
    /// When the limit ends that it is for, if it is for one and the limit ends by itself.
    #[must_use]
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Held(held) => held.until,
            Self::NoAccount
            | Self::NotEnrolled
            | Self::NotVerified
            | Self::Disabled
            | Self::Country
            | Self::OptedOut(_)
            | Self::Full
            | Self::Spent
            | Self::Expired
            | Self::Outgrown
            | Self::Ended
            | Self::Quit
            | Self::Silent => None,
        }
    }
}
