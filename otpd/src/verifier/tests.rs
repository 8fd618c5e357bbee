//! The use cases over a real store, with gateways that do as they are told.

mod backup;
mod follow;
mod logins;
mod moving;
mod notice;
mod numbers;
mod sequences;
mod stand_ins;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use otp_proto::{Secret, login::Verdict};
use tokio::sync::{mpsc, oneshot};

use super::{Attendance, Claim, Doors, EnrollRequest, Parts, Site, Verifier};
use crate::{
    accounts::{Accounts, Identity},
    clock::{Clock, Readings},
    config::{DEFAULT_TEXT, Delivery, Message as Text, MessageTemplate},
    domain::{
        audit::{AuditEvent, Event},
        budget::Limits,
        challenge::{Channel, CodeRules, Instance},
        login::{Progress, Terms, Typed},
        passcode::ChallengeToken,
        policy::{Policy, SharedSources, Unenrolled},
        records::{Decided, Records},
        time::{DAY, HOUR, Timestamp},
    },
    gateway::{
        Asking, Gateway, GatewayName, Message, MessageId, Outcome, Sending, Status,
        VendorMessageId, route::Routes,
    },
    keys::{Keys, MasterKey},
    store::{Reader, Scope, Sqlite, Store},
};

/// A message at a vendor, which waits for the test to say what becomes of it.
struct Handed {
    gateway: &'static str,
    id: MessageId,
    text: String,
    settle: oneshot::Sender<Outcome>,
}

/// A vendor that is asked after a message, which waits for the test to say how far that is.
struct Asked {
    gateway: &'static str,
    id: String,
    tell: oneshot::Sender<Status>,
}

struct Scripted {
    name: &'static str,
    handed: mpsc::UnboundedSender<Handed>,
    asked: mpsc::UnboundedSender<Asked>,
    mute: Arc<AtomicBool>,
}

impl Gateway for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn supports(&self, _: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let (settle, settled) = oneshot::channel();
        let text = message.text.to_string();
        let handed = Handed { gateway: self.name, id: message.id, text, settle };
        self.handed.send(handed).expect("the test is there");
        Box::pin(async move { settled.await.expect("the test settles it") })
    }

    fn status<'a>(&'a self, _: &'a Message, id: &'a VendorMessageId) -> Option<Asking<'a>> {
        if self.mute.load(Ordering::Relaxed) {
            return None;
        }
        Some(Box::pin(async move {
            let (tell, told) = oneshot::channel();
            let asked = Asked { gateway: self.name, id: id.0.clone(), tell };
            self.asked.send(asked).map_err(|_| ()).expect("the test is there");
            told.await.expect("the test tells")
        }))
    }
}

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A daemon without a socket.
pub(crate) struct House {
    pub(crate) verifier: Arc<Verifier>,
    vendors: mpsc::UnboundedReceiver<Handed>,
    asked: mpsc::UnboundedReceiver<Asked>,
    /// Whether vendors cannot be asked.
    mute: Arc<AtomicBool>,
    audit: Arc<Mutex<Vec<AuditEvent>>>,
    now: Arc<Mutex<Timestamp>>,
    pub(crate) root: Identity,
    dir: tempfile::TempDir,
}

fn accepted() -> Outcome {
    Outcome::Accepted { vendor_id: Some(VendorMessageId("id-1".into())) }
}

fn code(text: &str) -> String {
    text.split(' ').next().expect("the text begins with the code").to_owned()
}

/// The default rules for messages by these gateways, in this order.
fn site(keys: &Keys, instance: Instance, routes: Routes, order: &[GatewayName]) -> Site {
    let terms = Terms {
        unenrolled: Unenrolled::Deny,
        rules: CodeRules::default(),
        limits: Limits::default(),
        countries: BTreeSet::from(["US".parse().expect("a country")]),
        shared_sources: SharedSources::default(),
        voice: false,
        issuer: Verifier::issuer(keys, instance, None),
    };
    let template = MessageTemplate::parse(DEFAULT_TEXT, "web01").expect("the default");
    Site {
        policy: Policy::default(),
        terms: Arc::new(terms),
        message: Text { template, host: "web01".into() },
        delivery: Delivery {
            countries: BTreeSet::from(["US".parse().expect("a country")]),
            default_country: None,
            sms: order.to_vec(),
            voice: Vec::new(),
            accept_timeout: Duration::from_secs(4),
            allow_file_gateway: false,
            voice_without_key_press: false,
        },
        routes: Arc::new(routes),
        public_url: None,
        admin_group: "otpd-admin".into(),
        keep_audit: 400 * DAY,
    }
}

impl House {
    /// With root's number entered and proved.
    async fn new() -> Self {
        let mut house = Self::empty().await;
        let text = house.enroll().await;
        let proved = house.verifier.verify(&house.root, Typed::new(&code(&text)), 0).await;
        proved.expect("the right code");
        house
    }

    pub(crate) async fn empty() -> Self {
        Self::open(tempfile::tempdir().expect("a directory"), Instance(1)).await
    }

    /// All that was written down.
    pub(crate) async fn written(&self) -> Vec<Event> {
        // What was decided before is written down before this is.
        let nothing = |records: &Records, _| Decided {
            records: records.clone(),
            audit: Vec::new(),
            answer: (),
        };
        let scope = Scope::Account(self.root.account.clone());
        self.verifier.store.transact(scope, nothing).await.expect("a commit");
        self.audit.lock().unwrap().iter().map(|event| event.event.clone()).collect()
    }

    /// Makes the store fail where it reads logins, and work again.
    pub(crate) fn fail_to_read(&self, fail: bool) {
        self.hide("login", fail);
    }

