//! A file of the daemon's, sent back to it line by line, more than once.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use otp_proto::{Client, Method, admin, client::Deadline};

use super::{backup::root_only, progress::Progress};
use crate::{failure::Failure, render::io_reason, session::Session};

/// Longest piece of a line that is sent at once.
const PIECE: u64 = admin::Restore::LONGEST as u64;

/// The file. It stays open from the first run to the second: another one may take its name while a
/// question is answered.
pub(super) struct Pieces<'a> {
    session: &'a Session,
    pub(super) name: String,
    file: File,
    size: u64,
    patience: Duration,
    /// What it began with when it was sent before: the name of the backup is in it.
    begin: Option<Vec<u8>>,
}

/// What came of a piece.
pub(super) struct Sent {
    /// It was the end.
    pub(super) complete: bool,
    /// Accounts so far.
    pub(super) users: u64,
}

impl<'a> Pieces<'a> {
    /// `patience`: how long the daemon may take over one of them.
    pub(super) fn open(
        session: &'a Session,
        path: &Path,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| unread(&name, &error);
        // A pipe without a writer would wait for one for ever.
        let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let options = OpenOptions::new().read(true).custom_flags(at_once).open(path);
        let file = options.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Failure::Usage(format!(
                "{name} is no file, and a backup is read twice: once to check it; store it as one first"
            )));
        }
        Ok(Self { session, name, file, size: metadata.len(), patience, begin: None })
    }

    /// Sends all of it; `take` is handed every reply. The connection, over which the daemon may hold on
    /// to what it took. A second time nothing is sent of another backup.
    pub(super) fn send<M: Method>(
        &mut self,
        request: impl Fn(String) -> M,
        take: impl FnMut(M::Reply) -> Result<Sent, Failure>,
    ) -> Result<Client, Failure> {
        let progress = Progress::new(Some(self.size));
        let sent = self.send_with(&progress, request, take);
        progress.finish();
        sent
    }

    fn send_with<M: Method>(
        &mut self,
        progress: &Progress,
        request: impl Fn(String) -> M,
        mut take: impl FnMut(M::Reply) -> Result<Sent, Failure>,
    ) -> Result<Client, Failure> {
        (&self.file).rewind().map_err(|error| unread(&self.name, &error))?;
        let mut file = BufReader::new(&self.file);
        let mut client = self.session.connect(Deadline::after(self.patience))?;
        let (mut read, mut complete) = (0, false);
        loop {
            let mut piece = Vec::new();
            (&mut file)
                .take(PIECE)
                .read_until(b'\n', &mut piece)
                .map_err(|error| unread(&self.name, &error))?;
            if piece.is_empty() {
                break;
            }
            if read == 0 && *self.begin.get_or_insert_with(|| piece.clone()) != piece {
                let what = "another backup is in the file than was checked; nothing was changed by it: \
                            run the same again";
                return Err(Failure::Host(format!("{}: {what}", self.name)));
            }
            read += piece.len() as u64;
            let text = String::from_utf8(piece).map_err(|_| {
                let what = "this is not a backup of otpd, or a damaged one; restore another copy";
                Failure::Host(format!("{}: {what}", self.name))
            })?;
            let reply = client.call(&request(text), Deadline::after(self.patience));
            let sent = take(reply.map_err(|error| self.stopped(error.into()))?)?;
            complete = sent.complete;
            progress.at(read, || format!("{} users", sent.users));
        }
        if complete {
            return Ok(client);
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
