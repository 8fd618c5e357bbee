//! sshd's own settings, as `sshd -T` tells them, and the file that each comes from.

pub(super) mod beside;
mod classes;
mod files;
mod penalties;
mod settings;

pub(super) use settings::Settings;

use std::collections::BTreeSet;

use super::{
    finding::{Finding, State},
    host::{Host, Said},
    people::listed,
    sshd::settings::Methods,
};

const SUBJECT: &str = "sshd";

/// What to do where sshd does not tell its settings.
const UNASKED: &str = "run it as root; see: sshd -t";

/// Where sshd of Debian locks up what it does not trust; its unit makes it when it is started.
const RUN: &str = "/run/sshd";

/// How sshd complains that it is not there.
const UNSTARTED: &str = "Missing privilege separation directory";

/// How often sshd is asked about people at most: each time is a program that reads all of its files, and
/// a host may have thousands of accounts.
const QUESTIONS: usize = 100;

/// What else the judgement depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around {
    /// Nothing in the stack checks a first factor: sshd must.
    pub(super) alone: bool,
    /// The module was told to believe that something did.
    pub(super) believes: bool,
    /// The module does not see what the stack checks; whether it may be told.
    pub(super) unseen: Option<bool>,
    /// root has a number.
    pub(super) root_enrolled: bool,
}

/// Why sshd's settings cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silent {
    /// sshd was not started since the host was, and there is no other way to ask it.
    Unstarted,
    /// It fails, or there is none.
    Failed(String),
}

impl Silent {
    /// The finding that it is.
    fn finding(self) -> Finding {
        match self {
            Self::Unstarted => {
                let text = format!(
                    "sshd does not tell its settings: {RUN} is missing until it is started for the \
                     first time"
                );
                Finding::note(SUBJECT, text).advising(format!("as root: mkdir -m 0755 {RUN}"))
            }
            Self::Failed(why) => Finding::problem(SUBJECT, why, UNASKED),
        }
    }
}

/// What `sshd -T` says, for everybody or for one user.
///
/// Where sshd has not been started since the host was (it waits behind ssh.socket, or is stopped), the
/// directory that its unit makes below `/run` is missing, and `-T` refuses. `-G` (OpenSSH 9.3) tells the
/// same without a look at directories and keys. Before 9.3 the directory is made as the unit would make
/// it, which root alone can, and it stays: an sshd that is started meanwhile would miss it.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn ask(host: &Host, user: Option<&str>) -> Result<Settings, Silent> {
    let said = run(host, "-T", user)?;
    if said.success {
        return Ok(Settings::parse(&said.output));
    }
    if !["", "/var"]
        .iter()
        .any(|root| said.complaint.contains(&format!("{UNSTARTED}: {root}{RUN}")))
    {
        return Err(failed(&said));
    }
    let said = run(host, "-G", user)?;
    if said.success {
        return Ok(Settings::parse(&said.output));
    }
    host.make(RUN).map_err(|_| Silent::Unstarted)?;
    let said = run(host, "-T", user)?;
    if said.success { Ok(Settings::parse(&said.output)) } else { Err(failed(&said)) }
}

fn run(host: &Host, mode: &str, user: Option<&str>) -> Result<Said, Silent> {
    // All that a Match may ask for: sshd ends with an error where one asks for what is not told.
    let who = user.map(|user| {
        format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22,rdomain=")
    });
    let mut words = vec!["sshd", mode];
    words.extend(who.iter().flat_map(|who| ["-C", who.as_str()]));
    let none = || Silent::Failed("there is no program sshd on this host".to_owned());
    host.run(&words).ok_or_else(none)
}

fn failed(said: &Said) -> Silent {
    let why = said.complaint.lines().next().unwrap_or("it does not say why");
    Silent::Failed(format!("sshd -T fails: {}", why.trim()))
}

/// Looks at the settings in general, and at those of `users` where some differ by `Match`.
pub(super) fn examine(host: &Host, around: Around, users: &BTreeSet<String>) -> Vec<Finding> {
    let started = host.has(RUN);
    let settings = match ask(host, None) {
        Ok(settings) => settings,
        Err(silent) => return vec![silent.finding()],
    };
    let origin = |keyword: &str| files::origin(host, keyword);
    let mut findings = judge(&settings, around, &origin);
    let matches = files::matches(host);
    // The same for many people is one finding.
    let mut own: Vec<(Finding, Vec<String>)> = Vec::new();
    let classes =
        if matches.is_empty() { Vec::new() } else { classes::classes(host, &matches, users) };
    for class in classes.iter().take(QUESTIONS) {
        let judged = match ask(host, class.first().map(String::as_str)) {
            Ok(settings) => judge(&settings, around, &origin),
            Err(silent) => vec![silent.finding()],
        };
        for finding in judged {
            if findings.iter().any(|known| known.text == finding.text) {
                continue;
            }
            match own.iter_mut().find(|(known, _)| known.text == finding.text) {
                Some((_, names)) => names.extend_from_slice(class),
                None => own.push((finding, class.clone())),
            }
        }
    }
    findings.extend(own.into_iter().map(|(mut finding, mut names)| {
        names.sort_unstable();
        finding.text = format!("for {} (by Match): {}", listed(&names), finding.text);
        finding
    }));
    if findings.iter().all(|finding| finding.state != State::Problem) {
        let text = "sshd asks by keyboard-interactive, and by nothing that goes past the code";
        findings.push(Finding::ok(SUBJECT, text));
    }
    if !started && host.has(RUN) {
        let text = format!("made {RUN}, as sshd's unit does: without it sshd tells nothing");
        findings.push(Finding::note(SUBJECT, text));
    }
    let left = classes.iter().skip(QUESTIONS).map(Vec::len).sum::<usize>();
    if left > 0 {
        let text = format!(
            "by Match sshd may treat {left} more of {} accounts differently; they were not looked at",
            users.len()
        );
        let remedy = "see what sshd -T -C user=NAME,host=NAME,addr=ADDRESS says";
        findings.push(Finding::note(SUBJECT, text).advising(remedy));
    }
    let elsewhere = matches.into_iter().filter(|block| block.by_place);
    findings.extend(elsewhere.map(|block| {
        let files::Match { place, criteria, .. } = block;
        let text = format!(
            "{place}: `Match {criteria}` depends on where a login comes from or arrives: it was judged \
             only as from 127.0.0.1 to port 22"
        );
        let remedy = "see what sshd -T -C user=NAME,host=NAME,addr=ADDRESS says";
        Finding::note(SUBJECT, text).advising(remedy)
    }));
    findings
}

