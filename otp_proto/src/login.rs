//! `org.otpd.Login`: what `pam_otp` asks of the daemon.

use serde::{Deserialize, Serialize};

use crate::{Method, Secret};

/// The interface text.
pub const DESCRIPTION: &str = include_str!("org.otpd.Login.varlink");

/// What the claimant reads before typing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// All the claimant must know, several lines, the last one short.
    pub text: String,
    /// Whether the typed text may be shown.
    pub echo: bool,
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The code was right.
    Granted,
    /// It was not, or there can be none.
    Denied,
    /// This account needs no code.
    Ignored,
    /// The daemon cannot decide now.
    Unavailable,
}

/// Exactly one of `prompt` and `verdict` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Shown before the prompt or with the verdict; usually absent.
    #[serde(default)]
    pub text: Option<String>,
    /// What to ask next.
    #[serde(default)]
    pub prompt: Option<Prompt>,
    /// The end.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// Starts a login, or goes on with one that is already known by its connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The name as PAM has it; the daemon resolves it.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// `PAM_RHOST`.
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
    /// `PAM_RUSER`.
    pub ruser: Option<String>,
    /// Only under sshd: `SSH_CONNECTION` (four words) and the session id, parted by spaces.
    pub connection: Option<String>,
    /// What the module can see to have succeeded, from `SSH_AUTH_INFO_0`, a method a line.
    pub first_factor: Vec<String>,
}

/// Reply to [`Begin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginReply {
    /// Names the challenge; null when the first step is already the verdict.
    #[serde(default)]
    pub challenge: Option<String>,
    /// What to do first.
    pub step: Step,
}

impl Method for Begin {
    const NAME: &'static str = "org.otpd.Login.Begin";
    type Reply = BeginReply;
}

/// Hands over what was typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// From [`BeginReply`].
    pub challenge: String,
    /// As typed.
    pub answer: Secret,
}

/// Reply to [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerReply {
    /// What to do next.
    pub step: Step,
}

impl Method for Answer {
    const NAME: &'static str = "org.otpd.Login.Answer";
    type Reply = AnswerReply;
}

/// Gives the login up; sent as `oneway`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// From [`BeginReply`].
    pub challenge: String,
}

/// A reply without parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

impl Method for Cancel {
    const NAME: &'static str = "org.otpd.Login.Cancel";
    type Reply = Empty;
}

/// Typed errors of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum LoginError {
    /// No such challenge, or it is over and forgotten.
    #[serde(rename = "org.otpd.Login.UnknownChallenge")]
    UnknownChallenge {},
}
