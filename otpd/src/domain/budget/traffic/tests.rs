use proptest::prelude::*;

use super::{Bucket, Buckets, Conversion, Limits, Low, Traffic, wrong_for_long_codes};
use crate::domain::{
    budget::{Held, LimitName, Refunded},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

/// The begin of an hour, and of every bucket.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn site(messages: u32, age: std::time::Duration) -> Traffic {
    let mut traffic = Traffic::default();
    (0..messages).for_each(|_| traffic.charge_all(NOW.before(age)));
    traffic
}

fn name(held: Option<Held>) -> Option<LimitName> {
    held.map(|held| held.limit)
}

#[test]
fn limits_on_all_together_grow_with_the_site_and_have_a_floor() {
    let limits = Limits::default();
    let country = |enrolled| (LimitName::CountryPerHour, super::country_per_hour(enrolled));
    let hour = |enrolled| (LimitName::AllPerHour, super::all_per_hour(enrolled));
    let day = |enrolled| (LimitName::AllPerDay, super::all_per_day(enrolled, &limits));
    let cases = [
        (country(0), 20),
        (country(10), 20),
        (country(11), 22),
        (hour(0), 60),
        (hour(30), 60),
        (hour(31), 62),
        (day(0), 200),
        (day(40), 200),
        (day(41), 205),
        (country(u32::MAX), u32::MAX),
    ];
    for ((limit, found), expected) in cases {
        assert_eq!(found, expected, "{limit:?}");
    }
    let wrong = [0, 300, 333, 334, 336, 337, 1_000].map(wrong_for_long_codes);
    assert_eq!(wrong, [100, 100, 100, 100, 100, 101, 300]);
}

#[test]
fn messages_of_all_at_their_edges() {
    let limits = Limits { max_messages_per_day: Some(70), ..Limits::default() };
    let own = Limits { all_unanswered_per_day: Some(50), ..limits };
    let second = std::time::Duration::from_secs(1);
    let (country, hour) = (Some(LimitName::CountryPerHour), Some(LimitName::AllPerHour));
    let (day, cap) = (Some(LimitName::AllPerDay), Some(LimitName::MaxMessagesPerDay));
    let of_country = |traffic: Traffic| name(traffic.country_held(10, NOW));
    let of_all = |traffic: Traffic, limits| name(traffic.all_held(10, limits, NOW));
    let capped = |traffic: Traffic| name(traffic.capped(&limits, NOW));
    let cases = [
        ("19 to a country", of_country(site(19, MINUTE)), None),
        ("20 to a country", of_country(site(20, MINUTE)), country),
        ("21 to a country", of_country(site(21, MINUTE)), country),
        ("20, in the last bucket that counts", of_country(site(20, HOUR)), country),
        ("20, an hour and a bucket ago", of_country(site(20, HOUR + second)), None),
        ("59 in all", of_all(site(59, MINUTE), &limits), None),
        ("60 in all", of_all(site(60, MINUTE), &limits), hour),
        ("199 in a day", of_all(site(199, HOUR * 2), &limits), None),
        ("200 in a day", of_all(site(200, HOUR * 2), &limits), day),
        ("200, a day ago", of_all(site(200, DAY), &limits), day),
        ("200, a day and a bucket ago", of_all(site(200, DAY + second), &limits), None),
        ("49 of 50 as configured", of_all(site(49, HOUR * 2), &own), None),
        ("50 of 50 as configured", of_all(site(50, HOUR * 2), &own), day),
        ("69 messages of 70", capped(site(69, HOUR * 2)), None),
        ("70 messages of 70", capped(site(70, HOUR * 2)), cap),
    ];
    for (case, found, expected) in cases {
        assert_eq!(found, expected, "{case}");
    }
    assert_eq!(site(500, MINUTE).capped(&Limits::default(), NOW), None, "none is configured");
}

