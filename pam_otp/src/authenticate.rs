//! A login: ask the daemon, show what it says, hand back what was typed, until it decides.

use std::{io, time::Duration};

use otp_proto::{
    CallError, Method, Secret,
    args::{Args, FailMode},
    client::Deadline,
    login::{Answer, Begin, Cancel, Prompt, Verdict},
};

use crate::{
    begin::{SSHD_TTY, begin},
    daemon::{ConnectError, Daemon},
    host::{Kind, Level, PamHost},
    result::Outcome,
    text::{for_terminal, typed},
};

/// Most steps of one login. The daemon ends a challenge after 30 answers; this only keeps a daemon
/// gone wrong from holding somebody for ever.
const MOST_STEPS: usize = 40;

/// Longest reply, bytes: PAM's own `PAM_MAX_RESP_SIZE`.
const LONGEST_REPLY: usize = 512;

/// What sshd puts in the place of an answer, over and over up to its length, once it has refused a login
/// (`fake_password` of its auth-pam.c).
const JUNK: &[u8] = b"\x08\n\r\x7fINCORRECT";

/// How long libpam waits, more or less, before it tells of a denial.
const FAIL_DELAY: Duration = Duration::from_secs(2);

/// [`otp_proto::login::LoginError::UnknownChallenge`] by name: all errors end the login alike, and
/// parsing this one as a type would be a tenth of the module.
const UNKNOWN_CHALLENGE: &str = "org.otpd.Login.UnknownChallenge";

/// [`otp_proto::service::ServiceError::PermissionDenied`] by name.
const PERMISSION_DENIED: &str = "org.varlink.service.PermissionDenied";

/// The one sentence of the module's own.
pub(crate) const UNREACHABLE: &str = "Login codes cannot be checked at the moment. Please try again later or tell your administrator.";

/// Runs a login to its end.
pub(crate) fn authenticate(
    host: &impl PamHost,
    daemon: &mut impl Daemon,
    args: &Args,
    silent: bool,
) -> Outcome {
    let outcome = match begin(host, args) {
        Ok(begin) => Login { host, daemon, args, silent, begin }.run(),
        Err(outcome) => outcome,
    };
    // Denials only, wrong codes among them: guessing costs time, while an outage, a help text or
    // Ctrl-C costs nobody any. libpam draws the true length at random and does the waiting.
    if outcome == Outcome::Denied {
        host.fail_delay(FAIL_DELAY);
    }
    if args.debug {
        host.log(Level::Debug, &format!("ended: {outcome:?}"));
    }
    outcome
}

struct Login<'a, H, D> {
    host: &'a H,
    daemon: &'a mut D,
    args: &'a Args,
    silent: bool,
    begin: Begin,
}

/// Why an exchange brought no reply that can be used.
struct Failure {
    /// Nobody is there: the only failure that `failmode=safe` is about. Everything else, a time-out and
    /// a connection that broke among it, whoever logs in can bring about: by stopping the program, or
    /// by holding all connections that there are.
    absent: bool,
    what: String,
}

