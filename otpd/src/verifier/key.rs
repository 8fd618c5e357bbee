//! Another master key: whether all hosts hold it, and the change itself.

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

/// Where the next key comes from; read anew each time.
pub type NextKey = Box<dyn Fn() -> Result<Option<MasterKey>, KeyError> + Send + Sync>;

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotated {
    /// The key's id.
    pub key: u32,
    /// Numbers that were encrypted anew.
    pub numbers: u32,
    /// Hosts that were not heard of and are not known to hold the key.
    pub without: Vec<String>,
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
    /// It is the one in use.
    #[error(
        "the database is under this key already: mv otpd.key.next otpd.key on every host, then: \
         systemctl restart otpd"
    )]
    InUse,
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
    /// The id of the key that this host holds for later, if it does.
    pub(super) fn next_key_id(&self) -> Option<u32> {
        match (self.next_key)() {
            Ok(next) => next.map(|next| next.derive().id),
            // It is looked for again and again; whoever wants to go over to it is told.
            Err(error) => {
                debug!(%error, "the next key cannot be read");
                None
            }
        }
    }

    /// What is left to do after a rotation.
    pub(super) fn leftover_key(&self) -> Option<String> {
        let left = self.next_key_id() == Some(self.keys.id);
        left.then(|| {
            "the key was rotated, and this host holds the new one as otpd.key.next: on every host, mv \
             /etc/otpd/otpd.key.next /etc/otpd/otpd.key (or where server.key-file is), keep a copy \
             where the database is not, then systemctl restart otpd"
                .to_owned()
        })
    }

    /// Puts the next key in the place of the one in use, if every daemon that runs holds it.
    ///
    /// # Errors
    /// [`NotRotated`].
    pub async fn rotate_key(&self, uid: u32) -> Result<KeyRotated, NotRotated> {
        self.store.may_administer()?;
        self.store_stays()?;
        let next = (self.next_key)()?.ok_or(NotRotated::None)?.derive();
        let key = next.id;
        if key == self.keys.id {
            return Err(NotRotated::InUse);
        }
        self.store.has_room().await?;
        let (without, silent) = without(&self.hosts().await?, key);
        if !without.is_empty() {
            return Err(NotRotated::Without { key, hosts: without });
        }
        let next: Keys = next.after(&self.keys);
        self.reader.prepare_rotation(next.clone()).await?;
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
        Ok(KeyRotated { key, numbers, without: silent })
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
