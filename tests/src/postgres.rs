//! A PostgreSQL server of a test's own: made from a copy of one that was made once, gone with the test.
//!
//! Nothing of it is kept on the disk in earnest, so it starts in a fraction of a second. What the
//! tests of the store and those of the whole daemon need of one is here, for both.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;

/// What every server here is told; a test may add more.
const SETTINGS: &str = "
fsync = off
full_page_writes = off
synchronous_commit = on
shared_buffers = 16MB
max_connections = 60
autovacuum = off
log_min_messages = warning
listen_addresses = ''
";

/// Gives a server shared memory of its own.
const OWN_MEMORY: &str = "mount -t tmpfs none /dev/shm && exec \"$@\"";

/// Where Debian installs its versions.
const INSTALLED: &str = "/usr/lib/postgresql";

/// What a package brings for hosts with roles of few rights.
const ROLES: &str = include_str!("../../packaging/postgres/roles.sql");

/// A server, its files and its log.
pub struct Server {
    dir: TempDir,
    port: u16,
    /// What starts its program on another machine.
    machine: Vec<String>,
    /// What starts its program by another clock.
    clock: Vec<String>,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

/// Where this machine has PostgreSQL's programs, the newest.
fn programs() -> PathBuf {
    Path::new(INSTALLED).join(version()).join("bin")
}

/// The newest that is installed, as Debian calls it.
fn version() -> OsString {
    let versions = fs::read_dir(INSTALLED).expect("PostgreSQL is installed");
    let newest = versions.map(|version| version.expect("a folder").file_name()).max();
    newest.expect("a version of PostgreSQL")
}

/// A program of PostgreSQL.
fn program(name: &str) -> Command {
    as_postgres(&programs().join(name))
}

/// A program that refuses to be root's.
fn as_postgres(path: &Path) -> Command {
    lowered(Command::new(path))
}

/// A command as the user that PostgreSQL runs as.
fn lowered(command: Command) -> Command {
    // A test that is killed takes its server along.
    let lower =
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=QUIT"];
    if is_root() { behind(&lower.map(str::to_owned), command) } else { command }
}

/// A command behind one that becomes it.
fn behind(words: &[String], command: Command) -> Command {
    let Some((first, rest)) = words.split_first() else { return command };
    let mut whole = Command::new(first);
    // Its user may not be at home where the test is.
    whole.args(rest).arg(command.get_program()).args(command.get_args()).current_dir("/");
    whole
}

/// A port of this machine that nobody uses. Not one that the kernel gives to whoever wants any, as other
/// tests do meanwhile; and from another place on in each process.
fn free_port() -> u16 {
    let own = u16::try_from(std::process::id() % 10_000).expect("a small number");
    let mut ports = (0..10_000).map(|nth| 20_000 + (own + nth) % 10_000);
    ports
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").expect("a process")) == 0
}

fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::piped()).output().expect("it is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Gives a folder to the user that PostgreSQL runs as.
fn hand_over(folder: &Path) {
    if is_root() {
        run(Command::new("chown").arg("postgres:").arg(folder));
    }
}

/// The files of a server with the role and the database `otpd`, made once for all tests.
fn template() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    let target = program.ancestors().nth(3).expect("a target folder");
    let mut name = OsString::from("postgres-");
    name.push(version());
    let (lock, made) = (target.join("postgres.lock"), target.join(name));
    let lock = fs::File::create(lock).expect("a file");
    lock.lock().expect("a lock");
    if made.join("ready").exists() {
        return made;
    }
    // Half of one may be left of a run that was killed.
    let _ = fs::remove_dir_all(&made);
    // Made where its user may go, whoever's the target folder is.
    let dir = tempfile::tempdir().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    hand_over(dir.path());
    let data = dir.path().join("data");
    run(self::program("initdb")
        .args(["--no-sync", "--wal-segsize=1", "-A", "trust", "-U", "postgres"])
        .args(["--locale=C.UTF-8", "-E", "UTF8", "-D"])
        .arg(&data));
    let mut single = self::program("postgres");
    single.args(["--single", "-D"]).arg(&data).arg("postgres");
    let mut single =
        single.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it is installed");
    let statements =
        "CREATE ROLE otpd LOGIN PASSWORD 'correct horse'\nCREATE DATABASE otpd OWNER otpd\n";
    let mut input = single.stdin.take().expect("an input");
    input.write_all(statements.as_bytes()).expect("it reads");
    drop(input);
    assert!(single.wait().expect("it ends").success());
    run(Command::new("cp").arg("-a").arg(&data).arg(&made));
    fs::write(made.join("ready"), "").expect("a mark");
    made
}

