//! `otpctl pam`: the module in a service's stack.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use otp_proto::{admin, event::Event};

use super::Outcome;
use crate::{
    cli,
    doctor::{Beside, Host, beside},
    failure::Failure,
    pam::{self, Change, Changed, Stranded},
    render::{json, stacks},
    session::{ANSWER_DEADLINE, Session},
    stack::{edit::First, read},
};

/// Changes a stack, or ends a trial.
pub(crate) fn run(session: &Session, arguments: cli::Pam) -> Result<Outcome, Failure> {
    match arguments.action {
        cli::PamAction::Enable(cli::Enabling { service, after, trial }) => {
            let first = match after {
                cli::After::Password => First::Stack,
                cli::After::Key => First::Key,
            };
            if first == First::Key && service != "sshd" {
                let text = "--after key is for sshd, which checks keys itself";
                return Err(Failure::Usage(text.to_owned()));
            }
            change(session, &service, Change::Enable(first), trial)
        }
        cli::PamAction::Disable(cli::Disabling { service, trial }) => {
            change(session, &service, Change::Disable, trial)
        }
        cli::PamAction::Confirm(cli::Trials { service }) => {
            let services = pam::confirm(service.as_deref(), |since| granted(session, since))?;
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

fn change(
    session: &Session,
    service: &str,
    change: Change,
    trial: Option<Duration>,
) -> Result<Outcome, Failure> {
    let warn = |stranded: &Stranded| crate::complain(&stacks::stranded(stranded));
    let changed = pam::change(service, change, trial, warn)?;
    let (_, beside) = sshd(&[service.to_owned()]);
    let beside = beside.as_ref();
    let Changed { backup, with, until, survives } = &changed;
    let asks = change.asks();
    let with = with.as_ref();
    let value = json::StackChanged {
        service,
        asks,
        backup,
        with: with.map(|(service, backup)| json::StackWith { service, backup }),
        trial_until: until.map(|until| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ends_at_restart: until.is_some() && *survives,
        sshd_settings: beside,
    };
    let words = || stacks::changed(service, asks, &changed, beside, &session.zone);
    let outcome = Outcome::either(session, &value, words);
    let silent = asks && session.call(&admin::Status {}).is_err();
    let stderr = if silent { stacks::silent(service) } else { String::new() };
    Ok(Outcome { stderr, ..outcome })
}

/// What of sshd is no part of a change of its stack, where `services` name it; and whether that asks for a
/// code now.
fn sshd(services: &[String]) -> (bool, Option<Beside>) {
    let host = Host::new();
    let changed = services.iter().any(|service| service == "sshd");
    let asks = changed && read(&host, "sshd").asks();
    (asks, changed.then(|| beside(&host)).flatten())
}

/// The services by which the daemon let somebody in with a code since then, Unix milliseconds.
fn granted(session: &Session, since: i64) -> Result<Vec<String>, Failure> {
    let mut services = Vec::new();
    let log = admin::Log { since: Some(since), ..admin::Log::default() };
    session.stream(&log, ANSWER_DEADLINE, |reply: admin::Logged| {
        if let Some(Event::LoginGranted { service, .. }) = reply.record.as_ref().and_then(Event::of)
        {
            services.push(service);
        }
        Ok(())
    })?;
    Ok(services)
}
