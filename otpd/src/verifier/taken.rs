//! Messages that vendors took, by the names that vendors gave them and, of calls, by ours: what a
//! vendor tells about one later finds it here.
//!
//! It is the memory of this run. What an earlier run handed over and somebody still waits for is
//! entered again at the start, without the codes: nobody holds those any more.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, Notify, watch},
    time::Instant,
};

use super::Site;
use crate::{
    domain::{
        account::Account,
        challenge::Channel,
        login::{Order, SentBefore},
        passcode::{ChallengeToken, Passcode, Purpose},
        time::Timestamp,
    },
    gateway::{GatewayName, MessageId, Status, VendorMessageId},
};

/// Messages that are remembered; a further one takes the place of the oldest.
const REMEMBERED: usize = 8192;
/// What was told about a message before it was known to be taken: a vendor may call back sooner than
/// its own reply is written down.
const EARLY: usize = 256;
/// How much of that one call has at most: our name for it stands in a URL, which no vendor signs, so
/// one report that somebody read on its way could be told under any number of them.
const EARLY_OF_A_CALL: usize = 8;

/// A message that a vendor took.
pub(super) struct Taken {
    pub(super) what: What,
    pub(super) gateway: GatewayName,
    /// The vendor's name for it; set later where the vendor says it only with its first report.
    id: OnceLock<VendorMessageId>,
    /// What it is found by.
    keys: Vec<Key>,
    /// Held while what was told is acted on; true once the message is at its end, so that nothing is
    /// acted on twice, whoever tells it and however often.
    pub(super) over: Turn<bool>,
    /// Wakes whoever asks after it: there is nothing more to ask.
    pub(super) ended: Notify,
    /// When the vendor was asked last, or is to be asked.
    asked: Mutex<Option<Instant>>,
}

/// What a message is, by who acts on how far it is.
pub(super) enum What {
    /// One with a code.
    Code(Box<Code>),
    /// One of an earlier run; nobody holds its code, nor the rules it was sent under.
    Before(Box<SentBefore>),
    /// A test message: whoever waits for it is told.
    Test {
        tell: watch::Sender<Option<Status>>,
        /// When nobody waits any more.
        until: Timestamp,
    },
}

/// A message with a code, and the rules under which it was sent.
pub(super) struct Code {
    pub(super) site: Arc<Site>,
    token: ChallengeToken,
    expires_at: Timestamp,
    order: Mutex<Order>,
}

impl Code {
    pub(super) fn new(site: Arc<Site>, order: Order) -> Self {
        let (token, expires_at) = (order.token, order.expires_at);
        Self { site, token, expires_at, order: Mutex::new(order) }
    }

    /// What was ordered; without its code once nobody may type that any more.
    pub(super) fn order(&self) -> Order {
        self.lock().clone()
    }

