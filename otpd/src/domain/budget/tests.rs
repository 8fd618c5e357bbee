use std::time::Duration;

use proptest::prelude::*;

use super::{
    Budget, Failures, Held, LimitName, Limits, Messages, PAUSE, Purse, RESERVE_TRIES, Standing,
    WRONG_IN_A_ROW, keep_newest, later, resend_wait, sooner,
};
use crate::domain::{
    challenge::Channel,
    passcode::ChallengeToken,
    time::{DAY, HOUR, MINUTE, Timestamp},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn login(id: u8) -> ChallengeToken {
    ChallengeToken([id; 16])
}

fn failures(ages: &[Duration]) -> Failures {
    let mut failures = Failures::default();
    for age in ages {
        failures.charge(Purse::Common, NOW.before(*age));
    }
    failures
}

fn limit(held: Option<Held>) -> Option<LimitName> {
    held.map(|held| held.limit)
}

#[test]
fn wrong_codes_at_their_edges() {
    let (hour, day) = (Some(LimitName::WrongCodesPerHour), Some(LimitName::WrongCodesPerDay));
    let spread = |count: u32, span: Duration| (0..count).map(|n| span / count * n).collect();
    let cases: [(&str, Vec<Duration>, Option<LimitName>); 8] = [
        ("nine in a minute", vec![MINUTE; 9], None),
        ("ten in a minute", vec![MINUTE; 10], hour),
        ("ten, the pause just over", vec![PAUSE; 10], None),
        (
            "ten, a millisecond of pause left",
            vec![Duration::from_millis(29 * 60_000 + 59_999); 10],
            hour,
        ),
        (
            "ten, spread over exactly an hour",
            {
                let mut ages = vec![MINUTE; 9];
                ages.push(MINUTE + HOUR);
                ages
            },
            None,
        ),
        ("nineteen in a day", spread(19, DAY), None),
        ("twenty in a day", spread(20, HOUR * 23), day),
        (
            "twenty, the oldest a day old",
            {
                let mut ages = spread(19, HOUR * 23);
                ages.push(DAY);
                ages
            },
            None,
        ),
    ];
    for (name, ages, expected) in cases {
        assert_eq!(limit(failures(&ages).held(NOW)), expected, "{name}");
    }
}

#[test]
fn a_lock_says_when_it_ends() {
    let held = failures(&[MINUTE; 10]).held(NOW).expect("paused");
    assert_eq!(held.since, NOW.before(MINUTE));
    assert_eq!(held.until, Some(NOW.before(MINUTE).after(PAUSE)));
    let ages = (0..20).map(|n| HOUR * (23 - n)).collect::<Vec<_>>();
    let held = failures(&ages).held(NOW).expect("locked");
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesPerDay, Some(NOW.after(HOUR))));
}

#[test]
fn a_success_clears_no_window_and_an_unlock_does() {
    let mut failures = failures(&[MINUTE; 10]);
    failures.succeed();
    assert!(failures.held(NOW).is_some());
    failures.unlock();
    assert_eq!(failures.held(NOW), None);
    assert_eq!(failures.within(DAY, NOW), 10, "what happened stays on record");
}

#[test]
fn a_hundred_in_a_row_suspend_until_somebody_acts() {
    let mut failures = Failures::default();
    for n in 0..WRONG_IN_A_ROW {
        assert_ne!(limit(failures.held(NOW)), Some(LimitName::WrongCodesInARow), "after {n}");
        failures.charge(Purse::Common, NOW.before(DAY * (200 - n)));
    }
    let held = failures.held(NOW).expect("suspended");
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesInARow, None));
    failures.unlock();
    assert_eq!(failures.held(NOW), None);
}

#[test]
fn long_codes_after_more_than_twenty_in_thirty_days() {
    let days = |count: u32| (0..count).map(|n| DAY * n + HOUR).collect::<Vec<_>>();
    assert!(!failures(&days(20)).wants_long_codes(NOW));
    assert!(failures(&days(21)).wants_long_codes(NOW));
    let aged = days(21).iter().map(|age| *age + DAY * 10).collect::<Vec<_>>();
    assert!(!failures(&aged).wants_long_codes(NOW), "one left the thirty days");
}

#[test]
fn a_clock_set_back_ends_no_lock() {
    let failures = failures(&[Duration::ZERO; 10]);
    let earlier = NOW.before(DAY * 365);
    assert!(failures.held(earlier).is_some());
    assert!(failures.held(NOW.after(PAUSE)).is_none());
}

