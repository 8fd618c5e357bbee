//! What vendors and errors say, made fit for a log.

use zeroize::Zeroizing;

use super::Message;

/// Longest reason, characters.
pub(super) const MAX_REASON: usize = 200;

/// Longest hint in a reason, characters.
const MAX_HINT: usize = 120;

/// Digits in a row that betray a code or a number: a code has 6 to 8, a number at least 7.
const TELLING: usize = 6;

/// Shortest word of a key that is looked for.
const MIN_KEY: usize = 8;

/// Shortest last part of a URL that is looked for: those that are secret have 128 bits in
/// hexadecimal. A gateway's name is shorter and may be said.
const MIN_PATH: usize = 32;

/// Removes from a text what must not be logged: the message's code and number, the keys, and what
/// only the vendor was told, where its reports and its calls' words are.
pub(super) struct Redactor<'a> {
    message: &'a Message,
    keys: Vec<&'a str>,
}

impl<'a> Redactor<'a> {
    /// For replies to `message`; `secrets` are the header values and such that hold keys.
    pub(super) fn new(
        message: &'a Message,
        secrets: impl IntoIterator<Item = &'a Zeroizing<String>>,
    ) -> Self {
        // A vendor repeats the key alone, not the scheme before it: `Bearer KEY`.
        let words = secrets.into_iter().flat_map(|secret| secret.split_ascii_whitespace());
        let words = words.filter(|word| word.len() >= MIN_KEY);
        let urls = message.answer_url.iter().chain(&message.report_url);
        let paths = urls.filter_map(|url| url.rsplit('/').next());
        let paths = paths.filter(|path| path.len() >= MIN_PATH);
        Self { message, keys: words.chain(paths).collect() }
    }

    /// A reason for administrators: one line of at most [`MAX_REASON`] characters, without control
    /// characters, the code and the keys; the number is masked.
    pub(super) fn reason(&self, text: &str) -> String {
        // The keys first: one that lost some of its digits would be found no more.
        let mut text = text.to_owned();
        for key in &self.keys {
            text = text.replace(key, "[key]");
        }
        line(&self.without_digits(&text))
    }

    /// Whether a text is the number, with or without its plus, and nothing else.
    pub(super) fn is_number(&self, text: &str) -> bool {
        let number = self.message.to.expose();
        number.trim_start_matches('+') == text.trim_start_matches('+')
    }

    /// A reason of [`Self::reason`]'s with a hint after it, which is never what is cut off.
    pub(super) fn hinted(&self, reason: String, hint: &str) -> String {
        let hint = cut(self.reason(hint), MAX_HINT);
        let reason = cut(reason, MAX_REASON - hint.chars().count() - " ()".len());
        format!("{reason} ({hint})")
    }

    /// Replaces every group of digits that shares six in a row with the number or the message.
    /// Separators do not count, so `+1 (312) 555-0142` and a spelled `1, 2, 3…` are found too.
    fn without_digits(&self, text: &str) -> String {
        let number = digits(self.message.to.expose());
        let spoken: Vec<_> = groups(&self.message.text).map(|(_, group)| digits(group)).collect();
        let mut clean = String::with_capacity(text.len());
        let mut copied = 0;
        for (start, group) in groups(text) {
            let found = digits(group);
            // A group that holds both number and code is replaced as a whole.
            let replacement = if shares(&found, &number) {
                self.message.to.masked()
            } else if spoken.iter().any(|spoken| shares(&found, spoken)) {
                "[code]".to_owned()
            } else {
                continue;
            };
            let before = text.get(copied..start).unwrap_or_default();
            clean.push_str(before.trim_end_matches(['+', '(']));
            clean.push_str(&replacement);
            copied = start + group.len();
        }
        clean + text.get(copied..).unwrap_or_default()
    }
}

/// A reason for administrators, where the message is not at hand: every group of digits that could
/// hold a code or a number is left out.
pub(crate) fn masked(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for (start, group) in groups(text).filter(|(_, group)| digits(group).len() >= TELLING) {
        clean.push_str(text.get(copied..start).unwrap_or_default().trim_end_matches(['+', '(']));
        clean.push_str("[digits]");
        copied = start + group.len();
    }
    line(&(clean + text.get(copied..).unwrap_or_default()))
}

/// One line of at most [`MAX_REASON`] characters, without control characters.
fn line(text: &str) -> String {
    let apart = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let words: Vec<&str> = text.split(apart).filter(|word| !word.is_empty()).collect();
    cut(words.join(" "), MAX_REASON)
}

/// A line of at most `most` characters, with a sign that something is missing.
fn cut(line: String, most: usize) -> String {
    match line.char_indices().nth(most) {
        None => line,
        Some(_) => line.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Runs of digits and what people write between them, from a digit to a digit, with their places.
pub(super) fn groups(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text.get(rest..)?.find(|c: char| c.is_ascii_digit())?;
        let tail = text.get(start..)?;
        let outside = |c: char| !(c.is_ascii_digit() || c.is_whitespace() || "-.,()/+".contains(c));
        let run = tail.get(..tail.find(outside).unwrap_or(tail.len()))?;
        let group = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        rest = start + group.len();
        Some((start, group))
    })
}

fn digits(text: &str) -> Zeroizing<Vec<u8>> {
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    digits.extend(text.bytes().filter(u8::is_ascii_digit));
    digits
}

fn shares(one: &[u8], other: &[u8]) -> bool {
    one.windows(TELLING).any(|window| other.windows(TELLING).any(|telling| telling == window))
}

