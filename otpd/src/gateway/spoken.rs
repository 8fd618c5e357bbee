//! What a call says, as the document that a vendor reads out.
//!
//! Pure, and without wording: the sentences are [`crate::conversation`]'s, and so is the repetition
//! of the code, because gateways without documents need it too. Here a pause comes before each.

use zeroize::Zeroizing;

use super::escape::Escape;
use crate::conversation::AGAIN;

/// How a vendor writes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Twilio's `TwiML`, as `SignalWire` (cXML) and Telnyx (`TeXML`) read it too.
    Twiml,
    /// Plivo's XML.
    Plivo,
}

/// What the two call the same things.
struct Names {
    say: &'static str,
    pause: &'static str,
    /// The element that waits for a key, with all of its attributes but the address.
    key: &'static str,
    key_end: &'static str,
}

const TWIML: Names = Names {
    say: "Say",
    pause: "<Pause length=\"1\"/>",
    key: "<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"8\" method=\"POST\" action=\"",
    key_end: "</Gather>",
};

const PLIVO: Names = Names {
    say: "Speak",
    pause: "<Wait length=\"1\"/>",
    key: "<GetDigits numDigits=\"1\" timeout=\"8\" retries=\"1\" method=\"POST\" action=\"",
    key_end: "</GetDigits>",
};

const BEGIN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>";
const END: &str = "<Hangup/></Response>";

impl Markup {
    /// Says the words once, after a second in which the telephone reaches the ear and with another
    /// before each repetition in them, and hangs up. The document holds the code if the words do.
    #[must_use]
    pub fn says(self, words: &str) -> Zeroizing<String> {
        let names = self.names();
        let mut parts = vec![BEGIN];
        let said: Vec<_> = sentences(words).map(|part| Escape::Xml.apply(part)).collect();
        for words in &said {
            parts.push(names.pause);
            parts.extend(say(names, words));
        }
        parts.push(END);
        joined(&parts)
    }

    /// Asks for a key, twice, and goes on at `action` with the first that is pressed, by a POST that
    /// has it in `Digits`; any digit is one, so that a wrong one ends the question too. Nobody there,
    /// or a machine: hangs up about 8 s after the question, so that no voicemail hears a code. The
    /// question must not hold it.
    ///
    /// `#` ends what is typed, so that alone it is no key for these vendors: the question should
    /// name a digit.
    #[must_use]
    pub fn asks(self, question: &str, action: &str) -> Zeroizing<String> {
        let names = self.names();
        let (question, action) = (Escape::Xml.apply(question), Escape::Xml.apply(action));
        let mut parts = vec![BEGIN, names.pause, names.key, &action, "\">"];
        // Without a pause between them: Plivo's element may hold what is said, and nothing else.
        parts.extend(say(names, &question));
        parts.extend(say(names, &question));
        parts.extend([names.key_end, END]);
        joined(&parts)
    }

    fn names(self) -> &'static Names {
        match self {
            Self::Twiml => &TWIML,
            Self::Plivo => &PLIVO,
        }
    }
}

fn say<'a>(names: &'a Names, words: &'a str) -> [&'a str; 7] {
    ["<", names.say, " language=\"en-US\">", words, "</", names.say, ">"]
}

/// The words, cut before each repetition.
fn sentences(words: &str) -> impl Iterator<Item = &str> {
    let cuts = AGAIN.iter().flat_map(|word| words.match_indices(word)).map(|(start, _)| start);
    let mut cuts: Vec<usize> = cuts.collect();
    cuts.sort_unstable();
    cuts.push(words.len());
    let mut from = 0;
    cuts.into_iter().filter_map(move |cut| {
        let part = words.get(from..cut)?.trim();
        from = cut;
        (!part.is_empty()).then_some(part)
    })
}

/// One text, made at once: one that grows leaves copies behind that nobody wipes.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::Markup;
    use crate::{
        conversation::{spoken, spoken_question, spoken_test},
        domain::{call_key::CallKey, scene::code},
        random,
    };

    #[test]
    fn a_code_is_said_with_a_pause_before_each_repetition() {
        let words = spoken(&code("048291"), "web01");
        let digits = "0. 4. 8. 2. 9. 1.";
        assert_eq!(
            *Markup::Twiml.says(&words),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
                 <Pause length=\"1\"/><Say language=\"en-US\">Your login code for web01 is: \
                 {digits}</Say>\
                 <Pause length=\"1\"/><Say language=\"en-US\">Again: {digits}</Say>\
                 <Pause length=\"1\"/><Say language=\"en-US\">Once more: {digits} Never share it.\
                 </Say><Hangup/></Response>"
            )
        );
        assert_eq!(
            *Markup::Plivo.says(&spoken_test("web01")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Wait length=\"1\"/><Speak language=\"en-US\">This is a test call of otpd on web01. \
             There is nothing to do.</Speak>\
             <Wait length=\"1\"/><Speak language=\"en-US\">Again: This is a test call of otpd on \
             web01. There is nothing to do.</Speak><Hangup/></Response>"
        );
    }

    #[test]
    fn without_a_key_it_hangs_up() {
        let key = CallKey::draw(&mut random::system());
        let question = spoken_question("web01", key);
        let once = format!("This is a call from web01. To hear the message, press {key}.");
        let url = "https://otp.example.com/answer/1a?x=1&y=2";
        assert_eq!(
            *Markup::Twiml.asks(&question, url),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Pause length=\"1\"/>\
                 <Gather input=\"dtmf\" numDigits=\"1\" timeout=\"8\" method=\"POST\" \
                 action=\"https://otp.example.com/answer/1a?x=1&amp;y=2\">\
                 <Say language=\"en-US\">{once}</Say>\
                 <Say language=\"en-US\">{once}</Say></Gather><Hangup/></Response>"
            )
        );
        assert_eq!(
            *Markup::Plivo.asks(&question, url),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Wait length=\"1\"/>\
                 <GetDigits numDigits=\"1\" timeout=\"8\" retries=\"1\" method=\"POST\" \
                 action=\"https://otp.example.com/answer/1a?x=1&amp;y=2\">\
                 <Speak language=\"en-US\">{once}</Speak>\
                 <Speak language=\"en-US\">{once}</Speak></GetDigits><Hangup/></Response>"
            )
        );
    }

    #[test]
    fn no_word_becomes_mark_up() {
        let cases = [
            ("mark-up", "</Say><Dial>1</Dial>", "&lt;/Say&gt;&lt;Dial&gt;1&lt;/Dial&gt;"),
            ("an entity", "a&amp;b", "a&amp;amp;b"),
            ("quotes", "\"a' ", "&quot;a&#39;"),
            ("no character of XML", "a\0\u{1b}\u{ffff}b\tc", "ab\tc"),
            ("other alphabets", "Büro №1", "Büro №1"),
        ];
        for (name, words, said) in cases {
            for (markup, tag) in [(Markup::Twiml, "Say"), (Markup::Plivo, "Speak")] {
                let document = markup.says(words);
                let said = format!("<{tag} language=\"en-US\">{said}</{tag}><Hangup/>");
                assert!(document.contains(&said), "{name}: {}", *document);
                let action = markup.asks("q", words);
                assert_eq!(action.matches('<').count(), markup.asks("q", "").matches('<').count());
            }
        }
    }

    #[test]
    fn nothing_to_say_hangs_up() {
        let document = Markup::Twiml.says(" ");
        assert!(document.ends_with("?><Response><Hangup/></Response>"), "{}", *document);
    }
}
