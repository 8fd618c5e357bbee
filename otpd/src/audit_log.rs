//! The audit trail in the log: a line an event, with the same fields as in the store.

use serde_json::Value;

use crate::{
    domain::audit::{Actor, AuditEvent},
    telemetry::AUDIT,
};

/// Logs an event that is committed.
pub(crate) fn write(event: &AuditEvent) {
    let mut details = serde_json::to_value(&event.event).unwrap_or_default();
    let name = details.as_object_mut().and_then(|fields| fields.remove("event"));
    let name = name.as_ref().and_then(Value::as_str).unwrap_or("unknown");
    let request = event.request.map(|request| request.to_string());
    let actor = match event.actor {
        Actor::Claimant => "claimant".to_owned(),
        Actor::Uid(uid) => format!("uid {uid}"),
        Actor::Daemon => "otpd".to_owned(),
    };
    let account = event.account.as_str();
    tracing::info!(target: AUDIT, event = name, account, request, actor, %details);
}
