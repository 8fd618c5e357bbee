//! `[gateway.NAME]` with `kind = "plivo"`.

use super::{
    errors::quote,
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{check_sender, read_base_url, read_key},
};
use crate::gateway::settings::PlivoSettings;

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls, `answers` that a vendor can fetch their words by `[http]`.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
    answers: bool,
) -> Option<PlivoSettings> {
    let phlo = section.place_of("phlo-id").offset.is_some();
    if voice && !answers && !phlo {
        let found = "is \"plivo\", and the gateway is in delivery.voice";
        let expected = "[http] with `listen` and `public-url`, where Plivo fetches what a call \
                        says, or a phlo-id";
        let remedy = "add [http] or a phlo-id, or remove it from delivery.voice";
        section.error(&section.place_of("kind"), found, expected, remedy);
    }
    let auth_id = read_auth_id(&mut section);
    let auth_token =
        read_key(&mut section, folders, "auth-token-file", "auth token", "plivo.token");
    let from = read_from(&mut section, voice, phlo);
    let phlo_id = read_phlo_id(&mut section);
    let base_url = read_base_url(&mut section, if phlo { PHLO_URL } else { BASE_URL });
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(PlivoSettings {
        base_url: base_url?,
        auth_id: auth_id?,
        auth_token: auth_token?,
        from,
        phlo_id,
        ca_file,
    })
}

/// The account: `MA`, or `SA` of a subaccount, and 18 letters and digits.
fn read_auth_id(section: &mut Section<'_>) -> Option<String> {
    let Some(text) = section.text("auth-id") else {
        missing(section, "auth-id", "the account's auth ID", "auth-id = \"MA…\"");
        return None;
    };
    let plain = text.value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let begins = text.value.starts_with("MA") || text.value.starts_with("SA");
    if text.value.len() != 20 || !plain || !begins {
        // Not shown: it may be the token, which stands beside it in the console.
        let expected = "20 capital letters and digits that begin with MA or SA";
        section.error(&text.place, "is no auth ID", expected, "copy it from Plivo's console");
        return None;
    }
    Some(text.value.to_owned())
}

/// The sender. A PHLO may have its own.
fn read_from(section: &mut Section<'_>, voice: bool, phlo: bool) -> Option<String> {
    let Some(text) = section.text("from") else {
        if !phlo {
            let expected = "the number that sends, or a phlo-id whose flow has one";
            missing(section, "from", expected, "from = \"+13125550123\"");
        }
        return None;
    };
    check_sender(section, &text, voice);
    Some(text.value.to_owned())
}

/// The flow to send through.
fn read_phlo_id(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("phlo-id")?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(8..=64).contains(&text.value.len()) || !text.value.bytes().all(inside) {
        let found = format!("is {}", quote(text.value));
        let expected = "the flow's ID, like 16fd2706-8baf-433b-82eb-8c7fada847da";
        section.error(&text.place, found, expected, "copy it from the PHLO in Plivo's console");
    }
    Some(text.value.to_owned())
}

/// Where Plivo's API is.
const BASE_URL: &str = "https://api.plivo.com";
/// Where PHLOs run.
const PHLO_URL: &str = "https://phlorunner.plivo.com";
