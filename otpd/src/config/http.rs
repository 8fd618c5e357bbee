//! `[gateway.NAME]` with `kind = "http"`.

use std::{net::IpAddr, path::PathBuf};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use toml::de::DeValue;
use zeroize::Zeroizing;

use super::{
    errors::{Place, quote},
    files::{Folders, Trouble},
    raw::{Section, Text},
};
use crate::gateway::settings::HttpSettings;

/// Reads the table; none when something that cannot be done without is wrong. `both` says that
/// the gateway is to carry text messages and calls.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    both: bool,
) -> Option<HttpSettings> {
    let url = read_url(&mut section);
    let method = section
        .choice("method", &[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH")], "POST")
        .to_owned();
    let headers = read_headers(&mut section, folders);
    let body = read_body(&mut section, &headers, both);
    let success_status = section.numbers("success-status", 200..=299, "[200, 202]");
    let id_pointer = section.text("id-pointer").and_then(|text| {
        if is_pointer(text.value) {
            return Some(text.value.to_owned());
        }
        let found = format!("is {}", quote(text.value));
        let remedy = "write it like \"/data/id\", or remove the line";
        section.error(&text.place, found, "a JSON pointer (RFC 6901)", remedy);
        None
    });
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(HttpSettings {
        url: url?,
        method,
        headers,
        body: body?,
        success_status,
        id_pointer,
        ca_file,
    })
}

/// A further certificate authority.
pub(super) fn read_ca_file(section: &mut Section<'_>, folders: Folders<'_>) -> Option<PathBuf> {
    let text = section.text("ca-file")?;
    match folders.certificates(text.value) {
        Ok(path) => Some(path),
        Err(trouble) => {
            blame(section, &text.place, trouble);
            None
        }
    }
}

fn read_url(section: &mut Section<'_>) -> Option<String> {
    let Some(text) = section.text("url") else {
        missing(section, "url", "the address that requests go to", "url = \"https://…\"");
        return None;
    };
    address(section, &text).map(|_| text.value.to_owned())
}

/// The address, if requests with keys and codes may go there. It is not shown in errors: it may
/// hold a key.
pub(super) fn address(section: &Section<'_>, text: &Text<'_>) -> Option<Url> {
    let expected = "an https address";
    let refuse = |found: &str, remedy: &str| {
        section.error(&text.place, found, expected, remedy);
        None
    };
    let Ok(url) = Url::parse(text.value) else {
        return refuse("is no URL", "write it like https://sms.example.com/send");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has a user or password in it", "send them in an Authorization header");
    }
    if ["{to}", "{text}", "{channel}"].iter().any(|place| text.value.contains(place)) {
        return refuse("has a placeholder in it", "placeholders are filled in the body only");
    }
    let loopback = url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            let remedy = "use https; plain http goes to a loopback address only, like \
                          http://127.0.0.1:8080/";
            return refuse("is plain http to another machine", remedy);
        }
        _ => return refuse("is neither https nor http", "write it like https://…"),
    }
    Some(url)
}

fn read_body(
    section: &mut Section<'_>,
    headers: &[(String, Zeroizing<String>)],
    both: bool,
) -> Option<String> {
    let example = "body = '{\"to\":\"{to}\",\"text\":\"{text}\"}'";
    let expected = "a text with {to} and {text}";
    let Some(text) = section.text("body") else {
        missing(section, "body", expected, example);
        return None;
    };
    let absent: Vec<&str> =
        ["{to}", "{text}"].into_iter().filter(|place| !text.value.contains(place)).collect();
    if !absent.is_empty() {
        let found = format!("has no {}", absent.join(" and no "));
        section.error(&text.place, found, expected, format!("write it like {example}"));
        return None;
    }
    if both && !text.value.contains("{channel}") {
        let found = "has no {channel}, and the gateway is in delivery.sms and delivery.voice";
        let remedy = "add {channel}, or configure a second gateway for calls";
        section.error(&text.place, found, "a text that tells calls from text messages", remedy);
    }
    let json = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value.to_ascii_lowercase().contains("json")
    });
    let filled = text.value.replace("{to}", "0").replace("{text}", "0").replace("{channel}", "0");
    if json && serde_json::from_str::<serde::de::IgnoredAny>(&filled).is_err() {
        let found = "is no JSON, as the Content-Type header says it is";
        section.error(&text.place, found, "JSON", format!("write it like {example}"));
    }
    Some(text.value.to_owned())
}

