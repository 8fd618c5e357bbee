//! Accepting connections, and how many: one request each, in bounded time.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use axum::Router;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::{debug, warn};

use super::{ARRIVAL, Peer};
use crate::{
    shutdown::Shutdown,
    waiting::{Place, Waiting},
};

/// Connections at once.
const ALL: usize = 100;
/// Of those, at most this many from one address, or one /64 of IPv6; a trusted proxy may have all.
const PER_ADDRESS: usize = 20;
/// How long a connection may last, its answer included.
const WHOLE: Duration = Duration::from_secs(20);
/// Longest head of a request, bytes.
const HEAD: usize = 16 * 1024;

/// How many connections there may be, and whose.
#[derive(Clone, Default)]
pub struct Limits {
    taken: Arc<Mutex<HashMap<IpAddr, Site>>>,
    proxies: Arc<RwLock<Vec<IpNet>>>,
}

/// The connections of one address.
#[derive(Default)]
struct Site {
    count: usize,
    waiting: Waiting,
}

/// One connection's place; it is free again when this is dropped.
struct Seat {
    limits: Limits,
    address: IpAddr,
    place: Place,
}

impl Limits {
    /// Limits that do not hold a proxy's many users for one.
    #[must_use]
    pub fn new(proxies: &[IpNet]) -> Self {
        Self { taken: Arc::default(), proxies: Arc::new(RwLock::new(proxies.to_vec())) }
    }

    /// Takes over other proxies, for the connections from now on.
    pub(super) fn trust(&self, proxies: &[IpNet]) {
        *self.proxies.write().unwrap_or_else(PoisonError::into_inner) = proxies.to_vec();
    }

    /// Whether an address is a proxy's.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let proxies = self.proxies.read().unwrap_or_else(PoisonError::into_inner);
        proxies.iter().any(|network| network.contains(&address))
    }

    /// A seat for whom one is left, or is given up: by the oldest of the same address where it has its
    /// share, by `relieve` where all are taken. An address may be that of many, as a proxy's is that
    /// nobody has named: one who holds connections there must not keep the others out.
    fn take(&self, address: IpAddr, relieve: impl FnOnce() -> bool) -> Option<Seat> {
        let proxy = self.trusts(address);
        let address = site_of(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.values().map(|site| site.count).sum::<usize>();
        let own = taken.get(&address);
        let free = match own.filter(|site| !proxy && site.count >= PER_ADDRESS) {
            Some(site) => site.waiting.relieve(),
            None => all < ALL || relieve(),
        };
        free.then(|| {
            let site = taken.entry(address).or_default();
            site.count += 1;
            Seat { limits: self.clone(), address, place: site.waiting.enter() }
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.limits.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = taken.get_mut(&self.address) {
            site.count -= 1;
            if site.count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// One customer has a whole /64 of IPv6.
fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

/// Serves until `stop`. Of an address with too many connections the oldest one is closed, and of all where
/// all together have too many: a vendor is done in milliseconds. What is under way at the end is cut off: a
/// vendor that had no answer tells again.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stop: Shutdown) {
    let mut connections = JoinSet::new();
    let waiting = Waiting::default();
    loop {
        let accepted = tokio::select! {
            () = stop.requested() => return,
            accepted = listener.accept() => accepted,
            // Collects what has ended, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            // A listener for both families names clients of version 4 by mapped addresses, which no
            // network of trusted proxies holds.
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(seat) = limits.take(peer, || waiting.relieve()) else {
            debug!(%peer, "too many connections; one was turned away");
            continue;
        };
        connections.spawn(converse(stream, peer, router.clone(), (seat, waiting.enter())));
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, peer: IpAddr, router: Router, (seat, place): (Seat, Place)) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL)
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = tokio::time::timeout(WHOLE, connection);
    let served = tokio::select! {
        served = connection => served,
        () = async { tokio::select! { () = place.needed() => {}, () = seat.place.needed() => {} } } => {
            debug!(%peer, "a connection was closed: others need its seat");
            return;
        }
    };
    match served {
        Ok(Ok(())) => {}
        // Not what was sent: only that it was no HTTP, or broke off.
        Ok(Err(_)) => debug!(%peer, "a connection broke off"),
        Err(_) => debug!(%peer, "a connection took too long"),
    }
    drop(seat);
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use axum::{Router, extract::Request, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::{ALL, Limits, PER_ADDRESS, Peer, serve, site_of};
    use crate::shutdown;

    #[tokio::test]
    async fn a_client_of_version_4_is_one_also_where_both_versions_come_in() {
        let listener = TcpListener::bind("[::]:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let peer = async |request: Request| {
            request.extensions().get().map(|Peer(peer)| peer.to_string()).unwrap_or_default()
        };
        let (_trigger, stop) = shutdown::channel();
        tokio::spawn(serve(listener, Router::new().route("/", get(peer)), Limits::default(), stop));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
    }

    fn is_over(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn who_holds_all_seats_keeps_nobody_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (_trigger, stop) = shutdown::channel();
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(serve(listener, router, Limits::default(), stop));
        let from = async |last: usize| {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            let own = format!("127.0.0.{last}:0").parse().expect("an address");
            socket.bind(own).expect("its own address");
            let to = ([127, 0, 0, 1], port).into();
            let mut stream = socket.connect(to).await.expect("it listens");
            stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("it reads");
            stream
        };
        let mut held = Vec::new();
        for last in 0..ALL / PER_ADDRESS {
            for _ in 0..PER_ADDRESS {
                held.push(from(2 + last).await);
            }
        }
        let mut vendor = from(99).await;
        vendor.write_all(b"host: h\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        vendor.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("here"), "{answer}");
        let mut nothing = Vec::new();
        let ended = held[0].read_to_end(&mut nothing).await;
        assert!(ended.is_err() || nothing.is_empty(), "the oldest was closed");
    }

    #[test]
    fn nobody_but_a_proxy_has_all_seats() {
        let limits = Limits::new(&["127.0.0.1/32".parse().unwrap()]);
        let own = "192.0.2.1".parse().unwrap();
        let mut own: Vec<_> = (0..PER_ADDRESS).filter_map(|_| limits.take(own, || false)).collect();
        assert_eq!(own.len(), PER_ADDRESS);
        let proxy = "127.0.0.1".parse().unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| limits.take(proxy, || false)).collect();
        assert_eq!(own.len() + rest.len(), ALL);
        // One more of the same address has the place of its oldest, who leaves once.
        own.extend(limits.take("192.0.2.1".parse().unwrap(), || false));
        assert_eq!(own.len(), PER_ADDRESS + 1);
        assert!(is_over(own[0].place.needed()) && !is_over(own[1].place.needed()));
        drop(own.remove(0));
        let other = "192.0.2.9".parse().unwrap();
        assert!(limits.take(other, || true).is_some(), "somebody leaves for it");
        drop(own);
        assert!(limits.take(other, || false).is_some(), "seats are free again");
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let cases = [
            ("two of a /64", "2001:db8::1", "2001:db8::ffff:0:0:2", true),
            ("two networks", "2001:db8::1", "2001:db8:0:1::1", false),
            ("mapped", "::ffff:192.0.2.1", "192.0.2.1", true),
            ("two of version 4", "192.0.2.1", "192.0.2.2", false),
        ];
        for (name, one, other, same) in cases {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(site_of(one) == site_of(other), same, "{name}");
        }
    }
}
