//! `otpctl completions`: the command line as a shell wants to know it.

use clap::CommandFactory;

use super::Outcome;
use crate::cli::{Cli, Shell};

/// Writes it from the definition that parses the command line.
pub(crate) fn run(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    let shell = clap_complete::Shell::from(shell);
    clap_complete::generate(shell, &mut Cli::command(), "otpctl", &mut script);
    Outcome::done(String::from_utf8_lossy(&script).into_owned())
}
