//! The daemon's HTTP: where vendors reach it, and where it tells of itself.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU8, Ordering},
};

use otpd_tests::{PATIENCE, carrier::Vendor};

/// Addresses where nobody listens.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    taken::<N>().map(|one| one.local_addr().expect("an address"))
}

/// Ports that somebody else has.
pub(crate) fn taken<const N: usize>() -> [TcpListener; N] {
    // Each process has a loopback address of its own, and each call, or another test's connection could
    // take the port before the daemon does.
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let [_, _, b, c] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, CALLS.fetch_add(1, Ordering::Relaxed).max(1), b, c);
    [(); N].map(|()| TcpListener::bind((own, 0)).expect("a port"))
}

/// The table of the configuration, for vendors that come without a proxy.
pub(crate) fn http(public: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "\n[http]\nlisten = \"{public}\"\npublic-url = \"http://{public}\"\n\
         admin-listen = \"{admin}\"\n"
    )
}

/// Two addresses for one daemon.
pub(crate) struct Web {
    public: SocketAddr,
    admin: SocketAddr,
}

impl Web {
    /// Addresses where nobody listens.
    pub(crate) fn new() -> Self {
        let [public, admin] = free();
        Self { public, admin }
    }

    /// The table of the configuration.
    pub(crate) fn settings(&self) -> String {
        http(self.public, self.admin)
    }

    /// Where vendors are told to come by.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Where a vendor tells what it is not asked.
    pub(crate) fn receipts(&self, vendor: Vendor) -> String {
        format!("{}/receipts/{}", self.url(), vendor.name())
    }

    /// The answer to a request of a vendor, or of somebody who says that they are one.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head = "content-type: application/x-www-form-urlencoded";
        ask(
            self.public,
            &format!("POST {path}"),
            &format!("{head}\r\ncontent-length: {length}"),
            body,
        )
    }

    /// The answer to an administrator's request.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        ask(self.admin, &format!("GET {path}"), "accept: */*", "")
    }

    /// What there is to be counted and seen.
    pub(crate) fn metrics(&self) -> String {
        let answer = self.admin("/metrics");
        assert_eq!(answer.status, 200);
        answer.body
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

fn ask(address: SocketAddr, request: &str, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let whole =
        format!("{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{head}\r\n\r\n{body}");
    stream.write_all(whole.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
