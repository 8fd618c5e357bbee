//! A message that a decision wants sent.

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
    /// The gateway that carried the code before, to be tried last.
    pub avoid: Option<String>,
    /// Gateways that took this very code and did not bring it there: not asked again.
    pub lost_by: Vec<String>,
}

impl Order {
    pub(in crate::domain) fn new(
        challenge: &Challenge,
        account: &Account,
        enrollment: &Enrollment,
        code: Passcode,
        avoid: Option<String>,
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

/// The gateway that took the newest message, for [`Order::avoid`].
pub(in crate::domain) fn carrier(challenge: &Challenge) -> Option<String> {
    match &challenge.delivery {
        Delivery::Accepted { gateway }
        | Delivery::Uncertain { gateway }
        | Delivery::Undelivered { gateway, .. } => Some(gateway.clone()),
        Delivery::Sending { .. } | Delivery::Unsent => None,
    }
}
