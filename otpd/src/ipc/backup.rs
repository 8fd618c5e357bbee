//! `Admin.Backup` and `Restore`, `Export` and `Import`: all that is stored, out and back, for root alone.

use std::sync::Arc;

use otp_proto::{
    admin::{self as wire, AdminError},
    envelope::Call,
    service::ServiceError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    connection::{Connection, Done, Over},
    permit::{Right, Target},
    wire::Fault,
};
use crate::{
    backup::{Header, Tally, name},
    domain::restore::{Fate, Off, Restored},
    store::Unreadable,
    verifier::{Backup, BackupError, ImportError, RestoreError, RestoreProgress, Verifier},
};

/// Longest text of a reply, bytes: with what stands around it, it fits a frame.
const PIECE: usize = 8192;

/// The seat of who has a backup made: each holds up the end of the database's log.
#[derive(Clone)]
pub(super) struct Seat(Arc<Semaphore>);

impl Default for Seat {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// What is known at the end of a backup.
struct End {
    /// All that is in it.
    tally: wire::Tally,
    /// What is not.
    unreadable: Unreadable,
}

impl Connection {
    /// `Backup`: in pieces, each of which the peer has to take in time.
    pub(super) async fn backup(&mut self, call: &Call<'_>) -> Done {
        let Some(request) = self.parameters::<wire::Backup>(call.parameters).await? else {
            return Ok(());
        };
        let (verifier, seat) = match self.seated(call.more).await {
            Ok(seated) => seated,
            Err(fault) => return self.fault(fault).await,
        };
        let backup = match verifier.backup(request.log, self.peer.uid).await {
            Ok(backup) => backup,
            Err(error) => return self.fault(error.into()).await,
        };
        let piece = |text, (users, of), end: Option<End>| {
            let Unreadable { accounts: damaged, first: damaged_users, sums: damaged_limits } =
                end.map(|end| end.unreadable).unwrap_or_default();
            wire::BackupPiece { text, users, of, damaged, damaged_users, damaged_limits }
        };
        self.hand_out(backup, seat, piece).await
    }

    /// `Export`: likewise, and at its end what was in it.
    pub(super) async fn export(&mut self, call: &Call<'_>) -> Done {
        let Some(request) = self.parameters::<wire::Export>(call.parameters).await? else {
            return Ok(());
        };
        let (verifier, seat) = match self.seated(call.more).await {
            Ok(seated) => seated,
            Err(fault) => return self.fault(fault).await,
        };
        let backup = match verifier.export(request.r#final, self.peer.uid).await {
            Ok(backup) => backup,
            Err(error) => return self.fault(error.into()).await,
        };
        let piece = |text, (users, of), end: Option<End>| {
            let tally = end.map(|end| end.tally);
            wire::ExportPiece { text, users, of, tally }
        };
        self.hand_out(backup, seat, piece).await
    }

    /// Hands out all of it; `piece` makes a reply of a text, of how many users there were and are,
    /// and of what is known at its end.
    async fn hand_out<P: serde::Serialize + Send + Sync>(
        &mut self,
        mut backup: Backup,
        seat: OwnedSemaphorePermit,
        piece: impl Fn(String, (u64, u64), Option<End>) -> P,
    ) -> Done {
        let mut seat = Some(seat);
        loop {
            // The trail holds nothing up, however long it is and however slowly it is taken.
            seat = seat.filter(|_| backup.holds_snapshot());
            let next = tokio::select! {
                biased;
                () = self.common.stop.requested() => return Err(Over::Rules("the daemon ends")),
                next = backup.next() => next,
            };
            let line = match next {
                Ok(line) => line,
                Err(error) => return self.fault(error.into()).await,
            };
            let (users, of) = backup.progress();
            let progress = (users, of.into());
            let Some(line) = line else {
                let (tally, together) = backup.tally();
                let tally = tallied(tally, together);
                let end = End { tally, unreadable: backup.unreadable().clone() };
                self.reply(&piece(String::new(), progress, Some(end)), false).await?;
                backup.handed_out();
                return Ok(());
            };
            let mut rest = line.as_str();
            while !rest.is_empty() {
                let (text, later) = rest.split_at(rest.floor_char_boundary(PIECE));
                self.reply(&piece(text.to_owned(), progress, None), true).await?;
                rest = later;
            }
        }
    }

