//! `otpctl key`: another master key.

use otp_proto::admin::{self, Host, HostState};

use super::{Outcome, status::hosts};
use crate::{
    cli::{Key, KeyAction},
    failure::Failure,
    render::text,
    session::Session,
    terminal,
};

/// As long as the daemon's watchdog leaves it.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(15);

/// Has the daemon rotate the key, once that is wanted for sure.
pub(crate) fn run(session: &Session, arguments: &Key) -> Result<Outcome, Failure> {
    let KeyAction::Rotate { yes } = arguments.action;
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
