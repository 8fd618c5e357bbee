//! Messages on their way: sent after the commit that ordered them, recorded when a vendor answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tracing::error;

use super::{
    Site, Sites, Verifier,
    calls::Calls,
    follow::FOLLOWED,
    taken::{Code, Messages, Names, Taken, What},
};
use crate::{
    clock::Clock,
    conversation,
    domain::{
        account::Account,
        challenge::Channel,
        login::{Delivered, DeliveryResult, Order, Progress},
        passcode::{ChallengeToken, Passcode, Purpose},
        records::{Decided, Records},
        time::Timestamp,
    },
    failpoint::{self, Point},
    gateway::{
        GatewayName, Message, MessageId, Outcome,
        route::{Delivered as Routed, Delivery},
    },
    keys::Keys,
    store::{Reader, Scope, Store, StoreError},
};

/// A call is answered within this time of its begin, if only to say that the vendor has not answered
/// yet: the module waits for ten seconds, and NSS and the store may have used some of them.
pub(super) const EXCHANGE: Duration = Duration::from_secs(8);

const _: () = assert!(EXCHANGE.as_secs() < otp_proto::args::TIMEOUT.as_secs());

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
    fn insert(&self, token: ChallengeToken, sent: Watched) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, sent);
    }

    /// Whether a message of a challenge is on its way.
    pub(super) fn holds(&self, token: ChallengeToken) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&token)
    }

    /// Returns when nothing is on its way any more.
    async fn drained(&self) {
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

impl InFlight {
    /// Enters the newest message of a challenge; it leaves with what this returns.
    pub(super) fn enter(&self, token: ChallengeToken, sent: Watched) -> OnItsWay {
        self.insert(token, sent.clone());
        OnItsWay { in_flight: self.clone(), token, sent }
    }
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

/// Sends messages and follows them. Cheap to clone: every message has a task of its own.
#[derive(Clone)]
pub(super) struct Courier {
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) clock: Clock,
    /// What holds now, for what began under the rules of an earlier run.
    pub(super) sites: Sites,
    pub(super) in_flight: InFlight,
    pub(super) messages: Messages,
    pub(super) calls: Calls,
    pub(super) keys: Keys,
    /// One for every message that is asked after.
    pub(super) followed: Arc<Semaphore>,
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
        let mut sent = self.courier.send(Arc::clone(site), order);
        let settled = sent.wait_for(Option::is_some);
        let until = (Instant::now() + site.delivery.accept_timeout).min(begun + EXCHANGE);
        let settled = tokio::time::timeout_at(until, settled).await;
        // Not yet, or the task died: never said to be sent before a vendor took it.
        let unsettled = Sent { progress: Progress::Sending, reason: None };
        settled.ok().and_then(Result::ok).and_then(|sent| sent.clone()).unwrap_or(unsettled)
    }

    /// Returns when every message that is on its way has been answered by a vendor and recorded.
    /// Those that are only followed are not waited for.
    pub async fn drained(&self) {
        self.courier.in_flight.drained().await;
    }
}

impl Courier {
    pub(super) fn new(
        store: Store,
        reader: Reader,
        clock: Clock,
        sites: Sites,
        keys: Keys,
    ) -> Self {
        let followed = Arc::new(Semaphore::new(FOLLOWED));
        let (in_flight, messages) = (InFlight::default(), Messages::default());
        let calls = Calls::default();
        Self { store, reader, clock, sites, in_flight, messages, calls, keys, followed }
    }

    /// Has it decided. Of what ends by it no plain code is kept, whoever ends it: the login itself, a
    /// further one, an administrator, or whatever is decided about the account when it is long dead.
    pub(super) async fn transact<A, D>(&self, scope: Scope, decide: D) -> Result<A, StoreError>
    where
        A: Send + 'static,
        D: Fn(&Records, Timestamp) -> Decided<A> + Send + 'static,
    {
        let decide = move |records: &Records, now| {
            let Decided { records: after, audit, answer } = decide(records, now);
            let ended = records.login.ended_by(&after.login).collect::<Vec<_>>();
            Decided { records: after, audit, answer: (answer, ended) }
        };
        let (answer, ended) = self.store.transact(scope, decide).await?;
        for token in ended {
            self.wipe(token);
        }
        Ok(answer)
    }

    /// A login is over: its codes are kept in no form that could be read.
    pub(super) fn wipe(&self, challenge: ChallengeToken) {
        self.messages.wipe(challenge);
        self.calls.wipe(challenge);
    }

    /// A number is proved: the same for the codes that were sent for it.
    pub(super) fn wipe_proofs(&self, account: &Account) {
        for challenge in self.messages.proofs_of(account) {
            self.wipe(challenge);
        }
    }

    /// All that was stored of an account is gone: the same for whatever code was sent to it.
    pub(super) fn wipe_all(&self, account: &Account) {
        for challenge in self.messages.codes_of(account) {
            self.wipe(challenge);
        }
    }

    /// Forgets messages and calls whose codes are dead.
    pub(super) fn forget(&self) {
        let now = self.clock.now();
        self.messages.forget(now);
        self.calls.forget(now);
    }

