//! Words that are told again, by whomever, and whenever.

use minicbor::Encode;

use super::{Before, NUMBER, Wish, WordMark, Words, mark, tell_all, tells, writes};
use crate::domain::{
    budget::{Budget, Messages, Purse},
    challenge::Channel,
    opt_out::OptOut,
    passcode::ChallengeToken,
    scene::{Scene, index, ssh},
    time::{DAY, Timestamp},
};

fn is_stopped(scene: &Scene) -> bool {
    scene.budgets.get(&index(NUMBER)).is_some_and(|budget| budget.opted_out.is_some())
}

#[test]
fn a_word_counts_once_whatever_came_between() {
    let mut scene = Scene::new();
    let (stop, start) = (mark(1), mark(2));
    assert!(tells(&mut scene, NUMBER, Wish::Stop, stop));
    assert!(tells(&mut scene, NUMBER, Wish::Start, start));
    scene.events();
    scene.now = scene.now.after(DAY * 29);
    assert!(!tells(&mut scene, NUMBER, Wish::Stop, stop), "recorded and played again");
    assert!(!is_stopped(&scene) && scene.events().is_empty());
    assert!(writes(&mut scene, NUMBER, Wish::Stop), "the same word, written anew");
    assert!(!tells(&mut scene, NUMBER, Wish::Start, start));
    assert!(is_stopped(&scene));
}

#[test]
fn a_word_that_changed_nothing_is_known_again_too() {
    let mut scene = Scene::new();
    let start = mark(1);
    assert!(!tells(&mut scene, NUMBER, Wish::Start, start), "nothing was stopped");
    assert!(writes(&mut scene, NUMBER, Wish::Stop));
    assert!(!tells(&mut scene, NUMBER, Wish::Start, start));
    assert!(is_stopped(&scene));
}

#[test]
fn a_word_told_again_behind_one_that_waits_takes_nothing_from_it() {
    for (first, then) in [(Wish::Stop, Wish::Start), (Wish::Start, Wish::Stop)] {
        let stopped = |wish| match wish {
            Wish::Stop => true,
            Wish::Start => false,
        };
        let mut scene = Scene::new();
        writes(&mut scene, NUMBER, then);
        assert!(tells(&mut scene, NUMBER, first, mark(1)));
        // The store was busy: the new word, and behind it the one that it has heard, replayed.
        let words = [(then, mark(2)), (first, mark(1))];
        assert!(tell_all(&mut scene, NUMBER, &words), "{then:?} is heard");
        assert_eq!(is_stopped(&scene), stopped(then), "{then:?}");
        assert!(!tell_all(&mut scene, NUMBER, &words), "and once");
        // Of several that it has not heard, the last counts, and each of them is known from then on.
        assert!(tell_all(
            &mut scene,
            NUMBER,
            &[(then, mark(3)), (first, mark(4)), (then, mark(2))]
        ));
        assert_eq!(is_stopped(&scene), stopped(first));
        assert!(!tells(&mut scene, NUMBER, then, mark(3)), "{then:?}");
    }
}

#[test]
fn either_half_of_a_mark_is_enough() {
    let signed = |byte: u8| [byte; 32];
    let first = WordMark::new("twilio", &signed(1), Some("SM1"));
    for (name, other, same) in [
        ("the same", WordMark::new("twilio", &signed(1), Some("SM1")), true),
        ("cut into other fields", WordMark::new("twilio", &signed(1), Some("SM1x")), true),
        ("without an id", WordMark::new("twilio", &signed(1), None), true),
        ("signed anew", WordMark::new("twilio", &signed(2), Some("SM1")), true),
        ("another message", WordMark::new("twilio", &signed(2), Some("SM2")), false),
        ("another gateway", WordMark::new("plivo", &signed(1), Some("SM1")), false),
    ] {
        assert_eq!(first.is_of(&other), same, "{name}");
    }
    let without = |byte| WordMark::new("twilio", &signed(byte), None);
    assert!(without(1).is_of(&without(1)) && !without(1).is_of(&without(2)));
}

