//! What the configuration says about a gateway, checked.

use std::{path::PathBuf, time::Duration};

use zeroize::Zeroizing;

use super::callback::telnyx::PublicKey;
use crate::domain::phone::E164;

/// A gateway's settings by its kind.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Telnyx, for text messages and calls.
    Telnyx(TelnyxSettings),
    /// Flowroute, for text messages.
    Flowroute(FlowrouteSettings),
    /// Plivo, for text messages and calls.
    Plivo(PlivoSettings),
    /// Twilio, for text messages and calls.
    Twilio(TwilioSettings),
    /// `SignalWire`, for text messages and calls.
    SignalWire(SignalWireSettings),
    /// Any HTTP interface, by template.
    Http(HttpSettings),
    /// A program of the site's own.
    Command(CommandSettings),
    /// JSON lines in a file, for demonstrations.
    File(FileSettings),
}

impl Settings {
    /// Whether its calls say their words although vendors cannot fetch them from here.
    /// `without_key_press` says that they may be said to whoever answers.
    #[must_use]
    pub fn calls_unheard(&self, without_key_press: bool) -> bool {
        match self {
            // They take the words with the order to call.
            Self::Telnyx(_) | Self::Twilio(_) => without_key_press,
            // With a PHLO, its flow has them.
            Self::Plivo(settings) => settings.phlo_id.is_some(),
            Self::SignalWire(_) | Self::Flowroute(_) => false,
            // How they call is the site's own.
            Self::Http(_) | Self::Command(_) | Self::File(_) => true,
        }
    }
}

/// A key to a vendor's account, which `Debug` does not show.
#[derive(Clone)]
pub struct Key {
    /// The key.
    pub secret: Zeroizing<String>,
    /// The name of its file as it is written in the configuration, for errors.
    pub file: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("file", &self.file).finish_non_exhaustive()
    }
}

/// `kind = "telnyx"`.
#[derive(Clone, Debug)]
pub struct TelnyxSettings {
    /// Where the API is: https, or http to a loopback address.
    pub base_url: String,
    /// The sender: E.164, a short code or a name; may be missing with a profile that has numbers.
    pub from: Option<String>,
    /// The messaging profile, a UUID.
    pub messaging_profile_id: Option<String>,
    /// By which Telnyx proves what it tells; without it nothing is heard.
    pub webhook_public_key: Option<PublicKey>,
    /// The API key.
    pub api_key: Key,
    /// What calls need; without, there are none.
    pub texml: Option<TexmlSettings>,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Telnyx's calls by `TeXML`.
#[derive(Clone, Debug)]
pub struct TexmlSettings {
    /// The `TeXML` application, a long number.
    pub application_sid: String,
    /// The account or organization, a UUID.
    pub account_sid: String,
}

/// `kind = "twilio"`.
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Where the API is: https, or http to a loopback address.
    pub base_url: String,
    /// What the account is called: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The account's token, with which Twilio also signs what it tells by itself.
    pub auth_token: Key,
    /// The sender: E.164, for text messages also a short code or a name; may be missing with a
    /// messaging service, but not for calls.
    pub from: Option<String>,
    /// The messaging service, `MG` and 32 hexadecimal digits.
    pub messaging_service_sid: Option<String>,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `kind = "signalwire"`.
#[derive(Clone, Debug)]
pub struct SignalWireSettings {
    /// Where the space is: https, or http to a loopback address.
    pub base_url: String,
    /// The project, a UUID.
    pub project_id: String,
    /// The project's token.
    pub api_token: Key,
    /// The key with which the project signs what it tells by itself.
    pub signing_key: Option<Key>,
    /// The sender: E.164, for text messages also a short code.
    pub from: String,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `kind = "flowroute"`.
#[derive(Clone, Debug)]
pub struct FlowrouteSettings {
    /// Where the API is: https, or http to a loopback address.
    pub base_url: String,
    /// Which version of it.
    pub version: FlowrouteVersion,
    /// The sender: a number of North America before version 2.2.
    pub from: E164,
    /// What the account is called.
    pub access_key: String,
    /// The account's key.
    pub secret_key: Key,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// The versions of Flowroute's API that send messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowrouteVersion {
    /// Numbers in E.164 form.
    V22,
    /// Numbers of North America, eleven digits.
    V21,
    /// As before, and a flat body.
    V2,
}

impl FlowrouteVersion {
    /// As it stands in addresses and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V22 => "v2.2",
            Self::V21 => "v2.1",
            Self::V2 => "v2",
        }
    }
}

/// `kind = "plivo"`.
#[derive(Clone, Debug)]
pub struct PlivoSettings {
    /// Where the API is, or with a PHLO where it runs: https, or http to a loopback address.
    pub base_url: String,
    /// What the account is called: `MA` or `SA` and 18 capital letters and digits.
    pub auth_id: String,
    /// The account's token, with which Plivo also signs what it tells by itself.
    pub auth_token: Key,
    /// The sender: E.164, for text messages also a short code or a name; may be missing with a PHLO.
    pub from: Option<String>,
    /// The flow to send through, instead of the API.
    pub phlo_id: Option<String>,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `kind = "command"`.
#[derive(Clone, Debug)]
pub struct CommandSettings {
    /// The program's absolute path and its arguments, in which `{to}` and `{channel}` are filled in.
    /// Never empty.
    pub program: Vec<String>,
    /// How long it may run. Range 1 to 8 s.
    pub timeout: Duration,
}

/// `kind = "http"`.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where requests go: https, or http to a loopback address.
    pub url: String,
    /// `POST` (default), `PUT` or `PATCH`: the message travels in the body, since a URL ends in
    /// the logs of every server on the way.
    pub method: String,
    /// Header names and values; values may hold keys, so `Debug` shows names only.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// Body template with `{to}`, `{text}` and `{channel}`, each escaped for JSON, form or XML by
    /// the request's content type; without one it is JSON. Voice needs `{channel}`.
    pub body: String,
    /// Status codes that mean accepted, among 200 to 299; empty: all of them.
    pub success_status: Vec<u16>,
    /// JSON pointer (RFC 6901) of the vendor's id in the reply.
    pub id_pointer: Option<String>,
    /// Further trusted certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSettings")
            .field("method", &self.method)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// `kind = "file"`.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Where JSON lines are appended; made with mode 0600.
    pub path: PathBuf,
}
