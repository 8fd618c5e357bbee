//! The first question of a login.

use std::sync::Arc;

use super::{
    Denial, LIVE_PER_ACCOUNT, LIVE_PER_SOURCE, Ledger, Order, Progress, Terms, View, Withheld,
    issued,
};
use crate::domain::{
    account::{Account, Source},
    audit::{Actor, Event},
    budget::{Held, LimitName, Standing},
    bypass::Bypass,
    challenge::{AttemptKey, Challenge, End, Question, State},
    enrollment::{Enrollment, State as EnrollmentState},
    passcode::{ChallengeToken, Draw, Purpose},
    policy::{Requirement, Unenrolled},
    records::{Decided, Records},
    time::Timestamp,
};

/// A login that begins, or that sshd runs again.
#[derive(Clone, Debug)]
pub struct Begin {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Who logs in.
    pub account: Account,
    /// What the host and the site's rules say about them.
    pub requirement: Requirement,
    /// PAM service.
    pub service: String,
    /// The connection, where it can be told.
    pub attempt: Option<AttemptKey>,
    /// Where from.
    pub source: Option<Source>,
    /// Whether sshd runs the stack again without anybody typing: after a key, not after a password.
    pub by_itself: bool,
    /// Whether the store's disk is full: what room there is belongs to codes that were sent, and to
    /// recovery codes.
    pub full: bool,
    /// For a new challenge.
    pub draw: Draw,
}

/// How a login begins.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It needs no code.
    Ignored,
    /// It is denied.
    Denied(Denial),
    /// It goes on: nothing is sent.
    Resumed(View),
    /// A code is to be sent.
    Issued(View, Box<Order>),
    /// Nothing may be sent, or compared; a recovery code is asked for.
    Withheld(Withheld),
    /// It is granted without a code, by this bypass as it is now.
    Bypassed(Box<Bypass>),
}

