//! The key that a call asks for before it says its words.

use std::fmt;

use rand::{CryptoRng, RngExt};

/// A digit from 1 to 9, drawn for each call anew, so that a mailbox whose greeting plays tones cannot
/// know it.
///
/// Not `#` and `*`, by which vendors end or clear what is typed; and not 0, which has two names in
/// English and brings callers to an operator in many mailboxes and exchanges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallKey(u8);

impl CallKey {
    /// Draws one.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self(rng.random_range(1..=9))
    }

    /// Whether it is what was pressed, and all that was.
    #[must_use]
    pub fn is(self, pressed: &str) -> bool {
        pressed.as_bytes() == [b'0' + self.0]
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{SeedableRng, rngs::StdRng};

    use super::CallKey;

    #[test]
    fn all_nine_are_drawn_alike_and_nothing_else() {
        let mut rng = StdRng::seed_from_u64(17);
        let mut drawn = BTreeMap::new();
        for _ in 0..9000 {
            *drawn.entry(CallKey::draw(&mut rng).to_string()).or_insert(0_u32) += 1;
        }
        assert_eq!(drawn.keys().map(String::as_str).collect::<String>(), "123456789");
        // The seed is fixed, and so is the result; a thousand each, more or less.
        assert!(drawn.values().all(|count| (850..1150).contains(count)), "{drawn:?}");
    }

    #[test]
    fn only_itself_once_is_right() {
        let key = CallKey(4);
        assert!(key.is("4"));
        let others =
            ["", "1", "5", "0", "44", "41", "14", "4#", " 4", "4.0", "*", "#", "1234567890"];
        for pressed in others {
            assert!(!key.is(pressed), "{pressed:?}");
        }
    }
}
