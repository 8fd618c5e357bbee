//! All of a store comes here from another one.
//!
//! It is a backup that goes into a store with nothing in it, so that nothing need be merged: what is
//! there afterwards is what was exported, and that is looked at before it is said to be done. Until
//! then nobody is let in.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::{Verifier, backup::count, restore::RestoreError};
use crate::{
    backup::{FormatError, Header, Incoming, Line, Page, Tally, name},
    domain::{
        account::Account,
        audit::Event,
        budget::Traffic,
        records::TrafficKey,
        restore::{ImportAccount, ImportBudget, Note, RestoreBudget, RestoreTraffic},
    },
    store::{Chore, Imported, Piece, Scope, StoreError, Trail},
};

/// What an administrator reads about a store that moves.
pub(super) const CLOSED: &str = "nobody is let in, because the store moves: it was exported with --final, \
     which ends with the next start of otpd, or an import is not whole, which is to be run again";

/// Events that are read back at once.
const EVENTS: u32 = 1000;

/// Whether anybody is let in; cheap to clone.
#[derive(Clone, Default)]
pub struct Doors(Arc<AtomicUsize>);

impl Doors {
    /// Lets nobody in for as long as what this returns lives.
    pub(super) fn close(&self) -> Closed {
        self.0.fetch_add(1, Ordering::AcqRel);
        Closed(self.clone())
    }

    /// Whether nobody is let in.
    pub(super) fn are_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// Keeps the doors closed.
pub(super) struct Closed(Doors);

impl Closed {
    /// Until the daemon ends.
    pub(super) fn for_good(self) {
        warn!("all was exported for good: nobody is let in here until otpd is started again");
        std::mem::forget(self);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why an import stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The store, or the export.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Somebody is enrolled here, or something counts.
    #[error(
        "there are users here already, and an export goes into an empty store; take a new database, \
         or merge it: otpctl restore FILE"
    )]
    NotEmpty,
    /// The trail of this store is older than the end of the other.
    #[error(
        "the log of this store began before the export was made; make the export again, or take a \
         new database"
    )]
    Trail,
    /// An export without a trail, or with less than all.
    #[error("this is a backup without the log; make an export: otpctl store export FILE")]
    Partial,
    /// What was read back is not what was exported.
    #[error(
        "what is stored is not what was exported ({0} differ), so nobody is let in; take a new \
         database and import it there"
    )]
    Differs(&'static str),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Restore(error.into())
    }
}

impl From<FormatError> for ImportError {
    fn from(error: FormatError) -> Self {
        Self::Restore(error.into())
    }
}

/// An import that is under way.
pub struct Import {
    incoming: Incoming,
    /// Nothing is changed.
    pub dry_run: bool,
    uid: u32,
    begun: Option<Begun>,
}

/// One of which the first line was read.
struct Begun {
    header: Header,
    /// It was imported before.
    known: bool,
    /// What is in the file.
    tally: Tally,
    together: BTreeMap<TrafficKey, Traffic>,
}

/// What came of a piece of an export.
#[derive(Clone, Debug, Default)]
pub struct ImportProgress {
    /// What export it is, where the piece says so.
    pub header: Option<Header>,
    /// It was imported before.
    pub known: bool,
    /// Accounts in the piece.
    pub accounts: u32,
    /// At the end: all that was in it, and how many ranges, countries and sites.
    pub whole: Option<(Tally, u64)>,
}

impl Verifier {
    /// Begins an import.
    #[must_use]
    pub fn begin_import(&self, dry_run: bool, uid: u32) -> Import {
        Import { incoming: Incoming::new(self.keys.clone()), dry_run, uid, begun: None }
    }

    /// Lets nobody in where an import came to no end. To be called once, before anybody is served.
    pub async fn look_for_import(&self) {
        if let Ok(Some(Imported { export, whole: false })) = self.reader.imported().await {
            error!(
                export = name(export),
                "an import came to no end, so nobody is let in: run it again, otpctl store import FILE"
            );
            *self.unfinished() = Some(self.doors.close());
        }
    }

