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
mod tests {
    use std::{cell::RefCell, fs, time::Duration};

    use super::{
        Change, Plan, Stranded, Wanted, Warning, change, kept, of_sshd, replace, stranded,
    };
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
            for trial in [None, Some(Duration::from_mins(1))] {
                let wanted = Wanted { service, change: wanted, trial, sshd_file: None };
                let refused = change(wanted, |_| ()).expect_err(service);
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
            let trial = trial.then_some(Duration::from_mins(1));
            let mut wanted =
                Wanted { service: "sshd", change: Change::Disable, trial, sshd_file: None };
            assert_eq!(stranded(&machine, &plan, &wanted), expected, "{name}");
            // A file that goes at the end of the trial keeps nobody out then.
            wanted.sshd_file = Some("/etc/ssh/sshd_config");
            let expected = expected.filter(|stranded| !stranded.at_end);
            assert_eq!(stranded(&machine, &plan, &wanted), expected, "{name}, with its file");
        }
    }

    #[test]
    fn a_file_that_would_keep_out_at_the_end_of_a_trial_is_named_to_go_with_it() {
        let root = tempfile::tempdir().expect("directory");
        let both = "authenticationmethods publickey,keyboard-interactive\n";
        let machine = machine(root.path(), both, "Include sshd_config.d/*.conf\n");
        let files = [
            ("etc/passwd", "ann:x:1000:1000::/:/bin/bash\n"),
            ("etc/shadow", "ann:!:1::::::\n"),
            ("etc/pam.d/sshd", "auth requisite pam_unix.so\n"),
            ("etc/ssh/sshd_config.d/10-otpd.conf", both),
        ];
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("written");
        }
        let plan = Plan {
            service: "sshd".to_owned(),
            path: "/etc/pam.d/sshd".to_owned(),
            original: Original::read(&root.path().join("etc/pam.d/sshd")).expect("read"),
            edited: "auth requisite pam_otp.so\nauth required pam_permit.so\n".to_owned(),
        };
        let (change, trial) = (Change::Enable(First::Key), Some(Duration::from_mins(1)));
        let wanted = Wanted { service: "sshd", change, trial, sshd_file: None };
        let found = stranded(&machine, &plan, &wanted).map(|stranded| stranded.undo);
        assert_eq!(found.as_deref(), Some("--sshd-file /etc/ssh/sshd_config.d/10-otpd.conf"));
    }

    /// A machine whose sshd says this, with these lines in its file.
    fn machine(root: &std::path::Path, told: &str, file: &str) -> Host {
        fs::create_dir_all(root.join("etc/ssh")).expect("folders");
        fs::write(root.join("etc/ssh/sshd_config"), file).expect("written");
        let told = (told != "nothing").then(|| {
            let output =
                format!("{told}usepam yes\npubkeyauthentication yes\npermitrootlogin no\n");
            Said { success: true, output, complaint: String::new() }
        });
        Host::at(root, move |words| told.clone().filter(|_| words.first() == Some(&"sshd")))
    }

    /// What is warned of, or why it is refused.
    type Told<'a> = Result<&'a [&'a str], &'a str>;

    #[test]
    fn a_code_after_a_key_wants_an_sshd_that_demands_one() {
        let both = "authenticationmethods publickey,keyboard-interactive\n";
        let by_match =
            "Match Group people\n AuthenticationMethods publickey,keyboard-interactive\n";
        let shut = "permitrootlogin without-password\n";
        let cases: [(&str, First, &str, &str, Told); 11] = [
            ("both", First::Key, both, "", Ok(&[])),
            (
                "Debian's",
                First::Key,
                "authenticationmethods any\n",
                "",
                Err("`any`: keys would let in"),
            ),
            ("an older sshd's", First::Key, "", "", Err("keys would let in without a code")),
            (
                "without PAM",
                First::Key,
                "usepam no\nauthenticationmethods publickey,keyboard-interactive\n",
                "",
                Err("UsePAM"),
            ),
            (
                "one list of two",
                First::Key,
                "authenticationmethods publickey,keyboard-interactive keyboard-interactive\n",
                "",
                Err("AuthenticationMethods is"),
            ),
            (
                "keys",
                First::Key,
                "authenticationmethods publickey\n",
                "",
                Err("AuthenticationMethods is"),
            ),
            ("by a Match", First::Key, "authenticationmethods any\n", by_match, Ok(&["no key"])),
            ("silent", First::Key, "nothing", "", Ok(&["no key"])),
            ("a password", First::Stack, "authenticationmethods any\n", "", Ok(&[])),
            (
                "another stack",
                First::Stack,
                "pamservicename corp-ssh\n",
                "",
                Err("sshd asks /etc/pam.d/corp-ssh (PAMServiceName)"),
            ),
            ("root", First::Key, &format!("{shut}{both}"), "", Ok(&["root"])),
        ];
        for (name, first, told, file, expected) in cases {
            let root = tempfile::tempdir().expect("directory");
            let machine = machine(root.path(), told, file);
            let path = root.path().join("sshd");
            fs::write(&path, "").expect("written");
            let plan = Plan {
                service: "sshd".to_owned(),
                path: "/etc/pam.d/sshd".to_owned(),
                original: Original::read(&path).expect("read"),
                edited: String::new(),
            };
            let change = Change::Enable(first);
            let wanted = Wanted { service: "sshd", change, trial: None, sshd_file: None };
            let found = of_sshd(&machine, &plan, &wanted).map(|warnings| {
                let kind = |warning: &Warning| match warning {
                    Warning::NoKey(_) => "no key",
                    Warning::RootShut(_) => "root",
                    _ => "another",
                };
                warnings.iter().map(kind).collect::<Vec<_>>()
            });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{name}: {why}"),
                (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
            }
            // To take the code out is always possible.
            let wanted = Wanted { change: Change::Disable, ..wanted };
            assert_eq!(of_sshd(&machine, &plan, &wanted), Ok(vec![]), "{name}");
        }
    }

    #[test]
    fn no_room_for_a_copy_keeps_no_code_in_the_stack() {
        let said = RefCell::new(Vec::new());
        let warn = |warning: &Warning| said.borrow_mut().push(warning.clone());
        let full = || Err("no space".to_owned());
        assert_eq!(kept(full(), false, &warn), Err("no space".to_owned()));
        assert_eq!(*said.borrow(), []);
        assert_eq!(kept(full(), true, &warn), Ok(None));
        assert_eq!(*said.borrow(), [Warning::NotKept("no space".to_owned())]);
        assert_eq!(kept(Ok("/x".to_owned()), true, &warn), Ok(Some("/x".to_owned())));
    }

    /// The disk fails once what is new has its name already.
    #[test]
    fn what_fails_behind_the_rename_is_undone_as_well() {
        let folder = tempfile::tempdir().expect("directory");
        let plan = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "before").expect("written");
            Plan {
                service: name.to_owned(),
                path: path.display().to_string(),
                original: Original::read(&path).expect("read"),
                edited: "after".to_owned(),
            }
        };
        let plans = [plan("one"), plan("two"), plan("three")];
        let texts = || plans.each_ref().map(|plan| fs::read_to_string(&plan.path).expect("read"));
        for renamed in [true, false] {
            let failing = |plan: &Plan, text: &str| {
                let fails = plan.service == "two" && text == "after";
                if renamed || !fails {
                    plan.original.replace(text)?;
                }
                if fails { Err("no more".to_owned()) } else { Ok(()) }
            };
            assert_eq!(replace(&plans, &failing), Err(("no more".to_owned(), Ok(()))));
            assert_eq!(texts(), ["before", "before", "before"], "{renamed}");
        }
        assert_eq!(replace(&plans, &|plan, text| plan.original.replace(text)), Ok(()));
        assert_eq!(texts(), ["after", "after", "after"]);
    }
}
