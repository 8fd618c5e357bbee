//! Prompts without a code.

use std::time::Duration;

use super::{
    Answered, Begun, Denial, LimitName, denied, granted, guess, limit, recovered,
    recovery::{STRANGE, codes},
    refused,
};
use crate::domain::{
    account::Source,
    challenge::{End, State},
    login::{Recover, Why, Withheld, WithheldNotice},
    opt_out::OptOut,
    passcode::ChallengeToken,
    scene::{Run, Scene, account, console, source, ssh},
    time::{DAY, HOUR, MINUTE},
};

fn withheld(begun: &Begun) -> Withheld {
    match begun {
        Begun::Withheld(asked) => *asked,
        other => panic!("not withheld: {other:?}"),
    }
}

fn asked(answered: &Answered) -> (WithheldNotice, Withheld) {
    match answered {
        Answered::AskRecovery(notice, asked) => (*notice, *asked),
        other => panic!("not asked for a recovery code: {other:?}"),
    }
}

fn name(why: Why) -> Option<LimitName> {
    match why {
        Why::Limit(held) => Some(held.limit),
        Why::Country | Why::OptedOut(_) | Why::Full | Why::Over => None,
    }
}

/// Uses the messages of an hour up.
fn use_up(scene: &mut Scene) {
    while let Begun::Issued(view, _) = scene.begin(console()) {
        scene.abandon(view.token);
    }
    scene.login("alice").challenges.iter().filter(|c| c.is_live()).for_each(|open| {
        scene.abandon(open.token);
    });
}

/// An account with recovery codes that gets no message any more, and a login of it.
fn out_of_messages(run: Run) -> (Scene, Vec<String>, ChallengeToken) {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    use_up(&mut scene);
    scene.events();
    let token = withheld(&scene.begin(run)).token;
    (scene, codes, token)
}

#[test]
fn whatever_keeps_a_code_back_the_prompt_says_it_and_takes_a_recovery_code() {
    type Cause = fn(&mut Scene);
    let causes: [(&str, Cause, Option<LimitName>); 6] = [
        ("messages", use_up, Some(LimitName::UnansweredPerHour)),
        ("country", |scene| scene.terms.countries.clear(), None),
        (
            "an opt-out",
            |scene| {
                let number = scene.enrollments[&account("alice")].index;
                let (at, gateway) = (scene.now, "telnyx".to_owned());
                let budget = scene.budgets.entry(number).or_default();
                budget.opted_out = Some(OptOut { at, gateway });
            },
            None,
        ),
        ("pause", |scene| guess(scene, 10), Some(LimitName::WrongCodesPerHour)),
        (
            "a day's wrong codes",
            |scene| {
                for _ in 0..20 {
                    guess(scene, 1);
                    scene.now = scene.now.after(MINUTE * 10);
                }
            },
            Some(LimitName::WrongCodesPerDay),
        ),
        (
            "suspended",
            |scene| {
                for _ in 0..100 {
                    guess(scene, 1);
                    scene.now = scene.now.after(HOUR * 2);
                }
            },
            Some(LimitName::WrongCodesInARow),
        ),
    ];
    for (cause, bring, expected) in causes {
        for run in [ssh(1), console()] {
            let mut scene = Scene::new();
            bring(&mut scene);
            let mut without = scene.clone();
            let denial = refused(&without.begin(run));
            if let Some(expected) = expected {
                assert_eq!(limit(denial), expected, "{cause}");
            } else {
                let other = matches!(denial, Denial::Country | Denial::OptedOut(_));
                assert!(other, "{cause}: {denial:?}");
            }
            let codes = codes(&mut scene);
            let (sent, charged) = (scene.sent(), scene.charged());
            scene.events();
            let prompt = withheld(&scene.begin(run));
            assert_eq!((name(prompt.why), prompt.recovery), (expected, 8), "{cause}");
            assert_eq!(scene.events(), [format!("code-withheld {}", denial.as_str())], "{cause}");
            assert_eq!((scene.sent(), scene.charged()), (sent, charged), "{cause}: free");
            for typed in ["123456", "12345678", "r", "v", "?", "", "hello"] {
                let (notice, again) = asked(&scene.answer(prompt.token, typed));
                assert_eq!((notice, again), (WithheldNotice::Help, prompt), "{cause}: {typed}");
            }
            assert_eq!(scene.events(), [""; 0], "{cause}: nothing was compared");
            assert_eq!(recovered(&scene.answer(prompt.token, &codes[0])), 7, "{cause}");
            assert_eq!(scene.sent(), sent, "{cause}: nothing was sent");
        }
    }
}

