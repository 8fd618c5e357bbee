//! What the vendors know and the phones got. One lock; nothing is awaited under it.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::body::Bytes;
use tokio::{runtime::Handle, sync::watch};

use super::{
    Vendor, callback,
    exchange::Reply,
    records::{Callback, Count, Heard, Item, Kept, New, Request},
    settings::Settings,
    told::{self, Event, Fate, Flaw, Flawed, Habits, Order, Told},
};

#[derive(Default)]
pub(super) struct Phone {
    pub habits: Option<Habits>,
    pub got: VecDeque<Heard>,
    pub count: u64,
    /// How many of them the Rust harness has read.
    pub read: u64,
}

pub(super) struct State {
    items: Kept<Item>,
    repeats: Kept<(Bytes, Reply)>,
    pub phones: HashMap<String, Phone>,
    /// What holds for phones without habits of their own.
    pub habits: Habits,
    pub orders: Vec<Told<Order>>,
    pub fates: Vec<Told<Fate>>,
    pub flaws: Vec<Told<Flawed>>,
    /// Who wants nothing from which sender; the sender is empty where the block is wider.
    pub stopped: HashSet<(Vendor, String, String)>,
    pub requests: VecDeque<Request>,
    requests_seen: u64,
    pub callbacks: VecDeque<Callback>,
    callbacks_seen: u64,
    pub counts: BTreeMap<Vendor, Count>,
}

/// Everything that the vendors share.
pub(super) struct World {
    pub settings: Settings,
    pub runtime: Handle,
    pub client: callback::Client,
    pub telnyx_key: ed25519_dalek::SigningKey,
    state: Mutex<State>,
    changed: Condvar,
    /// Goes up with every change; for those who wait in tasks.
    version: watch::Sender<u64>,
    /// Goes up when stalled requests are let go.
    pub release: watch::Sender<u64>,
    seed: u64,
    ids: AtomicU64,
}

impl World {
    pub(super) fn new(settings: Settings, runtime: Handle) -> Self {
        use std::hash::{BuildHasher, RandomState};

        let state = State {
            items: Kept::new(settings.keep),
            repeats: Kept::new(settings.keep),
            phones: HashMap::new(),
            habits: Habits::default(),
            orders: Vec::new(),
            fates: Vec::new(),
            flaws: Vec::new(),
            stopped: HashSet::new(),
            requests: VecDeque::new(),
            requests_seen: 0,
            callbacks: VecDeque::new(),
            callbacks_seen: 0,
            counts: BTreeMap::new(),
        };
        Self {
            telnyx_key: super::sign::telnyx_key(&settings.telnyx.signing_seed),
            settings,
            runtime,
            client: callback::client(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            version: watch::Sender::new(0),
            release: watch::Sender::new(0),
            // Ids of one run are not those of the next.
            seed: RandomState::new().hash_one(0),
            ids: AtomicU64::new(0),
        }
    }

    /// The key that Telnyx's signatures are checked with, base64.
    pub(super) fn public_key(&self) -> String {
        STANDARD.encode(self.telnyx_key.verifying_key().to_bytes())
    }

    /// The state, for something quick.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells everybody who waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_all();
        self.version.send_modify(|version| *version += 1);
        result
    }

    /// Looks until something is there, in a thread; `None` when it does not come in time.
    pub(super) fn wait<T>(
        &self,
        patience: std::time::Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let unfinished = |state: &mut State| {
            found = look(state);
            found.is_none()
        };
        drop(self.changed.wait_timeout_while(self.state(), patience, unfinished));
        found
    }

    /// As [`Self::wait`], in a task.
    pub(super) async fn watch<T>(
        &self,
        patience: std::time::Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut version = self.version.subscribe();
        let found = async {
            loop {
                if let Some(found) = look(&mut self.state()) {
                    return Some(found);
                }
                version.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, found).await.ok().flatten()
    }

    /// 128 bits that no other call has returned, as 32 hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        let n = self.ids.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", mixed(self.seed ^ n), mixed(!self.seed ^ n))
    }

    /// The same as a UUID.
    pub(super) fn uuid(&self) -> String {
        let hex = self.hex();
        let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
        format!(
            "{}-{}-4{}-8{}-{}",
            part(0..8),
            part(8..12),
            part(13..16),
            part(17..20),
            part(20..32)
        )
    }

    /// Takes note of a request; its number.
    pub(super) fn asked(&self, request: impl FnOnce(u64) -> Request, vendor: Vendor) -> u64 {
        let mut state = self.state();
        state.counts.entry(vendor).or_default().asked += 1;
        if self.settings.quiet {
            return 0;
        }
        state.requests_seen += 1;
        let n = state.requests_seen;
        state.requests.push_back(request(n));
        if state.requests.len() > self.settings.log {
            state.requests.pop_front();
        }
        n
    }

    /// Adds to a request what became of it.
    pub(super) fn complete(&self, n: u64, complete: impl FnOnce(&mut Request)) {
        if self.settings.quiet {
            return;
        }
        self.change(|state| {
            if let Some(request) = state.requests.iter_mut().rev().find(|one| one.n == n) {
                complete(request);
            }
        });
    }

