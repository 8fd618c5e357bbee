//! `[gateway.NAME]` with `kind = "twilio"`.

use super::{
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{check_sender, read_base_url, read_key},
};
use crate::gateway::settings::TwilioSettings;

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
) -> Option<TwilioSettings> {
    let base_url = read_base_url(&mut section, BASE_URL);
    let account_sid = read_sid(&mut section, "account-sid", "AC");
    if account_sid.is_none() {
        let example = "account-sid = \"AC…\"";
        missing(&section, "account-sid", "the account's SID, from Twilio's console", example);
    }
    let auth_token =
        read_key(&mut section, folders, "auth-token-file", "auth token", "twilio.token");
    let service = read_sid(&mut section, "messaging-service-sid", "MG");
    let from = read_from(&mut section, voice);
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(TwilioSettings {
        base_url: base_url?,
        account_sid: account_sid?,
        auth_token: auth_token?,
        from,
        messaging_service_sid: service,
        ca_file,
    })
}

/// The sender. A service has numbers of its own for text messages, but not for calls.
fn read_from(section: &mut Section<'_>, voice: bool) -> Option<String> {
    let Some(text) = section.text("from") else {
        let service = section.place_of("messaging-service-sid").offset.is_some();
        if voice {
            let expected = "the number that calls, since the gateway is in delivery.voice";
            missing(section, "from", expected, "from = \"+13125550123\"");
        } else if !service {
            let expected = "the sender's number, or a messaging-service-sid that has numbers";
            missing(section, "from", expected, "from = \"+13125550123\"");
        }
        return None;
    };
    check_sender(section, &text, voice);
    Some(text.value.to_owned())
}

/// Twilio's name for something: two letters, which say what it is, and 32 hexadecimal digits.
fn read_sid(section: &mut Section<'_>, key: &'static str, letters: &str) -> Option<String> {
    let text = section.text(key)?;
    let digits = text.value.strip_prefix(letters).unwrap_or_default();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Not shown: the token beside it in the console has the same look without the letters.
        let expected = format!("{letters} and 32 hexadecimal digits");
        section.error(&text.place, "is no SID", expected, "copy it from Twilio's console");
        return None;
    }
    Some(text.value.to_owned())
}

/// Where Twilio's API is.
const BASE_URL: &str = "https://api.twilio.com";
