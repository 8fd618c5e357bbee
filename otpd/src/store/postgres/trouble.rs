//! What can go wrong with a database at the other end of a connection.

use std::{error::Error as StdError, fmt::Write, io, sync::Arc, time::Duration};

use tokio_postgres::error::SqlState;

use crate::store::{
    damage::{REMEDY, Unread},
    format::Damaged,
};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// What the server says, or that it is gone.
    #[error("{}", words(.0))]
    Server(#[from] tokio_postgres::Error),
    /// A row that is not what it should be.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The same, and whose it is.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// No way to the server.
    #[error("cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// It says nothing.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// It only follows another server.
    #[error("is a standby")]
    Standby,
    /// It takes no changes.
    #[error("is read-only")]
    ReadOnly,
    /// Anybody may put a socket where it has its own.
    #[error("has its socket in a folder that everybody may write to")]
    OpenFolder,
    /// The socket is another's than who listens at it.
    #[error("is served by user {0}, to whom the socket does not belong")]
    Stranger(u32),
    /// Its PostgreSQL is of this version.
    #[error("is PostgreSQL {0}, and otpd needs 15 or later")]
    TooOld(String),
    /// Its database has this encoding.
    #[error("keeps its texts as {0}, and otpd needs UTF8")]
    Encoding(String),
    /// A later version has brought its schema further while this one ran.
    #[error("has schema {0} of a newer otpd")]
    Newer(i32),
    /// There was a newer primary.
    #[error("is on timeline {found}, and there was a server on timeline {known}")]
    Outdated {
        /// Its timeline.
        found: u32,
        /// The newest timeline that was seen.
        known: u32,
    },
    /// There was a newer primary, as an earlier run of this daemon knew.
    #[error(
        "is on timeline {found}, and an earlier run of otpd has seen timeline {known} of this database \
         ({place})"
    )]
    Forgotten {
        /// Its timeline.
        found: u32,
        /// The newest timeline that was seen.
        known: u32,
        /// Where that is kept.
        place: String,
    },
    /// It is another one than this daemon began with.
    #[error("is another database than the one that this otpd began with")]
    OtherDatabase,
    /// It belongs to another key than when this daemon began, or keeps others from before.
    #[error("has gone over to other keys")]
    Rekeyed,
    /// Another rotation of the key is under way, at whichever host.
    #[error("is being put under another key already")]
    Rotating,
    /// No connection could be made, and why.
    #[error("{0}")]
    NoEntry(Arc<Trouble>),
    /// It was tried a moment ago, and failed.
    #[error("{0}")]
    Resting(Arc<Trouble>),
    /// Others changed the same rows at the same time.
    #[error("another host was quicker")]
    Overtaken,
    /// What was asked for is not what came.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// More than one transaction can write down.
    #[error("{0} events are too many for one transaction")]
    TooMany(usize),
}

