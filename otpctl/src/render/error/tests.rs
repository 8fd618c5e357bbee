use std::{
    io::{Error, ErrorKind},
    path::Path,
};

use jiff::tz::{TimeZone, offset};
use otp_proto::{
    admin::{AdminError, Limit, NoLiveCode},
    service::ServiceError,
};

use super::Asked;
use crate::{Exit, failure::Failure};

fn text(failure: &Failure) -> String {
    text_for(failure, true)
}

fn text_for(failure: &Failure, changes: bool) -> String {
    text_of("alice", failure, changes)
}

fn text_of(user: &str, failure: &Failure, changes: bool) -> String {
    let zone = TimeZone::fixed(offset(2));
    let socket = Path::new("/run/otpd/otpd.sock");
    Asked { socket, user: Some(user), changes, zone: &zone }.text(failure)
}

fn limit(name: &str, until: Option<i64>) -> AdminError {
    AdminError::LimitReached { limit: Limit { name: name.into(), since: 1_785_585_600_000, until } }
}

#[test]
fn every_admin_error_says_what_why_and_the_remedy() {
    let eve = || "eve".to_owned();
    let cases = [
        (
            AdminError::NoSuchUser { user: eve() },
            "there is no account \"eve\" on this host (getent passwd eve finds none); check the spelling",
        ),
        (
            AdminError::NoSuchUser { user: "/al%2Fice".to_owned() },
            "nothing is stored by the damaged name /al%2Fice; otpctl list shows those that are there",
        ),
        (
            AdminError::NotEnrolled { user: eve() },
            "eve has no number registered; register one with: otpctl enroll eve PHONE",
        ),
        (
            AdminError::AlreadyEnrolled { user: eve() },
            "eve has a number already (otpctl show eve); to put another one in its place run: \
             otpctl enroll eve PHONE --replace",
        ),
        (
            AdminError::InvalidNumber { reason: "too short".into() },
            "the number cannot be used: too short; write it with + and the country code, for \
             example +13125550123",
        ),
        (
            AdminError::CountryNotAllowed { country: "FR".into() },
            "no messages go to numbers of FR: add \"FR\" to delivery.countries in \
             /etc/otpd/otpd.toml, then run: systemctl reload otpd",
        ),
        (
            AdminError::WrongCode { tries_left: 2 },
            "that code is not right, 2 tries are left; ask for the newest one and run: \
             otpctl verify alice",
        ),
        (
            AdminError::WrongCode { tries_left: 1 },
            "that code is not right, 1 try is left; ask for the newest one and run: \
             otpctl verify alice",
        ),
        (
            AdminError::WrongCode { tries_left: 0 },
            "that code is not right and no try is left; send another one with: \
             otpctl resend alice",
        ),
        (
            AdminError::NoLiveCode { reason: NoLiveCode::None },
            "no code was sent that could be verified; send another one with: otpctl resend alice",
        ),
        (
            AdminError::NoLiveCode { reason: NoLiveCode::Expired },
            "the code is too old; send another one with: otpctl resend alice",
        ),
        (
            AdminError::NoLiveCode { reason: NoLiveCode::Spent },
            "the tries for this code are used up; send another one with: otpctl resend alice",
        ),
        (
            AdminError::TooSoon { retry_after_seconds: 24 },
            "it is too soon for another message; run this again in 24 seconds",
        ),
        (
            AdminError::TooSoon { retry_after_seconds: 1 },
            "it is too soon for another message; run this again in 1 second",
        ),
        (
            limit("unverified-number-per-day", Some(1_785_589_200_000)),
            "the limit unverified-number-per-day holds since 2026-08-01T14:00:00+02:00; run this \
             again after 2026-08-01T15:00:00+02:00",
        ),
        (
            limit("wrong-codes-per-hour", Some(1_785_589_200_000)),
            "the limit wrong-codes-per-hour holds since 2026-08-01T14:00:00+02:00; run this again \
             after 2026-08-01T15:00:00+02:00, or end it with: otpctl unlock alice",
        ),
        (
            limit("wrong-codes-in-a-row", None),
            "the limit wrong-codes-in-a-row holds since 2026-08-01T14:00:00+02:00 and has no end \
             of its own; once its cause is known run: otpctl unlock alice",
        ),
        (
            AdminError::Refused { reason: "root needs root; use sudo".into() },
            "otpd refuses this: root needs root; use sudo",
        ),
        (
            AdminError::Unavailable { reason: "the disk is full".into() },
            "otpd cannot do this now: the disk is full; see otpctl status and journalctl -u otpd",
        ),
    ];
    for (error, expected) in cases {
        let failure = Failure::Admin(error);
        assert_eq!(text(&failure), expected);
        assert_eq!(failure.exit(), Exit::Refused, "{expected}");
    }
}

