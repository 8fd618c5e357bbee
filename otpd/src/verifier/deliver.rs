//! Messages on their way: sent after the commit that ordered them, recorded when a vendor answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tracing::error;

use super::{Site, Verifier};
use crate::{
    conversation,
    domain::{
        challenge::Channel,
        login::{Delivered, DeliveryResult, Order, Progress},
        passcode::{ChallengeToken, Purpose},
    },
    gateway::{
        GatewayName, Message, Outcome,
        route::{Delivered as Routed, Delivery},
    },
    store::Scope,
};

/// A call is answered within this time of its begin, if only to say that the vendor has not answered
/// yet: the module waits for ten seconds, and NSS and the store may have used some of them.
pub(super) const EXCHANGE: Duration = Duration::from_secs(8);

/// The newest message of each challenge while it is on its way.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<ChallengeToken, Watched>>>);

/// `None` until it is settled.
pub(super) type Watched = watch::Receiver<Option<Sent>>;

/// How far one message is, and why it failed, for the administrator.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) progress: Progress,
    pub(super) reason: Option<String>,
}

impl InFlight {
    /// Has a message count as being on its way until what comes first is dropped; what comes second
    /// settles it.
    pub(super) fn track(
        &self,
        token: ChallengeToken,
    ) -> (OnItsWay, watch::Sender<Option<Sent>>, Watched) {
        let (publish, sent) = watch::channel(None);
        self.insert(token, sent.clone());
        let on_its_way = OnItsWay { in_flight: self.clone(), token, sent: sent.clone() };
        (on_its_way, publish, sent)
    }

    fn insert(&self, token: ChallengeToken, sent: Watched) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, sent);
    }

    /// Returns when nothing is on its way any more.
    pub(super) async fn drained(&self) {
        loop {
            let next = {
                let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                table.values().next().cloned()
            };
            let Some(mut sent) = next else { return };
            while sent.changed().await.is_ok() {}
            // The sender is gone; the entry goes with the rest of its task.
            tokio::task::yield_now().await;
        }
    }
}

/// A message that is on its way as long as this lives, whatever ends its task.
pub(super) struct OnItsWay {
    in_flight: InFlight,
    token: ChallengeToken,
    sent: Watched,
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut table = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer message of the challenge may have taken its place.
        if table.get(&self.token).is_some_and(|newest| newest.same_channel(&self.sent)) {
            table.remove(&self.token);
        }
    }
}

impl Verifier {
    /// Sends, and waits as long as a prompt may wait.
    pub(super) async fn send_and_wait(
        &self,
        site: &Arc<Site>,
        order: Order,
        begun: Instant,
    ) -> Progress {
        self.send_and_report(site, order, begun).await.progress
    }

    /// As [`Self::send_and_wait`], with the reason of a failure.
    pub(super) async fn send_and_report(
        &self,
        site: &Arc<Site>,
        order: Order,
        begun: Instant,
    ) -> Sent {
        let mut sent = self.send(Arc::clone(site), order);
        let settled = sent.wait_for(Option::is_some);
        let until = (Instant::now() + site.delivery.accept_timeout).min(begun + EXCHANGE);
        let settled = tokio::time::timeout_at(until, settled).await;
        // Not yet, or the task died: never said to be sent before a vendor took it.
        let unsettled = Sent { progress: Progress::Sending, reason: None };
        settled.ok().and_then(Result::ok).and_then(|sent| sent.clone()).unwrap_or(unsettled)
    }

    /// Hands a message to the gateways in a task of its own: a claimant who goes away must not cut
    /// a request to a vendor in half.
    pub(super) fn send(&self, site: Arc<Site>, order: Order) -> Watched {
        let (on_its_way, publish, sent) = self.deliveries.track(order.token);
        let (store, clock) = (self.store.clone(), self.clock.clone());
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let message = compose(&site, &order, clock.now());
            let avoid = order.avoid.clone().map(GatewayName);
            let routes = &site.routes;
            let delivery = routes.deliver(&message, avoid.as_ref(), || clock.now()).await;
            drop(message);
            let (delivered, sent) = record(&order, delivery);
            let scope = Scope::Challenge(order.token);
            let decide = move |records: &_, now| delivered.decide(records, now);
            if let Err(error) = store.transact(scope, decide).await {
                // A restart would take the code for lost and send a fresh one; that is all.
                error!(%error, request = %order.token.request(), "a delivery was not recorded");
            }
            let _ = publish.send(Some(sent));
        });
        sent
    }

    /// Returns when every message that is on its way has been answered by a vendor and recorded.
    pub async fn drained(&self) {
        self.deliveries.drained().await;
    }
}

fn compose(site: &Site, order: &Order, now: crate::domain::time::Timestamp) -> Message {
    let host = &site.message.host;
    let text = match (order.channel, order.purpose) {
        (Channel::Voice, Purpose::Login) => conversation::spoken(&order.code, host),
        (Channel::Voice, Purpose::Enrollment) => conversation::spoken_proof(&order.code, host),
        (Channel::Sms, Purpose::Enrollment) => {
            conversation::proof_text(&order.code, order.reference, host)
        }
        (Channel::Sms, Purpose::Login) => {
            let reference = order.reference.to_string();
            site.message.template.render(order.code.expose(), &reference, host, &order.service)
        }
    };
    let valid_for = order.expires_at.since(now);
    Message { to: order.to.clone(), channel: order.channel, text, valid_for }
}

/// What is written down about a delivery, and what is said about it.
fn record(order: &Order, delivery: Delivery) -> (Delivered, Sent) {
    let perhaps = delivery.attempts.iter().rev().find_map(|attempt| match attempt.outcome {
        Outcome::Unknown(_) => Some(attempt.gateway.0.clone()),
        _ => None,
    });
    let failures = delivery
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.gateway.0.clone(), reason(&attempt.outcome)?)))
        .collect::<Vec<_>>();
    let (result, progress) = match delivery.result {
        Routed::Sent { gateway, vendor_id } => {
            let vendor_id = vendor_id.map(|id| id.0);
            (DeliveryResult::Sent { gateway: gateway.0, vendor_id }, Progress::Sent)
        }
        // Perhaps it comes: said as being on its way, and not given back.
        Routed::Unknown => {
            let gateway = perhaps.unwrap_or_default();
            (DeliveryResult::Perhaps { gateway }, Progress::Sending)
        }
        Routed::OptedOut | Routed::Rejected | Routed::Failed => {
            (DeliveryResult::Failed, Progress::Failed)
        }
    };
    let told = failures.iter().map(|(gateway, reason)| format!("{gateway}: {reason}"));
    let reason = (progress == Progress::Failed).then(|| told.collect::<Vec<_>>().join("; "));
    let delivered = Delivered {
        token: order.token,
        issued_at: order.issued_at,
        purpose: order.purpose,
        index: order.index,
        failures,
        result,
    };
    (delivered, Sent { progress, reason })
}

/// Why a gateway did not take a message.
pub(super) fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Accepted { .. } => None,
        Outcome::Rejected(reason) => Some(format!("refused the number: {reason}")),
        Outcome::Retryable { reason, .. } => Some(reason.clone()),
        Outcome::OptedOut => Some("the person has opted out of messages".to_owned()),
        Outcome::Misconfigured(reason) => Some(format!("configuration: {reason}")),
        Outcome::Unknown(reason) => Some(format!("no clear answer: {reason}")),
    }
}
