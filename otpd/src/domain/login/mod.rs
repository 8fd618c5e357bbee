//! A login, from the first question to its end: one decision a file.

mod abandon;
mod allowance;
mod answer;
mod arrived;
mod begin;
mod bypassed;
mod delivered;
mod denial;
mod merged;
mod order;
mod pressed;
mod recover;
mod recovery;
mod undelivered;
mod view;
mod withheld;

pub use abandon::Abandon;
pub use allowance::holding;
pub use answer::{Answer, Answered, Notice, Typed};
pub use arrived::Arrived;
pub use begin::{Begin, Begun};
pub use delivered::{Delivered, Result as DeliveryResult};
pub use denial::Denial;
pub(super) use denial::OPTED_OUT;
pub use order::Order;
pub(super) use order::{avoided, refused_before};
pub use pressed::WrongKey;
pub use recover::Recover;
pub(super) use recovery::replaced;
pub use recovery::{About, Recovered, Retell, Told};
pub(super) use undelivered::LEFT_TO_ADMINISTRATOR;
pub use undelivered::{Cause, REPEATS, SentBefore, Undelivered, UndeliveredBefore};
pub use view::{Progress, View};
pub use withheld::{Why, Withheld, WithheldNotice};

use std::{collections::BTreeSet, time::Duration};

use minicbor::{Decode, Encode};

use super::{
    account::{Account, Source},
    audit::{Actor, AuditEvent, Event},
    budget::{Failures, KNOWN_FOR, Limits, Messages},
    bypass::Bypasses,
    challenge::{AttemptKey, Challenge, Channel, CodeRules, Issuer, State},
    enrollment::Enrollment,
    passcode::ChallengeToken,
    phone::Country,
    policy::{SharedSources, Unenrolled},
    records::Records,
    recovery::{Recovery, RecoveryHash},
    time::Timestamp,
};

/// How long an ended login is remembered: sshd runs the stack up to three times a connection.
pub const REMEMBERED: Duration = Duration::from_mins(10);
/// Live logins of one account from one source; one more supersedes the oldest of them.
pub const LIVE_PER_SOURCE: usize = 3;
/// Live logins of one account, those from known sources not counted.
pub const LIVE_PER_ACCOUNT: usize = 8;
/// Known sources that are remembered.
const KNOWN_SOURCES: usize = 16;
/// Refused attempts that are remembered: enough for what runs at once.
const REFUSED: usize = 16;
/// Ended challenges that are remembered. While no gateway takes a message, and none is charged,
/// nothing else would bound them.
const ENDED: usize = 16;

/// What holds for decisions about logins: the site's rules and this run's key.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What happens to an account without a proved number.
    pub unenrolled: Unenrolled,
    /// Rules for new challenges.
    pub rules: CodeRules,
    /// Limits on messages.
    pub limits: Limits,
    /// Countries that messages may go to.
    pub countries: BTreeSet<Country>,
    /// Where many people come from: a success from there makes nobody's source known.
    pub shared_sources: SharedSources,
    /// Whether a call can be offered.
    pub voice: bool,
    /// Issues codes.
    pub issuer: Issuer,
}

impl Terms {
    /// How a code travels: as the enrollment says, but by text where nothing can call any more and
    /// the line may take texts.
    pub(super) fn channel(&self, enrollment: &Enrollment) -> Channel {
        match enrollment.channel {
            Channel::Voice if !self.voice && enrollment.takes_texts() => Channel::Sms,
            channel => channel,
        }
    }
}

/// A source from which the account logged in with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct KnownSource {
    #[n(0)]
    source: Source,
    #[n(1)]
    last: Timestamp,
}

/// An attempt that was denied; sshd's further runs of it are denied without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Refused {
    #[n(0)]
    attempt: AttemptKey,
    #[n(1)]
    at: Timestamp,
    /// The claimant gave up; whoever then types the password again wants to try again.
    #[n(2)]
    gave_up: bool,
}

/// What is stored of an account's logins, in one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LoginState {
    /// Live ones, and ended ones for [`REMEMBERED`].
    #[n(0)]
    pub challenges: Vec<Challenge>,
    /// Wrong codes.
    #[n(1)]
    pub failures: Failures,
    /// Messages to log in.
    #[n(2)]
    pub messages: Messages,
    #[n(3)]
    known: Vec<KnownSource>,
    #[n(4)]
    refused: Vec<Refused>,
    /// Recovery codes; rows from before there were any have none.
    #[cbor(n(5), default)]
    pub recovery: Recovery,
    /// Bypasses; likewise.
    #[cbor(n(6), default)]
    pub bypasses: Bypasses,
    /// When the account last logged in with success, wherever from.
    #[n(7)]
    succeeded: Option<Timestamp>,
}

