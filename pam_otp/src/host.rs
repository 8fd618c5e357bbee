//! What the login needs of the program that called: PAM's items, its conversation, its log.

use std::{ffi::CStr, time::Duration};

use pam::{
    constants::{PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO},
    conv::Conv,
    items::{AuthTok, RHost, RUser, Service, Tty, User},
    module::PamHandle,
};
use zeroize::Zeroizing;

use crate::{sys, text::for_log};

/// How bad a log line is, in syslog's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Somebody must act now.
    Alert,
    /// Something does not work.
    Error,
    /// Something is set up wrong.
    Warning,
    /// Somebody was refused.
    Notice,
    /// As it should be.
    Info,
    /// Only with the argument `debug`.
    Debug,
}

/// How a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word to the claimant.
    Info,
    /// Why it did not work.
    Error,
}

/// The conversation did not happen: interrupted, at its end, or the program cannot show prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConversationFailed;

/// This process in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// The session's id.
    pub(crate) id: i32,
    /// Whether this process leads it.
    pub(crate) leader: bool,
}

/// What was typed; wiped when dropped. `None` where the program gave no string at all.
pub(crate) type Reply = Option<Zeroizing<Vec<u8>>>;

/// The calling program as the login sees it. Never the process environment, which under su and sudo
/// belongs to whoever called.
pub(crate) trait PamHost {
    /// `PAM_USER` as it is now; `None` when it is unset or not UTF-8. Never asks for it: that would
    /// set it.
    fn user(&self) -> Option<String>;
    /// The service's name; empty when unset.
    fn service(&self) -> String;
    /// `PAM_RHOST`.
    fn rhost(&self) -> Option<String>;
    /// `PAM_TTY`.
    fn tty(&self) -> Option<String>;
    /// `PAM_RUSER`.
    fn ruser(&self) -> Option<String>;
    /// A variable of PAM's own environment.
    fn env(&self, name: &CStr) -> Option<String>;
    /// Whether a password was typed to a module above.
    fn has_authtok(&self) -> bool;
    /// This process in its session.
    fn session(&self) -> Session;
    /// Asks and waits, as long as the program lets its user think.
    fn prompt(&self, text: &str, echo: bool) -> Result<Reply, ConversationFailed>;
    /// Shows a text; a program that cannot is no reason to fail.
    fn show(&self, kind: Kind, text: &str);
    /// Writes to the log of authentications.
    fn log(&self, level: Level, message: &str);
    /// Asks libpam to wait about this long, should the login fail.
    fn fail_delay(&self, delay: Duration);
}

/// An item's text; bytes that are no UTF-8 are replaced, because these are only told, not judged.
macro_rules! item {
    ($handle:expr, $item:ident) => {
        $handle
            .get_item::<$item<'_>>()
            .ok()
            .flatten()
            .map(|item| item.to_string_lossy().into_owned())
            .filter(|text| !text.is_empty())
    };
}

impl PamHost for PamHandle {
    fn user(&self) -> Option<String> {
        let user = self.get_item::<User<'_>>().ok().flatten()?;
        user.to_str().ok().map(str::to_owned)
    }

    fn service(&self) -> String {
        item!(self, Service).unwrap_or_default()
    }

    fn rhost(&self) -> Option<String> {
        item!(self, RHost)
    }

    fn tty(&self) -> Option<String> {
        item!(self, Tty)
    }

    fn ruser(&self) -> Option<String> {
        item!(self, RUser)
    }

    fn env(&self, name: &CStr) -> Option<String> {
        sys::pam_env(self, name)
    }

    fn has_authtok(&self) -> bool {
        let token = self.get_item::<AuthTok<'_>>().ok().flatten();
        // An empty one means that Enter was pressed, which proves nothing.
        token.is_some_and(|token| !token.as_bytes().is_empty())
    }

    fn session(&self) -> Session {
        sys::session()
    }

    fn prompt(&self, text: &str, echo: bool) -> Result<Reply, ConversationFailed> {
        let style = if echo { PAM_PROMPT_ECHO_ON } else { PAM_PROMPT_ECHO_OFF };
        let conversation = self.get_item::<Conv<'_>>().ok().flatten().ok_or(ConversationFailed)?;
        let reply = conversation.send(style, text).map_err(|_| ConversationFailed)?;
        Ok(reply.map(|bytes| Zeroizing::new(bytes.as_bytes().to_vec())))
    }

    fn show(&self, kind: Kind, text: &str) {
        let style = match kind {
            Kind::Info => PAM_TEXT_INFO,
            Kind::Error => PAM_ERROR_MSG,
        };
        if let Ok(Some(conversation)) = self.get_item::<Conv<'_>>() {
            // Its result says only whether there was anybody to read it.
            let _shown = conversation.send(style, text);
        }
    }

    fn log(&self, level: Level, message: &str) {
        let priority = match level {
            Level::Alert => libc::LOG_ALERT,
            Level::Error => libc::LOG_ERR,
            Level::Warning => libc::LOG_WARNING,
            Level::Notice => libc::LOG_NOTICE,
            Level::Info => libc::LOG_INFO,
            Level::Debug => libc::LOG_DEBUG,
        };
        sys::pam_log(self, priority, &for_log(message));
    }

    fn fail_delay(&self, delay: Duration) {
        sys::pam_delay(self, delay);
    }
}
