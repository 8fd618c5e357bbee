//! Nothing is sent to who asked for an end to messages, until they ask again.

mod again;
mod disbelieved;

use minicbor::Encode;
use proptest::prelude::*;

use super::{Inbound, OptOut, Said, Wish, WordMark, Words};
use crate::domain::{
    account::Account,
    budget::{Budget, Messages, Purse},
    challenge::Channel,
    enrollment::NumberIndex,
    login::{Answered, Begun, Cause, DeliveryResult, Denial, Notice, Order, Progress, Undelivered},
    manage::Verb,
    passcode::ChallengeToken,
    scene::{Scene, account, console, index, sent, ssh},
    time::{DAY, Timestamp},
};

const NUMBER: &str = "+13125550142";

/// A word that the vendor signed once.
fn mark(nth: u8) -> WordMark {
    WordMark::new("telnyx", &[nth; 32], Some(&format!("m-{nth}")))
}

/// Somebody writes to the sender; whether that changed anything.
fn writes(scene: &mut Scene, number: &str, wish: Wish) -> bool {
    let id = u128::from_be_bytes(scene.draw().token.0).to_string();
    let mut signed = [0; 32];
    signed.iter_mut().zip(id.bytes()).for_each(|(place, byte)| *place = byte);
    tells(scene, number, wish, WordMark::new("telnyx", &signed, Some(&id)))
}

/// A vendor tells what somebody wrote; whether that changed anything.
fn tells(scene: &mut Scene, number: &str, wish: Wish, mark: WordMark) -> bool {
    tell_all(scene, number, &[(wish, mark)])
}

/// The same of words for which the store had no time, all at once.
fn tell_all(scene: &mut Scene, number: &str, words: &[(Wish, WordMark)]) -> bool {
    let gateway = || "telnyx".to_owned();
    let words =
        words.iter().map(|(wish, mark)| Said { mark: *mark, wish: *wish, gateway: gateway() });
    let index = index(number);
    let mut accounts: Vec<_> = scene.enrollments.iter().filter(|(_, e)| e.index == index).collect();
    accounts.sort_unstable_by_key(|(account, _)| *account);
    let inbound = Inbound {
        number: index,
        ending: number[number.len() - 2..].to_owned(),
        words: words.collect(),
        accounts: accounts.into_iter().map(|(account, _)| account.clone()).collect(),
    };
    let decide = |records: &_, now| inbound.decide(records, now);
    scene.decide(Some(Account::host()), Some(index), decide)
}

fn stopped() -> DeliveryResult {
    DeliveryResult::OptedOut {
        gateway: "telnyx".to_owned(),
        ending: "42".to_owned(),
        perhaps: None,
    }
}

fn is_denied(begun: &Begun) -> bool {
    matches!(begun, Begun::Denied(Denial::OptedOut(ending)) if ending.to_string() == "42")
}

#[test]
fn a_reply_with_stop_keeps_codes_back_until_start() {
    let mut scene = Scene::new();
    assert!(writes(&mut scene, NUMBER, Wish::Stop));
    assert_eq!(scene.events(), ["opted-out"]);
    assert!(!writes(&mut scene, NUMBER, Wish::Stop), "twice is once");
    assert!(scene.events().is_empty());
    assert!(is_denied(&scene.begin(ssh(1))));
    assert_eq!(scene.events(), ["login-denied opted-out"]);
    scene.now = scene.now.after(DAY * 500);
    assert!(is_denied(&scene.begin(ssh(2))), "it does not age");
    assert!(writes(&mut scene, NUMBER, Wish::Start));
    assert!(!writes(&mut scene, NUMBER, Wish::Start));
    scene.start(ssh(3));
}

#[test]
fn every_account_with_the_number_is_kept_from_messages_and_says_so() {
    let mut scene = Scene::new();
    scene.enrolled("carol", NUMBER);
    writes(&mut scene, NUMBER, Wish::Stop);
    let whose: Vec<_> = scene.audit.iter().map(|event| event.account.clone()).collect();
    assert_eq!(whose, [account("alice"), account("carol")]);
    assert!(is_denied(&scene.begin(ssh(1).of("carol"))));
    scene.start(ssh(2).of("bob"));
}

