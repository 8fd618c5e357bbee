//! A host with its accounts, for tests: decisions run one after another on what is stored, at times
//! that the test says. Every decision is checked on the way: it is a function of what it is given,
//! what it stores reads back as itself, an end is for good, tries never grow, and no code and no
//! number is written down.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    account::{Account, Source},
    audit::AuditEvent,
    budget::{Budget, Limits, Traffic},
    challenge::{AttemptKey, Challenge, Channel, CodeRules, Instance, Issuer},
    enrollment::{Enrollment, NumberIndex, RangeIndex},
    login::{
        Abandon, Answer, Answered, Begin, Begun, Delivered, DeliveryResult, LoginState, Notice,
        Order, Terms, Typed, View, WithheldNotice,
    },
    manage::{Manage, Verb},
    passcode::{ChallengeToken, CodeKey, Draw, Passcode, Purpose, Reference},
    phone::{Country, Destination, Line},
    policy::{Requirement, SharedSources, Unenrolled},
    records::{BudgetKey, Decided, Records, TrafficKey},
    time::Timestamp,
};

/// 2027-01-15 08:00:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);
const NUMBER: &str = "+13125550142";

pub(crate) fn account(name: &str) -> Account {
    Account::new(name).expect("a name")
}

pub(crate) fn destination(number: &str, line: Line) -> Destination {
    let country = "US".parse::<Country>().expect("a country");
    Destination { number: number.parse().expect("a number"), country, line }
}

pub(crate) fn index(number: &str) -> NumberIndex {
    let mut index = [0; 16];
    index.iter_mut().zip(number.bytes()).for_each(|(place, byte)| *place = byte);
    NumberIndex(index)
}

pub(crate) fn range(number: &str) -> RangeIndex {
    RangeIndex(index(&number[..number.len() - 4]).0)
}

pub(crate) fn source(last: u8) -> Source {
    Source::V4([203, 0, 113, last])
}

/// One run of the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) account: &'static str,
    pub(crate) attempt: Option<AttemptKey>,
    pub(crate) source: Option<Source>,
    pub(crate) exists: bool,
    pub(crate) exempt: bool,
    pub(crate) by_itself: bool,
}

/// alice under sshd, on connection `id` from one and the same address.
pub(crate) fn ssh(id: u8) -> Run {
    Run {
        account: "alice",
        attempt: Some(AttemptKey([id; 16])),
        source: Some(source(9)),
        exists: true,
        exempt: false,
        by_itself: true,
    }
}

/// alice on a console.
pub(crate) fn console() -> Run {
    Run { attempt: None, source: None, ..ssh(0) }
}

impl Run {
    pub(crate) fn from(self, last: u8) -> Self {
        Self { source: Some(source(last)), ..self }
    }

    pub(crate) fn of(self, account: &'static str) -> Self {
        Self { account, ..self }
    }
}

/// Everything stored, the time, and what left the store.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) now: Timestamp,
    pub(crate) terms: Terms,
    pub(crate) enrollments: BTreeMap<Account, Enrollment>,
    pub(crate) logins: BTreeMap<Account, LoginState>,
    pub(crate) budgets: BTreeMap<NumberIndex, Budget>,
    pub(crate) traffic: BTreeMap<TrafficKey, Traffic>,
    /// Accounts with a number on the site; those of the scene are among them.
    pub(crate) enrolled: u32,
    pub(crate) audit: Vec<AuditEvent>,
    /// Every message that was ordered.
    pub(crate) orders: Vec<Order>,
    /// Draws one of so few codes that lucky guesses can be counted.
    pub(crate) codes: Option<u32>,
    seed: u64,
}

impl Scene {
    /// alice and bob, enrolled and proved, each with a number.
    pub(crate) fn new() -> Self {
        let mut scene = Self {
            now: START,
            terms: Terms {
                unenrolled: Unenrolled::Deny,
                rules: CodeRules::default(),
                limits: Limits::default(),
                countries: ["US".parse().expect("a country")].into(),
                shared_sources: SharedSources::default(),
                voice: true,
                issuer: Issuer { key: CodeKey::new(1, [7; 32]), instance: Instance(1), host: None },
            },
            enrollments: BTreeMap::new(),
            logins: BTreeMap::new(),
            budgets: BTreeMap::new(),
            traffic: BTreeMap::new(),
            enrolled: 2,
            audit: Vec::new(),
            orders: Vec::new(),
            codes: None,
            seed: 0,
        };
        scene.enrolled("alice", NUMBER);
        scene.enrolled("bob", "+13125550177");
        scene
    }

