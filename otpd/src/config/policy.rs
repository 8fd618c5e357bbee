//! `[policy]` and `[code]`: who needs a code, and what codes are like.

use std::{collections::BTreeSet, time::Duration};

use super::{raw::Section, server::is_account_name};
use crate::domain::{
    challenge::{CodeRules, LONGEST_LIFE},
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
            60..=LONGEST_LIFE.as_secs(),
            default.life.as_secs(),
            " seconds",
        )),
        tries: section.number("tries", 1..=5, default.tries, ""),
        resends: section.number("resends", 0..=5, default.resends, ""),
    };
    section.finish();
    rules
}
