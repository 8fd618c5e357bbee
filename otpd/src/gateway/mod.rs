//! Sending: the port ([`Gateway`]), its order and failover ([`route`]), and one file a kind.

mod basic;
mod breaker;
pub mod callback;
mod client;
mod command;
mod escape;
mod file;
mod flowroute;
#[cfg(test)]
#[path = "../../../tests/fuzz/vendors.rs"]
mod fuzz;
mod http;
mod laml;
mod plivo;
mod problem;
mod redact;
mod refusals;
mod reply;
pub mod route;
pub mod settings;
mod signalwire;
pub mod spoken;
mod standing;
pub mod tally;
mod telnyx;
#[cfg(test)]
mod testing;
mod twilio;
mod vendor;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use zeroize::Zeroizing;

pub use client::ClientError;
pub use http::HttpError;
pub(crate) use redact::masked;
pub use standing::{Inquiring, Standing};
pub use vendor::VendorError;

use crate::{
    domain::{challenge::Channel, login::Cause, phone::E164},
    hex,
};

/// A gateway's name in the configuration: lower-case letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayName(pub String);

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vendor's name for a message, at most 128 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VendorMessageId(pub String);

impl VendorMessageId {
    /// Takes what a vendor calls a message; `None` when it is empty, longer than 128 characters or
    /// holds another character than printable ASCII, since it is logged and sent back to the vendor.
    #[must_use]
    pub fn checked(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

/// Tells one message from every other: 128 bits of a hash, which tell nothing. What is handed over
/// again for want of a clear answer has the same ones; what is sent once more on purpose has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// As our own name for a call, in the URL that its vendor reports to: 32 hexadecimal digits that
    /// nobody else can guess.
    #[must_use]
    pub fn name(self) -> VendorMessageId {
        VendorMessageId(hex::write(self.0))
    }

    /// Reads such a name, in the one spelling that there is.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        hex::read(name).map(Self)
    }
}

/// What is to be delivered.
#[derive(Clone)]
pub struct Message {
    /// Which message it is, for vendors that drop repeats.
    pub id: MessageId,
    /// Where to.
    pub to: E164,
    /// How.
    pub channel: Channel,
    /// The text, or what is spoken. It holds the code.
    pub text: Zeroizing<String>,
    /// The code alone, for a vendor's own flow that puts words around it; `None` where there is none.
    pub code: Option<Zeroizing<String>>,
    /// How long the vendor may still try: what is left of the code's life.
    pub valid_for: Duration,
    /// Where the vendor of a call may fetch what is spoken, where `[http]` is on. The token in it
    /// serves this call only. `None`: the words go with the request, and no key is asked for.
    pub answer_url: Option<Zeroizing<String>>,
    /// Where the vendor may report how far the message is, by itself; it may hold what only the
    /// vendor is told. Set for each gateway anew. `None`: nobody listens.
    pub report_url: Option<Zeroizing<String>>,
}

impl Message {
    /// What somebody says about it, fit for a log: one short line without the code, and with the
    /// number masked.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        redact::Redactor::new(self, []).reason(text)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("to", &self.to)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// What became of handing a message over. Reasons are for administrators: masked, without the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The vendor took it.
    Accepted {
        /// Its name for it, where it gives one.
        vendor_id: Option<VendorMessageId>,
    },
    /// Never to this number; no other gateway will do better.
    Rejected(String),
    /// Surely not sent; another gateway may be tried at once.
    Retryable {
        /// When this gateway may be asked again.
        after: Option<Duration>,
        /// What it said.
        reason: String,
    },
    /// The person asked the vendor to stop; nothing may be sent from now on.
    OptedOut,
    /// The configuration or the account with the vendor is wrong.
    Misconfigured(String),
    /// Perhaps sent: another gateway may be tried with the same code.
    Unknown(String),
}

/// How far a message is that a vendor took. Reasons are for administrators: masked, without the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The carrier says that it arrived. An end.
    Delivered,
    /// Not at its end yet.
    UnderWay,
    /// The carrier will not say whether it arrived. An end.
    Unconfirmed,
    /// It did not arrive. An end.
    Failed {
        /// What the vendor said.
        reason: String,
        /// Whether another gateway may do better.
        cause: Cause,
    },
    /// The vendor could not be asked, or gave no clear answer; it may be asked again.
    Unknown(String),
}

/// What a vendor tells without being asked, once its signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// How far a message is.
    Progress {
        /// The vendor's name for it.
        id: VendorMessageId,
        /// How far.
        status: Status,
    },
    /// How far a call is that the vendor did not name when it took it.
    Call {
        /// The message, as the URL says that the report came to.
        ours: MessageId,
        /// The vendor's name for it.
        id: VendorMessageId,
        /// How far.
        status: Status,
    },
    /// Somebody who could not prove to be the vendor says that there is news of a message: it is
    /// asked after.
    Hint {
        /// The vendor's name for it.
        id: VendorMessageId,
    },
    /// Somebody wrote to the number that sends.
    Inbound {
        /// Who.
        from: E164,
        /// What they want.
        keyword: Keyword,
        /// The same when the same request is told again.
        mark: callback::Mark,
        /// The vendor's name for their message, where it says one.
        id: Option<VendorMessageId>,
    },
}

/// What a person who writes to a number that sends codes wants, by the words that carriers agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// To know what this is.
    Help,
    /// Anything else, which is not kept.
    Other,
}

/// What asking for a [`Status`] returns.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Status> + Send + 'a>>;

/// A future that a gateway returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Anything that carries a message to a telephone.
pub trait Gateway: Send + Sync {
    /// The kind as the configuration has it.
    fn kind(&self) -> &'static str;
    /// Whether it can carry a message this way.
    fn supports(&self, channel: Channel) -> bool;
    /// Hands one message over, within its own deadline of at most 8 s.
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;
    /// How far a message is that it took under this name, asked within its own deadline of at most
    /// 8 s. The message is for redaction. `None`: this kind cannot tell, and is never asked.
    fn status<'a>(&'a self, _message: &'a Message, _id: &'a VendorMessageId) -> Option<Asking<'a>> {
        None
    }
    /// Whether the vendor knows the credentials, asked within its own deadline of at most 8 s, without
    /// a message. `None`: this kind cannot tell.
    fn standing(&self) -> Option<Inquiring<'_>> {
        None
    }
}
