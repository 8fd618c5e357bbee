//! Numbers entered and proved, step by step.

mod untold;

use super::{Enroll, Enrolled, Outcome, Refusal, Resent, Verify};
use crate::domain::{
    account::Account,
    budget::LimitName,
    challenge::{Channel, Delivery, End, State as ChallengeState},
    enrollment::{Enrollment, State},
    login::{Answered, Begun, DeliveryResult, Denial, Order, Typed},
    manage::Verb,
    opt_out::OptOut,
    passcode::{ChallengeToken, Purpose},
    phone::{Destination, E164, Line},
    policy::Unenrolled,
    scene::{Scene, account, destination, index, range, sent, ssh},
    time::DAY,
};

const NUMBER: &str = "+13125550188";
const OTHER: &str = "+13125550199";

/// What `enroll` is asked for.
#[derive(Clone, Copy)]
struct Asked {
    name: &'static str,
    number: &'static str,
    line: Line,
    channel: Channel,
    replace: bool,
    country: &'static str,
}

const CAROL: Asked = Asked {
    name: "carol",
    number: NUMBER,
    line: Line::Mobile,
    channel: Channel::Sms,
    replace: false,
    country: "US",
};

fn enroll(scene: &mut Scene, asked: Asked) -> Result<(Enrollment, Order), Refusal> {
    let Enrolled { enrollment, order, .. } = enter(scene, asked)?;
    let order = *order.expect("a message");
    scene.orders.push(order.clone());
    Ok((enrollment, order))
}

fn enter(scene: &mut Scene, asked: Asked) -> Result<Enrolled, Refusal> {
    let owner = account(asked.name);
    let country = asked.country.parse().expect("a country");
    let before = scene.audit.len();
    let enroll = Enroll {
        terms: scene.terms(),
        account: owner.clone(),
        destination: Destination { country, ..destination(asked.number, asked.line) },
        index: index(asked.number),
        range: range(asked.number),
        channel: asked.channel,
        replace: asked.replace,
        uid: 0,
        draw: scene.draw(),
    };
    let number = Some(index(asked.number));
    let decided = scene.decide(Some(owner), number, |records, now| enroll.decide(records, now));
    assert!(scene.audit.len() > before, "{decided:?} left no event");
    match decided {
        Outcome::Done(enrolled) => Ok(enrolled),
        Outcome::Refused(refusal) => Err(refusal),
    }
}

fn verify(scene: &mut Scene, name: &str, typed: &str) -> Result<State, Refusal> {
    let owner = account(name);
    let typed = Typed::new(typed);
    let verify = Verify { terms: scene.terms(), account: owner.clone(), typed, uid: 0 };
    let before = scene.audit.len();
    let decided = scene.decide(Some(owner), None, |records, now| verify.decide(records, now));
    assert!(scene.audit.len() > before, "{decided:?} left no event");
    match decided {
        Outcome::Done(enrollment) => Ok(enrollment.state),
        Outcome::Refused(refusal) => Err(refusal),
    }
}

fn resend(scene: &mut Scene, name: &str, voice: bool) -> Result<Order, Refusal> {
    let owner = account(name);
    let draw = scene.draw();
    let resent = Resent { terms: scene.terms(), account: owner.clone(), voice, uid: 0, draw };
    let before = scene.audit.len();
    let decided = scene.decide(Some(owner), None, |records, now| resent.decide(records, now));
    assert!(scene.audit.len() > before, "{decided:?} left no event");
    match decided {
        Outcome::Done(order) => {
            scene.orders.push((*order).clone());
            Ok(*order)
        }
        Outcome::Refused(refusal) => Err(refusal),
    }
}

/// carol's number is entered and its message sent.
fn entered(scene: &mut Scene) -> ChallengeToken {
    let (_, order) = enroll(scene, CAROL).expect("enrolled");
    scene.deliver(&order, sent());
    scene.events();
    order.token
}

fn held<T: std::fmt::Debug>(result: Result<T, Refusal>) -> LimitName {
    match result {
        Err(Refusal::Held(held)) => held.limit,
        other => panic!("no limit: {other:?}"),
    }
}

