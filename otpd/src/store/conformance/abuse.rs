//! What somebody does who has passwords, or an administrator's account: bombs, floods of
//! enrollments, and keeping the real user out.

use std::{cell::Cell, time::Duration};

use super::{
    Subject,
    attacks::most,
    town::{Town, futures, source},
};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::LimitName,
    login::{Answered, Begun, Denial, Order, Withheld},
    passcode::Purpose,
    proof::Refusal,
    time::{DAY, HOUR, MINUTE},
};

/// Ten addresses that a thief of passwords comes from.
fn elsewhere(n: u32) -> Source {
    source(1_000 + n % 10)
}

/// Where somebody always logs in from.
fn home(n: u32) -> Source {
    source(100 + n)
}

fn goes_to(number: &'static str) -> impl Fn(&Order) -> bool {
    move |order| order.to.expose() == number
}

/// A thousand logins an hour with the right password of u0, ten at a time from ten addresses, each
/// asking for its code again as soon as it may; for a day and an hour.
pub(super) async fn thousand_an_hour(subject: &impl Subject) {
    const NUMBER: &str = "+13120000000";
    let town = Town::open(subject);
    town.populate(0..10, "US").await;
    town.login("u0", home(0)).await;
    town.wait(DAY * 2);
    let begin = town.now();
    let (logins, answered) = (Cell::new(0), Cell::new(0));
    // 100 rounds in the first hour, and as many in the other 24.
    let rounds = (0..100).map(|n| Duration::from_secs(36) * n);
    let rounds = rounds.chain((0..100).map(|n| HOUR + Duration::from_secs(864) * n));
    for (round, after) in rounds.enumerate() {
        town.set(begin.after(after));
        let bomb = async |from: u32| {
            logins.set(logins.get() + 1);
            let Begun::Issued(view, _) = town.begin("u0", elsewhere(from)).await else { return };
            // Not yet: no message.
            town.answer(view.token, "r").await;
            town.abandon(view.token).await;
        };
        futures((0..10).map(bomb)).await;
        if round % 20 == 10 {
            town.login("u0", home(0)).await;
            answered.set(answered.get() + 1);
        }
    }
    // And then the real user does not find the telephone, three times, and a fourth time.
    for (nth, expected) in [(1, None), (2, None), (3, None)] {
        assert_eq!(town.holds("u0", home(0)).await, expected, "{nth} of the reserve");
    }
    assert!(town.holds("u0", home(0)).await.is_some(), "the reserve is used up");
    let sent = town.messages(goes_to(NUMBER));
    let own = town.messages(|order| goes_to(NUMBER)(order) && order.purpose == Purpose::Login);
    let sent: Vec<_> = sent.into_iter().filter(|at| *at >= begin).collect();
    let (hour, day) = (most(&sent, HOUR), most(&sent, DAY));
    println!(
        "{} logins with the right password: at most {hour} messages in an hour and {day} in a day, \
         {} of the real user's own logins among them",
        logins.get(),
        answered.get()
    );
    assert_eq!(own.len(), sent.len() + 1);
    let answered = answered.get();
    assert_eq!(answered, 10, "the real user always got in");
    // Five in an hour; in the first one the real user came five times.
    assert!(hour <= 5 + 5, "{hour}");
    assert!(day <= 12 + 3 + answered, "{day}");
    assert!(day >= 12, "the attack was not the strongest one: {day}");
}

/// The same with the passwords of everybody: what a country and the site may have holds.
pub(super) async fn everybodys_password(subject: &impl Subject) {
    let town = Town::open(subject);
    town.populate(0..40, "US").await;
    town.wait(DAY * 60);
    let begin = town.now();
    for round in 0..100 {
        town.set(begin.after(Duration::from_secs(36) * round));
        let bomb = async |n: u32| {
            if let Begun::Issued(view, _) =
                town.begin(&format!("u{}", (round + n * 4) % 40), elsewhere(n)).await
            {
                town.abandon(view.token).await;
            }
        };
        futures((0..10).map(bomb)).await;
    }
    let sent = town.messages(|_| true);
    println!("1,000 logins of 40 accounts in an hour: {} messages", sent.len());
    assert_eq!(sent.len(), 80, "twice the enrolled, and not one more");
}

