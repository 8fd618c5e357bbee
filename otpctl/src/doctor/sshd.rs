//! sshd's own settings, as `sshd -T` tells them, and the file that each comes from.

pub(super) mod beside;
mod classes;
pub(super) mod demands;
mod files;
mod matched;
mod penalties;
mod place;
mod settings;

pub(super) use settings::Settings;

use std::collections::BTreeSet;

use super::{
    finding::{Finding, State},
    host::{Host, Said},
    people::listed,
};
use matched::{Matched, sorts};
use place::Place;
use settings::{Methods, spelled};

const SUBJECT: &str = "sshd";

/// What to do where sshd does not tell its settings.
const UNASKED: &str = "run it as root; see: sshd -t";

/// Where sshd of Debian locks up what it does not trust; its unit makes it when it is started.
const RUN: &str = "/run/sshd";

/// How sshd complains that it is not there.
const UNSTARTED: &str = "Missing privilege separation directory";

/// Where sshd writes its process id.
const PID: &str = "/run/sshd.pid";

/// How often sshd is asked about people at most: each time is a program that reads all of its files, and
/// a host may have thousands of accounts.
const QUESTIONS: usize = 100;

/// What else the judgement depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around<'a> {
    /// Nothing in the stack checks a first factor: sshd must.
    pub(super) alone: bool,
    /// The module was told to believe that something did.
    pub(super) believes: bool,
    /// The module does not see what the stack checks; whether it may be told.
    pub(super) unseen: Option<bool>,
    /// Whom the module's own line exempts: they need no first factor that it sees.
    pub(super) exempt: &'a [String],
    /// All that are judged are exempt from codes.
    pub(super) spared: bool,
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
    ask_of(host, user.map(|user| Place::default().words(user)).as_deref())
}

