//! What went wrong, why, and what to do about it: one line for each error there is.

use std::{io, path::Path, time::Duration};

use jiff::tz::TimeZone;
use otp_proto::{
    admin::{AdminError, Limit, NoLiveCode},
    service::ServiceError,
};

use super::{io_reason, is_damaged, text::Lock, time::local, visible, word};
use crate::{failure::Failure, session::ANSWER_DEADLINE};

/// What was asked, for errors that do not say it themselves.
pub(crate) struct Asked<'a> {
    /// Where the daemon should listen.
    pub(crate) socket: &'a Path,
    /// The account that the verb is about.
    pub(crate) user: Option<&'a str>,
    /// Whether the verb changes something.
    pub(crate) changes: bool,
    /// The zone in which people read times.
    pub(crate) zone: &'a TimeZone,
}

/// For whoever follows the trail, once the daemon answers again.
pub(crate) const BACK: &str = "otpd is back";

/// For whoever follows the trail, when that breaks off for a while: `patience` is how long it may.
pub(crate) fn away(failure: &Failure, patience: Duration) -> String {
    let what = if let Failure::Admin(AdminError::Unavailable { reason }) = failure {
        format!("otpd cannot go on: {reason}")
    } else {
        "otpd is away, stopped or about to restart".to_owned()
    };
    let patience = patience.as_secs();
    visible(&format!("{what}; waiting up to {patience} s for it, nothing is left out"))
}

