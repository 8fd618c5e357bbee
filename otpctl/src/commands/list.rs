//! `otpctl list`: who is enrolled.

use otp_proto::admin;

use super::Outcome;
use crate::{
    Exit,
    failure::Failure,
    render::{backups, json, text},
    session::Session,
};

/// Lists everybody. Nothing is printed before the last row is there: half a list that looks whole
/// would be worse than none.
pub(crate) fn run(session: &Session) -> Result<Outcome, Failure> {
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    session.call_more(&admin::List {}, |reply: admin::Listed| {
        rows.extend(reply.subscriber.map(|subscriber| (subscriber, reply.opted_out)));
        damaged.extend(reply.damaged);
    })?;
    let mut outcome = if session.json {
        let sound = rows.iter().map(|row| json::ListRow::Sound(json::Listed::new(row)));
        let unread = damaged.iter().map(|user| json::ListRow::Damaged(json::Unlisted::new(user)));
        Outcome::done(json::text(&sound.chain(unread).collect::<Vec<_>>()))
    } else {
        Outcome::done(text::list(&rows, &session.zone, session.width))
    };
    if !damaged.is_empty() {
        (outcome.stderr, outcome.exit) = (backups::not_listed(&damaged), Exit::Incomplete);
    } else if rows.is_empty() && !session.json {
        outcome.stderr = "nobody is enrolled yet; begin with: otpctl enroll USER PHONE".into();
    }
    Ok(outcome)
}
