//! Results for people.

use std::path::Path;

use jiff::tz::TimeZone;
use otp_proto::admin::{
    Channel, Delivery, DeliveryStatus, Enrolled, Gateway, GatewayState, Host, HostState,
    KeyRotated, Limit, OptOut, Shown, State, StatusReply, Subscriber, Unlocked, finish_rotation,
};

pub(crate) use super::bypass::{bypassed, bypasses, hand_over, no_bypass, recovery_codes, revoked};
pub(crate) use super::examined::examined;
use super::{KEY_FILE, is_damaged, table, time::local, visible, word};

/// Whether wrong codes have locked an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// They have not.
    Open,
    /// Until then, Unix milliseconds.
    Until(i64),
    /// Until it is unlocked.
    Endless,
}

impl Lock {
    /// What the limits that hold now come to.
    pub(crate) fn of(limits: &[Limit]) -> Self {
        // Only limits of this name lock an account; the others hold messages back.
        let locks = limits.iter().filter(|limit| limit.name.starts_with("wrong-codes"));
        locks.fold(Self::Open, |lock, limit| match (lock, limit.until) {
            (Self::Endless, _) | (_, None) => Self::Endless,
            (Self::Until(one), Some(other)) => Self::Until(one.max(other)),
            (Self::Open, Some(end)) => Self::Until(end),
        })
    }
}

/// Result of `enroll` whose message is under way.
pub(crate) fn enrolled(enrolled: &Enrolled, zone: &TimeZone) -> String {
    let Subscriber { user, phone, .. } = &enrolled.subscriber;
    let phone = visible(phone);
    format!(
        "{name} is registered with {phone}, which is not verified yet.\n\
         {message}\n\
         Ask {name} to read it to you, then run: otpctl verify {user}\n",
        name = visible(user),
        message = under_way(&enrolled.delivery, &phone, zone),
        user = word(user),
    )
}

/// `enroll` registered the number and could not send the message.
pub(crate) fn enrolled_unsent(enrolled: &Enrolled) -> String {
    let Subscriber { user, phone, .. } = &enrolled.subscriber;
    format!(
        "{phone} is registered for {name}, but {why}; once that is mended run: \
         otpctl resend {user}",
        name = visible(user),
        phone = visible(phone),
        why = not_sent(&enrolled.delivery),
        user = word(user),
    )
}

/// Result of `resend` whose message is under way.
pub(crate) fn resent(user: &str, delivery: &Delivery, zone: &TimeZone) -> String {
    let name = visible(user);
    format!(
        "{message}\n\
         Earlier codes no longer count. Once the new one is there, run: otpctl verify {user}\n",
        message = under_way(delivery, &format!("the number of {name}"), zone),
        user = word(user),
    )
}

/// `resend` could not send the message.
pub(crate) fn resend_failed(user: &str, delivery: &Delivery) -> String {
    let why = not_sent(delivery);
    format!("{why}; once that is mended run again: otpctl resend {}", word(user))
}

/// Result of `verify`.
pub(crate) fn verified(subscriber: &Subscriber) -> String {
    let Subscriber { user, phone, .. } = subscriber;
    let proved = format!("{} is verified for {}.\n", visible(phone), visible(user));
    proved + &consequence(subscriber)
}

/// Result of a verb after which the account `is` something.
pub(crate) fn changed(subscriber: &Subscriber, is: &str) -> String {
    format!("{} {is}.\n", visible(&subscriber.user)) + &consequence(subscriber)
}

/// Result of `unlock`.
pub(crate) fn unlocked(unlocked: &Unlocked) -> String {
    let is = "is unlocked: the limits that wrong codes brought are over";
    let phone = visible(&unlocked.subscriber.phone);
    let again = if unlocked.opted_in {
        format!(
            "Messages may go to {phone} again; a vendor that was told STOP sends them once START \
             is sent to it from there.\n"
        )
    } else {
        String::new()
    };
    changed(&unlocked.subscriber, is) + &again
}

/// Result of `remove`.
pub(crate) fn removed(user: &str, damaged: bool) -> String {
    // Of a name that is damaged itself nobody knows whose it was.
    if damaged && is_damaged(user) {
        return format!(
            "The rows of {} are taken away. Whoever is missing now comes back with otpctl restore and your last \
             backup, or is enrolled again; until then their logins go by policy.unenrolled.\n",
            visible(user)
        );
    }
    if damaged {
        return format!(
            "What was stored of {user} was damaged, and is taken away; number, recovery codes and \
             bypasses are gone.\n\
             Bring {user} back with otpctl restore and your last backup, or enroll again.\n\
             Until then logins of {user} go by policy.unenrolled: where that is \"ignore\", they ask for no code. \
             Set \"deny\", or do it at once.\n\
             Where the log says that the number was replaced after the backup, it does not come back: \
             enroll the new one.\n",
            user = visible(user)
        );
    }
    format!(
        "{} is removed; number, recovery codes and bypasses are forgotten.\n\
         Logins go by policy.unenrolled from now on; unless it is set, they are denied.\n",
        visible(user)
    )
}

