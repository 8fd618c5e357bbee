//! Who: accounts, and where a claimant comes from.

use core::net::IpAddr;
use std::fmt;

use minicbor::{Decode, Encode};

/// A Unix account by the name that NSS gives it, so that `ALICE` and `alice@corp` are not second
/// accounts. At most 256 bytes, no control character, no `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(String);

/// A text that no account is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account name has 1 to 256 bytes, no control character and no '/'")]
pub struct InvalidAccount;

impl Account {
    /// Takes a name over.
    ///
    /// # Errors
    /// [`InvalidAccount`].
    pub fn new(name: &str) -> Result<Self, InvalidAccount> {
        let fits = (1..=256).contains(&name.len());
        if fits && !name.chars().any(|c| c.is_control() || c == '/') {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidAccount)
        }
    }

    /// Stands in the audit where an event is about the host and no account. No account has this
    /// name: programs would take it for an option.
    #[must_use]
    pub fn host() -> Self {
        Self("-".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a login comes from, as budgets see it: an IPv4 address, or the first 64 bits of an IPv6
/// address, because one subscriber line holds at least that many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Source {
    /// An IPv4 address.
    #[n(0)]
    V4(#[cbor(n(0), with = "minicbor::bytes")] [u8; 4]),
    /// The network half of an IPv6 address.
    #[n(1)]
    V6(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8]),
}

impl Source {
    /// The source of a literal address; an IPv4 address written as IPv6 is the IPv4 one.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let (network, _) = octets.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
                Self::V6(*network)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(octets) => core::net::Ipv4Addr::from(octets).fmt(f),
            Self::V6(network) => {
                let bits = u128::from(u64::from_be_bytes(network)) << 64;
                write!(f, "{}/64", core::net::Ipv6Addr::from_bits(bits))
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Source};

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(257);
        let cases = [
            ("plain", "alice", true),
            ("with domain", "alice@corp.example", true),
            ("not only ASCII", "änne", true),
            ("empty", "", false),
            ("slash", "../root", false),
            ("newline", "al\nice", false),
            ("NUL", "al\0ice", false),
            ("C1 control", "al\u{9b}ice", false),
            ("too long", &long, false),
        ];
        for (name, text, good) in cases {
            assert_eq!(Account::new(text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn sources_fold_what_one_person_holds() {
        let source = |text: &str| Source::of(text.parse().expect("address"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:203.0.113.9"), source("203.0.113.9"));
        assert_eq!(source("203.0.113.9").to_string(), "203.0.113.9");
        assert_eq!(source("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }
}
