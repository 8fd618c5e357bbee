//! Whom gateways say to have opted out or to have a bad number, and when that is believed.

use super::{
    Channel, Delivered, GatewayState, Message, NOW, Outcome, accepted, asked, fake, message, name,
    rejected, routes, sent,
};
use crate::{domain::login::Cause, gateway::Status};

/// A message to the nth of many people.
fn to(nth: u32) -> Message {
    Message { to: format!("+12025550{nth:03}").parse().expect("a number"), ..message(Channel::Sms) }
}

fn bad_number(by: &str) -> Delivered {
    Delivered::Rejected { gateway: name(by) }
}

fn opted_out(by: &str) -> Delivered {
    Delivered::OptedOut { gateway: name(by) }
}

#[tokio::test]
async fn who_says_that_everybody_opted_out_is_not_believed_until_it_takes_a_message() {
    let script = [vec![Outcome::OptedOut; 7], vec![accepted()], vec![Outcome::OptedOut]].concat();
    let (liar, other) = (fake(&script), fake(&[(); 3].map(|()| accepted())));
    let routes = routes(&[("liar", &liar), ("other", &other)]);
    let send = async |nth| routes.deliver(&to(nth), &[], || NOW).await;
    for nth in 1..5 {
        assert_eq!(send(nth).await.result, opted_out("liar"), "{nth}");
        assert!(routes.take_disbelieved().is_empty());
    }
    let fifth = send(5).await;
    assert_eq!((asked(&fifth), &fifth.result), (vec!["liar", "other"], &sent("other")));
    let Some(Outcome::Misconfigured(reason)) = fifth.attempts.first().map(|a| a.outcome.clone())
    else {
        panic!("{fifth:?}")
    };
    assert!(reason.contains("5 people in a row opted out"), "{reason}");
    let health = routes.health();
    assert_eq!(health.first().and_then(|health| health.last_reason.as_ref()), Some(&reason));
    let undone: Vec<_> = (1..5).map(|nth| (name("liar"), to(nth).to)).collect();
    assert_eq!(routes.take_disbelieved(), undone);
    assert!(routes.take_disbelieved().is_empty(), "once");
    // Nor of those of whom it said so before.
    for nth in [6, 1] {
        assert_eq!(send(nth).await.result, sent("other"), "{nth}");
    }
    assert_eq!(send(7).await.result, sent("liar"));
    assert_eq!(send(8).await.result, opted_out("liar"), "it is in order again");
    assert!(routes.take_disbelieved().is_empty());
}

#[tokio::test]
async fn one_that_nobody_believes_rests_as_any_that_fails() {
    let liar = fake(&[(); 9].map(|()| Outcome::OptedOut));
    let routes = routes(&[("liar", &liar)]);
    for nth in 1..10 {
        let delivery = routes.deliver_by(&name("liar"), &to(nth), || NOW).await;
        assert_eq!(delivery.result == opted_out("liar"), nth < 5, "{nth}");
    }
    let state = routes.health().first().expect("it").state;
    assert!(matches!(state, GatewayState::Resting { .. }), "{state:?}");
}

/// An account that is blocked for texts may still call.
#[tokio::test]
async fn a_call_that_is_taken_makes_no_text_believed() {
    let script = [vec![Outcome::OptedOut; 4], vec![accepted()], vec![Outcome::OptedOut]].concat();
    let routes = routes(&[("liar", &fake(&script))]);
    let liar = name("liar");
    let send = async |message: Message| routes.deliver_by(&liar, &message, || NOW).await.result;
    for nth in 1..5 {
        assert_eq!(send(to(nth)).await, opted_out("liar"), "{nth}");
    }
    let call = Message { channel: Channel::Voice, ..to(6) };
    assert!(matches!(send(call).await, Delivered::Sent { .. }));
    assert_ne!(send(to(5)).await, opted_out("liar"));
}

/// One that takes every message and then reports opt-outs.
#[tokio::test]
async fn one_whose_reports_nobody_believes_rests_too() {
    let routes = routes(&[("later", &fake(&[(); 12].map(|()| accepted())))]);
    let mut seen = Vec::new();
    for nth in 1..11 {
        let delivery = routes.deliver_by(&name("later"), &to(nth), || NOW).await;
        assert!(matches!(delivery.result, Delivered::Sent { .. }), "{nth}: {delivery:?}");
        let status = Status::Failed { reason: "200".to_owned(), cause: Cause::OptedOut };
        let _ = routes.believed(&name("later"), (Channel::Sms, &to(nth).to), status, NOW);
        let health = routes.health().swap_remove(0);
        seen.push((
            matches!(health.state, GatewayState::Resting { .. }),
            health.last_reason.is_some(),
        ));
    }
    assert_eq!(seen[..4], [(false, false); 4], "believed");
    assert_eq!(seen[4..8], [(false, true); 4], "five failures in a row");
    assert_eq!(seen[8..], [(true, true); 2]);
    // And is itself again with the first that arrives.
    assert_eq!(
        routes.believed(&name("later"), (Channel::Sms, &to(1).to), Status::Delivered, NOW),
        Status::Delivered
    );
    let health = routes.health().swap_remove(0);
    assert_eq!((health.state, health.last_reason), (GatewayState::Ready, None));
}

