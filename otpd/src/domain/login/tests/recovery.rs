//! Recovery codes at the prompt of a login.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Answered, Begun, Denial, LimitName, denied, granted, guess, limit, recovered, refused,
};
use crate::domain::{
    audit::{Actor, Event},
    budget::{Limits, Standing},
    challenge::End,
    challenge::State,
    login::{About, Notice, Retell, Told},
    manage::Verb,
    passcode::ChallengeToken,
    phone::{E164, Line},
    records::TrafficKey,
    recovery::{CODES, MakeCodes, RecoveryCode, RecoveryHash},
    scene::{Scene, account, console, ssh},
    time::{DAY, HOUR},
};

/// A new set of codes for an account, as its owner has it on paper.
pub(super) fn codes_for(scene: &mut Scene, name: &str) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(scene.audit.len() as u64 ^ scene.now.0.unsigned_abs());
    let key = scene.terms.issuer.key.clone();
    let owner = account(name);
    let codes = (0..CODES).map(|_| RecoveryCode::generate(&mut rng)).collect::<Vec<_>>();
    let hashes = codes.iter().map(|code| RecoveryHash::of(&key, &owner, code)).collect();
    let make = MakeCodes { account: owner.clone(), key, codes: hashes, uid: 0 };
    scene.decide(Some(owner), None, |records, now| make.decide(records, now));
    codes.iter().map(|code| code.grouped().to_string()).collect()
}

/// Alice's.
pub(super) fn codes(scene: &mut Scene) -> Vec<String> {
    codes_for(scene, "alice")
}

/// Of a recovery code's shape, and nobody's.
pub(super) const STRANGE: &str = "0000-0000-0000-0000-0000-0000";

#[test]
fn a_recovery_code_lets_in_once_and_counts_as_a_full_success() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    scene.events();
    assert_eq!(recovered(&scene.answer(token, &codes[0])), 7);
    assert_eq!(scene.events(), ["recovery-code-used", "login-granted"]);
    assert!(matches!(scene.challenge(token).state, State::Ended { how: End::Used, .. }));
    assert!(scene.login("alice").knows(ssh(1).source, scene.now), "its source is known");
    assert_eq!(denied(&scene.answer(token, &codes[1])), Denial::Silent, "the login is over");
    let token = scene.start(ssh(2));
    let (notice, view) = scene.asked(token, &codes[0]);
    assert_eq!(notice, Notice::RecoveryWrong { tries_left: 9 }, "used once, at a known source");
    assert_eq!(view.recovery, 7);
    assert_eq!(recovered(&scene.answer(token, &codes[1])), 6);
}

#[test]
fn its_messages_count_as_answered() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    for (id, code) in (0..).zip(&codes) {
        let token = scene.start(ssh(id));
        recovered(&scene.answer(token, code));
    }
    // Eight messages, more than may be unanswered in an hour.
    let token = scene.start(ssh(9));
    assert!(granted(&scene.right(token)));
}

#[test]
fn it_is_typed_as_people_type() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let forms: [fn(&str) -> String; 5] = [
        str::to_owned,
        str::to_ascii_lowercase,
        |code| code.replace('-', ""),
        |code| format!("  {} ", code.replace('-', " ")),
        |code| code.replace('0', "o").replace('1', "l"),
    ];
    for ((id, code), form) in (0..).zip(&codes).zip(forms) {
        let token = scene.start(ssh(id));
        recovered(&scene.answer(token, &form(code)));
    }
}

#[test]
fn it_works_at_every_prompt() {
    type Prompt = fn(&mut Scene) -> ChallengeToken;
    let prompts: [(&str, Prompt); 8] = [
        ("a code was sent", |scene| scene.start(ssh(1))),
        ("on a console", |scene| scene.start(console())),
        ("the code expired", |scene| {
            let token = scene.start(ssh(1));
            scene.wait(300);
            token
        }),
        ("the clock went back", |scene| {
            let token = scene.start(ssh(1));
            scene.now = scene.now.before(DAY);
            token
        }),
        ("the message failed", |scene| {
            let token = scene.start(ssh(1));
            scene.fail();
            token
        }),
        ("the code is lost", |scene| {
            let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("issued") };
            scene.restart();
            view.token
        }),
        ("one try is left", |scene| {
            let token = scene.start(ssh(1));
            let wrong = scene.wrong(token);
            for _ in 0..2 {
                scene.asked(token, &wrong);
            }
            token
        }),
        ("another login brought a pause", |scene| {
            let token = scene.start(ssh(1));
            guess(scene, 10);
            token
        }),
    ];
    for (name, prompt) in prompts {
        let mut scene = Scene::new();
        let codes = codes(&mut scene);
        let token = prompt(&mut scene);
        let sent = scene.sent();
        assert_eq!(recovered(&scene.answer(token, &codes[7])), 7, "{name}");
        assert_eq!(scene.sent(), sent, "{name}: nothing is sent for it");
    }
}