    fn wipe(&self) {
        self.lock().code = Passcode::wiped();
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    pub(super) fn new(what: What, names: Names) -> Self {
        let (over, ended, asked) = (Turn::default(), Notify::default(), Mutex::default());
        let Names { gateway, id, ours } = names;
        let theirs = id.clone().map(|id| Key::Theirs(gateway.clone(), id));
        let ours = ours.map(|ours| Key::Ours(gateway.clone(), ours));
        let keys = theirs.into_iter().chain(ours).collect();
        let id = id.map_or_else(OnceLock::new, OnceLock::from);
        Self { what, gateway, id, keys, over, ended, asked }
    }

    /// The vendor's name for it, where that is known.
    pub(super) fn id(&self) -> Option<&VendorMessageId> {
        self.id.get()
    }

    /// The same for what is written down; empty where it is not known.
    pub(super) fn written_id(&self) -> String {
        self.id().map(|id| id.0.clone()).unwrap_or_default()
    }

    /// The vendor says its name; the first that it said stays.
    pub(super) fn learn(&self, id: VendorMessageId) {
        let _ = self.id.set(id);
    }

    /// Nobody may type its code any more, if it has one: no plain one is kept.
    pub(super) fn wipe(&self) {
        match &self.what {
            What::Code(code) => code.wipe(),
            What::Before(_) | What::Test { .. } => {}
        }
    }

    /// When there is nothing to do about it any more.
    fn until(&self) -> Timestamp {
        match &self.what {
            What::Code(code) => code.expires_at,
            What::Before(sent) => sent.expires_at,
            What::Test { until, .. } => *until,
        }
    }

    /// Notes that the vendor is asked now; false when that was so less than `pause` ago, or is to be.
    pub(super) fn may_ask(&self, pause: Duration) -> bool {
        let now = Instant::now();
        let mut asked = self.asked();
        let may = asked.is_none_or(|at| now.duration_since(at) >= pause);
        if may {
            *asked = Some(now);
        }
        may
    }

    /// When the vendor may be asked: `pause` after it was asked last. That is noted, so that it is asked
    /// once however many want it; `None` when somebody is to ask it then already.
    pub(super) fn ask_next(&self, pause: Duration) -> Option<Instant> {
        let now = Instant::now();
        let mut asked = self.asked();
        if asked.is_some_and(|at| at > now) {
            return None;
        }
        let next = asked.map_or(now, |at| now.max(at + pause));
        *asked = Some(next);
        Some(next)
    }

    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who took a message, and under which names.
pub(super) struct Names {
    pub(super) gateway: GatewayName,
    /// The vendor's.
    pub(super) id: Option<VendorMessageId>,
    /// Ours, where the vendor may report by that.
    pub(super) ours: Option<MessageId>,
}

impl Names {
    /// Those of a message that a gateway took; `None` where it has none to be told about by. A call
    /// has ours besides, where its vendor may report: one vendor names calls with its reports only.
    pub(super) fn of(
        site: &Site,
        channel: Channel,
        gateway: GatewayName,
        id: Option<VendorMessageId>,
        ours: MessageId,
    ) -> Option<Self> {
        let by_url = channel == Channel::Voice && site.routes.is_reporting(&gateway);
        let ours = by_url.then_some(ours);
        (id.is_some() || ours.is_some()).then_some(Self { gateway, id, ours })
    }
}

/// What a message is told about by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The vendor's name for it.
    Theirs(GatewayName, VendorMessageId),
    /// Ours.
    Ours(GatewayName, MessageId),
}

/// The messages of this run. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Messages(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    strangers: AtomicU64,
}

#[derive(Default)]
struct Table {
    taken: BTreeMap<Key, Arc<Taken>>,
    /// In the order of their coming, with the end of the interest in them.
    order: VecDeque<(Key, Timestamp)>,
    /// Those with a code, by its challenge.
    codes: BTreeMap<ChallengeToken, Vec<Arc<Taken>>>,
    early: VecDeque<Early>,
}

/// What was told about a message that is not here yet.
struct Early {
    key: Key,
    /// The vendor's name for it, where it was told by another.
    id: Option<VendorMessageId>,
    status: Status,
}

impl Messages {
    /// Keeps a message's code until nobody may type it any more: [`Self::wipe`] finds it from now on.
    pub(super) fn hold(&self, taken: &Arc<Taken>) {
        if let What::Code(code) = &taken.what {
            self.table().codes.entry(code.token).or_default().push(Arc::clone(taken));
        }
    }

    /// Enters a message, which learns its name if that was told already; what was told besides, the
    /// first first.
    pub(super) fn enter(&self, taken: &Arc<Taken>, now: Timestamp) -> Vec<Status> {
        let mut table = self.table();
        for key in &taken.keys {
            let replaced = table.taken.insert(key.clone(), Arc::clone(taken));
            table.order.push_back((key.clone(), taken.until()));
            if let Some(replaced) = replaced {
                table.replace(&replaced);
            }
        }
        table.forget(now);
        let its = |early: &Early| taken.keys.contains(&early.key);
        let (told, early): (VecDeque<_>, _) =
            std::mem::take(&mut table.early).into_iter().partition(its);
        table.early = early;
        let learn = |early: Early| {
            early.id.into_iter().for_each(|id| taken.learn(id));
            early.status
        };
        told.into_iter().map(learn).collect()
    }

    /// The message of this name. What is told about one that is not here is kept for a moment, with
    /// the vendor's name for it where it is told by ours.
    pub(super) fn find(
        &self,
        key: Key,
        id: Option<&VendorMessageId>,
        told: &Status,
    ) -> Option<Arc<Taken>> {
        let mut table = self.table();
        if let Some(taken) = table.taken.get(&key) {
            return Some(Arc::clone(taken));
        }
        self.0.strangers.fetch_add(1, Ordering::Relaxed);
        let its = |early: &&Early| id.is_some() && early.id.as_ref() == id;
        if table.early.iter().filter(its).count() >= EARLY_OF_A_CALL {
            return None;
        }
        table.early.push_back(Early { key, id: id.cloned(), status: told.clone() });
        if table.early.len() > EARLY {
            table.early.pop_front();
        }
        None
    }

