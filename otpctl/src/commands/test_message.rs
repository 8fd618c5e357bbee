//! `otpctl test-message`: whether a gateway delivers.

use otp_proto::{
    Secret,
    admin::{self, Arrival, DeliveryStatus},
};

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, numbers},
    session::Session,
};

/// Has a message without a code sent.
pub(crate) fn run(session: &Session, arguments: cli::TestMessage) -> Result<Outcome, Failure> {
    let cli::TestMessage { phone, gateway, voice } = arguments;
    let tested = session.call(&admin::TestMessage { phone: Secret::new(phone), gateway, voice })?;
    let value = json::Tested::new(&tested);
    Ok(match tested.status {
        DeliveryStatus::Accepted if tested.arrival == Some(Arrival::Undelivered) => {
            Outcome::incomplete(session, &value, numbers::test_lost(&tested))
        }
        DeliveryStatus::Accepted | DeliveryStatus::Sending => {
            Outcome::either(session, &value, || numbers::tested(&tested))
        }
        DeliveryStatus::Failed => {
            Outcome::incomplete(session, &value, numbers::test_failed(&tested))
        }
    })
}
