//! One connection: frames in, frames out, one request at a time, everything under a deadline.

use std::{io, time::Duration};

use otp_proto::{
    envelope::{Call, Reply},
    frame::{Decoder, Frame, encode},
    login,
    service::{self, Description, GetInterfaceDescription, Info, ServiceError},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use tracing::{debug, warn};
use zeroize::Zeroize;

use super::{Backend, Common, authority::Who, peer::Peer};
use crate::{
    failpoint::{self, Point},
    quota::Line,
    verifier::{Attendance, Import, Restore},
};

/// From the connection, or from the last answer, to the first byte of a request.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// From the first byte of a request to its last, and for writing an answer.
const WHOLE: Duration = Duration::from_secs(15);
/// How long a claimant may sit at a prompt: longer than any code and its successor live. An administrator
/// likewise, before an import.
const AT_PROMPT: Duration = Duration::from_mins(25);
/// What an error repeats of a request, bytes: it must fit a frame, however it is escaped.
const REPEATED: usize = 256;

pub(super) struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    pub(super) peer: Peer,
    pub(super) backend: Backend,
    pub(super) common: Common,
    /// Who the peer is, once it was asked.
    pub(super) who: Option<Who>,
    /// The login whose prompt this connection waits at.
    pub(super) attendance: Option<Attendance>,
    /// The backup that it brings back, piece by piece.
    pub(super) restore: Option<Box<Restore>>,
    /// The export that it brings, likewise.
    pub(super) import: Option<Box<Import>>,
    /// The call that is being handled wants no reply, not even an error.
    oneway: bool,
    /// Its method, for the log.
    called: String,
}

/// Why a connection ends.
pub(super) enum Over {
    /// It broke, or was too slow.
    Broken(io::Error),
    /// The peer broke the rules.
    Rules(&'static str),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

pub(super) type Done = Result<(), Over>;

impl Connection {
    pub(super) fn new(stream: UnixStream, peer: Peer, backend: Backend, common: Common) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            peer,
            backend,
            common,
            who: None,
            attendance: None,
            restore: None,
            import: None,
            oneway: false,
            called: String::new(),
        }
    }

    /// Serves until the peer leaves, breaks a rule or is too slow, or the daemon stops.
    pub(super) async fn serve(mut self) {
        let mut stop = self.common.stop.clone();
        loop {
            let frame = tokio::select! {
                // A stop comes before a request that is there already.
                biased;
                () = stop.requested() => return,
                frame = self.request() => frame,
            };
            let handled = match frame {
                Ok(Some(frame)) => self.handle(&frame).await,
                Ok(None) => return,
                Err(over) => Err(over),
            };
            match handled {
                // A call a turn: whoever sends many in one write keeps nobody else waiting.
                Ok(()) if self.decoder.is_partial() => tokio::task::yield_now().await,
                Ok(()) => {}
                Err(Over::Broken(error)) => {
                    debug!(uid = self.peer.uid, %error, "a connection broke");
                    return;
                }
                Err(Over::Rules(rule)) => {
                    debug!(uid = self.peer.uid, rule, "a connection was closed");
                    return;
                }
            }
        }
    }

    /// The next request; `None` when the peer has left.
    async fn request(&mut self) -> Result<Option<Frame>, Over> {
        if !self.decoder.is_partial() && !self.first_bytes().await? {
            return Ok(None);
        }
        let whole = async {
            loop {
                match self.decoder.next_frame() {
                    Ok(Some(frame)) => return Ok(Some(frame)),
                    Ok(None) if self.read().await? => {}
                    Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(_) => return Ok(None),
                }
            }
        };
        let frame = in_time(WHOLE, whole).await?;
        if frame.is_none() {
            // The frame has no end in reach, so there is no way to go on after it.
            self.invalid("frame longer than 16 KiB").await?;
            return Err(Over::Rules("frame too long"));
        }
        Ok(frame)
    }

    /// Waits for the begin of a request; false when the peer has left, or has to.
    async fn first_bytes(&mut self) -> Result<bool, Over> {
        if self.attendance.is_none() {
            // Somebody may be asked whether an import that was looked at is wanted: nobody is let in
            // before it is, or the connection ends.
            let asked = self.import.as_ref().is_some_and(|import| import.is_awaited());
            return in_time(if asked { AT_PROMPT } else { FIRST_BYTE }, self.read()).await;
        }
        let place = self.common.prompts.enter();
        let read = in_time(AT_PROMPT, self.read());
        let needed = tokio::select! {
            read = read => return read,
            () = place.needed() => Over::Rules("its seat is needed for another login"),
        };
        // Whoever sits at the prompt has not left: the module comes again with what they type.
        if let Some(attendance) = self.attendance.take() {
            attendance.finish();
        }
        Err(needed)
    }

