//! `otpctl show`: everything about one account.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Shows one account.
pub(crate) fn run(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let shown = session.call(&admin::Show { user: user.user })?;
    Ok(Outcome::either(session, &json::Shown::new(&shown), || {
        text::shown(&shown, &session.zone, session.width)
    }))
}
