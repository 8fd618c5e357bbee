//! A blocking client: no threads, no runtime, every exchange under a deadline.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::{
    Method,
    envelope::{IncomingReply, OutgoingCall, parameters},
    frame::{Decoder, Frame, encode},
};

/// As near to no waiting as a socket's timeout goes: zero would be for ever.
const AT_ONCE: Duration = Duration::from_micros(1);

/// A connection to the daemon.
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    /// When the newest call was sent, all of it.
    sent: Option<Instant>,
    silence: Duration,
}

/// How an exchange failed.
#[derive(Debug)]
pub enum CallError {
    /// The connection broke, or the deadline passed (`TimedOut`); the call may have been carried out.
    Io(io::Error),
    /// What came back is not a reply to this call.
    Malformed(String),
    /// The daemon answered with an error.
    Refused {
        /// Full name of the error.
        name: String,
        /// The reply as it came, for [`CallError::typed`].
        body: String,
    },
}

impl CallError {
    /// The error as one of the interface's own, if it is one.
    #[must_use]
    pub fn typed<E: DeserializeOwned>(&self) -> Option<E> {
        match self {
            Self::Refused { body, .. } => serde_json::from_str(body).ok(),
            Self::Io(_) | Self::Malformed(_) => None,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed(what) => write!(f, "malformed reply: {what}"),
            Self::Refused { name, .. } => write!(f, "refused: {name}"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(_) | Self::Refused { .. } => None,
        }
    }
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a deadline over several system calls needs the monotonic clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// When an exchange must be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// `timeout` from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(now() + timeout)
    }

    /// What is left, never zero.
    ///
    /// # Errors
    /// `TimedOut` when nothing is left.
    pub fn left(self) -> io::Result<Duration> {
        self.0
            .checked_duration_since(now())
            .filter(|left| !left.is_zero())
            .ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

impl Client {
    /// Connects to the socket at `path`; a full backlog is waited for, within the deadline.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` when nobody listens, `TimedOut` when nobody accepts.
    pub fn connect(path: &Path, deadline: Deadline) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        let socket = socket2::Socket::from(beside_standard_streams(socket.into())?);
        let address = socket2::SockAddr::unix(path)?;
        loop {
            // SO_SNDTIMEO set first is what bounds connect(2) on a Unix socket: a non-blocking
            // connect answers EAGAIN at once when the backlog is full, and a blocking one may wait
            // for ever.
            socket.set_write_timeout(Some(deadline.left()?))?;
            match socket.connect(&address) {
                // A signal of the program's own, while the backlog was full. Nothing was connected.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                connected => break connected.map_err(timed_out)?,
            }
        }
        Ok(Self::of(OwnedFd::from(socket).into()))
    }

    fn of(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::default(), sent: None, silence: Duration::ZERO }
    }

    /// How long the daemon had had the newest call, all of it, when its reply was looked for last. However
    /// long this process was stopped before and since, the daemon had that time to reply, and did not.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// The connection itself, to ask the kernel who serves it.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Calls `method` and waits for its one reply.
    ///
    /// # Errors
    /// [`CallError`]; after `Io` or `Malformed` the connection is of no more use.
    pub fn call<M: Method>(
        &mut self,
        method: &M,
        deadline: Deadline,
    ) -> Result<M::Reply, CallError> {
        self.send(method, false, false, deadline)?;
        self.receive::<M>(deadline).map(|(reply, _)| reply)
    }

    /// Calls `method` and hands every reply to `each` until the last one. `timeout` bounds the wait
    /// for each reply.
    ///
    /// # Errors
    /// [`CallError`], or what `each` returned to stop early.
    pub fn call_more<M: Method, E: From<CallError>>(
        &mut self,
        method: &M,
        timeout: Duration,
        mut each: impl FnMut(M::Reply) -> Result<(), E>,
    ) -> Result<(), E> {
        self.send(method, false, true, Deadline::after(timeout))?;
        loop {
            let (reply, continues) = self.receive::<M>(Deadline::after(timeout))?;
            each(reply)?;
            if !continues {
                return Ok(());
            }
        }
    }

    /// Calls `method` and wants no reply.
    ///
    /// # Errors
    /// [`CallError::Io`].
    pub fn send_oneway<M: Method>(
        &mut self,
        method: &M,
        deadline: Deadline,
    ) -> Result<(), CallError> {
        self.send(method, true, false, deadline)
    }

