//! What was asked and told in a run with faults, and the rules that it is judged by.

use std::collections::BTreeMap;

/// A moment: a number that grows with everything that happens.
pub(super) type Tick = u64;

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The newest code of the login.
    Right,
    /// A code that the login had before it was sent another.
    Replaced,
    /// No code of it.
    Wrong,
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Granted,
    /// Not the code, and it has counted.
    Wrong,
    /// Asked again for another reason.
    Asked,
    Denied,
    Unavailable,
    /// Nothing: it may have counted or not.
    Nothing,
}

/// One answer to one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) host: usize,
    pub(super) account: String,
    pub(super) challenge: String,
    pub(super) typed: Typed,
    /// Before it was sent.
    pub(super) sent: Tick,
    /// After it was told, or given up.
    pub(super) end: Tick,
    /// How long ago the code had been read when it was sent, milliseconds.
    pub(super) age: u64,
    pub(super) told: Told,
}

/// A time in which nothing can be kept for a host: no way to a server that takes changes, or none from
/// there to the standby that has to have them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) host: usize,
    /// After it began.
    pub(super) from: Tick,
    /// Before it ended.
    pub(super) to: Tick,
}

/// What the trail of all hosts has of an account, after everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) granted: usize,
    pub(super) wrong: usize,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) events: Vec<Event>,
    pub(super) outages: Vec<Outage>,
    /// By account.
    pub(super) recorded: BTreeMap<String, Recorded>,
    /// Accounts whose wrong codes were never forgiven.
    pub(super) guessed: Vec<String>,
}

/// Wrong codes that an account may have in an hour.
pub(super) const BUDGET: usize = 10;
/// Wrong codes that a login may have.
const TRIES: usize = 3;
/// When a code that lives for a minute is dead by every clock, milliseconds after it was read.
pub(super) const LATE: u64 = 61_000;

impl History {
    /// Every rule that was broken, and by what.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for event in self.granted() {
            let rules = [
                (event.typed == Typed::Wrong, "a wrong code was granted"),
                (event.typed == Typed::Replaced, "a code was granted that another had replaced"),
                (event.age >= LATE, "a code was granted after its end"),
                (self.is_out(event), "granted while nothing could be kept"),
            ];
            let broken = rules.into_iter().filter(|(broken, _)| *broken);
            faults.extend(broken.map(|(_, rule)| format!("{rule}: {event:?}")));
        }
        for (challenge, events) in by(&self.events, |event| &event.challenge) {
            let count = |told| events.iter().filter(|event| event.told == told).count();
            let first = events.iter().find(|event| event.told == Told::Granted);
            let later = |event: &&&Event| first.is_some_and(|first| first.end < event.sent);
            let rules = [
                (count(Told::Granted) > 1, "a login was granted twice"),
                (count(Told::Wrong) > TRIES, "a login had more tries than there are"),
                (
                    events.iter().filter(later).any(|event| event.told == Told::Wrong),
                    "a wrong code was judged after the grant",
                ),
            ];
            let broken = rules.into_iter().filter(|(broken, _)| *broken);
            faults.extend(broken.map(|(_, rule)| format!("{rule}: {challenge}: {events:?}")));
        }
        for (account, events) in by(&self.events, |event| &event.account) {
            let recorded = self.recorded.get(account).copied().unwrap_or_default();
            let count = |holds: fn(&Event) -> bool| events.iter().filter(|it| holds(it)).count();
            let granted = count(|event| event.told == Told::Granted);
            let wrong = count(|event| event.told == Told::Wrong);
            let perhaps = count(|event| event.typed == Typed::Right && is_unknown(event));
            let sent = count(|event| event.typed == Typed::Wrong);
            let guessed = self.guessed.iter().any(|it| it == account);
            let rules = [
                (recorded.granted < granted, "a grant that was told is not on record"),
                (recorded.granted > granted + perhaps, "more grants are on record than were told"),
                (recorded.wrong < wrong, "a wrong code that was told is not on record"),
                (recorded.wrong > sent, "more wrong codes are on record than were sent"),
                (guessed && recorded.wrong > BUDGET, "more wrong codes than the account's budget"),
            ];
            let broken = rules.into_iter().filter(|(broken, _)| *broken);
            faults.extend(broken.map(|(_, rule)| {
                format!("{rule}: {account}: {recorded:?}, told {granted} grants, {wrong} wrong")
            }));
        }
        faults
    }

    fn granted(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.told == Told::Granted)
    }

    /// Whether all of it, from before it was sent until it was told, lies in one outage of its host: what
    /// was under way when the outage began may have been committed by then.
    fn is_out(&self, event: &Event) -> bool {
        let within = |out: &Outage| out.from < event.sent && event.end < out.to;
        self.outages.iter().any(|out| out.host == event.host && within(out))
    }
}

/// Whether it may have been committed, and nobody was told.
fn is_unknown(event: &Event) -> bool {
    matches!(event.told, Told::Nothing | Told::Unavailable)
}