    /// Hands a message to the gateways in a task of its own: a claimant who goes away must not cut
    /// a request to a vendor in half.
    pub(super) fn send(&self, site: Arc<Site>, order: Order) -> Watched {
        let (publish, sent) = watch::channel(None);
        let on_its_way = self.in_flight.enter(order.token, sent.clone());
        let courier = self.clone();
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let now = courier.clock.now();
            let mut message = compose(&site, &order, now);
            courier.calls.place(&site, &mut message, Some(&order), now);
            failpoint::reach(Point::Ordered);
            let delivery = courier.hand_over(&site, &order, &message).await;
            failpoint::reach(Point::Taken);
            drop(message);
            let taken = taken(&site, &order, &delivery);
            // Whoever ends the login after the decision wipes its code here; before, the decision tells.
            if let Some(taken) = &taken {
                courier.messages.hold(taken);
            }
            let (delivered, sent) = record(&order, delivery);
            // Named with its number: who opted out has done so also when the account has another by now.
            let scope = Scope::Number { account: order.account.clone(), number: order.index };
            let request = order.token.request();
            let order = Order { code: Passcode::wiped(), ..order };
            let decide = move |records: &Records, now| {
                let Decided { records, audit, answer: () } = delivered.decide(records, now);
                let wanted = order.is_wanted(&records.login, now);
                Decided { records, audit, answer: wanted }
            };
            let wanted = courier.transact(scope, decide).await.unwrap_or_else(|error| {
                // A restart would take the code for lost and send a fresh one; that is all.
                error!(%error, %request, "a delivery was not recorded");
                true
            });
            failpoint::reach(Point::Recorded);
            let _ = publish.send(Some(sent));
            if let Some(taken) = taken {
                if !wanted {
                    taken.wipe();
                }
                courier.follow(taken);
            }
            courier.undo_opt_outs(&site.routes).await;
        });
        sent
    }

    async fn hand_over(&self, site: &Site, order: &Order, message: &Message) -> Delivery {
        let lost_by: Vec<_> = order.lost_by.iter().cloned().map(GatewayName).collect();
        let avoid = order.avoid.clone().filter(|_| lost_by.is_empty()).map(GatewayName);
        let now = || self.clock.now();
        // A vendor may have brought the code and never said so, and its owner be in by then: the next
        // one would bring a dead code to somebody who did not ask for it.
        let wanted = || self.is_wanted(order);
        site.routes.deliver_while(message, avoid.as_ref(), &lost_by, now, wanted).await
    }

    /// Whether a code may still be typed; so it seems, too, while the store does not say.
    async fn is_wanted(&self, order: &Order) -> bool {
        match self.reader.account(order.account.clone()).await {
            Ok(records) => order.is_wanted(&records.login, self.clock.now()),
            // It costs a message at most.
            Err(_) => true,
        }
    }
}

/// A message that a vendor took, where it has a name to be told about by.
fn taken(site: &Arc<Site>, order: &Order, delivery: &Delivery) -> Option<Arc<Taken>> {
    match &delivery.result {
        Routed::Sent { gateway, vendor_id } => {
            let id = message_id(order.token, order.issued_at, order.repeat);
            let names = Names::of(site, order.channel, gateway.clone(), vendor_id.clone(), id)?;
            let code = Code::new(Arc::clone(site), order.clone());
            Some(Arc::new(Taken::new(What::Code(Box::new(code)), names)))
        }
        Routed::Unknown | Routed::OptedOut { .. } | Routed::Rejected | Routed::Failed => None,
    }
}

/// Told apart by the challenge, its code and the repeats of that; the hash keeps the challenge's name
/// on the wire from vendors.
pub(super) fn message_id(token: ChallengeToken, issued_at: Timestamp, repeat: u8) -> MessageId {
    let hash = Sha256::new()
        .chain_update(token.0)
        .chain_update(issued_at.0.to_be_bytes())
        .chain_update([repeat])
        .finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    MessageId(id)
}

pub(super) fn compose(site: &Site, order: &Order, now: Timestamp) -> Message {
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
    let id = message_id(order.token, order.issued_at, order.repeat);
    Message {
        id,
        to: order.to.clone(),
        channel: order.channel,
        text,
        code: Some(zeroize::Zeroizing::new(order.code.expose().to_owned())),
        valid_for,
        answer_url: None,
        report_url: None,
    }
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
        Routed::OptedOut { gateway } => {
            let ending = order.to.ending().to_owned();
            (DeliveryResult::OptedOut { gateway: gateway.0, ending }, Progress::Stopped)
        }
        Routed::Rejected | Routed::Failed => (DeliveryResult::Failed, Progress::Failed),
    };
    let told = failures.iter().map(|(gateway, reason)| format!("{gateway}: {reason}"));
    let unsent = matches!(progress, Progress::Failed | Progress::Stopped);
    let reason = unsent.then(|| told.collect::<Vec<_>>().join("; "));
    let delivered = Delivered {
        token: order.token,
        issued_at: order.issued_at,
        charged_at: order.charged_at,
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
        Outcome::OptedOut => Some("the person stopped messages by a reply with STOP".to_owned()),
        Outcome::Misconfigured(reason) => Some(format!("configuration: {reason}")),
        Outcome::Unknown(reason) => Some(format!("no clear answer: {reason}")),
    }
}
