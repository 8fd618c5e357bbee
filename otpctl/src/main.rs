//! `otpctl`: enrolls users of otpd and verifies their phone numbers.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match otpctl::cli::Cli::try_parse() {
        Ok(cli) => otpctl::run(cli).into(),
        // Prints help and the version to stdout with 0, usage errors to stderr with 2.
        Err(error) => error.exit(),
    }
}
