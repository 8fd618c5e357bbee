//! The audit trail in the log: a line an event, with the same fields as in the store.

use serde_json::Value;
use tracing::warn;

use crate::{
    domain::audit::{AuditEvent, Event},
    telemetry::AUDIT,
};

/// Logs an event that is committed.
pub(crate) fn write(event: &AuditEvent) {
    let mut details = serde_json::to_value(&event.event).unwrap_or_default();
    let name = details.as_object_mut().and_then(|fields| fields.remove("event"));
    let name = name.as_ref().and_then(Value::as_str).unwrap_or("unknown");
    let request = event.request.map(|request| request.to_string());
    let actor = event.actor.in_words();
    let account = event.account.as_str();
    tracing::info!(target: AUDIT, event = name, account, request, actor, %details);
    alarm(event);
}

/// What an operator should see without reading the audit trail.
fn alarm(event: &AuditEvent) {
    if let Event::ConversionLow { scope, country, messages, answered, blocked } = &event.event {
        warn!(
            scope,
            country,
            messages,
            answered,
            blocked,
            "few messages of the last hour were answered: somebody may be paid for them; \
             see limits.conversion"
        );
    }
    if event.event == (Event::SiteUnderAttack {}) {
        warn!("many wrong codes in 24 hours: codes have eight digits until they are fewer");
    }
}

#[cfg(test)]
mod tests {
    use otp_proto::{admin::Record, event::Event as Told};

    use crate::domain::audit::tests::every_kind;

    #[test]
    fn otpctl_reads_every_kind_as_it_was_written() {
        let mut told = Vec::new();
        for event in every_kind() {
            let written = serde_json::to_value(&event).expect("JSON");
            let mut details = written.as_object().cloned().expect("an object");
            let kind = details.remove("event").expect("a kind");
            let kind = kind.as_str().expect("a word").to_owned();
            let record = Record {
                id: 1,
                at: 0,
                request: None,
                user: "alice".to_owned(),
                actor: "otpd".to_owned(),
                event: kind.clone(),
                details,
            };
            let read = Told::of(&record).unwrap_or_else(|| panic!("{written} is not read"));
            assert_eq!(serde_json::to_value(read).expect("JSON"), written);
            told.push(kind);
        }
        assert_eq!(told, Told::kinds(), "nothing else is read either");
    }

    #[test]
    fn the_guide_names_every_kind() {
        let guide = include_str!("../../packaging/doc/guide.md");
        let missing =
            Told::kinds().into_iter().filter(|kind| !guide.contains(&format!("`{kind}`")));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
    }
}
