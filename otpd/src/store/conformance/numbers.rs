//! The documented numbers, each at its edge: one less, the number, one more; the ends of windows to
//! the millisecond; a clock that goes back and forward.

use std::time::Duration;

use super::{
    NOW, Subject,
    town::{Town, source},
};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::LimitName,
    challenge::Channel,
    login::{Answered, Notice},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

const MILLISECOND: Duration = Duration::from_millis(1);
const YEAR: Duration = DAY.saturating_mul(365);

/// Where guesses come from, and where nobody has been.
const THIEF: u32 = 1;
const STRANGER: u32 = 2;
const CONSOLE: Option<Source> = None;

/// With so much room for messages that wrong codes meet their limits first.
async fn roomy(subject: &impl Subject) -> Town {
    let mut town = Town::open(subject);
    town.terms.limits.unanswered_per_hour = 600;
    town.terms.limits.unanswered_per_day = 2_000;
    town.terms.limits.messages_per_hour = 600;
    town.terms.limits.messages_per_day = 2_000;
    // The site's own limits grow with it.
    town.populate(0..1_000, "US").await;
    town
}

/// `count` wrong codes, the first now, the others each `gap` later.
async fn guesses(town: &Town, name: &str, count: usize, gap: Duration) {
    for n in 0..count {
        if n > 0 {
            town.wait(gap);
        }
        town.guess(name, source(THIEF)).await;
    }
}

/// A limit holds until the millisecond before `end`, also when the clock is set back meanwhile.
async fn ends_at(town: &Town, name: &str, end: Timestamp, limit: LimitName) {
    let stranger = source(STRANGER);
    let held = town.refused(name, stranger).await;
    assert_eq!((held.limit, held.until), (limit, Some(end)), "{name}");
    town.set(end.before(MILLISECOND));
    assert_eq!(town.holds(name, stranger).await, Some(limit), "{name}: a millisecond before");
    town.set(end);
    assert_eq!(town.holds(name, stranger).await, None, "{name}: at its end");
}

pub(super) async fn wrong_codes(subject: &impl Subject) {
    let town = roomy(subject).await;
    let stranger = source(STRANGER);
    let (hour, day) = (LimitName::WrongCodesPerHour, LimitName::WrongCodesPerDay);

    guesses(&town, "u0", 9, MINUTE).await;
    assert_eq!(town.holds("u0", stranger).await, None, "nine");
    guesses(&town, "u0", 1, MINUTE).await;
    ends_at(&town, "u0", town.now().after(MINUTE * 30), hour).await;
    // One more in the same hour brings another pause.
    guesses(&town, "u0", 1, MINUTE).await;
    ends_at(&town, "u0", town.now().after(MINUTE * 30), hour).await;

    town.set(NOW);
    guesses(&town, "u1", 9, MINUTE).await;
    town.set(NOW.after(HOUR).before(MILLISECOND));
    guesses(&town, "u1", 1, MINUTE).await;
    assert_eq!(town.holds("u1", stranger).await, Some(hour), "ten in an hour less a millisecond");
    town.set(NOW);
    guesses(&town, "u2", 9, MINUTE).await;
    town.set(NOW.after(HOUR));
    guesses(&town, "u2", 1, MINUTE).await;
    assert_eq!(town.holds("u2", stranger).await, None, "the first is an hour old");

    town.set(NOW);
    guesses(&town, "u3", 19, HOUR).await;
    assert_eq!(town.holds("u3", stranger).await, None, "nineteen");
    guesses(&town, "u3", 1, HOUR).await;
    ends_at(&town, "u3", NOW.after(DAY), day).await;
    // Twenty again: nineteen of before, and this one; the next leaves an hour later.
    guesses(&town, "u3", 1, HOUR).await;
    ends_at(&town, "u3", NOW.after(DAY + HOUR), day).await;

    town.set(NOW.after(YEAR));
    guesses(&town, "u4", 10, MINUTE).await;
    town.set(NOW);
    assert_eq!(town.holds("u4", stranger).await, Some(hour), "set back by a year");
    // What lay in the future ages from the time that it was seen.
    ends_at(&town, "u4", NOW.after(MINUTE * 30), hour).await;

    town.set(NOW);
    guesses(&town, "u5", 5, MINUTE).await;
    town.set(NOW.before(YEAR));
    guesses(&town, "u5", 4, MINUTE).await;
    assert_eq!(town.holds("u5", stranger).await, None, "nine by two clocks");
    guesses(&town, "u5", 1, MINUTE).await;
    assert_eq!(town.holds("u5", stranger).await, Some(hour), "ten by two clocks");

    town.set(NOW);
    guesses(&town, "u6", 99, HOUR * 2).await;
    assert_eq!(town.holds("u6", stranger).await, None, "ninety-nine in a row");
    guesses(&town, "u6", 1, HOUR * 2).await;
    town.wait(YEAR);
    let held = town.refused("u6", stranger).await;
    assert_eq!((held.limit, held.until), (LimitName::WrongCodesInARow, None), "a hundred");

    town.set(NOW);
    guesses(&town, "u7", 99, HOUR * 2).await;
    town.wait(HOUR * 2);
    town.login("u7", stranger).await;
    guesses(&town, "u7", 1, HOUR * 2).await;
    town.wait(HOUR * 2);
    assert_eq!(town.holds("u7", source(3)).await, None, "a success ends the row");
}

