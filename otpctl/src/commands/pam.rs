//! `otpctl pam`: the module in a service's stack.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
};

use otp_proto::{admin, event::Event};

use super::Outcome;
use crate::{
    cli,
    doctor::{Beside, Host, beside},
    failure::Failure,
    pam::{self, Change, Changed, Wanted, Warning},
    render::{
        json,
        stacks::{self, Lack},
    },
    session::{ANSWER_DEADLINE, Session},
    stack::{edit::First, read},
};

/// Changes a stack, or ends a trial.
pub(crate) fn run(session: &Session, arguments: cli::Pam) -> Result<Outcome, Failure> {
    match arguments.action {
        cli::PamAction::Enable(cli::Enabling { service, after, trial, sshd_file }) => {
            let first = match after {
                cli::After::Password => First::Stack,
                cli::After::Key => First::Key,
            };
            if first == First::Key && service != "sshd" {
                let text = "--after key is for sshd, which checks keys itself";
                return Err(Failure::Usage(text.to_owned()));
            }
            if sshd_file.is_some() && service != "sshd" {
                let text = "--sshd-file is for sshd";
                return Err(Failure::Usage(text.to_owned()));
            }
            let (change, sshd_file) = (Change::Enable(first), sshd_file.as_deref());
            run_change(session, Wanted { service: &service, change, trial, sshd_file })
        }
        cli::PamAction::Disable(cli::Disabling { service, trial }) => {
            let change = Change::Disable;
            run_change(session, Wanted { service: &service, change, trial, sshd_file: None })
        }
        cli::PamAction::Confirm(cli::Trials { service }) => {
            let granted = |since, rehearsed: &BTreeSet<i64>| granted(session, since, rehearsed);
            let services = pam::confirm(service.as_deref(), granted)?;
            let (asks, beside) = sshd(&services);
            let beside = beside.as_ref();
            let value =
                json::Trials { confirmed: true, services: &services, sshd_settings: beside };
            let words = || stacks::confirmed(&services, asks, beside);
            Ok(Outcome::either(session, &value, words))
        }
        cli::PamAction::Revert(cli::Reverting { service, wait }) => {
            let services = pam::revert(service.as_deref(), wait)?;
            // So the host's start runs it, which waits for nothing that sshd's files may name.
            let starting = service.is_none() && !io::stdin().is_terminal();
            let (asks, beside) = sshd(if starting { &[] } else { &services });
            let beside = beside.as_ref();
            let value =
                json::Trials { confirmed: false, services: &services, sshd_settings: beside };
            let words = || stacks::reverted(&services, asks, beside);
            Ok(Outcome::either(session, &value, words))
        }
    }
}

fn run_change(session: &Session, wanted: Wanted<'_>) -> Result<Outcome, Failure> {
    let Wanted { service, change, sshd_file, .. } = wanted;
    let warn = |warning: &Warning| crate::complain(&stacks::warning(warning));
    let changed = pam::change(wanted, warn)?;
    let (_, beside) = sshd(&[service.to_owned()]);
    // What the end of the trial takes away is part of it.
    let beside = beside.as_ref().filter(|beside| !beside.is_in(sshd_file));
    let Changed { backup, with, until, survives } = &changed;
    let asks = change.asks();
    let backup = backup.as_deref();
    let with = with.as_ref();
    let value = json::StackChanged {
        service,
        asks,
        backup,
        with: with.map(|(service, backup)| json::StackWith { service, backup: backup.as_deref() }),
        trial_until: until.map(|until| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ends_at_restart: until.is_some() && *survives,
        sshd_settings: beside,
        sshd_file,
    };
    let words = || stacks::changed(&wanted, &changed, beside, &session.zone);
    let outcome = Outcome::either(session, &value, words);
    let lack = if asks { lack(session) } else { None };
    let stderr = lack.map(|lack| stacks::lacking(service, lack)).unwrap_or_default();
    Ok(Outcome { stderr, ..outcome })
}

/// What keeps otpd from letting anybody in.
fn lack(session: &Session) -> Option<Lack> {
    let Ok(status) = session.call(&admin::Status {}) else { return Some(Lack::Answer) };
    let ignores = || {
        let policy = session.call(&admin::Policy {});
        policy.is_ok_and(|policy| policy.unenrolled == admin::Unenrolled::Ignore)
    };
    Lack::of(&status).filter(|lack| *lack != Lack::People || !ignores())
}

/// What of sshd is no part of a change of its stack, where `services` name it; and whether that asks for a
/// code now.
fn sshd(services: &[String]) -> (bool, Option<Beside>) {
    let host = Host::new();
    let changed = services.iter().any(|service| service == "sshd");
    let asks = changed && read(&host, "sshd").asks();
    (asks, changed.then(|| beside(&host)).flatten())
}

/// The services by which the daemon let somebody in with a code since then, Unix milliseconds, on this
/// host, but for these events.
fn granted(
    session: &Session,
    since: i64,
    rehearsed: &BTreeSet<i64>,
) -> Result<Vec<String>, Failure> {
    let (host, mut services) = (own_name(), Vec::new());
    let log = admin::Log { since: Some(since), ..admin::Log::default() };
    session.stream(&log, ANSWER_DEADLINE, |reply: admin::Logged| {
        let record = reply.record.filter(|record| !rehearsed.contains(&record.id));
        services.extend(record.and_then(|record| proves(&record, &host)));
        Ok(())
    })?;
    Ok(services)
}

/// The service that a record proves to let in on `host`. A rehearsal comes from nowhere, and sshd's people
/// come from somewhere: also one that was not written down proves nothing of sshd. Hosts that share a
/// database have each other's records.
fn proves(record: &admin::Record, host: &str) -> Option<String> {
    let Some(Event::LoginGranted { service, source }) = Event::of(record) else { return None };
    let here = record.details.get("host").is_none_or(|at| at.as_str() == Some(host));
    (here && (service != "sshd" || source.is_some())).then_some(service)
}

/// This host's name as the daemon writes it into what hosts share.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        // What the kernel says before anybody gave the machine a name.
        "" | "(none)" => "this machine".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{admin::Record, proves};

    #[test]
    fn only_a_login_on_this_host_proves_that_one_works_here() {
        let cases = [
            ("by sshd", json!({"service": "sshd", "source": "10.0.0.1"}), Some("sshd")),
            ("a rehearsal", json!({"service": "sshd", "source": null}), None),
            ("at the console", json!({"service": "login", "source": null}), Some("login")),
            (
                "here",
                json!({"service": "sshd", "source": "10.0.0.1", "host": "web01"}),
                Some("sshd"),
            ),
            ("there", json!({"service": "sshd", "source": "10.0.0.1", "host": "web02"}), None),
            ("su there", json!({"service": "su", "source": null, "host": "web02"}), None),
            ("nowhere", json!({"service": "su", "source": null, "host": 1}), None),
        ];
        let record = |event: &str, details: &serde_json::Value| Record {
            id: 1,
            at: 1,
            request: None,
            user: "alice".to_owned(),
            actor: "claimant".to_owned(),
            event: event.to_owned(),
            details: details.as_object().expect("details").clone(),
        };
        for (name, details, expected) in cases {
            let granted = record("login-granted", &details);
            assert_eq!(proves(&granted, "web01").as_deref(), expected, "{name}");
            assert_eq!(proves(&record("login-ignored", &details), "web01"), None, "{name}");
        }
    }
}
