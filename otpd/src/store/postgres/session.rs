//! One connection, and the frame of its transactions.
//!
//! A pooler may hand every transaction to another of its own connections, so nothing outlives one
//! here: no prepared statement has a name, and every setting is the transaction's own.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{
    CancelToken, Client, Row, RowStream, SimpleQueryMessage, SimpleQueryRow,
    types::{ToSql, Type},
};

use super::{connect::Way, schema::SCHEMA, trouble::Trouble};

/// How long one question may take, the wait for rows that others hold included.
const ANSWER: Duration = Duration::from_secs(6);
/// How long a decision, or a piece of upkeep, may take from its begin to the COMMIT.
const DECISION: Duration = Duration::from_secs(16);
/// How long a decision's COMMIT may take. With what comes before it less than anybody waits for one.
const COMMIT: Duration = Duration::from_secs(8);

/// A value and its type, for a statement without a name.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To decide: rows are locked and written, within seconds.
    Decide,
    /// To read what there is at one moment.
    Read,
    /// To read each question's own moment.
    ReadOn,
    /// To write down what decides nothing.
    Tell,
    /// To look at a server of which nothing is known yet, not even its schema.
    Greet,
    /// To read everything there is at one moment, which takes its time.
    Snapshot,
    /// To bring the schema up to date, which takes its time too.
    Migrate,
    /// To put another key in the place of the one in use, as one host at a time does.
    Rotate,
}

impl Purpose {
    /// The begin, and how long it may take in all: milliseconds for a statement, for a lock, and for
    /// the silence between two statements.
    fn frame(self) -> (&'static str, [u32; 3]) {
        match self {
            Self::Decide => ("BEGIN ISOLATION LEVEL READ COMMITTED", [5_000, 4_000, 5_000]),
            Self::Read => {
                ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", [30_000, 2_000, 10_000])
            }
            Self::ReadOn | Self::Greet => {
                ("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", [30_000, 2_000, 10_000])
            }
            Self::Snapshot => {
                ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", [400_000, 2_000, 400_000])
            }
            Self::Tell => ("BEGIN ISOLATION LEVEL READ COMMITTED", [2_000, 1_000, 2_000]),
            Self::Migrate => ("BEGIN ISOLATION LEVEL READ COMMITTED", [600_000, 60_000, 60_000]),
            Self::Rotate => ("BEGIN ISOLATION LEVEL READ COMMITTED", [600_000, 3_000, 60_000]),
        }
    }

    fn patience(self) -> Duration {
        match self {
            Self::Decide | Self::Tell => ANSWER,
            Self::Read | Self::ReadOn | Self::Greet => Duration::from_secs(31),
            Self::Snapshot => Duration::from_secs(400),
            Self::Migrate | Self::Rotate => Duration::from_secs(601),
        }
    }

    /// What tells the schema's last migration, where that must be one that this otpd knows.
    fn schema(self) -> &'static str {
        match self {
            Self::Decide | Self::Tell | Self::Rotate => {
                "(SELECT max(version)::text FROM otpd.refinery_schema_history)"
            }
            Self::Read | Self::ReadOn | Self::Greet | Self::Snapshot | Self::Migrate => "NULL",
        }
    }

    /// What tells the keys that the database belongs to, and which database it is, where a schema is
    /// known to be.
    fn identity(self) -> &'static str {
        match self {
            Self::Decide
            | Self::Tell
            | Self::Read
            | Self::ReadOn
            | Self::Snapshot
            | Self::Rotate => IDENTITY,
            Self::Greet | Self::Migrate => "NULL, NULL",
        }
    }

    /// How long all of it may take, but for the commit.
    fn longest(self) -> Duration {
        match self {
            Self::Decide | Self::Tell => DECISION,
            Self::Read | Self::ReadOn | Self::Greet => 2 * self.patience(),
            // As long as their caller lets them.
            Self::Snapshot | Self::Migrate | Self::Rotate => Duration::from_hours(1),
        }
    }

    /// What it locks as a whole. Whoever may write events down shows it so; see [`super::audit`]. It is
    /// the table itself, for which a role needs a right: anybody may take an advisory lock.
    fn lock(self) -> &'static str {
        match self {
            Self::Decide => "LOCK TABLE otpd.audit IN ROW EXCLUSIVE MODE;",
            Self::Rotate => "LOCK TABLE otpd.rekeyed IN EXCLUSIVE MODE;",
            Self::Read
            | Self::ReadOn
            | Self::Tell
            | Self::Greet
            | Self::Snapshot
            | Self::Migrate => "",
        }
    }
}

