//! The use cases: they draw what is random, have the domain decide inside the store, and act on the
//! answer after the commit. Nothing is decided here.

mod admin;
mod answer;
mod attend;
mod backup;
mod begin;
mod bypass;
mod calls;
mod deliver;
mod disbelieved;
mod doors;
mod enroll;
mod follow;
mod hosts;
mod key;
mod log;
mod moving;
mod notice;
mod readiness;
mod recover;
mod recovery;
mod register;
mod restore;
mod reveal;
mod taken;
mod test_message;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
mod wishes;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicUsize},
    time::Duration,
};

use jiff::tz::TimeZone;
use otp_proto::login::Step;
use prometheus_client::metrics::counter::Counter;

pub use admin::{Gone, Rules, Status, Summary};
pub use attend::Attendance;
pub use backup::{Backup, BackupError};
pub use begin::Claim;
pub use bypass::BypassFailure;
pub use calls::{CallToken, Words};
pub use doors::Doors;
pub use enroll::{EnrollRequest, Failure, Placed, stopped};
pub use hosts::Member;
pub use key::{KeyRotated, NextKey, NotRotated, ReadKey};
pub use log::Position;
pub use moving::{Import, ImportError, ImportProgress};
pub use readiness::Readiness;
pub use restore::{Progress as RestoreProgress, Restore, RestoreError};
pub use test_message::{Arrival, TestFailure, TestRequest, Tested};
pub use upkeep::Unconfirmed;

use crate::{
    accounts::Accounts,
    clock::Clock,
    config::{Delivery, Message},
    conversation::{self, Setting},
    domain::{
        account::Account,
        challenge::{Host, Instance, Issuer},
        login::Terms,
        policy::Policy,
        time::Timestamp,
    },
    gateway::route::Routes,
    keys::Keys,
    quota::Quota,
    store::{Reader, Store, Twin},
};

/// What the configuration says about logins; replaced as a whole when it is read again.
pub struct Site {
    /// Who needs a code.
    pub policy: Policy,
    /// What decisions go by.
    pub terms: Arc<Terms>,
    /// The text that carries a code, and this host's name in it.
    pub message: Message,
    /// Countries, and how long a prompt waits for the vendor.
    pub delivery: Delivery,
    /// The gateways.
    pub routes: Arc<Routes>,
    /// Where vendors reach this daemon, without a slash at its end; `None` where they do not.
    pub public_url: Option<Arc<str>>,
    /// The group that may administer.
    pub admin_group: String,
    /// How long the audit trail is kept in the store.
    pub keep_audit: Duration,
}

/// The rules that hold now. Cheap to clone.
#[derive(Clone)]
struct Sites(Arc<RwLock<Arc<Site>>>);

impl Sites {
    fn new(site: Site) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(site))))
    }

    fn now(&self) -> Arc<Site> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, site: Site) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
    }
}

/// What the use cases work with.
pub struct Verifier {
    store: Store,
    reader: Reader,
    accounts: Accounts,
    directory: Accounts,
    clock: Clock,
    keys: Keys,
    zone: TimeZone,
    sites: Sites,
    courier: deliver::Courier,
    attendance: attend::Attended,
    /// Per uid, what administrators are refused.
    refusals: Quota<u32>,
    /// Per account, logins that are refused, or get no code.
    denials: Quota<Account>,
    /// Those of them that were not written down.
    unwritten: Counter,
    wishes: wishes::Wishes,
    connections: AtomicUsize,
    /// Closed while a store moves.
    doors: Doors,
    /// Keeps them so while an import is not whole. Locked by whoever finds out whether one is, and while
    /// old rows are deleted.
    unfinished: tokio::sync::Mutex<Option<doors::Closed>>,
    machine: String,
    begun: Timestamp,
    /// Another daemon that passes for this one.
    twin: Mutex<Option<Twin>>,
    held: key::Held,
}

/// The parts of a [`Verifier`].
pub struct Parts {
    /// Where decisions are made durable.
    pub store: Store,
    /// Reads that decide nothing.
    pub reader: Reader,
    /// The host's accounts, for logins.
    pub accounts: Accounts,
    /// The host's accounts, for everything else.
    pub directory: Accounts,
    /// The time.
    pub clock: Clock,
    /// The keys.
    pub keys: Keys,
    /// For times of day in prompts.
    pub zone: TimeZone,
    /// The configuration at the start.
    pub site: Site,
    /// This machine's name, among those that share the store.
    pub machine: String,
    /// Where the next key is, if there is one.
    pub next_key: NextKey,
    /// Whether anybody is let in: closed for good they stay so until the process ends, whichever run of
    /// the daemon closed them.
    pub doors: Doors,
}

impl Verifier {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (store, reader, clock) = (&parts.store, &parts.reader, &parts.clock);
        let keys = parts.keys.clone();
        let sites = Sites::new(parts.site);
        let courier = deliver::Courier::new(
            store.clone(),
            reader.clone(),
            clock.clone(),
            sites.clone(),
            keys,
        );
        Arc::new(Self {
            courier,
            machine: parts.machine,
            held: key::Held::new(parts.next_key),
            begun: parts.clock.now(),
            twin: Mutex::default(),
            store: parts.store,
            reader: parts.reader,
            accounts: parts.accounts,
            directory: parts.directory,
            clock: parts.clock,
            keys: parts.keys,
            zone: parts.zone,
            sites,
            attendance: attend::Attended::default(),
            refusals: Quota::default(),
            denials: Quota::default(),
            unwritten: Counter::default(),
            wishes: wishes::Wishes::default(),
            connections: AtomicUsize::new(0),
            doors: parts.doors,
            unfinished: tokio::sync::Mutex::default(),
        })
    }

    /// The rules that hold now. A use case takes them once and keeps to them.
    #[must_use]
    pub fn site(&self) -> Arc<Site> {
        self.sites.now()
    }

    /// Takes new rules over; what has begun ends under its own.
    pub fn replace_site(&self, site: Site) {
        self.sites.replace(site);
    }

    /// Who issues codes in this run; `host` where other machines share the store.
    #[must_use]
    pub fn issuer(keys: &Keys, instance: Instance, host: Option<Host>) -> Issuer {
        Issuer { key: keys.code.clone(), instance, host }
    }

    /// The host's accounts, for administrators and the curious: asked apart from logins, so that
    /// no local user can hold those up.
    #[must_use]
    pub fn directory(&self) -> &Accounts {
        &self.directory
    }

    fn setting<'a>(&'a self, site: &'a Site) -> Setting<'a> {
        Setting { host: &site.message.host, zone: &self.zone, now: self.clock.now() }
    }

    /// No decision could be made: nothing is granted, and the claimant reads that it is not their
    /// fault.
    fn unavailable(site: &Site) -> Step {
        conversation::unavailable(&site.message.host)
    }
}
