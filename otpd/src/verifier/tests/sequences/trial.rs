//! One host that everything happens to, and what is looked at after each step.

mod manage;

use std::collections::BTreeMap;

use otp_proto::login::{Step, Verdict};
use proptest::test_runner::TestCaseError;

use super::{
    host::{Host, Keeper, Mood},
    model::{Checked, Expected, Login, Person, State, claim},
    ops::{Op, Typed},
};
use crate::{
    domain::{
        audit::{AuditEvent, Event},
        challenge::Challenge,
        manage::Verb,
        passcode::ChallengeToken,
        time::DAY,
    },
    verifier::{Claim, tests::Typed as Text},
};

/// What was met, by its kind.
pub(super) type Tally = BTreeMap<String, usize>;

/// The host, and what must be so on it.
pub(super) struct Trial {
    host: Host,
    people: Vec<Person>,
    /// Time that really passed, seconds: it never goes back, whatever the clock does.
    real: u64,
    /// The clock was never set back in this sequence.
    steady: bool,
    numbers: u32,
    /// The step that is made had something written down.
    noted: bool,
    pub(super) met: Tally,
}

impl Trial {
    pub(super) fn new(keeper: Keeper) -> Self {
        let host = Host::new(keeper);
        let people = host.people.iter().map(|_| Person::new()).collect();
        Self { host, people, real: 0, steady: true, numbers: 0, noted: false, met: Tally::new() }
    }

    /// A new sequence begins: long after the last one, with everybody as a new subscriber is.
    pub(super) fn start(&mut self) -> Checked {
        self.host.is(Mood::Takes);
        self.host.set(self.host.now().after(DAY * 40));
        (self.real, self.steady) = (self.real + DAY.as_secs() * 40, true);
        for who in 0..self.people.len() {
            self.people[who].later();
            // Far from what suspends an account.
            if self.people[who].in_a_row > 50 {
                self.manage(who, Verb::Unlock)?;
            }
            // Removing takes recovery codes with it, so that no sequence depends on another.
            if self.people[who].state != State::Active || !self.people[who].recovery.is_empty() {
                self.manage(who, Verb::Remove)?;
                self.replace(who)?;
                self.verify(who, true)?;
                claim!(self.people[who].state == State::Active, "a right proof does not prove");
            }
        }
        Ok(())
    }

    pub(super) fn run(&mut self, op: Op) -> Checked {
        self.noted = false;
        match op {
            Op::Begin { who, connection } => self.begin(who, connection).map(|_| ()),
            Op::Answer { who, which, typed } => {
                self.pick(who, which).map_or(Ok(()), |token| self.answer(who, token, typed))
            }
            Op::Pair { who, which, typed } => self.pair(who, which, typed),
            Op::Guess { who, connection } => self.guess(who, connection),
            Op::Besiege { who, hours } => {
                for _ in 0..hours {
                    for connection in 0..5 {
                        self.run(Op::Guess { who, connection })?;
                    }
                    self.run(Op::Advance { seconds: 3601 })?;
                }
                Ok(())
            }
            Op::Ring { who, hours } => {
                for connection in 0..hours {
                    self.run(Op::Begin { who, connection })?;
                    self.wait(who, 60, Typed::Call)?;
                    self.wait(who, 100, Typed::Call)?;
                    self.run(Op::Advance { seconds: 3601 })?;
                }
                Ok(())
            }
            Op::Resend { who } => self.wait(who, 60, Typed::Resend),
            Op::Expire { who } => self.wait(who, 300, Typed::Help("?")),
            Op::Abandon { who, which } => self.abandon(who, which),
            Op::Mood(mood) => {
                self.host.is(mood);
                return Ok(());
            }
            Op::Advance { seconds } => {
                self.advance(seconds);
                Ok(())
            }
            Op::Back { seconds } => {
                self.steady &= seconds == 0;
                self.host.set(self.host.now().before(std::time::Duration::from_secs(seconds)));
                Ok(())
            }
            Op::Restart => self.restart(),
            Op::Unlock { who } => self.manage(who, Verb::Unlock),
            Op::Disable { who } => self.manage(who, Verb::Disable),
            Op::Enable { who } => self.manage(who, Verb::Enable),
            Op::Remove { who } => self.manage(who, Verb::Remove),
            Op::Replace { who } => self.replace(who),
            Op::Verify { who, right } => self.verify(who, right),
            Op::RecoveryCodes { who } => self.recovery_codes(who),
            Op::Bypass { who } => self.bypass(who),
        }?;
        // A mood is one for the next step.
        self.host.is(Mood::Takes);
        (0..self.people.len())
            .filter(|who| self.is_about(*who, op))
            .try_for_each(|who| self.compare(who))
    }

