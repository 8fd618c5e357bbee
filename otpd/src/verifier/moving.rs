//! All of a store comes here from another one.
//!
//! It is a backup that goes into a store with nothing in it, so that nothing need be merged: what is
//! there afterwards is what was exported, and that is looked at before it is said to be done. Until
//! then nobody is let in.

use std::{collections::BTreeMap, time::Duration};

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::{Verifier, backup::count, doors::Closed, restore::RestoreError};
use crate::{
    backup::{FormatError, Header, Incoming, Line, Page, Tally, name},
    domain::{
        account::Account,
        audit::Event,
        budget::Traffic,
        policy::Unenrolled,
        records::{Decided, Records, TrafficKey},
        restore::{
            ImportAccount, ImportBudget, ImportTraffic, Note, RestoreBudget, RestoreTraffic,
        },
        time::Timestamp,
    },
    store::{Chore, Imported, Piece, Scope, StoreError, Trail, Unreadable},
};

/// How often it is looked whether an import has become whole, be it by another host.
const LOOK: Duration = Duration::from_secs(2);
/// Events that are read back at once.
const EVENTS: u32 = 1000;

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
        "the log of this store began before the export was made, so that of the other does not fit in \
         front of it; take a new database"
    )]
    Trail,
    /// An export without a trail, or with less than all.
    #[error("this is a backup without the log; make an export: otpctl store export FILE")]
    Partial,
    /// What is here cannot be read.
    #[error("what is stored here of {0} is damaged; take a new database")]
    Unreadable(Unreadable),
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
    /// While it is only looked at: what is decided before it is imported would be mixed with it.
    closed: Option<Closed>,
}

