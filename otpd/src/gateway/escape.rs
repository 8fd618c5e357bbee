//! Values in requests and documents: written so that they stay values.

use std::fmt::Write as _;

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

/// How values are written so that they stay values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As the inside of a JSON string.
    Json,
    /// Percent-encoded.
    Form,
    /// As XML character data, fit for attributes too.
    Xml,
    /// As they are.
    Raw,
}

impl Escape {
    /// The escape for a content type.
    pub(super) fn of(content_type: &HeaderValue) -> Self {
        let text = content_type.to_str().unwrap_or_default();
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/json" => Self::Json,
            "application/xml" | "text/xml" => Self::Xml,
            _ if kind.ends_with("+json") => Self::Json,
            _ if kind.ends_with("+xml") => Self::Xml,
            _ => Self::Raw,
        }
    }

    /// A value, escaped.
    pub(super) fn apply(self, value: &str) -> Zeroizing<String> {
        if self == Self::Json {
            // Room for the longest escape here too.
            let mut quoted = Zeroizing::new(Vec::with_capacity(value.len() * 6 + 2));
            let written = serde_json::to_writer(&mut *quoted, value);
            let text = written.ok().and_then(|()| str::from_utf8(&quoted).ok()).unwrap_or_default();
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            return Zeroizing::new(inner.unwrap_or_default().to_owned());
        }
        // Room for the longest escape: a string that grows leaves unwiped copies behind.
        let mut escaped = Zeroizing::new(String::with_capacity(value.len() * 6));
        for character in value.chars() {
            match self {
                Self::Form => form(character, &mut escaped),
                Self::Xml => xml(character, &mut escaped),
                Self::Json | Self::Raw => escaped.push(character),
            }
        }
        escaped
    }
}

fn form(character: char, into: &mut String) {
    let mut utf8 = [0; 4];
    for byte in character.encode_utf8(&mut utf8).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                into.push(char::from(byte));
            }
            _ => {
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

fn xml(character: char, into: &mut String) {
    match character {
        '&' => into.push_str("&amp;"),
        '<' => into.push_str("&lt;"),
        '>' => into.push_str("&gt;"),
        '"' => into.push_str("&quot;"),
        '\'' => into.push_str("&#39;"),
        // XML 1.0 has no way to write these, and a document with one is no document.
        '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {}
        c => into.push(c),
    }
}