#[test]
fn messages_at_their_edges() {
    let limits = Limits::default();
    let held = |ages: &[Duration], answered: bool, channel: Channel| {
        let mut messages = Messages::default();
        for (id, age) in (0..).zip(ages) {
            messages.charge(login(id), channel, Purse::Common, NOW.before(*age));
            if answered {
                messages.answer(login(id));
            }
        }
        limit(messages.held(&limits, channel, NOW))
    };
    let minutes =
        |count: u32, step: u32| (0..count).rev().map(|n| MINUTE * step * n).collect::<Vec<_>>();
    let sms = Channel::Sms;
    let cases = [
        ("four unanswered in an hour", held(&minutes(4, 1), false, sms), None),
        ("five", held(&minutes(5, 1), false, sms), Some(LimitName::UnansweredPerHour)),
        ("five answered", held(&minutes(5, 1), true, sms), None),
        ("five, one an hour old", held(&minutes(5, 15), false, sms), None),
        ("eleven in a day", held(&minutes(11, 20), false, sms), None),
        ("twelve in a day", held(&minutes(12, 20), false, sms), Some(LimitName::UnansweredPerDay)),
        ("thirty-nine answered", held(&minutes(39, 1), true, sms), None),
        ("forty answered", held(&minutes(40, 1), true, sms), Some(LimitName::MessagesPerHour)),
        ("119 answered", held(&minutes(119, 12), true, sms), None),
        ("120 answered", held(&minutes(120, 11), true, sms), Some(LimitName::MessagesPerDay)),
        ("three calls", held(&minutes(3, 20), false, Channel::Voice), None),
        ("four calls", held(&minutes(4, 20), false, Channel::Voice), Some(LimitName::CallsPerDay)),
    ];
    for (name, held, expected) in cases {
        assert_eq!(held, expected, "{name}");
    }
}

#[test]
fn a_known_source_has_five_tries_more() {
    let mut failures = failures(&[MINUTE; 10]);
    assert!(failures.purse(Standing::Other, NOW).is_err(), "paused for everybody else");
    for n in 0..RESERVE_TRIES {
        assert_eq!(failures.purse(Standing::Known, NOW), Ok(Purse::Reserve), "try {n}");
        failures.charge(Purse::Reserve, NOW);
    }
    let held = failures.purse(Standing::Known, NOW).expect_err("the reserve is used up");
    let pause = NOW.before(MINUTE).after(PAUSE);
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesPerHour, Some(pause)));
    assert_eq!(failures.held(NOW).expect("a pause").until, Some(pause), "it prolongs no pause");
    assert_eq!(failures.purse(Standing::Other, pause), Ok(Purse::Common));
    assert_eq!(failures.within(DAY, NOW), 15, "all of them count for long codes");
    // The day's limit: the reserve is a day's.
    (0..10).for_each(|_| failures.charge(Purse::Common, NOW));
    let tomorrow = NOW.before(MINUTE).after(DAY);
    let before = tomorrow.before(Duration::from_millis(1));
    assert!(failures.purse(Standing::Known, before).is_err());
    assert_eq!(failures.purse(Standing::Known, tomorrow), Ok(Purse::Common));
}

#[test]
fn no_reserve_ends_a_suspension() {
    let mut failures = Failures::default();
    (0..WRONG_IN_A_ROW).for_each(|_| failures.charge(Purse::Common, NOW.before(DAY * 300)));
    assert_eq!(
        limit(failures.purse(Standing::Known, NOW).err()),
        Some(LimitName::WrongCodesInARow)
    );
}

