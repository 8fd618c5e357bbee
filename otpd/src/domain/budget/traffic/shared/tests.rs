use proptest::prelude::*;

use super::{Flag, SHARES, Share};
use crate::domain::{
    budget::{Refunded, Traffic},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// What a decision may do to a row; what it does to a message, to one of those that were charged.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Charge,
    Proof,
    Refund(usize),
    Answer(usize),
    Close(usize),
    Undeliver(usize),
    Wrong,
    Look,
    /// Minutes that pass, or that a clock went back.
    Pass(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => Just(Deed::Charge),
        1 => Just(Deed::Proof),
        1 => any::<usize>().prop_map(Deed::Refund),
        2 => any::<usize>().prop_map(Deed::Answer),
        1 => any::<usize>().prop_map(Deed::Close),
        1 => any::<usize>().prop_map(Deed::Undeliver),
        2 => Just(Deed::Wrong),
        1 => Just(Deed::Look),
        2 => (-5_i64..40).prop_map(Deed::Pass),
    ]
}

/// Does it to a row, the site's or that of a range. `sent` is when the messages were charged that nothing was taken back of.
fn apply(
    site: bool,
    traffic: &mut Traffic,
    deed: Deed,
    sent: &[Timestamp],
    (now, latest): (Timestamp, Timestamp),
) {
    // Every decision settles what it reads.
    traffic.settle(now);
    let one = |nth: usize| sent.get(nth % sent.len().max(1)).copied();
    match deed {
        Deed::Charge if site => traffic.charge_all(now),
        Deed::Charge => traffic.charge(now),
        Deed::Proof if site => traffic.charge_proof(now),
        Deed::Proof => {}
        Deed::Refund(nth) => one(nth).into_iter().for_each(|at| {
            traffic.refund(at, Refunded { answered: false });
        }),
        Deed::Answer(nth) => one(nth).into_iter().for_each(|at| traffic.answer(at)),
        Deed::Close(nth) => one(nth).into_iter().for_each(|at| traffic.close(at)),
        Deed::Undeliver(nth) => one(nth).into_iter().for_each(|at| traffic.undeliver(at)),
        Deed::Wrong => {
            let _ = traffic.charge_wrong(10, now);
        }
        Deed::Look => {
            let _ = traffic.find_low_conversion(latest);
        }
        Deed::Pass(_) => {}
    }
}

fn total(shares: &[Share]) -> Traffic {
    let mut all = Share::default();
    for share in shares {
        all.add(share);
    }
    all.total()
}

/// Without what was told of messages later.
fn sent_alone(mut share: Share) -> Share {
    for parts in [&mut share.hour, &mut share.day, &mut share.wrong] {
        parts.0.retain(|part| part.sent != 0);
    }
    Share { flag: None, ..share }
}

proptest! {
    /// Whatever is done, by whichever share: the sum says what one row would say. Where the clock went
    /// back, what is told of a message that was taken back may be lost in either; but none of those
    /// that were sent, and no wrong code.
    #[test]
    fn the_sum_of_all_shares_is_the_row(
        (site, back) in any::<(bool, bool)>(),
        deeds in prop::collection::vec((deed(), 0..SHARES), 0..80),
    ) {
        let (mut row, mut now, mut latest) = (Traffic::default(), NOW, NOW);
        let mut sent = Vec::new();
        let mut shares = vec![Share::default(); usize::from(SHARES)];
        for (deed, slot) in deeds {
            if let Deed::Pass(minutes) = deed {
                let minutes = if back { minutes } else { minutes.abs() };
                now = Timestamp(now.0 + minutes * 60_000);
                latest = latest.max(now);
            }
            apply(site, &mut row, deed, &sent, (now, latest));
            let before = total(&shares);
            let mut after = before.clone();
            apply(site, &mut after, deed, &sent, (now, latest));
            let share = &mut shares[usize::from(slot)];
            share.settle(now);
            share.add(&Share::between(&before, &after));
            match deed {
                Deed::Charge => sent.push(now),
                Deed::Refund(nth) if !sent.is_empty() => {
                    sent.remove(nth % sent.len());
                }
                _ => {}
            }
            let mut sum = total(&shares);
            sum.settle(latest);
            // A bucket in which nothing is left says the same as none; what one has forgotten already
            // and the other not yet, counts in neither unless the clock goes back.
            let mut plain = row.clone();
            plain.settle(latest);
            for (from, to) in [(&plain, &sum), (&sum, &plain)] {
                let between = Share::between(from, to);
                let between = if back { sent_alone(between) } else { between };
                prop_assert_eq!(between, Share::default());
            }
        }
    }
}

proptest! {
    /// A row of a store that keeps it whole, in one that keeps shares: it says the same there.
    #[test]
    fn a_row_that_moves_is_the_same_row(
        site in any::<bool>(),
        deeds in prop::collection::vec(deed(), 0..80),
    ) {
        let (mut row, mut now, mut sent) = (Traffic::default(), NOW, Vec::new());
        for deed in deeds {
            if let Deed::Pass(minutes) = deed {
                now = now.after(MINUTE * u32::try_from(minutes.abs()).expect("few"));
            }
            apply(site, &mut row, deed, &sent, (now, now));
            if matches!(deed, Deed::Charge) {
                sent.push(now);
            }
        }
        let mut moved = Share::between(&Traffic::default(), &row).total();
        moved.settle(now);
        row.settle(now);
        prop_assert_eq!(moved, row);
    }
}

#[test]
fn a_share_forgets_what_counts_no_more() {
    let (before, mut after) = (Traffic::default(), Traffic::default());
    after.charge_all(NOW);
    let mut share = Share::between(&before, &after);
    assert!(share.idle_at() > NOW.after(DAY));
    share.settle(NOW.after(HOUR + MINUTE));
    assert_ne!(share, Share::default(), "the day is still counted");
    share.settle(share.idle_at());
    assert_eq!(share, Share::default());
}

#[test]
fn a_block_that_a_clock_ahead_left_behind_ends_by_the_right_one() {
    let flag = Some(Flag { at: NOW.after(30 * DAY), minutes: 30 });
    let mut share = Share { flag, ..Share::default() };
    share.settle(NOW);
    share.settle(NOW.after(MINUTE));
    assert_eq!(share.flag.map(Flag::until), Some(NOW.after(30 * MINUTE)));
}

#[test]
fn decisions_at_once_are_all_counted() {
    let before = Traffic::default();
    let mut after = before.clone();
    after.charge(NOW);
    let one = Share::between(&before, &after);
    let mut share = Share::default();
    // Two that saw the same sum: each adds its own.
    share.add(&one);
    share.add(&one);
    let mut both = before.clone();
    both.charge(NOW);
    both.charge(NOW);
    assert_eq!(share.total(), both);
}

#[test]
fn what_is_taken_back_twice_at_once_counts_as_none() {
    let empty = Traffic::default();
    let mut charged = empty.clone();
    charged.charge(NOW);
    let mut share = Share::between(&empty, &charged);
    let mut back = charged.clone();
    back.refund(NOW, Refunded { answered: false });
    let taken = Share::between(&charged, &back);
    share.add(&taken);
    share.add(&taken);
    assert_eq!(share.total(), empty);
}

#[test]
fn a_block_is_added_by_the_decision_that_began_it_alone() {
    let before = Traffic::default();
    let began = Traffic { flag: Some(Flag { at: NOW, minutes: 30 }), ..before.clone() };
    assert_eq!(Share::between(&before, &began).flag, began.flag);
    assert_eq!(Share::between(&began, &began.clone()), Share::default());
}
