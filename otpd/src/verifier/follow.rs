//! Messages after a vendor took them: asked after for as long as somebody waits, so that one that did
//! not arrive goes out again by another gateway.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tracing::error;

use super::{
    Site,
    deliver::{Courier, compose},
};
use crate::{
    domain::login::{Cause, Order, Undelivered},
    gateway::{GatewayName, Status, VendorMessageId},
    store::{Scope, StoreError},
};

/// When a message is asked after, counted from when the vendor took it.
const POLLS: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
];

/// Messages that are followed at once; one more is not: to ask is a favour, and must not keep the
/// daemon from sending.
pub(super) const FOLLOWED: usize = 256;

/// A message that a vendor took.
struct Taken {
    site: Arc<Site>,
    order: Order,
    gateway: GatewayName,
    id: VendorMessageId,
}

impl Courier {
    /// Follows a message in a task of its own, where its gateway can tell and there is room. Nothing
    /// waits for that task: it may end with the daemon at any point.
    pub(super) fn follow(
        &self,
        site: Arc<Site>,
        order: Order,
        gateway: GatewayName,
        id: VendorMessageId,
    ) {
        let message = compose(&site, &order, self.clock.now());
        // A future that is not awaited asks nothing.
        if site.routes.status(&gateway, &message, &id).is_none() {
            return;
        }
        let Ok(place) = Arc::clone(&self.followed).try_acquire_owned() else { return };
        let (courier, accepted) = (self.clone(), Instant::now());
        let taken = Taken { site, order, gateway, id };
        tokio::spawn(async move {
            let lost = courier.watch(&taken, accepted).await;
            drop(place);
            if let Some(again) = lost {
                courier.send(taken.site, again);
            }
        });
    }

    /// Asks until the message is at its end or nobody waits for it; what to send instead.
    async fn watch(&self, taken: &Taken, accepted: Instant) -> Option<Order> {
        let Taken { site, order, gateway, id } = taken;
        for poll in POLLS {
            sleep_until(accepted + poll).await;
            if !self.is_awaited(taken).await {
                return None;
            }
            let message = compose(site, order, self.clock.now());
            match site.routes.status(gateway, &message, id)?.await {
                Status::Delivered | Status::Unconfirmed => return None,
                Status::UnderWay | Status::Unknown(_) => {}
                Status::Failed { reason, cause } => {
                    match self.undelivered(taken, reason, cause).await {
                        Ok(again) => return again,
                        // Surely not written down: the next answer says the same once more.
                        Err(StoreError::Unavailable | StoreError::Full) => {}
                        Err(StoreError::Unknown) => return None,
                    }
                }
            }
        }
        None
    }

    async fn is_awaited(&self, taken: &Taken) -> bool {
        match self.reader.account(taken.order.account.clone()).await {
            Ok(records) => {
                taken.order.is_awaited(&records.login, &taken.gateway.0, self.clock.now())
            }
            // It costs a request at most.
            Err(_) => true,
        }
    }

    async fn undelivered(
        &self,
        taken: &Taken,
        reason: String,
        cause: Cause,
    ) -> Result<Option<Order>, StoreError> {
        let Taken { site, order, gateway, id } = taken;
        let mut lost_by: Vec<_> = order.lost_by.iter().cloned().map(GatewayName).collect();
        lost_by.push(gateway.clone());
        let report = Undelivered {
            terms: Arc::clone(&site.terms),
            order: order.clone(),
            gateway: gateway.0.clone(),
            vendor_id: id.0.clone(),
            reason,
            cause,
            others: site.routes.has_other(order.channel, &lost_by),
        };
        let scope = Scope::Account(order.account.clone());
        let decide = move |records: &_, now| report.decide(records, now);
        let decided = self.store.transact(scope, decide).await;
        let request = order.token.request();
        decided
            .inspect_err(|error| error!(%error, %request, "a lost message was not recorded"))
            .map(|again| again.map(|order| *order))
    }
}
