//! One change of a service's stack, and of the one that the same program uses besides it.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{Change, Trial, alone, file, file::Original, host, login, path, schedule, settings};
use crate::{
    doctor::{self, Host, Undemanded},
    failure::Failure,
    stack::{
        Entry, Shelf,
        edit::{self, First, Instead},
        is_part, needs_password, read, second,
    },
};

/// What a change led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Where the file lies as it was; `None`: there was no room for it.
    pub(crate) backup: Option<String>,
    /// The service that was changed with it, and where its file lies as it was.
    pub(crate) with: Option<(String, Option<String>)>,
    /// When the trial ends, if it is one.
    pub(crate) until: Option<Timestamp>,
    /// A restart of the host ends the trial too.
    pub(crate) survives: bool,
}

/// People without a password, of whom sshd's own settings and a stack together ask one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranded {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The code is what goes; else it is put in behind the password.
    pub(crate) leaves: bool,
    /// Not before the trial ends.
    pub(crate) at_end: bool,
    /// What takes sshd's settings back.
    pub(crate) undo: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Whose stack it is.
    pub(crate) service: &'a str,
    /// What is done to it.
    pub(crate) change: Change,
    /// Until when, unless it is confirmed.
    pub(crate) trial: Option<Duration>,
    /// sshd's own file that goes when the trial ends.
    pub(crate) sshd_file: Option<&'a str>,
}

/// What is told before a change takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warning {
    /// Who would be kept out by what the stack alone does not decide.
    Stranded(Stranded),
    /// The file as it was is not kept, and why.
    NotKept(String),
    /// The run is not alone, and why.
    NotAlone(String),
    /// sshd is not known to demand a key before the code, and why.
    NoKey(String),
    /// root's key opens nothing: the value of `PermitRootLogin`.
    RootShut(String),
}

/// A file and what it is to say.
#[derive(Debug)]
struct Plan {
    service: String,
    path: String,
    original: Original,
    edited: String,
}

/// Changes the stack of a service; with a trial, until that is over, unless it is confirmed. What the
/// service is known to be gone round by ([`second`]) is changed with it. `warn` is told beforehand who
/// would be kept out by what the stack alone does not decide.
///
/// # Errors
/// [`Failure::Host`], in words; nothing is changed then.
pub(crate) fn change(wanted: Wanted<'_>, warn: impl Fn(&Warning)) -> Result<Changed, Failure> {
    let Wanted { service, change, trial, sshd_file } = wanted;
    path(service)?;
    if is_part(service) {
        return Err(host(part(service, change)));
    }
    if trial.is_some() && login::programs(service).is_none() {
        return Err(host(format!(
            "--trial: a new login by {service} could not be told from an old one; leave --trial out"
        )));
    }
    // To get in is worth more than what a full disk keeps from being written down.
    let spared = change == Change::Disable && trial.is_none();
    let lock = match alone() {
        Err(Failure::Host(why)) if spared && rustix::process::geteuid().is_root() => {
            warn(&Warning::NotAlone(why));
            None
        }
        lock => Some(lock?),
    };
    if let Some(file) = sshd_file {
        settings::check(file).map_err(host)?;
    }
    let plans = plans(service, change)?;
    if let Some(sshd) = plans.iter().find(|plan| plan.service == "sshd") {
        let machine = Host::new();
        for warning in of_sshd(&machine, sshd, &wanted).map_err(host)? {
            warn(&warning);
        }
    }
    let mut backups = Vec::new();
    for plan in &plans {
        let kept = kept(plan.original.keep(&plan.service), spared, &warn).map_err(host)?;
        backups.push((plan.service.clone(), kept));
    }
    let mut backups = backups.into_iter();
    let backup = backups.next().and_then(|(_, backup)| backup);
    let mut changed = Changed { backup, with: backups.next(), until: None, survives: true };
    if let Some(lasts) = trial {
        for plan in &plans {
            let with = (plan.service != service).then(|| service.to_owned());
            match begin(plan, with, &wanted, lasts) {
                Ok((until, survives)) => {
                    changed.until = Some(until);
                    changed.survives &= survives;
                }
                Err(why) => {
                    abandon(&plans);
                    return Err(host(format!("{} stays as it is: {why}", plan.path)));
                }
            }
        }
    }
    if let Err((why, undone)) = replace(&plans, &|plan, text| plan.original.replace(text)) {
        // Where that fails too, the trial puts it back.
        if undone.is_ok() {
            abandon(&plans);
        }
        return Err(host(undone.err().map_or(why.clone(), |also| format!("{why}; {also}"))));
    }
    drop(lock);
    Ok(changed)
}

