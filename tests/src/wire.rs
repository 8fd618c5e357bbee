//! A connection to the daemon that can also do what no proper client does.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use otp_proto::{
    Client, Method,
    client::Deadline,
    frame::{Decoder, Frame},
    login::{Answer, AnswerReply, Begin, BeginReply, Step, Verdict},
};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A connection.
pub struct Wire {
    stream: UnixStream,
    decoder: Decoder,
}

/// What came.
enum Arrival {
    Frame(Frame),
    /// The daemon has hung up.
    End,
    /// Nothing, in the time it was given.
    Nothing,
}

/// An error reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Its full name.
    pub error: String,
    /// Its parameters.
    pub parameters: Value,
}

/// A login that has been asked for a code.
#[derive(Clone, Debug)]
pub struct Prompted {
    /// Names it.
    pub challenge: String,
    /// What the claimant reads.
    pub text: String,
}

impl Wire {
    /// Connects as the test itself, that is as root.
    #[must_use]
    pub fn connect(socket: &Path) -> Self {
        let client = Client::connect(socket, Deadline::after(PATIENCE)).expect("the daemon");
        Self::new(client.stream().try_clone().expect("a descriptor"))
    }

    /// Goes on with a connected socket.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, decoder: Decoder::default() }
    }

    /// Sends bytes as they are. True when the daemon has not hung up.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if gone(error.kind()) => false,
            Err(error) => panic!("cannot write: {error}"),
        }
    }

    /// Another handle of the connection, to write while replies are read.
    #[must_use]
    pub fn writer(&self) -> UnixStream {
        self.stream.try_clone().expect("a descriptor")
    }

    /// Sends a call without waiting for its reply.
    pub fn post<M: Method>(&mut self, method: &M) -> bool {
        self.send(&frame(&json!({ "method": M::NAME, "parameters": method })))
    }

    /// The next reply as it is; none when the daemon has hung up.
    #[must_use]
    pub fn receive(&mut self) -> Option<Value> {
        Some(serde_json::from_slice(&self.next_frame()?).expect("a reply is JSON"))
    }

    fn next_frame(&mut self) -> Option<Frame> {
        match self.receive_frame(PATIENCE) {
            Arrival::Frame(frame) => Some(frame),
            Arrival::End => None,
            Arrival::Nothing => panic!("no reply in time"),
        }
    }

    /// True when the daemon hangs up within `time`, and nothing comes before.
    #[must_use]
    pub fn ends_within(&mut self, time: Duration) -> bool {
        matches!(self.receive_frame(time), Arrival::End)
    }

    /// True when nothing at all happens for `time`.
    #[must_use]
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        matches!(self.receive_frame(time), Arrival::Nothing)
    }

    /// Calls, and waits for the reply. None when the daemon has hung up.
    ///
    /// # Errors
    /// The error that came back.
    pub fn try_call<M: Method>(&mut self, method: &M) -> Option<Result<M::Reply, Refusal>> {
        self.post(method);
        self.reply::<M>()
    }

    /// Calls, and waits for the reply.
    ///
    /// # Errors
    /// The error that came back.
    pub fn call<M: Method>(&mut self, method: &M) -> Result<M::Reply, Refusal> {
        self.try_call(method).expect("the daemon stays")
    }

    /// The reply to a call that was posted. None when the daemon has hung up.
    ///
    /// # Errors
    /// The error that came back.
    #[must_use]
    pub fn reply<M: Method>(&mut self) -> Option<Result<M::Reply, Refusal>> {
        Some(parsed::<M>(&self.next_frame()?))
    }

    /// The same where it need not come. None also when the daemon says nothing for so long.
    ///
    /// # Errors
    /// The error that came back.
    #[must_use]
    pub fn reply_within<M: Method>(&mut self, time: Duration) -> Option<Result<M::Reply, Refusal>> {
        match self.receive_frame(time) {
            Arrival::Frame(frame) => Some(parsed::<M>(&frame)),
            Arrival::End | Arrival::Nothing => None,
        }
    }

    /// Begins a login without an SSH connection.
    #[must_use]
    pub fn begin(&mut self, user: &str) -> BeginReply {
        self.call(&login(user, None)).expect("a step")
    }

    /// Begins a login that must lead to a prompt.
    #[must_use]
    pub fn prompt(&mut self, begin: &Begin) -> Prompted {
        let reply = self.call(begin).expect("a step");
        let (challenge, prompt) = reply
            .challenge
            .zip(reply.step.prompt)
            .unwrap_or_else(|| panic!("no prompt: {:?} {:?}", reply.step.verdict, reply.step.text));
        Prompted { challenge, text: prompt.text }
    }

    /// Answers.
    #[must_use]
    pub fn answer(&mut self, challenge: &str, answer: &str) -> Step {
        let AnswerReply { step } = self.call(&typed(challenge, answer)).expect("a step");
        step
    }

    fn receive_frame(&mut self, time: Duration) -> Arrival {
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("replies are short") {
                return Arrival::Frame(frame);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Arrival::End,
                Ok(count) => self.decoder.push(buffer.get(..count).expect("what was read")),
                Err(error) if gone(error.kind()) => return Arrival::End,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Arrival::Nothing,
                Err(error) => panic!("cannot read: {error}"),
            }
        }
    }
}

/// The reply in a frame.
fn parsed<M: Method>(frame: &[u8]) -> Result<M::Reply, Refusal> {
    let mut reply: Value = serde_json::from_slice(frame).expect("a reply is JSON");
    let parameters = reply.get_mut("parameters").map(Value::take).unwrap_or_default();
    match reply.get("error").and_then(Value::as_str) {
        Some(error) => Err(Refusal { error: error.to_owned(), parameters }),
        None => Ok(serde_json::from_value(parameters).expect("a reply of this method")),
    }
}

/// A value as a frame.
#[must_use]
pub fn frame(value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    bytes.push(0);
    bytes
}

/// The beginning of a login.
#[must_use]
pub fn login(user: &str, connection: Option<&str>) -> Begin {
    Begin {
        user: user.to_owned(),
        service: "sshd".to_owned(),
        rhost: None,
        tty: None,
        ruser: None,
        connection: connection.map(str::to_owned),
        first_factor: vec!["password".to_owned()],
    }
}

/// An answer.
#[must_use]
pub fn typed(challenge: &str, answer: &str) -> Answer {
    Answer { challenge: challenge.to_owned(), answer: otp_proto::Secret::new(answer.to_owned()) }
}

/// A code of the same length that is not this one; `nth` tells several apart.
#[must_use]
pub fn wrong(code: &str, nth: u32) -> String {
    let modulus = 10_u32.pow(u32::try_from(code.len()).expect("a short code"));
    let number = code.parse::<u32>().expect("digits");
    let other = (number + 1 + nth) % modulus;
    format!("{other:0width$}", width = code.len())
}

/// Whether the step lets the claimant in.
#[must_use]
pub fn is_granted(step: &Step) -> bool {
    step.verdict == Some(Verdict::Granted)
}

/// Whether the step turns the claimant away.
#[must_use]
pub fn is_denied(step: &Step) -> bool {
    step.verdict == Some(Verdict::Denied)
}

fn gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}
