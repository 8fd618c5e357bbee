//! The loop against a scripted program and a scripted daemon; both fail on the wrong call and on
//! leftovers.
#![expect(clippy::indexing_slicing, reason = "a panic is how a test fails")]
#![expect(clippy::needless_pass_by_value, reason = "scripts read better without references")]
#![expect(clippy::type_complexity, reason = "tables of cases are tuples")]

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ffi::CStr,
    io::ErrorKind,
    time::Duration,
};

use otp_proto::{
    CallError, Method,
    args::{Args, FailMode},
    client::Deadline,
    login::Cancel,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{FAIL_DELAY, UNREACHABLE, authenticate};
use crate::{
    daemon::{ConnectError, Daemon},
    host::{ConversationFailed, Kind, Level, PamHost, Reply, Session},
    result::Outcome,
};

mod panics;
mod refusals;
mod restarts;
mod rounds;

/// What the program does, in order.
enum Says {
    /// Expects this prompt and types this.
    Types(&'static str, &'static [u8]),
    /// Expects a prompt and gives no string.
    Null,
    /// Expects a prompt; the conversation fails.
    Fails,
    /// Expects a prompt, changes the user, types a code.
    Becomes(Option<&'static str>),
    /// Expects this text.
    Reads(Kind, &'static str),
}

/// A scripted program. Its fields are what PAM would know.
struct Program {
    user: RefCell<Option<String>>,
    tty: Option<&'static str>,
    rhost: Option<&'static str>,
    env: Vec<(&'static CStr, &'static str)>,
    authtok: bool,
    session: Session,
    script: RefCell<VecDeque<Says>>,
    log: RefCell<Vec<(Level, String)>>,
    delay: Cell<Option<Duration>>,
}

impl Program {
    /// alice, who typed her password at a console.
    fn new(script: impl IntoIterator<Item = Says>) -> Self {
        Self {
            user: RefCell::new(Some("alice".into())),
            tty: Some("tty1"),
            rhost: None,
            env: Vec::new(),
            authtok: true,
            session: Session { id: 7, leader: false },
            script: RefCell::new(script.into_iter().collect()),
            log: RefCell::default(),
            delay: Cell::default(),
        }
    }

    fn next(&self) -> Option<Says> {
        self.script.borrow_mut().pop_front()
    }

    /// Lines at this level.
    fn logged(&self, level: Level) -> Vec<String> {
        let log = self.log.borrow();
        log.iter().filter(|(at, _)| *at == level).map(|(_, line)| line.clone()).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.script.borrow().is_empty(), "script not finished");
    }
}

impl PamHost for Program {
    fn user(&self) -> Option<String> {
        self.user.borrow().clone()
    }

    fn service(&self) -> String {
        "login".into()
    }

    fn rhost(&self) -> Option<String> {
        self.rhost.map(str::to_owned)
    }

    fn tty(&self) -> Option<String> {
        self.tty.map(str::to_owned)
    }

    fn ruser(&self) -> Option<String> {
        None
    }

    fn env(&self, name: &CStr) -> Option<String> {
        let value = self.env.iter().find(|(key, _)| *key == name);
        value.map(|(_, value)| (*value).to_owned())
    }

    fn has_authtok(&self) -> bool {
        self.authtok
    }

    fn session(&self) -> Session {
        self.session
    }

    fn prompt(&self, text: &str, echo: bool) -> Result<Reply, ConversationFailed> {
        assert!(echo, "the scripted daemon always asks for echo");
        match self.next() {
            Some(Says::Types(expected, reply)) => {
                assert_eq!(text, expected);
                Ok(Some(Zeroizing::new(reply.to_vec())))
            }
            Some(Says::Null) => Ok(None),
            Some(Says::Fails) => Err(ConversationFailed),
            Some(Says::Becomes(user)) => {
                *self.user.borrow_mut() = user.map(str::to_owned);
                Ok(Some(Zeroizing::new(b"482913".to_vec())))
            }
            Some(Says::Reads(..)) | None => panic!("unexpected prompt {text:?}"),
        }
    }

    fn show(&self, kind: Kind, text: &str) {
        match self.next() {
            Some(Says::Reads(at, expected)) => assert_eq!((kind, text), (at, expected)),
            _ => panic!("unexpected text {text:?}"),
        }
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push((level, message.to_owned()));
    }

    fn fail_delay(&self, delay: Duration) {
        assert!(self.delay.replace(Some(delay)).is_none(), "asked for a delay twice");
    }
}

/// What the daemon expects and does, in order.
enum Does {
    /// Expects a connection.
    Accepts,
    /// Expects an attempt to connect, which fails.
    Refuses(fn() -> ConnectError),
    /// Expects this method with these parameters and replies.
    Replies(&'static str, Value, Value),
    /// Expects this method; the exchange fails.
    Breaks(&'static str, fn() -> CallError),
    /// Expects this challenge to be given up.
    Cancelled(&'static str),
}

/// A scripted daemon.
struct Script(VecDeque<Does>);

impl Script {
    fn new(steps: impl IntoIterator<Item = Does>) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.0.is_empty(), "script not finished");
    }
}

impl Daemon for Script {
    fn connect(&mut self, _: Deadline) -> Result<(), ConnectError> {
        match self.0.pop_front() {
            Some(Does::Accepts) => Ok(()),
            Some(Does::Refuses(error)) => Err(error()),
            _ => panic!("unexpected connect"),
        }
    }

    fn call<M: Method>(&mut self, call: &M, _: Deadline) -> Result<M::Reply, CallError> {
        match self.0.pop_front() {
            Some(Does::Replies(method, parameters, reply)) => {
                assert_eq!(M::NAME, format!("org.otpd.Login.{method}"));
                assert_eq!(serde_json::to_value(call).expect("parameters"), parameters);
                serde_json::from_value(reply).map_err(|e| CallError::Malformed(e.to_string()))
            }
            Some(Does::Breaks(method, error)) => {
                assert_eq!(M::NAME, format!("org.otpd.Login.{method}"));
                Err(error())
            }
            _ => panic!("unexpected call of {}", M::NAME),
        }
    }

    fn cancel(&mut self, cancel: &Cancel, _: Deadline) {
        match self.0.pop_front() {
            Some(Does::Cancelled(challenge)) => assert_eq!(cancel.challenge, challenge),
            _ => panic!("unexpected cancel"),
        }
    }
}

const CODE: &str = "Code:";

/// What `Begin` carries for [`Program::new`].
fn alice() -> Value {
    json!({
        "user": "alice", "service": "login", "rhost": null, "tty": "tty1", "ruser": null,
        "connection": null, "first_factor": [],
    })
}

fn prompt(text: &str) -> Value {
    json!({ "prompt": { "text": text, "echo": true } })
}

fn verdict(verdict: &str) -> Value {
    json!({ "verdict": verdict })
}

/// `Begin` for alice answered with this step.
fn begins(step: Value) -> Does {
    Does::Replies("Begin", alice(), json!({ "challenge": "c1", "step": step }))
}

/// `Answer` with this text answered with this step.
fn answers(answer: &str, step: Value) -> Does {
    let parameters = json!({ "challenge": "c1", "answer": answer });
    Does::Replies("Answer", parameters, json!({ "step": step }))
}

fn types(reply: &'static [u8]) -> Says {
    Says::Types(CODE, reply)
}

fn sorry() -> Says {
    Says::Reads(Kind::Error, UNREACHABLE)
}

fn broken(kind: ErrorKind) -> CallError {
    CallError::Io(kind.into())
}

fn gone() -> CallError {
    broken(ErrorKind::UnexpectedEof)
}

fn late() -> CallError {
    broken(ErrorKind::TimedOut)
}

fn refused(name: &str) -> CallError {
    let body = json!({ "error": name, "parameters": {} }).to_string();
    CallError::Refused { name: name.into(), body }
}

fn absent() -> ConnectError {
    ConnectError::Absent("there is no socket".into())
}

fn unusable() -> ConnectError {
    ConnectError::Unusable("served by uid 1000".into())
}

fn safe() -> Args {
    Args { failmode: FailMode::Safe, ..Args::default() }
}

/// Runs a login and checks what holds for every one of them.
fn login(program: &Program, daemon: impl IntoIterator<Item = Does>, args: &Args) -> Outcome {
    let outcome = authenticate(program, &mut Script::new(daemon), args, false);
    let delayed = (outcome == Outcome::Denied).then_some(FAIL_DELAY);
    assert_eq!(program.delay.get(), delayed, "a delay after a denial and only then");
    for (_, line) in program.log.borrow().iter() {
        assert!(!line.contains("482913"), "the code is in the log: {line}");
    }
    outcome
}
