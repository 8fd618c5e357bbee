//! Telephone numbers, and which of them a code may be sent to.

mod plan;

use std::{fmt, str::FromStr};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use zeroize::Zeroize;

pub use plan::{NumberError, parse};

/// A number that a code may be sent to, with what its numbering plan says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The number.
    pub number: E164,
    /// The country it belongs to; inside a shared calling code (+1, +7, +44…) told by its area.
    pub country: Country,
    /// What kind of line it is.
    pub line: Line,
}

/// A number in ITU-T E.164 form: `+`, then 7 to 15 digits, the first not 0.
///
/// Wiped when dropped; `Debug` and [`E164::masked`] show the last two digits only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct E164(String);

/// Why a text is not an E.164 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum E164Error {
    /// No leading `+`.
    #[error("number must start with '+' and the country code")]
    MissingPlus,
    /// A character other than a digit, a wrong length, or a leading zero.
    #[error("number must have 7 to 15 digits after '+', the first not 0")]
    Digits,
}

impl E164 {
    /// The number in full, for a gateway or for encryption; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number for people: calling code and last two digits, as in `+1 ••• ••• ••42`.
    #[must_use]
    pub fn masked(&self) -> String {
        let digits = self.0.get(1..).unwrap_or_default();
        let code = calling_code(digits);
        let own = digits.get(code.len()..).unwrap_or_default();
        let mut text = format!("+{code}");
        for (place, digit) in own.chars().enumerate() {
            // Groups of three; a last digit that would stand alone joins the group before it.
            if place % 3 == 0 && place + 1 < own.len() {
                text.push(' ');
            }
            text.push(if place + 2 < own.len() { '•' } else { digit });
        }
        text
    }

    /// [`Self::ending`] as a value of its own.
    #[must_use]
    pub fn last_two(&self) -> Ending {
        Ending(self.ending().parse().unwrap_or_default())
    }

    /// The last two digits: all that a claimant is shown.
    #[must_use]
    pub fn ending(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(2)..).unwrap_or_default()
    }
}

/// The last two digits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending(u8);

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

impl FromStr for E164 {
    type Err = E164Error;

    fn from_str(text: &str) -> Result<Self, E164Error> {
        let digits = text.strip_prefix('+').ok_or(E164Error::MissingPlus)?;
        let shape = (7..=15).contains(&digits.len()) && !digits.starts_with('0');
        if shape && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(E164Error::Digits)
        }
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+…{}", self.ending())
    }
}

impl Drop for E164 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The country calling code that begins `digits` (ITU-T E.164 assigns them prefix-free).
fn calling_code(digits: &str) -> &str {
    let length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    };
    digits.get(..length).unwrap_or(digits)
}

/// An ISO 3166-1 alpha-2 country, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl FromStr for Country {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(()),
        }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Stored as its two letters.
impl<C> Encode<C> for Country {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Country {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let malformed = |()| decode::Error::message("not a country").at(at);
        d.str()?.parse().map_err(malformed)
    }
}

/// What kind of line a number is, as far as the numbering plan tells; only these kinds may be
/// enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Line {
    /// Takes text messages.
    #[n(0)]
    Mobile,
    /// Takes calls only.
    #[n(1)]
    Fixed,
    /// The plan does not tell (all of North America): both are tried.
    #[n(2)]
    FixedOrMobile,
}

#[cfg(test)]
mod tests;
