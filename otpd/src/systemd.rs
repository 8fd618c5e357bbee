//! What systemd gives the daemon and wants to hear, and what the daemon does for itself without it.

use std::{
    env, fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use listenfd::ListenFd;
use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
    },
    unistd::{User, geteuid, initgroups, setgid, setuid},
};
use sd_notify::NotifyState;

/// Why there is no socket to serve. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// systemd passed something else than one listening stream socket.
    #[error("systemd passed {0}, expected one listening stream socket; restore otpd.socket")]
    Passed(String),
    /// Somebody answers there.
    #[error("{0}: another process serves this socket; stop it, or set server.socket")]
    InUse(PathBuf),
    /// Something that we did not make is in the socket's place.
    #[error("{path}: {what}; remove it, or set server.socket")]
    Foreign {
        /// The socket's path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Others could put a socket of their own in the place of ours.
    #[error("{0}: others than its owner can write to this directory; run: chmod go-w {0}")]
    OpenDirectory(PathBuf),
    /// The directory is somebody else's.
    #[error("{0}: the directory belongs to another user; run: chown root {0}")]
    ForeignDirectory(PathBuf),
    /// The system refused.
    #[error("{path}: {what}: {source}")]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// The socket to serve: the one that systemd passed, else one at `path`. It does not block.
///
/// To be called before there are threads: taking systemd's variables out of the environment is
/// safe only then.
///
/// # Errors
/// [`ListenError`].
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    match activated()? {
        Some(listener) => {
            let address = listener.local_addr().ok();
            let passed = address.as_ref().and_then(|address| address.as_pathname());
            if passed != Some(path) {
                tracing::warn!(
                    socket = %path.display(),
                    passed = ?passed,
                    "otpd.socket has another path than server.socket: the former is served"
                );
            }
            Ok(listener)
        }
        None => bind(path),
    }
}

/// The socket that systemd passed, if it passed one to this process.
fn activated() -> Result<Option<UnixListener>, ListenError> {
    // systemd's own variable, which says whom the sockets are for. listenfd would also take them
    // without it.
    let ours = env::var_os("LISTEN_PID").is_some_and(|pid| *pid == *std::process::id().to_string());
    if !ours {
        return Ok(None);
    }
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        number => return Err(ListenError::Passed(format!("{number} sockets"))),
    }
    let listener = passed
        .take_unix_listener(0)
        .map_err(|error| ListenError::Passed(error.to_string()))?
        .ok_or_else(|| ListenError::Passed("nothing".to_owned()))?;
    // With Accept=yes it would be a connection, and only a connection has a peer.
    let stream = UnixStream::from(OwnedFd::from(listener));
    if stream.peer_addr().is_ok() {
        return Err(ListenError::Passed("a connection (Accept=yes)".to_owned()));
    }
    let listener = UnixListener::from(OwnedFd::from(stream));
    listener.set_nonblocking(true).map_err(|error| ListenError::Passed(error.to_string()))?;
    Ok(Some(listener))
}

/// Makes a socket that everybody may connect to; who may call what is decided by the caller's uid.
fn bind(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |what| {
        let path = path.to_owned();
        move |source| ListenError::Io { path, what, source }
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    clear(path)?;
    let listener = UnixListener::bind(path).map_err(failed("cannot listen"))?;
    // The umask took from the mode, and only connecting is asked for.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
        .map_err(failed("cannot let everybody connect"))?;
    listener.set_nonblocking(true).map_err(failed("cannot listen without blocking"))?;
    Ok(listener)
}

/// Makes the socket's directory, or checks that nobody else can put anything into it.
fn make_folder(folder: &Path) -> Result<(), ListenError> {
    let failed = |what| {
        let path = folder.to_owned();
        move |source| ListenError::Io { path, what, source }
    };
    if !folder.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(failed("cannot make the directory"))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(failed("cannot open the directory to everybody"))?;
    }
    let metadata = fs::metadata(folder).map_err(failed("cannot look at the directory"))?;
    let own = nix::unistd::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != own {
        return Err(ListenError::ForeignDirectory(folder.to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(ListenError::OpenDirectory(folder.to_owned()));
    }
    Ok(())
}

/// Removes the socket of a daemon that is gone; refuses to touch anything else.
fn clear(path: &Path) -> Result<(), ListenError> {
    let failed = |what| {
        let path = path.to_owned();
        move |source| ListenError::Io { path, what, source }
    };
    let foreign = |what| Err(ListenError::Foreign { path: path.to_owned(), what });
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed("cannot look at the socket"))?,
    };
    if !metadata.file_type().is_socket() {
        return foreign("something that is no socket is in its place");
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return foreign("a socket of another user is in its place");
    }
    // A stream's connect would wait while the queue of a busy daemon is full. A datagram's never
    // waits: the kernel refuses it when nobody has the socket, and calls it the wrong type when
    // somebody has.
    let probe = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
    match probe {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("cannot remove the stale socket"))
        }
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}

/// systemd's directory of credentials, when it passed any.
#[must_use]
pub fn credentials_directory() -> Option<PathBuf> {
    // Not a setting: systemd chooses the path for each start, and there is no other way to know it.
    let path = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?);
    path.is_absolute().then_some(path)
}

/// Where the service keeps its state, if systemd has given it such a place.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    // Several are apart by colons; otpd.service has one.
    let all = env::var_os("STATE_DIRECTORY")?;
    let first = env::split_paths(&all).next()?;
    first.is_absolute().then_some(first)
}

/// The credentials of the service that runs, as whoever checks the configuration beside it finds them.
#[must_use]
pub fn credentials_of_service() -> Option<PathBuf> {
    let path = PathBuf::from("/run/credentials/otpd.service");
    path.is_dir().then_some(path)
}

/// Goes on as the user of `otpd.service`, where there is one and root asks: that root can read a file
/// says nothing about the service. Cannot be undone. Whether this is whom the daemon runs as from then on:
/// without systemd root starts it, and nobody else may have the database.
///
/// # Errors
/// When the system refuses.
pub fn become_service_user() -> io::Result<bool> {
    let Some(user) = User::from_name("otpd")? else { return Ok(false) };
    if geteuid().is_root() {
        initgroups(c"otpd", user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    Ok(geteuid() == user.uid && Path::new("/run/systemd/system").is_dir())
}

/// Tells systemd that logins are served; `status` is what `systemctl status` shows.
pub fn notify_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Tells systemd that the configuration is read again; [`notify_ready`] must follow.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "cannot read the clock for systemd"),
    }
}

/// How long systemd waits for the next [`notify_alive`] before it restarts the daemon; `None` when
/// it does not wait at all.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Tells systemd's watchdog that the daemon does its work.
pub fn notify_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Tells systemd that the daemon is ending.
pub fn notify_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Without systemd it does nothing.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

/// A line feed would begin another assignment of systemd's protocol.
fn one_line(status: &str) -> String {
    status.replace(|letter: char| letter.is_control(), " ")
}

/// Keeps codes and keys out of core dumps, and out of reach of other processes of the same user.
///
/// # Errors
/// The system's refusal.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The limit does not hold where the kernel pipes dumps to a program; this does.
    Ok(prctl::set_dumpable(false)?)
}

#[cfg(test)]
mod tests;
