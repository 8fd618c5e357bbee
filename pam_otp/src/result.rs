//! How a login ended, and what PAM is told.

use pam::constants::PamResultCode;

/// How a login ended for the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The daemon granted it.
    Granted,
    /// The daemon denied it, or the module saw that it must not go on.
    Denied,
    /// No code is asked of this account, or `failmode=safe` lets an absent daemon pass.
    Ignored,
    /// Nobody could decide.
    Unavailable,
    /// The program that called could not show the prompt, or the claimant gave up.
    ConversationFailed,
    /// The module's arguments are wrong.
    Misconfigured,
}

/// The one table. Never `PAM_MAXTRIES`: with it sshd turns methods off for the connection and its
/// client then shows password prompts that lead nowhere.
pub(crate) const fn pam_code(outcome: Outcome) -> PamResultCode {
    match outcome {
        Outcome::Granted => PamResultCode::PAM_SUCCESS,
        Outcome::Denied => PamResultCode::PAM_AUTH_ERR,
        // Not a success: under `sufficient` that would skip what stands below.
        Outcome::Ignored => PamResultCode::PAM_IGNORE,
        Outcome::Unavailable => PamResultCode::PAM_AUTHINFO_UNAVAIL,
        Outcome::ConversationFailed => PamResultCode::PAM_CONV_ERR,
        Outcome::Misconfigured => PamResultCode::PAM_SERVICE_ERR,
    }
}

#[cfg(test)]
mod tests {
    use pam::constants::PamResultCode;

    use super::{Outcome, pam_code};

    #[test]
    fn only_a_grant_is_a_success() {
        let table = [
            (Outcome::Granted, PamResultCode::PAM_SUCCESS),
            (Outcome::Denied, PamResultCode::PAM_AUTH_ERR),
            (Outcome::Ignored, PamResultCode::PAM_IGNORE),
            (Outcome::Unavailable, PamResultCode::PAM_AUTHINFO_UNAVAIL),
            (Outcome::ConversationFailed, PamResultCode::PAM_CONV_ERR),
            (Outcome::Misconfigured, PamResultCode::PAM_SERVICE_ERR),
        ];
        for (outcome, code) in table {
            assert_eq!(pam_code(outcome), code, "{outcome:?}");
        }
    }
}
