//! Three hosts, a server and its standby, each a machine of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use otpd_tests::{
    daemon::{Daemon, Place, program},
    machines::{Cut, Machine, Network},
    postgres::{Server, certify},
    wall::Wall,
};
use tempfile::TempDir;

/// How many hosts there are.
pub(super) const HOSTS: usize = 3;

/// A host: its machine, and what its daemon has there.
pub(super) struct Host {
    daemon: Option<Daemon>,
    pub(super) place: Place,
    wall: Wall,
    machine: Machine,
}

impl Host {
    /// Its daemon, among the accounts of this file.
    fn command(&self, passwd: &Path) -> Command {
        let mut words = self.machine.words();
        words
            .extend(["unshare", "--mount", "--propagation", "private", "sh", "-c"].map(Into::into));
        words.push("mount --bind \"$0\" /etc/passwd && exec \"$@\"".to_owned());
        words.push(passwd.display().to_string());
        words.extend(self.wall.words());
        let (first, rest) = words.split_first().expect("a command");
        let mut command = Command::new(first);
        command.args(rest).arg(program()).arg("--config").arg(self.place.config());
        command
    }

    fn start(&mut self, passwd: &Path) {
        self.daemon = Some(self.place.run(self.command(passwd)));
    }

    pub(super) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Where the messages arrive that it sends.
    pub(super) fn texts(&self) -> PathBuf {
        self.place.file("texts")
    }
}

/// A server and its machine.
struct Node {
    server: Server,
    machine: Machine,
}

/// Whether a commit waits for the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    Alone,
    WithStandby,
}

/// All of it.
pub(super) struct Fleet {
    pub(super) hosts: [Host; HOSTS],
    nodes: [Node; 2],
    /// Which of the servers takes changes.
    primary: usize,
    network: Network,
    passwd: PathBuf,
    /// Certificates and accounts.
    _folder: TempDir,
}

impl Fleet {
    /// Starts it with these accounts, of which nobody is enrolled.
    pub(super) fn start(accounts: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let passwd = folder.path().join("passwd");
        fs::write(&passwd, among(accounts)).expect("a file");
        let mut network = Network::start();
        let machines = ["db1", "db2"].map(|name| network.join(name));
        let names = machines.each_ref().map(|machine| format!("IP:{}", machine.address()));
        // Good since long ago: a host whose clock is slow judges it too.
        let past = Place::empty();
        let past = (Wall::new(&past), past);
        past.0.set(-3 * 24 * 3600);
        let authority = certify(folder.path(), &names.join(","), &past.0.words());
        let addresses = machines.each_ref().map(|machine| machine.address().to_owned());

        let [first, second] = machines;
        let mut server = Server::start();
        server.stop();
        server.certify(folder.path());
        server.let_in(DOORS);
        let first = Node { server, machine: first };
        let first = first.go(Commits::Alone, &addresses[1]);
        let second = Node { server: first.server.copy(), machine: second };
        let second = second.go(Commits::WithStandby, &addresses[0]);

        let url = format!("postgres://otpd@{}:5432,{}:5432/otpd", addresses[0], addresses[1]);
        let hosts = ["web1", "web2", "web3"].map(|name| {
            let place = Place::empty();
            let texts = place.file("texts");
            place.configure(&format!("{}{}", place.basics(), delivery(&texts)));
            let more = format!("{url}\"\nca-file = \"{}", authority.display());
            place.keep_at(&more);
            place.keep("otpd.key", "0123456789abcdef0123456789abcdef");
            let (wall, machine) = (Wall::new(&place), network.join(name));
            Host { daemon: None, place, wall, machine }
        });
        let mut fleet =
            Self { hosts, nodes: [first, second], primary: 0, network, passwd, _folder: folder };
        fleet.follow();
        for host in &mut fleet.hosts {
            host.start(&fleet.passwd);
        }
        fleet
    }

    fn nodes(&self) -> (&Node, &Node) {
        (&self.nodes[self.primary], &self.nodes[1 - self.primary])
    }

    /// Has commits wait for the standby from now on.
    fn follow(&self) {
        let (primary, standby) = self.nodes();
        primary.set(Commits::WithStandby, standby.machine.address());
        primary.server.execute("postgres", "SELECT pg_reload_conf()");
        self.followed();
    }

    /// Waits until the standby has all.
    pub(super) fn followed(&self) {
        let (primary, _) = self.nodes();
        primary.server.wait_until(
            "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync')",
        );
    }

    /// What the primary answers.
    pub(super) fn sql(&self, statement: &str) -> String {
        self.nodes().0.server.sql("otpd", statement)
    }

    /// Kills the primary with all its processes.
    pub(super) fn crash(&mut self) {
        self.nodes[self.primary].server.crash();
    }

    /// Starts the primary that was killed.
    pub(super) fn restart(&mut self) {
        self.nodes[self.primary].server.go();
    }

