//! `otpctl doctor`: whether logins work, and whether somebody is about to be locked out.

use otp_proto::admin;

use super::Outcome;
use crate::{
    Exit, cli,
    doctor::{Asked, Host, State, examine},
    failure::Failure,
    pam,
    render::{json, text},
    session::Session,
};

/// Examines this host. A problem that is found is a refusal (1), also when it is the daemon that
/// cannot be reached: the question was answered.
///
/// # Errors
/// [`Failure::Host`] for what is no service.
pub(crate) fn run(session: &Session, arguments: &cli::Doctor) -> Result<Outcome, Failure> {
    if let Some(service) = &arguments.service {
        pam::path(service)?;
    }
    let status = session.call(&admin::Status {});
    // Who does not answer the first question is not asked more.
    let (policy, checked, enrolled) = match &status {
        Ok(_) => (
            session.call(&admin::Policy {}).ok(),
            session.call(&admin::CheckGateways {}).ok(),
            enrolled(session).ok(),
        ),
        Err(_) => (None, None, None),
    };
    let checked = checked.map(|checked| checked.gateways).unwrap_or_default();
    let (enrolled, damaged) = enrolled.unzip();
    let damaged = damaged.unwrap_or_default();
    let asked = Asked { socket: &session.socket, status, policy, checked, enrolled, damaged };
    let findings = examine(&Host::new(), &asked, arguments.service.as_deref());
    let healthy = findings.iter().all(|finding| finding.state != State::Problem);
    let stdout = if session.json {
        json::text(&json::Examined { healthy, findings: &findings })
    } else {
        text::examined(&findings)
    };
    let exit = if healthy { Exit::Done } else { Exit::Refused };
    Ok(Outcome { stdout, stderr: String::new(), exit })
}

/// Who is enrolled, and of whom what is stored is damaged.
fn enrolled(session: &Session) -> Result<(Vec<admin::Subscriber>, Vec<String>), Failure> {
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    session.call_more(&admin::List {}, |row: admin::Listed| {
        rows.extend(row.subscriber);
        damaged.extend(row.damaged);
    })?;
    Ok((rows, damaged))
}
