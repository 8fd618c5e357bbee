//! A prompt without a code: none may be sent, or compared, but a recovery code can be typed.

use std::time::Duration;

use super::{Answer, Answered, Begin, Begun, Denial, LIVE_PER_SOURCE, Ledger, Terms};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::{Held, Standing},
    challenge::{Challenge, End, Question},
    enrollment::Enrollment,
    passcode::{ChallengeToken, Purpose},
    phone::Ending,
    records::Decided,
};

/// Logins without a code that one account may have at once, those from known sources and consoles not
/// counted: of these there are [`LIVE_PER_SOURCE`] for each source.
const WITHHELD_PER_ACCOUNT: usize = 16;
/// How long such a login from an unknown source is spared by those from others: somebody types 24
/// characters from paper.
const SPARED: Duration = Duration::from_mins(2);

/// All that such a prompt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The challenge.
    pub token: ChallengeToken,
    /// Why there is no code.
    pub why: Why,
    /// Recovery codes that can be used.
    pub recovery: u8,
}

/// Why there is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A limit holds.
    Limit(Held),
    /// Nothing may be sent to the number's country any more.
    Country,
    /// The person at the number, which ends so, asked for an end to messages.
    OptedOut(Ending),
    /// The store has no room for a new code.
    Full,
    /// What kept the code back is over: another login gets one.
    Over,
}

impl Why {
    /// The reason for a prompt without a code. There is no such prompt for what a recovery code is no
    /// answer to: with a number that is not proved, no code that it stands in for could be sent.
    fn of(denial: Denial) -> Option<Self> {
        match denial {
            Denial::Held(held) => Some(Self::Limit(held)),
            Denial::Country => Some(Self::Country),
            Denial::OptedOut(ending) => Some(Self::OptedOut(ending)),
            Denial::Full => Some(Self::Full),
            Denial::NoAccount
            | Denial::NotEnrolled
            | Denial::NotVerified
            | Denial::Disabled
            | Denial::Spent
            | Denial::Expired
            | Denial::Outgrown
            | Denial::Quit
            | Denial::Ended
            | Denial::Silent => None,
        }
    }
}

/// What stands above the next prompt of a login without a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithheldNotice {
    /// Why there is no code, as at the beginning: it cannot be compared or sent from now on.
    Begin,
    /// What can be typed.
    Help,
    /// Not a recovery code of the account.
    Wrong {
        /// Wrong ones still allowed in this hour, at least 1.
        tries_left: u8,
    },
}

impl Begin {
    /// What `denial` denies is prompted nevertheless when a recovery code can be typed: nothing is
    /// sent and nothing is charged.
    pub(super) fn withhold(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        denial: Denial,
    ) -> Decided<Begun> {
        let recovery = ledger.recovery_usable(self.source, &self.terms);
        let Some(why) = Why::of(denial).filter(|_| recovery > 0) else {
            return self.deny(ledger, denial);
        };
        if let Some(token) = self.resumable(&mut ledger) {
            ledger.note(token, Event::LoginResumed { service: self.service.clone() });
            return ledger.decided(Begun::Withheld(Withheld { token, why, recovery }));
        }
        self.make_room_without_code(&mut ledger);
        let question = Question {
            account: &self.account,
            purpose: Purpose::Login,
            service: &self.service,
            attempt: self.attempt,
            source: self.source,
            channel: self.terms.channel(enrollment),
            rules: self.terms.rules,
            long: false,
        };
        let challenge =
            Challenge::withheld(&question, self.terms.issuer.host, &self.draw, ledger.now);
        let token = challenge.token;
        ledger.records.login.challenges.push(challenge);
        let event = Event::CodeWithheld {
            service: self.service.clone(),
            source: self.source.map(|source| source.to_string()),
            reason: denial.as_str(),
        };
        ledger.note(token, event);
        ledger.decided(Begun::Withheld(Withheld { token, why, recovery }))
    }

    /// Makes room among the logins without a code. They cost nobody anything, so they never take the
    /// place of one with a code, nor keep one from beginning, and none is refused for their number:
    /// one more takes the place of another.
    fn make_room_without_code(&self, ledger: &mut Ledger) {
        if let Some(token) = self.in_the_way(ledger) {
            ledger.end(token, End::Superseded);
        }
    }

