//! Codes, their hashes, and the names of challenges and messages.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::{ChallengeToken, CodeKey, Passcode, Purpose, Reference, RequestId};
use crate::domain::account::Account;

#[test]
fn every_digit_is_equally_likely_everywhere() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut counts = [[0u32; 10]; 6];
    for _ in 0..60_000 {
        let code = Passcode::generate(&mut rng, 6);
        for (position, byte) in code.expose().bytes().enumerate() {
            counts[position][usize::from(byte - b'0')] += 1;
        }
    }
    for (position, counts) in counts.iter().enumerate() {
        // Chi-square with 9 degrees of freedom: 33.7 is passed once in ten thousand.
        let chi: f64 =
            counts.iter().map(|count| (f64::from(*count) - 6000.0).powi(2) / 6000.0).sum();
        assert!(chi < 33.7, "position {position}: {counts:?}");
    }
}

#[test]
fn typed_codes_are_recognised_by_shape() {
    let cases = [
        ("plain", "482913", true),
        ("grouped", " 482-913 ", true),
        ("leading zeros", "000001", true),
        ("short", "48291", false),
        ("long", "4829130", false),
        ("letters", "48291a", false),
        ("other scripts' digits", "４８２９１３", false),
        ("empty", "", false),
        ("at the end of 32 bytes", &format!("{}482913", " ".repeat(26)), true),
        ("hidden in a long line", &format!("{}482913", " ".repeat(40)), false),
    ];
    for (name, text, is_code) in cases {
        assert_eq!(Passcode::typed(text, 6).is_some(), is_code, "{name}");
    }
}

#[test]
fn a_hash_serves_its_own_purpose_challenge_account_and_key_only() {
    let mut rng = StdRng::seed_from_u64(2);
    let (alice, bob) = (Account::new("alice").unwrap(), Account::new("bob").unwrap());
    let (one, two) = (CodeKey::new(1, [1; 32]), CodeKey::new(1, [2; 32]));
    let other_id = CodeKey::new(2, [1; 32]);
    let token = ChallengeToken::generate(&mut rng);
    let other = ChallengeToken::generate(&mut rng);
    let code = Passcode::typed("482913", 6).unwrap();
    let wrong = Passcode::typed("482914", 6).unwrap();
    let right = one.hash(Purpose::Login, token, &alice, &code);
    let cases = [
        ("the same", one.hash(Purpose::Login, token, &alice, &code), true),
        ("another code", one.hash(Purpose::Login, token, &alice, &wrong), false),
        ("another purpose", one.hash(Purpose::Enrollment, token, &alice, &code), false),
        ("another challenge", one.hash(Purpose::Login, other, &alice, &code), false),
        ("another account", one.hash(Purpose::Login, token, &bob, &code), false),
        ("another key", two.hash(Purpose::Login, token, &alice, &code), false),
        ("another key id", other_id.hash(Purpose::Login, token, &alice, &code), false),
    ];
    for (name, hash, matches) in cases {
        assert_eq!(right.matches(&hash), matches, "{name}");
    }
}

#[test]
fn references_of_one_login_differ() {
    let mut rng = StdRng::seed_from_u64(3);
    let first = Reference::generate(&mut rng);
    let second = first.apart_from(&[first]);
    let third = first.apart_from(&[first, second]);
    assert_eq!(BTreeSet::from([first, second, third].map(|r| r.to_string())).len(), 3);
    let next = |reference: &[u8; 2], taken: &[Reference]| {
        Reference(*reference).apart_from(taken).to_string()
    };
    assert_eq!(next(b"K7", &[]), "K7");
    assert_eq!(next(b"K7", &[Reference(*b"K7")]), "M7");
    assert_eq!(next(b"Z2", &[Reference(*b"Z2"), Reference(*b"A2")]), "B2");
}

