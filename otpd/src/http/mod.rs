//! What comes in by HTTP, where `[http]` is on: receipts and inbound messages of vendors, the words
//! of calls, and on a listener of its own health and metrics.
//!
//! Nothing here decides about a code. A vendor's request is checked by [`callback`], put into a
//! bounded queue and answered; what it does to a login is the verifier's: a loss may have a message
//! sent again, after a restart with a fresh code. Nothing of a body is ever logged.

mod answer;
mod health;
mod listen;
pub mod metrics;
mod public;
mod receipts;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use ipnet::IpNet;
use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

pub use listen::{Limits, serve};
pub use metrics::Metrics;
pub use public::Public;

use self::public::Generations;
use crate::{
    clock::Clock,
    gateway::{
        GatewayName, Notice,
        callback::{Callback, Mark, Refusal},
    },
    verifier::Verifier,
};

/// Longest body, bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long a request may take to arrive: its head, and then its body.
const ARRIVAL: Duration = Duration::from_secs(5);
/// How long a refusal takes, whatever it is for: which gateways there are is not to be read from
/// it, nor how far a forged signature was checked.
const REFUSAL: Duration = Duration::from_millis(50);
/// Notices that may wait to be acted on; one more is answered with 503, and told again.
const QUEUE: usize = 256;
/// Requests that are remembered, so that a repeat is not acted on twice.
const SEEN: usize = 4096;
/// How often it is said that requests are refused.
const RARELY: Duration = Duration::from_mins(1);

/// What the public listener works with.
pub struct Gate {
    verifier: Arc<Verifier>,
    clock: Clock,
    metrics: Metrics,
    public: Mutex<Generations>,
    queue: mpsc::Sender<(GatewayName, Notice)>,
    seen: Mutex<Seen>,
    told: Mutex<Option<Instant>>,
    limits: Limits,
}

/// Notices on their way to the verifier.
pub struct Notices(mpsc::Receiver<(GatewayName, Notice)>);

/// The newest requests of vendors.
///
/// Vendors but Telnyx put no time into what they sign: a request that somebody read on its way stays
/// right for ever. Remembering the newest keeps repeats from costing a decision each, in this run. A
/// receipt that is played again later finds no message that waits for it. Of what people wrote the
/// store remembers 8 words a number, for 30 days or while messages are stopped, and only of numbers
/// that an account has: beyond that, a STOP or START that Twilio, `SignalWire` or Plivo signed can be
/// told again by whoever read it. That is why vendors are to reach the listener by https.
#[derive(Default)]
struct Seen {
    marks: HashSet<(GatewayName, Mark)>,
    order: VecDeque<(GatewayName, Mark)>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Peer(IpAddr);

impl Gate {
    /// A gate, and the notices that come through it.
    #[must_use]
    pub fn new(
        verifier: Arc<Verifier>,
        clock: Clock,
        metrics: Metrics,
        public: Public,
    ) -> (Arc<Self>, Notices) {
        let (queue, notices) = mpsc::channel(QUEUE);
        let limits = Limits::new(&public.trusted_proxies);
        let gate = Self {
            verifier,
            clock,
            metrics,
            public: Mutex::new(Generations::new(public)),
            queue,
            seen: Mutex::default(),
            told: Mutex::default(),
            limits,
        };
        (Arc::new(gate), Notices(notices))
    }

    /// Takes over what the configuration says now. What is under way ends under what it said before.
    pub fn replace_public(&self, public: Public) {
        self.limits.trust(&public.trusted_proxies);
        self.generations().replace(public);
    }

    /// How many connections there may be, by the proxies that are trusted at the time.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn public(&self) -> Generations {
        let mut generations = self.generations();
        generations.forget();
        generations.clone()
    }

    /// Held for a moment, never across an await.
    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.public.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says no, after the same time and in the same words whatever the reason. `checked` is when
    /// the request was complete.
    async fn refuse(&self, checked: Instant) -> Response {
        tokio::time::sleep_until(checked + REFUSAL).await;
        StatusCode::NOT_FOUND.into_response()
    }

