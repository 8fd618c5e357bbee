//! Guessing and bombing stop where the documentation says, and nobody else is kept out.

use std::time::Duration;

use super::{
    NOW, Subject,
    town::{Town, futures, source},
};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::{Conversion, LimitName},
    login::{Answered, Begun, Denial},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

/// Ten addresses that a thief of passwords comes from.
fn elsewhere(n: u32) -> Source {
    source(1_000 + n % 10)
}

/// Where somebody always logs in from.
fn home(n: u32) -> Source {
    source(100 + n)
}

/// The most events in any window of this length.
pub(super) fn most(times: &[Timestamp], span: Duration) -> usize {
    let within = |at: &Timestamp| {
        times.iter().filter(|other| *other <= at && other.is_within(span, *at)).count()
    };
    times.iter().map(within).max().unwrap_or_default()
}

/// 10,000 guesses in 25 hours over 100 sessions at once.
pub(super) async fn guessing(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.terms.limits.unanswered_per_hour = 60;
    town.terms.limits.unanswered_per_day = 200;
    town.populate(0..10, "US").await;
    let wrong = |event: &Event| matches!(event, Event::CodeWrong { .. });
    let mut compared = Vec::new();
    let mut denied = 0;
    for _ in 0..100 {
        let before = town.count(wrong);
        let refused = std::cell::Cell::new(0);
        let session = async |n: u32| match town.begin("u0", elsewhere(n)).await {
            Begun::Issued(view, _) => {
                // A guess that another session's made useless is no compare either.
                town.answer(view.token, &town.wrong(view.token)).await;
                town.abandon(view.token).await;
            }
            Begun::Denied(Denial::Held(_)) => refused.set(refused.get() + 1),
            other => panic!("{other:?}"),
        };
        futures((0..100).map(session)).await;
        denied += refused.get();
        compared.extend(std::iter::repeat_n(town.now(), town.count(wrong) - before));
        town.wait(MINUTE * 15);
    }
    let (half_hour, day) = (most(&compared, MINUTE * 30), most(&compared, DAY));
    println!(
        "10,000 guesses: {} compared, {denied} refused; at most {half_hour} in 30 minutes, {day} \
         in 24 hours",
        compared.len()
    );
    assert_eq!((half_hour, day), (10, 20), "the budget is used, and no more than that");
    assert_eq!(town.count(|event| matches!(event, Event::LoginGranted { .. })), 0);
}

/// Somebody has the password of u0 and asks for a code every minute, from ten addresses in turn;
/// u1 works all day; and u0 logs in from home.
pub(super) async fn bombing(subject: &impl Subject) {
    let town = Town::open(subject);
    town.populate(0..10, "US").await;
    town.login("u0", home(0)).await;
    town.wait(HOUR);
    let begin = town.now();
    let (mut bombs, mut logins, mut own) = (Vec::new(), 0, 0);
    for minute in 0..25 * 60 {
        town.set(begin.after(MINUTE * minute));
        if let Begun::Issued(view, _) = town.begin("u0", elsewhere(minute)).await {
            bombs.push(town.now());
            town.abandon(view.token).await;
        }
        // Forty in the first hour, and three an hour in the others: 112 in a day.
        if minute < 40 || minute > 60 && minute % 20 == 5 {
            town.login("u1", home(1)).await;
            logins += 1;
        }
        if minute % 60 == 30 {
            town.login("u0", home(0)).await;
            own += 1;
        }
    }
    let first_hour = bombs.iter().filter(|at| **at < begin.after(HOUR)).count();
    let first_day = bombs.iter().filter(|at| **at < begin.after(DAY)).count();
    println!(
        "1,500 bombs from ten sources: {first_hour} messages in the first hour, {first_day} in \
         the first day; meanwhile {logins} logins of another, {own} of the real user"
    );
    assert_eq!((first_hour, most(&bombs, HOUR)), (5, 5), "an hour, to the message");
    assert_eq!((first_day, most(&bombs, DAY)), (12, 12), "a day, to the message");
    assert_eq!((logins, own), (112, 25));
}

/// A thief uses up what locks u0; who comes from a known source has tries and messages of their own.
pub(super) async fn reserves(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.populate(0..10, "US").await;
    town.login("u0", home(0)).await;
    town.terms.limits.unanswered_per_hour = 60;
    for n in 0..10 {
        town.guess("u0", elsewhere(n)).await;
    }
    town.terms.limits.unanswered_per_hour = 5;
    let held = town.refused("u0", elsewhere(0)).await;
    assert_eq!(held.limit, LimitName::WrongCodesPerHour);
    // Paused and out of messages: three more messages, and five more tries.
    let token = town.start("u0", home(0)).await;
    for _ in 0..2 {
        assert!(matches!(town.answer(token, &town.wrong(token)).await, Answered::Ask(..)));
    }
    assert!(town.right(token).await);
    for _ in 0..3 {
        town.guess("u0", home(0)).await;
    }
    let held = town.refused("u0", home(0)).await;
    assert_eq!(held.limit, LimitName::WrongCodesPerHour, "five wrong ones");
    town.wait(MINUTE * 30);
    let held = town.refused("u0", home(0)).await;
    assert_eq!(held.limit, LimitName::UnansweredPerHour, "three unanswered ones");

    // A bastion is known for nobody.
    town.terms.shared_sources.0.push("203.0.0.0/16".parse().expect("a network"));
    town.login("u1", home(1)).await;
    for n in 0..5 {
        let token = town.start("u1", elsewhere(n)).await;
        town.abandon(token).await;
    }
    assert_eq!(town.refused("u1", home(1)).await.limit, LimitName::UnansweredPerHour);
}

