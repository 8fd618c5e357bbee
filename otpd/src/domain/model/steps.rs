//! What comes of a step: the next moment.

use super::{
    moment::{Daemon, Job, Message, Moment, Outcome, Reply, Said, Typing},
    properties::{I2, I4_I6},
    requests::{answer, begin, digits, draw, terms},
    rows::{Rows, time},
};
use crate::domain::{
    audit::{AuditEvent, Event},
    challenge::Instance,
    login::{Answered, Begin, Begun, Delivered, DeliveryResult, Order, Recover},
    passcode::Purpose,
    records::{Decided, Records},
};

impl Moment {
    pub(super) fn decide(&mut self, daemon: usize, session: usize, typing: Typing) {
        let instance = self.daemons[daemon].instance;
        let state = &mut self.sessions[session];
        if state.waiting.replace(typing).is_none() {
            state.answers += u8::from(typing != Typing::Nothing);
        }
        let (records, said, order) = match typing {
            Typing::Nothing => self.begin(session, instance),
            typing => self.judge(session, typing, instance),
        };
        let message = order.map(|order| self.ordered(&order));
        self.drawn += u8::from(message.is_some());
        let rows = Some((Rows::new(records), message));
        self.daemons[daemon].job = Some(Job { session, said, rows, answered: false });
    }

    fn begin(&self, session: usize, instance: u32) -> (Records, Said, Option<Box<Order>>) {
        let key = u8::try_from(session).expect("few");
        let begin = Begin { draw: draw(self.drawn), ..begin(key, instance) };
        let Decided { records, answer, .. } = begin.decide(self.rows.records(), time(self.ticks));
        let (reply, order) = match answer {
            Begun::Issued(view, order) => (Reply::Prompted(view.token), Some(order)),
            Begun::Resumed(view) => (Reply::Prompted(view.token), None),
            Begun::Denied(_) => (Reply::Denied, None),
            other @ (Begun::Ignored | Begun::Withheld(_) | Begun::Bypassed(_)) => {
                panic!("nobody is exempt here, and nobody has recovery codes: {other:?}")
            }
        };
        (records, Said { reply, wrong: false }, order)
    }

    fn judge(
        &mut self,
        session: usize,
        typing: Typing,
        instance: u32,
    ) -> (Records, Said, Option<Box<Order>>) {
        let newest = self.received(session).next_back();
        let typed = match typing {
            Typing::Right => digits(newest.expect("one came")),
            Typing::Earlier => digits(self.received(session).next().expect("one came")),
            Typing::Crossed => digits(self.crossed(session).expect("one came")),
            Typing::Nothing | Typing::Wrong => "999999".to_owned(),
            Typing::Resend => "r".to_owned(),
            Typing::Quit => "q".to_owned(),
        };
        let token = self.sessions[session].token.expect("prompted");
        let answer = answer(token, &typed, draw(self.drawn), instance);
        let now = time(self.ticks);
        let Decided { records, audit, answer } = answer.decide(self.rows.records(), now);
        let wrong = audit.iter().any(is_wrong);
        let (reply, order) = match answer {
            Answered::Granted => {
                // The newest code there is, of this very login, in time and for the first time.
                let right = self.witness.newest(token).is_some_and(|m| digits(m.drawn) == typed);
                if !right || !self.witness.lives(token, now) {
                    self.witness.broken.insert(I2);
                }
                (Reply::Granted, None)
            }
            Answered::Ask(_, _, order) => (Reply::Asked, order),
            // Unknown is what was told of before it was written, or written over: the module denies.
            Answered::Denied(..) | Answered::Unknown => (Reply::Denied, None),
            other @ (Answered::Recovered(_) | Answered::AskRecovery(..)) => {
                panic!("nobody has recovery codes here: {other:?}")
            }
        };
        (records, Said { reply, wrong }, order)
    }

    fn ordered(&self, order: &Order) -> Message {
        Message { token: order.token, drawn: self.drawn, issued: self.ticks, refunded: false }
    }

