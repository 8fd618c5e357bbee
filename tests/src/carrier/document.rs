//! The small documents that say what a call does, read as a telephone hears them.

use roxmltree::{Document, Node};

use super::told::Presses;

/// Whose words a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `Say` and `Gather`: Twilio, `SignalWire`, Telnyx.
    Say,
    /// `Speak` and `GetDigits`: Plivo.
    Speak,
}

/// What a document did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Played {
    /// What was heard, in lines; pauses are lines of their own.
    pub lines: Vec<String>,
    /// How it goes on.
    pub next: Next,
}

/// How a call goes on after a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It ends.
    End,
    /// With another document.
    Fetch {
        /// Where it is; empty: where this one was.
        url: String,
        /// Whether it is posted to, where the document says.
        method: Option<String>,
        /// The keys that were pressed.
        digits: Option<String>,
    },
}

/// Nobody listens to the same more often.
const MOST_REPEATS: usize = 10;

/// What is allowed inside of what is spoken.
const SPEECH: [&str; 11] =
    ["break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "speak", "sub", "w"];

/// Plays a document; `presses` is what the person presses when asked.
///
/// # Errors
/// Why the vendor would end the call.
pub(super) fn play(xml: &str, dialect: Dialect, presses: &Presses) -> Result<Played, String> {
    let document =
        Document::parse(xml).map_err(|error| format!("document parse failure: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(format!("the root is <{}>, not <Response>", root.tag_name().name()));
    }
    let mut lines = Vec::new();
    for verb in elements(root)? {
        let attribute = |name: &str| verb.attribute(name).map(str::to_owned);
        match (dialect, verb.tag_name().name()) {
            (Dialect::Say, "Say") | (Dialect::Speak, "Speak") => speak(verb, &mut lines)?,
            (Dialect::Say, "Pause") | (Dialect::Speak, "Wait") => pause(verb, &mut lines)?,
            (_, "Hangup") => return Ok(Played { lines, next: Next::End }),
            (_, "Redirect") => {
                let url = verb.text().unwrap_or_default().trim().to_owned();
                let next = Next::Fetch { url, method: attribute("method"), digits: None };
                return Ok(Played { lines, next });
            }
            (Dialect::Say, "Gather") | (Dialect::Speak, "GetDigits" | "GetInput") => {
                let asked = lines.len();
                for nested in elements(verb)? {
                    match nested.tag_name().name() {
                        "Say" | "Speak" => speak(nested, &mut lines)?,
                        "Pause" | "Wait" => pause(nested, &mut lines)?,
                        other => return Err(format!("<{other}> cannot stand in a question")),
                    }
                }
                let question = lines.get(asked..).unwrap_or_default().join("\n");
                if let Some(digits) = pressed(verb, &question, presses)? {
                    let url = attribute("action").unwrap_or_default();
                    let next =
                        Next::Fetch { url, method: attribute("method"), digits: Some(digits) };
                    return Ok(Played { lines, next });
                }
            }
            (_, other) => return Err(format!("<{other}> is not understood")),
        }
    }
    Ok(Played { lines, next: Next::End })
}

/// The keys that a question gets; `None` when nobody presses any.
fn pressed(
    verb: Node<'_, '_>,
    question: &str,
    presses: &Presses,
) -> Result<Option<String>, String> {
    let keys = match presses {
        Presses::Nothing => return Ok(None),
        Presses::Named => named(question)?.to_string(),
        Presses::Other => (named(question)? % 9 + 1).to_string(),
        Presses::Keys(keys) => keys.clone(),
    };
    let end = verb.attribute("finishOnKey").unwrap_or("#");
    let keys = keys.split(|key: char| end.contains(key)).next().unwrap_or_default();
    let most = number(verb, "numDigits")?.unwrap_or(keys.len());
    Ok(Some(keys.chars().take(most).collect()))
}

/// The key that a question tells a person to press.
fn named(question: &str) -> Result<u32, String> {
    let named = question
        .to_lowercase()
        .split("press ")
        .nth(1)
        .and_then(|rest| rest.chars().next()?.to_digit(10));
    named.ok_or(format!("no key is named in {question:?}"))
}

fn speak(verb: Node<'_, '_>, lines: &mut Vec<String>) -> Result<(), String> {
    for inside in verb.descendants().skip(1).filter(Node::is_element) {
        let name = inside.tag_name().name();
        if !SPEECH.contains(&name) {
            return Err(format!("<{name}> cannot be spoken"));
        }
    }
    let text: String = verb
        .descendants()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .fold(String::new(), |all, part| all + part + " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Err("there is nothing to say".to_owned());
    }
    // 0 means without end.
    let times = match number(verb, "loop")?.unwrap_or(1) {
        0 => MOST_REPEATS,
        times => times.min(MOST_REPEATS),
    };
    lines.extend(std::iter::repeat_n(text, times));
    Ok(())
}

fn pause(verb: Node<'_, '_>, lines: &mut Vec<String>) -> Result<(), String> {
    let seconds = number(verb, "length")?.unwrap_or(1);
    lines.push(format!("(silence, {seconds} s)"));
    Ok(())
}

fn number(verb: Node<'_, '_>, name: &str) -> Result<Option<usize>, String> {
    let Some(text) = verb.attribute(name) else { return Ok(None) };
    let found = text.parse().map_err(|_| format!("{name}=\"{text}\" is no number"))?;
    Ok(Some(found))
}

/// The elements right below one; text between them is an error.
fn elements<'a>(node: Node<'a, 'a>) -> Result<Vec<Node<'a, 'a>>, String> {
    let stray = |node: &Node<'_, '_>| {
        node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty())
    };
    if node.children().any(|child| stray(&child)) {
        return Err(format!("text stands in <{}> itself", node.tag_name().name()));
    }
    Ok(node.children().filter(Node::is_element).collect())
}

