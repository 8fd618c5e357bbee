//! A backup comes back, a line after the other; everything is decided in the core.

mod since;

use tokio::task::JoinSet;
use tracing::{error, info};

use super::Verifier;
use crate::{
    backup::{AccountRow, BudgetRow, FormatError, Header, Incoming, Line, Page, TrafficRow, name},
    domain::{
        account::Account,
        audit::Event,
        enrollment::Enrollment,
        phone::Destination,
        records::TrafficKey,
        restore::{
            Fate, Kept, Note, RestoreAccount, RestoreBudget, RestoreTraffic, Restored, Since,
        },
        time::Timestamp,
    },
    store::{Chore, Scope, StoreError, Trail},
};

/// Accounts after which what was written down about them is entered where it is looked up.
const ENTERED: usize = 1000;

/// Why a restore stopped; what was restored before stays so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A restore that is under way.
pub struct Restore {
    incoming: Incoming,
    header: Option<Header>,
    /// The id before the first event that can be from after the backup.
    since: i64,
    /// Accounts since the trail was entered where it is looked up.
    unentered: usize,
    /// Nothing is changed.
    pub dry_run: bool,
    uid: u32,
    enrolled: u64,
    changed: u64,
}

/// What came of a piece of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What backup it is, where the piece says so.
    pub header: Option<Header>,
    /// Accounts in the piece.
    pub accounts: u32,
    /// Accounts of which anything was changed, and how.
    pub changes: Vec<(Account, Restored)>,
    /// Accounts that stay as they are, because what is stored of them cannot be read.
    pub damaged: Vec<Account>,
    /// Events that were added to the trail.
    pub events: u32,
    /// It was the end of the backup.
    pub complete: bool,
}

impl Verifier {
    /// Begins a restore.
    #[must_use]
    pub fn begin_restore(&self, dry_run: bool, uid: u32) -> Restore {
        let incoming = Incoming::new(self.keys.clone());
        Restore {
            incoming,
            header: None,
            since: i64::MAX,
            unentered: 0,
            dry_run,
            uid,
            enrolled: 0,
            changed: 0,
        }
    }

    /// Takes the next piece of the backup. In a dry run it only says what it would do, as far as
    /// that can be said of accounts.
    ///
    /// # Errors
    /// [`RestoreError`]: there is no going on.
    pub async fn restore(
        &self,
        restore: &mut Restore,
        piece: &str,
    ) -> Result<Progress, RestoreError> {
        let mut progress = Progress::default();
        if !restore.dry_run {
            self.store_stays()?;
        }
        match restore.incoming.feed(piece)? {
            None => {}
            Some(Line::Header(header)) => {
                let since = Some(since::earliest(header.taken_at));
                let trail = Trail { since, ..Trail::default() };
                let newest = self.reader.newest_event().await?;
                restore.since = self.reader.before_events(trail, newest, None).await?;
                if !restore.dry_run {
                    self.begun(&header, restore.uid).await?;
                }
                progress.header = Some(header.clone());
                restore.header = Some(header);
            }
            Some(Line::Page(page)) => {
                if !restore.dry_run {
                    self.store.has_room().await?;
                }
                self.take(restore, page, &mut progress).await?;
            }
        }
        Ok(progress)
    }

    /// Writes down that it begins: one that comes to no end has changed something all the same.
    async fn begun(&self, header: &Header, uid: u32) -> Result<(), RestoreError> {
        self.store.may_administer()?;
        self.store.has_room().await?;
        let (backup, taken_at) = (name(header.backup), header.taken_at);
        Ok(self.note(Note { event: Event::RestoreBegun { backup, taken_at }, uid }).await?)
    }

    async fn take(
        &self,
        restore: &mut Restore,
        page: Page,
        progress: &mut Progress,
    ) -> Result<(), RestoreError> {
        let Some(header) = restore.header.clone() else { return Err(FormatError::Foreign.into()) };
        match page {
            Page::Accounts(rows) => {
                // What a restore writes down would else be looked through for each further account.
                restore.unentered += rows.len();
                if restore.unentered > ENTERED {
                    restore.unentered = 0;
                    self.store.index().await?;
                }
                progress.accounts = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let done = self.accounts(restore, header.taken_at, rows, progress).await?;
                let changes = done
                    .into_iter()
                    .filter(|(_, done)| done.changed || done.number == Fate::LeftRemoved);
                progress.changes = changes.collect();
                let count = |wanted: fn(&Restored) -> bool| {
                    let found = progress.changes.iter().filter(|(_, done)| wanted(done)).count();
                    u64::try_from(found).unwrap_or(u64::MAX)
                };
                restore.enrolled += count(|done| done.number == Fate::Restored);
                restore.changed += count(|done| done.changed);
            }
            Page::Budgets(rows) => self.budgets(restore, rows).await?,
            Page::Traffic(rows) => self.traffic(restore, rows).await?,
            Page::Trail(rows) => {
                if let Some(newest) = header.newest.filter(|_| !restore.dry_run) {
                    let newest = (newest.id, newest.at);
                    let chore = Chore::Trail { backup: header.backup, newest, rows };
                    progress.events = self.store.tidy(chore).await?;
                }
            }
            Page::End(_) => {
                progress.complete = true;
                if !restore.dry_run {
                    let event = Event::BackupRestored {
                        backup: name(header.backup),
                        taken_at: header.taken_at,
                        enrolled: restore.enrolled,
                        changed: restore.changed,
                    };
                    self.note(Note { event, uid: restore.uid }).await?;
                    // Last: a daemon that learns of keys begins anew with them.
                    if let Some(retired) = header.retired {
                        self.store.tidy(Chore::Retired(retired)).await?;
                    }
                    info!(backup = name(header.backup), "a backup was restored");
                }
            }
        }
        Ok(())
    }

