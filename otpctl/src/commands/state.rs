//! `otpctl disable` and `otpctl enable`.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Denies the account's logins.
pub(crate) fn disable(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let changed = session.call(&admin::Disable { user: user.user })?;
    Ok(outcome(session, &changed, "is disabled"))
}

/// Ends that.
pub(crate) fn enable(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let changed = session.call(&admin::Enable { user: user.user })?;
    Ok(outcome(session, &changed, "is enabled"))
}

fn outcome(session: &Session, changed: &admin::Changed, what: &str) -> Outcome {
    Outcome::either(session, &json::Subscriber::new(&changed.subscriber), || {
        text::changed(&changed.subscriber, what)
    })
}
