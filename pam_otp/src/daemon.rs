//! The daemon at the other end of the socket, and whether it is really the daemon.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use otp_proto::{CallError, Client, Method, client::Deadline, login::Cancel};

use crate::sys;

/// The uid that the kernel shows for any user it has no number for; nobody in particular.
const OVERFLOW_UID: u32 = 65534;

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// Nobody listens: what `failmode` is about. Whoever logs in cannot bring it about.
    Absent(String),
    /// Somebody may listen, but cannot be reached or is not known to be the daemon.
    Unusable(String),
}

/// What the login needs of the daemon; a trait so that a test can script it.
pub(crate) trait Daemon {
    /// Connects, in place of a connection that there may be.
    ///
    /// # Errors
    /// Why not, with the remedy.
    fn connect(&mut self, deadline: Deadline) -> Result<(), ConnectError>;

    /// Calls and waits for the reply.
    ///
    /// # Errors
    /// [`CallError`].
    fn call<M: Method>(&mut self, call: &M, deadline: Deadline) -> Result<M::Reply, CallError>;

    /// Gives the challenge up, without waiting. Where it does not arrive, the daemon notices that
    /// the connection ended.
    fn cancel(&mut self, cancel: &Cancel, deadline: Deadline);
}

/// The daemon behind a Unix socket.
pub(crate) struct Otpd {
    socket: PathBuf,
    client: Option<Client>,
}

impl Otpd {
    /// Not connected yet.
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), client: None }
    }

    fn fault(&self, error: &io::Error) -> ConnectError {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::NotFound => ConnectError::Absent(format!(
                "there is no socket {socket}; start otpd (systemctl start otpd.socket)"
            )),
            io::ErrorKind::ConnectionRefused => ConnectError::Absent(format!(
                "nobody listens on {socket}; start otpd (systemctl start otpd.socket)"
            )),
            // Also where this process was stopped meanwhile, which is for whoever started it to do.
            io::ErrorKind::TimedOut => ConnectError::Unusable(format!(
                "nobody accepts on {socket}; see what otpd is doing (journalctl -u otpd)"
            )),
            _ => ConnectError::Unusable(format!(
                "cannot connect to {socket}: {error}; check its mode and SELinux or AppArmor"
            )),
        }
    }

    /// The owner of the socket, if it stands where only root can have put it.
    fn owner(&self) -> Result<u32, ConnectError> {
        let socket = self.socket.display();
        let directory = self.socket.parent().unwrap_or_else(|| Path::new("/"));
        let place = fs::symlink_metadata(directory).map_err(|error| self.fault(&error))?;
        if !place.is_dir() || place.uid() != 0 || place.mode() & 0o022 != 0 {
            return Err(ConnectError::Unusable(format!(
                "the directory of {socket} must be root's, not a link, and writable by nobody else \
                 (chown root, chmod go-w)"
            )));
        }
        let file = fs::symlink_metadata(&self.socket).map_err(|error| self.fault(&error))?;
        if !file.file_type().is_socket() {
            return Err(ConnectError::Unusable(format!("{socket} is not a socket")));
        }
        Ok(file.uid())
    }
}

impl Daemon for Otpd {
    fn connect(&mut self, deadline: Deadline) -> Result<(), ConnectError> {
        self.client = None;
        let owner = self.owner()?;
        let client = Client::connect(&self.socket, deadline).map_err(|error| self.fault(&error))?;
        let peer = sys::peer_uid(client.stream()).map_err(|error| self.fault(&error))?;
        if !is_daemon(peer, owner) {
            return Err(ConnectError::Unusable(format!(
                "{} is served by uid {peer}, which is neither root nor its owner, uid {owner}; \
                 stop that process and start otpd",
                self.socket.display()
            )));
        }
        self.client = Some(client);
        Ok(())
    }

    fn call<M: Method>(&mut self, call: &M, deadline: Deadline) -> Result<M::Reply, CallError> {
        match &mut self.client {
            Some(client) => client.call(call, deadline),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    fn cancel(&mut self, cancel: &Cancel, deadline: Deadline) {
        if let Some(client) = &mut self.client {
            // No second attempt: the daemon cancels by itself when the connection ends.
            let _sent = client.send_oneway(cancel, deadline);
        }
    }
}

/// Root is trusted, and whoever root gave the socket to. Under socket activation the kernel names
/// systemd, which made it listen.
const fn is_daemon(peer: u32, owner: u32) -> bool {
    peer == 0 || (peer == owner && peer != OVERFLOW_UID)
}

#[cfg(test)]
mod tests {
    use std::{fs, io, os::unix::fs::PermissionsExt, os::unix::net::UnixListener, time::Duration};

    use otp_proto::client::Deadline;

    use super::{ConnectError, Daemon, Otpd, is_daemon};

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(5))
    }

    #[test]
    fn only_root_and_the_owner_are_the_daemon() {
        let cases = [
            ("root, socket of root", 0, 0, true),
            ("root, socket of otpd", 0, 990, true),
            ("otpd, its own socket", 990, 990, true),
            ("somebody, socket of root", 1000, 0, false),
            ("somebody, socket of otpd", 1000, 990, false),
            ("nobody in particular", 65534, 65534, false),
        ];
        for (name, peer, owner, expected) in cases {
            assert_eq!(is_daemon(peer, owner), expected, "{name}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        let _listener = UnixListener::bind(&path).expect("bind");
        Otpd::at(&path).connect(soon()).expect("root's, 0700");
        for mode in [0o770, 0o707, 0o1777] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).expect("chmod");
            let error = Otpd::at(&path).connect(soon()).expect_err("writable");
            assert!(matches!(error, ConnectError::Unusable(_)), "{mode:o}: {error:?}");
        }
    }

    #[test]
    fn what_is_no_socket_of_roots_is_told_from_what_is_absent() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").expect("file");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("link");
        drop(UnixListener::bind(at("left")).expect("bind"));
        let cases = [
            ("a file", "file", false),
            ("a link", "link", false),
            ("a socket nobody serves", "left", true),
            ("nothing", "nothing", true),
            ("no directory", "no/where", true),
        ];
        for (name, file, absent) in cases {
            let error = Otpd::at(&at(file)).connect(soon()).expect_err(name);
            assert_eq!(matches!(error, ConnectError::Absent(_)), absent, "{name}: {error:?}");
        }
    }

    #[test]
    fn only_what_failmode_is_about_counts_as_absent() {
        let cases = [
            (io::ErrorKind::NotFound, true),
            (io::ErrorKind::ConnectionRefused, true),
            (io::ErrorKind::TimedOut, false),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::InvalidInput, false),
            (io::ErrorKind::OutOfMemory, false),
        ];
        for (kind, absent) in cases {
            let fault = Otpd::at("/s".as_ref()).fault(&kind.into());
            assert_eq!(matches!(fault, ConnectError::Absent(_)), absent, "{kind:?}");
        }
    }
}
