//! `otpctl enroll --from`: a list of users is registered, and sent to when that is wanted.
//!
//! The daemon works through one request of a connection after another, but puts those of several
//! into one transaction; so the list is worked through by several connections. Rows are read as they
//! are needed, and what is printed is decided here, in one place, as the rows come back.

mod rows;
mod worker;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Mutex, PoisonError, mpsc},
};

use otp_proto::admin::Channel;

use super::{Outcome, progress::Progress};
use crate::{
    Exit, complain,
    failure::Failure,
    render::{error::Asked, json, numbers, visible, word},
    session::Session,
    terminal,
};
use rows::Rows;
use worker::{Done, Entered, Worker};

/// Connections of root, which has 256 for itself. The daemon asks for accounts one after another
/// and lets 64 questions wait.
const ROOT_CONNECTIONS: usize = 32;
/// Connections of anybody else, who has 8: two are left for what is done beside.
const CONNECTIONS: usize = 6;

/// What is to be done with a list.
pub(crate) struct Import {
    /// The list; `-` is standard input.
    pub(crate) path: PathBuf,
    /// Whether messages go out.
    pub(crate) send: bool,
    /// For rows that name no channel.
    pub(crate) channel: Option<Channel>,
    /// Whether numbers may take the place of others.
    pub(crate) replace: bool,
    /// Do not ask.
    pub(crate) yes: bool,
}

/// Works through the list. What fails is said row by row; the rest is done.
pub(crate) fn run(session: &Session, import: &Import) -> Result<Outcome, Failure> {
    let name = import.path.display().to_string();
    if import.replace {
        let question = format!("Give up numbers that are registered for those of {name}?");
        let send = if import.send { " --send" } else { "" };
        let command = format!("otpctl enroll --from {}{send} --replace", word(&name));
        terminal::confirm(import.yes, &question, &command)?;
    }
    let unreadable = |error| Failure::List(name.clone(), error);
    let (input, size) = open(&import.path).map_err(unreadable)?;
    let rows = Mutex::new(Rows::new(BufReader::new(input)));
    let progress = Progress::new(size);
    let mut imported = json::Imported { enrolled: 0, already: 0, failed: 0, sent: 0 };
    let mut stopped = None;
    std::thread::scope(|scope| {
        let (report, reports) = mpsc::sync_channel(CONNECTIONS);
        for _ in 0..connections() {
            let worker = Worker::new(session, import, &rows, report.clone());
            scope.spawn(move || worker.run());
        }
        drop(report);
        for Done { row, user, result, read } in reports {
            match result {
                Ok(Entered { unchanged, sent }) => {
                    *(if unchanged { &mut imported.already } else { &mut imported.enrolled }) += 1;
                    imported.sent += u64::from(sent);
                }
                // Several are under way when the daemon ends; the first one tells why.
                Err(failure) if is_the_end(&failure) => {
                    stopped.get_or_insert(failure);
                }
                Err(failure) => {
                    imported.failed += 1;
                    let line = line(session, row, user.as_deref(), &failure);
                    progress.aside(|| complain(&line));
                }
            }
            progress.at(read, || {
                let json::Imported { enrolled, already, failed, sent: _ } = &imported;
                format!("{} done, {failed} failed", enrolled + already)
            });
        }
    });
    progress.finish();
    if let Some(error) = rows.into_inner().unwrap_or_else(PoisonError::into_inner).failed() {
        stopped = Some(unreadable(error));
    }
    let mut outcome =
        Outcome::either(session, &imported, || numbers::imported(&imported, &name, import.send));
    if let Some(failure) = stopped {
        outcome.exit = failure.exit();
        let why = asked(session, None).text(&failure);
        outcome.stderr =
            format!("{why}; it stopped there, what is done stays done: run the same again then");
    } else if imported.failed > 0 {
        outcome.exit = Exit::Refused;
    }
    Ok(outcome)
}

/// The list, and its length in bytes where that is known.
fn open(path: &std::path::Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), size))
}

/// How many connections the daemon gives to whoever runs this.
fn connections() -> usize {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if root { ROOT_CONNECTIONS } else { CONNECTIONS }
}

/// True when no further row can do better.
fn is_the_end(failure: &Failure) -> bool {
    match failure {
        Failure::Output(_) | Failure::Connect(_) | Failure::Lost(_) | Failure::Malformed(_) => true,
        Failure::Service(error) => worker::fits_no_row(error),
        Failure::Usage(_)
        | Failure::Input(_)
        | Failure::Declined
        | Failure::Row(_)
        | Failure::Host(_)
        | Failure::RootOnly
        | Failure::List(..)
        | Failure::Admin(_)
        | Failure::Unknown(_) => false,
    }
}

fn asked<'a>(session: &'a Session, user: Option<&'a str>) -> Asked<'a> {
    Asked { socket: &session.socket, user, changes: true, zone: &session.zone }
}

/// `row 17, alice: why; remedy`.
fn line(session: &Session, row: u64, user: Option<&str>, failure: &Failure) -> String {
    let who = user.map(|user| format!(", {}", visible(user))).unwrap_or_default();
    let why = match failure {
        Failure::Admin(otp_proto::admin::AdminError::AlreadyEnrolled { .. }) => {
            "has another number already, or another channel; to take those of the list instead \
             add --replace"
                .into()
        }
        _ => asked(session, user).text(failure),
    };
    format!("row {row}{who}: {why}")
}
