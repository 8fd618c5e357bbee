//! Over real sockets, as vendors and attackers come.

mod answers;
mod limits;
mod receipts;
mod reloads;
mod replays;
mod watching;

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{Gate, Limits, Metrics, Notices, Public, admin, public, serve};
use crate::{
    clock::Clock,
    domain::time::Timestamp,
    gateway::{
        GatewayName, Notice,
        callback::{Keys, flowroute, laml},
    },
    shutdown::{self, Trigger},
    verifier::tests::{House, site_with},
};

/// What vendors are told.
const URL: &str = "https://otp.example.com";
/// The token of the gateway `twilio`.
const TOKEN: &str = "canary-token-1";

/// A daemon that listens.
struct Open {
    house: House,
    address: SocketAddr,
    metrics: Metrics,
    /// Of the public listener.
    gate: Option<Arc<Gate>>,
    /// Taken where notices are acted on.
    notices: Option<Notices>,
    _stop: Trigger,
}

fn name(text: &str) -> GatewayName {
    GatewayName(text.to_owned())
}

fn secret() -> flowroute::Secret {
    flowroute::Secret::derive("secret-key", &name("flowroute")).expect("a key")
}

impl Open {
    /// The public listener.
    async fn public() -> Self {
        Self::public_of(House::empty().await).await
    }

    /// The public listener of a house.
    async fn public_of(house: House) -> Self {
        let told = told(URL, "twilio", TOKEN);
        let (clock, metrics) = (Clock::from_fn(|| Timestamp(1)), Metrics::default());
        let verifier = Arc::clone(&house.verifier);
        let (gate, notices) = Gate::new(verifier, clock, metrics.clone(), told);
        let router = public(Arc::clone(&gate));
        let open = Self::serve(house, router, gate.limits(), metrics, Some(notices)).await;
        Self { gate: Some(gate), ..open }
    }

    /// The administrators' listener.
    async fn admin() -> Self {
        Self::admin_of(House::empty().await).await
    }

    /// The administrators' listener of a house.
    async fn admin_of(house: House) -> Self {
        let metrics = Metrics::default();
        let router = admin(Arc::clone(&house.verifier), metrics.clone());
        Self::serve(house, router, Limits::default(), metrics, None).await
    }

    async fn serve(
        house: House,
        router: axum::Router,
        limits: Limits,
        metrics: Metrics,
        notices: Option<Notices>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (trigger, stop) = shutdown::channel();
        tokio::spawn(serve(listener, router, limits, stop));
        Self { house, address, metrics, gate: None, notices, _stop: trigger }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends bytes and reads until the daemon closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("it reads");
        read(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")).await
    }

    /// A form with headers.
    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\n\
             content-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
        .await
    }

    /// A form that Twilio signed.
    async fn twilio(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let (headers, body) = twilio(path, fields);
        self.post(path, &headers, &body).await
    }

    fn queue(&mut self) -> &mut mpsc::Receiver<(GatewayName, Notice)> {
        &mut self.notices.as_mut().expect("nobody acts on them").0
    }
}

/// What vendors are told, where Twilio's gateway has this name and this token.
fn told(url: &str, twilio: &str, token: &str) -> Public {
    let keys = [
        (name(twilio), Keys::Twilio(laml::Twilio::new(token).expect("a key"))),
        (name("flowroute"), Keys::Flowroute(secret())),
    ];
    let trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    Public { url: url.to_owned(), keys: keys.into(), trusted_proxies }
}

/// What is read until the end of the connection.
async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is cut off in the middle has an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

/// The header and the body of a form that Twilio signed for a path; the fields are sorted.
fn twilio(path: &str, fields: &[(&str, &str)]) -> (String, String) {
    signed(TOKEN, URL, path, fields)
}

/// The same with any token, for any site.
fn signed(token: &str, url: &str, path: &str, fields: &[(&str, &str)]) -> (String, String) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let words: String = fields.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(token.as_bytes()).expect("any length");
    let mac = mac.chain_update(format!("{url}{path}{words}")).finalize();
    (format!("x-twilio-signature: {}\r\n", STANDARD.encode(mac.into_bytes())), body)
}

/// The status of an answer.
fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no HTTP: {answer:?}"))
}

/// An answer without its date.
fn undated(answer: &str) -> String {
    let lines = answer.lines().filter(|line| !line.starts_with("date: "));
    lines.collect::<Vec<_>>().join("\n")
}