fn state(scene: &Scene, name: &str) -> State {
    scene.enrollments[&account(name)].state
}

#[test]
fn a_number_is_proved_by_the_code_that_went_to_it() {
    let mut scene = Scene::new();
    let (enrollment, order) = enroll(&mut scene, CAROL).expect("enrolled");
    assert_eq!((enrollment.state, order.purpose), (State::Pending, Purpose::Enrollment));
    assert_eq!(order.to.expose(), NUMBER);
    assert_eq!(scene.events(), ["enrolled", "code-issued enrollment"]);
    assert!(order.is_wanted(&scene.login("carol"), scene.now), "by the next gateway, if need be");
    scene.deliver(&order, sent());
    assert!(matches!(scene.begin(ssh(1).of("carol")), Begun::Denied(Denial::NotVerified)));
    scene.wait(120);
    scene.events();
    let code = scene.code(order.token);
    let proved = State::Active { verified_at: scene.now };
    assert_eq!(verify(&mut scene, "carol", &code), Ok(proved));
    assert_eq!(scene.events(), ["verified"]);
    assert!(!order.is_wanted(&scene.login("carol"), scene.now));
    assert_eq!(verify(&mut scene, "carol", &code), Err(Refusal::NoCode), "once");
    assert_eq!(resend(&mut scene, "carol", false).err(), Some(Refusal::AlreadyVerified));
    assert!(matches!(scene.begin(ssh(2).of("carol")), Begun::Issued(..)));
}

