//! What Plivo's errors and codes mean for a message. The errors of requests are sentences
//! (`{"api_id", "error"}`); codes come with the state of a message.

use serde_json::Value;

use crate::gateway::{client::Reply, problem::Problem, redact::Redactor, vendor::Meaning};

/// By what an error is about; `None` where the HTTP status says all there is. Taking our own number,
/// or the text, for the recipient's would end failover for everybody.
pub(super) fn meaning(
    problem: &Problem<'_>,
    status: u16,
    redactor: &Redactor<'_>,
) -> Option<Meaning> {
    let recipient = names(problem, "dst") && !names(problem, "src")
        || quotes(problem, "to") && !quotes(problem, "from")
        || problem.words().iter().filter_map(|text| refused(text)).any(|it| redactor.is_number(it));
    (matches!(status, 400 | 422) && recipient).then_some(Meaning::Number)
}

/// Which number a sentence of Plivo's says to be none, or none for such messages:
/// `19332631167 is not a valid phone number`, `19003356789 is not an MMS enabled phone number`.
fn refused(text: &str) -> Option<&str> {
    let (number, fault) = text.split_once(" is not a")?;
    let fault = fault.strip_prefix('n').unwrap_or(fault).trim_end_matches('.');
    let known = fault == " valid phone number" || fault.ends_with(" enabled phone number");
    known.then(|| number.trim_matches(|c: char| c.is_whitespace() || "'\"`".contains(c)))
}

/// Whether it is about the number that sends.
pub(super) fn is_about_sender(problem: &Problem<'_>) -> bool {
    names(problem, "src") && !names(problem, "dst")
        || quotes(problem, "from") && !quotes(problem, "to")
}

/// A word that is no English one.
fn names(problem: &Problem<'_>, parameter: &str) -> bool {
    problem.words().iter().any(|text| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == parameter)
    })
}

/// A word that is an English one too.
fn quotes(problem: &Problem<'_>, parameter: &str) -> bool {
    let quoted = ['\'', '"', '`'].map(|quote| format!("{quote}{parameter}{quote}"));
    problem.words().iter().any(|text| quoted.iter().any(|quoted| text.contains(quoted)))
}

/// Whether a reply that is a success lists the one recipient among those that it was none for.
pub(super) fn is_refused_number(reply: &Reply) -> bool {
    let body: Option<Value> =
        reply.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let listed = |name: &str| {
        let list = body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    !listed("message_uuid") && (listed("invalid_number") || listed("invalid_numbers"))
}

/// By Plivo's list of codes of messages; `None` for a code that is not there.
pub(super) fn code(code: &str) -> Option<Meaning> {
    Some(match code {
        "200" => Meaning::OptedOut,
        // No destination, and one that is gone for good.
        "50" | "70" => Meaning::Number,
        // The text, the sender, a toll-free number to Canada, the country, funds, the account.
        "10" | "40" | "110" | "201" | "450" | "900" | "910" => Meaning::Ours,
        // Network, spam, a loop, not now, no route, the carrier, not dispatched, late, unknown.
        "20" | "30" | "60" | "80" | "90" | "100" | "300" | "420" | "1000" => Meaning::Route,
        _ => return None,
    })
}
