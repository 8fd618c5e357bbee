//! What `--json` prints: `snake_case` keys that stay, times in UTC.

mod copies;
mod listed;

use std::fmt::Write;

use otp_proto::admin::{self, Arrival, Channel, DeliveryStatus, HostState, State};
use serde::Serialize;

pub(crate) use self::{
    copies::{BackedUp, BackupSeen, Exported, Moved, NotBackedUp, Restored},
    listed::{ListRow, Listed, Unlisted},
};
use super::{is_hidden, text::Lock, time::utc};
use crate::doctor::{Beside, Finding};

/// `value` as indented JSON with a line end.
///
/// What could steer a terminal is escaped even where JSON need not: a program reads the same
/// text, and a person who looks at it is safe.
pub(crate) fn text(value: &impl Serialize) -> String {
    // Strings and numbers under fixed keys: nothing here can fail to serialize.
    escaped(&serde_json::to_string_pretty(value).unwrap_or_default())
}

fn escaped(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len() + 1);
    for character in plain.chars() {
        // A line end outside of a string is layout; inside one it is escaped already.
        if character == '\n' || !is_hidden(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text.push('\n');
    text
}

/// `value` as one line of JSON.
pub(crate) fn line(value: &impl Serialize) -> String {
    escaped(&serde_json::to_string(value).unwrap_or_default())
}

/// One enrolled account.
#[derive(Serialize)]
pub(crate) struct Subscriber<'a> {
    user: &'a str,
    phone: &'a str,
    country: &'a str,
    state: State,
    channel: Channel,
    created_at: String,
    verified_at: Option<String>,
}

impl<'a> Subscriber<'a> {
    pub(crate) fn new(subscriber: &'a admin::Subscriber) -> Self {
        let admin::Subscriber { user, phone, country, channel, state, created_at, verified_at } =
            subscriber;
        Self {
            user,
            phone,
            country,
            state: *state,
            channel: *channel,
            created_at: utc(*created_at),
            verified_at: verified_at.map(utc),
        }
    }
}

/// Result of `unlock`.
#[derive(Serialize)]
pub(crate) struct Unlocked<'a> {
    #[serde(flatten)]
    subscriber: Subscriber<'a>,
    opted_in: bool,
}

impl<'a> Unlocked<'a> {
    pub(crate) fn new(unlocked: &'a admin::Unlocked) -> Self {
        Self { subscriber: Subscriber::new(&unlocked.subscriber), opted_in: unlocked.opted_in }
    }
}

/// Result of `status`.
#[derive(Serialize)]
pub(crate) struct Status<'a> {
    // The wire's own field names are the documented ones, and none of these is a time.
    #[serde(flatten)]
    status: &'a admin::StatusReply,
    hosts: Vec<Host<'a>>,
}

/// A daemon that shares the store.
#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    version: &'a str,
    state: HostState,
    started_at: String,
    seen_at: String,
    gateways: &'a [admin::Gateway],
    key: &'a str,
    next_key: Option<&'a str>,
}

impl<'a> Status<'a> {
    pub(crate) fn new(status: &'a admin::StatusReply, hosts: &'a [admin::Host]) -> Self {
        let host = |host: &'a admin::Host| Host {
            name: &host.name,
            version: &host.version,
            state: host.state,
            started_at: utc(host.started_at),
            seen_at: utc(host.seen_at),
            gateways: &host.gateways,
            key: &host.key,
            next_key: host.next_key.as_deref(),
        };
        Self { status, hosts: hosts.iter().map(host).collect() }
    }
}

/// A limit that holds now.
#[derive(Serialize)]
struct Limit<'a> {
    name: &'a str,
    since: String,
    until: Option<String>,
}

/// Result of `show`.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    #[serde(flatten)]
    subscriber: Subscriber<'a>,
    /// Beside `locked_until`, which is null also while a lock has no end of its own.
    locked: bool,
    locked_until: Option<String>,
    failures_24h: u32,
    sends_24h: u32,
    live_challenges: u32,
    recovery_codes_left: u32,
    undelivered: Option<&'a str>,
    opted_out_at: Option<String>,
    opted_out_by: Option<&'a str>,
    limits: Vec<Limit<'a>>,
    bypasses: Vec<Grant<'a>>,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(shown: &'a admin::Shown) -> Self {
        let lock = Lock::of(&shown.limits);
        let limit = |limit: &'a admin::Limit| Limit {
            name: &limit.name,
            since: utc(limit.since),
            until: limit.until.map(utc),
        };
        Self {
            subscriber: Subscriber::new(&shown.subscriber),
            locked: lock != Lock::Open,
            locked_until: match lock {
                Lock::Until(end) => Some(utc(end)),
                Lock::Open | Lock::Endless => None,
            },
            failures_24h: shown.failures_24h,
            sends_24h: shown.sends_24h,
            live_challenges: shown.live_challenges,
            recovery_codes_left: shown.recovery_codes_left,
            undelivered: shown.undelivered.as_deref(),
            opted_out_at: shown.opted_out.as_ref().map(|opted_out| utc(opted_out.at)),
            opted_out_by: shown.opted_out.as_ref().map(|opted_out| opted_out.gateway.as_str()),
            limits: shown.limits.iter().map(limit).collect(),
            bypasses: shown.bypasses.iter().map(Grant::new).collect(),
        }
    }
}

