//! One login as a story: from its beginning to its end, and what that means.

use std::fmt::Write;

use otp_proto::{admin::Record, event::Event};
use serde::Serialize;

use super::{
    event::{Style, place},
    json,
    reason::{Meaning, meaning},
    time::{local, utc},
    visible,
};

/// Two logins that share a request id are years apart; one login is over after minutes.
const APART: i64 = 24 * 3_600_000;
/// A prompt that was not answered for so long is not answered any more.
const STALE: i64 = 30 * 60_000;

/// The stories that records of one request id tell, the oldest first.
pub(crate) fn stories(records: &[Record]) -> Vec<&[Record]> {
    let same = |one: &Record, next: &Record| {
        one.user == next.user && next.at.saturating_sub(one.at) < APART
    };
    records.chunk_by(same).collect()
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// The right code was typed.
    Granted,
    /// An administrator had said that no code is asked for.
    Bypassed,
    /// No code was asked for.
    Ignored,
    /// Turned away.
    Denied,
    /// Ended without a success or a denial.
    Ended,
    /// The number was proved.
    Verified,
    /// A message without a code was asked for.
    Tested,
    /// An administrator's verb was refused.
    Refused,
    /// Somebody may still answer.
    Waiting,
    /// Nobody answers any more.
    Unanswered,
}

impl End {
    /// What comes after it changes nothing about it.
    const fn is_success(self) -> bool {
        match self {
            Self::Granted | Self::Bypassed | Self::Verified => true,
            Self::Ignored
            | Self::Denied
            | Self::Ended
            | Self::Tested
            | Self::Refused
            | Self::Waiting
            | Self::Unanswered => false,
        }
    }
}

/// What a story comes to.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    request: Option<String>,
    user: String,
    service: Option<String>,
    source: Option<String>,
    began_at: String,
    last_at: String,
    outcome: End,
    reason: Option<String>,
    until: Option<String>,
    messages_sent: usize,
    messages_failed: usize,
    messages_undelivered: usize,
    messages_delivered: usize,
    wrong_codes: usize,
    meaning: String,
    remedy: Option<String>,
    #[serde(skip)]
    recovered: bool,
    #[serde(skip)]
    until_millis: Option<i64>,
    #[serde(skip)]
    seconds: i64,
}

/// A story and what it comes to.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    summary: Summary,
    #[serde(serialize_with = "records")]
    records: &'a [Record],
}

fn records<S: serde::Serializer>(records: &[Record], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(records.iter().map(json::Record::new))
}

impl<'a> Explained<'a> {
    /// Reads a story; `None` for an empty one. `now`: Unix milliseconds.
    pub(crate) fn of(story: &'a [Record], now: i64) -> Option<Self> {
        let (first, last) = (story.first()?, story.last()?);
        let events: Vec<_> = story.iter().filter_map(Event::of).collect();
        let (service, source) = events.iter().find_map(whence).unwrap_or_default();
        let (end, reason, until) = end(&events, now.saturating_sub(last.at) > STALE);
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let messages_sent = count(|event| matches!(event, Event::MessageSent { .. }));
        let messages_failed = count(|event| matches!(event, Event::MessageFailed { .. }));
        let undelivered = |event: &Event| matches!(event, Event::MessageUndelivered { .. });
        let recovered = count(|event| matches!(event, Event::RecoveryCodeUsed { .. })) > 0;
        // A receipt may come after the success that it was waited for.
        let succeeds = |record: &&Record| Event::of(record).is_some_and(|event| succeeds(&event));
        let over = story.iter().find(succeeds).unwrap_or(last).at;
        let mut summary = Summary {
            request: first.request.clone(),
            user: first.user.clone(),
            service: Some(service).filter(|service| !service.is_empty()),
            source,
            began_at: utc(first.at),
            last_at: utc(last.at),
            outcome: end,
            reason,
            until: until.map(utc),
            messages_sent,
            messages_failed,
            messages_undelivered: events.iter().filter(|event| undelivered(event)).count(),
            messages_delivered: count(delivered),
            wrong_codes: count(|event| matches!(event, Event::CodeWrong { .. })),
            meaning: String::new(),
            remedy: None,
            recovered,
            until_millis: until,
            seconds: over.saturating_sub(first.at) / 1000,
        };
        summary.conclude();
        Some(Self { summary, records: story })
    }
}

fn succeeds(event: &Event) -> bool {
    matches!(
        event,
        Event::LoginGranted { .. } | Event::LoginBypassed { .. } | Event::Verified { .. }
    )
}

fn delivered(event: &Event) -> bool {
    matches!(event, Event::MessageStatus { status, .. } if status == "delivered")
}

