//! `[http]`: what comes in by HTTP. Nothing does unless the table is there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;

use super::{
    Config,
    errors::quote,
    raw::{Section, Text},
};
use crate::gateway::GatewayName;

/// What comes in by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// For vendors; `None`: receipts are not heard, and calls say their words without a key press.
    pub public: Option<Public>,
    /// Where health and metrics are told.
    pub admin_listen: SocketAddr,
}

/// Where vendors reach the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// Where the daemon listens, in plain HTTP.
    pub listen: SocketAddr,
    /// The same place as vendors are told it, without a slash at its end. They sign it.
    pub url: String,
    /// Proxies whose `X-Forwarded-For` is believed, for the log and the limit an address.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where the daemon listens for HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// For vendors.
    pub public: Option<SocketAddr>,
    /// For health and metrics.
    pub admin: Option<SocketAddr>,
}

impl Listening {
    /// Where the configuration wants it.
    #[must_use]
    pub fn wanted(http: Option<&Http>) -> Self {
        let public = http.and_then(|http| http.public.as_ref()).map(|public| public.listen);
        Self { public, admin: http.map(|http| http.admin_listen) }
    }
}

impl Config {
    /// Where vendors are told to come by: nowhere while nobody listens for them.
    #[must_use]
    pub fn public(&self, bound: Listening) -> Option<&Public> {
        self.http.as_ref()?.public.as_ref().filter(|_| bound.public.is_some())
    }

    /// The gateways that calls go through, in order. Where `[http]` is on but nobody listens, for
    /// want of a port or of a restart, only those that need nobody to listen: the others would ring
    /// and say nothing, or say a code without the key press that the configuration asks for.
    #[must_use]
    pub fn callers(&self, bound: Listening) -> Vec<GatewayName> {
        let wanted = self.http.as_ref().is_some_and(|http| http.public.is_some());
        let unheard = wanted && bound.public.is_none();
        let without = self.delivery.voice_without_key_press;
        let calls = |name: &GatewayName| {
            let found = self.gateways.iter().find(|(gateway, _)| gateway == name);
            !unheard || found.is_none_or(|(_, settings)| settings.calls_unheard(without))
        };
        self.delivery.voice.iter().filter(|name| calls(name)).cloned().collect()
    }
}