impl LoginState {
    /// The challenges whose code is live here, and not any more after this.
    pub fn ended_by<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = ChallengeToken> + 'a {
        let has_code = |challenge: &&Challenge| challenge.is_live() && !challenge.is_withheld();
        let lives = move |token| {
            after.challenges.iter().filter(has_code).any(|challenge| challenge.token == token)
        };
        let live = self.challenges.iter().filter(has_code);
        live.map(|challenge| challenge.token).filter(move |token| !lives(*token))
    }

    /// Puts there what administrators gave the account, where that is stored apart; whatever else
    /// there was of it counts for nothing.
    pub fn set_given(&mut self, codes: Vec<RecoveryHash>, bypasses: Bypasses) {
        self.recovery.set_codes(codes);
        self.bypasses = bypasses;
    }

    /// Forgets what stands in for the account's number: the next one of its name must not find it.
    pub fn forget_stand_ins(&mut self) {
        self.recovery.forget();
        self.bypasses.clear();
    }

    /// As it is once the account's number is lost: nothing stands in for that, and nothing is under way.
    /// What counts against guessing stays.
    #[must_use]
    pub fn without_number(mut self) -> Self {
        self.forget_stand_ins();
        self.challenges.clear();
        self
    }

    /// Drops what no rule looks at any more. What lies in the future, by a clock that was ahead,
    /// ages from now on; but for challenges, of which there are never more than so many.
    pub fn prune(&mut self, now: Timestamp) {
        self.failures.settle(now);
        self.messages.settle(now);
        self.recovery.settle(now);
        self.bypasses.prune(now);
        self.challenges.retain(|challenge| match challenge.state {
            // One that nobody answered is kept as long after its life as one that was ended.
            State::Live { .. } | State::Withheld => {
                challenge.expires_at().is_within(REMEMBERED, now)
            }
            State::Ended { at, .. } => at.is_within(REMEMBERED, now),
        });
        let ended = self.challenges.iter().filter(|challenge| !challenge.is_live()).count();
        let mut surplus = ended.saturating_sub(ENDED);
        self.challenges.retain(|challenge| {
            let oldest = surplus > 0 && !challenge.is_live();
            surplus -= usize::from(oldest);
            !oldest
        });
        self.refused.iter_mut().for_each(|refused| refused.at = refused.at.min(now));
        self.known.iter_mut().for_each(|known| known.last = known.last.min(now));
        self.succeeded = self.succeeded.map(|at| at.min(now));
        self.refused.retain(|refused| refused.at.is_within(REMEMBERED, now));
        self.known.retain(|known| known.last.is_within(KNOWN_FOR, now));
        self.succeeded = self.succeeded.filter(|at| at.is_within(KNOWN_FOR, now));
    }

    /// Whether the account logged in with success from this source in the last 30 days.
    #[must_use]
    pub fn knows(&self, source: Option<Source>, now: Timestamp) -> bool {
        self.known
            .iter()
            .any(|known| Some(known.source) == source && known.last.is_within(KNOWN_FOR, now))
    }

    /// Whether the account logged in with success in the last 30 days, or proved its number: else
    /// nobody could log in for the first time while the site is bombed.
    fn succeeded_lately(&self, enrollment: &Enrollment, now: Timestamp) -> bool {
        let proved = enrollment.verified_at();
        self.succeeded.max(proved).is_some_and(|at| at.is_within(KNOWN_FOR, now))
    }

    fn learn(&mut self, source: Option<Source>, now: Timestamp) {
        self.succeeded = Some(now);
        let Some(source) = source else { return };
        self.known.retain(|known| known.source != source);
        self.known.push(KnownSource { source, last: now });
        let surplus = self.known.len().saturating_sub(KNOWN_SOURCES);
        self.known.drain(..surplus);
    }

    fn refuse(&mut self, attempt: Option<AttemptKey>, denial: Denial, now: Timestamp) {
        let Some(attempt) = attempt else { return };
        let gave_up = denial == Denial::Quit;
        self.refused.push(Refused { attempt, at: now, gave_up });
        let surplus = self.refused.len().saturating_sub(REFUSED);
        self.refused.drain(..surplus);
    }

    /// Whether this run of an attempt is denied without a word. `by_itself`: nobody typed anything
    /// since the run before.
    fn was_refused(&self, attempt: Option<AttemptKey>, by_itself: bool, now: Timestamp) -> bool {
        self.refused.iter().any(|refused| {
            Some(refused.attempt) == attempt
                && refused.at.is_within(REMEMBERED, now)
                && (by_itself || !refused.gave_up)
        })
    }

    /// Live challenges whose code has not expired.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> usize {
        self.challenges.iter().filter(|c| c.is_live() && !c.is_expired(now)).count()
    }
}

/// The records under a decision, and the events it leaves.
pub(super) struct Ledger {
    pub(super) account: Account,
    actor: Actor,
    pub(super) now: Timestamp,
    pub(super) records: Records,
    audit: Vec<AuditEvent>,
}

impl Ledger {
    pub(super) fn new(account: Account, actor: Actor, records: &Records, now: Timestamp) -> Self {
        let mut records = records.clone();
        records.login.prune(now);
        records.budgets.values_mut().for_each(|budget| budget.settle(now));
        records.traffic.values_mut().for_each(|traffic| traffic.settle(now));
        Self { account, actor, now, records, audit: Vec::new() }
    }

    pub(super) fn note(&mut self, request: impl Into<Option<ChallengeToken>>, event: Event) {
        let request: Option<ChallengeToken> = request.into();
        self.audit.push(AuditEvent {
            at: self.now,
            request: request.map(ChallengeToken::request),
            account: self.account.clone(),
            actor: self.actor,
            event,
        });
    }

    pub(super) fn decided<A>(self, answer: A) -> super::records::Decided<A> {
        super::records::Decided { records: self.records, audit: self.audit, answer }
    }
}

pub(super) fn issued(challenge: &Challenge, enrollment: &Enrollment, why: &'static str) -> Event {
    Event::CodeIssued {
        service: challenge.service.clone(),
        source: challenge.source.map(|source| source.to_string()),
        channel: challenge.channel.as_str(),
        reference: challenge.reference().to_string(),
        ending: enrollment.number().ending().to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests;
