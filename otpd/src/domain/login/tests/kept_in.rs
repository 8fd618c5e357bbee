//! What somebody who has the password, and comes from elsewhere, cannot take from the subscriber.

use std::ops::Range;

use super::{
    Answered, Begun, granted, guess,
    recovery::{STRANGE, codes},
};
use crate::domain::{
    budget::Standing,
    bypass::{BypassId, GrantBypass, Wanted},
    challenge::Channel,
    login::{Begin, Notice, Recover, Why, WithheldNotice},
    manage::Verb,
    passcode::ChallengeToken,
    phone::Line,
    policy::Requirement,
    records::TrafficKey,
    retention::is_stale,
    scene::{Run, Scene, account, console, destination, ssh},
    time::{DAY, HOUR},
};

const THIEF: u8 = 66;

/// The thief uses the messages of an hour up, and then fills every prompt there is.
fn crowd(scene: &mut Scene, wait: u64) {
    for id in 0..5 {
        let token = scene.start(ssh(id).from(THIEF));
        scene.abandon(token);
    }
    scene.wait(wait);
    for id in 0..40 {
        assert!(matches!(scene.begin(ssh(100 + id).from(200 + id % 10)), Begun::Withheld(_)));
    }
}

/// An account that no code is sent to, with recovery codes, and known at one source.
fn without_codes() -> (Scene, Vec<String>) {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    assert!(granted(&scene.right(token)));
    scene.terms.countries.clear();
    (scene, codes)
}

fn prompt(scene: &mut Scene, run: Run) -> ChallengeToken {
    match scene.begin(run) {
        Begun::Withheld(asked) => asked.token,
        other => panic!("no prompt: {other:?}"),
    }
}

/// The thief begins once a second, and from somewhere else each time.
fn besiege(scene: &mut Scene, from: Range<u8>) {
    for last in from {
        scene.wait(1);
        prompt(scene, ssh(last).from(last));
    }
}

#[test]
fn prompts_that_cost_nothing_keep_no_recovery_code_out() {
    for (name, run) in [("a known source", ssh(2)), ("a console", console())] {
        let (mut scene, codes) = without_codes();
        besiege(&mut scene, 20..60);
        let own = prompt(&mut scene, run);
        besiege(&mut scene, 60..250);
        let answered = scene.answer(own, &codes[0]);
        assert!(matches!(answered, Answered::Recovered(_)), "{name}: {answered:?}");
    }
}

#[test]
fn nor_for_two_minutes_at_an_unknown_source() {
    type Before = fn(&mut Scene);
    let befores: [(&str, Before); 3] = [
        ("before the thief", |_| ()),
        ("after", |scene| {
            besiege(scene, 20..60);
            scene.wait(120);
        }),
        ("where the clock went back since", |scene| {
            besiege(scene, 20..60);
            scene.now = scene.now.before(HOUR);
        }),
    ];
    for (name, before) in befores {
        let (mut scene, codes) = without_codes();
        before(&mut scene);
        let own = prompt(&mut scene, ssh(2).from(10));
        besiege(&mut scene, 100..219);
        let mut in_time = scene.clone();
        let answered = in_time.answer(own, &codes[0]);
        assert!(matches!(answered, Answered::Recovered(_)), "{name}: {answered:?}");
        scene.wait(1);
        prompt(&mut scene, ssh(219).from(219));
        assert!(!scene.challenge(own).is_live(), "{name}: nobody keeps a place for good");
    }
}

#[test]
fn nor_where_a_code_was_asked_for_first() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let own = scene.start(ssh(1).from(10));
    scene.terms.countries.clear();
    besiege(&mut scene, 20..60);
    scene.wait(300);
    // The code that was sent is dead, and no other may follow.
    assert!(matches!(scene.right(own), Answered::AskRecovery(WithheldNotice::Begin, _)));
    besiege(&mut scene, 60..170);
    assert!(matches!(scene.answer(own, &codes[0]), Answered::Recovered(_)));
}

#[test]
fn nor_the_next_code() {
    let mut scene = Scene::new();
    codes(&mut scene);
    crowd(&mut scene, 3590);
    scene.wait(20);
    assert!(matches!(scene.begin(console()), Begun::Issued(..)), "no limit holds any more");
}

#[test]
fn wrong_recovery_codes_elsewhere_leave_the_right_ones_to_a_known_source_and_a_console() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let token = scene.start(ssh(1));
    assert!(granted(&scene.right(token)), "known from now on");
    for _ in 0..100 {
        guess(&mut scene, 1);
        scene.now = scene.now.after(HOUR * 2);
    }
    let Begun::Withheld(thief) = scene.begin(ssh(50).from(THIEF)) else { panic!("no prompt") };
    for _ in 0..5 {
        scene.answer(thief.token, STRANGE);
    }
    let stranger = scene.begin(ssh(51).from(67));
    assert!(matches!(stranger, Begun::Denied(_)), "{stranger:?}");
    for (run, code) in [(ssh(52), &codes[0]), (console(), &codes[1])] {
        let token = match scene.begin(run) {
            Begun::Withheld(own) => own.token,
            // The first one ended the suspension.
            Begun::Issued(view, _) => view.token,
            other => panic!("no prompt: {other:?}"),
        };
        assert!(matches!(scene.answer(token, code), Answered::Recovered(_)));
    }
}

