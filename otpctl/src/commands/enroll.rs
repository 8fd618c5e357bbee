//! `otpctl enroll`: a number is registered and a code sent to it.

use otp_proto::{
    Secret,
    admin::{self, DeliveryStatus},
};

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{json, text, word},
    session::Session,
    terminal,
};

/// Registers the number; says so even when the message could not be sent, because it is kept then.
pub(crate) fn run(session: &Session, arguments: cli::Enroll) -> Result<Outcome, Failure> {
    let cli::Enroll { user: cli::User { user }, phone, channel, replace, yes } = arguments;
    if replace {
        let question =
            format!("Give up the number registered for {user} and take {phone} instead?");
        let command = format!("otpctl enroll {} {} --replace", word(&user), word(&phone));
        terminal::confirm(yes, &question, &command)?;
    }
    let channel = channel.map(admin::Channel::from);
    let enrolled =
        session.call(&admin::Enroll { user, phone: Secret::new(phone), channel, replace })?;
    let value = json::Enrolled::new(&enrolled);
    Ok(match enrolled.delivery.status {
        DeliveryStatus::Accepted | DeliveryStatus::Sending => {
            Outcome::either(session, &value, || text::enrolled(&enrolled, &session.zone))
        }
        DeliveryStatus::Failed => {
            Outcome::incomplete(session, &value, text::enrolled_unsent(&enrolled))
        }
    })
}
