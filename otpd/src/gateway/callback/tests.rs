//! Every published vector, every form of what vendors say, and that no changed byte passes.

mod flowroute;
mod laml;
mod plivo;
mod telnyx;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{Callback, Keys, Mark, Refusal, Told};
use crate::{
    domain::time::Timestamp,
    gateway::{Keyword, Notice, Status, VendorMessageId},
};

/// A request that owns what a callback borrows.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) now: Timestamp,
}

impl Owned {
    pub(super) fn post(url: &str, body: &str) -> Self {
        let (method, headers, body) = (Method::POST, HeaderMap::new(), body.as_bytes().to_vec());
        Self { method, url: url.to_owned(), headers, body, now: Timestamp(1_700_000_000_000) }
    }

    pub(super) fn form(url: &str, body: &str) -> Self {
        Self::post(url, body).with("content-type", "application/x-www-form-urlencoded")
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn told(&self, keys: &Keys) -> Result<Told, Refusal> {
        keys.told(&self.borrowed())
    }

    pub(super) fn notices(&self, keys: &Keys) -> Result<Vec<Notice>, Refusal> {
        self.told(keys).map(|told| bare(told.notices))
    }

    pub(super) fn borrowed(&self) -> Callback<'_> {
        Callback {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
            now: self.now,
        }
    }

    /// The same with one bit of its URL or body another.
    pub(super) fn flipped(&self, place: usize, bit: u8) -> Option<Self> {
        let mut flipped = self.clone();
        let mut url = flipped.url.into_bytes();
        let place = place % (url.len() + flipped.body.len());
        match place.checked_sub(url.len()) {
            None => url[place] ^= 1 << (bit % 7),
            Some(place) => flipped.body[place] ^= 1 << (bit % 7),
        }
        flipped.url = String::from_utf8(url).ok()?;
        Some(flipped)
    }
}

pub(super) fn progress(id: &str, status: Status) -> Vec<Notice> {
    vec![Notice::Progress { id: VendorMessageId(id.to_owned()), status }]
}

pub(super) fn inbound(keyword: Keyword) -> Vec<Notice> {
    let from = "+14155550100".parse().unwrap();
    vec![Notice::Inbound { from, keyword, mark: Mark([0; 32]), id: None }]
}

/// Notices without what tells one request from another, which has tests of its own.
pub(super) fn bare(notices: Vec<Notice>) -> Vec<Notice> {
    let bare = |notice| match notice {
        Notice::Inbound { from, keyword, .. } => {
            Notice::Inbound { from, keyword, mark: Mark([0; 32]), id: None }
        }
        Notice::Progress { .. } | Notice::Call { .. } | Notice::Hint { .. } => notice,
    };
    notices.into_iter().map(bare).collect()
}

#[test]
fn words_of_people_are_read_as_carriers_read_them() {
    let cases = [
        ("STOP", Keyword::Stop),
        ("stop", Keyword::Stop),
        (" Stop.\n", Keyword::Stop),
        ("STOP ALL", Keyword::Stop),
        ("StopAll", Keyword::Stop),
        ("unsubscribe", Keyword::Stop),
        ("Cancel", Keyword::Stop),
        ("END", Keyword::Stop),
        ("Quit!", Keyword::Stop),
        ("opt-out", Keyword::Stop),
        ("START", Keyword::Start),
        ("unstop", Keyword::Start),
        ("yes", Keyword::Start),
        ("Help", Keyword::Help),
        ("INFO", Keyword::Help),
        ("please stop this", Keyword::Other),
        ("stop it", Keyword::Other),
        ("482913", Keyword::Other),
        ("", Keyword::Other),
        ("ＳＴＯＰ", Keyword::Other),
    ];
    for (text, expected) in cases {
        assert_eq!(Keyword::of(text), expected, "{text:?}");
    }
}

#[test]
fn nothing_of_a_request_or_a_key_is_in_debug_output() {
    let request = Owned::post("https://h.example/cb?Body=482913", "Body=482913");
    let shown = format!("{:?}", request.borrowed());
    assert!(!shown.contains("482913"), "{shown}");
    let keys = laml::twilio("canary-token");
    assert_eq!(format!("{keys:?}"), "Twilio(..)");
}

#[test]
fn two_headers_of_one_name_are_none() {
    let request = Owned::post("https://h.example/", "{}")
        .with("telnyx-timestamp", "1")
        .with("telnyx-timestamp", "2")
        .with("telnyx-signature-ed25519", "AA==");
    assert_eq!(request.told(&telnyx::keys()), Err(Refusal::Unsigned));
}
