//! Typed errors of the interface.

use serde::{Deserialize, Serialize};

use super::Limit;

/// Typed errors of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum AdminError {
    /// No account of this name on the host.
    #[serde(rename = "org.otpd.Admin.NoSuchUser")]
    NoSuchUser {
        /// The name.
        user: String,
    },
    /// The account has no number.
    #[serde(rename = "org.otpd.Admin.NotEnrolled")]
    NotEnrolled {
        /// The account.
        user: String,
    },
    /// The account has a number already.
    #[serde(rename = "org.otpd.Admin.AlreadyEnrolled")]
    AlreadyEnrolled {
        /// The account.
        user: String,
    },
    /// Not a number that can be used.
    #[serde(rename = "org.otpd.Admin.InvalidNumber")]
    InvalidNumber {
        /// What is wrong with it.
        reason: String,
    },
    /// The number's country is not in `delivery.countries`.
    #[serde(rename = "org.otpd.Admin.CountryNotAllowed")]
    CountryNotAllowed {
        /// ISO 3166.
        country: String,
    },
    /// The code is not right.
    #[serde(rename = "org.otpd.Admin.WrongCode")]
    WrongCode {
        /// Tries still allowed.
        tries_left: u32,
    },
    /// There is no code to check against.
    #[serde(rename = "org.otpd.Admin.NoLiveCode")]
    NoLiveCode {
        /// Why.
        reason: NoLiveCode,
    },
    /// The next message may go later.
    #[serde(rename = "org.otpd.Admin.TooSoon")]
    TooSoon {
        /// Seconds to wait.
        retry_after_seconds: u32,
    },
    /// A limit on messages holds.
    #[serde(rename = "org.otpd.Admin.LimitReached")]
    LimitReached {
        /// Which, since when, until when.
        limit: Limit,
    },
    /// A rule forbids it.
    #[serde(rename = "org.otpd.Admin.Refused")]
    Refused {
        /// Which, and the remedy.
        reason: String,
    },
    /// It cannot be done now.
    #[serde(rename = "org.otpd.Admin.Unavailable")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// Why there is no code to check against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoLiveCode {
    /// None was sent.
    None,
    /// Its life is over.
    Expired,
    /// Its tries are used up.
    Spent,
}
