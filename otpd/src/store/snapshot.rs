//! All that is stored, as it is at one moment, for a backup.

use minicbor::{Decode, Encode};
use tokio::sync::mpsc;

use super::StoreError;
use crate::domain::{
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

/// All that is stored but the trail, as it was when it was asked for.
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
