//! What the claimant typed.

use std::{sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    Denial, Ledger, OPTED_OUT, Order, Recovered, Terms, View, Withheld, WithheldNotice,
    recovery::notice,
};
use crate::domain::{
    audit::{Actor, Event},
    budget::{Held, Purse},
    challenge::{ANSWERS, Challenge, Channel, Delivery, End, Judgement, Resend},
    enrollment::{Enrollment, State as EnrollmentState},
    passcode::{ChallengeToken, Draw, LONG, Passcode, Purpose},
    records::{Decided, Records},
    recovery::RecoveryCode,
    time::Timestamp,
};

/// An answer to a challenge.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What holds.
    pub terms: Arc<Terms>,
    /// The challenge.
    pub token: ChallengeToken,
    /// As typed.
    pub typed: Typed,
    /// Whether the store's disk is full.
    pub full: bool,
    /// For a fresh code.
    pub draw: Draw,
}

/// Typed text; it may be a code, or a password typed in the wrong place.
#[derive(Clone)]
pub struct Typed(Zeroizing<String>);

impl Typed {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(in crate::domain) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(..)")
    }
}

/// What follows from an answer.
#[derive(Clone, Debug)]
pub enum Answered {
    /// The right code, in time, for the first time.
    Granted,
    /// The login is over.
    Denied(Denial, ChallengeToken),
    /// There is no such challenge.
    Unknown,
    /// The claimant is asked again; perhaps a message is to be sent.
    Ask(Notice, View, Option<Box<Order>>),
    /// A recovery code, for the first time; its owner is to be told.
    Recovered(Box<Recovered>),
    /// The claimant is asked for a recovery code alone.
    AskRecovery(WithheldNotice, Withheld),
}

/// What a login is granted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The right code.
    Code,
    /// A recovery code.
    Recovery {
        /// Those not used yet.
        left: u8,
    },
}

/// What stands above the next prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What can be typed.
    Help,
    /// Not the code.
    Wrong,
    /// Not the newest code.
    Earlier,
    /// The code expired; a fresh one was issued.
    Renewed {
        /// When it expired.
        expired_at: Timestamp,
    },
    /// The code was lost with the daemon that was sending it; a fresh one was issued.
    Replaced,
    /// A fresh code was issued as the claimant asked.
    Resent,
    /// Not yet.
    TooSoon {
        /// Seconds to wait.
        seconds: u32,
    },
    /// No more messages in this login.
    NoMoreMessages,
    /// A limit keeps the message from being sent.
    Held(Held),
    /// The person at the number asked for an end to messages.
    Stopped,
    /// There is nothing that could call.
    NoVoice,
    /// Not a recovery code of the account.
    RecoveryWrong {
        /// Wrong ones still allowed in this hour.
        tries_left: u8,
    },
    /// Recovery codes were wrong too often, so what may be one was not compared.
    RecoveryHeld(Held),
    /// The account has no recovery codes.
    NoRecovery,
}

/// What the typed text means.
enum Reply {
    Help,
    Quit,
    Resend,
    Voice,
    Code(Passcode),
    Recovery(RecoveryCode),
}

impl Reply {
    /// Whatever has no code's shape and is no command asks for help; it is never a try.
    fn parse(typed: &Typed, digits: u8) -> Self {
        match typed.0.trim() {
            "r" | "R" => Self::Resend,
            "v" | "V" => Self::Voice,
            "q" | "Q" => Self::Quit,
            text => match (Passcode::typed(text, digits), RecoveryCode::typed(text)) {
                (Some(code), _) => Self::Code(code),
                (None, Some(code)) => Self::Recovery(code),
                (None, None) => Self::Help,
            },
        }
    }
}

