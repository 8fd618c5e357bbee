//! `[gateway.NAME]` with `kind = "telnyx"`.

use super::{
    delivery::Delivery,
    errors::quote,
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{check_key_press, check_sender, is_name, is_uuid, read_base_url, read_key},
};
use crate::gateway::{
    callback::telnyx::PublicKey,
    settings::{TelnyxSettings, TexmlSettings},
};

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
) -> Option<TelnyxSettings> {
    let base_url = read_base_url(&mut section, BASE_URL);
    let profile = read_profile(&mut section);
    let from = read_from(&mut section, profile.is_some(), voice);
    let texml = read_texml(&mut section, voice);
    let api_key = read_key(&mut section, folders, "api-key-file", "API key", "telnyx.key");
    let webhook_public_key = read_public_key(&mut section);
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(TelnyxSettings {
        base_url: base_url?,
        from,
        messaging_profile_id: profile,
        webhook_public_key,
        api_key: api_key?,
        texml,
        ca_file,
    })
}

/// Against calls that cannot ask for a key press: without `[http]`, and without the key that proves
/// that it is Telnyx who fetches what a call says.
pub(super) fn check_calls(section: &Section<'_>, delivery: &Delivery, answers: bool) {
    let key = section.place_of("webhook-public-key");
    if !answers || key.offset.is_some() {
        check_key_press(section, delivery, answers);
    } else if delivery.voice_without_key_press {
        let text = "says codes to whoever answers, and to voicemail: without webhook-public-key no \
                    call asks for a key press";
        section.warn(&section.place, text);
    } else {
        let found = "is missing, and the gateway is in delivery.voice";
        let expected = "Telnyx's public key: without it nobody can tell who fetches what a call \
                        says, and no call can ask for a key press";
        let remedy = "copy it from Telnyx's portal, or accept that with \
                      delivery.voice-without-key-press = true";
        section.error(&key, found, expected, remedy);
    }
}

/// The sender. Names need a profile: Telnyx asks for it. Calls need a number.
fn read_from(section: &mut Section<'_>, profile: bool, voice: bool) -> Option<String> {
    let Some(text) = section.text("from") else {
        if voice {
            let expected = "the number that calls, since the gateway is in delivery.voice";
            missing(section, "from", expected, "from = \"+13125550123\"");
        } else if !profile && section.place_of("messaging-profile-id").offset.is_none() {
            let expected = "the sender's number, or a messaging-profile-id that has numbers";
            missing(section, "from", expected, "from = \"+13125550123\"");
        }
        return None;
    };
    if check_sender(section, &text, voice) && is_name(text.value) && !profile {
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

/// What calls need: both keys or none.
fn read_texml(section: &mut Section<'_>, voice: bool) -> Option<TexmlSettings> {
    let application = section.text("texml-application-id");
    let account = section.text("texml-account-sid");
    if voice || application.is_some() || account.is_some() {
        if application.is_none() {
            let expected = "the TeXML application that calls belong to, by its ID in the portal";
            let example = "texml-application-id = \"1293384261075731499\"";
            missing(section, "texml-application-id", expected, example);
        }
        if account.is_none() {
            let expected = "the account that calls belong to, by its organization's ID";
            let example = "texml-account-sid = \"61bf923e-5e4d-4595-a110-56190ea18a1b\"";
            missing(section, "texml-account-sid", expected, example);
        }
    }
    let (application, account) = (application?, account?);
    let digits = application.value.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=32).contains(&application.value.len()) || !digits {
        let found = format!("is {}", quote(application.value));
        let expected = "a number like 1293384261075731499";
        section.error(&application.place, found, expected, "copy it from Telnyx's portal");
    }
    if !is_uuid(account.value) {
        let found = format!("is {}", quote(account.value));
        let expected = "a UUID like 61bf923e-5e4d-4595-a110-56190ea18a1b";
        section.error(&account.place, found, expected, "copy it from Telnyx's portal");
    }
    Some(TexmlSettings {
        application_sid: application.value.to_owned(),
        account_sid: account.value.to_owned(),
    })
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