    /// The end of a sequence: what a step changed without a word is seen here.
    pub(super) fn end(&self) -> Checked {
        (0..self.people.len()).try_for_each(|who| self.compare(who))
    }

    /// One of the newest logins, ended ones among them.
    fn pick(&self, who: usize, which: usize) -> Option<ChallengeToken> {
        self.people[who].logins.iter().rev().nth(which).map(|login| login.token)
    }

    /// Whom a step was about is looked at if anything was decided; everybody after a restart.
    fn is_about(&self, who: usize, op: Op) -> bool {
        let about = match op {
            Op::Begin { who, .. }
            | Op::Answer { who, .. }
            | Op::Pair { who, .. }
            | Op::Guess { who, .. }
            | Op::Besiege { who, .. }
            | Op::Resend { who }
            | Op::Ring { who, .. }
            | Op::Expire { who }
            | Op::Abandon { who, .. }
            | Op::Unlock { who }
            | Op::Disable { who }
            | Op::Enable { who }
            | Op::Replace { who }
            | Op::Verify { who, .. }
            | Op::Remove { who }
            | Op::RecoveryCodes { who }
            | Op::Bypass { who } => who,
            Op::Restart => return true,
            Op::Mood(_) | Op::Advance { .. } | Op::Back { .. } => return false,
        };
        about == who && self.noted
    }

    fn compare(&self, who: usize) -> Checked {
        let identity = self.host.people[who].clone();
        let shown = self.host.serve(|verifier| async move { verifier.show(&identity).await });
        let shown = shown.expect("a working store");
        let account = self.host.people[who].account.clone();
        let (plain, live) = self.host.serve(|verifier| async move {
            let stored = verifier.reader.account(account.clone()).await.expect("a working store");
            let challenges = stored.login.challenges.into_iter();
            let live = challenges.filter(Challenge::is_live).map(|challenge| challenge.token);
            let courier = &verifier.courier;
            let mut plain = courier.messages.plain_codes_of(&account);
            // What comes of those that are on their way is still to be recorded.
            plain.retain(|token| !courier.in_flight.holds(*token));
            (plain, live.collect::<Vec<_>>())
        });
        let over = plain.iter().find(|token| !live.contains(token));
        claim!(over.is_none(), "of a login that is over a plain code is kept: {over:?}");
        self.people[who].compare(shown.as_ref(), self.host.now(), self.steady)
    }

    /// Takes note of what was written down; its kinds.
    fn written(&mut self, who: usize, tokens: &[ChallengeToken]) -> Result<Tally, TestCaseError> {
        self.host.settle(tokens);
        let person = &mut self.people[who];
        // Nobody knows whose a login is that is forgotten: nothing is decided about its account.
        let forgotten = |login: &&Login| login.forgotten && tokens.contains(&login.token);
        if !person.logins.iter().any(|login| forgotten(&login)) {
            person.decided(self.host.now());
        }
        self.note(who)
    }

    /// The same after answers to a login. About one that is old nothing is decided, nor about its account.
    fn answered(&mut self, who: usize, token: ChallengeToken) -> Result<Tally, TestCaseError> {
        let (now, logins) = (self.host.now(), &self.people[who].logins);
        if logins.iter().any(|login| login.token == token && login.is_old(now)) {
            self.host.settle(&[token]);
            return self.note(who);
        }
        self.written(who, &[token])
    }

    fn note(&mut self, who: usize) -> Result<Tally, TestCaseError> {
        let mut kinds = Tally::new();
        let (person, host) = (&mut self.people[who], &self.host);
        let events = host.events();
        self.noted |= !events.is_empty();
        for event in events {
            let read = |token| host.text(token).map(|text| text.code);
            person.written(&event, self.real, read)?;
            if matches!(event.event, Event::MessageSent { .. }) {
                person.perhaps_sent(event.request);
            }
            for kind in names(&event) {
                *self.met.entry(kind.clone()).or_default() += 1;
                *kinds.entry(kind).or_default() += 1;
            }
        }
        host.forget_texts();
        Ok(kinds)
    }

