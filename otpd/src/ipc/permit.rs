//! Who may call what: one table, and nothing else decides it.
//!
//! | | root | admin group | own user | others |
//! |---|---|---|---|---|
//! | `org.otpd.Login` | yes | no | no | no |
//! | `Admin`, reading and changing | yes | yes, but never for uid 0 or a member of the group, and for an unknown name only what takes away | no | no |
//! | `Admin.Show`, `.Verify`, `.Resend` of oneself | yes | yes | yes | no |
//! | `Admin.Reveal`, `.Backup`, `.Restore`, `.Export`, `.Import`, `.RotateKey` | yes | no | no | no |

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Uid 0.
    Root,
    /// In the admin group.
    Admin,
    /// Anybody else.
    Other,
}

/// Whom a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nobody in particular: lists and states.
    Everyone,
    /// The caller.
    Oneself,
    /// Uid 0, or a member of the admin group, and not the caller.
    Privileged,
    /// A name that NSS does not know (now): it may be anybody's, an administrator's too.
    Gone,
    /// Any other account.
    Account,
}

/// What a call does, as far as rights tell calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Logs somebody in.
    Login,
    /// Shows, verifies or resends: what everybody may do for themselves.
    OwnAffairs,
    /// Takes away what lets somebody in: disables, removes, revokes.
    Revoke,
    /// Any other of the administrator's methods.
    Administer,
    /// Shows a number in full.
    Reveal,
    /// Takes all that is stored out, or puts it back, or puts it under another key.
    Backup,
}

/// Whether the call is permitted.
pub(super) const fn permits(caller: Caller, right: Right, target: Target) -> bool {
    match (caller, right, target) {
        (Caller::Root, _, _) => true,
        (Caller::Admin | Caller::Other, Right::Login | Right::Reveal | Right::Backup, _) => false,
        (Caller::Admin | Caller::Other, Right::OwnAffairs, Target::Oneself) => true,
        (Caller::Admin, Right::OwnAffairs | Right::Revoke, Target::Gone) => true,
        (Caller::Admin, Right::OwnAffairs | Right::Revoke | Right::Administer, target) => {
            match target {
                Target::Everyone | Target::Account => true,
                // An administrator's own number is changed by root, or the group could not be
                // trusted to be what root made it.
                Target::Oneself | Target::Privileged | Target::Gone => false,
            }
        }
        (Caller::Other, Right::OwnAffairs | Right::Revoke | Right::Administer, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Right, Target, permits};

    #[test]
    fn the_table_is_the_documented_one() {
        use {Caller as C, Right as R, Target as T};
        let targets = [T::Everyone, T::Oneself, T::Privileged, T::Gone, T::Account];
        let rows = [
            (C::Root, R::Login, [true; 5]),
            (C::Root, R::OwnAffairs, [true; 5]),
            (C::Root, R::Revoke, [true; 5]),
            (C::Root, R::Administer, [true; 5]),
            (C::Root, R::Reveal, [true; 5]),
            (C::Root, R::Backup, [true; 5]),
            (C::Admin, R::Login, [false; 5]),
            (C::Admin, R::OwnAffairs, [true, true, false, true, true]),
            (C::Admin, R::Revoke, [true, false, false, true, true]),
            (C::Admin, R::Administer, [true, false, false, false, true]),
            (C::Admin, R::Reveal, [false; 5]),
            (C::Admin, R::Backup, [false; 5]),
            (C::Other, R::Login, [false; 5]),
            (C::Other, R::OwnAffairs, [false, true, false, false, false]),
            (C::Other, R::Revoke, [false; 5]),
            (C::Other, R::Administer, [false; 5]),
            (C::Other, R::Reveal, [false; 5]),
            (C::Other, R::Backup, [false; 5]),
        ];
        for (caller, right, expected) in rows {
            assert_eq!(
                targets.map(|target| permits(caller, right, target)),
                expected,
                "{caller:?} {right:?}"
            );
        }
    }
}
