//! `[server]`, `[store]` and `[log]`: where things are and how much is told.

use std::path::{Path, PathBuf};

use super::{
    errors::{Place, quote},
    files::Folders,
    postgres,
    raw::{Section, Text},
};
use crate::store::PostgresSettings;

/// Where the daemon listens, who administers it, and where its key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The socket's absolute path, at most 107 bytes.
    pub socket: PathBuf,
    /// The group whose members may administer.
    pub admin_group: String,
    /// The master key's absolute path, used where systemd passes none as a credential.
    pub key_file: PathBuf,
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// An `SQLite` database at an absolute path.
    Sqlite(PathBuf),
    /// A `PostgreSQL` database, which other hosts may share.
    Postgres(PostgresSettings),
}

/// What is logged, where to, and how long the audit trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: Level,
    /// Where to and in what form.
    pub format: Format,
    /// Days that the audit trail is kept in the store. Range 30 to 3650.
    pub audit_days: u16,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Journal, audit_days: 400 }
    }
}

/// How important something must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Only what keeps people from logging in.
    Error,
    /// Also what will, or may.
    Warn,
    /// Also what happens (the default).
    Info,
    /// Also what helps to find a fault.
    Debug,
}

/// Where the log goes, and its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields, to systemd's journal.
    Journal,
    /// JSON lines, to standard error.
    Json,
    /// Lines for people, to standard error.
    Text,
}

/// Reads `[server]`.
pub(super) fn read_server(mut section: Section<'_>) -> Server {
    let socket = absolute_path(&mut section, "socket", DEFAULT_SOCKET);
    if socket.as_os_str().len() > LONGEST_SOCKET {
        let found = format!("is {} bytes long", socket.as_os_str().len());
        let expected = format!("at most {LONGEST_SOCKET}, the kernel's limit for a socket");
        section.error(&section.place_of("socket"), found, expected, "choose a shorter path");
    }
    let admin_group = section.text("admin-group");
    let admin_group = admin_group
        .filter(|group| is_account_name(&section, group))
        .map_or(DEFAULT_ADMIN_GROUP, |group| group.value)
        .to_owned();
    let key_file = absolute_path(&mut section, "key-file", DEFAULT_KEY_FILE);
    section.finish();
    Server { socket, admin_group, key_file }
}

/// Reads `[store]`.
pub(super) fn read_store(mut section: Section<'_>, folders: Folders<'_>) -> Store {
    let default = || Store::Sqlite(PathBuf::from(DEFAULT_DATABASE));
    let store = match section.text("url") {
        Some(url) if postgres::is_postgres(url.value) => {
            postgres::read(&mut section, &url, folders).map_or_else(default, Store::Postgres)
        }
        url => {
            postgres::pass_over(&mut section);
            match url.as_ref().map(|url| (url, url.value.split_once(':'))) {
                None => default(),
                Some((_, Some(("sqlite", path)))) if is_plain_absolute(path) => {
                    Store::Sqlite(PathBuf::from(path))
                }
                Some((url, scheme)) => {
                    refuse_store(&section, &url.place, scheme.map(|(scheme, _)| scheme));
                    default()
                }
            }
        }
    };
    section.finish();
    store
}

/// Says what is wrong with a store, by its scheme only: what follows may hold a password.
fn refuse_store(section: &Section<'_>, place: &Place, scheme: Option<&str>) {
    let expected = "sqlite: and an absolute path, or a postgres:// url";
    let example = format!("write \"sqlite:{DEFAULT_DATABASE}\", or remove the line for just that");
    match scheme {
        Some("sqlite") => section.error(place, "has no absolute path", expected, example),
        Some(scheme) if scheme.len() <= 20 => {
            section.error(place, format!("is of the kind {}", quote(scheme)), expected, example);
        }
        _ => section.error(place, "has no kind", expected, example),
    }
}

/// Reads `[log]`.
pub(super) fn read_log(mut section: Section<'_>) -> Log {
    let level = section.choice(
        "level",
        &[
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ],
        Level::Info,
    );
    let format = section.choice(
        "format",
        &[("journal", Format::Journal), ("json", Format::Json), ("text", Format::Text)],
        Format::Journal,
    );
    let audit_days = section.number("audit-days", 30..=3650, 400, " days");
    section.finish();
    Log { level, format, audit_days }
}

/// A path that means the same wherever the daemon is started.
fn absolute_path(section: &mut Section<'_>, key: &'static str, default: &str) -> PathBuf {
    let Some(text) = section.text(key) else { return PathBuf::from(default) };
    if is_plain_absolute(text.value) {
        return PathBuf::from(text.value);
    }
    let remedy = format!("write the whole path, or remove the line for the default ({default})");
    section.error(&text.place, format!("is {}", quote(text.value)), "an absolute path", remedy);
    PathBuf::from(default)
}

/// True for the absolute path of a file, without `..` and control characters.
pub(super) fn is_plain_absolute(text: &str) -> bool {
    let path = Path::new(text);
    let up = path.components().any(|part| part == std::path::Component::ParentDir);
    let file = path.file_name().is_some() && !text.ends_with('/');
    path.is_absolute() && file && !up && !text.chars().any(char::is_control)
}

/// True for what can be the name of a user or group; says what is wrong otherwise. What NSS knows
/// is not asked: directories have names with capitals, dots, spaces and `@`.
pub(super) fn is_account_name(section: &Section<'_>, name: &Text<'_>) -> bool {
    let sound = !name.value.is_empty()
        && name.value.trim() == name.value
        && !name.value.chars().any(|letter| letter.is_control() || ":,/".contains(letter));
    if !sound {
        let found = format!("is {}", quote(name.value));
        let expected = "a name as `getent` shows it";
        section.error(&name.place, found, expected, "correct it or remove it");
    }
    sound
}

const DEFAULT_SOCKET: &str = "/run/otpd/otpd.sock";
const DEFAULT_ADMIN_GROUP: &str = "otpd-admin";
const DEFAULT_KEY_FILE: &str = "/etc/otpd/otpd.key";
const DEFAULT_DATABASE: &str = "/var/lib/otpd/otpd.db";
/// `sun_path` has 108 bytes, the last one NUL.
const LONGEST_SOCKET: usize = 107;
