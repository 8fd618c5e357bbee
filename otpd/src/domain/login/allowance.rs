//! Whether a message may go: every budget that it counts in, asked and charged together.

use super::{Denial, Ledger, Terms};
use crate::domain::{
    account::Source,
    audit::Event,
    budget::{Conversion, Held, LimitName, Purse, Standing, Traffic, later},
    challenge::Channel,
    enrollment::{Enrollment, NumberIndex, State},
    passcode::ChallengeToken,
    records::{BudgetKey, Records, TrafficKey},
    time::{HOUR, Timestamp},
};

/// A message that may go, once it is charged.
#[must_use]
pub(super) struct Allowance {
    /// How it may go.
    pub(super) channel: Channel,
    account: Purse,
    number: Purse,
}

impl Ledger {
    /// Where a login comes from, as budgets see it.
    pub(super) fn standing(&self, source: Option<Source>, terms: &Terms) -> Standing {
        let shared = source.is_some_and(|source| terms.shared_sources.contain(source));
        let known = self.records.login.knows(source, self.now) && !shared;
        if known { Standing::Known } else { Standing::Other }
    }

    /// The same for recovery codes: nobody is at a console from afar.
    pub(super) fn recovery_standing(&self, source: Option<Source>, terms: &Terms) -> Standing {
        match source {
            None => Standing::Known,
            Some(_) => self.standing(source, terms),
        }
    }

    /// Where a login comes from.
    pub(super) fn source_of(&self, token: ChallengeToken) -> Option<Source> {
        self.challenge(token).and_then(|challenge| challenge.source)
    }

    /// What pays for a wrong code in this login.
    ///
    /// # Errors
    /// The limit that keeps every code from being compared there.
    pub(super) fn purse(&self, token: ChallengeToken, terms: &Terms) -> Result<Purse, Held> {
        let standing = self.standing(self.source_of(token), terms);
        self.records.login.failures.purse(standing, self.now)
    }

    /// Asks as [`Self::allow`] does, for a message that goes by text where it may not go by a call: the limit
    /// on calls is lower than that on messages, and a login that began with a call must not wait for it.
    ///
    /// # Errors
    /// As of [`Self::allow`].
    pub(super) fn allow_some(
        &mut self,
        enrollment: &Enrollment,
        terms: &Terms,
        channel: Channel,
        source: Option<Source>,
    ) -> Result<Allowance, Denial> {
        match self.allow(enrollment, terms, channel, source) {
            Err(Denial::Held(held))
                if held.limit == LimitName::CallsPerDay && enrollment.takes_texts() =>
            {
                self.allow(enrollment, terms, Channel::Sms, source)
            }
            allowed => allowed,
        }
    }

    /// Asks whether a message may go to the enrolled number.
    ///
    /// # Errors
    /// Why not: the country, an opt-out, or the limit that holds longest.
    pub(super) fn allow(
        &mut self,
        enrollment: &Enrollment,
        terms: &Terms,
        channel: Channel,
        source: Option<Source>,
    ) -> Result<Allowance, Denial> {
        if !terms.countries.contains(&enrollment.destination.country) {
            return Err(Denial::Country);
        }
        if self.records.opted_out(enrollment.index).is_some() {
            return Err(Denial::OptedOut(enrollment.number().last_two()));
        }
        let (now, limits) = (self.now, &terms.limits);
        let standing = self.standing(source, terms);
        let account = self.records.login.messages.purse(limits, channel, standing, now);
        let number = match self.records.number_budget(enrollment.index) {
            Some(number) => number.messages.purse(limits, channel, standing, now),
            None => Err(unread(LimitName::MessagesPerDay, now)),
        };
        let together = self.held_together(enrollment, terms, standing);
        match (account, number, together) {
            (Ok(account), Ok(number), None) => Ok(Allowance { channel, account, number }),
            (account, number, together) => {
                let held = later(later(account.err(), number.err()), together);
                Err(held.map_or(Denial::Silent, Denial::Held))
            }
        }
    }

    /// The limit on what many accounts do together, if one holds. None but the cap on all messages
    /// stops a known source, or the first message an hour of an account that logged in lately: else
    /// whoever has a few passwords could keep everybody out.
    fn held_together(
        &mut self,
        enrollment: &Enrollment,
        terms: &Terms,
        standing: Standing,
    ) -> Option<Held> {
        let (now, limits, enrolled) = (self.now, &terms.limits, self.records.enrolled);
        let [range, country, all] =
            TrafficKey::of(enrollment).map(|key| self.records.traffic.get(&key));
        let (Some(range), Some(country), Some(all)) = (range, country, all) else {
            return Some(unread(LimitName::AllPerDay, now));
        };
        let capped = all.capped(limits, now);
        let login = &self.records.login;
        let first =
            login.succeeded_lately(enrollment, now) && login.messages.within(HOUR, now) == 0;
        if standing == Standing::Known || first {
            return capped;
        }
        [
            country.country_held(enrolled, now),
            all.all_held(enrolled, limits, now),
            range.blocked(limits, now),
            country.blocked(limits, now),
        ]
        .into_iter()
        .fold(capped, later)
    }

