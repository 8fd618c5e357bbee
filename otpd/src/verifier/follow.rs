//! Messages after a vendor took them: asked after for as long as somebody waits, and listened to when
//! the vendor tells by itself, so that one that did not arrive goes out again by another gateway.
//!
//! What is under way goes on under the rules it began with. A message of an earlier run has none left:
//! what is done about it goes by the rules that hold now.

mod before;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tracing::error;

use self::before::without_code;
use super::{
    Site,
    deliver::{Courier, compose},
    taken::{Key, Taken, What},
};
use crate::{
    domain::{
        account::Account,
        challenge::Channel,
        enrollment::NumberIndex,
        login::{Arrived, Cause, Order, Undelivered},
        passcode::ChallengeToken,
        phone::E164,
        records::{Decided, Records},
        time::Timestamp,
    },
    gateway::{GatewayName, MessageId, Status, VendorMessageId, masked},
    store::{Scope, StoreError},
};

/// When a message is asked after, counted from when the vendor took it.
const POLLS: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
];

/// Messages that are asked after at once; one more is not: to ask is a favour, and must not keep the
/// daemon from sending.
pub(super) const FOLLOWED: usize = 256;

/// Anybody may send a hint, so it has a vendor asked about a message at most this often.
const PAUSE: Duration = Duration::from_secs(3);

impl Courier {
    /// Follows a message: listens to what its vendor tells, and asks in a task of its own where that
    /// can tell and there is room. Nothing waits for that task: it may end with the daemon at any
    /// point.
    pub(super) fn follow(&self, taken: Arc<Taken>) {
        self.enter(&taken);
        self.ask_after(taken);
    }