#[test]
fn a_limit_says_since_and_until_when() {
    let ago = |minutes| NOW.before(MINUTE * minutes);
    // Twenty are allowed: since the bucket with the twentieth, until the one has left that makes room.
    let cases = [
        ("the twentieth is in the last one", vec![(50, 6), (40, 6), (30, 6), (20, 6)], 20, 50),
        ("more after it", vec![(50, 6), (40, 6), (30, 6), (20, 6), (10, 6)], 20, 40),
        ("it ends a bucket", vec![(50, 10), (40, 10), (30, 5)], 40, 50),
        ("twenty are left when the first has left", vec![(50, 5), (40, 10), (30, 10)], 30, 40),
    ];
    for (name, buckets, since, leaves) in cases {
        let mut traffic = Traffic::default();
        for (minutes, messages) in buckets {
            (0..messages).for_each(|_| traffic.charge(ago(minutes)));
        }
        let held = traffic.country_held(0, NOW).expect("twenty or more");
        let until = ago(leaves).after(MINUTE + HOUR);
        assert_eq!((held.since, held.until), (ago(since), Some(until)), "{name}");
        let before = until.before(std::time::Duration::from_millis(1));
        assert!(traffic.country_held(0, before).is_some(), "{name}");
        assert_eq!(traffic.country_held(0, until), None, "{name}");
    }
}

#[test]
fn answered_and_refunded_messages_do_not_count_as_unanswered() {
    let mut traffic = site(60, MINUTE);
    let at = NOW.before(MINUTE);
    traffic.answer(at);
    assert_eq!(traffic.all_held(0, &Limits::default(), NOW), None);
    traffic.charge_all(at);
    assert!(traffic.all_held(0, &Limits::default(), NOW).is_some());
    traffic.refund(at, Refunded { answered: false });
    assert_eq!(traffic.all_held(0, &Limits::default(), NOW), None);
    let capped = Limits { max_messages_per_day: Some(60), ..Limits::default() };
    assert!(traffic.capped(&capped, NOW).is_some(), "an answered one costs as much");
    traffic.refund(at, Refunded { answered: false });
    assert_eq!(traffic.capped(&capped, NOW), None);
    traffic.charge_proof(NOW);
    assert!(traffic.capped(&capped, NOW).is_some(), "so does the proof of a number");
    assert_eq!(traffic.all_held(0, &Limits::default(), NOW), None);
    traffic.refund_proof(NOW);
    assert_eq!(traffic.capped(&capped, NOW), None);
}

/// A store that keeps what changed knows nothing of it either.
#[test]
fn a_message_that_was_given_back_leaves_nothing() {
    let mut traffic = Traffic::default();
    traffic.charge_all(NOW);
    traffic.refund(NOW, Refunded { answered: false });
    traffic.settle(NOW.after(MINUTE));
    assert_eq!(traffic, Traffic::default());
    traffic.charge_proof(NOW);
    traffic.refund_proof(NOW);
    traffic.settle(NOW);
    assert_eq!(traffic, Traffic::default());
    // Nor where the clock was ahead.
    traffic.charge(NOW);
    traffic.refund(NOW, Refunded { answered: false });
    traffic.settle(NOW.before(HOUR));
    assert_eq!(traffic, Traffic::default());
}

#[test]
fn an_answered_one_that_is_given_back_stands_for_no_other() {
    let at = NOW.before(MINUTE);
    let mut traffic = site(60, MINUTE);
    traffic.charge_all(at);
    traffic.answer(at);
    assert!(traffic.all_held(0, &Limits::default(), NOW).is_some(), "sixty are open");
    traffic.refund(at, Refunded { answered: true });
    assert!(traffic.all_held(0, &Limits::default(), NOW).is_some(), "they still are");
}

#[test]
fn a_clock_set_back_empties_no_window_and_a_message_ages_from_now_on() {
    let mut traffic = site(20, MINUTE);
    let earlier = NOW.before(DAY * 365);
    assert!(traffic.country_held(0, earlier).is_some());
    traffic.settle(earlier);
    assert!(traffic.country_held(0, earlier).is_some());
    assert!(traffic.country_held(0, earlier.after(HOUR)).is_some());
    assert_eq!(traffic.country_held(0, earlier.after(HOUR + MINUTE)), None);
}

#[test]
fn a_clock_set_back_makes_no_block_longer() {
    let block = Limits { conversion: Conversion::Block, ..Limits::default() };
    let mut traffic = site(20, MINUTE * 2);
    traffic.find_low_conversion(NOW).expect("none is answered");
    let earlier = NOW.before(HOUR);
    traffic.settle(earlier);
    let held = traffic.blocked(&block, earlier).expect("blocked");
    assert_eq!(held.until, Some(earlier.after(MINUTE * 30)));
}