#[test]
fn who_has_no_recovery_code_that_can_be_used_is_denied_as_ever() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    for _ in 0..5 {
        scene.asked(token, STRANGE);
    }
    use_up(&mut scene);
    assert_eq!(limit(refused(&scene.begin(ssh(2)))), LimitName::UnansweredPerHour);
    // When the budget of recovery codes is free again, the prompt is there.
    scene.terms.limits.unanswered_per_day = 5;
    scene.now = scene.now.after(HOUR);
    let prompt = withheld(&scene.begin(ssh(3)));
    assert_eq!(name(prompt.why), Some(LimitName::UnansweredPerDay));
    recovered(&scene.answer(prompt.token, &codes[0]));
}

#[test]
fn wrong_ones_are_told_and_the_fifth_ends_the_login() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    for tries_left in [4, 3, 2, 1] {
        let (notice, _) = asked(&scene.answer(token, STRANGE));
        assert_eq!(notice, WithheldNotice::Wrong { tries_left });
    }
    let Denial::Held(held) = denied(&scene.answer(token, STRANGE)) else { panic!("held") };
    assert_eq!(held.limit, LimitName::RecoveryCodesPerHour);
    assert_eq!(held.until, Some(scene.now.after(HOUR)));
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
    assert_eq!(denied(&scene.answer(token, &codes[0])), Denial::Silent);
}

#[test]
fn wrong_ones_elsewhere_end_it_before_another_is_compared() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    let elsewhere = withheld(&scene.begin(ssh(2))).token;
    for _ in 0..5 {
        scene.answer(elsewhere, STRANGE);
    }
    let Denial::Held(held) = denied(&scene.answer(token, &codes[0])) else { panic!("held") };
    assert_eq!(held.limit, LimitName::RecoveryCodesPerHour);
    assert_eq!(scene.login("alice").recovery.left(), 8, "it was not compared");
}

#[test]
fn giving_up_ends_it() {
    let (mut scene, _, token) = out_of_messages(ssh(1));
    assert_eq!(denied(&scene.answer(token, "q")), Denial::Quit);
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent, "sshd runs it again by itself");
    let again = Run { by_itself: false, ..ssh(1) };
    assert_ne!(withheld(&scene.begin(again)).token, token, "who types the password tries again");
}

#[test]
fn an_interrupted_prompt_is_cancelled() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    assert!(scene.abandon(token));
    assert_eq!(denied(&scene.answer(token, &codes[0])), Denial::Ended);
    assert_ne!(withheld(&scene.begin(ssh(1))).token, token);
}

#[test]
fn thirty_answers_bound_it() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    for _ in 0..30 {
        asked(&scene.answer(token, "?"));
    }
    assert_eq!(denied(&scene.answer(token, &codes[0])), Denial::Spent);
}

#[test]
fn a_further_run_and_a_restart_go_on_with_it() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    scene.events();
    scene.restart();
    // It has no code that could be lost.
    let recover = Recover { terms: scene.terms(), token, draw: scene.draw() };
    let alice = Some(account("alice"));
    let lost = scene.decide(alice, None, |records, now| recover.decide(records, now));
    assert!(lost.is_none() && !scene.challenge(token).is_lost(scene.terms.issuer.instance));
    assert_eq!(withheld(&scene.begin(ssh(1))).token, token);
    assert_eq!(scene.events(), ["login-resumed"]);
    recovered(&scene.answer(token, &codes[0]));
}

#[test]
fn once_the_limit_is_over_the_next_run_gets_a_code() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    scene.wait(3599);
    // Its five minutes are over, and a new one has begun.
    let second = withheld(&scene.begin(ssh(1))).token;
    assert_ne!(second, token);
    scene.wait(1);
    let (_, prompt) = asked(&scene.answer(second, "?"));
    assert_eq!(prompt.why, Why::Over);
    let issued = scene.start(ssh(1));
    assert!(matches!(scene.challenge(second).state, State::Ended { how: End::Superseded, .. }));
    assert_eq!(denied(&scene.answer(second, &codes[0])), Denial::Ended);
    assert!(granted(&scene.right(issued)));
}

