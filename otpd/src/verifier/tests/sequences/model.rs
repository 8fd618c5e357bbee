//! What must be so, from what was typed, said, written down and sent alone: the rules of design, and
//! nothing of how they are kept.

use std::collections::{BTreeMap, BTreeSet};

use otp_proto::login::Verdict;
use proptest::test_runner::TestCaseError;

use crate::{
    domain::{
        audit::{AuditEvent, Event},
        budget::{
            CALLS_PER_DAY, REFUNDS_PER_HOUR, RESERVE_MESSAGES, RESERVE_TRIES, WRONG_FOR_LONG_CODES,
            WRONG_IN_A_ROW, WRONG_PER_DAY, WRONG_PER_HOUR,
        },
        challenge::CodeRules,
        login::REMEMBERED,
        passcode::{ChallengeToken, RequestId},
        time::{DAY, HOUR, MINUTE, Timestamp},
    },
    verifier::Summary,
};

/// A claim of the model that does not hold.
pub(super) type Checked = Result<(), TestCaseError>;

macro_rules! claim {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(TestCaseError::fail(format!($($why)+)));
        }
    };
}
pub(super) use claim;

/// Unanswered messages of the default limits.
const MESSAGES_PER_HOUR: usize = 5;
const MESSAGES_PER_DAY: usize = 12;
const EVERY_MESSAGE_PER_HOUR: usize = 40;

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Gone,
    Pending,
    Active,
    Disabled { proved: bool },
}

/// A login that was prompted for a code.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub(super) struct Login {
    pub(super) token: ChallengeToken,
    pub(super) connection: u8,
    /// Its codes, the newest last; `None`: nobody but the daemon saw it.
    pub(super) codes: Vec<Option<String>>,
    issued: Timestamp,
    pub(super) tries: u8,
    pub(super) answers: u8,
    pub(super) over: bool,
    pub(super) used: bool,
    ended_at: Option<Timestamp>,
    /// Its newest message is recorded as taken, or perhaps taken.
    pub(super) settled: bool,
    /// It asks for a recovery code alone.
    withheld: bool,
    /// It is not stored any more.
    pub(super) forgotten: bool,
}

impl Login {
    pub(super) fn newest(&self) -> Option<&str> {
        self.codes.last().and_then(Option::as_deref)
    }

    pub(super) fn is_newest(&self, text: &str) -> bool {
        self.newest() == Some(text)
    }

    pub(super) fn is_earlier(&self, text: &str) -> bool {
        !self.is_newest(text) && self.codes.iter().any(|code| code.as_deref() == Some(text))
    }

    /// Digits of its newest code.
    pub(super) fn digits(&self) -> usize {
        self.newest().map_or(6, str::len)
    }

    /// Whether it is not looked at any more, and is dropped with the next decision.
    pub(super) fn is_old(&self, now: Timestamp) -> bool {
        let dies = self.issued.after(CodeRules::default().life);
        let ends = self.ended_at.or((!self.codes.is_empty()).then_some(dies));
        ends.is_some_and(|end| !end.is_within(REMEMBERED, now))
    }

    pub(super) fn lives(&self, now: Timestamp) -> bool {
        let (born, life) = (self.issued, CodeRules::default().life);
        !self.over && !self.withheld && now < born.after(life) && now >= born.before(MINUTE / 12)
    }
}

struct Sent {
    /// Time that really passed.
    real: u64,
    at: Timestamp,
    login: RequestId,
    is_call: bool,
    taken_back: bool,
}

/// One account.
pub(super) struct Person {
    pub(super) state: State,
    /// The code that proves the number.
    pub(super) proof: Option<String>,
    pub(super) logins: Vec<Login>,
    pub(super) recovery: Vec<String>,
    pub(super) recovery_used: Vec<String>,
    recovery_wrong: usize,
    /// Uses of the bypass that is left, and its end.
    pub(super) bypass: Option<(u8, Timestamp, Timestamp)>,
    /// Connections that were used in this sequence.
    pub(super) connections: BTreeSet<u8>,
    /// Wrong codes since the last unlock, in real time; and all of the sequence by the clock.
    wrong: Vec<u64>,
    wrong_at: Vec<Timestamp>,
    pub(super) in_a_row: u32,
    sent: Vec<Sent>,
    refunds: Vec<u64>,
}

