//! `otpctl status`: how the daemon is.

use otp_proto::admin;

use super::Outcome;
use crate::{failure::Failure, render::text, session::Session};

/// Asks the daemon how it is. Problems are its answer, not a failure of the question: exit 0.
pub(crate) fn run(session: &Session) -> Result<Outcome, Failure> {
    let status = session.call(&admin::Status {})?;
    // The wire's own field names are the documented ones, and no field is a time.
    Ok(Outcome::either(session, &status, || text::status(&status, session.width)))
}
