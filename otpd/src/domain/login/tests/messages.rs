//! Messages: resends, budgets, refunds.

use std::time::Duration;

use super::{Begun, Denial, LimitName, granted, limit, refused};
use crate::domain::{
    budget::Limits,
    challenge::{Channel, Delivery},
    login::{Answered, DeliveryResult, Notice, Progress},
    manage::Verb,
    phone::Line,
    scene::{Scene, account, index, sent, ssh},
    time::{DAY, HOUR},
};

fn held(notice: Notice) -> LimitName {
    match notice {
        Notice::Held(held) => held.limit,
        other => panic!("no limit: {other:?}"),
    }
}

#[test]
fn a_resend_waits_voids_the_old_code_and_ends() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let first = scene.code(token);
    assert_eq!(scene.asked(token, "r").0, Notice::TooSoon { seconds: 30 });
    scene.wait(29);
    assert_eq!(scene.asked(token, "R").0, Notice::TooSoon { seconds: 1 });
    scene.wait(1);
    scene.events();
    let (notice, view) = scene.asked(token, "r");
    assert_eq!((notice, view.tries_left, view.resend_in), (Notice::Resent, 3, 60));
    assert_eq!(scene.events(), ["code-issued resend", "message-sent"]);
    assert_eq!(scene.asked(token, &first).0, Notice::Earlier);
    assert_eq!(scene.events(), ["code-earlier"]);
    assert_eq!(scene.asked(token, "r").0, Notice::TooSoon { seconds: 60 });
    assert_eq!(scene.events(), ["message-held resend-wait"]);
    scene.wait(60);
    let second = scene.code(token);
    let (notice, view) = scene.asked(token, "r");
    assert_eq!((notice, view.may_resend, view.may_call), (Notice::Resent, false, false));
    assert_eq!(scene.asked(token, &second).0, Notice::Earlier);
    scene.wait(60);
    scene.events();
    assert_eq!(scene.asked(token, "r").0, Notice::NoMoreMessages);
    assert_eq!(scene.asked(token, "v").0, Notice::NoMoreMessages);
    assert_eq!(scene.events(), ["message-held resends-used-up"; 2]);
    assert_eq!(scene.sent(), 3);
    assert_eq!(scene.charged(), (3, 3));
    assert!(granted(&scene.right(token)));
}

#[test]
fn tries_survive_a_resend_and_a_renewal() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    assert_eq!(scene.asked(token, &wrong).1.tries_left, 2);
    scene.wait(30);
    assert_eq!(scene.asked(token, "r").1.tries_left, 2);
    let wrong = scene.wrong(token);
    assert_eq!(scene.asked(token, &wrong).1.tries_left, 1);
    scene.wait(300);
    assert_eq!(scene.asked(token, "").1.tries_left, 1);
    let wrong = scene.wrong(token);
    assert!(matches!(scene.answer(token, &wrong), Answered::Denied(Denial::Spent, _)));
}

#[test]
fn each_message_has_a_reference_of_its_own() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    for _ in 0..2 {
        scene.wait(60);
        scene.asked(token, "r");
    }
    scene.wait(300);
    scene.asked(token, "");
    let mut references = scene.orders.iter().map(|o| o.reference.to_string()).collect::<Vec<_>>();
    references.sort_unstable();
    references.dedup();
    assert_eq!(references.len(), 4);
}

#[test]
fn a_call_counts_as_a_resend_and_a_further_one_calls_again() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.wait(30);
    let (notice, view) = scene.asked(token, "v");
    assert_eq!((notice, view.channel), (Notice::Resent, Channel::Voice));
    scene.wait(60);
    assert_eq!(scene.asked(token, "r").1.channel, Channel::Voice);
    let channels = scene.orders.iter().map(|order| order.channel).collect::<Vec<_>>();
    assert_eq!(channels, [Channel::Sms, Channel::Voice, Channel::Voice]);
    assert!(granted(&scene.right(token)));
}

#[test]
fn a_resend_prefers_another_gateway() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    scene.wait(30);
    scene.asked(token, "r");
    assert!(scene.orders[0].avoid.is_empty());
    assert_eq!(scene.orders[1].avoid, ["telnyx"]);
}

