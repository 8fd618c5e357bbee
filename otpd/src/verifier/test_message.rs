//! A message without a code, to see whether a gateway delivers.

use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use tokio::{sync::watch, time::Instant};
use tracing::error;

use super::{
    Failure, Site, Verifier,
    deliver::{EXCHANGE, Sent, reason},
    enroll::refused_by_store,
};
use crate::{
    conversation,
    domain::{
        account::Account,
        challenge::Channel,
        login::{DeliveryResult, Progress},
        passcode::{Draw, Reference},
        test_message::{TestDelivered, TestMessage, TestOrder},
    },
    gateway::{
        GatewayName, Message, MessageId, Outcome,
        route::{Delivered, Delivery, Unroutable},
    },
    random,
    store::Scope,
};

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
}

impl Verifier {
    /// Sends a message without a code, and waits for the vendor's answer for 8 s at most.
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
        Ok(self.try_out(site, order, named, begun).await)
    }

    /// Sends in a task of its own: an administrator who goes away must not cut a request to a
    /// vendor in half, or leave it without a record.
    async fn try_out(
        &self,
        site: Arc<Site>,
        order: TestOrder,
        named: Option<GatewayName>,
        begun: Instant,
    ) -> Tested {
        let TestOrder { channel, reference, .. } = order;
        let (publish, mut sent) = watch::channel(None);
        let on_its_way = self.courier.in_flight.enter(order.token, sent.clone());
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let calls = self.courier.calls.clone();
        let unsettled = Tested {
            progress: Progress::Sending,
            channel,
            reference,
            gateway: None,
            vendor_id: None,
            reason: None,
        };
        let result = Arc::new(Mutex::new(unsettled));
        let shared = Arc::clone(&result);
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let mut message = compose(&site, &order);
            calls.place(&site, &mut message, None, clock.now());
            let delivery = match &named {
                Some(name) => site.routes.deliver_by(name, &message, || clock.now()).await,
                None => site.routes.deliver(&message, None, || clock.now()).await,
            };
            let (delivered, tested) = record(&order, delivery);
            let scope = Scope::Number { account: Account::host(), number: order.index };
            let decide = move |records: &_, now| delivered.decide(records, now);
            if let Err(error) = store.transact(scope, decide).await {
                error!(%error, request = %order.token.request(), "a delivery was not recorded");
            }
            let settled = Sent { progress: tested.progress, reason: tested.reason.clone() };
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = tested;
            let _ = publish.send(Some(settled));
        });
        // What is not settled by then is said to be on its way, which it is.
        let _ = tokio::time::timeout_at(begun + EXCHANGE, sent.wait_for(Option::is_some)).await;
        result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn compose(site: &Site, order: &TestOrder) -> Message {
    let host = &site.message.host;
    let text = match order.channel {
        Channel::Sms => conversation::test_text(order.reference, host),
        Channel::Voice => conversation::spoken_test(host),
    };
    Message {
        id: MessageId(random::system().random()),
        to: order.to.clone(),
        channel: order.channel,
        text,
        code: None,
        valid_for: site.terms.rules.life,
        answer_url: None,
        report_url: None,
    }
}

/// What is written down, and what is said.
fn record(order: &TestOrder, delivery: Delivery) -> (TestDelivered, Tested) {
    let failures = delivery
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.gateway.0.clone(), reason(&attempt.outcome)?)))
        .collect::<Vec<_>>();
    let perhaps = delivery.attempts.iter().rfind(|a| matches!(a.outcome, Outcome::Unknown(_)));
    let perhaps = perhaps.map(|attempt| attempt.gateway.0.clone()).unwrap_or_default();
    let (result, progress, gateway, vendor_id) = match delivery.result {
        Delivered::Sent { gateway: GatewayName(gateway), vendor_id } => {
            let vendor_id = vendor_id.map(|id| id.0);
            let result =
                DeliveryResult::Sent { gateway: gateway.clone(), vendor_id: vendor_id.clone() };
            (result, Progress::Sent, Some(gateway), vendor_id)
        }
        Delivered::Unknown => {
            let result = DeliveryResult::Perhaps { gateway: perhaps.clone() };
            (result, Progress::Sending, Some(perhaps), None)
        }
        Delivered::OptedOut | Delivered::Rejected | Delivered::Failed => {
            (DeliveryResult::Failed, Progress::Failed, None, None)
        }
    };
    let told = failures.iter().map(|(gateway, reason)| format!("{gateway}: {reason}"));
    let told = told.collect::<Vec<_>>().join("; ");
    let TestOrder { token, index, charged_at, channel, reference, .. } = *order;
    let reason = (!told.is_empty()).then_some(told);
    let delivered = TestDelivered { token, index, charged_at, failures, result };
    (delivered, Tested { progress, channel, reference, gateway, vendor_id, reason })
}