/// Everybody comes in the morning, on a site of 300.
pub(super) async fn crowds(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.terms.limits.conversion = Conversion::Block;
    town.populate(0..300, "US").await;
    for (people, within) in [(30, 20_000), (200, 120_000)] {
        let begin = town.now();
        // Each takes twenty seconds to type the code.
        let starts = (0..people).map(|n| (within * n / people, n, false));
        let mut steps = starts.collect::<Vec<_>>();
        steps.extend((0..people).map(|n| (within * n / people + 20_000, n, true)));
        steps.sort_unstable();
        let mut tokens = std::collections::BTreeMap::new();
        for (millis, n, answers) in steps {
            town.set(begin.after(Duration::from_millis(millis.into())));
            if answers {
                assert!(town.right(tokens[&n]).await, "{n} of {people}");
            } else {
                tokens.insert(n, town.start(&format!("u{n}"), home(n)).await);
            }
        }
        town.wait(DAY * 31);
    }
    let alarms =
        |event: &Event| matches!(event, Event::ConversionLow { .. } | Event::SiteUnderAttack {});
    assert_eq!(town.count(alarms), 0, "nothing is tripped");
}

/// Four accounts are in the hands of somebody who asks for codes without end. On a site of ten that
/// is all that one country may have in an hour.
pub(super) async fn leaked(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.terms.limits.conversion = Conversion::Block;
    town.populate(0..10, "AT").await;
    for n in 0..8 {
        town.login(&format!("u{n}"), home(n)).await;
    }
    town.wait(HOUR * 2);
    let begin = town.now();
    let mut spent = 0;
    for minute in 0..180 {
        town.set(begin.after(MINUTE * minute));
        for leaked in 0..4 {
            if let Begun::Issued(view, _) =
                town.begin(&format!("u{leaked}"), elsewhere(minute)).await
            {
                spent += 1;
                town.abandon(view.token).await;
            }
        }
        if minute % 60 == 30 {
            // From where they always come; from a new address; and for the first time at all.
            town.login("u4", home(4)).await;
            town.login("u4", home(4)).await;
            town.login("u5", elsewhere(minute)).await;
            town.login("u8", home(200 + minute)).await;
            // The leaked ones' own users.
            town.login("u0", home(0)).await;
        }
    }
    println!("four leaked accounts: {spent} messages in three hours, and nobody else is stopped");
    assert!(spent >= 20, "the attack reached the country's limit: {spent}");
    let stopped = |event: &Event| {
        matches!(event, Event::LoginDenied { reason, .. }
            if [LimitName::CountryPerHour, LimitName::Conversion].iter().any(|l| l.as_str() == *reason))
    };
    assert!(town.count(stopped) > 0, "the thief met the country's limits");
    // Somebody who has not been there for long has to wait, and reads for what.
    town.set(begin.after(DAY * 40));
    for leaked in 0..4 {
        for n in 0..5 {
            town.holds(&format!("u{leaked}"), elsewhere(n)).await;
        }
    }
    let held = town.refused("u6", home(6)).await;
    assert!(matches!(held.limit, LimitName::CountryPerHour | LimitName::Conversion), "{held:?}");
    assert!(held.until.is_some_and(|until| until > town.now()));
}

/// Limits on everybody together, and the one without exception.
pub(super) async fn together(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.populate(0..30, "US").await;
    town.populate(30..40, "AT").await;
    town.wait(DAY * 60);
    // 40 enrolled: 80 an hour to a country, 80 in all.
    for n in 0..16 {
        for from in 0..5 {
            let held = town.holds(&format!("u{n}"), elsewhere(from)).await;
            assert_eq!(held, None, "message {} of 80", n * 5 + from + 1);
        }
    }
    let held = town.refused("u20", home(20)).await;
    assert_eq!(held.since, town.now());
    let until = town.now().after(MINUTE + HOUR);
    assert_eq!((held.limit, held.until), (LimitName::CountryPerHour, Some(until)));
    assert_eq!(town.refused("u30", home(30)).await.limit, LimitName::AllPerHour, "another country");
    town.set(until);
    town.login("u20", home(20)).await;

    town.terms.limits.max_messages_per_day = Some(83);
    town.login("u20", home(20)).await;
    town.login("u20", home(20)).await;
    let held = town.refused("u20", home(20)).await;
    assert_eq!(held.limit, LimitName::MaxMessagesPerDay, "a known source is no exception");
    town.set(NOW.after(DAY * 61 + MINUTE * 15));
    assert_eq!(town.holds("u20", home(20)).await, None);
}

/// Codes to numbers that nobody answers from: the alarm, and the block where the site wants one.
pub(super) async fn pumping(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.populate(0..300, "US").await;
    town.login("u299", home(299)).await;
    town.wait(DAY * 60);
    let low = |event: &Event| matches!(event, Event::ConversionLow { blocked: false, .. });
    for n in 0..20 {
        assert_eq!(town.count(low), 0, "after {n}");
        assert_eq!(town.holds(&format!("u{n}"), elsewhere(n)).await, None);
    }
    // Given up one by one, they count at once: the 21st finds twenty that nobody answered.
    assert_eq!(town.holds("u20", elsewhere(20)).await, None, "an alarm stops nothing");
    assert_eq!(town.count(low), 2, "the range and the country");
    assert_eq!(town.holds("u21", elsewhere(21)).await, None);
    assert_eq!(town.count(low), 2, "it is said once");

    town.terms.limits.conversion = Conversion::Block;
    let held = town.refused("u22", elsewhere(22)).await;
    assert_eq!(held.limit, LimitName::Conversion);
    assert_eq!(held.until, Some(town.now().after(MINUTE * 30)));
    town.wait(MINUTE * 30);
    town.login("u22", home(22)).await;
    town.login("u22", home(22)).await;
}
