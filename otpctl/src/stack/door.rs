//! Whom a stack lets in, whether it has the module or not.

use super::{
    read::{Entry, Stack},
    role::{Role, knows_its_own},
    walk::ways,
};

/// What a stack without the module does with people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Who proves who they are gets in.
    Guarded,
    /// Somebody gets in who proved nothing.
    Open,
    /// Nobody gets in.
    Shut,
}

/// What `stack` does with people, whether it has the module or not.
pub(crate) fn door(stack: &Stack, missing: &dyn Fn(&Entry) -> bool) -> Door {
    let ways = ways(stack, missing);
    let mut open = ways.iter().filter(|way| way.success).peekable();
    if !stack.troubles.is_empty() || open.peek().is_none() {
        Door::Shut
    } else if open.all(|way| way.checked) {
        Door::Guarded
    } else {
        Door::Open
    }
}

/// Whether `stack` lets in nobody but by a password that this host keeps: who has none there stays out. A
/// module that asks a directory may let them in, as one that nobody here knows.
pub(crate) fn needs_password(stack: &Stack, missing: &dyn Fn(&Entry) -> bool) -> bool {
    let mut without = stack.clone();
    for entry in &mut without.entries {
        if knows_its_own(&entry.module) {
            entry.role = Role::Deny;
        }
    }
    door(stack, missing) != Door::Shut && door(&without, missing) == Door::Shut
}

#[cfg(test)]
mod tests {
    use super::needs_password;
    use crate::stack::{
        read,
        testing::{COMMON_AUTH, Files},
    };

    #[test]
    fn stacks_that_let_in_by_a_password_alone_are_known() {
        let cases = [
            ("Debian's", "@include common-auth\n", true),
            ("a code behind it", "@include common-auth\nauth requisite pam_otp.so\n", true),
            ("a code alone", "auth requisite pam_otp.so\nauth required pam_permit.so\n", false),
            (
                "Red Hat's",
                "auth required pam_env.so\nauth sufficient pam_unix.so\n\
                 auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n\
                 auth sufficient pam_sss.so forward_pass\nauth required pam_deny.so\n",
                true,
            ),
            ("a finger", "auth sufficient pam_fprintd.so\nauth required pam_unix.so\n", false),
            ("a directory", "auth sufficient pam_krb5.so\nauth required pam_unix.so\n", false),
            ("who knows", "auth sufficient pam_mystery.so\nauth required pam_unix.so\n", false),
            (
                "some by a list",
                "auth [success=1 default=ignore] pam_succeed_if.so user ingroup x\n\
                 auth requisite pam_unix.so\nauth required pam_permit.so\n",
                false,
            ),
            ("nobody", "auth requisite pam_unix.so\nauth required pam_deny.so\n", false),
            ("a broken one", "auth requisite\n", false),
        ];
        for (name, text, expected) in cases {
            let files = Files::new(&[("sshd", text), ("common-auth", COMMON_AUTH)]);
            assert_eq!(needs_password(&read(&files, "sshd"), &|_| false), expected, "{name}");
        }
    }
}