/// How far a message is.
#[derive(Serialize)]
struct Delivery<'a> {
    status: DeliveryStatus,
    channel: Channel,
    reference: &'a str,
    expires_at: String,
    reason: Option<&'a str>,
}

impl<'a> Delivery<'a> {
    fn new(delivery: &'a admin::Delivery) -> Self {
        Self {
            status: delivery.status,
            channel: delivery.channel,
            reference: &delivery.reference,
            expires_at: utc(delivery.expires_at),
            reason: delivery.reason.as_deref(),
        }
    }
}

/// Result of `doctor`.
#[derive(Serialize)]
pub(crate) struct Examined<'a> {
    pub(crate) healthy: bool,
    pub(crate) findings: &'a [Finding],
}

/// Result of `pam enable` and `pam disable`.
#[derive(Serialize)]
pub(crate) struct StackChanged<'a> {
    pub(crate) service: &'a str,
    pub(crate) asks: bool,
    pub(crate) backup: Option<&'a str>,
    pub(crate) with: Option<StackWith<'a>>,
    pub(crate) trial_until: Option<String>,
    pub(crate) ends_at_restart: bool,
    pub(crate) sshd_file: Option<&'a str>,
    pub(crate) sshd_settings: Option<&'a Beside>,
}

/// Another service that was changed with it.
#[derive(Serialize)]
pub(crate) struct StackWith<'a> {
    pub(crate) service: &'a str,
    pub(crate) backup: Option<&'a str>,
}

/// Result of `pam confirm` and `pam revert`.
#[derive(Serialize)]
pub(crate) struct Trials<'a> {
    pub(crate) confirmed: bool,
    pub(crate) services: &'a [String],
    pub(crate) sshd_settings: Option<&'a Beside>,
}

/// Result of `rehearse`.
#[derive(Serialize)]
pub(crate) struct Rehearsed<'a> {
    pub(crate) user: &'a str,
    pub(crate) service: &'a str,
    pub(crate) granted: bool,
    pub(crate) authentication: &'a str,
    pub(crate) account: Option<&'a str>,
}

/// Result of `enroll`.
#[derive(Serialize)]
pub(crate) struct Enrolled<'a> {
    #[serde(flatten)]
    subscriber: Subscriber<'a>,
    delivery: Delivery<'a>,
}

impl<'a> Enrolled<'a> {
    pub(crate) fn new(enrolled: &'a admin::Enrolled) -> Self {
        Self {
            subscriber: Subscriber::new(&enrolled.subscriber),
            delivery: Delivery::new(&enrolled.delivery),
        }
    }
}

/// Result of `resend`.
#[derive(Serialize)]
pub(crate) struct Resent<'a> {
    user: &'a str,
    delivery: Delivery<'a>,
}

impl<'a> Resent<'a> {
    pub(crate) fn new(user: &'a str, delivery: &'a admin::Delivery) -> Self {
        Self { user, delivery: Delivery::new(delivery) }
    }
}

/// Result of `enroll --from`.
#[derive(Serialize)]
pub(crate) struct Imported {
    pub(crate) enrolled: u64,
    pub(crate) already: u64,
    pub(crate) failed: u64,
    pub(crate) sent: u64,
}

/// Result of `test-message`.
#[derive(Serialize)]
pub(crate) struct Tested<'a> {
    status: DeliveryStatus,
    channel: Channel,
    reference: &'a str,
    gateway: Option<&'a str>,
    vendor_id: Option<&'a str>,
    reason: Option<&'a str>,
    arrival: Option<Arrival>,
    arrival_reason: Option<&'a str>,
}

impl<'a> Tested<'a> {
    pub(crate) fn new(tested: &'a admin::Tested) -> Self {
        Self {
            status: tested.status,
            channel: tested.channel,
            reference: &tested.reference,
            gateway: tested.gateway.as_deref(),
            vendor_id: tested.vendor_id.as_deref(),
            reason: tested.reason.as_deref(),
            arrival: tested.arrival,
            arrival_reason: tested.arrival_reason.as_deref(),
        }
    }
}

