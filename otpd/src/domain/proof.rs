//! Proving that a number is the subscriber's: the message that goes to an unverified number, and
//! the code that comes back through an administrator.
//!
//! It is a challenge with the purpose `enrollment`: the same machine and the same tries as a login,
//! with a budget of its own, so that neither can use up the other.

use std::{sync::Arc, time::Duration};

use super::{
    account::Account,
    audit::{Actor, Event},
    budget::{Held, LimitName, later},
    challenge::{Challenge, Channel, Delivery, End, Judgement, Question, Resend},
    enrollment::{Enrollment, NumberIndex, RangeIndex, State},
    login::{Ledger, OPTED_OUT, Order, Terms, avoided, issued, replaced},
    passcode::{Draw, Passcode, Purpose, Reference},
    phone::{Country, Destination, E164, Line},
    records::{Decided, Records},
    register::enter,
    time::Timestamp,
};

/// A number is entered for an account.
#[derive(Clone, Debug)]
pub struct Enroll {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Whose number.
    pub account: Account,
    /// The number.
    pub destination: Destination,
    /// Finds the number's budget.
    pub index: NumberIndex,
    /// Finds what numbers like it do together.
    pub range: RangeIndex,
    /// How codes shall travel.
    pub channel: Channel,
    /// Whether it may take the place of another.
    pub replace: bool,
    /// Who enters it.
    pub uid: u32,
    /// For the challenge.
    pub draw: Draw,
}

/// What became of a verb about a proof.
#[derive(Clone, Debug)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// It was not; nothing has changed.
    Refused(Refusal),
}

/// Why a verb about a proof was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account has no number.
    NotEnrolled,
    /// It has one already.
    AlreadyEnrolled,
    /// Its number is proved already.
    AlreadyVerified,
    /// An administrator switched the account off.
    Disabled,
    /// The number's country is no longer allowed.
    Country(Country),
    /// The line cannot take text messages.
    LineTakesNoText,
    /// There is no gateway that calls.
    NoVoice,
    /// The person at the number asked for an end to messages.
    OptedOut,
    /// A limit holds.
    Held(Held),
    /// The next message may go after this many seconds.
    TooSoon(u32),
    /// No code was sent.
    NoCode,
    /// The code expired.
    Expired,
    /// The tries are used up.
    Spent,
    /// Not the code.
    Wrong {
        /// Tries still allowed, at least 1.
        tries_left: u8,
    },
    /// Not the newest code.
    Earlier {
        /// The newest message's.
        reference: Reference,
    },
    /// Not of a code's shape.
    NotACode {
        /// Digits that a code has.
        digits: u8,
    },
}

impl Refusal {
    /// The fixed word of the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not-enrolled",
            Self::AlreadyEnrolled => "already-enrolled",
            Self::AlreadyVerified => "already-verified",
            Self::Disabled => "disabled",
            Self::Country(_) => "country-not-allowed",
            Self::LineTakesNoText => "landline",
            Self::NoVoice => "no-gateway-calls",
            Self::OptedOut => OPTED_OUT,
            Self::Held(held) => held.limit.as_str(),
            Self::TooSoon(_) => "resend-wait",
            Self::NoCode => "no-code",
            Self::Expired => "code-expired",
            Self::Spent => "tries-used-up",
            Self::Wrong { .. } => "wrong-code",
            Self::Earlier { .. } => "earlier-code",
            Self::NotACode { .. } => "not-a-code",
        }
    }

    /// When it is over, if that is a matter of time.
    fn until(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Held(held) => held.until,
            Self::TooSoon(seconds) => Some(now.after(Duration::from_secs(seconds.into()))),
            Self::NotEnrolled
            | Self::AlreadyEnrolled
            | Self::AlreadyVerified
            | Self::Disabled
            | Self::Country(_)
            | Self::LineTakesNoText
            | Self::NoVoice
            | Self::OptedOut
            | Self::NoCode
            | Self::Expired
            | Self::Spent
            | Self::Wrong { .. }
            | Self::Earlier { .. }
            | Self::NotACode { .. } => None,
        }
    }
}

/// A number that was entered, and the message that proves it.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The account as it is now.
    pub enrollment: Enrollment,
    /// What is to be sent; `None`: the person at the number asked for an end to messages, which an
    /// administrator can lift now that the number is an account's.
    pub order: Option<Box<Order>>,
    /// The proved number that it took the place of, which is told so.
    pub replaced: Option<E164>,
}