/// Names and values; values are never shown.
fn read_headers(
    section: &mut Section<'_>,
    folders: Folders<'_>,
) -> Vec<(String, Zeroizing<String>)> {
    let mut headers: Vec<(String, Zeroizing<String>)> = Vec::new();
    for (name, value) in section.entries("headers") {
        check_header_name(section, &name, &headers);
        let Some(value) = header_value(section, &name, value, folders) else { continue };
        if HeaderValue::from_str(&value).is_err() {
            let found = "holds characters that no header can have";
            let expected = "one line of printable ASCII characters";
            section.error(&name.place, found, expected, "correct it");
            continue;
        }
        headers.push((name.value.to_owned(), value));
    }
    headers
}

fn check_header_name(
    section: &Section<'_>,
    name: &Text<'_>,
    before: &[(String, Zeroizing<String>)],
) {
    let Ok(header) = HeaderName::try_from(name.value) else {
        let expected = "letters, digits and dashes";
        section.error(&name.place, "is no header's name", expected, "correct the name");
        return;
    };
    if OURS.contains(&header.as_str()) {
        let expected = "headers that depend on the gateway only";
        section.error(&name.place, "is set by otpd itself", expected, "remove it");
    }
    if before.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.value)) {
        let expected = "every header once, whatever its capitals";
        section.error(&name.place, "comes twice", expected, "remove one of them");
    }
}

fn header_value(
    section: &Section<'_>,
    name: &Text<'_>,
    value: &DeValue<'_>,
    folders: Folders<'_>,
) -> Option<Zeroizing<String>> {
    let expected = "text, or { file = \"NAME\" }";
    if let Some(text) = value.as_str() {
        let lower = name.value.to_ascii_lowercase();
        if KEYS.iter().any(|word| lower.contains(word)) {
            let text = "is in the configuration itself: keep it in a file of its own, as \
                        { file = \"NAME\" }";
            section.warn(&name.place, text);
        }
        return Some(Zeroizing::new(text.to_owned()));
    }
    let Some(table) = value.as_table() else {
        section.wrong_type(&name.place, value, expected, "write the value in quotes");
        return None;
    };
    let file = table.get("file").and_then(|file| file.get_ref().as_str());
    let (Some(file), 1) = (file, table.len()) else {
        let remedy = "write { file = \"NAME\" } and nothing else in the braces";
        section.error(&name.place, "is a table of another form", expected, remedy);
        return None;
    };
    match folders.secret(file) {
        Ok(secret) => Some(secret),
        Err(trouble) => {
            blame(section, &name.place, trouble);
            None
        }
    }
}

/// Says what is wrong with a file that a key names.
pub(super) fn blame(section: &Section<'_>, place: &Place, trouble: Trouble) {
    section.error(place, trouble.found, trouble.expected, trouble.remedy);
}

/// Says that a key is missing that cannot be done without.
pub(super) fn missing(section: &Section<'_>, key: &str, expected: &str, example: &str) {
    let place = section.place_of(key);
    // A value of the wrong type was reported when it was read.
    if place.offset.is_none() {
        section.error(&place, "is missing", expected, format!("add {example}"));
    }
}

fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.starts_with('/') && escapes
}

/// Headers that belong to the connection or to the request's form.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the names of headers that carry keys have in them.
const KEYS: &[&str] = &["auth", "cookie", "key", "pass", "secret", "signature", "token"];