    /// Tells the administrator, once in a while, that a vendor's requests are refused.
    fn tell(&self, gateway: &GatewayName, peer: IpAddr, why: Refusal) {
        if self.may_tell() {
            warn!(%gateway, %peer, "a request was refused: {why}");
        }
    }

    /// Tells the administrator, once in a while, that what people write is not heard.
    fn tell_unproved(&self, gateway: &GatewayName, peer: IpAddr) {
        if self.may_tell() {
            warn!(
                %gateway, %peer,
                "what somebody wrote to the sender was not heard: the vendor signs the URL alone of it \
                 (version 2); a STOP is kept to by the vendor, and a START needs `otpctl unlock`"
            );
        }
    }

    /// Tells the administrator, once in a while, that calls will say nothing.
    fn tell_of_call(&self, peer: IpAddr) {
        if self.may_tell() {
            let why = Refusal::Forged;
            warn!(%peer, "the words of a call were asked for and refused: {why}");
        }
    }

    fn may_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|at| at.elapsed() >= RARELY);
        if may {
            *told = Some(Instant::now());
        }
        may
    }
}

impl Notices {
    /// Acts on notices, in the order of their coming, until the gate is gone.
    pub async fn act(mut self, verifier: Arc<Verifier>) {
        while let Some((gateway, notice)) = self.0.recv().await {
            verifier.notice(&gateway, notice).await;
        }
    }
}

impl Seen {
    fn contains(&self, gateway: &GatewayName, mark: Mark) -> bool {
        self.marks.contains(&(gateway.clone(), mark))
    }

    fn insert(&mut self, gateway: &GatewayName, mark: Mark) {
        if self.marks.insert((gateway.clone(), mark)) {
            self.order.push_back((gateway.clone(), mark));
        }
        if self.order.len() > SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
    }
}

/// The paths for vendors.
pub fn public(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/receipts/{gateway}", any(receipts::receive))
        .route("/receipts/{gateway}/{secret}", any(receipts::receive_by_path))
        .route("/answer/{token}", any(answer::answer))
        .with_state(gate)
}

/// The paths for administrators' machines.
pub fn admin(verifier: Arc<Verifier>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::render))
        .with_state((verifier, metrics))
}

/// A request that is complete.
struct Taken {
    head: Parts,
    body: Bytes,
    peer: IpAddr,
}

/// Reads a request's body.
///
/// # Errors
/// The answer, where it is too long or takes too long.
async fn take(request: Request, trusted: &[IpNet]) -> Result<Taken, Response> {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(ARRIVAL, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    let near = head.extensions.get::<Peer>().map_or(IpAddr::from([0; 4]), |Peer(peer)| *peer);
    let peer = source(near, &head, trusted);
    Ok(Taken { head, body, peer })
}

impl Taken {
    /// As what the vendor signed. `url` is what the vendor was told, and the rest as it came.
    fn callback<'a>(&'a self, url: &'a str, clock: &Clock) -> Callback<'a> {
        Callback {
            method: &self.head.method,
            url,
            headers: &self.head.headers,
            body: &self.body,
            now: clock.now(),
        }
    }

    fn url(&self, public: &Public) -> String {
        let path = self.head.uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{}{path}", public.url)
    }
}

/// Who sent a request: the nearest address that is no trusted proxy's.
fn source(near: IpAddr, head: &Parts, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&near) {
        return near;
    }
    let lines = head.headers.get_all("x-forwarded-for").iter().rev();
    let named = lines.filter_map(|line| line.to_str().ok());
    let words = named.flat_map(|line| line.rsplit(','));
    // What cannot be read is nobody's word: what stands before it may be anybody's.
    let addresses = words.map_while(|word| word.trim().parse::<IpAddr>().ok());
    addresses.map(|address| address.to_canonical()).find(|a| !is_trusted(a)).unwrap_or(near)
}