impl Server {
    /// Starts one with an empty database `otpd` of the role `otpd`.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more settings, a line each.
    #[must_use]
    pub fn start_with(settings: &str) -> Self {
        Self::start_by(Vec::new(), settings)
    }

    /// The same where it goes by another clock: a command that becomes the one behind it.
    #[must_use]
    pub fn start_by(clock: Vec<String>, settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        hand_over(dir.path());
        let mut server = Self::in_folder(dir);
        server.clock = clock;
        run(Command::new("cp").arg("-a").arg(template()).arg(server.data()));
        server.set(settings);
        server.go();
        server
    }

    fn in_folder(dir: TempDir) -> Self {
        Self {
            dir,
            port: 5432,
            machine: Vec::new(),
            clock: Vec::new(),
            child: None,
            log: Arc::default(),
        }
    }

    /// From its next start on it runs on another machine: a command that becomes the one behind it.
    pub fn run_on(&mut self, machine: Vec<String>) {
        self.machine = machine;
    }

    /// The folder with its files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Its database as the configuration names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://otpd@/otpd?host={}&port={}", self.dir.path().display(), self.port)
    }

    /// The same by another role.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        self.url().replace("://otpd@", &format!("://{role}@"))
    }

    /// Makes the roles of several hosts: `otpd_owner`, `office` of administrators, and `web`, which may
    /// only log people in.
    pub fn divide(&self) {
        self.execute("otpd", ROLES);
        self.execute("otpd", "CREATE ROLE office LOGIN IN ROLE otpd_admin");
        self.execute("otpd", "CREATE ROLE web LOGIN IN ROLE otpd_login");
    }

    /// Its port, and that in the name of its socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Writes its settings anew; they hold from its next start on.
    pub fn set(&self, settings: &str) {
        let socket = format!("unix_socket_directories = '{}'\n", self.dir.path().display());
        let all = format!("{SETTINGS}{socket}port = {}\n{settings}\n", self.port);
        fs::write(self.data().join("postgresql.auto.conf"), all).expect("its settings");
    }

    /// Who may enter how, as lines of `pg_hba.conf`.
    pub fn let_in(&self, lines: &str) {
        fs::write(self.data().join("pg_hba.conf"), lines).expect("its doors");
    }

    /// Starts it, and waits until it serves.
    pub fn go(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let mut command = Command::new(programs().join("postgres"));
        command.arg("-D").arg(self.data());
        // Root alone goes to another machine; what the clock makes for itself is the server's user's.
        let mut command = lowered(behind(&self.clock, command));
        if !self.clock.is_empty() {
            // Another clock leaves its semaphores behind, of whatever user: they are in nobody's way here.
            let own =
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_MEMORY, "sh"];
            command = behind(&own.map(str::to_owned), command);
        }
        let mut command = behind(&self.machine, command);
        self.child = Some(start(&mut command, "ready to accept", &self.log));
    }

    /// Starts it again so that it listens at a free port of this machine, with more settings; which
    /// port it is.
    pub fn listen(&mut self, settings: &str) -> u16 {
        self.stop();
        self.port = free_port();
        self.set(&format!("listen_addresses = '127.0.0.1'\n{settings}"));
        self.go();
        self.port
    }

    /// Gives it the certificate `server.crt` and its key `server.key` of a folder.
    pub fn certify(&self, folder: &Path) {
        for name in ["server.crt", "server.key"] {
            let own = self.data().join(name);
            fs::copy(folder.join(name), &own).expect("a file");
            fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).expect("its mode");
            hand_over(&own);
        }
    }

    /// Ends it as a power failure would, without a word to whoever is connected.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "QUIT");
            let _ = child.wait();
        }
    }

    /// Kills every process of it at once, if it runs.
    pub fn crash(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("its processes");
        let all = || children.split_whitespace();
        // Some may be gone.
        let killed = Command::new("kill").arg("-KILL").arg(pid.to_string()).args(all()).output();
        killed.expect("kill runs");
        let _ = child.wait();
        while all().any(is_alive) {
            std::thread::yield_now();
        }
        // What it names may be another's process by now.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    /// Stops it in order; whoever is connected is told.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "INT");
            let _ = child.wait();
        }
    }

    /// What it wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// Does something as its superuser.
    pub fn execute(&self, database: &str, statement: &str) {
        let _ = self.sql(database, statement);
    }

    /// What it answers its superuser, a line a row.
    #[must_use]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        run(&mut self.psql("postgres", database, statement))
    }

    /// What it says when a role does something in `otpd`; nothing, or a warning, where it did that.
    #[must_use]
    pub fn refusal(&self, role: &str, statement: &str) -> String {
        let output = self.psql(role, "otpd", statement).output().expect("it is installed");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), !told.contains("ERROR"), "{statement}: {told}");
        told
    }

    fn psql(&self, role: &str, database: &str, statement: &str) -> Command {
        let mut command = program("psql");
        command
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", database, "-c", statement])
            .arg("-h")
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string()]);
        command
    }

    /// Waits until no otpd is connected. What one had under way that was killed is over then: its
    /// commit may have arrived before its end.
    pub fn wait_until_left(&self) {
        let connected = "SELECT FROM pg_stat_activity WHERE application_name = 'otpd'";
        self.wait_until(&format!("NOT EXISTS ({connected})"));
    }

    /// Waits until this holds; a minute and more.
    pub fn wait_until(&self, condition: &str) {
        self.execute(
            "postgres",
            &format!(
                "DO $$ BEGIN
                     FOR nth IN 1..30000 LOOP
                         IF {condition} THEN RETURN; END IF;
                         PERFORM pg_sleep(0.002);
                         PERFORM pg_stat_clear_snapshot();
                     END LOOP;
                     RAISE 'not so in time';
                 END $$"
            ),
        );
    }

    /// A server that follows this one, with files of its own.
    #[must_use]
    pub fn standby(&self) -> Self {
        let mut standby = self.copy();
        let follow = fs::read_to_string(standby.data().join("postgresql.auto.conf"));
        let follow = follow.expect("its settings");
        let follow = follow.lines().filter(|line| line.starts_with("primary_conninfo"));
        standby.set(&follow.collect::<Vec<_>>().join("\n"));
        standby.go();
        standby
    }

    /// The files of a standby of this one, which is yet to be set and started.
    #[must_use]
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        hand_over(dir.path());
        let copy = Self::in_folder(dir);
        run(program("pg_basebackup")
            .args(["-U", "postgres", "-R", "-X", "stream", "--checkpoint=fast", "-D"])
            .arg(copy.data())
            .arg("-h")
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string()]));
        copy
    }

    /// Makes a standby the primary, and waits for it.
    pub fn promote(&self) {
        self.execute("postgres", "SELECT pg_promote()");
    }
}