    fn begin(
        &mut self,
        who: usize,
        connection: u8,
    ) -> Result<Option<ChallengeToken>, TestCaseError> {
        let user = self.host.people[who].account.as_str().to_owned();
        let (from, port) = (connection % 2, 50_000 + u32::from(connection));
        let claim = Claim {
            user,
            service: "sshd".to_owned(),
            by_key: true,
            connection: Some(format!("203.0.113.{from} {port} 192.0.2.1 22 4711")),
        };
        let now = self.host.now();
        let person = &mut self.people[who];
        let bypassed = person.take_bypass(now);
        let fresh = person.connections.insert(connection);
        let (active, free) = (person.state == State::Active, person.is_free());
        let may_be_sent = person.may_be_sent() && self.steady;
        let waits = person
            .logins
            .iter()
            .find(|login| login.connection == connection && login.lives(now) && login.settled);
        let waits = waits.filter(|_| free && self.steady).map(|login| login.token);
        let (token, step) = self.host.serve(|verifier| async move { verifier.begin(claim).await });
        if let Some(token) = token {
            self.people[who].prompted(token, connection);
        }
        let kinds = self.written(who, token.as_slice())?;
        let has = |kind: &str| kinds.contains_key(kind);
        let verdict = step.verdict;
        if bypassed {
            claim!(verdict == Some(Verdict::Granted), "a bypass does not let in: {kinds:?}");
            claim!(has("login-bypassed") && !has("code-issued"), "{kinds:?}");
            return Ok(None);
        }
        claim!(verdict != Some(Verdict::Granted), "granted without a code: {kinds:?}");
        claim!(verdict != Some(Verdict::Ignored), "nobody is exempt: {kinds:?}");
        if !active {
            claim!(verdict == Some(Verdict::Denied) && !has("code-issued"), "{kinds:?}");
        } else if let Some(waits) = waits {
            claim!(token == Some(waits), "the same connection goes on: {kinds:?}");
            claim!(!has("code-issued"), "and no second message is sent");
        } else if fresh && free && may_be_sent {
            claim!(
                token.is_some() && has("code-issued"),
                "no code although nothing holds: {kinds:?}"
            );
        }
        Ok(token)
    }

    fn text(&self, who: usize, token: ChallengeToken, typed: Typed) -> Option<String> {
        let person = &self.people[who];
        let login = person.logins.iter().find(|login| login.token == token)?;
        match typed {
            Typed::Right => login.newest().map(str::to_owned),
            Typed::Wrong => {
                let guesses = (0..100).map(|n| format!("{n:0width$}", width = login.digits()));
                let own = |guess: &String| login.is_newest(guess) || login.is_earlier(guess);
                guesses.into_iter().find(|guess| !own(guess))
            }
            Typed::Earlier => {
                let mut earlier = login.codes.iter().flatten();
                earlier.find(|code| login.is_earlier(code)).cloned()
            }
            Typed::Crossed => {
                let others = self.people.iter().rev().flat_map(|person| &person.logins);
                let mut codes = others.filter(|other| other.token != token);
                codes.find_map(|other| other.newest().map(str::to_owned))
            }
            Typed::Recovery => person.recovery.first().cloned(),
            Typed::UsedRecovery => person.recovery_used.last().cloned(),
            Typed::Help(text) => Some(text.to_owned()),
            Typed::Resend => Some("r".to_owned()),
            Typed::Call => Some("v".to_owned()),
            Typed::Quit => Some("q".to_owned()),
        }
    }

    /// What must follow from this text.
    fn expected(&self, who: usize, token: ChallengeToken, text: &str) -> Option<Expected> {
        let person = &self.people[who];
        let login = person.logins.iter().find(|login| login.token == token)?;
        let shape = text.len() == login.digits() && text.bytes().all(|byte| byte.is_ascii_digit());
        let known = login.codes.iter().all(Option::is_some);
        Some(Expected {
            lives: login.lives(self.host.now()),
            over: login.over,
            newest: login.is_newest(text),
            earlier: login.is_earlier(text),
            wrong: shape && known && !login.is_newest(text) && !login.is_earlier(text),
            recovery: person.recovery.iter().any(|code| code == text),
            help: text.is_empty() || text == "?",
            recovery_free: person.recovery_is_free(),
            free: person.is_free() && login.answers < 29 && !login.codes.is_empty(),
            active: person.state == State::Active,
        })
    }

    fn typed(&mut self, who: usize, token: ChallengeToken) {
        let login = self.people[who].logins.iter_mut().find(|login| login.token == token);
        if let Some(login) = login {
            login.answers += 1;
        }
    }

    fn answer(&mut self, who: usize, token: ChallengeToken, typed: Typed) -> Checked {
        let Some(text) = self.text(who, token, typed) else { return Ok(()) };
        let Some(expected) = self.expected(who, token, &text) else { return Ok(()) };
        self.typed(who, token);
        let said = Text::new(&text);
        let step = self.host.serve(|verifier| async move { verifier.answer(token, said).await });
        let kinds = self.answered(who, token)?;
        self.used(who, &text, &kinds);
        let verdict = step.map_or(Some(Verdict::Denied), |step| step.verdict);
        expected.check(verdict, &kinds)
    }

    fn used(&mut self, who: usize, text: &str, kinds: &Tally) {
        let person = &mut self.people[who];
        if kinds.contains_key("recovery-code-used") {
            let place = person.recovery.iter().position(|code| code == text);
            person.recovery_used.extend(place.map(|place| person.recovery.remove(place)));
            // It ends a suspension as well.
            person.in_a_row = 0;
        }
        for _ in 0..kinds.get("recovery-code-wrong").copied().unwrap_or(0) {
            person.recovery_was_wrong();
        }
    }

