//! Rows that cannot be read: whose they are, and what of it.
//!
//! One account's damage is its own: it is refused, and everybody else is served, listed and backed up.

use std::fmt;

use sha2::{Digest, Sha256};
use tracing::error;

use super::StoreError;
use crate::domain::{account::Account, records::TrafficKey};

/// How many accounts are named; the rest is counted, and the journal names them.
const NAMED: usize = 20;

/// What an administrator does about it.
pub(super) const REMEDY: &str = otp_proto::admin::MEND_DAMAGED;

/// What an administrator does about a file of a database that is damaged as a whole. The key belongs to
/// the backup as well, and numbers that are entered anew need none other.
pub(super) const CORRUPT: &str = "the database is damaged: stop otpd, take its file, -wal and -shm away, start it, and \
     otpctl restore your last backup, or enroll everybody again; the key file stays";

/// What of an account cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Its number.
    Number,
    /// Its logins: recovery codes, bypasses and what counts against guessing among them.
    Logins,
    /// What counts for its number, whoever else has that.
    Limits,
}

impl Damage {
    /// In a word, as the trail has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Logins => "logins",
            Self::Limits => "limits",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "the number",
            Self::Logins => "the state of the logins",
            Self::Limits => "what counts for the number",
        })
    }
}

/// What is in the place of an account's name, and no account is called by: whose its rows are, nobody
/// can say. It is shown by a `/`, which is in no account's name, and its bytes, percent-encoded, so that
/// it can be named in its turn; of a long one the first, and a hash of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LostName(Vec<u8>);

impl LostName {
    /// An account's name as a column has it, or what is in its place.
    pub(super) fn or_account(column: &[u8]) -> Result<Account, Self> {
        let name = std::str::from_utf8(column).ok().and_then(|name| Account::new(name).ok());
        name.ok_or_else(|| Self(column.to_owned()))
    }

    /// What is in the place of a name, though it may look like one: nobody finds it by that.
    pub(super) fn of(column: impl Into<Vec<u8>>) -> Self {
        Self(column.into())
    }

    /// As the column has it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Logs that rows of this name are left out.
    pub(super) fn left_out(&self) {
        let remedy = format_args!("otpctl remove {self}");
        error!(row = %self, %remedy, "the name of an account is damaged; its rows are left out");
    }

    /// The bytes of a long one that are shown.
    const SHOWN: usize = 48;
}