    /// The same, with other random values.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed: seed << 32, ..Self::new() }
    }

    pub(crate) fn enrolled(&mut self, name: &str, number: &str) {
        let destination = destination(number, Line::Mobile);
        let mut enrollment = Enrollment::new(
            destination,
            index(number),
            range(number),
            Channel::Sms,
            START.before(HOUR),
        );
        enrollment.prove(START.before(HOUR));
        self.enrollments.insert(account(name), enrollment);
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    pub(crate) fn draw(&mut self) -> Draw {
        self.seed += 1;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let draw = Draw::new(&mut rng, self.terms.rules.digits);
        let few = self.codes.map(|codes| code(&few(rng.random_range(0..codes))));
        Draw { code: few.unwrap_or_else(|| draw.code.clone()), ..draw }
    }

    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::new(self.terms.clone())
    }

    /// A new run of the daemon.
    pub(crate) fn restart(&mut self) {
        self.terms.issuer.instance.0 += 1;
    }

    pub(crate) fn login(&self, name: &str) -> LoginState {
        self.logins.get(&account(name)).cloned().unwrap_or_default()
    }

    pub(crate) fn challenge(&self, token: ChallengeToken) -> Challenge {
        let mut all = self.logins.values().flat_map(|login| &login.challenges);
        all.find(|challenge| challenge.token == token).cloned().expect("a stored challenge")
    }

    /// The kinds of what was written down since the last call.
    pub(crate) fn events(&mut self) -> Vec<String> {
        let kind = |event: AuditEvent| {
            let value = serde_json::to_value(&event.event).expect("JSON");
            let why = ["reason", "how", "why", "limit"].iter().find_map(|key| value[*key].as_str());
            let kind = value["event"].as_str().expect("a kind").to_owned();
            why.map_or(kind.clone(), |why| format!("{kind} {why}"))
        };
        self.audit.drain(..).map(kind).collect()
    }

    /// Decides as the store does. `further`: a number whose budget the scope names besides.
    pub(crate) fn decide<A>(
        &mut self,
        owner: Option<Account>,
        further: Option<NumberIndex>,
        decide: impl Fn(&Records, Timestamp) -> Decided<A>,
    ) -> A {
        let mut records = Records::default();
        if let Some(owner) = &owner {
            records.enrollment = self.enrollments.get(owner).cloned();
            records.login = self.logins.get(owner).cloned().unwrap_or_default();
            let own = records.enrollment.as_ref().map(|enrollment| enrollment.index);
            records.budgets = own
                .into_iter()
                .chain(further)
                .map(|index| {
                    let budget = self.budgets.get(&index).cloned().unwrap_or_default();
                    (BudgetKey::Number(index), budget)
                })
                .collect();
            let together = records.enrollment.as_ref().map(TrafficKey::of).into_iter().flatten();
            records.traffic = together
                .chain([TrafficKey::All])
                .map(|key| (key, self.traffic.get(&key).cloned().unwrap_or_default()))
                .collect();
            records.enrolled = self.enrolled;
            records.account = Some(owner.clone());
        }
        let decided = decide(&records, self.now);
        let again = decide(&records, self.now);
        assert_eq!(decided.records, again.records, "a decision is a function");
        assert_eq!(decided.audit, again.audit, "a decision is a function");
        self.check(&records, &decided.records, &decided.audit);
        self.audit.extend(decided.audit);
        if let Some(owner) = owner {
            match decided.records.enrollment {
                Some(enrollment) => self.enrollments.insert(owner.clone(), enrollment),
                None => self.enrollments.remove(&owner),
            };
            self.logins.insert(owner, decided.records.login);
            for (BudgetKey::Number(index), budget) in decided.records.budgets {
                self.budgets.insert(index, budget);
            }
            self.traffic.extend(decided.records.traffic);
        }
        decided.answer
    }

    fn check(&self, before: &Records, after: &Records, audit: &[AuditEvent]) {
        let bytes = minicbor::to_vec(&after.login).expect("a stored form");
        assert_eq!(minicbor::decode::<LoginState>(&bytes).expect("a login"), after.login);
        for budget in after.budgets.values() {
            let bytes = minicbor::to_vec(budget).expect("a stored form");
            assert_eq!(&minicbor::decode::<Budget>(&bytes).expect("a budget"), budget);
        }
        for traffic in after.traffic.values() {
            let bytes = minicbor::to_vec(traffic).expect("a stored form");
            assert_eq!(&minicbor::decode::<Traffic>(&bytes).expect("traffic"), traffic);
        }
        for old in &before.login.challenges {
            let new = after.login.challenges.iter().find(|new| new.token == old.token);
            let Some(new) = new else { continue };
            assert!(old.is_live() || new.state == old.state, "an end is for good");
            assert!(new.tries_left <= old.tries_left, "tries never grow");
        }
        for event in audit {
            let text = serde_json::to_string(&event.event).expect("JSON");
            for order in &self.orders {
                let code = order.code.expose();
                assert!(!text.contains(code), "a code was written down: {text}");
                let number = order.to.expose();
                for part in digits(&event.event).iter().filter(|part| part.len() > 2) {
                    assert!(!number.contains(part.as_str()), "{part} of a number: {text}");
                }
            }
        }
    }

    /// Whatever was decided left an event, unless `silent` says why there is nothing to write.
    fn check_written<A: std::fmt::Debug>(&self, before: usize, decided: &A, silent: bool) {
        assert!(silent || self.audit.len() > before, "{decided:?} left no event");
    }

    pub(crate) fn begin(&mut self, run: Run) -> Begun {
        let before = self.audit.len();
        let account = account(run.account);
        let decision = Begin {
            terms: self.terms(),
            account: account.clone(),
            requirement: match (run.exists, run.exempt) {
                (false, _) => Requirement::NoAccount,
                (true, true) => Requirement::Nothing,
                (true, false) => Requirement::Code,
            },
            service: "sshd".to_owned(),
            attempt: run.attempt,
            source: run.source,
            by_itself: run.by_itself,
            full: false,
            draw: self.draw(),
        };
        let begun = self.decide(Some(account), None, |records, now| decision.decide(records, now));
        self.check_written(before, &begun, false);
        if let Begun::Issued(_, order) = &begun {
            self.orders.push((**order).clone());
        }
        begun
    }

    /// Begins; a vendor takes the message at once.
    pub(crate) fn start(&mut self, run: Run) -> ChallengeToken {
        match self.begin(run) {
            Begun::Issued(view, order) => {
                self.deliver(&order, sent());
                view.token
            }
            other => panic!("no code was issued: {other:?}"),
        }
    }

    /// The newest code of a challenge.
    pub(crate) fn code(&self, token: ChallengeToken) -> String {
        let newest = self.orders.iter().rfind(|order| order.token == token);
        newest.expect("an order").code.expose().to_owned()
    }

    /// A code that none of the challenge's is.
    pub(crate) fn wrong(&self, token: ChallengeToken) -> String {
        let digits = self.code(token).len();
        (0..100).map(|n| format!("{n:0digits$}")).find(|code| !self.was_sent(code)).expect("a code")
    }

    fn was_sent(&self, code: &str) -> bool {
        self.orders.iter().any(|order| order.code.expose() == code)
    }

    pub(crate) fn answer(&mut self, token: ChallengeToken, typed: &str) -> Answered {
        let before = self.audit.len();
        let owner = self.owner(token);
        let typed = Typed::new(typed);
        let answer = Answer { terms: self.terms(), token, typed, full: false, draw: self.draw() };
        let answered = self.decide(owner, None, |records, now| answer.decide(records, now));
        // Nothing was asked for but a text: help, that nothing calls, or that there are no recovery
        // codes to compare one with. And of a challenge that is not there, or is no login, nobody knows
        // whose it is.
        let silent = match &answered {
            Answered::Unknown => true,
            Answered::Ask(notice, ..) => {
                matches!(notice, Notice::Help | Notice::NoVoice | Notice::NoRecovery)
            }
            Answered::AskRecovery(notice, _) => match notice {
                WithheldNotice::Begin | WithheldNotice::Help => true,
                WithheldNotice::Wrong { .. } => false,
            },
            Answered::Granted | Answered::Recovered(_) | Answered::Denied(..) => false,
        };
        self.check_written(before, &answered, silent);
        if let Answered::Ask(_, _, Some(order)) = &answered {
            self.orders.push((**order).clone());
        }
        answered
    }

    /// Answers, and is asked again.
    pub(crate) fn asked(&mut self, token: ChallengeToken, typed: &str) -> (Notice, View) {
        match self.answer(token, typed) {
            Answered::Ask(notice, view, order) => {
                if let Some(order) = order {
                    self.deliver(&order, sent());
                }
                (notice, view)
            }
            other => panic!("not asked again: {other:?}"),
        }
    }

    pub(crate) fn right(&mut self, token: ChallengeToken) -> Answered {
        let code = self.code(token);
        self.answer(token, &code)
    }

    pub(crate) fn abandon(&mut self, token: ChallengeToken) -> bool {
        let owner = self.owner(token);
        let before = self.audit.len();
        let live = self.decide(owner, None, |records, now| Abandon { token }.decide(records, now));
        // What is over cannot be abandoned: nothing was decided.
        self.check_written(before, &live, !live);
        live
    }

    pub(crate) fn deliver(&mut self, order: &Order, result: DeliveryResult) {
        let failures = match result {
            DeliveryResult::Sent { .. } => Vec::new(),
            _ => vec![("telnyx".to_owned(), "timeout".to_owned())],
        };
        let delivered = Delivered {
            token: order.token,
            issued_at: order.issued_at,
            charged_at: order.charged_at,
            purpose: order.purpose,
            index: order.index,
            failures,
            result,
        };
        let owner = self.owner(order.token);
        let (before, forgotten) = (self.audit.len(), owner.is_none());
        self.decide(owner, None, |records, now| delivered.decide(records, now));
        // Of a challenge that is not stored any more nobody knows whose it was.
        self.check_written(before, &delivered, forgotten);
    }

    /// The newest message surely did not go.
    pub(crate) fn fail(&mut self) {
        let order = self.orders.last().cloned().expect("an order");
        self.deliver(&order, DeliveryResult::Failed);
    }

    pub(crate) fn manage(&mut self, name: &str, verb: Verb) {
        let manage = Manage { account: account(name), verb, uid: 0 };
        let before = self.audit.len();
        self.decide(Some(account(name)), None, |records, now| manage.decide(records, now));
        self.check_written(before, &manage, false);
    }

    fn owner(&self, token: ChallengeToken) -> Option<Account> {
        let owns = |login: &LoginState| login.challenges.iter().any(|c| c.token == token);
        self.logins.iter().find(|(_, login)| owns(login)).map(|(account, _)| account.clone())
    }

    /// Messages that count for alice, and for her number.
    pub(crate) fn charged(&self) -> (usize, usize) {
        let number = self.budgets.get(&index(NUMBER)).cloned().unwrap_or_default();
        (self.login("alice").messages.in_a_day(self.now), number.messages.in_a_day(self.now))
    }

    /// Codes ordered for logins so far.
    pub(crate) fn sent(&self) -> usize {
        self.orders.iter().filter(|order| order.purpose == Purpose::Login).count()
    }
}

