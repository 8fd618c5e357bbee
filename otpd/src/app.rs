//! The composition root: the only place that knows which adapters there are.

mod broken;
mod daemon;
mod examined;
mod key;
mod listeners;
mod once;
mod opened;
mod watchdog;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;
use tracing::{error, info, warn};

use self::daemon::{Daemon, End};
pub use self::once::{check, make_key, make_next_key, migrate};
use crate::{
    config::{self, Config, ConfigErrors},
    gateway::{
        GatewayName,
        route::{self, Routes},
    },
    keys::KeyError,
    shutdown, store,
    systemd::{self, ListenError},
    telemetry::{Telemetry, TelemetryError},
    verifier::Doors,
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
        "{key}: no such file, but {database} was made with a key; restore the key from your backup, or \
         from {key}.old, where a rotation puts it; then systemctl restart otpd",
        key = key.display()
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The database that needs it.
        database: String,
    },
    /// There is no key at hand for a new database that is to be made by hand.
    #[error(
        "{key}: no such file, and {database} is new: it is made for one key. If systemd alone hands the \
         key to otpd, run this again while otpd.service runs, whose credentials are looked at; if other \
         hosts have the key, copy it here; if there is none yet: otpd --make-key",
        key = key.display()
    )]
    NoKeyForNew {
        /// Where the key could be.
        key: PathBuf,
        /// The database that is to be made.
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

/// Reads and checks the configuration, as it is read at the start.
///
/// # Errors
/// All that is wrong with it.
fn load(path: &Path) -> Result<Config, ConfigErrors> {
    config::load(path, systemd::credentials_directory().as_deref(), &config::host_name())
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
    let doors = Doors::default();
    let started = config.map_err(StartError::from);
    let started = started.and_then(|config| Daemon::start(path, config, &doors));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = runtime.block_on(async {
        let (trigger, stop) = shutdown::channel();
        let mut reloads = shutdown::catch_signals(trigger)?;
        let listener = UnixListener::from_std(listener)?;
        let (mut started, mut held) = (started, None);
        Ok::<_, std::io::Error>(loop {
            let daemon = match started {
                Ok(daemon) => Some(daemon),
                Err(error) => {
                    let stop = stop.clone();
                    broken::serve(path, &doors, &listener, &mut reloads, stop, error, held).await
                }
            };
            let Some(daemon) = daemon else { break None };
            match daemon.serve(&listener, &telemetry, &mut reloads, stop.clone()).await {
                End::Stopped(store) => break Some(store),
                End::Rekeyed(config) => {
                    started = Daemon::again(path, (*config).clone(), &doors).await;
                    held = Some(*config);
                }
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

fn routes(config: &Config, voice: &[GatewayName]) -> Result<Routes, route::OpenError> {
    route::open(&config.gateways, &config.delivery.sms, voice)
}