    /// Takes note of a callback; its number, 0 when none are kept.
    pub(super) fn called_back(&self, callback: impl FnOnce(u64) -> Callback) -> u64 {
        if self.settings.quiet {
            return 0;
        }
        self.change(|state| {
            state.callbacks_seen += 1;
            let n = state.callbacks_seen;
            state.callbacks.push_back(callback(n));
            if state.callbacks.len() > self.settings.log {
                state.callbacks.pop_front();
            }
            n
        })
    }

    /// Takes a message and brings it, or does what it was told to do with it. Returns it as it was
    /// when it was taken.
    pub(super) fn bring(self: &Arc<Self>, new: New) -> Item {
        let vendor = new.vendor;
        let words = vendor.words();
        let mut item = Item::new(new);
        let (fate, course) = self.change(|state| {
            let fate = told::next(&mut state.fates, vendor, |_| true).unwrap_or_default();
            let course = vendor.course(&fate);
            if let Some((word, code)) = course.last() {
                item.status.clone_from(word);
                item.code.clone_from(code);
            }
            state.keep(&item);
            (fate, course)
        });
        if fate.arrives() {
            self.arrive(&item, item.text.clone(), Vec::new(), None);
        }
        words.queued.clone_into(&mut item.status);
        item.code = None;
        if item.callback.is_some() {
            let (world, item) = (Arc::clone(self), item.clone());
            self.runtime.spawn(async move {
                for (word, code) in course {
                    callback::report(&world, &item.id, &word, code.as_deref()).await;
                }
            });
        }
        item
    }

    /// Takes a call; the caller rings.
    pub(super) fn take(&self, new: New) -> Item {
        let item = Item::new(new);
        self.change(|state| state.keep(&item));
        item
    }

    /// Puts something into a phone.
    pub(super) fn arrive(
        &self,
        item: &Item,
        text: String,
        pressed: Vec<String>,
        problem: Option<String>,
    ) {
        let limit = self.settings.inbox;
        self.change(|state| {
            let phone = state.phones.entry(item.to.clone()).or_default();
            phone.count += 1;
            phone.got.push_back(Heard {
                n: phone.count,
                id: item.id.clone(),
                vendor: item.vendor,
                channel: item.channel,
                from: item.from.clone(),
                text,
                pressed,
                problem,
            });
            if phone.got.len() > limit {
                phone.got.pop_front();
            }
        });
    }

    /// A message that this vendor took.
    pub(super) fn item(&self, vendor: Vendor, id: &str) -> Option<Item> {
        self.state().items.found.get(id).filter(|item| item.vendor == vendor).cloned()
    }

    /// Changes a message; as it is now.
    pub(super) fn update(&self, id: &str, update: impl FnOnce(&mut Item)) -> Option<Item> {
        self.change(|state| {
            let item = state.items.found.get_mut(id)?;
            update(item);
            Some(item.clone())
        })
    }

    /// Whether this person wants nothing from this sender.
    pub(super) fn is_stopped(&self, vendor: Vendor, from: &str, to: &str) -> bool {
        let state = self.state();
        if state.stopped.is_empty() {
            return false;
        }
        ["", from]
            .iter()
            .any(|from| state.stopped.contains(&(vendor, (*from).to_owned(), to.to_owned())))
    }

    /// Blocks messages from a number (empty: from all) to somebody, or lets them through again.
    pub(super) fn stop(&self, vendor: Vendor, from: &str, to: &str, stopped: bool) {
        let key = (vendor, from.to_owned(), to.to_owned());
        let mut state = self.state();
        if stopped {
            state.stopped.insert(key);
        } else {
            state.stopped.remove(&key);
        }
    }

    /// The reply to an earlier request with this key, and the body that it had.
    pub(super) fn repeated(&self, key: &str) -> Option<(Bytes, Reply)> {
        self.state().repeats.found.get(key).cloned()
    }

    /// Remembers a reply for repeats.
    pub(super) fn remember(&self, key: &str, body: Bytes, reply: Reply) {
        self.state().repeats.put(key, (body, reply));
    }

    /// What is wrong with the next callback.
    pub(super) fn flaw(&self, vendor: Vendor, event: Event) -> Option<Flaw> {
        let mut state = self.state();
        let fits = |flawed: &Flawed| flawed.event.is_none_or(|only| only == event);
        told::next(&mut state.flaws, vendor, fits).map(|flawed| flawed.flaw)
    }

    /// What the owner of a phone does.
    pub(super) fn habits(&self, number: &str) -> Habits {
        let state = self.state();
        let own = state.phones.get(number).and_then(|phone| phone.habits.clone());
        own.unwrap_or_else(|| state.habits.clone())
    }
}

impl State {
    fn keep(&mut self, item: &Item) {
        self.counts.entry(item.vendor).or_default().taken += 1;
        self.items.put(&item.id, item.clone());
    }
}

/// `SplitMix64`'s last step: neighbours become unlike.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