impl Enroll {
    /// Decides; the account as it is now and the message to send.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<Enrolled>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let country = self.destination.country;
        if !self.terms.countries.contains(&country) {
            return refuse(ledger, ENROLL, Refusal::Country(country));
        }
        if ledger.records.enrollment.is_some() && !self.replace {
            return refuse(ledger, ENROLL, Refusal::AlreadyEnrolled);
        }
        let stopped = ledger.records.opted_out(self.index).is_some();
        let own = ledger.records.enrollment.as_ref().map(|own| own.index);
        let refusal = unfit(self.destination.line, self.channel, &self.terms).or_else(|| {
            // Without a message it is entered all the same, or no administrator could lift an opt-out
            // of a number that no account has; whose it is already can be unlocked as it is.
            if stopped && own != Some(self.index) {
                return None;
            }
            withholds(&mut ledger, self.index, &self.terms)
        });
        if let Some(refusal) = refusal {
            return refuse(ledger, ENROLL, refusal);
        }
        let enrollment =
            Enrollment::new(self.destination.clone(), self.index, self.range, self.channel, now);
        let request = (!stopped).then_some(self.draw.token);
        let (enrollment, old) = enter(&mut ledger, enrollment, request);
        let replaced =
            old.and_then(|old| replaced(&ledger.records, &self.terms, &old, &enrollment));
        let order = if stopped {
            ledger.note(None, Event::MessageHeld { limit: OPTED_OUT, until: None });
            None
        } else {
            let order = send(&mut ledger, &self.terms, &enrollment, self.channel, &self.draw);
            Some(Box::new(order))
        };
        ledger.decided(Outcome::Done(Enrolled { enrollment, order, replaced }))
    }
}

/// The code comes back.
#[derive(Clone, Debug)]
pub struct Verify {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Whose number.
    pub account: Account,
    /// As typed.
    pub typed: super::login::Typed,
    /// Who typed it.
    pub uid: u32,
}

impl Verify {
    /// Decides; the account as it is now.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<Enrollment>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let Some(mut enrollment) = ledger.records.enrollment.clone() else {
            return refuse(ledger, VERIFY, Refusal::NotEnrolled);
        };
        let (Some(newest), account) = (newest(&mut ledger), self.account.clone()) else {
            return refuse(ledger, VERIFY, Refusal::NoCode);
        };
        if let super::challenge::State::Ended { how, .. } = newest.state {
            return refuse(ledger, VERIFY, ended(how));
        }
        if newest.is_expired(now) {
            return refuse(ledger, VERIFY, Refusal::Expired);
        }
        // Nobody has this code, so whoever types one guesses.
        if newest.delivery == Delivery::Unsent {
            return refuse(ledger, VERIFY, Refusal::NoCode);
        }
        let (token, digits) = (newest.token, newest.digits);
        let Some(code) = Passcode::typed(self.typed.expose(), digits) else {
            return refuse(ledger, VERIFY, Refusal::NotACode { digits });
        };
        match newest.judge(&account, &self.terms.issuer.key, &code) {
            Judgement::Right => {
                newest.end(End::Used, now);
                enrollment.prove(now);
                ledger.records.enrollment = Some(enrollment.clone());
                let ending = enrollment.number().ending().to_owned();
                ledger.note(token, Event::Verified { ending });
                ledger.decided(Outcome::Done(enrollment))
            }
            Judgement::Earlier => {
                let reference = newest.reference();
                ledger.note(token, Event::CodeEarlier {});
                judged(ledger, Refusal::Earlier { reference })
            }
            Judgement::Wrong => {
                newest.tries_left = newest.tries_left.saturating_sub(1);
                let tries_left = newest.tries_left;
                let spent = tries_left == 0 && newest.end(End::Spent, now);
                ledger.note(token, Event::CodeWrong { tries_left });
                if spent {
                    ledger.note(token, Event::ChallengeEnded { how: End::Spent.as_str() });
                    return judged(ledger, Refusal::Spent);
                }
                judged(ledger, Refusal::Wrong { tries_left })
            }
        }
    }
}

/// Another message to prove the number.
#[derive(Clone, Debug)]
pub struct Resent {
    /// What holds.
    pub terms: Arc<Terms>,
    /// Whose number.
    pub account: Account,
    /// Call instead of texting.
    pub voice: bool,
    /// Who asks.
    pub uid: u32,
    /// For the code.
    pub draw: Draw,
}

impl Resent {
    /// Decides; the message to send.
    pub fn decide(&self, records: &Records, now: Timestamp) -> Decided<Outcome<Box<Order>>> {
        let actor = Actor::Uid(self.uid);
        let mut ledger = Ledger::new(self.account.clone(), actor, records, now);
        let Some(enrollment) = ledger.records.enrollment.clone() else {
            return refuse(ledger, RESEND, Refusal::NotEnrolled);
        };
        match enrollment.state {
            State::Pending => {}
            State::Active { .. } => return refuse(ledger, RESEND, Refusal::AlreadyVerified),
            State::Disabled { .. } => return refuse(ledger, RESEND, Refusal::Disabled),
        }
        let country = enrollment.destination.country;
        if !self.terms.countries.contains(&country) {
            return refuse(ledger, RESEND, Refusal::Country(country));
        }
        let channel = if self.voice { Channel::Voice } else { self.terms.channel(&enrollment) };
        if let Some(refusal) = unfit(enrollment.destination.line, channel, &self.terms) {
            return refuse(ledger, RESEND, refusal);
        }
        let wait = newest(&mut ledger)
            .filter(|challenge| challenge.is_live())
            .map_or(Resend::Now, |challenge| challenge.may_resend(now));
        if let Resend::In(seconds) = wait {
            return refuse(ledger, RESEND, Refusal::TooSoon(seconds));
        }
        if let Some(refusal) = withholds(&mut ledger, enrollment.index, &self.terms) {
            return refuse(ledger, RESEND, refusal);
        }
        let order = send(&mut ledger, &self.terms, &enrollment, channel, &self.draw);
        ledger.decided(Outcome::Done(Box::new(order)))
    }
}

