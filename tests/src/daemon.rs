//! A real daemon in a directory of its own: started, killed, started again.

mod log;
mod programs;
mod settings;

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use otp_proto::{
    Secret,
    admin::{Channel, Enroll, Show, Shown, Status, StatusReply, Unlock, Verify},
};
use tempfile::TempDir;

use crate::{PATIENCE, phone::Phone, postgres::Server, wire::Wire};
use log::Log;
pub use programs::{failpoints, otpctl, program};
pub use settings::{LONG_CODES, PATIENT, hasty};

/// The group that may administer: one that a Debian account has as its first.
pub const ADMIN_GROUP: &str = "games";

/// The directory of credentials in a [`Place`], where there is one.
const CREDENTIALS: &str = "credentials";

/// What keeps what the daemon of a [`Place`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A file of the place.
    Sqlite,
    /// A server of the place's own.
    Postgres,
}

impl Keeper {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// A directory with a configuration, a key, a database and a socket. It outlives the daemons that
/// run in it.
pub struct Place {
    folder: TempDir,
    server: Option<Server>,
}

impl Place {
    /// A place whose daemon sends by `phone`.
    #[must_use]
    pub fn new(phone: &Phone) -> Self {
        let place = Self::empty();
        place.configure(&place.settings(phone));
        place
    }

    /// The same in memory, where there is such a place: what is measured there is not the disk.
    #[must_use]
    pub fn in_memory(phone: &Phone) -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { Self::empty_in(memory) } else { Self::empty() };
        place.configure(&place.settings(phone));
        place
    }

    /// One where this keeps what the daemon knows.
    #[must_use]
    pub fn kept_by(keeper: Keeper, phone: &Phone) -> Self {
        let mut place = Self::new(phone);
        if keeper == Keeper::Postgres {
            place.own(Server::start());
        }
        place
    }

    /// Has the daemon keep everything at a server that nobody else uses.
    pub fn own(&mut self, server: Server) {
        self.keep_at(&server.url());
        self.server = Some(server);
    }

    /// Has the daemon keep everything there, in a place that is configured.
    pub fn keep_at(&self, url: &str) {
        let own = format!("url = \"sqlite:{}\"", self.file("otpd.db").display());
        let text = fs::read_to_string(self.config()).expect("a configuration");
        assert!(text.contains(&own), "{text}");
        self.configure(&text.replace(&own, &format!("url = \"{url}\"")));
    }

    /// The server of the place's own, where it has one.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Waits until nothing is under way any more that a daemon had begun which is gone.
    pub fn wait_until_left(&self) {
        if let Some(server) = &self.server {
            server.wait_until_left();
        }
    }

    /// A place without a configuration.
    #[must_use]
    pub fn empty() -> Self {
        Self::empty_in(&std::env::temp_dir())
    }

    fn empty_in(folder: &Path) -> Self {
        raise_descriptors();
        let folder = tempfile::Builder::new().prefix("otpd-").tempdir_in(folder);
        let folder = folder.expect("a directory");
        // Other users connect to the socket in it; nobody but root writes there.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("a mode");
        Self { folder, server: None }
    }

    /// A configuration that works: limits are wide, and a call waits long for the vendor.
    #[must_use]
    pub fn settings(&self, phone: &Phone) -> String {
        settings::with_phone(self.folder.path(), phone)
    }

    /// The part of a configuration that says nothing about gateways; limits are wide.
    #[must_use]
    pub fn basics(&self) -> String {
        settings::basics(self.folder.path())
    }

    /// Writes the configuration.
    pub fn configure(&self, text: &str) {
        self.keep("otpd.toml", text);
    }

    /// Writes a file that only the daemon may read.
    pub fn keep(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// A file of the place.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Brings all that was committed into the database's own file, which alone is worth a copy then.
    /// No daemon may be running.
    pub fn settle(&self) {
        let script = "import sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1])\n\
                      busy = database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0]\n\
                      database.close()\n\
                      sys.exit(busy)";
        let done = Command::new("python3").args(["-c", script]).arg(self.file("otpd.db")).status();
        assert!(done.expect("python3 runs").success(), "the database is in use");
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.file("otpd.toml")
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.file("otpd.sock")
    }

    /// `otpd --config …`, to be run.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_of(program())
    }

    /// The same of another build of it.
    #[must_use]
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        let credentials = self.file(CREDENTIALS);
        if credentials.exists() {
            command.env("CREDENTIALS_DIRECTORY", credentials);
        }
        command
    }

    /// Makes the directory that daemons started from now on are given as systemd's of credentials.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        let folder = self.file(CREDENTIALS);
        fs::create_dir(&folder).expect("a directory");
        folder
    }

    /// Starts a daemon that works.
    #[must_use]
    pub fn start(&self) -> Daemon {
        self.wait_until_left();
        Daemon::spawn(self.command(), self.socket(), ": ready ")
    }

    /// Starts a daemon by this command, which ends in one of [`Self::command`]'s.
    #[must_use]
    pub fn run(&self, command: Command) -> Daemon {
        Daemon::spawn(command, self.socket(), ": ready ")
    }

    /// Starts a daemon on a host whose accounts are these rows of `/etc/passwd`.
    #[must_use]
    pub fn start_among(&self, accounts: &str) -> Daemon {
        let passwd = self.file("passwd");
        fs::write(&passwd, accounts).expect("a file");
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&passwd, readable).expect("a mode");
        let otpd = self.command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.args(["mount --bind \"$0\" /etc/passwd && exec \"$@\""]).arg(passwd);
        command.arg(otpd.get_program()).args(otpd.get_args());
        Daemon::spawn(command, self.socket(), ": ready ")
    }

    /// `otpctl` with these arguments, to be run against the place's daemon.
    #[must_use]
    pub fn otpctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(otpctl());
        command.args(arguments).arg("--socket").arg(self.socket()).stdin(Stdio::null());
        command
    }

    /// Starts a daemon that finds something wrong. It has an empty `/run` of its own, because what
    /// it cannot read in the configuration is at its default: the socket, and the journal.
    #[must_use]
    pub fn start_broken(&self) -> Daemon {
        let otpd = self.command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.args(["mount -t tmpfs -o mode=755 none /run && exec \"$@\"", "sh"]);
        command.arg(otpd.get_program()).args(otpd.get_args());
        command.envs(otpd.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Daemon::spawn(command, self.socket(), "refused until this is mended")
    }
}

