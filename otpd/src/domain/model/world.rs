//! The bounds of a world, and what may happen next in it: every step is one event.

use stateright::{Model, Property};

use super::{
    moment::{Daemon, Job, Moment, Session, Typing},
    properties,
    rows::first,
    witness::Witness,
};
use crate::domain::{login::DeliveryResult, scene::sent};

/// What the store promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Ours: one decision at a time, the commit, then the answer.
    CommitsFirst,
    /// One decision at a time, the answer, then the commit.
    AnswersFirst,
    /// Nothing is locked between reading and writing.
    TwoSteps,
}

/// The bounds of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) protocol: Protocol,
    /// Sessions of the account, each on a connection of its own.
    pub(super) sessions: usize,
    /// Answers that the first of them types, and each of the others.
    pub(super) answers: [u8; 2],
    /// Faults: a daemon that dies, an answer that is lost, a message whose record is.
    pub(super) faults: u8,
    /// Steps of time; a code lives for two of them.
    pub(super) ticks: u8,
}

impl World {
    /// Each small in another respect, so that all of them are explored in less than a minute.
    pub(super) fn small() -> [(&'static str, Self); 7] {
        let protocol = Protocol::CommitsFirst;
        let alone = Self { protocol, sessions: 1, answers: [1, 0], faults: 0, ticks: 2 };
        let meet = Self { sessions: 2, answers: [1, 1], ..alone };
        [
            ("a session that answers twice", Self { answers: [2, 0], ..alone }),
            ("a session, a fault and time", Self { faults: 1, ..alone }),
            ("a session and two faults", Self { faults: 2, ticks: 0, ..alone }),
            ("two sessions and a fault", Self { faults: 1, ticks: 0, ..meet }),
            ("two sessions and time", meet),
            (
                "two sessions of which one types, a fault and time",
                Self { answers: [1, 0], faults: 1, ticks: 1, ..meet },
            ),
            ("three sessions", Self { sessions: 3, ticks: 0, ..alone }),
        ]
    }

    /// Answers before the commit; one session is enough to break that.
    pub(super) fn early() -> Self {
        let protocol = Protocol::AnswersFirst;
        Self { protocol, sessions: 1, answers: [3, 0], faults: 1, ticks: 0 }
    }

    /// Reads and writes in two steps; two sessions must meet.
    pub(super) fn unlocked(answers: [u8; 2], faults: u8) -> Self {
        Self { protocol: Protocol::TwoSteps, sessions: 2, answers, faults, ticks: 0 }
    }

    /// Explored in minutes.
    pub(super) fn large() -> [(&'static str, Self); 3] {
        let [(_, twice), _, _, _, (_, meet), ..] = Self::small();
        [
            ("a session that answers twice, two faults and time", Self { faults: 2, ..twice }),
            (
                "two sessions, one answers twice, and a fault",
                Self { answers: [2, 1], faults: 1, ticks: 0, ..meet },
            ),
            ("two sessions, a fault and time", Self { faults: 1, ..meet }),
        ]
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A session asks for something, or its module asks again; a daemon takes the request, reads and
    /// decides.
    Decide { daemon: usize, session: usize, typing: Typing },
    /// It writes.
    Commit { daemon: usize },
    /// It answers, and the answer arrives.
    Reply { daemon: usize },
    /// It answers, and the connection breaks.
    LoseReply { daemon: usize },
    /// A vendor takes its first message, and it is recorded.
    Sent { daemon: usize },
    /// A vendor takes it, and that is never recorded.
    SentUnrecorded { daemon: usize },
    /// No vendor takes it.
    Refused { daemon: usize },
    /// A daemon dies, and its next run takes up what was left.
    Crash { daemon: usize },
    /// Time passes.
    Tick,
}

impl Model for World {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        let rows = first();
        let daemon = |instance| Daemon { instance, job: None, sending: Vec::new() };
        let session =
            Session { token: None, waiting: None, repeated: false, answers: 0, end: None };
        vec![Moment {
            witness: Witness::new(&rows),
            rows,
            // The scene's own run, which sent the codes of the other logins, was the first.
            daemons: [daemon(2), daemon(3)],
            sessions: vec![session; self.sessions],
            phone: Vec::new(),
            drawn: 0,
            faults: 0,
            ticks: 0,
        }]
    }

    fn actions(&self, now: &Moment, steps: &mut Vec<Step>) {
        let faults = now.faults < self.faults;
        let busy = now.daemons.iter().any(|daemon| daemon.job.is_some());
        for (daemon, state) in now.daemons.iter().enumerate() {
            match &state.job {
                Some(job) => self.serving(daemon, job, faults, steps),
                // One decision at a time; and what comes of it reaches its session before anything else
                // happens, since nobody else could tell the difference.
                None if busy && self.protocol != Protocol::TwoSteps => {}
                None => self.asking(now, daemon, steps),
            }
            if faults {
                steps.push(Step::Crash { daemon });
            }
            if !state.sending.is_empty() && !busy {
                steps.extend([Step::Sent { daemon }, Step::Refused { daemon }]);
                steps.extend(faults.then_some(Step::SentUnrecorded { daemon }));
            }
        }
        if busy {
            return;
        }
        if now.ticks < self.ticks {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, now: &Moment, step: Step) -> Option<Moment> {
        let mut next = now.clone();
        match step {
            Step::Decide { daemon, session, typing } => next.decide(daemon, session, typing),
            Step::Commit { daemon } => next.commit(daemon),
            Step::Reply { daemon } => next.answer(daemon, true),
            Step::LoseReply { daemon } => next.answer(daemon, false),
            Step::Sent { daemon } => next.hand_over(daemon, true, Some(sent())),
            Step::SentUnrecorded { daemon } => next.hand_over(daemon, true, None),
            Step::Refused { daemon } => {
                next.hand_over(daemon, false, Some(DeliveryResult::Failed));
            }
            Step::Crash { daemon } => next.crash(daemon),
            Step::Tick => next.ticks += 1,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl World {
    /// What may follow while a daemon serves.
    fn serving(&self, daemon: usize, job: &Job, faults: bool, steps: &mut Vec<Step>) {
        let (written, early) = (job.rows.is_none(), self.protocol == Protocol::AnswersFirst);
        if !written && (job.answered || !early) {
            steps.push(Step::Commit { daemon });
        }
        if !job.answered && (written || early) {
            steps.push(Step::Reply { daemon });
            steps.extend(faults.then_some(Step::LoseReply { daemon }));
        }
    }

    /// What a daemon may be asked for: each session keeps to its own, and turns to the other one when no
    /// answer came.
    fn asking(&self, now: &Moment, daemon: usize, steps: &mut Vec<Step>) {
        for (session, state) in now.sessions.iter().enumerate() {
            let own = (session + usize::from(state.repeated)) % now.daemons.len() == daemon;
            let served =
                |daemon: &Daemon| daemon.job.as_ref().is_some_and(|j| j.session == session);
            if !own || now.daemons.iter().any(served) {
                continue;
            }
            let again = state.waiting.into_iter();
            let typings = again.chain(self.typings(now, session));
            steps.extend(typings.map(|typing| Step::Decide { daemon, session, typing }));
        }
    }

    fn typings(&self, now: &Moment, session: usize) -> impl Iterator<Item = Typing> {
        let state = &now.sessions[session];
        let idle = state.waiting.is_none() && state.end.is_none();
        let begin = idle && state.token.is_none();
        let prompted = idle && !begin && state.answers < self.answers[session.min(1)];
        let own = now.received(session).count();
        let other = now.crossed(session).is_some();
        [
            (Typing::Nothing, begin),
            (Typing::Right, prompted && own > 0),
            // Sessions are alike: it is enough that one of them tries what is never of use.
            (Typing::Earlier, prompted && own > 1),
            (Typing::Crossed, prompted && other && session == 0),
            (Typing::Wrong, prompted),
            (Typing::Resend, prompted),
            (Typing::Quit, prompted && session == 0),
        ]
        .into_iter()
        .filter_map(|(typing, possible)| possible.then_some(typing))
    }
}
