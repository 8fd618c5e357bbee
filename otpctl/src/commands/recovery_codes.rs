//! `otpctl recovery-codes`: what lets a user in whom no message reaches.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Makes a new set and prints it, this once. Standard output has the codes alone, so that it can be
/// handed on as it is.
pub(crate) fn run(session: &Session, user: cli::User) -> Result<Outcome, Failure> {
    let request = admin::RecoveryCodes { user: user.user };
    let made = session.call(&request)?;
    let value = json::RecoveryCodes { user: &request.user, codes: &made.codes };
    let mut outcome = Outcome::either(session, &value, || text::recovery_codes(&made.codes));
    outcome.stderr = text::hand_over(&request.user);
    Ok(outcome)
}