/// Service and address, from the first event that tells them.
fn whence(event: &Event) -> Option<(String, Option<String>)> {
    match event {
        Event::LoginDenied { service, source, .. }
        | Event::LoginGranted { service, source }
        | Event::LoginBypassed { service, source, .. }
        | Event::CodeWithheld { service, source, .. }
        | Event::CodeIssued { service, source, .. } => Some((service.clone(), source.clone())),
        Event::LoginIgnored { service, .. } | Event::LoginResumed { service } => {
            Some((service.clone(), None))
        }
        Event::CodeWrong { .. }
        | Event::CodeEarlier {}
        | Event::RecoveryCodeUsed { .. }
        | Event::RecoveryCodeWrong { .. }
        | Event::RecoveryCodeHeld { .. }
        | Event::OwnerTold { .. }
        | Event::ChallengeEnded { .. }
        | Event::MessageHeld { .. }
        | Event::ConversionLow { .. }
        | Event::SiteUnderAttack {}
        | Event::MessageSent { .. }
        | Event::MessageFailed { .. }
        | Event::MessageUndelivered { .. }
        | Event::MessageStatus { .. }
        | Event::CallKeyWrong { .. }
        | Event::OptedOut { .. }
        | Event::OptedIn { .. }
        | Event::OptOutUndone { .. }
        | Event::Enrolled { .. }
        | Event::Verified { .. }
        | Event::Disabled {}
        | Event::Enabled {}
        | Event::Removed {}
        | Event::DamagedRemoved { .. }
        | Event::RecoveryCodesMade { .. }
        | Event::BypassGranted { .. }
        | Event::BypassRevoked { .. }
        | Event::Unlocked {}
        | Event::NumberRevealed { .. }
        | Event::TestMessage { .. }
        | Event::ClockConfirmed { .. }
        | Event::KeyRotated { .. }
        | Event::BackupTaken { .. }
        | Event::RestoreBegun { .. }
        | Event::BackupRestored { .. }
        | Event::NumberRestored { .. }
        | Event::Refused { .. } => None,
    }
}

/// How it ended, why, and until when that holds.
fn end(events: &[Event], stale: bool) -> (End, Option<String>, Option<i64>) {
    let mut end = (if stale { End::Unanswered } else { End::Waiting }, None, None);
    for event in events {
        // What comes after a success changes nothing about it.
        if end.0.is_success() {
            break;
        }
        let over = !matches!(end.0, End::Waiting | End::Unanswered);
        match event {
            Event::LoginGranted { .. } => end = (End::Granted, None, None),
            Event::TestMessage { .. } => end = (End::Tested, None, None),
            Event::Verified { .. } => end = (End::Verified, None, None),
            Event::LoginBypassed { .. } => end = (End::Bypassed, None, None),
            // It goes on, but with a recovery code alone.
            Event::CodeWithheld { reason, .. } if !over => end.1 = Some(reason.clone()),
            Event::LoginIgnored { reason, .. } => end = (End::Ignored, Some(reason.clone()), None),
            // Said of every further run of what was denied: the first one says why.
            Event::LoginDenied { reason, .. }
                if over && ["denied-before", "login-ended"].contains(&reason.as_str()) => {}
            Event::LoginDenied { reason, until, .. } => {
                end = (End::Denied, Some(reason.clone()), *until);
            }
            Event::Refused { reason, until, .. } if !over => {
                end = (End::Refused, Some(reason.clone()), *until);
            }
            Event::ChallengeEnded { how } => end = (End::Ended, Some(how.clone()), None),
            // The same proof goes on with a further code.
            Event::CodeIssued { .. } if end.0 == End::Refused => {
                end = (if stale { End::Unanswered } else { End::Waiting }, None, None);
            }
            Event::Refused { .. }
            | Event::CodeWithheld { .. }
            | Event::CodeIssued { .. }
            | Event::LoginResumed { .. }
            | Event::CodeWrong { .. }
            | Event::CodeEarlier {}
            | Event::RecoveryCodeUsed { .. }
            | Event::RecoveryCodeWrong { .. }
            | Event::RecoveryCodeHeld { .. }
            | Event::OwnerTold { .. }
            | Event::MessageHeld { .. }
            | Event::ConversionLow { .. }
            | Event::SiteUnderAttack {}
            | Event::MessageSent { .. }
            | Event::MessageFailed { .. }
            | Event::MessageUndelivered { .. }
            | Event::MessageStatus { .. }
            | Event::CallKeyWrong { .. }
            | Event::OptedOut { .. }
            | Event::OptedIn { .. }
            | Event::OptOutUndone { .. }
            | Event::Enrolled { .. }
            | Event::Disabled {}
            | Event::Enabled {}
            | Event::Removed {}
            | Event::DamagedRemoved { .. }
            | Event::RecoveryCodesMade { .. }
            | Event::BypassGranted { .. }
            | Event::BypassRevoked { .. }
            | Event::Unlocked {}
            | Event::NumberRevealed { .. }
            | Event::ClockConfirmed { .. }
            | Event::KeyRotated { .. }
            | Event::BackupTaken { .. }
            | Event::RestoreBegun { .. }
            | Event::BackupRestored { .. }
            | Event::NumberRestored { .. } => {}
        }
    }
    end
}

