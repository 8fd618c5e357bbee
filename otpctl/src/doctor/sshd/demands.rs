//! What a change of the stack hangs on and does not decide: that sshd asks this stack, that it demands a key
//! where the stack checks nothing, and what it does with root.

use super::{
    SUBJECT, ask, files, from,
    settings::{Settings, spelled},
};
use crate::doctor::{finding::Finding, host::Host};

/// What keeps root out or asks root in vain. sshd takes an answer to what PAM asks as root's only by
/// `PermitRootLogin yes`, and a key's as well as none where more is demanded.
pub(in crate::doctor) fn root(host: &Host, enrolled: bool) -> Option<Finding> {
    let keyword = "permitrootlogin";
    let settings = roots(host)?;
    let value = settings.get(keyword).filter(|value| *value != "yes" && *value != "no")?;
    let why = match root_shut(host) {
        Some(_) => {
            "sshd lets nobody type a code for root, and AuthenticationMethods demands one: root's key \
             opens nothing"
        }
        None if enrolled => "root is enrolled, and sshd lets nobody type a code for root",
        None => return None,
    };
    let (name, from) = (spelled(keyword), from(files::origin(host, keyword)));
    let text = format!("{name} is `{value}` ({from}): {why}");
    let remedy = "write `PermitRootLogin no`, or `yes` where root is to log in by a code";
    Some(Finding::problem(SUBJECT, text, remedy))
}

/// The value of `PermitRootLogin` by which root's key opens nothing any more: it stands for a key alone, and
/// `AuthenticationMethods` demands more. A command that a key forces (`forced-commands-only`) still runs.
pub(crate) fn root_shut(host: &Host) -> Option<String> {
    let settings = roots(host)?;
    let value = settings.get("permitrootlogin")?;
    let keys_alone = matches!(value, "without-password" | "prohibit-password");
    (keys_alone && settings.names_question() && settings.always_asks()).then(|| value.to_owned())
}

fn roots(host: &Host) -> Option<Settings> {
    let user = (!files::matches(host).is_empty()).then_some("root");
    ask(host, user).ok()
}

/// The service that sshd asks PAM as (OpenSSH 9.8), where that is not `sshd`.
pub(crate) fn pam_service(host: &Host) -> Option<String> {
    let settings = ask(host, None).ok()?;
    settings.get("pamservicename").filter(|name| *name != "sshd").map(str::to_owned)
}

/// Why it is not known that sshd lets nobody come to the code without a key or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undemanded {
    /// It demands none.
    Not(String),
    /// It does not tell, or does so for some.
    Perhaps(String),
}

/// Whether sshd checks something itself before it has PAM ask for a code, as a stack with the code alone
/// needs it.
///
/// # Errors
/// [`Undemanded`].
pub(crate) fn demands_key(host: &Host) -> Result<(), Undemanded> {
    let settings = ask(host, None).map_err(|silent| {
        let why = silent.finding().text;
        Undemanded::Perhaps(format!(
            "whether sshd demands a key before the code is not known: {why}"
        ))
    })?;
    if settings.asks_behind() {
        return Ok(());
    }
    let keyword = if settings.is("usepam", "yes") { "authenticationmethods" } else { "usepam" };
    let value = settings.get(keyword).unwrap_or("any");
    let is = format!("{} is `{value}`", spelled(keyword));
    Err(match files::question(host) {
        Some(place) if keyword != "usepam" => Undemanded::Perhaps(format!(
            "{is}, but for whom a Match says otherwise ({place}): all others come in by a key without a \
             code, and by a password not at all"
        )),
        Some(_) | None => Undemanded::Not(is),
    })
}
