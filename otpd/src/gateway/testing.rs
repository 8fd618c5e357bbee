//! What the tests of gateways share: a message, and a server on a loopback address.

use std::{
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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    spawn,
};
use zeroize::Zeroizing;

use super::{Message, MessageId, Outcome};
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

/// What a vendor answers: status, headers, body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Bytes);

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
    let (listener, address) = listen().await;
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
    let (listener, address) = listen().await;
    spawn(async move {
        let mut silent: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            silent.push(stream);
        }
    });
    address
}

/// A loopback address where nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    listen().await.1
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
