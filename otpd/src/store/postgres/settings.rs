//! Where a PostgreSQL database is, as the configuration says it.

use std::{fmt, path::PathBuf};

use zeroize::Zeroizing;

/// The port that PostgreSQL listens at unless it is told another.
pub const DEFAULT_PORT: u16 = 5432;

/// A database of a PostgreSQL server, and how this host enters it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// The servers that may have it, in the order in which they are named; never empty. One of them
    /// can be written to.
    pub servers: Vec<Server>,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// The role's password; none where the server knows the role by other means.
    pub password: Option<Password>,
    /// The certificates that a server over TCP is judged by; the system's where none are named.
    pub ca_file: Option<PathBuf>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Over TCP, with TLS.
    Tcp {
        /// The name or address that its certificate must be for.
        name: String,
        /// The port.
        port: u16,
    },
    /// Of this machine, over a Unix socket.
    Socket {
        /// The folder of the socket, absolute.
        folder: PathBuf,
        /// The port that names the socket in it.
        port: u16,
    },
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Socket { folder, port } => {
                write!(f, "{}/.s.PGSQL.{port}", folder.display())
            }
        }
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres: database {} at ", self.database)?;
        for (index, server) in self.servers.iter().enumerate() {
            write!(f, "{}{server}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes it over.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Password, PostgresSettings, Server};

    fn tcp(name: &str) -> Server {
        Server::Tcp { name: name.to_owned(), port: 5433 }
    }

    #[test]
    fn a_database_is_named_with_all_its_servers() {
        let socket = Server::Socket { folder: "/run/postgresql".into(), port: 5432 };
        let cases = [
            (vec![tcp("db1.example")], "db1.example:5433"),
            (vec![tcp("192.0.2.1"), tcp("2001:db8::1")], "192.0.2.1:5433, [2001:db8::1]:5433"),
            (vec![socket], "/run/postgresql/.s.PGSQL.5432"),
        ];
        for (servers, named) in cases {
            let settings = PostgresSettings {
                servers,
                user: "otpd".to_owned(),
                database: "fleet".to_owned(),
                password: Some(Password::new("swordfish".to_owned().into())),
                ca_file: None,
            };
            assert_eq!(settings.to_string(), format!("postgres: database fleet at {named}"));
            let shown = format!("{settings:?}");
            assert!(shown.contains("Password(..)") && !shown.contains("swordfish"), "{shown}");
        }
    }
}
