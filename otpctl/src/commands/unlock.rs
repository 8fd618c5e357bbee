//! `otpctl unlock`: ends what wrong codes brought.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Ends the account's limits on wrong codes.
pub(crate) fn run(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let changed = session.call(&admin::Unlock { user: user.user })?;
    Ok(Outcome::either(session, &json::Subscriber::new(&changed.subscriber), || {
        text::changed(
            &changed.subscriber,
            "is unlocked: the limits that wrong codes brought are over",
        )
    }))
}