#[test]
fn a_wrong_one_costs_no_try_and_no_wrong_code() {
    let mut scene = Scene::new();
    codes(&mut scene);
    let token = scene.start(ssh(1));
    for tries_left in [4, 3, 2, 1, 0] {
        let (notice, view) = scene.asked(token, STRANGE);
        assert_eq!(notice, Notice::RecoveryWrong { tries_left });
        assert_eq!((view.tries_left, view.recovery > 0), (3, tries_left > 0));
    }
    assert_eq!(scene.login("alice").failures.within(DAY, scene.now), 0);
    assert!(granted(&scene.right(token)), "the code that was sent is still right");
}

#[test]
fn a_sixth_wrong_one_in_an_hour_is_not_compared_and_the_limit_says_until_when() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let (begin, token) = (scene.now, scene.start(ssh(1)));
    for _ in 0..5 {
        scene.wait(60);
        scene.asked(token, STRANGE);
    }
    scene.events();
    let held = scene.login("alice").recovery.held(Standing::Other, scene.now).expect("held");
    assert_eq!(held.limit, LimitName::RecoveryCodesPerHour);
    assert_eq!(held.since, begin.after(Duration::from_mins(5)));
    assert_eq!(held.until, Some(begin.after(Duration::from_mins(61))));
    // The code that was sent can still be typed.
    assert_eq!(scene.asked(token, &codes[0]).0, Notice::RecoveryHeld(held));
    assert_eq!(scene.login("alice").recovery.left(), 8, "it was not compared");
    scene.now = begin.after(Duration::from_mins(61));
    let token = scene.start(ssh(2));
    assert_eq!(recovered(&scene.answer(token, &codes[0])), 7);
}

#[test]
fn without_codes_what_looks_like_one_is_nothing() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let before = scene.login("alice").recovery;
    assert_eq!(scene.asked(token, STRANGE).0, Notice::NoRecovery);
    assert_eq!(scene.login("alice").recovery, before);
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_code_is_its_owners_alone() {
    let mut scene = Scene::new();
    let (alices, bobs) = (codes(&mut scene), codes_for(&mut scene, "bob"));
    let (alice, bob) = (scene.start(ssh(1)), scene.start(ssh(2).of("bob")));
    assert!(matches!(scene.asked(alice, &bobs[0]).0, Notice::RecoveryWrong { .. }));
    assert!(matches!(scene.asked(bob, &alices[0]).0, Notice::RecoveryWrong { .. }));
    recovered(&scene.answer(alice, &alices[0]));
    recovered(&scene.answer(bob, &bobs[0]));
}

/// A daemon that dies before the owner is told finds it again.
#[test]
fn a_use_is_told_of_once() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    recovered(&scene.answer(token, &codes[0]));
    let retell = |scene: &mut Scene| {
        let retell = Retell { terms: scene.terms(), token };
        let alice = Some(account("alice"));
        scene.decide(alice, None, |records, now| retell.decide(records, now))
    };
    let notice = retell(&mut scene).expect("nobody was told");
    assert_eq!((notice.left, notice.token), (7, token));
    let told = Told {
        account: account("alice"),
        token: Some(token),
        about: About::RecoveryCodeUsed,
        failures: Vec::new(),
        sent: None,
        opted_out: None,
    };
    scene.decide(Some(account("alice")), None, |records, now| told.decide(records, now));
    assert!(retell(&mut scene).is_none(), "told, or not to be told");
}

#[test]
fn of_two_logins_with_the_same_code_one_gets_in() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let (one, two) = (scene.start(ssh(1)), scene.start(ssh(2)));
    recovered(&scene.answer(one, &codes[0]));
    assert!(matches!(scene.asked(two, &codes[0]).0, Notice::RecoveryWrong { .. }));
}

