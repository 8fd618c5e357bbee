//! A message without a code, to see whether a gateway delivers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::RngExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::error;

use super::{
    Failure, Site, Verifier,
    deliver::{EXCHANGE, Sent, reason},
    enroll::refused_by_store,
    taken::{Names, Taken, What},
};
use crate::{
    conversation,
    domain::{
        account::Account,
        challenge::Channel,
        enrollment::NumberIndex,
        login::{Arrived, DeliveryResult, Progress},
        passcode::{Draw, Reference},
        test_message::{TestDelivered, TestLost, TestMessage, TestOrder},
    },
    gateway::{
        GatewayName, Message, MessageId, Outcome, Status, VendorMessageId,
        route::{Delivered, Delivery, Unroutable},
    },
    random,
    store::{Reader, Scope},
};

/// When a vendor is asked what became of a test message, counted from when it took it. Sooner than
/// for a login: an administrator looks on.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(6),
    Duration::from_secs(8),
];
/// How long an administrator is kept waiting for that. With [`EXCHANGE`] it stays within the 20 s that
/// `otpctl` waits for an answer.
const WATCHED: Duration = Duration::from_secs(10);

/// What became of a message that a vendor took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The carrier says that it arrived.
    Delivered,
    /// The carrier will not say.
    Unconfirmed,
    /// It did not arrive.
    Undelivered,
    /// Nobody knows yet.
    UnderWay,
}

/// What an administrator wants to see delivered.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// The number, E.164 or national.
    pub phone: otp_proto::Secret,
    /// The one gateway that is to carry it; `None`: as a login's message would go.
    pub gateway: Option<String>,
    /// Call instead of texting.
    pub voice: bool,
}

/// Why no test message was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestFailure {
    /// Not by this gateway.
    Gateway(Unroutable),
    /// As for an enrollment.
    Other(Failure),
}

impl From<Failure> for TestFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// A test message that was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// How far it is.
    pub progress: Progress,
    /// How it travels.
    pub channel: Channel,
    /// In the message.
    pub reference: Reference,
    /// The gateway that took it, or may have.
    pub gateway: Option<String>,
    /// The vendor's name for it.
    pub vendor_id: Option<String>,
    /// Why it failed, or what gateways that did not take it said.
    pub reason: Option<String>,
    /// What the vendor says became of it, and why it did not arrive; `None`: it does not tell.
    pub arrival: Option<(Arrival, Option<String>)>,
}

impl Verifier {
    /// Sends a message without a code, waits for the vendor's answer for 8 s at most, and then for up
    /// to 10 s for what becomes of the message.
    ///
    /// # Errors
    /// [`TestFailure`]; nothing was sent, but after [`Failure::Unavailable`] perhaps.
    pub async fn test_message(
        &self,
        request: TestRequest,
        uid: u32,
    ) -> Result<Tested, TestFailure> {
        let begun = Instant::now();
        self.store.has_room().await.map_err(refused_by_store)?;
        let site = self.site();
        let destination = site.destination(&request.phone)?;
        let channel = if request.voice { Channel::Voice } else { Channel::Sms };
        let named = request.gateway.map(|name| site.routes.named(&name, channel)).transpose();
        let named = named.map_err(TestFailure::Gateway)?;
        let number = self.keys.index(&destination.number);
        let draw = Draw::new(&mut random::system(), site.terms.rules.digits);
        let message = TestMessage {
            terms: Arc::clone(&site.terms),
            destination,
            index: number,
            channel,
            gateway: named.as_ref().map(|name| name.0.clone()),
            uid,
            token: draw.token,
            reference: draw.reference,
        };
        let scope = Scope::Number { account: Account::host(), number };
        let decide = move |records: &_, now| message.decide(records, now);
        let order = self.decide(scope, uid, decide).await?;
        let own = MessageId(random::system().random());
        let mut tested = self.try_out(Arc::clone(&site), order.clone(), own, named, begun).await;
        if let (Progress::Sent, Some(gateway)) = (tested.progress, &tested.gateway) {
            let (gateway, id) = (GatewayName(gateway.clone()), tested.vendor_id.clone());
            let known_by = Names::of(&site, channel, gateway, id.map(VendorMessageId), own);
            if let Some(known_by) = known_by {
                tested.arrival = self.look_after_it(&site, order, own, known_by).await;
            }
        }
        Ok(tested)
    }

