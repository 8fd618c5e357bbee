//! The store that the configuration names, opened and at work.

use std::thread::JoinHandle;

use tracing::warn;

use crate::{
    app::StartError,
    clock::Clock,
    config::{self, Config},
    domain::{challenge::Host, policy::Unenrolled},
    keys::{self, Keys},
    store::{self, AuditSink, Postgres, Reader, Site, Sqlite, Store},
    systemd,
};

/// A store at work.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) reader: Reader,
    /// Ends after the last [`Store`].
    pub(super) thread: JoinHandle<()>,
    pub(super) clock: Clock,
    /// This machine, where others share the store.
    pub(super) host: Option<Host>,
    /// The keys, with those from before that the store has kept.
    pub(super) keys: Keys,
}

impl Opened {
    pub(super) fn open(config: &Config, keys: &Keys, sink: AuditSink) -> Result<Self, StartError> {
        match &config.store {
            config::Store::Sqlite(path) => {
                let is_new = matches!(store::key_check(path), Ok(None));
                let sqlite = Sqlite::open(path, keys.clone())?;
                if is_new && config.policy.unenrolled == Unenrolled::Ignore {
                    warn!(
                        path = %path.display(),
                        "made a database, in which nobody is enrolled: nobody is asked for a code \
                         (policy.unenrolled = \"ignore\"); if there was one before, see that its file \
                         system is mounted, or restore a backup"
                    );
                }
                let clock = Clock::system(sqlite.agreement()?).map_err(StartError::Clock)?;
                let reader = Reader::sqlite(path, keys.clone())?;
                let keys = sqlite.keys().clone();
                let (store, thread) = Store::start(sqlite, clock.clone(), sink)?;
                Ok(Self { store, reader, thread, clock, host: None, keys })
            }
            config::Store::Postgres(settings) => {
                let site = site()?;
                let host = Some(site.host);
                let postgres = Postgres::open(settings.clone(), keys.clone(), site)?;
                let (stored, now) = postgres.times();
                let clock = Clock::of_database(stored, now).map_err(StartError::Clock)?;
                let reader = Reader::postgres(&postgres)?;
                let keys = postgres.keys().clone();
                let (store, thread) = Store::start(postgres, clock.clone(), sink)?;
                Ok(Self { store, reader, thread, clock, host, keys })
            }
        }
    }
}

/// What the store's key is known by, if it holds something that needs one.
pub(super) fn key_check(store: &config::Store) -> Result<Option<Vec<u8>>, StartError> {
    match store {
        config::Store::Sqlite(path) => Ok(store::key_check(path)?),
        config::Store::Postgres(settings) => Ok(store::postgres_key_check(settings)?),
    }
}

/// What the store is called.
pub(super) fn name(store: &config::Store) -> String {
    match store {
        config::Store::Sqlite(path) => path.display().to_string(),
        config::Store::Postgres(settings) => settings.to_string(),
    }
}

/// This machine among those that share the store. What its installation calls it must be there: two
/// machines that were taken for one would send each other's codes anew.
fn site() -> Result<Site, StartError> {
    let id = machine_id()?;
    // What messages call the site may be the same on all of its machines.
    let name = config::host_name();
    Ok(Site { host: keys::host(&id, &name), name, state: systemd::state_directory() })
}

/// What the installation calls this machine.
pub(super) fn machine_id() -> Result<String, StartError> {
    let text = std::fs::read_to_string(MACHINE_ID).map_err(StartError::MachineId)?;
    let id = text.trim();
    if id.len() == 32 {
        Ok(id.to_owned())
    } else {
        Err(StartError::MachineId(std::io::ErrorKind::InvalidData.into()))
    }
}

/// What systemd gives every installation.
const MACHINE_ID: &str = "/etc/machine-id";
