//! What the doctor has to say.

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Wrong: somebody is kept out, or gets in without a code, now or when something fails.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is about: `daemon`, `sshd`, `pam`, …
    pub(crate) subject: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found, in one line.
    pub(crate) text: String,
    /// What to do about it; always there with a problem.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    /// Something as it should be.
    pub(crate) fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Ok, text: text.into(), remedy: None }
    }

    /// Something worth knowing.
    pub(crate) fn note(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Note, text: text.into(), remedy: None }
    }

    /// Something wrong, and what to do about it.
    pub(crate) fn problem(
        subject: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { subject, state: State::Problem, text: text.into(), remedy }
    }

    /// The same with something that may be done about it.
    pub(crate) fn advising(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
