//! `[gateway.NAME]`: the ways out, by kind.

use std::path::PathBuf;

use super::{
    command,
    delivery::Delivery,
    errors::{nearest, quote},
    files::Folders,
    flowroute, http, plivo,
    raw::{Section, Text, one_of},
    server::is_plain_absolute,
    signalwire, telnyx, twilio,
    vendor::check_key_press,
};
use crate::gateway::{
    GatewayName,
    settings::{FileSettings, Settings},
};

/// Reads all of them, in the order of their names; those with errors are left out. `answers` says
/// that vendors can fetch the words of a call from here.
pub(super) fn read(
    tables: Vec<(Text<'_>, Section<'_>)>,
    delivery: &Delivery,
    folders: Folders<'_>,
    answers: bool,
) -> Vec<(GatewayName, Settings)> {
    let mut gateways = Vec::new();
    for (name, section) in tables {
        check_name(&section, &name);
        let sms = delivery.sms.iter().any(|gateway| gateway.0 == name.value);
        let voice = delivery.voice.iter().any(|gateway| gateway.0 == name.value);
        if !sms && !voice {
            let text = "is in neither delivery.sms nor delivery.voice: it is never used";
            section.warn(&name.place, text);
        }
        if let Some(settings) = read_one(section, delivery, folders, Use { sms, voice, answers }) {
            gateways.push((GatewayName(name.value.to_owned()), settings));
        }
    }
    gateways
}

fn check_name(section: &Section<'_>, name: &Text<'_>) {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.value.is_empty() || name.value.len() > 32 || !name.value.bytes().all(letter) {
        let found = format!("has the name {}", quote(name.value));
        let expected = "1 to 32 lower-case letters, digits and dashes";
        section.error(&name.place, found, expected, "rename it, here and in [delivery]");
    }
}

/// What a gateway is to carry.
#[derive(Clone, Copy)]
struct Use {
    /// Text messages.
    sms: bool,
    /// Calls.
    voice: bool,
    /// Calls whose words the vendor can fetch.
    answers: bool,
}

fn read_one(
    mut section: Section<'_>,
    delivery: &Delivery,
    folders: Folders<'_>,
    Use { sms, voice, answers }: Use,
) -> Option<Settings> {
    let kind = section.text("kind");
    match kind.as_ref().map(|kind| kind.value) {
        Some("telnyx") => {
            if voice {
                telnyx::check_calls(&section, delivery, answers);
            }
            telnyx::read(section, folders, voice).map(Settings::Telnyx)
        }
        Some("twilio") => {
            if voice {
                check_key_press(&section, delivery, answers);
            }
            twilio::read(section, folders, voice).map(Settings::Twilio)
        }
        Some("signalwire") => {
            if sms {
                signalwire::check_stop(&section, answers);
            }
            signalwire::read(section, folders, voice, answers).map(Settings::SignalWire)
        }
        Some("flowroute") => flowroute::read(section, folders, voice).map(Settings::Flowroute),
        Some("plivo") => plivo::read(section, folders, voice, answers).map(Settings::Plivo),
        Some("command") => command::read(section, sms && voice).map(Settings::Command),
        Some("http") => http::read(section, folders, sms && voice).map(Settings::Http),
        Some("file") => {
            if delivery.allow_file_gateway {
                let text =
                    "writes codes to a file instead of sending them: for demonstrations only";
                section.warn(&section.place, text);
            } else {
                let remedy = "use a gateway that sends, or set delivery.allow-file-gateway = true \
                              for a demonstration";
                let found = "is \"file\", which writes codes to a file instead of sending them";
                section.error(&section.place_of("kind"), found, one_of(SENDING), remedy);
            }
            let path = read_path(&mut section);
            section.finish();
            path.map(|path| Settings::File(FileSettings { path }))
        }
        other => {
            let place = section.place_of("kind");
            let known = one_of(KINDS);
            match other {
                None if place.offset.is_none() => {
                    section.error(&place, "is missing", known, "add kind = \"http\"");
                }
                // Its type was wrong, and that was said.
                None => {}
                Some(unknown) => {
                    let remedy = match nearest(unknown, KINDS) {
                        Some(meant) => format!("did you mean {meant:?}?"),
                        None => "choose one that this version has".to_owned(),
                    };
                    section.error(&place, format!("is {}", quote(unknown)), known, remedy);
                }
            }
            // Which keys it may have depends on the kind, so none is called unknown.
            None
        }
    }
}

fn read_path(section: &mut Section<'_>) -> Option<PathBuf> {
    let Some(text) = section.text("path") else {
        let place = section.place_of("path");
        if place.offset.is_none() {
            let remedy = "add path = \"/var/lib/otpd/messages.jsonl\"";
            section.error(&place, "is missing", "an absolute path", remedy);
        }
        return None;
    };
    if is_plain_absolute(text.value) {
        return Some(PathBuf::from(text.value));
    }
    let found = format!("is {}", quote(text.value));
    section.error(&text.place, found, "an absolute path", "write the whole path");
    None
}

/// Kinds of this version.
const KINDS: &[&str] =
    &["telnyx", "flowroute", "plivo", "twilio", "signalwire", "http", "command", "file"];
/// Those of them that send.
const SENDING: &[&str] =
    &["telnyx", "flowroute", "plivo", "twilio", "signalwire", "http", "command"];