    /// Asks after a message in a task of its own.
    fn ask_after(&self, taken: Arc<Taken>) {
        if self.question(&taken).is_none() {
            return;
        }
        let Ok(place) = Arc::clone(&self.followed).try_acquire_owned() else { return };
        let (courier, accepted) = (self.clone(), Instant::now());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                biased;
                () = taken.ended.notified() => {}
                () = courier.watch(&taken, accepted) => {}
            }
        });
    }

    /// Listens from now on to what is told about a message, and to what was told already.
    pub(super) fn enter(&self, taken: &Arc<Taken>) {
        let told = self.messages.enter(taken, self.clock.now());
        if !told.is_empty() {
            let (courier, taken) = (self.clone(), Arc::clone(taken));
            tokio::spawn(async move {
                for status in told {
                    courier.heed(&taken, status).await;
                }
            });
        }
    }

    /// What a vendor told about a message by itself, and proved to have told.
    pub(super) async fn told(&self, gateway: GatewayName, id: VendorMessageId, status: Status) {
        if let Some(taken) = self.messages.find(Key::Theirs(gateway, id), None, &status) {
            self.heed(&taken, status).await;
        }
    }

    /// The same about a call that the vendor names with its reports only.
    pub(super) async fn told_of_call(
        &self,
        gateway: GatewayName,
        ours: MessageId,
        id: VendorMessageId,
        status: Status,
    ) {
        if let Some(taken) = self.messages.find(Key::Ours(gateway, ours), Some(&id), &status) {
            taken.learn(id);
            self.heed(&taken, status).await;
        }
    }

    /// Acts on what a vendor told by itself. Where that would end a code, the vendor is asked first, if
    /// it can be.
    async fn heed(&self, taken: &Arc<Taken>, status: Status) {
        let ends_code = matches!(taken.what, What::Before(_))
            && matches!(status, Status::Failed { cause: Cause::Route, .. });
        if ends_code && self.question(taken).is_some() {
            self.confirm(taken);
        } else {
            self.hear(taken, status).await;
        }
    }

    /// Somebody says that there is news of a message: its vendor is asked.
    pub(super) fn hinted(&self, gateway: GatewayName, id: VendorMessageId) {
        let Some(taken) = self.messages.get(&Key::Theirs(gateway, id)) else { return };
        if self.question(&taken).is_some() {
            self.ask_soon(&taken);
        }
    }

    /// Has the vendor of a message asked in a task of its own: now, or when it was asked a moment ago,
    /// after [`PAUSE`], since what it said may be of before the news.
    fn ask_soon(&self, taken: &Arc<Taken>) {
        let Ok(place) = Arc::clone(&self.followed).try_acquire_owned() else { return };
        let Some(at) = taken.ask_next(PAUSE) else { return };
        let (courier, taken) = (self.clone(), Arc::clone(taken));
        tokio::spawn(async move {
            let _place = place;
            sleep_until(at).await;
            if !*taken.over.lock().await {
                courier.ask(&taken).await;
            }
        });
    }

    /// What the vendor is asked about a message; `None` where it cannot tell, and of test messages,
    /// whose sender asks. It is asked with today's credentials, since those of the message may be of
    /// no use any more; and where these get no answer, as under another account, with the message's.
    fn question(&self, taken: &Taken) -> Option<impl Future<Output = Status> + use<>> {
        let mut ways = vec![Arc::clone(&self.sites.now().routes)];
        let message = match &taken.what {
            What::Code(code) => {
                if ways.iter().all(|routes| !Arc::ptr_eq(routes, &code.site.routes)) {
                    ways.push(Arc::clone(&code.site.routes));
                }
                compose(&code.site, &code.order(), self.clock.now())
            }
            What::Before(sent) => without_code(sent),
            What::Test { .. } => return None,
        };
        let (id, gateway) = (taken.id()?.clone(), taken.gateway.clone());
        // A future that is not awaited asks nothing.
        ways.retain(|routes| routes.status(&gateway, &message, &id).is_some());
        (!ways.is_empty()).then_some(async move {
            let mut said = Status::UnderWay;
            for routes in ways {
                let Some(asking) = routes.status(&gateway, &message, &id) else { continue };
                said = asking.await;
                if !matches!(said, Status::Unknown(_)) {
                    break;
                }
            }
            said
        })
    }

    /// Asks until nobody waits for the message; ended from outside when it is at its end.
    async fn watch(&self, taken: &Arc<Taken>, accepted: Instant) {
        for poll in POLLS {
            sleep_until(accepted + poll).await;
            // What was told may have taken until now to be written down.
            if *taken.over.lock().await || !self.is_awaited(taken).await {
                return;
            }
            // Asked on a hint a moment ago, or to be asked in a moment: that says it.
            if taken.may_ask(PAUSE) {
                self.ask(taken).await;
            }
        }
    }

    async fn ask(&self, taken: &Arc<Taken>) {
        let Some(asking) = self.question(taken) else { return };
        let status = asking.await;
        self.hear(taken, status).await;
    }

    /// Acts on how far a message is, once, however often and by whichever way it is told.
    async fn hear(&self, taken: &Arc<Taken>, status: Status) {
        let mut over = taken.over.lock().await;
        if *over {
            return;
        }
        let today = self.sites.now();
        let status = match receiver(taken) {
            Some((channel, number)) => {
                let now = self.clock.now();
                today.routes.believed(&taken.gateway, (channel, &number), status, now)
            }
            None => status,
        };
        let recorded = match (&taken.what, status) {
            (_, Status::UnderWay | Status::Unknown(_)) => return,
            (What::Test { tell, .. }, end) => {
                tell.send_replace(Some(end));
                Ok(None)
            }
            (_, Status::Delivered) => self.arrived(taken, true).await,
            (_, Status::Unconfirmed) => self.arrived(taken, false).await,
            (What::Code(code), Status::Failed { reason, cause }) => {
                let order = code.order();
                // A code that was wiped cannot be looked for, so whatever might be one is masked.
                let reason = if order.code.is_wiped() { masked(&reason) } else { reason };
                let reason = compose(&code.site, &order, self.clock.now()).masked(&reason);
                self.undelivered(taken, &code.site, order, reason, cause).await
            }
            (What::Before(sent), Status::Failed { reason, cause }) => {
                let reason = without_code(sent).masked(&masked(&reason));
                self.undelivered_before(taken, &today, sent, reason, cause).await
            }
        };
        let again = match recorded {
            Ok(again) => again,
            // Surely not written down: whatever is told next says the same once more.
            Err(
                StoreError::Unavailable
                | StoreError::Full
                | StoreError::Forbidden
                | StoreError::Damaged(_)
                | StoreError::Corrupt
                | StoreError::Moving,
            ) => return,
            Err(StoreError::Unknown) => None,
        };
        *over = true;
        self.messages.leave(taken);
        taken.ended.notify_one();
        let site = match &taken.what {
            What::Code(code) => &code.site,
            What::Before(_) => &today,
            What::Test { .. } => return,
        };
        if let Some(again) = again {
            self.send(Arc::clone(site), again);
        }
        // In a task of its own: this one is ended from outside, now that the message is at its end.
        let courier = self.clone();
        tokio::spawn(async move { courier.undo_opt_outs(&today.routes).await });
    }

    async fn is_awaited(&self, taken: &Taken) -> bool {
        let Some((account, _)) = owner(taken) else { return false };
        let Ok(records) = self.reader.account(account).await else {
            // It costs a request at most.
            return true;
        };
        let (login, now) = (&records.login, self.clock.now());
        match &taken.what {
            What::Code(code) => code.order().is_awaited(login, &taken.gateway.0, now),
            What::Before(sent) => sent.is_awaited(login, now),
            What::Test { .. } => false,
        }
    }

    async fn arrived(&self, taken: &Taken, confirmed: bool) -> Result<Option<Order>, StoreError> {
        let Some((account, challenge)) = owner(taken) else { return Ok(None) };
        let report = Arrived {
            account: account.clone(),
            token: challenge,
            gateway: taken.gateway.0.clone(),
            vendor_id: taken.written_id(),
            confirmed,
        };
        let scope = Scope::Account(account.clone());
        let decide = move |records: &_, now| report.decide(records, now);
        let decided = self.transact(scope, decide).await;
        let request = challenge.request();
        decided
            .inspect_err(|error| error!(%error, %request, "a receipt was not recorded"))
            .map(|()| None)
    }

    async fn undelivered(
        &self,
        taken: &Taken,
        site: &Site,
        order: Order,
        reason: String,
        cause: Cause,
    ) -> Result<Option<Order>, StoreError> {
        let gateway = &taken.gateway;
        let mut lost_by: Vec<_> = order.lost_by.iter().cloned().map(GatewayName).collect();
        lost_by.push(gateway.clone());
        let others = site.routes.has_other(order.channel, &lost_by);
        let (whose, challenge) = ((order.account.clone(), order.index), order.token);
        let report = Undelivered {
            terms: Arc::clone(&site.terms),
            order,
            gateway: gateway.0.clone(),
            vendor_id: taken.written_id(),
            reason,
            cause,
            others,
        };
        self.lost(whose, challenge, move |records, now| report.decide(records, now)).await
    }

    /// Writes the loss of a message down; what to send in its place.
    async fn lost<D>(
        &self,
        (account, number): (Account, NumberIndex),
        token: ChallengeToken,
        decide: D,
    ) -> Result<Option<Order>, StoreError>
    where
        D: Fn(&Records, Timestamp) -> Decided<Option<Box<Order>>> + Send + 'static,
    {
        let decided = self.transact(Scope::Number { account, number }, decide).await;
        let request = token.request();
        decided
            .inspect_err(|error| error!(%error, %request, "a lost message was not recorded"))
            .map(|again| again.map(|order| *order))
    }
}

/// How a message went, and where to; none for a test message.
fn receiver(taken: &Taken) -> Option<(Channel, E164)> {
    match &taken.what {
        What::Code(code) => {
            let order = code.order();
            Some((order.channel, order.to))
        }
        What::Before(sent) => Some((sent.channel, sent.to.clone())),
        What::Test { .. } => None,
    }
}

/// Whose login a message belongs to; none for a test message.
fn owner(taken: &Taken) -> Option<(Account, ChallengeToken)> {
    match &taken.what {
        What::Code(code) => {
            let order = code.order();
            Some((order.account, order.token))
        }
        What::Before(sent) => Some((sent.account.clone(), sent.token)),
        What::Test { .. } => None,
    }
}
