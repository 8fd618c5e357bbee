//! A request as it came, and the reply to it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, Method, body::Bytes};
use serde_json::{Map, Value};

/// The fields of a form, in order.
pub(super) type Form = Vec<(String, String)>;

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A request to a vendor.
pub(super) struct Asked {
    /// Its method.
    pub method: Method,
    /// The path, without the prefix that names the vendor.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Asked {
    /// The parts of the path; after a slash at its end the last one is empty.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').skip(1).collect()
    }

    /// A header as text; empty when there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type, in lower case and without its parameters.
    pub(super) fn media_type(&self) -> String {
        let whole = self.header("content-type");
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether it is authenticated as this user.
    pub(super) fn is_from(&self, user: &str, password: &str) -> bool {
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.header("authorization") == expected
    }

    /// All that was sent, credentials as they came and decoded.
    pub(super) fn echo(&self) -> String {
        let credentials = self.header("authorization");
        let basic = credentials.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let pair = String::from_utf8(basic.unwrap_or_default()).unwrap_or_default();
        let body = String::from_utf8_lossy(&self.body);
        format!("{credentials} {pair} {} {body}", self.path)
    }

    /// The body as a form; `None` when it says that it is something else.
    pub(super) fn form(&self) -> Option<Form> {
        (self.media_type() == FORM)
            .then(|| form_urlencoded::parse(&self.body).into_owned().collect())
    }

    /// The body as a JSON object.
    pub(super) fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A field of a form; `None` when it is not there.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A form as a body.
pub(super) fn encode(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A form of these fields.
pub(super) fn fields<const N: usize>(pairs: [(&str, &str); N]) -> Form {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A reply.
#[derive(Clone)]
pub(super) struct Reply {
    /// The status.
    pub status: u16,
    /// Content type.
    pub media: String,
    /// Further headers.
    pub headers: Form,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A reply in JSON.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// A reply of any kind.
    pub(super) fn new(status: u16, media: &str, body: impl Into<String>) -> Self {
        Self { status, media: media.to_owned(), headers: Form::new(), body: body.into() }
    }

    /// With one header more.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Whether it is a success.
    pub(super) fn is_good(&self) -> bool {
        (200..=299).contains(&self.status)
    }
}

/// Whether a text is a number in E.164 form: a plus and 7 to 15 digits, the first not 0.
pub(super) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// A number with or without its plus, in E.164 form; `None` when it is no number.
pub(super) fn with_plus(text: &str) -> Option<String> {
    let number = format!("+{}", text.strip_prefix('+').unwrap_or(text));
    is_e164(&number).then_some(number)
}

/// The string under a name of a JSON object; `None` when it is none or is not there.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}
