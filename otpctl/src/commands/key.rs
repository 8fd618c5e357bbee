//! `otpctl key`: another master key.

use otp_proto::admin::{self, Host, HostState, KEY_ROTATED};

use super::{Outcome, status::hosts};
use crate::{
    cli::{Key, KeyAction},
    failure::Failure,
    render::{json, text},
    session::Session,
    terminal,
};

/// As long as the daemon's watchdog leaves it.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(15);

/// Does what is asked with the key.
pub(crate) fn run(session: &Session, arguments: &Key) -> Result<Outcome, Failure> {
    match arguments.action {
        KeyAction::Rotate { yes } => rotate(session, yes),
        KeyAction::IsRotated => is_rotated(session),
    }
}

/// Whether the daemon works with the next key, as the problem says that it has then. Who does not know is
/// told no: a key that is in its place too early keeps otpd from working.
fn is_rotated(session: &Session) -> Result<Outcome, Failure> {
    let status = session.call(&admin::Status {})?;
    if !status.problems.iter().any(|problem| problem.starts_with(KEY_ROTATED)) {
        let why = "the database is not under the next key of this host: otpctl key rotate, at one host, puts \
             all that is stored under it";
        return Err(Failure::Host(why.to_owned()));
    }
    let words = || "The database is under the next key of this host.\n".to_owned();
    Ok(Outcome::either(session, &json::IsRotated { rotated: true }, words))
}

/// Has the daemon rotate the key, once that is wanted for sure.
fn rotate(session: &Session, yes: bool) -> Result<Outcome, Failure> {
    let hosts = if yes { Vec::new() } else { hosts(session)? };
    terminal::confirm(yes, &question(&hosts), "otpctl key rotate")?;
    let done = session.call_patiently(&admin::RotateKey {}, PATIENCE)?;
    Ok(Outcome::either(session, &done, || text::key_rotated(&done)))
}

/// What is asked before: after it there is no way back, for hosts that are away neither.
fn question(hosts: &[Host]) -> String {
    let mut question =
        "Put everything under the next key? The one in use is good for nothing then.".to_owned();
    let here = hosts.iter().find(|host| host.state == HostState::Here);
    let next_key = here.and_then(|host| host.next_key.as_ref());
    let away = hosts.iter().filter(|host| match host.state {
        HostState::Silent | HostState::Stopped => host.next_key.as_ref() != next_key,
        // Of these the daemon sees that they hold it.
        HostState::Here | HostState::Running => false,
    });
    let away = away.map(|host| host.name.as_str()).collect::<Vec<_>>();
    if !away.is_empty() {
        question += " These do not run and are not known to hold it; without it otpd will not work \
                     there: ";
        question += &away.join(", ");
        question += ".";
    }
    question
}

#[cfg(test)]
mod tests {
    use super::{Host, HostState, question};

    #[test]
    fn who_is_away_without_the_key_is_named_before() {
        let host = |name: &str, state, next_key: Option<&str>| Host {
            name: name.to_owned(),
            state,
            next_key: next_key.map(str::to_owned),
            version: String::new(),
            started_at: 0,
            seen_at: 0,
            gateways: vec![],
            key: "a".to_owned(),
        };
        let hosts = [
            host("here", HostState::Here, Some("b")),
            host("runs", HostState::Running, Some("b")),
            host("ready", HostState::Stopped, Some("b")),
            host("late", HostState::Running, None),
            host("off", HostState::Stopped, None),
            host("silent", HostState::Silent, Some("a")),
        ];
        assert!(question(&hosts).ends_with("will not work there: off, silent."));
        assert!(!question(&hosts[..4]).contains("do not run"));
    }
}
