//! One run of the daemon after another over one database, with a clock and a vendor that do as they are
//! told.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::yield_now,
};

use super::super::{NOW, site};
use crate::{
    accounts::{Accounts, Identity},
    clock::Clock,
    domain::{
        audit::{AuditEvent, Event},
        challenge::{Channel, Host as HostId, Instance},
        login::Terms,
        passcode::ChallengeToken,
        time::Timestamp,
    },
    gateway::{Gateway, GatewayName, Message, MessageId, Outcome, Sending, route::Routes},
    keys::{Keys, MasterKey},
    postgres_server::Server,
    store::{self, Postgres, PostgresSettings, Reader, Sqlite, Store},
    verifier::{Doors, NextKey, Parts, Site, Verifier, deliver::message_id},
};

/// What the vendor does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Takes,
    Refuses,
    /// It may have taken it: a time-out, or a connection that broke.
    Unclear,
    /// It does not answer before the daemon ends.
    Silent,
}

/// A message with a code, as it came to the vendor.
pub(super) struct Text {
    id: MessageId,
    pub(super) code: String,
    pub(super) mood: Mood,
}

#[derive(Default)]
struct Desk {
    mood: Option<Mood>,
    texts: Vec<Text>,
    unanswered: Vec<oneshot::Sender<Outcome>>,
}

#[derive(Clone, Default)]
struct Vendor(Arc<Mutex<Desk>>);

impl Gateway for Vendor {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn supports(&self, _: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let mut desk = self.0.lock().unwrap();
        let mood = desk.mood.unwrap_or(Mood::Takes);
        if let Some(code) = message.code.as_deref().cloned() {
            desk.texts.push(Text { id: message.id, code, mood });
        }
        // Each has a name of its own: one that comes again takes the place of the message before.
        let id = message.id.name();
        match mood {
            Mood::Takes => Box::pin(async { Outcome::Accepted { vendor_id: Some(id) } }),
            Mood::Refuses => Box::pin(async { Outcome::Misconfigured("401".into()) }),
            Mood::Unclear => Box::pin(async { Outcome::Unknown("timeout".into()) }),
            Mood::Silent => {
                let (settle, settled) = oneshot::channel();
                desk.unanswered.push(settle);
                Box::pin(async move { settled.await.unwrap_or(Outcome::Unknown("cut".into())) })
            }
        }
    }
}

/// What keeps what the daemon knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    Sqlite,
    Postgres,
}

/// The host as it is told from others.
const ID: HostId = HostId([1; 16]);

/// One run of the daemon.
struct Run {
    verifier: Arc<Verifier>,
    /// Also the engine's: what it wrote down is there when whoever asked has the answer, and no step
    /// waits for another thread to wake up.
    runtime: Runtime,
}

/// The host with everything on it.
pub(super) struct Host {
    dir: tempfile::TempDir,
    /// Where the database is, if not in the folder.
    server: Option<Server>,
    keys: Keys,
    accounts: Accounts,
    now: Arc<Mutex<Timestamp>>,
    audit: Arc<Mutex<Vec<AuditEvent>>>,
    vendor: Vendor,
    instance: u32,
    run: Option<Run>,
    /// Those whose logins are tried.
    pub(super) people: Vec<Identity>,
}

/// Accounts that every machine has.
const PEOPLE: [&str; 3] = ["root", "daemon", "bin"];

impl Host {
    pub(super) fn new(keeper: Keeper) -> Self {
        // In memory, where there is such a place: what is tried here is not the disk.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let accounts = Accounts::start().expect("a thread");
        let mut host = Self {
            dir: dir.expect("a directory"),
            server: (keeper == Keeper::Postgres).then(Server::start),
            keys: MasterKey::from_bytes([1; 32]).derive(),
            accounts,
            now: Arc::new(Mutex::new(NOW)),
            audit: Arc::default(),
            vendor: Vendor::default(),
            instance: 0,
            run: None,
            people: Vec::new(),
        };
        host.restart();
        for name in PEOPLE {
            let found = host.serve(|verifier| async move {
                verifier.directory().by_name(name.to_owned()).await.expect("NSS")
            });
            host.people.push(found.expect("an account that every machine has"));
        }
        host
    }

    /// As after a crash: what was on its way is lost, everything but the database is new.
    pub(super) fn restart(&mut self) {
        self.run = None;
        self.vendor.0.lock().unwrap().unanswered.clear();
        self.instance += 1;
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let now = Arc::clone(&self.now);
        let clock = Clock::from_fn(move || *now.lock().unwrap());
        let (store, reader) = self.open(&runtime, &clock);
        let guard = runtime.enter();
        let (name, vendor) = (GatewayName("vendor".into()), self.vendor.clone());
        let gateways = [(name.clone(), Box::new(vendor) as Box<dyn Gateway>)];
        let order = [name];
        let routes = Routes::new(gateways.into(), &order, &order).expect("it exists");
        let instance = Instance(self.instance);
        let mut site: Site = site(&self.keys, instance, routes, &order);
        site.delivery.voice = order.to_vec();
        let host = self.server.as_ref().map(|_| ID);
        let issuer = Verifier::issuer(&self.keys, instance, host);
        site.terms = Arc::new(Terms { voice: true, issuer, ..(*site.terms).clone() });
        // Long enough for a vendor that answers at once; one that does not is not worth a wait.
        site.delivery.accept_timeout = Duration::from_millis(2);
        let verifier = Verifier::new(Parts {
            store,
            reader,
            accounts: self.accounts.clone(),
            directory: self.accounts.clone(),
            clock,
            keys: self.keys.clone(),
            zone: TimeZone::UTC,
            site,
            machine: "web1".to_owned(),
            next_key: NextKey { key_file: "/nowhere/otpd.key".into(), read: Arc::new(|| Ok(None)) },
            doors: Doors::default(),
        });
        drop(guard);
        self.run = Some(Run { verifier, runtime });
    }

