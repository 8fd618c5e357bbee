//! What the vendors' gateways share: an account with an HTTP API ([`Vendor`]) over one vendor's way of
//! speaking it ([`Dialect`]), which is pure: requests as values, replies read into outcomes.

use std::{path::Path, time::Duration};

use reqwest::{Request, Url};
use zeroize::Zeroizing;

use super::{
    Asking, Gateway, Inquiring, Message, Outcome, Sending, Standing, Status, VendorMessageId,
    client::{Client, ClientError, Reply},
    redact::Redactor,
    reply,
    settings::Key,
    standing::unanswered,
};
use crate::domain::{challenge::Channel, login::Cause};

/// Why a vendor's gateway cannot be used. The texts hold no key.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// The base URL, or how to reach it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A key cannot be sent in a header.
    #[error("the key in `{0}` holds characters that no header can have; copy it again")]
    Key(&'static str),
    /// Nothing says who sends.
    #[error("{0}")]
    Sender(&'static str),
}

/// One vendor's way of speaking, without any input or output.
pub(super) trait Dialect: Send + Sync {
    /// The kind as the configuration has it.
    fn kind(&self) -> &'static str;
    /// Whether it can carry a message this way.
    fn supports(&self, channel: Channel) -> bool;
    /// An address of the API, for the client.
    fn address(&self) -> &Url;
    /// What must never be repeated: keys, as they stand in headers and bodies.
    fn secrets(&self) -> &[Zeroizing<String>];
    /// The request that hands a message over.
    ///
    /// # Errors
    /// Why there is none; not redacted.
    fn request(&self, message: &Message) -> Result<Request, String>;
    /// What became of handing a message over.
    fn sent(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome;
    /// Where to look when the vendor refuses for the configuration's sake, in the configuration's
    /// words: `the key in api-key-file telnyx.key`, or [`SENDER`]. It is put behind the reason of
    /// an [`Outcome::Misconfigured`] and of a question that was not answered.
    fn hint(&self, _reply: &Reply) -> Option<String> {
        None
    }
    /// Asks for a message; `None` where this vendor cannot tell, or the id fits in no URL.
    fn question(&self, channel: Channel, id: &VendorMessageId) -> Option<Request>;
    /// How far a message is, by the reply to [`Self::question`].
    fn status(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status;
    /// Asks for something that only the owner of the account may see, and changes nothing; `None`
    /// where there is no such thing.
    fn account(&self) -> Option<Request> {
        None
    }
    /// What is left of the money, by the reply to [`Self::account`].
    fn balance(&self, _reply: &Reply) -> Option<String> {
        None
    }
}

/// The hint for a sender that the vendor does not take.
pub(super) const SENDER: &str = "`from` is not a number that this account may send from";

/// The hint for a key that the vendor does not take: where it was read from. `name` is the key of
/// the configuration, as `api-key-file`.
pub(super) fn key_hint(name: &str, key: &Key) -> String {
    format!("the key in {name} {}", key.file)
}

/// What a vendor's code means for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The person asked for an end to messages.
    OptedOut,
    /// The number cannot get any.
    Number,
    /// The configuration or the account with the vendor is wrong.
    Ours,
    /// Not by this route now; surely not sent.
    Route,
    /// Perhaps sent.
    Unclear,
}

impl Meaning {
    /// As the outcome of handing a message over. `after` is the pause that the vendor asks for.
    pub(super) fn outcome(self, reason: String, after: Option<Duration>) -> Outcome {
        match self {
            Self::OptedOut => Outcome::OptedOut,
            Self::Number => Outcome::Rejected(reason),
            Self::Ours => Outcome::Misconfigured(reason),
            Self::Route => Outcome::Retryable { after, reason },
            Self::Unclear => Outcome::Unknown(reason),
        }
    }

    /// As the cause of a message's loss after the vendor took it.
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::OptedOut => Cause::OptedOut,
            Self::Number => Cause::Number,
            Self::Ours | Self::Route | Self::Unclear => Cause::Route,
        }
    }
}

/// What several codes mean together: an opt-out outweighs all; else the first that is known.
pub(super) fn decisive(meanings: impl IntoIterator<Item = Meaning>) -> Option<Meaning> {
    let meanings: Vec<_> = meanings.into_iter().collect();
    let opted_out = meanings.iter().copied().find(|meaning| *meaning == Meaning::OptedOut);
    opted_out.or_else(|| meanings.first().copied())
}

/// An account with a vendor.
pub(super) struct Vendor<D> {
    client: Client,
    dialect: D,
}

impl<D: Dialect> Vendor<D> {
    /// Sets up the client for a dialect. `deadline` is that of one request.
    ///
    /// # Errors
    /// [`VendorError::Client`] when the address is not allowed or the certificates cannot be read.
    pub(super) fn open(
        dialect: D,
        ca_file: Option<&Path>,
        deadline: Duration,
    ) -> Result<Self, VendorError> {
        let client = Client::open(dialect.address(), ca_file, deadline)?;
        Ok(Self { client, dialect })
    }
}

impl<D: Dialect> Gateway for Vendor<D> {
    fn kind(&self) -> &'static str {
        self.dialect.kind()
    }

    fn supports(&self, channel: Channel) -> bool {
        self.dialect.supports(channel)
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let redactor = Redactor::new(message, self.dialect.secrets());
            let request = match self.dialect.request(message) {
                Ok(request) => request,
                Err(error) => return Outcome::Misconfigured(redactor.reason(&error)),
            };
            match self.client.send(request).await {
                Ok(reply) => {
                    match (
                        self.dialect.sent(message.channel, &reply, &redactor),
                        self.dialect.hint(&reply),
                    ) {
                        (Outcome::Misconfigured(reason), Some(hint)) => {
                            Outcome::Misconfigured(redactor.hinted(reason, &hint))
                        }
                        (outcome, _) => outcome,
                    }
                }
                Err(failure) => reply::without_reply(&failure, &redactor),
            }
        })
    }

    fn status<'a>(&'a self, message: &'a Message, id: &'a VendorMessageId) -> Option<Asking<'a>> {
        let request = self.dialect.question(message.channel, id)?;
        Some(Box::pin(async move {
            let redactor = Redactor::new(message, self.dialect.secrets());
            match self.client.send(request).await {
                Ok(reply) => {
                    match (
                        self.dialect.status(message.channel, &reply, &redactor),
                        self.dialect.hint(&reply),
                    ) {
                        (Status::Unknown(reason), Some(hint)) => {
                            Status::Unknown(redactor.hinted(reason, &hint))
                        }
                        (status, _) => status,
                    }
                }
                Err(failure) => Status::Unknown(redactor.reason(failure.text())),
            }
        }))
    }

    fn standing(&self) -> Option<Inquiring<'_>> {
        let request = self.dialect.account()?;
        Some(Box::pin(async move {
            let reply = match self.client.send(request).await {
                Ok(reply) => reply,
                Err(failure) => return unanswered(&failure),
            };
            match reply.status {
                200..=299 => Standing::Known { balance: self.dialect.balance(&reply) },
                401 => Standing::Refused(match self.dialect.hint(&reply) {
                    Some(hint) => format!("HTTP 401 ({hint})"),
                    None => "HTTP 401".to_owned(),
                }),
                403 => Standing::Refused("HTTP 403".to_owned()),
                404 | 405 => Standing::Untold,
                status => Standing::Unclear(format!("HTTP {status}")),
            }
        }))
    }
}
