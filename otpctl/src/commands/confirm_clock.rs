//! `otpctl confirm-clock`: the wall clock is right, whatever the daemon thinks.

use otp_proto::admin;

use super::Outcome;
use crate::{
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Has the daemon believe the wall clock again.
pub(crate) fn run(session: &Session) -> Result<Outcome, Failure> {
    session.call(&admin::ConfirmClock {})?;
    let value = json::ClockConfirmed { confirmed: true };
    Ok(Outcome::either(session, &value, text::clock_confirmed))
}
