//! Another master key: whether all hosts hold it, and the change itself.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use otp_proto::admin::{KEY_ROTATED, TO_FINISH, finish_rotation};
use tokio::{task::spawn_blocking, time::timeout};
use tracing::{debug, error};

use super::{Member, Verifier};
use crate::{
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
    },
    keys::{KeyError, Keys, MasterKey},
    store::{Chore, Life, Rekeyed, Rotation, StoreError},
};

/// The key that is to come.
#[derive(Clone)]
pub struct NextKey {
    /// The file of the one in use, beside which it is.
    pub key_file: PathBuf,
    /// Reads it, anew each time.
    pub read: ReadKey,
}

/// Reads a key; `None` when there is none.
pub type ReadKey = Arc<dyn Fn() -> Result<Option<MasterKey>, KeyError> + Send + Sync>;

/// How long a look at it is waited for.
const LOOK: Duration = Duration::from_secs(2);
/// The same where somebody wants to go over to it.
const READ: Duration = Duration::from_secs(10);

/// The next key, looked for where nothing else waits: a file system may hang.
pub(super) struct Held {
    key: ReadKey,
    /// What is left to be done once all hosts work with it.
    finish: String,
    /// Its own file, and that of the one from before.
    files: [String; 2],
    /// Its id, as it was found last.
    found: Arc<Mutex<Option<u32>>>,
    /// One look at a time: of many that hang each would keep a thread.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Held {
    pub(super) fn new(key: NextKey) -> Self {
        let NextKey { key_file, read } = key;
        let name = key_file.file_name().unwrap_or_default().to_string_lossy();
        let files = ["next", "old"].map(|end| format!("{name}.{end}"));
        let finish = finish_rotation(&key_file);
        Self { key: read, finish, files, found: Arc::default(), looking: Arc::default() }
    }

    /// The key as it is now.
    async fn read(&self) -> Result<Option<Keys>, NotRotated> {
        let key = Arc::clone(&self.key);
        let read = async {
            let looking = Arc::clone(&self.looking).lock_owned().await;
            let read = spawn_blocking(move || {
                let read = key().map(|next| next.map(|next| next.derive()));
                drop(looking);
                read
            });
            read.await
        };
        match timeout(READ, read).await {
            Ok(Ok(read)) => Ok(read?),
            Ok(Err(_)) => {
                error!("a look at the next key panicked");
                Ok(None)
            }
            Err(_) => Err(NotRotated::Hangs),
        }
    }

    /// Its id, as it is now, or as it was where that is not found out in time.
    async fn look(&self) -> Option<u32> {
        let (key, found) = (Arc::clone(&self.key), Arc::clone(&self.found));
        let look = async {
            let looking = Arc::clone(&self.looking).lock_owned().await;
            let looked = spawn_blocking(move || {
                let id = match key() {
                    Ok(next) => next.map(|next| next.derive().id),
                    // It is looked for again and again; whoever wants to go over to it is told.
                    Err(error) => {
                        debug!(%error, "the next key cannot be read");
                        None
                    }
                };
                *found.lock().unwrap_or_else(PoisonError::into_inner) = id;
                drop(looking);
            });
            looked.await
        };
        if timeout(LOOK, look).await.is_err() {
            debug!("a look at the next key takes long");
        }
        self.last()
    }

