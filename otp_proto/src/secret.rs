//! Text that must not be printed: what a claimant typed, a code.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A string that is wiped when dropped and whose `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; no copy stays with the caller.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Never pass it to a log, an error or a `format!` that outlives the call.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of another type would quote what stands there, and that is the secret all the same.
        let text = String::deserialize(deserializer);
        text.map(Self::new).map_err(|_| serde::de::Error::custom("expected a string"))
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;
    use crate::{admin, login};

    const CODE: &str = "482913";
    const NUMBER: &str = "+12025550142";

    /// Everything on the wire that carries a code, a recovery code or a number in full.
    #[test]
    fn debug_shows_nothing() {
        let code = || Secret::new(CODE.to_owned());
        let phone = || Secret::new(NUMBER.to_owned());
        let user = || "alice".to_owned();
        let answer = login::Answer { challenge: "c1".to_owned(), answer: code() };
        let enroll = admin::Enroll { user: user(), phone: phone(), channel: None, replace: false };
        let register =
            admin::Register { user: user(), phone: phone(), channel: None, replace: false };
        let test = admin::TestMessage { phone: phone(), gateway: None, voice: false };
        let shown = [
            ("Secret", format!("{:?}", code())),
            ("Answer", format!("{answer:?}")),
            ("Enroll", format!("{enroll:?}")),
            ("Register", format!("{register:?}")),
            ("Verify", format!("{:?}", admin::Verify { user: user(), code: code() })),
            ("Revealed", format!("{:?}", admin::Revealed { phone: phone() })),
            ("TestMessage", format!("{test:?}")),
            ("MadeCodes", format!("{:?}", admin::MadeCodes { codes: vec![code(), phone()] })),
        ];
        for (name, text) in shown {
            assert!(text.contains("Secret(..)"), "{name}: {text}");
            assert!(!text.contains(CODE) && !text.contains("5550142"), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_without_being_quoted() {
        let error = serde_json::from_str::<Secret>("482913").expect_err("a number");
        assert_eq!(error.to_string(), "expected a string");
    }
}
