//! A daemon that cannot do its work: it says so to every login, until it can.

use std::{path::Path, time::Duration};

use tokio::net::UnixListener;
use tracing::error;

use super::{Daemon, StartError, load, watchdog};
use crate::{
    config::{self, Config},
    ipc::{self, Backend},
    shutdown::{self, Reloads, Shutdown},
    systemd,
    verifier::Doors,
};

/// How often a daemon that cannot open its store looks whether the cause is gone.
const RETRY: Duration = Duration::from_secs(10);
/// The same where a server is away: it may come back at any moment, and nobody logs in until then.
const RETRY_SERVER: Duration = Duration::from_secs(2);

/// Serves `unavailable`, so that every login is told at once and nothing restarts in a loop, until
/// the daemon is stopped (`None`) or the cause is gone: a reload tries again, and so does time
/// unless the configuration is at fault.
///
/// `held` is the configuration of a daemon that begins anew: it holds on until a reload brings another
/// one, as it does for a daemon that works.
pub(super) async fn serve(
    path: &Path,
    doors: &Doors,
    listener: &UnixListener,
    reloads: &mut Reloads,
    mut stop: Shutdown,
    mut why: StartError,
    mut held: Option<Config>,
) -> Option<Daemon> {
    let mut told = String::new();
    // To refuse is all it has to do now, and starting it again would mend nothing: it lives.
    let mut fed = std::pin::pin!(watchdog::feed(|| std::future::ready(true)));
    loop {
        let reason = why.to_string();
        if reason != told {
            reason.lines().for_each(|line| error!("{line}"));
            error!("logins with a code are refused until this is mended");
            told.clone_from(&reason);
        }
        systemd::notify_ready("refuses logins: see journalctl -u otpd");
        let reason = reason.into();
        let backend = Backend::Broken { host: config::host_name().into(), reason };
        let (again, enough) = shutdown::channel();
        let mut served = std::pin::pin!(ipc::serve(listener, backend, enough));
        let asked = tokio::select! {
            () = &mut served => return None,
            () = &mut fed => return None,
            () = stop.requested() => return None,
            () = reloads.next() => true,
            () = tokio::time::sleep(pause(&why)), if !matches!(why, StartError::Config(_)) => false,
        };
        if asked {
            told.clear();
            systemd::notify_reloading();
            held = held.map(|config| reloaded(path, config));
        }
        // Logins are refused meanwhile: a database server may take seconds to be found away.
        let (own, doors, config) = (path.to_owned(), doors.clone(), held.clone());
        let mut attempt = tokio::task::spawn_blocking(move || {
            let config = match config {
                Some(config) => config,
                None => load(&own)?,
            };
            Daemon::start(&own, config, &doors)
        });
        let tried = tokio::select! {
            () = &mut served => return None,
            () = &mut fed => return None,
            () = stop.requested() => return None,
            tried = &mut attempt => tried,
        };
        again.pull();
        served.await;
        match tried {
            Ok(Ok(daemon)) => return Some(daemon),
            Ok(Err(error)) => why = error,
            Err(_) => error!("an attempt to start panicked"),
        }
    }
}

/// What is read again, or where that is wrong the one before.
fn reloaded(path: &Path, before: Config) -> Config {
    load(path).unwrap_or_else(|why| {
        why.to_string().lines().for_each(|line| error!("{line}"));
        error!("the configuration is wrong; the one before stays");
        before
    })
}

fn pause(why: &StartError) -> Duration {
    match why {
        StartError::Postgres(_) => RETRY_SERVER,
        _ => RETRY,
    }
}
