//! `otpctl remove`: a number is forgotten.

use otp_proto::admin;

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text, word},
    session::Session,
    terminal,
};

/// Forgets the number, once that is wanted for sure.
pub(crate) fn run(session: &Session, arguments: cli::Remove) -> Result<Outcome, Failure> {
    let cli::Remove { user: cli::User { user }, yes } = arguments;
    let command = format!("otpctl remove {}", word(&user));
    terminal::confirm(yes, &format!("Remove {user} and forget the number?"), &command)?;
    let request = admin::Remove { user };
    let admin::Removed { damaged } = session.call(&request)?;
    let names = damaged.then_some(&*request.user);
    let value = json::Removed { user: &request.user, removed: true, damaged: names.as_slice() };
    Ok(Outcome::either(session, &value, || text::removed(&request.user, damaged)))
}
