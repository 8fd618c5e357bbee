//! `[policy]`, `[code]` and `[limits]`: who needs a code, what codes are like, and how many
//! messages may be sent.

use std::{collections::BTreeSet, time::Duration};

use super::{raw::Section, server::is_account_name};
use crate::domain::{
    budget::Limits,
    challenge::CodeRules,
    policy::{Policy, Unenrolled},
};

/// Reads `[policy]`.
pub(super) fn read_policy(mut section: Section<'_>) -> Policy {
    let unenrolled = section.choice(
        "unenrolled",
        &[("deny", Unenrolled::Deny), ("ignore", Unenrolled::Ignore)],
        Unenrolled::Deny,
    );
    if unenrolled == Unenrolled::Ignore {
        let text = "is \"ignore\": whoever has no proved number logs in without a code";
        section.warn(&section.place_of("unenrolled"), text);
    }
    let exempt_users = names(&mut section, "exempt-users");
    let exempt_groups = names(&mut section, "exempt-groups");
    section.finish();
    Policy { unenrolled, exempt_users, exempt_groups }
}

fn names(section: &mut Section<'_>, key: &'static str) -> BTreeSet<String> {
    let names = section.texts(key, "[\"NAME\"]").unwrap_or_default();
    let sound = names.into_iter().filter(|name| is_account_name(section, name));
    sound.map(|name| name.value.to_owned()).collect()
}

/// Reads `[code]`.
pub(super) fn read_code(mut section: Section<'_>) -> CodeRules {
    let default = CodeRules::default();
    let rules = CodeRules {
        digits: section.number("digits", 6..=8, default.digits, ""),
        life: Duration::from_secs(section.number(
            "life-seconds",
            60..=600,
            default.life.as_secs(),
            " seconds",
        )),
        tries: section.number("tries", 1..=5, default.tries, ""),
        resends: section.number("resends", 0..=5, default.resends, ""),
    };
    section.finish();
    rules
}

/// Reads `[limits]`; `code` is what they must leave room for.
pub(super) fn read_limits(mut section: Section<'_>, code: CodeRules) -> Limits {
    let default = Limits::default();
    let mut read = |key, largest, default| section.number(key, 1..=largest, default, "");
    let limits = Limits {
        unanswered_per_hour: read(UNANSWERED_HOUR, 60, default.unanswered_per_hour),
        unanswered_per_day: read(UNANSWERED_DAY, 200, default.unanswered_per_day),
        messages_per_hour: read(MESSAGES_HOUR, 600, default.messages_per_hour),
        messages_per_day: read(MESSAGES_DAY, 2000, default.messages_per_day),
    };
    // A limit above one that includes it would never be reached, and whoever set it should know.
    let pairs = [
        (
            (UNANSWERED_HOUR, limits.unanswered_per_hour),
            (UNANSWERED_DAY, limits.unanswered_per_day),
        ),
        ((MESSAGES_HOUR, limits.messages_per_hour), (MESSAGES_DAY, limits.messages_per_day)),
        ((UNANSWERED_HOUR, limits.unanswered_per_hour), (MESSAGES_HOUR, limits.messages_per_hour)),
        ((UNANSWERED_DAY, limits.unanswered_per_day), (MESSAGES_DAY, limits.messages_per_day)),
    ];
    for ((key, value), (wider, bound)) in pairs {
        if value > bound {
            let written = |key| section.place_of(key).offset.is_some();
            let blamed = if written(key) { key } else { wider };
            let found = format!("makes `{key}` {value} and `{wider}` {bound}");
            let remedy = format!("lower `{key}` or raise `{wider}`");
            let expected = format!("`{key}` not above `{wider}`");
            section.error(&section.place_of(blamed), found, expected, remedy);
        }
    }
    if u32::from(code.resends) >= limits.unanswered_per_hour {
        let text = format!(
            "is {}: a login can never have the {} resends of code.resends; raise it or lower \
             code.resends",
            limits.unanswered_per_hour, code.resends
        );
        section.warn(&section.place_of(UNANSWERED_HOUR), &text);
    }
    section.finish();
    limits
}

const UNANSWERED_HOUR: &str = "unanswered-per-hour";
const UNANSWERED_DAY: &str = "unanswered-per-day";
const MESSAGES_HOUR: &str = "messages-per-hour";
const MESSAGES_DAY: &str = "messages-per-day";