#[test]
fn eight_words_are_remembered_and_for_thirty_days_at_least() {
    let mut words = Words::default();
    for nth in 0..9 {
        words.remember(mark(nth), Timestamp(i64::from(nth)));
    }
    assert!(!words.know(&mark(0)) && (1..9).all(|nth| words.know(&mark(nth))));
    assert_eq!(words.idle_at(), Timestamp(8).after(DAY * 30));
    words.remember(mark(1), Timestamp(20));
    assert!((1..9).all(|nth| words.know(&mark(nth))), "the same one takes nobody's place");
    // Set back: it ages from then on.
    words.settle(Timestamp(5));
    assert_eq!(words.idle_at(), Timestamp(5).after(DAY * 30));
}

#[test]
fn of_two_copies_each_word_is_known_once_and_the_newest_are_kept() {
    let heard = |all: std::ops::Range<u8>| {
        let mut words = Words::default();
        all.for_each(|nth| words.remember(mark(nth), Timestamp(i64::from(nth))));
        words
    };
    let merged = |mut one: Words, other: &Words| {
        one.merge(other);
        one
    };
    let (older, newer) = (heard(0..4), heard(3..6));
    assert_eq!(merged(older.clone(), &newer), heard(0..6));
    assert_eq!(merged(newer, &older), heard(0..6));
    assert_eq!(merged(older.clone(), &older), older, "twice is once");
    assert_eq!(merged(heard(0..7), &heard(5..11)), heard(3..11));
}

#[test]
fn only_the_row_of_who_wrote_grows_and_by_a_bounded_piece() {
    let mut scene = Scene::new();
    scene.start(ssh(1));
    let budget = scene.budgets[&index(NUMBER)].clone();
    let bytes = minicbor::to_vec(&budget).expect("bytes");
    assert_eq!(budget.heard, None);
    let row = Earlier { messages: budget.messages.clone(), proofs: Vec::new(), opted_out: None };
    assert_eq!(bytes, minicbor::to_vec(&row).expect("bytes"), "as before there was the field");
    for nth in 0..100 {
        tells(&mut scene, NUMBER, Wish::Start, mark(nth));
    }
    let grown = minicbor::to_vec(&scene.budgets[&index(NUMBER)]).expect("bytes");
    assert!(grown.len() - bytes.len() <= 300, "{} of {}", grown.len(), bytes.len());
}

#[test]
fn of_a_stranger_no_word_is_remembered() {
    let mut scene = Scene::new();
    let number = "+13125550199";
    tells(&mut scene, number, Wish::Stop, mark(1));
    tells(&mut scene, number, Wish::Start, mark(2));
    assert!(scene.budgets.get(&index(number)).is_none_or(|budget| budget.heard.is_none()));
}

/// A budget as it was stored before words were remembered.
#[derive(Encode)]
struct Earlier {
    #[n(0)]
    messages: Messages,
    #[n(1)]
    proofs: Vec<Timestamp>,
    #[n(2)]
    opted_out: Option<OptOut>,
}

#[test]
fn rows_from_before_words_were_remembered_read_as_without() {
    let mut messages = Messages::default();
    messages.charge(ChallengeToken([7; 16]), Channel::Sms, Purse::Common, Timestamp(5));
    let opted_out = Some(OptOut { at: Timestamp(11), gateway: "telnyx".to_owned() });
    let first = Before { messages: messages.clone(), proofs: Vec::new() };
    let second =
        Earlier { messages: messages.clone(), proofs: Vec::new(), opted_out: opted_out.clone() };
    let rows = [
        ("of the first form", minicbor::to_vec(first), None),
        ("of the second form", minicbor::to_vec(second), opted_out),
    ];
    for (name, bytes, opted_out) in rows {
        let mut budget: Budget = minicbor::decode(&bytes.expect("bytes")).expect(name);
        assert_eq!((&budget.messages, &budget.opted_out), (&messages, &opted_out), "{name}");
        assert_eq!(budget.heard, None, "{name}");
        budget.heard.insert(Words::default()).remember(mark(1), Timestamp(12));
        let bytes = minicbor::to_vec(&budget).expect("bytes");
        assert_eq!(minicbor::decode::<Budget>(&bytes).expect(name), budget);
        let end = opted_out.map_or(Timestamp(12).after(DAY * 30), |_| Timestamp(i64::MAX));
        assert_eq!(budget.idle_at(), end, "{name}");
    }
}
