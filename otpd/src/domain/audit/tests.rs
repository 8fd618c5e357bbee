//! One event of each kind, for every test that must know them all.

use super::Event;
use crate::domain::time::Timestamp;

/// The name of a backup.
const BACKUP: &str = "0f1e2d3c4b5a6978";
/// When that was taken.
const TAKEN_AT: Timestamp = Timestamp(1_785_585_600_000);

/// One of each kind.
pub(crate) fn every_kind() -> Vec<Event> {
    let first = Event::LoginIgnored { service: "sshd".into(), reason: "exempt" };
    std::iter::successors(Some(first), next).collect()
}

/// The kind that follows. Without an arm for each kind this does not compile; a new kind is named
/// by the one before it.
fn next(event: &Event) -> Option<Event> {
    let (service, source) = ("sshd".to_owned(), Some("203.0.113.9".to_owned()));
    let (gateway, until) = ("telnyx".to_owned(), Some(Timestamp(1_785_585_600_000)));
    let (ending, country) = ("42".to_owned(), "US".to_owned());
    Some(match event {
        Event::LoginIgnored { .. } => {
            Event::LoginDenied { service, source, reason: "unanswered-per-hour", until }
        }
        Event::LoginDenied { .. } => Event::LoginGranted { service, source },
        Event::LoginGranted { .. } => bypassed(service, source),
        Event::LoginBypassed { .. } => {
            Event::CodeWithheld { service, source, reason: "unanswered-per-day" }
        }
        Event::CodeWithheld { .. } => Event::CodeIssued {
            service,
            source,
            channel: "sms",
            reference: "K7".to_owned(),
            ending,
            why: "login",
        },
        Event::CodeIssued { .. } => Event::LoginResumed { service },
        Event::LoginResumed { .. } => Event::CodeWrong { tries_left: 2 },
        Event::CodeWrong { .. } => Event::CodeEarlier {},
        Event::CodeEarlier {} => Event::RecoveryCodeUsed { left: 7 },
        Event::RecoveryCodeUsed { .. } => Event::RecoveryCodeWrong { tries_left: 4 },
        Event::RecoveryCodeWrong { .. } => {
            Event::RecoveryCodeHeld { limit: "recovery-codes-per-hour", until }
        }
        Event::RecoveryCodeHeld { .. } => {
            Event::OwnerTold { about: "recovery-code-used", sent: true }
        }
        Event::OwnerTold { .. } => Event::ChallengeEnded { how: "expired" },
        Event::ChallengeEnded { .. } => Event::MessageHeld { limit: "messages-per-hour", until },
        Event::MessageHeld { .. } => Event::ConversionLow {
            scope: "country",
            country,
            messages: 25,
            answered: 3,
            blocked: false,
        },
        Event::ConversionLow { .. } => Event::SiteUnderAttack {},
        Event::SiteUnderAttack {} => {
            Event::MessageSent { gateway, vendor_id: Some("m-1".to_owned()), certain: true }
        }
        Event::MessageSent { .. } => {
            Event::MessageFailed { gateway, reason: "no credit".to_owned() }
        }
        Event::MessageFailed { .. } => Event::MessageUndelivered {
            gateway,
            vendor_id: "m-1".to_owned(),
            reason: "absent subscriber".to_owned(),
            then: "sent-again",
        },
        Event::MessageUndelivered { .. } => {
            Event::MessageStatus { gateway, vendor_id: "m-1".to_owned(), status: "delivered" }
        }
        Event::MessageStatus { .. } => Event::CallKeyWrong { gateway },
        Event::CallKeyWrong { .. } => Event::OptedOut { ending, gateway },
        Event::OptedOut { .. } => Event::OptedIn { ending, gateway: Some(gateway) },
        Event::OptedIn { .. } => Event::OptOutUndone { ending, gateway },
        Event::OptOutUndone { .. } => {
            Event::Enrolled { ending, country, channel: "sms", replaced: false }
        }
        Event::Enrolled { .. } => Event::Verified { ending },
        Event::Verified { .. } => Event::Disabled {},
        Event::Disabled {} => Event::Enabled {},
        Event::Enabled {} => Event::Removed {},
        Event::Removed {} => damaged(),
        Event::DamagedRemoved { .. } => {
            Event::KeyRotated { key: "00c0ffee".to_owned(), numbers: 3 }
        }
        Event::KeyRotated { .. } => Event::RecoveryCodesMade { codes: 8, replaced: 3 },
        Event::RecoveryCodesMade { .. } => granted(),
        Event::BypassGranted { .. } => Event::BypassRevoked { bypass: "1Z6P-0M".to_owned() },
        Event::BypassRevoked { .. } => Event::Unlocked {},
        Event::Unlocked {} => Event::NumberRevealed { ending },
        Event::NumberRevealed { .. } => Event::TestMessage {
            ending,
            country,
            channel: "sms",
            gateway: Some(gateway),
            reference: "K7".to_owned(),
        },
        Event::TestMessage { .. } => Event::ClockConfirmed { ahead_seconds: -7200 },
        Event::ClockConfirmed { .. } => {
            Event::BackupTaken { backup: BACKUP.to_owned(), accounts: 3, log: true }
        }
        Event::BackupTaken { .. } => begun(),
        Event::RestoreBegun { .. } => restored(),
        Event::BackupRestored { .. } => Event::NumberRestored { ending, country, channel: "sms" },
        Event::NumberRestored { .. } => {
            Event::Refused { verb: "verify", reason: "not-a-code", until: None }
        }
        Event::Refused { .. } => return None,
    })
}

fn bypassed(service: String, source: Option<String>) -> Event {
    Event::LoginBypassed {
        service,
        source,
        bypass: "1Z6P-0M".to_owned(),
        granted_by: 1000,
        reason: "lost phone".to_owned(),
        uses_left: Some(2),
    }
}

fn damaged() -> Event {
    Event::DamagedRemoved { what: "name", name: Some("/al%2Fice".to_owned()) }
}

fn granted() -> Event {
    Event::BypassGranted {
        bypass: "1Z6P-0M".to_owned(),
        seconds: 3600,
        uses: Some(3),
        from: Some("203.0.113.0/24".to_owned()),
        reason: "lost phone".to_owned(),
    }
}

fn begun() -> Event {
    Event::RestoreBegun { backup: BACKUP.to_owned(), taken_at: TAKEN_AT }
}

fn restored() -> Event {
    let backup = BACKUP.to_owned();
    Event::BackupRestored { backup, taken_at: TAKEN_AT, enrolled: 1, changed: 2 }
}

#[test]
fn every_kind_stands_in_the_list_once() {
    let names = every_kind().iter().map(name).collect::<Vec<_>>();
    let unique = names.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(unique.len(), names.len(), "{names:?}");
}

fn name(event: &Event) -> String {
    let value = serde_json::to_value(event).expect("JSON");
    value["event"].as_str().expect("a kind").to_owned()
}