/// How a transaction ended that was to be committed.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// Surely not.
    Refused(Trouble),
    /// Perhaps it was.
    Unknown(Trouble),
}

/// What tells the keys of a database, those from before among them, and one database from every other: a
/// copy that was restored is in a cluster of another number, or has another number there, and one that was
/// made anew another name of its own.
const IDENTITY: &str = "(SELECT encode(sha256(string_agg(value, '' ORDER BY name)), 'hex')
      FROM otpd.meta WHERE name IN ('key-check', 'retired-keys')),
     (SELECT encode(value, 'hex') FROM otpd.meta WHERE name = 'database')
     || (SELECT '-' || system_identifier FROM pg_control_system())
     || (SELECT '-' || oid FROM pg_database WHERE datname = current_database())";

/// A database among all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// What its keys are known by.
    pub(super) keys: String,
    /// Its own name, its cluster's number, and its own there.
    pub(super) database: String,
}

/// A connection. Dropping it closes it, whatever is under way on it.
pub(super) struct Session {
    client: Client,
    way: Way,
    driver: JoinHandle<()>,
    timeline: u32,
    identity: Option<Identity>,
    patience: Duration,
    /// The end of patience with the transaction as a whole.
    until: Instant,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Left to itself it would wait for answers that nobody wants, and its transaction with it.
        self.driver.abort();
    }
}

impl Session {
    /// Looks at a new connection's server.
    ///
    /// # Errors
    /// When it takes no changes: decisions need a primary.
    pub(super) async fn new(
        client: Client,
        way: Way,
        driver: JoinHandle<()>,
    ) -> Result<Self, Trouble> {
        let (patience, until) = (ANSWER, Instant::now());
        let mut session =
            Self { client, way, driver, timeline: 0, identity: None, patience, until };
        // The schema may be yet to be made.
        session.begin(Purpose::Greet).await?;
        session.rollback().await?;
        Ok(session)
    }

    /// The history that the server is on: it counts the failovers.
    pub(super) fn timeline(&self) -> u32 {
        self.timeline
    }

    /// Which database it is, and whose keys it has, as the transaction under way sees it; `None` where
    /// that was not asked.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Begins a transaction, after a look at the server: a pooler may have another one by now.
    pub(super) async fn begin(&mut self, purpose: Purpose) -> Result<(), Trouble> {
        self.set_out(purpose);
        let answered = self.ask_to_begin(purpose).await?;
        self.has_begun(purpose, &answered)
    }

    /// Begins a transaction as [`Self::begin`], in three steps: between this one and the last, its
    /// first questions are asked at once with it. Their answers mean nothing before the last.
    pub(super) fn set_out(&mut self, purpose: Purpose) {
        // Whatever is asked at once waits for what is before it.
        self.patience = 2 * ANSWER;
        self.until = Instant::now() + purpose.longest();
    }

    /// The second step: what the server says of itself.
    pub(super) async fn ask_to_begin(
        &self,
        purpose: Purpose,
    ) -> Result<Vec<SimpleQueryRow>, Trouble> {
        let (begin, [statement, lock, silence]) = purpose.frame();
        let (whole, schema, identity) = (purpose.lock(), purpose.schema(), purpose.identity());
        // Functions and operators are the system's own: whoever may make others in a schema that is
        // looked through by default must not have them run as this role.
        // Who decides may trust in what it is told to be committed.
        let query = format!(
            "{begin};
             SET LOCAL search_path = pg_catalog, pg_temp;
             SET LOCAL statement_timeout = {statement};
             SET LOCAL lock_timeout = {lock};
             SET LOCAL idle_in_transaction_session_timeout = {silence};
             {whole}
             SELECT pg_is_in_recovery()::text, current_setting('default_transaction_read_only'),
                    CASE WHEN NOT pg_is_in_recovery()
                         THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
                    CASE WHEN current_setting('synchronous_commit') = 'off'
                         THEN set_config('synchronous_commit', 'on', true) END,
                    {schema}, {identity}"
        );
        // To begin takes no longer than another, whatever comes after it.
        within(ANSWER, self.client.simple_query(&query)).await.map(rows)
    }

