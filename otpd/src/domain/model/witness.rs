//! What somebody sees who stands outside and writes everything down: it knows which codes were sent and
//! what was said, and nothing of how the daemon decides.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    moment::{Message, Reply, Said},
    rows::{Rows, rules, time},
};
use crate::domain::{passcode::ChallengeToken, time::Timestamp};

/// The history of one world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Witness {
    /// Every login that was ever stored.
    pub(super) logins: BTreeMap<ChallengeToken, Fate>,
    /// Messages that a commit ordered, in the order of their codes.
    pub(super) messages: Vec<Message>,
    /// Wrong codes that were told to be wrong.
    pub(super) told_wrong: usize,
    /// Wrong codes whose charge is on disk.
    pub(super) charged: usize,
    /// Invariants of single steps that one of them broke.
    pub(super) broken: BTreeSet<&'static str>,
}

/// What is known about one login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Fate {
    /// Times that somebody was told that it is granted.
    pub(super) granted: u8,
    /// Times that somebody was told that a code of it is wrong.
    pub(super) told_wrong: u8,
    /// Wrong codes it may still have, as stored.
    pub(super) tries_left: u8,
    /// How it ended.
    pub(super) end: Option<&'static str>,
}

impl Witness {
    pub(super) fn new(rows: &Rows) -> Self {
        let mut witness = Self::default();
        witness.committed(rows, "");
        witness
    }

    /// New rows are on disk. `broken`: the name of what is broken if something ended lives again, or got
    /// tries back.
    pub(super) fn committed(&mut self, rows: &Rows, broken: &'static str) {
        for challenge in &rows.records().login.challenges {
            let end = rows.end(challenge.token);
            let fate = self
                .logins
                .entry(challenge.token)
                .or_insert_with(|| Fate { tries_left: challenge.tries_left, ..Fate::default() });
            if fate.end.is_some() && fate.end != end || challenge.tries_left > fate.tries_left {
                self.broken.insert(broken);
            }
            fate.end = fate.end.or(end);
            fate.tries_left = fate.tries_left.min(challenge.tries_left);
        }
        let fates = self.logins.values();
        self.charged = fates.map(|fate| usize::from(rules().rules.tries - fate.tries_left)).sum();
    }

    /// An answer left a daemon; whether it arrives is another matter.
    pub(super) fn told(&mut self, token: Option<ChallengeToken>, said: Said) {
        let Some(fate) = token.and_then(|token| self.logins.get_mut(&token)) else { return };
        match said.reply {
            Reply::Granted => fate.granted += 1,
            Reply::Prompted(_) | Reply::Asked | Reply::Denied => {}
        }
        // Asked again or denied: the claimant knows that this code was not the one.
        fate.told_wrong += u8::from(said.wrong);
        self.told_wrong += usize::from(said.wrong);
    }

    /// The newest code that was ever made for a login.
    pub(super) fn newest(&self, token: ChallengeToken) -> Option<&Message> {
        self.messages.iter().rfind(|message| message.token == token)
    }

    /// Whether the newest code of a login may be typed.
    pub(super) fn lives(&self, token: ChallengeToken, now: Timestamp) -> bool {
        let over = self.logins.get(&token).is_none_or(|fate| fate.end.is_some());
        let dies = |message: &Message| time(message.issued).after(rules().rules.life);
        !over && self.newest(token).is_some_and(|message| now < dies(message))
    }

    /// Messages that were charged and belong to no login that succeeded.
    pub(super) fn unanswered(&self) -> usize {
        let used = |message: &Message| {
            self.logins.get(&message.token).is_some_and(|fate| fate.end == Some("used"))
        };
        let counts = |message: &&Message| !message.refunded && !used(message);
        self.messages.iter().filter(counts).count()
    }
}
