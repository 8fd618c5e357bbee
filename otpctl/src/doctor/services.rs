//! The PAM stacks of the services that ask for a code, and of those that let people in without one.

use super::{
    finding::{Finding, State},
    host::Host,
    people::listed,
};
use crate::{
    render,
    stack::{Fault, Judgement, MODULE, Shelf, is_part, judge, read, second},
};

const SUBJECT: &str = "pam";

/// Programs by which people come in.
const LOGINS: [&str; 8] = [
    "sshd",
    "login",
    "gdm-password",
    "gdm-fingerprint",
    "gdm-smartcard",
    "lightdm",
    "sddm",
    "cockpit",
];

/// Where a code that is sent in vain is a problem: they are reached from afar, or ask everybody. Elsewhere
/// (chsh, display managers) distributions ship gates that are `required`, and who comes that far is at
/// the machine and has typed the right password.
const STRICT: [&str; 6] = ["sshd", "login", "sudo", "sudo-i", "su", "su-l"];

/// Programs at which nobody sits: they ask nothing of the stack's `auth`.
const UNATTENDED: [&str; 3] = ["cron", "crond", "atd"];

/// A service and what is to be said of its stack; without the module nothing is.
#[derive(Debug)]
pub(super) struct Service {
    /// Its name.
    pub(super) name: String,
    /// `None`: it asks for no code.
    pub(super) judgement: Option<Judgement>,
}

/// Reads the stacks: of `only`, or of everything in `/etc/pam.d` that has the module or lets people
/// in.
pub(super) fn look(host: &Host, only: Option<&str>) -> Vec<Service> {
    let names = match only {
        Some(name) => {
            let second = second(name).filter(|second| host.service(second).is_some());
            [Some(name), second].into_iter().flatten().map(str::to_owned).collect()
        }
        None => host.names("/etc/pam.d"),
    };
    let service = |name: String| {
        let stack = read(host, &name);
        let asks = stack.asks();
        let judgement = asks.then(|| judge(&stack, &|entry| host.lacks(entry)));
        // A file that is there to be included is judged where it is.
        let used = (asks || goes_round(host, &name))
            && !is_part(&name)
            && !is_copy(&name)
            && !UNATTENDED.contains(&&*name);
        let concerns = only.is_some() || used || LOGINS.contains(&name.as_str());
        concerns.then_some(Service { name, judgement })
    };
    names.into_iter().filter_map(service).collect()
}

/// True for the other stack of a program (`sudo -i`) that asks for a code by the first one.
fn goes_round(host: &Host, name: &str) -> bool {
    ["sudo", "su"].iter().any(|first| second(first) == Some(name) && read(host, first).asks())
}

/// True for what editors and packages leave beside a file: no program asks for such a service.
fn is_copy(name: &str) -> bool {
    let ends = ["~", ".bak", ".old", ".orig", ".pam-old", ".rpmnew", ".rpmsave"];
    ends.iter().any(|end| name.ends_with(end)) || name.contains(".dpkg-") || name.contains(".otpd-")
}

/// What is to be said of them. What is said of one line is said once, whatever services include it.
pub(super) fn examine(services: &[Service], only: Option<&str>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for Service { name, judgement } in services {
        let Some(judgement) = judgement else {
            let asks =
                |first: &&Service| second(&first.name) == Some(name) && first.judgement.is_some();
            findings.push(match services.iter().find(asks) {
                Some(first) => round(name, &first.name),
                // It was looked at because of the other one, which does not ask either.
                None if only.is_some_and(|only| only != name) => continue,
                None => without(name, only.is_some()),
            });
            continue;
        };
        let mut said = Vec::new();
        for fault in &judgement.faults {
            // sshd tells the module of a key: which of its methods come first is judged with its settings.
            if name == "sshd" && matches!(fault, Fault::Unseen(..)) {
                continue;
            }
            let by_gate = matches!(fault, Fault::Unproved(by) if by.gate);
            said.push(if by_gate && !STRICT.contains(&&**name) {
                Finding::note(SUBJECT, fault.what()).advising(fault.remedy())
            } else {
                Finding::problem(SUBJECT, fault.what(), fault.remedy())
            });
        }
        // sshd checks keys itself: what it is told about them is judged with its settings.
        if judgement.alone && name != "sshd" {
            said.push(unfounded(name, judgement));
        }
        if said.iter().all(|finding| finding.state != State::Problem) {
            let text = format!("{name} asks for a code, and nobody gets past it");
            said.push(Finding::ok(SUBJECT, text));
        }
        for side in &judgement.sides {
            said.push(Finding::note(SUBJECT, side.what()));
        }
        for finding in said {
            match findings.iter_mut().find(|known| known.text == finding.text) {
                // What is a note for one service may be a problem for another.
                Some(known) if known.state < finding.state => *known = finding,
                Some(_) => {}
                None => findings.push(finding),
            }
        }
    }
    if only.is_none() && services.iter().all(|service| service.judgement.is_none()) {
        let text = "no service asks for a code";
        let remedy = "otpctl pam enable sshd --trial 10m";
        findings.push(Finding::problem(SUBJECT, text, remedy));
    }
    findings
}

fn round(name: &str, first: &str) -> Finding {
    let text = format!(
        "{name} asks for no code, and {first} does: who is asked by the one takes the other"
    );
    Finding::problem(SUBJECT, text, format!("otpctl pam enable {name} --trial 10m"))
}

/// A code that stands alone, where nothing else can have checked who somebody is.
fn unfounded(name: &str, judgement: &Judgement) -> Finding {
    let text = format!("{name}: nothing above {MODULE} checks who somebody is");
    let password = "put `auth requisite pam_unix.so` above it";
    if judgement.believes {
        let text = format!(
            "{text}, and it believes so by `first_factor_checked`: the phone alone lets in, and who \
             is exempt gets in with nothing"
        );
        let remedy = format!("{password}, and take `first_factor_checked` out");
        Finding::problem(SUBJECT, text, remedy)
    } else {
        let spared = match judgement.exempt.as_slice() {
            [] => String::new(),
            exempt => format!(
                "; but who is named by exempt_user gets in with nothing: {}",
                listed(exempt)
            ),
        };
        Finding::problem(SUBJECT, format!("{text}, and every code is refused{spared}"), password)
    }
}

fn without(name: &str, wanted: bool) -> Finding {
    let text = format!("{name} asks for no code");
    let remedy = format!("otpctl pam enable {} --trial 10m", render::word(name));
    if wanted {
        Finding::problem(SUBJECT, text, remedy)
    } else {
        Finding::note(SUBJECT, text).advising(remedy)
    }
}

/// Whether `login` gives people time to wait for a message.
pub(super) fn console(host: &Host, services: &[Service]) -> Option<Finding> {
    let asks =
        services.iter().any(|service| service.name == "login" && service.judgement.is_some());
    let text = host.read("/etc/login.defs").unwrap_or_default();
    let value = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("LOGIN_TIMEOUT")).then(|| words.next().map(str::to_owned)).flatten()
    });
    // Debian's default, and that of login itself.
    let seconds = value.and_then(|value| value.parse::<u32>().ok()).unwrap_or(60);
    if !asks {
        return None;
    }
    let text = format!("LOGIN_TIMEOUT is {seconds} s for the password and the code together");
    let remedy = "write `LOGIN_TIMEOUT 180` into /etc/login.defs";
    Some(match seconds {
        0 => Finding::ok("console", "login waits for as long as it takes"),
        1..60 => Finding::problem("console", text, remedy),
        60..120 => Finding::note("console", text).advising(remedy),
        120.. => Finding::ok("console", text),
    })
}
