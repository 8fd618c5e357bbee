//! What vendors tell without being asked: whether it is the vendor who speaks, and what is said.
//!
//! Pure: a request as it came, a gateway's key and the time go in; notices or a refusal come out. A
//! notice never decides whether a code is right. What a body says is read only after its signature
//! was found right, and nothing of it is kept but an id, a status, a masked reason and one of four
//! keywords.

pub mod flowroute;
mod form;
#[cfg(test)]
#[path = "../../../../tests/fuzz/receipts.rs"]
mod fuzz;
pub mod laml;
pub mod plivo;
pub mod telnyx;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, header::HeaderMap};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use self::form::Fields;
use super::{GatewayName, Keyword, Notice, settings::Settings, spoken::Markup};
use crate::domain::{phone::E164, time::Timestamp};

/// A request that claims to come from a vendor.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// `GET` or `POST`.
    pub method: &'a Method,
    /// The public URL with its query, as the vendor was given it: vendors sign it.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body as it came: vendors sign that too. It may hold a code.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// Why a request is not acted on. For the log: the texts hold nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What every request of this vendor carries is not there.
    #[error("it has no signature")]
    Unsigned,
    /// Not the vendor's, or not for this URL: `http.public-url` must be what the vendor was given.
    #[error("its signature is not the vendor's for this URL and body")]
    Forged,
    /// Signed too long ago, or in the future.
    #[error("its time stamp is more than five minutes off; see to this host's clock")]
    Stale,
    /// Signed, but of no form that the vendor documents.
    #[error("it is signed, but cannot be read")]
    Unreadable,
}

/// What a vendor said, in a request that is the vendor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What there is to act on; empty for what does not concern codes.
    pub notices: Vec<Notice>,
    /// The same for a repeat of the same request.
    pub mark: Mark,
    /// Whether somebody wrote to the number that sends, which is not among the notices: the vendor did
    /// not sign it.
    pub unproved: bool,
}

impl Told {
    /// What the vendor signed, all of it.
    fn heard(notices: Vec<Notice>, mark: Mark) -> Self {
        Self { notices, mark, unproved: false }
    }
}

/// Tells requests apart, so that a repeat is not acted on twice: a hash, which tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(pub [u8; 32]);

/// A vendor that fetches the words of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The vendor's name for the call.
    pub call: String,
    /// The keys that were pressed; `None` where none was yet.
    pub pressed: Option<String>,
    /// How the words are written for this vendor.
    pub markup: Markup,
}

/// What tells a gateway's vendor from everybody else.
#[derive(Clone)]
pub enum Keys {
    /// Telnyx's public key.
    Telnyx(telnyx::PublicKey),
    /// The account's token with Plivo.
    Plivo(plivo::Token),
    /// The account's token with Twilio.
    Twilio(laml::Twilio),
    /// The project's signing key with `SignalWire`.
    SignalWire(laml::SignalWire),
    /// A path that nobody else knows: Flowroute signs nothing.
    Flowroute(flowroute::Secret),
}

impl Keys {
    /// What the vendor of a gateway proves itself by; `None` for gateways that tell nothing, and
    /// where the key that is needed for it is not configured.
    #[must_use]
    pub fn of(name: &GatewayName, settings: &Settings) -> Option<Self> {
        match settings {
            Settings::Telnyx(settings) => settings.webhook_public_key.clone().map(Self::Telnyx),
            Settings::Flowroute(settings) => {
                flowroute::Secret::derive(&settings.secret_key.secret, name).map(Self::Flowroute)
            }
            Settings::Plivo(settings) => {
                plivo::Token::new(&settings.auth_token.secret).map(Self::Plivo)
            }
            Settings::Twilio(settings) => {
                laml::Twilio::new(&settings.auth_token.secret).map(Self::Twilio)
            }
            Settings::SignalWire(settings) => {
                let key = settings.signing_key.as_ref()?;
                laml::SignalWire::new(&key.secret).map(Self::SignalWire)
            }
            Settings::Http(_) | Settings::Command(_) | Settings::File(_) => None,
        }
    }

