//! Whether otpd runs and is well.

use std::{io, path::Path};

use otp_proto::admin::{
    GatewayState, KEY_ROTATED, MEND_DAMAGED, StatusReply, TO_FINISH, finish_rotation,
};

use super::finding::Finding;
use crate::{failure::Failure, render};

const SUBJECT: &str = "daemon";

/// What is to be said of the daemon's own answer.
pub(super) fn judge(socket: &Path, asked: &Result<StatusReply, Failure>) -> Vec<Finding> {
    match asked {
        Ok(status) => well(socket, status),
        Err(failure) => vec![unreachable(socket, failure)],
    }
}

fn well(socket: &Path, status: &StatusReply) -> Vec<Finding> {
    let version = &status.version;
    let mut findings =
        vec![Finding::ok(SUBJECT, format!("otpd {version} answers at {}", socket.display()))];
    let ours = env!("CARGO_PKG_VERSION");
    if version != ours {
        let text = format!("otpd is version {version}, and otpctl version {ours}");
        findings.push(
            Finding::note(SUBJECT, text).advising("finish the upgrade: systemctl restart otpd"),
        );
    }
    let clock = |problem: &&String| problem.contains("clock");
    for problem in &status.problems {
        if problem.starts_with(KEY_ROTATED) {
            findings.push(unfinished(problem));
            continue;
        }
        let remedy = if clock(&problem) {
            "look at `date` and at what sets the clock, then: otpctl confirm-clock"
        } else if problem.starts_with("what is stored of ") {
            MEND_DAMAGED
        } else if problem.starts_with("gateway ") {
            "see: journalctl -u otpd; then try: otpctl test-message PHONE --gateway NAME"
        } else {
            "see: journalctl -u otpd"
        };
        findings.push(Finding::problem(SUBJECT, problem.clone(), remedy));
    }
    if status.gateways.is_empty() {
        findings.push(Finding::problem(
            SUBJECT,
            "there is no gateway: no code can be sent",
            "fill in [delivery] and a [gateway.NAME] in /etc/otpd/otpd.toml, then: systemctl reload otpd",
        ));
    }
    for gateway in &status.gateways {
        match gateway.state {
            // With a reason it stands among the problems already.
            GatewayState::Resting | GatewayState::Probing if gateway.reason.is_none() => {
                let text = format!("gateway {} is passed over after failures", gateway.name);
                findings.push(Finding::problem(SUBJECT, text, "see: journalctl -u otpd"));
            }
            GatewayState::Ready | GatewayState::Resting | GatewayState::Probing => {}
        }
    }
    findings
}

/// A rotation that has to be ended by hand: the daemon says how.
fn unfinished(problem: &str) -> Finding {
    match problem.split_once(TO_FINISH) {
        Some((problem, finish)) => Finding::problem(
            SUBJECT,
            problem.trim_end_matches(", "),
            format!("{TO_FINISH}{finish}"),
        ),
        None => Finding::problem(SUBJECT, problem, finish_rotation(Path::new(render::KEY_FILE))),
    }
}

fn unreachable(socket: &Path, failure: &Failure) -> Finding {
    let socket = socket.display();
    let (text, remedy) = match failure {
        Failure::Connect(error) => match error.kind() {
            io::ErrorKind::NotFound => (
                format!("there is no socket {socket}: otpd does not run"),
                "systemctl enable --now otpd.socket otpd.service",
            ),
            io::ErrorKind::ConnectionRefused => (
                format!("nobody listens at {socket}: otpd was stopped or killed"),
                "systemctl restart otpd.socket otpd.service",
            ),
            _ => (
                format!("{socket}: {}", render::io_reason(error)),
                "see: systemctl status otpd.socket otpd.service",
            ),
        },
        Failure::Lost(_) | Failure::Malformed(_) => (
            format!("otpd took the connection at {socket} and did not answer"),
            "see: journalctl -u otpd; then: systemctl restart otpd",
        ),
        Failure::Service(_) => (
            "you may not ask otpd: that takes root, or the group otpd-admin".to_owned(),
            "run it as root",
        ),
        Failure::Admin(otp_proto::admin::AdminError::Unavailable { reason }) => (
            format!("otpd runs and cannot work: {reason}"),
            "see: otpd --check; journalctl -u otpd",
        ),
        Failure::Admin(_)
        | Failure::Usage(_)
        | Failure::Input(_)
        | Failure::Output(_)
        | Failure::Declined
        | Failure::Row(_)
        | Failure::Host(_)
        | Failure::RootOnly
        | Failure::List(..)
        | Failure::Unknown(_) => {
            (format!("otpd does not say how it is: {failure:?}"), "see: journalctl -u otpd")
        }
    };
    Finding::problem(SUBJECT, text, remedy)
}
