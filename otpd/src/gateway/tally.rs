//! What becomes of messages, counted.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use super::{GatewayName, Outcome};
use crate::domain::challenge::Channel;

/// Counts of messages, by gateway, channel and outcome; nothing of whom they went to. Cheap to clone,
/// and the same for every configuration of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally(Family<Handed, Counter>);

/// What one count is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Handed {
    gateway: String,
    channel: &'static str,
    outcome: &'static str,
}

impl Tally {
    /// The counts, for a registry.
    #[must_use]
    pub fn family(&self) -> Family<Handed, Counter> {
        self.0.clone()
    }

    pub(crate) fn count(&self, gateway: &GatewayName, channel: Channel, outcome: &Outcome) {
        let channel = match channel {
            Channel::Sms => "sms",
            Channel::Voice => "voice",
        };
        let outcome = match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected(_) => "rejected",
            Outcome::Retryable { .. } => "retryable",
            Outcome::OptedOut => "opted-out",
            Outcome::Misconfigured(_) => "misconfigured",
            Outcome::Unknown(_) => "unknown",
        };
        self.0.get_or_create(&Handed { gateway: gateway.0.clone(), channel, outcome }).inc();
    }
}
