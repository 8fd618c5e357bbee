//! `otpctl restore`: a backup is merged into what is stored.
//!
//! The file is read twice: by a first run that changes nothing, so that all of it is known to be good
//! and what it would change can be said, and by the one that does it. The daemon judges every line
//! in both; the second takes the backup that the first has seen, or stops before it changes anything.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek},
    os::unix::fs::OpenOptionsExt,
};

use otp_proto::{Client, admin, client::Deadline};

use super::{Outcome, backup::root_only, progress::Progress};
use crate::{
    cli,
    failure::Failure,
    render::{backups, io_reason, json, word},
    session::{ANSWER_DEADLINE, Session},
    terminal,
};

/// Longest piece of a line that is sent at once.
const PIECE: u64 = admin::Restore::LONGEST as u64;

/// Restores, once that is wanted for sure.
pub(crate) fn run(session: &Session, arguments: &cli::Restore) -> Result<Outcome, Failure> {
    let mut backup = Backup::open(session, arguments)?;
    let found = backup.pass(None)?;
    if arguments.dry_run {
        return Ok(Outcome::either(session, &found, || backups::would(&found)));
    }
    if !arguments.yes {
        terminal::say(&backups::would(&found))?;
    }
    let command = format!("otpctl restore {}", word(&backup.name));
    terminal::confirm(arguments.yes, "Restore it?", &command)?;
    let done = backup.pass(Some(&found))?;
    Ok(Outcome::either(session, &done, || backups::restored(&done)))
}

/// The file that is restored. It stays open from the first run to the second: another one may take its
/// name while the question is answered.
struct Backup<'a> {
    session: &'a Session,
    name: String,
    file: File,
    size: u64,
}

impl<'a> Backup<'a> {
    fn open(session: &'a Session, arguments: &cli::Restore) -> Result<Self, Failure> {
        let name = arguments.file.display().to_string();
        let failed = |error: io::Error| unread(&name, &error);
        // A pipe without a writer would wait for one for ever.
        let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let options = OpenOptions::new().read(true).custom_flags(at_once).open(&arguments.file);
        let file = options.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Failure::Usage(format!(
                "{name} is no file, and a backup is read twice: once to check it; store it as one first"
            )));
        }
        Ok(Self { session, name, file, size: metadata.len() })
    }

    /// Sends all of it; what came of it. Changes nothing when there is nothing that was `found` before.
    fn pass(&mut self, found: Option<&json::Restored>) -> Result<json::Restored, Failure> {
        self.file.rewind().map_err(|error| unread(&self.name, &error))?;
        let mut file = BufReader::new(&self.file);
        let mut client = self.session.connect(Deadline::after(ANSWER_DEADLINE))?;
        let progress = Progress::new(Some(self.size));
        let mut restored = json::Restored { dry_run: found.is_none(), ..json::Restored::default() };
        let result = self.send(&mut file, &mut client, &progress, found, &mut restored);
        progress.finish();
        if result.is_err() && restored.backup.is_some() && found.is_some() {
            terminal::say(&format!(
                "It stopped after {} of {} users. What was restored stays so; the same can be run \
                 again, which does no harm: otpctl restore {}\n",
                restored.users,
                found.map_or(0, |found| found.users),
                word(&self.name)
            ))?;
        }
        result.map(|()| restored)
    }

    fn send(
        &self,
        file: &mut impl BufRead,
        client: &mut Client,
        progress: &Progress,
        found: Option<&json::Restored>,
        restored: &mut json::Restored,
    ) -> Result<(), Failure> {
        let (mut read, mut complete) = (0, false);
        loop {
            let mut piece = Vec::new();
            file.take(PIECE)
                .read_until(b'\n', &mut piece)
                .map_err(|error| unread(&self.name, &error))?;
            if piece.is_empty() {
                break;
            }
            read += piece.len() as u64;
            let text = String::from_utf8(piece).map_err(|_| {
                let what = "this is not a backup of otpd, or a damaged one; restore another copy";
                Failure::Host(format!("{}: {what}", self.name))
            })?;
            let request = admin::Restore { text, dry_run: restored.dry_run };
            let reply = client.call(&request, Deadline::after(ANSWER_DEADLINE));
            let reply = reply.map_err(|error| self.stopped(error.into()))?;
            complete = reply.complete;
            let same = found.is_none_or(|found| {
                let (seen, before) = (reply.backup.as_ref(), found.backup.as_ref());
                seen.is_none_or(|seen| before.is_some_and(|before| before.id == seen.id))
            });
            // Only its first line was read, which changes nothing.
            if !same {
                let what = "another backup is in the file than was checked; nothing was changed by it: \
                            run the same again";
                return Err(Failure::Host(format!("{}: {what}", self.name)));
            }
            add(restored, reply);
            progress.at(read, || format!("{} users", restored.users));
        }
        if complete {
            return Ok(());
        }
        Err(Failure::Host(format!(
            "{}: the backup is cut off; restore another copy of it, or an earlier backup",
            self.name
        )))
    }

    fn stopped(&self, failure: Failure) -> Failure {
        match root_only(failure) {
            Failure::Admin(admin::AdminError::Refused { reason }) => {
                Failure::Host(format!("{}: {reason}", self.name))
            }
            other => other,
        }
    }
}

fn unread(name: &str, error: &io::Error) -> Failure {
    Failure::Host(format!("cannot read {name}: {}; check the name", io_reason(error)))
}

fn add(restored: &mut json::Restored, reply: admin::RestoredPiece) {
    if let Some(seen) = reply.backup {
        restored.backup = Some(json::BackupSeen::new(seen));
    }
    restored.users += reply.users;
    restored.changed += reply.changed;
    restored.events += reply.events;
    restored.enrolled.extend(reply.enrolled);
    restored.disabled.extend(reply.disabled);
    restored.left_removed.extend(reply.left_removed);
}