/// Starts a server, and waits until it says that it serves.
fn start(command: &mut Command, serves: &'static str, log: &Arc<Mutex<String>>) -> Child {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let (tell, told) = std::sync::mpsc::channel();
    let mut lines = BufReader::new(child.stderr.take().expect("a log")).lines();
    let kept = Arc::clone(log);
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if line.contains(serves) {
                let _ = tell.send(());
            }
            let mut kept = kept.lock().expect("a log");
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    assert!(told.recv().is_ok(), "it does not start: {}", log.lock().expect("a log"));
    child
}

/// Makes an authority and a certificate for these names, by this clock; returns the authority's file.
#[must_use]
pub fn certify(folder: &Path, names: &str, clock: &[String]) -> PathBuf {
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        run(behind(clock, command).current_dir(folder));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests"];
    openssl(&[&["req"], &key[..], &authority].concat());
    let request = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server"];
    openssl(&[&["req"], &key[..], &request].concat());
    fs::write(folder.join("names"), format!("subjectAltName={names}\n")).expect("a file");
    let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl(&[&sign[..], &["-CAcreateserial", "-extfile", "names", "-out", "server.crt"]].concat());
    folder.join("ca.pem")
}

/// A `PgBouncer` before a server, which hands each transaction to one of two connections.
pub struct Pooler {
    dir: TempDir,
    child: Child,
}

/// Starts one.
#[must_use]
pub fn pooler(server: &Server) -> Pooler {
    let dir = tempfile::tempdir().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    hand_over(dir.path());
    let (own, behind) = (dir.path().display(), server.folder().display());
    let settings = format!(
        "[databases]\notpd = host={behind} port={} user=otpd\n[pgbouncer]\nlisten_addr =\n\
         listen_port = 6432\nunix_socket_dir = {own}\nauth_type = any\npool_mode = transaction\n\
         default_pool_size = 2\n",
        server.port(),
    );
    let file = dir.path().join("pgbouncer.ini");
    fs::write(&file, settings).expect("its settings");
    let mut command = as_postgres(Path::new("/usr/sbin/pgbouncer"));
    let child = start(command.arg(file), "process up", &Arc::default());
    Pooler { dir, child }
}

impl Pooler {
    /// The folder of its socket, whose port is 6432.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It minds no softer one where a script has the tests run beside something else.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process holds on to anything.
fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // PID (NAME) STATE …
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn signal(child: &Child, name: &str) {
    run(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()));
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