impl Person {
    pub(super) fn new() -> Self {
        Self {
            state: State::Gone,
            proof: None,
            logins: Vec::new(),
            recovery: Vec::new(),
            recovery_used: Vec::new(),
            recovery_wrong: 0,
            bypass: None,
            connections: BTreeSet::new(),
            wrong: Vec::new(),
            wrong_at: Vec::new(),
            in_a_row: 0,
            sent: Vec::new(),
            refunds: Vec::new(),
        }
    }

    /// Forty days later: windows are empty, logins forgotten; what an administrator made stays.
    pub(super) fn later(&mut self) {
        let kept = std::mem::replace(self, Self::new());
        self.state = kept.state;
        self.proof = kept.proof;
        self.recovery = kept.recovery;
        self.in_a_row = kept.in_a_row;
    }

    /// Whether somebody got in in this sequence: their source has a reserve then.
    fn reserve(&self, size: usize) -> usize {
        if self.logins.iter().any(|login| login.used) { size } else { 0 }
    }

    /// Whether a code may be compared at all, in real time.
    fn may_compare(&self, real: u64) -> bool {
        let within = |span: std::time::Duration| {
            self.wrong.iter().filter(|at| real - **at < span.as_secs()).count()
        };
        let reserve = self.reserve(RESERVE_TRIES);
        within(MINUTE * 30) < WRONG_PER_HOUR + reserve
            && within(DAY) < WRONG_PER_DAY + reserve
            && self.in_a_row < WRONG_IN_A_ROW
    }

    /// Whether no limit of wrong codes is anywhere near.
    pub(super) fn is_free(&self) -> bool {
        self.wrong.len() < WRONG_PER_HOUR
            && self.wrong_at.len() < WRONG_FOR_LONG_CODES
            && self.in_a_row < WRONG_IN_A_ROW - 20
    }

    /// Whether no limit of messages is anywhere near.
    pub(super) fn may_be_sent(&self) -> bool {
        self.sent.iter().filter(|sent| !sent.taken_back).count() < MESSAGES_PER_HOUR
    }

    /// The login that was ordered a code with this.
    fn login(&mut self, request: Option<RequestId>) -> Option<&mut Login> {
        self.logins.iter_mut().find(|login| Some(login.token.request()) == request)
    }

    pub(super) fn unlocked(&mut self) {
        self.wrong.clear();
        self.in_a_row = 0;
    }

    /// Something was decided about the account: what nobody answered in time is forgotten then, ten minutes
    /// after its end, and a bypass at its end. A clock that is set back later brings nothing back.
    pub(super) fn decided(&mut self, now: Timestamp) {
        if let Some((uses, _, until)) = &mut self.bypass
            && now >= *until
        {
            *uses = 0;
        }
        for login in self.logins.iter_mut().filter(|login| login.is_old(now)) {
            (login.over, login.forgotten) = (true, true);
        }
    }

    /// Its logins ended; of those that are forgotten nobody says so.
    pub(super) fn all_over(&mut self, now: Timestamp) -> Checked {
        claim!(self.logins.iter().all(|login| !login.lives(now)), "a login is left over");
        self.logins.iter_mut().for_each(|login| login.over = true);
        Ok(())
    }

    /// A login was prompted.
    pub(super) fn prompted(&mut self, token: ChallengeToken, connection: u8) {
        if self.logins.iter().all(|login| login.token != token) {
            self.logins.push(Login {
                token,
                connection,
                codes: Vec::new(),
                issued: Timestamp::default(),
                tries: CodeRules::default().tries,
                answers: 0,
                over: false,
                used: false,
                ended_at: None,
                settled: false,
                withheld: false,
                forgotten: false,
            });
        }
    }

