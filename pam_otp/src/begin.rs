//! What is settled before the daemon is asked: who is asking, and whether anything may be sent.

use otp_proto::{
    args::{Args, fault_of_name},
    login::Begin,
};

use crate::{
    host::{Level, PamHost},
    result::Outcome,
    text::{item, shortened},
};

/// Longest item sent, bytes. They only tell where a login comes from; names of hosts end at 255.
const LONGEST_ITEM: usize = 256;

/// Most methods and longest method sent, bytes. A method carries its public key, and a certificate
/// may be of any length, while a frame is not.
const MOST_METHODS: usize = 4;
const LONGEST_METHOD: usize = 2048;

/// `PAM_TTY` under sshd, which has no terminal yet.
pub(crate) const SSHD_TTY: &str = "ssh";

/// The first request.
///
/// # Errors
/// How the login ends where the daemon is not to be asked at all.
pub(crate) fn begin(host: &impl PamHost, args: &Args) -> Result<Begin, Outcome> {
    let user = user(host)?;
    // First of all, so that whoever is named here gets in whatever else is broken.
    if is_exempt(host, args, &user) {
        return Err(Outcome::Ignored);
    }
    let tty = host.tty();
    let under_sshd = tty.as_deref() == Some(SSHD_TTY);
    let session = host.session();
    // sshd's password method answers every hidden prompt with the password and cannot show others;
    // a code sent now would be wasted. It runs the stack in the session's leader, while
    // keyboard-interactive runs it in a child.
    if under_sshd && session.leader {
        host.log(
            Level::Warning,
            &format!(
                "sshd's password method cannot show a prompt, so {user} cannot log in with it; set \
                 KbdInteractiveAuthentication yes and PasswordAuthentication no in sshd_config"
            ),
        );
        return Err(Outcome::Unavailable);
    }
    let first_factor = first_factor(host, args, &user)?;
    let connection = if under_sshd { host.env(c"SSH_CONNECTION") } else { None };
    let short = |text: String| item(&text, LONGEST_ITEM);
    Ok(Begin {
        user,
        service: short(host.service()),
        rhost: host.rhost().map(short),
        tty: tty.map(short),
        ruser: host.ruser().map(short),
        connection: connection
            .filter(|connection| !connection.is_empty())
            .map(|connection| format!("{} {}", short(connection), session.id)),
        first_factor,
    })
}

/// How a login ends where arguments are wrong: nobody gets in but who is named by one that is right.
pub(crate) fn misconfigured(host: &impl PamHost, args: &Args, errors: &[String]) -> Outcome {
    for error in errors {
        let only = "until it is right, only who is named by exempt_user gets in here";
        host.log(Level::Error, &format!("{error}; {only}"));
    }
    match user(host) {
        Ok(user) if is_exempt(host, args, &user) => Outcome::Ignored,
        Ok(_) | Err(_) => Outcome::Misconfigured,
    }
}

fn is_exempt(host: &impl PamHost, args: &Args, user: &str) -> bool {
    let exempt = args.exempt_users.iter().any(|name| name == user);
    if exempt {
        host.log(Level::Info, &format!("no code asked of {user}: named by exempt_user"));
    }
    exempt
}

fn user(host: &impl PamHost) -> Result<String, Outcome> {
    let Some(user) = host.user() else {
        host.log(Level::Error, "no user name, or one that is not UTF-8: refused");
        return Err(Outcome::Denied);
    };
    match fault_of_name(&user) {
        None => Ok(user),
        Some(fault) => {
            host.log(Level::Notice, &format!("the user name `{user}` {fault}: refused"));
            Err(Outcome::Denied)
        }
    }
}

/// What sshd says has succeeded. Without any first factor nothing may be sent: else everybody who
/// knows a name could flood that person's telephone, at our cost.
fn first_factor(host: &impl PamHost, args: &Args, user: &str) -> Result<Vec<String>, Outcome> {
    let methods = host.env(c"SSH_AUTH_INFO_0").unwrap_or_default();
    let methods: Vec<String> = methods
        .lines()
        .map(str::trim)
        .filter(|method| !method.is_empty())
        .take(MOST_METHODS)
        .map(|method| shortened(method, LONGEST_METHOD).to_owned())
        .collect();
    if methods.is_empty() && !host.has_authtok() && !args.first_factor_checked {
        host.log(
            Level::Warning,
            &format!(
                "no first factor to be seen for {user}, so no code is sent; put pam_otp below the \
                 password module, or set AuthenticationMethods publickey,keyboard-interactive in \
                 sshd_config, or say first_factor_checked if the stack guarantees one"
            ),
        );
        return Err(Outcome::Unavailable);
    }
    Ok(methods)
}
