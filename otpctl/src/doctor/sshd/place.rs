//! Where a login comes from and arrives, as `sshd -T -C` is told.

use std::{fmt, net::IpAddr};

use super::files::Match;

/// Where a login comes from and arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    addr: String,
    laddr: String,
    lport: String,
    rdomain: String,
}

/// From this machine to itself.
impl Default for Place {
    fn default() -> Self {
        let own = || "127.0.0.1".to_owned();
        let (host, lport) = ("localhost".to_owned(), "22".to_owned());
        Self { host, addr: own(), laddr: own(), lport, rdomain: String::new() }
    }
}

impl Place {
    /// One for which a `Match` holds; `None` where none can be told from what it says.
    pub(super) fn of(block: &Match) -> Option<Self> {
        let mut place = Self::default();
        for (keyword, list) in block.criteria() {
            // What is left out by a list may be what is drawn from the rest of it.
            let first = list.split(',').next().filter(|_| !list.contains('!'));
            match keyword.as_str() {
                "address" => place.addr = address(first?)?,
                "localaddress" => place.laddr = address(first?)?,
                "localport" => place.lport = list.parse::<u16>().ok()?.to_string(),
                "host" => place.host = first?.replace(['*', '?'], "x"),
                "rdomain" => place.rdomain = first?.replace(['*', '?'], "x"),
                _ => {}
            }
        }
        Some(place)
    }

    /// What sshd is told for `user`.
    pub(super) fn words(&self, user: &str) -> String {
        let Self { host, addr, laddr, lport, rdomain } = self;
        // All that a Match may ask for: sshd ends with an error where one asks for what is not told.
        format!("user={user},host={host},addr={addr},laddr={laddr},lport={lport},rdomain={rdomain}")
    }
}

/// What it has that a login from this machine to itself has not.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let parts = [
            ("from", &self.host, &usual.host),
            ("from", &self.addr, &usual.addr),
            ("to", &self.laddr, &usual.laddr),
            ("to port", &self.lport, &usual.lport),
            ("in the domain", &self.rdomain, &usual.rdomain),
        ];
        let parts = parts.iter().filter(|(_, own, usual)| own != usual);
        let parts = parts.map(|(word, own, _)| format!("{word} {own}")).collect::<Vec<_>>();
        f.write_str(&parts.join(" "))
    }
}

/// One address that fits: of a network, or of a pattern with wildcards.
fn address(pattern: &str) -> Option<String> {
    let first = pattern.split('/').next()?;
    let drawn = if first.contains(['*', '?']) {
        let parts = first.split('.').map(|part| if part == "*" { "1" } else { part });
        let parts = parts.chain(["1"; 3]).take(4).collect::<Vec<_>>();
        parts.join(".").replace(['*', '?'], "1")
    } else {
        first.to_owned()
    };
    drawn.parse::<IpAddr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Match, Place};

    #[test]
    fn a_place_is_drawn_from_what_a_match_asks_for() {
        let cases = [
            ("Address 10.0.0.0/8", Some("from 10.0.0.0")),
            ("Address 10.1.2.3,192.168.0.0/16", Some("from 10.1.2.3")),
            ("Address 192.168.*", Some("from 192.168.1.1")),
            ("Address 192.168.3.?", Some("from 192.168.3.1")),
            ("Address *", Some("from 1.1.1.1")),
            ("Address 2001:db8::/32", Some("from 2001:db8::")),
            ("Address 2001:db8:*", None),
            ("Address !10.0.0.0/8,*", None),
            ("LocalAddress 10.1.1.1", Some("to 10.1.1.1")),
            ("LocalPort=2222 User bob", Some("to port 2222")),
            ("LocalPort 22*", None),
            ("Host *.example.org", Some("from x.example.org")),
            ("RDomain blue Address 10.0.0.1", Some("from 10.0.0.1 in the domain blue")),
        ];
        for (criteria, expected) in cases {
            let criteria = criteria.to_owned();
            let block = Match { place: String::new(), criteria, by_place: true };
            let found = Place::of(&block).map(|place| place.to_string());
            assert_eq!(found.as_deref(), expected, "{}", block.criteria);
        }
    }
}
