//! What Flowroute's errors mean for a message. It documents statuses and one code; the rest is told
//! from what an error is about.

use crate::gateway::{problem::Problem, redact::groups, vendor::Meaning};

/// The code of a message to somebody who asked for no more, in an error and in a receipt.
pub(super) const OPTED_OUT: &str = "1110";

/// By the code and by what it is about; `None` where the HTTP status says all there is.
pub(super) fn meaning(problem: &Problem<'_>, status: u16) -> Option<Meaning> {
    if !(400..=499).contains(&status) {
        return None;
    }
    if problem.code == OPTED_OUT || problem.words().into_iter().any(says_opted_out) {
        return Some(Meaning::OptedOut);
    }
    // Taking our own number, or the text, for the recipient's would end failover for everybody.
    (matches!(status, 400 | 422) && is_about_recipient(problem)).then_some(Meaning::Number)
}

/// Whether the code stands in a text by itself: in a number it would block somebody for ever.
fn says_opted_out(text: &str) -> bool {
    groups(text).any(|(_, digits)| digits == OPTED_OUT)
}

fn is_about_recipient(problem: &Problem<'_>) -> bool {
    let names = |name: &str| {
        let quoted = ['\'', '"', '`'].map(|quote| format!("{quote}{name}{quote}"));
        let words = problem.words();
        problem.about.rsplit('/').next() == Some(name)
            || quoted.iter().any(|quoted| words.iter().any(|text| text.contains(quoted)))
    };
    names("to") && !names("from")
}