#[test]
fn reports_of_opt_outs_are_believed_of_four_in_a_row() {
    let routes = routes(&[("later", &fake(&[]))]);
    let report = |nth, cause| {
        let status = Status::Failed { reason: "200".to_owned(), cause };
        routes.believed(&name("later"), (Channel::Sms, &to(nth).to), status, NOW)
    };
    let cause = |status| match status {
        Status::Failed { cause, .. } => cause,
        other => panic!("{other:?}"),
    };
    for end in [Status::Delivered, Status::Unconfirmed] {
        for nth in [1, 2, 3, 4, 4] {
            assert_eq!(cause(report(nth, Cause::OptedOut)), Cause::OptedOut, "{nth}");
        }
        assert_eq!(
            routes.believed(&name("later"), (Channel::Sms, &to(9).to), end.clone(), NOW),
            end
        );
    }
    for nth in 1..5 {
        assert_eq!(cause(report(nth, Cause::OptedOut)), Cause::OptedOut, "{nth}");
        // Neither is an end.
        for other in [Status::UnderWay, Status::Unknown("no answer".to_owned())] {
            assert_eq!(
                routes.believed(&name("later"), (Channel::Sms, &to(9).to), other.clone(), NOW),
                other
            );
        }
    }
    // Nor is what becomes of a call one of texts.
    let call = (Channel::Voice, &to(9).to);
    let end = routes.believed(&name("later"), call, Status::Delivered, NOW);
    assert_eq!(end, Status::Delivered);
    let Status::Failed { reason, cause: Cause::Route } = report(5, Cause::OptedOut) else {
        panic!("the fifth is believed")
    };
    assert!(reason.starts_with("200 (") && reason.contains("not believed"), "{reason}");
    let undone: Vec<_> = (1..5).map(|nth| (name("later"), to(nth).to)).collect();
    assert_eq!(routes.take_disbelieved(), undone);
    assert_eq!(cause(report(6, Cause::Number)), Cause::Number);
    assert_eq!(cause(report(7, Cause::OptedOut)), Cause::OptedOut, "it is in order again");
}

#[tokio::test]
async fn who_says_that_everybodys_number_is_bad_is_not_believed_until_it_takes_a_message() {
    let script = [vec![rejected(); 7], vec![accepted()], vec![rejected()]].concat();
    let (broken, other) = (fake(&script), fake(&[(); 3].map(|()| accepted())));
    let routes = routes(&[("broken", &broken), ("other", &other)]);
    let send = async |nth| routes.deliver(&to(nth), &[], || NOW).await;
    for nth in 1..5 {
        assert_eq!(send(nth).await.result, bad_number("broken"), "{nth}");
    }
    let fifth = send(5).await;
    assert_eq!((asked(&fifth), &fifth.result), (vec!["broken", "other"], &sent("other")));
    let Some(Outcome::Misconfigured(reason)) = fifth.attempts.first().map(|a| a.outcome.clone())
    else {
        panic!("{fifth:?}")
    };
    let said = "no such number (it says that the numbers of 5 people in a row are bad";
    assert!(reason.starts_with(said), "{reason}");
    let health = routes.health();
    assert_eq!(health.first().and_then(|health| health.last_reason.as_ref()), Some(&reason));
    assert!(routes.take_disbelieved().is_empty(), "nothing was kept of them");
    for nth in [6, 1] {
        assert_eq!(send(nth).await.result, sent("other"), "{nth}");
    }
    assert_eq!(send(7).await.result, sent("broken"));
    assert_eq!(send(8).await.result, bad_number("broken"), "it is in order again");
}

#[tokio::test]
async fn one_bad_number_is_bad_however_often_its_owner_asks() {
    let routes = routes(&[("one", &fake(&[(); 9].map(|()| rejected())))]);
    for time in 0..9 {
        let delivery = routes.deliver(&to(1), &[], || NOW).await;
        assert_eq!(delivery.result, bad_number("one"), "{time}");
    }
    assert_eq!(routes.health().swap_remove(0).state, GatewayState::Ready);
}

#[test]
fn reports_of_bad_numbers_are_believed_of_four_in_a_row() {
    let routes = routes(&[("later", &fake(&[]))]);
    let report = |nth, cause| {
        let status = Status::Failed { reason: "50".to_owned(), cause };
        routes.believed(&name("later"), (Channel::Sms, &to(nth).to), status, NOW)
    };
    let as_said = |cause| Status::Failed { reason: "50".to_owned(), cause };
    for cause in [Cause::Route, Cause::OptedOut] {
        for nth in [1, 2, 3, 4, 4] {
            assert_eq!(report(nth, Cause::Number), as_said(Cause::Number), "{nth}");
        }
        assert_eq!(report(9, cause), as_said(cause), "another end");
    }
    for nth in 1..5 {
        assert_eq!(report(nth, Cause::Number), as_said(Cause::Number), "{nth}");
    }
    let Status::Failed { reason, cause: Cause::Route } = report(5, Cause::Number) else {
        panic!("the fifth is believed")
    };
    assert!(reason.starts_with("50 (") && reason.contains("not believed"), "{reason}");
    assert!(routes.take_disbelieved().is_empty());
}