    /// The login without a code whose place this one takes: the oldest from its source where that has
    /// enough of them. What begins at other sources ends none at a known source or a console: a thief
    /// of the password has as many addresses as they like. Of the others one from whatever source has
    /// most ends; where each has one, the oldest that is not [`SPARED`], or else the newest, so that
    /// who was there first can finish.
    fn in_the_way(&self, ledger: &Ledger) -> Option<ChallengeToken> {
        let all = ledger.records.login.challenges.iter();
        let mut all = all.filter(|challenge| challenge.is_withheld()).collect::<Vec<_>>();
        all.sort_unstable_by_key(|challenge| (challenge.issued_at, challenge.token));
        let from = |source| all.iter().filter(move |challenge| challenge.source == source);
        if from(self.source).count() >= LIVE_PER_SOURCE {
            return from(self.source).next().map(|oldest| oldest.token);
        }
        let is_stranger = |source: Option<Source>| {
            ledger.recovery_standing(source, &self.terms) == Standing::Other
        };
        let strangers =
            all.iter().filter(|challenge| is_stranger(challenge.source)).collect::<Vec<_>>();
        if !is_stranger(self.source) || strangers.len() < WITHHELD_PER_ACCOUNT {
            return None;
        }
        let most = strangers.iter().map(|challenge| from(challenge.source).count()).max()?;
        let mut crowd = strangers.iter().filter(|c| from(c.source).count() == most);
        let oldest = crowd.next()?;
        let spared = most == 1
            && !oldest.is_expired(ledger.now)
            && oldest.issued_at.is_within(SPARED, ledger.now);
        Some(if spared { crowd.next_back()?.token } else { oldest.token })
    }

    /// Ends the attempt's own login without a code: this one gets a code.
    pub(super) fn end_withheld(&self, ledger: &mut Ledger) {
        let own = ledger.records.login.challenges.iter().find(|challenge| {
            challenge.is_withheld()
                && challenge.attempt.is_some()
                && challenge.attempt == self.attempt
        });
        if let Some(token) = own.map(|challenge| challenge.token) {
            ledger.end(token, End::Superseded);
        }
    }
}

impl Answer {
    /// Asks for a recovery code; denies when none can be used.
    pub(super) fn ask_without_code(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        notice: WithheldNotice,
    ) -> Decided<Answered> {
        let (now, token) = (ledger.now, self.token);
        let denial = ledger.keeps_code_back(enrollment, &self.terms, token, self.full);
        let source = ledger.source_of(token);
        let recovery = ledger.recovery_usable(source, &self.terms);
        if recovery == 0 {
            let standing = ledger.recovery_standing(source, &self.terms);
            let held = ledger.records.login.recovery.held(standing, now).map(Denial::Held);
            let denial = denial.or(held).unwrap_or(Denial::Expired);
            return self.deny(ledger, Some(End::Cancelled), denial);
        }
        let why = denial.and_then(Why::of).unwrap_or(Why::Over);
        let asked = Withheld { token, why, recovery };
        ledger.decided(Answered::AskRecovery(notice, asked))
    }

    /// A login whose next code may not be sent: it goes on for a recovery code, or ends.
    pub(super) fn go_on_without_code(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        denial: Denial,
        end: End,
    ) -> Decided<Answered> {
        let (source, now) = (ledger.source_of(self.token), ledger.now);
        let usable = ledger.recovery_usable(source, &self.terms) > 0;
        if !usable || Why::of(denial).is_none() {
            return self.deny(ledger, Some(end), denial);
        }
        let Some(challenge) = ledger.challenge_mut(self.token) else {
            return ledger.decided(Answered::Unknown);
        };
        challenge.withhold(now);
        let (service, source) = (challenge.service.clone(), challenge.source);
        let source = source.map(|source| source.to_string());
        let reason = denial.as_str();
        ledger.note(self.token, Event::CodeWithheld { service, source, reason });
        self.ask_without_code(ledger, enrollment, WithheldNotice::Begin)
    }
}

impl Ledger {
    /// What keeps this challenge's code from being compared, or from being sent.
    fn keeps_code_back(
        &mut self,
        enrollment: &Enrollment,
        terms: &Terms,
        token: ChallengeToken,
        full: bool,
    ) -> Option<Denial> {
        if let Err(held) = self.purse(token, terms) {
            return Some(Denial::Held(held));
        }
        let channel = terms.channel(enrollment);
        let withheld = self.challenge(token).filter(|challenge| challenge.is_withheld())?;
        let source = withheld.source;
        if full {
            return Some(Denial::Full);
        }
        self.allow(enrollment, terms, channel, source).err()
    }
}
