//! What modules are good for, as far as a second factor is concerned.

/// What a module can answer, and what its success proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `pam_otp.so` itself.
    Code,
    /// Checks who somebody is: a password, a key, a finger.
    Checker,
    /// May refuse; its success proves nothing.
    Gate,
    /// Does something besides, and refuses nobody.
    Helper,
    /// Always succeeds: `pam_permit.so`, and `pam_rootok.so` in a program that runs as root.
    Permit,
    /// Always fails: `pam_deny.so`, and `pam_rootok.so` in a program that runs as who has called it, for
    /// everybody that a code is for.
    Deny,
    /// A line that brings a substack: no module at all.
    Substack,
    /// Nobody here knows.
    Unknown,
}

/// A module's file name without what it ends with.
fn stem(module: &str) -> &str {
    module.rsplit('/').next().unwrap_or(module).trim_end_matches(".so")
}

impl Role {
    /// By the module's file name, in the stack of `service`.
    pub(crate) fn at(service: &str, module: &str) -> Self {
        let rootok = stem(module) == "pam_rootok";
        if rootok && !CALLED.contains(&service) { Self::Permit } else { Self::of(module) }
    }

    /// By the module's file name.
    pub(crate) fn of(module: &str) -> Self {
        match stem(module) {
            "pam_otp" => Self::Code,
            "pam_permit" => Self::Permit,
            "pam_deny" | "pam_rootok" => Self::Deny,
            name if CHECKERS.contains(&name) => Self::Checker,
            name if GATES.contains(&name) => Self::Gate,
            name if HELPERS.contains(&name) => Self::Helper,
            _ => Self::Unknown,
        }
    }
}

/// Programs that ask PAM as the user who has called them, which is what `pam_rootok.so` looks at: it lets
/// in nobody there but root. All others (sshd, login, sudo) are root by then, whoever comes.
const CALLED: [&str; 18] = [
    "chage",
    "chfn",
    "chgpasswd",
    "chpasswd",
    "chsh",
    "groupadd",
    "groupdel",
    "groupmems",
    "groupmod",
    "newusers",
    "passwd",
    "runuser",
    "runuser-l",
    "su",
    "su-l",
    "useradd",
    "userdel",
    "usermod",
];

/// The argument by which a checker steps aside (`PAM_IGNORE`) for some people, as the manual page of
/// each module names it.
pub(crate) fn steps_aside<'a>(module: &str, arguments: &'a [String]) -> Option<&'a str> {
    let words: &[&str] = match stem(module) {
        "pam_sss" | "pam_ldap" => &["ignore_unknown_user", "ignore_authinfo_unavail"],
        "pam_krb5" => &["ignore_root", "minimum_uid"],
        "pam_u2f" => &["nouserok"],
        "pam_google_authenticator" | "pam_yubico" => &["nullok"],
        "pam_radius_auth" => &["localifdown"],
        _ => return None,
    };
    let name =
        |argument: &str| argument.split('=').next().is_some_and(|name| words.contains(&name));
    arguments.iter().map(String::as_str).find(|argument| name(argument))
}

/// Whether a checker leaves what was typed (`PAM_AUTHTOK`), by which `pam_otp.so` sees that there was a first
/// factor; as the source of each module has it. What nobody knows here is thought to do so: it is said
/// besides that it is not known.
pub(crate) fn leaves_token(module: &str, arguments: &[String]) -> bool {
    match stem(module) {
        // A finger, a key, a ticket, a tap on a telephone: nothing is typed. pam_oath and pam_yubico leave
        // what stands before the code, if anything does.
        "pam_duo" | "pam_fprintd" | "pam_oath" | "pam_rsa" | "pam_ssh_agent_auth"
        | "pam_sss_gss" | "pam_u2f" | "pam_yubico" => false,
        "pam_sss" | "pam_google_authenticator" => {
            arguments.iter().any(|argument| argument == "forward_pass")
        }
        _ => true,
    }
}

/// Whether a module lets in nobody who is in this host's `shadow` file without a password: it asks that
/// file, or knows accounts of its own alone.
pub(crate) fn knows_its_own(module: &str) -> bool {
    let own =
        ["pam_unix", "pam_unix2", "pam_sss", "pam_kanidm", "pam_himmelblau", "pam_systemd_home"];
    own.contains(&stem(module))
}

const CHECKERS: [&str; 24] = [
    "pam_duo",
    "pam_fprintd",
    "pam_google_authenticator",
    "pam_himmelblau",
    "pam_krb5",
    "pam_kanidm",
    "pam_ldap",
    "pam_lsass",
    "pam_oath",
    "pam_opie",
    "pam_pkcs11",
    "pam_pwdfile",
    "pam_radius_auth",
    "pam_rsa",
    "pam_ssh_agent_auth",
    "pam_sss",
    "pam_sss_gss",
    "pam_systemd_home",
    "pam_tacplus",
    "pam_u2f",
    "pam_unix",
    "pam_unix2",
    "pam_winbind",
    "pam_yubico",
];

const GATES: [&str; 19] = [
    "pam_abl",
    "pam_access",
    "pam_echo",
    "pam_exec",
    "pam_faillock",
    "pam_issue",
    "pam_listfile",
    "pam_localuser",
    "pam_nologin",
    "pam_securetty",
    "pam_sepermit",
    "pam_shells",
    "pam_shield",
    "pam_succeed_if",
    "pam_tally2",
    "pam_time",
    "pam_tty_audit",
    "pam_usertype",
    "pam_wheel",
];

const HELPERS: [&str; 14] = [
    "pam_cap",
    "pam_ecryptfs",
    "pam_env",
    "pam_faildelay",
    "pam_gnome_keyring",
    "pam_group",
    "pam_keyinit",
    "pam_kwallet5",
    "pam_lastlog",
    "pam_loginuid",
    "pam_motd",
    "pam_mount",
    "pam_selinux",
    "pam_warn",
];

#[cfg(test)]
mod tests {
    use super::leaves_token;

    #[test]
    fn who_leaves_what_was_typed_is_known() {
        let cases = [
            ("pam_unix.so", &[][..], true),
            ("/lib/security/pam_krb5.so", &[], true),
            ("pam_mystery.so", &[], true),
            ("pam_fprintd.so", &["max-tries=1"], false),
            ("pam_u2f.so", &["cue"], false),
            ("pam_ssh_agent_auth.so", &["file=/x"], false),
            ("pam_sss.so", &["use_first_pass"], false),
            ("pam_sss.so", &["forward_pass"], true),
            ("pam_google_authenticator.so", &["nullok"], false),
            ("pam_google_authenticator.so", &["forward_pass"], true),
        ];
        for (module, arguments, expected) in cases {
            let arguments = arguments.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(leaves_token(module, &arguments), expected, "{module} {arguments:?}");
        }
    }
}