#[test]
fn a_known_source_has_three_messages_more() {
    let (limits, sms) = (Limits::default(), Channel::Sms);
    let mut messages = Messages::default();
    (0..5).for_each(|id| messages.charge(login(id), sms, Purse::Common, NOW));
    assert!(messages.purse(&limits, sms, Standing::Other, NOW).is_err());
    for id in 10..13 {
        assert_eq!(messages.purse(&limits, sms, Standing::Known, NOW), Ok(Purse::Reserve), "{id}");
        messages.charge(login(id), sms, Purse::Reserve, NOW);
    }
    let held = messages.purse(&limits, sms, Standing::Known, NOW).expect_err("three are out");
    assert_eq!((held.limit, held.until), (LimitName::UnansweredPerHour, Some(NOW.after(HOUR))));
    messages.answer(login(12));
    assert_eq!(messages.purse(&limits, sms, Standing::Known, NOW), Ok(Purse::Reserve));
    messages.charge(login(13), sms, Purse::Reserve, NOW);
    // An hour later the common budget has room again, and the reserve stays used for the day.
    let later = NOW.after(HOUR);
    assert_eq!(messages.purse(&limits, sms, Standing::Known, later), Ok(Purse::Common));
    (20..25).for_each(|id| messages.charge(login(id), sms, Purse::Common, later));
    assert!(messages.purse(&limits, sms, Standing::Known, later).is_err());
    // Limits on all messages know no reserve; the one on calls does.
    let few = Limits { messages_per_hour: 5, ..limits };
    assert!(messages.purse(&few, sms, Standing::Known, later).is_err());
    let mut calls = Messages::default();
    (0..4).for_each(|id| calls.charge(login(id), Channel::Voice, Purse::Common, NOW));
    let held = calls.purse(&limits, Channel::Voice, Standing::Other, NOW).err();
    assert_eq!(limit(held), Some(LimitName::CallsPerDay));
    for id in 10..13 {
        let purse = calls.purse(&limits, Channel::Voice, Standing::Known, NOW);
        assert_eq!(purse, Ok(Purse::Reserve), "{id}");
        calls.charge(login(id), Channel::Voice, Purse::Reserve, NOW);
    }
    assert!(calls.purse(&limits, Channel::Voice, Standing::Known, NOW).is_err());
}

/// Rows of the version before were stored without what came later.
#[test]
fn rows_without_a_reserve_are_read() {
    #[derive(minicbor::Encode)]
    struct OldFailures {
        #[n(0)]
        recent: Vec<Timestamp>,
        #[n(1)]
        in_a_row: u32,
        #[n(2)]
        forgiven: Vec<Timestamp>,
    }
    let old = OldFailures { recent: vec![NOW; 10], in_a_row: 10, forgiven: Vec::new() };
    let read = minicbor::decode::<Failures>(&minicbor::to_vec(&old).unwrap()).unwrap();
    assert_eq!(read, failures(&[Duration::ZERO; 10]));
}

#[test]
fn a_message_limit_says_since_and_until_when() {
    let mut messages = Messages::default();
    for (id, minutes) in [(0, 50), (1, 40), (2, 30), (3, 20), (4, 10)] {
        messages.charge(login(id), Channel::Sms, Purse::Common, NOW.before(MINUTE * minutes));
    }
    let held = messages.held(&Limits::default(), Channel::Sms, NOW).expect("five in an hour");
    assert_eq!(held.since, NOW.before(MINUTE * 10));
    assert_eq!(held.until, Some(NOW.after(MINUTE * 10)));
}

#[test]
fn a_message_that_was_not_sent_is_given_back() {
    let mut messages = Messages::default();
    for id in 0..5 {
        messages.charge(login(id), Channel::Sms, Purse::Common, NOW);
    }
    messages.refund(login(4), NOW.before(MINUTE), NOW);
    assert_eq!(messages.in_a_day(NOW), 5, "another message of the same login stays charged");
    messages.refund(login(4), NOW, NOW);
    assert_eq!(messages.held(&Limits::default(), Channel::Sms, NOW), None);
    messages.refund(login(9), NOW, NOW);
    assert_eq!(messages.in_a_day(NOW), 4, "an unknown login has nothing to give back");
}

#[test]
fn ten_messages_an_hour_are_given_back() {
    let (mut messages, limits) = (Messages::default(), Limits::default());
    for id in 0..14 {
        assert_eq!(messages.held(&limits, Channel::Sms, NOW), None, "before message {id}");
        messages.charge(login(id), Channel::Sms, Purse::Common, NOW);
        messages.refund(login(id), NOW, NOW);
        assert_eq!(messages.in_a_day(NOW), usize::from(id.saturating_sub(9)), "after {id}");
    }
    messages.charge(login(20), Channel::Sms, Purse::Common, NOW);
    let held = messages.held(&limits, Channel::Sms, NOW);
    assert_eq!(limit(held), Some(LimitName::UnansweredPerHour));
    let later = NOW.after(HOUR);
    messages.charge(login(30), Channel::Sms, Purse::Common, later);
    messages.refund(login(30), later, later);
    assert_eq!(messages.in_a_day(later), 5, "an hour later they are given back again");
}

