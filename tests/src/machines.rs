//! Machines of a test's own: network namespaces joined by a router, each with a name of its own. They
//! end with the test, whatever ends it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// What holds a machine's namespaces: it says so, and ends when its input does.
const KEEPER: &str =
    "hostname \"$0\" && ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward &&
                      echo up && exec cat";

/// A machine without anything on it.
pub struct Machine {
    keeper: Child,
    address: String,
}

impl Machine {
    fn start(name: &str, address: String) -> Self {
        let mut keeper = Command::new("unshare")
            .args(["--net", "--uts", "sh", "-c", KEEPER, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        let output = keeper.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n", "{name}");
        Self { keeper, address }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A command that becomes the one behind it, on this machine.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let of = |kind: &str| format!("--{kind}=/proc/{}/ns/{kind}", self.keeper.id());
        vec!["nsenter".to_owned(), of("net"), of("uts")]
    }

    fn ip(&self, arguments: &str) {
        let words = self.words();
        let (first, rest) = words.split_first().expect("a command");
        let mut command = Command::new(first);
        command.args(rest).arg("ip").args(arguments.split(' '));
        let output = command.output().expect("ip runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {told}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// What becomes of packets where a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They vanish.
    Silent,
    /// Who sends them is told that they do not arrive.
    Told,
}

/// What joins machines.
pub struct Network {
    router: Machine,
    joined: u8,
}

impl Network {
    /// One without machines.
    #[must_use]
    pub fn start() -> Self {
        Self { router: Machine::start("router", String::new()), joined: 0 }
    }

    /// One more machine.
    #[must_use]
    pub fn join(&mut self, name: &str) -> Machine {
        self.joined += 1;
        let net = format!("10.77.{}", self.joined);
        let machine = Machine::start(name, format!("{net}.2"));
        let port = format!("to{}", self.joined);
        let keeper = machine.keeper.id();
        self.router.ip(&format!("link add {port} type veth peer name eth0 netns {keeper}"));
        self.router.ip(&format!("address add {net}.1/24 dev {port}"));
        self.router.ip(&format!("link set {port} up"));
        machine.ip(&format!("address add {net}.2/24 dev eth0"));
        machine.ip("link set eth0 up");
        machine.ip(&format!("route add default via {net}.1"));
        machine
    }

    /// Lets nothing through between two machines; what has arrived has arrived.
    pub fn cut(&self, one: &Machine, other: &Machine, cut: Cut) {
        let rule = match cut {
            Cut::Silent => "blackhole",
            Cut::Told => "unreachable",
        };
        for (from, to) in both_ways(one, other) {
            self.router.ip(&format!("rule add from {from} to {to} {rule}"));
        }
    }

    /// Lets everything through again.
    pub fn heal(&self, one: &Machine, other: &Machine) {
        for (from, to) in both_ways(one, other) {
            self.router.ip(&format!("rule del from {from} to {to}"));
        }
    }
}

fn both_ways<'a>(one: &'a Machine, other: &'a Machine) -> [(&'a str, &'a str); 2] {
    [(one.address(), other.address()), (other.address(), one.address())]
}