/// What keeps a message from going to a number that is not proved: an opt-out, or a limit.
pub(super) fn withholds(
    ledger: &mut Ledger,
    number: NumberIndex,
    terms: &Terms,
) -> Option<Refusal> {
    if ledger.records.opted_out(number).is_some() {
        return Some(Refusal::OptedOut);
    }
    held(ledger, number, terms).map(Refusal::Held)
}

/// The limit that keeps a message from going to a number that is not proved. A budget that was not
/// read cannot be charged, so nothing may be sent on it.
fn held(ledger: &mut Ledger, number: NumberIndex, terms: &Terms) -> Option<Held> {
    let now = ledger.now;
    let unread = |limit| Some(Held { limit, since: now, until: None });
    let proofs = match ledger.records.number_budget(number) {
        Some(budget) => budget.proofs_held(now),
        None => unread(LimitName::UnverifiedPerDay),
    };
    let site = match ledger.records.site() {
        Some(site) => site.capped(&terms.limits, now),
        None => unread(LimitName::MaxMessagesPerDay),
    };
    later(proofs, site)
}

/// The verbs of `otpctl`, as an event of their refusal names them.
pub(super) const ENROLL: &str = "enroll";
/// See [`ENROLL`].
const VERIFY: &str = "verify";
/// See [`ENROLL`].
const RESEND: &str = "resend";

/// Refuses, and writes it down.
pub(super) fn refuse<T>(
    mut ledger: Ledger,
    verb: &'static str,
    refusal: Refusal,
) -> Decided<Outcome<T>> {
    let now = ledger.now;
    let request = newest(&mut ledger).map(|proof| proof.token);
    let (reason, until) = (refusal.as_str(), refusal.until(now));
    ledger.note(request, Event::Refused { verb, reason, until });
    ledger.decided(Outcome::Refused(refusal))
}

/// Refuses after a code was judged: that was written down.
fn judged<T>(ledger: Ledger, refusal: Refusal) -> Decided<Outcome<T>> {
    ledger.decided(Outcome::Refused(refusal))
}

fn ended(how: End) -> Refusal {
    match how {
        End::Spent => Refusal::Spent,
        End::Expired => Refusal::Expired,
        End::Used | End::Cancelled | End::Superseded => Refusal::NoCode,
    }
}

pub(super) fn unfit(line: Line, channel: Channel, terms: &Terms) -> Option<Refusal> {
    match (channel, line) {
        (Channel::Voice, _) if !terms.voice => Some(Refusal::NoVoice),
        (Channel::Sms, Line::Fixed) => Some(Refusal::LineTakesNoText),
        (Channel::Voice | Channel::Sms, Line::Mobile | Line::Fixed | Line::FixedOrMobile) => None,
    }
}

/// The newest proof of the account's number.
fn newest(ledger: &mut Ledger) -> Option<&mut Challenge> {
    let mut challenges = ledger.records.login.challenges.iter_mut();
    challenges.rfind(|challenge| challenge.purpose == Purpose::Enrollment)
}

/// Issues a code to prove the number and charges the message. A live proof gets a fresh code and
/// keeps its tries; else a new one begins.
fn send(
    ledger: &mut Ledger,
    terms: &Terms,
    enrollment: &Enrollment,
    channel: Channel,
    draw: &Draw,
) -> Order {
    let (now, account) = (ledger.now, ledger.account.clone());
    let live = newest(ledger).filter(|proof| proof.is_live() && !proof.is_expired(now));
    let again = live.and_then(|proof| {
        let avoid = avoided(proof);
        let code = proof.reissue(&account, &terms.issuer, draw, channel, false, now)?;
        proof.resends = proof.resends.saturating_add(1);
        Some((proof.clone(), code, avoid))
    });
    let (challenge, code, avoid) = again.unwrap_or_else(|| {
        let question = Question {
            account: &account,
            purpose: Purpose::Enrollment,
            service: "",
            attempt: None,
            source: None,
            channel,
            rules: terms.rules,
            long: false,
        };
        let (challenge, code) = Challenge::issue(&question, &terms.issuer, draw, now);
        ledger.records.login.challenges.push(challenge.clone());
        (challenge, code, Vec::new())
    });
    if let Some(budget) = ledger.records.number_budget(enrollment.index) {
        budget.charge_proof(now);
    }
    if let Some(site) = ledger.records.site() {
        site.charge_proof(now);
    }
    if let Some(enrollment) = &mut ledger.records.enrollment {
        enrollment.proof_sent_at = Some(now);
    }
    ledger.note(challenge.token, issued(&challenge, enrollment, "enrollment"));
    Order::new(&challenge, &account, enrollment, code, avoid)
}

#[cfg(test)]
mod tests;