    /// Sends in a task of its own: an administrator who goes away must not cut a request to a
    /// vendor in half, or leave it without a record.
    async fn try_out(
        &self,
        site: Arc<Site>,
        order: TestOrder,
        own: MessageId,
        named: Option<GatewayName>,
        begun: Instant,
    ) -> Tested {
        let TestOrder { channel, reference, .. } = order;
        let (publish, mut sent) = watch::channel(None);
        let on_its_way = self.courier.in_flight.enter(order.token, sent.clone());
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let reader = self.reader.clone();
        let courier = self.courier.clone();
        let unsettled = Tested {
            progress: Progress::Sending,
            channel,
            reference,
            gateway: None,
            vendor_id: None,
            reason: None,
            arrival: None,
        };
        let result = Arc::new(Mutex::new(unsettled));
        let shared = Arc::clone(&result);
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let mut message = compose(&site, &order, own);
            courier.calls.place(&site, &mut message, None, clock.now());
            let delivery = match &named {
                Some(name) => site.routes.deliver_by(name, &message, || clock.now()).await,
                None => site.routes.deliver(&message, &[], || clock.now()).await,
            };
            let known = is_known(&reader, order.index).await;
            let (delivered, tested) = record(&order, delivery, known);
            let scope = Scope::Number { account: Account::host(), number: order.index };
            let decide = move |records: &_, now| delivered.decide(records, now);
            if let Err(error) = store.transact(scope, decide).await {
                error!(%error, request = %order.token.request(), "a delivery was not recorded");
            }
            let settled = Sent { progress: tested.progress, reason: tested.reason.clone() };
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = tested;
            let _ = publish.send(Some(settled));
            courier.undo_opt_outs(&site.routes).await;
        });
        // What is not settled by then is said to be on its way, which it is.
        let _ = tokio::time::timeout_at(begun + EXCHANGE, sent.wait_for(Option::is_some)).await;
        result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Verifier {
    /// Asks, and listens, until the message is at its end or the time for that is over; what is known
    /// then, where the gateway can tell, or reports by our name for it.
    async fn look_after_it(
        &self,
        site: &Site,
        order: TestOrder,
        own: MessageId,
        names: Names,
    ) -> Option<(Arrival, Option<String>)> {
        let (taken_at, message) = (Instant::now(), compose(site, &order, own));
        let gateway = names.gateway.clone();
        let can_be_asked = names
            .id
            .as_ref()
            .is_some_and(|id| site.routes.status(&gateway, &message, id).is_some());
        if !can_be_asked && names.ours.is_none() {
            return None;
        }
        let (tell, mut told) = watch::channel(None);
        let what = What::Test { tell, until: self.clock.now().after(WATCHED) };
        let taken = Arc::new(Taken::new(what, names));
        self.courier.enter(&taken);
        let asked = async {
            for look in LOOKS {
                sleep_until(taken_at + look).await;
                // A call may be named by its first report only.
                let Some(id) = taken.id() else { continue };
                let status = site.routes.status(&gateway, &message, id)?.await;
                if is_end(&status) {
                    return Some(status);
                }
            }
            None
        };
        let ended = async {
            let heard =
                async { told.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()) };
            tokio::select! {
                Some(end) = asked => Some(end),
                Some(end) = heard => Some(end),
                else => None,
            }
        };
        let end = timeout_at(taken_at + WATCHED, ended).await.ok().flatten();
        self.courier.messages.leave(&taken);
        // As of any other message: it may be the one by which an operator looks why nobody gets a code.
        let now = self.clock.now();
        let end =
            end.map(|end| site.routes.believed(&gateway, (order.channel, &order.to), end, now));
        let noted = self.note_end(order, gateway, taken.written_id(), end, &message).await;
        self.courier.undo_opt_outs(&site.routes).await;
        Some(noted)
    }

    async fn note_end(
        &self,
        order: TestOrder,
        GatewayName(gateway): GatewayName,
        vendor_id: String,
        end: Option<Status>,
        message: &Message,
    ) -> (Arrival, Option<String>) {
        let (token, scope) =
            (order.token, Scope::Number { account: Account::host(), number: order.index });
        let arrived = |confirmed| Arrived {
            account: Account::host(),
            token,
            gateway: gateway.clone(),
            vendor_id: vendor_id.clone(),
            confirmed,
        };
        let (arrival, noted) = match end {
            Some(Status::Delivered) => {
                let arrived = arrived(true);
                let decide = move |records: &_, now| arrived.decide(records, now);
                ((Arrival::Delivered, None), self.store.transact(scope, decide).await)
            }
            Some(Status::Unconfirmed) => {
                let arrived = arrived(false);
                let decide = move |records: &_, now| arrived.decide(records, now);
                ((Arrival::Unconfirmed, None), self.store.transact(scope, decide).await)
            }
            Some(Status::Failed { reason, cause }) => {
                let reason = message.masked(&reason);
                let known = is_known(&self.reader, order.index).await;
                let told = reason.clone();
                let lost = TestLost { order, gateway, vendor_id, reason: told, cause, known };
                let decide = move |records: &_, now| lost.decide(records, now);
                ((Arrival::Undelivered, Some(reason)), self.store.transact(scope, decide).await)
            }
            Some(Status::UnderWay | Status::Unknown(_)) | None => {
                ((Arrival::UnderWay, None), Ok(()))
            }
        };
        if let Err(error) = noted {
            error!(%error, request = %token.request(), "a receipt was not recorded");
        }
        arrival
    }
}

