//! The embedded engine: SQLite in WAL mode, every commit on disk before it is answered.

mod audit;
mod discard;
mod read;
mod recent;
mod reserve;
mod rotate;
mod rows;
mod sent;
mod snapshot;
mod upkeep;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{AccessFlags, access};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tracing::{error, warn};

pub(super) use read::Reads;
pub(super) use recent::Recent;

use reserve::Reserve;

use super::{Chore, Damage, Engine, Rekeyed, Scope, Shortage, StoreError, Working, damage};
use crate::{
    domain::{
        account::Account,
        passcode::ChallengeToken,
        records::{BudgetKey, TrafficKey},
    },
    failpoint::{self, Point},
    keys::Keys,
};

mod embedded {
    refinery::embed_migrations!("src/store/sqlite/migrations");
}

/// The last migration.
const SCHEMA: i64 = 4;

/// How long a transaction waits for another program's lock on the database.
const BUSY: Duration = Duration::from_secs(2);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or opened.
    #[error(
        "{path}: {source}; see that otpd may read and write it and its directory, on a disk that is \
         not mounted read-only",
        path = path.display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite refuses it.
    #[error("{path}: {source}; {remedy}", path = path.display(), remedy = remedy(source))]
    Database {
        /// Which.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("{path}: cannot bring the schema up to date: {reason}", path = path.display())]
    Migration {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A later version has brought its schema further.
    #[error(
        "{path}: a newer otpd has used it (its schema is {found}, this otpd knows {SCHEMA}); install \
         that version again, or restore a backup from before",
        path = path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// The last migration that it has seen.
        found: i64,
    },
    /// It was made with another master key.
    #[error(
        "{path}: made with another master key (the key at hand is {found:08x}); restore the key \
         file that belongs to this database; a rotation puts the one before beside it, as otpd.key.old",
        path = path.display()
    )]
    WrongKey {
        /// Which.
        path: PathBuf,
        /// The id of the key at hand.
        found: u32,
    },
    /// What it keeps of earlier keys is damaged.
    #[error(
        "{path}: the keys from before are damaged; restore a backup into a new database",
        path = path.display()
    )]
    Retired {
        /// Which.
        path: PathBuf,
    },
}

/// The SQLite engine.
pub struct Sqlite {
    db: Connection,
    keys: Keys,
    /// Accounts with a number; `None` when they have to be counted: that reads the whole table.
    enrolled: Option<u32>,
    recent: Recent,
    reserve: Reserve,
    /// The last transaction found the disk full.
    full: bool,
    rekeyed: Rekeyed,
    /// The file may hold what was put under another key since, as it was before.
    stale_pages: bool,
}

/// What the key of the database at `path` is known by, if it holds anything that needs one: then a new
/// key must not be made.
///
/// # Errors
/// [`OpenError`] when it is there and cannot be read.
pub fn key_check(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(source) => return Err(OpenError::File { path: path.into(), source }),
    }
    let failed = |source| OpenError::Database { path: path.into(), source };
    let db = open(path)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'";
    let migrated: i64 = db.query_row(tables, [], |row| row.get(0)).map_err(failed)?;
    if migrated == 0 { Ok(None) } else { check_value(&db).map_err(failed) }
}

/// Whether this otpd could work with the database, if there is one: what its key is known by then. No table
/// is made or changed.
///
/// # Errors
/// [`OpenError`].
pub fn examine(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    let Some(check) = key_check(path)? else { return Ok(None) };
    let failed = |source| OpenError::Database { path: path.into(), source };
    let db = open(path)?;
    if let Some(found) = schema(&db).map_err(failed)?.filter(|found| *found > SCHEMA) {
        return Err(OpenError::Newer { path: path.into(), found });
    }
    Ok(Some(check))
}

fn check_value(db: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    db.query_row("SELECT value FROM meta WHERE name = 'key-check'", [], |row| row.get(0)).optional()
}

/// The last migration that the database has seen; `None` when it is a new one.
fn schema(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let history = "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    if db.query_row(history, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    db.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))
}

/// Sees to it that there is a file which may be read and written. SQLite would make it by the umask; it
/// holds who may log in.
///
/// One that is there is never opened: to close it again would end the locks that all connections of this
/// process have on it, as POSIX has it, and the next program that looks into the database would take its
/// log away from under them.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            access(path, AccessFlags::R_OK | AccessFlags::W_OK).map_err(io::Error::from)
        }
        made => made.map(drop),
    }
}

fn open(path: &Path) -> Result<Connection, OpenError> {
    make(path).map_err(|source| OpenError::File { path: path.into(), source })?;
    let configure = || {
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "trusted_schema", false)?;
        // What is deleted, a number under the key from before too, is overwritten in the file.
        db.pragma_update(None, "secure_delete", true)?;
        // Nothing of it is ever put down in a folder for everybody's temporary files.
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.set_prepared_statement_cache_capacity(32);
        Ok(db)
    };
    configure().map_err(|source| OpenError::Database { path: path.into(), source })
}

