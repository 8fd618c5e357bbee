//! Who needs a code at all.

use std::collections::BTreeSet;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::account::{Account, Source};

/// What happens to an account without a proved number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unenrolled {
    /// It cannot log in.
    #[default]
    Deny,
    /// It needs no code.
    Ignore,
}

/// What the host and the site's rules say about an account, before anything that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// NSS knows no such account: nothing helps.
    NoAccount,
    /// It needs no code.
    Nothing,
    /// It needs a code.
    Code,
}

/// The site's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What happens to an account without a proved number.
    pub unenrolled: Unenrolled,
    /// Accounts that need no code, by canonical name.
    pub exempt_users: BTreeSet<String>,
    /// Groups whose members need no code.
    pub exempt_groups: BTreeSet<String>,
}

impl Policy {
    /// Whether the account needs no code. `groups` is empty when they could not be looked up: a
    /// failed lookup never exempts.
    #[must_use]
    pub fn exempts(&self, account: &Account, groups: &[String]) -> bool {
        self.exempt_users.contains(account.as_str())
            || groups.iter().any(|group| self.exempt_groups.contains(group))
    }
}

/// Networks that many people come from: bastions, and what is behind address translation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedSources(pub Vec<IpNet>);

impl SharedSources {
    /// Whether the source lies in one of them, or one of them in the source: an IPv6 source is a
    /// whole /64.
    #[must_use]
    pub fn contain(&self, source: Source) -> bool {
        let (address, subnet) = match source {
            Source::V4(octets) => (IpAddr::V4(Ipv4Addr::from(octets)), None),
            Source::V6(network) => {
                let address = Ipv6Addr::from_bits(u128::from(u64::from_be_bytes(network)) << 64);
                (IpAddr::V6(address), Ipv6Net::new(address, 64).ok())
            }
        };
        self.0.iter().any(|shared| {
            let within = |subnet| IpNet::V6(subnet).contains(&shared.network());
            shared.contains(&address) || subnet.is_some_and(within)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use crate::domain::account::Account;

    #[test]
    fn exemptions_are_exact() {
        let policy = Policy {
            exempt_users: ["backup".to_owned()].into(),
            exempt_groups: ["robots".to_owned()].into(),
            ..Policy::default()
        };
        let cases: [(&str, &str, &[&str], bool); 6] = [
            ("listed", "backup", &[], true),
            ("in the group", "ci", &["users", "robots"], true),
            ("in no such group", "ci", &["users"], false),
            ("groups unknown", "ci", &[], false),
            ("another case", "Backup", &[], false),
            ("user named like the group", "robots", &[], false),
        ];
        for (name, user, groups, exempt) in cases {
            let account = Account::new(user).expect("a name");
            let groups = groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
            assert_eq!(policy.exempts(&account, &groups), exempt, "{name}");
        }
    }
}
