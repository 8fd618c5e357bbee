//! A message's record at Plivo.

use serde_json::Value;

use super::problem;
use crate::{
    domain::login::Cause,
    gateway::{
        problem::{Problem, told},
        vendor::Meaning,
    },
};

/// How far a message or a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// On its way.
    UnderWay,
    /// It arrived; of a call: somebody or something answered, and heard it out or not.
    Delivered,
    /// It did not arrive.
    Failed {
        /// Plivo's words and code for it, not redacted.
        told: String,
        /// What they mean.
        cause: Cause,
    },
    /// Nothing that is documented.
    Unclear,
}

/// By `message_state`, and the code and the words beside it.
pub(super) fn message(record: &Value) -> Progress {
    match record.get("message_state").and_then(Value::as_str) {
        // Where the carrier reports nothing, `sent` is the last word.
        Some("queued" | "sent") => Progress::UnderWay,
        Some("delivered" | "read") => Progress::Delivered,
        Some(word @ ("failed" | "undelivered" | "rejected")) => {
            let error = error(record, "error_code", "error_message");
            let meaning = error.as_ref().and_then(|error| problem::code(&error.code));
            let told = told(word, error.as_slice());
            Progress::Failed { told, cause: meaning.map_or(Cause::Route, Meaning::cause) }
        }
        Some(_) | None => Progress::Unclear,
    }
}

/// A code, as a number or a text, and the words for it; `None` where there are neither.
pub(super) fn error<'a>(record: &'a Value, code: &str, words: &str) -> Option<Problem<'a>> {
    let code = match record.get(code) {
        Some(Value::String(code)) => code.trim().to_owned(),
        Some(Value::Number(code)) => code.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            String::new()
        }
    };
    let title = record.get(words).and_then(Value::as_str).unwrap_or_default();
    let says = !(code.is_empty() && title.is_empty());
    says.then_some(Problem { code, title, detail: "", about: "" })
}
