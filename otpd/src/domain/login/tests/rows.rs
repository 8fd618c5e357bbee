//! Rows as an earlier release wrote them.

use minicbor::Encode;

use super::super::{Challenge, Failures, KnownSource, LoginState, Messages, Refused};
use crate::domain::{
    bypass::Bypasses,
    recovery::Recovery,
    scene::{Scene, console, ssh},
};

/// The state before there were recovery codes, bypasses and the time of the last success.
#[derive(Encode)]
struct Before {
    #[n(0)]
    challenges: Vec<Challenge>,
    #[n(1)]
    failures: Failures,
    #[n(2)]
    messages: Messages,
    #[n(3)]
    known: Vec<KnownSource>,
    #[n(4)]
    refused: Vec<Refused>,
}

#[test]
fn a_row_without_recovery_codes_and_bypasses_reads_as_one_that_has_none() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.right(token);
    let token = scene.start(ssh(2));
    scene.answer(token, "q");
    scene.start(console());
    let login = scene.login("alice");
    let LoginState { challenges, failures, messages, known, refused, .. } = login.clone();
    let before = Before { challenges, failures, messages, known, refused };
    let bytes = minicbor::to_vec(before).expect("a stored form");
    assert_eq!(bytes[0], 0x85, "an array of five");
    let read = minicbor::decode::<LoginState>(&bytes).expect("an old row");
    assert_eq!((&read.recovery, &read.bypasses), (&Recovery::default(), &Bypasses::default()));
    assert_eq!(read, LoginState { succeeded: None, ..login });
}

#[test]
fn a_row_that_is_cut_off_is_an_error() {
    let mut scene = Scene::new();
    scene.start(ssh(1));
    let bytes = minicbor::to_vec(scene.login("alice")).expect("a stored form");
    for length in 0..bytes.len() {
        assert!(minicbor::decode::<LoginState>(&bytes[..length]).is_err(), "{length} bytes");
    }
}
