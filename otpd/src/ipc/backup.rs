//! `Admin.Backup` and `Admin.Restore`: all that is stored, out and back, for root alone.

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
    backup::{Header, name},
    domain::restore::{Fate, Restored},
    verifier::{Backup, BackupError, RestoreError, RestoreProgress, Verifier},
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

impl Connection {
    /// `Backup`: in pieces, each of which the peer has to take in time.
    pub(super) async fn backup(&mut self, call: &Call<'_>) -> Done {
        let Some(request) = self.parameters(call.parameters).await? else { return Ok(()) };
        let (mut backup, seat) = match self.begin_backup(&request, call.more).await {
            Ok(begun) => begun,
            Err(fault) => return self.fault(fault).await,
        };
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
            let piece =
                |text: &str| wire::BackupPiece { text: text.to_owned(), users, of: of.into() };
            let Some(line) = line else { return self.reply(&piece(""), false).await };
            let mut rest = line.as_str();
            while !rest.is_empty() {
                let (text, later) = rest.split_at(rest.floor_char_boundary(PIECE));
                self.reply(&piece(text), true).await?;
                rest = later;
            }
        }
    }

    async fn begin_backup(
        &mut self,
        request: &wire::Backup,
        more: bool,
    ) -> Result<(Backup, OwnedSemaphorePermit), Fault> {
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
        Ok((verifier.backup(request.log, self.peer.uid).await?, seat))
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
        let before_end = text.strip_suffix('\n').unwrap_or(&text);
        if text.len() > wire::Restore::LONGEST || before_end.contains('\n') {
            let parameter = "text".to_owned();
            return Err(Fault::Service(ServiceError::InvalidParameter { parameter }));
        }
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
        disabled: names(|done| done.disabled),
        left_removed: names(|done| done.number == Fate::LeftRemoved),
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
            BackupError::Slow | BackupError::Unwritten => {
                AdminError::Refused { reason: error.to_string() }.into()
            }
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
