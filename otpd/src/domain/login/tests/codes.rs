//! Codes: right, wrong, earlier, expired, and what is none.

use std::time::Duration;

use super::{Answered, Denial, denied, granted, refused};
use crate::domain::{
    challenge::{ANSWERS, End, State},
    enrollment::State as Enrolled,
    login::{Begun, Notice, Typed},
    scene::{Run, START, Scene, account, console, ssh},
};

#[test]
fn the_right_code_is_granted_once() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    assert_eq!(scene.events(), ["code-issued login", "message-sent"]);
    assert!(granted(&scene.right(token)));
    assert_eq!(scene.events(), ["login-granted"]);
    assert_eq!(denied(&scene.right(token)), Denial::Silent);
    assert_eq!(scene.events(), ["login-denied denied-before"]);
}

#[test]
fn a_wrong_code_uses_a_try_and_the_right_one_still_works() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    for left in [2, 1] {
        let (notice, view) = scene.asked(token, &wrong);
        assert_eq!((notice, view.tries_left), (Notice::Wrong, left));
    }
    assert!(granted(&scene.right(token)));
    assert_eq!(scene.sent(), 1);
}

#[test]
fn three_wrong_codes_end_the_login_and_its_reruns_without_a_word() {
    for (name, run) in [("a connection", ssh(1)), ("another address", ssh(1).from(4))] {
        let mut scene = Scene::new();
        let token = scene.start(run);
        let wrong = scene.wrong(token);
        scene.asked(token, &wrong);
        scene.asked(token, &wrong);
        scene.events();
        assert_eq!(denied(&scene.answer(token, &wrong)), Denial::Spent, "{name}");
        assert_eq!(
            scene.events(),
            ["code-wrong", "challenge-ended spent", "login-denied tries-used-up"]
        );
        // The code is not compared any more, and is not even kept.
        assert_eq!(denied(&scene.right(token)), Denial::Silent, "{name}");
        assert!(matches!(scene.challenge(token).state, State::Ended { how: End::Spent, .. }));
        for seconds in [0, 1, 300, 298] {
            scene.wait(seconds);
            assert_eq!(refused(&scene.begin(run)), Denial::Silent, "{name}");
        }
        assert_eq!(scene.sent(), 1, "{name}: no second message");
        let other = scene.start(ssh(2));
        assert!(granted(&scene.right(other)), "{name}: another attempt begins anew");
    }
}

#[test]
fn a_spent_attempt_is_forgotten_after_ten_minutes() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    (0..3).for_each(|_| drop(scene.answer(token, &wrong)));
    scene.wait(599);
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
    scene.wait(1);
    assert!(matches!(scene.begin(ssh(1)), Begun::Issued(..)));
}

#[test]
fn where_the_connection_cannot_be_told_nothing_is_matched() {
    let mut scene = Scene::new();
    let first = scene.start(console());
    let second = scene.start(console());
    assert_ne!(first, second);
    let wrong = scene.wrong(first);
    (0..3).for_each(|_| drop(scene.answer(first, &wrong)));
    let third = scene.start(console());
    assert!(granted(&scene.right(third)));
}

#[test]
fn an_expired_code_is_followed_by_one_fresh_one_for_no_try() {
    for typed in ["right", "wrong", "", "?", "r", "v"] {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        let (right, wrong) = (scene.code(token), scene.wrong(token));
        let typed = match typed {
            "right" => &right,
            "wrong" => &wrong,
            other => other,
        };
        scene.wait(299);
        assert!(matches!(scene.asked(token, "?"), (Notice::Help, _)));
        scene.wait(1);
        scene.events();
        let expired_at = scene.now;
        let (notice, view) = scene.asked(token, typed);
        assert_eq!(notice, Notice::Renewed { expired_at }, "{typed}");
        assert_eq!((view.tries_left, scene.sent()), (3, 2), "{typed}");
        assert_eq!(scene.events(), ["code-issued expired", "message-sent"], "{typed}");
        assert_eq!(scene.asked(token, &right).0, Notice::Earlier, "{typed}");
        scene.wait(299);
        assert!(granted(&scene.right(token)), "{typed}");
    }
}

#[test]
fn the_second_expiry_ends_the_login_and_a_rerun_begins_anew() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.wait(300);
    scene.asked(token, "?");
    scene.wait(300);
    scene.events();
    assert_eq!(denied(&scene.right(token)), Denial::Expired);
    assert_eq!(scene.events(), ["challenge-ended expired", "login-denied code-expired"]);
    assert_eq!(scene.sent(), 2);
    let next = scene.start(ssh(1));
    assert!(granted(&scene.right(next)));
}

#[test]
fn a_login_that_expired_at_an_open_prompt_begins_anew_when_it_is_run_again() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.wait(300);
    scene.events();
    let next = scene.start(ssh(1));
    assert_ne!(next, token);
    assert_eq!(scene.events()[..2], ["challenge-ended expired", "code-issued login"]);
    assert_eq!(denied(&scene.right(token)), Denial::Silent);
}

