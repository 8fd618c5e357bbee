//! Hosts that share a test's server.

use super::{Postgres, PostgresError, PostgresSettings, Server, Site, migrate};
use crate::{
    domain::challenge::Host, keys::Keys, postgres_server::Server as TestServer, store::Reader,
};

/// Where a server of a test is.
pub(in crate::store) fn settings(server: &TestServer) -> PostgresSettings {
    PostgresSettings {
        servers: vec![Server::Socket { folder: server.folder().to_owned(), port: server.port() }],
        user: "otpd".to_owned(),
        database: "otpd".to_owned(),
        password: None,
        ca_file: None,
    }
}

/// One host of several.
pub(in crate::store) fn host(number: u8) -> Site {
    Site { host: Host([number; 16]), name: format!("web{number}"), state: None }
}

/// Opens a test's database as a host.
pub(in crate::store) fn open(
    server: &TestServer,
    keys: Keys,
    number: u8,
) -> Result<Postgres, PostgresError> {
    Postgres::open(settings(server), keys, host(number))
}

/// Opens it as a host with a role of its own.
pub(in crate::store) fn open_as(
    server: &TestServer,
    role: &str,
    keys: Keys,
    number: u8,
) -> Result<Postgres, PostgresError> {
    let settings = PostgresSettings { user: role.to_owned(), ..settings(server) };
    Postgres::open(settings, keys, host(number))
}

/// Divides a test's database among the roles of several hosts; its schema is there then.
pub(in crate::store) fn divide(server: &TestServer, keys: &Keys) {
    server.divide();
    let owner = PostgresSettings { user: "otpd_owner".to_owned(), ..settings(server) };
    migrate(&owner, Some(keys)).expect("the owner may");
}

/// The same for what decides nothing.
pub(in crate::store) fn reader(server: &TestServer, keys: Keys, number: u8) -> Reader {
    let postgres = open(server, keys, number).expect("a database");
    Reader::postgres(&postgres).expect("a thread")
}
