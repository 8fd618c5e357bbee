//! Subscribers, their numbers, and the messages that prove them.

use serde::{Deserialize, Serialize};

use super::Grant;
use crate::Secret;

/// How a code travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Text message.
    Sms,
    /// Phone call.
    Voice,
}

/// Where an enrollment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The number is not proved yet.
    Pending,
    /// Codes are sent to it.
    Active,
    /// Logins are denied.
    Disabled,
}

/// One enrolled account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The account's name.
    pub user: String,
    /// Masked: country code and last two digits.
    pub phone: String,
    /// ISO 3166 country of the number.
    pub country: String,
    /// How codes travel unless the claimant asks otherwise.
    pub channel: Channel,
    /// Where the enrollment stands.
    pub state: State,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds; null until proved.
    #[serde(default)]
    pub verified_at: Option<i64>,
}

/// An end to messages that the person at a number asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    /// When it became known, Unix milliseconds.
    pub at: i64,
    /// The gateway that was told.
    pub gateway: String,
}

/// A limit that holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name in the documentation, for example `wrong-codes-per-hour`.
    pub name: String,
    /// Unix milliseconds.
    pub since: i64,
    /// Unix milliseconds; null: until an administrator ends it.
    #[serde(default)]
    pub until: Option<i64>,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// A vendor took it.
    Accepted,
    /// No vendor has answered yet.
    Sending,
    /// No gateway took it.
    Failed,
}

/// The message that a call had sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How far it is.
    pub status: DeliveryStatus,
    /// How it travels.
    pub channel: Channel,
    /// The reference that stands in the message beside the code.
    pub reference: String,
    /// When the code dies, Unix milliseconds.
    pub expires_at: i64,
    /// Why it failed, for the administrator.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Registers a number and sends the message that proves it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// The account.
    pub user: String,
    /// E.164, or national where `delivery.default-country` is set.
    pub phone: Secret,
    /// Null: text message.
    pub channel: Option<Channel>,
    /// Puts the number in the place of an earlier one.
    pub replace: bool,
}

/// Reply to [`Enroll`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The account as it is now.
    pub subscriber: Subscriber,
    /// The message that proves the number.
    pub delivery: Delivery,
}

/// Registers a number and sends nothing; the same number again changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The account.
    pub user: String,
    /// E.164, or national where `delivery.default-country` is set.
    pub phone: Secret,
    /// Null: as before where the number was there before, else text message.
    pub channel: Option<Channel>,
    /// Puts the number in the place of another one.
    pub replace: bool,
}

/// Reply to [`Register`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The account as it is now.
    pub subscriber: Subscriber,
    /// The number was there before and stays as it is.
    pub unchanged: bool,
    /// When the newest message that proves it was ordered, Unix milliseconds; null: none was sent.
    #[serde(default)]
    pub proof_sent_at: Option<i64>,
}

/// Proves a number by the code that was sent to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The account.
    pub user: String,
    /// As typed.
    pub code: Secret,
}

/// A reply that is the account as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The account as it is now.
    pub subscriber: Subscriber,
}

/// Sends another message to prove the number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resend {
    /// The account.
    pub user: String,
    /// Call instead of texting.
    pub voice: bool,
}

/// Reply to [`Resend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// The message.
    pub delivery: Delivery,
}

/// Lists the enrolled; called with `more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// One row of [`List`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Null ends the list, unless `damaged` is set.
    #[serde(default)]
    pub subscriber: Option<Subscriber>,
    /// Since when the person at the number wants no messages; none is sent then.
    #[serde(default)]
    pub opted_out: Option<OptOut>,
    /// In place of the subscriber: the name of one whose row cannot be read.
    #[serde(default)]
    pub damaged: Option<String>,
}

/// Asks for everything about one account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The account.
    pub user: String,
}

/// Reply to [`Show`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The account.
    pub subscriber: Subscriber,
    /// What holds it back now.
    pub limits: Vec<Limit>,
    /// Wrong codes in the last 24 hours.
    pub failures_24h: u32,
    /// Messages in the last 24 hours.
    pub sends_24h: u32,
    /// Logins that wait for a code.
    pub live_challenges: u32,
    /// Recovery codes not used yet.
    pub recovery_codes_left: u32,
    /// Bypasses that are not over.
    #[serde(default)]
    pub bypasses: Vec<Grant>,
    /// Why the newest message of the last minutes did not arrive, as its carrier reported.
    #[serde(default)]
    pub undelivered: Option<String>,
    /// Since when the person at the number wants no messages; none is sent then.
    #[serde(default)]
    pub opted_out: Option<OptOut>,
}

/// Asks for a number in full; root's alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    /// The account.
    pub user: String,
}

/// Reply to [`Reveal`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revealed {
    /// E.164.
    pub phone: Secret,
}

/// Denies the account's logins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    /// The account.
    pub user: String,
}

/// Ends [`Disable`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// The account.
    pub user: String,
}

/// Forgets the number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The account.
    pub user: String,
}

/// What brings an account back whose rows cannot be read, in words for an administrator. Between the two
/// steps nobody is enrolled, which some sites let in.
pub const MEND_DAMAGED: &str = "otpctl remove USER, then otpctl restore the last backup that has USER, or enroll again; where \
     policy.unenrolled is \"ignore\", set \"deny\" before: USER is asked for no code in between";

/// Reply to [`Remove`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What was stored could not be read, and was taken away; a backup brings it back.
    #[serde(default)]
    pub damaged: bool,
}

/// Ends the limits that wrong codes brought, and an opt-out of the number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The account.
    pub user: String,
}

/// Reply to [`Unlock`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// The account as it is now.
    pub subscriber: Subscriber,
    /// Messages may go to the number again, and could not before.
    #[serde(default)]
    pub opted_in: bool,
}
