//! What the tests of gateways share: a message, a server on a loopback address, a stand-in for a
//! vendor behind it, and the rules that hold for every vendor.

pub(super) mod manners;

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    spawn,
};
use zeroize::Zeroizing;

use super::{Message, MessageId, Outcome, VendorMessageId};
use crate::domain::challenge::Channel;

/// A message with the code 482913 to +13125550142.
pub(super) fn message(channel: Channel) -> Message {
    Message {
        id: MessageId([7; 16]),
        to: "+13125550142".parse().unwrap(),
        channel,
        text: Zeroizing::new("482913 is your code".to_owned()),
        code: None,
        valid_for: Duration::from_mins(5),
        answer_url: None,
        report_url: None,
    }
}

/// Where vendors are that fall silent, and nobody else.
const SILENT: &str = "127.0.0.2";

/// How long a gateway under test waits for the API at this URL: as long as a busy machine may take, and
/// shortly where no reply comes to an end.
pub(super) fn patience(url: &str) -> Duration {
    Duration::from_secs(if url.contains(SILENT) { 1 } else { 30 })
}

/// Taken, under this id; empty: under none.
pub(super) fn accepted(id: &str) -> Outcome {
    Outcome::Accepted { vendor_id: VendorMessageId::checked(id) }
}

/// An outcome's name, for tables.
pub(super) fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::Retryable { .. } => "retryable",
        Outcome::OptedOut => "opted out",
        Outcome::Misconfigured(_) => "misconfigured",
        Outcome::Unknown(_) => "unknown",
    }
}

/// A request as the vendor sees it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    /// A header as text; empty when there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a vendor answers: status, headers, body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Bytes);

/// An answer in JSON.
pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    (status, vec![("content-type", "application/json".to_owned())], body.to_string().into())
}

/// A plus and 7 to 15 digits.
pub(super) fn is_e164(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A stand-in for a vendor: it judges every request by what it keeps (`S`), unless the test has said
/// how the next one is answered.
pub(super) struct StandIn<S> {
    pub(super) server: Server,
    kept: Arc<Mutex<Kept<S>>>,
}

struct Kept<S> {
    /// Replies to the next requests, whatever they are.
    next: VecDeque<Answer>,
    state: S,
}

impl<S: Send + 'static> StandIn<S> {
    /// One that answers what `judge` says; a refusal is its error.
    pub(super) async fn judging(
        state: S,
        judge: impl Fn(&mut S, &Seen) -> Result<Answer, Answer> + Send + Sync + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept { next: VecDeque::new(), state }));
        let own = Arc::clone(&kept);
        let server = Server::answering(move |seen| {
            let mut kept = own.lock().unwrap();
            let scripted = kept.next.pop_front();
            let judged = || judge(&mut kept.state, seen).unwrap_or_else(|refusal| refusal);
            scripted.unwrap_or_else(judged)
        });
        Self { server: server.await, kept }
    }

    /// Answers the next request like this.
    pub(super) fn next(
        &self,
        status: u16,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.kept.lock().unwrap().next.push_back((status, headers, body.into()));
    }

    /// Looks at what it keeps, or changes it.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.kept.lock().unwrap().state)
    }
}

/// A vendor that answers every request. It ends with the test's runtime.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// One that gives every request the same answer.
    pub(super) async fn start(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Self {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, (*value).into())).collect();
        let body = body.into();
        Self::answering(move |_| (status, headers.clone(), body.clone())).await
    }

    /// One that looks at each request first.
    pub(super) async fn answering(
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = listen().await;
        let (seen, connections) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<_>>::default());
        let (requests, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let answer = Arc::new(answer);
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                let answer = service_fn(move |request| {
                    let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                    async move {
                        let request = read(request).await;
                        let (status, headers, body) = answer(&request);
                        requests.lock().unwrap().push(request);
                        let mut response = Response::new(Full::new(body));
                        *response.status_mut() = status.try_into().unwrap();
                        for (name, value) in headers {
                            response.headers_mut().append(name, value.parse().unwrap());
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, seen, connections }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// A vendor that reads one request, writes these bytes as they are, and then closes the connection
/// or leaves it open without another word.
pub(super) async fn raw_server(reply: &'static [u8], close: bool) -> SocketAddr {
    let (listener, address) = if close { listen().await } else { listen_at(SILENT).await };
    spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(reply).await;
            if !close {
                silent.push(stream);
            }
        }
    });
    address
}

/// A vendor that takes connections and never says anything.
pub(super) async fn silent_server() -> SocketAddr {
    let (listener, address) = listen_at(SILENT).await;
    spawn(async move {
        let mut silent: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            silent.push(stream);
        }
    });
    address
}

/// A loopback address where nobody listens: no program is given this port.
pub(super) fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

async fn listen() -> (TcpListener, SocketAddr) {
    listen_at("127.0.0.1").await
}

async fn listen_at(host: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}
