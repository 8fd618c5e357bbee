//! `otpd`: reads its arguments and starts.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;
use otpd::{app, config};

/// Issues, sends and checks one-time codes for logins.
#[derive(Parser)]
#[command(version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Read the configuration, say all that is wrong with it, and end (0: nothing, 2: something).
    #[arg(long, conflicts_with = "make_key")]
    check: bool,
    /// Make the master key (server.key-file) and end. Keep a copy of it where the database is not:
    /// without it no stored number can be read.
    #[arg(long)]
    make_key: bool,
    /// Make the key that is to come after the one in use, beside it as otpd.key.next, and end. Copy it
    /// to every host that shares the database; otpctl key rotate goes over to it.
    #[arg(long, conflicts_with_all = ["check", "make_key"])]
    make_next_key: bool,
    /// Make or upgrade the schema of a shared database (store.url = "postgres://…") as ROLE, which owns
    /// it, and end: for hosts whose own roles may not.
    #[arg(long, value_name = "ROLE", conflicts_with_all = ["check", "make_key", "make_next_key"])]
    migrate: Option<String>,
    /// The file with that role's password.
    #[arg(long, value_name = "FILE", requires = "migrate")]
    password_file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  otpd --check                     is /etc/otpd/otpd.toml right?
  otpd --make-key                  before the first start, as root
  otpd --make-next-key             before otpctl key rotate, as root
  otpd --migrate otpd_owner --password-file owner.password
                                   before the first start with roles of less rights, and the upgrade
  otpd --config ./otpd.toml        run in the foreground";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.check {
        check(&arguments)
    } else if arguments.make_key {
        app::make_key(&arguments.config).map(|path| made(&path)).map_err(|error| error.to_string())
    } else if let Some(role) = &arguments.migrate {
        let file = arguments.password_file.as_deref();
        app::migrate(&arguments.config, role, file)
            .map(|place| format!("{place}: its schema is that of this otpd\n"))
            .map_err(|error| error.to_string())
    } else if arguments.make_next_key {
        let made = app::make_next_key(&arguments.config);
        made.map(|path| made_next(&path)).map_err(|error| error.to_string())
    } else {
        app::run(&arguments.config).map(|()| String::new()).map_err(|error| error.to_string())
    };
    match result {
        // A reader that has gone away wants no more output.
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        },
        Err(text) => {
            let _ = writeln!(std::io::stderr(), "otpd: {text}");
            ExitCode::from(2)
        }
    }
}

fn made(path: &std::path::Path) -> String {
    let path = path.display();
    format!(
        "{path}: made. Keep a copy of it where the database is not.\n\
         otpd.service hands /etc/otpd/otpd.key to the daemon. Elsewhere, or without that unit, otpd\n\
         must be able to read it itself: chown it to otpd's user. A daemon that runs already takes it\n\
         with its next start: systemctl restart otpd\n"
    )
}

fn made_next(path: &std::path::Path) -> String {
    let path = path.display();
    format!(
        "{path}: made. Keep a copy of it where the database is not, and copy it to every host that\n\
         shares the database. otpd.service hands /etc/otpd/otpd.key.next to the daemon with its next\n\
         start: systemctl restart otpd. Once otpctl status --json shows it as next_key of every host:\n\
         otpctl key rotate\n"
    )
}

fn check(arguments: &Arguments) -> Result<String, String> {
    let warnings = app::check(&arguments.config).map_err(|error| error.to_string())?;
    let warnings = warnings.into_iter().map(|warning| format!("warning: {warning}\n"));
    let file = arguments.config.display();
    Ok(warnings.chain([format!("{file}: nothing is wrong\n")]).collect())
}

#[cfg(test)]
mod tests {
    // With the engine that the crate is fuzzed by: cargo builds this program beside that of the target.
    use bolero as _;
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_manual_page_has_every_option() {
        let page = include_str!("../../packaging/man/otpd.8");
        let mut command = Arguments::command();
        command.build();
        for argument in command.get_arguments() {
            let long = argument.get_long().unwrap_or_default().replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{long}")), "{long}");
        }
    }
}
