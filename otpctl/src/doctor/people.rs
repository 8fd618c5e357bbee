//! Who would be asked for a code, and who would be locked out.

use std::collections::{BTreeMap, BTreeSet};

use otp_proto::admin::{PolicyReply, State, Subscriber, Unenrolled};

use super::{finding::Finding, host::Host, services::Service};
use crate::stack::Judgement;

const SUBJECT: &str = "people";

/// How many names a line has; more are counted.
const NAMES: usize = 12;

/// An account that a person logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// Its name.
    pub(super) name: String,
    uid: u32,
    gid: u32,
}

/// Everybody with a shell: root, and accounts whose uid is one of people's. What an account database
/// in the network does not list cannot be seen.
pub(super) fn everybody(host: &Host) -> Vec<Person> {
    let passwd = match host.run(&["getent", "passwd"]) {
        Some(said) if said.success => said.output,
        Some(_) | None => host.read("/etc/passwd").unwrap_or_default(),
    };
    let shells = host.read("/etc/shells").unwrap_or_default();
    let shells = shells.lines().map(str::trim).filter(|line| line.starts_with('/'));
    let shells = shells.collect::<BTreeSet<_>>();
    let least = least_uid(&host.read("/etc/login.defs").unwrap_or_default());
    let person = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let shell = fields.nth(2)?.trim();
        let opens = shell.is_empty() || shells.is_empty() || shells.contains(shell);
        let refuses = shell.ends_with("/nologin") || shell.ends_with("/false");
        // Above are nobody, and what systemd makes for services.
        let human = uid == 0 || (least..60_000).contains(&uid) || uid > 65_535;
        (human && opens && !refuses).then_some(Person { name, uid, gid })
    };
    let mut people = passwd.lines().filter_map(person).collect::<Vec<_>>();
    people.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    people.dedup_by(|one, other| one.name == other.name);
    people
}

/// Those of [`everybody`] who have no password on this host: shadow(5), `!` and `*`. Empty where its file
/// cannot be read.
pub(super) fn passwordless(host: &Host) -> BTreeSet<String> {
    let shadow = host.read("/etc/shadow").unwrap_or_default();
    let locked = shadow.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        rest.starts_with(['!', '*']).then_some(name)
    });
    let locked = locked.collect::<BTreeSet<_>>();
    let names = everybody(host).into_iter().map(|person| person.name);
    names.filter(|name| locked.contains(name.as_str())).collect()
}

fn least_uid(defs: &str) -> u32 {
    let value = defs.lines().find_map(|line| line.trim().strip_prefix("UID_MIN"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(1000)
}

/// Who is in one of these groups.
pub(super) fn members(host: &Host, groups: &[String], people: &[Person]) -> BTreeSet<String> {
    if groups.is_empty() {
        return BTreeSet::new();
    }
    let mut words = vec!["getent", "group"];
    words.extend(groups.iter().map(String::as_str));
    let found = host.run(&words).map(|said| said.output).unwrap_or_default();
    let mut names = BTreeSet::new();
    for line in found.lines() {
        let mut fields = line.split(':');
        let gid = fields.nth(2).and_then(|gid| gid.parse::<u32>().ok());
        let primary = people.iter().filter(|person| Some(person.gid) == gid);
        names.extend(primary.map(|person| person.name.clone()));
        let listed = fields.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        names.extend(listed.map(str::to_owned));
    }
    names
}

/// What the daemon says about people.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Who is enrolled.
    pub(super) enrolled: &'a [Subscriber],
    /// Who is refused because what is stored of them is damaged; the daemon says that itself.
    pub(super) damaged: &'a [String],
    /// Whom otpd exempts.
    pub(super) policy: &'a PolicyReply,
    /// Who is in the groups that it exempts.
    pub(super) exempt: BTreeSet<String>,
    /// root cannot come in by sshd, whatever it is asked.
    pub(super) root_kept_out: bool,
}

/// Says for each service that asks for codes who is asked, and who is locked out by it.
pub(super) fn judge(services: &[Service], people: &[Person], known: &Known<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut asked = BTreeSet::new();
    let mut unproved = BTreeSet::new();
    let states = known.enrolled.iter().map(|one| (one.user.as_str(), one.state));
    let states = states.collect::<BTreeMap<_, _>>();
    // The same people at several services are one finding.
    let mut shut: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for service in services {
        let Some(judgement) = &service.judgement else { continue };
        let mut locked = Vec::new();
        for person in people {
            let name = &person.name;
            let through = judgement.exempt.contains(name)
                || known.policy.exempt_users.contains(name)
                || known.exempt.contains(name);
            match states.get(name.as_str()) {
                _ if through || known.damaged.contains(name) => {}
                Some(State::Active) => {
                    asked.insert(name.clone());
                }
                Some(State::Pending) if known.policy.unenrolled == Unenrolled::Ignore => {
                    unproved.insert(name.clone());
                }
                None if known.policy.unenrolled == Unenrolled::Ignore => {}
                _ if person.uid == 0 && spares_root(&service.name, judgement, known) => {}
                // An administrator has kept them out.
                Some(State::Disabled) => {}
                Some(State::Pending) | None => locked.push(name.clone()),
            }
        }
        if !locked.is_empty() {
            shut.entry(locked).or_default().push(&service.name);
        }
        if judgement.exempt.is_empty() && service.name == "login" {
            let text = "at the console nobody gets in while otpd cannot be reached";
            let remedy = "name somebody behind pam_otp.so in /etc/pam.d/login: exempt_user=root";
            findings.push(Finding::note(SUBJECT, text).advising(remedy));
        }
    }
    if known.policy.truncated && !shut.is_empty() {
        let text =
            "otpd exempts more accounts or groups than it tells; some of them may seem locked out";
        let remedy = "look for them at [policy] in /etc/otpd/otpd.toml; exempt a group in place of many accounts";
        findings.push(Finding::note(SUBJECT, text).advising(remedy));
    }
    if !unproved.is_empty() {
        let names = unproved.into_iter().collect::<Vec<_>>();
        let text = format!(
            "their numbers are not proved, and otpd refuses those who had one before (enroll --replace): {}",
            listed(&names)
        );
        findings.push(Finding::note(SUBJECT, text).advising("otpctl verify NAME"));
    }
    findings.extend(shut.iter().map(|(names, services)| locked_out(services, names)));
    if !asked.is_empty() {
        let asked = asked.into_iter().collect::<Vec<_>>();
        findings.push(Finding::ok(SUBJECT, format!("asked for a code: {}", listed(&asked))));
    }
    findings
}

/// Whether root is never asked by a service: who is root already, or is turned away all the same.
fn spares_root(service: &str, judgement: &Judgement, known: &Known<'_>) -> bool {
    if judgement.root_in.is_some() || judgement.root_out {
        return true;
    }
    match service {
        "sshd" => known.root_kept_out,
        "su" | "su-l" | "sudo" | "sudo-i" => true,
        _ => false,
    }
}

fn locked_out(services: &[&str], names: &[String]) -> Finding {
    let services = services.join(", ");
    let text = format!("locked out at {services}, without a proved number: {}", listed(names));
    let remedy = if names.iter().all(|name| name == "root") {
        "otpctl enroll root PHONE, or exempt_user=root behind pam_otp.so"
    } else {
        "otpctl enroll NAME PHONE; or exempt-users in otpd.toml, or exempt_user=NAME behind \
         pam_otp.so"
    };
    Finding::problem(SUBJECT, text, remedy)
}

/// The names in a line, the first ones of many.
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
