//! `otpctl pam`: puts the module into a service's stack and takes it out, for good or on trial.
//!
//! Nothing is changed before everything is known to be right: the stack is read, edited and judged in
//! memory, a trial is written down and its end arranged, and then one rename takes effect.

mod back;
mod change;
mod file;
mod log;
mod login;
mod rehearsed;
mod schedule;
mod settings;
mod trial;

use std::{collections::BTreeSet, fs::File, path::Path, time::Duration};

use crate::{
    failure::Failure,
    stack::{edit, second},
};
pub(crate) use change::{Changed, Stranded, Wanted, Warning, change};
use file::Original;
use trial::{Found, Lost, Trial};

/// What is done to a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The module is put in, after this first factor.
    Enable(edit::First),
    /// The module is taken out.
    Disable,
}

impl Change {
    /// The stack asks for a code after it.
    pub(crate) fn asks(self) -> bool {
        match self {
            Self::Enable(_) => true,
            Self::Disable => false,
        }
    }
}

/// Where what has to outlive a run is kept. Root's alone: what lies here becomes a PAM stack.
const STATE: &str = "/var/lib/otpctl";

fn host(text: impl Into<String>) -> Failure {
    Failure::Host(text.into())
}

/// Only root writes below `/etc/pam.d`, and one at a time.
fn alone() -> Result<File, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(host("only root changes what is below /etc/pam.d; run it as root"));
    }
    file::directory(Path::new(STATE)).map_err(host)?;
    let lock = format!("{STATE}/lock");
    let opened = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    opened.map_err(|error| host(format!("{lock}: {}", crate::render::io_reason(&error))))
}

/// Writes down which events of the daemon's log were of a rehearsal.
///
/// # Errors
/// [`Failure::Host`].
pub(crate) fn was_rehearsed(events: &[i64]) -> Result<(), Failure> {
    let _lock = alone()?;
    rehearsed::add(Path::new(STATE), events).map_err(host)
}

/// Ends the trials that are due to a confirmation: that of `service` and what goes with it, or all.
/// `granted` says which services let somebody in by a code since a time, Unix milliseconds, but for
/// these events, which were of rehearsals.
///
/// # Errors
/// [`Failure::Host`] where there is none, where this is no login that came after the change, or where no
/// code has let in since then; and what `granted` fails with.
pub(crate) fn confirm(
    service: Option<&str>,
    granted: impl Fn(i64, &BTreeSet<i64>) -> Result<Vec<String>, Failure>,
) -> Result<Vec<String>, Failure> {
    let _lock = alone()?;
    // One that cannot be read ends as it would have: whether it was right is not known.
    let trials = some(service, pending(service)?)?.into_iter().collect::<Result<Vec<_>, _>>();
    let trials = trials.map_err(|lost| host(unconfirmed(&lost)))?;
    for trial in &trials {
        login::is_new(trial).map_err(host)?;
    }
    let rehearsed = rehearsed::all(Path::new(STATE)).map_err(host)?;
    for trial in trials.iter().filter(|trial| trial.asks) {
        login::proved(trial, &granted(trial.since, &rehearsed)?).map_err(host)?;
    }
    each(trials.into_iter().map(Ok).collect(), |found| {
        let service = name(found);
        Trial::forget(service)?;
        file::clear(Path::new(&place(service)))
    })
}

fn unconfirmed(lost: &Lost) -> String {
    let Lost { service, .. } = lost;
    format!("{}; it ends by itself, or by: otpctl pam revert {service}", lost.why())
}

/// Puts back what was there before a trial: that of `service` and what goes with it, or all. With
/// `wait`, after so long, and then only if it is still the same trial, and until it is done.
///
/// # Errors
/// [`Failure::Host`] where there is none, or a file cannot be read or written; the others are put back
/// then, and what would put that one back stays.
pub(crate) fn revert(
    service: Option<&str>,
    wait: Option<Duration>,
) -> Result<Vec<String>, Failure> {
    let Some(wait) = wait else {
        let _lock = alone()?;
        let trials = some(service, pending(service)?);
        if let (Err(_), Some(service)) = (&trials, service) {
            // A timer that outlived its trial would come again and again.
            schedule::cancel(service);
        }
        return each(trials?, put_back);
    };
    if let Some(service) = service {
        path(service)?;
    }
    let awaited = pending(service);
    if let Ok(awaited) = &awaited {
        some(service, awaited.clone())?;
    }
    schedule::outlive(wait);
    let mut said = None;
    loop {
        let done = alone().and_then(|_lock| {
            // Without one it was confirmed meanwhile.
            let trials = pending(service)?.into_iter();
            each(trials.filter(|found| is_awaited(found, &awaited)).collect(), put_back)
        });
        let Err(failure) = done else { return done };
        // Nobody reads what this process prints. The same is said once.
        if let Failure::Host(why) = failure
            && said.as_ref() != Some(&why)
        {
            log::say(&format!("{why}; it is tried again every {} s", schedule::AGAIN.as_secs()));
            said = Some(why);
        }
        schedule::pause();
    }
}

/// Whether this is what the waiting began for. What could not be read, then or now, may be: to put the
/// old stack back too early keeps nobody out.
fn is_awaited(found: &Found, awaited: &Result<Vec<Found>, Failure>) -> bool {
    let Ok(awaited) = awaited else { return true };
    awaited.iter().any(|one| match (one, found) {
        (Ok(one), Ok(found)) => one == found,
        (Err(_), _) | (_, Err(_)) => name(one) == name(found),
    })
}

