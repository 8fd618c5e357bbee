//! What a reply means for a message when only HTTP itself can tell. Vendors that say more in their
//! bodies are read by their own files first and end here.

use serde_json::Value;

use super::{
    Outcome, VendorMessageId,
    client::{Failure, Reply},
    redact::Redactor,
};

/// The outcome of a request that brought no reply.
pub(super) fn without_reply(failure: &Failure, redactor: &Redactor<'_>) -> Outcome {
    match failure {
        Failure::NotSent(text) => Outcome::Retryable { after: None, reason: redactor.reason(text) },
        Failure::Untrusted(text) => Outcome::Misconfigured(redactor.reason(text)),
        Failure::Unknown(text) => Outcome::Unknown(redactor.reason(text)),
    }
}

/// The outcome of a reply that was not a success, by its status.
pub(super) fn by_status(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    by_status_for(reply, redactor.reason(&format!("HTTP {}: {}", reply.status, said(reply))))
}

/// As [`by_status`], with a reason that was read from the body and redacted.
pub(super) fn by_status_for(reply: &Reply, reason: String) -> Outcome {
    match reply.status {
        // Refused before any work was done on it.
        429 | 501 | 503 => Outcome::Retryable { after: reply.retry_after, reason },
        // The other 5xx come from a server or proxy that took the request (500, 502, 504), 408
        // from one that waited for the rest of it; a 2xx that does not count as success is some
        // kind of yes. None of them says what was done by then.
        408 | 200..=299 | 500..=599 => Outcome::Unknown(reason),
        // Keys, address and redirects (which are never followed) are the configuration's. So is
        // any other 4xx, as far as HTTP can tell: a wrong template and a wrong number look alike,
        // and taking the former for the latter would end failover for everybody.
        _ => Outcome::Misconfigured(reason),
    }
}

/// The vendor's id, by JSON pointer: a string or a whole number. A success with a body that cannot
/// be read is still one, without an id: the status is the vendor's word that it took the message.
pub(super) fn id(reply: &Reply, pointer: &str) -> Option<VendorMessageId> {
    let body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
    match body.pointer(pointer)? {
        Value::String(text) => VendorMessageId::checked(text),
        Value::Number(number) if !number.is_f64() => VendorMessageId::checked(&number.to_string()),
        _ => None,
    }
}

/// The body, as a reason says it.
pub(super) fn said(reply: &Reply) -> String {
    match reply.body.as_deref() {
        None => "(reply too long or cut off)".to_owned(),
        Some([]) => "(empty reply)".to_owned(),
        Some(body) => String::from_utf8_lossy(body).into_owned(),
    }
}
