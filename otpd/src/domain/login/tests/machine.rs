//! Random sequences of everything that can happen to one account's logins, against a small model
//! that knows the invariants of a login and not how they are kept. [`crate::domain::scene`] checks
//! further ones at every step: ends are for good, tries never grow, stored forms round-trip.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Answered, Begun, undelivered::report};
use crate::domain::{
    audit::Event,
    budget::{RESERVE_MESSAGES, RESERVE_TRIES},
    challenge::{Challenge, Channel},
    login::{Cause, DeliveryResult, Order, REPEATS},
    manage::Verb,
    passcode::ChallengeToken,
    scene::{Scene, account, sent, ssh},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

#[derive(Clone, Copy, Debug)]
enum Typed {
    Right,
    Wrong,
    Earlier,
    /// The newest code of another challenge.
    Crossed,
    Text(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Begin { attempt: u8, from: u8 },
    Answer { which: usize, typed: Typed },
    Abandon { which: usize },
    Delivered { which: usize, how: u8 },
    Undelivered { which: usize },
    Advance { seconds: u64 },
    Back { seconds: u64 },
    Restart,
    Unlock,
}

fn op() -> impl Strategy<Value = Op> {
    let typed = prop_oneof![
        2 => Just(Typed::Right),
        9 => Just(Typed::Wrong),
        1 => Just(Typed::Earlier),
        1 => Just(Typed::Crossed),
        4 => prop::sample::select(vec!["r", "v", "q", "?", "", "1234567"]).prop_map(Typed::Text),
    ];
    prop_oneof![
        12 => (0u8..8, 0u8..2).prop_map(|(attempt, from)| Op::Begin { attempt, from }),
        40 => (0usize..3, typed).prop_map(|(which, typed)| Op::Answer { which, typed }),
        1 => (0usize..3).prop_map(|which| Op::Abandon { which }),
        4 => (0usize..3, 0u8..3).prop_map(|(which, how)| Op::Delivered { which, how }),
        4 => (0usize..3).prop_map(|which| Op::Undelivered { which }),
        7 => (0u64..90).prop_map(|seconds| Op::Advance { seconds }),
        2 => (90u64..4000).prop_map(|seconds| Op::Advance { seconds }),
        1 => (4000u64..40_000).prop_map(|seconds| Op::Advance { seconds }),
        1 => (0u64..7200).prop_map(|seconds| Op::Back { seconds }),
        1 => Just(Op::Restart),
        1 => Just(Op::Unlock),
    ]
}

/// A message as the world outside knows it.
struct Message {
    login: ChallengeToken,
    /// Time that really passed: it never goes back, whatever the clock does.
    at: u64,
    channel: Channel,
    settled: bool,
    taken_back: bool,
}

/// What must hold, from what was seen to happen alone.
struct Model {
    scene: Scene,
    real: u64,
    /// Wrong codes that were compared since the last unlock, in real time.
    wrong: Vec<u64>,
    messages: Vec<Message>,
    /// Challenges in the order of their issue, with the tries that are left.
    tries: BTreeMap<ChallengeToken, u8>,
    newest: Vec<ChallengeToken>,
    /// Messages that went out again by themselves.
    repeats: BTreeMap<ChallengeToken, u8>,
    used: BTreeSet<ChallengeToken>,
    over: BTreeSet<ChallengeToken>,
}

impl Model {
    /// `roomy`: with room for so many messages that wrong codes meet their limits first.
    fn new(roomy: bool) -> Self {
        let mut scene = Scene::new();
        if roomy {
            scene.terms.limits.unanswered_per_hour = 30;
            scene.terms.limits.unanswered_per_day = 60;
        }
        Self {
            scene,
            real: 0,
            wrong: Vec::new(),
            messages: Vec::new(),
            tries: BTreeMap::new(),
            newest: Vec::new(),
            repeats: BTreeMap::new(),
            used: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }

    fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Begin { attempt, from } => {
                if let Begun::Issued(view, order) = self.scene.begin(ssh(attempt).from(from)) {
                    if !self.newest.contains(&view.token) {
                        self.newest.push(view.token);
                        self.tries.insert(view.token, 3);
                    }
                    self.ordered(&order)?;
                }
            }
            Op::Answer { which, typed } => {
                if let Some(token) = self.pick(which) {
                    self.answer(token, typed)?;
                }
            }
            Op::Abandon { which } => {
                if let Some(token) = self.pick(which) {
                    self.scene.abandon(token);
                }
            }
            Op::Delivered { which, how } => self.delivered(which, how),
            Op::Undelivered { which } => self.undelivered(which)?,
            Op::Advance { seconds } => {
                self.scene.wait(seconds);
                self.real += seconds;
            }
            Op::Back { seconds } => {
                let back = std::time::Duration::from_secs(seconds);
                self.scene.now = self.scene.now.before(back);
            }
            Op::Restart => {
                self.scene.restart();
                // No run issues a code in the millisecond in which another one did.
                self.scene.now = self.scene.now.after(std::time::Duration::from_millis(1));
            }
            Op::Unlock => {
                self.scene.manage("alice", Verb::Unlock);
                self.wrong.clear();
            }
        }
        self.check()
    }

    /// One of the newest challenges, ended ones among them.
    fn pick(&self, which: usize) -> Option<ChallengeToken> {
        self.newest.iter().rev().nth(which).copied()
    }

    fn ordered(&mut self, order: &Order) -> Result<(), TestCaseError> {
        let (login, channel) = (order.token, order.channel);
        prop_assert!(!self.over.contains(&login), "a message for a login that is over");
        self.messages.push(Message {
            login,
            at: self.real,
            channel,
            settled: false,
            taken_back: false,
        });
        let count = |span: std::time::Duration, wanted: &dyn Fn(&Message) -> bool| {
            let inside = |m: &&Message| self.real - m.at < span.as_secs() && !m.taken_back;
            self.messages.iter().filter(inside).filter(|m| wanted(m)).count()
        };
        let unanswered = |m: &Message| !self.used.contains(&m.login);
        let limits = self.scene.terms.limits;
        let (hour, day) = (limits.unanswered_per_hour, limits.unanswered_per_day);
        // What a known source may have besides.
        let reserve = if self.used.is_empty() { 0 } else { RESERVE_MESSAGES };
        prop_assert!(count(HOUR, &unanswered) <= hour as usize + reserve, "in an hour");
        prop_assert!(count(DAY, &unanswered) <= day as usize + reserve, "in a day");
        prop_assert!(count(HOUR, &|_| true) <= 40);
        prop_assert!(count(DAY, &|_| true) <= 120);
        if channel == Channel::Voice {
            let calls = |m: &Message| unanswered(m) && m.channel == Channel::Voice;
            prop_assert!(count(DAY, &calls) <= 4 + reserve, "calls in a day");
        }
        Ok(())
    }

    fn delivered(&mut self, which: usize, how: u8) {
        let Some(place) = self.scene.orders.len().checked_sub(1 + which) else { return };
        let order = self.scene.orders[place].clone();
        // Sending ends once.
        if std::mem::replace(&mut self.messages[place].settled, true) {
            return;
        }
        // A challenge that is forgotten has no owner; its message stays charged.
        let known = self.scene.login("alice").challenges.iter().any(|c| c.token == order.token);
        if how == 2 && known {
            self.messages[place].taken_back = true;
        }
        let result = match how {
            0 => sent(),
            1 => DeliveryResult::Perhaps { gateway: "telnyx".to_owned() },
            _ => DeliveryResult::Failed,
        };
        self.scene.deliver(&order, result);
    }

    /// A carrier reports that a message did not arrive, of whatever login, however often.
    fn undelivered(&mut self, which: usize) -> Result<(), TestCaseError> {
        let Some(place) = self.scene.orders.len().checked_sub(1 + which) else { return Ok(()) };
        let order = self.scene.orders[place].clone();
        let newest = self.scene.code(order.token);
        let seen = self.scene.audit.len();
        let again = report(&mut self.scene, &order, "telnyx", Cause::Route);
        let events = self.scene.audit[seen..].iter();
        let reports = events.filter(|e| matches!(e.event, Event::MessageUndelivered { .. }));
        prop_assert_eq!(reports.count(), 1);
        if let Some(again) = again {
            prop_assert_eq!(again.code.expose(), newest, "another code than the newest");
            prop_assert!(self.messages[place].settled, "no vendor had it");
            prop_assert!(self.lives(&again, self.scene.now), "nobody could use it");
            let repeats = self.repeats.entry(again.token).or_default();
            *repeats += 1;
            prop_assert!(*repeats <= REPEATS);
            self.ordered(&again)?;
        }
        Ok(())
    }

    fn answer(&mut self, token: ChallengeToken, typed: Typed) -> Result<(), TestCaseError> {
        let right = self.scene.code(token);
        let other = self.newest.iter().find(|other| **other != token);
        let mut codes = self.scene.orders.iter().filter(|o| o.token == token);
        let text = match typed {
            Typed::Right => right.clone(),
            Typed::Wrong => self.scene.wrong(token),
            Typed::Earlier => codes.next().expect("a first").code.expose().to_owned(),
            Typed::Crossed => other.map_or_else(String::new, |other| self.scene.code(*other)),
            Typed::Text(text) => text.to_owned(),
        };
        let order = self.scene.orders.iter().rfind(|o| o.token == token).cloned().expect("one");
        let in_time = self.lives(&order, self.scene.now);
        let before = self.stored(token);
        let may_compare = self.may_compare();
        let seen = self.scene.audit.len();
        let answered = self.scene.answer(token, &text);
        let wrong = self.scene.audit[seen..]
            .iter()
            .filter(|e| matches!(e.event, Event::CodeWrong { .. }))
            .count();
        if wrong > 0 {
            prop_assert!(wrong == 1 && before.is_some_and(|live| live) && in_time);
            prop_assert!(text != right, "the right code is never wrong");
            prop_assert!(may_compare, "compared beyond the budget");
            self.wrong.push(self.real);
            let tries = self.tries.get_mut(&token).expect("issued");
            prop_assert!(*tries > 0);
            *tries -= 1;
        }
        match &answered {
            Answered::Granted => {
                prop_assert_eq!(&text, &right);
                prop_assert!(in_time && may_compare && before == Some(true));
                prop_assert!(self.tries[&token] > 0);
                prop_assert!(self.used.insert(token), "granted twice");
            }
            Answered::Ask(_, view, order) => {
                prop_assert_eq!(view.tries_left, self.tries[&token]);
                if let Some(order) = order {
                    self.ordered(order)?;
                }
            }
            Answered::Denied(..) | Answered::Unknown => {}
            Answered::Recovered(_) | Answered::AskRecovery(..) => {
                prop_assert!(false, "there are no recovery codes here");
            }
        }
        // Nobody locks a person out who has the code: far from every limit, right is right.
        let answers = self
            .scene
            .login("alice")
            .challenges
            .iter()
            .find(|c| c.token == token)
            .map_or(0, |c| c.answers);
        let free = self.wrong.len() < 10 && answers <= 30;
        if text == right && in_time && before == Some(true) && free {
            prop_assert!(matches!(answered, Answered::Granted), "{:?}", answered);
        }
        Ok(())
    }

    /// The newest code's life by the clock on the wall.
    fn lives(&self, order: &Order, now: Timestamp) -> bool {
        let (born, now) = (order.issued_at.0, now.0);
        now < born + 300_000 && now >= born - 5_000 && !self.used.contains(&order.token)
    }

    /// Whether the budgets of wrong codes leave room for a compare, in real time.
    fn may_compare(&self) -> bool {
        let within = |span: std::time::Duration| {
            self.wrong.iter().filter(|at| self.real - **at < span.as_secs()).count()
        };
        let reserve = if self.used.is_empty() { 0 } else { RESERVE_TRIES };
        within(MINUTE * 30) < 10 + reserve && within(DAY) < 20 + reserve && self.wrong.len() < 100
    }

    /// Whether a challenge is stored, and live.
    fn stored(&self, token: ChallengeToken) -> Option<bool> {
        let login = &self.scene.logins[&account("alice")];
        login.challenges.iter().find(|c| c.token == token).map(Challenge::is_live)
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let Some(login) = self.scene.logins.get(&account("alice")) else { return Ok(()) };
        for challenge in &login.challenges {
            prop_assert_eq!(challenge.tries_left, self.tries[&challenge.token]);
            let was_over = self.over.contains(&challenge.token);
            prop_assert!(!(was_over && challenge.is_live()), "an end was left");
            if !challenge.is_live() {
                self.over.insert(challenge.token);
            }
        }
        let stored = login.challenges.iter().map(|c| c.token).collect::<BTreeSet<_>>();
        self.over.extend(self.newest.iter().filter(|token| !stored.contains(token)));
        let live = login.challenges.iter().filter(|c| c.is_live()).count();
        prop_assert!(live <= 6, "three from each of two sources");
        prop_assert!(minicbor::to_vec(login).expect("a form").len() < 8192);
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(
        roomy in any::<bool>(),
        ops in prop::collection::vec(op(), 1..140),
    ) {
        let mut model = Model::new(roomy);
        for op in ops {
            model.run(op)?;
        }
    }
}
