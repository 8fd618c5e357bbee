//! A scripted daemon behind a real socket.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use otp_proto::{
    envelope::{Call, parameters},
    frame::Decoder,
    login::{Answer, Begin, Cancel},
};
use serde_json::{Value, json};

/// What follows a call.
#[derive(Debug, Clone)]
pub enum Then {
    /// These parameters are returned.
    Reply(Value),
    /// This error is returned.
    Error(&'static str),
    /// These bytes are sent as they are.
    Raw(Vec<u8>),
    /// These bytes are sent, and the connection ends.
    Cut(Vec<u8>),
    /// Nothing, until the other side hangs up.
    Silence,
    /// The connection ends at once.
    HangUp,
}

/// One connection: the methods expected, in order, and what follows each. A connection whose last
/// call was answered must bring nothing more.
pub type Connection = Vec<(&'static str, Then)>;

/// A call as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// Last word of the method's name.
    pub method: String,
    /// Its parameters.
    pub parameters: Value,
    /// Whether no reply was wanted.
    pub oneway: bool,
}

/// A daemon that follows a script.
pub struct Daemon {
    socket: PathBuf,
    server: Option<JoinHandle<Vec<Arrived>>>,
}

impl Daemon {
    /// Listens at `socket` and serves these connections, one after the other.
    #[must_use]
    pub fn start(socket: &Path, script: Vec<Connection>) -> Self {
        let listener = UnixListener::bind(socket).expect("bind");
        let server = std::thread::spawn(move || {
            let mut arrived = Vec::new();
            for connection in script {
                let (stream, _) = listener.accept().expect("accept");
                serve(stream, connection, &mut arrived);
            }
            arrived
        });
        Self { socket: socket.to_owned(), server: Some(server) }
    }

    /// What arrived; to be asked when the program has ended.
    #[must_use]
    pub fn finish(mut self) -> Vec<Arrived> {
        // Ends an accept that waits for a connection which did not come; that is then the failure.
        drop(UnixStream::connect(&self.socket));
        let server = self.server.take().expect("finished once");
        server.join().expect("the script was followed to its end")
    }
}

/// The code that a [`Willing`] daemon grants.
pub const CODE: &str = "482913";

/// A daemon without a script: it asks everybody for a code and grants the right one, over any
/// number of connections, whatever becomes of them.
pub struct Willing {
    socket: PathBuf,
    server: Option<JoinHandle<bool>>,
    stopped: Arc<AtomicBool>,
}

impl Willing {
    /// Listens at `socket`.
    #[must_use]
    pub fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("bind");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let server = std::thread::spawn(move || {
            let mut granted = false;
            loop {
                let (stream, _) = listener.accept().expect("accept");
                if stop.load(Ordering::SeqCst) {
                    return granted;
                }
                granted |= judge(stream);
            }
        });
        Self { socket: socket.to_owned(), server: Some(server), stopped }
    }

    /// Whether the right code arrived and was granted; to be asked when the program has ended.
    #[must_use]
    pub fn has_granted(mut self) -> bool {
        self.stopped.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket));
        self.server.take().expect("asked once").join().expect("a server")
    }
}

/// Serves a connection to its end; whether the right code came.
fn judge(mut stream: UnixStream) -> bool {
    let (mut decoder, mut granted) = (Decoder::default(), false);
    while let Some(call) = next(&mut stream, &mut decoder) {
        let right = call.parameters.get("answer") == Some(&CODE.into());
        let verdict = if right { "granted" } else { "denied" };
        let step =
            if call.method == "Begin" { prompt("Code: ") } else { json!({ "verdict": verdict }) };
        granted |= right;
        let reply = json!({ "parameters": { "challenge": "c1", "step": step } });
        if stream.write_all(&frame(&reply)).is_err() {
            break;
        }
    }
    granted
}

fn serve(mut stream: UnixStream, script: Connection, arrived: &mut Vec<Arrived>) {
    let mut decoder = Decoder::default();
    for (method, then) in script {
        let Some(call) = next(&mut stream, &mut decoder) else {
            panic!("the connection ended, expected {method}");
        };
        assert_eq!(call.method, method);
        arrived.push(call);
        let frame = match then {
            Then::Reply(value) => frame(&json!({ "parameters": value })),
            Then::Error(name) => frame(&json!({ "error": name, "parameters": {} })),
            Then::Raw(bytes) => bytes,
            Then::Silence => break,
            Then::HangUp => return,
            Then::Cut(bytes) => {
                return stream.write_all(&bytes).expect("the module reads its reply");
            }
        };
        stream.write_all(&frame).expect("the module reads its reply");
    }
    let rest = next(&mut stream, &mut decoder);
    assert_eq!(rest, None, "a call that the script does not know");
}

/// The next call; `None` at the end of the connection.
fn next(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<Arrived> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(frame) = decoder.next_frame().expect("frames are short") {
            let call: Call<'_> = serde_json::from_slice(&frame).expect("a call");
            let (method, parameters) = (call.method.into_owned(), call.parameters);
            let accepted = match method.as_str() {
                "org.otpd.Login.Begin" => self::parameters::<Begin>(parameters).map(drop),
                "org.otpd.Login.Answer" => self::parameters::<Answer>(parameters).map(drop),
                "org.otpd.Login.Cancel" => self::parameters::<Cancel>(parameters).map(drop),
                _ => panic!("unknown method {method}"),
            };
            accepted.expect("parameters that the real daemon accepts");
            let method = method.rsplit('.').next().unwrap_or_default().to_owned();
            let parameters = self::parameters(parameters).expect("JSON");
            return Some(Arrived { method, parameters, oneway: call.oneway });
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => decoder.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// A value as one frame.
#[must_use]
pub fn frame(value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    bytes.push(0);
    bytes
}

/// A step that asks.
#[must_use]
pub fn prompt(text: &str) -> Value {
    json!({ "prompt": { "text": text, "echo": true } })
}

/// `Begin` followed by this step of the challenge `c1`.
#[must_use]
pub fn begin(step: &Value) -> (&'static str, Then) {
    ("Begin", Then::Reply(json!({ "challenge": "c1", "step": step })))
}

/// `Answer` followed by this step.
#[must_use]
pub fn answer(step: &Value) -> (&'static str, Then) {
    ("Answer", Then::Reply(json!({ "step": step })))
}

/// `Cancel`, which nothing follows.
#[must_use]
pub fn cancel() -> (&'static str, Then) {
    ("Cancel", Then::Silence)
}
