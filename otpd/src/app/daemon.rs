//! A daemon at work: what it opens, serves, and does when it is told to end or to read again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;
use rand::RngExt;
use tokio::{
    net::UnixListener,
    task::{JoinHandle, JoinSet},
};
use tracing::{error, info, warn};

use super::{
    StartError, key,
    listeners::{Listeners, registered},
    load,
    opened::Opened,
    routes, watchdog,
};
use crate::{
    accounts::Accounts,
    audit_log,
    clock::Clock,
    config::{self, Config, Listening},
    domain::{
        audit::AuditEvent,
        challenge::{Host, Instance},
        login::Terms,
        time::DAY,
    },
    gateway::{GatewayName, callback::Keys as VendorKeys},
    http::{self, Gate, Metrics},
    ipc::{self, Backend},
    keys::Keys,
    random,
    shutdown::{self, Reloads, Shutdown},
    systemd,
    telemetry::Telemetry,
    verifier::{Doors, NextKey, Parts, Site, Verifier},
};

/// What requests and messages that are under way may still take when the daemon stops. Logins that
/// come meanwhile wait in the socket's backlog for the next run, within the module's ten seconds.
const FAREWELL: Duration = Duration::from_secs(7);

/// How a daemon ended.
pub(super) enum End {
    /// It was told to stop; the store's thread ends after the runtime.
    Stopped(std::thread::JoinHandle<()>),
    /// The store went over to another key.
    Rekeyed(Box<Config>),
}

/// This run of the daemon, among others that share its store.
#[derive(Clone, Copy)]
struct Run {
    instance: Instance,
    /// None where it has its store alone.
    host: Option<Host>,
}

/// A daemon that works.
pub(super) struct Daemon {
    path: PathBuf,
    config: Config,
    keys: Keys,
    run: Run,
    verifier: Arc<Verifier>,
    clock: Clock,
    metrics: Metrics,
    listeners: Listeners,
    /// What of it is bound, for as long as the daemon runs.
    bound: Listening,
    gate: Option<Arc<Gate>>,
    /// What serves HTTP: its ports are free for the next run once it has ended.
    web: JoinSet<()>,
    store: std::thread::JoinHandle<()>,
}

impl Daemon {
    /// Opens what the configuration names; it lets people in where these doors are open.
    pub(super) fn start(path: &Path, config: Config, doors: &Doors) -> Result<Self, StartError> {
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let keys = key::of_store(&config)?;
        let instance = Instance(random::system().random());
        let metrics = Metrics::default();
        let counted = metrics.clone();
        let sink = move |event: &AuditEvent| {
            audit_log::write(event);
            counted.note(event);
        };
        let Opened { store, reader, thread, clock, host, keys } =
            Opened::open(&config, &keys, Arc::new(sink))?;
        let listeners = Listeners::bind(config.http.as_ref());
        let bound = listeners.bound();
        let run = Run { instance, host };
        let site = site(&config, bound, &keys, run, &metrics)?;
        let verifier = Verifier::new(Parts {
            store,
            reader,
            accounts: Accounts::start()?,
            directory: Accounts::start()?,
            clock: clock.clone(),
            keys: keys.clone(),
            zone: TimeZone::system(),
            site,
            machine: config::host_name(),
            next_key: {
                let path = config.server.key_file.clone();
                let key_file = path.clone();
                NextKey { key_file, read: Arc::new(move || key::next(&path)) }
            },
            doors: doors.clone(),
        });
        Ok(Self {
            path: path.into(),
            config,
            keys,
            run,
            verifier,
            clock,
            metrics,
            listeners,
            bound,
            gate: None,
            web: JoinSet::new(),
            store: thread,
        })
    }

    /// Begins anew by the rules that held: whoever waits at a prompt notices no more of it than of a
    /// restart.
    pub(super) async fn again(
        path: &Path,
        config: Config,
        doors: &Doors,
    ) -> Result<Self, StartError> {
        info!("the keys of the database are others now; otpd begins anew with them");
        let (path, doors) = (path.to_owned(), doors.clone());
        let started = tokio::task::spawn_blocking(move || Self::start(&path, config, &doors));
        // Without what a panic said, which may quote a secret.
        started.await.unwrap_or_else(|error| Err(StartError::Thread(error.into())))
    }

