//! PAM stacks: what a service's files say, what `libpam` makes of it, and whether a code is asked for
//! as it must be.
//!
//! Pure: a [`Shelf`] gives the files, everything else is decided on values.

mod control;
mod door;
pub(crate) mod edit;
mod judge;
mod line;
mod read;
mod role;
mod walk;

pub(crate) use door::needs_password;
pub(crate) use judge::{Fault, Judgement, Side, judge};
pub(crate) use read::{Entry, Shelf, read};

/// The module as service files name it.
pub(crate) const MODULE: &str = "pam_otp.so";

/// The service by which the same program goes in another way: for `sudo -i` and `su -`. One that asks
/// for a code is gone round by the other where that has a stack of its own, as in Debian's `sudo-i`.
pub(crate) fn second(service: &str) -> Option<&'static str> {
    match service {
        "sudo" => Some("sudo-i"),
        "su" => Some("su-l"),
        _ => None,
    }
}

/// True for a file that is there to be included, or to stand in for others.
pub(crate) fn is_part(name: &str) -> bool {
    name.starts_with("common-") || name.ends_with("-auth") || name == "other"
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn what_other_stacks_include_is_known_by_its_name() {
        for name in ["common-auth", "common-account", "password-auth", "system-auth", "other"] {
            assert!(is_part(name), "{name}");
        }
        for name in ["sshd", "login", "su-l", "gdm-password", "sudo-i"] {
            assert!(!is_part(name), "{name}");
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
