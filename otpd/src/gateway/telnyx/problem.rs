//! What Telnyx's codes mean for a message.

use crate::gateway::{
    problem::Problem,
    vendor::{self, Meaning},
};

/// By the reference of errors of Telnyx's API and of its messaging; `None` for a code that is
/// not there.
fn meaning(problem: &Problem<'_>) -> Option<Meaning> {
    Some(match problem.code.as_str() {
        // Telnyx's own pages give this code three meanings; only one of them is an opt-out.
        "40300" if says_stop(problem) => Meaning::OptedOut,
        "40300" => Meaning::Ours,
        // Not routable, a landline; no such destination; no number.
        "40001" | "40012" | "40310" => Meaning::Number,
        // A number's form: whose, `to` or `from`, stands beside it. Taking ours for the
        // recipient's would end failover for everybody.
        "10002" | "10016" if is_recipient(problem.about) => Meaning::Number,
        "10002" | "10016" => Meaning::Ours,
        // Keys, rights, funds, request.
        "10004" | "10005" | "10009" | "10010" | "10015" | "10027" | "20001" | "20002" | "20008"
        | "20012" | "20013" | "20014" | "20100" => Meaning::Ours,
        // Sender, profile, registration, allowed countries, text.
        "40010" | "40013" | "40302" | "40305" | "40309" | "40312" | "40314" | "40315" | "40316"
        | "40320" | "40321" | "40329" | "40330" | "40331" | "40333" => Meaning::Ours,
        // Too much at once, here or at the carrier.
        "10011" | "40011" | "40016" | "40018" | "40318" => Meaning::Route,
        // Taken for spam or artificial traffic, rejected, too late, carrier down, not delivered.
        "40002" | "40003" | "40004" | "40005" | "40006" | "40008" | "40014" | "40020" => {
            Meaning::Route
        }
        // An unexpected error and a timeout: it may have been sent before that.
        "10007" | "10008" => Meaning::Unclear,
        _ => return None,
    })
}

/// A message's recipient or a call's, which is written with a capital.
fn is_recipient(about: &str) -> bool {
    about.trim_start_matches('/').eq_ignore_ascii_case("to")
}

/// Whether Telnyx does not take the API key.
pub(super) fn is_about_key(problem: &Problem<'_>) -> bool {
    matches!(problem.code.as_str(), "10009" | "20001" | "20002" | "20008")
}

/// Whether it does not take the sender.
pub(super) fn is_about_sender(problem: &Problem<'_>) -> bool {
    matches!(problem.code.as_str(), "40013" | "40305")
}

fn says_stop(problem: &Problem<'_>) -> bool {
    problem.words().iter().any(|text| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        text.to_ascii_lowercase().contains("block rule")
            || words.into_iter().any(|word| word.eq_ignore_ascii_case("stop"))
    })
}

/// What several problems mean together: an opt-out outweighs all; else the first that is known.
pub(super) fn decisive(problems: &[Problem<'_>]) -> Option<Meaning> {
    vendor::decisive(problems.iter().filter_map(meaning))
}
