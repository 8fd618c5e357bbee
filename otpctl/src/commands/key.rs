//! `otpctl key`: another master key.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli::{Key, KeyAction},
    failure::Failure,
    render::text,
    session::Session,
    terminal,
};

/// Longer than a million numbers take.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(15);

/// Has the daemon rotate the key, once that is wanted for sure.
pub(crate) fn run(session: &Session, arguments: &Key) -> Result<Outcome, Failure> {
    let KeyAction::Rotate { yes } = arguments.action;
    let question = "Put everything under the next key? The one in use is good for nothing then.";
    terminal::confirm(yes, question, "otpctl key rotate")?;
    let done = session.call_patiently(&admin::RotateKey {}, PATIENCE)?;
    Ok(Outcome::either(session, &done, || text::key_rotated(&done)))
}
