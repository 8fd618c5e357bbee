//! A backup is made while logins go on.

use std::{collections::VecDeque, time::Duration};

use otp_proto::admin::MEND_DAMAGED;
use rand::RngExt;
use tokio::time::Instant;
use tracing::error;

use super::{Verifier, doors::Closed};
use crate::{
    backup::{Header, Newest, Outgoing, Tally, name},
    domain::{account::Account, audit::Event, restore::Note},
    random,
    store::{Piece, Reader, Scope, Snapshot, StoreError, Unreadable},
};

/// How long the accounts and budgets may take: as long as they are read, what is decided meanwhile
/// makes the database's log longer. A million accounts take a tenth of it.
const LONGEST: Duration = Duration::from_mins(5);
/// Events that are read, and held in memory, at once.
const EVENTS: u32 = 200;

/// Why a backup came to no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever asked for it reads too slowly.
    #[error(
        "the backup was read too slowly: users and their limits have to be read within {} s; write \
         it to a faster disk", LONGEST.as_secs()
    )]
    Slow,
    /// It promises to be all that is stored.
    #[error(
        "what is stored of {0} is damaged, and an export is of all: for each of them {MEND_DAMAGED}; a \
         limit is deleted when nothing counts in it any more"
    )]
    Incomplete(Unreadable),
    /// What is stored is not all that is to be here.
    #[error(
        "an import into this store is not whole, and an export is of all: run the import again, otpctl \
         store import FILE, and this when it is done"
    )]
    Importing,
    /// What is stored has no written form.
    #[error("the backup could not be written; the journal says why")]
    Unwritten,
}

/// Where the rows come from.
enum Source {
    Snapshot(Box<Snapshot>),
    /// The trail, before this event.
    Trail(i64),
    End,
}

/// A backup that is being read.
pub struct Backup {
    reader: Reader,
    outgoing: Outgoing,
    source: Source,
    begun: Instant,
    newest: Option<Newest>,
    lines: VecDeque<String>,
    enrolled: u32,
    tally: Tally,
    /// Ranges, countries and the whole site.
    together: u64,
    /// What is not in it, because it cannot be read.
    unreadable: Unreadable,
    /// It is of no use unless it is of all.
    whole: bool,
    /// Nobody is let in for as long as this lives, and after it was handed out.
    closed: Option<Closed>,
}

impl Verifier {
    /// Begins a backup, of the trail too where `log` says so. It is written down first.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn backup(&self, log: bool, uid: u32) -> Result<Backup, BackupError> {
        // Not later than what is in it: whatever comes after it, is after this.
        let taken_at = self.clock.now();
        let snapshot = self.reader.snapshot().await?;
        let newest = snapshot.newest.filter(|_| log).map(|(id, at)| Newest { id, at });
        let header = Header {
            backup: random::system().random(),
            taken_at,
            host: self.site().message.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key_id: self.keys.id,
            enrolled: snapshot.enrolled,
            newest,
            retired: (self.keys.retired() > 0).then(|| self.keys.seal_retired()),
        };
        let event = Event::BackupTaken {
            backup: name(header.backup),
            accounts: snapshot.enrolled.into(),
            log,
        };
        self.note(Note { event, uid }).await?;
        let begun =
            Outgoing::begin(self.keys.clone(), &header).map_err(|error| unwritten(&error))?;
        let (outgoing, line) = begun;
        Ok(Backup {
            reader: self.reader.clone(),
            outgoing,
            enrolled: snapshot.enrolled,
            source: Source::Snapshot(Box::new(snapshot)),
            begun: Instant::now(),
            newest,
            lines: VecDeque::from([line]),
            tally: Tally::new(self.keys.clone()),
            together: 0,
            unreadable: Unreadable::default(),
            whole: false,
            closed: None,
        })
    }

    /// Begins an export: a backup with the trail. `last`: nobody is let in from now on, until the
    /// daemon is started again; if the export is not handed out whole, until it is given up.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn export(&self, last: bool, uid: u32) -> Result<Backup, BackupError> {
        let closed = last.then(|| self.doors.close());
        if closed.is_some() && !self.store.answers().await {
            // What was let through before is decided before that answer.
            return Err(StoreError::Unavailable.into());
        }
        let before = self.reader.imported().await?;
        if before.is_some_and(|imported| !imported.whole) {
            return Err(BackupError::Importing);
        }
        let backup = self.backup(true, uid).await?;
        // One that began since may have had half of its rows here at that moment, and all of them now.
        if self.reader.imported().await? != before {
            return Err(BackupError::Importing);
        }
        Ok(Backup { closed, whole: true, ..backup })
    }

    /// Writes something down about the host.
    pub(super) async fn note(&self, note: Note) -> Result<(), StoreError> {
        let decide = move |records: &_, now| note.decide(records, now);
        let noted = self.store.transact(Scope::Account(Account::host()), decide).await;
        noted.inspect_err(|error| error!(%error, "an administrator's verb was not written down"))
    }
}

