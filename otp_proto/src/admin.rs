//! `org.otpd.Admin`: what `otpctl` asks of the daemon.

use serde::{Deserialize, Serialize};

use crate::{Method, Secret, login::Empty};

/// The interface text.
pub const DESCRIPTION: &str = include_str!("org.otpd.Admin.varlink");

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

/// Whether a gateway is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// In use.
    Ready,
    /// Skipped for a while after failures.
    Resting,
    /// A message is on its way to find out whether it works again.
    Probing,
}

/// One configured gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name in the configuration.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Whether it is used.
    pub state: GatewayState,
    /// Why its last message failed.
    #[serde(default)]
    pub reason: Option<String>,
}

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Null ends the list.
    #[serde(default)]
    pub subscriber: Option<Subscriber>,
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

/// Sends a message without a code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestMessage {
    /// E.164, or national where `delivery.default-country` is set.
    pub phone: Secret,
    /// The one gateway that is to carry it; null: as the messages of logins.
    pub gateway: Option<String>,
    /// Call instead of texting.
    pub voice: bool,
}

/// Reply to [`TestMessage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// How far it is.
    pub status: DeliveryStatus,
    /// How it travels.
    pub channel: Channel,
    /// The reference that stands in the message.
    pub reference: String,
    /// The gateway that took it, or may have.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The vendor's name for it.
    #[serde(default)]
    pub vendor_id: Option<String>,
    /// What went wrong, at whichever gateway.
    #[serde(default)]
    pub reason: Option<String>,
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

/// Ends the limits that wrong codes brought.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The account.
    pub user: String,
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

/// Asks how the daemon is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// Reply to [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// The host's name as messages show it.
    pub host: String,
    /// The kind of store.
    pub store: String,
    /// Enrollments not proved yet.
    pub pending: u32,
    /// Enrollments in use.
    pub active: u32,
    /// Enrollments switched off.
    pub disabled: u32,
    /// Logins that wait for a code.
    pub live_challenges: u32,
    /// The gateways, in the order of the configuration.
    pub gateways: Vec<Gateway>,
    /// What is wrong; empty when all is well.
    pub problems: Vec<String>,
}

/// Says that the wall clock, which is in doubt, is right.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmClock {}

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

macro_rules! methods {
    ($($request:ident -> $reply:ty;)*) => {$(
        impl Method for $request {
            const NAME: &'static str = concat!("org.otpd.Admin.", stringify!($request));
            type Reply = $reply;
        }
    )*};
}

methods! {
    Enroll -> Enrolled;
    Register -> Registered;
    Reveal -> Revealed;
    TestMessage -> Tested;
    Verify -> Changed;
    Resend -> Resent;
    List -> Listed;
    Show -> Shown;
    Disable -> Changed;
    Enable -> Changed;
    Remove -> Empty;
    Unlock -> Changed;
    RecoveryCodes -> MadeCodes;
    Bypass -> Granted;
    Bypasses -> BypassListed;
    RevokeBypass -> Revoked;
    Status -> StatusReply;
    ConfirmClock -> Empty;
    Log -> Logged;
    Watch -> Watched;
}