#[test]
fn nor_do_they_end_a_login_that_has_a_code() {
    let mut scene = Scene::new();
    let codes = codes(&mut scene);
    let thief = scene.start(ssh(1).from(THIEF));
    for _ in 0..5 {
        scene.answer(thief, STRANGE);
    }
    let own = scene.start(ssh(2));
    scene.events();
    let standing = Standing::Other;
    let held = scene.login("alice").recovery.held(standing, scene.now).expect("held");
    assert_eq!(scene.asked(own, &codes[0]).0, Notice::RecoveryHeld(held));
    assert_eq!(scene.events(), ["recovery-code-held recovery-codes-per-hour"]);
    assert!(granted(&scene.right(own)));
}

#[test]
fn calls_to_nobody_elsewhere_leave_three_to_a_known_source() {
    let mut scene = Scene::new();
    let enrollment = scene.enrollments.get_mut(&account("alice")).expect("alice");
    enrollment.destination = destination("+13125550142", Line::Fixed);
    enrollment.channel = Channel::Voice;
    let token = scene.start(ssh(1));
    assert!(granted(&scene.right(token)));
    for id in 10..14 {
        let token = scene.start(ssh(id).from(THIEF));
        scene.abandon(token);
    }
    assert!(matches!(scene.begin(ssh(15).from(THIEF)), Begun::Denied(_)));
    assert!(matches!(scene.begin(ssh(2)), Begun::Issued(..)));
}

#[test]
fn a_full_disk_is_named_as_long_as_it_is_full() {
    let mut scene = Scene::new();
    codes(&mut scene);
    let run = ssh(1);
    let begin = Begin {
        terms: scene.terms(),
        account: account("alice"),
        requirement: Requirement::Code,
        service: "sshd".to_owned(),
        attempt: run.attempt,
        source: run.source,
        by_itself: true,
        full: true,
        draw: scene.draw(),
    };
    let alice = || Some(account("alice"));
    let outcome = scene.decide(alice(), None, |records, now| begin.decide(records, now));
    let Begun::Withheld(asked) = outcome else { panic!("no prompt") };
    assert_eq!(asked.why, Why::Full);
    let typed = crate::domain::login::Typed::new("?");
    let answer = crate::domain::login::Answer {
        terms: scene.terms(),
        token: asked.token,
        typed,
        full: true,
        draw: scene.draw(),
    };
    let answered = scene.decide(alice(), None, |records, now| answer.decide(records, now));
    let Answered::AskRecovery(WithheldNotice::Help, asked) = answered else { panic!("help") };
    assert_eq!(asked.why, Why::Full);
}

#[test]
fn no_message_is_spent_on_a_lost_code_that_could_not_be_answered() {
    let mut scene = Scene::new();
    let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("a code") };
    guess(&mut scene, 10);
    scene.restart();
    let recover = Recover { terms: scene.terms(), token: view.token, draw: scene.draw() };
    let alice = Some(account("alice"));
    let order = scene.decide(alice, None, |records, now| recover.decide(records, now));
    assert!(order.is_none(), "wrong codes lock the account");
}

#[test]
fn a_lost_code_comes_back_as_long_as_codes_are_now() {
    let mut scene = Scene::new();
    let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("a code") };
    let (now, site) = (scene.now, scene.traffic.entry(TrafficKey::All).or_default());
    for _ in 0..101 {
        site.charge_wrong(2, now);
    }
    scene.restart();
    let recover = Recover { terms: scene.terms(), token: view.token, draw: scene.draw() };
    let alice = Some(account("alice"));
    let order = scene.decide(alice, None, |records, now| recover.decide(records, now));
    let code = order.expect("a code").code.expose().to_owned();
    assert_eq!(code.len(), 8);
    assert!(granted(&scene.answer(view.token, &code)));
}

#[test]
fn what_is_disabled_or_removed_has_no_bypass_without_a_number_either() {
    for verb in [Verb::Disable, Verb::Remove] {
        let mut scene = Scene::new();
        scene.enrollments.remove(&account("alice"));
        let wanted = Wanted::new(7 * 86_400, "new here", None, None).expect("a bypass");
        let grant = GrantBypass { account: account("alice"), id: BypassId::new(5), wanted, uid: 0 };
        let alice = Some(account("alice"));
        scene.decide(alice, None, |records, now| grant.decide(records, now)).expect("granted");
        scene.events();
        scene.manage("alice", verb);
        assert_eq!(scene.events(), ["bypass-revoked", "refused not-enrolled"], "{verb:?}");
        assert!(matches!(scene.begin(ssh(1)), Begun::Denied(_)), "{verb:?}");
    }
}

#[test]
fn nothing_is_left_of_a_removed_account_that_had_recovery_codes() {
    let mut scene = Scene::new();
    codes(&mut scene);
    scene.manage("alice", Verb::Remove);
    let login = scene.login("alice");
    let later = scene.now.after(DAY * 31);
    assert!(login == crate::domain::login::LoginState::default() || is_stale(false, &login, later));
}
