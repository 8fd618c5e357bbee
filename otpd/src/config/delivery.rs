//! `[delivery]`: where messages may go and which gateways carry them.

use std::{collections::BTreeSet, time::Duration};

use super::{
    errors::{nearest, quote},
    raw::{Section, Text, one_of},
};
use crate::{domain::phone::Country, gateway::GatewayName};

/// Where messages may go and which gateways carry them, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Countries whose numbers messages may go to; never empty.
    pub countries: BTreeSet<Country>,
    /// The country of numbers that are typed without a country code; one of `countries`.
    pub default_country: Option<Country>,
    /// Gateways for text messages, in order; never empty.
    pub sms: Vec<GatewayName>,
    /// Gateways for calls, in order; calls are offered only when there is one.
    pub voice: Vec<GatewayName>,
    /// How long a login waits for a gateway to accept a message before it prompts anyway.
    /// Range 1 to 6 s.
    pub accept_timeout: Duration,
    /// Whether codes may be written to a file instead of being sent.
    pub allow_file_gateway: bool,
    /// Whether a call may say its code to whoever or whatever answers, without a key press.
    pub voice_without_key_press: bool,
}

/// Reads the table. `configured` are the gateways that there are.
pub(super) fn read(mut section: Section<'_>, configured: &[&str]) -> Delivery {
    let countries = read_countries(&mut section);
    let default_country = section.text("default-country").and_then(|text| {
        let country = read_country(&section, &text)?;
        if !countries.is_empty() && !countries.contains(&country) {
            let found = format!("is {}", quote(text.value));
            let remedy = "add it to delivery.countries, or choose another";
            section.error(&text.place, found, "one of delivery.countries", remedy);
        }
        Some(country)
    });
    let sms = section.texts("sms", "[\"NAME\"]");
    let place = section.place_of("sms");
    match &sms {
        None if place.offset.is_none() => {
            let expected = "the gateways for text messages, in order";
            let remedy = "add sms = [\"NAME\"] with a table [gateway.NAME]";
            section.error(&place, "is missing", expected, remedy);
        }
        Some(gateways) if gateways.is_empty() => {
            let remedy = "name one, with a table [gateway.NAME]; without, no code can be sent";
            section.error(&place, "is empty", "one gateway at least", remedy);
        }
        _ => {}
    }
    let sms = read_route(&section, sms.unwrap_or_default(), configured);
    let voice = section.texts("voice", "[\"NAME\"]").unwrap_or_default();
    let voice = read_route(&section, voice, configured);
    let accept_timeout = section.number("accept-timeout-seconds", 1..=6, 4, " seconds");
    let allow_file_gateway = section.boolean("allow-file-gateway", false);
    let voice_without_key_press = section.boolean("voice-without-key-press", false);
    section.finish();
    Delivery {
        countries,
        default_country,
        sms,
        voice,
        accept_timeout: Duration::from_secs(accept_timeout),
        allow_file_gateway,
        voice_without_key_press,
    }
}

fn read_countries(section: &mut Section<'_>) -> BTreeSet<Country> {
    let texts = section.texts("countries", "[\"US\"]");
    let place = section.place_of("countries");
    let found = match &texts {
        None if place.offset.is_none() => "is missing",
        Some(texts) if texts.is_empty() => "is empty",
        _ => "",
    };
    if !found.is_empty() {
        let expected = "the countries that messages may go to, since none are sent elsewhere";
        let remedy = "add a line like countries = [\"US\", \"CA\"] under [delivery]";
        section.error(&place, found, expected, remedy);
    }
    let texts = texts.unwrap_or_default();
    texts.iter().filter_map(|text| read_country(section, text)).collect()
}

fn read_country(section: &Section<'_>, text: &Text<'_>) -> Option<Country> {
    if COUNTRIES.split_ascii_whitespace().any(|country| country == text.value) {
        return text.value.parse().ok();
    }
    let upper = text.value.trim().to_ascii_uppercase();
    let meant = match upper.as_str() {
        "UK" => Some("GB"),
        "EL" => Some("GR"),
        "USA" => Some("US"),
        _ => COUNTRIES.split_ascii_whitespace().find(|country| *country == upper),
    };
    let remedy = match meant {
        Some(country) => format!("did you mean {country:?}?"),
        None => "look it up in ISO 3166-1 (alpha-2)".to_owned(),
    };
    let found = format!("has {}", quote(text.value));
    section.error(&text.place, found, "countries by two capital letters, as \"US\"", remedy);
    None
}

fn read_route(
    section: &Section<'_>,
    names: Vec<Text<'_>>,
    configured: &[&str],
) -> Vec<GatewayName> {
    for name in &names {
        if !configured.contains(&name.value) {
            let found = format!("names {}, which is not configured", quote(name.value));
            let expected = match configured {
                [] => "the name of a gateway, and there is none".to_owned(),
                names => one_of(names),
            };
            let remedy = match nearest(name.value, configured) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("add a table [gateway.{}], or remove it here", name.value.trim()),
            };
            section.error(&name.place, found, expected, remedy);
        }
    }
    names.into_iter().map(|name| GatewayName(name.value.to_owned())).collect()
}

/// ISO 3166-1 alpha-2 as of 2025, and XK (Kosovo), AC (Ascension) and TA (Tristan da Cunha), which
/// have numbering plans of their own.
const COUNTRIES: &str = "\
AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG \
EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR \
HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR \
LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG \
NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE \
SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";
