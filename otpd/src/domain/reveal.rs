//! Root has a number shown in full: it is written down before it is said.

use super::{
    account::Account,
    audit::{Actor, Event},
    login::Ledger,
    phone::E164,
    records::{Decided, Records},
    time::Timestamp,
};

/// Asks for an account's number.
#[derive(Clone, Debug)]
pub struct Reveal {
    /// Whose.
    pub account: Account,
    /// Who asks.
    pub uid: u32,
}

impl Reveal {
    /// Decides; the number, `None` when the account has none.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Option<E164>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let number = ledger.records.enrollment.as_ref().map(|found| found.number().clone());
        let event = match &number {
            Some(number) => Event::NumberRevealed { ending: number.ending().to_owned() },
            None => Event::Refused { verb: "show", reason: "not-enrolled", until: None },
        };
        ledger.note(None, event);
        ledger.decided(number)
    }
}

#[cfg(test)]
mod tests {
    use super::Reveal;
    use crate::domain::scene::{Scene, account};

    #[test]
    fn a_number_is_not_said_without_being_written_down() {
        let mut scene = Scene::new();
        let mut reveal = |name| {
            let reveal = Reveal { account: account(name), uid: 0 };
            let number = scene.decide(Some(account(name)), None, |r, now| reveal.decide(r, now));
            (number.map(|number| number.expose().to_owned()), scene.events())
        };
        let told = (Some("+13125550142".to_owned()), vec!["number-revealed".to_owned()]);
        assert_eq!(reveal("alice"), told);
        assert_eq!(reveal("mallory"), (None, vec!["refused not-enrolled".to_owned()]));
    }
}
