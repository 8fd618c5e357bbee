//! Numbers that are entered without a message.

use super::{Register, Registered};
use crate::domain::{
    challenge::Channel,
    enrollment::State,
    login::{Answered, DeliveryResult},
    phone::Line,
    proof::{Outcome, Refusal, Resent},
    scene::{Scene, account, destination, index, range, sent, ssh},
};

/// alice's own in a scene.
const OWN: &str = "+13125550142";
const OTHER: &str = "+13125550199";

/// What a row of a list says.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    number: &'static str,
    line: Line,
    channel: Option<Channel>,
    replace: bool,
}

const CAROL: Row =
    Row { name: "carol", number: OTHER, line: Line::Mobile, channel: None, replace: false };
const ALICE: Row = Row { name: "alice", number: OWN, ..CAROL };

fn register(scene: &mut Scene, row: Row) -> Result<Registered, Refusal> {
    let owner = account(row.name);
    let register = Register {
        terms: scene.terms(),
        account: owner.clone(),
        destination: destination(row.number, row.line),
        index: index(row.number),
        range: range(row.number),
        channel: row.channel,
        replace: row.replace,
        uid: 0,
    };
    let number = Some(index(row.number));
    match scene.decide(Some(owner), number, |records, now| register.decide(records, now)) {
        Outcome::Done(registered) => Ok(registered),
        Outcome::Refused(refusal) => Err(refusal),
    }
}

fn resend(scene: &mut Scene, name: &str) -> Result<(), Refusal> {
    let owner = account(name);
    let resent = Resent {
        terms: scene.terms(),
        account: owner.clone(),
        voice: false,
        uid: 0,
        draw: scene.draw(),
    };
    match scene.decide(Some(owner), None, |records, now| resent.decide(records, now)) {
        Outcome::Done(order) => {
            scene.orders.push(*order);
            Ok(())
        }
        Outcome::Refused(refusal) => Err(refusal),
    }
}

#[test]
fn a_row_is_entered_once_and_nothing_is_sent() {
    let mut scene = Scene::new();
    let first = register(&mut scene, CAROL).expect("entered");
    assert!(!first.unchanged);
    assert_eq!((first.enrollment.state, first.enrollment.proof_sent_at), (State::Pending, None));
    assert_eq!(scene.events(), ["enrolled"]);
    scene.wait(60);
    let again = register(&mut scene, CAROL).expect("there already");
    assert_eq!(again, Registered { unchanged: true, ..first });
    assert_eq!(scene.events(), [""; 0]);
    assert!(scene.orders.is_empty() && scene.login("carol").challenges.is_empty());
}

#[test]
fn what_is_there_decides() {
    let voice = Some(Channel::Voice);
    let landline = Row { line: Line::Fixed, ..CAROL };
    let cases: [(&str, Row, Result<bool, Refusal>); 9] = [
        ("the same number", ALICE, Ok(true)),
        ("the same, said in full", Row { channel: Some(Channel::Sms), ..ALICE }, Ok(true)),
        ("the same, to be replaced", Row { replace: true, ..ALICE }, Ok(true)),
        ("the same by another way", Row { channel: voice, ..ALICE }, Err(Refusal::AlreadyEnrolled)),
        ("another number", Row { number: OTHER, ..ALICE }, Err(Refusal::AlreadyEnrolled)),
        ("another, to be replaced", Row { number: OTHER, replace: true, ..ALICE }, Ok(false)),
        (
            "by another way, to be replaced",
            Row { channel: voice, replace: true, ..ALICE },
            Ok(false),
        ),
        ("a landline for texts", landline, Err(Refusal::LineTakesNoText)),
        ("a landline for calls", Row { channel: voice, ..landline }, Ok(false)),
    ];
    for (name, row, expected) in cases {
        let mut scene = Scene::new();
        let before = scene.enrollments.clone();
        let found = register(&mut scene, row).map(|registered| registered.unchanged);
        assert_eq!(found, expected, "{name}");
        assert_eq!(scene.enrollments == before, found != Ok(false), "{name}");
    }
}

#[test]
fn what_is_refused_is_written_down() {
    let mut scene = Scene::new();
    let other = Row { number: OTHER, ..ALICE };
    assert_eq!(register(&mut scene, other), Err(Refusal::AlreadyEnrolled));
    assert_eq!(scene.events(), ["refused already-enrolled"]);
    scene.terms.countries.clear();
    let country = Refusal::Country("US".parse().expect("a country"));
    assert_eq!(register(&mut scene, CAROL), Err(country));
    assert_eq!(scene.events(), ["refused country-not-allowed"]);
}

#[test]
fn no_gateway_that_calls_no_number_for_calls() {
    let mut scene = Scene::new();
    scene.terms.voice = false;
    let row = Row { channel: Some(Channel::Voice), ..CAROL };
    assert_eq!(register(&mut scene, row), Err(Refusal::NoVoice));
}

#[test]
fn another_number_has_to_be_proved_and_ends_what_went_to_the_old_one() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let row = Row { number: OTHER, replace: true, ..ALICE };
    let registered = register(&mut scene, row).expect("replaced");
    assert_eq!(registered.enrollment.state, State::Pending);
    assert!(registered.enrollment.required, "the account needed codes before");
    assert!(matches!(scene.right(token), Answered::Denied { .. }), "the old code is of no use");
}

#[test]
fn that_a_proof_went_is_remembered_until_it_surely_did_not() {
    let mut scene = Scene::new();
    register(&mut scene, CAROL).expect("entered");
    let sent_at = |scene: &Scene| scene.enrollments[&account("carol")].proof_sent_at;
    resend(&mut scene, "carol").expect("a proof");
    assert_eq!(sent_at(&scene), Some(scene.now));
    scene.fail();
    assert_eq!(sent_at(&scene), None, "none went");
    scene.wait(60);
    resend(&mut scene, "carol").expect("a proof");
    let order = scene.orders.last().cloned().expect("an order");
    scene.deliver(&order, sent());
    assert_eq!(sent_at(&scene), Some(scene.now));
    // Days later, when neither the challenge nor the budget knows anything of it any more.
    scene.wait(3 * 24 * 3600);
    let again = register(&mut scene, CAROL).expect("there already");
    assert!(again.unchanged && again.enrollment.proof_sent_at == Some(order.issued_at));
}

#[test]
fn a_late_failure_of_an_earlier_proof_does_not_hide_a_later_one() {
    let mut scene = Scene::new();
    register(&mut scene, CAROL).expect("entered");
    resend(&mut scene, "carol").expect("a proof");
    let first = scene.orders.last().cloned().expect("an order");
    scene.wait(60);
    resend(&mut scene, "carol").expect("another");
    scene.deliver(&first, DeliveryResult::Failed);
    assert_eq!(scene.enrollments[&account("carol")].proof_sent_at, Some(scene.now));
}