    /// Its id, as it was found last.
    fn last(&self) -> Option<u32> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotated {
    /// The key's id.
    pub key: u32,
    /// Numbers that were encrypted anew.
    pub numbers: u32,
    /// Hosts that were not heard of and are not known to hold the key.
    pub without: Vec<String>,
    /// What is left to be done on every host.
    pub finish: String,
}

/// Why the key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum NotRotated {
    /// There is none.
    #[error(
        "there is no next key on this host: otpd --make-next-key makes it as otpd.key.next beside the \
         key; copy it to every host that shares the database; a daemon that is handed it by systemd \
         has to be restarted then"
    )]
    None,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] KeyError),
    /// It is not read in time.
    #[error(
        "the next key is not read within {} s: the file system of otpd.key.next hangs; nothing was changed",
        READ.as_secs()
    )]
    Hangs,
    /// It is the one in use.
    #[error("the database is under this key already; what is left to do, {TO_FINISH}{finish}")]
    InUse {
        /// The command for it.
        finish: String,
    },
    /// Some host would be without its key.
    #[error(
        "these hosts do not hold the next key {key:08x} yet: {}; copy it there, restart otpd there, and \
         see otpctl status --json (next_key)", hosts.join(", ")
    )]
    Without {
        /// Which key.
        key: u32,
        /// Which of them.
        hosts: Vec<String>,
    },
    /// It could not be done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Verifier {
    /// Looks whether this host holds a key for later.
    pub(super) async fn look_for_next_key(&self) {
        self.held.look().await;
    }

    /// The id of the key that this host holds for later, if it did when that was looked at last.
    pub(super) fn next_key_id(&self) -> Option<u32> {
        self.held.last().filter(|id| *id != self.keys.id)
    }

    /// What is left to do after a rotation.
    pub(super) async fn leftover_key(&self) -> Option<String> {
        let left = self.held.look().await == Some(self.keys.id);
        let Held { finish, files: [next, old], .. } = &self.held;
        left.then(|| {
            format!(
                "{KEY_ROTATED}, and this host holds the new one as {next}; keep a copy of it where the database \
                 is not, and {old}, which there is then, with the old backups, which need it; what is left to \
                 do, {TO_FINISH}{finish}"
            )
        })
    }

    /// Puts the next key in the place of the one in use, if every daemon that runs holds it.
    ///
    /// # Errors
    /// [`NotRotated`].
    pub async fn rotate_key(&self, uid: u32) -> Result<KeyRotated, NotRotated> {
        self.store.may_administer()?;
        self.store_stays()?;
        let next = self.held.read().await?.ok_or(NotRotated::None)?;
        let key = next.id;
        if key == self.keys.id {
            return Err(NotRotated::InUse { finish: self.held.finish.clone() });
        }
        self.store.has_room().await?;
        self.all_hold(key).await?;
        let next: Keys = next.after(&self.keys);
        self.reader.prepare_rotation(next.clone()).await?;
        // That may have taken a while, in which others came.
        let silent = self.all_hold(key).await?;
        let event = AuditEvent {
            at: self.clock.now(),
            request: None,
            account: Account::host(),
            actor: Actor::Uid(uid),
            event: Event::KeyRotated { key: format!("{key:08x}"), numbers: 0 },
        };
        let rotation = Box::new(Rotation { next, event });
        let done = self.store.tidy(Chore::Rotate(rotation)).await;
        let numbers = done.inspect_err(|error| error!(%error, "the key was not rotated"))?;
        Ok(KeyRotated { key, numbers, without: silent, finish: self.held.finish.clone() })
    }

    /// Those that do not run and are not known to hold this key; an error where one that runs does not.
    async fn all_hold(&self, key: u32) -> Result<Vec<String>, NotRotated> {
        let (hosts, silent) = without(&self.hosts().await?, key);
        if hosts.is_empty() { Ok(silent) } else { Err(NotRotated::Without { key, hosts }) }
    }

    /// Whether the database went over to another key: then this run can decide nothing any more.
    #[must_use]
    pub fn rekeyed(&self) -> &Rekeyed {
        self.store.rekeyed()
    }
}

/// Of the other hosts, those that run and those that may come back, and are not known to hold the key.
fn without(hosts: &[Member], key: u32) -> (Vec<String>, Vec<String>) {
    let lacks = |life: Life| {
        let others = hosts.iter().filter(move |host| !host.here && host.seen.life == life);
        let lack = others.filter(move |host| host.seen.presence.next_key != Some(key));
        lack.map(|host| host.seen.name.clone()).collect::<Vec<_>>()
    };
    let (mut away, stopped) = (lacks(Life::Silent), lacks(Life::Stopped));
    away.extend(stopped);
    (lacks(Life::Running), away)
}

#[cfg(test)]
mod tests {
    use super::{Life, Member, without};
    use crate::{
        domain::{challenge::Instance, time::Timestamp},
        store::{HostSeen, Presence},
    };

    #[test]
    fn every_host_that_runs_must_hold_the_key() {
        let host = |name: &str, here, life, next_key| Member {
            here,
            seen: HostSeen {
                name: name.to_owned(),
                run: Instance(1),
                started_at: Timestamp(0),
                seen_at: Timestamp(0),
                life,
                presence: Presence {
                    version: String::new(),
                    gateways: vec![],
                    key: 1,
                    next_key,
                    doubts: false,
                },
            },
        };
        let hosts = [
            host("here", true, Life::Running, None),
            host("ready", false, Life::Running, Some(2)),
            host("other", false, Life::Running, Some(3)),
            host("none", false, Life::Running, None),
            host("silent", false, Life::Silent, None),
            host("off", false, Life::Stopped, Some(2)),
        ];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(without(&hosts, 2), (names(&["other", "none"]), names(&["silent"])));
    }
}