#[test]
fn unanswered_messages_stop_at_their_limits_whatever_asks_for_them() {
    let mut scene = Scene::new();
    let first = scene.start(ssh(1));
    for id in 2..=4 {
        scene.wait(40);
        scene.start(ssh(id).from(id));
    }
    scene.asked(first, "r");
    assert_eq!(scene.charged(), (5, 5));
    scene.wait(60);
    assert_eq!(held(scene.asked(first, "r").0), LimitName::UnansweredPerHour);
    assert_eq!(held(scene.asked(first, "v").0), LimitName::UnansweredPerHour);
    let held = "message-held unanswered-per-hour";
    assert_eq!(scene.events().iter().filter(|event| *event == held).count(), 2);
    assert_eq!(limit(refused(&scene.begin(ssh(5)))), LimitName::UnansweredPerHour);
    assert_eq!(scene.events(), ["login-denied unanswered-per-hour"]);
    assert_eq!(refused(&scene.begin(ssh(5))), Denial::Silent);
    scene.wait(300);
    // Not even the fresh code after expiry goes beyond the limit.
    match scene.answer(first, "?") {
        Answered::Denied(denial, _) => assert_eq!(limit(denial), LimitName::UnansweredPerHour),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.sent(), 5);
}

#[test]
fn a_success_marks_its_own_messages_answered_in_both_budgets() {
    let mut scene = Scene::new();
    for id in 0..30 {
        let token = scene.start(ssh(id));
        assert!(granted(&scene.right(token)), "people who log in all day are not stopped");
        scene.wait(60);
    }
    assert_eq!(scene.charged(), (30, 30));
    let mut scene = Scene::new();
    let tokens = [1, 2, 3, 4, 5].map(|id| scene.start(ssh(id).from(id)));
    assert!(granted(&scene.right(tokens[0])));
    scene.start(ssh(6));
    assert_eq!(limit(refused(&scene.begin(ssh(7)))), LimitName::UnansweredPerHour);
    let budget = scene.budgets[&index("+13125550142")].messages.clone();
    assert_eq!(
        budget.held(&Limits::default(), Channel::Sms, scene.now).map(|held| held.limit),
        Some(LimitName::UnansweredPerHour)
    );
}

#[test]
fn a_number_that_two_accounts_share_has_one_budget() {
    let mut scene = Scene::new();
    scene.enrolled("carol", "+13125550142");
    for id in 0..5 {
        let run = ssh(id).from(id);
        scene.start(if id % 2 == 0 { run } else { run.of("carol") });
    }
    assert_eq!(limit(refused(&scene.begin(ssh(9)))), LimitName::UnansweredPerHour);
    let carol = ssh(9).of("carol");
    assert_eq!(limit(refused(&scene.begin(carol))), LimitName::UnansweredPerHour);
    assert!(matches!(scene.begin(ssh(9).of("bob")), Begun::Issued(..)), "others are not touched");
}

#[test]
fn a_day_and_all_messages_have_limits_too() {
    let mut scene = Scene::new();
    for id in 0..12 {
        scene.start(ssh(id));
        scene.wait(16 * 60);
    }
    assert_eq!(limit(refused(&scene.begin(ssh(20)))), LimitName::UnansweredPerDay);
    let mut scene = Scene::new();
    for id in 0..40 {
        let token = scene.start(ssh(id));
        assert!(granted(&scene.right(token)));
        scene.wait(60);
    }
    assert_eq!(limit(refused(&scene.begin(ssh(50)))), LimitName::MessagesPerHour);
}

#[test]
fn four_unanswered_calls_a_day() {
    let mut scene = Scene::new();
    for id in 0..4 {
        let token = scene.start(ssh(id));
        scene.wait(30);
        assert_eq!(scene.asked(token, "v").0, Notice::Resent);
        scene.now = scene.now.after(HOUR);
    }
    let token = scene.start(ssh(9));
    scene.wait(30);
    assert_eq!(held(scene.asked(token, "v").0), LimitName::CallsPerDay);
    assert_eq!(scene.asked(token, "r").0, Notice::Resent, "a text still goes");
}

