//! What the tables of the vendors' kinds share.

use reqwest::header::HeaderValue;

use super::{
    delivery::Delivery,
    errors::quote,
    files::Folders,
    http::{address, blame, missing},
    raw::{Section, Text},
};
use crate::{domain::phone::E164, gateway::settings::Key};

/// The address of the API. `default` is the vendor's own.
pub(super) fn read_base_url(section: &mut Section<'_>, default: &str) -> Option<String> {
    let Some(text) = section.text("base-url") else { return Some(default.to_owned()) };
    let url = address(section, &text)?;
    if url.query().is_some() || url.fragment().is_some() {
        let remedy = format!("end it before the `?` or `#`, or remove the line for {default}");
        section.error(&text.place, "has more than a path", "the address of the API", remedy);
        return None;
    }
    Some(text.value.to_owned())
}

/// The secret in the file that `name` names; never shown. `what` is the vendor's word for it, and
/// `example` a name for the file.
pub(super) fn read_key(
    section: &mut Section<'_>,
    folders: Folders<'_>,
    name: &'static str,
    what: &str,
    example: &str,
) -> Option<Key> {
    let Some(text) = section.text(name) else {
        let expected = format!("the file that holds the {what}");
        missing(section, name, &expected, &format!("{name} = \"{example}\""));
        return None;
    };
    match folders.secret(text.value) {
        Ok(secret) if is_one_word(&secret) => {
            return Some(Key { secret, file: text.value.to_owned() });
        }
        Ok(_) => {
            let found = format!("names a file with more than the {what} in it");
            let expected = format!("the {what} and nothing else");
            section.error(&text.place, found, expected, format!("copy the {what} again"));
        }
        Err(trouble) => blame(section, &text.place, trouble),
    }
    None
}

/// One that a header can carry.
fn is_one_word(secret: &str) -> bool {
    HeaderValue::from_str(secret).is_ok() && !secret.contains(char::is_whitespace)
}

/// Against calls that say the code to a voicemail, unless the site wants that: a key press is asked
/// for only where the vendor can fetch what a call says. For kinds whose calls need no `[http]`.
pub(super) fn check_key_press(section: &Section<'_>, delivery: &Delivery, answers: bool) {
    if answers {
        return;
    }
    if delivery.voice_without_key_press {
        let text = "says codes to whoever answers, and to voicemail: without [http] no call asks \
                    for a key press";
        section.warn(&section.place, text);
        return;
    }
    let found = "is in delivery.voice, and without [http] its calls cannot ask for a key press";
    let expected = "[http] with `listen` and `public-url`, so that no voicemail hears a code";
    let remedy = "add [http], or accept it with delivery.voice-without-key-press = true";
    section.error(&section.place, found, expected, remedy);
}

/// Who sends, as it is written: a number, a short code or a name, or for calls a number. False when
/// it is none of these, which is an error of the section then.
pub(super) fn check_sender(section: &mut Section<'_>, text: &Text<'_>, voice: bool) -> bool {
    let (expected, remedy) = if !is_number(text.value) && !is_name(text.value) {
        ("a number like +13125550123, a short code or a name of up to 11 letters", "correct it")
    } else if voice && text.value.parse::<E164>().is_err() {
        (
            "a number like +13125550123, since the gateway is in delivery.voice",
            "write a number, or configure a second gateway for calls",
        )
    } else {
        return true;
    };
    section.error(&text.place, format!("is {}", quote(text.value)), expected, remedy);
    false
}

/// A telephone number or a short code.
pub(super) fn is_number(text: &str) -> bool {
    let short = (3..=8).contains(&text.len());
    text.parse::<E164>().is_ok() || (short && text.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters, digits and spaces, and at least one letter (GSM's sender by name).
pub(super) fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    let some = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    (1..=11).contains(&text.len()) && letters && some && text.trim() == text
}

/// 32 hexadecimal digits in groups.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    groups == [8, 4, 4, 4, 12] && digits
}
