//! One change of a service's stack, and of the one that the same program uses besides it.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{Change, Trial, alone, file, file::Original, host, login, path, schedule};
use crate::{
    doctor::{self, Host},
    failure::Failure,
    stack::{
        Entry, Shelf,
        edit::{self, Instead},
        is_part, needs_password, read, second,
    },
};

/// What a change led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Where the file lies as it was.
    pub(crate) backup: String,
    /// The service that was changed with it, and where its file lies as it was.
    pub(crate) with: Option<(String, String)>,
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

/// A file and what it is to say.
#[derive(Debug)]
struct Plan {
    service: String,
    path: String,
    original: Original,
    edited: String,
}

/// Changes the stack of `service`; with `trial`, until that is over, unless it is confirmed. What
/// `service` is known to be gone round by ([`second`]) is changed with it. `warn` is told beforehand who
/// would be kept out by what the stack alone does not decide.
///
/// # Errors
/// [`Failure::Host`], in words; nothing is changed then.
pub(crate) fn change(
    service: &str,
    change: Change,
    trial: Option<Duration>,
    warn: impl FnOnce(&Stranded),
) -> Result<Changed, Failure> {
    path(service)?;
    if is_part(service) {
        return Err(host(part(service, change)));
    }
    let _lock = alone()?;
    if trial.is_some() && login::programs(service).is_none() {
        return Err(host(format!(
            "--trial: a new login by {service} could not be told from an old one; leave --trial out"
        )));
    }
    let plans = plans(service, change)?;
    let sshd = plans.iter().find(|plan| plan.service == "sshd");
    if let Some(stranded) = sshd.and_then(|plan| stranded(&Host::new(), plan, trial.is_some())) {
        warn(&stranded);
    }
    let mut backups = Vec::new();
    for plan in &plans {
        backups.push((plan.service.clone(), plan.original.keep(&plan.service).map_err(host)?));
    }
    let mut backups = backups.into_iter();
    let backup = backups.next().map(|(_, backup)| backup).unwrap_or_default();
    let mut changed = Changed { backup, with: backups.next(), until: None, survives: true };
    if let Some(lasts) = trial {
        for plan in &plans {
            let with = (plan.service != service).then(|| service.to_owned());
            match begin(plan, with, change, lasts) {
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
    for (index, plan) in plans.iter().enumerate() {
        if let Err(why) = plan.original.replace(&plan.edited) {
            let undone =
                plans.iter().take(index).map(|plan| plan.original.replace(&plan.original.text));
            let undone = undone.collect::<Result<(), String>>();
            // Where that fails too, the trial puts it back.
            if undone.is_ok() {
                abandon(&plans);
            }
            return Err(host(undone.err().map_or(why.clone(), |also| format!("{why}; {also}"))));
        }
    }
    Ok(changed)
}

/// Whom sshd would ask for a password that they do not have: from now on, or when the trial ends.
fn stranded(machine: &Host, plan: &Plan, trial: bool) -> Option<Stranded> {
    let Plan { service, path, original, edited } = plan;
    let demands = |text: &str| {
        let shelf = Instead { shelf: machine, service, file: path, text };
        needs_password(&read(&shelf, service), &|entry| machine.lacks(entry))
    };
    let now = demands(edited);
    let then = trial && demands(&original.text);
    if !(now || then) {
        return None;
    }
    let undo = doctor::beside(machine)?.undo;
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
    change: Change,
    lasts: Duration,
) -> Result<(Timestamp, bool), String> {
    let Plan { service, original, edited, .. } = plan;
    let trial = Trial::begin(service, with, change.asks(), lasts, &original.text, edited)?;
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
mod tests {
    use super::{Change, Plan, Stranded, change, stranded};
    use crate::{
        doctor::{Host, Said},
        failure::Failure,
        pam::file::Original,
        stack::{edit::First, testing::COMMON_AUTH},
    };

    #[test]
    fn what_many_services_include_is_changed_by_the_tool_that_writes_it() {
        let (enable, disable) = (Change::Enable(First::Stack), Change::Disable);
        let cases = [
            ("common-auth", enable, "run: pam-auth-update --enable otpd (Fedora"),
            ("common-auth", disable, "run: pam-auth-update --disable otpd (Fedora"),
            ("common-account", enable, "is a part of other services' stacks"),
            ("common-session-noninteractive", enable, "or name one service"),
            ("password-auth", enable, "see authselect.md"),
            ("other", Change::Enable(First::Key), "other is a part"),
        ];
        for (service, wanted, expected) in cases {
            // Refused before anything is looked at or locked, on trial too.
            for trial in [None, Some(std::time::Duration::from_mins(1))] {
                let refused = change(service, wanted, trial, |_| ()).expect_err(service);
                let Failure::Host(why) = refused else { panic!("{service}: {refused:?}") };
                assert!(why.starts_with(service) && why.contains(expected), "{service}: {why}");
            }
        }
    }

    #[test]
    fn who_would_be_asked_for_a_password_that_they_do_not_have_is_told_beforehand() {
        let root = tempfile::tempdir().expect("directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("written");
        };
        write("etc/passwd", "ann:x:1000:1000::/:/bin/bash\nbob:x:1001:1001::/:/bin/bash\n");
        write("etc/shadow", "ann:!:1::::::\nbob:$y$x:1::::::\n");
        write("etc/pam.d/common-auth", COMMON_AUTH);
        let methods = "AuthenticationMethods publickey,keyboard-interactive\n";
        write("etc/ssh/sshd_config", methods);
        let told = format!("usepam yes\n{}", methods.to_ascii_lowercase());
        let sshd = move |words: &[&str]| {
            let said = Said { success: true, output: told.clone(), complaint: String::new() };
            (words.first() == Some(&"sshd")).then_some(said)
        };
        let machine = Host::at(root.path(), sshd);
        let password = "@include common-auth\n";
        let both = "@include common-auth\nauth requisite pam_otp.so\n";
        let key = "auth requisite pam_otp.so\nauth required pam_permit.so\n";
        // Before, after, on trial; whether the code goes, and whether at the end of the trial.
        let cases = [
            ("out", key, password, false, Some((true, false))),
            ("out on trial", key, password, true, Some((true, false))),
            ("in after a key", password, key, false, None),
            ("in after a key, on trial", password, key, true, Some((true, true))),
            ("in after a password", password, both, false, Some((false, false))),
            ("in where a key is enough", "auth required pam_permit.so\n", key, true, None),
        ];
        let file = root.path().join("etc/pam.d/sshd");
        for (name, before, after, trial, expected) in cases {
            write("etc/pam.d/sshd", before);
            let plan = Plan {
                service: "sshd".to_owned(),
                path: "/etc/pam.d/sshd".to_owned(),
                original: Original::read(&file).expect("read"),
                edited: after.to_owned(),
            };
            let expected = expected.map(|(leaves, at_end)| Stranded {
                names: vec!["ann".to_owned()],
                leaves,
                at_end,
                undo: "take keyboard-interactive out of AuthenticationMethods at \
                       /etc/ssh/sshd_config:1; systemctl reload sshd"
                    .to_owned(),
            });
            assert_eq!(stranded(&machine, &plan, trial), expected, "{name}");
        }
    }
}
