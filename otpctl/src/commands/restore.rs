//! `otpctl restore`: a backup is merged into what is stored.
//!
//! The file is read twice: by a first run that changes nothing, so that all of it is known to be good
//! and what it would change can be said, and by the one that does it. The daemon judges every line
//! in both; the second takes the backup that the first has seen, or stops before it changes anything.

use otp_proto::admin;

use super::{
    Outcome,
    pieces::{Pieces, Sent},
};
use crate::{
    Exit, cli,
    failure::Failure,
    render::{backups, json, word},
    session::{ANSWER_DEADLINE, Session},
    terminal,
};

/// Restores, once that is wanted for sure.
pub(crate) fn run(session: &Session, arguments: &cli::Restore) -> Result<Outcome, Failure> {
    let mut backup = Pieces::open(session, &arguments.file, ANSWER_DEADLINE)?;
    let found = pass(&mut backup, None)?;
    if arguments.dry_run {
        return Ok(left(Outcome::either(session, &found, || backups::would(&found)), &found));
    }
    if !arguments.yes {
        terminal::say(&backups::would(&found))?;
    }
    let command = format!("otpctl restore {}", word(&backup.name));
    terminal::confirm(arguments.yes, "Restore it?", &command)?;
    let done = pass(&mut backup, Some(&found))?;
    Ok(left(Outcome::either(session, &done, || backups::restored(&done)), &done))
}

/// It was done, but for those who are damaged.
fn left(outcome: Outcome, of: &json::Restored) -> Outcome {
    if of.damaged.is_empty() { outcome } else { Outcome { exit: Exit::Incomplete, ..outcome } }
}

/// Sends all of it; what came of it. Changes nothing when there is nothing that was `found` before.
fn pass(
    backup: &mut Pieces<'_>,
    found: Option<&json::Restored>,
) -> Result<json::Restored, Failure> {
    let dry_run = found.is_none();
    let mut restored = json::Restored { dry_run, ..json::Restored::default() };
    let take = |reply: admin::RestoredPiece| {
        let complete = reply.complete;
        add(&mut restored, reply);
        Ok(Sent { complete, users: restored.users })
    };
    let result = backup.send(|text| admin::Restore { text, dry_run }, take);
    if result.is_err() && restored.backup.is_some() && found.is_some() {
        terminal::say(&format!(
            "It stopped after {} of {} users. What was restored stays so; the same can be run \
             again, which does no harm: otpctl restore {}\n",
            restored.users,
            found.map_or(0, |found| found.users),
            word(&backup.name)
        ))?;
    }
    result.map(|_| restored)
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
    restored.still_disabled.extend(reply.still_disabled);
    restored.without_codes.extend(reply.without_codes);
    restored.left_removed.extend(reply.left_removed);
    restored.damaged.extend(reply.damaged);
}
