//! What may be enrolled, by the world's numbering plans (libphonenumber's).
//!
//! The plans are loaded by [`parse`] alone (some 8 ms and 5 MB, once), which runs when a number is
//! entered; country and line are stored with it, so that a login never loads them.

use std::borrow::Cow;

use rlibphonenumber::{
    CountryCodeSource, NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber,
    PhoneNumberFormat, PhoneNumberType, Region, ValidationError,
};
use zeroize::Zeroizing;

use super::{Country, Destination, E164Error, Line};

/// Why no code may be sent to what was entered. The texts name the remedy, never the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Nothing but blanks and punctuation.
    #[error("no number was given; write it as '+', country code and number")]
    Empty,
    /// A character that does not belong in a number: a letter, an extension, `*`, `#`.
    #[error("number may hold digits, spaces, dashes, dots and parentheses after one leading '+'")]
    Character,
    /// National form without a default country.
    #[error(
        "number must start with '+' and the country code; national form needs \
         `delivery.default-country`"
    )]
    MissingPlus,
    /// An international dialling prefix such as 00 or 011, which means another thing elsewhere.
    #[error("write '+' and the country code instead of an international prefix such as 00 or 011")]
    InternationalPrefix,
    /// The default country has no numbering plan.
    #[error("{0} has no numbering plan; correct `delivery.default-country` or start with '+'")]
    DefaultCountry(Country),
    /// No country has this calling code.
    #[error("no country has this calling code; check the digits after '+'")]
    CallingCode,
    /// Too few digits for the country; short codes and emergency numbers end here too.
    #[error("number has too few digits; write it with its area code (short codes cannot be used)")]
    TooShort,
    /// It can be dialled only from its own area.
    #[error("number lacks its area code; write it in full")]
    AreaCodeMissing,
    /// Too many digits for the country.
    #[error("number has too many digits for its country; leave out any extension")]
    TooLong,
    /// Nobody can have this number: it is not in the country's plan.
    #[error("number is not in use in its country's numbering plan; check the digits")]
    Invalid,
    /// It belongs to no country: satellite and other worldwide services.
    #[error("number belongs to a worldwide service, not to a country; use a mobile or fixed line")]
    NoCountry,
    /// Premium rate: whoever is called earns by it.
    #[error("number is premium rate; use a mobile or fixed line")]
    Premium,
    /// The caller pays a part.
    #[error("number is shared cost; use a mobile or fixed line")]
    SharedCost,
    /// The called party pays.
    #[error("number is toll-free; use a mobile or fixed line")]
    TollFree,
    /// Internet telephony, where the plan marks it.
    #[error("number is an internet telephony (VoIP) number; use a mobile or fixed line")]
    Voip,
    /// A number that follows a person to any line, at any price.
    #[error("number is a personal (follow-me) number; use a mobile or fixed line")]
    Personal,
    /// A pager.
    #[error("number is a pager; use a mobile or fixed line")]
    Pager,
    /// A company's universal access number.
    #[error("number is a company's access number (UAN); use a mobile or fixed line")]
    UniversalAccess,
    /// Access to a voice mailbox.
    #[error("number is a voicemail access number; use a mobile or fixed line")]
    Voicemail,
}

/// Reads a number as a person types it: `+`, country code and number, or the national form when
/// there is a default country. Spaces, dashes, dots, slashes and parentheses are dropped.
///
/// # Errors
/// [`NumberError`], which says what is wrong and what to do. Whether the country is allowed is a
/// question of its own, asked at enrollment and again before every message.
pub fn parse(text: &str, default_country: Option<Country>) -> Result<Destination, NumberError> {
    let typed = compact(text)?;
    let number = if typed.starts_with('+') {
        PHONE_NUMBER_UTIL.parse(typed.as_str(), None).map_err(|error| parse_error(&error, None))?
    } else {
        national(&typed, default_country.ok_or(NumberError::MissingPlus)?)?
    };
    possible(&number)?;
    let line = line(PHONE_NUMBER_UTIL.get_number_type(&number))?;
    let country = PHONE_NUMBER_UTIL
        .get_region_for_number(&number)
        .ok_or(NumberError::Invalid)?
        .as_region_str()
        .parse()
        .map_err(|()| NumberError::NoCountry)?;
    let written = match PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164) {
        Cow::Borrowed(text) => Zeroizing::new(text.to_owned()),
        Cow::Owned(text) => Zeroizing::new(text),
    };
    let number = written.parse().map_err(|_: E164Error| NumberError::Invalid)?;
    Ok(Destination { number, country, line })
}

