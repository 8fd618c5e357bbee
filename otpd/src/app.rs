//! The composition root: the only place that knows which adapters there are.

mod broken;
mod examined;
mod listeners;
mod opened;
mod watchdog;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;
use nix::sys::stat::{Mode, umask};
use rand::RngExt;
use tokio::net::UnixListener;
use tracing::{error, info, warn};

use self::{
    listeners::{Listeners, registered},
    opened::Opened,
};
use crate::{
    accounts::Accounts,
    audit_log,
    clock::Clock,
    config::{self, Config, ConfigErrors, Listening},
    domain::{
        audit::AuditEvent,
        challenge::{Host, Instance},
        login::Terms,
        time::DAY,
    },
    gateway::{
        GatewayName,
        callback::Keys as VendorKeys,
        route::{self, Routes},
    },
    http::{self, Gate, Metrics},
    ipc::{self, Backend},
    keys::{KeyError, Keys, MasterKey},
    random,
    shutdown::{self, Reloads, Shutdown},
    store,
    systemd::{self, ListenError},
    telemetry::{Telemetry, TelemetryError},
    verifier::{Parts, Site, Verifier},
};

/// Why the daemon cannot do its work; it then answers every login with `unavailable`.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// There is no key, or not the right one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no key for a database that needs one.
    #[error(
        "{key}: no such file, but {database} was made with a key; restore the key from your backup, \
         then systemctl restart otpd",
        key = key.display()
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The database that needs it.
        database: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The store that hosts share cannot be used.
    #[error(transparent)]
    Postgres(#[from] store::PostgresError),
    /// A gateway cannot be set up.
    #[error(transparent)]
    Gateway(#[from] route::OpenError),
    /// The kernel does not say how long it has been running.
    #[error("cannot read CLOCK_BOOTTIME: {0}; see SystemCallFilter= of the unit")]
    Clock(#[source] std::io::Error),
    /// It is not known which machine this is.
    #[error(
        "/etc/machine-id: {0}; hosts that share a database are told apart by it: run \
         systemd-machine-id-setup"
    )]
    MachineId(#[source] std::io::Error),
    /// What is only there where hosts share a database was asked for.
    #[error(
        "store.url names no PostgreSQL database; otpd brings its own file up to date by itself"
    )]
    NotShared,
    /// The configuration cannot be read as the service reads it.
    #[error("cannot become the user otpd: {0}; run it as root or as that user")]
    User(#[source] std::io::Error),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It has no socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// It cannot log.
    #[error(transparent)]
    Log(#[from] TelemetryError),
    /// The system fails.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// What requests and messages that are under way may still take when the daemon stops. Logins that
/// come meanwhile wait in the socket's backlog for the next run, within the module's ten seconds.
const FAREWELL: Duration = Duration::from_secs(7);
/// Reads and checks the configuration, as it is read at the start.
///
/// # Errors
/// All that is wrong with it.
fn load(path: &Path) -> Result<Config, ConfigErrors> {
    config::load(path, systemd::credentials_directory().as_deref(), &config::host_name())
}

/// Checks the configuration as the start does, gateways and all, and that the store can be worked with;
/// its warnings. The service's own is
/// read as the service reads it, by root too, which is another user from then on.
///
/// # Errors
/// All that is wrong with it.
pub fn check(path: &Path) -> Result<Vec<String>, StartError> {
    if path == Path::new(config::DEFAULT_PATH) {
        systemd::become_service_user().map_err(StartError::User)?;
    }
    let credentials = systemd::credentials_directory().or_else(systemd::credentials_of_service);
    let config = config::load(path, credentials.as_deref(), &config::host_name())?;
    routes(&config, &config.delivery.voice)?;
    let mut warnings = config.warnings.clone();
    match &config.store {
        config::Store::Sqlite(database) => {
            let key_file = &config.server.key_file;
            examined::key_and_database(key_file, database, credentials.as_deref())?;
        }
        config::Store::Postgres(settings) => {
            opened::machine_id()?;
            match store::postgres_key_check(settings) {
                Ok(Some(check)) => fits(&config, credentials.as_deref(), &check)?,
                Ok(None) => {}
                // It comes back, and nothing is wrong with the configuration until then.
                Err(error) if error.is_away() => {
                    warnings.push(format!("{error}; nobody can log in with a code until then"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(warnings)
}

/// Refuses keys that are not those of the database, as far as who checks may read them.
fn fits(config: &Config, credentials: Option<&Path>, check: &[u8]) -> Result<(), StartError> {
    let path = &config.server.key_file;
    let keys = [(path.clone(), "otpd.key"), (MasterKey::next_to(path), "otpd.key.next")];
    let keys = keys.iter().filter_map(|(path, name)| {
        let credential = credentials.map(|folder| folder.join(name));
        let credential = credential.and_then(|path| MasterKey::read(&path).ok().flatten());
        credential.or_else(|| MasterKey::read(path).ok().flatten())
    });
    let keys = keys.map(|master| master.derive()).collect::<Vec<_>>();
    match keys.first() {
        Some(key) if keys.iter().all(|key| key.check != check) => {
            let place = opened::name(&config.store);
            Err(store::PostgresError::WrongKey { place, found: key.id }.into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the master key where the configuration wants it.
///
/// # Errors
/// When `[server]` is wrong, or the file exists or cannot be written.
pub fn make_key(path: &Path) -> Result<PathBuf, StartError> {
    let key_file = config::key_file_of(path)?;
    MasterKey::make(&key_file)?;
    Ok(key_file)
}

/// Makes the schema of a PostgreSQL database, or brings it up to date, as a role that owns it; which
/// database that is.
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub fn migrate(path: &Path, role: &str, password: Option<&Path>) -> Result<String, StartError> {
    let mut config = load(path)?;
    let config::Store::Postgres(settings) = &mut config.store else {
        return Err(StartError::NotShared);
    };
    role.clone_into(&mut settings.user);
    settings.password = password.map(config::password).transpose()?;
    let settings = settings.clone();
    let keys = keys(&config)?;
    store::migrate_postgres(&settings, &keys)?;
    Ok(settings.to_string())
}

/// Makes the key that is to come after the one in use.
///
/// # Errors
/// When `[server]` is wrong, or the file exists or cannot be written.
pub fn make_next_key(path: &Path) -> Result<PathBuf, StartError> {
    let next = MasterKey::next_to(&config::key_file_of(path)?);
    MasterKey::make(&next)?;
    Ok(next)
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot even listen.
pub fn run(path: &Path) -> Result<(), RunError> {
    // Files that otpd makes are its own; the socket's mode is set apart.
    umask(Mode::from_bits_truncate(0o077));
    let core_dumps = systemd::forbid_core_dumps();
    let config = load(path);
    let log = config.as_ref().map_or(config::Log::default(), |config| config.log);
    let telemetry = Telemetry::start(log)?;
    if let Err(error) = core_dumps {
        warn!(%error, "core dumps cannot be forbidden; a crash may leave secrets on disk");
    }
    let socket = match &config {
        Ok(config) => config.server.socket.clone(),
        Err(_) => config::socket_of(path),
    };
    let listener = systemd::listen(&socket)?;
    let started = config.map_err(StartError::from).and_then(|config| start(path, config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = runtime.block_on(async {
        let (trigger, stop) = shutdown::channel();
        let mut reloads = shutdown::catch_signals(trigger)?;
        let listener = UnixListener::from_std(listener)?;
        let mut started = started;
        Ok::<_, std::io::Error>(loop {
            let daemon = match started {
                Ok(daemon) => Some(daemon),
                Err(error) => {
                    broken::serve(path, &listener, &mut reloads, stop.clone(), error).await
                }
            };
            let Some(daemon) = daemon else { break None };
            match daemon.serve(&listener, &telemetry, &mut reloads, stop.clone()).await {
                End::Stopped(store) => break Some(store),
                End::Rekeyed(config) => started = again(path, *config).await,
            }
        })
    })?;
    // With the runtime go the last tasks that hold the store; then its thread ends, and closes the
    // database in order. A lookup of a vendor's name that hangs is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if store.is_some_and(|thread| thread.join().is_err()) {
        error!("the store's thread panicked");
    }
    info!("stopped");
    Ok(())
}

/// How a daemon ended.
enum End {
    /// It was told to stop; the store's thread ends after the runtime.
    Stopped(std::thread::JoinHandle<()>),
    /// The store went over to another key.
    Rekeyed(Box<Config>),
}

/// Begins anew by the rules that held: whoever waits at a prompt notices no more of it than of a
/// restart.
async fn again(path: &Path, config: Config) -> Result<Daemon, StartError> {
    info!("the keys of the database are others now; otpd begins anew with them");
    let path = path.to_owned();
    let started = tokio::task::spawn_blocking(move || start(&path, config));
    started.await.unwrap_or_else(|error| Err(StartError::Thread(std::io::Error::other(error))))
}

/// This run of the daemon, among others that share its store.
#[derive(Clone, Copy)]
struct Run {
    instance: Instance,
    /// None where it has its store alone.
    host: Option<Host>,
}

/// A daemon that works.
struct Daemon {
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
    acting: Option<tokio::task::JoinHandle<()>>,
    seen: Option<tokio::task::JoinHandle<()>>,
    /// What serves HTTP: its ports are free for the next run once it has ended.
    web: tokio::task::JoinSet<()>,
    store: std::thread::JoinHandle<()>,
}

/// Opens what the configuration names.
fn start(path: &Path, config: Config) -> Result<Daemon, StartError> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let keys = keys(&config)?;
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
            Box::new(move || next_key(&path))
        },
    });
    Ok(Daemon {
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
        acting: None,
        seen: None,
        web: tokio::task::JoinSet::new(),
        store: thread,
    })
}

impl Daemon {
    /// Serves until `stop`, or until the store went over to another key.
    async fn serve(
        mut self,
        listener: &UnixListener,
        telemetry: &Telemetry,
        reloads: &mut Reloads,
        mut stopping: Shutdown,
    ) -> End {
        // What is begun here ends with this run of the daemon, which may not be the process's last.
        let (enough, stop) = shutdown::channel();
        self.verifier.look_for_import().await;
        let host = &self.config.message.host;
        info!(host, version = env!("CARGO_PKG_VERSION"), "ready");
        systemd::notify_ready("answers logins");
        let verifier = Arc::clone(&self.verifier);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { verifier.recover_lost().await });
        let verifier = Arc::clone(&self.verifier);
        tasks.spawn(async move { verifier.look_after().await });
        let verifier = Arc::clone(&self.verifier);
        tasks.spawn(watchdog::feed(move || {
            let verifier = Arc::clone(&verifier);
            async move { verifier.store_answers().await }
        }));
        let (verifier, until) = (Arc::clone(&self.verifier), stop.clone());
        self.seen = Some(tokio::spawn(async move { verifier.be_seen(until).await }));
        self.listen(&stop);
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
        let acting = self.acting.take();
        // What was handed to a vendor is waited for, so that the next run need not send it again.
        let farewell = async {
            if !ended {
                served.await;
            }
            if let Some(acting) = acting
                && acting.await.is_err()
            {
                error!("what acts on vendors' notices panicked");
            }
            self.verifier.drained().await;
            while self.web.join_next().await.is_some() {}
            if let Some(seen) = self.seen.take()
                && !ended
                && seen.await.is_err()
            {
                error!("what tells the other hosts of this one panicked");
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            warn!("not everything that was under way ended; the next run goes on with it");
        }
        self.verifier.farewell();
        if again { End::Rekeyed(Box::new(self.config)) } else { End::Stopped(self.store) }
    }

    /// Starts what serves HTTP.
    fn listen(&mut self, stop: &Shutdown) {
        let listeners = std::mem::take(&mut self.listeners);
        if let Some(listener) = listeners.public.and_then(registered) {
            let public = public_of(&self.config);
            let limits = http::Limits::new(&public.trusted_proxies);
            let (verifier, clock) = (Arc::clone(&self.verifier), self.clock.clone());
            let (gate, notices) = Gate::new(verifier, clock, self.metrics.clone(), public);
            self.acting = Some(tokio::spawn(notices.act(Arc::clone(&self.verifier))));
            let router = http::public(Arc::clone(&gate));
            self.web.spawn(http::serve(listener, router, limits, stop.clone()));
            self.gate = Some(gate);
        }
        if let Some(listener) = listeners.admin.and_then(registered) {
            let router = http::admin(Arc::clone(&self.verifier), self.metrics.clone());
            self.web.spawn(http::serve(listener, router, http::Limits::default(), stop.clone()));
        }
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

/// The key that the store belongs to, made when there is none and nothing is stored that would need
/// another one.
fn keys(config: &Config) -> Result<Keys, StartError> {
    let path = &config.server.key_file;
    let key = read_key(path, "otpd.key")?;
    if let Some(mode) = MasterKey::exposed(path) {
        // A credential is a copy, and says nothing about who reads what it was copied from.
        let (path, mode) = (path.display(), format_args!("{mode:04o}"));
        warn!(%path, %mode, "everybody may read the master key: chmod 0600");
    }
    // With the next key at hand it is the store that says which of them it belongs to.
    let next = next_key(path).unwrap_or_else(|error| {
        warn!(%error, "the next key cannot be read");
        None
    });
    if let Some(next) = next.map(|next| next.derive())
        && opened::key_check(&config.store)?.as_deref() == Some(next.check.as_slice())
    {
        return Ok(next);
    }
    if let Some(master) = key {
        return Ok(master.derive());
    }
    if opened::key_check(&config.store)?.is_some() {
        let database = opened::name(&config.store);
        return Err(StartError::KeyMissing { key: path.clone(), database });
    }
    let master = MasterKey::make(path)?;
    info!(path = %path.display(), "made the master key; keep a copy where the database is not");
    Ok(master.derive())
}

/// A key by the name of its credential, or else in its file.
fn read_key(path: &Path, credential: &str) -> Result<Option<MasterKey>, KeyError> {
    let credential = systemd::credentials_directory().map(|folder| folder.join(credential));
    if let Some(credential) = credential
        && let Some(master) = MasterKey::read(&credential)?
    {
        return Ok(Some(master));
    }
    MasterKey::read(path)
}

/// The key that is to come after the one in this file.
fn next_key(path: &Path) -> Result<Option<MasterKey>, KeyError> {
    read_key(&MasterKey::next_to(path), "otpd.key.next")
}

fn routes(config: &Config, voice: &[GatewayName]) -> Result<Routes, route::OpenError> {
    route::open(&config.gateways, &config.delivery.sms, voice)
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