fn is_end(status: &Status) -> bool {
    match status {
        Status::Delivered | Status::Unconfirmed | Status::Failed { .. } => true,
        Status::UnderWay | Status::Unknown(_) => false,
    }
}

fn compose(site: &Site, order: &TestOrder, id: MessageId) -> Message {
    let host = &site.message.host;
    let text = match order.channel {
        Channel::Sms => conversation::test_text(order.reference, host),
        Channel::Voice => conversation::spoken_test(host),
    };
    Message {
        id,
        to: order.to.clone(),
        channel: order.channel,
        text,
        code: None,
        valid_for: site.terms.rules.life,
        answer_url: None,
        report_url: None,
    }
}

/// Whether some account has the number. Of a store that does not answer it is taken that none has: a
/// vendor that was told to stop says so again.
async fn is_known(reader: &Reader, number: NumberIndex) -> bool {
    reader.accounts_with(number).await.is_ok_and(|accounts| !accounts.is_empty())
}

/// What is written down, and what is said.
fn record(order: &TestOrder, delivery: Delivery, known: bool) -> (TestDelivered, Tested) {
    let failures = delivery
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.gateway.0.clone(), reason(&attempt.outcome)?)))
        .collect::<Vec<_>>();
    let perhaps = delivery.attempts.iter().rfind(|a| matches!(a.outcome, Outcome::Unknown(_)));
    let perhaps = perhaps.map(|attempt| attempt.gateway.0.clone());
    let (result, progress, gateway, vendor_id) = match delivery.result {
        Delivered::Sent { gateway: GatewayName(gateway), vendor_id } => {
            let vendor_id = vendor_id.map(|id| id.0);
            let result =
                DeliveryResult::Sent { gateway: gateway.clone(), vendor_id: vendor_id.clone() };
            (result, Progress::Sent, Some(gateway), vendor_id)
        }
        Delivered::Unknown => {
            let result = DeliveryResult::Perhaps { gateway: perhaps.clone().unwrap_or_default() };
            (result, Progress::Sending, perhaps, None)
        }
        Delivered::OptedOut { gateway: GatewayName(gateway) } => {
            let ending = order.to.ending().to_owned();
            let result = DeliveryResult::OptedOut { gateway, ending, perhaps: perhaps.clone() };
            (result, Progress::Stopped, None, None)
        }
        Delivered::Rejected { gateway: GatewayName(gateway) } => {
            (DeliveryResult::Refused { gateway }, Progress::Failed, None, None)
        }
        Delivered::Failed => (DeliveryResult::Failed, Progress::Failed, None, None),
    };
    let told = failures.iter().map(|(gateway, reason)| format!("{gateway}: {reason}"));
    let told = told.collect::<Vec<_>>().join("; ");
    let TestOrder { token, index, charged_at, channel, reference, .. } = *order;
    let reason = (!told.is_empty()).then_some(told);
    let delivered = TestDelivered { token, index, charged_at, failures, result, known };
    (delivered, Tested { progress, channel, reference, gateway, vendor_id, reason, arrival: None })
}