/// The `+` and the digits of what was typed.
fn compact(text: &str) -> Result<Zeroizing<String>, NumberError> {
    // Sized beforehand: a string that grows leaves unwiped copies behind.
    let mut typed = Zeroizing::new(String::with_capacity(text.len()));
    for character in text.trim().chars() {
        match character {
            '0'..='9' => typed.push(character),
            '+' if typed.is_empty() => typed.push('+'),
            // The last ones come with numbers copied from documents: no-break space and hyphen,
            // the typographic dashes and the minus sign.
            ' '
            | '\t'
            | '-'
            | '.'
            | '/'
            | '('
            | ')'
            | '\u{a0}'
            | '\u{202f}'
            | '\u{2010}'..='\u{2015}'
            | '\u{2212}' => {}
            _ => return Err(NumberError::Character),
        }
    }
    match typed.trim_start_matches('+').len() {
        0 => Err(NumberError::Empty),
        // E.164 has at most 15 digits; a trunk prefix, written between, may add a few.
        1..=20 => Ok(typed),
        _ => Err(NumberError::TooLong),
    }
}

/// Reads the national form. `00` and its like are not guessed at: what they mean depends on where
/// they are dialled, and a wrong guess sends a code to a stranger.
fn national(typed: &str, country: Country) -> Result<PhoneNumber, NumberError> {
    if typed.starts_with("00") {
        return Err(NumberError::InternationalPrefix);
    }
    // Short codes have at most six digits. Some countries have local numbers as short as that, so
    // the plan would ask for an area code, which a short code does not have.
    if typed.len() < 7 {
        return Err(NumberError::TooShort);
    }
    let region =
        Region::try_from(country.as_str()).map_err(|_| NumberError::DefaultCountry(country))?;
    let number = PHONE_NUMBER_UTIL
        .parse_and_keep_raw_input(typed, Some(region))
        .map_err(|error| parse_error(&error, Some(country)))?;
    match number.country_code_source() {
        CountryCodeSource::FromNumberWithIdd => Err(NumberError::InternationalPrefix),
        CountryCodeSource::Unspecified
        | CountryCodeSource::FromNumberWithPlusSign
        | CountryCodeSource::FromNumberWithoutPlusSign
        | CountryCodeSource::FromDefaultCountry => Ok(number),
    }
}

fn parse_error(error: &ParseError, default_country: Option<Country>) -> NumberError {
    match (error, default_country) {
        (ParseError::InvalidCountryCode, Some(country)) => NumberError::DefaultCountry(country),
        (ParseError::InvalidCountryCode, None) => NumberError::CallingCode,
        (ParseError::NotANumber(_) | ParseError::TooShortAfterIdd | ParseError::TooShortNsn, _) => {
            NumberError::TooShort
        }
        (ParseError::TooLongNsn, _) => NumberError::TooLong,
    }
}

/// Judges the length first, so that the commonest slips are named before "not in use" is.
fn possible(number: &PhoneNumber) -> Result<(), NumberError> {
    match PHONE_NUMBER_UTIL.is_possible_number_with_reason(number) {
        Ok(NumberLengthType::IsPossible) if PHONE_NUMBER_UTIL.is_valid_number(number) => Ok(()),
        Ok(NumberLengthType::IsPossible) | Err(ValidationError::InvalidLength) => {
            Err(NumberError::Invalid)
        }
        Ok(NumberLengthType::IsPossibleLocalOnly) => Err(NumberError::AreaCodeMissing),
        Err(ValidationError::InvalidCountryCode) => Err(NumberError::CallingCode),
        Err(ValidationError::TooShort) => Err(NumberError::TooShort),
        Err(ValidationError::TooLong) => Err(NumberError::TooLong),
    }
}

fn line(kind: PhoneNumberType) -> Result<Line, NumberError> {
    match kind {
        PhoneNumberType::Mobile => Ok(Line::Mobile),
        PhoneNumberType::FixedLine => Ok(Line::Fixed),
        PhoneNumberType::FixedLineOrMobile => Ok(Line::FixedOrMobile),
        PhoneNumberType::PremiumRate => Err(NumberError::Premium),
        PhoneNumberType::SharedCost => Err(NumberError::SharedCost),
        PhoneNumberType::TollFree => Err(NumberError::TollFree),
        PhoneNumberType::VoIP => Err(NumberError::Voip),
        PhoneNumberType::PersonalNumber => Err(NumberError::Personal),
        PhoneNumberType::Pager => Err(NumberError::Pager),
        PhoneNumberType::UAN => Err(NumberError::UniversalAccess),
        PhoneNumberType::VoiceMail => Err(NumberError::Voicemail),
        PhoneNumberType::Unknown => Err(NumberError::Invalid),
    }
}