/// Result of `confirm-clock`.
pub(crate) fn clock_confirmed() -> String {
    "otpd goes by the clock again: limits refill and codes expire by it, and what is old is \
     deleted.\n"
        .into()
}

/// Result of `list`.
pub(crate) fn list(
    subscribers: &[(Subscriber, Option<OptOut>)],
    zone: &TimeZone,
    width: Option<u16>,
) -> String {
    if subscribers.is_empty() {
        return String::new();
    }
    let row = |(subscriber, opted_out): &(Subscriber, Option<OptOut>)| {
        let mark = if opted_out.is_some() { ", opted out" } else { "" };
        let verified = subscriber.verified_at.map_or_else(|| "-".into(), |at| local(at, zone));
        [
            subscriber.user.clone(),
            subscriber.phone.clone(),
            state(subscriber.state).to_owned() + mark,
            channel(subscriber.channel).into(),
            verified,
        ]
    };
    let header = ["USER", "PHONE", "STATE", "CHANNEL", "VERIFIED"];
    table::layout(Some(header), subscribers.iter().map(row), 0, width)
}

/// Result of `show`.
pub(crate) fn shown(shown: &Shown, zone: &TimeZone, width: Option<u16>) -> String {
    let subscriber = &shown.subscriber;
    let verified = subscriber.verified_at.map_or_else(|| "never".into(), |at| local(at, zone));
    let locked = match Lock::of(&shown.limits) {
        Lock::Open => "no".into(),
        Lock::Until(end) => format!("until {}", local(end, zone)),
        Lock::Endless => format!("until: otpctl unlock {}", word(&subscriber.user)),
    };
    let mut facts = vec![
        ("user", subscriber.user.clone()),
        ("phone", subscriber.phone.clone()),
        ("country", subscriber.country.clone()),
        ("state", state(subscriber.state).into()),
        ("channel", channel(subscriber.channel).into()),
        ("registered", local(subscriber.created_at, zone)),
        ("verified", verified),
        ("locked", locked),
        ("wrong codes in 24 h", shown.failures_24h.to_string()),
        ("messages in 24 h", shown.sends_24h.to_string()),
        ("logins under way", shown.live_challenges.to_string()),
        ("recovery codes left", shown.recovery_codes_left.to_string()),
    ];
    if let Some(reason) = &shown.undelivered {
        facts.push(("last message", format!("did not arrive: {reason}")));
    }
    if let Some(OptOut { at, gateway }) = &shown.opted_out {
        facts.push(("messages", format!("opted out since {} ({gateway})", local(*at, zone))));
    }
    let facts = facts_table(facts, width);
    let mut parts = vec![facts];
    if !shown.limits.is_empty() {
        parts.push(limits(&shown.limits, zone, width));
    }
    if !shown.bypasses.is_empty() {
        parts.push(bypasses(&shown.bypasses, zone, width));
    }
    parts.join("\n")
}

fn limits(limits: &[Limit], zone: &TimeZone, width: Option<u16>) -> String {
    let row = |limit: &Limit| {
        let until = limit.until.map_or_else(|| "unlocked".into(), |at| local(at, zone));
        [limit.name.clone(), local(limit.since, zone), until]
    };
    let rows = limits.iter().map(row);
    table::layout(Some(["LIMIT", "SINCE", "UNTIL"]), rows, 0, width)
}

/// Result of `status`. A daemon that has its store alone is told of in the first line.
pub(crate) fn status(
    status: &StatusReply,
    hosts: &[Host],
    zone: &TimeZone,
    width: Option<u16>,
) -> String {
    let StatusReply { pending, active, disabled, .. } = status;
    let mut facts = vec![
        ("otpd", format!("{} on {}", status.version, status.host)),
        ("store", status.store.clone()),
        ("enrolled", format!("{active} active, {pending} pending, {disabled} disabled")),
        ("logins under way", status.live_challenges.to_string()),
    ];
    if status.gateways.is_empty() {
        facts.push(("gateways", "none".into()));
    }
    if status.problems.is_empty() {
        facts.push(("problems", "none".into()));
    }
    facts.extend(status.problems.iter().map(|problem| ("problem", problem.clone())));
    let mut parts = vec![facts_table(facts, width)];
    if hosts.len() > 1 {
        parts.push(hosts_table(hosts, zone, width));
    }
    if !status.gateways.is_empty() {
        parts.push(gateways_table(&status.gateways, width));
    }
    parts.join("\n")
}

