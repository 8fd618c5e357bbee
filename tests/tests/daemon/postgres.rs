//! Daemons of several hosts on one PostgreSQL.

#[path = "postgres/guessing.rs"]
mod guessing;
#[path = "postgres/race.rs"]
mod race;

use std::{fs, path::Path, process::Command, time::Instant};

use otp_proto::{Method, admin::Shown, login::Verdict};
use otpd_tests::{
    PATIENCE,
    daemon::{Daemon, Place},
    phone::{Phone, Vendor},
    postgres::Server,
    wire::{Refusal, is_granted, login, wrong},
};
use serde_json::Value;

use super::{check::check, people::PEOPLE};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// A host of a fleet: its place, and its name, by which it is told from the others.
pub(super) struct Host {
    pub(super) place: Place,
    name: &'static str,
}

impl Host {
    /// A host whose daemon sends by `phone` and keeps everything at `server`.
    pub(super) fn new(name: &'static str, phone: &Phone, server: &Server) -> Self {
        Self::of_role(name, phone, &server.url())
    }

    /// The same that enters its database as another role.
    pub(super) fn of_role(name: &'static str, phone: &Phone, url: &str) -> Self {
        // Messages call all of them the same; what tells them apart is the machine.
        let place = Place::new(phone);
        place.keep_at(url);
        // The same key at every host.
        place.keep("otpd.key", "0123456789abcdef0123456789abcdef");
        Self { place, name }
    }

    /// The daemon, on a machine of this name.
    pub(super) fn command(&self) -> Command {
        self.named(&self.place.command())
    }

    /// Another build of it, there.
    pub(super) fn command_of(&self, program: &Path) -> Command {
        self.named(&self.place.command_of(program))
    }

    fn named(&self, otpd: &Command) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname \"$0\" && exec \"$@\"", self.name]);
        command.arg(otpd.get_program()).args(otpd.get_args());
        command
    }

    pub(super) fn start(&self) -> Daemon {
        self.place.run(self.command())
    }

    pub(super) fn refusing(&self) -> Daemon {
        Daemon::spawn(self.command(), self.place.socket(), "refused until this is mended")
    }

    pub(super) fn otpctl(&self, arguments: &[&str]) -> String {
        let output = self.place.otpctl(arguments).output().expect("otpctl runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "otpctl {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// As many hosts as the races have.
const NAMES: [&str; 4] = ["web1", "web2", "web3", "web4"];

/// Makes these calls at the same time, each on a connection of its own, at each host in turn, and
/// returns what came back. The daemons are stopped while they are written, so that each finds its own
/// all at once.
fn at_once<M: Method>(daemons: &[Daemon], calls: &[M]) -> Vec<Result<M::Reply, Refusal>> {
    let wires = daemons.iter().cycle().zip(calls).map(|(daemon, _)| daemon.connect());
    let mut wires = wires.collect::<Vec<_>>();
    for daemon in daemons {
        daemon.signal("STOP");
    }
    for (wire, call) in wires.iter_mut().zip(calls) {
        assert!(wire.post(call));
    }
    for daemon in daemons {
        daemon.signal("CONT");
    }
    wires.iter_mut().map(|wire| wire.reply::<M>().expect("the daemon stays")).collect()
}

pub(super) fn log_in(daemon: &Daemon, phone: &Phone) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));
}

#[test]
fn what_one_host_knows_the_others_know() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    daemons[0].enroll(&phone, USER, NUMBER);
    log_in(&daemons[1], &phone);
    // Wrong codes at one host count at the other.
    let mut wire = daemons[1].connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(wire.answer(&challenge, &wrong(&code, 0)).prompt.is_some());
    assert_eq!(daemons[0].show(USER).failures_24h, 1);
    assert!(is_granted(&wire.answer(&challenge, &code)));
    let log = hosts[0].otpctl(&["log", "--json"]);
    for name in ["web1", "web2"] {
        assert!(log.contains(&format!("\"host\":\"{name}\"")), "{name} in {log}");
    }
    let log = hosts[0].otpctl(&["log"]);
    assert!(log.lines().any(|line| line.contains("login granted") && line.contains(", on web2")));
}

#[test]
fn without_its_server_everything_is_refused_and_it_comes_back_by_itself() {
    let (phone, mut server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    let daemon = host.start();
    daemon.enroll(&phone, USER, NUMBER);
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(USER, None));
    let code = phone.next().code();
    // A charge that can be lost.
    assert!(wire.answer(&prompted.challenge, &wrong(&code, 0)).prompt.is_some());
    let before = daemon.show(USER);
    assert_eq!(before.failures_24h, 1);
    server.kill();
    for typed in [&code, &wrong(&code, 1)] {
        let step = wire.answer(&prompted.challenge, typed);
        assert_eq!(step.verdict, Some(Verdict::Unavailable), "unstored: {step:?}");
    }
    daemon.wait_for("nothing is granted until it works");
    daemon.wait_for("see that the server runs");
    let step = daemon.connect().begin(USER).step;
    assert_eq!(step.verdict, Some(Verdict::Unavailable), "{step:?}");
    assert!(phone.pending().is_none(), "no code while nothing can be counted");
    server.go();
    // That code was not used; whoever asks again is served as soon as the server is.
    let mut answers = (0..100_000).map(|_| daemon.connect().answer(&prompted.challenge, &code));
    assert!(answers.any(|step| is_granted(&step)), "{}", daemon.log());
    daemon.wait_for("the database is back");
    let after = daemon.show(USER);
    let counted = |shown: &Shown| (shown.failures_24h, shown.sends_24h);
    assert_eq!(counted(&after), counted(&before), "what was told is on record, and no more");
    log_in(&daemon, &phone);
}

