//! Values of the daemon as they stand on the wire, and its refusals as typed errors.

use otp_proto::{
    admin::{self as wire, AdminError},
    service::ServiceError,
};

use crate::{
    domain::{
        account::Account,
        budget::Held,
        bypass::{Bypass, BypassRefusal, PER_ACCOUNT},
        challenge::Channel,
        enrollment::{Enrollment, State},
        login::Progress,
        opt_out::OptOut,
        policy::Unenrolled,
        proof::Refusal,
    },
    gateway::{
        GatewayName, Standing,
        route::{GatewayHealth, GatewayState},
    },
    store::{AuditRow, GatewaySeen, Life, StoreError, Use},
    verifier::{BypassFailure, Failure, KeyRotated, Member, NotRotated, Placed, Rules, stopped},
};

/// Bytes of a reason: with every one of them escaped it still fits a frame.
const LONGEST_REASON: usize = 6 * 1024;

/// Bytes of the names in one reply about the rules: the rest of a frame is for what stands around
/// them.
const LONGEST_NAMES: usize = 15 * 1024;

/// Why a call gets an error.
pub(super) enum Fault {
    Service(ServiceError),
    Admin(AdminError),
}

impl From<AdminError> for Fault {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Forbidden
            | StoreError::Damaged(_)
            | StoreError::Corrupt
            | StoreError::Moving => AdminError::Refused { reason: error.to_string() },
            StoreError::Unavailable | StoreError::Unknown | StoreError::Full => {
                AdminError::Unavailable { reason: format!("{error}; the journal says why") }
            }
        }
        .into()
    }
}

pub(super) fn checked((name, standing): (GatewayName, Option<Standing>)) -> wire::GatewayChecked {
    let (credentials, balance, reason) = match standing {
        Some(Standing::Known { balance }) => (wire::Credentials::Valid, balance, None),
        Some(Standing::Refused(reason)) => (wire::Credentials::Refused, None, Some(reason)),
        Some(Standing::Unclear(reason)) => (wire::Credentials::Unreachable, None, Some(reason)),
        Some(Standing::Untold) | None => (wire::Credentials::Untold, None, None),
    };
    wire::GatewayChecked { name: name.0, credentials, balance, reason }
}

/// What is left of a reply's room for names.
struct Room {
    left: usize,
    truncated: bool,
}

impl Room {
    /// As many names, the first first, as still fit.
    fn fitting(&mut self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let fits = |name: &String| {
            // With its quotes, whatever is escaped in it, and a comma.
            let size = serde_json::to_string(name).map_or(usize::MAX, |text| text.len() + 1);
            let left = self.left.checked_sub(size);
            self.left = left.unwrap_or_default();
            self.truncated |= left.is_none();
            left.is_some()
        };
        names.into_iter().take_while(fits).collect()
    }
}

/// The rules, or as much of them as one reply holds: a site may exempt any number of accounts.
pub(super) fn policy(rules: Rules) -> wire::PolicyReply {
    let mut room = Room { left: LONGEST_NAMES, truncated: false };
    let mut names = |names: Vec<GatewayName>| room.fitting(names.into_iter().map(|name| name.0));
    let (sms, voice) = (names(rules.sms), names(rules.voice));
    let exempt_groups = room.fitting(rules.policy.exempt_groups);
    let exempt_users = room.fitting(rules.policy.exempt_users);
    wire::PolicyReply {
        unenrolled: match rules.policy.unenrolled {
            Unenrolled::Deny => wire::Unenrolled::Deny,
            Unenrolled::Ignore => wire::Unenrolled::Ignore,
        },
        exempt_users,
        exempt_groups,
        sms,
        voice,
        truncated: room.truncated,
    }
}

pub(super) fn subscriber(account: &Account, enrollment: &Enrollment) -> wire::Subscriber {
    wire::Subscriber {
        user: account.as_str().to_owned(),
        phone: enrollment.number().masked(),
        country: enrollment.destination.country.as_str().to_owned(),
        channel: channel_out(enrollment.channel),
        state: match enrollment.state {
            State::Pending => wire::State::Pending,
            State::Active { .. } => wire::State::Active,
            State::Disabled { .. } => wire::State::Disabled,
        },
        created_at: enrollment.created_at.0,
        verified_at: enrollment.verified_at().map(|at| at.0),
    }
}

pub(super) fn opt_out(opted_out: OptOut) -> wire::OptOut {
    wire::OptOut { at: opted_out.at.0, gateway: opted_out.gateway }
}

pub(super) fn delivery(placed: Placed) -> wire::Delivery {
    wire::Delivery {
        status: progress(placed.progress),
        channel: channel_out(placed.channel),
        reference: placed.reference.to_string(),
        expires_at: placed.expires_at.0,
        reason: placed.reason,
    }
}

