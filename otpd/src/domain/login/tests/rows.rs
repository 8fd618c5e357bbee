//! Rows as an earlier release wrote them, and what is taken out of one or put into it.

use minicbor::Encode;

use super::{
    super::{Challenge, Failures, KnownSource, LoginState, Messages, Refused},
    bypasses::bypass,
    guess,
    recovery::codes,
};
use crate::domain::{
    bypass::Bypasses,
    recovery::Recovery,
    scene::{Scene, console, ssh},
    time::DAY,
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

#[test]
fn a_decision_ends_what_lives_before_it_and_not_after_it() {
    let mut scene = Scene::new();
    let [first, second, third] = [1, 2, 3].map(|id| scene.start(ssh(id)));
    let before = scene.login("alice");
    let ended = |after: &LoginState| before.ended_by(after).collect::<Vec<_>>();
    assert_eq!(ended(&before), []);
    scene.abandon(second);
    let abandoned = scene.login("alice");
    assert_eq!(ended(&abandoned), [second]);
    // What had ended before is not ended again, and what begins is not ended.
    scene.start(console());
    assert_eq!(abandoned.ended_by(&scene.login("alice")).count(), 0);
    let none = LoginState { challenges: Vec::new(), ..before.clone() };
    assert_eq!(ended(&none), [first, second, third]);
    assert_eq!(none.ended_by(&before).count(), 0);
}

#[test]
fn so_does_one_that_leaves_a_login_without_its_code() {
    let mut scene = Scene::new();
    codes(&mut scene);
    let token = scene.start(ssh(1));
    let before = scene.login("alice");
    scene.terms.countries.clear();
    scene.wait(300);
    let _ = scene.right(token);
    let after = scene.login("alice");
    assert!(scene.challenge(token).is_withheld());
    assert_eq!(before.ended_by(&after).collect::<Vec<_>>(), [token]);
    scene.abandon(token);
    assert_eq!(after.ended_by(&scene.login("alice")).count(), 0, "not once more");
}

#[test]
fn what_a_clock_that_was_ahead_left_behind_ages_from_now_on() {
    let mut scene = Scene::new();
    let (now, source) = (scene.now, ssh(1).source);
    scene.now = now.after(DAY * 365);
    let token = scene.start(ssh(1));
    let _ = scene.right(token);
    let given_up = scene.start(ssh(2));
    scene.answer(given_up, "q");
    scene.now = now;
    // Whatever is decided next.
    let token = scene.start(ssh(3).from(8));
    let login = scene.login("alice");
    assert_eq!((login.known[0].source, login.known[0].last), (source.expect("one"), now));
    assert_eq!((login.refused.len(), login.refused[0].at, login.succeeded), (1, now, Some(now)));
    scene.wait(600);
    scene.abandon(token);
    assert_eq!(scene.login("alice").refused, [], "its connection is over");
    scene.now = now.after(DAY * 30);
    let token = scene.start(ssh(3).from(8));
    let login = scene.login("alice");
    assert!(login.known.is_empty() && login.succeeded.is_none());
    assert!(scene.challenge(token).is_live());
}

/// alice with wrong codes, a live login, recovery codes and a bypass.
fn rich() -> LoginState {
    let mut scene = Scene::new();
    guess(&mut scene, 1);
    codes(&mut scene);
    scene.start(ssh(1));
    bypass(&mut scene, "alice", None, None);
    let login = scene.login("alice");
    assert!(login.recovery.left() > 0 && login.bypasses.all().count() == 1);
    assert_eq!(login.live(scene.now), 1);
    login
}

#[test]
fn what_is_stored_apart_takes_the_place_of_what_a_row_says() {
    let rich = rich();
    let (given, bypasses) = (rich.recovery.codes().to_vec(), rich.bypasses.clone());
    let mut bare = rich.clone();
    bare.set_given(Vec::new(), Bypasses::default());
    assert_eq!((bare.recovery.codes(), &bare.bypasses), (&[][..], &Bypasses::default()));
    assert_eq!((&bare.challenges, &bare.failures), (&rich.challenges, &rich.failures));
    bare.set_given(given, bypasses);
    assert_eq!(bare, rich);
}

#[test]
fn a_lost_number_takes_its_stand_ins_and_logins_along_and_no_wrong_codes() {
    let rich = rich();
    let left = rich.clone().without_number();
    assert_eq!((left.recovery.left(), &left.bypasses), (0, &Bypasses::default()));
    assert_eq!(left.challenges, []);
    let LoginState { failures, messages, known, refused, succeeded, .. } = rich;
    assert_ne!(failures, Failures::default());
    assert_eq!((left.failures, left.messages), (failures, messages));
    assert_eq!((left.known, left.refused, left.succeeded), (known, refused, succeeded));
}