    /// Where the vendor of a gateway is to report. `public` is where vendors reach this daemon,
    /// without a slash at its end.
    #[must_use]
    pub fn report_url(&self, public: &str, name: &GatewayName) -> Zeroizing<String> {
        let url = format!("{public}/receipts/{name}");
        Zeroizing::new(match self {
            Self::Telnyx(_) | Self::Plivo(_) | Self::Twilio(_) | Self::SignalWire(_) => url,
            Self::Flowroute(secret) => format!("{url}/{}", secret.path()),
        })
    }

    /// Tells two keys apart and tells nothing of either.
    #[must_use]
    pub fn fingerprint(&self) -> Mark {
        match self {
            Self::Telnyx(key) => mark(&[b"telnyx ", key.bytes()]),
            Self::Plivo(token) => mark(&[b"plivo ", &token.signed_nothing()]),
            Self::Twilio(laml::Twilio(key)) => mark(&[b"twilio ", &key.signed_nothing()]),
            Self::SignalWire(laml::SignalWire(key)) => {
                mark(&[b"signalwire ", &key.signed_nothing()])
            }
            Self::Flowroute(secret) => mark(&[b"flowroute ", secret.path().as_bytes()]),
        }
    }

    /// What the vendor says.
    ///
    /// # Errors
    /// [`Refusal`] when it is not the vendor, or makes no sense.
    pub fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        match self {
            Self::Telnyx(key) => key.told(callback),
            Self::Plivo(token) => token.told(callback),
            Self::Twilio(key) => key.told(callback),
            Self::SignalWire(key) => key.told(callback),
            Self::Flowroute(secret) => secret.told(callback),
        }
    }

    /// Which call's words the vendor asks for.
    ///
    /// # Errors
    /// [`Refusal`] when it is not the vendor, or names no call.
    pub fn caller(&self, callback: &Callback<'_>) -> Result<Caller, Refusal> {
        match self {
            Self::Telnyx(key) => key.caller(callback),
            Self::Plivo(token) => token.caller(callback),
            Self::Twilio(key) => key.caller(callback),
            Self::SignalWire(key) => key.caller(callback),
            // It makes no calls.
            Self::Flowroute(_) => Err(Refusal::Unsigned),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Telnyx(_) => "Telnyx(..)",
            Self::Plivo(_) => "Plivo(..)",
            Self::Twilio(_) => "Twilio(..)",
            Self::SignalWire(_) => "SignalWire(..)",
            Self::Flowroute(_) => "Flowroute(..)",
        })
    }
}

impl Callback<'_> {
    /// A header that is there exactly once; two would leave it open which one was checked.
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// As [`Self::header`], for what every request of the vendor must have.
    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.header(name).ok_or(Refusal::Unsigned)
    }

    /// Whether the body is made of form fields.
    fn is_form(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// The fields of the body, or of the query where the vendor uses GET.
    fn fields(&self) -> Fields {
        if self.method == Method::GET { Fields::of_query(self.url) } else { Fields::of(self.body) }
    }
}

impl fmt::Debug for Callback<'_> {
    /// Neither the query nor the body: both hold what people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("method", self.method).finish_non_exhaustive()
    }
}

/// A mark of what a signature covers and nothing else: what it does not cover, whoever repeats a
/// request can write otherwise.
fn mark(parts: &[&[u8]]) -> Mark {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update);
    Mark(hash.finalize().into())
}

/// Bytes in base64, without anything that another spelling of the same bytes would have.
fn from_base64(text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|_| Refusal::Forged)
}

/// A number as vendors write it: with its plus, or without.
fn number(text: &str) -> Option<E164> {
    let digits = text.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    format!("+{digits}").parse().ok()
}

impl Keyword {
    /// What a text says. The words of all vendors count for each of them: a person does not know
    /// whose number it is, and an end to messages is an end whoever carries them.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = Zeroizing::new(text.to_ascii_uppercase());
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<&str> = words.take(3).collect();
        if words.len() == 2 && matches!(words.as_slice(), ["STOP", "ALL"] | ["OPT", "OUT"]) {
            words = vec!["STOP"];
        }
        // Carriers act on these words only where they stand alone.
        match words.as_slice() {
            [
                "STOP" | "STOPALL" | "UNSUBSCRIBE" | "UNSUB" | "CANCEL" | "END" | "QUIT" | "REVOKE"
                | "OPTOUT",
            ] => Self::Stop,
            ["START" | "UNSTOP" | "YES"] => Self::Start,
            ["HELP" | "INFO"] => Self::Help,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