pub(super) fn progress(progress: Progress) -> wire::DeliveryStatus {
    match progress {
        Progress::Sending => wire::DeliveryStatus::Sending,
        Progress::Sent => wire::DeliveryStatus::Accepted,
        Progress::Lost | Progress::Failed | Progress::Stopped => wire::DeliveryStatus::Failed,
    }
}

pub(super) fn gateway(health: GatewayHealth) -> wire::Gateway {
    wire::Gateway {
        name: health.name.0,
        kind: health.kind.to_owned(),
        state: match health.state {
            GatewayState::Ready => wire::GatewayState::Ready,
            GatewayState::Resting { .. } => wire::GatewayState::Resting,
            GatewayState::Probing => wire::GatewayState::Probing,
        },
        reason: health.last_reason,
    }
}

pub(super) fn host(member: Member) -> wire::Host {
    let Member { here, seen } = member;
    let gateway = |gateway: GatewaySeen| wire::Gateway {
        name: gateway.name,
        kind: gateway.kind,
        state: match gateway.state {
            Use::Ready => wire::GatewayState::Ready,
            Use::Resting => wire::GatewayState::Resting,
            Use::Probing => wire::GatewayState::Probing,
        },
        reason: gateway.reason,
    };
    wire::Host {
        name: seen.name,
        version: seen.presence.version,
        state: match seen.life {
            Life::Running if here => wire::HostState::Here,
            Life::Running => wire::HostState::Running,
            Life::Silent => wire::HostState::Silent,
            Life::Stopped => wire::HostState::Stopped,
        },
        started_at: seen.started_at.0,
        seen_at: seen.seen_at.0,
        gateways: seen.presence.gateways.into_iter().map(gateway).collect(),
        key: format!("{:08x}", seen.presence.key),
        next_key: seen.presence.next_key.map(|id| format!("{id:08x}")),
    }
}

pub(super) fn key_rotated(done: KeyRotated) -> wire::KeyRotated {
    wire::KeyRotated {
        key: format!("{:08x}", done.key),
        numbers: done.numbers,
        without: done.without.into_iter().take(20).collect(),
        finish: Some(done.finish),
    }
}

pub(super) fn not_rotated(why: NotRotated) -> Fault {
    match why {
        NotRotated::Store(error) => error.into(),
        why @ (NotRotated::None
        | NotRotated::Unreadable(_)
        | NotRotated::Hangs
        | NotRotated::InUse { .. }
        | NotRotated::Without { .. }) => {
            AdminError::Refused { reason: fitting(&why.to_string()) }.into()
        }
    }
}

pub(super) fn record(row: AuditRow) -> wire::Record {
    let mut details = row.details;
    // Nothing that is written down is near this; but one such row must not end every list.
    if serde_json::to_string(&details).map_or(0, |text| text.len()) > LONGEST_REASON {
        details = [("omitted".to_owned(), "too long".into())].into_iter().collect();
    }
    wire::Record {
        id: row.id,
        at: row.at.0,
        request: row.request.map(|request| request.to_string()),
        user: row.account.as_str().to_owned(),
        actor: row.actor.in_words(),
        event: row.event,
        details,
    }
}

pub(super) fn limit(held: &Held) -> wire::Limit {
    wire::Limit {
        name: held.limit.as_str().to_owned(),
        since: held.since.0,
        until: held.until.map(|until| until.0),
    }
}

pub(super) fn grant(account: &Account, bypass: &Bypass) -> wire::Grant {
    wire::Grant {
        id: bypass.id.to_string(),
        user: account.as_str().to_owned(),
        granted_at: bypass.granted_at.0,
        granted_by: bypass.by,
        until: bypass.until.0,
        reason: bypass.reason.clone(),
        used: bypass.used,
        uses_left: bypass.uses_left.map(u32::from),
        from: bypass.from.map(|network| network.to_string()),
    }
}

pub(super) fn bypass_fault(failure: BypassFailure, account: &Account) -> Fault {
    let reason = match failure {
        BypassFailure::Store(error) => return error.into(),
        BypassFailure::Refused(BypassRefusal::Disabled) => {
            return refused(Refusal::Disabled, account.as_str().to_owned()).into();
        }
        BypassFailure::Refused(BypassRefusal::TooMany) => format!(
            "{account} has {PER_ACCOUNT} bypasses already; end one first: \
             otpctl bypass {account} --revoke [ID]"
        ),
    };
    AdminError::Refused { reason }.into()
}