impl Sqlite {
    /// Opens or makes the database, brings its schema up to date, and checks that `keys` belong to
    /// it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed by a database of another key.
    pub fn open(path: &Path, keys: Keys) -> Result<Self, OpenError> {
        match Self::open_as_is(path, keys.clone()) {
            // Even to read, SQLite wants files beside the database.
            Err(_) if Reserve::spare(path) => Self::open_as_is(path, keys),
            opened => opened,
        }
    }

    /// The keys, with those from before that the database has kept.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn open_as_is(path: &Path, keys: Keys) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { path: path.into(), source };
        let mut db = open(path)?;
        // What reads the migrations compiles regular expressions for it: half a megabyte of program
        // that is needed after an upgrade only.
        match schema(&db).map_err(failed)? {
            Some(SCHEMA) => {}
            Some(found) if found > SCHEMA => {
                return Err(OpenError::Newer { path: path.into(), found });
            }
            Some(_) | None => {
                embedded::migrations::runner().set_grouped(true).run(&mut db).map_err(|error| {
                    OpenError::Migration { path: path.into(), reason: error.to_string() }
                })?;
            }
        }
        match check_value(&db).map_err(failed)? {
            Some(check) if check == keys.check => {}
            Some(_) => return Err(OpenError::WrongKey { path: path.into(), found: keys.id }),
            None => {
                let insert = "INSERT INTO meta (name, value) VALUES ('key-check', ?1)";
                db.execute(insert, params![keys.check.as_slice()]).map_err(failed)?;
            }
        }
        let keys = match rotate::retired(&db).map_err(failed)? {
            Some(sealed) => {
                keys.with_retired(&sealed).map_err(|_| OpenError::Retired { path: path.into() })?
            }
            None => keys,
        };
        let (recent, reserve) = (Recent::default(), Reserve::open(path));
        let rekeyed = Rekeyed::default();
        let stale_pages = rotate::leaves_stale_pages(&db).map_err(failed)?;
        let (enrolled, full) = (None, false);
        let mut sqlite = Self { db, keys, enrolled, recent, reserve, full, rekeyed, stale_pages };
        sqlite.settle_in();
        Ok(sqlite)
    }

    fn read(&mut self, scopes: &[Scope]) -> rusqlite::Result<Working> {
        // IMMEDIATE takes the write lock now: nothing read below can change before the commit.
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.recent.check(&self.db)?;
        let mut working = Working::default();
        let mut accounts = std::collections::BTreeSet::<Account>::new();
        let mut budgets = std::collections::BTreeSet::<BudgetKey>::new();
        let mut traffic = std::collections::BTreeSet::<TrafficKey>::new();
        for scope in scopes {
            match scope {
                Scope::Account(account) => {
                    accounts.insert(account.clone());
                }
                Scope::Number { account, number } => {
                    accounts.insert(account.clone());
                    budgets.insert(BudgetKey::Number(*number));
                }
                Scope::Traffic { account, key } => {
                    accounts.insert(account.clone());
                    traffic.insert(*key);
                }
                Scope::Challenge(token) => {
                    if let Some(account) = self.owner(*token)? {
                        working.add_owner(*token, account.clone());
                        accounts.insert(account);
                    }
                }
            }
        }
        for account in accounts {
            let (enrollment, login) = match self.recent.accounts.take(&account) {
                Some(rows) => rows,
                None => rows::account(&self.db, &self.keys, &account)?,
            };
            working.add_account(account, enrollment, login);
        }
        budgets.extend(working.budgets_needed());
        for key in budgets {
            let recent = self.recent.budgets.take(&key);
            working.add_budget(key, recent.map_or_else(|| rows::budget(&self.db, key), Ok)?);
        }
        traffic.extend(working.traffic_needed());
        for key in traffic {
            let recent = self.recent.traffic.take(&key);
            match rows::apart(recent.map_or_else(|| rows::traffic(&self.db, key), Ok))? {
                Ok(traffic) => working.add_traffic(key, traffic),
                Err(error) => damage::held(key, &error),
            }
        }
        let enrolled = match self.enrolled.take() {
            Some(enrolled) => enrolled,
            None => rows::enrolled(&self.db)?,
        };
        working.set_enrolled(enrolled);
        Ok(working)
    }

    fn owner(&mut self, token: ChallengeToken) -> rusqlite::Result<Option<Account>> {
        if let Some(account) = self.recent.owners.take(&token) {
            return Ok(Some(account));
        }
        let mut select =
            self.db.prepare_cached("SELECT account FROM challenge WHERE token = ?1")?;
        let read = select.query_row([token.0.as_slice()], |row| rows::name(row, 0)).optional();
        rows::of(None, Damage::Logins, read)
    }

    fn write(&self, working: &Working) -> rusqlite::Result<()> {
        let changes = working.changes();
        for (account, enrollment) in changes.enrollments {
            rows::put_enrollment(&self.db, &self.keys, account, enrollment)?;
        }
        for (account, login) in changes.logins {
            rows::put_login(&self.db, self.keys.id, account, &login.now)?;
        }
        for (key, budget) in changes.budgets {
            rows::put_budget(&self.db, self.keys.id, key, budget)?;
        }
        for (key, traffic) in changes.traffic {
            rows::put_traffic(&self.db, self.keys.id, key, &traffic.now)?;
        }
        for token in changes.gone {
            let mut delete = self.db.prepare_cached("DELETE FROM challenge WHERE token = ?1")?;
            delete.execute([token.0.as_slice()])?;
        }
        for (token, account) in changes.born {
            let insert = "INSERT INTO challenge (token, account) VALUES (?1, ?2)";
            let mut insert = self.db.prepare_cached(insert)?;
            insert.execute(params![token.0.as_slice(), account.as_str()])?;
        }
        changes.audit.iter().try_for_each(|event| rows::append(&self.db, event))
    }
}