    fn send<M: Method>(
        &mut self,
        method: &M,
        oneway: bool,
        more: bool,
        deadline: Deadline,
    ) -> Result<(), CallError> {
        let call = OutgoingCall { method: M::NAME, parameters: method, oneway, more };
        let frame = encode(&call)?;
        (self.sent, self.silence) = (None, Duration::ZERO);
        let mut rest = &*frame;
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(deadline.left()?))?;
            // The standard library sends with MSG_NOSIGNAL, so a gone peer is an error, not a signal.
            match self.stream.write(rest) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error).into()),
            }
        }
        self.sent = Some(now());
        Ok(())
    }

    fn receive<M: Method>(&mut self, deadline: Deadline) -> Result<(M::Reply, bool), CallError> {
        let frame = self.receive_frame(deadline)?;
        let malformed = |error: serde_json::Error| CallError::Malformed(error.to_string());
        let reply = IncomingReply::parse(&frame).map_err(malformed)?;
        match reply.error {
            Some(name) => Err(CallError::Refused {
                name: name.into_owned(),
                body: String::from_utf8_lossy(&frame).into_owned(),
            }),
            None => Ok((parameters(reply.parameters).map_err(malformed)?, reply.continues)),
        }
    }

    fn receive_frame(&mut self, deadline: Deadline) -> io::Result<Frame> {
        let mut buffer = [0; 2048];
        let result = loop {
            match self.decoder.next_frame() {
                Ok(None) => {}
                Ok(Some(frame)) => break Ok(frame),
                Err(error) => break Err(error.into()),
            }
            let left = deadline.left();
            // Before the look: what it does not find did not come in this time.
            self.silence = self.sent.map_or(Duration::ZERO, |sent| now().duration_since(sent));
            // The clock goes on while this process is stopped (Ctrl-Z, a frozen container). What came
            // meanwhile is the daemon's answer all the same, and is looked at before giving up.
            let wait = left.as_ref().map_or(AT_ONCE, |left| *left);
            let read = self.stream.set_read_timeout(Some(wait));
            match read.and_then(|()| self.stream.read(&mut buffer)) {
                // The daemon is gone; waiting longer would not bring it back.
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.decoder.push(buffer.get(..count).unwrap_or_default()),
                // Looked for once more where the time is over by now, however it passed.
                Err(error) if is_early(&error) => {
                    if let Err(over) = left {
                        break Err(over);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        buffer.zeroize();
        result
    }
}

/// A program may have been started without standard streams. What it then reads and prints must not go to
/// the daemon, in whose place they would stand.
fn beside_standard_streams(socket: OwnedFd) -> io::Result<OwnedFd> {
    // A copy that the standard library makes has a number above theirs.
    if socket.as_raw_fd() <= 2 { socket.try_clone() } else { Ok(socket) }
}

/// Whether nothing has come yet: a signal did, or a wait was over.
fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// A socket timeout arrives as `WouldBlock`; callers look for `TimedOut`.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, error),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, ErrorKind, Write},
        os::unix::net::{UnixListener, UnixStream},
        time::Duration,
    };

    use serde_json::json;

    use super::{CallError, Client, Deadline};
    use crate::{
        admin::{AdminError, List, Listed, Show},
        service::{GetInfo, ServiceError},
    };

    /// Serves one connection: reads to the first NUL, writes `reply`, closes.
    fn serve(
        reply: &'static [u8],
    ) -> (tempfile::TempDir, Client, std::thread::JoinHandle<Vec<u8>>) {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).expect("bind");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = Vec::new();
            std::io::BufReader::new(&stream).read_until(0, &mut request).expect("read");
            request.pop();
            stream.write_all(reply).expect("write");
            request
        });
        let client = Client::connect(&path, soon()).expect("connect");
        (dir, client, server)
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(5))
    }

    #[test]
    fn a_call_is_one_frame_each_way_and_unknown_reply_fields_are_passed_over() {
        let reply = br#"{"parameters":{"vendor":"v","product":"p","version":"1","url":"u","interfaces":[],"later":1},"later":2}"#;
        let (_dir, mut client, server) =
            serve(Box::leak([reply.as_slice(), b"\0"].concat().into()));
        let info = client.call(&GetInfo {}, soon()).expect("reply");
        assert_eq!(info.product, "p");
        let request = server.join().expect("server");
        assert_eq!(request, br#"{"method":"org.varlink.service.GetInfo","parameters":{}}"#);
    }

    #[test]
    fn errors_are_typed() {
        let (_dir, mut client, _server) =
            serve(b"{\"error\":\"org.otpd.Admin.NoSuchUser\",\"parameters\":{\"user\":\"eve\"}}\0");
        let error = client.call(&Show { user: "eve".into() }, soon()).expect_err("refused");
        assert_eq!(
            error.typed::<AdminError>(),
            Some(AdminError::NoSuchUser { user: "eve".into() })
        );
        assert_eq!(error.typed::<ServiceError>(), None);
    }

    #[test]
    fn broken_replies_are_errors() {
        let cases: [(&str, &'static [u8]); 4] = [
            ("end of file at once", b""),
            ("half a frame", b"{\"parameters\":"),
            ("not JSON", b"hello\0"),
            ("fields missing", b"{\"parameters\":{}}\0"),
        ];
        for (name, reply) in cases {
            let (_dir, mut client, _server) = serve(reply);
            let error = client.call(&GetInfo {}, soon()).expect_err(name);
            match error {
                CallError::Io(error) => {
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}");
                }
                CallError::Malformed(_) => {}
                CallError::Refused { .. } => panic!("{name}: {error}"),
            }
        }
    }

    #[test]
    fn more_ends_with_the_last_reply() {
        let (_dir, mut client, _server) = serve(
            b"{\"parameters\":{\"subscriber\":null},\"continues\":true}\0{\"parameters\":{\"subscriber\":null}}\0",
        );
        let mut rows = 0;
        let each = |_: Listed| {
            rows += 1;
            Ok::<(), CallError>(())
        };
        client.call_more(&List {}, Duration::from_secs(5), each).expect("two replies");
        assert_eq!(rows, 2);
    }

    #[test]
    fn a_silent_server_runs_into_the_deadline() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).expect("bind");
        let mut client = Client::connect(&path, soon()).expect("the backlog takes it");
        let deadline = Deadline::after(Duration::from_millis(30));
        match client.call(&GetInfo {}, deadline) {
            Err(CallError::Io(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            other => panic!("{other:?}"),
        }
    }

    /// The time of a process that was stopped is over by the time that it looks.
    #[test]
    fn what_came_before_the_time_was_looked_at_counts() {
        let reply = || {
            let long = "x".repeat(5000);
            let info = json!({ "vendor": long, "product": "p", "version": "1", "url": "u", "interfaces": [] });
            [json!({ "parameters": info }).to_string().into_bytes(), vec![0]].concat()
        };
        let cases = [
            ("a whole reply, in several reads", reply(), true),
            ("all of it but its end", reply().split_last().expect("bytes").1.to_vec(), false),
            ("nothing", Vec::new(), false),
        ];
        for (name, arrived, answered) in cases {
            let (stream, mut daemon) = UnixStream::pair().expect("a pair");
            daemon.write_all(&arrived).expect("room for a frame");
            let mut client = Client::of(stream);
            match client.receive::<GetInfo>(Deadline::after(Duration::ZERO)) {
                Ok((info, _)) => assert!(answered && info.product == "p", "{name}"),
                Err(CallError::Io(error)) => {
                    assert_eq!((error.kind(), answered), (ErrorKind::TimedOut, false), "{name}");
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }

    #[test]
    fn a_silence_begins_when_the_daemon_has_the_whole_call() {
        let (stream, daemon) = UnixStream::pair().expect("a pair");
        let mut client = Client::of(stream);
        // Its time was over before anything was sent.
        assert!(client.call(&GetInfo {}, Deadline::after(Duration::ZERO)).is_err());
        assert_eq!(client.silence(), Duration::ZERO);
        client.send(&GetInfo {}, false, false, soon()).expect("sent");
        assert_eq!(client.silence(), Duration::ZERO, "nobody has looked");
        let patience = Duration::from_millis(20);
        assert!(client.receive::<GetInfo>(Deadline::after(patience)).is_err());
        // It was looked for when the time was over, and not only before.
        assert!(client.silence() >= patience, "{:?}", client.silence());
        drop(daemon);
    }

    #[test]
    fn nobody_listening_is_said_at_once() {
        let dir = tempfile::tempdir().expect("directory");
        let error = Client::connect(&dir.path().join("s"), soon()).err().expect("no socket");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
