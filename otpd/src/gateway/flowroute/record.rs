//! A message's record at Flowroute, and what its delivery receipts say.

use serde_json::Value;

use super::problem::OPTED_OUT;
use crate::gateway::{client::Reply, vendor::Meaning};

/// A message's record: the attributes of it.
pub(super) struct Record(Value);

/// How far a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// On its way.
    UnderWay,
    /// It arrived.
    Delivered,
    /// It did not arrive.
    Failed {
        /// Flowroute's words and code for it, not redacted.
        told: String,
        /// What they mean.
        meaning: Meaning,
    },
    /// Nothing that is documented.
    Unclear,
}

impl Record {
    /// Reads a reply; `None` when it is no record. With `data` and `attributes` around it or without.
    pub(super) fn read(reply: &Reply) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
        if let Some(data) = body.get_mut("data").map(Value::take) {
            body = data;
        }
        if let Some(attributes) = body.get_mut("attributes").map(Value::take) {
            body = attributes;
        }
        let known = body.get("delivery_receipts").or_else(|| body.get("status")).is_some();
        known.then_some(Self(body))
    }

    /// The furthest that any of its receipts says: they may come in any order. Before the first one
    /// it is on its way.
    pub(super) fn progress(&self) -> Progress {
        let receipts = self.0.get("delivery_receipts").and_then(Value::as_array);
        let own = self.0.get("status").is_some_and(Value::is_string).then_some(&self.0);
        let all: Vec<Progress> =
            receipts.into_iter().flatten().chain(own).map(Progress::of).collect();
        let first = |wanted: fn(&Progress) -> bool| all.iter().find(|one| wanted(one)).cloned();
        let opted_out =
            |one: &Progress| matches!(one, Progress::Failed { meaning: Meaning::OptedOut, .. });
        first(|one| *one == Progress::Delivered)
            .or_else(|| first(opted_out))
            .or_else(|| first(|one| matches!(one, Progress::Failed { .. })))
            .or_else(|| first(|one| *one == Progress::UnderWay))
            .unwrap_or(if all.is_empty() { Progress::UnderWay } else { Progress::Unclear })
    }
}

impl Progress {
    /// What one receipt says, or a record's own status: `{"level", "status", "status_code",
    /// "status_code_description"}`. The code is a number or a text, or missing.
    pub(super) fn of(receipt: &Value) -> Self {
        let text = |name| receipt.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        let word = text("status");
        let lower = word.to_ascii_lowercase();
        let code = match receipt.get("status_code") {
            Some(Value::String(code)) => code.trim().to_owned(),
            Some(Value::Number(code)) => code.to_string(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
                String::new()
            }
        };
        let refused = code.len() == 4 && code.starts_with("11");
        if refused || FAILURES.iter().any(|failure| lower.contains(failure)) {
            let meaning = if code == OPTED_OUT { Meaning::OptedOut } else { Meaning::Route };
            let parts = [code.as_str(), text("status_code_description")];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let told = match (word, parts.join(" ")) {
                (word, more) if more.is_empty() => word.to_owned(),
                ("", more) => more,
                (word, more) => format!("{word}: {more}"),
            };
            return Self::Failed { told, meaning };
        }
        match lower.as_str() {
            // Level 1 is the way to the carrier, level 2 the rest of it.
            "delivered" | "message delivered" if !is_level_1(receipt) => Self::Delivered,
            "delivered" | "message delivered" | "smsc submit" | "message buffered" => {
                Self::UnderWay
            }
            _ => Self::Unclear,
        }
    }
}

fn is_level_1(receipt: &Value) -> bool {
    receipt.get("level").is_some_and(|level| *level == 1 || *level == "1")
}

/// What the words for failures have in them. The list of words is not published.
const FAILURES: &[&str] = &["fail", "reject", "undeliver", "not delivered", "expire"];
