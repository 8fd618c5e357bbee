//! What a prompt tells about a login.

use super::Terms;
use crate::domain::{
    challenge::{Challenge, Channel, Delivery, Resend},
    enrollment::Enrollment,
    passcode::{ChallengeToken, Reference},
    time::Timestamp,
};

/// How far the newest message is, as a prompt says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No vendor has answered yet, or none clearly.
    Sending,
    /// A vendor took it.
    Sent,
    /// A vendor took it and says that it did not arrive; the code is right all the same.
    Lost,
    /// No gateway took it.
    Failed,
    /// The person at the number asked for an end to messages, so that none goes out.
    Stopped,
}

/// All that a prompt tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The challenge.
    pub token: ChallengeToken,
    /// How the newest code travels.
    pub channel: Channel,
    /// Last two digits of the number.
    pub ending: String,
    /// The newest message's reference.
    pub reference: Reference,
    /// How far that message is.
    pub progress: Progress,
    /// Whether `r` may still help.
    pub may_resend: bool,
    /// Whether `v` may still help.
    pub may_call: bool,
    /// Seconds until then; 0: now. Also when it may not, for a message that fails after all.
    pub resend_in: u32,
    /// Wrong codes still allowed.
    pub tries_left: u8,
    /// Recovery codes that could be used now.
    pub recovery: u8,
}

impl View {
    /// Says how far the newest message is by now.
    pub fn report(&mut self, progress: Progress) {
        self.progress = progress;
        // A call would be a message all the same.
        self.may_call &= progress != Progress::Stopped;
    }

    /// What a prompt says of `challenge` now. `recovery`: recovery codes that could be used now.
    pub(super) fn of(
        challenge: &Challenge,
        enrollment: &Enrollment,
        terms: &Terms,
        recovery: u8,
        now: Timestamp,
    ) -> Self {
        let may_resend = challenge.may_resend(now) != Resend::Never;
        Self {
            token: challenge.token,
            channel: challenge.channel,
            ending: enrollment.number().ending().to_owned(),
            reference: challenge.reference(),
            progress: match challenge.delivery {
                Delivery::Sending { .. } | Delivery::Uncertain { .. } => Progress::Sending,
                Delivery::Accepted { .. } => Progress::Sent,
                Delivery::Undelivered { .. } => Progress::Lost,
                Delivery::Unsent => Progress::Failed,
            },
            may_resend,
            may_call: may_resend && terms.voice,
            resend_in: challenge.resend_in(now),
            tries_left: challenge.tries_left,
            recovery,
        }
    }
}