pub(super) async fn tries(subject: &impl Subject) {
    let town = roomy(subject).await;
    let token = town.start("u0", CONSOLE).await;
    for left in [2, 1] {
        let Answered::Ask(Notice::Wrong, view, None) = town.answer(token, &town.wrong(token)).await
        else {
            panic!("asked again")
        };
        assert_eq!(view.tries_left, left);
    }
    assert!(matches!(town.answer(token, &town.wrong(token)).await, Answered::Denied(..)));
    assert!(!town.right(token).await, "spent is spent");

    // The life of a code, to the millisecond.
    let token = town.start("u0", CONSOLE).await;
    town.wait((MINUTE * 5).saturating_sub(MILLISECOND));
    assert!(town.right(token).await);
    let token = town.start("u0", CONSOLE).await;
    town.wait(MINUTE * 5);
    let renewed = town.answer(token, &town.code(token)).await;
    assert!(matches!(renewed, Answered::Ask(Notice::Renewed { .. }, ..)), "{renewed:?}");
    let token = town.start("u0", CONSOLE).await;
    town.set(town.now().before(Duration::from_secs(5)));
    assert!(town.right(token).await, "five seconds of slack");
    let token = town.start("u0", CONSOLE).await;
    town.set(town.now().before(Duration::from_secs(5) + MILLISECOND));
    assert!(!town.right(token).await, "a clock set back makes no code live longer");

    // Two resends: after 30 s, and 60 s after that.
    let token = town.start("u0", CONSOLE).await;
    for (wait, again) in [(30, MINUTE / 2), (60, MINUTE)] {
        town.wait(again.saturating_sub(MILLISECOND));
        let early = town.answer(token, "r").await;
        let soon = matches!(early, Answered::Ask(Notice::TooSoon { seconds: 1 }, _, None));
        assert!(soon, "{wait}: {early:?}");
        town.wait(MILLISECOND);
        let sent = town.answer(token, "r").await;
        assert!(matches!(sent, Answered::Ask(Notice::Resent, _, Some(_))), "{wait}: {sent:?}");
    }
    town.wait(MINUTE);
    let third = town.answer(token, "r").await;
    assert!(matches!(third, Answered::Ask(Notice::NoMoreMessages, _, None)), "{third:?}");
}

pub(super) async fn long_codes(subject: &impl Subject) {
    let town = roomy(subject).await;
    let stranger = source(STRANGER);
    let digits = async |name: &str| {
        let token = town.start(name, stranger).await;
        town.abandon(token).await;
        town.code(token).len()
    };
    guesses(&town, "u0", 20, HOUR * 2).await;
    assert_eq!(digits("u0").await, 6, "twenty in thirty days");
    guesses(&town, "u0", 1, MINUTE).await;
    assert_eq!(digits("u0").await, 8, "twenty-one");
    town.set(NOW.after(DAY * 30).before(MILLISECOND));
    assert_eq!(digits("u0").await, 8);
    town.set(NOW.after(DAY * 30));
    assert_eq!(digits("u0").await, 6, "the first left the thirty days");

    // 30 % of 1,000, over many accounts; what waits with six digits is not compared any more.
    town.set(NOW.after(DAY * 60));
    for n in 0..100 {
        guesses(&town, &format!("u{}", n + 100), 3, MINUTE).await;
        town.set(NOW.after(DAY * 60));
    }
    assert_eq!(digits("u1").await, 6, "three hundred of the site");
    let waiting = town.start("u2", stranger).await;
    guesses(&town, "u300", 1, MINUTE).await;
    assert_eq!(town.count(|event| *event == Event::SiteUnderAttack {}), 1);
    assert_eq!(digits("u1").await, 8, "three hundred and one");
    assert!(!town.right(waiting).await, "issued before");
    town.set(NOW.after(DAY * 61 + MINUTE * 15).before(MILLISECOND));
    assert_eq!(digits("u1").await, 8);
    town.set(NOW.after(DAY * 61 + MINUTE * 20));
    assert_eq!(digits("u1").await, 6, "a day and a bucket later");
}