impl Engine for Sqlite {
    const REMOTE: bool = false;

    async fn load(&mut self, scopes: &[Scope]) -> Result<Working, StoreError> {
        if self.rekeyed.holds() {
            // What was asked was asked by the key from before.
            return Err(StoreError::Unavailable);
        }
        self.look_for_room();
        self.read(scopes).map_err(|error| self.failed("read", &error))
    }

    async fn commit(&mut self, working: &mut Working) -> Result<(), StoreError> {
        self.write(working).map_err(|error| self.failed("write", &error))?;
        failpoint::reach(Point::Written);
        let committed = self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        match committed {
            Ok(_) => {
                // After anything else they are counted again.
                self.enrolled = Some(working.enrolled());
                working.keep_in(&mut self.recent);
                Ok(())
            }
            Err(error) => Err(self.failed_to_commit("commit", &error)),
        }
    }

    async fn abort(&mut self) {
        // SQLite rolls back by itself after some errors; then there is nothing to give up.
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            report("roll back", &error);
        }
    }

    fn relieve(&mut self) -> bool {
        self.give_up_reserve()
    }

    fn administers(&self) -> bool {
        true
    }

    fn shortage(&self) -> Shortage {
        self.reserve.shortage()
    }

    fn rekeyed(&self) -> Rekeyed {
        self.rekeyed.clone()
    }

    async fn tidy(&mut self, chore: &Chore) -> Result<u32, StoreError> {
        if self.rekeyed.holds() {
            // What is written down by keys from before is read by nobody.
            return Err(StoreError::Unavailable);
        }
        match chore {
            Chore::Budgets { .. } => self.recent.forget_budgets(),
            Chore::Discard(_) | Chore::DiscardLost { .. } => {
                (self.recent, self.enrolled) = (Recent::default(), None);
            }
            Chore::Audit { .. }
            | Chore::Index
            | Chore::Agreed { .. }
            | Chore::Trail { .. }
            | Chore::Imported { .. }
            | Chore::Rotate(_)
            | Chore::Retired(_)
            | Chore::Reserve => {}
        }
        self.carry_out(chore).map_err(|error| {
            let told = self.failed_to_commit("upkeep", &error);
            let asked_for =
                matches!(chore, Chore::Discard(_) | Chore::DiscardLost { .. } | Chore::Rotate(_));
            let corrupt = error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
            // Whoever asks for it reads the way out at once.
            if asked_for && corrupt && told == StoreError::Unavailable {
                StoreError::Corrupt
            } else {
                told
            }
        })
    }
}

/// Logs the cause with its remedy; the caller learns only that nothing was committed.
fn report(step: &'static str, error: &rusqlite::Error) -> StoreError {
    if let Some(unread) = rows::unread(error) {
        return unread.refused(step);
    }
    tell(step, error, remedy(error))
}

fn tell(step: &'static str, error: &rusqlite::Error, remedy: &'static str) -> StoreError {
    error!(step, error = %error, remedy, "the store failed; nothing is granted until it works");
    StoreError::Unavailable
}

/// Has pages read anew after an error that says one is damaged: the disk may have it right, and it was
/// read wrongly once. `SQLite` keeps what it has read.
fn forget_damage(db: &Connection, error: &rusqlite::Error) {
    let code = error.sqlite_error_code();
    if let Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) = code
        && let Err(error) = db.execute_batch("PRAGMA shrink_memory")
    {
        warn!(%error, "what was read of a damaged database is kept");
    }
}

/// An error that says that the file is damaged, where SQLite itself does not see it.
fn corrupt(why: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(why.to_owned()))
}

/// What an administrator does about a disk that is read-only by now.
const READ_ONLY: &str = "the disk has become read-only: see dmesg, and mount it writable again";

/// What an administrator does about a failure of the database.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: free 12 MiB",
        Some(ErrorCode::ReadOnly) => "the database is read-only: remount or chown it",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the database: end it"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damage::CORRUPT,
        Some(ErrorCode::SystemIoFailure) => "the disk fails: see dmesg",
        Some(ErrorCode::CannotOpen) => "see that otpd may read and write it and its directory",
        _ => "see the error",
    }
}

#[cfg(test)]
mod tests;