    /// The message of this name, if it is here.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Taken>> {
        self.table().taken.get(key).cloned()
    }

    /// Nobody may type a code of this challenge any more: no plain one of it is kept. What is told
    /// about its messages is heard all the same.
    pub(super) fn wipe(&self, challenge: ChallengeToken) {
        let wiped = self.table().codes.remove(&challenge);
        wiped.into_iter().flatten().for_each(|taken| taken.wipe());
    }

    /// The challenges by which an account's number was to be proved.
    pub(super) fn proofs_of(&self, account: &Account) -> Vec<ChallengeToken> {
        self.challenges(|order| order.purpose == Purpose::Enrollment && order.account == *account)
    }

    /// The challenges of an account.
    pub(super) fn codes_of(&self, account: &Account) -> Vec<ChallengeToken> {
        self.challenges(|order| order.account == *account)
    }

    /// The challenges of which a code is kept that was ordered so.
    fn challenges(&self, ordered: impl Fn(&Order) -> bool) -> Vec<ChallengeToken> {
        let table = self.table();
        let theirs = |taken: &Arc<Taken>| match &taken.what {
            What::Code(code) => ordered(&code.lock()),
            What::Before(_) | What::Test { .. } => false,
        };
        let codes = table.codes.iter().filter(|(_, own)| own.iter().any(theirs));
        codes.map(|(token, _)| *token).collect()
    }

    /// Forgets those that nobody waits for any more, with their codes.
    pub(super) fn forget(&self, now: Timestamp) {
        let mut table = self.table();
        table.forget(now);
        table.forget_codes(now);
    }

    /// Forgets a message that is at its end.
    pub(super) fn leave(&self, taken: &Arc<Taken>) {
        let mut table = self.table();
        table.let_go(taken);
        for key in &taken.keys {
            // Another one may have its name by now: what is told is then about that.
            if table.taken.get(key).is_some_and(|found| Arc::ptr_eq(found, taken)) {
                table.taken.remove(key);
            }
        }
    }

    /// Whether a code of this challenge is kept.
    #[cfg(test)]
    pub(super) fn holds_code(&self, challenge: ChallengeToken) -> bool {
        self.table().codes.contains_key(&challenge)
    }

    /// The challenges of an account of which a plain code is kept.
    #[cfg(test)]
    pub(super) fn plain_codes_of(&self, account: &Account) -> Vec<ChallengeToken> {
        self.challenges(|order| order.account == *account && !order.code.is_wiped())
    }

    /// How often something was told about a message that is not here.
    pub(super) fn strangers(&self) -> u64 {
        self.0.strangers.load(Ordering::Relaxed)
    }

    /// Held for a moment, never across an await.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets those that nobody waits for any more, and the oldest when there are too many.
    fn forget(&mut self, now: Timestamp) {
        while let Some((key, until)) = self.order.front().cloned() {
            if until > now && self.order.len() <= REMEMBERED {
                return;
            }
            // One that came later under this name stays.
            if self.taken.get(&key).is_some_and(|taken| taken.until() == until)
                && let Some(taken) = self.taken.remove(&key)
            {
                self.let_go(&taken);
            }
            self.order.pop_front();
        }
    }

    /// Lets the codes go that nobody may type any more, whatever became of their messages' names.
    fn forget_codes(&mut self, now: Timestamp) {
        self.codes.retain(|_, own| {
            own.retain(|taken| {
                let lives = taken.until() > now;
                if !lives {
                    taken.wipe();
                }
                lives
            });
            !own.is_empty()
        });
    }

    /// A name that a message had is another one's now: a vendor gave it twice. A message without any
    /// name left is asked after no more, so its code goes.
    fn replace(&mut self, taken: &Arc<Taken>) {
        let leads_to_it =
            |key: &Key| self.taken.get(key).is_some_and(|found| Arc::ptr_eq(found, taken));
        if !taken.keys.iter().any(leads_to_it) {
            self.let_go(taken);
            taken.wipe();
        }
    }

    /// Lets the code of a message go that is forgotten.
    fn let_go(&mut self, taken: &Arc<Taken>) {
        let What::Code(code) = &taken.what else { return };
        if let Some(own) = self.codes.get_mut(&code.token) {
            own.retain(|other| !Arc::ptr_eq(other, taken));
            if own.is_empty() {
                self.codes.remove(&code.token);
            }
        }
    }
}

#[cfg(test)]
mod tests;