#[test]
fn a_code_takes_the_place_of_its_own_logins_prompt_alone() {
    let (mut scene, _, other) = out_of_messages(ssh(1));
    let own = withheld(&scene.begin(ssh(2))).token;
    scene.terms.limits.unanswered_per_hour = 100;
    scene.start(ssh(2));
    assert!(scene.challenge(other).is_live());
    assert!(matches!(scene.challenge(own).state, State::Ended { how: End::Superseded, .. }));
}

#[test]
fn it_is_answered_also_after_its_time_and_then_forgotten() {
    for (name, back, seconds) in
        [("in time", 0, 299), ("late", 0, 300), ("the clock went back", 86_400, 0)]
    {
        let (mut scene, codes, token) = out_of_messages(ssh(1));
        scene.wait(seconds);
        scene.now = scene.now.before(Duration::from_secs(back));
        assert_eq!(recovered(&scene.answer(token, &codes[0])), 7, "{name}");
    }
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    scene.wait(300 + 600);
    assert!(matches!(scene.answer(token, &codes[0]), Answered::Unknown));
}

#[test]
fn it_takes_the_place_of_its_kind_alone_and_there_are_sixteen() {
    let mut scene = Scene::new();
    codes(&mut scene);
    let with_code = [1, 2, 3].map(|id| scene.start(ssh(id)));
    scene.terms.limits.unanswered_per_hour = 3;
    let withheld_ones = [4, 5, 6].map(|id| {
        scene.wait(1);
        withheld(&scene.begin(ssh(id))).token
    });
    withheld(&scene.begin(ssh(7)));
    let live = |scene: &Scene, token| scene.challenge(token).is_live();
    assert!(with_code.iter().all(|token| live(&scene, *token)), "none with a code ends");
    assert_eq!(withheld_ones.map(|token| live(&scene, token)), [false, true, true]);
    // Three from this address; thirteen from others, and one more ends the oldest of those three.
    for id in 0..13 {
        scene.wait(1);
        withheld(&scene.begin(ssh(20 + id).from(20 + id)));
    }
    assert_eq!(withheld_ones.map(|token| live(&scene, token)), [false, true, true]);
    withheld(&scene.begin(ssh(40).from(40)));
    assert_eq!(withheld_ones.map(|token| live(&scene, token)), [false, false, true]);
    assert!(with_code.iter().all(|token| live(&scene, *token)), "none with a code ends");
}

#[test]
fn an_open_prompt_asks_for_a_recovery_code_while_wrong_codes_hold_and_takes_its_code_after() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    scene.terms.rules.life = MINUTE * 40;
    let open = scene.start(ssh(1));
    guess(&mut scene, 10);
    scene.events();
    let (notice, prompt) = asked(&scene.right(open));
    assert_eq!(notice, WithheldNotice::Help);
    assert_eq!(name(prompt.why), Some(LimitName::WrongCodesPerHour));
    assert_eq!(scene.events(), [""; 0], "the right code was not compared");
    assert_eq!(withheld(&scene.begin(ssh(1))).token, open, "a further run goes on with it");
    let mut paused = scene.clone();
    assert_eq!(recovered(&paused.answer(open, &codes[0])), 7);
    scene.wait(30 * 60);
    assert!(granted(&scene.right(open)));
}

#[test]
fn the_wrong_code_that_fills_a_limit_leaves_its_own_prompt_open() {
    let cases = [
        (LimitName::WrongCodesPerHour, 9, Duration::ZERO),
        (LimitName::WrongCodesInARow, 99, HOUR * 2),
    ];
    for (limit, guesses, apart) in cases {
        let mut scene = Scene::new();
        let codes = codes(&mut scene);
        for _ in 0..guesses {
            guess(&mut scene, 1);
            scene.now = scene.now.after(apart);
        }
        scene.terms.rules.life = MINUTE * 40;
        let token = scene.start(ssh(1));
        let wrong = scene.wrong(token);
        scene.events();
        let (notice, prompt) = asked(&scene.answer(token, &wrong));
        assert_eq!((notice, name(prompt.why)), (WithheldNotice::Begin, Some(limit)));
        assert_eq!(
            scene.events(),
            ["code-wrong".to_owned(), format!("code-withheld {}", limit.as_str())]
        );
        // Its code is gone: it is not compared once the limit is over, either.
        scene.wait(30 * 60);
        assert_eq!(asked(&scene.right(token)).0, WithheldNotice::Help, "{limit:?}");
        assert_eq!(scene.challenge(token).tries_left, 2);
        assert_eq!(recovered(&scene.answer(token, &codes[0])), 7, "{limit:?}");
    }
}