impl Begin {
    /// Decides.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Begun> {
        let mut ledger = Ledger::new(self.account.clone(), Actor::Claimant, records, now);
        match self.requirement {
            Requirement::NoAccount => return self.deny(ledger, Denial::NoAccount),
            Requirement::Nothing => return self.ignore(ledger, "exempt"),
            Requirement::Code => {}
        }
        // Before a refusal of this attempt: an administrator may have seen it and helped.
        if let Some(bypassed) = self.bypassed(&mut ledger) {
            return ledger.decided(bypassed);
        }
        if ledger.records.login.was_refused(self.attempt, self.by_itself, now) {
            return self.deny(ledger, Denial::Silent);
        }
        let Some(enrollment) = ledger.records.enrollment.clone() else {
            return self.unenrolled(ledger, Denial::NotEnrolled);
        };
        match enrollment.state {
            EnrollmentState::Active { .. } => {}
            EnrollmentState::Pending if enrollment.required => {
                return self.deny(ledger, Denial::NotVerified);
            }
            EnrollmentState::Pending => return self.unenrolled(ledger, Denial::NotVerified),
            EnrollmentState::Disabled { .. } => return self.deny(ledger, Denial::Disabled),
        }
        let standing = ledger.standing(self.source, &self.terms);
        if let Err(held) = ledger.records.login.failures.purse(standing, now) {
            return self.withhold(ledger, &enrollment, Denial::Held(held));
        }
        match self.resumable(&mut ledger) {
            // One without a code asks whether there may be one by now.
            Some(token) if !ledger.takes_no_code(token, &self.terms) => {
                self.resume(ledger, &enrollment, token)
            }
            Some(_) | None => self.issue(ledger, &enrollment),
        }
    }

    /// The live challenge of the same attempt. One whose code expired meanwhile ends here.
    pub(super) fn resumable(&self, ledger: &mut Ledger) -> Option<ChallengeToken> {
        let attempt = self.attempt?;
        let now = ledger.now;
        let found = ledger.records.login.challenges.iter().find(|challenge| {
            challenge.attempt == Some(attempt)
                && challenge.purpose == Purpose::Login
                && challenge.is_live()
        })?;
        let (token, expired) = (found.token, found.is_expired(now));
        // It was issued before the site came under attack: this run begins anew, with a longer code.
        let outgrown = ledger.outgrown(token);
        if expired || outgrown {
            ledger.end(token, if expired { End::Expired } else { End::Cancelled });
            return None;
        }
        Some(token)
    }

    fn resume(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        token: ChallengeToken,
    ) -> Decided<Begun> {
        let lost = ledger.challenge(token).is_some_and(|c| self.terms.issuer.has_lost(c));
        ledger.note(token, Event::LoginResumed { service: self.service.clone() });
        if lost {
            // The daemon that was sending the code has stopped, and no vendor is known to have it.
            return match ledger.renew(&self.terms, enrollment, token, &self.draw, None, "lost") {
                Ok((view, order)) => ledger.decided(Begun::Issued(view, Box::new(order))),
                Err(denial) => {
                    // Its attempt is refused from now on, so nobody comes back to it.
                    ledger.end(token, End::Cancelled);
                    self.withhold(ledger, enrollment, denial)
                }
            };
        }
        let recovery = ledger.recovery_usable(self.source, &self.terms);
        match ledger.view(token, enrollment, &self.terms, recovery) {
            Some(view) => ledger.decided(Begun::Resumed(view)),
            None => self.deny(ledger, Denial::Silent),
        }
    }

    fn issue(&self, mut ledger: Ledger, enrollment: &Enrollment) -> Decided<Begun> {
        let now = ledger.now;
        if self.full {
            return self.withhold(ledger, enrollment, Denial::Full);
        }
        // Before room is made: a login that gets no message must not end another.
        let channel = self.terms.channel(enrollment);
        let allowance = match ledger.allow_some(enrollment, &self.terms, channel, self.source) {
            Ok(allowance) => allowance,
            Err(denial) => return self.withhold(ledger, enrollment, denial),
        };
        self.end_withheld(&mut ledger);
        if let Some(held) = self.make_room(&mut ledger) {
            return self.withhold(ledger, enrollment, Denial::Held(held));
        }
        let question = Question {
            account: &self.account,
            purpose: Purpose::Login,
            service: &self.service,
            attempt: self.attempt,
            source: self.source,
            channel: allowance.channel,
            rules: self.terms.rules,
            long: ledger.wants_long_codes(),
        };
        let (challenge, code) = Challenge::issue(&question, &self.terms.issuer, &self.draw, now);
        ledger.charge(&allowance, enrollment, &self.terms, challenge.token);
        ledger.note(challenge.token, issued(&challenge, enrollment, "login"));
        let recovery = ledger.recovery_usable(self.source, &self.terms);
        let view = View::of(&challenge, enrollment, &self.terms, recovery, now);
        let avoid = super::refused_before(&ledger.records.login);
        let order = Order::new(&challenge, &self.account, enrollment, code, avoid);
        ledger.records.login.challenges.push(challenge);
        ledger.decided(Begun::Issued(view, Box::new(order)))
    }

    /// A fourth live login from one source supersedes the oldest; a ninth of the account has to
    /// wait, known sources not counted.
    fn make_room(&self, ledger: &mut Ledger) -> Option<Held> {
        let now = ledger.now;
        let login = &ledger.records.login;
        let known = |source| ledger.standing(source, &self.terms) == Standing::Known;
        let live = |c: &&Challenge| c.purpose == Purpose::Login && c.is_live();
        // One whose code expired is counted too: an answer would bring it a fresh code.
        let mut same = login
            .challenges
            .iter()
            .filter(live)
            .filter(|challenge| challenge.source == self.source && !challenge.is_withheld())
            .map(|challenge| (challenge.issued_at, challenge.token))
            .collect::<Vec<_>>();
        same.sort_unstable();
        let surplus = (same.len() + 1).saturating_sub(LIVE_PER_SOURCE);
        let superseded = same.iter().take(surplus).map(|(_, token)| *token).collect::<Vec<_>>();
        let counted = login
            .challenges
            .iter()
            .filter(live)
            .filter(|c| !c.is_withheld() && !c.is_expired(now) && !superseded.contains(&c.token))
            .filter(|c| !known(c.source))
            .collect::<Vec<_>>();
        if counted.len() >= LIVE_PER_ACCOUNT && !known(self.source) {
            return Some(Held {
                limit: LimitName::LiveChallenges,
                since: counted.iter().map(|c| c.issued_at).max().unwrap_or(now),
                until: counted.iter().map(|c| c.expires_at()).min(),
            });
        }
        for token in superseded {
            ledger.end(token, End::Superseded);
        }
        None
    }

    fn unenrolled(&self, ledger: Ledger, denial: Denial) -> Decided<Begun> {
        match self.terms.unenrolled {
            Unenrolled::Deny => self.deny(ledger, denial),
            Unenrolled::Ignore => self.ignore(ledger, denial.as_str()),
        }
    }

    fn ignore(&self, mut ledger: Ledger, reason: &'static str) -> Decided<Begun> {
        let service = self.service.clone();
        ledger.note(self.draw.token, Event::LoginIgnored { service, reason });
        ledger.decided(Begun::Ignored)
    }

    pub(super) fn deny(&self, mut ledger: Ledger, denial: Denial) -> Decided<Begun> {
        if denial != Denial::Silent && self.requirement != Requirement::NoAccount {
            ledger.records.login.refuse(self.attempt, denial, ledger.now);
        }
        let event = Event::LoginDenied {
            service: self.service.clone(),
            source: self.source.map(|source| source.to_string()),
            reason: denial.as_str(),
            until: denial.until(),
        };
        ledger.note(self.draw.token, event);
        ledger.decided(Begun::Denied(denial))
    }
}

