//! Who is asked for a code, and how many logins may wait at once.

use super::{Answered, Begun, Denial, LimitName, denied, granted, limit, refused};
use crate::domain::{
    account::Account,
    challenge::{Channel, Instance},
    enrollment::Enrollment,
    login::{LIVE_PER_ACCOUNT, LIVE_PER_SOURCE, Notice, Progress},
    manage::Verb,
    phone::Line,
    policy::Unenrolled,
    scene::{Run, Scene, account, console, destination, index, range, source, ssh},
};

#[test]
fn who_is_asked_for_a_code() {
    #[derive(Clone, Copy, PartialEq)]
    enum Has {
        Nothing,
        Pending,
        Active,
        Disabled,
    }
    use Has::{Active, Disabled, Nothing, Pending};
    let known = ssh(1);
    let unknown = Run { exists: false, ..ssh(1) };
    let exempt = Run { exempt: true, ..ssh(1) };
    let (deny, ignore) = (Unenrolled::Deny, Unenrolled::Ignore);
    let refuse = |denial: Denial| format!("login-denied {}", denial.as_str());
    let cases = [
        ("enrolled", known, Active, deny, "code-issued login".to_owned()),
        ("enrolled, others ignored", known, Active, ignore, "code-issued login".to_owned()),
        ("no number", known, Nothing, deny, refuse(Denial::NotEnrolled)),
        ("no number, ignored", known, Nothing, ignore, "login-ignored not-enrolled".to_owned()),
        ("not proved", known, Pending, deny, refuse(Denial::NotVerified)),
        ("not proved, ignored", known, Pending, ignore, "login-ignored not-verified".to_owned()),
        ("disabled", known, Disabled, deny, refuse(Denial::Disabled)),
        ("disabled, others ignored", known, Disabled, ignore, refuse(Denial::Disabled)),
        ("exempt", exempt, Active, deny, "login-ignored exempt".to_owned()),
        ("exempt, no number", exempt, Nothing, deny, "login-ignored exempt".to_owned()),
        ("unknown to NSS", unknown, Nothing, deny, refuse(Denial::NoAccount)),
        ("unknown, others ignored", unknown, Nothing, ignore, refuse(Denial::NoAccount)),
        ("unknown, with a number", unknown, Active, deny, refuse(Denial::NoAccount)),
    ];
    for (name, run, has, unenrolled, event) in cases {
        let mut scene = Scene::new();
        scene.terms.unenrolled = unenrolled;
        let alice: Account = account("alice");
        let fresh = Enrollment::new(
            destination("+13125550142", Line::Mobile),
            index("+13125550142"),
            range("+13125550142"),
            Channel::Sms,
            scene.now,
        );
        match has {
            Nothing => drop(scene.enrollments.remove(&alice)),
            Pending => drop(scene.enrollments.insert(alice, fresh)),
            Active => {}
            Disabled => scene.manage("alice", Verb::Disable),
        }
        scene.events();
        let issued = matches!(scene.begin(run), Begun::Issued(..));
        assert_eq!(scene.events(), [event], "{name}");
        assert_eq!(issued, has == Active && run.exists && !run.exempt, "{name}");
        assert_eq!(scene.sent(), usize::from(issued), "{name}");
    }
}

#[test]
fn what_was_said_once_is_not_said_again_on_the_same_connection() {
    let mut scene = Scene::new();
    scene.enrollments.remove(&account("alice"));
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::NotEnrolled);
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Silent);
    assert_eq!(refused(&scene.begin(ssh(2))), Denial::NotEnrolled);
    for _ in 0..2 {
        assert_eq!(
            refused(&scene.begin(console())),
            Denial::NotEnrolled,
            "no connection, no memory"
        );
    }
}

#[test]
fn nothing_is_kept_about_a_name_that_no_account_has() {
    let mut scene = Scene::new();
    let run = Run { exists: false, ..ssh(1).of("mallory") };
    assert_eq!(refused(&scene.begin(run)), Denial::NoAccount);
    assert_eq!(scene.login("mallory"), super::super::LoginState::default());
}

#[test]
fn a_live_attempt_goes_on_without_a_second_message() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    scene.asked(token, &wrong);
    scene.wait(20);
    scene.events();
    match scene.begin(ssh(1)) {
        Begun::Resumed(view) => {
            assert_eq!((view.token, view.tries_left), (token, 2));
            assert_eq!((view.progress, view.resend_in), (Progress::Sent, 10));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.events(), ["login-resumed"]);
    assert_eq!(scene.sent(), 1);
    assert!(granted(&scene.right(token)));
    let next = scene.start(ssh(1));
    assert_ne!(next, token, "after a success the same connection begins anew");
}

#[test]
fn a_fourth_login_from_one_source_supersedes_the_oldest() {
    for (name, runs) in [
        ("ssh", [ssh(1), ssh(2), ssh(3), ssh(4)]),
        ("consoles", [console(), console(), console(), console()]),
    ] {
        let mut scene = Scene::new();
        let [oldest, second, third, fourth] = runs.map(|run| {
            scene.wait(1);
            scene.start(run)
        });
        assert_eq!(scene.login("alice").live(scene.now), LIVE_PER_SOURCE, "{name}");
        assert_eq!(denied(&scene.right(oldest)), Denial::Ended, "{name}");
        for token in [second, third, fourth] {
            assert!(granted(&scene.right(token)), "{name}");
        }
    }
}