fn by(events: &[Event], key: fn(&Event) -> &String) -> BTreeMap<&String, Vec<&Event>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        groups.entry(key(event)).or_default().push(event);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of one account: a wrong code and the right one at a host, which then is cut off.
    fn sound() -> History {
        let event = |typed, sent, told| Event {
            host: 0,
            account: "u1".to_owned(),
            challenge: "c1".to_owned(),
            typed,
            sent,
            end: sent + 1,
            age: 10,
            told,
        };
        History {
            events: vec![
                event(Typed::Wrong, 1, Told::Wrong),
                event(Typed::Right, 3, Told::Granted),
                event(Typed::Right, 5, Told::Denied),
            ],
            outages: vec![Outage { host: 0, from: 4, to: 20 }],
            recorded: [("u1".to_owned(), Recorded { granted: 1, wrong: 1 })].into(),
            guessed: Vec::new(),
        }
    }

    fn change(history: &mut History, granted: usize, wrong: usize) {
        history.recorded.insert("u1".to_owned(), Recorded { granted, wrong });
    }

    /// Puts a fault into a sound history.
    type Break = fn(&mut History);

    #[test]
    fn the_checker_sees_every_fault() {
        assert_eq!(sound().faults(), Vec::<String>::new());
        let faults: [(&str, Break); 15] = [
            ("a wrong code was granted", |h| h.events[1].typed = Typed::Wrong),
            ("a code was granted that another had replaced", |h| {
                h.events[1].typed = Typed::Replaced;
            }),
            ("a code was granted after its end", |h| h.events[1].age = LATE),
            ("granted while nothing could be kept", |h| h.outages[0].from = 2),
            ("a login was granted twice", |h| {
                h.outages.clear();
                h.events[2].told = Told::Granted;
                change(h, 2, 1);
            }),
            // Two hosts at the same time, as when each has a server of its own.
            ("a login was granted twice", |h| {
                let first = h.events[1].clone();
                h.events.push(Event { host: 1, ..first });
                change(h, 2, 1);
            }),
            ("a login had more tries than there are", |h| {
                let wrong = h.events[0].clone();
                h.events.extend([wrong.clone(), wrong.clone(), wrong]);
                change(h, 1, 4);
            }),
            ("a wrong code was judged after the grant", |h| {
                h.events[2] =
                    Event { told: Told::Wrong, typed: Typed::Wrong, ..h.events[2].clone() };
                change(h, 1, 2);
            }),
            ("a grant that was told is not on record", |h| change(h, 0, 1)),
            ("more grants are on record than were told", |h| change(h, 3, 1)),
            ("a wrong code that was told is not on record", |h| change(h, 1, 0)),
            ("more wrong codes are on record than were sent", |h| change(h, 1, 2)),
            ("more wrong codes than the account's budget", |h| {
                let wrong = h.events[0].clone();
                let each = |nth: usize| Event { challenge: format!("d{nth}"), ..wrong.clone() };
                h.events.extend((0..BUDGET).map(each));
                h.guessed.push("u1".to_owned());
                change(h, 1, BUDGET + 1);
            }),
            ("granted while nothing could be kept", |h| {
                let cut = Outage { host: 1, ..h.outages[0] };
                h.outages.push(cut);
                let other = Event {
                    host: 1,
                    challenge: "c2".to_owned(),
                    told: Told::Granted,
                    ..h.events[2].clone()
                };
                h.events.push(other);
                change(h, 2, 1);
            }),
            ("a code was granted after its end", |h| h.events[1].age = u64::MAX),
        ];
        for (rule, break_it) in faults {
            let mut history = sound();
            break_it(&mut history);
            let found = history.faults();
            let seen = |found: &String| found.split(':').next() == Some(rule);
            assert!(found.iter().any(seen), "{rule}: {found:?}");
        }
    }

    #[test]
    fn what_may_be_is_no_fault() {
        let sounds: [(&str, Break); 5] = [
            ("under way when the outage began", |h| h.outages[0].from = 3),
            ("told after it was over", |h| {
                h.outages[0] = Outage { host: 0, from: 2, to: 4 };
            }),
            ("another host's outage", |h| {
                h.outages[0] = Outage { host: 1, from: 0, to: 20 };
            }),
            ("committed without a word", |h| {
                h.events[1].told = Told::Nothing;
                h.outages.clear();
            }),
            ("a forgiven account", |h| {
                let wrong = h.events[0].clone();
                let each = |nth: usize| Event { challenge: format!("d{nth}"), ..wrong.clone() };
                h.events.extend((0..BUDGET).map(each));
                change(h, 1, BUDGET + 1);
            }),
        ];
        for (what, make) in sounds {
            let mut history = sound();
            make(&mut history);
            assert_eq!(history.faults(), Vec::<String>::new(), "{what}");
        }
    }
}