    pub(super) fn commit(&mut self, daemon: usize) {
        let at = &mut self.daemons[daemon];
        let job = at.job.as_mut().expect("it serves");
        let (rows, message) = job.rows.take().expect("it has something to write");
        if let Some(message) = message {
            at.sending.push(message.drawn);
            self.witness.messages.push(message);
            self.witness.messages.sort_by_key(|message| message.drawn);
        }
        if job.answered {
            at.job = None;
        }
        self.write(rows);
    }

    fn write(&mut self, rows: Rows) {
        self.witness.committed(&rows, I4_I6);
        self.rows = rows;
    }

    pub(super) fn answer(&mut self, daemon: usize, arrives: bool) {
        let at = &mut self.daemons[daemon];
        let job = at.job.as_mut().expect("it serves");
        job.answered = true;
        let (session, said) = (job.session, job.said);
        if job.rows.is_none() {
            at.job = None;
        }
        self.witness.told(self.sessions[session].token, said);
        if !arrives {
            self.faults += 1;
            return self.unanswered(session);
        }
        let session = &mut self.sessions[session];
        (session.waiting, session.repeated) = (None, false);
        match said.reply {
            Reply::Prompted(token) => session.token = Some(token),
            Reply::Asked => {}
            Reply::Granted => session.end = Some(Outcome::Granted),
            Reply::Denied => session.end = Some(Outcome::Denied),
        }
    }

    /// The module repeats its request once, then gives up.
    fn unanswered(&mut self, session: usize) {
        let session = &mut self.sessions[session];
        if std::mem::replace(&mut session.repeated, true) {
            session.waiting = None;
            session.end = Some(Outcome::Unanswered);
        }
    }

    pub(super) fn hand_over(
        &mut self,
        daemon: usize,
        taken: bool,
        recorded: Option<DeliveryResult>,
    ) {
        let drawn = self.daemons[daemon].sending.remove(0);
        if taken {
            self.phone.push(drawn);
            self.phone.sort_unstable();
        }
        let Some(result) = recorded else {
            self.faults += 1;
            return;
        };
        let message = self.message(drawn);
        let issued_at = time(message.issued);
        let records = self.rows.records();
        let enrollment = records.enrollment.as_ref().expect("enrolled");
        let delivered = Delivered {
            token: message.token,
            issued_at,
            charged_at: issued_at,
            purpose: Purpose::Login,
            index: enrollment.index,
            failures: Vec::new(),
            result,
        };
        let Decided { records, .. } = delivered.decide(records, time(self.ticks));
        self.write(Rows::new(records));
        let messages = self.witness.messages.iter_mut();
        messages.filter(|m| m.drawn == drawn).for_each(|message| message.refunded = !taken);
    }

    pub(super) fn crash(&mut self, daemon: usize) {
        self.faults += 1;
        let instance = self.daemons.iter().map(|daemon| daemon.instance).max().unwrap_or(0) + 1;
        let next = Daemon { instance, job: None, sending: Vec::new() };
        let dead = std::mem::replace(&mut self.daemons[daemon], next);
        if let Some(job) = dead.job
            && !job.answered
        {
            self.unanswered(job.session);
        }
        // A transaction of the other daemon may be open; then this run finds nothing to take up.
        if self
            .daemons
            .iter()
            .all(|daemon| daemon.job.as_ref().is_none_or(|job| job.rows.is_none()))
        {
            self.recover(daemon);
        }
    }

    fn recover(&mut self, daemon: usize) {
        let instance = Instance(self.daemons[daemon].instance);
        let challenges = self.rows.records().login.challenges.iter();
        let lost =
            challenges.filter(|challenge| challenge.is_live() && challenge.is_lost(instance));
        for token in lost.map(|challenge| challenge.token).collect::<Vec<_>>() {
            let recover = Recover { terms: terms(instance.0), token, draw: draw(self.drawn) };
            let decided = recover.decide(self.rows.records(), time(self.ticks));
            self.write(Rows::new(decided.records));
            if let Some(order) = decided.answer {
                let message = self.ordered(&order);
                self.drawn += 1;
                self.daemons[daemon].sending.push(message.drawn);
                self.witness.messages.push(message);
            }
        }
    }
}

fn is_wrong(event: &AuditEvent) -> bool {
    matches!(event.event, Event::CodeWrong { .. })
}