#[test]
fn an_unproved_number_gets_three_messages_a_day() {
    let mut budget = Budget::default();
    for hours in [23, 20, 10] {
        assert_eq!(budget.proofs_held(NOW.before(HOUR * hours)), None);
        budget.charge_proof(NOW.before(HOUR * hours));
    }
    let held = budget.proofs_held(NOW).expect("three in a day");
    assert_eq!((held.limit, held.until), (LimitName::UnverifiedPerDay, Some(NOW.after(HOUR))));
    assert_eq!(budget.proofs_held(NOW.after(HOUR)), None);
    budget.refund_proof(NOW);
    assert!(budget.proofs_held(NOW).is_some(), "nothing was charged then");
    budget.refund_proof(NOW.before(HOUR * 10));
    assert_eq!(budget.proofs_held(NOW), None);
    assert!(!budget.is_idle(NOW));
    assert!(budget.is_idle(NOW.after(DAY)));
}

#[test]
fn of_two_limits_the_later_end_counts_and_of_two_purses_the_sooner() {
    let held = |limit, until| Held { limit, since: NOW, until };
    let soon = held(LimitName::WrongCodesPerHour, Some(NOW.after(HOUR)));
    let late = held(LimitName::WrongCodesPerDay, Some(NOW.after(DAY)));
    let never = held(LimitName::WrongCodesInARow, None);
    let also_soon = Held { limit: LimitName::MessagesPerHour, ..soon };
    let cases = [
        ("the second ends later", soon, late, late, soon),
        ("the first ends later", late, soon, late, soon),
        ("the second has no end", late, never, never, late),
        ("the first has no end", never, late, never, late),
        ("both end at once: the first is named", soon, also_soon, soon, soon),
    ];
    for (name, a, b, last, first) in cases {
        assert_eq!(later(Some(a), Some(b)), Some(last), "{name}");
        assert_eq!(sooner(a, b), first, "{name}");
    }
    assert_eq!(later(None, Some(soon)), Some(soon));
    assert_eq!(later(Some(soon), None), Some(soon));
}

#[test]
fn the_newest_are_kept() {
    let at = |ms| NOW.after(Duration::from_millis(ms));
    let mut times = vec![at(3), at(1), at(2)];
    keep_newest(&mut times, 2);
    assert_eq!(times, [at(2), at(3)]);
}

#[test]
fn resend_waits() {
    assert_eq!([0, 1, 2].map(resend_wait), [MINUTE / 2, MINUTE, MINUTE]);
}

proptest! {
    /// Whatever the order of events, no window ever lets more through than it allows.
    #[test]
    fn no_hour_has_more_compares_than_allowed(gaps in prop::collection::vec(0u64..1_200, 1..200)) {
        let (mut failures, mut now, mut compared) = (Failures::default(), NOW, Vec::new());
        for gap in gaps {
            now = now.after(Duration::from_secs(gap));
            if failures.held(now).is_none() {
                failures.charge(Purse::Common, now);
                compared.push(now);
            }
        }
        for at in &compared {
            let within = |span| compared.iter().filter(|other| *other <= at && other.is_within(span, *at)).count();
            // Ten fill an hour, then a pause of half an hour; what follows in the same hour is one
            // compare at a time, each with its own pause.
            prop_assert!(within(PAUSE) <= 10);
            prop_assert!(within(DAY) <= 20);
        }
    }

    #[test]
    fn no_window_has_more_unanswered_messages_than_allowed(gaps in prop::collection::vec(0u64..3_000, 1..150)) {
        let (limits, mut messages, mut now, mut sent) = (Limits::default(), Messages::default(), NOW, Vec::new());
        for (id, gap) in (0..).zip(gaps) {
            now = now.after(Duration::from_secs(gap));
            if messages.held(&limits, Channel::Sms, now).is_none() {
                messages.charge(login(id), Channel::Sms, Purse::Common, now);
                sent.push(now);
            }
        }
        for at in &sent {
            let within = |span| sent.iter().filter(|other| *other <= at && other.is_within(span, *at)).count();
            prop_assert!(within(HOUR) <= 5 && within(DAY) <= 12);
        }
    }

    #[test]
    fn stored_forms_round_trip(ages in prop::collection::vec(0u64..10_000_000, 0..40)) {
        let mut state = (Failures::default(), Budget::default());
        for (id, age) in (0..).zip(ages) {
            let at = NOW.before(Duration::from_millis(age));
            state.0.charge(Purse::Common, at);
            state.1.messages.charge(login(id), Channel::Voice, Purse::Common, at);
            state.1.charge_proof(at);
        }
        let bytes = minicbor::to_vec(&state).unwrap();
        prop_assert_eq!(minicbor::decode::<(Failures, Budget)>(&bytes).unwrap(), state);
    }
}