/// Where the file is kept as it was; where it cannot be, and may be `spared`, nowhere.
fn kept(
    kept: Result<String, String>,
    spared: bool,
    warn: &impl Fn(&Warning),
) -> Result<Option<String>, String> {
    match kept {
        Err(why) if spared => {
            warn(&Warning::NotKept(why));
            Ok(None)
        }
        kept => kept.map(Some),
    }
}

/// Gives every file its new text, or all of them their old one. Why not, and whether all are as they were.
fn replace(
    plans: &[Plan],
    replace: &dyn Fn(&Plan, &str) -> Result<(), String>,
) -> Result<(), (String, Result<(), String>)> {
    for (index, plan) in plans.iter().enumerate() {
        if let Err(why) = replace(plan, &plan.edited) {
            // This one may have its new text all the same: what failed may be what comes behind the rename.
            let undone = plans.iter().take(index + 1).filter(|plan| !plan.original.stands());
            let undone = undone.map(|plan| replace(plan, &plan.original.text));
            return Err((why, undone.collect()));
        }
    }
    Ok(())
}

/// What is to be told of sshd's own settings before its stack is changed.
///
/// # Errors
/// Why it is not to be changed, in words.
fn of_sshd(machine: &Host, plan: &Plan, wanted: &Wanted<'_>) -> Result<Vec<Warning>, String> {
    let mut warnings = Vec::new();
    if let Change::Enable(first) = wanted.change {
        if let Some(other) = doctor::pam_service(machine) {
            return Err(format!(
                "sshd asks /etc/pam.d/{other} (PAMServiceName), and /etc/pam.d/sshd is not read; write \
                 `PAMServiceName sshd`, or put the code into that stack: otpctl pam enable {other}"
            ));
        }
        match doctor::demands_key(machine) {
            _ if first == First::Stack => {}
            Ok(()) => {}
            Err(Undemanded::Not(why)) => {
                return Err(format!(
                    "{} stays as it is: {why}: keys would let in without a code, and who types a \
                     password would be refused; first write `AuthenticationMethods \
                     publickey,keyboard-interactive` into a file of sshd's (part 3 of the guide)",
                    plan.path
                ));
            }
            Err(Undemanded::Perhaps(why)) => warnings.push(Warning::NoKey(why)),
        }
        warnings.extend(doctor::root_shut(machine).map(Warning::RootShut));
    }
    warnings.extend(stranded(machine, plan, wanted).map(Warning::Stranded));
    Ok(warnings)
}

/// Whom sshd would ask for a password that they do not have: from now on, or when the trial ends.
fn stranded(machine: &Host, plan: &Plan, wanted: &Wanted<'_>) -> Option<Stranded> {
    let Plan { service, path, original, edited } = plan;
    let demands = |text: &str| {
        let shelf = Instead { shelf: machine, service, file: path, text };
        needs_password(&read(&shelf, service), &|entry| machine.lacks(entry))
    };
    let now = demands(edited);
    let then = wanted.trial.is_some() && demands(&original.text);
    if !(now || then) {
        return None;
    }
    let beside = doctor::beside(machine)?;
    // What goes at the end of the trial demands nothing then.
    if !now && beside.is_in(wanted.sshd_file) {
        return None;
    }
    let undo = match beside.file() {
        Some(file) if !now && settings::may_go(file) => format!("--sshd-file {file}"),
        Some(_) | None => beside.undo,
    };
    let names = doctor::stranded(machine);
    let shelf = Instead { shelf: machine, service, file: path, text: edited };
    let leaves = !now || !read(&shelf, service).asks();
    (!names.is_empty()).then_some(Stranded { names, leaves, at_end: !now, undo })
}