    /// Goes through what was written down about this account. `text`: the code of a login's message that
    /// was ordered now.
    pub(super) fn written(
        &mut self,
        event: &AuditEvent,
        real: u64,
        text: impl FnOnce(ChallengeToken) -> Option<String>,
    ) -> Checked {
        let may_compare = self.may_compare(real);
        if self.login(event.request).is_none() {
            return Ok(());
        }
        self.decided(event.at);
        let Some(login) = self.login(event.request) else { return Ok(()) };
        let token = login.token;
        match &event.event {
            Event::CodeWrong { tries_left } => {
                claim!(may_compare, "a code was compared beyond the budget");
                claim!(login.lives(event.at), "a code of a dead login was compared");
                claim!(login.tries == tries_left + 1, "tries: {} → {tries_left}", login.tries);
                login.tries = *tries_left;
                self.wrong.push(real);
                self.wrong_at.push(event.at);
                self.in_a_row += 1;
            }
            Event::LoginGranted { .. } => {
                claim!(!login.over && !login.used, "granted after its end");
                claim!(login.tries > 0, "granted without a try left");
                (login.over, login.used) = (true, true);
                login.ended_at = Some(event.at);
                self.in_a_row = 0;
            }
            Event::ChallengeEnded { .. } => {
                claim!(!login.over, "it ended twice");
                login.over = true;
                login.ended_at = Some(event.at);
            }
            Event::CodeIssued { channel, .. } => {
                claim!(!login.over, "a message for a login that is over");
                login.codes.push(text(token));
                login.issued = event.at;
                login.settled = false;
                let (login, is_call) = (token.request(), *channel == "voice");
                self.sent.push(Sent { real, at: event.at, login, is_call, taken_back: false });
                self.check_messages(real)?;
            }
            Event::MessageSent { .. } => login.settled = true,
            Event::CodeWithheld { .. } => login.withheld = true,
            // That its owner could not be told of a recovery code is another message.
            Event::MessageFailed { .. } if !login.used => self.not_sent(token.request(), real),
            _ => {}
        }
        self.check_live(event.at)
    }

    /// A vendor did not take the newest message of a login: it is given back, ten times an hour.
    fn not_sent(&mut self, login: RequestId, real: u64) {
        let lately = self.refunds.iter().filter(|at| real - **at < HOUR.as_secs()).count();
        let newest = self.sent.iter_mut().rfind(|sent| sent.login == login);
        if let Some(sent) = newest.filter(|_| lately < REFUNDS_PER_HOUR) {
            sent.taken_back = true;
            self.refunds.push(real);
        }
    }

    /// It was taken after all, perhaps: what follows a failure in the same record.
    pub(super) fn perhaps_sent(&mut self, login: Option<RequestId>) {
        // What goes out after a success tells its owner of a recovery code.
        if self.login(login).is_none_or(|login| login.used) {
            return;
        }
        let newest = self.sent.iter_mut().rfind(|sent| Some(sent.login) == login);
        if newest.is_some_and(|sent| std::mem::replace(&mut sent.taken_back, false)) {
            self.refunds.pop();
        }
    }

    fn check_messages(&self, real: u64) -> Checked {
        let used = |login: RequestId| {
            self.logins.iter().any(|known| known.used && known.token.request() == login)
        };
        let count = |span: std::time::Duration, wanted: &dyn Fn(&Sent) -> bool| {
            let inside = |sent: &&Sent| real - sent.real < span.as_secs() && !sent.taken_back;
            self.sent.iter().filter(inside).filter(|sent| wanted(sent)).count()
        };
        let unanswered = |sent: &Sent| !used(sent.login);
        let reserve = self.reserve(RESERVE_MESSAGES);
        let (hour, day) = (count(HOUR, &unanswered), count(DAY, &unanswered));
        let calls = count(DAY, &|sent| unanswered(sent) && sent.is_call);
        claim!(calls <= CALLS_PER_DAY + reserve, "{calls} unanswered calls in a day");
        claim!(hour <= MESSAGES_PER_HOUR + reserve, "{hour} unanswered messages in an hour");
        claim!(day <= MESSAGES_PER_DAY + reserve, "{day} unanswered messages in a day");
        claim!(count(HOUR, &|_| true) <= EVERY_MESSAGE_PER_HOUR, "too many messages in an hour");
        Ok(())
    }

    fn check_live(&self, now: Timestamp) -> Checked {
        let live = self.logins.iter().filter(|login| login.lives(now)).count();
        claim!(live <= 6, "{live} live logins: three from each of two sources are allowed");
        Ok(())
    }