/// One telephone is enrolled for six accounts: what it gets is counted for the number.
pub(super) async fn one_telephone(subject: &impl Subject) {
    const NUMBER: &str = "+13125550100";
    let town = Town::open(subject);
    town.populate(100..110, "US").await;
    for n in 0..6 {
        town.give(&format!("u{n}"), NUMBER).await;
    }
    town.wait(DAY * 60);
    let begin = town.now();
    for minute in 0..25 * 60 {
        town.set(begin.after(MINUTE * minute));
        let name = format!("u{}", minute % 6);
        if let Begun::Issued(view, _) = town.begin(&name, elsewhere(minute)).await {
            town.abandon(view.token).await;
        }
    }
    let sent = town.messages(goes_to(NUMBER));
    println!("one telephone of six accounts: {} messages in 25 hours", sent.len());
    assert_eq!((most(&sent, HOUR), most(&sent, DAY)), (5, 12), "as if they were one account");
    // Whoever holds the telephone answers one of the logins; that gives the others nothing back.
    town.set(begin.after(DAY * 3));
    for n in 0..4 {
        assert_eq!(town.holds(&format!("u{n}"), elsewhere(n)).await, None);
    }
    town.login("u5", home(5)).await;
    assert_eq!(town.holds("u4", elsewhere(4)).await, None, "five are unanswered now");
    assert_eq!(town.refused("u3", elsewhere(3)).await.limit, LimitName::UnansweredPerHour);
}

