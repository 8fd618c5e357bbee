//! Everything that can be wrong, one thing at a time.

use std::{fs, io};

use otp_proto::admin::{AdminError, Credentials, GatewayState, State as Enrolled};

use super::scene::*;
use crate::failure::Failure;

/// What is done to a host.
pub(super) type Deed = fn(&mut Scene);
pub(super) type Fault = (&'static str, Deed, &'static str);

/// What is done to the good host, and what must be said then: one problem, about this.
pub(super) const FAULTS: [Fault; 52] = [
    (
        "no daemon",
        |s| s.status = Err(Failure::Connect(io::ErrorKind::NotFound.into())),
        "there is no socket",
    ),
    (
        "nobody listens",
        |s| s.status = Err(Failure::Connect(io::ErrorKind::ConnectionRefused.into())),
        "nobody listens at",
    ),
    (
        "a daemon that cannot work",
        |s| {
            let reason = "the key is not the one".to_owned();
            s.status = Err(Failure::Admin(AdminError::Unavailable { reason }));
        },
        "cannot work: the key is not the one",
    ),
    ("a full disk", |s| s.status().problems = vec!["the disk is full".into()], "the disk is full"),
    (
        "a resting gateway",
        |s| s.status().gateways[0].state = GatewayState::Resting,
        "gateway main is passed over",
    ),
    (
        "a wrong configuration",
        |s| s.fails("otpd --check", "otpd: /etc/otpd/otpd.toml:3: `code.digits` is 4\n"),
        "`code.digits` is 4",
    ),
    ("no otpd", |s| drop(s.programs.remove("otpd --check")), "there is no program otpd"),
    (
        "a clock that nobody sets",
        |s| {
            s.program(TIME, "no\n");
            s.fails("systemd-detect-virt --container", "");
        },
        "nothing sets the clock",
    ),
    (
        "no route",
        |s| (s.policy.sms, s.policy.voice) = (Vec::new(), Vec::new()),
        "neither delivery.sms nor delivery.voice",
    ),
    (
        "credentials that the vendor refuses",
        |s| {
            s.checked[0].credentials = Credentials::Refused;
            s.checked[0].reason = Some("HTTP 401".into());
        },
        "main: the vendor refuses the credentials: HTTP 401",
    ),
    (
        "a vendor that cannot be reached",
        |s| s.checked[0].credentials = Credentials::Unreachable,
        "main: the vendor cannot be asked",
    ),
    ("no money", |s| s.checked[0].balance = Some("0.00 USD".into()), "0.00 USD are left"),
    ("sshd without PAM", |s| s.sshd("usepam", "no"), "UsePAM is `no` (in /etc/ssh/sshd_config:1"),
    (
        "a drop-in that switches the question off",
        |s| {
            s.write("etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
            s.write("etc/ssh/sshd_config.d/50-x.conf", "\nKbdInteractiveAuthentication no\n");
            s.sshd("kbdinteractiveauthentication", "no");
        },
        "(in /etc/ssh/sshd_config.d/50-x.conf:2, and the first line that sets it holds)",
    ),
    (
        "passwords by sshd",
        |s| s.sshd("passwordauthentication", "yes"),
        "PasswordAuthentication is `yes`",
    ),
    ("keys alone", |s| s.sshd("authenticationmethods", "any"), "a key alone lets in"),
    (
        "root enrolled in vain",
        |s| {
            s.enrolled.push(subscriber("root", Enrolled::Active));
            s.sshd("permitrootlogin", "without-password");
        },
        "sshd lets nobody type a code for root",
    ),
    (
        "root whose key opens nothing",
        |s| s.sshd("permitrootlogin", "without-password"),
        "AuthenticationMethods demands one: root's key opens nothing",
    ),
    (
        "another stack than sshd's",
        |s| s.sshd("maxauthtries", "6\npamservicename corp-ssh"),
        "PAMServiceName is `corp-ssh` (by default): sshd asks /etc/pam.d/corp-ssh",
    ),
    ("little time", |s| s.sshd("logingracetime", "20"), "LoginGraceTime is `20`"),
    (
        "one user's Match",
        |s| {
            s.write(
                "etc/ssh/sshd_config",
                "UsePAM yes\nMatch User bob\n  AuthenticationMethods publickey\n",
            );
            let own = SSHD_T.replace(
                "authenticationmethods keyboard-interactive",
                "authenticationmethods publickey",
            );
            s.program(&connection("root"), SSHD_T);
            s.program(&connection("alice"), SSHD_T);
            s.program(&connection("bob"), &own);
        },
        "for bob (by Match): AuthenticationMethods",
    ),
    (
        "a Match for somebody with a shell who is not enrolled",
        |s| {
            s.write(
                "etc/ssh/sshd_config",
                "UsePAM yes\nMatch User root\n  AuthenticationMethods publickey\n",
            );
            let methods = "authenticationmethods";
            let lone = format!("{methods} publickey");
            let own = SSHD_T.replace(&format!("{methods} keyboard-interactive"), &lone);
            s.program(&connection("root"), &own);
            s.program(&connection("alice"), SSHD_T);
            s.program(&connection("bob"), SSHD_T);
        },
        "for root (by Match): AuthenticationMethods",
    ),
    (
        "a Match that sshd cannot judge",
        |s| {
            s.write("etc/ssh/sshd_config", "UsePAM yes\nMatch Final\n  UsePAM no\n");
            for user in ["root", "alice", "bob"] {
                s.fails(&connection(user), "unsupported Match\n");
            }
        },
        "for alice, bob, root (by Match): sshd -T fails: unsupported Match",
    ),
    (
        "sshd that cannot say",
        |s| s.fails("sshd -T", "/etc/ssh/sshd_config line 3: Bad option\n"),
        "sshd -T fails: /etc/ssh/sshd_config line 3: Bad option",
    ),
    (
        "a required password",
        |s| s.write("etc/pam.d/sshd", "auth required pam_unix.so\nauth requisite pam_otp.so\n"),
        "/etc/pam.d/sshd:1: pam_unix.so is `required`",
    ),
    (
        "a sufficient password",
        |s| s.write("etc/pam.d/sshd", "auth sufficient pam_unix.so\nauth requisite pam_otp.so\n"),
        "/etc/pam.d/sshd:1: pam_unix.so is enough",
    ),
    (
        "the Primary trap",
        |s| {
            let text = "auth [success=2 default=ignore] pam_unix.so\n\
                        auth [success=1 default=ignore] pam_otp.so\n\
                        auth requisite pam_deny.so\nauth required pam_permit.so\n";
            s.write("etc/pam.d/sudo", text);
        },
        "`Auth-Type: Primary`",
    ),
    (
        "sudo -i by another stack",
        |s| {
            s.write("etc/pam.d/sudo", "@include common-auth\nauth requisite pam_otp.so\n");
            s.write("etc/pam.d/sudo-i", "@include common-auth\n");
        },
        "sudo-i asks for no code, and sudo does",
    ),
    (
        "the same, where sudo alone is looked at",
        |s| {
            s.only = Some("sudo");
            s.write("etc/pam.d/sudo", "@include common-auth\nauth requisite pam_otp.so\n");
            s.write("etc/pam.d/sudo-i", "@include common-auth\n");
        },
        "sudo-i asks for no code, and sudo does",
    ),
    (
        "an optional code",
        |s| s.write("etc/pam.d/su", "@include common-auth\nauth optional pam_otp.so\n"),
        "/etc/pam.d/su:2: `optional` lets in also with a wrong code",
    ),
    (
        "a jump over the code",
        |s| {
            let text = "@include common-auth\nauth [success=1 default=ignore] pam_access.so\n\
                        auth requisite pam_otp.so\nauth required pam_permit.so\n";
            s.write("etc/pam.d/sudo", text);
        },
        "/etc/pam.d/sudo:2: pam_access.so is enough",
    ),
    (
        "a lone code at the console",
        |s| {
            let text = "auth requisite pam_otp.so exempt_user=root\nauth required pam_permit.so\n";
            s.write("etc/pam.d/login", text);
        },
        "login: nothing above pam_otp.so checks who somebody is, and every code is refused; but who is \
         named by exempt_user gets in with nothing: root",
    ),
    (
        "a lone code at the console that believes",
        |s| {
            let text = "auth requisite pam_otp.so exempt_user=root first_factor_checked\n\
                        auth required pam_permit.so\n";
            s.write("etc/pam.d/login", text);
        },
        "`first_factor_checked`: the phone alone lets in",
    ),
    (
        "a lone code at sshd that believes",
        |s| {
            let text = "auth requisite pam_otp.so first_factor_checked\n\
                        auth required pam_permit.so\n";
            s.write("etc/pam.d/sshd", text);
        },
        "by `first_factor_checked` the phone alone lets in",
    ),
    (
        "a required gate at sshd",
        |s| {
            let text = "auth required pam_access.so\n@include common-auth\n\
                        auth requisite pam_otp.so\n";
            s.write("etc/pam.d/sshd", text);
            // What is a note for this one, which is read before.
            s.write("etc/pam.d/chsh", "@include sshd\n");
        },
        "/etc/pam.d/sshd:1: pam_access.so is `required`",
    ),
    (
        "a lone code at sshd without keys",
        |s| s.write("etc/pam.d/sshd", "auth requisite pam_otp.so\nauth required pam_permit.so\n"),
        "nothing is checked before the code",
    ),
    (
        "a lone code without permit",
        |s| {
            s.write("etc/pam.d/sshd", "auth requisite pam_otp.so\n");
            s.sshd("authenticationmethods", "publickey,keyboard-interactive");
        },
        "nothing but pam_otp.so says yes",
    ),
    (
        "a key at sudo that leaves no password",
        |s| {
            s.write("lib/x86_64-linux-gnu/security/pam_u2f.so", "");
            s.write("etc/pam.d/sudo", "auth requisite pam_u2f.so\nauth requisite pam_otp.so\n");
        },
        "/etc/pam.d/sudo:1: pam_u2f.so leaves no password",
    ),
    (
        "a key at sshd that leaves no password",
        |s| {
            s.write("lib/x86_64-linux-gnu/security/pam_u2f.so", "");
            s.write("etc/pam.d/sshd", "auth requisite pam_u2f.so\nauth requisite pam_otp.so\n");
        },
        "pam_otp.so does not see what the stack checks",
    ),
    (
        "a missing module",
        |s| {
            let module = s.path("lib/x86_64-linux-gnu/security/pam_group.so");
            fs::remove_file(module).expect("removed");
        },
        "/etc/pam.d/login:5: pam_group.so is not where libpam looks",
    ),
    (
        "a missing include",
        |s| s.write("etc/pam.d/sudo", "@include nothing\nauth requisite pam_otp.so\n"),
        "/etc/pam.d/sudo:1 includes nothing, which is not there",
    ),
    (
        "a misspelt argument",
        |s| {
            s.write(
                "etc/pam.d/su",
                "@include common-auth\nauth requisite pam_otp.so exempt=root
",
            );
        },
        "unknown argument `exempt=root`",
    ),
    (
        "another socket",
        |s| s.write("etc/pam.d/su", "@include common-auth\nauth requisite pam_otp.so socket=/x\n"),
        "su looks for otpd at /x",
    ),
    (
        "a service without a code",
        |s| {
            s.write("etc/pam.d/sshd", "@include common-auth\n");
            s.only = Some("sshd");
        },
        "sshd asks for no code",
    ),
    (
        "a key and a password that nobody has, after the code is gone",
        |s| {
            s.write("etc/pam.d/sshd", "@include common-auth\n");
            s.write("etc/shadow", "root:*:1\nalice:!:1\nbob:$y$x:1\n");
            s.write("etc/ssh/sshd_config.d/10-otpd.conf", "");
            s.sshd("authenticationmethods", "publickey,keyboard-interactive");
        },
        "by AuthenticationMethods sshd asks for a password, and who has none does not get in: alice",
    ),
    (
        "a code after a password that who is enrolled does not have",
        |s| {
            s.enrolled.pop();
            s.policy.exempt_users = vec!["bob".into()];
            s.write("etc/shadow", "alice:!:1\nbob:!:1\n");
        },
        "and who has none does not get in: alice",
    ),
    (
        "a hurried console",
        |s| s.write("etc/login.defs", "LOGIN_TIMEOUT 30\n"),
        "LOGIN_TIMEOUT is 30 s",
    ),
    (
        "a service file that others write",
        |s| s.mode("etc/pam.d/su", 0o666),
        "etc/pam.d/su has mode 0666",
    ),
    (
        "a module that others write, in Fedora's place",
        |s| {
            s.write("usr/lib64/security/pam_otp.so", "");
            s.mode("usr/lib64/security/pam_otp.so", 0o666);
        },
        "/usr/lib64/security/pam_otp.so has mode 0666",
    ),
    (
        "a password that nobody is asked for",
        |s| {
            let text = "auth sufficient pam_rootok.so\n@include common-auth\n\
                        auth requisite pam_otp.so\n";
            s.write("etc/pam.d/sshd", text);
        },
        "/etc/pam.d/sshd:1: pam_rootok.so is enough",
    ),
    ("a key that others read", |s| s.mode("etc/otpd/otpd.key", 0o644), "otpd.key has mode 0644"),
    (
        "somebody who is not enrolled",
        |s| drop(s.enrolled.pop()),
        "locked out at login, sshd, without a proved number: bob",
    ),
];
