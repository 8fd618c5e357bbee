//! `otpd` with the points at which tests have it killed. It is built by tests alone, and not shipped.

use std::{
    io::{Write, stderr},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    // As tests start it: --config FILE.
    let config = std::env::args_os().nth(2).unwrap_or_default();
    match otpd::app::run(Path::new(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "otpd: {error}");
            ExitCode::from(2)
        }
    }
}