impl Backup {
    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// [`BackupError`]; there is no more then.
    pub async fn next(&mut self) -> Result<Option<String>, BackupError> {
        loop {
            // Before each line: whoever takes long over one must not have all that are read already.
            if self.holds_snapshot() && self.begun.elapsed() > LONGEST {
                self.source = Source::End;
                self.lines.clear();
                return Err(BackupError::Slow);
            }
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            let lines = match &mut self.source {
                Source::Snapshot(snapshot) => {
                    let piece = snapshot.next().await?;
                    if let Some(Piece::Unreadable(unreadable)) = piece {
                        if self.whole {
                            self.source = Source::End;
                            self.closed = None;
                            return Err(BackupError::Incomplete(unreadable));
                        }
                        self.unreadable = unreadable;
                        Vec::new()
                    } else if let Some(piece) = piece {
                        let counted = count(&mut self.tally, &mut self.together, &piece);
                        counted.map_err(|error| unwritten(&error))?;
                        self.outgoing.piece(piece).map_err(|error| unwritten(&error))?
                    } else {
                        let after = |newest: Newest| newest.id.saturating_add(1);
                        self.source = Source::Trail(self.newest.map_or(i64::MIN, after));
                        Vec::new()
                    }
                }
                Source::Trail(before) => {
                    let events = self.reader.trail_before(*before, EVENTS).await?;
                    let mut counted = events.iter();
                    let counted = counted.try_for_each(|event| self.tally.event(event));
                    counted.map_err(|error| unwritten(&error))?;
                    match events.last() {
                        Some(last) => *before = last.id,
                        None => self.source = Source::End,
                    }
                    match self.source {
                        Source::End => {
                            vec![self.outgoing.end().map_err(|error| unwritten(&error))?]
                        }
                        Source::Snapshot(_) | Source::Trail(_) => {
                            self.outgoing.trail(events).map_err(|error| unwritten(&error))?
                        }
                    }
                }
                Source::End => return Ok(None),
            };
            self.lines.extend(lines);
        }
    }

    /// All of it was handed out, the word that it was among it.
    pub fn handed_out(self) {
        if let Some(closed) = self.closed {
            closed.for_good();
        }
    }

    /// Whether the end of the database's log is held up.
    #[must_use]
    pub fn holds_snapshot(&self) -> bool {
        match self.source {
            Source::Snapshot(_) => true,
            Source::Trail(_) | Source::End => false,
        }
    }

    /// What was in it, once all of it was read; and how many ranges, countries and sites.
    #[must_use]
    pub fn tally(&self) -> (&Tally, u64) {
        (&self.tally, self.together)
    }

    /// What is not in it, because it cannot be read, once all of it was.
    #[must_use]
    pub fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    /// Accounts that were read, and those with a number that there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u32) {
        (self.outgoing.accounts(), self.enrolled)
    }
}

/// Adds rows to a tally.
pub(super) fn count(
    tally: &mut Tally,
    together: &mut u64,
    piece: &Piece,
) -> Result<(), crate::backup::Unwritten> {
    match piece {
        Piece::Accounts(rows) => rows.iter().try_for_each(|kept| tally.account(kept)),
        Piece::Budgets(rows) => {
            rows.iter().try_for_each(|(number, budget)| tally.budget(*number, budget))
        }
        Piece::Traffic(rows) => {
            *together += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            Ok(())
        }
        Piece::Unreadable(_) => Ok(()),
    }
}

fn unwritten(error: &crate::backup::Unwritten) -> BackupError {
    error!(%error, "a row cannot be written to a backup");
    BackupError::Unwritten
}