    /// Makes the standby the primary. What was it is one no more, whatever it thinks.
    pub(super) fn promote(&mut self) {
        let (primary, standby) = self.nodes();
        standby.set(Commits::Alone, primary.machine.address());
        standby.server.execute("postgres", "SELECT pg_reload_conf()");
        standby.server.promote();
        self.primary = 1 - self.primary;
    }

    /// Makes a standby anew where the old primary was, if that still runs.
    pub(super) fn rebuild(&mut self) {
        let address = self.nodes[self.primary].machine.address().to_owned();
        let copy = self.nodes[self.primary].server.copy();
        let old = &mut self.nodes[1 - self.primary];
        old.server.crash();
        old.server = copy;
        old.server.run_on(old.machine.words());
        old.set(Commits::WithStandby, &address);
        old.server.go();
        self.follow();
    }

    /// Cuts a host off from both servers.
    pub(super) fn cut_off(&self, host: usize, cut: Cut) {
        for node in [0, 1] {
            self.cut_from(host, node, cut);
        }
    }

    pub(super) fn heal_host(&self, host: usize) {
        for node in [0, 1] {
            self.network.heal(&self.hosts[host].machine, &self.nodes[node].machine);
        }
    }

    /// Splits the network: the primary and one host on one side, the others with the standby.
    pub(super) fn split(&self, host: usize, cut: Cut) {
        self.cut_from(host, 1 - self.primary, cut);
        for other in (0..HOSTS).filter(|other| *other != host) {
            self.cut_from(other, self.primary, cut);
        }
        self.cut_standby(cut);
    }

    /// The end of a split by [`Self::split`], after [`Self::promote`].
    pub(super) fn unite(&self, host: usize) {
        self.network.heal(&self.hosts[host].machine, &self.nodes[self.primary].machine);
        for other in (0..HOSTS).filter(|other| *other != host) {
            let old = &self.nodes[1 - self.primary].machine;
            self.network.heal(&self.hosts[other].machine, old);
        }
        self.heal_standby();
    }

    fn cut_from(&self, host: usize, node: usize, cut: Cut) {
        self.network.cut(&self.hosts[host].machine, &self.nodes[node].machine, cut);
    }

    pub(super) fn cut_standby(&self, cut: Cut) {
        self.network.cut(&self.nodes[0].machine, &self.nodes[1].machine, cut);
    }

    pub(super) fn heal_standby(&self) {
        self.network.heal(&self.nodes[0].machine, &self.nodes[1].machine);
    }

    /// Sets a host's clock so many seconds off.
    pub(super) fn step(&self, host: usize, seconds: i64) {
        self.hosts[host].wall.set(seconds);
    }

    /// Kills a host's daemon.
    pub(super) fn kill(&mut self, host: usize) {
        if let Some(daemon) = self.hosts[host].daemon.take() {
            daemon.kill();
        }
    }

    pub(super) fn start_daemon(&mut self, host: usize) {
        self.hosts[host].start(&self.passwd);
    }
}

impl Node {
    fn set(&self, commits: Commits, other: &str) {
        let standbys = match commits {
            Commits::Alone => "",
            Commits::WithStandby => "*",
        };
        self.server.set(&format!(
            "listen_addresses = '{}'
             ssl = on
             synchronous_standby_names = '{standbys}'
             wal_sender_timeout = 5s
             wal_receiver_timeout = 5s
             wal_retrieve_retry_interval = 200ms
             primary_conninfo = 'host={other} port=5432 user=postgres connect_timeout=5'",
            self.machine.address(),
        ));
    }

    fn go(mut self, commits: Commits, other: &str) -> Self {
        self.set(commits, other);
        self.server.run_on(self.machine.words());
        self.server.go();
        self
    }
}

/// Who may enter a server.
const DOORS: &str = "local all all trust
local replication postgres trust
hostssl otpd otpd 10.77.0.0/16 trust
host replication postgres 10.77.0.0/16 trust
";

/// The accounts of a host.
fn among(accounts: &[String]) -> String {
    let rows =
        (30_000..).zip(accounts).map(|(uid, name)| format!("{name}:x:{uid}:100::/:/bin/false\n"));
    // PostgreSQL's own and root's stay.
    let own = fs::read_to_string("/etc/passwd").expect("accounts");
    std::iter::once(own).chain(rows).collect()
}

/// Messages are lines of a file: they arrive wherever the links are cut. A code lives for as short as
/// it may.
fn delivery(texts: &Path) -> String {
    format!(
        r#"
[code]
life-seconds = 60

[delivery]
countries = ["US"]
sms = ["texts"]
allow-file-gateway = true
accept-timeout-seconds = 6

[gateway.texts]
kind = "file"
path = "{}"
"#,
        texts.display()
    )
}
