//! A program under which every call in turn ends in a panic: each is a refusal at the module's edge.

use std::{cell::Cell, ffi::CStr, time::Duration};

use pam::constants::PamResultCode;

use super::{
    Args, CODE, CallError, ConversationFailed, Daemon, Deadline, Does, Kind, Level, Method,
    PamHost, Program, Reply, Script, Session, answers, authenticate, begins, prompt, types,
    verdict,
};
use crate::{daemon::ConnectError, entry::contained, result::pam_code};
use otp_proto::login::Cancel;

/// Counts the calls that a login makes of the program and of the daemon, and panics in one of them.
struct Trap<'a> {
    made: &'a Cell<usize>,
    at: usize,
}

impl Trap<'_> {
    fn step(&self) {
        self.made.set(self.made.get() + 1);
        assert!(self.made.get() != self.at, "the program breaks");
    }
}

struct Trapped<'a, T>(Trap<'a>, T);

impl PamHost for Trapped<'_, Program> {
    fn user(&self) -> Option<String> {
        self.0.step();
        self.1.user()
    }

    fn service(&self) -> String {
        self.0.step();
        self.1.service()
    }

    fn rhost(&self) -> Option<String> {
        self.0.step();
        self.1.rhost()
    }

    fn tty(&self) -> Option<String> {
        self.0.step();
        self.1.tty()
    }

    fn ruser(&self) -> Option<String> {
        self.0.step();
        self.1.ruser()
    }

    fn env(&self, name: &CStr) -> Option<String> {
        self.0.step();
        self.1.env(name)
    }

    fn has_authtok(&self) -> bool {
        self.0.step();
        self.1.has_authtok()
    }

    fn session(&self) -> Session {
        self.0.step();
        self.1.session()
    }

    fn prompt(&self, text: &str, echo: bool) -> Result<Reply, ConversationFailed> {
        self.0.step();
        self.1.prompt(text, echo)
    }

    fn show(&self, kind: Kind, text: &str) {
        self.0.step();
        self.1.show(kind, text);
    }

    fn log(&self, level: Level, message: &str) {
        self.0.step();
        self.1.log(level, message);
    }

    fn fail_delay(&self, delay: Duration) {
        self.0.step();
        self.1.fail_delay(delay);
    }
}

impl Daemon for Trapped<'_, Script> {
    fn connect(&mut self, deadline: Deadline) -> Result<(), ConnectError> {
        self.0.step();
        self.1.connect(deadline)
    }

    fn call<M: Method>(&mut self, call: &M, deadline: Deadline) -> Result<M::Reply, CallError> {
        self.0.step();
        self.1.call(call, deadline)
    }

    fn silence(&self) -> Duration {
        self.0.step();
        self.1.silence()
    }

    fn cancel(&mut self, cancel: &Cancel, deadline: Deadline) {
        self.0.step();
        self.1.cancel(cancel, deadline);
    }
}

/// A login with a right code, whose call numbered `at` panics; its result and how many were made.
fn login(at: usize) -> (PamResultCode, usize) {
    let made = Cell::new(0);
    let daemon = [Does::Accepts, begins(prompt(CODE)), answers("482913", verdict("granted"))];
    let program = Trapped(Trap { made: &made, at }, Program::new([types(b"482913")]));
    let mut daemon = Trapped(Trap { made: &made, at }, Script::new(daemon));
    let args = Args { debug: true, ..Args::default() };
    let code = contained(&program, || pam_code(authenticate(&program, &mut daemon, &args, false)));
    // A script that was left in the middle is no fault here.
    program.1.script.borrow_mut().clear();
    daemon.1.0.clear();
    (code, made.get())
}

#[test]
fn a_panic_in_any_call_is_a_refusal() {
    let (granted, calls) = login(usize::MAX);
    assert_eq!(granted, PamResultCode::PAM_SUCCESS, "without a panic");
    assert!(calls >= 15, "{calls} calls");
    for at in 1..=calls {
        // One more is made: the line that says so in the log.
        assert_eq!(login(at), (PamResultCode::PAM_ABORT, at + 1), "call {at} of {calls}");
    }
}
