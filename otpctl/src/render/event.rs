//! Events of the audit trail in words: one line each.

use jiff::{civil::Date, tz::TimeZone};
use otp_proto::{admin::Record, event::Event};
use serde_json::Value;

use super::{time::local_since, visible};

/// What an event is to whoever looks for trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// Begins and ends a colour on a terminal.
    fn colour(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("\u{1b}[32m", "\u{1b}[0m"),
            Self::Bad => ("\u{1b}[31m", "\u{1b}[0m"),
            Self::Plain => ("", ""),
        }
    }
}

/// How lines look.
pub(crate) struct Style<'a> {
    /// The zone in which people read times.
    pub(crate) zone: &'a TimeZone,
    /// Events of this day have no date.
    pub(crate) today: Date,
    /// Whether words are coloured.
    pub(crate) colours: bool,
}

impl Style<'_> {
    /// A line of `log`: when, who, what, and the request it belongs to.
    pub(crate) fn line(&self, record: &Record) -> String {
        let at = local_since(record.at, self.zone, self.today);
        let user = visible(&record.user);
        let request = record.request.as_deref().map(|id| format!(" ({})", visible(id)));
        let story = self.story(record);
        format!("{at} {user} {story}{}\n", request.unwrap_or_default())
    }

    /// What happened, and who brought it about where that is not plain.
    pub(crate) fn story(&self, record: &Record) -> String {
        let (tone, what, details) = words(record);
        let (on, off) = if self.colours { tone.colour() } else { ("", "") };
        let details = if details.is_empty() { details } else { format!(": {details}") };
        let by = match record.actor.as_str() {
            "claimant" | "otpd" => String::new(),
            "uid 0" => ", by root".to_owned(),
            actor => format!(", by {actor}"),
        };
        // Where hosts share a trail, and the event is one whose details are put in words.
        let host = record.details.get("host").and_then(|host| host.as_str());
        let host = host.filter(|_| Event::of(record).is_some());
        let by = by + &host.map(|host| format!(", on {host}")).unwrap_or_default();
        format!("{on}{}{off}{}", visible(&what), visible(&(details + &by)))
    }
}

/// The tone of a record, what happened, and its details.
fn words(record: &Record) -> (Tone, String, String) {
    match Event::of(record) {
        Some(event) => {
            let (tone, what, details) = known(&event);
            let verb = if let Event::Refused { verb, .. } = &event { verb.as_str() } else { "" };
            (tone, format!("{verb} {what}").trim_start().to_owned(), details)
        }
        // A newer daemon's: its own words are better than none.
        None => (Tone::Plain, record.event.replace('-', " "), plain_details(record)),
    }
}

