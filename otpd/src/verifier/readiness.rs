//! Whether logins would succeed now, for whoever watches over many hosts.

use std::{sync::atomic::Ordering, time::Duration};

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::Verifier;
use crate::{
    domain::{account::Account, records::Decided},
    gateway::route::GatewayState,
    store::Scope,
};

/// What logins need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The store takes a decision, and its disk has room.
    pub store: bool,
    /// At least one gateway is in use.
    pub gateways: bool,
    /// The clock is not in doubt.
    pub clock: bool,
}

/// How long the store may take to say so.
const PATIENCE: Duration = Duration::from_secs(2);

impl Verifier {
    /// Looks at everything that logins need.
    pub async fn readiness(&self) -> Readiness {
        let gateways = self.site().routes.health().iter().any(|gateway| match gateway.state {
            GatewayState::Ready | GatewayState::Probing => true,
            GatewayState::Resting { .. } => false,
        });
        let clock = self.clock.doubt().is_none();
        Readiness { store: self.store_decides().await, gateways, clock }
    }

    /// Waits until the store has answered, whatever it answers; false when it has ended.
    pub async fn store_answers(&self) -> bool {
        self.store.answers().await
    }

    /// A decision that changes nothing opens a transaction for writing as any other does.
    async fn store_decides(&self) -> bool {
        let decide = |records: &_, _| Decided::unchanged(records, ());
        let decided = self.store.transact(Scope::Account(Account::host()), decide);
        let decided = tokio::time::timeout(PATIENCE, decided).await;
        matches!(decided, Ok(Ok(()))) && self.store.has_room().await.is_ok()
    }

    /// How long transactions of the store take, in seconds.
    #[must_use]
    pub fn commit_seconds(&self) -> Histogram {
        self.store.commit_seconds()
    }

    /// Logins that were refused, or got no code, and were not written down.
    #[must_use]
    pub fn unwritten(&self) -> Counter {
        self.unwritten.clone()
    }

    /// Connections to the socket that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Says how many connections to the socket are open.
    pub(crate) fn set_connections(&self, open: usize) {
        self.connections.store(open, Ordering::Relaxed);
    }

    /// Decisions that wait in the store's queue.
    #[must_use]
    pub fn store_depth(&self) -> usize {
        self.store.depth()
    }
}
