//! The verbs, a file each: what is asked of the daemon and what is made of the answer.

mod backup;
mod bypass;
mod completions;
mod confirm_clock;
mod doctor;
mod enroll;
mod explain;
mod import;
mod key;
mod list;
mod log;
mod pam;
mod pieces;
mod progress;
mod recovery_codes;
mod rehearse;
mod remove;
mod resend;
mod restore;
mod show;
mod state;
mod status;
mod store;
mod test_message;
mod unlock;
mod verify;

use serde::Serialize;

use crate::{Exit, cli::Verb, failure::Failure, render::json, session::Session};

/// What a verb that was carried out leaves behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The result, whole lines.
    pub(crate) stdout: String,
    /// One line for standard error, without line end; empty when there is nothing to add.
    pub(crate) stderr: String,
    /// How it went.
    pub(crate) exit: Exit,
}

impl Outcome {
    /// Done, with `stdout` as the result.
    fn done(stdout: String) -> Self {
        Self { stdout, stderr: String::new(), exit: Exit::Done }
    }

    /// Done; the result as JSON where that is asked for, else in words.
    fn either(session: &Session, value: &impl Serialize, words: impl FnOnce() -> String) -> Self {
        Self::done(if session.json { json::text(value) } else { words() })
    }

    /// Not all of it was done: `problem` says what is missing. Only JSON has a result besides.
    fn incomplete(session: &Session, value: &impl Serialize, problem: String) -> Self {
        let stdout = if session.json { json::text(value) } else { String::new() };
        Self { stdout, stderr: problem, exit: Exit::Refused }
    }
}

/// Carries out `verb`.
pub(crate) fn run(session: &Session, verb: Verb) -> Result<Outcome, Failure> {
    match verb {
        Verb::Enroll(arguments) => enroll::run(session, arguments),
        Verb::Verify(arguments) => verify::run(session, arguments),
        Verb::Resend(arguments) => resend::run(session, arguments),
        Verb::List => list::run(session),
        Verb::Show(arguments) => show::run(session, arguments),
        Verb::Disable(user) => state::disable(session, user),
        Verb::Enable(user) => state::enable(session, user),
        Verb::Remove(arguments) => remove::run(session, arguments),
        Verb::Unlock(user) => unlock::run(session, user),
        Verb::RecoveryCodes(user) => recovery_codes::run(session, user),
        Verb::Bypass(arguments) => bypass::run(session, arguments),
        Verb::TestMessage(arguments) => test_message::run(session, arguments),
        Verb::Backup(arguments) => backup::run(session, &arguments),
        Verb::Restore(arguments) => restore::run(session, &arguments),
        Verb::Store(arguments) => store::run(session, &arguments),
        Verb::Completions { shell } => Ok(completions::run(shell)),
        Verb::Status => status::run(session),
        Verb::Log(arguments) => log::run(session, arguments),
        Verb::Explain(arguments) => explain::run(session, &arguments),
        Verb::ConfirmClock => confirm_clock::run(session),
        Verb::Key(arguments) => key::run(session, &arguments),
        Verb::Pam(arguments) => pam::run(session, arguments),
        Verb::Rehearse(arguments) => rehearse::run(session, arguments),
        Verb::Doctor(arguments) => doctor::run(session, &arguments),
    }
}