impl Answer {
    /// Decides.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Answered> {
        let unknown = || Decided::unchanged(records, Answered::Unknown);
        let Some(account) = records.account.clone() else { return unknown() };
        let mut ledger = Ledger::new(account, Actor::Claimant, records, now);
        let Some(challenge) = ledger.challenge_mut(self.token) else { return unknown() };
        if challenge.purpose != Purpose::Login {
            return unknown();
        }
        challenge.answers = challenge.answers.saturating_add(1);
        let (answers, expired) = (challenge.answers, challenge.is_expired(now));
        let reply = Reply::parse(&self.typed, challenge.digits);
        match ledger.ended(self.token) {
            None => {}
            // Nobody has told its claimant.
            Some(End::Superseded | End::Cancelled) => {
                let outgrown = ledger.outgrown(self.token);
                let why = if outgrown { Denial::Outgrown } else { Denial::Ended };
                return self.deny(ledger, None, why);
            }
            Some(End::Used | End::Spent | End::Expired) => {
                return self.deny(ledger, None, Denial::Silent);
            }
        }
        let enrollment = match ledger.records.enrollment.clone() {
            Some(enrollment) if matches!(enrollment.state, EnrollmentState::Active { .. }) => {
                enrollment
            }
            Some(_) => return self.deny(ledger, Some(End::Cancelled), Denial::Disabled),
            None => return self.deny(ledger, Some(End::Cancelled), Denial::NotEnrolled),
        };
        let purse = ledger.purse(self.token, &self.terms);
        let source = ledger.source_of(self.token);
        // Other logins of the account may have used the budget up: no code is compared then.
        if let Err(held) = purse
            && ledger.recovery_usable(source, &self.terms) == 0
        {
            return self.deny(ledger, Some(End::Spent), Denial::Held(held));
        }
        if answers > ANSWERS {
            return self.deny(ledger, Some(End::Spent), Denial::Spent);
        }
        let withheld = ledger.challenge(self.token).is_some_and(Challenge::is_withheld);
        match (reply, purse) {
            (Reply::Quit, _) => self.deny(ledger, Some(End::Cancelled), Denial::Quit),
            (Reply::Recovery(code), _) => self.recover(ledger, &enrollment, &code),
            (_, purse) if withheld || purse.is_err() => {
                self.ask_without_code(ledger, &enrollment, WithheldNotice::Help)
            }
            // Codes have more digits since it was issued: a shorter one is not even compared.
            _ if ledger.outgrown(self.token) => {
                self.deny(ledger, Some(End::Cancelled), Denial::Outgrown)
            }
            _ if expired => self.renew_expired(ledger, &enrollment),
            (Reply::Code(code), Ok(purse)) => self.judge(ledger, &enrollment, &code, purse),
            (Reply::Resend, _) => self.resend(ledger, &enrollment, None),
            (Reply::Voice, _) if self.terms.voice => {
                self.resend(ledger, &enrollment, Some(Channel::Voice))
            }
            (Reply::Voice, _) => self.ask(ledger, &enrollment, Notice::NoVoice),
            (Reply::Help | Reply::Code(_), _) => self.ask(ledger, &enrollment, Notice::Help),
        }
    }

    fn judge(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        code: &Passcode,
        purse: Purse,
    ) -> Decided<Answered> {
        let key = &self.terms.issuer.key;
        let judgement = ledger
            .challenge(self.token)
            .map_or(Judgement::Wrong, |challenge| challenge.judge(&ledger.account, key, code));
        match judgement {
            Judgement::Right => self.grant(ledger, enrollment, Proof::Code),
            Judgement::Earlier => {
                ledger.note(self.token, Event::CodeEarlier {});
                self.ask(ledger, enrollment, Notice::Earlier)
            }
            Judgement::Wrong => {
                ledger.charge_wrong(purse);
                let tries_left = ledger.challenge_mut(self.token).map_or(0, |challenge| {
                    challenge.tries_left = challenge.tries_left.saturating_sub(1);
                    challenge.tries_left
                });
                ledger.note(self.token, Event::CodeWrong { tries_left });
                let over = tries_left == 0 || ledger.outgrown(self.token);
                ledger.end_outgrown(self.token);
                match ledger.purse(self.token, &self.terms) {
                    // A recovery code can be typed, as in the logins that the limit finds open.
                    Err(held) => {
                        let denial = Denial::Held(held);
                        self.go_on_without_code(ledger, enrollment, denial, End::Spent)
                    }
                    Ok(_) if over => self.deny(ledger, Some(End::Spent), Denial::Spent),
                    Ok(_) => self.ask(ledger, enrollment, Notice::Wrong),
                }
            }
        }
    }

    /// The only place where a login that was asked for something is granted. (A bypass, which asks for
    /// nothing, is `bypassed.rs`.)
    pub(super) fn grant(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        proof: Proof,
    ) -> Decided<Answered> {
        let (token, now) = (self.token, ledger.now);
        ledger.end(token, End::Used);
        let Some(challenge) = ledger.challenge(token) else {
            return ledger.decided(Answered::Unknown);
        };
        let (service, source) = (challenge.service.clone(), challenge.source);
        ledger.records.login.failures.succeed();
        ledger.answered(enrollment, token);
        let own = source.filter(|source| !self.terms.shared_sources.contain(*source));
        ledger.records.login.learn(own, now);
        let source = source.map(|source| source.to_string());
        ledger.note(token, Event::LoginGranted { service, source });
        let granted = match proof {
            Proof::Code => Answered::Granted,
            Proof::Recovery { left } => {
                let account = &ledger.account;
                let stopped = ledger.records.opted_out(enrollment.index).is_some();
                let notice = notice(&self.terms, account, token, enrollment, left, stopped);
                Answered::Recovered(Box::new(notice))
            }
        };
        ledger.decided(granted)
    }

    /// A code that expired is followed by one fresh code; then the login ends.
    fn renew_expired(&self, mut ledger: Ledger, enrollment: &Enrollment) -> Decided<Answered> {
        let Some(challenge) = ledger.challenge_mut(self.token) else {
            return ledger.decided(Answered::Unknown);
        };
        let (expired_at, renewed) = (challenge.expires_at(), challenge.renewed);
        challenge.renewed = true;
        if renewed {
            return self.deny(ledger, Some(End::Expired), Denial::Expired);
        }
        let notice = Notice::Renewed { expired_at };
        match ledger.renew(&self.terms, enrollment, self.token, &self.draw, None, "expired") {
            Ok((view, order)) => ledger.decided(Answered::Ask(notice, view, Some(Box::new(order)))),
            Err(denial) => self.go_on_without_code(ledger, enrollment, denial, End::Expired),
        }
    }

    fn resend(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        channel: Option<Channel>,
    ) -> Decided<Answered> {
        let now = ledger.now;
        let Some(challenge) = ledger.challenge_mut(self.token) else {
            return ledger.decided(Answered::Unknown);
        };
        let lost = self.terms.issuer.has_lost(challenge);
        // A message that no gateway took was none: sending again is not a resend.
        let unsent = lost || challenge.delivery == Delivery::Unsent;
        match challenge.may_resend(now) {
            Resend::Never if !lost => {
                let event = Event::MessageHeld { limit: "resends-used-up", until: None };
                ledger.note(self.token, event);
                return self.ask(ledger, enrollment, Notice::NoMoreMessages);
            }
            Resend::In(seconds) if !lost => {
                let until = Some(now.after(Duration::from_secs(seconds.into())));
                ledger.note(self.token, Event::MessageHeld { limit: "resend-wait", until });
                return self.ask(ledger, enrollment, Notice::TooSoon { seconds });
            }
            Resend::Now | Resend::In(_) | Resend::Never => {}
        }
        match ledger.renew(&self.terms, enrollment, self.token, &self.draw, channel, "resend") {
            Ok((mut view, order)) => {
                let source = ledger.source_of(self.token);
                let recovery = ledger.recovery_usable(source, &self.terms);
                if let Some(challenge) = ledger.challenge_mut(self.token) {
                    challenge.resends = challenge.resends.saturating_add(u8::from(!unsent));
                    view = View::of(challenge, enrollment, &self.terms, recovery, now);
                }
                ledger.decided(Answered::Ask(Notice::Resent, view, Some(Box::new(order))))
            }
            Err(Denial::Held(held)) => {
                ledger.note(self.token, Event::held(held));
                self.ask(ledger, enrollment, Notice::Held(held))
            }
            // What was sent before can still be typed.
            Err(Denial::OptedOut(_)) => {
                ledger.note(self.token, Event::MessageHeld { limit: OPTED_OUT, until: None });
                self.ask(ledger, enrollment, Notice::Stopped)
            }
            Err(denial) => self.go_on_without_code(ledger, enrollment, denial, End::Cancelled),
        }
    }

    /// Asks again. A code that was lost with an earlier run of the daemon is replaced on the way:
    /// nobody is left waiting for a message that was never sent.
    pub(super) fn ask(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        notice: Notice,
    ) -> Decided<Answered> {
        let issuer = &self.terms.issuer;
        if ledger.challenge(self.token).is_some_and(|challenge| issuer.has_lost(challenge)) {
            let renewed =
                ledger.renew(&self.terms, enrollment, self.token, &self.draw, None, "lost");
            match renewed {
                Ok((view, order)) => {
                    let notice = if notice == Notice::Wrong { notice } else { Notice::Replaced };
                    return ledger.decided(Answered::Ask(notice, view, Some(Box::new(order))));
                }
                Err(denial) => ledger.note_unreplaced(self.token, denial),
            }
        }
        let recovery = ledger.recovery_usable(ledger.source_of(self.token), &self.terms);
        match ledger.view(self.token, enrollment, &self.terms, recovery) {
            Some(view) => ledger.decided(Answered::Ask(notice, view, None)),
            None => ledger.decided(Answered::Unknown),
        }
    }

    pub(super) fn deny(
        &self,
        mut ledger: Ledger,
        end: Option<End>,
        denial: Denial,
    ) -> Decided<Answered> {
        let about = |challenge: &Challenge| {
            (challenge.service.clone(), challenge.source, challenge.attempt)
        };
        let (service, source, attempt) =
            ledger.challenge(self.token).map_or_else(Default::default, about);
        if let Some(end) = end {
            ledger.end(self.token, end);
            // sshd runs the stack again on the same connection: that is denied without a word. Only
            // one whose code expired twice, or was ended for its length, begins anew: its claimant
            // had no chance, and still waits.
            if !matches!(denial, Denial::Expired | Denial::Outgrown) {
                ledger.records.login.refuse(attempt, denial, ledger.now);
            }
        }
        let source = source.map(|source| source.to_string());
        let (reason, until) = (denial.as_str(), denial.until());
        let event = Event::LoginDenied { service, source, reason, until };
        ledger.note(self.token, event);
        ledger.decided(Answered::Denied(denial, self.token))
    }
}

