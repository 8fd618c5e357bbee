//! A message that a decision wants sent.

use super::LoginState;
use crate::domain::{
    account::Account,
    challenge::{Challenge, Channel, Delivery},
    enrollment::{Enrollment, NumberIndex},
    passcode::{ChallengeToken, Passcode, Purpose, Reference},
    phone::E164,
    time::Timestamp,
};

/// A message that the decision wants sent, with the only copy of the code. It leaves the store
/// after the commit and is never stored.
#[derive(Clone, Debug)]
pub struct Order {
    /// The challenge.
    pub token: ChallengeToken,
    /// Whose.
    pub account: Account,
    /// What the code is for.
    pub purpose: Purpose,
    /// PAM service, for the text.
    pub service: String,
    /// Where to.
    pub to: E164,
    /// The number's budget.
    pub index: NumberIndex,
    /// How.
    pub channel: Channel,
    /// The code.
    pub code: Passcode,
    /// In the text.
    pub reference: Reference,
    /// When the code was issued: tells the codes of one challenge apart.
    pub issued_at: Timestamp,
    /// When the code dies.
    pub expires_at: Timestamp,
    /// When it was charged; the code may be older.
    pub charged_at: Timestamp,
    /// How often this code was sent again by itself before: 0 for the first message.
    pub repeat: u8,
    /// Gateways to be tried after all others, in this order: the one that carried the code before, and
    /// one that refused the number, which is the end of a message.
    pub avoid: Vec<String>,
    /// Gateways that took this very code and did not bring it there: not asked again.
    pub lost_by: Vec<String>,
}

impl Order {
    pub(in crate::domain) fn new(
        challenge: &Challenge,
        account: &Account,
        enrollment: &Enrollment,
        code: Passcode,
        avoid: Vec<String>,
    ) -> Self {
        Self {
            token: challenge.token,
            account: account.clone(),
            purpose: challenge.purpose,
            service: challenge.service.clone(),
            to: enrollment.number().clone(),
            index: enrollment.index,
            channel: challenge.channel,
            code,
            reference: challenge.reference(),
            issued_at: challenge.issued_at,
            expires_at: challenge.expires_at(),
            charged_at: challenge.issued_at,
            repeat: challenge.repeats,
            avoid,
            lost_by: Vec::new(),
        }
    }
}

/// What the next message of a challenge is not to begin with, for [`Order::avoid`].
pub(in crate::domain) fn avoided(challenge: &Challenge) -> Vec<String> {
    let carrier = match &challenge.delivery {
        Delivery::Accepted { gateway }
        | Delivery::Uncertain { gateway }
        | Delivery::Undelivered { gateway, .. } => Some(gateway),
        Delivery::Sending { .. } | Delivery::Unsent => None,
    };
    let refused_by = challenge.refused_by.as_ref();
    carrier
        .filter(|carrier| Some(*carrier) != refused_by)
        .into_iter()
        .chain(refused_by)
        .cloned()
        .collect()
}

/// The same for the first message of a login: the gateway that refused the number last, as far back as
/// logins are remembered.
pub(in crate::domain) fn refused_before(login: &LoginState) -> Vec<String> {
    let refused = login.challenges.iter().filter(|challenge| challenge.refused_by.is_some());
    let newest = refused.max_by_key(|challenge| challenge.issued_at);
    newest.and_then(|challenge| challenge.refused_by.clone()).into_iter().collect()
}