#[test]
fn request_ids_are_six_letters_that_cannot_be_misread() {
    assert_eq!(RequestId(0).to_string(), "0000-00");
    assert_eq!(RequestId((1 << 30) - 1).to_string(), "ZZZZ-ZZ");
    assert_eq!(ChallengeToken([0xff; 16]).request().to_string(), "ZZZZ-ZZ");
}

#[test]
fn request_ids_are_read_as_people_say_them() {
    let cases = [
        ("as it is written", "7K3F-Q2", Some("7K3F-Q2")),
        ("small letters", "7k3f-q2", Some("7K3F-Q2")),
        ("without a dash", "7K3FQ2", Some("7K3F-Q2")),
        ("dashes elsewhere, and spaces around", " 7K-3F-Q2\n", Some("7K3F-Q2")),
        ("look-alikes", "OIlo-1i", Some("0110-11")),
        ("the letter that is left out", "7K3F-QU", None),
        ("short", "7K3F-Q", None),
        ("long", "7K3F-Q22", None),
        ("empty", "", None),
        ("only a dash", "-", None),
        ("other scripts", "７K3F-Q2", None),
    ];
    for (name, text, expected) in cases {
        let read = text.parse::<RequestId>().ok().map(|id| id.to_string());
        assert_eq!(read.as_deref(), expected, "{name}");
    }
}

#[test]
fn secrets_do_not_print() {
    let code = Passcode::typed("482913", 6).unwrap();
    let key = CodeKey::new(1, [7; 32]);
    let account = Account::new("alice").unwrap();
    let hash = key.hash(Purpose::Login, ChallengeToken([9; 16]), &account, &code);
    assert_eq!(format!("{code:?} {key:?} {hash:?}"), "Passcode(..) CodeKey(1) CodeHash(..)");
    // What the help desk may hear, and no more of it.
    assert_eq!(format!("{:?}", ChallengeToken([0xff; 16])), "ChallengeToken(ZZZZ-ZZ…)");
    assert_eq!(format!("{:?} {:?}", RequestId(0), Reference(*b"K7")), "0000-00 K7");
}

#[test]
fn a_token_is_32_hexadecimal_digits() {
    let digits = "0123456789abcdef".repeat(2);
    let cases = [
        ("32 digits", digits.clone(), true),
        ("one less", digits[1..].to_owned(), false),
        ("one more", format!("0{digits}"), false),
        ("a sign", format!("+{}", &digits[1..]), false),
        ("another letter", format!("g{}", &digits[1..]), false),
    ];
    for (name, text, good) in cases {
        assert_eq!(ChallengeToken::from_wire(&text).is_some(), good, "{name}");
    }
}

proptest! {
    #[test]
    fn typing_never_panics_and_gives_digits_only(text in any::<String>(), digits in 0u8..20) {
        if let Some(code) = Passcode::typed(&text, digits) {
            prop_assert!(code.expose().bytes().all(|b| b.is_ascii_digit()));
            prop_assert_eq!(code.expose().len(), usize::from(digits));
        }
    }

    #[test]
    fn tokens_survive_the_wire(bytes in any::<[u8; 16]>()) {
        let token = ChallengeToken(bytes);
        prop_assert_eq!(ChallengeToken::from_wire(&token.to_wire()), Some(token));
    }

    #[test]
    fn request_ids_survive_reading(id in 0..1_u32 << 30) {
        prop_assert_eq!(RequestId(id).to_string().parse(), Ok(RequestId(id)));
    }

    #[test]
    fn no_text_makes_a_request_id_too_large(text in ".{0,12}") {
        prop_assert!(text.parse::<RequestId>().is_ok_and(|id| id.0 < 1 << 30) || text.parse::<RequestId>().is_err());
    }

    #[test]
    fn no_other_text_is_a_token(text in ".{0,40}") {
        if let Some(token) = ChallengeToken::from_wire(&text) {
            prop_assert_eq!(token.to_wire(), text.to_ascii_lowercase());
        }
    }
}
