//! The alphabet of text messages, 3GPP TS 23.038: what fits in it, and in how many parts.

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Each of these takes two places.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// How many places of the alphabet a text takes; `None` when it has a character of none.
pub(super) fn septets(text: &str) -> Option<usize> {
    text.chars()
        .map(|c| match c {
            // Most characters, without a search: every one of these is in the alphabet.
            ' '..='Z' | 'a'..='z' => Some(1),
            _ if BASIC.contains(c) => Some(1),
            _ if EXTENDED.contains(c) => Some(2),
            _ => None,
        })
        .sum()
}

/// In how many parts a text is sent.
pub(super) fn parts(text: &str) -> usize {
    let (length, single, part) = match septets(text) {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if length <= single { 1 } else { length.div_ceil(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_take_so_many_places() {
        let cases = [
            ("letters", "Code 123456.", Some(12)),
            ("an extended character takes two", "[x]", Some(5)),
            ("accents of the alphabet", "àéÜ", Some(3)),
            ("a backtick is in no alphabet", "`", None),
            ("nor is a curly quote", "it’s", None),
        ];
        for (name, text, expected) in cases {
            assert_eq!(septets(text), expected, "{name}");
        }
    }

    #[test]
    fn long_texts_have_parts() {
        let cases = [
            ("one full", "a".repeat(160), 1),
            ("one more", "a".repeat(161), 2),
            ("two full", "a".repeat(306), 2),
            ("another alphabet", "’".repeat(70), 1),
            ("and one more", "’".repeat(71), 2),
        ];
        for (name, text, expected) in cases {
            assert_eq!(parts(&text), expected, "{name}");
        }
    }
}
