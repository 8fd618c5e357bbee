//! `otpctl verify`: the code that came back proves the number.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
    terminal,
};

/// Takes the code from the command line, the terminal or standard input and has it checked.
pub(crate) fn run(session: &Session, arguments: cli::Verify) -> Result<Outcome, Failure> {
    let cli::Verify { user: cli::User { user }, code } = arguments;
    // Asked before connecting: the daemon gives a connection 10 s to its first byte.
    let code = code.map_or_else(|| terminal::code(&user), Ok)?;
    let changed = session.call(&admin::Verify { user, code })?;
    let value = json::Subscriber::new(&changed.subscriber);
    Ok(Outcome::either(session, &value, || text::verified(&changed.subscriber)))
}
