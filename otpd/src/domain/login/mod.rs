//! A login, from the first question to its end: one decision a file.

mod abandon;
mod allowance;
mod answer;
mod arrived;
mod begin;
mod bypassed;
mod delivered;
mod merged;
mod pressed;
mod recover;
mod recovery;
mod undelivered;
mod withheld;

pub use abandon::Abandon;
pub use allowance::holding;
pub use answer::{Answer, Answered, Notice, Typed};
pub use arrived::Arrived;
pub use begin::{Begin, Begun};
pub use delivered::{Delivered, Result as DeliveryResult};
pub use pressed::WrongKey;
pub use recover::Recover;
pub(super) use recovery::replaced;
pub use recovery::{About, Recovered, Retell, Told};
pub(super) use undelivered::LEFT_TO_ADMINISTRATOR;
pub use undelivered::{Cause, REPEATS, SentBefore, Undelivered, UndeliveredBefore};
pub use withheld::{Why, Withheld, WithheldNotice};

use std::{collections::BTreeSet, time::Duration};

use minicbor::{Decode, Encode};

use super::{
    account::{Account, Source},
    audit::{Actor, AuditEvent, Event},
    budget::{Failures, Held, KNOWN_FOR, Limits, Messages},
    bypass::Bypasses,
    challenge::{AttemptKey, Challenge, Channel, CodeRules, Delivery, Issuer, Resend, State},
    enrollment::{Enrollment, NumberIndex},
    passcode::{ChallengeToken, Passcode, Purpose, Reference},
    phone::{Country, E164, Ending, Line},
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
        match (enrollment.channel, enrollment.destination.line) {
            (Channel::Voice, Line::Mobile | Line::FixedOrMobile) if !self.voice => Channel::Sms,
            (channel, _) => channel,
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
    /// The challenges that are live here, and not any more after this.
    pub fn ended_by<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = ChallengeToken> + 'a {
        let lives = |token| {
            let mut kept = after.challenges.iter();
            kept.any(|challenge| challenge.token == token && challenge.is_live())
        };
        let live = self.challenges.iter().filter(|challenge| challenge.is_live());
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
    /// ages from now on.
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

/// A message that the decision wants sent, with the only copy of the code. It leaves the store
/// after the commit and is never stored.
#[derive(Clone, Debug)]
pub struct Order {
    /// The challenge.
    pub token: ChallengeToken,
    /// Whose.
    pub account: Account,
    /// What the code is for.
    pub purpose: Purpose,
    /// PAM service, for the text.
    pub service: String,
    /// Where to.
    pub to: E164,
    /// The number's budget.
    pub index: NumberIndex,
    /// How.
    pub channel: Channel,
    /// The code.
    pub code: Passcode,
    /// In the text.
    pub reference: Reference,
    /// When the code was issued: tells the codes of one challenge apart.
    pub issued_at: Timestamp,
    /// When the code dies.
    pub expires_at: Timestamp,
    /// When it was charged; the code may be older.
    pub charged_at: Timestamp,
    /// How often this code was sent again by itself before: 0 for the first message.
    pub repeat: u8,
    /// The gateway that carried the code before, to be tried last.
    pub avoid: Option<String>,
    /// Gateways that took this very code and did not bring it there: not asked again.
    pub lost_by: Vec<String>,
}

impl Order {
    pub(super) fn new(
        challenge: &Challenge,
        account: &Account,
        enrollment: &Enrollment,
        code: Passcode,
        avoid: Option<String>,
    ) -> Self {
        Self {
            token: challenge.token,
            account: account.clone(),
            purpose: challenge.purpose,
            service: challenge.service.clone(),
            to: enrollment.number().clone(),
            index: enrollment.index,
            channel: challenge.channel,
            code,
            reference: challenge.reference(),
            issued_at: challenge.issued_at,
            expires_at: challenge.expires_at(),
            charged_at: challenge.issued_at,
            repeat: challenge.repeats,
            avoid,
            lost_by: Vec::new(),
        }
    }
}

/// The gateway that took the newest message, for [`Order::avoid`].
pub(super) fn carrier(challenge: &Challenge) -> Option<String> {
    match &challenge.delivery {
        Delivery::Accepted { gateway }
        | Delivery::Uncertain { gateway }
        | Delivery::Undelivered { gateway, .. } => Some(gateway.clone()),
        Delivery::Sending { .. } | Delivery::Unsent => None,
    }
}

/// How far the newest message is, as a prompt says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No vendor has answered yet, or none clearly.
    Sending,
    /// A vendor took it.
    Sent,
    /// A vendor took it and says that it did not arrive; the code is right all the same.
    Lost,
    /// No gateway took it.
    Failed,
    /// The person at the number asked for an end to messages, so that none goes out.
    Stopped,
}

/// All that a prompt tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The challenge.
    pub token: ChallengeToken,
    /// How the newest code travels.
    pub channel: Channel,
    /// Last two digits of the number.
    pub ending: String,
    /// The newest message's reference.
    pub reference: Reference,
    /// How far that message is.
    pub progress: Progress,
    /// Whether `r` may still help.
    pub may_resend: bool,
    /// Whether `v` may still help.
    pub may_call: bool,
    /// Seconds until then; 0: now. Also when it may not, for a message that fails after all.
    pub resend_in: u32,
    /// Wrong codes still allowed.
    pub tries_left: u8,
    /// Recovery codes that could be used now.
    pub recovery: u8,
}

