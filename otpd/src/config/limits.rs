//! `[limits]`: how many messages may be sent, and where many people come from.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{errors::quote, raw::Section};
use crate::domain::{
    budget::{Conversion, Limits},
    challenge::CodeRules,
    policy::SharedSources,
};

/// Reads the table; `code` is what the limits must leave room for.
pub(super) fn read(mut section: Section<'_>, code: CodeRules) -> (Limits, SharedSources) {
    let default = Limits::default();
    let conversion = section.choice(
        "conversion",
        &[("alert", Conversion::Alert), ("block", Conversion::Block)],
        default.conversion,
    );
    let shared = read_shared(&mut section);
    let all_unanswered_per_day = section.optional_number(ALL_UNANSWERED_DAY, 1..=10_000_000);
    let max_messages_per_day = section.optional_number(MAX_MESSAGES_DAY, 1..=10_000_000);
    let mut read = |key, largest, default| section.number(key, 1..=largest, default, "");
    let limits = Limits {
        unanswered_per_hour: read(UNANSWERED_HOUR, 60, default.unanswered_per_hour),
        unanswered_per_day: read(UNANSWERED_DAY, 200, default.unanswered_per_day),
        messages_per_hour: read(MESSAGES_HOUR, 600, default.messages_per_hour),
        messages_per_day: read(MESSAGES_DAY, 2000, default.messages_per_day),
        all_unanswered_per_day,
        max_messages_per_day,
        conversion,
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
    let all = all_unanswered_per_day.unwrap_or(u32::MAX);
    let pairs = pairs
        .into_iter()
        .chain([((UNANSWERED_DAY, limits.unanswered_per_day), (ALL_UNANSWERED_DAY, all))]);
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
    (limits, shared)
}

fn read_shared(section: &mut Section<'_>) -> SharedSources {
    let mut networks = Vec::new();
    for text in section.texts("shared-sources", "[\"10.0.0.0/8\"]").unwrap_or_default() {
        let address = || text.value.parse::<IpAddr>().ok().map(IpNet::from);
        if let Some(network) = text.value.parse::<IpNet>().ok().or_else(address) {
            // What is written with host bits means its network.
            networks.push(network.trunc());
        } else {
            let found = format!("has {}", quote(text.value));
            let expected = "networks like 10.0.0.0/8 or 2001:db8::/32, and addresses";
            section.error(&text.place, found, expected, "correct or remove it");
        }
    }
    SharedSources(networks)
}

const UNANSWERED_HOUR: &str = "unanswered-per-hour";
const UNANSWERED_DAY: &str = "unanswered-per-day";
const MESSAGES_HOUR: &str = "messages-per-hour";
const MESSAGES_DAY: &str = "messages-per-day";
const ALL_UNANSWERED_DAY: &str = "all-unanswered-per-day";
const MAX_MESSAGES_DAY: &str = "max-messages-per-day";
