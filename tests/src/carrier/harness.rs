//! The stand-in as tests in Rust hold it.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
};

use tokio::sync::oneshot;

use super::{
    Vendor,
    callback::{self, Inbound},
    control,
    records::{Callback, Count, Heard, Item, Request},
    serve,
    settings::Settings,
    told::{Fate, Flawed, Habits, Order, Told},
    world::{State, World},
};
use crate::PATIENCE;

/// The vendors and the phones, on ports of their own, as long as this lives.
///
/// Everything that waits blocks its thread for at most [`PATIENCE`], and fails the test then.
pub struct Carrier {
    world: Arc<World>,
    pub(super) address: SocketAddr,
    pub(super) control: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Carrier {
    /// Starts it.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let bind = |address: SocketAddr| {
            let listener = TcpListener::bind(address).expect("a port");
            listener.set_nonblocking(true).expect("non-blocking");
            let address = listener.local_addr().expect("address");
            (listener, address)
        };
        let (listener, address) = bind(settings.listen);
        let (controller, control) = bind(settings.control);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let world = Arc::new(World::new(settings, runtime.handle().clone()));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&world);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve::serve(Arc::clone(&served), listener) => {}
                    () = control::serve(served, controller) => {}
                    // The carrier was dropped.
                    _ = stopped => {}
                }
            });
        });
        Self { world, address, control, _stop: stop }
    }

    /// The base URL of a vendor's API.
    #[must_use]
    pub fn url(&self, vendor: Vendor) -> String {
        format!("http://{}/{}", self.address, vendor.name())
    }

    /// The base URL of [`control`].
    #[must_use]
    pub fn control(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The key that Telnyx's signatures are checked with, base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.world.public_key()
    }

    /// Has a vendor misbehave.
    pub fn order(&self, order: Told<Order>) {
        self.world.state().orders.push(order);
    }

    /// Says what becomes of messages that a vendor takes, and of calls.
    pub fn fate(&self, fate: Told<Fate>) {
        self.world.state().fates.push(fate);
    }

    /// Spoils callbacks.
    pub fn flaw(&self, flaw: Told<Flawed>) {
        self.world.state().flaws.push(flaw);
    }

    /// Takes back all orders, fates and flaws, and answers what was stalled.
    pub fn behave(&self) {
        let mut state = self.world.state();
        state.orders.clear();
        state.fates.clear();
        state.flaws.clear();
        drop(state);
        self.world.release.send_modify(|times| *times += 1);
    }

    /// What the owner of a phone does with calls.
    pub fn habits(&self, number: &str, habits: Habits) {
        self.world.change(|state| {
            state.phones.entry(number.to_owned()).or_default().habits = Some(habits);
        });
    }

    /// The next that a phone gets, waiting for it; each is returned once.
    #[must_use]
    pub fn next(&self, number: &str) -> Heard {
        self.world.wait(PATIENCE, |state| unread(state, number)).expect("something arrives")
    }

    /// What a phone got and [`Self::next`] has not returned yet.
    #[must_use]
    pub fn pending(&self, number: &str) -> Option<Heard> {
        unread(&mut self.world.state(), number)
    }

    /// What a vendor was asked so far.
    #[must_use]
    pub fn requests(&self, vendor: Vendor) -> Vec<Request> {
        let state = self.world.state();
        state.requests.iter().filter(|one| one.vendor == vendor).cloned().collect()
    }

    /// The same once there are so many that were answered.
    #[must_use]
    pub fn answered(&self, vendor: Vendor, count: usize) -> Vec<Request> {
        let found = self.world.wait(PATIENCE, |state| {
            let all = state.requests.iter();
            let found = all.filter(|one| one.vendor == vendor && one.status.is_some());
            let found: Vec<_> = found.cloned().collect();
            (found.len() >= count).then_some(found)
        });
        found.expect("so many requests")
    }

    /// How often a vendor was asked.
    #[must_use]
    pub fn count(&self, vendor: Vendor) -> Count {
        self.world.state().counts.get(&vendor).copied().unwrap_or_default()
    }

    /// The callbacks of a vendor, once so many are answered or held.
    #[must_use]
    pub fn callbacks(&self, vendor: Vendor, count: usize) -> Vec<Callback> {
        let found = self.world.wait(PATIENCE, |state| {
            let all = state.callbacks.iter().filter(|one| one.vendor == vendor);
            let found: Vec<_> =
                all.filter(|one| one.held || one.answer.is_some()).cloned().collect();
            (found.len() >= count).then_some(found)
        });
        found.expect("so many callbacks")
    }

    /// Sends the bytes of a callback again, or for the first time when it was held; the status of the
    /// answer, 0 for none.
    #[must_use]
    pub fn call_back(&self, callback: &Callback) -> u16 {
        let (world, callback) = (Arc::clone(&self.world), callback.clone());
        let answer = self.run(async move { callback::deliver(&world, &callback).await });
        answer.map_or(0, |answer| answer.status)
    }

    /// A message as its vendor knows it.
    #[must_use]
    pub fn item(&self, vendor: Vendor, id: &str) -> Option<Item> {
        self.world.item(vendor, id)
    }

    /// Moves a message on, in the vendor's word, and reports it.
    pub fn status(&self, id: &str, status: &str, code: Option<&str>) {
        let world = Arc::clone(&self.world);
        let [id, status] = [id, status].map(str::to_owned);
        let code = code.map(str::to_owned);
        self.run(async move { callback::tell(&world, &id, &status, code.as_deref()).await });
    }

    /// Somebody writes to a number of the account. The status of the answer to that callback, 0 for
    /// none; `None` when the account has no address for it.
    #[must_use]
    pub fn write(&self, vendor: Vendor, from: &str, to: &str, text: &str) -> Option<u16> {
        let world = Arc::clone(&self.world);
        let [from, to, text] = [from, to, text].map(str::to_owned);
        self.run(async move { callback::write(&world, vendor, Inbound { from, to, text }).await })
    }

    /// Blocks messages from a number (empty: from all) to somebody, or lets them through again.
    pub fn stop(&self, vendor: Vendor, from: &str, to: &str, stopped: bool) {
        self.world.stop(vendor, from, to, stopped);
    }

    fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        self.world.runtime.spawn(async move {
            // The test may have ended.
            let _ = sender.send(task.await);
        });
        receiver.recv_timeout(PATIENCE).expect("done in time")
    }
}

fn unread(state: &mut State, number: &str) -> Option<Heard> {
    let phone = state.phones.get_mut(number)?;
    let heard = phone.got.iter().find(|heard| heard.n > phone.read)?.clone();
    phone.read = heard.n;
    Some(heard)
}

impl Heard {
    /// The code in a text: its first word.
    #[must_use]
    pub fn code(&self) -> String {
        let code = self.text.split(' ').next().unwrap_or_default();
        let digits = (6..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        assert!(digits, "no code at the beginning of {:?}", self.text);
        code.to_owned()
    }
}
