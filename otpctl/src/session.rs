//! One run's connection to the daemon and what its output depends on.

use std::{path::PathBuf, time::Duration};

use jiff::tz::TimeZone;
use otp_proto::{CallError, Client, Method, client::Deadline};

use crate::failure::Failure;

/// How long the daemon may take to answer.
///
/// Longer than the slowest honest answer: 2 s for the account database, 5 s for the store and 6 s
/// for a gateway to take the message.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// What every verb needs.
pub(crate) struct Session {
    /// Where the daemon listens.
    pub(crate) socket: PathBuf,
    /// Print JSON.
    pub(crate) json: bool,
    /// The zone in which people read times.
    pub(crate) zone: TimeZone,
    /// Columns that a table may take; none when it goes to a file or another program, where one
    /// row must stay one line for `grep`.
    pub(crate) width: Option<u16>,
}

impl Session {
    /// A session on this terminal, in the system's time zone.
    pub(crate) fn new(socket: PathBuf, json: bool) -> Self {
        Self { socket, json, zone: TimeZone::system(), width: crate::terminal::width() }
    }

    /// Calls `method` on a new connection. There is none to keep: a verb is one call, and the
    /// daemon drops a connection that stays silent while somebody is being asked something.
    pub(crate) fn call<M: Method>(&self, method: &M) -> Result<M::Reply, Failure> {
        let deadline = Deadline::after(ANSWER_DEADLINE);
        let mut client = self.connect(deadline)?;
        client.call(method, deadline).map_err(Failure::from)
    }

    /// The same for what takes longer than an answer may.
    pub(crate) fn call_patiently<M: Method>(
        &self,
        method: &M,
        patience: Duration,
    ) -> Result<M::Reply, Failure> {
        let mut client = self.connect(Deadline::after(ANSWER_DEADLINE))?;
        client.call(method, Deadline::after(patience)).map_err(Failure::from)
    }

    /// Calls `method` with `more` and hands every reply to `each`.
    pub(crate) fn call_more<M: Method>(
        &self,
        method: &M,
        mut each: impl FnMut(M::Reply),
    ) -> Result<(), Failure> {
        let mut client = self.connect(Deadline::after(ANSWER_DEADLINE))?;
        let each = |reply| {
            each(reply);
            Ok::<(), CallError>(())
        };
        client.call_more(method, ANSWER_DEADLINE, each).map_err(Failure::from)
    }

    /// Calls `method` with `more` and hands every reply to `each` as it comes, until one of them
    /// fails. `patience` bounds the wait for each reply.
    pub(crate) fn stream<M: Method>(
        &self,
        method: &M,
        patience: Duration,
        each: impl FnMut(M::Reply) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut client = self.connect(Deadline::after(ANSWER_DEADLINE))?;
        client.call_more(method, patience, each)
    }

    pub(crate) fn connect(&self, deadline: Deadline) -> Result<Client, Failure> {
        Client::connect(&self.socket, deadline).map_err(Failure::Connect)
    }
}
