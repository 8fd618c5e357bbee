//! Address ranges that a bypass can be limited to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use minicbor::{Decode, Encode};

use crate::domain::account::Source;

/// The addresses that a bypass is good for: an IPv4 network, or an IPv6 one of at most 64 bits.
///
/// A [`Source`] is an IPv4 address or the /64 of an IPv6 one. It is inside when all of it is, and
/// a narrower IPv6 network could never be told to hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Network {
    /// Address and prefix length, 0 to 32.
    #[n(0)]
    V4(#[cbor(n(0), with = "minicbor::bytes")] [u8; 4], #[n(1)] u8),
    /// The first 64 bits and the prefix length, 0 to 64.
    #[n(1)]
    V6(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u8),
}

/// Why a text is not a network that a bypass can be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address and no range.
    #[error("not an address or a range of addresses; write for example 203.0.113.9 or 10.0.0.0/8")]
    Shape,
    /// An IPv6 range of more than 64 bits.
    #[error(
        "logins over IPv6 are told apart by their first 64 bits; write for example 2001:db8:1:2::/64"
    )]
    Narrow,
}

impl Network {
    /// Reads an address or a range; host bits are dropped.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(Into::into));
        match net.map_err(|_| NetworkError::Shape)?.trunc() {
            IpNet::V4(net) => Ok(Self::V4(net.addr().octets(), net.prefix_len())),
            IpNet::V6(net) if net.prefix_len() <= 64 => {
                let octets = net.addr().octets();
                let (network, _) = octets.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
                Ok(Self::V6(*network, net.prefix_len()))
            }
            IpNet::V6(_) => Err(NetworkError::Narrow),
        }
    }

    /// Whether a login comes from inside. A console has no source and is inside of none.
    #[must_use]
    pub fn holds(self, source: Option<Source>) -> bool {
        match (self.net(), source) {
            (Some(IpNet::V4(net)), Some(Source::V4(octets))) => {
                net.contains(&Ipv4Addr::from(octets))
            }
            (Some(IpNet::V6(net)), Some(Source::V6(network))) => net.contains(&v6(network)),
            (_, Some(Source::V4(_) | Source::V6(_)) | None) => false,
        }
    }

    /// `None` for a damaged row's prefix length.
    fn net(self) -> Option<IpNet> {
        match self {
            Self::V4(octets, prefix) => {
                Ipv4Net::new(Ipv4Addr::from(octets), prefix).ok().map(IpNet::V4)
            }
            Self::V6(network, prefix) => {
                Ipv6Net::new(v6(network), prefix.min(64)).ok().map(IpNet::V6)
            }
        }
    }
}

fn v6(network: [u8; 8]) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(u64::from_be_bytes(network)) << 64)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net() {
            Some(net) => net.fmt(f),
            None => f.write_str("no network"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, NetworkError};
    use crate::domain::{account::Source, scene::source};

    #[test]
    fn networks_hold_sources_that_are_wholly_inside() {
        let v6 = |text: &str| Source::of(text.parse().expect("an address"));
        let inside = [
            ("the address", "203.0.113.9", source(9), true),
            ("another", "203.0.113.9", source(10), false),
            ("the range's first", "203.0.113.8/29", source(8), true),
            ("the range's last", "203.0.113.8/29", source(15), true),
            ("one before", "203.0.113.8/29", source(7), false),
            ("one after", "203.0.113.8/29", source(16), false),
            ("host bits do not matter", "203.0.113.11/29", source(8), true),
            ("everything", "0.0.0.0/0", source(1), true),
            ("everything of the other kind", "::/0", source(1), false),
            ("a /64", "2001:db8:1:2::/64", v6("2001:db8:1:2:ffff::1"), true),
            ("the next /64", "2001:db8:1:2::/64", v6("2001:db8:1:3::1"), false),
            ("a /48", "2001:db8:1::/48", v6("2001:db8:1:ffff::1"), true),
            ("the next /48", "2001:db8:1::/48", v6("2001:db8:2::1"), false),
            ("of the other kind", "2001:db8::/32", source(1), false),
            ("IPv4 written as IPv6", "203.0.113.0/24", v6("::ffff:203.0.113.9"), true),
        ];
        for (name, network, source, holds) in inside {
            let network = Network::parse(network).expect(name);
            assert_eq!(network.holds(Some(source)), holds, "{name}");
            assert!(!network.holds(None), "{name}: a console is inside of none");
        }
    }

    #[test]
    fn networks_are_read_and_written() {
        let cases = [
            ("203.0.113.9", Ok("203.0.113.9/32")),
            ("10.1.2.3/8", Ok("10.0.0.0/8")),
            ("2001:db8:1:2::/64", Ok("2001:db8:1:2::/64")),
            ("::/0", Ok("::/0")),
            ("2001:db8::1", Err(NetworkError::Narrow)),
            ("2001:db8::/65", Err(NetworkError::Narrow)),
            ("::ffff:10.0.0.0/104", Err(NetworkError::Narrow)),
            ("10.0.0.0/33", Err(NetworkError::Shape)),
            ("10.0.0", Err(NetworkError::Shape)),
            ("", Err(NetworkError::Shape)),
            ("host.example", Err(NetworkError::Shape)),
        ];
        for (text, expected) in cases {
            let read = Network::parse(text).map(|network| network.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }
}
