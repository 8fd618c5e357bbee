//! The configuration: one TOML file, read in two steps.
//!
//! `raw` is the file as written, with positions; the other files turn its tables, one each, into
//! the checked [`Config`]. Everything that is wrong is reported at once.

mod command;
mod delivery;
mod errors;
mod files;
mod flowroute;
mod gateways;
mod http;
mod limits;
mod listener;
mod message;
mod plivo;
mod policy;
mod postgres;
mod raw;
mod server;
mod signalwire;
mod telnyx;
mod twilio;
mod vendor;

use std::path::{Path, PathBuf};

pub use self::{
    delivery::Delivery,
    errors::{ConfigError, ConfigErrors},
    listener::{Http, Listening, Public},
    message::{
        DEFAULT_TEXT, LONGEST_CODE, LONGEST_REFERENCE, LONGEST_SERVICE, Message, MessageTemplate,
        TemplateError,
    },
    server::{Format, Level, Log, Server, Store},
};
use self::{
    errors::Report,
    files::{Folders, Trouble},
    raw::Section,
};
use crate::{
    domain::{
        budget::Limits,
        challenge::CodeRules,
        policy::{Policy, SharedSources},
    },
    gateway::{GatewayName, settings::Settings},
};

/// Where the configuration is, unless `otpd --config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/otpd/otpd.toml";

/// A checked configuration: what it names exists, and its parts fit together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the daemon listens, who administers it, and where its key is.
    pub server: Server,
    /// Where state is kept.
    pub store: Store,
    /// Who needs a code.
    pub policy: Policy,
    /// What codes are like.
    pub code: CodeRules,
    /// The text that carries a code.
    pub message: Message,
    /// How many messages may be sent.
    pub limits: Limits,
    /// Where many people come from.
    pub shared_sources: SharedSources,
    /// Where messages may go and which gateways carry them.
    pub delivery: Delivery,
    /// The gateways, by name; those of [`Delivery`] are among them.
    pub gateways: Vec<(GatewayName, Settings)>,
    /// What comes in by HTTP, if anything does.
    pub http: Option<Http>,
    /// What is logged.
    pub log: Log,
    /// What is odd but keeps nothing from starting, a line each, with file and key.
    pub warnings: Vec<String>,
}

impl Config {
    /// What differs from `newer` and is taken over at a restart only; for a reload to say so.
    /// `bound` is where the daemon does listen, which may be less than it was told.
    #[must_use]
    pub fn needs_restart(&self, newer: &Self, bound: Listening) -> Vec<&'static str> {
        let changes = [
            ("server", self.server != newer.server),
            ("store", self.store != newer.store),
            ("http.listen", bound != Listening::wanted(newer.http.as_ref())),
            // Spans that are open hold what the old form made of their fields.
            ("log.format", self.log.format != newer.log.format),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }
}

/// Reads and checks the file at `path`.
///
/// `credentials` is systemd's directory of credentials, where the files with secrets are looked
/// for first; `host_name` is this machine's, for messages whose `host` is not set.
///
/// # Errors
/// Everything that is wrong with the file and with the files that it names.
pub fn load(
    path: &Path,
    credentials: Option<&Path>,
    host_name: &str,
) -> Result<Config, ConfigErrors> {
    let text = files::config(path).map_err(|trouble| unusable(path, trouble))?;
    check(path, &text, credentials, host_name)
}

/// Checks a configuration that was read from `path`: its text is `text`, and files are looked for
/// beside it.
///
/// # Errors
/// As for [`load`].
pub fn check(
    path: &Path,
    text: &str,
    credentials: Option<&Path>,
    host_name: &str,
) -> Result<Config, ConfigErrors> {
    let report = Report::new(path, text);
    let table = raw::parse(text, &report);
    let folders = Folders { credentials, config: path.parent().unwrap_or(Path::new("")) };
    let config = table.map(|table| read(&table, &report, folders, host_name));
    let (errors, warnings) = report.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(ConfigErrors::new(errors)),
    }
}