/// Reads `[http]`; none when it is not there.
pub(super) fn read(mut section: Section<'_>) -> Option<Http> {
    let there = section.place.offset.is_some();
    let listen = section.text("listen");
    let url = section.text("public-url");
    match (&listen, &url) {
        (Some(listen), None) => {
            let expected = "the https address by which vendors reach `http.listen`";
            let remedy = "add public-url = \"https://otp.example.com\", or remove `listen`";
            let place = section.place_of("public-url");
            section.error(&place, "is missing", expected, remedy);
            let _ = address(&section, listen);
        }
        (None, Some(_)) => {
            let expected = "the address and port that a proxy passes that URL's requests to";
            let remedy = "add listen = \"127.0.0.1:8643\", or remove `public-url`";
            section.error(&section.place_of("listen"), "is missing", expected, remedy);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let trusted_proxies = read_proxies(&mut section);
    let listen_text = listen.as_ref().map(|text| text.place.clone());
    let listen = listen.filter(|_| url.is_some()).and_then(|text| address(&section, &text));
    let url = url.and_then(|text| read_url(&section, &text));
    let admin_text = section.text("admin-listen");
    let admin_listen = match &admin_text {
        None => Some(ADMIN_LISTEN),
        Some(text) => address(&section, text),
    };
    if let (Some(text), Some(admin)) = (&admin_text, admin_listen)
        && !admin.ip().is_loopback()
    {
        let text_of = "is no loopback address: whoever reaches it reads health and metrics, and \
                       there is no password";
        section.warn(&text.place, text_of);
    }
    if let (Some(listen), Some(admin), Some(place)) = (listen, admin_listen, &listen_text)
        && overlap(listen, admin)
    {
        let (place, other) = match &admin_text {
            Some(text) => (&text.place, "http.listen".to_owned()),
            None => (place, format!("http.admin-listen, which is {ADMIN_LISTEN} by default")),
        };
        let same = if listen == admin { "is the same as" } else { "takes the same port as" };
        let expected = "a port for each of the two";
        section.error(place, format!("{same} {other}"), expected, "choose another port");
    }
    if let (Some(place), Some(listen)) = (listen_text, listen)
        && !listen.ip().is_loopback()
    {
        let text = "is no loopback address: what comes from the proxy is plain HTTP, with codes of \
                    calls in it, so the network between them must be yours";
        section.warn(&place, text);
    }
    section.finish();
    if !there {
        return None;
    }
    let public = listen.zip(url).map(|(listen, url)| Public { listen, url, trusted_proxies });
    Some(Http { public, admin_listen: admin_listen.unwrap_or(ADMIN_LISTEN) })
}

fn address(section: &Section<'_>, text: &Text<'_>) -> Option<SocketAddr> {
    match text.value.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => return Some(address),
        Ok(_) | Err(_) => {}
    }
    let expected = "an IP address and a port, like 127.0.0.1:8643 or [::1]:8643";
    section.error(&text.place, format!("is {}", quote(text.value)), expected, "correct it");
    None
}

/// Whether a port would be listened on twice: the unspecified address takes in every other of its
/// family, and that of version 6 also those of version 4.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (port, other_port) = (one.port(), other.port());
    let (one, other) = (one.ip().to_canonical(), other.ip().to_canonical());
    let takes_in = |wide: IpAddr, narrow: IpAddr| {
        wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    port == other_port && (one == other || takes_in(one, other) || takes_in(other, one))
}

/// https, or http to this machine for tests; a host and perhaps a port, in the spelling that every
/// program reads alike.
fn read_url(section: &Section<'_>, text: &Text<'_>) -> Option<String> {
    let expected = "the https address that vendors are told, like https://otp.example.com";
    let refuse = |found: &str, remedy: &str| {
        section.error(&text.place, found, expected, remedy);
        None
    };
    let Ok(url) = Url::parse(text.value) else {
        return refuse("is no URL", "write it like https://otp.example.com");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has a user or password in it", "remove it: vendors prove who they are");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has more than a host and a port", "end it before the `?` or `#`");
    }
    let loopback = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            let remedy =
                "use https, with a proxy in front of http.listen that holds the certificate";
            return refuse("is plain http", remedy);
        }
        _ => return refuse("is neither https nor http", "write it like https://…"),
    }
    if url.path() != "/" {
        let remedy = "end it before the path: otpd answers at the root; give it a host name or a \
                      port of its own";
        return refuse("has a path", remedy);
    }
    // Vendors are told the text and sign it. What only some programs read as an address, like
    // `https:/host`, or with spaces around it, would reach nobody, or somebody else.
    let plain = url.as_str().trim_end_matches('/');
    let written = text.value.strip_suffix('/').unwrap_or(text.value);
    let with_port = url.port_or_known_default().map(|port| format!("{plain}:{port}"));
    if written != plain && with_port.as_deref() != Some(written) {
        return refuse("is not spelled as vendors need it", &format!("write it as {plain}"));
    }
    Some(written.to_owned())
}

fn read_proxies(section: &mut Section<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in section.texts("trusted-proxies", "[\"127.0.0.1\"]").unwrap_or_default() {
        let single = || text.value.parse::<IpAddr>().ok().map(IpNet::from);
        if let Some(network) = text.value.parse::<IpNet>().ok().or_else(single) {
            networks.push(network.trunc());
        } else {
            let found = format!("has {}", quote(text.value));
            let expected = "networks like 10.0.0.0/8 or 2001:db8::/32, and addresses";
            section.error(&text.place, found, expected, "correct or remove it");
        }
    }
    networks
}

/// Where health and metrics are told by default: on this machine alone.
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9643);