impl Ledger {
    pub(super) fn challenge(&self, token: ChallengeToken) -> Option<&Challenge> {
        self.records.login.challenges.iter().find(|challenge| challenge.token == token)
    }

    pub(super) fn challenge_mut(&mut self, token: ChallengeToken) -> Option<&mut Challenge> {
        self.records.login.challenges.iter_mut().find(|challenge| challenge.token == token)
    }

    /// What the prompt of a challenge tells that goes on.
    pub(super) fn view(
        &self,
        token: ChallengeToken,
        enrollment: &Enrollment,
        terms: &Terms,
        recovery: u8,
    ) -> Option<View> {
        let challenge = self.challenge(token)?;
        let mut view = View::of(challenge, enrollment, terms, recovery, self.now);
        let nothing_came = match view.progress {
            Progress::Failed | Progress::Lost => true,
            Progress::Sending | Progress::Sent | Progress::Stopped => false,
        };
        if nothing_came && self.records.opted_out(enrollment.index).is_some() {
            view.report(Progress::Stopped);
        }
        Some(view)
    }

    /// Puts a fresh code in the place of the newest one, within the budgets, and charges it.
    ///
    /// `channel`: another one than before. Fails with the denial when no message may be sent.
    pub(super) fn renew(
        &mut self,
        terms: &Terms,
        enrollment: &Enrollment,
        token: ChallengeToken,
        draw: &Draw,
        channel: Option<crate::domain::challenge::Channel>,
        why: &'static str,
    ) -> Result<(View, Order), Denial> {
        let now = self.now;
        let before = self.challenge(token).ok_or(Denial::Silent)?;
        let (same, source) = (before.channel, before.source);
        let avoid = super::avoided(before);
        let allowance = match channel {
            Some(channel) => self.allow(enrollment, terms, channel, source)?,
            None => self.allow_some(enrollment, terms, same, source)?,
        };
        let (account, recovery) = (self.account.clone(), self.recovery_usable(source, terms));
        let long = self.wants_long_codes();
        let challenge = self.challenge_mut(token).ok_or(Denial::Silent)?;
        let code = challenge
            .reissue(&account, &terms.issuer, draw, allowance.channel, long, now)
            .ok_or(Denial::Silent)?;
        let order = Order::new(challenge, &account, enrollment, code, avoid);
        let view = View::of(challenge, enrollment, terms, recovery, now);
        let event = issued(challenge, enrollment, why);
        self.charge(&allowance, enrollment, terms, token);
        self.note(token, event);
        Ok((view, order))
    }

    /// Recovery codes that could be used now.
    pub(super) fn recovery_usable(&self, source: Option<Source>, terms: &Terms) -> u8 {
        let standing = self.recovery_standing(source, terms);
        self.records.login.recovery.usable(standing, self.now)
    }

    /// Ends a challenge and notes it. Of no effect on an ended one.
    pub(super) fn end(&mut self, token: ChallengeToken, how: End) {
        let now = self.now;
        let ended = self.challenge_mut(token).is_some_and(|challenge| challenge.end(how, now));
        if ended && how != End::Used {
            self.unanswered(token);
            self.note(token, Event::ChallengeEnded { how: how.as_str() });
        }
    }

    /// Ends every live challenge.
    pub(in crate::domain) fn end_all(&mut self, how: End) {
        let live = self.records.login.challenges.iter().filter(|challenge| challenge.is_live());
        for token in live.map(|challenge| challenge.token).collect::<Vec<_>>() {
            self.end(token, how);
        }
    }

    /// Whether codes have eight digits now: the account was guessed at often, or the site.
    pub(super) fn wants_long_codes(&mut self) -> bool {
        let (now, enrolled) = (self.now, self.records.enrolled);
        // Not knowing is no reason for a short code.
        self.records.login.failures.wants_long_codes(now)
            || self.records.site().is_none_or(|site| site.wants_long_codes(enrolled, now))
    }

    /// How the challenge ended, if it did.
    pub(super) fn ended(&self, token: ChallengeToken) -> Option<End> {
        match self.challenge(token)?.state {
            State::Ended { how, .. } => Some(how),
            State::Live { .. } | State::Withheld => None,
        }
    }
}
