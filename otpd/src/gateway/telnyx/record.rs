//! A message as Telnyx describes it, in the reply to sending and to asking.

use serde_json::Value;

use crate::gateway::{VendorMessageId, client::Reply, problem::Problem};

/// A message as Telnyx describes it.
pub(super) struct Record(Value);

/// Where it is, by `to[0].status`: the record itself has none.
pub(super) enum Progress {
    /// On its way.
    UnderWay,
    /// It arrived.
    Delivered,
    /// The carrier will not say.
    Unconfirmed,
    /// It did not arrive; Telnyx's word for it.
    Failed(&'static str),
    /// None that is documented.
    Unclear,
}

impl Record {
    /// Reads a reply; `None` when it is no record.
    pub(super) fn read(reply: &Reply) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
        body.get_mut("data").map(Value::take).map(Self)
    }

    /// A message that Telnyx describes without being asked.
    pub(super) fn of(message: Value) -> Self {
        Self(message)
    }

    /// Telnyx's name for the message.
    pub(super) fn id(&self) -> Option<VendorMessageId> {
        VendorMessageId::checked(self.0.get("id")?.as_str()?)
    }

    /// Where it is.
    pub(super) fn progress(&self) -> Progress {
        match self.0.pointer("/to/0/status").and_then(Value::as_str) {
            Some("queued" | "sending" | "sent") => Progress::UnderWay,
            Some("delivered") => Progress::Delivered,
            Some("delivery_unconfirmed") => Progress::Unconfirmed,
            Some("sending_failed") => Progress::Failed("sending_failed"),
            Some("delivery_failed") => Progress::Failed("delivery_failed"),
            Some("expired") => Progress::Failed("expired"),
            Some(_) | None => Progress::Unclear,
        }
    }

    /// What went wrong on the way, or was tried in vain.
    pub(super) fn problems(&self) -> Vec<Problem<'_>> {
        self.0.get("errors").map(Problem::all).unwrap_or_default()
    }
}
