//! What a [`Record`] of the audit trail says: one variant for each kind of event that this version
//! knows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Record;

/// An event and its details. A newer daemon may know more kinds, and more details of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A login needed no code.
    LoginIgnored {
        /// PAM service.
        service: String,
        /// `exempt`, `not-enrolled` or `not-verified`.
        reason: String,
    },
    /// A login was denied.
    LoginDenied {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// Why: a fixed word; a limit's is its name.
        reason: String,
        /// When that limit ends, Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// The right code was typed.
    LoginGranted {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
    },
    /// A login was granted without a code, because an administrator had said so.
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
        /// Logins it was still good for; none when they are not counted.
        uses_left: Option<u32>,
    },
    /// Nothing might be sent or compared; a recovery code was asked for.
    CodeWithheld {
        /// PAM service.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// Why: a fixed word; a limit's is its name.
        reason: String,
    },
    /// A code was issued and was to be sent.
    CodeIssued {
        /// PAM service; empty for a proof of a number.
        service: String,
        /// Address, if there is one.
        source: Option<String>,
        /// `sms` or `voice`.
        channel: String,
        /// In prompt and message.
        reference: String,
        /// Last two digits of the number.
        ending: String,
        /// `login`, `resend`, `expired`, `lost`, `undelivered` or `enrollment`.
        why: String,
    },
    /// A login went on under sshd's next run of the stack, or after a restart.
    LoginResumed {
        /// PAM service.
        service: String,
    },
    /// A wrong code was typed.
    CodeWrong {
        /// Tries that were left.
        tries_left: u32,
    },
    /// A code was typed that a newer one had taken the place of.
    CodeEarlier {},
    /// A recovery code was typed, and is of no more use.
    RecoveryCodeUsed {
        /// Those not used yet.
        left: u32,
    },
    /// What looked like a recovery code was none of the account's.
    RecoveryCodeWrong {
        /// Wrong ones that were still allowed in that hour.
        tries_left: u32,
    },
    /// What looked like a recovery code was not compared; the code that was sent could still be typed.
    RecoveryCodeHeld {
        /// The limit that kept it from being compared.
        limit: String,
        /// When that ends, Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// A text message told the owner of the account, or could not.
    OwnerTold {
        /// What about: the name of another event.
        about: String,
        /// Whether a gateway took it, or may have.
        sent: bool,
    },
    /// A challenge ended without success.
    ChallengeEnded {
        /// `spent`, `expired`, `cancelled` or `superseded`.
        how: String,
    },
    /// Another message was asked for, or due, and something kept it from being sent.
    MessageHeld {
        /// What: a limit's name, `resend-wait` or `resends-used-up`.
        limit: String,
        /// When that ends, Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// Too few messages to a range of numbers or to a country were answered.
    ConversionLow {
        /// `range` or `country`.
        scope: String,
        /// ISO 3166.
        country: String,
        /// Messages of the hour that should have been answered.
        messages: u32,
        /// Those that were.
        answered: u32,
        /// Whether no message went there for a while.
        blocked: bool,
    },
    /// So many wrong codes were typed that codes had eight digits for a while.
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
        then: String,
    },
    /// A vendor said how far a message was that it had taken, and that this was the end of it.
    MessageStatus {
        /// Which gateway.
        gateway: String,
        /// The vendor's name for it; empty where it gave none.
        vendor_id: String,
        /// `delivered`, or `unconfirmed`: the carrier did not say.
        status: String,
    },
    /// Another key was pressed in a call than the one that it named: it ended without its words.
    CallKeyWrong {
        /// Which gateway.
        gateway: String,
    },
    /// The person at a number asked for an end to messages: no more were sent to it.
    OptedOut {
        /// Last two digits.
        ending: String,
        /// Who was told: a gateway.
        gateway: String,
    },
    /// That was over.
    OptedIn {
        /// Last two digits.
        ending: String,
        /// The gateway that was told; none: an administrator unlocked the account.
        gateway: Option<String>,
    },
    /// The same, because the gateway that had said so was not believed: it said it of everybody.
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
        channel: String,
        /// It took the place of another.
        replaced: bool,
    },
    /// A number was proved.
    Verified {
        /// Last two digits.
        ending: String,
    },
    /// The account's codes were switched off.
    Disabled {},
    /// They were switched on again.
    Enabled {},
    /// The number was forgotten.
    Removed {},
    /// What was stored of the account could not be read, and was taken away.
    DamagedRemoved {
        /// What could not be read: `number`, `logins`, `limits`, or `name`: then nobody can say whose.
        what: String,
        /// What was in the place of the name, as lists show it.
        #[serde(default)]
        name: Option<String>,
    },
    /// Another master key took the place of the one before.
    KeyRotated {
        /// The new one's id.
        key: String,
        /// Numbers that were encrypted anew.
        numbers: u64,
    },
    /// A set of recovery codes was made.
    RecoveryCodesMade {
        /// How many.
        codes: u32,
        /// Earlier ones that no longer work.
        replaced: u32,
    },
    /// An account may log in without a code for a while.
    BypassGranted {
        /// Its name.
        bypass: String,
        /// How long it lasts.
        seconds: u64,
        /// Logins it is good for; none when they are not counted.
        uses: Option<u32>,
        /// Addresses it is good for; none: all, and the console.
        from: Option<String>,
        /// Why, in the administrator's words.
        reason: String,
    },
    /// A bypass was ended before its time.
    BypassRevoked {
        /// Its name.
        bypass: String,
    },
    /// The limits of wrong codes were ended.
    Unlocked {},
    /// A number was shown in full to root.
    NumberRevealed {
        /// Last two digits.
        ending: String,
    },
    /// A message without a code was to be sent; its fate follows under the same request.
    TestMessage {
        /// Last two digits.
        ending: String,
        /// ISO 3166.
        country: String,
        /// `sms` or `voice`.
        channel: String,
        /// The gateway that was asked for, if one was.
        gateway: Option<String>,
        /// In the message.
        reference: String,
    },
    /// The wall clock, which was in doubt, was said to be right.
    ClockConfirmed {
        /// How far it was ahead of what the time since boot says; negative: behind.
        ahead_seconds: i64,
    },
    /// Root had a backup made.
    BackupTaken {
        /// Its name.
        backup: String,
        /// Accounts in it.
        accounts: u64,
        /// Whether the trail was in it.
        log: bool,
    },
    /// Root began to have a backup restored. Where its end does not follow, it was cut off: what came
    /// before stays restored, and restoring it again does the rest.
    RestoreBegun {
        /// Its name.
        backup: String,
        /// When it was taken, Unix milliseconds.
        taken_at: i64,
    },
    /// Root had a backup restored.
    BackupRestored {
        /// Its name.
        backup: String,
        /// When it was taken, Unix milliseconds.
        taken_at: i64,
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
        channel: String,
    },
    /// An administrator's verb was refused, or somebody's about their own number.
    Refused {
        /// The verb of `otpctl`.
        verb: String,
        /// Why: a fixed word; a limit's is its name.
        reason: String,
        /// When that limit ends, Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
}