/// Tests that run side by side in one process hold more than 1024 connections together.
fn raise_descriptors() {
    static RAISED: OnceLock<()> = OnceLock::new();
    RAISED.get_or_init(|| {
        let own = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--nofile=4096:", "--pid", &own]).status();
        assert!(raised.expect("prlimit runs").success(), "4096 descriptors");
    });
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Log>,
    socket: PathBuf,
}

impl Daemon {
    /// Runs `command` until it says `ready` in its log.
    #[must_use]
    pub fn spawn(command: Command, socket: PathBuf, ready: &str) -> Self {
        let daemon = Self::launch(command, socket);
        daemon.wait_for(ready);
        daemon
    }

    /// The same with one that may end before that.
    ///
    /// # Errors
    /// How it ended.
    pub fn try_spawn(command: Command, socket: PathBuf, ready: &str) -> Result<Self, ExitStatus> {
        let daemon = Self::launch(command, socket);
        if daemon.log.comes(ready, 1, PATIENCE) { Ok(daemon) } else { Err(daemon.wait()) }
    }

    fn launch(mut command: Command, socket: PathBuf) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("otpd starts");
        let log = Arc::new(Log::default());
        let (stderr, writer) = (child.stderr.take().expect("a pipe"), Arc::clone(&log));
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| writer.push(line));
            writer.close();
        });
        Self { child, log, socket }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where this daemon has a file, if it was given a `/run` of its own.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.pid()).into()
    }

    /// A new connection as root.
    #[must_use]
    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket)
    }

    /// A new connection as somebody else, made by a process of theirs. It ends with `Wire`.
    #[must_use]
    pub fn connect_as(&self, relay: &Path, uid: u32, gid: u32) -> Wire {
        let mut command = Command::new(relay);
        command.uid(uid).gid(gid);
        self.connect_by(command)
    }

    /// A new connection made by this command, which ends in the name of the relay.
    #[must_use]
    pub fn connect_by(&self, mut relay: Command) -> Wire {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let input = theirs.try_clone().expect("a descriptor");
        let mut child = relay
            .arg(&self.socket)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(input)))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .spawn()
            .expect("the relay starts");
        std::thread::spawn(move || child.wait());
        Wire::new(ours)
    }

    /// Waits for a line of the log that holds `text`, also one that is there already.
    pub fn wait_for(&self, text: &str) {
        self.log.wait_for(text);
    }

    /// Waits until so many lines of the log hold `text`.
    pub fn wait_for_count(&self, text: &str, count: usize) {
        self.log.wait_for_count(text, count);
    }

    /// Whether a line of the log comes to hold `text` within `time`, before the daemon ends.
    #[must_use]
    pub fn says_within(&self, text: &str, time: Duration) -> bool {
        self.log.comes(text, 1, time)
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "SIG{name}");
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(mut self) -> ExitStatus {
        self.log.wait_for_end();
        self.child.wait().expect("an end")
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Registers a number for `user` and proves it by the code that is sent to it.
    pub fn enroll(&self, phone: &Phone, user: &str, number: &str) {
        self.prove(user, number, Channel::Sms, || phone.next().code());
    }

    /// The same with a code that comes by another way than a [`Phone`].
    pub fn prove(&self, user: &str, number: &str, by: Channel, code: impl FnOnce() -> String) {
        let mut wire = self.connect();
        let enroll = Enroll {
            user: user.to_owned(),
            phone: Secret::new(number.to_owned()),
            channel: Some(by),
            replace: false,
        };
        wire.call(&enroll).expect("enrolled");
        let verify = Verify { user: user.to_owned(), code: Secret::new(code()) };
        wire.call(&verify).expect("verified");
    }

    /// Everything about `user`.
    #[must_use]
    pub fn show(&self, user: &str) -> Shown {
        self.connect().call(&Show { user: user.to_owned() }).expect("enrolled")
    }

    /// How it is, and its gateways.
    #[must_use]
    pub fn status(&self) -> StatusReply {
        self.connect().call(&Status {}).expect("a status")
    }

    /// Ends the limits that wrong codes brought.
    pub fn unlock(&self, user: &str) {
        self.connect().call(&Unlock { user: user.to_owned() }).expect("enrolled");
    }
}

impl Drop for Daemon {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the daemon said")]
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            for line in self.log.text().lines() {
                let _ = writeln!(log, "  {line}");
            }
            eprintln!("the daemon's log:\n{log}");
        }
    }
}