    /// The database, for a run of the daemon.
    fn open(&self, runtime: &Runtime, clock: &Clock) -> (Store, Reader) {
        let (keys, events) = (self.keys.clone(), Arc::clone(&self.audit));
        let sink = Arc::new(move |event: &AuditEvent| events.lock().unwrap().push(event.clone()));
        let Some(server) = &self.server else {
            let path = self.dir.path().join("otpd.db");
            let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
            let reader = Reader::sqlite(&path, keys).expect("the same");
            let (store, engine) = Store::over(sqlite, clock.clone(), sink);
            runtime.spawn(engine);
            return (store, reader);
        };
        // What an earlier run had under way arrives, or it does not.
        server.wait_until_left();
        let (folder, port) = (server.folder().to_owned(), server.port());
        let settings = PostgresSettings {
            servers: vec![store::Server::Socket { folder, port }],
            user: "otpd".to_owned(),
            database: "otpd".to_owned(),
            password: None,
            ca_file: None,
        };
        let site = store::Site { host: ID, name: "web1".to_owned(), state: None };
        let postgres = Postgres::open(settings, keys, site).expect("a database");
        let reader = Reader::postgres(&postgres).expect("a thread");
        let (store, engine) = Store::over(postgres, clock.clone(), sink);
        runtime.spawn(engine);
        (store, reader)
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(super) fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap() = now;
    }

    pub(super) fn is(&self, mood: Mood) {
        self.vendor.0.lock().unwrap().mood = Some(mood);
    }

    fn run(&self) -> &Run {
        self.run.as_ref().expect("a daemon runs")
    }

    /// Has the daemon do something.
    pub(super) fn serve<F: Future>(&self, what: impl FnOnce(Arc<Verifier>) -> F) -> F::Output {
        let run = self.run();
        run.runtime.block_on(what(Arc::clone(&run.verifier)))
    }

    /// Waits until the messages that were ordered for these logins are handed over, and recorded where
    /// the vendor answers.
    pub(super) fn settle(&self, tokens: &[ChallengeToken]) {
        let run = self.run();
        let in_flight = &run.verifier.courier.in_flight;
        let ordered = tokens.iter().copied().filter(|token| self.was_ordered(*token));
        let under_way = ordered.filter(|token| in_flight.holds(*token));
        let waited = under_way.map(|token| (token, self.id(token))).collect::<Vec<_>>();
        if waited.is_empty() {
            return;
        }
        run.runtime.block_on(async {
            while waited
                .iter()
                .any(|(token, id)| in_flight.holds(*token) && !self.is_silent_about(*id))
            {
                yield_now().await;
            }
        });
    }

    fn was_ordered(&self, token: ChallengeToken) -> bool {
        let issued = |event: &AuditEvent| {
            event.request == Some(token.request())
                && matches!(event.event, Event::CodeIssued { .. })
        };
        self.audit.lock().unwrap().iter().any(issued)
    }

    /// Waits until the vendor has answered about whatever is on its way.
    pub(super) fn drained(&self) {
        let run = self.run();
        run.runtime.block_on(run.verifier.drained());
    }

    /// Waits until the vendor was asked.
    pub(super) fn heard(&self) {
        self.run().runtime.block_on(async {
            while self.vendor.0.lock().unwrap().texts.is_empty() {
                yield_now().await;
            }
        });
    }

    fn is_silent_about(&self, id: MessageId) -> bool {
        let desk = self.vendor.0.lock().unwrap();
        desk.texts.iter().any(|text| text.id == id && text.mood == Mood::Silent)
    }

    fn id(&self, token: ChallengeToken) -> MessageId {
        message_id(token, self.now(), 0)
    }

    /// The message with a code of this login that was ordered now, if the vendor was asked.
    pub(super) fn text(&self, token: ChallengeToken) -> Option<Text> {
        let (mut desk, id) = (self.vendor.0.lock().unwrap(), self.id(token));
        let place = desk.texts.iter().position(|text| text.id == id)?;
        Some(desk.texts.remove(place))
    }

    /// The message that came last.
    pub(super) fn last_text(&self) -> Option<Text> {
        self.vendor.0.lock().unwrap().texts.pop()
    }

    /// What was written down since the last call.
    pub(super) fn events(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut *self.audit.lock().unwrap())
    }

    pub(super) fn forget_texts(&self) {
        self.vendor.0.lock().unwrap().texts.clear();
    }
}