#[test]
fn what_is_refused_changes_nothing() {
    let abroad = Refusal::Country("CA".parse().expect("a country"));
    let landline = Asked { line: Line::Fixed, ..CAROL };
    let call = Asked { channel: Channel::Voice, ..CAROL };
    let alice = Asked { name: "alice", ..CAROL };
    let cases = [
        ("a landline takes no text", landline, true, Some(Refusal::LineTakesNoText)),
        ("but a call", Asked { channel: Channel::Voice, ..landline }, true, None),
        ("no gateway calls", call, false, Some(Refusal::NoVoice)),
        ("one calls", call, true, None),
        ("a line that may be either", Asked { line: Line::FixedOrMobile, ..CAROL }, true, None),
        ("a country that is not allowed", Asked { country: "CA", ..CAROL }, true, Some(abroad)),
        ("has a number", alice, true, Some(Refusal::AlreadyEnrolled)),
        ("has a number that shall go", Asked { replace: true, ..alice }, true, None),
        ("nothing to replace", Asked { replace: true, ..CAROL }, true, None),
    ];
    for (name, asked, voice, refusal) in cases {
        let mut scene = Scene::new();
        scene.terms.voice = voice;
        let before = scene.enrollments.clone();
        let refused = enroll(&mut scene, asked).err();
        assert_eq!(refused, refusal, "{name}");
        if refusal.is_some() {
            assert_eq!(scene.enrollments, before, "{name}");
            assert!(scene.orders.is_empty(), "{name}");
            assert!(
                matches!(scene.events()[..], [ref one] if one.starts_with("refused ")),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_typed_to_prove_a_number() {
    let mut scene = Scene::new();
    let token = entered(&mut scene);
    let (code, wrong) = (scene.code(token), scene.wrong(token));
    for junk in ["", "12345", "1234567", "abcdef", "q", "r"] {
        assert_eq!(verify(&mut scene, "carol", junk), Err(Refusal::NotACode { digits: 6 }));
    }
    assert_eq!(scene.events(), ["refused not-a-code"; 6]);
    assert_eq!(verify(&mut scene, "carol", &wrong), Err(Refusal::Wrong { tries_left: 2 }));
    assert_eq!(scene.events(), ["code-wrong"]);
    scene.wait(30);
    let again = resend(&mut scene, "carol", false).expect("sent");
    scene.deliver(&again, sent());
    assert_eq!(again.token, token, "the same proof, with its tries");
    let earlier = Refusal::Earlier { reference: again.reference };
    assert_eq!(verify(&mut scene, "carol", &code), Err(earlier));
    let wrong = scene.wrong(token);
    assert_eq!(verify(&mut scene, "carol", &wrong), Err(Refusal::Wrong { tries_left: 1 }));
    scene.events();
    assert_eq!(verify(&mut scene, "carol", &wrong), Err(Refusal::Spent));
    assert_eq!(scene.events(), ["code-wrong", "challenge-ended spent"]);
    let newest = scene.code(token);
    assert_eq!(verify(&mut scene, "carol", &newest), Err(Refusal::Spent));
    assert_eq!(state(&scene, "carol"), State::Pending);
    // A new proof has tries of its own, and its message counts.
    let next = resend(&mut scene, "carol", false).expect("sent");
    scene.deliver(&next, sent());
    let code = scene.code(next.token);
    assert!(verify(&mut scene, "carol", &code).is_ok());
}

#[test]
fn a_proof_expires_and_the_next_message_begins_a_new_one() {
    let mut scene = Scene::new();
    let token = entered(&mut scene);
    let code = scene.code(token);
    scene.wait(300);
    assert_eq!(verify(&mut scene, "carol", &code), Err(Refusal::Expired));
    let next = resend(&mut scene, "carol", false).expect("sent");
    assert_ne!(next.token, token);
    scene.deliver(&next, sent());
    assert_eq!(verify(&mut scene, "carol", &code), Err(Refusal::Wrong { tries_left: 2 }));
    let code = scene.code(next.token);
    assert!(verify(&mut scene, "carol", &code).is_ok());
}

#[test]
fn who_has_nothing_to_prove() {
    let mut scene = Scene::new();
    assert_eq!(verify(&mut scene, "dave", "123456"), Err(Refusal::NotEnrolled));
    assert_eq!(resend(&mut scene, "dave", false).err(), Some(Refusal::NotEnrolled));
    assert_eq!(verify(&mut scene, "alice", "123456"), Err(Refusal::NoCode));
    assert_eq!(resend(&mut scene, "alice", false).err(), Some(Refusal::AlreadyVerified));
}

#[test]
fn an_unproved_number_gets_three_messages_a_day_whoever_asks() {
    let mut scene = Scene::new();
    entered(&mut scene);
    assert_eq!(resend(&mut scene, "carol", false).err(), Some(Refusal::TooSoon(30)));
    scene.wait(30);
    resend(&mut scene, "carol", false).expect("the second");
    assert_eq!(resend(&mut scene, "carol", false).err(), Some(Refusal::TooSoon(60)));
    enroll(&mut scene, Asked { name: "dave", ..CAROL }).expect("the third, for another account");
    scene.wait(60);
    assert_eq!(held(resend(&mut scene, "carol", false)), LimitName::UnverifiedPerDay);
    assert_eq!(held(resend(&mut scene, "carol", true)), LimitName::UnverifiedPerDay);
    let erin = Asked { name: "erin", ..CAROL };
    assert_eq!(held(enroll(&mut scene, erin)), LimitName::UnverifiedPerDay);
    let again = Asked { replace: true, ..CAROL };
    assert_eq!(held(enroll(&mut scene, again)), LimitName::UnverifiedPerDay);
    assert!(enroll(&mut scene, Asked { number: OTHER, ..erin }).is_ok(), "another number");
    scene.now = crate::domain::scene::START.after(DAY);
    assert!(resend(&mut scene, "carol", false).is_ok(), "the oldest is a day old");
}

#[test]
fn a_proof_that_was_not_sent_is_not_charged() {
    let mut scene = Scene::new();
    enroll(&mut scene, CAROL).expect("enrolled");
    for _ in 0..6 {
        scene.fail();
        scene.wait(60);
        resend(&mut scene, "carol", false).expect("given back");
    }
}

#[test]
fn a_refund_gives_back_the_message_that_failed() {
    let mut scene = Scene::new();
    let (_, first) = enroll(&mut scene, CAROL).expect("enrolled");
    scene.wait(30);
    resend(&mut scene, "carol", false).expect("sent");
    scene.wait(60);
    resend(&mut scene, "carol", false).expect("sent");
    // The first was never sent after all: a day after it two are still counted.
    scene.deliver(&first, DeliveryResult::Failed);
    scene.deliver(&first, DeliveryResult::Failed);
    scene.wait(60);
    let fourth = resend(&mut scene, "carol", false).expect("one was given back");
    scene.deliver(&fourth, sent());
    scene.now = first.issued_at.after(DAY).after(std::time::Duration::from_secs(1));
    assert_eq!(held(resend(&mut scene, "carol", false)), LimitName::UnverifiedPerDay);
}

/// Else each failed message would bring three guesses that no budget counts.
#[test]
fn a_code_that_was_never_sent_cannot_be_guessed_at() {
    let mut scene = Scene::new();
    let (_, order) = enroll(&mut scene, CAROL).expect("enrolled");
    scene.fail();
    let code = scene.code(order.token);
    assert_eq!(verify(&mut scene, "carol", &code), Err(Refusal::NoCode));
    assert_eq!(state(&scene, "carol"), State::Pending);
}

#[test]
fn guesses_while_a_message_is_on_its_way_keep_its_charge() {
    let mut scene = Scene::new();
    let (_, order) = enroll(&mut scene, CAROL).expect("enrolled");
    let (mut guesses, mut token) = (0, order.token);
    for _ in 0..50 {
        for _ in 0..3 {
            let wrong = scene.wrong(token);
            let refused = verify(&mut scene, "carol", &wrong);
            guesses += usize::from(matches!(refused, Err(Refusal::Wrong { .. } | Refusal::Spent)));
        }
        scene.fail();
        scene.wait(60);
        match resend(&mut scene, "carol", false) {
            Ok(order) => token = order.token,
            Err(_) => break,
        }
    }
    assert!(guesses <= 9, "{guesses} guesses in a day");
}

#[test]
fn a_new_number_ends_whatever_waits_for_a_code_of_the_old_one() {
    let mut scene = Scene::new();
    let login = scene.start(ssh(1));
    let asked = Asked { name: "alice", number: OTHER, replace: true, ..CAROL };
    let (_, first) = enroll(&mut scene, asked).expect("replaced");
    assert!(matches!(scene.right(login), Answered::Denied(Denial::Ended, _)));
    assert!(matches!(scene.begin(ssh(2)), Begun::Denied(Denial::NotVerified)));
    let old = scene.code(first.token);
    scene.wait(30);
    let (_, second) = enroll(&mut scene, asked).expect("replaced again");
    assert_ne!(first.token, second.token);
    scene.deliver(&second, sent());
    let ended = scene.challenge(first.token).state;
    assert!(matches!(ended, ChallengeState::Ended { how: End::Cancelled, .. }));
    assert_eq!(verify(&mut scene, "alice", &old), Err(Refusal::Wrong { tries_left: 2 }));
    let code = scene.code(second.token);
    assert!(verify(&mut scene, "alice", &code).is_ok());
    assert!(matches!(scene.begin(ssh(3)), Begun::Issued(..)));
}

#[test]
fn a_disabled_account_stays_disabled() {
    let mut scene = Scene::new();
    let token = entered(&mut scene);
    let code = scene.code(token);
    scene.manage("carol", Verb::Disable);
    assert_eq!(verify(&mut scene, "carol", &code), Err(Refusal::NoCode), "disabling ended it");
    assert_eq!(resend(&mut scene, "carol", false).err(), Some(Refusal::Disabled));
    // Nor does a new number switch it on, proved or not.
    let asked = Asked { number: OTHER, replace: true, ..CAROL };
    let (enrollment, order) = enroll(&mut scene, asked).expect("replaced");
    assert_eq!(enrollment.state, State::Disabled { verified_at: None });
    scene.deliver(&order, sent());
    let code = scene.code(order.token);
    let disabled = State::Disabled { verified_at: Some(scene.now) };
    assert_eq!(verify(&mut scene, "carol", &code), Ok(disabled));
    assert!(matches!(scene.begin(ssh(1).of("carol")), Begun::Denied(Denial::Disabled)));
    scene.manage("carol", Verb::Enable);
    assert!(matches!(scene.begin(ssh(2).of("carol")), Begun::Issued(..)));
}

#[test]
fn a_code_for_one_purpose_never_serves_the_other() {
    let mut scene = Scene::new();
    let token = entered(&mut scene);
    let code = scene.code(token);
    assert!(matches!(scene.answer(token, &code), Answered::Unknown), "not a login");
    assert!(!scene.abandon(token), "no login to give up");
    // Nor a login's code for a proof: alice has a login that waits, and a new number.
    let carol: Account = account("carol");
    let proved = {
        let mut enrollment = scene.enrollments[&carol].clone();
        enrollment.prove(scene.now);
        enrollment
    };
    let pending = scene.enrollments.insert(carol.clone(), proved).expect("there");
    let login = scene.start(ssh(1).of("carol"));
    scene.enrollments.insert(carol, pending);
    let login_code = scene.code(login);
    assert_eq!(verify(&mut scene, "carol", &login_code), Err(Refusal::Wrong { tries_left: 2 }));
    assert!(verify(&mut scene, "carol", &code).is_ok());
    assert!(matches!(scene.answer(login, &code), Answered::Ask(..)), "wrong there");
    assert!(matches!(scene.answer(login, &login_code), Answered::Granted));
}

#[test]
fn proofs_and_logins_have_budgets_of_their_own() {
    let mut scene = Scene::new();
    scene.enrolled("frank", NUMBER);
    for id in 0..5 {
        scene.start(ssh(id).from(id).of("frank"));
    }
    assert!(matches!(scene.begin(ssh(9).of("frank")), Begun::Denied(Denial::Held(_))));
    entered(&mut scene);
    scene.wait(90);
    resend(&mut scene, "carol", false).expect("logins use up no proof");
    let mut scene = Scene::new();
    scene.enrolled("frank", NUMBER);
    entered(&mut scene);
    enroll(&mut scene, Asked { name: "dave", ..CAROL }).expect("a second");
    enroll(&mut scene, Asked { name: "erin", ..CAROL }).expect("a third");
    assert!(matches!(scene.begin(ssh(1).of("frank")), Begun::Issued(..)), "and the reverse");
}

#[test]
fn a_proof_of_a_daemon_that_stopped_can_be_asked_for_again() {
    let mut scene = Scene::new();
    let (_, order) = enroll(&mut scene, CAROL).expect("enrolled");
    scene.restart();
    scene.wait(30);
    let next = resend(&mut scene, "carol", false).expect("sent");
    assert_eq!(next.token, order.token);
    assert_eq!(
        scene.challenge(next.token).delivery,
        Delivery::Sending { by: crate::domain::challenge::Instance(2) }
    );
    let code = scene.code(next.token);
    assert!(verify(&mut scene, "carol", &code).is_ok());
}

#[test]
fn a_replaced_number_is_no_way_around_codes_under_a_lenient_policy() {
    let mut scene = Scene::new();
    scene.terms.unenrolled = Unenrolled::Ignore;
    let replace = Asked { name: "alice", number: OTHER, replace: true, ..CAROL };
    enroll(&mut scene, replace).expect("replaced");
    match scene.begin(ssh(1)) {
        Begun::Denied(Denial::NotVerified) => {}
        other => panic!("let in without a code: {other:?}"),
    }
    // Once more does not forget it.
    scene.wait(60);
    enroll(&mut scene, Asked { number: NUMBER, ..replace }).expect("replaced again");
    match scene.begin(ssh(2)) {
        Begun::Denied(Denial::NotVerified) => {}
        other => panic!("let in without a code: {other:?}"),
    }
    // Who never had a proved number goes on as before until it is proved.
    enroll(&mut scene, Asked { number: "+13125550177", ..CAROL }).expect("entered");
    match scene.begin(ssh(3).of("carol")) {
        Begun::Ignored => {}
        other => panic!("locked out by an enrollment: {other:?}"),
    }
}