/// The same about a connection, in sshd's own words.
fn ask_of(host: &Host, user: Option<&str>) -> Result<Settings, Silent> {
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

fn run(host: &Host, mode: &str, who: Option<&str>) -> Result<Said, Silent> {
    let mut words = vec!["sshd", mode];
    words.extend(who.iter().flat_map(|who| ["-C", who]));
    let none = || Silent::Failed("there is no program sshd on this host".to_owned());
    host.run(&words).ok_or_else(none)
}

fn failed(said: &Said) -> Silent {
    let why = said.complaint.lines().next().unwrap_or("it does not say why");
    Silent::Failed(format!("sshd -T fails: {}", why.trim()))
}

/// Looks at the settings in general, and at those of `users` where some differ by `Match`; `spared` are
/// exempt from codes.
pub(super) fn examine(
    host: &Host,
    around: Around<'_>,
    users: &BTreeSet<String>,
    spared: &BTreeSet<&str>,
) -> Vec<Finding> {
    let started = host.has(RUN);
    let settings = match ask(host, None) {
        Ok(settings) => settings,
        Err(silent) => return vec![silent.finding()],
    };
    let general = |keyword: &str| from(files::origin(host, keyword));
    let mut findings = judge(&settings, around, &general);
    let matches = files::matches(host);
    let classes = sorts(host, &matches, users, spared);
    let asking = Matched { host, general: &settings, classes: &classes, spared };
    let (own, blocks) = asking.judge(&matches, around, &findings);
    findings.extend(own);
    let judged = blocks.iter().all(|(_, place)| place.is_some());
    if findings.iter().all(|finding| finding.state != State::Problem) && judged {
        let text = "sshd asks by keyboard-interactive, and by nothing that goes past the code";
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings.extend(stale(host, &settings));
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
    findings.extend(blocks.iter().map(|(block, place)| {
        let files::Match { place: line, criteria, .. } = block;
        let judged = place.as_ref().map_or_else(
            || "only as from 127.0.0.1 to port 22".to_owned(),
            |place| format!("{place} alone"),
        );
        let text = format!(
            "{line}: `Match {criteria}` depends on where a login comes from or arrives: it was judged \
             {judged}"
        );
        let remedy = "see what sshd -T -C user=NAME,host=NAME,addr=ADDRESS says";
        Finding::note(SUBJECT, text).advising(remedy)
    }));
    findings
}

/// Where a setting comes from, in words.
fn from(place: Option<String>) -> String {
    place.map_or_else(
        || "by default".to_owned(),
        |place| format!("in {place}, and the first line that sets it holds"),
    )
}

/// A file that the sshd that runs has not read: it writes its process id whenever it reads them.
fn stale(host: &Host, settings: &Settings) -> Option<Finding> {
    let read = host.written(settings.get("pidfile").unwrap_or(PID))?;
    let newer = |path: &String| host.written(path).is_some_and(|written| written > read);
    let path = files::sources(host).into_iter().find(newer)?;
    let text =
        format!("{path} was changed after sshd had read it: the sshd that runs may do otherwise");
    Some(Finding::note(SUBJECT, text).advising("systemctl reload ssh (Red Hat: sshd)"))
}

/// Judges one set of settings; `origin` says where a keyword is set.
fn judge(settings: &Settings, around: Around<'_>, origin: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |state: State, keyword: &str, why: &str, remedy: &str| {
        let value = settings.get(keyword).unwrap_or("not set");
        let (name, from) = (spelled(keyword), origin(keyword));
        let text = format!("{name} is `{value}` ({from}): {why}");
        findings.push(match state {
            State::Problem => Finding::problem(SUBJECT, text, remedy),
            State::Note | State::Ok => Finding::note(SUBJECT, text),
        });
    };
    let mut problem =
        |keyword: &str, why: &str, remedy: &str| find(State::Problem, keyword, why, remedy);
    if !settings.is("usepam", "yes") {
        problem("usepam", "PAM is not asked, and so no code", "write `UsePAM yes`");
    }
    if !settings.is("kbdinteractiveauthentication", "yes") {
        let remedy = "write `KbdInteractiveAuthentication yes` there";
        problem("kbdinteractiveauthentication", "no code can be asked for", remedy);
    }
    if settings.is("passwordauthentication", "yes") {
        let mut why =
            "the method `password` cannot show the question for the code; clients that try it \
                       are refused"
                .to_owned();
        if around.alone && settings.takes_password() {
            why += &let_in(around.exempt, "gets in with any password");
        }
        problem("passwordauthentication", &why, "write `PasswordAuthentication no`");
    }
    if let Some(other) = settings.get("pamservicename").filter(|name| *name != "sshd") {
        let why = format!(
            "sshd asks /etc/pam.d/{other}, and what /etc/pam.d/sshd says counts for nothing"
        );
        let remedy =
            format!("write `PAMServiceName sshd`, or look at: otpctl doctor --service {other}");
        problem("pamservicename", &why, &remedy);
    }
    times(settings, &mut problem);
    methods(settings, around, &mut find);
    findings.extend(penalties::judge(settings));
    findings
}

/// Whether every way in leads by the code, and after a first factor.
fn methods(settings: &Settings, around: Around<'_>, find: &mut dyn FnMut(State, &str, &str, &str)) {
    let methods = settings.methods();
    let others = settings.others();
    let keyword = "authenticationmethods";
    let both = "write `AuthenticationMethods publickey,keyboard-interactive`";
    let follows = if around.believes {
        "by `first_factor_checked` the phone alone lets in, and who is exempt gets in with nothing"
            .to_owned()
    } else {
        format!("every code is refused{}", let_in(around.exempt, "gets in with nothing"))
    };
    // Who needs no code may come in without one.
    let without = if around.spared { State::Note } else { State::Problem };
    let tell = match around.unseen {
        Some(true) => "write `first_factor_checked` behind pam_otp.so",
        Some(false) | None => both,
    };
    let unseen = "pam_otp.so does not see what the stack checks, no password being typed: every code is \
                  refused";
    match &methods {
        Methods::Any => {
            if around.unseen.is_some() {
                find(State::Problem, keyword, unseen, tell);
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
                find(without, keyword, &why, &remedy);
            }
            if around.alone {
                let why = format!("the stack checks no first factor, and sshd need not: {follows}");
                find(State::Problem, keyword, &why, both);
            }
        }
        Methods::Lists(lists) => {
            for list in lists {
                let position = list.iter().position(|method| method == "keyboard-interactive");
                let joined = list.join(",");
                match position {
                    None => {
                        let why = format!("`{joined}` lets in without a code");
                        find(without, keyword, &why, "put `,keyboard-interactive` behind it");
                    }
                    Some(0) if around.alone => {
                        let why = format!(
                            "with `{joined}` nothing is checked before the code: {follows}"
                        );
                        find(State::Problem, keyword, &why, both);
                    }
                    Some(0) if around.unseen.is_some() => {
                        find(State::Problem, keyword, &format!("with `{joined}` {unseen}"), tell);
                    }
                    Some(_) => {}
                }
                if list.iter().any(|method| method == "password") {
                    let why = format!(
                        "`{joined}`: the method `password` cannot show the question for the code"
                    );
                    find(State::Problem, keyword, &why, "leave `password` out of it");
                }
            }
        }
    }
}

/// Who gets in by the module's own line all the same, and how.
fn let_in(exempt: &[String], how: &str) -> String {
    if exempt.is_empty() {
        return String::new();
    }
    format!("; but who is named by exempt_user {how}: {}", listed(exempt))
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