/// An address as a document writes it, seen from where the document was.
///
/// # Errors
/// When it is neither whole nor begins with a slash.
pub(super) fn join(base: &str, url: &str) -> Result<String, String> {
    if url.is_empty() {
        return if base.is_empty() {
            Err("a document that came with the call has no address to go on with".to_owned())
        } else {
            Ok(base.to_owned())
        };
    }
    if url.contains("://") {
        return Ok(url.to_owned());
    }
    let authority = base.find("://").map(|at| at + 3);
    match authority {
        Some(start) if url.starts_with('/') => {
            let rest = base.get(start..).unwrap_or_default();
            let end = rest.find(['/', '?']).map_or(base.len(), |at| start + at);
            Ok(format!("{}{url}", base.get(..end).unwrap_or_default()))
        }
        Some(_) | None => Err(format!("{url:?} is not an address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Played {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Played { lines, next: Next::End }
    }

    #[test]
    fn documents_are_heard() {
        let cases = [
            (
                "repeated, with pauses",
                Dialect::Say,
                r#"<Response><Say loop="2">Your code: 1, 2.</Say><Pause length="2"/><Say>Bye</Say></Response>"#,
                Ok(said(&["Your code: 1, 2.", "Your code: 1, 2.", "(silence, 2 s)", "Bye"])),
            ),
            (
                "speech inside of speech",
                Dialect::Speak,
                r#"<Response><Speak voice="WOMAN">Code <break time="1s"/><say-as interpret-as="digits">12</say-as></Speak></Response>"#,
                Ok(said(&["Code 12"])),
            ),
            (
                "a question that nobody answers",
                Dialect::Say,
                r#"<Response><Gather numDigits="1"><Say>Press 1.</Say></Gather><Hangup/><Say>no</Say></Response>"#,
                Ok(said(&["Press 1."])),
            ),
            (
                "the other dialect",
                Dialect::Speak,
                "<Response><Say>hello</Say></Response>",
                Err("<Say> is not understood".to_owned()),
            ),
            (
                "no document",
                Dialect::Say,
                "<html/>",
                Err("the root is <html>, not <Response>".to_owned()),
            ),
            (
                "stray text",
                Dialect::Say,
                "<Response>code 12</Response>",
                Err("text stands in <Response> itself".to_owned()),
            ),
            (
                "markup that was not escaped",
                Dialect::Say,
                "<Response><Say>host <b>x</b></Say></Response>",
                Err("<b> cannot be spoken".to_owned()),
            ),
        ];
        for (name, dialect, xml, expected) in cases {
            assert_eq!(play(xml, dialect, &Presses::Nothing), expected, "{name}");
        }
        let broken = "<Response><Say>&</Say></Response>";
        assert!(play(broken, Dialect::Say, &Presses::Nothing).is_err());
    }

    #[test]
    fn a_key_goes_on_with_the_action() {
        let xml = r#"<Response><GetDigits action="/a?b=1&amp;c=2" method="GET" numDigits="1"><Speak>Press 9.</Speak></GetDigits></Response>"#;
        for (presses, digits) in
            [(Presses::Keys("12".to_owned()), "1"), (Presses::Named, "9"), (Presses::Other, "1")]
        {
            let next = Next::Fetch {
                url: "/a?b=1&c=2".to_owned(),
                method: Some("GET".to_owned()),
                digits: Some(digits.to_owned()),
            };
            let played = play(xml, Dialect::Speak, &presses).unwrap();
            assert_eq!(played, Played { lines: vec!["Press 9.".to_owned()], next }, "{presses:?}");
        }
        let unnamed = xml.replace("Press 9.", "Press");
        assert!(play(&unnamed, Dialect::Speak, &Presses::Named).is_err());
    }

    #[test]
    fn addresses_are_joined() {
        let base = "https://h.example:8443/answer/x?y=1";
        let cases = [
            ("", Some(base)),
            ("/b", Some("https://h.example:8443/b")),
            ("http://other/", Some("http://other/")),
            ("b", None),
        ];
        for (url, expected) in cases {
            assert_eq!(join(base, url).ok().as_deref(), expected, "{url}");
        }
        assert_eq!(join("https://h?x", "/b").unwrap(), "https://h/b");
        assert!(join("", "").is_err());
    }
}