/// What an error of the protocol says, without the data that the server may quote.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        // Its detail and its context may hold values of rows.
        return format!("{}: {} ({})", said.severity(), said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

impl Trouble {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Server(error) => error.code(),
            _ => None,
        }
    }

    /// The five characters that the server names the error by.
    fn sqlstate(&self) -> &str {
        self.code().map_or("", SqlState::code)
    }

    /// Whether the server's disk is full.
    pub(super) fn is_full(&self) -> bool {
        self.code() == Some(&SqlState::DISK_FULL)
    }

    /// Whether a lock was not had in time.
    pub(super) fn is_locked(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether the role lacks a right.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// Whether the same may succeed at once: nothing was committed, and what stood in the way is gone.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Server(_) if self.is_rolled_back() => true,
            Self::Server(error) => error.is_closed() || self.says_goodbye(),
            Self::Overtaken => true,
            _ => false,
        }
    }

    /// Whether the server ends the connection, or the connection itself has ended.
    pub(super) fn says_goodbye(&self) -> bool {
        match self {
            Self::Server(error) if error.as_db_error().is_none() => true,
            Self::Server(_) => {
                // Connection exceptions, and a server that shuts down or does not serve yet.
                ["08", "57P", "25P03"].iter().any(|class| self.sqlstate().starts_with(class))
            }
            Self::Late(_) | Self::Unreachable(_) | Self::Nonsense(_) => true,
            Self::Standby | Self::ReadOnly | Self::Outdated { .. } | Self::OtherDatabase => true,
            Self::TooOld(_) | Self::Encoding(_) | Self::OpenFolder | Self::Stranger(_) => true,
            Self::Newer(_) | Self::Forgotten { .. } => true,
            Self::NoEntry(_) | Self::Resting(_) => true,
            _ => false,
        }
    }

    /// Whether there is no server that takes changes, which may end by itself: one that is away, that
    /// starts or stops, or whose failover goes on.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Server(error) if error.is_closed() => true,
            Self::Server(_) => self.sqlstate().starts_with("57P"),
            Self::Unreachable(_) | Self::Late(_) | Self::Standby | Self::ReadOnly => true,
            Self::NoEntry(cause) | Self::Resting(cause) => cause.is_away(),
            _ => false,
        }
    }

    /// Whether the server has rolled the transaction back, for others were in its way. 40003 is of the
    /// same class and says that nobody knows.
    fn is_rolled_back(&self) -> bool {
        ["40000", "40001", "40002", "40P01"].contains(&self.sqlstate())
    }

    /// Whether what was to be made is there: another made it meanwhile.
    pub(super) fn is_there_already(&self) -> bool {
        // A unique violation, of the catalogs; a table; a schema.
        ["23505", "42P07", "42P06"].contains(&self.sqlstate())
    }

    /// Whether a COMMIT that ended in this surely did not commit: the server says that it refused.
    /// After anything else nobody knows.
    pub(super) fn refuses_commit(&self) -> bool {
        let refused = ["23", "25P02"];
        self.is_rolled_back() || refused.iter().any(|class| self.sqlstate().starts_with(class))
    }

    /// What an administrator does about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Server(error) if error.as_db_error().is_none() => {
                if words(error).contains("certificate") {
                    "see that the host in store.url is the name in the server's certificate, and that \
                     store.ca-file, or the system, has the authority that signed it"
                } else if words(error).contains("TLS") {
                    "switch ssl on in postgresql.conf: over TCP otpd speaks TLS alone; or use a Unix \
                     socket"
                } else if words(error).contains("password missing") {
                    "name the file with the password: store.password-file"
                } else {
                    "see that the server runs; otpd comes back by itself"
                }
            }
            Self::Server(_) => server_remedy(self.sqlstate()),
            Self::NoEntry(cause) | Self::Resting(cause) => cause.remedy(),
            Self::Unreachable(_) | Self::Late(_) => {
                "see that the server runs, that store.url names it, and that nothing between is in the \
                 way; otpd comes back by itself"
            }
            Self::Standby => "name the primary in store.url; replicas are never used for logins",
            Self::ReadOnly => {
                "see why the database takes no changes: default_transaction_read_only"
            }
            Self::Outdated { .. } => {
                "stop this server: it was a primary before the failover; if it is the right one, \
                 restart otpd"
            }
            Self::Forgotten { .. } => {
                "stop this server: it was a primary before a failover; if it is the right one, restored for \
                 example, remove that file and restart otpd"
            }
            Self::OtherDatabase => {
                "see which one store.url leads to, and end the other; if this is the right one, restart \
                 otpd"
            }
            Self::Rekeyed => "see otpctl status: otpd goes on with the next key by itself",
            Self::Rotating => "wait until that has ended; otpctl status says which key holds",
            Self::OpenFolder => {
                "set unix_socket_directories in postgresql.conf to a folder of its own, such as \
                 /run/postgresql, and name that in store.url"
            }
            Self::Stranger(_) => "see who listens there, and end it",
            Self::Newer(_) => "install the version that the other hosts have",
            Self::TooOld(_) => "upgrade the server",
            Self::Encoding(_) => "make a new database: createdb --encoding UTF8 --owner ROLE NAME",
            Self::Damaged(_) | Self::Unread(_) => REMEDY,
            Self::Overtaken | Self::Nonsense(_) | Self::TooMany(_) => "see the error",
        }
    }
}

fn server_remedy(code: &str) -> &'static str {
    match code {
        "28P01" => "put the role's password into the file that store.password-file names",
        "28000" => "let the role in: pg_hba.conf",
        "3D000" => "make the database: createdb --owner ROLE NAME",
        "42501" => {
            "let the role own the database or its schema otpd, or give it its rights: roles.sql, then \
             otpd --migrate OWNER"
        }
        "42P01" | "3F000" => "the schema otpd is gone: otpctl restore your last backup",
        "53100" => "the disk of the database server is full: free space on it",
        "53300" => "the server has no connection left: max_connections",
        "25006" => "the database is read-only: see why, and name the primary in store.url",
        "55P03" | "57014" => "another host holds the rows for long: see pg_stat_activity",
        _ => "see the error, and the log of the database server",
    }
}
