//! One connection's work on a list.

use std::{
    io::{BufReader, Read},
    sync::{Mutex, PoisonError, mpsc::SyncSender},
};

use otp_proto::{
    Client, Method,
    admin::{self, AdminError, DeliveryStatus, State},
    client::Deadline,
    service::ServiceError,
};

use super::{
    Import,
    rows::{Entry, Rows},
};
use crate::{
    failure::Failure,
    session::{ANSWER_DEADLINE, Session},
};

/// The rows that all workers share.
type Shared = Mutex<Rows<BufReader<Box<dyn Read + Send>>>>;

/// What became of a row.
pub(super) struct Done {
    /// Its line in the list.
    pub(super) row: u64,
    /// Whose it is.
    pub(super) user: Option<String>,
    /// How it went.
    pub(super) result: Result<Entered, Failure>,
    /// Bytes of the list up to its end.
    pub(super) read: u64,
}

/// A row that was done.
pub(super) struct Entered {
    /// The number was there before.
    pub(super) unchanged: bool,
    /// A code was sent now.
    pub(super) sent: bool,
}

/// Takes rows until there are none.
pub(super) struct Worker<'a> {
    session: &'a Session,
    import: &'a Import,
    rows: &'a Shared,
    report: SyncSender<Done>,
    client: Option<Client>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        session: &'a Session,
        import: &'a Import,
        rows: &'a Shared,
        report: SyncSender<Done>,
    ) -> Self {
        Self { session, import, rows, report, client: None }
    }

    pub(super) fn run(mut self) {
        loop {
            let next = self.rows.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(row) = next else { return };
            let (user, result) = match row.content {
                Ok(entry) => {
                    let result = self.enter_surely(&entry);
                    (Some(entry.user), result)
                }
                Err(faulty) => (faulty.user, Err(Failure::Row(faulty.why))),
            };
            if result.as_ref().is_err_and(super::is_the_end) {
                self.rows.lock().unwrap_or_else(PoisonError::into_inner).stop();
            }
            let done = Done { row: row.number, user, result, read: row.read };
            if self.report.send(done).is_err() {
                return;
            }
        }
    }

    /// Enters a row, once more where the connection was lost: the daemon drops one that waits for
    /// rows too long. To ask twice does nothing twice.
    fn enter_surely(&mut self, entry: &Entry) -> Result<Entered, Failure> {
        match self.enter(entry) {
            Err(Failure::Lost(_)) => {
                self.client = None;
                self.enter(entry)
            }
            result => result,
        }
    }

    fn enter(&mut self, entry: &Entry) -> Result<Entered, Failure> {
        let registered = self.call(&admin::Register {
            user: entry.user.clone(),
            phone: entry.phone.clone(),
            channel: entry.channel.or(self.import.channel),
            replace: self.import.replace,
        })?;
        let waits = registered.subscriber.state == State::Pending;
        let sent = self.import.send && waits && registered.proof_sent_at.is_none();
        let sent = sent && self.send(&entry.user)?;
        Ok(Entered { unchanged: registered.unchanged, sent })
    }

    /// Has the code sent; false when somebody else just did.
    fn send(&mut self, user: &str) -> Result<bool, Failure> {
        let resend = admin::Resend { user: user.to_owned(), voice: false };
        let delivery = match self.call(&resend) {
            Ok(admin::Resent { delivery }) => delivery,
            Err(Failure::Admin(AdminError::TooSoon { .. })) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        match delivery.status {
            DeliveryStatus::Accepted | DeliveryStatus::Sending => Ok(true),
            DeliveryStatus::Failed => {
                let why = delivery.reason.unwrap_or_else(|| "see journalctl -u otpd".into());
                let why = format!(
                    "is registered, but the code could not be sent: {why}; once that is mended \
                     run the same again"
                );
                Err(Failure::Row(why))
            }
        }
    }

    fn call<M: Method>(&mut self, method: &M) -> Result<M::Reply, Failure> {
        let deadline = Deadline::after(ANSWER_DEADLINE);
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(self.session.connect(deadline)?),
        };
        client.call(method, deadline).map_err(Failure::from)
    }
}

/// True for errors that say something about the caller or the daemon, and nothing about a row.
pub(super) fn fits_no_row(error: &ServiceError) -> bool {
    match error {
        // Root's accounts are not for the admin group; the next row may be.
        ServiceError::PermissionDenied {} | ServiceError::InvalidParameter { .. } => false,
        ServiceError::InterfaceNotFound { .. }
        | ServiceError::MethodNotFound { .. }
        | ServiceError::MethodNotImplemented { .. }
        | ServiceError::ExpectedMore {} => true,
    }
}