#[test]
fn a_daemon_that_finds_no_server_waits_for_it() {
    let (phone, mut server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    server.stop();
    let daemon = host.refusing();
    daemon.wait_for("cannot be reached");
    assert!(daemon.connect().begin(USER).step.verdict.is_some(), "said at once");
    server.go();
    daemon.wait_for(": ready ");
    daemon.enroll(&phone, USER, NUMBER);
    log_in(&daemon, &phone);
}

#[test]
fn a_start_takes_up_the_hosts_own_lost_codes_alone() {
    let (phone, others, server) = (Phone::start(), Phone::start(), Server::start());
    let hosts = [Host::new("web1", &phone, &server), Host::new("web2", &others, &server)];
    let [first, second] = hosts.each_ref().map(Host::start);
    first.enroll(&phone, USER, NUMBER);
    phone.set(Vendor::Stalls);
    let mut wire = first.connect();
    assert!(wire.post(&login(USER, Some("192.0.2.7 40000 192.0.2.1 22 0123456789abcdef"))));
    let lost = phone.next().code();
    // Another host starts while that message is under way, and after its host is gone.
    second.kill();
    let second = hosts[1].start();
    first.kill();
    second.kill();
    let second = hosts[1].start();
    log_in_as(&second, &others, PEOPLE[1]);
    assert!(others.pending().is_none(), "that is not its business");
    phone.set(Vendor::Accepts);
    let first = hosts[0].start();
    let code = phone.next().code();
    assert_ne!(code, lost, "sent anew by its own host");
    drop(first);
}

pub(super) fn log_in_as(daemon: &Daemon, phone: &Phone, (user, number): (&str, &str)) {
    daemon.enroll(phone, user, number);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));
}

