//! `otpctl unlock`: ends what wrong codes brought, and an opt-out.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Ends the account's limits on wrong codes, and the opt-out of its number.
pub(crate) fn run(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let unlocked = session.call(&admin::Unlock { user: user.user })?;
    Ok(Outcome::either(session, &json::Unlocked::new(&unlocked), || text::unlocked(&unlocked)))
}