/// Ends each trial by `end`; one that fails keeps none of the others from it. Their services.
fn each(
    trials: Vec<Found>,
    end: impl Fn(&Found) -> Result<(), String>,
) -> Result<Vec<String>, Failure> {
    let (mut ended, mut failed) = (Vec::new(), Vec::new());
    for found in trials {
        let service = name(&found);
        match end(&found) {
            Ok(()) => {
                schedule::cancel(service);
                ended.push(service.to_owned());
            }
            Err(why) => failed.push(format!("{service}: {why}")),
        }
    }
    if failed.is_empty() { Ok(ended) } else { Err(host(failed.join("; "))) }
}

fn name(found: &Found) -> &str {
    match found {
        Ok(trial) => &trial.service,
        Err(lost) => &lost.service,
    }
}

fn put_back(found: &Found) -> Result<(), String> {
    let service = name(found);
    let place = place(service);
    let path = Path::new(&place);
    match found {
        Ok(trial) => {
            let stack = back::restore(path, trial, Original::keep);
            // The one that fails does not keep the other.
            let file = trial.sshd_file.as_ref().map(|file| settings::take_back(Path::new(file)));
            stack.and(file.unwrap_or(Ok(())))?;
        }
        Err(lost) => back::rescue(path, service, Original::keep)
            .map_err(|why| format!("{}, and {why}", lost.why()))?,
    }
    file::clear(path)?;
    Trial::forget(service)
}

/// The trials that there are: that of `service` and what goes with it, or all.
fn pending(service: Option<&str>) -> Result<Vec<Found>, Failure> {
    if let Some(service) = service {
        path(service)?;
    }
    let all = Trial::all().map_err(host)?;
    Ok(all.into_iter().filter(|found| service.is_none_or(|service| goes(found, service))).collect())
}

/// Whether a trial is that of `service`, or goes with it. What cannot be read is known by its name.
fn goes(found: &Found, service: &str) -> bool {
    let with = match found {
        Ok(trial) => trial.with.as_deref() == Some(service),
        Err(lost) => second(service) == Some(&lost.service),
    };
    with || name(found) == service
}

fn some(service: Option<&str>, trials: Vec<Found>) -> Result<Vec<Found>, Failure> {
    if trials.is_empty() {
        let of = service.map(|service| format!(" of {service}")).unwrap_or_default();
        return Err(host(format!("there is no trial{of}")));
    }
    Ok(trials)
}

/// The file of a service, whose name becomes part of names of files and units.
///
/// # Errors
/// [`Failure::Host`] for what is no such name.
pub(crate) fn path(service: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if service.starts_with('.') || !service.chars().all(plain) || service.is_empty() {
        let shown = crate::render::word(service);
        return Err(host(format!(
            "{shown} is no service; the services are the files in /etc/pam.d"
        )));
    }
    Ok(place(service))
}

fn place(service: &str) -> String {
    format!("/etc/pam.d/{service}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lost, Trial, goes, host, is_awaited, path};

    fn trial(service: &str, with: Option<&str>, before: &str) -> Trial {
        let (with, lasts) = (with.map(str::to_owned), Duration::from_mins(1));
        let trial = Trial::begin(service, with, true, lasts, before, "after").expect("begun");
        // The clock goes on between two that are begun.
        Trial { since: 0, ends_at: 0, ..trial }
    }

    fn lost(service: &str) -> Lost {
        Lost { service: service.to_owned(), text: "damaged".to_owned() }
    }

    #[test]
    fn what_cannot_be_read_goes_with_what_it_was_changed_with() {
        let cases = [
            ("itself", Ok(trial("sshd", None, "")), "sshd", true),
            ("another", Ok(trial("sshd", None, "")), "sudo", false),
            ("what goes with it", Ok(trial("sudo-i", Some("sudo"), "")), "sudo", true),
            ("what it goes with", Ok(trial("sudo", None, "")), "sudo-i", false),
            ("itself, damaged", Err(lost("sshd")), "sshd", true),
            ("another, damaged", Err(lost("sshd")), "sudo", false),
            ("what goes with it, damaged", Err(lost("sudo-i")), "sudo", true),
        ];
        for (name, found, service, expected) in cases {
            assert_eq!(goes(&found, service), expected, "{name}");
        }
    }

    #[test]
    fn what_was_waited_for_is_the_same_trial_or_may_be() {
        let old = || Ok(trial("sshd", None, "before"));
        let cases = [
            ("the same", Ok(vec![old()]), old(), true),
            ("a later one", Ok(vec![old()]), Ok(trial("sshd", None, "later")), false),
            ("damaged meanwhile", Ok(vec![old()]), Err(lost("sshd")), true),
            ("damaged from the begin", Ok(vec![Err(lost("sshd"))]), old(), true),
            ("another, damaged", Ok(vec![old()]), Err(lost("sudo")), false),
            ("nothing was told", Err(host("too many open files")), old(), true),
        ];
        for (name, awaited, found, expected) in cases {
            assert_eq!(is_awaited(&found, &awaited), expected, "{name}");
        }
    }

    #[test]
    fn names_of_services_are_names_of_files() {
        for name in ["sshd", "gdm-password", "su-l", "systemd-user", "x.y_z"] {
            assert_eq!(path(name).ok(), Some(format!("/etc/pam.d/{name}")), "{name}");
        }
        for name in ["", "../passwd", ".hidden", "a/b", "a b", "a\nb", "é"] {
            assert!(path(name).is_err(), "{name:?}");
        }
    }
}