fn known(event: &Event) -> (Tone, &'static str, String) {
    use Tone::{Bad, Good, Plain};
    match event {
        Event::LoginIgnored { service, reason } => {
            (Plain, "login without a code", format!("{reason}, {service}"))
        }
        Event::LoginDenied { service, source, reason, until: _ } => {
            (Bad, "login denied", join([reason.clone(), place(service, source.as_deref())]))
        }
        Event::LoginGranted { service, source } => {
            (Good, "login granted", place(service, source.as_deref()))
        }
        Event::LoginBypassed { service, source, bypass, granted_by, reason, uses_left } => {
            let place = place(service, source.as_deref());
            let details = bypassed(bypass, *granted_by, *uses_left, place, reason);
            (Bad, "login without a code by a bypass", details)
        }
        Event::CodeWithheld { service, source, reason } => {
            let place = place(service, source.as_deref());
            (Bad, "code withheld, recovery code asked for", join([reason.clone(), place]))
        }
        Event::CodeIssued { service, source, channel, reference, ending, why } => {
            let to = format!("{} to ..{ending}", message(channel));
            let again = if why == "login" { String::new() } else { why.clone() };
            let place = place(service, source.as_deref());
            (Plain, "code issued", join([to, format!("ref {reference}"), again, place]))
        }
        Event::LoginResumed { service } => (Plain, "login resumed", service.clone()),
        Event::CodeWrong { tries_left } => (Bad, "wrong code", tries(*tries_left)),
        Event::CodeEarlier {} => (Plain, "earlier code typed", "no try used".to_owned()),
        Event::RecoveryCodeUsed { left } => {
            (Good, "recovery code used", format!("{} left", count(*left, "code", "codes")))
        }
        Event::RecoveryCodeWrong { tries_left } => (Bad, "wrong recovery code", tries(*tries_left)),
        Event::RecoveryCodeHeld { limit, .. } => (Bad, "recovery code held back", limit.clone()),
        Event::OwnerTold { about, sent: true } => (Plain, "owner told by text", about.clone()),
        Event::OwnerTold { about, sent: false } => (Bad, "owner could not be told", about.clone()),
        Event::ChallengeEnded { how } => (Plain, "ended without success", how.clone()),
        Event::MessageHeld { limit, until: _ } => (Bad, "message held back", limit.clone()),
        Event::ConversionLow { scope, country, messages, answered, blocked } => {
            let details = low(scope, country, [*messages, *answered], *blocked);
            (Bad, "few messages answered", details)
        }
        Event::SiteUnderAttack {} => attacked(),
        Event::MessageSent { gateway, vendor_id, certain } => {
            let what = if *certain { "message accepted" } else { "message perhaps sent" };
            (Plain, what, join([gateway.clone(), named(vendor_id.as_deref().unwrap_or_default())]))
        }
        Event::MessageFailed { gateway, reason } => {
            (Bad, "message failed", join([gateway.clone(), reason.clone()]))
        }
        Event::MessageUndelivered { gateway, vendor_id, reason, then } => {
            let (id, then) = (named(vendor_id), then.replace('-', " "));
            (Bad, "message did not arrive", join([gateway.clone(), id, reason.clone(), then]))
        }
        Event::MessageStatus { gateway, vendor_id, status } => {
            followed(status, join([gateway.clone(), named(vendor_id)]))
        }
        Event::CallKeyWrong { gateway } => (Bad, "wrong key in a call", gateway.clone()),
        Event::OptedOut { ending, gateway } => stopped(ending, gateway),
        Event::OptedIn { ending, gateway } => {
            (Plain, "messages allowed again", opted_in(ending, gateway.as_deref()))
        }
        Event::OptOutUndone { ending, gateway } => undone(ending, gateway),
        Event::Enrolled { ending, country, channel, replaced } => {
            (Plain, "number registered", number(ending, country, channel, *replaced))
        }
        Event::Verified { ending } => (Good, "number verified", format!("..{ending}")),
        Event::Disabled {} => (Plain, "disabled", String::new()),
        Event::Enabled {} => (Plain, "enabled", String::new()),
        Event::Removed {} => (Plain, "number removed", String::new()),
        Event::DamagedRemoved { what, name } => taken_away(what, name.as_deref()),
        Event::RecoveryCodesMade { codes, replaced } => {
            (Plain, "recovery codes made", made(*codes, *replaced))
        }
        Event::BypassGranted { bypass, seconds, uses, from, reason } => {
            (Bad, "bypass granted", granted(bypass, *seconds, *uses, from.as_deref(), reason))
        }
        Event::BypassRevoked { bypass } => (Plain, "bypass ended", bypass.clone()),
        Event::Unlocked {} => (Plain, "unlocked", String::new()),
        Event::NumberRevealed { ending } => (Plain, "number shown in full", format!("..{ending}")),
        Event::TestMessage { ending, country, channel, gateway, reference } => {
            let to = [ending, country, channel, reference];
            (Plain, "test message", tried(to, gateway.as_deref()))
        }
        Event::ClockConfirmed { ahead_seconds } => {
            (Plain, "clock confirmed", confirmed(*ahead_seconds))
        }
        Event::KeyRotated { key, numbers } => rotated(key, *numbers),
        Event::BackupTaken { backup, accounts, log } => {
            (Plain, "backup made", backed_up(backup, *accounts, *log))
        }
        Event::RestoreBegun { backup, taken_at } => begun(backup, *taken_at),
        Event::BackupRestored { backup, taken_at, enrolled, changed } => {
            (Bad, "backup restored", put_back(backup, *taken_at, [*enrolled, *changed]))
        }
        Event::NumberRestored { ending, country, channel } => {
            (Plain, "number restored from a backup", number(ending, country, channel, false))
        }
        // The verb stands before it.
        Event::Refused { verb: _, reason, until: _ } => (Bad, "refused", reason.clone()),
    }
}

/// Rows that could not be read.
fn taken_away(what: &str, name: Option<&str>) -> (Tone, &'static str, String) {
    let of = name.map_or_else(|| what.to_owned(), |name| format!("{what} {name}"));
    (Tone::Bad, "damaged rows taken away", of)
}

/// An end to messages.
fn stopped(ending: &str, gateway: &str) -> (Tone, &'static str, String) {
    let details = join([format!("..{ending}"), gateway.to_owned()]);
    (Tone::Bad, "messages stopped by a reply with STOP", details)
}

/// An end to messages that was none.
fn undone(ending: &str, gateway: &str) -> (Tone, &'static str, String) {
    let details = join([format!("..{ending}"), format!("{gateway} is not believed")]);
    (Tone::Plain, "messages allowed again", details)
}

/// Recovery codes that were made, and those that no longer work.
fn made(codes: u32, replaced: u32) -> String {
    let void = (replaced > 0).then(|| format!("{replaced} earlier void"));
    join([count(codes, "code", "codes"), void.unwrap_or_default()])
}

/// How far the clock was off.
fn confirmed(ahead_seconds: i64) -> String {
    let way = if ahead_seconds < 0 { "behind" } else { "ahead" };
    format!("{} s {way}", ahead_seconds.unsigned_abs())
}