#[test]
fn a_hundred_wrong_codes_in_a_row_are_ended_by_a_recovery_code_and_no_window_is() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    for _ in 0..90 {
        guess(&mut scene, 1);
        scene.now = scene.now.after(HOUR * 3);
    }
    guess(&mut scene, 10);
    let suspended = |begun: &Begun| match begun {
        Begun::Withheld(asked) => asked.why,
        other => panic!("not withheld: {other:?}"),
    };
    let begun = scene.begin(ssh(1));
    let super::super::Why::Limit(held) = suspended(&begun) else { panic!("a limit") };
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesInARow, None));
    let Begun::Withheld(asked) = begun else { panic!("withheld") };
    recovered(&scene.answer(asked.token, &codes[0]));
    // The pause of the last ten still runs.
    let super::super::Why::Limit(held) = suspended(&scene.begin(ssh(2).from(8))) else {
        panic!("a limit")
    };
    assert_eq!(held.limit, LimitName::WrongCodesPerHour);
    scene.now = scene.now.after(DAY);
    let token = scene.start(ssh(3));
    assert!(granted(&scene.right(token)));
}

#[test]
fn thirty_answers_bound_it_too() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    for _ in 0..29 {
        scene.asked(token, "?");
    }
    let mut late = scene.clone();
    assert_eq!(recovered(&scene.answer(token, &codes[0])), 7, "the thirtieth");
    late.asked(token, "?");
    assert_eq!(denied(&late.answer(token, &codes[0])), Denial::Spent, "the thirty-first");
    assert_eq!(late.login("alice").recovery.left(), 8);
}

#[test]
fn an_account_that_is_switched_off_is_not_let_in() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    scene.manage("alice", Verb::Disable);
    assert_eq!(denied(&scene.answer(token, &codes[0])), Denial::Ended);
    assert_eq!(refused(&scene.begin(ssh(2))), Denial::Disabled);
    scene.manage("alice", Verb::Enable);
    let token = scene.start(ssh(3));
    recovered(&scene.answer(token, &codes[0]));
}

#[test]
fn removing_a_number_drops_the_codes_and_replacing_it_keeps_them() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    scene.enrolled("alice", "+13125550199");
    let token = scene.start(ssh(1));
    recovered(&scene.answer(token, &codes[0]));
    scene.manage("alice", Verb::Remove);
    scene.enrolled("alice", "+13125550142");
    let token = scene.start(ssh(2));
    assert_eq!(scene.asked(token, &codes[1]).0, Notice::NoRecovery);
}

#[test]
fn its_owner_is_told_where_a_text_may_go() {
    let cases = [
        ("a mobile", Line::Mobile, true, true),
        ("perhaps a mobile", Line::FixedOrMobile, true, true),
        ("a landline", Line::Fixed, true, false),
        ("a country that is not allowed any more", Line::Mobile, false, false),
    ];
    for (name, line, allowed, told) in cases {
        let mut scene = Scene::new();
        let codes = codes(&mut scene);
        let token = scene.start(ssh(1));
        scene.enrollments.get_mut(&account("alice")).expect("enrolled").destination.line = line;
        if !allowed {
            scene.terms.countries.clear();
        }
        let Answered::Recovered(recovered) = scene.answer(token, &codes[0]) else {
            panic!("{name}")
        };
        assert_eq!(recovered.tell.is_some(), told, "{name}");
        assert!(!format!("{recovered:?}").contains("5550142"), "{name}");
    }
}

#[test]
fn what_became_of_telling_is_written_down_and_changes_nothing_else() {
    let sent = Some(("telnyx".to_owned(), Some("m-1".to_owned()), true));
    let failures = vec![("plivo".to_owned(), "timeout".to_owned())];
    let cases = [
        ("sent", sent, Vec::new(), vec!["message-sent", "owner-told"]),
        ("failed", None, failures, vec!["message-failed timeout", "owner-told"]),
        ("nowhere to", None, Vec::new(), vec!["owner-told"]),
    ];
    for (name, sent, failures, events) in cases {
        let mut scene = Scene::new();
        let codes = codes(&mut scene);
        let token = scene.start(ssh(1));
        scene.answer(token, &codes[0]);
        let (mut before, charged) = (scene.login("alice"), scene.charged());
        before.recovery.told(token);
        // One message so far; a second one is one too many.
        let cap = Limits { max_messages_per_day: Some(2), ..Limits::default() };
        let capped = |scene: &Scene| scene.traffic[&TrafficKey::All].capped(&cap, scene.now);
        assert_eq!(capped(&scene), None, "{name}");
        scene.audit.clear();
        let was_sent = sent.is_some();
        let told = Told {
            account: account("alice"),
            token: Some(token),
            about: About::RecoveryCodeUsed,
            failures,
            sent,
            opted_out: None,
        };
        scene.decide(Some(account("alice")), None, |records, now| told.decide(records, now));
        assert_eq!((scene.login("alice"), scene.charged()), (before, charged), "{name}");
        assert_eq!(capped(&scene).is_some(), was_sent, "{name}: what went out has its price");
        let last = scene.audit.last().expect("an event");
        assert_eq!((last.actor, last.request), (Actor::Daemon, Some(token.request())), "{name}");
        let about = "recovery-code-used";
        assert_eq!(last.event, Event::OwnerTold { about, sent: was_sent }, "{name}");
        assert_eq!(scene.events(), events, "{name}");
    }
}

