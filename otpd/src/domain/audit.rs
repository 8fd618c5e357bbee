//! What is written down about every decision. No event holds a code or more than the last two
//! digits of a number.

use serde::{Deserialize, Serialize};

use super::{account::Account, budget::Held, passcode::RequestId, time::Timestamp};

/// Who brought a decision about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person who logs in.
    Claimant,
    /// A caller of the administrator's interface, by uid.
    Uid(u32),
    /// The daemon itself.
    Daemon,
}

/// One decision, as it is stored and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it was decided.
    pub at: Timestamp,
    /// The challenge it is about.
    pub request: Option<RequestId>,
    /// The account it is about, or [`Account::host`].
    pub account: Account,
    /// Who brought it about.
    pub actor: Actor,
    /// What was decided.
    pub event: Event,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A login needs no code.
    LoginIgnored {
        /// PAM service.
        service: String,
        /// `exempt` or `not-enrolled`.
        reason: &'static str,
    },
    /// A login was denied.
    LoginDenied {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// Why: a fixed word; a limit's is its name.
        reason: &'static str,
        /// When that limit ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The right code was typed.
    LoginGranted {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
    },
    /// A login was granted without a code, because an administrator said so.
    LoginBypassed {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// The bypass.
        bypass: String,
        /// The uid of who granted it.
        granted_by: u32,
        /// Why it was granted, in the administrator's words.
        reason: String,
        /// Logins it is still good for; none when they are not counted.
        uses_left: Option<u8>,
    },
    /// Nothing may be sent or compared; a recovery code is asked for.
    CodeWithheld {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// Why: a fixed word.
        reason: &'static str,
    },
    /// A code was issued and is to be sent.
    CodeIssued {
        /// PAM service; empty for a proof of a number.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// `sms` or `voice`.
        channel: &'static str,
        /// In prompt and message.
        reference: String,
        /// Last two digits of the number.
        ending: String,
        /// Why: `login`, `resend`, `expired`, `lost`, `undelivered` or `enrollment`.
        why: &'static str,
    },
    /// A login went on under sshd's next run of the stack, or after a restart.
    LoginResumed {
        /// PAM service.
        service: String,
    },
    /// A wrong code was typed.
    CodeWrong {
        /// Tries still allowed.
        tries_left: u8,
    },
    /// A code was typed that a newer one had taken the place of.
    CodeEarlier {},
    /// A recovery code was typed, and is of no more use.
    RecoveryCodeUsed {
        /// Those not used yet.
        left: u8,
    },
    /// What looked like a recovery code was none of the account's.
    RecoveryCodeWrong {
        /// Wrong ones still allowed in this hour.
        tries_left: u8,
    },
    /// What looked like a recovery code was not compared; the code that was sent may still be typed.
    RecoveryCodeHeld {
        /// The limit that kept it from being compared.
        limit: &'static str,
        /// When that ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A text message told the owner of the account, or could not.
    OwnerTold {
        /// What about: the name of another event.
        about: &'static str,
        /// Whether a gateway took it, or may have.
        sent: bool,
    },
    /// A challenge ended without success.
    ChallengeEnded {
        /// How.
        how: &'static str,
    },
    /// Another message was asked for, or due, and something kept it from being sent.
    MessageHeld {
        /// What: a limit's name, `resend-wait` or `resends-used-up`.
        limit: &'static str,
        /// When that ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Too few messages to a range of numbers or to a country are answered.
    ConversionLow {
        /// `range`: all but the last four digits are the same; or `country`.
        scope: &'static str,
        /// ISO 3166.
        country: String,
        /// Messages of the last hour that should have been answered.
        messages: u32,
        /// Those that were.
        answered: u32,
        /// Whether no message goes there for a while.
        blocked: bool,
    },
    /// So many wrong codes were typed, by whomever, that codes have eight digits for a while.
    SiteUnderAttack {},
    /// A vendor took the message, or may have.
    MessageSent {
        /// Which gateway.
        gateway: String,
        /// The vendor's name for it.
        vendor_id: Option<String>,
        /// False when no clear answer came.
        certain: bool,
    },
    /// A gateway did not take the message.
    MessageFailed {
        /// Which gateway; empty: there was none to try.
        gateway: String,
        /// What it said, masked.
        reason: String,
    },
    /// A message that a vendor took did not arrive.
    MessageUndelivered {
        /// Which gateway.
        gateway: String,
        /// The vendor's name for it; empty where it gave none.
        vendor_id: String,
        /// What it said, masked.
        reason: String,
        /// `sent-again`, or why it was not: a fixed word.
        then: &'static str,
    },
    /// A vendor said how far a message is that it had taken, and that this is the end of it.
    MessageStatus {
        /// Which gateway.
        gateway: String,
        /// The vendor's name for it; empty where it gave none.
        vendor_id: String,
        /// `delivered`, or `unconfirmed`: the carrier does not say.
        status: &'static str,
    },
    /// Another key was pressed in a call than the one that it named: it ended without its words.
    CallKeyWrong {
        /// Which gateway.
        gateway: String,
    },
    /// The person at a number asked for an end to messages: no more are sent to it.
    OptedOut {
        /// Last two digits.
        ending: String,
        /// Who was told: a gateway.
        gateway: String,
    },
    /// That is over.
    OptedIn {
        /// Last two digits.
        ending: String,
        /// The gateway that was told; none: an administrator unlocked the account.
        gateway: Option<String>,
    },
    /// The same, because the gateway that had said so is not believed: it said it of everybody.
    OptOutUndone {
        /// Last two digits.
        ending: String,
        /// Which gateway.
        gateway: String,
    },
    /// A number was entered.
    Enrolled {
        /// Last two digits.
        ending: String,
        /// ISO 3166.
        country: String,
        /// `sms` or `voice`.
        channel: &'static str,
        /// It took the place of another.
        replaced: bool,
    },
    /// A number was proved.
    Verified {
        /// Last two digits.
        ending: String,
    },
    /// An administrator switched the account's codes off.
    Disabled {},
    /// An administrator switched them on again.
    Enabled {},
    /// An administrator had the number forgotten.
    Removed {},
    /// What was stored of an account could not be read, and an administrator had it taken away. A
    /// backup brings it back.
    DamagedRemoved {
        /// What could not be read: `number`, `logins`, `limits`, or `name`: then nobody can say whose.
        what: &'static str,
        /// What was in the place of the name, as lists show it.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// An administrator had another master key take the place of the one before.
    KeyRotated {
        /// The new one's id.
        key: String,
        /// Numbers that were encrypted anew.
        numbers: u64,
    },
    /// An administrator had a set of recovery codes made.
    RecoveryCodesMade {
        /// How many.
        codes: u8,
        /// Earlier ones that no longer work.
        replaced: u8,
    },
    /// An administrator lets an account log in without a code.
    BypassGranted {
        /// Its name.
        bypass: String,
        /// How long it lasts.
        seconds: u64,
        /// Logins it is good for; none when they are not counted.
        uses: Option<u8>,
        /// Addresses it is good for; none: all, and the console.
        from: Option<String>,
        /// Why, in the administrator's words.
        reason: String,
    },
    /// An administrator ended a bypass before its time.
    BypassRevoked {
        /// Its name.
        bypass: String,
    },
    /// An administrator ended the limits of wrong codes.
    Unlocked {},
    /// Root had a number shown in full.
    NumberRevealed {
        /// Last two digits.
        ending: String,
    },
    /// An administrator had a message without a code sent; its fate follows under the same request.
    TestMessage {
        /// Last two digits.
        ending: String,
        /// ISO 3166.
        country: String,
        /// `sms` or `voice`.
        channel: &'static str,
        /// The gateway that was asked for, if one was.
        gateway: Option<String>,
        /// In the message.
        reference: String,
    },
    /// An administrator said that the wall clock, which was in doubt, is right.
    ClockConfirmed {
        /// How far it is ahead of what the time since boot says; negative: behind.
        ahead_seconds: i64,
    },
    /// Root had a backup made.
    BackupTaken {
        /// Its name.
        backup: String,
        /// Accounts in it.
        accounts: u64,
        /// Whether the trail is in it.
        log: bool,
    },
    /// Root began to have a backup restored; nothing of it is changed before this is written down.
    RestoreBegun {
        /// Its name.
        backup: String,
        /// When it was taken.
        taken_at: Timestamp,
    },
    /// Root had a backup restored; what was changed was changed before.
    BackupRestored {
        /// Its name.
        backup: String,
        /// When it was taken.
        taken_at: Timestamp,
        /// Accounts whose number came back.
        enrolled: u64,
        /// Accounts of which anything was changed; those are among them.
        changed: u64,
    },
    /// A number came back from a backup.
    NumberRestored {
        /// Last two digits.
        ending: String,
        /// ISO 3166.
        country: String,
        /// `sms` or `voice`.
        channel: &'static str,
    },
    /// An administrator's verb was refused, or somebody's about their own number.
    Refused {
        /// The verb of `otpctl`.
        verb: &'static str,
        /// Why: a fixed word; a limit's is its name.
        reason: &'static str,
        /// When that limit ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

impl Event {
    /// A limit kept a message from being sent.
    #[must_use]
    pub const fn held(held: Held) -> Self {
        Self::MessageHeld { limit: held.limit.as_str(), until: held.until }
    }
}

impl Actor {
    /// In words, for the log: `claimant`, `otpd`, or `uid` and a number.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Claimant => "claimant".to_owned(),
            Self::Uid(uid) => format!("uid {uid}"),
            Self::Daemon => "otpd".to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