/// Why a file that is there to be included is not changed for one service.
fn part(service: &str, change: Change) -> String {
    let profile = match change {
        Change::Enable(_) => "pam-auth-update --enable otpd",
        Change::Disable => "pam-auth-update --disable otpd",
    };
    format!(
        "{service} is a part of other services' stacks, which a tool writes; for all of them at once run: \
         {profile} (Fedora and RHEL: see authselect.md in /usr/share/doc/otpd); or name one service"
    )
}

fn plans(service: &str, change: Change) -> Result<Vec<Plan>, Failure> {
    let machine = Host::new();
    let missing = |entry: &Entry| machine.lacks(entry);
    let first = plan(&machine, &missing, service, change)?;
    let Some(name) = second(service).filter(|name| Shelf::service(&machine, name).is_some()) else {
        return Ok(vec![first]);
    };
    let shelf = Instead { shelf: &machine, service, file: &first.path, text: &first.edited };
    if read(&shelf, name).asks() == change.asks() {
        return Ok(vec![first]);
    }
    let also = plan(&shelf, &missing, name, change)?;
    Ok(vec![first, also])
}

fn plan(
    shelf: &dyn Shelf,
    missing: &dyn Fn(&Entry) -> bool,
    service: &str,
    change: Change,
) -> Result<Plan, Failure> {
    let path = path(service)?;
    if Trial::read(service).map_err(host)?.is_some() {
        return Err(host(format!(
            "{service} is on trial; end that first with: otpctl pam confirm {service}, or \
             otpctl pam revert {service}"
        )));
    }
    match shelf.service(service) {
        Some((found, _)) if found != path => {
            return Err(host(format!(
                "{service} has its stack in {found}, which updates write anew; first run: cp {found} \
                 {path}"
            )));
        }
        None => {
            return Err(host(format!(
                "there is no {path}; the services are the files in /etc/pam.d"
            )));
        }
        Some(_) => {}
    }
    let original = Original::read(Path::new(&path)).map_err(host)?;
    let what = (service, path.as_str(), original.text.as_str());
    let edited = match change {
        Change::Enable(first) => edit::enable(shelf, missing, what, first),
        Change::Disable => edit::disable(shelf, missing, what),
    };
    let edited = edited
        .map_err(|refusal| host(format!("{path} stays as it is: {}", refusal.text(service))))?;
    Ok(Plan { service: service.to_owned(), path, original, edited })
}

/// Writes a trial down, with all that its end needs, and arranges that. When it ends, and whether a
/// restart of the host ends it too.
fn begin(
    plan: &Plan,
    with: Option<String>,
    wanted: &Wanted<'_>,
    lasts: Duration,
) -> Result<(Timestamp, bool), String> {
    let Plan { service, original, edited, .. } = plan;
    let asks = wanted.change.asks();
    let trial = Trial::begin(service, with, asks, lasts, &original.text, edited)?;
    let trial = Trial { sshd_file: wanted.sshd_file.map(str::to_owned), ..trial };
    original.set_aside()?;
    trial.write()?;
    let survives = schedule::arrange(&trial, lasts)?;
    Ok((trial.until(), survives))
}

/// Ends the trials of what was not changed.
fn abandon(plans: &[Plan]) {
    for Plan { service, path, .. } in plans {
        // A trial that stays finds nothing to put back.
        let _ = Trial::forget(service);
        let _ = file::clear(Path::new(path));
        schedule::cancel(service);
    }
}

#[cfg(test)]
mod tests;