    /// All accounts of a page; those of a page share a transaction. What is damaged is not overwritten:
    /// it may be newer than the backup, and an administrator says first that it is lost.
    async fn accounts(
        &self,
        restore: &Restore,
        taken_at: Timestamp,
        rows: Vec<AccountRow>,
        progress: &mut Progress,
    ) -> Result<Vec<(Account, Restored)>, RestoreError> {
        let mut decisions = Vec::with_capacity(rows.len());
        for row in rows {
            let kept = self.opened(row)?;
            let stored = match self.reader.account(kept.account.clone()).await {
                Ok(stored) => stored,
                Err(StoreError::Damaged(_)) => {
                    progress.damaged.push(kept.account);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let had = stored.enrollment.is_some();
            let lost = !had && kept.enrollment.is_some();
            let since = if lost {
                self.since(&kept, taken_at, restore.since).await?
            } else {
                Since::default()
            };
            decisions.push((RestoreAccount { kept, since, had, uid: restore.uid }, stored));
        }
        let mut done = Vec::with_capacity(decisions.len());
        if restore.dry_run {
            let now = self.clock.now();
            let decided = decisions.into_iter().map(|(decision, stored)| {
                let restored = decision.decide(&stored, now).answer;
                (decision.kept.account, restored)
            });
            done.extend(decided);
            return Ok(done);
        }
        let mut under_way = JoinSet::new();
        for (decision, _) in decisions {
            let (courier, account) = (self.courier.clone(), decision.kept.account.clone());
            under_way.spawn(async move {
                let scope = Scope::Account(account.clone());
                let decide = move |records: &_, now| decision.decide(records, now);
                (account, courier.transact(scope, decide).await)
            });
        }
        while let Some(ended) = under_way.join_next().await {
            match ended.map_err(|_| StoreError::Unknown)? {
                (account, Ok(restored)) => done.push((account, restored)),
                (account, Err(StoreError::Damaged(_))) => progress.damaged.push(account),
                (_, Err(error)) => return Err(error.into()),
            }
        }
        done.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(done)
    }

    async fn budgets(&self, restore: &Restore, rows: Vec<BudgetRow>) -> Result<(), RestoreError> {
        if restore.dry_run {
            return Ok(());
        }
        let mut under_way = JoinSet::new();
        for BudgetRow { number, budget: kept } in rows {
            let store = self.store.clone();
            under_way.spawn(async move {
                let scope = Scope::Number { account: Account::host(), number };
                let decision = RestoreBudget { number, kept };
                store.transact(scope, move |records, now| decision.decide(records, now)).await
            });
        }
        Ok(all(under_way).await?)
    }

    async fn traffic(&self, restore: &Restore, rows: Vec<TrafficRow>) -> Result<(), RestoreError> {
        if restore.dry_run {
            return Ok(());
        }
        let mut under_way = JoinSet::new();
        for TrafficRow { key, traffic: kept } in rows {
            let (store, key) = (self.store.clone(), TrafficKey::from(key));
            under_way.spawn(async move {
                let scope = Scope::Traffic { account: Account::host(), key };
                let decision = RestoreTraffic { key, kept };
                store.transact(scope, move |records, now| decision.decide(records, now)).await
            });
        }
        Ok(all(under_way).await?)
    }

    /// A row with its number, which this otpd's key opens.
    pub(super) fn opened(&self, row: AccountRow) -> Result<Kept, RestoreError> {
        let damaged = |what: &str| {
            error!(what, "a row of a backup whose seal is right cannot be read");
            RestoreError::Format(FormatError::Unreadable)
        };
        let account = Account::new(&row.account).map_err(|_| damaged("account"))?;
        let number = row.number.map(|kept| {
            let number = self.keys.unseal(&account, &kept.sealed);
            let number = number.map_err(|_| damaged("number"))?;
            let (index, range) = (self.keys.index(&number), self.keys.range(&number));
            let destination = Destination { number, country: kept.country, line: kept.line };
            Ok::<_, RestoreError>(Enrollment {
                destination,
                index,
                range,
                channel: kept.channel,
                state: kept.state,
                created_at: kept.created_at,
                required: kept.required,
                proof_sent_at: kept.proof_sent_at,
            })
        });
        Ok(Kept { enrollment: number.transpose()?, account, login: row.login })
    }
}

/// Waits until all of these decisions are made. What counts for a number and is damaged stays so, and
/// refuses: an account that has the number is named when its turn comes.
async fn all(mut under_way: JoinSet<Result<bool, StoreError>>) -> Result<(), StoreError> {
    while let Some(ended) = under_way.join_next().await {
        match ended.map_err(|_| StoreError::Unknown)? {
            Ok(_) | Err(StoreError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
