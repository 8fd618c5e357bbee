//! `otpctl resend`: another code to a number that is to be verified.

use otp_proto::admin::{self, DeliveryStatus};

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text},
    session::Session,
};

/// Has another message sent.
pub(crate) fn run(session: &Session, arguments: cli::Resend) -> Result<Outcome, Failure> {
    let cli::Resend { user: cli::User { user }, voice } = arguments;
    let request = admin::Resend { user, voice };
    let admin::Resent { delivery } = session.call(&request)?;
    let value = json::Resent::new(&request.user, &delivery);
    Ok(match delivery.status {
        DeliveryStatus::Accepted | DeliveryStatus::Sending => {
            Outcome::either(session, &value, || {
                text::resent(&request.user, &delivery, &session.zone)
            })
        }
        DeliveryStatus::Failed => {
            Outcome::incomplete(session, &value, text::resend_failed(&request.user, &delivery))
        }
    })
}