impl Import {
    /// Whether nobody is let in because of it, though nothing is changed yet.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.closed.is_some()
    }
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
        let incoming = Incoming::new(self.keys.clone());
        Import { incoming, dry_run, uid, begun: None, closed: None }
    }

    /// Lets nobody in where an import came to no end, or where that cannot be read; and people again
    /// where it has become whole. To be called before anybody is served.
    pub async fn look_for_import(&self) {
        let mut unfinished = self.unfinished.lock().await;
        match self.reader.imported().await {
            Ok(None | Some(Imported { whole: true, .. })) => {
                if unfinished.take().is_some() {
                    info!("no import is under way any more; people are let in");
                }
            }
            _ if unfinished.is_some() => {}
            Ok(Some(Imported { export, whole: false })) => {
                error!(
                    export = name(export),
                    "an import came to no end, so nobody is let in: run it again, otpctl store import \
                     FILE"
                );
                *unfinished = Some(self.doors.close());
            }
            Err(error) => {
                error!(%error, "whether an import came to its end is unknown, so nobody is let in yet");
                *unfinished = Some(self.doors.close());
            }
        }
    }

    /// Looks again and again for as long as nobody is let in because of an import: it may become whole
    /// at another host. Ends with the runtime.
    pub async fn follow_import(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let unfinished = self.unfinished.lock().await.is_some();
            if unfinished {
                self.look_for_import().await;
            }
        }
    }

    /// Warns where nobody is asked for a code because nobody is enrolled in the database of many hosts: it
    /// may be a new one, into which the users are still to come. Of a file that is told when it is made.
    pub async fn look_for_people(&self) {
        let unenrolled = self.site().terms.unenrolled;
        if unenrolled == Unenrolled::Ignore
            && self.reader.is_shared()
            && self.reader.subscribers(None, 1).await.is_ok_and(|page| page.is_empty())
        {
            warn!(
                "nobody is enrolled in the database: nobody is asked for a code (policy.unenrolled = \
                 \"ignore\"); if it is to be imported or restored, set that to \"deny\" until it is done"
            );
        }
    }

    /// An error while the store moves: what was changed now would be lost, or mixed with what comes.
    ///
    /// # Errors
    /// [`StoreError::Moving`].
    pub fn store_stays(&self) -> Result<(), StoreError> {
        if self.doors.are_closed() { Err(StoreError::Moving) } else { Ok(()) }
    }

    /// Has it decided, unless the store moves.
    pub(super) async fn transact<A, D>(&self, scope: Scope, decide: D) -> Result<A, StoreError>
    where
        A: Send + 'static,
        D: Fn(&Records, Timestamp) -> Decided<A> + Send + 'static,
    {
        self.doors.pass(decide, |decide| self.courier.transact(scope, decide)).await
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
                let (begun, closed) = self.opened_import(&header, import.dry_run).await?;
                let known = begun.known;
                import.closed = Some(closed).filter(|_| import.dry_run && !known);
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

    /// Begins one, with nobody let in.
    async fn opened_import(
        &self,
        header: &Header,
        dry_run: bool,
    ) -> Result<(Begun, Closed), ImportError> {
        self.store.may_administer()?;
        // None is begun while it is looked for one, or while old rows are deleted.
        let mut unfinished = self.unfinished.lock().await;
        // Before it is looked what is here; and behind a clean-up, which may take minutes.
        let closed = self.doors.close();
        let export = header.backup;
        let newest = header.newest.ok_or(ImportError::Partial)?;
        let before = self.reader.imported().await?.filter(|imported| imported.export == export);
        let known = before.is_some_and(|imported| imported.whole);
        if before.is_none() {
            if !self.is_empty().await? {
                return Err(ImportError::NotEmpty);
            }
            let oldest = self.reader.events(Trail::default(), i64::MIN, i64::MAX, 1).await?;
            if oldest.first().is_some_and(|event| event.at <= newest.at) {
                return Err(ImportError::Trail);
            }
        }
        if known {
            // It may have become whole at another host, or without a word that it did.
            unfinished.take();
        } else if !dry_run {
            self.store.has_room().await?;
            let imported = Imported { export, whole: false };
            // Whatever the store says to it, until it is whole.
            unfinished.get_or_insert_with(|| self.doors.close());
            self.store.tidy(Chore::Imported { imported, retired: None }).await?;
        }
        let tally = Tally::new(self.keys.clone());
        let together = BTreeMap::new();
        Ok((Begun { header: header.clone(), known, tally, together }, closed))
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
                        let import = ImportTraffic(RestoreTraffic { key, kept });
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
        // What was written down here comes after the newest of them.
        let moved = self.reader.trail_moved_by(begun.header.backup).await?;
        let end = |moved| newest.id.saturating_add(moved).saturating_add(1);
        let mut before = moved.map_or(i64::MIN, end);
        loop {
            let events = self.reader.trail_before(before, EVENTS).await?;
            let Some(last) = events.last() else { break };
            before = last.id;
            for event in &events {
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
        self.store.index().await?;
        // Last: a daemon that learns of keys begins anew with them.
        let (imported, retired) = (Imported { export, whole: true }, begun.header.retired.clone());
        self.store.tidy(Chore::Imported { imported, retired }).await?;
        self.unfinished.lock().await.take();
        info!(export = name(export), "a store was imported; people are let in");
        Ok(())
    }

    /// Whether there is nothing but events. It ends with the first row: nobody is let in meanwhile.
    async fn is_empty(&self) -> Result<bool, ImportError> {
        let (mut tally, mut together) = (Tally::new(self.keys.clone()), 0);
        let mut snapshot = self.reader.snapshot().await?;
        while let Some(piece) = snapshot.next().await? {
            // What cannot be read is there as well, and could never be read back.
            if let Piece::Unreadable(unreadable) = piece {
                return Err(ImportError::Unreadable(unreadable));
            }
            count(&mut tally, &mut together, &piece).map_err(|error| unreadable(&error))?;
            if !tally.is_empty() || together > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All that is stored now but the trail.
    async fn stored(&self) -> Result<(Tally, BTreeMap<TrafficKey, Traffic>), ImportError> {
        let mut tally = Tally::new(self.keys.clone());
        let (mut together, mut rows) = (BTreeMap::new(), 0);
        let mut snapshot = self.reader.snapshot().await?;
        while let Some(piece) = snapshot.next().await? {
            if let Piece::Unreadable(unreadable) = piece {
                return Err(ImportError::Unreadable(unreadable));
            }
            count(&mut tally, &mut rows, &piece).map_err(|error| unreadable(&error))?;
            if let Piece::Traffic(rows) = piece {
                together.extend(rows);
            }
        }
        Ok((tally, together))
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