    /// Who may have all handed out, and the seat for it.
    async fn seated(&mut self, more: bool) -> Result<(Arc<Verifier>, OwnedSemaphorePermit), Fault> {
        let verifier = self.verifier()?;
        if !self.may(&verifier, Right::Backup, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        if !more {
            return Err(Fault::Service(ServiceError::ExpectedMore {}));
        }
        let seat = Arc::clone(&self.common.backups.0).try_acquire_owned().map_err(|_| {
            let reason = "another backup is being made; run this again when it is done".to_owned();
            AdminError::Refused { reason }
        })?;
        Ok((verifier, seat))
    }

    /// `Restore`: the pieces of one backup, one call after the other. After its end, and after an
    /// error, the next one begins anew.
    pub(super) async fn restore(
        &mut self,
        verifier: &Verifier,
        request: wire::Restore,
    ) -> Result<wire::RestoredPiece, Fault> {
        if !self.may(verifier, Right::Backup, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        let wire::Restore { text, dry_run } = request;
        is_piece(&text)?;
        let begin = || Box::new(verifier.begin_restore(dry_run, self.peer.uid));
        let mut restore = self.restore.take().unwrap_or_else(begin);
        if restore.dry_run != dry_run {
            let parameter = "dry_run".to_owned();
            return Err(Fault::Service(ServiceError::InvalidParameter { parameter }));
        }
        let progress = verifier.restore(&mut restore, &text).await?;
        // Whatever comes behind the end is judged by the one that has ended.
        self.restore = Some(restore);
        Ok(told(progress))
    }

    /// `Import`: the pieces of one export, as those of a backup.
    pub(super) async fn import(
        &mut self,
        verifier: &Verifier,
        request: wire::Import,
    ) -> Result<wire::ImportedPiece, Fault> {
        if !self.may(verifier, Right::Backup, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        let wire::Import { text, dry_run } = request;
        is_piece(&text)?;
        let begin = || Box::new(verifier.begin_import(dry_run, self.peer.uid));
        let mut import = self.import.take().unwrap_or_else(begin);
        if import.dry_run != dry_run {
            let parameter = "dry_run".to_owned();
            return Err(Fault::Service(ServiceError::InvalidParameter { parameter }));
        }
        let progress = verifier.import(&mut import, &text).await?;
        self.import = Some(import);
        let tally = progress.whole.map(|(tally, together)| tallied(&tally, together));
        Ok(wire::ImportedPiece {
            export: progress.header.map(seen),
            known: progress.known,
            users: progress.accounts.into(),
            complete: tally.is_some(),
            tally,
        })
    }
}

/// Whether a text is a piece of a line, with its end or without.
fn is_piece(text: &str) -> Result<(), Fault> {
    let before_end = text.strip_suffix('\n').unwrap_or(text);
    if text.len() > wire::Restore::LONGEST || before_end.contains('\n') {
        let parameter = "text".to_owned();
        return Err(Fault::Service(ServiceError::InvalidParameter { parameter }));
    }
    Ok(())
}

fn tallied(tally: &Tally, together: u64) -> wire::Tally {
    wire::Tally {
        users: tally.users.count,
        numbers: tally.numbers,
        recovery_codes: tally.recovery_codes,
        bypasses: tally.bypasses,
        users_checksum: tally.users.checksum(),
        limits: tally.limits.count,
        limits_checksum: tally.limits.checksum(),
        together,
        events: tally.events.count,
        events_checksum: tally.events.checksum(),
    }
}

fn told(progress: RestoreProgress) -> wire::RestoredPiece {
    let names = |wanted: fn(&Restored) -> bool| {
        let found = progress.changes.iter().filter(|(_, done)| wanted(done));
        found.map(|(account, _)| account.as_str().to_owned()).collect()
    };
    let changed = progress.changes.iter().filter(|(_, done)| done.changed).count();
    wire::RestoredPiece {
        backup: progress.header.map(seen),
        users: progress.accounts.into(),
        changed: u64::try_from(changed).unwrap_or(u64::MAX),
        enrolled: names(|done| done.number == Fate::Restored),
        disabled: names(|done| done.off == Off::Now),
        still_disabled: names(|done| done.off == Off::Still),
        without_codes: names(|done| done.codes_lost),
        left_removed: names(|done| done.number == Fate::LeftRemoved),
        damaged: progress.damaged.iter().map(|account| account.as_str().to_owned()).collect(),
        events: progress.events.into(),
        complete: progress.complete,
    }
}

fn seen(header: Header) -> wire::BackupSeen {
    wire::BackupSeen {
        id: name(header.backup),
        taken_at: header.taken_at.0,
        host: header.host,
        version: header.version,
        users: header.enrolled.into(),
    }
}

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Slow
            | BackupError::Incomplete(_)
            | BackupError::Importing
            | BackupError::Unwritten => AdminError::Refused { reason: error.to_string() }.into(),
        }
    }
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Restore(error) => error.into(),
            error => AdminError::Refused { reason: error.to_string() }.into(),
        }
    }
}

impl From<RestoreError> for Fault {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Store(error) => error.into(),
            RestoreError::Format(error) => AdminError::Refused { reason: error.to_string() }.into(),
        }
    }
}
