//! `otpctl enroll`: a number is registered and a code sent to it.

use otp_proto::{
    Secret,
    admin::{self, DeliveryStatus},
};

use super::{Outcome, import};
use crate::{
    cli,
    failure::Failure,
    render::{json, text, word},
    session::Session,
    terminal,
};

/// Registers the number; says so even when the message could not be sent, because it is kept then.
pub(crate) fn run(session: &Session, arguments: cli::Enroll) -> Result<Outcome, Failure> {
    let cli::Enroll { user, phone, from, send, channel, replace, yes } = arguments;
    let channel = channel.map(admin::Channel::from);
    // The command line has either both names or a list.
    let (Some(user), Some(phone)) = (user, phone) else {
        let path = from.unwrap_or_else(|| "-".into());
        return import::run(session, &import::Import { path, send, channel, replace, yes });
    };
    if replace {
        let question =
            format!("Give up the number registered for {user} and take {phone} instead?");
        let command = format!("otpctl enroll {} {} --replace", word(&user), word(&phone));
        terminal::confirm(yes, &question, &command)?;
    }
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