#[test]
fn an_opt_out_is_remembered_of_the_accounts_own_number_alone() {
    let number: E164 = "+13125550142".parse().expect("a number");
    let cases = [(About::RecoveryCodeUsed, true), (About::NumberReplaced, false)];
    for (about, remembered) in cases {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        let told = Told {
            account: account("alice"),
            token: Some(token),
            about,
            failures: Vec::new(),
            sent: None,
            opted_out: Some((number.clone(), "telnyx".to_owned())),
        };
        scene.decide(Some(account("alice")), None, |records, now| told.decide(records, now));
        let opted_out = scene.budgets.values().any(|budget| budget.opted_out.is_some());
        assert_eq!(opted_out, remembered, "{about:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Begin { attempt: u8 },
    Recover { login: usize, set: usize, code: usize },
    Strange { login: usize },
    Guess { login: usize },
    NewSet,
    Wait { seconds: u64 },
    Back { seconds: u64 },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..6).prop_map(|attempt| Op::Begin { attempt }),
        12 => (0usize..4, 0usize..2, 0usize..CODES)
            .prop_map(|(login, set, code)| Op::Recover { login, set, code }),
        3 => (0usize..4).prop_map(|login| Op::Strange { login }),
        4 => (0usize..4).prop_map(|login| Op::Guess { login }),
        1 => Just(Op::NewSet),
        3 => (0u64..4000).prop_map(|seconds| Op::Wait { seconds }),
        1 => (0u64..4000).prop_map(|seconds| Op::Back { seconds }),
        2 => Just(Op::Restart),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_recovery_code_grants_at_most_once(
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut scene = Scene::new();
        let mut sets = vec![codes(&mut scene)];
        let (mut logins, mut used) = (Vec::<ChallengeToken>::new(), BTreeSet::new());
        let (mut real, mut wrong) = (0, Vec::<u64>::new());
        for op in ops {
            let (text, set) = match op {
                Op::Begin { attempt } => {
                    let token = match scene.begin(ssh(attempt)) {
                        Begun::Issued(view, _) | Begun::Resumed(view) => Some(view.token),
                        Begun::Withheld(asked) => Some(asked.token),
                        Begun::Denied(_) => None,
                        other => panic!("{other:?}"),
                    };
                    logins.extend(token);
                    continue;
                }
                Op::NewSet => {
                    sets.push(codes(&mut scene));
                    continue;
                }
                Op::Wait { seconds } => {
                    scene.wait(seconds);
                    real += seconds;
                    continue;
                }
                Op::Back { seconds } => {
                    scene.now = scene.now.before(Duration::from_secs(seconds));
                    continue;
                }
                Op::Restart => {
                    scene.restart();
                    continue;
                }
                Op::Strange { .. } => (STRANGE.to_owned(), None),
                Op::Guess { .. } => ("000000".to_owned(), None),
                Op::Recover { set, code, .. } => {
                    let set = sets.len().saturating_sub(1 + set);
                    (sets[set][code].clone(), Some(set))
                }
            };
            let (Op::Recover { login, .. } | Op::Strange { login } | Op::Guess { login }) = op else {
                continue;
            };
            let Some(token) = logins.iter().rev().nth(login).copied() else { continue };
            let seen = scene.audit.len();
            let answered = scene.answer(token, &text);
            let was_wrong = |e: &crate::domain::audit::AuditEvent| {
                matches!(e.event, Event::RecoveryCodeWrong { .. })
            };
            if scene.audit[seen..].iter().any(was_wrong) {
                let within = wrong.iter().filter(|at| real - **at < 3600).count();
                // Five, and five more from where somebody got in before.
                prop_assert!(within < 10, "compared beyond the budget");
                wrong.push(real);
            }
            if let Answered::Recovered(_) = answered {
                prop_assert!(set == Some(sets.len() - 1), "of the newest set");
                prop_assert!(used.insert(text), "granted twice");
            }
            let left = usize::from(scene.login("alice").recovery.left());
            let newest = sets.last().expect("a set");
            let of_newest = newest.iter().filter(|code| used.contains(*code)).count();
            prop_assert_eq!(left, CODES - of_newest);
        }
    }
}

#[test]
fn a_plain_denial_stays_one_for_who_has_none() {
    let mut scene = Scene::new();
    guess(&mut scene, 10);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::WrongCodesPerHour);
}