    /// Reads what is there; false at the end.
    pub(super) async fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 2048];
        let count = self.stream.read(&mut buffer).await?;
        self.decoder.push(buffer.get(..count).unwrap_or_default());
        buffer.zeroize();
        Ok(count != 0)
    }

    async fn handle(&mut self, frame: &Frame) -> Done {
        let call = match Call::parse(frame) {
            Ok(call) => call,
            Err(error) => return self.invalid(&error.to_string()).await,
        };
        self.oneway = call.oneway;
        self.called = repeated(&call.method);
        let done = self.dispatch(&call).await;
        self.oneway = false;
        done
    }

    async fn dispatch(&mut self, call: &Call<'_>) -> Done {
        if call.upgrade {
            return self.invalid("upgrade").await;
        }
        if call.oneway && call.method != <login::Cancel as otp_proto::Method>::NAME {
            return Err(Over::Rules("oneway is for Cancel only"));
        }
        match call.method.rsplit_once('.') {
            Some(("org.otpd.Login", method)) => self.login(method, call).await,
            Some(("org.otpd.Admin", method)) => self.admin(method, call).await,
            Some(("org.varlink.service", method)) => self.service(method, call).await,
            Some((interface, _)) => self.no_interface(interface).await,
            None => self.no_method(&call.method).await,
        }
    }

    async fn service(&mut self, method: &str, call: &Call<'_>) -> Done {
        match method {
            "GetInfo" => {
                if self.parameters::<service::GetInfo>(call.parameters).await?.is_none() {
                    return Ok(());
                }
                let interfaces = ["org.varlink.service", "org.otpd.Login", "org.otpd.Admin"];
                let info = Info {
                    vendor: "otpd".into(),
                    product: "otpd".into(),
                    version: env!("CARGO_PKG_VERSION").into(),
                    url: env!("CARGO_PKG_REPOSITORY").into(),
                    interfaces: interfaces.map(str::to_owned).into(),
                };
                self.reply(&info, false).await
            }
            "GetInterfaceDescription" => {
                let Some(request) =
                    self.parameters::<GetInterfaceDescription>(call.parameters).await?
                else {
                    return Ok(());
                };
                let description = match request.interface.as_str() {
                    "org.varlink.service" => service::DESCRIPTION,
                    "org.otpd.Login" => login::DESCRIPTION,
                    "org.otpd.Admin" => otp_proto::admin::DESCRIPTION,
                    unknown => return self.no_interface(unknown).await,
                };
                self.reply(&Description { description: description.into() }, false).await
            }
            _ => self.no_method(&call.method).await,
        }
    }

    /// Parses parameters; a fault is answered here, and `None` returned.
    pub(super) async fn parameters<P: DeserializeOwned>(
        &mut self,
        raw: Option<&RawValue>,
    ) -> Result<Option<P>, Over> {
        match otp_proto::envelope::parameters(raw) {
            Ok(parameters) => Ok(Some(parameters)),
            Err(error) => {
                self.invalid(&error.to_string()).await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn reply<T: Serialize + Sync>(&mut self, reply: &T, continues: bool) -> Done {
        self.write(&Reply { parameters: reply, continues }).await
    }

    /// One of many replies, without a limit of time: whoever reads slowly holds nobody up, because
    /// no more is read from the store before this is taken.
    pub(super) async fn reply_patiently<T: Serialize + Sync>(&mut self, reply: &T) -> Done {
        let frame = self.encoded(&Reply { parameters: reply, continues: true })?;
        tokio::select! {
            () = self.common.stop.requested() => Err(Over::Rules("the daemon ends")),
            written = self.stream.write_all(&frame) => Ok(written?),
        }
    }

    /// Logs that the call is refused for want of a right.
    pub(super) fn log_denied(&self) {
        let (uid, method) = (self.peer.uid, &*self.called);
        match self.common.denials.take(&uid) {
            Line::Written => warn!(uid, method, "a call was refused: its caller may not do this"),
            Line::Last => warn!(
                uid,
                method,
                "a call was refused: its caller may not do this; of this caller no more are \
                 logged for an hour"
            ),
            Line::LeftOut => {}
        }
    }

    pub(super) async fn error<E: Serialize + Sync>(&mut self, error: &E) -> Done {
        self.write(error).await
    }

    pub(super) async fn invalid(&mut self, parameter: &str) -> Done {
        self.error(&ServiceError::InvalidParameter { parameter: repeated(parameter) }).await
    }

    async fn no_interface(&mut self, interface: &str) -> Done {
        self.error(&ServiceError::InterfaceNotFound { interface: repeated(interface) }).await
    }

    pub(super) async fn no_method(&mut self, method: &str) -> Done {
        self.error(&ServiceError::MethodNotFound { method: repeated(method) }).await
    }

    /// A reply as a frame. One that is none ends the connection, so its caller learns nothing.
    fn encoded<T: Serialize>(&self, reply: &T) -> io::Result<Frame> {
        encode(reply).inspect_err(|error| {
            warn!(%error, method = %self.called, "a reply cannot be sent: the call stays unanswered");
        })
    }

    async fn write<T: Serialize + Sync>(&mut self, value: &T) -> Done {
        if self.oneway {
            return Ok(());
        }
        let frame = self.encoded(value)?;
        failpoint::reach(Point::Reply);
        if failpoint::is_due(Point::HalfReply) {
            let half = frame.len() / 2;
            self.stream.write_all(frame.get(..half).unwrap_or_default()).await?;
            failpoint::reach(Point::HalfReply);
        }
        // Asked before: who has read this reply may be waiting for the next one to be the last.
        let last = failpoint::is_due(Point::Replied);
        in_time(WHOLE, self.stream.write_all(&frame)).await?;
        if last {
            failpoint::reach(Point::Replied);
        }
        Ok(())
    }
}

/// What an error repeats of a request.
fn repeated(text: &str) -> String {
    match text.get(..text.floor_char_boundary(REPEATED)) {
        Some(start) if start.len() < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}

/// The result, or an error when it takes longer than `limit`.
async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Over> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Over::Broken(io::ErrorKind::TimedOut.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::{REPEATED, repeated};

    #[test]
    fn what_is_repeated_is_short_and_whole_characters() {
        let (fits, long) = ("x".repeat(REPEATED), "é".repeat(REPEATED));
        assert_eq!(repeated(&fits), fits);
        assert_eq!(repeated(&long), format!("{}…", "é".repeat(REPEATED / 2)));
        assert_eq!(repeated(&format!("x{long}")).chars().count(), REPEATED / 2 + 1);
    }
}