pub(super) fn channel_in(channel: wire::Channel) -> Channel {
    match channel {
        wire::Channel::Sms => Channel::Sms,
        wire::Channel::Voice => Channel::Voice,
    }
}

pub(super) fn channel_out(channel: Channel) -> wire::Channel {
    match channel {
        Channel::Sms => wire::Channel::Sms,
        Channel::Voice => wire::Channel::Voice,
    }
}

pub(super) fn not_enrolled(account: &Account) -> Fault {
    AdminError::NotEnrolled { user: account.as_str().to_owned() }.into()
}

pub(super) fn fault(failure: Failure, account: &Account) -> Fault {
    let user = account.as_str().to_owned();
    match failure {
        Failure::Number(error) => AdminError::InvalidNumber { reason: error.to_string() },
        Failure::Unavailable(reason) => AdminError::Unavailable { reason: reason.to_owned() },
        Failure::Elsewhere(error) => AdminError::Refused { reason: error.to_string() },
        Failure::Refused(refusal) => refused(refusal, user),
    }
    .into()
}

pub(super) fn refused(refusal: Refusal, user: String) -> AdminError {
    let because = |reason: String| AdminError::Refused { reason };
    match refusal {
        Refusal::NotEnrolled => AdminError::NotEnrolled { user },
        Refusal::AlreadyEnrolled => AdminError::AlreadyEnrolled { user },
        Refusal::AlreadyVerified => because(format!("the number of {user} is verified already")),
        Refusal::Disabled => because(format!("{user} is disabled; otpctl enable {user} first")),
        Refusal::Country(country) => {
            AdminError::CountryNotAllowed { country: country.as_str().to_owned() }
        }
        Refusal::LineTakesNoText => because(
            "the number is a landline, which takes no text messages; use --channel voice".into(),
        ),
        Refusal::NoVoice => because(
            "no gateway calls: delivery.voice in the configuration of otpd names none".into(),
        ),
        Refusal::OptedOut => because(stopped(&user)),
        Refusal::Held(held) => AdminError::LimitReached { limit: limit(&held) },
        Refusal::TooSoon(retry_after_seconds) => AdminError::TooSoon { retry_after_seconds },
        Refusal::NoCode => AdminError::NoLiveCode { reason: wire::NoLiveCode::None },
        Refusal::Expired => AdminError::NoLiveCode { reason: wire::NoLiveCode::Expired },
        Refusal::Spent => AdminError::NoLiveCode { reason: wire::NoLiveCode::Spent },
        Refusal::Wrong { tries_left } => AdminError::WrongCode { tries_left: tries_left.into() },
        Refusal::Earlier { reference } => because(format!(
            "that is an earlier code; use the newest one, ref {reference} (no try was used)"
        )),
        Refusal::NotACode { digits } => {
            because(format!("a code has {digits} digits (no try was used)"))
        }
    }
}

/// As many lines of a reason as fit a frame; a configuration can have any number of errors.
pub(super) fn fitting(reason: &str) -> String {
    let fits = reason.floor_char_boundary(LONGEST_REASON);
    match reason.get(..fits).filter(|start| start.len() < reason.len()) {
        Some(start) => {
            let lines = start.rsplit_once('\n').map_or(start, |(lines, _)| lines);
            format!("{lines}\nand more; the journal has all of it")
        }
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use otp_proto::{envelope::Reply, frame::encode};

    use super::{GatewayName, Rules, policy};
    use crate::domain::policy::Policy;

    #[test]
    fn the_rules_fit_a_reply_however_many_they_exempt() {
        let numbered =
            |count: usize, name: &str| (0..count).map(|n| format!("{name}{n}")).collect();
        let cases = [
            ("few", 3, "user", 3, "group", false),
            ("many accounts", 100_000, "user", 3, "group", true),
            ("many groups", 3, "user", 100_000, "group", true),
            ("names that are escaped", 3, "user", 100_000, "\u{1}\u{1}", true),
        ];
        for (name, users, user, groups, group, truncated) in cases {
            let exempt_users = numbered(users, user);
            let exempt_groups = numbered(groups, group);
            let policy_of = Policy { exempt_users, exempt_groups, ..Policy::default() };
            let sms = vec![GatewayName("main".into())];
            let reply = policy(Rules { policy: policy_of, sms, voice: Vec::new() });
            assert_eq!(
                (reply.truncated, &*reply.sms),
                (truncated, &["main".to_owned()][..]),
                "{name}"
            );
            let all = reply.exempt_users.len() == users && reply.exempt_groups.len() == groups;
            assert_eq!(all, !truncated, "{name}");
            assert!(encode(&Reply { parameters: &reply, continues: false }).is_ok(), "{name}");
        }
    }
}
