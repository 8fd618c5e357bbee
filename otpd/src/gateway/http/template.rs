//! Bodies with `{to}`, `{text}` and `{channel}`.

use zeroize::Zeroizing;

use crate::{domain::challenge::Channel, gateway::escape::Escape};

/// A body, cut at its placeholders once, so that a value is never taken for a placeholder.
pub(super) struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Value(Slot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    To,
    Text,
    Channel,
}

const SLOTS: [(&str, Slot); 3] =
    [("{to}", Slot::To), ("{text}", Slot::Text), ("{channel}", Slot::Channel)];

/// Whether a text holds any placeholder.
pub(super) fn has_placeholder(text: &str) -> bool {
    next_slot(text).is_some()
}

/// The first placeholder: what stands before it, which it is, and what stands after it.
fn next_slot(text: &str) -> Option<(&str, Slot, &str)> {
    let found = SLOTS.iter().filter_map(|(word, slot)| Some((text.split_once(word)?, *slot)));
    let ((before, after), slot) = found.min_by_key(|((before, _), _)| before.len())?;
    Some((before, slot, after))
}

impl Template {
    /// Reads a template. Other braces than those of the three placeholders are literal.
    pub(super) fn new(body: &str, escape: Escape) -> Self {
        let mut pieces = Vec::new();
        let mut rest = body;
        while let Some((before, slot, after)) = next_slot(rest) {
            pieces.push(Piece::Literal(before.to_owned()));
            pieces.push(Piece::Value(slot));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Self { pieces, escape }
    }

    /// Whether it says who gets what.
    pub(super) fn is_complete(&self) -> bool {
        self.has(Slot::To) && self.has(Slot::Text)
    }

    /// Whether it says how the message goes.
    pub(super) fn has_channel(&self) -> bool {
        self.has(Slot::Channel)
    }

    /// What stands between the placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.as_str()),
            Piece::Value(_) => None,
        })
    }

    fn has(&self, slot: Slot) -> bool {
        self.pieces.contains(&Piece::Value(slot))
    }

    /// Whether the filled body is JSON, whatever the values are.
    pub(super) fn makes_json(&self) -> bool {
        let body = self.fill("+13125550142", "\"quotes\", \\ and\nlines", Channel::Sms);
        // Where strings are skipped, half of a character in one goes unnoticed.
        serde_json::from_str::<serde_json::Value>(&body).is_ok()
    }

    /// The body for one message.
    pub(super) fn fill(&self, to: &str, text: &str, channel: Channel) -> Zeroizing<String> {
        let channel = match channel {
            Channel::Sms => "sms",
            Channel::Voice => "voice",
        };
        let (to, text) = (self.escape.apply(to), self.escape.apply(text));
        let parts: Vec<&str> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(literal) => literal,
                Piece::Value(Slot::To) => to.as_str(),
                Piece::Value(Slot::Text) => text.as_str(),
                Piece::Value(Slot::Channel) => channel,
            })
            .collect();
        Zeroizing::new(parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::{Channel, Escape, Template};

    const TEXT: &str = "\"482913\" is\nyours, <ü> & {to}\\ 100% 'ok'";

    fn fill(content_type: &'static str, body: &str) -> String {
        let escape = Escape::of(&HeaderValue::from_static(content_type));
        Template::new(body, escape).fill("+13125550142", TEXT, Channel::Voice).to_string()
    }

    #[test]
    fn values_are_escaped_for_their_content_type() {
        let json = r#"{"t":"{text}","n":"{to}","c":["{channel}"]}"#;
        let filled = r#"{"t":"\"482913\" is\nyours, <ü> & {to}\\ 100% 'ok'","n":"+13125550142","c":["voice"]}"#;
        let cases = [
            ("application/json", json, filled),
            ("Application/JSON; charset=utf-8", json, filled),
            ("application/vnd.api+json", json, filled),
            (
                "application/x-www-form-urlencoded",
                "To={to}&Body={text}&c={channel}",
                "To=%2B13125550142&Body=%22482913%22%20is%0Ayours%2C%20%3C%C3%BC%3E%20%26%20%7Bto%7D\
                 %5C%20100%25%20%27ok%27&c=voice",
            ),
            (
                "text/xml; charset=utf-8",
                "<m to='{to}'>{text}</m>",
                "<m to='+13125550142'>&quot;482913&quot; is\nyours, &lt;ü&gt; &amp; {to}\\ 100% \
                 &#39;ok&#39;</m>",
            ),
            ("text/plain", "{to}|{channel}", "+13125550142|voice"),
        ];
        for (content_type, body, expected) in cases {
            assert_eq!(fill(content_type, body), expected, "{content_type}");
        }
        let read: serde_json::Value =
            serde_json::from_str(&fill("application/json", json)).unwrap();
        assert_eq!(read["t"], TEXT);
    }

    #[test]
    fn only_the_three_placeholders_are_placeholders() {
        let cases = [
            ("{}{ to }{TO}{code}", "{}{ to }{TO}{code}"),
            ("{{to}}", "{+13125550142}"),
            ("{to}{to}", "+13125550142+13125550142"),
            ("{to", "{to"),
            ("", ""),
        ];
        for (body, expected) in cases {
            assert_eq!(fill("text/plain", body), expected, "{body}");
        }
    }

    #[test]
    fn an_escape_that_a_value_would_go_on_with_is_refused() {
        for begun in ["\\", "\\u", "\\u00", "\\ud800"] {
            let body = ["{\"to\":\"{to}\",\"text\":\"", begun, "{text}\"}"].concat();
            assert!(!Template::new(&body, Escape::Json).makes_json(), "{body}");
        }
        for ended in ["\\\\", "\\u0041", "\\ud83d\\ude00"] {
            let body = ["{\"to\":\"{to}\",\"text\":\"", ended, "{text}\"}"].concat();
            assert!(Template::new(&body, Escape::Json).makes_json(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_json(text in any::<String>()) {
            let template = Template::new(r#"{"to":"{to}","text":"{text}"}"#, Escape::Json);
            let body = template.fill("+13125550142", &text, Channel::Sms);
            let read: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(read, serde_json::json!({"to": "+13125550142", "text": text}));
        }

        #[test]
        fn no_value_breaks_out_of_a_form(text in any::<String>()) {
            let body = Template::new("b={text}&n={to}", Escape::Form).fill("+1", &text, Channel::Sms);
            let url = reqwest::Url::parse(&format!("http://x/?{}", *body)).unwrap();
            let read: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(read, [("b".into(), text.into()), ("n".into(), "+1".into())]);
        }
    }
}
