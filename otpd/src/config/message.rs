//! `[message]`: the text that carries a code, and the proof that it fits one text message.

use zeroize::Zeroizing;

use super::{
    errors::{Place, quote},
    raw::Section,
};

/// The text of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The text around the code.
    pub template: MessageTemplate,
    /// What `{host}` stands for: this machine, as its users call it. GSM-7, 1 to 64 characters.
    pub host: String,
}

/// The text around a code, with places for what changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Code,
    Reference,
    Host,
    Service,
}

/// Why a text cannot carry codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that every message needs is not there.
    #[error("has no {{{0}}}")]
    Missing(&'static str),
    /// Nothing is known by this name.
    #[error("has the unknown placeholder {0}")]
    Unknown(String),
    /// A brace that belongs to no placeholder.
    #[error("has a {0} that belongs to no placeholder")]
    Brace(char),
    /// One such character turns a text message of 160 characters into one of 70.
    #[error("has the character {0:?}")]
    Character(char),
    /// It would be sent, and paid for, as two messages. Extension characters count as two.
    #[error("can be {0} septets long")]
    TooLong(usize),
}

impl MessageTemplate {
    /// Reads a text, and checks that it fits one GSM-7 segment in the worst case: a code of
    /// [`LONGEST_CODE`] digits, a reference of [`LONGEST_REFERENCE`], a service of
    /// [`LONGEST_SERVICE`], and the host's name as it is.
    ///
    /// # Errors
    /// [`TemplateError`]: the first thing that is wrong.
    pub fn parse(text: &str, host: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (literal, placeholder) = rest.split_at(start);
            parts.push(Part::Literal(literal.to_owned()));
            let inner = placeholder.strip_prefix('{').ok_or(TemplateError::Brace('}'))?;
            let (name, after) = inner.split_once('}').ok_or(TemplateError::Brace('{'))?;
            parts.push(match name {
                "code" => Part::Code,
                "ref" => Part::Reference,
                "host" => Part::Host,
                "service" => Part::Service,
                unknown => return Err(TemplateError::Unknown(quote(&format!("{{{unknown}}}")))),
            });
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        for (part, name) in [(Part::Code, "code"), (Part::Reference, "ref")] {
            if !parts.contains(&part) {
                return Err(TemplateError::Missing(name));
            }
        }
        let mut longest = 0;
        for part in &parts {
            longest += match part {
                Part::Literal(literal) => septets(literal)?,
                Part::Code => LONGEST_CODE,
                Part::Reference => LONGEST_REFERENCE,
                Part::Host => septets(host)?,
                Part::Service => LONGEST_SERVICE,
            };
        }
        if longest > SEGMENT { Err(TemplateError::TooLong(longest)) } else { Ok(Self { parts }) }
    }

    /// The text with everything in its place. What is not GSM-7 in `host` and `service` becomes
    /// `?`, and a longer service is cut, so that the text stays one segment.
    #[must_use]
    pub fn render(
        &self,
        code: &str,
        reference: &str,
        host: &str,
        service: &str,
    ) -> Zeroizing<String> {
        let host = plain(host, SEGMENT);
        let service = plain(service, LONGEST_SERVICE);
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => literal.as_str(),
            Part::Code => code,
            Part::Reference => reference,
            Part::Host => &host,
            Part::Service => &service,
        });
        // Growing would leave copies of the code behind in memory that nobody wipes.
        let mut text = Zeroizing::new(String::with_capacity(parts.clone().map(str::len).sum()));
        parts.for_each(|part| text.push_str(part));
        text
    }
}

/// Reads the table. `system` is the machine's own name.
pub(super) fn read(mut section: Section<'_>, system: &str) -> Message {
    let written = section.text("host");
    let host_place =
        written.as_ref().map_or_else(|| section.place_of("host"), |host| host.place.clone());
    let host = written.map_or(system, |host| host.value).to_owned();
    let text = section.text("text");
    let text_place =
        text.as_ref().map_or_else(|| section.place_of("text"), |text| text.place.clone());
    let text = text.map_or(DEFAULT_TEXT, |text| text.value);

    if host_is_sound(&section, &host_place, &host) {
        match MessageTemplate::parse(text, &host) {
            Ok(template) => {
                section.finish();
                return Message { template, host };
            }
            Err(error) => explain(&section, &text_place, &error, &host),
        }
    } else if let Err(error) = MessageTemplate::parse(text, "") {
        explain(&section, &text_place, &error, "");
    }
    section.finish();
    Message { template: MessageTemplate { parts: Vec::new() }, host }
}

fn host_is_sound(section: &Section<'_>, place: &Place, host: &str) -> bool {
    let long = host.chars().count() > LONGEST_HOST;
    let strange =
        host.chars().find(|letter| letter.is_control() || character_septets(*letter).is_none());
    let found = match strange {
        _ if host.is_empty() => "is empty".to_owned(),
        Some(letter) => format!("is {}, with {letter:?} in it", quote(host)),
        None if long => format!("is {} characters long", host.chars().count()),
        None => return true,
    };
    let expected = format!("1 to {LONGEST_HOST} characters of GSM-7");
    section.error(place, found, expected, "set it to the name by which people know this machine");
    false
}

