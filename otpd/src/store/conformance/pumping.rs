//! Somebody is paid for every message to a range of numbers, and has the passwords of 500 accounts
//! there: how many messages that is worth, and who else notices.

use std::time::Duration;

use super::{
    Subject,
    town::{Town, source},
};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::{Conversion, LimitName},
    login::{Begun, Denial},
    time::{DAY, HOUR},
};

/// All of them are in one range: their numbers differ in the last four digits.
const PUMPED: std::ops::Range<u32> = 0..500;
/// Another range of the same country, and another country.
const NEIGHBOURS: std::ops::Range<u32> = 10_000..10_050;
const ABROAD: std::ops::Range<u32> = 20_000..20_050;

fn elsewhere(n: u32) -> Source {
    source(1_000 + n % 10)
}

fn home(n: u32) -> Source {
    source(50_000 + n)
}

fn name(n: u32) -> String {
    format!("u{n}")
}

/// A site of 600, where nobody has logged in for two months but a few.
async fn site(subject: &impl Subject) -> Town {
    let mut town = Town::open(subject);
    town.terms.limits.conversion = Conversion::Block;
    town.populate(PUMPED, "US").await;
    town.populate(NEIGHBOURS, "US").await;
    town.populate(ABROAD, "AT").await;
    town.wait(DAY * 60);
    // One of the range has a known source; one more was there lately, but never here.
    town.login("u498", home(498)).await;
    town.login("u499", home(499)).await;
    town.login("u10049", home(10_049)).await;
    town.wait(HOUR * 2);
    town
}

/// One login after another asks for a code and is given up, once every few seconds.
pub(super) async fn given_up(subject: &impl Subject) {
    let town = site(subject).await;
    let (mut sent, mut blocked) = (0, 0);
    for n in 0..498 {
        match town.begin(&name(n), elsewhere(n)).await {
            Begun::Issued(view, _) => {
                sent += 1;
                town.abandon(view.token).await;
            }
            Begun::Denied(Denial::Held(held)) => {
                assert_eq!(held.limit, LimitName::Conversion, "account {n}");
                blocked += 1;
            }
            other => panic!("{n}: {other:?}"),
        }
        town.wait(Duration::from_secs(2));
    }
    println!("500 accounts of one range, given up at once: {sent} messages, {blocked} refused");
    town.settle().await;
    assert_eq!((sent, blocked), (21, 477), "the message after the twentieth raises the block");
    let blocks = |event: &Event| matches!(event, Event::ConversionLow { blocked: true, .. });
    assert_eq!(town.count(blocks), 2, "the range and, since nobody else was there, its country");
    nobody_else(&town).await;
}

/// What still works: known sources, and the first message an hour of who logged in lately, in the
/// range itself; and everybody in another country.
async fn nobody_else(town: &Town) {
    town.login("u498", home(498)).await;
    town.login("u498", home(498)).await;
    town.login("u499", home(7)).await;
    town.login("u10049", home(10_049)).await;
    for n in ABROAD {
        town.login(&name(n), home(n)).await;
    }
}

/// The same while the rest of the country logs in as ever, so that only the range stands out.
pub(super) async fn one_range(subject: &impl Subject) {
    let town = site(subject).await;
    let mut sent = 0;
    for n in 0..400 {
        // Ten are there for the first time in months, each from somewhere else.
        let neighbour = NEIGHBOURS.start + n / 10;
        if n % 10 == 0 {
            town.login(&name(neighbour), home(neighbour)).await;
        }
        if let Begun::Issued(view, _) = town.begin(&name(n), elsewhere(n)).await {
            sent += 1;
            town.abandon(view.token).await;
        }
        if n % 6 == 0 {
            town.login("u10049", home(10_049)).await;
        }
        town.wait(Duration::from_secs(20));
    }
    town.settle().await;
    println!("500 accounts of one range, beside honest logins: {sent} messages in 133 minutes");
    // A block of 30 minutes, one of an hour, one of two: each begins with what raises it.
    assert!(sent < 4 * 40, "{sent}");
    let blocks = |event: &Event| match event {
        Event::ConversionLow { scope, blocked: true, .. } => Some(*scope),
        _ => None,
    };
    assert!(town.count(|event| blocks(event) == Some("range")) >= 2, "the range, again and again");
    assert_eq!(town.count(|event| blocks(event) == Some("country")), 0, "and it alone");
}

/// Logins that are kept open count after a minute. So how many messages go before the block
/// depends on the pace, and beyond that the limits that need no statistics hold.
pub(super) async fn kept_open(subject: &impl Subject) {
    let mut town = site(subject).await;
    town.terms.limits.max_messages_per_day = Some(200);
    let begun = town.now();
    let mut sent = 0;
    for n in 0..498 {
        if matches!(town.begin(&name(n), elsewhere(n)).await, Begun::Denied(_)) {
            break;
        }
        sent += 1;
        town.wait(Duration::from_secs(5));
    }
    println!("kept open, twelve a minute: {sent} messages in {:?}", town.now().since(begun));
    assert!(sent < 40, "{sent}");

    // All at once, the next day: nothing can be known of them yet.
    town.wait(DAY * 2);
    let mut sent = 0;
    for n in 0..498 {
        let begun = town.begin(&name(n), elsewhere(n)).await;
        sent += usize::from(matches!(begun, Begun::Issued(..)));
    }
    println!("kept open, all in one instant: {sent} messages, with a cap of 200 a day");
    assert_eq!(sent, 200, "what the site is willing to spend a day");
}