#[test]
fn one_that_waits_with_an_expired_code_counts_as_well() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 60;
    scene.terms.limits.unanswered_per_day = 60;
    let old = [1, 2, 3].map(|id| scene.start(ssh(id)));
    scene.wait(301);
    let new = [4, 5, 6].map(|id| scene.start(ssh(id)));
    for token in old {
        assert_eq!(denied(&scene.right(token)), Denial::Ended, "else six would live");
    }
    for token in new {
        assert!(granted(&scene.right(token)));
    }
}

#[test]
fn a_login_that_gets_no_message_supersedes_nothing() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 3;
    let live = [1, 2, 3].map(|id| scene.start(ssh(id)));
    assert_eq!(limit(refused(&scene.begin(ssh(4)))), LimitName::UnansweredPerHour);
    for token in live {
        assert!(granted(&scene.right(token)));
    }
}

#[test]
fn a_ninth_login_of_the_account_waits_and_known_sources_are_not_counted() {
    let mut scene = Scene::new();
    scene.terms.limits.unanswered_per_hour = 60;
    scene.terms.limits.unanswered_per_day = 60;
    let known = scene.start(ssh(200).from(200));
    assert!(granted(&scene.right(known)));
    assert!(scene.login("alice").knows(Some(source(200)), scene.now));
    let mut live = Vec::new();
    for id in 0..8 {
        live.push(scene.start(ssh(id).from(id / 2)));
        scene.wait(1);
    }
    assert_eq!(live.len(), LIVE_PER_ACCOUNT);
    scene.events();
    let denial = refused(&scene.begin(ssh(8).from(9)));
    let Denial::Held(held) = denial else { panic!("{denial:?}") };
    assert_eq!(held.limit, LimitName::LiveChallenges);
    let first_to_expire = scene.challenge(live[0]).expires_at();
    assert_eq!(held.until, Some(first_to_expire));
    assert_eq!(scene.events(), ["login-denied live-challenges"]);
    for id in 100..103 {
        let token = scene.start(ssh(id).from(200));
        assert!(granted(&scene.right(token)), "the user's own place is not taken");
    }
    assert!(granted(&scene.right(live[0])));
    // A known source by now: its other login is not counted any more either.
    scene.start(ssh(9).from(9));
    assert!(live[1..].iter().all(|token| scene.challenge(*token).is_live()));
}

#[test]
fn a_source_is_known_for_thirty_days_after_a_success() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    assert!(!scene.login("alice").knows(Some(source(9)), scene.now));
    assert!(granted(&scene.right(token)));
    for (days, known) in [(0, true), (29, true), (30, false)] {
        let later = scene.now.after(crate::domain::time::DAY * days);
        assert_eq!(scene.login("alice").knows(Some(source(9)), later), known, "{days}");
        assert!(!scene.login("alice").knows(None, later), "a console is never known");
        assert!(!scene.login("alice").knows(Some(source(8)), later));
        assert!(!scene.login("bob").knows(Some(source(9)), later));
    }
}

#[test]
fn at_most_sixteen_sources_are_remembered() {
    let mut scene = Scene::new();
    for id in 0..20 {
        let token = scene.start(ssh(id).from(id));
        assert!(granted(&scene.right(token)));
        scene.wait(100);
    }
    let login = scene.login("alice");
    assert!(!login.knows(Some(source(3)), scene.now));
    assert!((4..20).all(|id| login.knows(Some(source(id)), scene.now)));
}

#[test]
fn what_an_administrator_ends_is_over_for_open_prompts() {
    for verb in [Verb::Disable, Verb::Remove] {
        let mut scene = Scene::new();
        let token = scene.start(ssh(1));
        scene.manage("alice", verb);
        assert_eq!(denied(&scene.right(token)), Denial::Ended, "{verb:?}");
    }
}

#[test]
fn a_prompt_offers_a_call_only_where_there_is_one() {
    for (voice, notice) in [(false, Notice::NoVoice), (true, Notice::Resent)] {
        let mut scene = Scene::new();
        scene.terms.voice = voice;
        let token = scene.start(ssh(1));
        scene.wait(30);
        match scene.begin(ssh(1)) {
            Begun::Resumed(view) => assert_eq!((view.may_resend, view.may_call), (true, voice)),
            other => panic!("{other:?}"),
        }
        let (answer, view) = scene.asked(token, "V");
        assert_eq!(answer, notice);
        assert_eq!(view.channel == Channel::Voice, voice);
        assert!(granted(&scene.right(token)));
    }
}

#[test]
fn an_answer_needs_an_account() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.terms.issuer.instance = Instance(1);
    scene.logins.clear();
    assert!(matches!(scene.right(token), Answered::Unknown));
    assert_eq!(scene.events(), ["code-issued login", "message-sent"]);
}
