//! `otpctl bypass`: lets a user log in without a code for a while.

use otp_proto::admin;

use super::Outcome;
use crate::{
    Exit, cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Grants, ends or lists bypasses.
pub(crate) fn run(session: &Session, arguments: cli::Bypass) -> Result<Outcome, Failure> {
    let cli::Bypass { user, span, reason, uses, from, revoke, list: _ } = arguments;
    // The command line has made sure that what belongs together is there.
    match (user, revoke, span.zip(reason)) {
        (Some(user), Some(id), _) => end(session, user, id),
        (Some(user), None, Some((span, reason))) => {
            let seconds = span.0;
            let request = admin::Bypass { user, seconds, reason, uses: uses.map(i64::from), from };
            grant(session, &request)
        }
        (_, _, _) => list(session),
    }
}

fn grant(session: &Session, request: &admin::Bypass) -> Result<Outcome, Failure> {
    let granted = session.call(request)?;
    let value = json::Grant::new(&granted.bypass);
    Ok(Outcome::either(session, &value, || text::bypassed(&granted.bypass, &session.zone)))
}

fn end(session: &Session, user: String, id: Option<String>) -> Result<Outcome, Failure> {
    let request = admin::RevokeBypass { user, id };
    let admin::Revoked { revoked } = session.call(&request)?;
    let value = json::Revoked { user: &request.user, revoked };
    if revoked == 0 {
        let problem = text::no_bypass(&request.user, request.id.as_deref());
        return Ok(Outcome::incomplete(session, &value, problem));
    }
    Ok(Outcome::either(session, &value, || text::revoked(&request.user, revoked)))
}

fn list(session: &Session) -> Result<Outcome, Failure> {
    let mut rows = Vec::new();
    let each = |reply: admin::BypassListed| rows.extend(reply.bypass);
    session.call_more(&admin::Bypasses {}, each)?;
    if session.json {
        let rows = rows.iter().map(json::Grant::new).collect::<Vec<_>>();
        return Ok(Outcome::done(json::text(&rows)));
    }
    let stderr = if rows.is_empty() { "nobody has a bypass".into() } else { String::new() };
    let stdout = text::bypasses(&rows, &session.zone, session.width);
    Ok(Outcome { stdout, stderr, exit: Exit::Done })
}
