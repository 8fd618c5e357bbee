//! A recovery code that was typed at the prompt of a login.

use std::sync::Arc;

use super::{Answer, Answered, Denial, Ledger, Notice, Terms, WithheldNotice, answer::Proof};
use crate::domain::{
    account::Account,
    audit::{Actor, Event},
    challenge::{Challenge, End},
    enrollment::Enrollment,
    passcode::ChallengeToken,
    phone::{E164, Line},
    records::{Decided, Records},
    recovery::{Entered, RecoveryCode, RecoveryHash},
    time::Timestamp,
};

/// A login that a recovery code let in, for the words to its owner.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Whose.
    pub account: Account,
    /// The login.
    pub token: ChallengeToken,
    /// Recovery codes not used yet.
    pub left: u8,
    /// Where the owner can be told by a text message: nowhere when the line takes none, nothing may be
    /// sent to its country, or its owner asked for an end to messages.
    pub tell: Option<E164>,
}

impl Answer {
    /// Compares a recovery code. Neither the code's life nor the limits of wrong codes matter, and
    /// neither a try nor one of those is charged: it has a budget of its own.
    pub(super) fn recover(
        &self,
        mut ledger: Ledger,
        enrollment: &Enrollment,
        code: &RecoveryCode,
    ) -> Decided<Answered> {
        // By the key that they were made with: the master may have been replaced since.
        let key = self.terms.issuer.key.of(ledger.records.login.recovery.key_id());
        let now = ledger.now;
        let hash = RecoveryHash::of(key, &ledger.account, code);
        let barred = ledger.takes_no_code(self.token, &self.terms);
        let standing = ledger.recovery_standing(ledger.source_of(self.token), &self.terms);
        match ledger.records.login.recovery.enter(key, &hash, standing, now) {
            Entered::Right { left } => {
                ledger.note(self.token, Event::RecoveryCodeUsed { left });
                // Written down before it is sent: a thief must not go unnoticed by a restart.
                ledger.records.login.recovery.tell(self.token);
                self.grant(ledger, enrollment, Proof::Recovery { left })
            }
            Entered::Wrong { tries_left } => {
                ledger.note(self.token, Event::RecoveryCodeWrong { tries_left });
                match ledger.records.login.recovery.held(standing, now) {
                    // Nothing else could be typed there.
                    Some(held) if barred => self.deny(ledger, Some(End::Spent), Denial::Held(held)),
                    None if barred => {
                        let notice = WithheldNotice::Wrong { tries_left };
                        self.ask_without_code(ledger, enrollment, notice)
                    }
                    Some(_) | None => {
                        self.ask(ledger, enrollment, Notice::RecoveryWrong { tries_left })
                    }
                }
            }
            Entered::Held(held) if barred => {
                self.deny(ledger, Some(End::Spent), Denial::Held(held))
            }
            // The code that was sent can still be typed.
            Entered::Held(held) => {
                let (limit, until) = (held.limit.as_str(), held.until);
                ledger.note(self.token, Event::RecoveryCodeHeld { limit, until });
                self.ask(ledger, enrollment, Notice::RecoveryHeld(held))
            }
            Entered::NoCodes if barred => {
                self.ask_without_code(ledger, enrollment, WithheldNotice::Begin)
            }
            Entered::NoCodes => self.ask(ledger, enrollment, Notice::NoRecovery),
        }
    }
}

/// The owner's notice that a code was used, `left` of them being left. `stopped`: nothing may be sent
/// to the number.
pub(super) fn notice(
    terms: &Terms,
    account: &Account,
    token: ChallengeToken,
    enrollment: &Enrollment,
    left: u8,
    stopped: bool,
) -> Recovered {
    let tell = tellable(terms, enrollment, stopped);
    Recovered { account: account.clone(), token, left, tell }
}

/// Where a notice to the owner of a number can go, if anywhere.
fn tellable(terms: &Terms, enrollment: &Enrollment, stopped: bool) -> Option<E164> {
    let to = &enrollment.destination;
    let sendable = !stopped
        && terms.countries.contains(&to.country)
        && match to.line {
            Line::Mobile | Line::FixedOrMobile => true,
            Line::Fixed => false,
        };
    sendable.then(|| to.number.clone())
}