/// A login that began with calls goes on by text when no more calls may be placed, where the line takes
/// texts.
#[test]
fn where_no_more_calls_are_placed_texts_are_sent() {
    for (line, channel) in [
        (Line::Mobile, Some(Channel::Sms)),
        (Line::FixedOrMobile, Some(Channel::Sms)),
        (Line::Fixed, None),
    ] {
        let mut scene = Scene::new();
        let alice = scene.enrollments.get_mut(&account("alice")).expect("enrolled");
        alice.channel = Channel::Voice;
        alice.destination.line = line;
        for id in 0..3 {
            scene.start(ssh(id).from(id));
            scene.now = scene.now.after(HOUR);
        }
        let token = scene.start(ssh(8));
        assert_eq!(scene.challenge(token).channel, Channel::Voice, "{line:?}: the fourth call");
        scene.wait(60);
        let (notice, view) = scene.asked(token, "r");
        match channel {
            Some(channel) => assert_eq!((notice, view.channel), (Notice::Resent, channel)),
            None => assert_eq!(held(notice), LimitName::CallsPerDay),
        }
        // And so does who comes next.
        match (scene.begin(ssh(9).from(9)), channel) {
            (Begun::Issued(view, _), Some(channel)) => assert_eq!(view.channel, channel),
            (Begun::Denied(Denial::Held(held)), None) => {
                assert_eq!(held.limit, LimitName::CallsPerDay);
            }
            (other, _) => panic!("{line:?}: {other:?}"),
        }
    }
}