impl Ledger {
    /// Whether a code is shorter than those that are issued under attack.
    pub(super) fn outgrown(&mut self, token: ChallengeToken) -> bool {
        self.wants_long_codes() && self.challenge(token).is_some_and(is_short)
    }

    /// Ends the other logins with such a code; they begin anew with a longer one. Those of other
    /// accounts, when the whole site is under attack, end when they are answered.
    fn end_outgrown(&mut self, own: ChallengeToken) {
        if !self.wants_long_codes() {
            return;
        }
        let challenges = self.records.login.challenges.iter();
        let others = challenges
            .filter(|challenge| challenge.purpose == Purpose::Login && challenge.token != own)
            .filter(|challenge| is_short(challenge))
            .map(|challenge| challenge.token)
            .collect::<Vec<_>>();
        for token in others {
            self.end(token, End::Cancelled);
        }
    }

    /// A lost code was not replaced; the claimant is told with the next answer.
    pub(super) fn note_unreplaced(&mut self, token: ChallengeToken, denial: Denial) {
        let (limit, until) = (denial.as_str(), denial.until());
        self.note(token, Event::MessageHeld { limit, until });
    }

    /// Charges a wrong code to the account and to the whole site.
    fn charge_wrong(&mut self, purse: Purse) {
        let (now, enrolled) = (self.now, self.records.enrolled);
        self.records.login.failures.charge(purse, now);
        if self.records.site().is_some_and(|site| site.charge_wrong(enrolled, now)) {
            self.note(None, Event::SiteUnderAttack {});
        }
    }
}

fn is_short(challenge: &Challenge) -> bool {
    challenge.digits < LONG && !challenge.is_withheld()
}