impl Asked<'_> {
    /// The line for standard error.
    pub(crate) fn text(&self, failure: &Failure) -> String {
        let text = match failure {
            Failure::Usage(what) | Failure::Row(what) | Failure::Host(what) => what.clone(),
            Failure::Input(error) => {
                format!("cannot ask on the terminal or read standard input: {}", io_reason(error))
            }
            Failure::Output(error) => {
                format!("cannot write to standard output: {}", io_reason(error))
            }
            Failure::RootOnly => "only root sees a number in full; run it with sudo, or leave \
                 --reveal out"
                .into(),
            Failure::List(name, error) => format!(
                "cannot read {name}: {}; check the name, or give - for standard input",
                io_reason(error)
            ),
            Failure::Declined => "nothing was changed".into(),
            Failure::Connect(error) => self.connect(error),
            Failure::Lost(error) => self.lost(error),
            Failure::Malformed(what) => format!(
                "what answers at {} is not otpd, or not one that fits this otpctl ({what}); \
                 compare otpctl --version with otpd --version: systemctl status otpd.socket otpd",
                self.socket.display()
            ),
            Failure::Admin(error) => self.admin(error),
            Failure::Service(error) => service(error),
            Failure::Unknown(name) => format!(
                "otpd answers with an error that otpctl {} does not know: {name}; compare \
                 otpctl --version with otpd --version, and see: journalctl -u otpd",
                env!("CARGO_PKG_VERSION")
            ),
        };
        visible(&text)
    }

    fn connect(&self, error: &io::Error) -> String {
        let (socket, reason) = (self.socket.display(), io_reason(error));
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
                "otpd does not answer at {socket} ({reason}): systemctl status otpd.socket otpd"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "{socket} may not be opened ({reason}); otpd.socket gives the directory mode 0755 \
                 and the socket 0666: namei -l {}",
                word(&socket.to_string())
            ),
            io::ErrorKind::TimedOut => format!(
                "otpd takes no connection at {socket} within {} s, so it hangs or is overrun: \
                 systemctl status otpd; journalctl -u otpd",
                ANSWER_DEADLINE.as_secs()
            ),
            _ => format!(
                "cannot connect to {socket} ({reason}); check --socket, then: \
                 systemctl status otpd.socket otpd"
            ),
        }
    }

    fn lost(&self, error: &io::Error) -> String {
        let what = match error.kind() {
            io::ErrorKind::TimedOut => {
                format!("otpd did not answer within {} s", ANSWER_DEADLINE.as_secs())
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => {
                "otpd closed the connection without an answer; it was stopped, or it serves as \
                 many connections as it may"
                    .into()
            }
            _ => format!("the exchange with otpd failed ({})", io_reason(error)),
        };
        match self.user.filter(|_| self.changes) {
            Some(user) if is_damaged(user) => format!(
                "{what}; what was asked may have been done, see: otpctl list; journalctl -u otpd"
            ),
            Some(user) => format!(
                "{what}; what was asked may have been done, see: otpctl show {}; \
                 journalctl -u otpd",
                word(user)
            ),
            None => format!("{what}; see: journalctl -u otpd"),
        }
    }

    fn admin(&self, error: &AdminError) -> String {
        let user = self.user.map_or_else(|| "USER".into(), word);
        match error {
            AdminError::NoSuchUser { user } if is_damaged(user) => format!(
                "nothing is stored by the damaged name {}; otpctl list shows those that are there",
                word(user)
            ),
            AdminError::NoSuchUser { user } => format!(
                "there is no account \"{user}\" on this host (getent passwd {} finds none); \
                 check the spelling",
                word(user)
            ),
            AdminError::NotEnrolled { user } => format!(
                "{user} has no number registered; register one with: otpctl enroll {} PHONE",
                word(user)
            ),
            AdminError::AlreadyEnrolled { user } => format!(
                "{user} has a number already (otpctl show {word}); to put another one in its \
                 place run: otpctl enroll {word} PHONE --replace",
                word = word(user)
            ),
            AdminError::InvalidNumber { reason } => format!(
                "the number cannot be used: {reason}; write it with + and the country code, for \
                 example +13125550123"
            ),
            AdminError::CountryNotAllowed { country } => format!(
                "no messages go to numbers of {country}: add \"{country}\" to delivery.countries \
                 in /etc/otpd/otpd.toml, then run: systemctl reload otpd"
            ),
            AdminError::WrongCode { tries_left: 0 } => format!(
                "that code is not right and no try is left; send another one with: \
                 otpctl resend {user}"
            ),
            AdminError::WrongCode { tries_left } => format!(
                "that code is not right, {tries_left} {} left; ask for the newest one and run: \
                 otpctl verify {user}",
                if *tries_left == 1 { "try is" } else { "tries are" },
            ),
            AdminError::NoLiveCode { reason } => {
                let why = match reason {
                    NoLiveCode::None => "no code was sent that could be verified",
                    NoLiveCode::Expired => "the code is too old",
                    NoLiveCode::Spent => "the tries for this code are used up",
                };
                format!("{why}; send another one with: otpctl resend {user}")
            }
            AdminError::TooSoon { retry_after_seconds } => format!(
                "it is too soon for another message; run this again in {retry_after_seconds} {}",
                if *retry_after_seconds == 1 { "second" } else { "seconds" },
            ),
            AdminError::LimitReached { limit } => self.limit(limit, &user),
            AdminError::Refused { reason } => format!("otpd refuses this: {reason}"),
            AdminError::Unavailable { reason } => format!(
                "otpd cannot do this now: {reason}; see otpctl status and journalctl -u otpd"
            ),
        }
    }

    fn limit(&self, limit: &Limit, user: &str) -> String {
        let Limit { name, since, until } = limit;
        let since = local(*since, self.zone);
        let unlock = format!("otpctl unlock {user}");
        match until.map(|until| local(until, self.zone)) {
            // An unlock ends what wrong codes brought, and nothing that protects from messages.
            Some(until) if Lock::of(std::slice::from_ref(limit)) != Lock::Open => format!(
                "the limit {name} holds since {since}; run this again after {until}, or end it \
                 with: {unlock}"
            ),
            Some(until) => {
                format!("the limit {name} holds since {since}; run this again after {until}")
            }
            None => format!(
                "the limit {name} holds since {since} and has no end of its own; once its cause \
                 is known run: {unlock}"
            ),
        }
    }
}

fn service(error: &ServiceError) -> String {
    match error {
        ServiceError::PermissionDenied {} => {
            "you may not do this: it takes root or a member of the admin group (server.admin-group \
             in otpd.toml, otpd-admin by default), and root alone for the accounts of those; show, \
             verify and resend also work for your own account; run it with sudo"
                .into()
        }
        ServiceError::InvalidParameter { parameter } => format!(
            "otpd does not accept what it was given ({parameter}); check the spelling, and \
             otpctl --version against otpd --version"
        ),
        ServiceError::InterfaceNotFound { interface: unknown }
        | ServiceError::MethodNotFound { method: unknown }
        | ServiceError::MethodNotImplemented { method: unknown } => format!(
            "the daemon that answers does not know {unknown}, so it is older than otpctl {}; \
             after an upgrade run: systemctl restart otpd",
            env!("CARGO_PKG_VERSION")
        ),
        ServiceError::ExpectedMore {} => format!(
            "the daemon that answers and otpctl {} do not fit together; after an upgrade run: \
             systemctl restart otpd",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

#[cfg(test)]
mod tests;
