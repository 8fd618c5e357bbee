//! A prompt without a code: none may be sent, or compared, but a recovery code can be typed.

use super::{
    Answer, Answered, Begin, Begun, Denial, LIVE_PER_ACCOUNT, LIVE_PER_SOURCE, Ledger, Terms,
};
use crate::domain::{
    audit::Event,
    budget::{Held, Standing},
    challenge::{Challenge, End, Question},
    enrollment::Enrollment,
    passcode::{ChallengeToken, Purpose},
    records::Decided,
};

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
    /// The store has no room for a new code.
    Full,
    /// What kept the code back is over: another login gets one.
    Over,
}

impl Why {
    /// The reason for a prompt without a code. There is no such prompt for what a recovery code is no
    /// answer to.
    fn of(denial: Denial) -> Option<Self> {
        match denial {
            Denial::Held(held) => Some(Self::Limit(held)),
            Denial::Country => Some(Self::Country),
            Denial::Full => Some(Self::Full),
            Denial::NoAccount
            | Denial::NotEnrolled
            | Denial::NotVerified
            | Denial::Disabled
            | Denial::Spent
            | Denial::Expired
            | Denial::Outgrown
            | Denial::Quit
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
        let recovery = ledger.records.login.recovery.usable(ledger.now);
        let Some(why) = Why::of(denial).filter(|_| recovery > 0) else {
            return self.deny(ledger, denial);
        };
        if let Some(token) = self.resumable(&mut ledger) {
            ledger.note(token, Event::LoginResumed { service: self.service.clone() });
            return ledger.decided(Begun::Withheld(Withheld { token, why, recovery }));
        }
        if !self.make_room_without_code(&mut ledger) {
            return self.deny(ledger, denial);
        }
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
        let challenge = Challenge::withheld(&question, &self.draw, ledger.now);
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

    /// A login that gets no message must not end one that has: it takes the place of another
    /// without a code, or there is none for it.
    fn make_room_without_code(&self, ledger: &mut Ledger) -> bool {
        let (login, now) = (&ledger.records.login, ledger.now);
        let known = |source| ledger.standing(source, &self.terms) == Standing::Known;
        let live = login.challenges.iter().filter(|c| c.purpose == Purpose::Login && c.is_live());
        let mut same = live
            .clone()
            .filter(|challenge| challenge.source == self.source && challenge.is_withheld())
            .map(|challenge| (challenge.issued_at, challenge.token))
            .collect::<Vec<_>>();
        same.sort_unstable();
        let surplus = (same.len() + 1).saturating_sub(LIVE_PER_SOURCE);
        let superseded = same.iter().take(surplus).map(|(_, token)| *token).collect::<Vec<_>>();
        let counted = live
            .filter(|c| !c.is_expired(now) && !superseded.contains(&c.token))
            .filter(|c| !known(c.source))
            .count();
        if counted >= LIVE_PER_ACCOUNT && !known(self.source) {
            return false;
        }
        for token in superseded {
            ledger.end(token, End::Superseded);
        }
        true
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
        let denial = ledger.keeps_code_back(enrollment, &self.terms, token);
        let recovery = ledger.records.login.recovery.usable(now);
        if recovery == 0 {
            let held = ledger.records.login.recovery.held(now).map(Denial::Held);
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
        let usable = ledger.records.login.recovery.usable(ledger.now) > 0;
        if !usable || Why::of(denial).is_none() {
            return self.deny(ledger, Some(end), denial);
        }
        let Some(challenge) = ledger.challenge_mut(self.token) else {
            return ledger.decided(Answered::Unknown);
        };
        challenge.withhold();
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
    ) -> Option<Denial> {
        if let Err(held) = self.purse(token, terms) {
            return Some(Denial::Held(held));
        }
        let channel = terms.channel(enrollment);
        let withheld = self.challenge(token).filter(|challenge| challenge.is_withheld())?;
        let source = withheld.source;
        self.allow(enrollment, terms, channel, source).err()
    }
}
