//! Wrong codes: what they lock, over all logins of an account.

use super::{Begun, Denial, LimitName, denied, granted, guess, limit, refused};
use crate::domain::{
    audit::Event,
    budget::wrong_for_long_codes,
    challenge::{End, State},
    login::{Answered, Notice},
    manage::Verb,
    records::TrafficKey,
    scene::{Scene, console, ssh},
    time::{DAY, HOUR, MINUTE},
};

#[test]
fn ten_wrong_codes_in_an_hour_pause_every_login_before_anything_is_compared() {
    let mut scene = Scene::new();
    let open = scene.start(ssh(1));
    guess(&mut scene, 9);
    let last = scene.start(console());
    let wrong = scene.wrong(last);
    scene.events();
    let denial = denied(&scene.answer(last, &wrong));
    assert_eq!(limit(denial), LimitName::WrongCodesPerHour);
    assert_eq!(
        scene.events(),
        ["code-wrong", "challenge-ended spent", "login-denied wrong-codes-per-hour"]
    );
    // The right code of another login is not compared: a guess must not tell by a success.
    assert_eq!(limit(denied(&scene.right(open))), LimitName::WrongCodesPerHour);
    assert_eq!(limit(refused(&scene.begin(ssh(2)))), LimitName::WrongCodesPerHour);
    let sent = scene.sent();
    scene.now = scene.now.after(MINUTE * 30).before(std::time::Duration::from_millis(1));
    assert_eq!(limit(refused(&scene.begin(ssh(3)))), LimitName::WrongCodesPerHour);
    assert_eq!(scene.sent(), sent, "a locked account gets no message");
    scene.now = scene.now.after(std::time::Duration::from_millis(1));
    let token = scene.start(ssh(4));
    assert!(granted(&scene.right(token)));
}

#[test]
fn twenty_in_a_day_lock_until_the_oldest_is_a_day_old() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        guess(&mut scene, 1);
        scene.now = scene.now.after(MINUTE * 10);
    }
    let first = crate::domain::scene::START;
    let Denial::Held(held) = refused(&scene.begin(ssh(1))) else { panic!("held") };
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesPerDay, Some(first.after(DAY))));
    let noted = scene.audit.last().map(|noted| &noted.event);
    let Some(Event::LoginDenied { until, .. }) = noted else { panic!("{noted:?}") };
    assert_eq!(*until, held.until, "and so does the log");
    scene.now = first.after(DAY);
    let token = scene.start(ssh(2));
    assert!(granted(&scene.right(token)), "one is free again");
}

#[test]
fn a_success_clears_no_window() {
    let mut scene = Scene::new();
    guess(&mut scene, 9);
    let token = scene.start(ssh(1));
    assert!(granted(&scene.right(token)));
    guess(&mut scene, 1);
    assert_eq!(limit(refused(&scene.begin(ssh(2).from(8)))), LimitName::WrongCodesPerHour);
}

#[test]
fn an_unlock_opens_the_account_at_once() {
    let mut scene = Scene::new();
    guess(&mut scene, 10);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
    scene.wait(5);
    scene.manage("alice", Verb::Unlock);
    let token = scene.start(ssh(2));
    assert!(granted(&scene.right(token)));
    guess(&mut scene, 10);
    assert_eq!(limit(refused(&scene.begin(ssh(3).from(8)))), LimitName::WrongCodesPerHour);
}

#[test]
fn an_unlock_holds_when_the_clock_was_ahead() {
    let mut scene = Scene::new();
    scene.now = scene.now.after(DAY * 365);
    guess(&mut scene, 10);
    scene.now = scene.now.before(DAY * 365);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
    scene.manage("alice", Verb::Unlock);
    let token = scene.start(ssh(2));
    assert!(granted(&scene.right(token)));
}

/// Else every wrong code until the clock caught up would be free.
#[test]
fn an_unlock_by_a_clock_that_was_ahead_hides_no_later_guess() {
    let mut scene = Scene::new();
    scene.now = scene.now.after(DAY * 365);
    scene.manage("alice", Verb::Unlock);
    scene.now = scene.now.before(DAY * 365);
    guess(&mut scene, 10);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
}

#[test]
fn guesses_in_the_millisecond_of_an_unlock_count() {
    let mut scene = Scene::new();
    scene.manage("alice", Verb::Unlock);
    guess(&mut scene, 10);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
}