/// A script of an administrator enrolls without end.
pub(super) async fn enrollments(subject: &impl Subject) {
    const VICTIM: &str = "+13125550199";
    let mut town = Town::open(subject);
    let begin = town.now();
    let mut told = 0;
    // The same number, for one account after another, also sent again, for two days.
    for quarter in 0..192 {
        town.set(begin.after(MINUTE * 15 * quarter));
        let name = format!("u{}", quarter % 7);
        let results = [town.enter(&name, VICTIM, "US").await, town.resend(&name).await];
        for result in results {
            match result {
                Ok(_) => told += 1,
                Err(Refusal::Held(held)) => assert_eq!(held.limit, LimitName::UnverifiedPerDay),
                Err(Refusal::TooSoon(_) | Refusal::NotEnrolled | Refusal::NoCode) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    let sent = town.messages(goes_to(VICTIM));
    println!("384 verbs about one number in two days: {told} messages");
    assert_eq!((most(&sent, DAY), sent.len()), (3, 6), "three in 24 hours until it is proved");

    // Proving it takes the code, and is no message.
    town.set(begin.after(DAY * 4));
    let proof = town.enter("u0", VICTIM, "US").await.expect("a message");
    assert!(!town.verify("u0", &town.wrong(proof)).await);
    assert!(town.verify("u0", &town.code(proof)).await);

    // A country that is not allowed, and a number for everybody: the cap holds.
    town.set(begin.after(DAY * 7));
    assert!(matches!(town.enter("x", "+447400123456", "GB").await, Err(Refusal::Country(_))));
    town.terms.limits.max_messages_per_day = Some(50);
    let mut refused = 0;
    for n in 0..500 {
        match town.enter("x", &format!("+1312555{n:04}"), "US").await {
            Ok(_) => {}
            Err(Refusal::Held(held)) => {
                assert_eq!(held.limit, LimitName::MaxMessagesPerDay);
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 450, "the site's cap counts proofs as well");
}

/// A thief of u0's password guesses codes and recovery codes as often as the limits allow, from three
/// addresses, for twelve days. Its owner gets in every day, and with recovery codes when the telephone
/// is lost for the last five.
pub(super) async fn locked_out(subject: &impl Subject) {
    let town = Town::open(subject);
    town.populate(0..10, "US").await;
    let mut paper = town.recovery_codes("u0").await;
    town.login("u0", home(0)).await;
    let begin = town.now();
    let (mut guesses, mut refused, mut days, mut recovered) = (0, 0, 0, 0);
    for hour in 0..12 * 24 {
        town.set(begin.after(HOUR * hour));
        for from in 0..3 {
            let token = match town.begin("u0", elsewhere(from)).await {
                Begun::Issued(view, _) => view.token,
                Begun::Withheld(Withheld { token, .. }) => token,
                Begun::Denied(_) => {
                    refused += 1;
                    continue;
                }
                other => panic!("{other:?}"),
            };
            for typed in ["000000", "00000000", "0000-0000-0000-0000-0000-0000"] {
                guesses += 1;
                let answered = town.answer(token, typed).await;
                assert!(!matches!(answered, Answered::Granted | Answered::Recovered(_)));
            }
            town.abandon(token).await;
        }
        if hour % 24 == 12 && hour < 7 * 24 {
            town.login("u0", home(0)).await;
            days += 1;
        }
        // Two days and five days after the last login.
        if [9 * 24, 12 * 24 - 1].contains(&hour) {
            let token = match town.begin("u0", home(0)).await {
                Begun::Issued(view, _) => view.token,
                Begun::Withheld(asked) => asked.token,
                other => panic!("hour {hour}: {other:?}"),
            };
            let code = paper.pop().expect("a code");
            let answered = town.answer(token, &code).await;
            assert!(matches!(answered, Answered::Recovered(_)), "hour {hour}: {answered:?}");
            recovered += 1;
        }
    }
    println!(
        "12 days of locking out: {guesses} answers of the thief, {refused} refusals; the real user \
         got in {days} times by code and {recovered} times by recovery code"
    );
    assert_eq!((days, recovered), (7, 2));
    // And from the console, whatever a thief did in this hour.
    let token = match town.begin("u0", None).await {
        Begun::Issued(view, _) => view.token,
        Begun::Withheld(asked) => asked.token,
        other => panic!("{other:?}"),
    };
    let code = paper.pop().expect("a code");
    assert!(matches!(town.answer(token, &code).await, Answered::Recovered(_)));
}

/// Who has the passwords of all 400 accounts guesses at each: after 120 wrong codes of six digits
/// there is no such code any more.
pub(super) async fn a_thousand_passwords(subject: &impl Subject) {
    let mut town = Town::open(subject);
    town.populate(0..400, "US").await;
    town.wait(DAY * 2);
    let allowed = 120;
    let (short, long, cut) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let wrong = |event: &Event| matches!(event, Event::CodeWrong { .. });
    for round in 0..4 {
        // Fifty sessions at once: all of them have a code before the first one guesses.
        let mut tokens = Vec::new();
        for n in 0..50 {
            let n = round * 50 + n;
            tokens.push(town.start(&format!("u{n}"), elsewhere(n)).await);
        }
        let digits = town.code(tokens[0]).len();
        let before = town.count(wrong);
        let guess = async |token| {
            let guess = town.wrong(token);
            for _ in 0..3 {
                if matches!(town.answer(token, &guess).await, Answered::Denied(Denial::Outgrown, _))
                {
                    cut.set(cut.get() + 1);
                }
            }
        };
        futures(tokens.iter().map(|token| guess(*token))).await;
        town.settle().await;
        let compared = town.count(wrong) - before;
        if digits == 6 {
            short.set(short.get() + compared);
        } else {
            long.set(long.get() + compared);
        }
    }
    println!(
        "guessing at 200 of 400 accounts: {} compares at six digits, {} at eight; {} codes of six \
         digits were cut off",
        short.get(),
        long.get(),
        cut.get()
    );
    assert_eq!(short.get(), allowed + 1, "the one that crosses the line is the last");
    assert!(long.get() > 0, "the attack went on");
    assert_eq!(town.count(|event| *event == Event::SiteUnderAttack {}), 1, "it is said once");
    // Everybody still gets in, with eight digits.
    town.terms.limits.unanswered_per_hour = 60;
    let token = town.start("u399", home(399)).await;
    assert_eq!(town.code(token).len(), 8);
    assert!(town.right(token).await);
}
