//! What `otpctl` is made of: [`cli`] reads the command line, `commands` holds a file a verb,
//! `session` talks to the daemon and `render` words everything that is printed, for people and as
//! JSON. The library exists so that `main` stays a few lines and everything else can be tested.

pub mod cli;
mod commands;
mod doctor;
mod exit;
mod failure;
mod pam;
mod rehearsal;
mod render;
mod session;
mod stack;
mod terminal;

use std::io::{self, Write};

pub use exit::Exit;

use commands::Outcome;
use render::error::Asked;
use session::Session;

/// Does what the command line asks, prints the result and says how it went.
#[must_use]
pub fn run(cli: cli::Cli) -> Exit {
    let (user, changes) = (cli.verb.user().map(str::to_owned), cli.verb.changes());
    let session = Session::new(cli.socket, cli.json);
    let outcome = commands::run(&session, cli.verb).unwrap_or_else(|failure| {
        let asked =
            Asked { socket: &session.socket, user: user.as_deref(), changes, zone: &session.zone };
        Outcome { stdout: String::new(), stderr: asked.text(&failure), exit: failure.exit() }
    });
    let printed = print(&mut io::stdout().lock(), &outcome.stdout);
    if !outcome.stderr.is_empty() {
        complain(&outcome.stderr);
    }
    match printed {
        Ok(()) => outcome.exit,
        Err(error) => {
            let reason = render::io_reason(&error);
            complain(&format!("cannot write to standard output: {reason}"));
            Exit::Refused
        }
    }
}

/// Writes `text`. Whoever reads the output may stop early (`otpctl list | head`): that is no error.
fn print(output: &mut impl Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes one line to standard error. When even that fails there is nobody left to tell.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "otpctl: {text}");
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    /// Fails every write the same way.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_broken_pipe_is_passed_over() {
        assert!(super::print(&mut Failing(io::ErrorKind::BrokenPipe), "x").is_ok());
        assert!(super::print(&mut Failing(io::ErrorKind::StorageFull), "x").is_err());
    }
}