    /// Charges a message to every budget, and looks whether those to its range and to its country
    /// are answered.
    pub(super) fn charge(
        &mut self,
        allowance: &Allowance,
        enrollment: &Enrollment,
        terms: &Terms,
        token: ChallengeToken,
    ) {
        let now = self.now;
        let Allowance { channel, account, number } = *allowance;
        self.records.login.messages.charge(token, channel, account, now);
        if let Some(budget) = self.records.number_budget(enrollment.index) {
            budget.messages.charge(token, channel, number, now);
        }
        for key in TrafficKey::of(enrollment) {
            let Some(traffic) = self.records.traffic.get_mut(&key) else { continue };
            let scope = match key {
                TrafficKey::All => {
                    traffic.charge_all(now);
                    continue;
                }
                TrafficKey::Range(_) => "range",
                TrafficKey::Country(_) => "country",
            };
            traffic.charge(now);
            if let Some(low) = traffic.find_low_conversion(now) {
                let event = Event::ConversionLow {
                    scope,
                    country: enrollment.destination.country.as_str().to_owned(),
                    messages: low.counted,
                    answered: low.answered,
                    blocked: terms.limits.conversion == Conversion::Block,
                };
                self.note(token, event);
            }
        }
    }

    /// Takes back the charge of a message to a number that was surely not sent: an outage of the
    /// vendors must not use up the messages that the user needs when it is over.
    pub(super) fn refund(&mut self, number: NumberIndex, token: ChallengeToken, at: Timestamp) {
        let now = self.now;
        let Some(refunded) = self.records.login.messages.refund(token, at, now) else { return };
        if let Some(number) = self.records.number_budget(number) {
            number.messages.refund(token, at, now);
        }
        // The account may have another number by now; then what the old one counts in keeps it.
        let same = self.records.enrollment.clone().filter(|now| now.index == number);
        if let Some(same) = same {
            self.each_traffic(&same, |traffic| traffic.refund(at, refunded));
        }
    }

    /// The login succeeded: its messages are answered, in every budget.
    pub(super) fn answered(&mut self, enrollment: &Enrollment, token: ChallengeToken) {
        let unanswered = self.records.login.messages.unanswered_of(token);
        for at in unanswered {
            self.each_traffic(enrollment, |traffic| traffic.answer(at));
        }
        self.records.login.messages.answer(token);
        if let Some(number) = self.records.number_budget(enrollment.index) {
            number.messages.answer(token);
        }
    }

    /// The login ended without success: its messages will not be answered any more.
    pub(super) fn unanswered(&mut self, token: ChallengeToken) {
        let Some(enrollment) = self.records.enrollment.clone() else { return };
        let unanswered = self.records.login.messages.unanswered_of(token);
        for at in unanswered {
            self.each_traffic(&enrollment, |traffic| traffic.close(at));
        }
    }

    /// The carrier could not deliver a message to this number: it says nothing about who answers.
    pub(super) fn undelivered(&mut self, number: NumberIndex, at: Timestamp) {
        let same = self.records.enrollment.clone().filter(|now| now.index == number);
        if let Some(same) = same {
            self.each_traffic(&same, |traffic| traffic.undeliver(at));
        }
    }

    fn each_traffic(&mut self, enrollment: &Enrollment, mut act: impl FnMut(&mut Traffic)) {
        for key in TrafficKey::of(enrollment) {
            self.records.traffic.get_mut(&key).into_iter().for_each(&mut act);
        }
    }
}

/// What holds an account back now, for an administrator; known sources and first messages may be
/// excepted from some of it.
#[must_use]
pub fn holding(records: &Records, terms: &Terms, now: Timestamp) -> Vec<Held> {
    let Some(enrollment) = &records.enrollment else { return Vec::new() };
    let (login, limits, enrolled) = (&records.login, &terms.limits, records.enrolled);
    let number = records.budgets.get(&BudgetKey::Number(enrollment.index));
    let [range, country, all] = TrafficKey::of(enrollment).map(|key| records.traffic.get(&key));
    let call = terms.voice.then_some(Channel::Voice);
    let channels = [terms.channel(enrollment)].into_iter().chain(call);
    let messages = channels.flat_map(|channel| {
        let number = number.and_then(|number| number.messages.held(limits, channel, now));
        [login.messages.held(limits, channel, now), number]
    });
    // Of no matter any more once the number is proved.
    let recovery = login.recovery.held(Standing::Other, now).filter(|_| login.recovery.left() > 0);
    let pending = number.filter(|_| enrollment.state == State::Pending);
    let further = [
        recovery,
        pending.and_then(|number| number.proofs_held(now)),
        country.and_then(|country| country.country_held(enrolled, now)),
        all.and_then(|all| all.all_held(enrolled, limits, now)),
        all.and_then(|all| all.capped(limits, now)),
        range.and_then(|range| range.blocked(limits, now)),
        country.and_then(|country| country.blocked(limits, now)),
    ];
    let mut holding = Vec::new();
    for held in [login.failures.held(now)].into_iter().chain(messages).chain(further).flatten() {
        // The account and its number have the same limits; one line says enough.
        if !holding.iter().any(|other: &Held| other.limit == held.limit) {
            holding.push(held);
        }
    }
    holding
}

/// A budget that was not read cannot be charged, so nothing may be sent on it.
fn unread(limit: LimitName, now: Timestamp) -> Held {
    Held { limit, since: now, until: None }
}
