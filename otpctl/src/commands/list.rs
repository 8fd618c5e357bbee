//! `otpctl list`: who is enrolled.

use otp_proto::admin;

use super::Outcome;
use crate::{
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Lists everybody. Nothing is printed before the last row is there: half a list that looks whole
/// would be worse than none.
pub(crate) fn run(session: &Session) -> Result<Outcome, Failure> {
    let mut rows = Vec::new();
    session.call_more(&admin::List {}, |reply: admin::Listed| {
        rows.extend(reply.subscriber.map(|subscriber| (subscriber, reply.opted_out)));
    })?;
    if session.json {
        let rows: Vec<_> = rows.iter().map(json::Listed::new).collect();
        return Ok(Outcome::done(json::text(&rows)));
    }
    let mut outcome = Outcome::done(text::list(&rows, &session.zone, session.width));
    if rows.is_empty() {
        outcome.stderr = "nobody is enrolled yet; begin with: otpctl enroll USER PHONE".into();
    }
    Ok(outcome)
}