impl Event {
    /// The event of a record; `None` for a kind, or a shape of one, that this version does not
    /// know.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let mut fields = record.details.clone();
        fields.insert("event".to_owned(), Value::String(record.event.clone()));
        serde_json::from_value(Value::Object(fields)).ok()
    }

    /// The kinds that this version knows, as they are called in a record.
    #[must_use]
    pub fn kinds() -> Vec<String> {
        // serde's own list, which is complete by its making, stands in its words about a stranger.
        let stranger = serde_json::from_str::<Self>(r#"{"event":""}"#);
        let words = stranger.err().map(|error| error.to_string()).unwrap_or_default();
        words.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Event;
    use crate::admin::Record;

    fn record(event: &str, details: &serde_json::Value) -> Record {
        Record {
            id: 1,
            at: 0,
            request: None,
            user: "alice".into(),
            actor: "claimant".into(),
            event: event.into(),
            details: details.as_object().cloned().expect("an object"),
        }
    }

    #[test]
    fn kinds_are_the_words_of_records() {
        let kinds = Event::kinds();
        assert_eq!(kinds.first().map(String::as_str), Some("login-ignored"));
        assert_eq!(kinds.last().map(String::as_str), Some("refused"));
        assert_eq!(kinds.len(), 44, "{kinds:?}");
    }

    #[test]
    fn what_a_newer_daemon_adds_does_no_harm() {
        let wrong = json!({ "tries_left": 2 });
        let more = json!({ "tries_left": 2, "mood": "bad" });
        let expected = Some(Event::CodeWrong { tries_left: 2 });
        assert_eq!(Event::of(&record("code-wrong", &wrong)), expected);
        assert_eq!(Event::of(&record("code-wrong", &more)), expected);
        assert_eq!(Event::of(&record("code-forgotten", &wrong)), None);
        assert_eq!(Event::of(&record("code-wrong", &json!({}))), None);
    }
}