#[test]
fn every_service_error_says_what_why_and_the_remedy() {
    let version = env!("CARGO_PKG_VERSION");
    let unknown = format!(
        "the daemon that answers does not know x.Y, so it is older than otpctl {version}; after \
         an upgrade run: systemctl restart otpd"
    );
    let misfit = format!(
        "the daemon that answers and otpctl {version} do not fit together; after an upgrade run: \
         systemctl restart otpd"
    );
    let cases = [
        (ServiceError::InterfaceNotFound { interface: "x.Y".into() }, &*unknown, Exit::Usage),
        (ServiceError::MethodNotFound { method: "x.Y".into() }, &*unknown, Exit::Usage),
        (
            ServiceError::InvalidParameter { parameter: "user".into() },
            "otpd does not accept what it was given (user); check the spelling, and \
             otpctl --version against otpd --version",
            Exit::Usage,
        ),
        (
            ServiceError::PermissionDenied {},
            "you may not do this: it takes root or a member of the admin group (server.admin-group \
             in otpd.toml, otpd-admin by default), and root alone for the accounts of those; show, \
             verify and resend also work for your own account; run it with sudo",
            Exit::Refused,
        ),
        (ServiceError::ExpectedMore {}, &*misfit, Exit::Usage),
    ];
    for (error, expected, exit) in cases {
        let failure = Failure::Service(error);
        assert_eq!(text(&failure), expected);
        assert_eq!(failure.exit(), exit, "{expected}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_found_by_its_units() {
    let connect = |code| text(&Failure::Connect(Error::from_raw_os_error(code)));
    let cases = [
        (
            2, // ENOENT
            "otpd does not answer at /run/otpd/otpd.sock (No such file or directory): \
             systemctl status otpd.socket otpd",
        ),
        (
            111, // ECONNREFUSED
            "otpd does not answer at /run/otpd/otpd.sock (Connection refused): \
             systemctl status otpd.socket otpd",
        ),
        (
            13, // EACCES
            "/run/otpd/otpd.sock may not be opened (Permission denied); otpd.socket gives the \
             directory mode 0755 and the socket 0666: namei -l /run/otpd/otpd.sock",
        ),
        (
            110, // ETIMEDOUT
            "otpd takes no connection at /run/otpd/otpd.sock within 20 s, so it hangs or is \
             overrun: systemctl status otpd; journalctl -u otpd",
        ),
        (
            20, // ENOTDIR
            "cannot connect to /run/otpd/otpd.sock (Not a directory); check --socket, then: \
             systemctl status otpd.socket otpd",
        ),
    ];
    for (code, expected) in cases {
        assert_eq!(connect(code), expected);
    }
    assert_eq!(Failure::Connect(ErrorKind::NotFound.into()).exit(), Exit::Unreachable);
}

#[test]
fn a_lost_answer_to_a_change_may_mean_that_it_was_done() {
    let done = "what was asked may have been done, see: otpctl show alice; journalctl -u otpd";
    let closed = "otpd closed the connection without an answer; it was stopped, or it serves as \
                  many connections as it may";
    let cases = [
        (ErrorKind::TimedOut, "otpd did not answer within 20 s"),
        (ErrorKind::UnexpectedEof, closed),
        (ErrorKind::BrokenPipe, closed),
        (ErrorKind::ConnectionReset, closed),
        (ErrorKind::InvalidData, "the exchange with otpd failed (invalid data)"),
    ];
    for (kind, expected) in cases {
        let failure = Failure::Lost(kind.into());
        assert_eq!(text(&failure), format!("{expected}; {done}"));
        assert_eq!(text_for(&failure, false), format!("{expected}; see: journalctl -u otpd"));
        assert_eq!(failure.exit(), Exit::Unreachable);
    }
    // Of a damaged name nothing can be shown.
    let lost = Failure::Lost(ErrorKind::InvalidData.into());
    let listed = "the exchange with otpd failed (invalid data); what was asked may have been done, see: \
         otpctl list; journalctl -u otpd";
    assert_eq!(text_of("/al%2Fice", &lost, true), listed);
}

#[test]
fn nothing_the_daemon_says_reaches_the_terminal_raw() {
    let evil = || "\u{1b}[2J\u{9b}K\nroot".to_owned();
    let failures = [
        Failure::Admin(AdminError::NoSuchUser { user: evil() }),
        Failure::Admin(AdminError::NotEnrolled { user: evil() }),
        Failure::Admin(AdminError::AlreadyEnrolled { user: evil() }),
        Failure::Admin(AdminError::InvalidNumber { reason: evil() }),
        Failure::Admin(AdminError::CountryNotAllowed { country: evil() }),
        Failure::Admin(AdminError::Refused { reason: evil() }),
        Failure::Admin(AdminError::Unavailable { reason: evil() }),
        Failure::Service(ServiceError::InvalidParameter { parameter: evil() }),
        Failure::Service(ServiceError::MethodNotFound { method: evil() }),
        Failure::Unknown(evil()),
        Failure::Malformed(evil()),
    ];
    for failure in failures {
        let text = text(&failure);
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    }
}
