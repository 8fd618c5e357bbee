//! `kind = "command"`: a program of the site's own, which gets the text on its standard input.
//!
//! Its exit status says what became of the message, in the terms of `sysexits.h` where those fit.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command as Process},
    time::{timeout, timeout_at},
};
use zeroize::Zeroizing;

use super::{
    Gateway, Message, Outcome, Sending, VendorMessageId, redact::Redactor,
    settings::CommandSettings,
};
use crate::domain::challenge::Channel;

/// What is kept of each output, bytes; the rest is read and dropped.
const MAX_OUTPUT: usize = 64 * 1024;

/// How long outputs are read after the program's end: what it said is in the pipe by then, and only
/// something that it left running can still hold them open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Starts a program for every message.
pub(super) struct Command {
    program: Vec<String>,
    timeout: Duration,
}

impl Command {
    /// Nothing is looked at before the first message, so that the program may be replaced.
    pub(super) fn open(settings: &CommandSettings) -> Self {
        Self { program: settings.program.clone(), timeout: settings.timeout }
    }

    /// The program with its arguments, a process group of its own, and nothing of our environment,
    /// where credentials have their places.
    fn process(&self, message: &Message) -> Option<Process> {
        let (program, arguments) = self.program.split_first()?;
        let mut process = Process::new(Path::new(program));
        process
            .args(arguments.iter().map(|argument| fill(argument, message)))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Some(process)
    }

    async fn run(&self, message: &Message) -> Outcome {
        let redactor = Redactor::new(message, []);
        let Some(mut process) = self.process(message) else {
            return Outcome::Misconfigured("`program` is empty".to_owned());
        };
        let mut child = match process.spawn() {
            Ok(child) => child,
            Err(error) => return not_started(&error, &redactor),
        };
        // Dropped before `child`, whose number is therefore still its own then.
        let mut group = Group::of(&child);
        let ends = tokio::time::Instant::now() + self.timeout;
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let ended = {
            let (stdin, stdout, stderr) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let mut talk = std::pin::pin!(async {
                tokio::join!(
                    hand_over(stdin, &message.text),
                    drain(stdout, &mut said),
                    drain(stderr, &mut complained)
                );
            });
            let end = async {
                tokio::select! {
                    ended = child.wait() => {
                        group.ended(timeout(LAST_WORDS, &mut talk).await.is_err());
                        ended
                    }
                    // The pipes may be closed long before the end.
                    () = &mut talk => {
                        let ended = child.wait().await;
                        group.ended(false);
                        ended
                    }
                }
            };
            timeout_at(ends, end).await
        };
        match ended {
            Ok(Ok(status)) => outcome(status, &said, &complained, &redactor),
            Ok(Err(error)) => Outcome::Unknown(redactor.reason(&error.to_string())),
            Err(_) => {
                let late = format!("not done within {} s", self.timeout.as_secs_f32());
                Outcome::Unknown(redactor.reason(&with_complaint(late, &complained)))
            }
        }
    }
}

impl Gateway for Command {
    fn kind(&self) -> &'static str {
        "command"
    }

    /// One that is to carry both is told which by `{channel}`; the configuration asks for it.
    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms | Channel::Voice => true,
        }
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.run(message))
    }
}

/// The process group of a program: killed when this is dropped before the program's end, so that one
/// that takes too long, or whose login was given up, takes with it whatever it started.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// The program ended by itself. `busy`: what it left running still holds its pipes; it is not
    /// left behind. Otherwise nobody is known to be there, and the number may soon be another's.
    fn ended(&mut self, busy: bool) {
        if !busy {
            self.0 = None;
        }
        self.kill();
    }

    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // An error means that nobody is left in it.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fills an argument in, once: a value is never taken for a placeholder.
fn fill(argument: &str, message: &Message) -> String {
    let filled = |part: &str| part.replace("{channel}", message.channel.as_str());
    let parts: Vec<String> = argument.split("{to}").map(filled).collect();
    parts.join(message.to.expose())
}

/// Writes the text and closes the pipe. A program that does not read it says so by its exit status.
async fn hand_over(stdin: Option<ChildStdin>, text: &Zeroizing<String>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(text.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// Reads to the end, so that the program never waits for us, and keeps the beginning.
async fn drain(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut chunk = vec![0; 8192];
    while let Ok(length) = output.read(&mut chunk).await {
        if length == 0 {
            return;
        }
        let room = MAX_OUTPUT.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(length.min(room)));
    }
}

/// What an exit status means.
fn outcome(status: ExitStatus, said: &[u8], complained: &[u8], redactor: &Redactor<'_>) -> Outcome {
    let reason = || redactor.reason(&with_complaint(status.to_string(), complained));
    match status.code() {
        Some(0) => Outcome::Accepted {
            vendor_id: first_line(said).and_then(|id| VendorMessageId::checked(&id)),
        },
        // EX_DATAERR, EX_NOUSER: nothing can be sent to this number.
        Some(65 | 67) => Outcome::Rejected(reason()),
        // EX_TEMPFAIL: not sent, but it may be tried again.
        Some(75) => Outcome::Retryable { after: None, reason: reason() },
        // EX_USAGE, EX_NOPERM and EX_CONFIG; 126 and 127 are the shell's for a program that cannot
        // be run or is not there. EX_NOPERM is how mail programs report a wrong password, so it
        // must not mean that the person opted out.
        Some(64 | 77 | 78 | 126 | 127) => Outcome::Misconfigured(reason()),
        // The first that sysexits.h leaves free: no program ends with it by accident.
        Some(OPTED_OUT) => Outcome::OptedOut,
        // Any other status, and a signal: it may have been sent by then.
        Some(_) | None => Outcome::Unknown(reason()),
    }
}

/// The exit status of a program that says: this person wants no more messages.
const OPTED_OUT: i32 = 79;

fn with_complaint(what: String, complained: &[u8]) -> String {
    match first_line(complained) {
        Some(line) => format!("{what}: {line}"),
        None => what,
    }
}

/// The first line that is not blank.
fn first_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Nothing was sent. What keeps the system from starting any program now may be over soon.
fn not_started(error: &io::Error, redactor: &Redactor<'_>) -> Outcome {
    let reason = redactor.reason(&format!("cannot be started: {error}"));
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
            Outcome::Retryable { after: None, reason }
        }
        _ => Outcome::Misconfigured(reason),
    }
}

#[cfg(test)]
mod tests;
