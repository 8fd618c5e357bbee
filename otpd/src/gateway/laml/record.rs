//! A message or a call as the vendor describes it, in the reply to sending and to asking.

use serde_json::Value;

use crate::{
    domain::challenge::Channel,
    gateway::{VendorMessageId, client::Reply, problem::Problem},
};

/// A message or a call as the vendor describes it.
pub(super) struct Record(Value);

/// Where it is.
pub(super) enum Progress {
    /// On its way.
    UnderWay,
    /// It arrived; of a call: somebody or something answered, and it ended.
    Delivered,
    /// It did not arrive; the vendor's word for it.
    Failed(&'static str),
    /// None that is documented.
    Unclear,
}

impl Record {
    /// Reads a reply; `None` when it is no record.
    pub(super) fn read(reply: &Reply) -> Option<Self> {
        let body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
        body.is_object().then_some(Self(body))
    }

    /// What the vendor describes without being asked.
    pub(super) fn of(description: Value) -> Self {
        Self(description)
    }

    /// The vendor's name for it.
    pub(super) fn id(&self) -> Option<VendorMessageId> {
        VendorMessageId::checked(self.0.get("sid")?.as_str()?)
    }

    /// Where it is.
    pub(super) fn progress(&self, channel: Channel) -> Progress {
        let Some(word) = self.0.get("status").and_then(Value::as_str) else {
            return Progress::Unclear;
        };
        match channel {
            Channel::Sms => message(word),
            Channel::Voice => call(word),
        }
    }

    /// What went wrong on the way. The code is a number with Twilio and a text with `SignalWire`.
    pub(super) fn problem(&self) -> Option<Problem<'_>> {
        let code = match self.0.get("error_code")? {
            Value::String(code) => code.trim().to_owned(),
            Value::Number(code) => code.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        let title = self.0.get("error_message").and_then(Value::as_str).unwrap_or_default();
        Some(Problem { code, title, detail: "", about: "" })
    }
}

/// A message's words in both APIs.
fn message(word: &str) -> Progress {
    match word {
        "accepted" | "scheduled" | "queued" | "initiated" | "sending" | "sent" => {
            Progress::UnderWay
        }
        "delivered" | "read" | "partially_delivered" => Progress::Delivered,
        "failed" => Progress::Failed("failed"),
        "undelivered" => Progress::Failed("undelivered"),
        "canceled" => Progress::Failed("canceled"),
        _ => Progress::Unclear,
    }
}

/// A call's.
///
/// `busy` and `no-answer` count as lost on the way, although a person may have caused them: calls
/// that carriers take for spam end so too, and nobody here can tell these apart. Somebody waits at a
/// prompt for a call that another gateway may bring; how often it rings is bounded by the budgets.
fn call(word: &str) -> Progress {
    match word {
        "queued" | "initiated" | "ringing" | "in-progress" => Progress::UnderWay,
        "completed" => Progress::Delivered,
        "busy" => Progress::Failed("busy"),
        "no-answer" => Progress::Failed("no-answer"),
        "failed" => Progress::Failed("failed"),
        "canceled" => Progress::Failed("canceled"),
        _ => Progress::Unclear,
    }
}