/// Result of `key rotate`.
pub(crate) fn key_rotated(done: &KeyRotated) -> String {
    let KeyRotated { key, numbers, without, finish } = done;
    let finish = finish.clone().unwrap_or_else(|| finish_rotation(Path::new(KEY_FILE)));
    let mut text = format!(
        "Everything is under the key {key}; numbers among it: {numbers}. Now, on every host (where \
         server.key-file is another one, otpctl status says it with that):\n\
         {finish}\n\
         Keep a copy of the new key where the database is not.\n\
         Backups from before need the key from before, whose name ends in .old then: keep it with them, and \
         nowhere else.\n\
         Take a new one (otpctl backup).\n",
        finish = visible(&finish)
    );
    if !without.is_empty() {
        text +=
            "These do not run and are not known to hold it; without it otpd will not work there: ";
        text += &without.join(", ");
        text += "\n";
    }
    text
}

/// A daemon a line, with the gateways that it cannot use.
fn hosts_table(hosts: &[Host], zone: &TimeZone, width: Option<u16>) -> String {
    let rows = hosts.iter().map(|host| {
        let state = match host.state {
            HostState::Here => "here",
            HostState::Running => "running",
            HostState::Silent => "silent",
            HostState::Stopped => "stopped",
        };
        let name = |gateway: &Gateway| gateway.name.clone();
        let down = host.gateways.iter().filter(|gateway| gateway.state != GatewayState::Ready);
        let down = down.map(name).collect::<Vec<_>>();
        let down = if down.is_empty() { "-".to_owned() } else { down.join(", ") };
        let seen = local(host.seen_at, zone);
        [host.name.clone(), host.version.clone(), state.into(), seen, down]
    });
    let header = ["HOST", "VERSION", "STATE", "LAST SEEN", "GATEWAYS DOWN"];
    table::layout(Some(header), rows, 4, width)
}

fn gateways_table(gateways: &[Gateway], width: Option<u16>) -> String {
    let rows = gateways.iter().map(|gateway| {
        let state = match gateway.state {
            GatewayState::Ready => "ready",
            GatewayState::Resting => "resting",
            GatewayState::Probing => "probing",
        };
        let reason = gateway.reason.clone().unwrap_or_else(|| "-".into());
        [gateway.name.clone(), gateway.kind.clone(), state.into(), reason]
    });
    let header = ["GATEWAY", "KIND", "STATE", "LAST FAILURE"];
    table::layout(Some(header), rows, 3, width)
}

/// A fact a line.
fn facts_table<'a>(
    facts: impl IntoIterator<Item = (&'a str, String)>,
    width: Option<u16>,
) -> String {
    let rows = facts.into_iter().map(|(key, value)| [key.to_owned(), value]);
    table::layout(None, rows, 1, width)
}

/// "A message with a code is on its way to ...".
fn under_way(delivery: &Delivery, to: &str, zone: &TimeZone) -> String {
    let what = message(delivery.channel);
    let (reference, until) = (visible(&delivery.reference), local(delivery.expires_at, zone));
    let (how, doubt) = match delivery.status {
        DeliveryStatus::Accepted => ("on its way", ""),
        DeliveryStatus::Sending | DeliveryStatus::Failed => {
            ("being sent", "\nNo gateway has confirmed it yet.")
        }
    };
    format!("A {what} with a code is {how} to {to}\n(ref {reference}, valid until {until}).{doubt}")
}

/// "the message with the code could not be sent: ...".
fn not_sent(delivery: &Delivery) -> String {
    let reason = delivery.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or("otpd gives no reason, see: journalctl -u otpd");
    format!(
        "the {} with the code could not be sent: {}",
        message(delivery.channel),
        visible(reason)
    )
}

/// What the account's state means for its logins.
fn consequence(subscriber: &Subscriber) -> String {
    let Subscriber { user, phone, .. } = subscriber;
    let (name, phone, user) = (visible(user), visible(phone), word(user));
    match subscriber.state {
        State::Active => {
            let how = message(subscriber.channel);
            format!("Logins of {name} ask for a code that a {how} takes to {phone}.\n")
        }
        State::Pending => {
            format!("{phone} is not verified yet; send it a code with: otpctl resend {user}\n")
        }
        State::Disabled => format!("Logins of {name} are denied until: otpctl enable {user}\n"),
    }
}

fn message(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "message",
        Channel::Voice => "phone call",
    }
}

fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "sms",
        Channel::Voice => "voice",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Active => "active",
        State::Disabled => "disabled",
    }
}

#[cfg(test)]
pub(super) mod tests;