#[test]
fn of_a_stranger_nothing_is_kept() {
    let mut scene = Scene::new();
    assert!(!writes(&mut scene, "+13125550199", Wish::Stop));
    assert!(scene.audit.is_empty() && !scene.budgets.values().any(|b| b.opted_out.is_some()));
    // Nor where something was sent there: no account could be unlocked.
    let now = scene.now;
    scene.budgets.entry(index("+13125550199")).or_default().charge_proof(now);
    assert!(!writes(&mut scene, "+13125550199", Wish::Stop));
    // What was kept while an account had the number is lifted all the same.
    writes(&mut scene, NUMBER, Wish::Stop);
    scene.manage("alice", Verb::Remove);
    scene.audit.clear();
    assert!(writes(&mut scene, NUMBER, Wish::Start));
    assert_eq!(scene.audit[0].account, Account::host());
}

#[test]
fn a_vendor_that_refuses_for_an_opt_out_is_believed() {
    let mut scene = Scene::new();
    let Begun::Issued(view, order) = scene.begin(ssh(1)) else { panic!("no code") };
    scene.deliver(&order, stopped());
    let events = scene.events();
    assert!(events.contains(&"opted-out".to_owned()), "{events:?}");
    assert_eq!(scene.charged(), (0, 0), "what did not go is not charged");
    // The same connection, again: it is asked once more, and reads why there is no code.
    let Begun::Resumed(again) = scene.begin(ssh(1)) else { panic!("not resumed") };
    assert_eq!((again.progress, again.may_call), (Progress::Stopped, false));
    scene.wait(31);
    for typed in ["r", "v"] {
        let (notice, view) = scene.asked(view.token, typed);
        assert_eq!((notice, view.progress), (Notice::Stopped, Progress::Stopped), "{typed}");
    }
    assert_eq!(scene.sent(), 1, "neither by text nor by a call");
    assert_eq!(scene.events().last().expect("one"), "message-held opted-out");
    assert!(is_denied(&scene.begin(ssh(2))));
    // Whoever sends START need not even begin anew.
    writes(&mut scene, NUMBER, Wish::Start);
    let (notice, _) = scene.asked(view.token, "r");
    assert_eq!(notice, Notice::Resent);
    assert!(matches!(scene.right(view.token), Answered::Granted));
}

#[test]
fn a_code_that_arrived_before_stays_right() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    writes(&mut scene, NUMBER, Wish::Stop);
    scene.wait(31);
    let (notice, view) = scene.asked(token, "r");
    assert_eq!((notice, view.progress), (Notice::Stopped, Progress::Sent));
    assert!(matches!(scene.right(token), Answered::Granted));
}

#[test]
fn an_opt_out_that_is_reported_later_is_remembered_as_well() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let order = scene.orders.last().cloned().expect("an order");
    for _ in 0..2 {
        assert!(lose(&mut scene, &order, Cause::OptedOut).is_none());
    }
    let opted_out = scene.events().into_iter().filter(|event| event == "opted-out").count();
    assert_eq!(opted_out, 1, "twice is once");
    assert!(is_denied(&scene.begin(ssh(2))));
    assert!(matches!(scene.right(token), Answered::Granted), "a report never touches a code");
}

#[test]
fn unlocking_lifts_it_and_says_so() {
    let mut scene = Scene::new();
    writes(&mut scene, NUMBER, Wish::Stop);
    scene.events();
    scene.manage("alice", Verb::Unlock);
    assert_eq!(scene.events(), ["unlocked", "opted-in"]);
    scene.manage("alice", Verb::Unlock);
    assert_eq!(scene.events(), ["unlocked"]);
    scene.start(ssh(1));
}

#[test]
fn other_verbs_and_another_account_lift_nothing() {
    let mut scene = Scene::new();
    writes(&mut scene, NUMBER, Wish::Stop);
    for verb in [Verb::Disable, Verb::Enable] {
        scene.manage("alice", verb);
    }
    scene.manage("bob", Verb::Unlock);
    assert!(is_denied(&scene.begin(ssh(1))));
    scene.manage("alice", Verb::Remove);
    scene.enrolled("alice", NUMBER);
    assert!(is_denied(&scene.begin(ssh(2))));
    // A new number is a new beginning.
    scene.enrolled("alice", "+13125550155");
    scene.start(ssh(3));
}

/// A budget as it was stored before there were opt-outs.
#[derive(Encode)]
struct Before {
    #[n(0)]
    messages: Messages,
    #[n(1)]
    proofs: Vec<Timestamp>,
}

