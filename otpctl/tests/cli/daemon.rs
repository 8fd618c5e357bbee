//! The scripted daemon and the run of the program against it.

use std::{
    io::{BufRead, BufReader, Write, pipe},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use serde_json::Value;

/// A daemon that takes one request and answers with what it was given.
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    thread: JoinHandle<String>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    /// `reply` is written as it stands, then the connection is closed.
    pub(crate) fn raw(reply: impl Into<Vec<u8>>) -> Self {
        let reply = reply.into();
        let dir = tempfile::tempdir().expect("directory");
        let socket = dir.path().join("otpd.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = Vec::new();
            BufReader::new(&stream).read_until(0, &mut request).expect("read");
            request.pop_if(|last| *last == 0);
            // Whoever asked may be gone, on purpose.
            let _ = stream.write_all(&reply);
            String::from_utf8(request).expect("UTF-8")
        });
        Self { socket, thread, _dir: dir }
    }

    /// Replies, each a frame.
    pub(crate) fn frames(replies: &[&str]) -> Self {
        Self::raw(replies.iter().fold(String::new(), |all, reply| all + reply + "\0"))
    }

    /// One reply with these parameters.
    pub(crate) fn replies(parameters: &str) -> Self {
        Self::frames(&[&format!(r#"{{"parameters":{parameters}}}"#)])
    }

    /// One error.
    pub(crate) fn refuses(error: &str, parameters: &str) -> Self {
        Self::frames(&[&format!(r#"{{"error":"{error}","parameters":{parameters}}}"#)])
    }

    /// Runs otpctl against it; the request (empty: none) and what came of it.
    pub(crate) fn run(self, arguments: &[&str], stdin: &str) -> (String, Run) {
        let run = otpctl(&self.socket, arguments, stdin);
        (self.request(), run)
    }

    pub(crate) fn request(self) -> String {
        // Ends the wait of a daemon that was never called; lands in the backlog otherwise.
        drop(UnixStream::connect(&self.socket));
        self.thread.join().expect("daemon")
    }
}

/// A daemon that takes a connection after the other, one for each of `replies`, and answers the one
/// request of each with it.
pub(crate) struct Several {
    pub(crate) socket: PathBuf,
    thread: JoinHandle<Vec<String>>,
    _dir: tempfile::TempDir,
}

impl Several {
    pub(crate) fn new(replies: Vec<String>) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let socket = dir.path().join("otpd.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        let serve = move |reply: String| {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = Vec::new();
            BufReader::new(&stream).read_until(0, &mut request).expect("read");
            request.pop_if(|last| *last == 0);
            let _ = stream.write_all(reply.as_bytes());
            String::from_utf8(request).expect("UTF-8")
        };
        let thread = std::thread::spawn(move || replies.into_iter().map(serve).collect());
        Self { socket, thread, _dir: dir }
    }

    /// Runs otpctl against it; the requests, and what came of it.
    pub(crate) fn run(self, arguments: &[&str]) -> (Vec<String>, Run) {
        let run = otpctl(&self.socket, arguments, "");
        (self.thread.join().expect("daemon"), run)
    }
}

/// A daemon for several connections and requests: answers each by what it is asked.
pub(crate) struct Crowd {
    pub(crate) socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl Crowd {
    /// `answer` gives the reply to a request; an empty one ends the connection.
    pub(crate) fn new(answer: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let socket = dir.path().join("otpd.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen) = (stream.expect("accept"), Arc::clone(&seen));
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { socket, requests, _dir: dir }
    }

    /// What was asked, in words and sorted: which connection comes first is chance.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut *self.requests.lock().expect("requests"));
        requests.sort_unstable();
        requests
    }
}

fn serve(mut stream: UnixStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&Value) -> String) {
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    loop {
        let mut request = Vec::new();
        if reader.read_until(0, &mut request).unwrap_or(0) == 0 {
            return;
        }
        request.pop_if(|last| *last == 0);
        let request: Value = serde_json::from_slice(&request).expect("JSON");
        let method = request["method"].as_str().expect("a method");
        let method = method.trim_start_matches("org.otpd.Admin.");
        let fields = request["parameters"].as_object().expect("parameters").values();
        let fields = fields.map(|value| value.to_string().replace('"', "")).collect::<Vec<_>>();
        seen.lock().expect("requests").push(format!("{method} {}", fields.join(" ")));
        let reply = answer(&request);
        // Whoever asked may be gone, on purpose.
        if reply.is_empty() || stream.write_all((reply + "\0").as_bytes()).is_err() {
            return;
        }
    }
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn new(exit: i32, stdout: &str, stderr: &str) -> Self {
        Self { exit: Some(exit), stdout: stdout.into(), stderr: stderr.into() }
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            exit: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The program with these arguments, in a fixed time zone, without standard input.
pub(crate) fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpctl"));
    command.args(arguments).arg("--socket").arg(socket).env_clear();
    // Two hours east of Greenwich, without a time zone database.
    command.env("TZ", "<+02>-02").stdin(Stdio::null());
    command
}

/// Runs it with `stdin` on a pipe.
pub(crate) fn otpctl(socket: &Path, arguments: &[&str], stdin: &str) -> Run {
    let (reader, mut writer) = pipe().expect("pipe");
    writer.write_all(stdin.as_bytes()).expect("room in the pipe");
    drop(writer);
    command(socket, arguments).stdin(reader).output().expect("otpctl").into()
}
