//! The HTTP client that every vendor shares: one a gateway, bounded in time and in what it reads,
//! and exact about whether a request can have left the machine.

use std::{
    error::Error as StdError,
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::body::Bytes;
use reqwest::{Body, Certificate, Request, Response, Url, header::RETRY_AFTER, redirect, retry};
use serde::Serialize;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

/// How long a request may take, from its first packet to the last byte of the reply.
pub(super) const DEADLINE: Duration = Duration::from_secs(8);

/// Longest reply that is read, bytes.
pub(super) const MAX_REPLY: usize = 64 * 1024;

/// Longest wait that a vendor may ask of us.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Kept connections are closed after this: sooner than the load balancers of vendors, which close
/// idle ones after 60 s, so that no message is written into a connection that is just going away.
const IDLE: Duration = Duration::from_secs(30);

/// A request's body that is wiped when the last who holds it lets go: with plain HTTP the socket is
/// written from it, and with TLS what stays behind elsewhere is encrypted.
pub(super) fn wiped<B>(body: Zeroizing<B>) -> Body
where
    B: Zeroize + AsRef<[u8]> + Send + 'static,
{
    Body::from(Bytes::from_owner(body))
}

/// A JSON body, with room for all of it at once: growing would leave copies of a code behind.
pub(super) fn json(fields: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer(&mut *body, fields)?;
    Ok(body)
}

/// Why a client cannot be built; all of it is the configuration's fault.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an absolute URL. It is not repeated: it may hold a key.
    #[error("`url` is not a URL; write it in full, with https://")]
    Url,
    /// Another scheme than https or http.
    #[error("`url` begins with {0}:, not with https:")]
    Scheme(String),
    /// Plain http to another machine would show keys and codes to the network.
    #[error("plain http goes to a loopback address only, not to `{0}`; write https")]
    PlainHttp(String),
    /// A user name or password in the URL, which ends in logs.
    #[error("the URL holds a user name or password; put them into `headers`")]
    Credentials,
    /// The extra certificate authority cannot be read.
    #[error("cannot read `ca-file` {path}: {source}")]
    CaRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The extra certificate authority is not PEM, or holds no certificate.
    #[error("`ca-file` {path} holds no PEM certificate")]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The TLS client could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// A client for one gateway; it keeps its connections.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    deadline: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long to wait before the next request, at most one hour. Dates are not read, for lack of
    /// a clock; vendors send seconds.
    pub(super) retry_after: Option<Duration>,
    /// What `x-ratelimit-reset` says, for vendors that document it in seconds; bounded alike.
    pub(super) rate_reset: Option<Duration>,
    /// The body; `None` when it was longer than [`MAX_REPLY`] or broke off.
    pub(super) body: Option<Vec<u8>>,
}

/// Why nothing came back, by consequence. The texts hold no URL and no body; they may still hold
/// what the other side wrote, so they are redacted like any reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection: surely not sent.
    NotSent(String),
    /// The server's certificate is not trusted: surely not sent, and not by trying again.
    Untrusted(String),
    /// It broke off after the request may have left.
    Unknown(String),
}

impl Failure {
    /// What went wrong, not redacted.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::NotSent(text) | Self::Untrusted(text) | Self::Unknown(text) => text,
        }
    }
}

impl Client {
    /// A client for requests to `url`'s host.
    ///
    /// # Errors
    /// [`ClientError`] when the URL is not allowed or the extra certificates cannot be read.
    pub(super) fn open(
        url: &Url,
        ca_file: Option<&Path>,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        // One provider is compiled in; an error only says that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("otpd/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .no_proxy()
            .referer(false)
            // A redirect would carry the keys to a host that nobody configured.
            .redirect(redirect::Policy::none())
            // What may be sent again is the router's decision.
            .retry(retry::never())
            // Half of the deadline: what times out later had a connection, and may have been sent.
            .connect_timeout(deadline / 2)
            .pool_idle_timeout(IDLE);
        let builder = match transport(url)? {
            Transport::Tls => {
                builder.https_only(true).tls_certs_merge(ca_file.map_or(Ok(vec![]), read_ca)?)
            }
            // No certificate is needed, so a system without any will do. The name is pinned,
            // whatever DNS may say about it.
            Transport::Loopback => builder.tls_certs_only([]).resolve_to_addrs(
                "localhost",
                &[SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()],
            ),
        };
        let http = builder.build().map_err(|error| ClientError::Tls(chain(&error)))?;
        Ok(Self { http, deadline })
    }

    /// Sends one request and reads the reply, within the deadline.
    ///
    /// # Errors
    /// [`Failure`] when there is no status; a reply that breaks off after it is a reply.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, Failure> {
        // Checked again here, where the request leaves.
        transport(request.url()).map_err(|error| Failure::NotSent(error.to_string()))?;
        let ends = tokio::time::Instant::now() + self.deadline;
        let response = match tokio::time::timeout_at(ends, self.http.execute(request)).await {
            Ok(answered) => answered.map_err(|error| failure(&error.without_url()))?,
            Err(_) => return Err(Failure::Unknown(self.late())),
        };
        let status = response.status().as_u16();
        let retry_after = seconds(&response, RETRY_AFTER.as_str());
        let rate_reset = seconds(&response, "x-ratelimit-reset");
        let left = ends.saturating_duration_since(tokio::time::Instant::now());
        let body = timeout(left, read(response)).await.ok().flatten();
        Ok(Reply { status, retry_after, rate_reset, body })
    }

    fn late(&self) -> String {
        format!("no reply within {} s", self.deadline.as_secs_f32())
    }
}

/// How requests to a URL travel.
#[derive(Debug, PartialEq, Eq)]
enum Transport {
    Tls,
    Loopback,
}

/// Reads a base URL and checks it, for [`Client::open`] and for requests.
///
/// # Errors
/// [`ClientError`] when it is no URL or one that may not be used.
pub(super) fn parse_url(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::Url)?;
    transport(&url).map(|_| url)
}

fn transport(url: &Url) -> Result<Transport, ClientError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Credentials);
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => Ok(Transport::Tls),
        "http" if is_loopback(host) => Ok(Transport::Loopback),
        "http" => Err(ClientError::PlainHttp(host.to_owned())),
        scheme => Err(ClientError::Scheme(scheme.to_owned())),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host == "[::1]"
}

fn read_ca(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let pem =
        fs::read(path).map_err(|source| ClientError::CaRead { path: path.to_owned(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(ClientError::CaEmpty { path: path.to_owned() }),
    }
}

/// Reads the body, up to its bound; `None` when it is longer or breaks off.
async fn read(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_REPLY {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// The seconds in a header, at most an hour.
fn seconds(response: &Response, name: &str) -> Option<Duration> {
    let seconds = response.headers().get(name)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn failure(error: &reqwest::Error) -> Failure {
    let text = chain(error);
    if is_untrusted(error) {
        Failure::Untrusted(text)
    } else if error.is_connect() || error.is_builder() {
        Failure::NotSent(text)
    } else {
        Failure::Unknown(text)
    }
}

/// Whether a certificate was refused, anywhere in the chain of causes.
fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(
            tls,
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
        );
    }
    // An I/O error names as its source not what it wraps but what that was caused by.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.is_some_and(|inner| is_untrusted(inner)) || error.source().is_some_and(is_untrusted)
}

/// An error with its causes, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
