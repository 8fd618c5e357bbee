//! A call's record at Plivo, which there is once it ended, and why calls end.

use serde_json::Value;

use super::record::{Progress, error};
use crate::{domain::login::Cause, gateway::problem::told};

/// By when it was answered, when it ended and why.
///
/// That nobody answers counts as lost on the way, although a person may have caused it: calls that
/// carriers take for spam end so too, and nobody here can tell these apart.
pub(super) fn progress(record: &Value) -> Progress {
    let time = |name: &str| {
        record.get(name).and_then(Value::as_str).is_some_and(|time| !time.trim().is_empty())
    };
    let why = error(record, "hangup_cause_code", "hangup_cause_name");
    let code: Option<u32> = why.as_ref().and_then(|why| why.code.parse().ok());
    if !time("end_time") && code.is_none() {
        let live = record.get("call_status").and_then(Value::as_str);
        return match live {
            Some("queued" | "initiated" | "ringing" | "in-progress") => Progress::UnderWay,
            Some(_) => Progress::Unclear,
            None if record.get("call_uuid").is_some() => Progress::UnderWay,
            None => Progress::Unclear,
        };
    }
    let word = match code {
        // Plivo reached no words, or could not read them: nothing was said.
        Some(7000..=8999) => "nothing said",
        _ if time("answer_time") => return Progress::Delivered,
        Some(_) | None => "not answered",
    };
    let cause = match code {
        // No destination. One that is unavailable or out of service (2010) may be so for this carrier.
        Some(2000) => Cause::Number,
        Some(_) | None => Cause::Route,
    };
    Progress::Failed { told: told(word, why.as_slice()), cause }
}
