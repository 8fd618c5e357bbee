//! Words that were heard, so that one that is told again changes nothing.
//!
//! What Twilio, `SignalWire` and Plivo sign holds no time: whoever read a STOP or a START on its way
//! could have it told again years later. So the newest words of a number are kept with its budget, as
//! hashes, which tell nothing: the newest 8, for 30 days or for as long as messages are stopped, and
//! only of numbers that an account has. A word that has left those can be told again by whoever read
//! it, which is why nobody on the way may: vendors are to reach the listener by https.

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::Wish;
use crate::domain::time::{DAY, Timestamp};

/// Words of a number that are remembered; a further one takes the place of the oldest, which could then
/// be told again. Few people write so many, and the row stays small.
pub const REMEMBERED: usize = 8;
/// Days that they are kept at least, counted from the newest; and as long as messages are stopped.
const KEPT: u32 = 30;

/// Knows a word again: 64 bits of each of two hashes. There is nothing to gain from another word of
/// the same hashes, for only the vendor can sign one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WordMark {
    /// Of what the vendor signed: whoever recorded it can cut it into other fields, with another id
    /// among them, but what was signed stays the same.
    #[cbor(n(0), with = "minicbor::bytes")]
    signed: [u8; 8],
    /// Of the vendor's name for the message, which stays the same when the vendor signs it anew.
    #[cbor(n(1), with = "minicbor::bytes")]
    named: [u8; 8],
}

impl WordMark {
    /// The mark of a word that a gateway's vendor told. `signed` is a hash of what was signed, and
    /// `name` what the vendor calls the message, where it says so.
    #[must_use]
    pub fn new(gateway: &str, signed: &[u8; 32], name: Option<&str>) -> Self {
        let hash = |kind: &str, what: &[u8]| {
            let hash = Sha256::new().chain_update(kind).chain_update(gateway);
            let mut short = [0; 8];
            let full = hash.chain_update([0]).chain_update(what).finalize();
            short.iter_mut().zip(full).for_each(|(to, from)| *to = from);
            short
        };
        let signed = hash("signed ", signed);
        Self { signed, named: name.map_or(signed, |name| hash("named ", name.as_bytes())) }
    }

    /// Whether it is the same word, told again.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.signed == other.signed || self.named == other.named
    }
}

/// A word that a gateway's vendor told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// By what it is known again.
    pub mark: WordMark,
    /// What is wanted.
    pub wish: Wish,
    /// The gateway that was told.
    pub gateway: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Word {
    #[n(0)]
    mark: WordMark,
    #[n(1)]
    at: Timestamp,
}

/// The newest words of a number, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Words {
    #[n(0)]
    words: Vec<Word>,
}

impl Words {
    /// Whether a word was heard before.
    #[must_use]
    pub fn know(&self, mark: &WordMark) -> bool {
        self.words.iter().any(|word| word.mark.is_of(mark))
    }

    /// Remembers a word that is heard now.
    pub fn remember(&mut self, mark: WordMark, now: Timestamp) {
        self.words.retain(|word| !word.mark.is_of(&mark));
        self.words.push(Word { mark, at: now });
        let surplus = self.words.len().saturating_sub(REMEMBERED);
        self.words.drain(..surplus);
    }

    /// Whether one was heard at this time or after it.
    #[must_use]
    pub fn any_since(&self, at: Timestamp) -> bool {
        self.words.iter().any(|word| word.at >= at)
    }

    /// Takes in the words that another copy of the row remembers; the newest are kept.
    pub fn merge(&mut self, other: &Self) {
        let unknown = other.words.iter().filter(|word| !self.know(&word.mark)).copied();
        let unknown = unknown.collect::<Vec<_>>();
        self.words.extend(unknown);
        self.words.sort_by_key(|word| word.at);
        let surplus = self.words.len().saturating_sub(REMEMBERED);
        self.words.drain(..surplus);
    }

    /// Has what lies in the future age from now on.
    pub fn settle(&mut self, now: Timestamp) {
        self.words.iter_mut().for_each(|word| word.at = word.at.min(now));
    }

    /// From when on none of them need be kept.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        let newest = self.words.iter().map(|word| word.at).max();
        newest.map_or_else(Timestamp::default, |at| at.after(DAY * KEPT))
    }
}