#[test]
fn rows_from_before_opt_outs_read_as_without() {
    let mut messages = Messages::default();
    messages.charge(ChallengeToken([7; 16]), Channel::Sms, Purse::Common, Timestamp(5));
    let before = Before { messages: messages.clone(), proofs: vec![Timestamp(9)] };
    let bytes = minicbor::to_vec(&before).expect("bytes");
    let mut budget: Budget = minicbor::decode(&bytes).expect("an old row");
    assert_eq!((&budget.messages, &budget.opted_out), (&messages, &None));
    assert_eq!(budget.idle_at(), Timestamp(9).after(DAY));
    budget.opted_out = Some(OptOut { at: Timestamp(11), gateway: "telnyx".to_owned() });
    let bytes = minicbor::to_vec(&budget).expect("bytes");
    assert_eq!(minicbor::decode::<Budget>(&bytes).expect("a new row"), budget);
    assert!(!budget.is_idle(Timestamp(i64::MAX - 1)));
}

/// A carrier reports that a message did not arrive; what is sent in its place.
fn lose(scene: &mut Scene, order: &Order, cause: Cause) -> Option<Order> {
    let report = Undelivered {
        terms: scene.terms(),
        order: order.clone(),
        gateway: "telnyx".to_owned(),
        vendor_id: "m-1".to_owned(),
        reason: "stopped".to_owned(),
        cause,
        others: true,
    };
    let (owner, number) = (Some(order.account.clone()), Some(order.index));
    let again = scene.decide(owner, number, |records, now| report.decide(records, now));
    let again = again.map(|order| *order);
    scene.orders.extend(again.clone());
    again
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Stop,
    Start,
    Unlock,
    Begin(u8, bool),
    Resend(u8, bool),
    Lost(u8, bool),
    Refused(u8),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Stop),
        1 => Just(Step::Start),
        1 => Just(Step::Unlock),
        4 => (0..6u8, any::<bool>()).prop_map(|(id, shares)| Step::Begin(id, shares)),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(nth, voice)| Step::Resend(nth, voice)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(nth, stopped)| Step::Lost(nth, stopped)),
        1 => any::<u8>().prop_map(Step::Refused),
        2 => (1..400u16).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn nth(scene: &Scene, nth: u8) -> Option<Order> {
    let index = usize::from(nth).checked_rem(scene.orders.len())?;
    scene.orders.get(index).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_sent_to_who_opted_out(seed: u32, steps in steps()) {
        let mut scene = Scene::seeded(u64::from(seed));
        scene.enrolled("carol", NUMBER);
        let opted_out = |scene: &Scene| {
            let budget = scene.budgets.get(&index(NUMBER));
            budget.is_some_and(|budget| budget.opted_out.is_some())
        };
        for step in steps {
            let (before, held) = (scene.orders.len(), opted_out(&scene));
            match step {
                Step::Stop => prop_assert_eq!(writes(&mut scene, NUMBER, Wish::Stop), !held),
                Step::Start => prop_assert_eq!(writes(&mut scene, NUMBER, Wish::Start), held),
                Step::Unlock => scene.manage("alice", Verb::Unlock),
                Step::Begin(id, shares) => {
                    let run = if id == 0 { console() } else { ssh(id) };
                    let run = if shares { run.of("carol") } else { run };
                    if let Begun::Issued(_, order) = scene.begin(run) {
                        scene.deliver(&order, sent());
                    }
                }
                Step::Resend(which, voice) => if let Some(order) = nth(&scene, which) {
                    let answered = scene.answer(order.token, if voice { "v" } else { "r" });
                    if let Answered::Ask(_, _, Some(order)) = answered {
                        scene.deliver(&order, sent());
                    }
                }
                Step::Lost(which, stopped) => if let Some(order) = nth(&scene, which) {
                    let cause = if stopped { Cause::OptedOut } else { Cause::Route };
                    let again = lose(&mut scene, &order, cause);
                    prop_assert!(!stopped || (again.is_none() && opted_out(&scene)));
                }
                Step::Refused(which) => if let Some(order) = nth(&scene, which) {
                    scene.deliver(&order, stopped());
                }
                Step::Wait(seconds) => scene.wait(seconds.into()),
            }
            prop_assert!(!held || scene.orders.len() == before, "{step:?}");
            let lifts = matches!(step, Step::Start | Step::Unlock);
            prop_assert!(!held || lifts || opted_out(&scene), "{step:?} lifted it");
        }
    }
}

#[test]
fn what_was_not_read_is_not_written() {
    let scene = &mut Scene::new();
    let inbound = Inbound {
        number: NumberIndex([9; 16]),
        ending: "42".to_owned(),
        words: vec![Said { mark: mark(1), wish: Wish::Stop, gateway: "telnyx".to_owned() }],
        accounts: vec![account("alice")],
    };
    let changed =
        scene.decide(Some(account("bob")), None, |records, now| inbound.decide(records, now));
    assert!(!changed && scene.audit.is_empty());
}