#[test]
fn what_was_surely_not_sent_is_given_back_and_what_perhaps_was_is_not() {
    let perhaps = DeliveryResult::Perhaps { gateway: "telnyx".to_owned() };
    let cases = [
        ("sent", sent(), (1, 1), Progress::Sent),
        ("perhaps", perhaps, (1, 1), Progress::Sending),
        ("not sent", DeliveryResult::Failed, (0, 0), Progress::Failed),
    ];
    for (name, result, charged, progress) in cases {
        let mut scene = Scene::new();
        let Begun::Issued(_, order) = scene.begin(ssh(1)) else { panic!("issued") };
        assert_eq!(scene.charged(), (1, 1), "charged before it is sent: {name}");
        scene.deliver(&order, result);
        assert_eq!(scene.charged(), charged, "{name}");
        match scene.begin(ssh(1)) {
            Begun::Resumed(view) => assert_eq!(view.progress, progress, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_message_that_did_not_go_can_be_sent_again_and_costs_no_resend() {
    let mut scene = Scene::new();
    let Begun::Issued(view, _) = scene.begin(ssh(1)) else { panic!("issued") };
    scene.fail();
    let token = view.token;
    assert_eq!(scene.asked(token, "r").0, Notice::TooSoon { seconds: 30 }, "no hammering");
    for _ in 0..4 {
        scene.wait(30);
        let answered = scene.answer(token, "r");
        assert!(matches!(answered, Answered::Ask(Notice::Resent, ..)), "{answered:?}");
        scene.fail();
    }
    assert_eq!(scene.charged(), (0, 0));
    scene.wait(30);
    assert_eq!(scene.asked(token, "r").1.resend_in, 30);
    assert_eq!(scene.charged(), (1, 1));
    assert_eq!(scene.challenge(token).resends, 0);
    assert!(granted(&scene.right(token)));
}

/// A text that fails after a call was ordered must not give the call back.
#[test]
fn a_refund_takes_back_the_charge_of_its_own_message() {
    let mut scene = Scene::new();
    let Begun::Issued(view, text) = scene.begin(ssh(1)) else { panic!("issued") };
    scene.wait(30);
    let Answered::Ask(_, _, Some(_)) = scene.answer(view.token, "v") else { panic!("called") };
    scene.wait(1);
    scene.deliver(&text, DeliveryResult::Failed);
    assert_eq!(scene.charged(), (1, 1));
    let called = scene.challenge(view.token).issued_at;
    let limits = Limits { unanswered_per_hour: 1, ..Limits::default() };
    for messages in
        [scene.login("alice").messages, scene.budgets[&index("+13125550142")].messages.clone()]
    {
        let held = messages.held(&limits, Channel::Sms, scene.now).expect("one is left");
        assert_eq!(held.since, called, "the one that rang");
    }
    // And a late word about the old message does not touch the new one's state.
    assert!(matches!(scene.challenge(view.token).delivery, Delivery::Sending { .. }));
    scene.deliver(&text, DeliveryResult::Failed);
    assert_eq!(scene.charged(), (1, 1), "twice is once");
}

#[test]
fn a_refund_of_one_login_takes_nothing_from_another() {
    let mut scene = Scene::new();
    let first = scene.start(ssh(1));
    let Begun::Issued(_, order) = scene.begin(ssh(2)) else { panic!("issued") };
    scene.deliver(&order, DeliveryResult::Failed);
    scene.deliver(&order, DeliveryResult::Failed);
    assert_eq!(scene.charged(), (1, 1));
    assert!(granted(&scene.right(first)));
}

#[test]
fn a_budget_that_was_not_read_lets_nothing_be_sent() {
    let mut scene = Scene::new();
    let begin = crate::domain::login::Begin {
        terms: scene.terms(),
        account: crate::domain::scene::account("alice"),
        requirement: crate::domain::policy::Requirement::Code,
        by_itself: true,
        full: false,
        service: "sshd".to_owned(),
        attempt: None,
        source: None,
        draw: scene.draw(),
    };
    let records = crate::domain::records::Records {
        account: Some(begin.account.clone()),
        enrollment: scene.enrollments.get(&begin.account).cloned(),
        ..Default::default()
    };
    let decided = begin.decide(&records, scene.now);
    assert!(matches!(decided.answer, Begun::Denied(Denial::Held(_))));
}

#[test]
fn failing_deliveries_do_not_make_the_row_grow() {
    let mut scene = Scene::new();
    for id in 0..200 {
        scene.begin(ssh(id));
        scene.fail();
    }
    let login = scene.login("alice");
    assert!(login.challenges.len() <= 24, "{} are kept", login.challenges.len());
}

#[test]
fn messages_of_yesterday_are_forgotten() {
    let mut scene = Scene::new();
    for id in 0..10 {
        let token = scene.start(ssh(id));
        assert!(granted(&scene.right(token)));
    }
    scene.now = scene.now.after(DAY + Duration::from_mins(10));
    let token = scene.start(ssh(99));
    scene.abandon(token);
    assert_eq!(scene.charged(), (1, 1));
}

#[test]
fn nothing_goes_to_a_country_that_is_no_longer_listed() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let listed = std::mem::take(&mut scene.terms.countries);
    assert_eq!(refused(&scene.begin(ssh(2))), Denial::Country);
    scene.wait(30);
    match scene.answer(token, "r") {
        Answered::Denied(Denial::Country, _) => {}
        other => panic!("sent again: {other:?}"),
    }
    assert_eq!(scene.sent(), 1);
    scene.terms.countries = listed;
    scene.start(ssh(3));
}

#[test]
fn a_line_that_takes_texts_gets_them_when_nothing_can_call_any_more() {
    for (line, expected) in [
        (Line::Mobile, Channel::Sms),
        (Line::FixedOrMobile, Channel::Sms),
        (Line::Fixed, Channel::Voice),
    ] {
        let mut scene = Scene::new();
        let enrollment = scene.enrollments.get_mut(&account("alice")).expect("enrolled");
        enrollment.channel = Channel::Voice;
        enrollment.destination.line = line;
        let token = scene.start(ssh(1));
        assert_eq!(scene.challenge(token).channel, Channel::Voice, "{line:?}");
        scene.terms.voice = false;
        let token = scene.start(ssh(2));
        assert_eq!(scene.challenge(token).channel, expected, "{line:?}");
    }
}

#[test]
fn messages_charged_by_a_clock_that_was_ahead_age_from_its_correction_on() {
    let mut scene = Scene::new();
    let today = scene.now;
    scene.now = today.after(DAY * 40);
    for id in 0..5 {
        scene.start(ssh(id).from(id));
    }
    scene.now = today;
    assert_eq!(limit(refused(&scene.begin(ssh(9)))), LimitName::UnansweredPerHour);
    scene.now = today.after(HOUR);
    scene.start(ssh(10));
}

/// Else somebody who is paid for messages, and whose numbers are removed each time, is never found.
#[test]
fn what_ends_with_its_number_counts_as_not_answered() {
    for verb in [Verb::Remove, Verb::Disable] {
        let mut scene = Scene::new();
        scene.start(ssh(1));
        let before = scene.traffic.clone();
        scene.manage("alice", verb);
        for (key, traffic) in before {
            let mut expected = traffic;
            expected.close(scene.now);
            assert_eq!(scene.traffic[&key], expected, "{verb:?} {key:?}");
        }
    }
}