/// Where a daemon with a wrong configuration listens, to say so: the file's `server.socket` where
/// that much can be read, else the default.
#[must_use]
pub fn socket_of(path: &Path) -> PathBuf {
    let socket = || {
        let table = files::config(path).ok()?.parse::<toml::Table>().ok()?;
        let socket = PathBuf::from(table.get("server")?.get("socket")?.as_str()?);
        socket.is_absolute().then_some(socket)
    };
    socket().unwrap_or_else(|| otp_proto::DEFAULT_SOCKET.into())
}

/// Where the master key is, by a file whose other tables may be wrong: the key is made when otpd is
/// installed, before anybody has filled anything in.
///
/// # Errors
/// What is wrong with the file as TOML and with its table `[server]`.
pub fn key_file_of(path: &Path) -> Result<PathBuf, ConfigErrors> {
    let text = files::config(path).map_err(|trouble| unusable(path, trouble))?;
    let report = Report::new(path, &text);
    let table = raw::parse(&text, &report);
    let server = table.map(|table| {
        server::read_server(Section::root(&table, &report).section("server")).key_file
    });
    let (errors, _) = report.finish();
    server.filter(|_| errors.is_empty()).ok_or_else(|| ConfigErrors::new(errors))
}

/// The password in a file that no key of the configuration names.
///
/// # Errors
/// What is wrong with the file.
pub fn password(path: &Path) -> Result<crate::store::Password, ConfigErrors> {
    let folder = std::env::current_dir().unwrap_or_default();
    let folders = Folders { credentials: None, config: &folder };
    let secret = folders.secret(&path.to_string_lossy());
    secret.map(crate::store::Password::new).map_err(|trouble| {
        let Trouble { found, expected, remedy, missing: _ } = trouble;
        let key = Some("--password-file".to_owned());
        ConfigErrors::one(ConfigError {
            file: path.to_owned(),
            line: None,
            key,
            found,
            expected,
            remedy,
        })
    })
}

/// Reads every table, whatever is wrong with the others. What it returns is worth something only
/// when the report has no error.
fn read(
    table: &toml::de::DeTable<'_>,
    report: &Report<'_>,
    folders: Folders<'_>,
    host_name: &str,
) -> Config {
    let mut root = Section::root(table, report);
    let code = policy::read_code(root.section("code"));
    let tables = root.section("gateway").sections();
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.value).collect();
    let delivery = delivery::read(root.section("delivery"), &names);
    let http = listener::read(root.section("http"));
    // Whether vendors can fetch what a call says.
    let answers = http.as_ref().is_some_and(|http| http.public.is_some());
    let (limits, shared_sources) = limits::read(root.section("limits"), code);
    let config = Config {
        server: server::read_server(root.section("server")),
        store: server::read_store(root.section("store"), folders),
        policy: policy::read_policy(root.section("policy")),
        code,
        message: message::read(root.section("message"), host_name),
        limits,
        shared_sources,
        gateways: gateways::read(tables, &delivery, folders, answers),
        delivery,
        http,
        log: server::read_log(root.section("log")),
        warnings: Vec::new(),
    };
    root.finish();
    config
}

/// The error of a configuration file that cannot be read at all.
fn unusable(path: &Path, trouble: Trouble) -> ConfigErrors {
    let absent = trouble.missing;
    let remedy = if absent {
        format!("write one; this is the smallest that works:\n\n{SMALLEST}")
    } else {
        trouble.remedy
    };
    ConfigErrors::one(ConfigError {
        file: path.to_owned(),
        line: None,
        key: None,
        found: trouble.found,
        expected: trouble.expected,
        remedy,
    })
}

/// The machine's name as the kernel has it: the default for `message.host`.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        // What the kernel says before anybody gave the machine a name.
        "" | "(none)" => "this machine".to_owned(),
        name => name.to_owned(),
    }
}

/// The smallest configuration that works.
pub const SMALLEST: &str = r#"[delivery]
countries = ["US"]    # ISO 3166; nothing is sent anywhere else
sms       = ["site"]  # gateways in order

[gateway.site]
kind    = "http"
url     = "https://sms.example.com/send"
headers = { Content-Type = "application/json" }
body    = '{"to":"{to}","text":"{text}"}'
"#;

#[cfg(test)]
mod tests;
