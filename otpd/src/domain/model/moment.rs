//! Everything at one moment.

use super::{rows::Rows, witness::Witness};
use crate::domain::passcode::ChallengeToken;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    pub(super) rows: Rows,
    pub(super) daemons: [Daemon; 2],
    pub(super) sessions: Vec<Session>,
    /// Messages at the account's telephone.
    pub(super) phone: Vec<u8>,
    /// Codes that were drawn so far.
    pub(super) drawn: u8,
    pub(super) faults: u8,
    pub(super) ticks: u8,
    pub(super) witness: Witness,
}

/// A daemon, without its memory of the rows: it has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Daemon {
    /// Which run it is of any daemon.
    pub(super) instance: u32,
    pub(super) job: Option<Job>,
    /// Messages that it shall hand to a vendor, whose codes only it knows.
    pub(super) sending: Vec<u8>,
}

/// A request that is being served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Job {
    pub(super) session: usize,
    pub(super) said: Said,
    /// What is still to be written; none once that is done.
    pub(super) rows: Option<(Rows, Option<Message>)>,
    pub(super) answered: bool,
}

/// An answer, and whether it tells that a code is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) reply: Reply,
    pub(super) wrong: bool,
}

/// An answer, as far as it matters to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reply {
    Prompted(ChallengeToken),
    Asked,
    Granted,
    Denied,
}

/// A message that a decision ordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) token: ChallengeToken,
    /// Which of all codes.
    pub(super) drawn: u8,
    /// At which step of time.
    pub(super) issued: u8,
    pub(super) refunded: bool,
}

/// A person at a prompt, with the module between.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) token: Option<ChallengeToken>,
    /// What the module waits for.
    pub(super) waiting: Option<Typing>,
    /// The module has repeated its request: it does so once.
    pub(super) repeated: bool,
    pub(super) answers: u8,
    pub(super) end: Option<Outcome>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Granted,
    Denied,
    /// The module gave up waiting, which is a denial.
    Unanswered,
}

/// What a session asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Typing {
    /// Nothing is typed yet: the login begins.
    Nothing,
    /// The newest code that came for this login.
    Right,
    /// The first one, when there is a newer one.
    Earlier,
    /// The newest code that came for another login.
    Crossed,
    Wrong,
    Resend,
    Quit,
}

impl Moment {
    /// The codes that came for a session's login, the newest last.
    pub(super) fn received(&self, session: usize) -> impl DoubleEndedIterator<Item = u8> {
        let token = self.sessions[session].token;
        let own = move |message: &&Message| Some(message.token) == token;
        let messages = self.witness.messages.iter().filter(own).map(|message| message.drawn);
        messages.filter(|drawn| self.phone.contains(drawn))
    }

    pub(super) fn crossed(&self, session: usize) -> Option<u8> {
        (0..self.sessions.len()).filter(|other| *other != session).find_map(|other| {
            self.sessions[other].token.and_then(|_| self.received(other).next_back())
        })
    }

    pub(super) fn message(&self, drawn: u8) -> &Message {
        let found = self.witness.messages.iter().find(|message| message.drawn == drawn);
        found.expect("it was ordered")
    }
}
