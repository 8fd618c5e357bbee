//! Text that comes from elsewhere, made fit for a terminal, a log and the wire.

use otp_proto::Secret;

/// Longest log line, bytes; syslog daemons cut near this anyway.
const LONGEST_LINE: usize = 1024;

/// `text` without control characters, which could move the cursor or re-colour the terminal. Only
/// the line feed stays: prompts have several lines.
pub(crate) fn for_terminal(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    text.chars().map(plain).collect()
}

/// `text` as one line of a log: control characters escaped, so that a name cannot forge a line.
pub(crate) fn for_log(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if line.len() >= LONGEST_LINE {
            line.push_str("...");
            break;
        }
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// An item of PAM's as the wire carries it: without control characters, which the daemon refuses, and short.
pub(crate) fn item(text: &str, limit: usize) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    shortened(text, limit).chars().map(plain).collect()
}

/// The first `limit` bytes of `text`, less when that would split a character.
pub(crate) fn shortened(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

/// What was typed as the wire carries it. Bytes that are no UTF-8 become replacement characters:
/// no code contains them, so the daemon answers with help.
pub(crate) fn typed(bytes: &[u8]) -> Secret {
    // Room for the worst case at once: a string that grows leaves an unwiped copy behind.
    let mut text = String::with_capacity(bytes.len().saturating_mul(3));
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, for_log, for_terminal, item, shortened, typed};

    #[test]
    fn terminals_get_no_control_characters_but_the_line_feed() {
        let cases = [
            ("plain text stays", "Code:\nnow", "Code:\nnow"),
            ("escape sequences are broken", "\u{1b}[31mred\u{1b}[0m", "?[31mred?[0m"),
            ("C1 controls too", "a\u{9b}b", "a?b"),
            ("NUL, carriage return, backspace", "a\0b\rc\u{8}", "a?b?c?"),
            ("letters of any script stay", "Zażółć 日本", "Zażółć 日本"),
        ];
        for (name, input, expected) in cases {
            assert_eq!(for_terminal(input), expected, "{name}");
        }
    }

    #[test]
    fn what_was_typed_is_not_in_debug_output() {
        let texts = [&b"482913"[..], b"7K3M-P0QX", b"48\xff2913"];
        for text in texts {
            assert_eq!(format!("{:?}", typed(text)), "Secret(..)");
        }
    }

    #[test]
    fn logs_get_one_line() {
        assert_eq!(for_log("eve\nsshd: accepted\u{1b}"), "eve\\nsshd: accepted\\u{1b}");
        assert!(for_log(&"x".repeat(5000)).len() <= LONGEST_LINE + 3);
    }

    #[test]
    fn items_are_one_line_of_plain_text() {
        assert_eq!(item("host\n\u{1b}[2J\u{9b}", 256), "host??[2J?");
        assert_eq!(item("aé\n", 3), "aé");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(shortened("aé", 2), "a");
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("a", 9), "a");
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert_eq!(typed(b"482913").expose(), "482913");
        assert_eq!(typed(b"4\xff\xfe8").expose(), "4\u{fffd}\u{fffd}8");
        assert_eq!(typed(b"").expose(), "");
    }
}