/// The whole site is guessed at.
fn attacked() -> (Tone, &'static str, String) {
    (Tone::Bad, "many wrong codes on this host", "codes have eight digits now".to_owned())
}

/// Another master key.
fn rotated(key: &str, numbers: u64) -> (Tone, &'static str, String) {
    (Tone::Bad, "master key rotated", format!("to {key}, numbers: {numbers}"))
}

/// A backup that was made.
fn backed_up(backup: &str, accounts: u64, log: bool) -> String {
    let log = if log { "with the log" } else { "without the log" };
    join([backup.to_owned(), users(accounts), log.to_owned()])
}

/// A backup that was restored: how many users came back, and of how many anything was changed.
fn put_back(backup: &str, taken_at: i64, [back, changed]: [u64; 2]) -> String {
    let of = of_backup(backup, taken_at);
    join([of, format!("{} back", users(back)), format!("{} changed", users(changed))])
}

/// A restore that was begun.
fn begun(backup: &str, taken_at: i64) -> (Tone, &'static str, String) {
    (Tone::Bad, "restore of a backup begun", of_backup(backup, taken_at))
}

/// A backup and when it was taken.
fn of_backup(backup: &str, taken_at: i64) -> String {
    format!("{backup} of {}", super::time::utc(taken_at))
}

fn users(number: u64) -> String {
    format!("{number} {}", if number == 1 { "user" } else { "users" })
}

/// Too few messages that were answered, of so many.
fn low(scope: &str, country: &str, [messages, answered]: [u32; 2], blocked: bool) -> String {
    let of = format!("{answered} of {messages} in an hour");
    let blocked = if blocked { "blocked" } else { "" };
    join([format!("{scope} in {country}"), of, blocked.to_owned()])
}

/// Messages that may go to a number again.
fn opted_in(ending: &str, gateway: Option<&str>) -> String {
    let by = if gateway.is_some() { "by START" } else { "by otpctl unlock" };
    join([format!("..{ending}"), by.to_owned(), gateway.unwrap_or_default().to_owned()])
}

/// How far a message is that a vendor took; `details` name it.
fn followed(status: &str, details: String) -> (Tone, &'static str, String) {
    match status {
        "delivered" => (Tone::Good, "message delivered", details),
        "unconfirmed" => {
            (Tone::Plain, "message perhaps delivered, the carrier does not say", details)
        }
        other => (Tone::Plain, "message followed", join([details, other.to_owned()])),
    }
}

/// A login by a bypass.
fn bypassed(bypass: &str, by: u32, uses: Option<u32>, place: String, reason: &str) -> String {
    let left = uses.map(|uses| format!("{} left", count(uses, "use", "uses"))).unwrap_or_default();
    let by = format!("granted by {}", person(by));
    join([bypass.to_owned(), by, left, place, reason.to_owned()])
}

/// A bypass that was granted.
fn granted(
    bypass: &str,
    seconds: u64,
    uses: Option<u32>,
    from: Option<&str>,
    reason: &str,
) -> String {
    let uses = uses.map(|uses| count(uses, "use", "uses")).unwrap_or_default();
    let from = from.map(|from| format!("from {from}")).unwrap_or_default();
    join([bypass.to_owned(), format!("for {seconds} s"), uses, from, reason.to_owned()])
}

/// A test message: to which number, country and channel, with which reference, through whom.
fn tried([ending, country, channel, reference]: [&String; 4], gateway: Option<&str>) -> String {
    let to = format!("{} to ..{ending}", message(channel));
    let by = gateway.map(|gateway| format!("through {gateway}")).unwrap_or_default();
    join([to, country.clone(), format!("ref {reference}"), by])
}

/// A number that was registered.
fn number(ending: &str, country: &str, channel: &str, replaced: bool) -> String {
    let replaced = if replaced { "in place of another" } else { "" };
    let by = format!("by {}", message(channel));
    join([format!("..{ending}"), country.to_owned(), by, replaced.to_owned()])
}

/// A uid, as a person.
fn person(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("uid {uid}") }
}

/// A number of things.
fn count(number: u32, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

fn tries(left: u32) -> String {
    format!("{} left", count(left, "try", "tries"))
}

/// `sshd from 203.0.113.9`.
pub(crate) fn place(service: &str, source: Option<&str>) -> String {
    match source {
        Some(source) if service.is_empty() => format!("from {source}"),
        Some(source) => format!("{service} from {source}"),
        None => service.to_owned(),
    }
}

/// A channel in words.
pub(crate) fn message(channel: &str) -> &str {
    match channel {
        "sms" => "text",
        "voice" => "call",
        other => other,
    }
}

/// The vendor's name for a message; some vendors give none.
fn named(vendor_id: &str) -> String {
    if vendor_id.is_empty() { String::new() } else { format!("id {vendor_id}") }
}

/// What there is of these, with commas.
fn join<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn plain_details(record: &Record) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let details = record.details.iter().map(|(name, value)| format!("{name} {}", text(value)));
    details.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests;