    /// The last step: judges what the server said of itself.
    pub(super) fn has_begun(
        &mut self,
        purpose: Purpose,
        answered: &[SimpleQueryRow],
    ) -> Result<(), Trouble> {
        let row = answered.first().ok_or(Trouble::Nonsense("no state of the server"))?;
        if row.get(0) != Some("false") {
            return Err(Trouble::Standby);
        }
        if row.get(1) != Some("off") {
            return Err(Trouble::ReadOnly);
        }
        // It was brought up to date before the lock was had, or it is not before the commit.
        match row.get(4).map(str::parse::<i32>) {
            Some(Ok(found)) if found > SCHEMA => return Err(Trouble::Newer(found)),
            Some(Err(_)) => return Err(Trouble::Nonsense("no number of a schema")),
            Some(Ok(_)) | None => {}
        }
        let text = |column: usize| row.get(column).map(str::to_owned);
        self.identity = text(5).zip(text(6)).map(|(keys, database)| Identity { keys, database });
        let timeline = row.get(2).and_then(|text| u32::from_str_radix(text, 16).ok());
        self.timeline = timeline.ok_or(Trouble::Nonsense("no timeline"))?;
        self.patience = purpose.patience();
        Ok(())
    }

    /// Commits what every answer so far was good for.
    pub(super) async fn commit(&mut self) -> Result<(), Uncommitted> {
        // A server that gives up to wait for its standby says that it has committed; so here it does
        // not give up. The question fails in a transaction that the server has given up, and then so
        // does everything after it; what it tells is that the transaction is the one that has written.
        let query = "SET LOCAL statement_timeout = 0;
                     SELECT pg_current_xact_id_if_assigned()::text;
                     COMMIT";
        // What rewrote every row has more to make durable than a decision.
        let patience = COMMIT.max(self.patience);
        let answered = match timeout(patience, self.client.simple_query(query)).await {
            Ok(Ok(answered)) => rows(answered),
            Ok(Err(error)) => {
                let trouble = Trouble::from(error);
                return Err(if trouble.refuses_commit() {
                    Uncommitted::Refused(trouble)
                } else {
                    Uncommitted::Unknown(trouble)
                });
            }
            Err(_) => return Err(Uncommitted::Unknown(Trouble::Late(patience))),
        };
        match answered.first().map(|row| row.get(0).is_some()) {
            Some(true) => Ok(()),
            Some(false) | None => {
                Err(Uncommitted::Unknown(Trouble::Nonsense("a transaction that wrote nothing")))
            }
        }
    }

    /// Where to tell the server to end the question under way, and by what.
    pub(super) fn cancellation(&self) -> (Way, CancelToken) {
        (self.way.clone(), self.client.cancel_token())
    }

    /// Gives the transaction up.
    pub(super) async fn rollback(&mut self) -> Result<(), Trouble> {
        self.simple("ROLLBACK").await.map(drop)
    }

    /// Statements without parameters; the rows of the answers.
    pub(super) async fn simple(&self, query: &str) -> Result<Vec<SimpleQueryRow>, Trouble> {
        self.patiently(self.client.simple_query(query)).await.map(rows)
    }

    /// The rows of a statement.
    pub(super) async fn query(
        &self,
        query: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Trouble> {
        self.patiently(self.client.query_typed(query, parameters)).await
    }

    /// The row of a statement that has one.
    pub(super) async fn one(
        &self,
        query: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, Trouble> {
        let rows = self.query(query, parameters).await?;
        rows.into_iter().next().ok_or(Trouble::Nonsense("no row"))
    }

    /// The rows of a statement one by one, however many there are.
    pub(super) async fn stream(
        &self,
        query: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<RowStream, Trouble> {
        let parameters = parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        self.patiently(self.client.query_typed_raw(query, parameters.collect::<Vec<_>>())).await
    }

    /// Rows that a statement touched.
    pub(super) async fn execute(
        &self,
        query: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Trouble> {
        self.patiently(self.client.execute_typed(query, parameters)).await
    }

    async fn patiently<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        within(self.patience.min(self.until.saturating_duration_since(Instant::now())), answer)
            .await
    }
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Trouble> {
    match timeout(patience, answer).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Trouble::Late(patience)),
    }
}

fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}
