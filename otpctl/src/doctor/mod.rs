//! `otpctl doctor`: looks at everything that a login with a code depends on, a file a subject, before
//! somebody is locked out. It changes nothing but for `/run/sshd`, where sshd tells nothing without it.

mod clock;
mod config;
mod daemon;
mod files;
mod finding;
mod gateways;
mod host;
mod mac;
mod people;
mod services;
mod sshd;

use std::path::Path;

use otp_proto::admin::{GatewayChecked, PolicyReply, StatusReply, Subscriber};

pub(crate) use finding::{Finding, State};
pub(crate) use host::Host;
#[cfg(test)]
pub(crate) use host::Said;
pub(crate) use people::listed;
pub(crate) use sshd::{
    beside::{Beside, beside, stranded},
    demands::{Undemanded, demands_key, pam_service, root_shut},
};

use crate::{failure::Failure, stack::Fault};
use services::Service;

/// What the daemon says of itself and of those it knows.
pub(crate) struct Asked<'a> {
    /// Where it was asked.
    pub(crate) socket: &'a Path,
    /// How it is.
    pub(crate) status: Result<StatusReply, Failure>,
    /// Whom it exempts, and how it sends; `None`: it did not say.
    pub(crate) policy: Option<PolicyReply>,
    /// What the vendors say of the gateways; empty: nothing.
    pub(crate) checked: Vec<GatewayChecked>,
    /// Who is enrolled; `None`: it did not say.
    pub(crate) enrolled: Option<Vec<Subscriber>>,
    /// Of whom what is stored is damaged.
    pub(crate) damaged: Vec<String>,
}

/// Looks at `host`: at everything, or at what concerns the service `only`.
pub(crate) fn examine(host: &Host, asked: &Asked<'_>, only: Option<&str>) -> Vec<Finding> {
    let mut findings = daemon::judge(asked.socket, &asked.status);
    findings.extend(config::examine(host));
    let checked = asked.checked.as_slice();
    findings.extend(asked.policy.iter().flat_map(|policy| gateways::judge(policy, checked)));
    findings.push(clock::examine(host));
    let services = services::look(host, only);
    findings.extend(services::examine(&services, only));
    findings.extend(sockets(&services, asked.socket));
    let sshd = services.iter().find(|service| service.name == "sshd");
    let judgement = sshd.and_then(|sshd| sshd.judgement.as_ref());
    let mut root_kept_out = false;
    if let Some(judgement) = judgement {
        let enrolled = asked.enrolled.as_deref().unwrap_or_default();
        let around = sshd::Around {
            alone: judgement.alone,
            believes: judgement.believes,
            unseen: judgement.faults.iter().find_map(Fault::unseen),
            exempt: &judgement.exempt,
            spared: false,
        };
        let shells = people::everybody(host).into_iter().map(|person| person.name);
        let users = shells.chain(enrolled.iter().map(|one| one.user.clone())).collect();
        let spared = asked.policy.iter().flat_map(|policy| &policy.exempt_users);
        let spared = spared.chain(&judgement.exempt).map(String::as_str).collect();
        findings.extend(sshd::examine(host, around, &users, &spared));
        let settings = sshd::ask(host, None);
        root_kept_out = !settings.is_ok_and(|settings| settings.is("permitrootlogin", "yes"));
    }
    if sshd.is_some() {
        let active = asked.enrolled.iter().flatten().map(|one| one.user.as_str());
        let active = active.collect::<Vec<_>>();
        findings.extend(sshd::beside::judge(host, judgement.map(|_| active.as_slice())));
        let enrolled = asked.enrolled.iter().flatten().any(|one| one.user == "root");
        findings.extend(sshd::demands::root(host, enrolled && judgement.is_some()));
    }
    findings.extend(services::console(host, &services));
    findings.extend(files::examine(host));
    findings.extend(mac::examine(host));
    if let (Some(policy), Some(enrolled)) = (&asked.policy, &asked.enrolled) {
        let people = people::everybody(host);
        let exempt = people::members(host, &policy.exempt_groups, &people);
        let damaged = &asked.damaged;
        let known = people::Known { enrolled, damaged, policy, exempt, root_kept_out };
        findings.extend(people::judge(&services, &people, &known));
    }
    findings
}

/// A stack that looks for the daemon where it is not.
fn sockets(services: &[Service], socket: &Path) -> Vec<Finding> {
    let finding = |service: &Service| {
        let looks = service.judgement.as_ref()?.socket.as_deref()?;
        (looks != socket).then(|| {
            let (name, looks, socket) = (&service.name, looks.display(), socket.display());
            let text = format!("{name} looks for otpd at {looks}, and it was asked at {socket}");
            let remedy = "give socket= behind pam_otp.so and server.socket the same path";
            Finding::problem("pam", text, remedy)
        })
    };
    services.iter().filter_map(finding).collect()
}

#[cfg(test)]
mod tests;
