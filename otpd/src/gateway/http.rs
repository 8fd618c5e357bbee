//! `kind = "http"`: any HTTP interface, by template.

mod template;

use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use zeroize::Zeroizing;

use self::template::Template;
use super::{
    Gateway, Message, Outcome, Sending,
    client::{Client, ClientError, DEADLINE, Reply, parse_url, wiped},
    escape::Escape,
    redact::Redactor,
    reply,
    settings::HttpSettings,
};
use crate::domain::challenge::Channel;

/// Why an `http` gateway cannot be used. The texts hold no header values.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL, or how to reach it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A placeholder in the URL would put codes and numbers into the logs of every proxy.
    #[error("`url` may hold no {{to}}, {{text}} or {{channel}}; put them into `body`")]
    UrlPlaceholder,
    /// A method without a body, or none at all.
    #[error("`method` is `{0}`; expected POST, PUT or PATCH")]
    Method(String),
    /// Not a header name, or a value that a header cannot carry.
    #[error("header `{0}` has a name or value that HTTP does not allow")]
    Header(String),
    /// A body without the number or the text sends nothing to anybody.
    #[error("`body` must hold {{to}} and {{text}}")]
    BodyIncomplete,
    /// A JSON body that is not JSON once it is filled in.
    #[error("`body` is not JSON once filled in; write placeholders inside quotes: \"{{text}}\"")]
    BodyNotJson,
    /// A status that is no success in HTTP.
    #[error("`success-status` holds {0}; expected 200 to 299")]
    SuccessStatus(u16),
    /// Not a JSON pointer.
    #[error("`id-pointer` is `{0}`; a JSON pointer starts with '/', as in /data/id")]
    IdPointer(String),
}

/// A gateway that is described, not programmed.
pub(super) struct Http {
    client: Client,
    shape: Shape,
}

/// The pure half: how requests look and what replies mean.
struct Shape {
    method: Method,
    url: Url,
    headers: HeaderMap,
    secrets: Vec<Zeroizing<String>>,
    body: Template,
    success: Vec<u16>,
    id_pointer: Option<String>,
}

impl Http {
    /// Checks the settings and sets up the client.
    ///
    /// # Errors
    /// [`HttpError`], for the setting that cannot be used.
    pub(super) fn open(settings: &HttpSettings) -> Result<Self, HttpError> {
        Self::with_deadline(settings, DEADLINE)
    }

    /// The body of the request for a message.
    #[cfg(test)]
    pub(super) fn body(&self, message: &Message) -> Vec<u8> {
        let request = self.shape.request(message);
        request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec()
    }

    fn with_deadline(
        settings: &HttpSettings,
        deadline: std::time::Duration,
    ) -> Result<Self, HttpError> {
        let shape = Shape::new(settings)?;
        let client = Client::open(&shape.url, settings.ca_file.as_deref(), deadline)?;
        Ok(Self { client, shape })
    }
}

impl Gateway for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    /// Calls need a body that says how the message goes; without, every message is a text.
    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.shape.body.has_channel(),
        }
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let redactor = Redactor::new(message, &self.shape.secrets);
            match self.client.send(self.shape.request(message)).await {
                Ok(reply) => self.shape.outcome(&reply, &redactor),
                Err(failure) => reply::without_reply(&failure, &redactor),
            }
        })
    }
}

impl Shape {
    fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        if template::has_placeholder(&settings.url) {
            return Err(HttpError::UrlPlaceholder);
        }
        let url = parse_url(&settings.url)?;
        let method = match settings.method.to_ascii_uppercase().as_str() {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => return Err(HttpError::Method(settings.method.clone())),
        };
        let headers = headers(&settings.headers)?;
        let escape = headers.get(CONTENT_TYPE).map_or(Escape::Raw, Escape::of);
        let body = Template::new(&settings.body, escape);
        if !body.is_complete() {
            return Err(HttpError::BodyIncomplete);
        }
        if escape == Escape::Json && !body.makes_json() {
            return Err(HttpError::BodyNotJson);
        }
        if let Some(status) = settings.success_status.iter().find(|s| !(200..=299).contains(*s)) {
            return Err(HttpError::SuccessStatus(*status));
        }
        match settings.id_pointer.as_deref() {
            Some(pointer) if !pointer.starts_with('/') => {
                return Err(HttpError::IdPointer(pointer.to_owned()));
            }
            Some(_) | None => {}
        }
        Ok(Self {
            method,
            secrets: secrets(&settings.headers, &url, &body),
            url,
            headers,
            body,
            success: settings.success_status.clone(),
            id_pointer: settings.id_pointer.clone(),
        })
    }

    fn request(&self, message: &Message) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        request.headers_mut().clone_from(&self.headers);
        let body = self.body.fill(message.to.expose(), &message.text, message.channel);
        *request.body_mut() = Some(wiped(body));
        request
    }

    fn outcome(&self, reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
        let accepted = match self.success.as_slice() {
            [] => (200..=299).contains(&reply.status),
            listed => listed.contains(&reply.status),
        };
        if accepted {
            let vendor_id = self.id_pointer.as_deref().and_then(|at| reply::id(reply, at));
            Outcome::Accepted { vendor_id }
        } else {
            reply::by_status(reply, redactor)
        }
    }
}

/// The headers, with JSON as the content type unless another is named.
fn headers(named: &[(String, Zeroizing<String>)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let wrong = || HttpError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(key != CONTENT_TYPE);
        headers.append(key, value);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// What replies must not bring into a log: every header value but those that hold no key, and what
/// looks like a key in the URL and in the body, where vendors want keys too.
fn secrets(
    named: &[(String, Zeroizing<String>)],
    url: &Url,
    body: &Template,
) -> Vec<Zeroizing<String>> {
    let open = ["accept", "content-type", "user-agent"];
    let hidden = named.iter().filter(|(name, _)| !open.contains(&&*name.to_ascii_lowercase()));
    let headers = hidden.map(|(_, value)| value.clone());
    // A reply may repeat a value as it was sent or as it is meant.
    let raw = [url.path(), url.query().unwrap_or_default()];
    let meant = url.query_pairs().map(|(_, value)| Zeroizing::new(value.into_owned()));
    let meant = meant.filter(|value| looks_secret(value));
    let literals = raw.into_iter().chain(body.literals());
    let words = literals.flat_map(|text| text.split(|c: char| !is_of_a_key(c)));
    let written =
        words.filter(|word| looks_secret(word)).map(|word| Zeroizing::new(word.to_owned()));
    headers.chain(meant).chain(written).collect()
}

/// Characters that keys are made of, base64 and hexadecimal among them.
fn is_of_a_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.~+%".contains(c)
}

/// Whether a word is more than the name of a field, such as `phoneNumber`, which a reason needs: as
/// long as a key, and with digits in it or more letters in a row than words have.
fn looks_secret(word: &str) -> bool {
    let digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let long = word.split(|c: char| !c.is_ascii_alphabetic()).any(|letters| letters.len() >= 20);
    word.len() >= 8 && (digit || long)
}

#[cfg(test)]
mod tests;
