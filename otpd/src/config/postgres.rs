//! `store.url = "postgres://…"`: a database that several hosts share.

use tokio_postgres::config::Host;

use super::{
    errors::Place,
    files::Folders,
    http::blame,
    raw::{Section, Text},
};
use crate::store::{DEFAULT_PORT, Password, PostgresSettings, Server};

/// The credential that holds the password where no file is named.
const CREDENTIAL: &str = "otpd.postgres";

const EXPECTED: &str = "postgres://ROLE@HOST/DATABASE, or postgres://ROLE@/DATABASE?host=/FOLDER for \
                        a Unix socket";

/// Whether a URL is of this kind.
pub(super) fn is_postgres(url: &str) -> bool {
    matches!(url.split_once("://"), Some(("postgres" | "postgresql", _)))
}

/// Reads a URL of this kind and the keys that belong to it. Nothing of the URL is repeated in an
/// error: somebody may have written a password into it.
pub(super) fn read(
    section: &mut Section<'_>,
    url: &Text<'_>,
    folders: Folders<'_>,
) -> Option<PostgresSettings> {
    let settings = match parse(url.value) {
        Ok(settings) => Some(settings),
        Err(Wrong { found, remedy }) => {
            section.error(&url.place, found, EXPECTED, remedy);
            None
        }
    };
    let password = match section.text("password-file") {
        Some(name) => read_password(section, folders, name.value, &name.place),
        None if has_credential(folders) => {
            read_password(section, folders, CREDENTIAL, &section.place_of("password-file"))
        }
        None => None,
    };
    let ca_file = section.text("ca-file").and_then(|name| {
        let found = folders.certificates(name.value);
        found.map_err(|trouble| blame(section, &name.place, trouble)).ok()
    });
    settings.map(|settings| PostgresSettings { password, ca_file, ..settings })
}

/// Says that keys of this kind do nothing where the store is another.
pub(super) fn pass_over(section: &mut Section<'_>) {
    for key in ["password-file", "ca-file"] {
        if let Some(text) = section.text(key) {
            section.warn(&text.place, "is of use with a postgres:// url only");
        }
    }
}

fn has_credential(folders: Folders<'_>) -> bool {
    let file = folders.credentials.map(|folder| folder.join(CREDENTIAL));
    file.is_some_and(|file| file.symlink_metadata().is_ok())
}

fn read_password(
    section: &Section<'_>,
    folders: Folders<'_>,
    name: &str,
    place: &Place,
) -> Option<Password> {
    let read = folders.secret(name);
    read.map(Password::new).map_err(|trouble| blame(section, place, trouble)).ok()
}

/// What is wrong with a URL.
struct Wrong {
    found: &'static str,
    remedy: &'static str,
}

fn wrong(found: &'static str, remedy: &'static str) -> Wrong {
    Wrong { found, remedy }
}

fn holds_password() -> Wrong {
    wrong(
        "holds a password",
        "take it out, change it, for others have seen it, and write the new one to a file: \
         store.password-file",
    )
}

fn parse(url: &str) -> Result<PostgresSettings, Wrong> {
    const LIKE_THIS: &str = "write it like \"postgres://otpd@db.example.com/otpd\"";
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let role = authority.rsplit_once('@').map_or("", |(role, _)| role);
    let keys = query.split('&').filter(|pair| !pair.is_empty());
    let keys = keys.map(|pair| pair.split('=').next().unwrap_or_default()).collect::<Vec<_>>();
    if role.contains(':') || keys.contains(&"password") {
        return Err(holds_password());
    }
    if keys.iter().any(|key| key.starts_with("ssl") || *key == "channel_binding") {
        return Err(wrong(
            "says how TLS is done",
            "take that out: over TCP the server's certificate and name are always checked; name its \
             authority by store.ca-file",
        ));
    }
    if !keys.iter().all(|key| ["host", "port"].contains(key)) {
        return Err(wrong(
            "has other parameters than host and port",
            "take them out; what a connection needs is set by otpd itself",
        ));
    }
    let config: tokio_postgres::Config =
        url.parse().map_err(|_| wrong("is not one that can be read", LIKE_THIS))?;
    // One with a slash in it is before what looked like the end of the authority.
    if config.get_password().is_some() {
        return Err(holds_password());
    }
    let user = config.get_user().filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| wrong("names no role", LIKE_THIS))?;
    let database = config.get_dbname().filter(|name| !name.is_empty());
    let database = database.ok_or_else(|| wrong("names no database", LIKE_THIS))?;
    let ports = config.get_ports();
    let port = |index: usize| {
        let own = if ports.len() == 1 { ports.first() } else { ports.get(index) };
        own.copied().unwrap_or(DEFAULT_PORT)
    };
    let servers = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => Server::Tcp { name: name.clone(), port: port(index) },
        Host::Unix(folder) => Server::Socket { folder: folder.clone(), port: port(index) },
    });
    let servers = servers.collect::<Vec<_>>();
    if servers.is_empty() {
        return Err(wrong("names no host", LIKE_THIS));
    }
    Ok(PostgresSettings {
        servers,
        user: user.to_owned(),
        database: database.to_owned(),
        password: None,
        ca_file: None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Server, parse};

    fn tcp(name: &str, port: u16) -> Server {
        Server::Tcp { name: name.to_owned(), port }
    }

    #[test]
    fn servers_are_read_as_they_are_named() {
        let socket = |folder: &str, port| Server::Socket { folder: PathBuf::from(folder), port };
        for (url, servers) in [
            ("postgres://otpd@db/otpd", vec![tcp("db", 5432)]),
            ("postgresql://otpd@db:6432/otpd", vec![tcp("db", 6432)]),
            ("postgres://otpd@a,b:1/otpd", vec![tcp("a", 5432), tcp("b", 1)]),
            ("postgres://otpd@[::1]:1/otpd", vec![tcp("::1", 1)]),
            ("postgres://otpd@/otpd?host=/run/postgresql", vec![socket("/run/postgresql", 5432)]),
            ("postgres://otpd@/otpd?host=/run/p&port=6432", vec![socket("/run/p", 6432)]),
            ("postgres://otpd@%2Frun%2Fp/otpd", vec![socket("/run/p", 5432)]),
        ] {
            let read = parse(url).unwrap_or_else(|wrong| panic!("{url}: {}", wrong.found));
            assert_eq!((read.user.as_str(), read.database.as_str()), ("otpd", "otpd"), "{url}");
            assert_eq!(read.servers, servers, "{url}");
        }
    }

    #[test]
    fn what_would_be_ignored_or_seen_is_refused() {
        for (url, found) in [
            ("postgres://otpd:x@db/otpd", "holds a password"),
            ("postgres://otpd:@db/otpd", "holds a password"),
            ("postgres://otpd:a:b@c@db/otpd", "holds a password"),
            ("postgres://otpd:pa/ss@db/otpd", "holds a password"),
            ("postgres://otpd@db/otpd?password=x", "holds a password"),
            ("postgres://otpd@db/otpd?sslmode=disable", "says how TLS is done"),
            ("postgres://otpd@db/otpd?options=-c%20x", "has other parameters than host and port"),
            ("postgres://db/otpd", "names no role"),
            ("postgres://otpd@db", "names no database"),
            ("postgres://otpd@/otpd", "names no host"),
            ("postgres://otpd@db:x/otpd", "is not one that can be read"),
            ("postgres://", "names no role"),
        ] {
            let refused = parse(url).map(drop).map_err(|wrong| wrong.found);
            assert_eq!(refused, Err(found), "{url}");
        }
    }
}
