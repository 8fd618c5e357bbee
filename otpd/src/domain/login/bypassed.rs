//! A login that an administrator's bypass lets in.

use super::{Begin, Begun, Ledger};
use crate::domain::{audit::Event, enrollment::State};

impl Begin {
    /// The login as a bypass lets it in, if there is one that does. Neither the number nor a limit on
    /// codes matters, for it is there because codes are of no help; but an account that was
    /// switched off stays so.
    ///
    /// No factor was shown, so nothing is learned from it: the source stays unknown, and wrong codes
    /// stay in a row.
    pub(super) fn bypassed(&self, ledger: &mut Ledger) -> Option<Begun> {
        let state = ledger.records.enrollment.as_ref().map(|enrollment| enrollment.state);
        if matches!(state, Some(State::Disabled { .. })) {
            return None;
        }
        let bypass = ledger.records.login.bypasses.take(self.source, ledger.now)?;
        let event = Event::LoginBypassed {
            service: self.service.clone(),
            source: self.source.map(|source| source.to_string()),
            bypass: bypass.id.to_string(),
            granted_by: bypass.by,
            reason: bypass.reason.clone(),
            uses_left: bypass.uses_left,
        };
        ledger.note(self.draw.token, event);
        Some(Begun::Bypassed(Box::new(bypass)))
    }
}