fn explain(section: &Section<'_>, place: &Place, error: &TemplateError, host: &str) {
    let (expected, remedy) = match error {
        TemplateError::Missing(name) => {
            ("{code} and {ref}".to_owned(), format!("put {{{name}}} where it belongs"))
        }
        TemplateError::Unknown(_) => (
            "{code}, {ref}, {host} or {service}".to_owned(),
            "correct or remove the placeholder".to_owned(),
        ),
        TemplateError::Brace(_) => (
            "{code}, {ref}, {host} or {service}".to_owned(),
            "close the placeholder, or write another character".to_owned(),
        ),
        TemplateError::Character(_) => (
            "characters of GSM-7 only, since others make it several messages".to_owned(),
            "write it without that character".to_owned(),
        ),
        TemplateError::TooLong(_) => (
            format!(
                "at most {SEGMENT} (one text message) with a code of {LONGEST_CODE} \
                 digits, a service of {LONGEST_SERVICE} characters and the host {}",
                quote(host)
            ),
            "shorten it, or set message.host to a shorter name".to_owned(),
        ),
    };
    section.error(place, error.to_string(), expected, remedy);
}

/// Septets of a text; extension characters take two.
fn septets(text: &str) -> Result<usize, TemplateError> {
    text.chars()
        .map(|letter| character_septets(letter).ok_or(TemplateError::Character(letter)))
        .sum()
}

/// Septets of a character in GSM-7 (3GPP TS 23.038, 6.2.1); none when it is not in it.
fn character_septets(letter: char) -> Option<usize> {
    if letter.is_ascii_alphanumeric() || BASIC.contains(letter) {
        Some(1)
    } else if EXTENSION.contains(letter) {
        Some(2)
    } else {
        None
    }
}

/// A value that comes from elsewhere, in characters that a message may have, cut to `limit`
/// septets.
fn plain(value: &str, limit: usize) -> String {
    let mut left = limit;
    let known = |letter: &char| !letter.is_control() && character_septets(*letter).is_some();
    let letters = value.chars().map(|letter| if known(&letter) { letter } else { '?' });
    let fits = |letter: &char| {
        let rest = left.checked_sub(character_septets(*letter).unwrap_or(1));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    letters.take_while(fits).collect()
}

/// Septets of one message that is not split.
const SEGMENT: usize = 160;
/// Digits of the longest code.
pub const LONGEST_CODE: usize = 8;
/// Characters of a reference.
pub const LONGEST_REFERENCE: usize = 2;
/// Characters of a PAM service's name that a message shows. Those that log people in are shorter
/// (`sshd`, `login`, `systemd-user`); a longer one is cut.
pub const LONGEST_SERVICE: usize = 16;
const LONGEST_HOST: usize = 64;

/// The text where the site has none of its own.
pub const DEFAULT_TEXT: &str =
    "{code} is your {service} code for {host}, ref {ref}. Never share it. Not you? Tell IT.";

/// The basic set besides ASCII letters and digits. Of its control characters only the line feed.
const BASIC: &str = "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
const EXTENSION: &str = "^{}\\[~]|€";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEFAULT_TEXT, MessageTemplate, SEGMENT, TemplateError, septets};

    #[test]
    fn everything_is_in_its_place() {
        let template = MessageTemplate::parse(DEFAULT_TEXT, "web1").unwrap();
        let text = template.render("012345", "K7", "web1", "sshd");
        assert_eq!(
            text.as_str(),
            "012345 is your sshd code for web1, ref K7. Never share it. Not you? Tell IT."
        );
        assert_eq!(text.capacity(), text.len(), "growing would leave copies behind");
    }

    #[test]
    fn a_placeholder_in_a_value_is_only_text() {
        let template = MessageTemplate::parse("{service} {code} {ref}", "").unwrap();
        assert_eq!(template.render("1", "K7", "", "{code}").as_str(), "{code} 1 K7");
    }

    #[test]
    fn values_from_elsewhere_are_made_plain_and_short() {
        let template = MessageTemplate::parse("{code}{ref}{service}", "").unwrap();
        let cases = [
            ("control characters and others", "a\nb\u{1b}c“", "a?b?c?"),
            ("cut", "0123456789abcdefgh", "0123456789abcdef"),
            ("extension characters take two", "{{{{{{{{{", "{{{{{{{{"),
        ];
        for (name, service, expected) in cases {
            assert_eq!(template.render("", "", "", service).as_str(), expected, "{name}");
        }
    }

    #[test]
    fn the_longest_text_is_one_segment() {
        // 8 for the code, 2 for the reference.
        let fits =
            |filler: &str, host| MessageTemplate::parse(&format!("{{code}}{{ref}}{filler}"), host);
        let cases = [
            ("160 fit", "x".repeat(150), "", None),
            ("161 do not", "x".repeat(151), "", Some(161)),
            ("extension characters take two", "€".repeat(75), "", None),
            ("and one more is too much", "€".repeat(75) + "x", "", Some(161)),
            ("letters with accents take one", "é".repeat(150), "", None),
            ("a service counts as 16", "{service}".to_owned() + &"x".repeat(135), "", Some(161)),
            ("the host as it is", "{host}{host}".to_owned() + &"x".repeat(143), "web1", Some(161)),
        ];
        for (name, filler, host, expected) in cases {
            let error = expected.map(TemplateError::TooLong);
            assert_eq!(fits(&filler, host).err(), error, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_rendered_in_one_segment(
            text in "\\{code\\}[a-z^é ]{0,80}\\{ref\\}(\\{host\\}|\\{service\\}|[a-z{}~]){0,9}",
            service in ".{0,40}",
            host in "[a-z^]{1,30}",
        ) {
            if let Ok(template) = MessageTemplate::parse(&text, &host) {
                let rendered = template.render("12345678", "K7", &host, &service);
                prop_assert!(septets(&rendered).unwrap() <= SEGMENT);
            }
        }
    }
}