/// The runs of digits in the texts of an event; those of addresses prove nothing.
fn digits(event: &super::audit::Event) -> Vec<String> {
    fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                let runs = text.split(|c: char| !c.is_ascii_digit());
                into.extend(runs.map(str::to_owned));
            }
            serde_json::Value::Object(fields) => {
                let fields = fields.iter().filter(|(name, _)| *name != "source");
                fields.for_each(|(_, value)| texts(value, into));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|v| texts(v, into)),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
    }
    let mut found = Vec::new();
    texts(&serde_json::to_value(event).expect("JSON"), &mut found);
    found
}

pub(crate) fn sent() -> DeliveryResult {
    DeliveryResult::Sent { gateway: "telnyx".to_owned(), vendor_id: Some("m-1".to_owned()) }
}

pub(crate) const HOUR: Duration = super::time::HOUR;

/// The `n`th of the codes that [`Scene::codes`] draws from: such that no time of a test contains one.
pub(crate) fn few(n: u32) -> String {
    format!("{:06}", 731_900 + n)
}

pub(crate) fn code(digits: &str) -> Passcode {
    let length = u8::try_from(digits.len()).expect("a code's length");
    Passcode::typed(digits, length).expect("a code")
}

/// The reference that reads like this.
pub(crate) fn reference(text: &str) -> Reference {
    let drawn = |seed| Reference::generate(&mut StdRng::seed_from_u64(seed));
    (0..10_000).map(drawn).find(|drawn| drawn.to_string() == text).expect("a reference")
}
