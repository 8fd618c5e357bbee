//! `otpctl log --follow`: what is decided from now on, also after a restart of the daemon.

use std::{io::Write, time::Duration};

use otp_proto::{
    admin::{self, AdminError},
    client::Deadline,
};

use super::Printer;
use crate::{
    failure::Failure,
    render::error,
    session::{ANSWER_DEADLINE, Session},
};

/// Events that it begins with, where nothing says how many.
const BEFORE: u32 = 10;
/// How long a quiet host may be followed: longer than any host runs.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 50);
/// How long a daemon may be away: an upgrade of the package, or a restart after a crash, takes
/// seconds. Whoever stopped it for longer is told, and a unit that runs this is started again.
const AWAY: Duration = Duration::from_mins(1);
/// The first wait for a daemon that is away; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<W: Write> Printer<'_, W> {
    pub(super) fn follow(
        &mut self,
        user: Option<String>,
        since: Option<i64>,
        limit: Option<u32>,
    ) -> Result<(), Failure> {
        // Where the trail ends now: what is printed first ends there or later, and what is followed
        // begins where that ended, so nothing is missed and nothing comes twice.
        let end = newest(self.session)?;
        let limit = limit.or(if since.is_none() { Some(BEFORE) } else { None });
        let log = admin::Log { user: user.clone(), since, request: None, limit };
        let last = self.print(&log)?;
        let after = last.map_or(end, |last| last.max(end));
        let mut watch = admin::Watch { user, after: Some(after) };
        loop {
            let failure = match self.watch(&mut watch) {
                Err(failure) if passes(&failure) => failure,
                ended => return ended,
            };
            crate::complain(&error::away(&failure, AWAY));
            let end = await_daemon(self.session, AWAY)?;
            // Ids only grow, unless an older copy of the store was put in place: they begin again
            // below the last one then, and would be waited for in vain.
            watch.after = watch.after.map(|after| after.min(end));
            crate::complain(error::BACK);
        }
    }

    /// Prints what comes; `watch` then says from where to go on.
    fn watch(&mut self, watch: &mut admin::Watch) -> Result<(), Failure> {
        let session = self.session;
        session.stream(&watch.clone(), FOR_EVER, |reply: admin::Watched| {
            self.line(&reply.record)?;
            watch.after = Some(reply.record.id);
            self.output.flush().map_err(Failure::Output)
        })
    }
}

/// The id of the last event that there is; 0 when there is none.
fn newest(session: &Session) -> Result<i64, Failure> {
    let mut end = 0;
    let newest = admin::Log { limit: Some(1), ..admin::Log::default() };
    session.stream(&newest, ANSWER_DEADLINE, |reply: admin::Logged| {
        end = reply.record.map_or(end, |record| record.id);
        Ok(())
    })?;
    Ok(end)
}

/// Waits for a daemon that answers, for `patience` and one answer more; the id of its last event.
///
/// A connection alone would prove nothing: under socket activation systemd takes it.
#[expect(clippy::disallowed_methods, reason = "nothing tells when a daemon is back")]
fn await_daemon(session: &Session, patience: Duration) -> Result<i64, Failure> {
    let patience = Deadline::after(patience);
    let mut pause = FIRST_PAUSE;
    loop {
        let failure = match newest(session) {
            Err(failure) if passes(&failure) => failure,
            answered => return answered,
        };
        let Ok(left) = patience.left() else { return Err(failure) };
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether it is over once the daemon has restarted, or its store has recovered.
fn passes(failure: &Failure) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, TimedOut};
    match failure {
        Failure::Connect(error) => {
            matches!(error.kind(), NotFound | ConnectionRefused | TimedOut)
        }
        Failure::Lost(_) => true,
        Failure::Admin(error) => matches!(error, AdminError::Unavailable { .. }),
        Failure::Usage(_)
        | Failure::Input(_)
        | Failure::Output(_)
        | Failure::Declined
        | Failure::Row(_)
        | Failure::Host(_)
        | Failure::RootOnly
        | Failure::List(..)
        | Failure::Malformed(_)
        | Failure::Service(_)
        | Failure::Unknown(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf, time::Duration};

    use jiff::tz::TimeZone;

    use super::await_daemon;
    use crate::{Exit, session::Session};

    #[test]
    fn a_daemon_that_stays_away_is_given_up() {
        let folder = tempfile::tempdir().expect("directory");
        let socket: PathBuf = folder.path().join("otpd.sock");
        let session = Session { socket, json: false, zone: TimeZone::UTC, width: None };
        for patience in [Duration::ZERO, Duration::from_millis(150)] {
            let failure = await_daemon(&session, patience).expect_err("nobody is there");
            assert_eq!(failure.exit(), Exit::Unreachable);
            let connect = matches!(&failure, crate::failure::Failure::Connect(error)
                if error.kind() == io::ErrorKind::NotFound);
            assert!(connect, "what is said is why: {failure:?}");
        }
    }
}
