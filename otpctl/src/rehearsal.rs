//! A service's real stack, run for a user without logging anybody in: `pam_authenticate(3)` and
//! `pam_acct_mgmt(3)`, and no session.

use std::{
    cell::RefCell,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use nonstick::{
    AuthnFlags, ConversationAdapter, EnvironMapMut, ErrorCode, PamShared, Transaction,
    TransactionBuilder, items::ItemsMut,
};

use crate::{failure::Failure, render, terminal};

/// What PAM answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Performed {
    /// To who they are.
    pub(crate) authentication: Result<(), ErrorCode>,
    /// To whether the account may log in; not asked after a refusal.
    pub(crate) account: Option<Result<(), ErrorCode>>,
}

/// Runs the stack of `service` for `user`. With `key`, as after a key that sshd has checked.
///
/// # Errors
/// [`Failure`] when the terminal or `libpam` fails; what PAM answers is the result.
pub(crate) fn perform(service: &str, user: &str, key: bool) -> Result<Performed, Failure> {
    let stage = Stage::default();
    let stopped = |code: ErrorCode| Failure::Host(format!("libpam does not start: {code}"));
    let builder = TransactionBuilder::new_with_service(service).username(user);
    let mut transaction = builder.build((&stage).into_conversation()).map_err(stopped)?;
    if service == "sshd" {
        // As sshd names it, and as the module knows it by.
        transaction.items_mut().set_tty_name(Some(OsStr::new("ssh"))).map_err(stopped)?;
    }
    if key {
        let _ = transaction.environ_mut().insert("SSH_AUTH_INFO_0", "publickey rehearsal");
    }
    // sshd and login both say so.
    let flags = AuthnFlags::DISALLOW_NULL_AUTHTOK;
    let authentication = transaction.authenticate(flags);
    let account = authentication.is_ok().then(|| transaction.account_management(flags));
    drop(transaction);
    match stage.0.into_inner() {
        Some(failure) => Err(failure),
        None => Ok(Performed { authentication, account }),
    }
}

/// Whether this process leads its session, as a program that a terminal was opened for does.
pub(crate) fn leads_session() -> bool {
    // By /proc: the session's leader may be in another PID namespace, which the system call's safe
    // wrapper does not expect.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
    let session = fields.and_then(|mut fields| fields.nth(3)).and_then(|field| field.parse().ok());
    session == Some(std::process::id())
}

/// The terminal, which plays the user's; what went wrong with it.
#[derive(Default)]
struct Stage(RefCell<Option<Failure>>);

impl Stage {
    fn ask(&self, prompt: &OsStr, echo: bool) -> nonstick::Result<OsString> {
        match terminal::prompt(&shown(prompt), echo) {
            Ok(Some(answer)) => Ok(OsString::from_vec(answer.as_bytes().to_vec())),
            Ok(None) => Err(ErrorCode::ConversationError),
            Err(failure) => {
                *self.0.borrow_mut() = Some(failure);
                Err(ErrorCode::ConversationError)
            }
        }
    }

    fn say(&self, message: &OsStr) {
        if let Err(failure) = terminal::say(&format!("{}\n", shown(message))) {
            *self.0.borrow_mut() = Some(failure);
        }
    }
}

/// A module's text, line by line, without what could steer the terminal.
fn shown(text: &OsStr) -> String {
    let text = String::from_utf8_lossy(text.as_bytes());
    text.split('\n').map(render::visible).collect::<Vec<_>>().join("\n")
}

impl ConversationAdapter for &Stage {
    fn prompt(&self, request: impl AsRef<OsStr>) -> nonstick::Result<OsString> {
        self.ask(request.as_ref(), true)
    }

    fn masked_prompt(&self, request: impl AsRef<OsStr>) -> nonstick::Result<OsString> {
        self.ask(request.as_ref(), false)
    }

    fn error_msg(&self, message: impl AsRef<OsStr>) {
        self.say(message.as_ref());
    }

    fn info_msg(&self, message: impl AsRef<OsStr>) {
        self.say(message.as_ref());
    }
}

/// The name of an answer as manuals have it.
pub(crate) fn name(answer: Result<(), ErrorCode>) -> &'static str {
    match answer {
        Ok(()) => "PAM_SUCCESS",
        Err(code) => match code {
            ErrorCode::OpenError => "PAM_OPEN_ERR",
            ErrorCode::SymbolError => "PAM_SYMBOL_ERR",
            ErrorCode::ServiceError => "PAM_SERVICE_ERR",
            ErrorCode::SystemError => "PAM_SYSTEM_ERR",
            ErrorCode::BufferError => "PAM_BUF_ERR",
            ErrorCode::PermissionDenied => "PAM_PERM_DENIED",
            ErrorCode::AuthenticationError => "PAM_AUTH_ERR",
            ErrorCode::CredentialsInsufficient => "PAM_CRED_INSUFFICIENT",
            ErrorCode::AuthInfoUnavailable => "PAM_AUTHINFO_UNAVAIL",
            ErrorCode::UserUnknown => "PAM_USER_UNKNOWN",
            ErrorCode::MaxTries => "PAM_MAXTRIES",
            ErrorCode::NewAuthTokRequired => "PAM_NEW_AUTHTOK_REQD",
            ErrorCode::AccountExpired => "PAM_ACCT_EXPIRED",
            ErrorCode::ConversationError => "PAM_CONV_ERR",
            ErrorCode::Ignore => "PAM_IGNORE",
            ErrorCode::Abort => "PAM_ABORT",
            ErrorCode::AuthTokExpired => "PAM_AUTHTOK_EXPIRED",
            // What an auth or account stack does not answer.
            _ => "another PAM error",
        },
    }
}

/// What an answer means for whoever logs in.
pub(crate) fn meaning(answer: Result<(), ErrorCode>) -> &'static str {
    match answer {
        Ok(()) => "yes",
        Err(ErrorCode::AuthenticationError) => "no: a password or a code was wrong, or otpd denied",
        Err(ErrorCode::AuthInfoUnavailable) => {
            "no: otpd cannot be reached or cannot work, or nothing checked a first factor; the \
             system log says which"
        }
        Err(ErrorCode::PermissionDenied) => "no: nothing in the stack said yes",
        Err(ErrorCode::ConversationError) => "no: a question was not answered",
        Err(ErrorCode::UserUnknown) => "no: there is no such account",
        Err(ErrorCode::ServiceError) => {
            "no: a module has wrong arguments; the system log says which"
        }
        Err(ErrorCode::AccountExpired | ErrorCode::NewAuthTokRequired) => {
            "no: the account or its password has expired"
        }
        Err(_) => "no; the system log says why",
    }
}