    /// Makes the store fail where it reads a table, and work again.
    fn hide(&self, table: &str, hide: bool) {
        let db = rusqlite::Connection::open(self.dir.path().join("otpd.db")).expect("the database");
        let (from, to) = if hide { (table, "gone") } else { ("gone", table) };
        db.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).expect("renamed");
    }

    /// As after a crash: everything but the database is new.
    pub(crate) async fn crash(self) -> Self {
        Self::open(self.dir, Instance(2)).await
    }

    /// One whose wall clock has left the time since boot by an hour and more.
    pub(crate) async fn in_doubt() -> Self {
        let wall = Arc::new(Mutex::new(NOW));
        let read = Arc::clone(&wall);
        let readings = move || Readings { wall: *read.lock().unwrap(), uptime: DAY };
        let clock = Clock::from_readings(None, None, readings);
        let dir = tempfile::tempdir().expect("a directory");
        let house = Self::open_at(dir, Instance(1), Arc::default(), clock).await;
        *wall.lock().unwrap() = NOW.after(2 * HOUR);
        house
    }

    async fn open(dir: tempfile::TempDir, instance: Instance) -> Self {
        let now = Arc::new(Mutex::new(NOW));
        let read = Arc::clone(&now);
        let clock = Clock::from_fn(move || *read.lock().unwrap());
        Self::open_at(dir, instance, now, clock).await
    }

    async fn open_at(
        dir: tempfile::TempDir,
        instance: Instance,
        now: Arc<Mutex<Timestamp>>,
        clock: Clock,
    ) -> Self {
        let keys = MasterKey::from_bytes([1; 32]).derive();
        let path = dir.path().join("otpd.db");
        let sqlite = Sqlite::open(&path, keys.clone()).expect("a database");
        let reader = Reader::sqlite(&path, keys.clone()).expect("the same");
        let audit = Arc::<Mutex<Vec<AuditEvent>>>::default();
        let events = Arc::clone(&audit);
        let sink = Arc::new(move |event: &AuditEvent| events.lock().unwrap().push(event.clone()));
        let (store, _) = Store::start(sqlite, clock.clone(), sink).expect("a thread");
        let (handed, vendors) = mpsc::unbounded_channel();
        let (asking, asked) = mpsc::unbounded_channel();
        let mute = Arc::<AtomicBool>::default();
        let names = ["first", "second"];
        let gateways = names.map(|name| {
            let (handed, asked, mute) = (handed.clone(), asking.clone(), Arc::clone(&mute));
            let gateway: Box<dyn Gateway> = Box::new(Scripted { name, handed, asked, mute });
            (GatewayName(name.into()), gateway)
        });
        let order = names.map(|name| GatewayName(name.into()));
        let routes = Routes::new(gateways.into(), &order, &[]).expect("both exist");
        let site = site(&keys, instance, routes, &order);
        let accounts = Accounts::start().expect("a thread");
        let root = accounts.by_uid(0).await.expect("NSS").expect("root");
        let zone = TimeZone::UTC;
        let directory = accounts.clone();
        let machine = "web1".to_owned();
        let parts = Parts {
            store,
            reader,
            accounts,
            directory,
            clock,
            keys,
            zone,
            site,
            machine,
            next_key: super::NextKey {
                key_file: "/nowhere/otpd.key".into(),
                read: Arc::new(|| Ok(None)),
            },
            doors: Doors::default(),
        };
        Self { verifier: Verifier::new(parts), vendors, asked, mute, audit, now, root, dir }
    }

    /// The vendor takes the next message; its text.
    async fn accept(&mut self) -> String {
        self.settle(accepted()).await
    }

    async fn settle(&mut self, outcome: Outcome) -> String {
        let handed = self.vendors.recv().await.expect("a message");
        handed.settle.send(outcome).expect("the gateway waits");
        handed.text
    }

    fn claim() -> Claim {
        Claim {
            user: "root".into(),
            service: "sshd".into(),
            by_key: true,
            connection: Some("203.0.113.9 50000 192.0.2.1 22 4711".into()),
        }
    }

    /// A login whose code a vendor took; its prompt and the code.
    async fn begin(&mut self) -> (ChallengeToken, String, String) {
        let verifier = Arc::clone(&self.verifier);
        let (begun, text) = tokio::join!(verifier.begin(Self::claim()), self.accept());
        let (token, step) = begun;
        (token.expect("a challenge"), step.prompt.expect("a prompt").text, code(&text))
    }

    /// An administrator registers root's number, and a vendor takes the proof's message; its text.
    async fn enroll(&mut self) -> String {
        let phone = Secret::new("+12025550142".into());
        let request = EnrollRequest { phone, channel: None, replace: false };
        let (verifier, root) = (Arc::clone(&self.verifier), self.root.clone());
        let (enrolled, text) = tokio::join!(verifier.enroll(&root, request, 0), self.accept());
        let (_, placed) = enrolled.expect("a good number");
        assert_eq!(placed.progress, Progress::Sent);
        text
    }

    async fn answer(&self, token: ChallengeToken, typed: &str) -> Option<Verdict> {
        let step = self.verifier.answer(token, Typed::new(typed)).await;
        step.expect("a known challenge").verdict
    }
}

/// The same rules with other gateways.
pub(crate) fn site_with(before: &Site, routes: Routes) -> Site {
    Site {
        policy: before.policy.clone(),
        terms: Arc::clone(&before.terms),
        message: before.message.clone(),
        delivery: before.delivery.clone(),
        routes: Arc::new(routes),
        public_url: before.public_url.clone(),
        admin_group: before.admin_group.clone(),
        keep_audit: before.keep_audit,
    }
}
