//! What is remembered: messages, phones, requests and callbacks.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hyper::Method;
use jiff::Timestamp;
use serde::Serialize;

use super::{Vendor, told::Event};

/// How a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// To be read.
    Text,
    /// To be heard.
    Call,
}

/// A message or a call that a vendor took.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// The vendor's name for it.
    pub id: String,
    /// Who took it.
    pub vendor: Vendor,
    /// How it is brought.
    pub channel: Channel,
    /// The sender, E.164.
    pub from: String,
    /// The number, E.164.
    pub to: String,
    /// The text of a message.
    pub text: String,
    /// How far it is, in the vendor's word.
    pub status: String,
    /// Why it failed, by the vendor's code.
    pub code: Option<String>,
    /// When it was taken.
    #[serde(skip)]
    pub at: Timestamp,
    /// Where its receipts go.
    #[serde(skip)]
    pub(super) callback: Option<Target>,
    /// Which turns of a call are reported beside its end.
    #[serde(skip)]
    pub(super) events: Vec<String>,
    /// How many receipts were sent: Plivo numbers them.
    #[serde(skip)]
    pub(super) receipts: u32,
}

/// Where callbacks go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The address, as it was given.
    pub url: String,
    /// How it is asked.
    pub method: Method,
}

impl Target {
    /// An address that is posted to.
    pub(super) fn post(url: &str) -> Self {
        Self { url: url.to_owned(), method: Method::POST }
    }
}

/// What a phone got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// The how-manieth on this phone, from 1.
    pub n: u64,
    /// The vendor's name for it.
    pub id: String,
    /// Who brought it.
    pub vendor: Vendor,
    /// How.
    pub channel: Channel,
    /// The sender, E.164.
    pub from: String,
    /// The text; of a call everything that was said, in lines.
    pub text: String,
    /// The keys that were pressed.
    pub pressed: Vec<String>,
    /// Why a call ended before its time.
    pub problem: Option<String>,
}

/// A request as it is remembered. Keys are not.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The how-manieth of all, from 1.
    pub n: u64,
    /// To whom.
    pub vendor: Vendor,
    /// The method.
    pub method: String,
    /// The path without the prefix that names the vendor.
    pub path: String,
    /// The headers, without the authorization.
    pub headers: BTreeMap<String, String>,
    /// The body, as far as it is text.
    pub body: String,
    /// The status of the reply; `None` while there is none.
    pub status: Option<u16>,
    /// Whether it was a repeat that the vendor recognised as one.
    pub repeat: bool,
}

/// A callback as it was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Callback {
    /// The how-manieth of all, from 1.
    pub n: u64,
    /// From whom.
    pub vendor: Vendor,
    /// About what.
    pub event: Event,
    /// The message or call that it is about.
    pub id: String,
    /// The address that was signed.
    pub url: String,
    /// The method.
    pub method: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// Whether it waits to be let go.
    pub held: bool,
    /// The status of the answer; 0: there was none; `None`: not answered yet.
    pub answer: Option<u16>,
}

/// How often vendors were asked, and what they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Requests.
    pub asked: u64,
    /// Messages and calls that were taken.
    pub taken: u64,
    /// Repeats of one that was taken before, which was not sent again.
    pub repeated: u64,
}

/// What a vendor is given to bring.
pub(super) struct New {
    pub vendor: Vendor,
    pub channel: Channel,
    pub id: String,
    pub from: String,
    pub to: String,
    pub text: String,
    pub callback: Option<Target>,
    pub events: Vec<String>,
}

impl Item {
    /// As it is when it was just taken.
    pub(super) fn new(new: New) -> Self {
        Self {
            id: new.id,
            vendor: new.vendor,
            channel: new.channel,
            from: new.from,
            to: new.to,
            text: new.text,
            status: new.vendor.words().queued.to_owned(),
            code: None,
            at: Timestamp::now(),
            callback: new.callback,
            events: new.events,
            receipts: 0,
        }
    }
}

/// A map that forgets the oldest.
pub(super) struct Kept<T> {
    pub found: HashMap<String, T>,
    order: VecDeque<String>,
    limit: usize,
}

impl<T> Kept<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { found: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(super) fn put(&mut self, key: &str, value: T) {
        if self.found.insert(key.to_owned(), value).is_none() {
            self.order.push_back(key.to_owned());
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.found.remove(&oldest);
        }
    }
}