/// Who is told that `new` took the place of `old`, so that nobody loses the second factor without a
/// word: a number that was proved, is another one, and can be told.
pub(in crate::domain) fn replaced(
    records: &Records,
    terms: &Terms,
    old: &Enrollment,
    new: &Enrollment,
) -> Option<E164> {
    let theirs = old.number() != new.number() && old.verified_at().is_some();
    // Its budget is read with the account, whose number it is until then.
    let stopped = records.opted_out(old.index).is_some();
    theirs.then(|| tellable(terms, old, stopped)).flatten()
}

/// The notice that an earlier run of the daemon did not get to.
#[derive(Clone, Debug)]
pub struct Retell {
    /// What holds.
    pub terms: Arc<Terms>,
    /// The login that used the code.
    pub token: ChallengeToken,
}

impl Retell {
    /// Decides; the notice, if its owner was not told yet.
    pub fn decide(&self, records: &Records, _: Timestamp) -> Decided<Option<Box<Recovered>>> {
        let recovery = &records.login.recovery;
        let notice = match (&records.account, &records.enrollment) {
            (Some(account), Some(enrollment)) if recovery.untold() == Some(self.token) => {
                let left = recovery.left();
                let stopped = records.opted_out(enrollment.index).is_some();
                let (terms, token) = (&self.terms, self.token);
                Some(Box::new(notice(terms, account, token, enrollment, left, stopped)))
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        Decided::unchanged(records, notice)
    }
}

impl Ledger {
    /// Whether this login takes recovery codes alone: it has no code, or wrong codes keep every code
    /// from being compared.
    pub(super) fn takes_no_code(&self, token: ChallengeToken, terms: &Terms) -> bool {
        self.purse(token, terms).is_err()
            || self.challenge(token).is_some_and(Challenge::is_withheld)
    }
}

/// What an owner is told by a message without a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A recovery code let somebody in.
    RecoveryCodeUsed,
    /// Another number took the place of this one.
    NumberReplaced,
}

impl About {
    /// As it is written down.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecoveryCodeUsed => "recovery-code-used",
            Self::NumberReplaced => "number-replaced",
        }
    }
}

/// What became of the message that tells the owner.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whose.
    pub account: Account,
    /// The login, or the proof of the new number, that it was about; `None`: a number that was entered
    /// without a message.
    pub token: Option<ChallengeToken>,
    /// What it was about.
    pub about: About,
    /// Gateways that did not take it, with their reasons.
    pub failures: Vec<(String, String)>,
    /// The gateway that took it or may have, the vendor's name for it, and whether that is certain.
    pub sent: Option<(String, Option<String>, bool)>,
    /// The number and the gateway that says that it was told to stop.
    pub opted_out: Option<(E164, String)>,
}

impl Told {
    /// Writes it down. What went out counts in the cap on all messages, which is about what they cost.
    /// It is charged to no budget of an account or a number: there are never more of these than
    /// recovery codes and proved numbers, they need no answer, and they must not use up the messages
    /// with which their reader logs in.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let mut ledger = Ledger::new(self.account.clone(), Actor::Daemon, records, now);
        let failed = self.failures.iter().cloned();
        let failed = failed.map(|(gateway, reason)| Event::MessageFailed { gateway, reason });
        let sent = self.sent.clone().map(|(gateway, vendor_id, certain)| Event::MessageSent {
            gateway,
            vendor_id,
            certain,
        });
        let told = Event::OwnerTold { about: self.about.as_str(), sent: sent.is_some() };
        if sent.is_some()
            && let Some(site) = ledger.records.site()
        {
            site.charge_answered(now);
        }
        failed.chain(sent).chain([told]).for_each(|event| ledger.note(self.token, event));
        if let (About::RecoveryCodeUsed, Some(token)) = (self.about, self.token) {
            ledger.records.login.recovery.told(token);
        }
        // A number that was replaced is the account's no more.
        if let (About::RecoveryCodeUsed, Some(token), Some((number, gateway))) =
            (self.about, self.token, &self.opted_out)
            && let Some(same) = records.enrollment.as_ref().filter(|now| now.number() == number)
        {
            ledger.opt_out(token, same.index, number.ending(), gateway);
        }
        ledger.decided(())
    }
}
