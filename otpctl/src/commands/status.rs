//! `otpctl status`: how the daemon is, and those that share its store.

use otp_proto::{admin, service::ServiceError};

use super::Outcome;
use crate::{
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Asks the daemon how it is. Problems are its answer, not a failure of the question: exit 0.
pub(crate) fn run(session: &Session) -> Result<Outcome, Failure> {
    let status = session.call(&admin::Status {})?;
    let hosts = hosts(session)?;
    let value = json::Status::new(&status, &hosts);
    Ok(Outcome::either(session, &value, || {
        text::status(&status, &hosts, &session.zone, session.width)
    }))
}

/// The daemons that share the store; none where the daemon is of an earlier version.
pub(super) fn hosts(session: &Session) -> Result<Vec<admin::Host>, Failure> {
    let mut hosts = Vec::new();
    let each = |listed: admin::HostListed| hosts.extend(listed.host);
    match session.call_more(&admin::Hosts {}, each) {
        Ok(()) | Err(Failure::Service(ServiceError::MethodNotFound { .. })) => Ok(hosts),
        Err(failure) => Err(failure),
    }
}
