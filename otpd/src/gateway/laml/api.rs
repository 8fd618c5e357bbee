//! The gateway of either vendor: what both do alike, over what is each one's own.

use std::time::Duration;

use reqwest::{Request, Url};
use zeroize::Zeroizing;

use super::{Account, Codes, sent, status};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Message, Outcome, Status, VendorMessageId, client::Reply, redact::Redactor, standing,
        vendor::Dialect,
    },
};

/// What is a vendor's own: its senders, and the fields of its forms.
pub(in crate::gateway) trait Own: Send + Sync {
    /// The kind as the configuration has it.
    const KIND: &'static str;
    /// What its codes mean.
    const CODES: Codes;
    /// Whether it tells what is left of the money.
    const BALANCE: bool;

    /// Whether it has a number that can call.
    fn calls(&self) -> bool;

    /// Hands a text message over.
    fn text(&self, account: &Account, message: &Message) -> Request;

    /// Hands a call over.
    ///
    /// # Errors
    /// Why there is none, with the remedy.
    fn call(&self, account: &Account, message: &Message) -> Result<Request, String>;
}

/// A vendor's API: how requests look and what replies mean.
pub(in crate::gateway) struct Api<V> {
    account: Account,
    own: V,
}

impl<V: Own> Api<V> {
    /// An account, and what its vendor has of its own.
    pub(in crate::gateway) fn with(account: Account, own: V) -> Self {
        Self { account, own }
    }
}

impl<V: Own> Dialect for Api<V> {
    fn kind(&self) -> &'static str {
        V::KIND
    }

    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.own.calls(),
        }
    }

    fn address(&self) -> &Url {
        self.account.address()
    }

    fn secrets(&self) -> &[Zeroizing<String>] {
        self.account.secrets()
    }

    fn request(&self, message: &Message) -> Result<Request, String> {
        match message.channel {
            Channel::Sms => Ok(self.own.text(&self.account, message)),
            Channel::Voice => self.own.call(&self.account, message),
        }
    }

    fn sent(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        sent(channel, reply, redactor, V::CODES)
    }

    fn hint(&self, reply: &Reply) -> Option<String> {
        self.account.hint(reply, V::CODES)
    }

    fn question(&self, channel: Channel, id: &VendorMessageId) -> Option<Request> {
        self.account.get(channel, id)
    }

    fn status(&self, channel: Channel, reply: &Reply, redactor: &Redactor<'_>) -> Status {
        status(channel, reply, redactor, V::CODES)
    }

    fn account(&self) -> Option<Request> {
        Some(self.account.inquiry(V::BALANCE))
    }

    fn balance(&self, reply: &Reply) -> Option<String> {
        V::BALANCE.then(|| standing::balance(reply, "/balance", "/currency")).flatten()
    }
}

/// What is left of a code's life, as both take it: whole seconds, 1 to `longest`.
pub(in crate::gateway) fn seconds(valid_for: Duration, longest: u64) -> String {
    valid_for.as_secs().clamp(1, longest).to_string()
}
