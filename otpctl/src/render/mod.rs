//! All wording: for people, as JSON, and of what went wrong. Pure: values in, text out.

pub(crate) mod backups;
mod bypass;
pub(crate) mod error;
pub(crate) mod event;
mod examined;
pub(crate) mod explain;
pub(crate) mod json;
pub(crate) mod numbers;
mod reason;
pub(crate) mod stacks;
mod table;
pub(crate) mod text;
mod time;

use std::{fmt::Write, io};

/// Where a host's key is unless its configuration says otherwise.
pub(crate) const KEY_FILE: &str = "/etc/otpd/otpd.key";

/// `text` with everything that could steer a terminal, or reorder or hide what stands beside it,
/// written out as `\u{1b}`. A name or a vendor's reason is somebody else's text.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// True for control characters (C0, DEL, C1), line separators and what Unicode means to be unseen:
/// zero-width characters, direction marks, tags.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` as one word of a shell command, for commands that are to be copied.
pub(crate) fn word(text: &str) -> String {
    otp_proto::shell::word(&visible(text))
}

/// Whether this is a damaged name, as lists show it: no account's begins so.
fn is_damaged(user: &str) -> bool {
    user.starts_with('/')
}

/// An I/O error without the number that the standard library adds.
pub(crate) fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error ").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{io_reason, visible, word};

    #[test]
    fn hidden_characters_are_written_out() {
        let cases = [
            ("plain text stays", "alice née ••42", "alice née ••42"),
            ("escape sequence", "\u{1b}[31mred", "\\u{1b}[31mred"),
            ("C1 control sequence introducer", "\u{9b}2K", "\\u{9b}2K"),
            ("line end, return, delete", "a\nb\r\u{7f}", "a\\u{a}b\\u{d}\\u{7f}"),
            ("right-to-left override", "\u{202e}nimda", "\\u{202e}nimda"),
            ("zero width space", "a\u{200b}b", "a\\u{200b}b"),
        ];
        for (name, input, expected) in cases {
            assert_eq!(visible(input), expected, "{name}");
        }
    }

    #[test]
    fn words_survive_a_shell() {
        let cases = [
            ("plain", "alice.b@corp", "alice.b@corp"),
            ("a Windows domain", r"CORP\alice", r"'CORP\alice'"),
            ("a command", "a; reboot", "'a; reboot'"),
            ("a quote", "o'neil", r"'o'\''neil'"),
            ("nothing", "", "''"),
        ];
        for (name, input, expected) in cases {
            assert_eq!(word(input), expected, "{name}");
        }
    }

    #[test]
    fn reasons_have_no_error_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(io_reason(&error), "No such file or directory");
        assert_eq!(io_reason(&std::io::Error::other("own words")), "own words");
    }
}
