//! `[gateway.NAME]` with `kind = "signalwire"`.

use super::{
    errors::quote,
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{is_number, is_uuid, read_base_url, read_key},
};
use crate::{
    domain::phone::E164,
    gateway::settings::{Key, SignalWireSettings},
};

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls, `answers` that a vendor can fetch their words by `[http]`.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
    answers: bool,
) -> Option<SignalWireSettings> {
    if voice && !answers {
        let found = "is \"signalwire\", and the gateway is in delivery.voice";
        let expected = "[http] with `listen` and `public-url`, where SignalWire fetches what a \
                        call says";
        let remedy = "add [http], or remove it from delivery.voice";
        section.error(&section.place_of("kind"), found, expected, remedy);
    }
    let base_url = read_base(&mut section);
    let project_id = read_project(&mut section);
    let api_token =
        read_key(&mut section, folders, "api-token-file", "API token", "signalwire.token");
    let signing_key = read_signing_key(&mut section, folders, voice);
    let from = read_from(&mut section, voice);
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(SignalWireSettings {
        base_url: base_url?,
        project_id: project_id?,
        api_token: api_token?,
        signing_key,
        from: from?,
        ca_file,
    })
}

/// Every other vendor of texts keeps to a STOP by itself: here nobody does who does not hear it.
/// `answers` says that vendors reach this daemon.
pub(super) fn check_stop(section: &Section<'_>, answers: bool) {
    let signed = section.place_of("signing-key-file").offset.is_some();
    if !(answers && signed) {
        let text = "sends texts, and nobody hears it when somebody replies STOP, which SignalWire \
                    leaves to you: add signing-key-file and [http] with `listen` and `public-url`, \
                    and have SignalWire send the number's inbound messages to /receipts/NAME";
        section.warn(&section.place, text);
    }
}

/// Where the space is: by its name, unless `base-url` says it in full.
fn read_base(section: &mut Section<'_>) -> Option<String> {
    let space = section.text("space");
    if section.place_of("base-url").offset.is_some() {
        if let Some(space) = &space {
            let expected = "either of them";
            section.error(&space.place, "stands beside base-url", expected, "remove one of them");
        }
        return read_base_url(section, "the space's own");
    }
    // Known, although it is not there.
    let _ = section.text("base-url");
    let Some(space) = space else {
        let expected = "the name of your space, as in NAME.signalwire.com";
        missing(section, "space", expected, "space = \"example\"");
        return None;
    };
    let host = space.value.to_ascii_lowercase();
    let name = host.strip_suffix(DOMAIN).unwrap_or(&host);
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(inside) {
        let found = format!("is {}", quote(space.value));
        let expected = "\"example\" or \"example.signalwire.com\", without https:// or a path";
        section.error(&space.place, found, expected, "copy it from SignalWire's dashboard");
        return None;
    }
    Some(format!("https://{name}{DOMAIN}"))
}

fn read_project(section: &mut Section<'_>) -> Option<String> {
    let Some(text) = section.text("project-id") else {
        let expected = "the project's ID, from SignalWire's dashboard";
        missing(section, "project-id", expected, "project-id = \"16fd2706-…\"");
        return None;
    };
    if !is_uuid(text.value) {
        // Not shown: it may be a token, which stands beside it in the dashboard.
        let expected = "a UUID like 16fd2706-8baf-433b-82eb-8c7fada847da";
        let remedy = "copy it from SignalWire's dashboard";
        section.error(&text.place, "is no project ID", expected, remedy);
        return None;
    }
    Some(text.value.to_owned())
}

/// The key that proves who fetches and who tells. Without it nothing is heard, and no call can say
/// anything.
fn read_signing_key(section: &mut Section<'_>, folders: Folders<'_>, voice: bool) -> Option<Key> {
    let there = section.place_of("signing-key-file").offset.is_some();
    if voice || there {
        return read_key(section, folders, "signing-key-file", "signing key", "signalwire.key");
    }
    // Known, although it is not there.
    let _ = section.text("signing-key-file");
    None
}

fn read_from(section: &mut Section<'_>, voice: bool) -> Option<String> {
    let Some(text) = section.text("from") else {
        missing(section, "from", "the sender's number", "from = \"+13125550123\"");
        return None;
    };
    let number = text.value.parse::<E164>().is_ok();
    if !(number || !voice && is_number(text.value)) {
        let found = format!("is {}", quote(text.value));
        let expected = if voice {
            "a number like +13125550123, since the gateway is in delivery.voice"
        } else {
            "a number like +13125550123, or a short code"
        };
        section.error(&text.place, found, expected, "correct it");
    }
    Some(text.value.to_owned())
}

/// What the hosts of spaces end with.
const DOMAIN: &str = ".signalwire.com";