impl View {
    /// Says how far the newest message is by now.
    pub fn report(&mut self, progress: Progress) {
        self.progress = progress;
        // A call would be a message all the same.
        self.may_call &= progress != Progress::Stopped;
    }

    /// `recovery`: recovery codes that could be used now.
    fn of(
        challenge: &Challenge,
        enrollment: &Enrollment,
        terms: &Terms,
        recovery: u8,
        now: Timestamp,
    ) -> Self {
        let may_resend = challenge.may_resend(now) != Resend::Never;
        Self {
            token: challenge.token,
            channel: challenge.channel,
            ending: enrollment.number().ending().to_owned(),
            reference: challenge.reference(),
            progress: match challenge.delivery {
                Delivery::Sending { .. } | Delivery::Uncertain { .. } => Progress::Sending,
                Delivery::Accepted { .. } => Progress::Sent,
                Delivery::Undelivered { .. } => Progress::Lost,
                Delivery::Unsent => Progress::Failed,
            },
            may_resend,
            may_call: may_resend && terms.voice,
            resend_in: challenge.resend_in(now),
            tries_left: challenge.tries_left,
            recovery,
        }
    }
}

/// The fixed word of the audit for what an opt-out keeps from happening.
pub(super) const OPTED_OUT: &str = "opted-out";

/// Why a login is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// NSS knows no such account.
    NoAccount,
    /// No number is registered.
    NotEnrolled,
    /// The number is not proved yet.
    NotVerified,
    /// An administrator switched the account off.
    Disabled,
    /// Nothing may be sent to the number's country any more.
    Country,
    /// The person at the number, which ends so, asked for an end to messages.
    OptedOut(Ending),
    /// A limit holds.
    Held(Held),
    /// The store has no room for a new code.
    Full,
    /// The tries are used up.
    Spent,
    /// The code expired, and the one fresh code too.
    Expired,
    /// Codes have more digits since this one was issued.
    Outgrown,
    /// The claimant gave up.
    Quit,
    /// Said before on this connection, or nothing to say: no text.
    Silent,
}

impl Denial {
    /// The fixed word of the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAccount => "no-such-account",
            Self::NotEnrolled => "not-enrolled",
            Self::NotVerified => "not-verified",
            Self::Disabled => "disabled",
            Self::Country => "country-not-allowed",
            Self::OptedOut(_) => OPTED_OUT,
            Self::Held(held) => held.limit.as_str(),
            Self::Full => "store-full",
            Self::Spent => "tries-used-up",
            Self::Expired => "code-expired",
            Self::Outgrown => "code-too-short-by-now",
            Self::Quit => "given-up",
            Self::Silent => "denied-before",
        }
    }
}

impl Denial {
    /// When the limit ends that it is for, if it is for one and the limit ends by itself.
    #[must_use]
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Held(held) => held.until,
            Self::NoAccount
            | Self::NotEnrolled
            | Self::NotVerified
            | Self::Disabled
            | Self::Country
            | Self::OptedOut(_)
            | Self::Full
            | Self::Spent
            | Self::Expired
            | Self::Outgrown
            | Self::Quit
            | Self::Silent => None,
        }
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
