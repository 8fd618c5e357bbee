//! An end to messages, asked for by the person at a number: by a reply with STOP to any of its senders.
//!
//! It is remembered with the number's budget, which whatever sends a message reads anyway. So it holds
//! for every account with that number, for texts and for calls, and for every gateway: another sender
//! would be a way around a STOP, which carriers forbid.

mod heard;

use minicbor::{Decode, Encode};

pub use heard::{WordMark, Words};

use super::{
    account::Account,
    audit::{Actor, AuditEvent, Event},
    enrollment::{Enrollment, NumberIndex},
    login::Ledger,
    passcode::ChallengeToken,
    records::{BudgetKey, Decided, Records},
    time::Timestamp,
};

/// Accounts with one number whose trail says what the person at it asked for.
const NOTED: usize = 16;

/// That the person at a number asked for an end to messages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OptOut {
    /// When it became known.
    #[n(0)]
    pub at: Timestamp,
    /// The gateway that was told.
    #[n(1)]
    pub gateway: String,
}

/// What somebody who writes to a sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
}

/// A message that somebody sent to the number that sends codes.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Whose budget it is about.
    pub number: NumberIndex,
    /// The number's last two digits.
    pub ending: String,
    /// The gateway that was told.
    pub gateway: String,
    /// What is wanted.
    pub wish: Wish,
    /// By what the word is known again: the last, after those that it took the place of while the
    /// store had no time.
    pub marks: Vec<WordMark>,
    /// The accounts with this number.
    pub accounts: Vec<Account>,
}

impl Inbound {
    /// Decides on the records of [`Account::host`]; whether anything changed. Twice is once, and a word
    /// that was heard before is no word, whatever came between. No STOP of a stranger, whose number no account has, is kept: anybody with a telephone could fill the store,
    /// and there would be no account to unlock. What was kept before it became a stranger's is lifted.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let mut records = records.clone();
        let stranger = self.accounts.is_empty();
        let changed = records.number_budget(self.number).is_some_and(|budget| {
            let again = self
                .marks
                .last()
                .is_some_and(|mark| budget.heard.as_ref().is_some_and(|heard| heard.know(mark)));
            if again {
                return false;
            }
            if !stranger {
                let heard = budget.heard.get_or_insert_default();
                self.marks.iter().for_each(|mark| heard.remember(*mark, now));
            }
            match (self.wish, &budget.opted_out) {
                (Wish::Stop, Some(_)) | (Wish::Start, None) => false,
                (Wish::Stop, None) if stranger => false,
                (Wish::Stop, None) => {
                    let gateway = self.gateway.clone();
                    budget.opted_out = Some(OptOut { at: now, gateway });
                    true
                }
                (Wish::Start, Some(_)) => {
                    budget.opted_out = None;
                    true
                }
            }
        });
        let host = stranger.then(Account::host);
        let whose = self.accounts.iter().cloned().chain(host).take(NOTED);
        let event = |account| AuditEvent {
            at: now,
            request: None,
            account,
            actor: Actor::Daemon,
            event: self.event(),
        };
        let audit = if changed { whose.map(event).collect() } else { Vec::new() };
        Decided { records, audit, answer: changed }
    }

    fn event(&self) -> Event {
        let (ending, gateway) = (self.ending.clone(), self.gateway.clone());
        match self.wish {
            Wish::Stop => Event::OptedOut { ending, gateway },
            Wish::Start => Event::OptedIn { ending, gateway: Some(gateway) },
        }
    }
}

impl Records {
    /// Since when nothing may be sent to a number, if that is so.
    #[must_use]
    pub fn opted_out(&self, number: NumberIndex) -> Option<&OptOut> {
        self.budgets.get(&BudgetKey::Number(number))?.opted_out.as_ref()
    }
}

impl Ledger {
    /// A gateway says that the person at this number has opted out.
    pub(super) fn opt_out(
        &mut self,
        request: ChallengeToken,
        number: NumberIndex,
        ending: &str,
        gateway: &str,
    ) {
        let (at, gateway) = (self.now, gateway.to_owned());
        let Some(budget) = self.records.number_budget(number) else { return };
        if budget.opted_out.is_none() {
            budget.opted_out = Some(OptOut { at, gateway: gateway.clone() });
            self.note(request, Event::OptedOut { ending: ending.to_owned(), gateway });
        }
    }

    /// An administrator says that messages may go to the account's number again; whether they could
    /// not until now.
    pub(super) fn opt_in(&mut self, enrollment: &Enrollment) -> bool {
        let budget = self.records.number_budget(enrollment.index);
        let lifted = budget.is_some_and(|budget| budget.opted_out.take().is_some());
        if lifted {
            let ending = enrollment.number().ending().to_owned();
            self.note(None, Event::OptedIn { ending, gateway: None });
        }
        lifted
    }
}

#[cfg(test)]
mod tests;