impl<H: PamHost, D: Daemon> Login<'_, H, D> {
    fn run(&mut self) -> Outcome {
        let reply = match self.first() {
            Ok(reply) => reply,
            Err(failure) => return self.undecided(&failure, self.args.failmode),
        };
        let (challenge, mut step) = (reply.challenge, reply.step);
        for _ in 0..MOST_STEPS {
            let prompt = match (step.prompt, step.verdict) {
                (Some(prompt), None) => prompt,
                (None, Some(verdict)) => return self.end(verdict, step.text.as_deref()),
                (Some(_), Some(_)) | (None, None) => {
                    self.log(Level::Error, "a step with neither or both of prompt and verdict");
                    let outcome = self.unavailable();
                    return self.given_up(challenge, outcome);
                }
            };
            let Some(known) = &challenge else {
                self.log(Level::Error, "a prompt that belongs to no challenge");
                return self.unavailable();
            };
            self.show(Kind::Info, step.text.as_deref());
            let answer = match self.ask(&prompt) {
                Ok(answer) => answer,
                Err(outcome) => return self.given_up(challenge, outcome),
            };
            let answer = Answer { challenge: known.clone(), answer };
            step = match self.exchange(&answer) {
                Ok(reply) => reply.step,
                // Whatever `failmode` says: somebody who was asked once is not let in unasked.
                Err(failure) => return self.undecided(&failure, FailMode::Secure),
            };
        }
        self.log(Level::Error, "the daemon keeps asking; giving up");
        let outcome = self.unavailable();
        self.given_up(challenge, outcome)
    }

    /// The first exchange, on a connection of its own.
    fn first(&mut self) -> Result<otp_proto::login::BeginReply, Failure> {
        let deadline = Deadline::after(self.args.timeout);
        self.daemon.connect(deadline)?;
        let begin = self.begin.clone();
        self.repeatable(&begin, deadline)
    }

    fn exchange<M: Method>(&mut self, call: &M) -> Result<M::Reply, Failure> {
        self.repeatable(call, Deadline::after(self.args.timeout))
    }

    /// A call that survives a restart of the daemon: where the connection broke, it is made once
    /// more on a new one. The daemon answers at most once, so nothing is granted twice.
    fn repeatable<M: Method>(&mut self, call: &M, deadline: Deadline) -> Result<M::Reply, Failure> {
        match self.daemon.call(call, deadline) {
            Err(CallError::Io(error)) if is_broken(&error) => {
                self.debug("the connection broke; connecting again");
                self.daemon.connect(deadline)?;
                self.daemon.call(call, deadline)
            }
            result => result,
        }
        .map_err(Failure::from)
    }

    /// The daemon's word; the only place where a login is granted.
    fn end(&self, verdict: Verdict, text: Option<&str>) -> Outcome {
        self.debug(&format!("the daemon's verdict is {verdict:?}"));
        let (outcome, kind) = match verdict {
            Verdict::Granted => (Outcome::Granted, Kind::Info),
            Verdict::Denied => (Outcome::Denied, Kind::Error),
            Verdict::Ignored => (Outcome::Ignored, Kind::Info),
            Verdict::Unavailable => (Outcome::Unavailable, Kind::Error),
        };
        self.show(kind, text);
        outcome
    }

    /// What was typed, if the login may go on.
    fn ask(&self, prompt: &Prompt) -> Result<Secret, Outcome> {
        let reply = self.host.prompt(&for_terminal(&prompt.text), prompt.echo);
        if self.host.user().as_ref() != Some(&self.begin.user) {
            // The code was sent for one account; it must not open another.
            self.log(Level::Alert, "the user name changed during the login: refused");
            return Err(Outcome::Denied);
        }
        let failed = |what| {
            self.log(Level::Notice, what);
            Err(Outcome::ConversationFailed)
        };
        match reply {
            Err(_) => failed("the prompt was not answered"),
            Ok(None) => failed("the prompt was answered with nothing at all"),
            Ok(Some(bytes)) if bytes.len() > LONGEST_REPLY => failed("the reply is too long"),
            Ok(Some(bytes)) if self.begin.tty.as_deref() == Some(SSHD_TTY) && is_junk(&bytes) => {
                self.log(
                    Level::Notice,
                    "sshd refused this login before the code was looked at (PermitRootLogin, \
                     AllowUsers or an unknown user); not counted",
                );
                Err(Outcome::Denied)
            }
            Ok(Some(bytes)) => Ok(typed(&bytes)),
        }
    }

    /// Ends a login that the daemon did not end itself: the challenge is of no more use.
    fn given_up(&mut self, challenge: Option<String>, outcome: Outcome) -> Outcome {
        if let Some(challenge) = challenge {
            self.daemon.cancel(&Cancel { challenge }, Deadline::after(self.args.timeout));
        }
        outcome
    }

    fn undecided(&self, failure: &Failure, failmode: FailMode) -> Outcome {
        match failmode {
            FailMode::Safe if failure.absent => {
                let what = format!("NO CODE ASKED because of failmode=safe: {}", failure.what);
                self.log(Level::Alert, &what);
                Outcome::Ignored
            }
            FailMode::Safe | FailMode::Secure => {
                self.log(Level::Error, &failure.what);
                self.unavailable()
            }
        }
    }

    fn unavailable(&self) -> Outcome {
        self.show(Kind::Error, Some(UNREACHABLE));
        Outcome::Unavailable
    }

    fn show(&self, kind: Kind, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !self.silent && !text.is_empty()) {
            self.host.show(kind, &for_terminal(text));
        }
    }

    fn debug(&self, message: &str) {
        if self.args.debug {
            self.log(Level::Debug, message);
        }
    }

    fn log(&self, level: Level, message: &str) {
        let from = self.begin.rhost.as_deref().unwrap_or("this machine");
        self.host.log(level, &format!("{} from {from}: {message}", self.begin.user));
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Absent(what) => Self { absent: true, what },
            ConnectError::Unusable(what) => Self { absent: false, what },
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let what = match &error {
            CallError::Io(inner) if inner.kind() == io::ErrorKind::TimedOut => {
                "otpd did not answer in time; see journalctl -u otpd".to_owned()
            }
            CallError::Io(_) => {
                format!("the connection to otpd broke: {error}; see journalctl -u otpd")
            }
            CallError::Malformed(_) => {
                format!("otpd answered nonsense ({error}); is it of another version?")
            }
            CallError::Refused { name, .. } if name == UNKNOWN_CHALLENGE => {
                "otpd does not know this login any more; it must be begun again".to_owned()
            }
            CallError::Refused { name, .. } if name == PERMISSION_DENIED => {
                "this program does not run as root, and otpd answers only root; keep pam_otp out of \
                 its stack"
                    .to_owned()
            }
            CallError::Refused { .. } => {
                format!("otpd refused the call ({error}); see journalctl -u otpd")
            }
        };
        Self { absent: false, what }
    }
}

/// Whether this is of sshd and not typed. A single backspace may be either.
fn is_junk(reply: &[u8]) -> bool {
    !reply.is_empty() && JUNK.iter().cycle().take(reply.len()).eq(reply)
}

/// Whether the other end is gone, as after a restart.
fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::WriteZero
    )
}

#[cfg(test)]
mod tests;
