//! All that is stored, as it is at one moment, for a backup.

use std::{collections::BTreeSet, fmt::Display};

use minicbor::{Decode, Encode};
use tokio::sync::mpsc;
use tracing::error;

use super::{StoreError, Unreadable, format::NUMBER};
use crate::domain::{
    account::Account,
    budget::{Budget, Traffic},
    enrollment::NumberIndex,
    records::TrafficKey,
    restore::Kept,
    time::Timestamp,
};

/// Rows of a piece; a few pieces are held in memory at once.
pub(super) const ROWS: usize = 64;
/// Pieces that are read before somebody takes them.
pub(super) const AHEAD: usize = 2;

/// Rows of a snapshot.
#[derive(Clone, Debug)]
pub enum Piece {
    /// What counts for numbers.
    Budgets(Vec<(NumberIndex, Budget)>),
    /// What many accounts did together.
    Traffic(Vec<(TrafficKey, Traffic)>),
    /// Accounts, after all that counts: first those with a number, then those that are only counted
    /// against.
    Accounts(Vec<Kept>),
    /// What is not among them, because it cannot be read; the last, where there is any.
    Unreadable(Unreadable),
}

/// Rows that a snapshot leaves out, because they cannot be read.
#[derive(Default)]
pub(super) struct LeftOut {
    all: Unreadable,
    /// Numbers for which what counts cannot be read, until an account is found that has them.
    numbers: BTreeSet<Vec<u8>>,
    /// What many accounts do together; of what is counted in shares one is enough.
    sums: BTreeSet<(i16, Vec<u8>)>,
}

impl LeftOut {
    /// An account's row, or both.
    pub(super) fn account(&mut self, account: &str, error: &impl Display) {
        error!(account, %error, "what is stored of an account is damaged; it is not in the backup");
        self.all.add(account);
    }

    /// What counts for a number, or for many accounts together.
    pub(super) fn counted(&mut self, kind: i16, key: Vec<u8>, error: &impl Display) {
        error!(kind, %error, "what counts is damaged; it is not in the backup");
        if kind == NUMBER {
            self.numbers.insert(key);
        } else {
            self.sums.insert((kind, key));
        }
    }

    /// The account that has this number is read.
    pub(super) fn with_number(&mut self, account: &Account, index: NumberIndex) {
        if self.numbers.remove(index.0.as_slice()) {
            error!(%account, "what counts for its number is damaged; it is not in the backup");
            self.all.add(account.as_str());
        }
    }

    /// The last piece, where anything was left out.
    pub(super) fn piece(mut self) -> Option<Piece> {
        self.all.sums = (self.numbers.len() + self.sums.len()) as u64;
        (!self.all.is_empty()).then_some(Piece::Unreadable(self.all))
    }
}

/// An event of the trail as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrailRow {
    /// Ascending in the order of the commits.
    #[n(0)]
    pub id: i64,
    /// When it was decided.
    #[n(1)]
    pub at: Timestamp,
    /// The challenge it is about.
    #[n(2)]
    pub request: Option<u32>,
    /// The account it is about, or the host.
    #[n(3)]
    pub account: String,
    /// Who brought it about, JSON.
    #[n(4)]
    pub actor: String,
    /// What was decided, JSON.
    #[n(5)]
    pub event: String,
}

/// Which export was imported into this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Imported {
    /// Its name.
    #[n(0)]
    pub export: u64,
    /// All of it is here.
    #[n(1)]
    pub whole: bool,
}

/// All that is stored and can be read, but the trail, as it was when it was asked for.
pub struct Snapshot {
    /// Accounts with a number.
    pub enrolled: u32,
    /// The newest event of the trail, its id and its time.
    pub newest: Option<(i64, Timestamp)>,
    /// Its rows, and nothing after the last of them.
    pub(super) pieces: mpsc::Receiver<Result<Option<Piece>, StoreError>>,
}

impl Snapshot {
    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: there is no more to come, and it was not all.
    pub async fn next(&mut self) -> Result<Option<Piece>, StoreError> {
        self.pieces.recv().await.unwrap_or(Err(StoreError::Unavailable))
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, LeftOut, NUMBER, NumberIndex, Piece, Unreadable};

    #[test]
    fn what_counts_is_left_out_once_and_by_the_name_of_whose_number_it_is() {
        assert!(LeftOut::default().piece().is_none());
        let mut left_out = LeftOut::default();
        let [hers, nobodys] = [[1; 16], [2; 16]];
        for key in [hers, nobodys, hers] {
            left_out.counted(NUMBER, key.to_vec(), &"damaged");
        }
        // Two shares of one sum, and another sum of the same key.
        for kind in [NUMBER + 1, NUMBER + 1, NUMBER + 2] {
            left_out.counted(kind, hers.to_vec(), &"damaged");
        }
        let alice = Account::new("alice").expect("a name");
        left_out.with_number(&alice, NumberIndex(hers));
        left_out.with_number(&alice, NumberIndex([3; 16]));
        let told = Unreadable { accounts: 1, first: vec!["alice".to_owned()], sums: 3 };
        assert!(matches!(left_out.piece(), Some(Piece::Unreadable(all)) if all == told));
    }
}