#[test]
fn wrong_codes_of_all_bring_long_codes() {
    let mut traffic = Traffic::default();
    for n in 1..=100 {
        assert!(!traffic.charge_wrong(300, NOW), "{n}");
        assert!(!traffic.wants_long_codes(300, NOW), "{n}");
    }
    assert!(traffic.charge_wrong(300, NOW), "the line is crossed once");
    assert!(!traffic.charge_wrong(300, NOW));
    assert!(traffic.wants_long_codes(300, NOW));
    assert!(!traffic.wants_long_codes(1_000, NOW), "a larger site has a higher line");
    let quarter = MINUTE * 15;
    assert!(traffic.wants_long_codes(300, NOW.after(DAY)));
    assert!(!traffic.wants_long_codes(300, NOW.after(DAY + quarter)));
}

/// Messages a minute, of which so many are answered.
fn messages(traffic: &mut Traffic, at: Timestamp, sent: u32, answered: u32) {
    (0..sent).for_each(|_| traffic.charge(at));
    (0..answered).for_each(|_| traffic.answer(at));
}

#[test]
fn low_conversion_at_its_edges() {
    let old = NOW.before(MINUTE * 2);
    let found = |sent, answered, at| {
        let mut traffic = Traffic::default();
        messages(&mut traffic, at, sent, answered);
        traffic.find_low_conversion(NOW).map(|low| (low.counted, low.answered))
    };
    let cases = [
        ("19, none answered", found(19, 0, old), None),
        ("20, none answered", found(20, 0, old), Some((20, 0))),
        ("20, three answered", found(20, 3, old), Some((20, 3))),
        ("20, four answered: a fifth", found(20, 4, old), None),
        ("25, four answered", found(25, 4, old), Some((25, 4))),
        ("25, five answered", found(25, 5, old), None),
        ("they had less than a minute", found(20, 0, NOW.before(MINUTE)), None),
        ("out of the hour", found(20, 0, NOW.before(HOUR + MINUTE * 2)), None),
    ];
    for (case, found, expected) in cases {
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn ended_logins_count_at_once_and_undelivered_messages_never() {
    let mut traffic = Traffic::default();
    messages(&mut traffic, NOW, 20, 0);
    (0..19).for_each(|_| traffic.close(NOW));
    assert_eq!(traffic.find_low_conversion(NOW), None, "the twentieth may still be answered");
    traffic.close(NOW);
    traffic.undeliver(NOW);
    assert_eq!(traffic.find_low_conversion(NOW), None, "one never reached a telephone");
    messages(&mut traffic, NOW, 1, 0);
    traffic.close(NOW);
    let low = traffic.find_low_conversion(NOW).expect("twenty");
    assert_eq!(low, Low { counted: 20, answered: 0, until: NOW.after(MINUTE * 30) });
}

#[test]
fn a_block_doubles_up_to_a_day_and_holds_only_where_the_site_wants_it() {
    let block = Limits { conversion: Conversion::Block, ..Limits::default() };
    let mut traffic = Traffic::default();
    let mut now = NOW;
    for minutes in [30, 60, 120, 240, 480, 960, 1_440, 1_440] {
        messages(&mut traffic, now, 20, 0);
        assert_eq!(traffic.blocked(&block, now), None, "before {minutes}");
        now = now.after(MINUTE * 2);
        let low = traffic.find_low_conversion(now).expect("none is answered");
        assert_eq!(low.until, now.after(MINUTE * minutes));
        assert_eq!(traffic.find_low_conversion(now), None, "found once");
        let held = traffic.blocked(&block, now).expect("blocked");
        let expected = Held { limit: LimitName::Conversion, since: now, until: Some(low.until) };
        assert_eq!(held, expected);
        assert_eq!(traffic.blocked(&Limits::default(), now), None, "an alert blocks nothing");
        now = low.until;
        traffic.settle(now);
        assert_eq!(traffic.find_low_conversion(now), None, "old messages block no second time");
    }
    now = now.after(DAY);
    traffic.settle(now);
    messages(&mut traffic, now, 20, 0);
    now = now.after(MINUTE * 2);
    let low = traffic.find_low_conversion(now).expect("again");
    assert_eq!(low.until, now.after(MINUTE * 30), "a quiet day later it begins anew");
}

#[test]
fn while_a_block_stands_nothing_makes_it_longer() {
    let mut traffic = site(20, MINUTE * 2);
    let low = traffic.find_low_conversion(NOW).expect("none is answered");
    messages(&mut traffic, NOW.after(MINUTE), 20, 0);
    let last = low.until.before(std::time::Duration::from_millis(1));
    assert_eq!(traffic.find_low_conversion(last), None);
    let again = traffic.find_low_conversion(low.until).expect("those of meanwhile");
    assert_eq!(again.counted, 20);
}

#[test]
fn idle_is_when_nothing_counts_any_more() {
    assert_eq!(Traffic::default().idle_at(), Timestamp::default());
    let mut traffic = Traffic::default();
    traffic.charge(NOW);
    assert_eq!(traffic.idle_at(), NOW.after(MINUTE + HOUR));
    let mut later = traffic.clone();
    later.settle(NOW.after(MINUTE + HOUR));
    assert_eq!(later, Traffic::default(), "and nothing of it is kept");
    traffic.charge_all(NOW);
    assert_eq!(traffic.idle_at(), NOW.after(MINUTE * 15 + DAY));
}

#[test]
fn of_two_copies_of_one_piece_of_time_the_larger_counts() {
    let copy =
        |sent, answered, over, failed| Bucket { minute: 30_000_000, sent, answered, over, failed };
    let cases = [
        ("the other saw more", copy(2, 0, 1, 0), copy(5, 0, 3, 2), copy(5, 0, 3, 2)),
        ("this one did", copy(5, 0, 3, 2), copy(2, 0, 1, 0), copy(5, 0, 3, 2)),
        ("each of something else", copy(5, 1, 0, 2), copy(3, 0, 1, 0), copy(5, 1, 1, 2)),
        (
            "what one calls answered, the other does not",
            copy(4, 3, 0, 0),
            copy(3, 0, 0, 0),
            copy(4, 1, 0, 0),
        ),
    ];
    for (case, one, other, merged) in cases {
        let traffic = |bucket| {
            let mut traffic = Traffic::default();
            traffic.hour.list.push(bucket);
            traffic
        };
        let mut found = traffic(one);
        found.merge(&traffic(other));
        assert_eq!(found, traffic(merged), "{case}");
    }
}

#[test]
fn a_row_with_a_width_that_is_not_ours_is_refused() {
    let traffic = |hour, day, wrong| {
        let (hour, day, wrong) = (Buckets::new(hour), Buckets::new(day), Buckets::new(wrong));
        minicbor::to_vec(Traffic { hour, day, wrong, flag: None, told: None }).unwrap()
    };
    let cases = [
        ("ours", traffic(1, 15, 15), true),
        ("an hour in wide ones", traffic(15, 15, 15), false),
        ("an hour that ends before it begins", traffic(-100_000, 15, 15), false),
        ("a day in narrow ones", traffic(1, 1, 15), false),
        ("a day of no width", traffic(1, 0, 15), false),
        ("wrong codes without end", traffic(1, 15, i64::MAX), false),
    ];
    for (name, row, good) in cases {
        assert_eq!(minicbor::decode::<Traffic>(&row).is_ok(), good, "{name}");
    }
}

proptest! {
    /// Whatever the gaps, no hour and no day has more than allowed.
    #[test]
    fn no_window_has_more_than_allowed(gaps in prop::collection::vec(0u64..240, 1..400)) {
        let limits = Limits { all_unanswered_per_day: Some(80), ..Limits::default() };
        let (mut traffic, mut now, mut sent) = (Traffic::default(), NOW, Vec::new());
        for gap in gaps {
            now = now.after(std::time::Duration::from_secs(gap));
            traffic.settle(now);
            if traffic.country_held(0, now).is_none() && traffic.all_held(0, &limits, now).is_none() {
                traffic.charge_all(now);
                sent.push(now);
            }
        }
        for at in &sent {
            let within = |span| sent.iter().filter(|other| *other <= at && other.is_within(span, *at)).count();
            prop_assert!(within(HOUR) <= 20 && within(DAY) <= 80);
        }
    }

    #[test]
    fn the_stored_form_round_trips(ages in prop::collection::vec(0u64..100_000_000, 0..60)) {
        let mut traffic = Traffic::default();
        for age in ages {
            let at = NOW.before(std::time::Duration::from_millis(age));
            traffic.charge_all(at);
            traffic.charge_wrong(0, at);
            traffic.close(at);
            traffic.find_low_conversion(at);
        }
        let bytes = minicbor::to_vec(&traffic).unwrap();
        prop_assert_eq!(minicbor::decode::<Traffic>(&bytes).unwrap(), traffic);
    }
}
