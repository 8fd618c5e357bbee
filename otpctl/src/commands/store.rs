//! `otpctl store`: all of a store goes to another one.
//!
//! An export is a backup that is whole, and that goes into an empty store alone. Both sides say what
//! they had, so that people see that it is the same.

use std::{io, path::Path, time::Duration};

use otp_proto::{Client, admin};

use super::{
    Outcome,
    backup::{Draft, root_only, sync, unwritten},
    pieces::{Pieces, Sent},
    progress::Progress,
};
use crate::{
    cli,
    failure::Failure,
    render::{backups, error::Asked, json, word},
    session::{ANSWER_DEADLINE, Session},
    terminal,
};

/// How long the daemon may take to read all of it back.
const READ_BACK: Duration = Duration::from_mins(15);

/// What is to be known where all was handed out for good, and is not in the file.
const SHUT: &str = "so there is no export, and nobody is let in by this otpd any more all the same: run it again, \
     or let it go on with its store: systemctl restart otpd";
/// The same where nobody knows whether all was handed out: the daemon may have been ahead.
const PERHAPS_SHUT: &str = "so there is no export, and it may be that nobody is let in by this otpd any more all the same \
     (otpctl status says so): run it again, or let it go on with its store: systemctl restart otpd";

/// Moves a store out or in.
pub(crate) fn run(session: &Session, arguments: &cli::Store) -> Result<Outcome, Failure> {
    match &arguments.action {
        cli::StoreAction::Export(export) => self::export(session, export),
        cli::StoreAction::Import(import) => self::import(session, import),
    }
}

fn export(session: &Session, arguments: &cli::Export) -> Result<Outcome, Failure> {
    let name = arguments.file.display().to_string();
    let last = if arguments.r#final { "--final " } else { "" };
    let command = format!("otpctl store export {} {last}", word(&name));
    let why = |error: io::Error| unwritten(&arguments.file, &command, "", &error);
    let failed = |error| Failure::Host(why(error));
    let mut draft = Draft::begin(&arguments.file, arguments.force).map_err(failed)?;
    if arguments.r#final {
        let question = "Nobody is let in by this otpd from then on. Export it for good?";
        terminal::confirm(arguments.yes, question, command.trim_end())?;
    }
    let mut progress = None;
    let (mut tally, mut whole) = (None, false);
    let each = |piece: admin::ExportPiece| {
        whole = piece.text.is_empty();
        tally = piece.tally;
        let bar = progress.get_or_insert_with(|| Progress::new(Some(piece.of)));
        bar.at(piece.users.min(piece.of), || format!("{} users", piece.users));
        io::Write::write_all(&mut draft.0, piece.text.as_bytes()).map_err(failed)
    };
    let done = session.stream(&admin::Export { r#final: arguments.r#final }, ANSWER_DEADLINE, each);
    if let Some(progress) = &progress {
        progress.finish();
    }
    let tally = done.and_then(|()| {
        let without_end = || Failure::Malformed("an export without an end".to_owned());
        tally.filter(|_| whole).ok_or_else(without_end)
    });
    let tally = match tally {
        Ok(tally) => tally,
        Err(failure) if arguments.r#final && is_unsure(&failure) => {
            return Ok(perhaps_shut(session, &failure));
        }
        Err(failure) => return Err(root_only(failure)),
    };
    let bytes = keep(draft, arguments, why, sync)?;
    let value = json::Exported { file: &name, bytes, r#final: arguments.r#final, tally: &tally };
    Ok(Outcome::either(session, &value, || backups::exported(&value)))
}

/// Whether the daemon may have handed out all, whatever came of it here. Where it says no itself it has not.
fn is_unsure(failure: &Failure) -> bool {
    match failure {
        Failure::Connect(_) | Failure::Admin(_) | Failure::Service(_) | Failure::Unknown(_) => {
            false
        }
        Failure::Usage(_)
        | Failure::Input(_)
        | Failure::Output(_)
        | Failure::Declined
        | Failure::Row(_)
        | Failure::RootOnly
        | Failure::List(..)
        | Failure::Host(_)
        | Failure::Lost(_)
        | Failure::Malformed(_) => true,
    }
}

/// What is said of a last export that broke off.
fn perhaps_shut(session: &Session, failure: &Failure) -> Outcome {
    let asked = Asked { socket: &session.socket, user: None, changes: true, zone: &session.zone };
    let stderr = format!("{}; {PERHAPS_SHUT}", asked.text(failure));
    Outcome { stdout: String::new(), stderr, exit: failure.exit() }
}

/// Gives an export its name; `why` words what kept it from that. There is none then, and where it was the
/// last one that is said.
fn keep(
    draft: Draft,
    arguments: &cli::Export,
    why: impl Fn(io::Error) -> String,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> Result<u64, Failure> {
    let unnamed = |error| {
        let why = why(error);
        Failure::Host(if arguments.r#final { format!("{why}; {SHUT}") } else { why })
    };
    draft.keep_by(&arguments.file, arguments.force, &unnamed, sync)
}

fn import(session: &Session, arguments: &cli::Import) -> Result<Outcome, Failure> {
    let mut export = Pieces::open(session, &arguments.file, READ_BACK)?;
    // Nobody is let in for as long as this connection stands, and then because of the import.
    let (found, _checked) = pass(&mut export, None)?;
    if !found.known {
        if !arguments.yes {
            terminal::say(&backups::would_import(&found))?;
        }
        let command = format!("otpctl store import {}", word(&export.name));
        terminal::confirm(arguments.yes, "Import it?", &command)?;
        let (done, _) = pass(&mut export, Some(&found))?;
        return Ok(Outcome::either(session, &done, || backups::imported(&done)));
    }
    Ok(Outcome::either(session, &found, || backups::imported(&found)))
}

/// Sends all of it; what came of it. Changes nothing when there is nothing that was `found` before.
fn pass(
    export: &mut Pieces<'_>,
    found: Option<&json::Moved>,
) -> Result<(json::Moved, Client), Failure> {
    let dry_run = found.is_none();
    let (mut imported, mut users) = (json::Moved::default(), 0);
    let take = |reply: admin::ImportedPiece| {
        if let Some(seen) = reply.export {
            imported.export = Some(json::BackupSeen::new(seen));
            imported.known = reply.known;
        }
        users += reply.users;
        if let Some(tally) = reply.tally {
            imported.tally = tally;
        }
        Ok(Sent { complete: reply.complete, users })
    };
    let result = export.send(|text| admin::Import { text, dry_run }, take);
    if result.is_err() && imported.export.is_some() && found.is_some() {
        terminal::say(&format!(
            "It is not whole, and nobody is let in before it is; run the same again: otpctl store \
             import {}\n",
            word(&export.name)
        ))?;
    }
    result.map(|client| (imported, client))
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::{Draft, Failure, SHUT, cli, keep};

    #[test]
    fn an_export_that_is_there_is_not_said_to_be_none() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("all.export");
        let arguments = cli::Export { file, r#final: true, force: false, yes: true };
        let said = || {
            let draft = Draft::begin(&arguments.file, true).expect("a draft");
            let fails = |_: &Path| Err(io::Error::from(io::ErrorKind::StorageFull));
            match keep(draft, &arguments, |error| error.to_string(), fails) {
                Err(Failure::Host(why)) => why,
                other => panic!("it is not said: {other:?}"),
            }
        };
        let there = said();
        assert!(there.contains("is there and whole") && !there.contains(SHUT), "{there}");
        // Its name is taken now.
        let none = said();
        assert!(none.ends_with(SHUT), "{none}");
    }
}