#[test]
fn a_clock_set_back_ends_a_code_and_never_makes_it_live_longer() {
    for (back, expired) in [(5_000, false), (5_001, true), (31_536_000_000, true)] {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        scene.now = scene.now.before(Duration::from_millis(back));
        match scene.right(token) {
            Answered::Granted => assert!(!expired, "{back}"),
            Answered::Ask(Notice::Renewed { .. }, ..) => assert!(expired, "{back}"),
            other => panic!("{back}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_code_is_never_a_try() {
    let junk = [
        "",
        " ",
        "?",
        "help",
        "48291",
        "4829130",
        "48291a",
        "４８２９１３",
        "-",
        "rr",
        "r v",
        "hunter2",
        "0000000000000000000000000000000000000000000000",
    ];
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    for typed in junk {
        let (notice, view) = scene.asked(token, typed);
        assert_eq!((notice, view.tries_left), (Notice::Help, 3), "{typed:?}");
    }
    let (code, wrong) = (scene.code(token), scene.wrong(token));
    assert!(matches!(scene.asked(token, &wrong), (Notice::Wrong, _)));
    let spaced = format!(" {} - {} ", &code[..3], &code[3..]);
    assert!(granted(&scene.answer(token, &spaced)));
}

#[test]
fn thirty_answers_are_taken_and_no_more() {
    for answers in [ANSWERS - 1, ANSWERS] {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        for _ in 0..answers {
            assert!(matches!(scene.asked(token, ""), (Notice::Help, _)));
        }
        let last = scene.right(token);
        if answers < ANSWERS {
            assert!(granted(&last));
        } else {
            assert_eq!(denied(&last), Denial::Spent);
            assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
        }
    }
}

/// Any other end begins anew; but nobody who gave up wants a second text.
#[test]
fn after_q_a_rerun_is_denied_without_a_word_and_after_a_cancel_it_begins_anew() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.events();
    assert_eq!(denied(&scene.answer(token, "q")), Denial::Quit);
    assert_eq!(scene.events(), ["challenge-ended cancelled", "login-denied given-up"]);
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
    // Who types the password again wants to try again.
    scene.start(Run { by_itself: false, ..ssh(1) });
    let token = scene.start(ssh(2));
    scene.events();
    assert!(scene.abandon(token));
    assert_eq!(scene.events(), ["challenge-ended cancelled"]);
    assert!(!scene.abandon(token), "twice is once");
    assert_eq!(denied(&scene.right(token)), Denial::Ended);
    let again = scene.start(ssh(2));
    assert!(granted(&scene.right(again)));
}

#[test]
fn crossed_codes_are_both_wrong_and_uncrossed_ones_both_right() {
    let mut scene = Scene::new();
    let pairs = [(ssh(1), ssh(2)), (ssh(3), ssh(4).of("bob")), (console(), console())];
    for (one, other) in pairs {
        let (one, other) = (scene.start(one), scene.start(other));
        let (code, code_of_other) = (scene.code(one), scene.code(other));
        assert_eq!(scene.asked(one, &code_of_other).0, Notice::Wrong);
        assert_eq!(scene.asked(other, &code).0, Notice::Wrong);
        assert!(granted(&scene.answer(one, &code)));
        assert!(granted(&scene.answer(other, &code_of_other)));
    }
}

#[test]
fn a_challenge_that_nobody_answers_is_forgotten_ten_minutes_after_its_life() {
    for (seconds, known) in [(300 + 599, true), (300 + 600, false)] {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        scene.wait(seconds);
        match scene.right(token) {
            Answered::Ask(Notice::Renewed { .. }, ..) => assert!(known, "{seconds}"),
            Answered::Unknown => assert!(!known, "{seconds}"),
            other => panic!("{seconds}: {other:?}"),
        }
    }
}

/// What switches an account off ends its logins; this holds even if one were left.
#[test]
fn the_right_code_is_of_no_use_to_an_account_that_may_not_log_in() {
    let cases = [
        ("not proved", Some(Enrolled::Pending), Denial::Disabled),
        ("off", Some(Enrolled::Disabled { verified_at: Some(START) }), Denial::Disabled),
        ("no number", None, Denial::NotEnrolled),
    ];
    for (name, state, denial) in cases {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        let enrollment = scene.enrollments.remove(&account("alice")).expect("enrolled");
        if let Some(state) = state {
            let left = crate::domain::enrollment::Enrollment { state, ..enrollment };
            scene.enrollments.insert(account("alice"), left);
        }
        assert_eq!(denied(&scene.right(token)), denial, "{name}");
        assert!(!scene.challenge(token).is_live(), "{name}");
    }
}

#[test]
fn what_was_typed_does_not_print() {
    assert_eq!(format!("{:?}", Typed::new("482913")), "Typed(..)");
}