/// Judges one set of settings; `origin` names the line that sets a keyword.
fn judge(
    settings: &Settings,
    around: Around,
    origin: &dyn Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut problem = |keyword: &str, why: &str, remedy: &str| {
        let value = settings.get(keyword).unwrap_or("not set");
        let name = settings::spelled(keyword);
        let from = origin(keyword).map_or_else(
            || "by default".to_owned(),
            |place| format!("in {place}, and the first line that sets it holds"),
        );
        let text = format!("{name} is `{value}` ({from}): {why}");
        findings.push(Finding::problem(SUBJECT, text, remedy));
    };
    if !settings.is("usepam", "yes") {
        problem("usepam", "PAM is not asked, and so no code", "write `UsePAM yes`");
    }
    if !settings.is("kbdinteractiveauthentication", "yes") {
        let remedy = "write `KbdInteractiveAuthentication yes` there";
        problem("kbdinteractiveauthentication", "no code can be asked for", remedy);
    }
    if settings.is("passwordauthentication", "yes") {
        let why = "the method `password` cannot show the question for the code; clients that try it \
                   are refused";
        problem("passwordauthentication", why, "write `PasswordAuthentication no`");
    }
    methods(settings, around, &mut problem);
    if around.root_enrolled
        && settings.get("permitrootlogin").is_some_and(|value| value != "yes" && value != "no")
    {
        let why = "root is enrolled, and sshd lets nobody type a code for root";
        let remedy = "write `PermitRootLogin no`, or `yes` where root is to log in by a code";
        problem("permitrootlogin", why, remedy);
    }
    times(settings, &mut problem);
    findings.extend(penalties::judge(settings));
    findings
}

/// Whether every way in leads by the code, and after a first factor.
fn methods(settings: &Settings, around: Around, problem: &mut dyn FnMut(&str, &str, &str)) {
    let methods = settings.methods();
    let others = settings.others();
    let keyword = "authenticationmethods";
    let both = "write `AuthenticationMethods publickey,keyboard-interactive`";
    let follows = if around.believes {
        "by `first_factor_checked` the phone alone lets in, and who is exempt gets in with nothing"
    } else {
        "every code is refused"
    };
    let tell = match around.unseen {
        Some(true) => "write `first_factor_checked` behind pam_otp.so",
        Some(false) | None => both,
    };
    let unseen = "pam_otp.so does not see what the stack checks, no password being typed: every code is \
                  refused";
    match &methods {
        Methods::Any => {
            if around.unseen.is_some() {
                problem(keyword, unseen, tell);
            }
            if !others.is_empty() {
                let why = format!("{} alone lets in, without a code", others.join(" or "));
                let remedy = if around.alone {
                    both.to_owned()
                } else {
                    "write `AuthenticationMethods keyboard-interactive`, or for keys \
                     `publickey,keyboard-interactive`"
                        .to_owned()
                };
                problem(keyword, &why, &remedy);
            }
            if around.alone {
                let why = format!("the stack checks no first factor, and sshd need not: {follows}");
                problem(keyword, &why, both);
            }
        }
        Methods::Lists(lists) => {
            for list in lists {
                let position = list.iter().position(|method| method == "keyboard-interactive");
                let joined = list.join(",");
                match position {
                    None => {
                        let why = format!("`{joined}` lets in without a code");
                        problem(keyword, &why, "put `,keyboard-interactive` behind it");
                    }
                    Some(0) if around.alone => {
                        let why = format!(
                            "with `{joined}` nothing is checked before the code: {follows}"
                        );
                        problem(keyword, &why, both);
                    }
                    Some(0) if around.unseen.is_some() => {
                        problem(keyword, &format!("with `{joined}` {unseen}"), tell);
                    }
                    Some(_) => {}
                }
                if list.iter().any(|method| method == "password") {
                    let why = format!(
                        "`{joined}`: the method `password` cannot show the question for the code"
                    );
                    problem(keyword, &why, "leave `password` out of it");
                }
            }
        }
    }
}

/// Whether there is time and room for people who wait for a message.
fn times(settings: &Settings, problem: &mut dyn FnMut(&str, &str, &str)) {
    if settings.number("logingracetime").is_some_and(|seconds| seconds > 0 && seconds < 90) {
        let why = "a message may take a minute, and then sshd has hung up";
        problem("logingracetime", why, "write `LoginGraceTime 120`");
    }
    let startups = settings.get("maxstartups").and_then(|value| value.split(':').next());
    if startups.and_then(|start| start.parse::<u32>().ok()).is_some_and(|start| start < 10) {
        let why = "everybody who waits for a code holds one of these places";
        problem("maxstartups", why, "write `MaxStartups 30:30:100`");
    }
    if settings.number("maxauthtries").is_some_and(|tries| tries < 3) {
        let why = "each key that a client offers is a try, and each wrong code too";
        problem("maxauthtries", why, "write `MaxAuthTries 6`");
    }
}

#[cfg(test)]
mod tests;
