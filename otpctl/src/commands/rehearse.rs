//! `otpctl rehearse`: what a user would see, and what PAM would answer, without a login.

use std::process::Command;

use super::Outcome;
use crate::{
    Exit, cli,
    doctor::Host,
    failure::Failure,
    pam,
    rehearsal::{self, Performed},
    render::{io_reason, json, visible},
    session::Session,
    stack::{judge, read},
    terminal,
};

/// Runs the stack as root: only root may ask otpd for a login.
pub(crate) fn run(session: &Session, arguments: cli::Rehearse) -> Result<Outcome, Failure> {
    let cli::Rehearse { user, service } = arguments;
    let user = user.user;
    pam::path(&service)?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Host("a rehearsal asks otpd for a login; run it as root".into()));
    }
    if rehearsal::leads_session() {
        return again();
    }
    let host = Host::new();
    let stack = read(&host, &service);
    if !stack.troubles.is_empty() {
        let text = format!("{service} has no sound stack; see: otpctl doctor --service {service}");
        return Err(Failure::Host(text));
    }
    let judgement = judge(&stack, &|entry| host.lacks(entry));
    if let Some(place) = &judgement.root_in {
        let text = format!(
            "{place}: this stack lets root in there before the code; it cannot be rehearsed as root"
        );
        return Err(Failure::Host(text));
    }
    let key = stack.asks() && judgement.alone && !judgement.believes && service == "sshd";
    let begin = if key { ", after a key that sshd has checked" } else { "" };
    let announcement = format!(
        "What follows is what {} sees at {}{begin}. A code is sent and used for it.\n\n",
        visible(&user),
        visible(&service)
    );
    terminal::say(&announcement)?;
    let performed = rehearsal::perform(&service, &user, key)?;
    let Performed { authentication, account } = performed;
    let granted = authentication.is_ok() && account.is_some_and(|account| account.is_ok());
    let value = json::Rehearsed {
        user: &user,
        service: &service,
        granted,
        authentication: rehearsal::name(authentication),
        account: account.map(rehearsal::name),
    };
    let stdout = if session.json { json::text(&value) } else { words(performed) };
    let exit = if granted { Exit::Done } else { Exit::Refused };
    Ok(Outcome { stdout, stderr: String::new(), exit })
}

/// Runs this program once more, as a process that leads no session: sshd asks for a code from such a
/// one, and `pam_otp` knows its method `password` by the other.
fn again() -> Result<Outcome, Failure> {
    let failed = |error: std::io::Error| Failure::Host(format!("otpctl: {}", io_reason(&error)));
    let program = std::env::current_exe().map_err(failed)?;
    let arguments = std::env::args_os().skip(1);
    let status = Command::new(program).args(arguments).status().map_err(failed)?;
    let exit = match status.code() {
        Some(0) => Exit::Done,
        Some(2) => Exit::Usage,
        Some(3) => Exit::Unreachable,
        Some(_) | None => Exit::Refused,
    };
    Ok(Outcome { stdout: String::new(), stderr: String::new(), exit })
}

fn words(performed: Performed) -> String {
    let Performed { authentication, account } = performed;
    let said = |question: &str, answer| {
        format!("{question}: {} ({})\n", rehearsal::name(answer), rehearsal::meaning(answer))
    };
    let mut text = format!("\n{}", said("Is it them?", authentication));
    if let Some(account) = account {
        text += &said("May they log in?", account);
    }
    text
}
