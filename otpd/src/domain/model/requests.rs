//! What daemons are asked in this world, as the decisions take it.

use std::sync::{Arc, LazyLock};

use super::rows::{owner, rules};
use crate::domain::{
    challenge::{AttemptKey, Instance},
    login::{Answer, Begin, Terms, Typed},
    passcode::{ChallengeToken, Draw, Reference},
    policy::Requirement,
    scene::{code, reference},
};

pub(super) fn terms(instance: u32) -> Arc<Terms> {
    let mut terms = rules().clone();
    terms.issuer.instance = Instance(instance);
    Arc::new(terms)
}

/// The code that is drawn as the `n`th.
pub(super) fn digits(n: u8) -> String {
    format!("{:06}", 100_000 + u32::from(n))
}

/// A draw is a function of how many there were, or the same world would be met as many.
pub(super) fn draw(n: u8) -> Draw {
    static REFERENCE: LazyLock<Reference> = LazyLock::new(|| reference("K7"));
    let long = format!("{:08}", 10_000_000 + u32::from(n));
    Draw {
        // Of two logins of the same moment the one with the smaller token gives way: the others shall.
        token: ChallengeToken([0xE0 + n; 16]),
        code: code(&digits(n)),
        long_code: code(&long),
        reference: *REFERENCE,
    }
}

pub(super) fn begin(attempt: u8, instance: u32) -> Begin {
    Begin {
        terms: terms(instance),
        account: owner(),
        requirement: Requirement::Code,
        service: "sshd".to_owned(),
        attempt: Some(AttemptKey([attempt; 16])),
        source: None,
        by_itself: true,
        full: false,
        draw: draw(0),
    }
}

pub(super) fn answer(token: ChallengeToken, typed: &str, draw: Draw, instance: u32) -> Answer {
    Answer { terms: terms(instance), token, typed: Typed::new(typed), full: false, draw }
}
