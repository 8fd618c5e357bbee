//! `[gateway.NAME]` with `kind = "telnyx"`.

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::{
    errors::quote,
    files::Folders,
    http::{address, blame, missing, read_ca_file},
    raw::{Section, Text},
};
use crate::{domain::phone::E164, gateway::settings::TelnyxSettings};

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
) -> Option<TelnyxSettings> {
    if voice {
        let found = "is \"telnyx\", and the gateway is in delivery.voice";
        let expected =
            "a kind that calls, since this one carries text messages only in this version";
        section.error(&section.place_of("kind"), found, expected, "remove it from delivery.voice");
    }
    let base_url = read_base_url(&mut section);
    let profile = read_profile(&mut section);
    let from = read_from(&mut section, profile.is_some());
    let api_key = read_key(&mut section, folders);
    let ca_file = read_ca_file(&mut section, folders);
    for key in LATER {
        section.not_yet(key, "keys of text messages whose arrival otpd asks for");
    }
    section.finish();
    Some(TelnyxSettings {
        base_url: base_url?,
        from,
        messaging_profile_id: profile,
        api_key: api_key?,
        ca_file,
    })
}

fn read_base_url(section: &mut Section<'_>) -> Option<String> {
    let Some(text) = section.text("base-url") else { return Some(BASE_URL.to_owned()) };
    let url = address(section, &text)?;
    if url.query().is_some() || url.fragment().is_some() {
        let remedy = format!("end it before the `?` or `#`, or remove the line for {BASE_URL}");
        section.error(&text.place, "has more than a path", "the address of the API", remedy);
        return None;
    }
    Some(text.value.to_owned())
}

/// The sender. Names need a profile: Telnyx asks for it.
fn read_from(section: &mut Section<'_>, profile: bool) -> Option<String> {
    let Some(text) = section.text("from") else {
        if !profile && section.place_of("messaging-profile-id").offset.is_none() {
            let expected = "the sender's number, or a messaging-profile-id that has numbers";
            missing(section, "from", expected, "from = \"+13125550123\"");
        }
        return None;
    };
    let name = is_name(text.value);
    if !name && !is_number(&text) {
        let found = format!("is {}", quote(text.value));
        let expected = "a number like +13125550123, a short code or a name of up to 11 letters";
        section.error(&text.place, found, expected, "correct it");
    } else if name && !profile {
        let expected = "a messaging-profile-id beside it";
        let remedy = "add messaging-profile-id, or send from a number";
        section.error(&text.place, "is a name", expected, remedy);
    }
    Some(text.value.to_owned())
}

fn is_number(text: &Text<'_>) -> bool {
    let short = (3..=8).contains(&text.value.len());
    text.value.parse::<E164>().is_ok() || (short && text.value.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters, digits and spaces, and at least one letter (GSM's sender by name).
fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    let some = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    (1..=11).contains(&text.len()) && letters && some && text.trim() == text
}

fn read_profile(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("messaging-profile-id")?;
    let groups: Vec<usize> = text.value.split('-').map(str::len).collect();
    let hexadecimal = text.value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if groups != [8, 4, 4, 4, 12] || !hexadecimal {
        let found = format!("is {}", quote(text.value));
        let expected = "a UUID like 16fd2706-8baf-433b-82eb-8c7fada847da";
        section.error(&text.place, found, expected, "copy it from Telnyx's portal");
    }
    Some(text.value.to_owned())
}

/// The key; never shown.
fn read_key(section: &mut Section<'_>, folders: Folders<'_>) -> Option<Zeroizing<String>> {
    let Some(text) = section.text("api-key-file") else {
        let expected = "the file that holds the API key";
        missing(section, "api-key-file", expected, "api-key-file = \"telnyx.key\"");
        return None;
    };
    match folders.secret(text.value) {
        Ok(key) if HeaderValue::from_str(&key).is_ok() && !key.contains(char::is_whitespace) => {
            return Some(key);
        }
        Ok(_) => {
            let found = "names a file with more than a key in it";
            let expected = "the API key and nothing else";
            section.error(&text.place, found, expected, "copy the key again");
        }
        Err(trouble) => blame(section, &text.place, trouble),
    }
    None
}

/// Where Telnyx's API is.
const BASE_URL: &str = "https://api.telnyx.com";
/// Keys of what a later version does: receipts and calls.
const LATER: &[&str] = &["texml-account-sid", "texml-application-id", "webhook-public-key"];
