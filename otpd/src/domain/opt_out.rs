//! An end to messages, asked for by the person at a number: by a reply with STOP to any of its senders.
//!
//! It is remembered with the number's budget, which whatever sends a message reads anyway. So it holds
//! for every account with that number, for texts and for calls, and for every gateway: another sender
//! would be a way around a STOP, which carriers forbid.

mod heard;

use minicbor::{Decode, Encode};

pub use heard::{REMEMBERED, Said, WordMark, Words};

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
    /// What was written, the newest last: more than one word where the store had no time for those
    /// before it.
    pub words: Vec<Said>,
    /// The accounts with this number.
    pub accounts: Vec<Account>,
}

impl Inbound {
    /// Decides on the records of [`Account::host`]; whether anything changed. The newest word counts,
    /// and one that was heard before is none, wherever it stands: told again behind a word that waits,
    /// it takes nothing from that. No STOP of a stranger, whose number no account has, is kept: anybody
    /// with a telephone could fill the store, and there would be no account to unlock. What was kept
    /// before it became a stranger's is lifted.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<bool> {
        let mut records = records.clone();
        let stranger = self.accounts.is_empty();
        let changed = records.number_budget(self.number).and_then(|budget| {
            let known =
                |said: &&Said| budget.heard.as_ref().is_some_and(|heard| heard.know(&said.mark));
            let unheard: Vec<_> = self.words.iter().filter(|said| !known(said)).collect();
            let newest = *unheard.last()?;
            if !stranger {
                let heard = budget.heard.get_or_insert_default();
                for said in &unheard {
                    heard.remember(said.mark, now);
                }
            }
            match (newest.wish, &budget.opted_out) {
                (Wish::Stop, Some(_)) | (Wish::Start, None) => None,
                (Wish::Stop, None) if stranger => None,
                (Wish::Stop, None) => {
                    let gateway = newest.gateway.clone();
                    budget.opted_out = Some(OptOut { at: now, gateway });
                    Some(newest)
                }
                (Wish::Start, Some(_)) => {
                    budget.opted_out = None;
                    Some(newest)
                }
            }
        });
        let host = stranger.then(Account::host);
        let whose = self.accounts.iter().cloned().chain(host).take(NOTED);
        let audit = changed.map_or_else(Vec::new, |said| {
            let event = |account| AuditEvent {
                at: now,
                request: None,
                account,
                actor: Actor::Daemon,
                event: self.event(said),
            };
            whose.map(event).collect()
        });
        Decided { records, audit, answer: changed.is_some() }
    }

    fn event(&self, said: &Said) -> Event {
        let (ending, gateway) = (self.ending.clone(), said.gateway.clone());
        match said.wish {
            Wish::Stop => Event::OptedOut { ending, gateway },
            Wish::Start => Event::OptedIn { ending, gateway: Some(gateway) },
        }
    }
}

/// A number whose owner opted out by the word of a gateway that is not believed any more.
#[derive(Clone, Debug)]
pub struct Disbelieved {
    /// Whose budget it is about.
    pub number: NumberIndex,
    /// The number's last two digits.
    pub ending: String,
    /// The gateway.
    pub gateway: String,
    /// The accounts with this number.
    pub accounts: Vec<Account>,
}

impl Disbelieved {
    /// Decides on the records of [`Account::host`]: messages may go to the number again. What another
    /// gateway said stays, and what the person wrote since.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<()> {
        let mut records = records.clone();
        let undone = records.number_budget(self.number).is_some_and(|budget| {
            let heard = budget.heard.as_ref();
            let refused = budget.opted_out.take_if(|opted_out| {
                let wrote = heard.is_some_and(|heard| heard.any_since(opted_out.at));
                opted_out.gateway == self.gateway && !wrote
            });
            refused.is_some()
        });
        let whose = self.accounts.iter().take(if undone { NOTED } else { 0 }).cloned();
        let event = |account| AuditEvent {
            at: now,
            request: None,
            account,
            actor: Actor::Daemon,
            event: Event::OptOutUndone {
                ending: self.ending.clone(),
                gateway: self.gateway.clone(),
            },
        };
        let audit = whose.map(event).collect();
        Decided { records, audit, answer: () }
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