#[test]
fn a_clock_set_back_after_an_unlock_brings_no_old_guess_back() {
    let mut scene = Scene::new();
    guess(&mut scene, 9);
    scene.manage("alice", Verb::Unlock);
    scene.now = scene.now.before(HOUR);
    guess(&mut scene, 9);
    let token = scene.start(ssh(2));
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_clock_set_back_between_guesses_hands_out_no_fresh_ones() {
    let mut scene = Scene::new();
    guess(&mut scene, 4);
    scene.now = scene.now.before(HOUR);
    guess(&mut scene, 6);
    assert_eq!(limit(refused(&scene.begin(ssh(2)))), LimitName::WrongCodesPerHour);
}

#[test]
fn removing_a_number_hands_out_no_fresh_guesses() {
    let mut scene = Scene::new();
    guess(&mut scene, 10);
    scene.manage("alice", Verb::Remove);
    scene.enrolled("alice", "+13125550199");
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
}

/// Guesses slowly enough that no pause and no daily limit holds.
fn guess_slowly(scene: &mut Scene, count: usize) {
    for _ in 0..count {
        guess(scene, 1);
        scene.now = scene.now.after(HOUR * 2);
    }
}

#[test]
fn after_twenty_wrong_codes_in_a_month_codes_have_eight_digits() {
    let mut scene = Scene::new();
    guess_slowly(&mut scene, 20);
    let token = scene.start(ssh(1));
    assert_eq!(scene.code(token).len(), 6);
    assert!(granted(&scene.right(token)));
    guess_slowly(&mut scene, 1);
    let token = scene.start(ssh(2));
    let long = scene.code(token);
    assert_eq!(long.len(), 8);
    assert_eq!(scene.asked(token, &long[..6]).0, Notice::Help, "six digits are no try");
    scene.wait(30);
    scene.asked(token, "r");
    assert_eq!(scene.code(token).len(), 8);
    assert!(granted(&scene.right(token)));
    scene.now = scene.now.after(DAY * 30);
    let token = scene.start(ssh(3));
    assert_eq!(scene.code(token).len(), 6);
}

#[test]
fn crossing_that_line_ends_the_live_codes_of_six_digits() {
    let mut scene = Scene::new();
    guess_slowly(&mut scene, 20);
    let (other, own) = (scene.start(ssh(1)), scene.start(ssh(2)));
    let wrong = scene.wrong(own);
    assert_eq!(denied(&scene.answer(own, &wrong)), Denial::Spent);
    assert_eq!(denied(&scene.right(other)), Denial::Outgrown);
    let ended = scene.challenge(other).state;
    assert!(matches!(ended, State::Ended { how: End::Cancelled, .. }));
    let ended = scene.challenge(own).state;
    assert!(matches!(ended, State::Ended { how: End::Spent, .. }), "its own guess ended it");
    // The other prompt's connection was not refused: it begins anew, with eight digits.
    let again = scene.start(ssh(1));
    assert_eq!(scene.code(again).len(), 8);
    // A further wrong code ends no long one.
    let wrong = scene.wrong(again);
    assert_eq!(scene.asked(again, &wrong).0, Notice::Wrong);
    assert!(granted(&scene.right(again)));
}

/// Whoever guesses at all accounts of the site at once gets no further compare at six digits.
#[test]
fn while_the_site_is_guessed_at_not_even_the_right_short_code_is_compared() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let site = scene.traffic.entry(TrafficKey::All).or_default();
    for _ in 0..=wrong_for_long_codes(scene.enrolled) {
        site.charge_wrong(scene.enrolled, scene.now);
    }
    assert_eq!(denied(&scene.right(token)), Denial::Outgrown);
    let again = scene.start(ssh(1));
    assert_eq!(scene.code(again).len(), 8);
    assert!(granted(&scene.right(again)));
}

#[test]
fn a_hundred_in_a_row_suspend_the_codes_until_an_unlock() {
    let mut scene = Scene::new();
    guess_slowly(&mut scene, 100);
    scene.now = scene.now.after(DAY * 60);
    let Denial::Held(held) = refused(&scene.begin(ssh(1))) else { panic!("held") };
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesInARow, None));
    scene.manage("alice", Verb::Unlock);
    assert!(matches!(scene.begin(ssh(2)), Begun::Issued(..)));
}

#[test]
fn commands_are_denied_too_while_the_account_is_locked() {
    for typed in ["?", "r", "v", "q", ""] {
        let mut scene = Scene::new();
        let open = scene.start(ssh(1));
        guess(&mut scene, 10);
        let sent = scene.sent();
        let answered = scene.answer(open, typed);
        assert!(matches!(answered, Answered::Denied(Denial::Held(_), _)), "{typed}: {answered:?}");
        assert_eq!(scene.sent(), sent);
    }
}