    /// Serves until `stop`, or until the store went over to another key.
    pub(super) async fn serve(
        mut self,
        listener: &UnixListener,
        telemetry: &Telemetry,
        reloads: &mut Reloads,
        mut stopping: Shutdown,
    ) -> End {
        // What is begun here ends with this run of the daemon, which may not be the process's last.
        let (enough, stop) = shutdown::channel();
        self.verifier.look_for_import().await;
        self.verifier.look_for_people().await;
        let host = &self.config.message.host;
        info!(host, version = env!("CARGO_PKG_VERSION"), "ready");
        systemd::notify_ready("answers logins");
        let verifier = Arc::clone(&self.verifier);
        let mut tasks = JoinSet::new();
        tasks.spawn(told("sends lost codes again", async move { verifier.recover_lost().await }));
        let verifier = Arc::clone(&self.verifier);
        tasks.spawn(told("looks after the store", async move { verifier.look_after().await }));
        let verifier = Arc::clone(&self.verifier);
        tasks.spawn(told("follows an import", async move { verifier.follow_import().await }));
        let verifier = Arc::clone(&self.verifier);
        tasks.spawn(watchdog::feed(move || {
            let verifier = Arc::clone(&verifier);
            async move { verifier.store_answers().await }
        }));
        let (verifier, until) = (Arc::clone(&self.verifier), stop.clone());
        let seen = async move { verifier.be_seen(until).await };
        let seen = tokio::spawn(told("tells the other hosts of this one", seen));
        let acting = self.listen(&stop);
        let backend = Backend::Working(Arc::clone(&self.verifier));
        let mut served = std::pin::pin!(ipc::serve(listener, backend, stop.clone()));
        let rekeyed = self.verifier.rekeyed().clone();
        let (mut ended, mut again) = (false, false);
        loop {
            tokio::select! {
                () = stopping.requested() => {
                    systemd::notify_stopping();
                    break;
                }
                () = rekeyed.happens() => {
                    again = true;
                    break;
                }
                () = reloads.next() => self.reload(telemetry),
                () = &mut served => {
                    systemd::notify_stopping();
                    ended = true;
                    break;
                }
            }
        }
        enough.pull();
        // With the gate goes the last way in; what came through it was answered with a yes.
        self.gate = None;
        // What was handed to a vendor is waited for, so that the next run need not send it again.
        let farewell = async {
            if !ended {
                served.await;
            }
            if let Some(acting) = acting {
                let _ = acting.await;
            }
            self.verifier.drained().await;
            while self.web.join_next().await.is_some() {}
            if !ended {
                let _ = seen.await;
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            warn!("not everything that was under way ended; the next run goes on with it");
        }
        self.verifier.farewell();
        if again { End::Rekeyed(Box::new(self.config)) } else { End::Stopped(self.store) }
    }

    /// Starts what serves HTTP; the task that acts on what vendors tell.
    fn listen(&mut self, stop: &Shutdown) -> Option<JoinHandle<()>> {
        let mut acting = None;
        let listeners = std::mem::take(&mut self.listeners);
        if let Some(listener) = listeners.public.and_then(registered) {
            let public = public_of(&self.config);
            let (verifier, clock) = (Arc::clone(&self.verifier), self.clock.clone());
            let (gate, notices) = Gate::new(verifier, clock, self.metrics.clone(), public);
            let act = notices.act(Arc::clone(&self.verifier));
            acting = Some(tokio::spawn(told("acts on what vendors tell", act)));
            let router = http::public(Arc::clone(&gate));
            self.web.spawn(http::serve(listener, router, gate.limits(), stop.clone()));
            self.gate = Some(gate);
        }
        if let Some(listener) = listeners.admin.and_then(registered) {
            let router = http::admin(Arc::clone(&self.verifier), self.metrics.clone());
            self.web.spawn(http::serve(listener, router, http::Limits::default(), stop.clone()));
        }
        acting
    }

    /// Reads the configuration again; a wrong one changes nothing.
    fn reload(&mut self, telemetry: &Telemetry) {
        systemd::notify_reloading();
        match self.take_over(telemetry) {
            Ok(()) => {
                info!("the configuration was read again");
                systemd::notify_ready("answers logins");
            }
            Err(why) => {
                why.to_string().lines().for_each(|line| error!("{line}"));
                error!("the configuration is wrong; the one before stays");
                systemd::notify_ready("answers logins by the configuration before");
            }
        }
    }

    fn take_over(&mut self, telemetry: &Telemetry) -> Result<(), StartError> {
        let mut config = load(&self.path)?;
        for table in self.config.needs_restart(&config, self.bound) {
            warn!(table, "a change here is taken over at a restart only");
        }
        // What needs a restart stays as it is, so that a further reload says so again.
        config.server = self.config.server.clone();
        config.store = self.config.store.clone();
        config.log.format = self.config.log.format;
        let site = site(&config, self.bound, &self.keys, self.run, &self.metrics)?;
        for warning in &config.warnings {
            warn!("{warning}");
        }
        if let Err(error) = telemetry.set_level(config.log.level) {
            warn!(%error, "the log keeps its level");
        }
        self.verifier.replace_site(site);
        if let Some(gate) = &self.gate {
            gate.replace_public(public_of(&config));
        }
        self.config = config;
        Ok(())
    }
}

/// Does something beside the logins. If it panics they go on, and an operator has to be told at once
/// what is not done any more: nobody would miss it for days.
async fn told(what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let mut task = JoinSet::new();
    task.spawn(work);
    if let Some(Err(error)) = task.join_next().await
        && error.is_panic()
    {
        let remedy = "systemctl restart otpd";
        error!(task = what, remedy, "a task of the daemon panicked, and is not done any more");
    }
}

/// What vendors are told, and what they prove themselves by.
fn public_of(config: &Config) -> http::Public {
    let public = config.http.as_ref().and_then(|http| http.public.as_ref());
    let keys = config.gateways.iter();
    let keys =
        keys.filter_map(|(name, settings)| Some((name.clone(), VendorKeys::of(name, settings)?)));
    http::Public {
        url: public.map(|public| public.url.clone()).unwrap_or_default(),
        keys: keys.collect(),
        trusted_proxies: public.map(|public| public.trusted_proxies.clone()).unwrap_or_default(),
    }
}

/// The rules for logins that the configuration makes.
///
/// While nobody listens for vendors, for want of a port or of a restart, they are not told to come
/// by, and no call is made that would have them come.
fn site(
    config: &Config,
    bound: Listening,
    keys: &Keys,
    run: Run,
    metrics: &Metrics,
) -> Result<Site, StartError> {
    let delivery = &config.delivery;
    let voice = config.callers(bound);
    if voice.len() < delivery.voice.len() {
        let without = delivery.voice.iter().filter(|name| !voice.contains(name));
        let without = without.map(|name| name.0.as_str()).collect::<Vec<_>>().join(", ");
        warn!(
            gateways = without,
            "no call goes through these, for nothing listens at http.listen; see that its port is \
             free, and restart"
        );
    }
    let mut routes = routes(config, &voice)?.counted(metrics.tally());
    let public = config.public(bound).map(|_| public_of(config));
    if let Some(public) = &public {
        let reports = public.keys.iter();
        let report = |(name, keys): (&GatewayName, &VendorKeys)| {
            (name.clone(), keys.report_url(&public.url, name))
        };
        routes = routes.reporting(reports.map(report).collect());
    }
    let public_url = public.map(|public| public.url.as_str().into());
    let terms = Terms {
        unenrolled: config.policy.unenrolled,
        rules: config.code,
        limits: config.limits,
        countries: delivery.countries.clone(),
        shared_sources: config.shared_sources.clone(),
        voice: routes.has_voice(),
        issuer: Verifier::issuer(keys, run.instance, run.host),
    };
    Ok(Site {
        policy: config.policy.clone(),
        terms: Arc::new(terms),
        message: config.message.clone(),
        delivery: delivery.clone(),
        routes: Arc::new(routes),
        public_url,
        admin_group: config.server.admin_group.clone(),
        keep_audit: DAY * u32::from(config.log.audit_days),
    })
}
