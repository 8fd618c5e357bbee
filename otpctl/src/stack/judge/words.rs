//! What is wrong with a stack and what to do about it, in words.

use otp_proto::args;

use super::{Fault, Side};
use crate::stack::{MODULE, read::Trouble};

impl Fault {
    /// What is wrong, and where.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Broken(Trouble::NoService(name)) => {
                format!("there is no /etc/pam.d/{name}, and no /etc/pam.d/other")
            }
            Self::Broken(Trouble::NoInclude(place, name)) => {
                format!("{place} includes {name}, which is not there: every login fails")
            }
            Self::Broken(Trouble::Endless(place)) => {
                format!("{place}: files include each other without an end: every login fails")
            }
            Self::Broken(Trouble::Torn(place)) => format!(
                "{place}: a line that ends in `\\` goes on in a blank line, a comment or not at all: by its \
                 version, libpam takes the next rule for arguments of this one, or lets nobody in"
            ),
            Self::Broken(Trouble::Long(place)) => {
                format!("{place}: a line is so long that libpam takes its end for another line")
            }
            Self::Broken(Trouble::Unreadable(place, why)) => {
                format!("{place}: {why}: libpam takes it for a module that always fails")
            }
            Self::NoModule(place, module) => {
                format!("{place}: {module} is not where libpam looks for modules")
            }
            Self::PassedBy(by) if by.jumps && by.checks => format!(
                "{}: {} is enough: `{}` jumps over {MODULE}, as in a profile of pam-auth-update with \
                 `Auth-Type: Primary`",
                by.place, by.module, by.control
            ),
            Self::PassedBy(by) => format!(
                "{}: {} is enough: `{}` lets in before {MODULE} is asked",
                by.place, by.module, by.control
            ),
            Self::NotFinal(by, answer) if answer == "authinfo_unavail" => format!(
                "{}: `{}` lets everybody in while otpd does not answer",
                by.place, by.control
            ),
            Self::NotFinal(by, _) => {
                format!("{}: `{}` lets in also with a wrong code", by.place, by.control)
            }
            Self::Unproved(by) if by.inside => format!(
                "{}: {} stands in a substack, whose denial is not the end: a code is sent all the same",
                by.place, by.module
            ),
            Self::Unproved(by) => format!(
                "{}: {} is `{}`, so that a code is sent also when it refuses",
                by.place, by.module, by.control
            ),
            Self::StepsAside(by, word) => format!(
                "{}: with `{word}` {} steps aside for some, and they get in although nothing has \
                 checked who they are",
                by.place, by.module
            ),
            Self::Unchecked(by) => format!(
                "{}: {} is `{}`, which leads past what checks who somebody is: who is exempt from \
                 codes gets in with nothing",
                by.place, by.module, by.control
            ),
            Self::Unseen(by, _) => format!(
                "{}: {} leaves no password, by which {MODULE} sees that something was checked: every \
                 code is refused",
                by.place, by.module
            ),
            Self::Closed => "nobody gets in, whatever the code".to_owned(),
            Self::ExemptKeptOut(place) => format!(
                "{place}: nothing but {MODULE} says yes, so that who needs no code (exempt_user, \
                 exempt-users, exempt-groups, policy.unenrolled = \"ignore\") does not get in"
            ),
            Self::Twice(place) => format!("{place}: {MODULE} stands in the stack a second time"),
            Self::Quiet(place) => {
                format!(
                    "{place}: with `-auth` a missing {MODULE} keeps out without a word in the log"
                )
            }
            Self::Argument(place, error) => {
                format!("{place}: {MODULE}: {error}: only who is named by exempt_user gets in")
            }
            Self::Hasty(place, timeout) => format!(
                "{place}: {MODULE} waits {} s for otpd, which may need more to answer: logins fail while \
                 a vendor or the database is slow",
                timeout.as_secs()
            ),
        }
    }

    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Broken(Trouble::NoService(_)) => "name a service that this host has".to_owned(),
            Self::Broken(_) => "mend or remove that line".to_owned(),
            Self::NoModule(_, module) if module.ends_with(MODULE) => {
                "install otpd's module again, or take the line out".to_owned()
            }
            Self::NoModule(..) => "install the package it is of, or take the line out".to_owned(),
            Self::PassedBy(by) if by.jumps && by.checks => {
                "write `Auth-Type: Additional` in the profile and run pam-auth-update; by hand, put \
                 `auth requisite pam_otp.so` where the jump ends"
                    .to_owned()
            }
            Self::PassedBy(by) if by.checks => {
                "write `requisite` in the place of that control".to_owned()
            }
            Self::PassedBy(_) => {
                "take the line out; who is to get in without a code belongs into exempt_user= of \
                 pam_otp.so"
                    .to_owned()
            }
            Self::NotFinal(..) => "write `auth requisite pam_otp.so`".to_owned(),
            Self::Unproved(by) if by.inside => {
                "replace the substack line as in /usr/share/doc/otpd/authselect.md".to_owned()
            }
            Self::Unproved(_) => "write `requisite` in the place of that control".to_owned(),
            Self::StepsAside(_, word) => {
                format!("take `{word}` out, or put `auth requisite pam_unix.so` above pam_otp.so")
            }
            Self::Unchecked(_) => {
                "let the jump end above a line that checks who somebody is".to_owned()
            }
            Self::Unseen(_, true) => {
                "write `first_factor_checked` behind pam_otp.so: nobody comes that far unchecked"
                    .to_owned()
            }
            Self::Unseen(_, false) => {
                "put `auth requisite pam_unix.so` above pam_otp.so; `first_factor_checked` behind it \
                 would let in some by the phone alone"
                    .to_owned()
            }
            Self::Closed => {
                "look for a module that always fails; `otpctl pam disable SERVICE` takes the code out"
                    .to_owned()
            }
            Self::ExemptKeptOut(_) => "put `auth required pam_permit.so` below it".to_owned(),
            Self::Twice(_) => "keep one of the two lines".to_owned(),
            Self::Quiet(_) => "write `auth`".to_owned(),
            Self::Argument(..) => "see pam_otp(8)".to_owned(),
            Self::Hasty(..) => {
                format!("take `timeout` out, or write {} or more", args::TIMEOUT.as_secs())
            }
        }
    }
}

impl Side {
    /// What it is.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::FailSafe(place) => format!(
                "{place}: with failmode=safe nobody is asked for a code while nothing listens at otpd's \
                 socket; a daemon that hangs refuses"
            ),
            Self::Behind(place, word) => format!(
                "{place}: `{word}` stands behind a `#`, where libpam does not see it; write it \
                 before the `#`"
            ),
            Self::GoesOn(place) => {
                format!("{place}: modules below {MODULE} run also after a denial; write requisite")
            }
            Self::Unknown(place, module) => format!(
                "{place}: {module} is not known here, and was taken for one that checks a first \
                 factor"
            ),
        }
    }
}