    fn pair(&mut self, who: usize, which: usize, typed: [Typed; 2]) -> Checked {
        let Some(token) = self.pick(who, which) else { return Ok(()) };
        let texts = typed.map(|typed| self.text(who, token, typed));
        let [Some(one), Some(other)] = texts else { return Ok(()) };
        let right = |text: &String| {
            self.expected(who, token, text).is_some_and(|expected| {
                expected.newest && expected.lives && expected.free && expected.active
            })
        };
        let sure = right(&one) && right(&other);
        let recovery = |text: &String| {
            self.expected(who, token, text).is_some_and(|expected| expected.recovery)
        };
        if recovery(&one) || recovery(&other) {
            return Ok(());
        }
        for _ in 0..2 {
            self.typed(who, token);
        }
        let said = [Text::new(&one), Text::new(&other)];
        let verdicts = self.host.serve(|verifier| async move {
            let [one, other] = said;
            let both = tokio::join!(verifier.answer(token, one), verifier.answer(token, other));
            let verdict = |step: Result<Step, _>| step.map_or(Some(Verdict::Denied), |s| s.verdict);
            [verdict(both.0), verdict(both.1)]
        });
        let kinds = self.answered(who, token)?;
        self.used(who, "", &kinds);
        let granted = verdicts.iter().filter(|verdict| **verdict == Some(Verdict::Granted)).count();
        claim!(granted <= 1, "one code lets in twice");
        claim!(granted == kinds.get("login-granted").copied().unwrap_or(0), "{kinds:?}");
        claim!(!sure || granted == 1, "the right code was not accepted: {kinds:?}");
        *self.met.entry("pair".to_owned()).or_default() += 1;
        Ok(())
    }

    fn guess(&mut self, who: usize, connection: u8) -> Checked {
        let Some(token) = self.begin(who, connection)? else { return Ok(()) };
        (0..3).try_for_each(|_| self.answer(who, token, Typed::Wrong))
    }

    fn advance(&mut self, seconds: u64) {
        self.host.set(self.host.now().after(std::time::Duration::from_secs(seconds)));
        self.real += seconds;
    }

    fn wait(&mut self, who: usize, seconds: u64, typed: Typed) -> Checked {
        self.advance(seconds);
        self.pick(who, 0).map_or(Ok(()), |token| self.answer(who, token, typed))
    }

    fn abandon(&mut self, who: usize, which: usize) -> Checked {
        let Some(token) = self.pick(who, which) else { return Ok(()) };
        self.host.serve(|verifier| async move { verifier.cancel(token).await });
        self.written(who, &[token]).map(|_| ())
    }

    fn restart(&mut self) -> Checked {
        let now = self.host.now();
        self.host.restart();
        // Codes go out again to whoever waits for one that no vendor is known to have: nobody else's.
        for who in 0..self.people.len() {
            let logins = self.people[who].logins.iter();
            let waiting = logins.filter(|login| login.lives(now) && !login.settled);
            claim!(waiting.count() <= 6, "three from each of two sources");
        }
        self.host.is(Mood::Takes);
        self.host.serve(|verifier| async move {
            verifier.recover_lost().await;
        });
        self.host.drained();
        let events = self.host.events();
        for who in 0..self.people.len() {
            for event in &events {
                let login = self.people[who]
                    .logins
                    .iter()
                    .find(|l| Some(l.token.request()) == event.request);
                if let Some(login) = login
                    && matches!(event.event, Event::CodeIssued { .. })
                {
                    claim!(login.lives(now) && !login.settled, "nobody waits for this message");
                }
                let host = &self.host;
                let text = |token| host.text(token).map(|text| text.code);
                self.people[who].written(event, self.real, text)?;
            }
        }
        for kind in events.iter().flat_map(names) {
            *self.met.entry(kind).or_default() += 1;
        }
        self.host.forget_texts();
        *self.met.entry("restart".to_owned()).or_default() += 1;
        Ok(())
    }
}

/// The kind of an event, and the same with its reason, and with how a code travels that must be called.
fn names(event: &AuditEvent) -> Vec<String> {
    let value = serde_json::to_value(&event.event).expect("JSON");
    let kind = value["event"].as_str().expect("a kind").to_owned();
    let why = ["reason", "how", "why", "limit"].iter().find_map(|key| value[*key].as_str());
    let varies = ["message-failed", "bypass-granted", "login-bypassed"].contains(&&*kind);
    let why = why.filter(|_| !varies);
    let call =
        matches!(&event.event, Event::CodeIssued { channel: "voice", .. }).then_some("voice");
    let more = why.into_iter().chain(call).map(|more| format!("{kind} {more}")).collect::<Vec<_>>();
    [vec![kind], more].concat()
}
