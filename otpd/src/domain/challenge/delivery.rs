//! How a message travels, and how far it is.

use minicbor::{Decode, Encode};

use super::Instance;

/// How a code travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Channel {
    /// Text message.
    #[n(0)]
    Sms,
    /// Phone call.
    #[n(1)]
    Voice,
}

impl Channel {
    /// The word in the configuration and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
        }
    }
}

/// How far the message is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Delivery {
    /// Handed to the gateways by this run of the daemon.
    #[n(0)]
    Sending {
        /// Who holds the code.
        #[n(0)]
        by: Instance,
    },
    /// A vendor took it.
    #[n(1)]
    Accepted {
        /// Which gateway.
        #[n(0)]
        gateway: String,
    },
    /// No gateway took it, or none was asked.
    #[n(2)]
    Unsent,
    /// A vendor may have taken it: no clear answer came.
    #[n(3)]
    Uncertain {
        /// The last gateway that may have.
        #[n(0)]
        gateway: String,
    },
    /// A vendor took it and reported that it did not arrive.
    #[n(4)]
    Undelivered {
        /// Which gateway.
        #[n(0)]
        gateway: String,
        /// What it said, masked.
        #[n(1)]
        reason: String,
    },
}