/// Characters that turn or hide text on a terminal.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_REASON, Redactor, Zeroizing, masked};
    use crate::{
        domain::challenge::Channel,
        gateway::{Message, MessageId},
    };

    fn message(text: &str) -> Message {
        Message {
            id: MessageId([7; 16]),
            to: "+13125550142".parse().unwrap(),
            channel: Channel::Sms,
            text: Zeroizing::new(text.to_owned()),
            code: None,
            valid_for: Duration::from_mins(5),
            answer_url: None,
            report_url: None,
        }
    }

    fn reason(spoken: &str, reply: &str) -> String {
        let message = message(spoken);
        let keys = [Zeroizing::new("Bearer sk_live_abc123".to_owned())];
        Redactor::new(&message, &keys).reason(reply)
    }

    #[test]
    fn codes_numbers_and_keys_do_not_reach_a_log() {
        let sms = "482913 is your sshd code for host7, ref K7.";
        let cases = [
            ("plain", sms, "bad request", "bad request"),
            ("e.164", sms, "to +13125550142 failed", "to +1 ••• ••• ••42 failed"),
            ("no plus", sms, "'13125550142'", "'+1 ••• ••• ••42'"),
            ("national", sms, "(312) 555-0142 bad", "+1 ••• ••• ••42 bad"),
            ("escaped plus", sms, "to=%2B13125550142", "to=%2B+1 ••• ••• ••42"),
            ("the code", sms, "text: 482913 is your", "text: [code] is your"),
            ("code in parts", sms, "482 913", "[code]"),
            ("code beside digits", sms, "id9482913", "id[code]"),
            ("spelled code", "Your code is: 4, 8, 2, 9, 1, 3.", "said 482913", "said [code]"),
            ("eight digits", "12345678 is it", "12345678", "[code]"),
            ("both", sms, "13125550142 482913", "+1 ••• ••• ••42"),
            ("twice", sms, "482913;482913", "[code];[code]"),
            ("other digits stay", sms, "error 30007, id 99999999", "error 30007, id 99999999"),
            ("the key", sms, "key sk_live_abc123 unknown", "key [key] unknown"),
            ("lines and escapes", sms, "a\r\nb\u{1b}[31m\u{202e}c\0", "a b [31m c"),
            ("unicode", sms, "número inválido", "número inválido"),
            ("nothing", sms, "", ""),
        ];
        for (name, spoken, reply, expected) in cases {
            assert_eq!(reason(spoken, reply), expected, "{name}");
        }
    }

    #[test]
    fn what_only_the_vendor_was_told_does_not_reach_a_log() {
        let token = "0a482913bcdef0123456789abcdef012";
        let secret = "f13125550142a0123456789abcdef012";
        let url = |path: &str| Some(Zeroizing::new(format!("https://h.example{path}")));
        let mut message = message("482913 is it");
        message.answer_url = url(&format!("/answer/{token}"));
        message.report_url = url(&format!("/receipts/flowroute/{secret}"));
        let key = [Zeroizing::new("key482913key".to_owned())];
        let redactor = Redactor::new(&message, &key);
        let cases = [
            (format!("GET /answer/{token}: 404"), "GET /answer/[key]: 404"),
            (format!("bad callback {secret}"), "bad callback [key]"),
            ("unknown key482913key".to_owned(), "unknown [key]"),
            (format!("{token} {secret} 482913"), "[key] [key] [code]"),
        ];
        for (reply, expected) in cases {
            assert_eq!(redactor.reason(&reply), expected);
        }
        // A gateway's name is no secret.
        message.report_url = url("/receipts/signalwire");
        let redactor = Redactor::new(&message, []);
        assert_eq!(redactor.reason("see signalwire.token"), "see signalwire.token");
    }

    #[test]
    fn without_the_message_every_long_group_of_digits_is_left_out() {
        let cases = [
            ("a code", "your code 482913 is", "your code [digits] is"),
            ("spelled", "4, 8, 2, 9, 1, 3", "[digits]"),
            ("a number", "to +1 (312) 555-0142: busy", "to [digits]: busy"),
            ("short ones stay", "error 30007; carrier 12", "error 30007; carrier 12"),
            ("apart", "30007; 12345", "30007; 12345"),
            ("lines", "a\nb\u{202e}", "a b"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(masked(text), expected, "{name}");
        }
    }

    #[test]
    fn a_hint_is_kept_whole_and_tells_nothing_either() {
        let cases = [
            ("HTTP 401", "the key in k", "HTTP 401 (the key in k)".to_owned()),
            ("HTTP 401", "482913\u{1b}", "HTTP 401 ([code])".to_owned()),
        ];
        let message = message("482913 is it");
        let redactor = Redactor::new(&message, []);
        for (reason, hint, expected) in cases {
            assert_eq!(redactor.hinted(reason.to_owned(), hint), expected);
        }
        let both = redactor.hinted("é".repeat(MAX_REASON), &"h".repeat(MAX_REASON));
        assert_eq!(both.chars().count(), MAX_REASON);
        assert!(both.contains("é… (hhh") && both.ends_with("h…)"), "{both}");
    }

    #[test]
    fn reasons_are_cut_after_they_are_cleaned() {
        let long = format!("{} 482913", "é".repeat(MAX_REASON - 4));
        let cut = reason("482913 is it", &long);
        assert_eq!(cut.chars().count(), MAX_REASON);
        assert!(cut.ends_with('…') && !cut.contains("48"));
    }
}