impl fmt::Display for LostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        for &byte in self.0.iter().take(Self::SHOWN) {
            if byte.is_ascii_alphanumeric() || b"-._@".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        if self.0.len() > Self::SHOWN {
            f.write_str("~")?;
            Sha256::digest(&self.0).iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// A row that cannot be read; nothing of what it holds.
#[derive(Debug, thiserror::Error)]
#[error("{what} of {} cannot be read ({cause})", account.as_ref().map_or("an account", Account::as_str))]
pub(super) struct Unread {
    /// Whose it is, where the row says so.
    pub(super) account: Option<Account>,
    /// What it holds.
    pub(super) what: Damage,
    /// Why.
    pub(super) cause: String,
}

impl Unread {
    /// Logs it; the caller learns what it was.
    pub(super) fn refused(&self, step: &'static str) -> StoreError {
        error!(step, error = %self, remedy = REMEDY, "what is stored of an account is damaged");
        StoreError::Damaged(self.what)
    }
}

/// Logs that a row of an account cannot be read, and that others can.
pub(super) fn listed(account: &Account, error: &impl fmt::Display) {
    error!(%account, %error, remedy = REMEDY, "what is stored of an account is damaged");
}

/// Logs that what many accounts did together cannot be read, and is left out as if it had not been
/// named: that holds the messages that it would have counted, but not the answers to those that were
/// sent.
pub(super) fn held(key: TrafficKey, error: &impl fmt::Display) {
    let counted = match key {
        TrafficKey::Range(_) => "a range",
        TrafficKey::Country(_) => "a country",
        TrafficKey::All => "the site",
    };
    error!(
        counted, %error,
        remedy = "it goes by itself a day or two after its last message; recovery codes and bypasses work",
        "what many accounts did together is damaged; messages that it limits are held"
    );
}

/// What a store cannot read of all that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Accounts.
    pub accounts: u64,
    /// The first of them.
    pub first: Vec<String>,
    /// What counts for numbers of nobody, and for many accounts together.
    pub sums: u64,
}

impl Unreadable {
    /// Adds an account, as its row is named.
    pub(super) fn add(&mut self, name: impl Into<String>) {
        self.accounts += 1;
        if self.first.len() < NAMED {
            self.first.push(name.into());
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts == 0 && self.sums == 0
    }
}

/// `2 users (alice, bob)`, with `and 3 more` where not all are named.
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accounts, first, sums } = self;
        if *accounts > 0 {
            write!(f, "{accounts} {} ({}", plural(*accounts, "user"), first.join(", "))?;
            match accounts.saturating_sub(first.len() as u64) {
                0 => f.write_str(")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        if *accounts > 0 && *sums > 0 {
            f.write_str(" and ")?;
        }
        if *sums > 0 {
            write!(f, "{sums} {} of nobody alone", plural(*sums, "limit"))?;
        }
        Ok(())
    }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use super::{Damage, LostName, NAMED, Unreadable};

    #[test]
    fn words_are_fixed() {
        let words = [Damage::Number, Damage::Logins, Damage::Limits];
        let words = words.map(|what| (what.as_str(), what.to_string()));
        let [number, logins, limits] = [
            ("number", "the number"),
            ("logins", "the state of the logins"),
            ("limits", "what counts for the number"),
        ]
        .map(|(word, words)| (word, words.to_owned()));
        assert_eq!(words, [number, logins, limits]);
    }

    #[test]
    fn what_is_no_name_is_shown_so_that_it_can_be_named() {
        let shown = |column: &[u8]| LostName::or_account(column).map_err(|lost| lost.to_string());
        let cases: [(&[u8], &str); 5] = [
            (b"al/ice", "/al%2Fice"),
            (b"", "/"),
            (b"al\xffice", "/al%FFice"),
            (b"al\nice 1%", "/al%0Aice%201%25"),
            (b"al\xc2\x9bice", "/al%C2%9Bice"),
        ];
        for (column, expected) in cases {
            assert_eq!(shown(column), Err(expected.to_owned()));
        }
        assert!(shown("\u{e4}nne@corp".as_bytes()).is_ok());
        let (whole, longer) = (format!("/{}", "x".repeat(47)), format!("/{}", "x".repeat(48)));
        assert_eq!(shown(whole.as_bytes()), Err(format!("/%2F{}", "x".repeat(47))));
        let cut = shown(longer.as_bytes()).unwrap_err();
        assert!(cut.starts_with(&format!("/%2F{}~", "x".repeat(47))), "{cut}");
        let [one, other] = [b"x", b"y"].map(|end| [&[b'x'; 300][..], end].concat());
        let (one, other) = (shown(&one).unwrap_err(), shown(&other).unwrap_err());
        assert!(one != other && one.len() < 80 && one.starts_with("/xxx"), "{one} {other}");
    }

    #[test]
    fn a_name_that_nobody_finds_is_shown_as_no_account_s() {
        assert_eq!(LostName::of("amice").to_string(), "/amice");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_counted() {
        let some = |accounts: usize, sums: u64| {
            let mut found = Unreadable { sums, ..Unreadable::default() };
            (0..accounts).for_each(|nth| found.add(format!("u{nth}")));
            found
        };
        let cases = [
            (some(1, 0), "1 user (u0)"),
            (some(2, 1), "2 users (u0, u1) and 1 limit of nobody alone"),
            (some(0, 2), "2 limits of nobody alone"),
        ];
        for (found, expected) in cases {
            assert_eq!(found.to_string(), expected);
            assert!(!found.is_empty());
        }
        let many = some(NAMED + 3, 0);
        assert_eq!((many.accounts, many.first.len()), (23, 20));
        assert!(many.to_string().ends_with("u19 and 3 more)"), "{many}");
        assert!(some(0, 0).is_empty());
    }
}
