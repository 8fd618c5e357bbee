//! Results about what stands in for a code: recovery codes and bypasses.

use std::fmt::Write;

use jiff::tz::TimeZone;
use otp_proto::{Secret, admin::Grant};

use super::{table, time::local, visible, word};

/// Result of `recovery-codes`: a code a line.
pub(crate) fn recovery_codes(codes: &[Secret]) -> String {
    // Room for all of them: growing would leave copies behind.
    let mut text = String::with_capacity(codes.iter().map(|code| code.expose().len() + 1).sum());
    for code in codes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", visible(code.expose()));
    }
    text
}

/// What is to be done with them.
pub(crate) fn hand_over(user: &str) -> String {
    format!(
        "these are the recovery codes of {}, shown this once; earlier ones no longer work. Hand them \
         over in person, to be kept apart from the phone",
        visible(user)
    )
}

/// Result of `bypass --for`.
pub(crate) fn bypassed(grant: &Grant, zone: &TimeZone) -> String {
    let logins = match grant.uses_left {
        None => String::new(),
        Some(1) => ", once".into(),
        Some(uses) => format!(", {uses} times"),
    };
    let from = grant.from.as_ref().map(|from| format!(", from {}", visible(from)));
    format!(
        "{} may log in without a code until {}{logins}{}.\n\
         To end that before run: otpctl bypass {} --revoke {}\n",
        visible(&grant.user),
        local(grant.until, zone),
        from.unwrap_or_default(),
        word(&grant.user),
        word(&grant.id),
    )
}

/// Result of `bypass --revoke`.
pub(crate) fn revoked(user: &str, count: u32) -> String {
    let what = if count == 1 { "1 bypass".into() } else { format!("{count} bypasses") };
    format!("{what} of {} ended; logins ask for a code again.\n", visible(user))
}

/// There was none to end.
pub(crate) fn no_bypass(user: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!(" {}", visible(id))).unwrap_or_default();
    format!("{} has no bypass{id}; see what there is with: otpctl bypass --list", visible(user))
}

/// Result of `bypass --list`, and part of `show`.
pub(crate) fn bypasses(grants: &[Grant], zone: &TimeZone, width: Option<u16>) -> String {
    if grants.is_empty() {
        return String::new();
    }
    let row = |grant: &Grant| {
        [
            grant.id.clone(),
            grant.user.clone(),
            local(grant.until, zone),
            grant.uses_left.map_or_else(|| "any".into(), |uses| uses.to_string()),
            grant.from.clone().unwrap_or_else(|| "anywhere".into()),
            format!("uid {}", grant.granted_by),
            grant.reason.clone(),
        ]
    };
    let header = ["BYPASS", "USER", "UNTIL", "LEFT", "FROM", "BY", "REASON"];
    table::layout(Some(header), grants.iter().map(row), 6, width)
}
