//! `[gateway.NAME]` with `kind = "telnyx"`.

use super::{
    errors::quote,
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{is_name, is_number, is_uuid, read_base_url, read_key},
};
use crate::gateway::{callback::telnyx::PublicKey, settings::TelnyxSettings};

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
    let base_url = read_base_url(&mut section, BASE_URL);
    let profile = read_profile(&mut section);
    let from = read_from(&mut section, profile.is_some());
    let api_key = read_key(&mut section, folders, "api-key-file", "API key", "telnyx.key");
    let webhook_public_key = read_public_key(&mut section);
    let ca_file = read_ca_file(&mut section, folders);
    for key in LATER {
        section.not_yet(key, "keys of text messages whose arrival otpd asks for");
    }
    section.finish();
    Some(TelnyxSettings {
        base_url: base_url?,
        from,
        messaging_profile_id: profile,
        webhook_public_key,
        api_key: api_key?,
        ca_file,
    })
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
    if !name && !is_number(text.value) {
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

fn read_profile(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("messaging-profile-id")?;
    if !is_uuid(text.value) {
        let found = format!("is {}", quote(text.value));
        let expected = "a UUID like 16fd2706-8baf-433b-82eb-8c7fada847da";
        section.error(&text.place, found, expected, "copy it from Telnyx's portal");
    }
    Some(text.value.to_owned())
}

fn read_public_key(section: &mut Section<'_>) -> Option<PublicKey> {
    let text = section.text("webhook-public-key")?;
    let key = PublicKey::parse(text.value);
    if key.is_none() {
        let expected = "32 bytes in base64, like in Telnyx's portal under Keys & Credentials";
        section.error(&text.place, "is no public key", expected, "copy the public key again");
    }
    key
}

/// Where Telnyx's API is.
const BASE_URL: &str = "https://api.telnyx.com";
/// Keys of what a later version does: receipts and calls.
const LATER: &[&str] = &["texml-account-sid", "texml-application-id"];
