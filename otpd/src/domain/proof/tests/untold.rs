//! Numbers that nothing may be sent to, and numbers that are told that they were replaced.

use super::*;

/// The person at `number` has asked for an end to messages.
fn stop(scene: &mut Scene, number: &str) {
    let (at, gateway) = (scene.now, "telnyx".to_owned());
    scene.budgets.entry(index(number)).or_default().opted_out = Some(OptOut { at, gateway });
}

#[test]
fn a_number_that_opted_out_is_entered_without_a_message_and_can_be_unlocked() {
    for (name, asked) in
        [("new", CAROL), ("in another's place", Asked { name: "alice", replace: true, ..CAROL })]
    {
        let mut scene = Scene::new();
        stop(&mut scene, NUMBER);
        let entered = enter(&mut scene, asked).expect(name);
        assert_eq!((entered.enrollment.state, entered.order.is_none()), (State::Pending, true));
        assert_eq!(scene.events(), ["enrolled", "message-held opted-out"], "{name}");
        assert!(scene.login(asked.name).challenges.is_empty(), "{name}: there is no code");
        assert_eq!(resend(&mut scene, asked.name, false).err(), Some(Refusal::OptedOut), "{name}");
        scene.manage(asked.name, Verb::Unlock);
        let order = resend(&mut scene, asked.name, false).expect(name);
        scene.deliver(&order, sent());
        let code = scene.code(order.token);
        assert!(
            matches!(verify(&mut scene, asked.name, &code), Ok(State::Active { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_removed_account_that_opted_out_is_no_dead_end() {
    let mut scene = Scene::new();
    entered(&mut scene);
    stop(&mut scene, NUMBER);
    let again = Asked { replace: true, ..CAROL };
    assert_eq!(
        enter(&mut scene, again).err(),
        Some(Refusal::OptedOut),
        "it can be unlocked as it is"
    );
    scene.manage("carol", Verb::Remove);
    assert!(enter(&mut scene, CAROL).expect("entered").order.is_none(), "removing lifts nothing");
    scene.manage("carol", Verb::Unlock);
    assert!(resend(&mut scene, "carol", false).is_ok());
}

/// alice's own in a scene.
const OWN: &str = "+13125550142";

fn alice(scene: &mut Scene) -> &mut Enrollment {
    scene.enrollments.get_mut(&account("alice")).expect("enrolled")
}

#[test]
fn a_proved_number_is_told_that_it_was_replaced_where_it_can_be() {
    type Change = fn(&mut Scene);
    let other = Asked { name: "alice", replace: true, ..CAROL };
    let own = Asked { number: OWN, ..other };
    let calls = Asked { channel: Channel::Voice, ..own };
    let cases: [(&str, Change, Asked, bool); 8] = [
        ("proved", |_| {}, other, true),
        (
            "perhaps a mobile",
            |scene| alice(scene).destination.line = Line::FixedOrMobile,
            other,
            true,
        ),
        ("a landline", |scene| alice(scene).destination.line = Line::Fixed, other, false),
        ("opted out", |scene| stop(scene, OWN), other, false),
        (
            "a country not allowed",
            |scene| alice(scene).destination.country = "CA".parse().expect("one"),
            other,
            false,
        ),
        ("never proved", |scene| alice(scene).state = State::Pending, other, false),
        ("the same number in another way", |_| {}, calls, false),
        ("the new one opted out", |scene| stop(scene, NUMBER), other, true),
    ];
    for (name, change, asked, told) in cases {
        let mut scene = Scene::new();
        change(&mut scene);
        let replaced = enter(&mut scene, asked).expect(name).replaced;
        let expected = told.then(|| OWN.parse::<E164>().expect("a number"));
        assert_eq!(replaced, expected, "{name}");
    }
}
