//! `otpctl show`: everything about one account.

use otp_proto::{admin, service::ServiceError};

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Shows one account, with its number in full where that is asked for.
pub(crate) fn run(session: &Session, arguments: cli::Show) -> Result<Outcome, Failure> {
    let cli::Show { user: cli::User { user }, reveal } = arguments;
    let mut shown = session.call(&admin::Show { user: user.clone() })?;
    if reveal {
        let revealed = session.call(&admin::Reveal { user }).map_err(|failure| match failure {
            Failure::Service(ServiceError::PermissionDenied {}) => Failure::RootOnly,
            other => other,
        })?;
        revealed.phone.expose().clone_into(&mut shown.subscriber.phone);
    }
    Ok(Outcome::either(session, &json::Shown::new(&shown), || {
        text::shown(&shown, &session.zone, session.width)
    }))
}