/// Result of `remove`.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the keys of its JSON")]
pub(crate) struct Removed<'a> {
    pub(crate) user: &'a str,
    pub(crate) removed: bool,
    pub(crate) damaged: &'a [&'a str],
}

/// Result of `key is-rotated`.
#[derive(Serialize)]
pub(crate) struct IsRotated {
    pub(crate) rotated: bool,
}

/// An event of the audit trail.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    id: i64,
    at: String,
    request: Option<&'a str>,
    user: &'a str,
    actor: &'a str,
    event: &'a str,
    details: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(record: &'a admin::Record) -> Self {
        let admin::Record { id, at, request, user, actor, event, details } = record;
        let mut details = details.clone();
        // The one field of any event that is a time.
        if let Some(until) = details.get_mut("until")
            && let Some(millis) = until.as_i64()
        {
            *until = utc(millis).into();
        }
        Self { id: *id, at: utc(*at), request: request.as_deref(), user, actor, event, details }
    }
}

/// Result of `confirm-clock`.
#[derive(Serialize)]
pub(crate) struct ClockConfirmed {
    pub(crate) confirmed: bool,
}

/// Result of `recovery-codes`.
#[derive(Serialize)]
pub(crate) struct RecoveryCodes<'a> {
    pub(crate) user: &'a str,
    pub(crate) codes: &'a [otp_proto::Secret],
}

/// A bypass.
#[derive(Serialize)]
pub(crate) struct Grant<'a> {
    id: &'a str,
    user: &'a str,
    granted_at: String,
    granted_by: u32,
    until: String,
    reason: &'a str,
    used: u32,
    uses_left: Option<u32>,
    from: Option<&'a str>,
}

impl<'a> Grant<'a> {
    pub(crate) fn new(grant: &'a admin::Grant) -> Self {
        let admin::Grant { id, user, granted_at, granted_by, until, reason, used, uses_left, from } =
            grant;
        Self {
            id,
            user,
            granted_at: utc(*granted_at),
            granted_by: *granted_by,
            until: utc(*until),
            reason,
            used: *used,
            uses_left: *uses_left,
            from: from.as_deref(),
        }
    }
}

/// Result of `bypass --revoke`.
#[derive(Serialize)]
pub(crate) struct Revoked<'a> {
    pub(crate) user: &'a str,
    pub(crate) revoked: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::render::text::tests::{alice, limit, shown};

    fn value(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn show_has_the_documented_keys_in_order() {
        let text = super::text(&super::Shown::new(&shown(vec![])));
        let keys: Vec<_> = text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
        let expected = [
            "user",
            "phone",
            "country",
            "state",
            "channel",
            "created_at",
            "verified_at",
            "locked",
            "locked_until",
            "failures_24h",
            "sends_24h",
            "live_challenges",
            "recovery_codes_left",
            "undelivered",
            "opted_out_at",
            "opted_out_by",
            "limits",
            "bypasses",
        ];
        assert_eq!(keys, expected);
        assert_eq!(value(&text)["created_at"], "2026-08-01T12:00:00Z");
    }

    #[test]
    fn a_lock_is_told_apart_from_its_end() {
        let cases = [
            ("none", vec![], json!(false), Value::Null),
            (
                "messages only",
                vec![limit("messages-per-hour", Some(60_000))],
                json!(false),
                Value::Null,
            ),
            (
                "with an end",
                vec![limit("wrong-codes-per-hour", Some(60_000))],
                json!(true),
                json!("1970-01-01T00:01:00Z"),
            ),
            ("without", vec![limit("wrong-codes-in-a-row", None)], json!(true), Value::Null),
        ];
        for (name, limits, locked, until) in cases {
            let value = value(&super::text(&super::Shown::new(&shown(limits))));
            assert_eq!(value["locked"], locked, "{name}");
            assert_eq!(value["locked_until"], until, "{name}");
        }
    }

    #[test]
    fn hidden_characters_are_escaped_and_read_back_the_same() {
        let mut alice = alice();
        alice.user = "a\u{1b}\u{9b}\u{202e}\u{7f}\n\u{e0041}é".into();
        let text = super::text(&super::Subscriber::new(&alice));
        assert!(text.contains(r"a\u001b\u009b\u202e\u007f\n\udb40\udc41é"), "{text}");
        assert_eq!(value(&text)["user"], *alice.user);
    }

    #[test]
    fn an_empty_list_is_an_array() {
        assert_eq!(super::text(&Vec::<u8>::new()), "[]\n");
    }
}