#[test]
fn whoever_follows_the_log_at_one_host_sees_what_happens_at_another() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    daemons[0].enroll(&phone, USER, NUMBER);
    let mut follows = hosts[0]
        .place
        .otpctl(&["log", "--follow", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("otpctl runs");
    let lines = std::io::BufReader::new(follows.stdout.take().expect("a pipe"));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(lines).map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    log_in(&daemons[1], &phone);
    let granted = || loop {
        let line = told.recv_timeout(PATIENCE).expect("another host's event");
        if line.contains("login-granted") {
            return line;
        }
    };
    assert!(granted().contains("\"host\":\"web2\""));
    let _ = follows.kill();
    let _ = follows.wait();
}

#[test]
fn the_check_looks_at_the_url_the_password_the_server_and_its_schema() {
    let (phone, mut server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    let text = fs::read_to_string(host.place.config()).expect("a configuration");
    let (good, told) = check(&host.place);
    assert!(good && told.contains("nothing is wrong"), "{told}");
    assert_eq!(server.sql("otpd", "SELECT to_regnamespace('otpd') IS NULL"), "t", "left alone");

    let password = "password-file = \"pass\"\n[limits]";
    let cases: [(&str, String, &str); 3] = [
        (
            "a password",
            text.replace("postgres://otpd@", "postgres://otpd:hunter2@"),
            "holds a password",
        ),
        ("no file", text.replace("[limits]", password), "there is no such file"),
        ("no database", text.replace("/otpd?host", "/nothing?host"), "make the database: createdb"),
    ];
    for (name, text, expected) in cases {
        host.place.configure(&text);
        let (good, told) = check(&host.place);
        assert!(!good && told.contains(expected) && !told.contains("hunter2"), "{name}: {told}");
    }
    host.place.configure(&text);
    let daemon = host.start();
    daemon.kill();
    server.execute("otpd", "INSERT INTO otpd.refinery_schema_history VALUES (99, 'x', '', '')");
    let (good, told) = check(&host.place);
    assert!(!good && told.contains("a newer otpd has used it"), "{told}");
    server.execute("otpd", "DELETE FROM otpd.refinery_schema_history WHERE version = 99");
    let (good, told) = check(&host.place);
    assert!(good && told.contains("nothing is wrong"), "{told}");
    host.place.keep("otpd.key", "another 0123456789abcdef01234567");
    let (good, told) = check(&host.place);
    assert!(!good && told.contains("made with another master key"), "{told}");
    // While it is away nothing is known to be wrong, and a reload goes on.
    server.stop();
    let (good, told) = check(&host.place);
    assert!(good && told.contains("warning: ") && told.contains("cannot be reached"), "{told}");
}

#[test]
fn a_reload_while_the_server_is_away_is_done() {
    let (phone, mut server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    let daemon = host.start();
    daemon.enroll(&phone, USER, NUMBER);
    server.kill();
    let text = fs::read_to_string(host.place.config()).expect("a configuration");
    host.place.configure(&text.replace("[limits]", "[code]\ndigits = 7\n[limits]"));
    assert!(check(&host.place).0, "the check of systemctl reload");
    daemon.signal("HUP");
    daemon.wait_for("the configuration was read again");
    server.go();
    let mut begins = (0..100_000).map(|_| daemon.connect().begin(USER));
    assert!(begins.any(|reply| reply.challenge.is_some()), "{}", daemon.log());
    assert_eq!(phone.next().code().len(), 7, "by the new rules");
}

#[test]
fn a_backup_of_it_is_restored_to_a_file_and_back() {
    let (phone, server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    let daemon = host.start();
    for (user, number) in &PEOPLE[..3] {
        log_in_as(&daemon, &phone, (user, number));
    }
    let backup = host.place.file("backup");
    let backup = backup.to_str().expect("a path");
    host.otpctl(&["backup", backup]);
    let known = host.otpctl(&["list", "--json"]);
    daemon.kill();

    let restored = |place: &Place, daemon: &Daemon| {
        let done = place.otpctl(&["restore", "--yes", backup]).output().expect("otpctl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(daemon.show(USER).subscriber.state, otp_proto::admin::State::Active);
        let listed = place.otpctl(&["list", "--json"]).output().expect("otpctl runs");
        assert_eq!(String::from_utf8_lossy(&listed.stdout), known);
        let log = place.otpctl(&["log", "--json"]).output().expect("otpctl runs");
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        assert_eq!(log.matches("login-granted").count(), 3, "{log}");
    };
    let alone = Place::new(&phone);
    copy_key(&host.place, &alone);
    let daemon = alone.start();
    restored(&alone, &daemon);
    drop(daemon);

    let fresh = Server::start();
    let other = Host::new("web2", &phone, &fresh);
    let daemon = other.start();
    restored(&other.place, &daemon);
    log_in(&daemon, &phone);
}

pub(super) fn copy_key(from: &Place, to: &Place) {
    // With its mode.
    fs::copy(from.file("otpd.key"), to.file("otpd.key")).expect("a key");
}

/// Asks a host for the hosts until what it tells is as wished: a daemon tells of itself when it has
/// time for it.
#[expect(clippy::disallowed_methods, reason = "how long it may take at most")]
pub(super) fn hosts_come_to(host: &Host, wished: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let told =
            serde_json::from_str::<Value>(&host.otpctl(&["status", "--json"])).expect("JSON");
        if wished(&told["hosts"]) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE * 4, "{told}");
    }
}

#[test]
fn the_status_at_one_host_tells_of_all() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let [first, second] = hosts.each_ref().map(Host::start);
    let is = |hosts: &Value, place: usize, name: &str, state: &str| {
        hosts[place]["name"] == name && hosts[place]["state"] == state
    };
    let told = hosts_come_to(&hosts[1], |hosts| is(hosts, 1, "web1", "running"));
    assert_eq!(told["store"], "postgresql");
    assert!(is(&told["hosts"], 0, "web2", "here"), "{told}");
    let other = &told["hosts"][1];
    assert_eq!(other["version"], told["version"]);
    assert_eq!(other["gateways"][0]["state"], "ready", "{told}");
    let table = hosts[1].otpctl(&["status"]);
    assert!(table.lines().any(|line| line.starts_with("web1 ") && line.contains("running")));
    first.terminate();
    assert!(first.wait().success());
    hosts_come_to(&hosts[1], |hosts| is(hosts, 1, "web1", "stopped"));
    // The next run of the same host takes its place.
    let first = hosts[0].start();
    hosts_come_to(&hosts[1], |hosts| {
        is(hosts, 1, "web1", "running") && hosts.as_array().is_some_and(|all| all.len() == 2)
    });
    drop((first, second));
}

#[test]
fn two_daemons_that_pass_for_one_say_so() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web1"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    for (host, daemon) in hosts.iter().zip(&daemons) {
        // Words are said every 20 s.
        let said = "under the same /etc/machine-id and the same name, web1";
        assert!(daemon.says_within(said, PATIENCE * 4), "{}", daemon.log());
        let told = hosts_come_to(host, |_| true);
        let problem = told["problems"][0].as_str().unwrap_or_default();
        assert!(problem.contains("give one of the machines its own"), "{told}");
    }
    let [first, second] = daemons;
    second.terminate();
    assert!(second.wait().success());
    let said = "no other daemon uses this host's name any more";
    assert!(first.says_within(said, PATIENCE * 4), "{}", first.log());
}