pub(super) async fn messages(subject: &impl Subject) {
    let town = Town::open(subject);
    // A site of this size has a country's limit of 400 an hour.
    town.populate(0..200, "US").await;
    let stranger = source(STRANGER);
    let bomb = async |name: &str, count: u32, gap: Duration| {
        for n in 0..count {
            if n > 0 {
                town.wait(gap);
            }
            let token = town.start(name, source(100 + n)).await;
            town.abandon(token).await;
        }
    };
    bomb("u0", 5, MINUTE).await;
    ends_at(&town, "u0", NOW.after(HOUR), LimitName::UnansweredPerHour).await;

    town.set(NOW);
    bomb("u1", 12, MINUTE * 20).await;
    let first = NOW.after(DAY);
    ends_at(&town, "u1", first, LimitName::UnansweredPerDay).await;

    town.set(NOW);
    bomb("u2", 11, MINUTE * 20).await;
    town.wait(HOUR);
    assert_eq!(town.holds("u2", stranger).await, None, "eleven");

    // Who answers is stopped by the limits on all messages only.
    town.set(NOW);
    for _ in 0..40 {
        town.login("u3", stranger).await;
        town.wait(MINUTE);
    }
    town.set(NOW.after(MINUTE * 40));
    ends_at(&town, "u3", NOW.after(HOUR), LimitName::MessagesPerHour).await;
    town.set(NOW);
    for _ in 0..120 {
        town.login("u4", stranger).await;
        town.wait(MINUTE * 4);
    }
    ends_at(&town, "u4", NOW.after(DAY), LimitName::MessagesPerDay).await;

    // A clock that goes back or forward gives nothing back before its time.
    town.set(NOW);
    bomb("u5", 5, MINUTE).await;
    town.set(NOW.before(YEAR));
    assert_eq!(town.holds("u5", stranger).await, Some(LimitName::UnansweredPerHour), "set back");
    ends_at(&town, "u5", NOW.before(YEAR).after(HOUR), LimitName::UnansweredPerHour).await;

    // Calls, of which there are four a day.
    town.set(NOW);
    for n in 0..4 {
        let token = town.start("u6", source(100 + n)).await;
        town.wait(MINUTE);
        let called = town.answer(token, "v").await;
        let Answered::Ask(Notice::Resent, view, _) = called else { panic!("{called:?}") };
        assert_eq!(view.channel, Channel::Voice);
        town.abandon(token).await;
        town.wait(HOUR * 2);
    }
    let token = town.start("u6", stranger).await;
    town.wait(MINUTE);
    let Answered::Ask(Notice::Held(held), ..) = town.answer(token, "v").await else {
        panic!("held")
    };
    assert_eq!(held.limit, LimitName::CallsPerDay);
    assert_eq!(held.until, Some(NOW.after(MINUTE + DAY)));
}

pub(super) async fn live_logins(subject: &impl Subject) {
    let town = roomy(subject).await;
    let from = |n| source(n);
    let oldest = town.start("u0", from(1)).await;
    for _ in 0..2 {
        town.wait(MILLISECOND);
        town.start("u0", from(1)).await;
    }
    assert!(matches!(town.answer(oldest, "?").await, Answered::Ask(..)), "three from a source");
    town.start("u0", from(1)).await;
    assert!(!town.right(oldest).await, "a fourth took the place of the oldest");
    for n in 0..5 {
        town.start("u0", from(10 + n)).await;
    }
    let held = town.refused("u0", from(20)).await;
    assert_eq!(held.limit, LimitName::LiveChallenges, "a ninth of the account");
}
