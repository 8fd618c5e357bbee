//! A backup as a text: what `otpctl backup` writes and `otpctl restore` reads.
//!
//! One line for each page of rows, none longer than [`LONGEST_LINE`]:
//!
//! ```text
//! otpd-backup 1 0.1.0 CONTENT.SEAL      format, the otpd that wrote it, and what is in it
//! CONTENT.SEAL                          budgets, traffic, accounts, events: a page of one kind each
//! CONTENT.SEAL                          how many there were of each; nothing comes after it
//! ```
//!
//! Budgets and traffic stand before the first account, and a backup where one comes later is refused:
//! nobody can log in while a restore runs, or after one that was cut off, without the charges, blocks
//! and ends to messages that counted against it.
//!
//! Content is CBOR and seal 16 bytes, both in base64. The seal is a keyed hash, by a key that comes from
//! the master, over the backup's name, the line's number and its content: so every line can be judged
//! alone, and none can be made, changed, moved to another place or into another backup without the
//! key. Numbers are encrypted as they are in the database, and there is no code in it. The format
//! knows nothing of the database that it comes from or goes to.
//!
//! A new field of what is stored that an older otpd must not lose is a new [`FORMAT`].

mod read;
mod tally;
mod write;

use minicbor::{Decode, Encode};

pub use read::{FormatError, Incoming, Line};
pub use tally::{Sum, Tally};
pub use write::{Outgoing, Unwritten};

use crate::{
    domain::{
        budget::{Budget, Traffic},
        challenge::Channel,
        enrollment::{Enrollment, NumberIndex, RangeIndex, State},
        login::LoginState,
        phone::{Country, Line as PhoneLine},
        records::TrafficKey,
        time::Timestamp,
    },
    store::TrailRow,
};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// The word that a backup begins with.
const WORD: &str = "otpd-backup";
/// Longest line, bytes: far more than the largest row there can be.
pub const LONGEST_LINE: usize = 512 * 1024;
/// Bytes of rows, before they are text, after which a page is full.
const FULL: usize = 6000;

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// Its name: a random number.
    #[n(0)]
    pub backup: u64,
    /// When it was taken.
    #[n(1)]
    pub taken_at: Timestamp,
    /// The host's name in messages.
    #[n(2)]
    pub host: String,
    /// The otpd that wrote it.
    #[n(3)]
    pub version: String,
    /// Which master key its numbers and hashes belong to.
    #[n(4)]
    pub key_id: u32,
    /// Accounts with a number.
    #[n(5)]
    pub enrolled: u32,
    /// The newest event of the trail, its id and its time; `None` where the trail is not in it, or
    /// empty.
    #[n(6)]
    pub newest: Option<Newest>,
    /// What hashed the recovery codes that were made under earlier master keys, encrypted; `None` where
    /// there was none.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub retired: Option<Vec<u8>>,
}

/// The newest event of a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Newest {
    /// Its id.
    #[n(0)]
    pub id: i64,
    /// Its time.
    #[n(1)]
    pub at: Timestamp,
}

/// The name of a backup as people read it.
#[must_use]
pub fn name(backup: u64) -> String {
    format!("{backup:016x}")
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Page {
    /// Accounts.
    #[n(0)]
    Accounts(#[n(0)] Vec<AccountRow>),
    /// What counts for numbers.
    #[n(1)]
    Budgets(#[n(0)] Vec<BudgetRow>),
    /// What many accounts did together.
    #[n(2)]
    Traffic(#[n(0)] Vec<TrafficRow>),
    /// Events, the newest first.
    #[n(3)]
    Trail(#[n(0)] Vec<TrailRow>),
    /// There is no more.
    #[n(4)]
    End(#[n(0)] Counts),
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Accounts.
    #[n(0)]
    pub accounts: u64,
    /// Budgets of numbers.
    #[n(1)]
    pub budgets: u64,
    /// Ranges, countries and the whole site.
    #[n(2)]
    pub traffic: u64,
    /// Events.
    #[n(3)]
    pub events: u64,
}

impl Counts {
    fn add(&mut self, page: &Page) {
        let (count, rows) = match page {
            Page::Accounts(rows) => (&mut self.accounts, rows.len()),
            Page::Budgets(rows) => (&mut self.budgets, rows.len()),
            Page::Traffic(rows) => (&mut self.traffic, rows.len()),
            Page::Trail(rows) => (&mut self.events, rows.len()),
            Page::End(_) => return,
        };
        *count = count.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccountRow {
    /// Its name.
    #[n(0)]
    pub account: String,
    /// Its number, if it has one.
    #[n(1)]
    pub number: Option<NumberRow>,
    /// Logins, without those under way.
    #[n(2)]
    pub login: LoginState,
}

/// An account's number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NumberRow {
    /// Encrypted for the account.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
    /// ISO 3166.
    #[n(1)]
    pub country: Country,
    /// Its kind.
    #[n(2)]
    pub line: PhoneLine,
    /// How codes travel.
    #[n(3)]
    pub channel: Channel,
    /// Where it stands.
    #[n(4)]
    pub state: State,
    /// When it was entered.
    #[n(5)]
    pub created_at: Timestamp,
    /// Whether the account needs codes whatever policy says.
    #[n(6)]
    pub required: bool,
    /// When the newest message that proves it was ordered.
    #[n(7)]
    pub proof_sent_at: Option<Timestamp>,
}

impl NumberRow {
    /// The row of a number that is encrypted as `sealed`.
    fn of(enrollment: &Enrollment, sealed: Vec<u8>) -> Self {
        Self {
            sealed,
            country: enrollment.destination.country,
            line: enrollment.destination.line,
            channel: enrollment.channel,
            state: enrollment.state,
            created_at: enrollment.created_at,
            required: enrollment.required,
            proof_sent_at: enrollment.proof_sent_at,
        }
    }
}

/// What counts for a number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BudgetRow {
    /// Which.
    #[n(0)]
    pub number: NumberIndex,
    /// What.
    #[n(1)]
    pub budget: Budget,
}

/// What many accounts did together.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrafficRow {
    /// Which of them.
    #[n(0)]
    pub key: TogetherKey,
    /// What.
    #[n(1)]
    pub traffic: Traffic,
}

/// [`TrafficKey`] as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TogetherKey {
    /// A range of numbers.
    #[n(0)]
    Range(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    /// A country.
    #[n(1)]
    Country(#[n(0)] Country),
    /// The whole site.
    #[n(2)]
    All,
}

impl From<TrafficKey> for TogetherKey {
    fn from(key: TrafficKey) -> Self {
        match key {
            TrafficKey::Range(range) => Self::Range(range.0),
            TrafficKey::Country(country) => Self::Country(country),
            TrafficKey::All => Self::All,
        }
    }
}

impl From<TogetherKey> for TrafficKey {
    fn from(key: TogetherKey) -> Self {
        match key {
            TogetherKey::Range(range) => Self::Range(RangeIndex(range)),
            TogetherKey::Country(country) => Self::Country(country),
            TogetherKey::All => Self::All,
        }
    }
}

#[cfg(test)]
mod tests;
