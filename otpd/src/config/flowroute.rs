//! `[gateway.NAME]` with `kind = "flowroute"`.

use super::{
    errors::quote,
    files::Folders,
    http::{missing, read_ca_file},
    raw::Section,
    vendor::{read_base_url, read_key},
};
use crate::{
    domain::phone::E164,
    gateway::settings::{FlowrouteSettings, FlowrouteVersion},
};

/// Reads the table; none when something that cannot be done without is wrong. `voice` says that the
/// gateway is to carry calls.
pub(super) fn read(
    mut section: Section<'_>,
    folders: Folders<'_>,
    voice: bool,
) -> Option<FlowrouteSettings> {
    if voice {
        let found = "is \"flowroute\", and the gateway is in delivery.voice";
        let expected = "a kind that calls, since Flowroute has text messages only";
        let remedy = "name another gateway in delivery.voice, or none: then no call is offered";
        section.error(&section.place_of("kind"), found, expected, remedy);
    }
    let base_url = read_base_url(&mut section, BASE_URL);
    let version = section.choice("api-version", VERSIONS, FlowrouteVersion::V22);
    let from = read_from(&mut section, version);
    let access_key = read_access_key(&mut section);
    let secret_key =
        read_key(&mut section, folders, "secret-key-file", "secret key", "flowroute.key");
    let ca_file = read_ca_file(&mut section, folders);
    section.finish();
    Some(FlowrouteSettings {
        base_url: base_url?,
        version,
        from: from?,
        access_key: access_key?,
        secret_key: secret_key?,
        ca_file,
    })
}

/// The sender: a number of the account's, which in old versions is one of North America.
fn read_from(section: &mut Section<'_>, version: FlowrouteVersion) -> Option<E164> {
    let Some(text) = section.text("from") else {
        missing(section, "from", "the number that sends", "from = \"+13125550123\"");
        return None;
    };
    let found = format!("is {}", quote(text.value));
    let Ok(number) = text.value.parse::<E164>() else {
        let expected = "a number of your account, with + and the country code";
        section.error(&text.place, found, expected, "write it like +13125550123");
        return None;
    };
    let northern = text.value.starts_with("+1") && text.value.len() == "+13125550123".len();
    match version {
        FlowrouteVersion::V22 => {}
        FlowrouteVersion::V21 | FlowrouteVersion::V2 if northern => {}
        FlowrouteVersion::V21 | FlowrouteVersion::V2 => {
            let expected = "a number of North America, as this api-version has no others";
            section.error(&text.place, found, expected, "remove the line api-version");
        }
    }
    Some(number)
}

/// What Flowroute knows the account by. It is no secret, but stands beside one in a header.
fn read_access_key(section: &mut Section<'_>) -> Option<String> {
    let Some(text) = section.text("access-key") else {
        missing(section, "access-key", "the access key of the account", "access-key = \"…\"");
        return None;
    };
    let plain = text.value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if text.value.is_empty() || !plain {
        let expected = "the access key: letters and digits, without the secret key";
        let remedy = "copy it from Flowroute's portal";
        // Not shown: somebody who writes both keys here has written a secret.
        section.error(&text.place, "is no access key", expected, remedy);
        return None;
    }
    Some(text.value.to_owned())
}

/// Where Flowroute's API is.
const BASE_URL: &str = "https://api.flowroute.com";
/// Its versions that send messages, the newest first.
const VERSIONS: &[(&str, FlowrouteVersion)] = &[
    ("v2.2", FlowrouteVersion::V22),
    ("v2.1", FlowrouteVersion::V21),
    ("v2", FlowrouteVersion::V2),
];