    /// What the daemon tells an administrator. `steady`: the clock was never set back, so that windows
    /// are what they seem.
    pub(super) fn compare(&self, shown: Option<&Summary>, now: Timestamp, steady: bool) -> Checked {
        claim!(
            shown.is_some() == (self.state != State::Gone),
            "{:?}, and shown: {}",
            self.state,
            shown.is_some()
        );
        let Some(shown) = shown else { return Ok(()) };
        claim!(
            usize::from(shown.recovery) == self.recovery.len(),
            "{} recovery codes",
            shown.recovery
        );
        if steady {
            let failures = self.wrong_at.iter().filter(|at| at.is_within(DAY, now)).count();
            claim!(shown.failures == failures, "{} failures, not {failures}", shown.failures);
            let counts = |sent: &&Sent| !sent.taken_back && sent.at.is_within(DAY, now);
            let sent = self.sent.iter().filter(counts).count();
            claim!(shown.sends == sent, "{} messages, not {sent}", shown.sends);
            let uses = self.bypass.filter(|(uses, _, until)| *uses > 0 && now < *until);
            claim!(shown.bypasses.len() == usize::from(uses.is_some()), "bypasses");
            let live = self.logins.iter().filter(|login| login.lives(now)).count();
            // The proof of a number is counted like a login, and so is one that asks for a recovery code.
            let others = self.proof.is_some() || self.logins.iter().any(|login| login.withheld);
            claim!(others || shown.live == live, "{} live logins, not {live}", shown.live);
        }
        Ok(())
    }

    /// Takes a bypass, if one lets this login in.
    pub(super) fn take_bypass(&mut self, now: Timestamp) -> bool {
        if matches!(self.state, State::Disabled { .. }) {
            return false;
        }
        let Some((uses, since, until)) = &mut self.bypass else { return false };
        let admits = *uses > 0 && now < *until && now >= since.before(MINUTE / 12);
        *uses -= u8::from(admits);
        admits
    }

    /// Whether a recovery code may be compared: a console's and a known source's budget is another.
    pub(super) fn recovery_is_free(&self) -> bool {
        self.recovery_wrong < 4
    }

    pub(super) fn recovery_was_wrong(&mut self) {
        self.recovery_wrong += 1;
    }
}

/// What must follow from one answer. `before`: what held when it was typed.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub(super) struct Expected {
    pub(super) lives: bool,
    pub(super) over: bool,
    pub(super) newest: bool,
    pub(super) earlier: bool,
    /// It has a code's shape and is none of this login's.
    pub(super) wrong: bool,
    /// An unused recovery code, and whether one may be compared.
    pub(super) recovery: bool,
    pub(super) recovery_free: bool,
    pub(super) help: bool,
    /// Far from every limit, and the account may log in.
    pub(super) free: bool,
    pub(super) active: bool,
}

impl Expected {
    /// Against what was said and written down.
    pub(super) fn check(
        &self,
        verdict: Option<Verdict>,
        kinds: &BTreeMap<String, usize>,
    ) -> Checked {
        let has = |kind: &str| kinds.contains_key(kind);
        let granted = verdict == Some(Verdict::Granted);
        claim!(granted == has("login-granted"), "{verdict:?} and {kinds:?} differ");
        if granted {
            let by_code = self.newest && self.lives && self.active;
            let by_recovery = self.recovery && !self.over && self.active;
            claim!(by_code || by_recovery, "granted for nothing");
        }
        claim!(!(self.newest && has("code-wrong")), "the right code is wrong");
        claim!(!(self.earlier && has("code-wrong")), "an earlier code costs a try");
        claim!(!(self.help && has("code-wrong")), "help costs a try");
        if self.over {
            claim!(verdict == Some(Verdict::Denied), "{verdict:?} after the end");
            claim!(!has("code-wrong") && !has("code-issued"), "{kinds:?} after the end");
        }
        if self.lives && self.free && self.active {
            claim!(!self.newest || granted, "the right code was not accepted: {kinds:?}");
            claim!(!self.wrong || has("code-wrong"), "a wrong code was not charged: {kinds:?}");
            claim!(!self.earlier || has("code-earlier"), "an earlier code is not known: {kinds:?}");
            let goes_on = self.earlier || self.help;
            claim!(!goes_on || verdict.is_none(), "{verdict:?} for help, or an earlier code");
        }
        if self.lives && self.recovery && self.recovery_free && self.free && self.active {
            claim!(granted, "a recovery code was not accepted: {kinds:?}");
        }
        Ok(())
    }
}