    /// Takes the next piece of the export.
    ///
    /// # Errors
    /// [`ImportError`]: there is no going on.
    pub async fn import(
        &self,
        import: &mut Import,
        piece: &str,
    ) -> Result<ImportProgress, ImportError> {
        let Some(line) = import.incoming.feed(piece)? else {
            return Ok(ImportProgress::default());
        };
        match line {
            Line::Header(header) => {
                let begun = self.opened_import(&header, import.dry_run).await?;
                let known = begun.known;
                import.begun = Some(begun);
                Ok(ImportProgress { header: Some(header), known, ..ImportProgress::default() })
            }
            Line::Page(page) => {
                let Some(begun) = &mut import.begun else {
                    return Err(FormatError::Foreign.into());
                };
                let writes = !import.dry_run && !begun.known;
                self.take_page(begun, page, writes, import.uid).await
            }
        }
    }

    async fn opened_import(&self, header: &Header, dry_run: bool) -> Result<Begun, ImportError> {
        self.store.may_administer()?;
        let export = header.backup;
        let newest = header.newest.ok_or(ImportError::Partial)?;
        let before = self.reader.imported().await?.filter(|imported| imported.export == export);
        let known = before.is_some_and(|imported| imported.whole);
        if before.is_none() {
            let (tally, together) = self.stored().await?;
            if !tally.is_empty() || !together.is_empty() {
                return Err(ImportError::NotEmpty);
            }
            let oldest = self.reader.events(Trail::default(), i64::MIN, i64::MAX, 1).await?;
            if oldest.first().is_some_and(|event| event.at <= newest.at) {
                return Err(ImportError::Trail);
            }
        }
        if !dry_run && !known {
            let closed = self.doors.close();
            self.store.has_room().await?;
            self.store.tidy(Chore::Imported(Imported { export, whole: false })).await?;
            // Until it is whole.
            self.unfinished().get_or_insert(closed);
        }
        let tally = Tally::new(self.keys.clone());
        let together = BTreeMap::new();
        Ok(Begun { header: header.clone(), known, tally, together })
    }
}

impl Verifier {
    async fn take_page(
        &self,
        begun: &mut Begun,
        page: Page,
        writes: bool,
        uid: u32,
    ) -> Result<ImportProgress, ImportError> {
        let mut progress = ImportProgress { known: begun.known, ..ImportProgress::default() };
        if writes {
            self.store.has_room().await?;
        }
        match page {
            Page::Accounts(rows) => {
                progress.accounts = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let mut under_way = JoinSet::new();
                for row in rows {
                    let kept = self.opened(row)?;
                    begun.tally.account(&kept).map_err(|error| unreadable(&error))?;
                    if writes {
                        let (store, scope) =
                            (self.store.clone(), Scope::Account(kept.account.clone()));
                        let import = ImportAccount { kept, uid };
                        under_way.spawn(async move {
                            store
                                .transact(scope, move |records, now| import.decide(records, now))
                                .await
                        });
                    }
                }
                all(under_way).await?;
            }
            Page::Budgets(rows) => {
                let mut under_way = JoinSet::new();
                for row in rows {
                    begun
                        .tally
                        .budget(row.number, &row.budget)
                        .map_err(|error| unreadable(&error))?;
                    if writes {
                        let store = self.store.clone();
                        let (number, kept) = (row.number, row.budget);
                        let import = ImportBudget(RestoreBudget { number, kept });
                        let scope = Scope::Number { account: Account::host(), number };
                        under_way.spawn(async move {
                            store
                                .transact(scope, move |records, now| import.decide(records, now))
                                .await
                                .map(drop)
                        });
                    }
                }
                all(under_way).await?;
            }
            Page::Traffic(rows) => {
                for row in rows {
                    let (key, kept) = (TrafficKey::from(row.key), row.traffic);
                    begun.together.insert(key, kept.clone());
                    if writes {
                        let import = RestoreTraffic { key, kept };
                        let scope = Scope::Traffic { account: Account::host(), key };
                        let decide = move |records: &_, now| import.decide(records, now);
                        self.store.transact(scope, decide).await?;
                    }
                }
            }
            Page::Trail(rows) => {
                rows.iter()
                    .try_for_each(|row| begun.tally.event(row))
                    .map_err(|error| unreadable(&error))?;
                if let Some(newest) = begun.header.newest.filter(|_| writes) {
                    let (backup, newest) = (begun.header.backup, (newest.id, newest.at));
                    self.store.tidy(Chore::Trail { backup, newest, rows }).await?;
                }
            }
            Page::End(_) => {
                let together = u64::try_from(begun.together.len()).unwrap_or(u64::MAX);
                if writes {
                    self.read_back(begun).await?;
                    self.finish_import(begun, uid).await?;
                }
                progress.whole = Some((begun.tally.clone(), together));
            }
        }
        Ok(progress)
    }