impl Summary {
    /// Puts what it means, and what to do, in words.
    fn conclude(&mut self) {
        let reason = self.reason.clone().unwrap_or_default();
        let withheld = meaning(&reason, &self.user);
        let Meaning { means, remedy } = match self.outcome {
            End::Granted if self.recovered => plain("a recovery code was typed"),
            End::Bypassed => plain("an administrator had granted a bypass"),
            End::Granted => plain("the right code was typed in time"),
            End::Tested if self.messages_delivered > 0 => plain("the message arrived"),
            End::Tested if self.messages_sent > 0 => {
                plain("a vendor took the message; whether it arrived, says the telephone")
            }
            End::Tested => plain("a message without a code was asked for"),
            End::Verified => plain("the code came back, so the number is the user's"),
            End::Ended => ended(&reason),
            End::Waiting if !reason.is_empty() => Meaning {
                means: "only a recovery code may be typed",
                remedy: withheld.as_ref().and_then(|why| why.remedy.clone()),
            },
            End::Unanswered if !reason.is_empty() => Meaning {
                means: "only a recovery code could be typed, and nobody did any more",
                remedy: withheld.as_ref().and_then(|why| why.remedy.clone()),
            },
            End::Waiting => plain("a code was asked for and may still be typed"),
            End::Unanswered => plain("nobody typed a code any more, and by now it has expired"),
            End::Ignored | End::Denied | End::Refused => {
                meaning(&reason, &self.user).unwrap_or_else(|| plain("see the events above"))
            }
        };
        means.clone_into(&mut self.meaning);
        self.remedy = remedy;
        if matches!(self.outcome, End::Waiting | End::Unanswered)
            && let Some(why) = withheld
        {
            self.meaning += ", because ";
            self.meaning += why.means;
        }
        let succeeded = self.outcome.is_success();
        if self.messages_undelivered > 0 && !succeeded {
            self.meaning += "; the carrier reports that a message did not arrive";
        }
        if self.messages_failed > 0 && self.messages_sent == 0 && !succeeded {
            self.meaning += "; no gateway took a message";
            self.remedy = Some("mend the gateway, see: otpctl status".to_owned());
        }
    }
}

fn plain(means: &'static str) -> Meaning {
    Meaning { means, remedy: None }
}

fn ended(how: &str) -> Meaning {
    let again = Some("log in again".to_owned());
    match how {
        "cancelled" => plain("the user interrupted it or went away, or an administrator ended it"),
        "superseded" => plain("newer logins from the same address took its place"),
        "expired" => Meaning { means: "the code was not typed in time", remedy: again },
        "spent" => Meaning { means: "wrong codes have used up its tries", remedy: again },
        _ => plain("it ended without a success"),
    }
}

/// The story for people.
pub(crate) fn text(explained: &Explained<'_>, style: &Style<'_>) -> String {
    let Explained { summary, records } = explained;
    let request = summary.request.as_deref().unwrap_or("-");
    let place = match &summary.service {
        Some(service) => place(service, summary.source.as_deref()),
        None if summary.outcome == End::Tested => "test message".to_owned(),
        None => "proof of a number".to_owned(),
    };
    let mut text = visible(&format!("{request}: {}, {place}", summary.user)) + "\n\n";
    // Writing to a string cannot fail.
    for record in *records {
        let (at, story) = (local(record.at, style.zone), style.story(record));
        let _ = writeln!(text, "{at} {story}");
    }
    let outcome = match summary.outcome {
        End::Granted => format!("Granted after {} s", summary.seconds),
        End::Verified => format!("Verified after {} s", summary.seconds),
        End::Bypassed => "Let in without a code".to_owned(),
        End::Ignored => "Let through without a code".to_owned(),
        End::Denied => "Denied".to_owned(),
        End::Tested => "Tested".to_owned(),
        End::Refused => "Refused".to_owned(),
        End::Ended => "Over".to_owned(),
        End::Waiting => "Not over".to_owned(),
        End::Unanswered => "Not answered".to_owned(),
    };
    let until = summary.until_millis.map(|at| format!("; that ends at {}", local(at, style.zone)));
    let until = until.unwrap_or_default();
    let _ = writeln!(text, "\n{outcome}: {}{until}.", summary.meaning);
    if let Some(remedy) = &summary.remedy {
        let _ = writeln!(text, "To do: {}", visible(remedy));
    }
    text
}

#[cfg(test)]
mod tests;