#[test]
fn a_code_that_expired_and_cannot_be_followed_leaves_the_prompt_open() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    scene.terms.limits.unanswered_per_hour = 1;
    let token = scene.start(ssh(1));
    scene.wait(300);
    scene.events();
    let (notice, prompt) = asked(&scene.right(token));
    assert_eq!(
        (notice, name(prompt.why)),
        (WithheldNotice::Begin, Some(LimitName::UnansweredPerHour))
    );
    assert_eq!(scene.events(), ["code-withheld unanswered-per-hour"]);
    assert!(scene.challenge(token).is_withheld());
    assert_eq!(asked(&scene.right(token)).0, WithheldNotice::Help, "no code is left in it");
    recovered(&scene.answer(token, &codes[0]));
}

#[test]
fn without_recovery_codes_it_ends_and_nothing_says_that_a_code_was_kept_back() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 1;
    let token = scene.start(ssh(1));
    scene.wait(300);
    scene.events();
    assert_eq!(limit(denied(&scene.right(token))), LimitName::UnansweredPerHour);
    let said = scene.events();
    assert!(!said.iter().any(|event| event.starts_with("code-withheld")), "{said:?}");
}

#[test]
fn a_lost_login_that_cannot_get_a_code_goes_on_without_one() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    scene.terms.limits.unanswered_per_hour = 1;
    let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("issued") };
    scene.restart();
    let prompt = withheld(&scene.begin(ssh(1)));
    assert!(!scene.challenge(view.token).is_live());
    recovered(&scene.answer(prompt.token, &codes[0]));
}

#[test]
fn a_set_that_is_replaced_while_somebody_waits_is_void() {
    let (mut scene, old, token) = out_of_messages(ssh(1));
    scene.wait(1);
    let new = codes(&mut scene);
    assert_ne!(old, new);
    let (notice, _) = asked(&scene.answer(token, &old[0]));
    assert_eq!(notice, WithheldNotice::Wrong { tries_left: 4 });
    recovered(&scene.answer(token, &new[0]));
}

#[test]
fn codes_that_are_used_up_meanwhile_end_the_prompt() {
    let (mut scene, codes, token) = out_of_messages(ssh(1));
    for (id, code) in (10..).zip(&codes) {
        // Each from elsewhere: where one was used, there is a reserve of messages.
        let other = withheld(&scene.begin(ssh(id).from(id))).token;
        recovered(&scene.answer(other, code));
    }
    assert_eq!(limit(denied(&scene.answer(token, &codes[0]))), LimitName::UnansweredPerHour);
    assert_eq!(limit(refused(&scene.begin(ssh(30)))), LimitName::UnansweredPerHour);
}

#[test]
fn known_sources_and_consoles_have_three_each_beside_the_sixteen() {
    let mut scene = Scene::new();
    codes(&mut scene);
    for last in 1..=16 {
        let token = scene.start(ssh(last).from(last));
        assert!(granted(&scene.right(token)));
    }
    scene.terms.countries.clear();
    for id in 0..4 {
        for last in (1..=16).chain(100..120) {
            withheld(&scene.begin(Run { attempt: None, ..ssh(id) }.from(last)));
        }
        withheld(&scene.begin(console()));
    }
    let live = |of: &dyn Fn(Option<Source>) -> bool| {
        let login = scene.login("alice");
        login.challenges.iter().filter(|c| c.is_withheld() && of(c.source)).count()
    };
    let known = (1..=16).map(|last| Some(source(last))).collect::<Vec<_>>();
    assert!(known.iter().all(|known| live(&|source| source == *known) == 3));
    assert_eq!(live(&|source| source.is_none()), 3);
    assert_eq!(live(&|source| source.is_some() && !known.contains(&source)), 16);
    let size = minicbor::to_vec(scene.login("alice")).expect("a stored form").len();
    println!("a row with as many prompts without a code as there can be: {size} bytes");
    assert!(size < 12_288, "{size} bytes");
}

#[test]
fn the_row_of_withheld_logins_is_bounded() {
    let (mut scene, _, _) = out_of_messages(ssh(1));
    for id in 0..200 {
        scene.begin(ssh(id).from(id));
        scene.wait(1);
        if id % 3 == 0 {
            scene.begin(console());
        }
    }
    let size = minicbor::to_vec(scene.login("alice")).expect("a stored form").len();
    assert!(size < 4096, "{size} bytes");
    scene.now = scene.now.after(DAY);
    scene.begin(ssh(1));
    assert_eq!(scene.login("alice").challenges.len(), 1);
}