    /// Reads all that is stored, and compares it with what the export had.
    async fn read_back(&self, begun: &Begun) -> Result<(), ImportError> {
        let newest = begun.header.newest.ok_or(ImportError::Partial)?;
        let (mut tally, mut together) = self.stored().await?;
        let mut before = i64::MAX;
        loop {
            let events = self.reader.trail_before(before, EVENTS).await?;
            let Some(last) = events.last() else { break };
            before = last.id;
            // What was written down here comes after it.
            let moved = events.iter().filter(|event| event.at <= newest.at);
            for event in moved {
                tally.event(event).map_err(|error| unreadable(&error))?;
            }
        }
        if let Some(what) = tally.difference(&begun.tally) {
            return Err(ImportError::Differs(what));
        }
        // What was long ago falls out of the sums with every minute that passes.
        let now = self.clock.now();
        for (key, mut kept) in begun.together.clone() {
            let mut stored = together.remove(&key).unwrap_or_default();
            kept.settle(now);
            stored.settle(now);
            if kept != stored {
                return Err(ImportError::Differs("limits of all together"));
            }
        }
        Ok(())
    }

    async fn finish_import(&self, begun: &Begun, uid: u32) -> Result<(), ImportError> {
        let (export, taken_at) = (begun.header.backup, begun.header.taken_at);
        let (enrolled, changed) = (begun.tally.numbers, begun.tally.users.count);
        let event = Event::BackupRestored { backup: name(export), taken_at, enrolled, changed };
        self.note(Note { event, uid }).await?;
        self.store.tidy(Chore::Imported(Imported { export, whole: true })).await?;
        self.store.index().await?;
        self.unfinished().take();
        // Last: a daemon that learns of keys begins anew with them.
        if let Some(retired) = begun.header.retired.clone() {
            self.store.tidy(Chore::Retired(retired)).await?;
        }
        info!(export = name(export), "a store was imported; people are let in");
        Ok(())
    }

    /// All that is stored now but the trail.
    async fn stored(&self) -> Result<(Tally, BTreeMap<TrafficKey, Traffic>), ImportError> {
        let mut tally = Tally::new(self.keys.clone());
        let (mut together, mut rows) = (BTreeMap::new(), 0);
        let mut snapshot = self.reader.snapshot().await?;
        while let Some(piece) = snapshot.next().await? {
            count(&mut tally, &mut rows, &piece).map_err(|error| unreadable(&error))?;
            if let Piece::Traffic(rows) = piece {
                together.extend(rows);
            }
        }
        Ok((tally, together))
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, Option<Closed>> {
        self.unfinished.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn unreadable(error: &crate::backup::Unwritten) -> ImportError {
    error!(%error, "a row has no written form");
    FormatError::Unreadable.into()
}

/// Waits until all of these decisions are made.
async fn all(mut under_way: JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    while let Some(ended) = under_way.join_next().await {
        ended.map_err(|_| StoreError::Unknown)??;
    }
    Ok(())
}
