//! systemd's journal: an entry has all that an event says as fields, for programs, and in its message,
//! which is what journalctl prints, what its --grep looks at and what is passed on to syslog.

use std::{
    fmt::{Debug, Write},
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
    layer::Context,
};

/// Where systemd-journald(8) takes entries.
const SOCKET: &str = "/run/systemd/journal/socket";

/// What every entry has. Facility 10 is authpriv, as for sshd: where syslog gets a copy, it goes to the
/// file that not everybody may read.
const ALWAYS: [(&str, &str); 2] = [("SYSLOG_IDENTIFIER", "otpd"), ("SYSLOG_FACILITY", "10")];

/// Bytes of one field: all of an entry goes in one datagram, of some 200 kB at most.
const LONGEST: usize = 16 * 1024;

/// How long an entry waits for a journal that has no room for it: what is logged is logged by the one
/// thread that answers logins.
const PATIENCE: Duration = Duration::from_millis(250);

/// Writes events to the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// Entries that were not taken since the last that was.
    lost: AtomicU64,
}

impl Journal {
    /// The machine's.
    ///
    /// # Errors
    /// There is none, or no way to it.
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path: path.to_owned(), lost: AtomicU64::new(0) })
    }

    /// Sends an entry, and behind the first that is taken again how many were not. Logins do not wait
    /// for a journal that hangs: after the first entry that it left waiting none waits.
    fn send(&self, entry: &[u8]) -> io::Result<()> {
        let sent = self.socket.send(entry).or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(error),
            // A journal that was started anew may have another socket.
            _ => {
                self.socket.connect(&self.path)?;
                self.socket.send(entry)
            }
        });
        if let Err(error) = sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.socket.set_nonblocking(true)?;
            return Err(error);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            // Without waiting: it may have had room for one entry alone.
            if let Err(error) = self.socket.send(&Entry::of_lost(lost).0) {
                self.lost.fetch_add(lost, Ordering::Relaxed);
                return Err(error);
            }
            self.socket.set_nonblocking(false)?;
        }
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Where the log fails there is nowhere left to say so.
        let _ = self.send(&Entry::of(event).0);
    }
}

/// An entry, as the journal takes it.
struct Entry(Vec<u8>);

impl Entry {
    fn new(priority: &str) -> Self {
        let mut entry = Self(Vec::with_capacity(1024));
        entry.add("PRIORITY", priority);
        for (name, value) in ALWAYS {
            entry.add(name, value);
        }
        entry
    }

    /// What the journal did not take.
    fn of_lost(entries: u64) -> Self {
        let mut entry = Self::new("4");
        entry.add("MESSAGE", &format!("the journal did not take {entries} entries before this"));
        entry
    }

    fn of(event: &Event<'_>) -> Self {
        let about = event.metadata();
        let priority = match *about.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let mut entry = Self::new(priority);
        entry.add("TARGET", about.target());
        if let (Some(file), Some(line)) = (about.file(), about.line()) {
            entry.add("CODE_FILE", file);
            entry.add("CODE_LINE", &line.to_string());
        }
        let mut message = String::new();
        // Writing to a string cannot fail, and what is written until then is better than nothing.
        let _ = DefaultFields::new().format_fields(Writer::new(&mut message), event);
        entry.add("MESSAGE", &message);
        event.record(&mut entry);
        entry
    }

    /// Adds a field; one of several lines has its length in front.
    fn add(&mut self, name: &str, value: &str) {
        let value = &value.as_bytes()[..value.floor_char_boundary(LONGEST)];
        self.0.extend(name.as_bytes());
        if value.contains(&b'\n') {
            self.0.push(b'\n');
            self.0.extend((value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend(value);
        self.0.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        let letter = |letter: char| match letter {
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
            _ => '_',
        };
        let name = field.name().chars().map(letter).collect::<String>();
        self.add(&format!("OTPD_{name}"), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // It is what the message begins with.
        if field.name() == "message" {
            return;
        }
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    /// Reads an entry back, as the journal does.
    fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| b"=\n".contains(byte)).expect("a name");
            let (name, rest) = (text(&entry[..end]), &entry[end + 1..]);
            let (value, rest) = if entry[end] == b'=' {
                let end = rest.iter().position(|byte| *byte == b'\n').expect("an end");
                (&rest[..end], &rest[end..])
            } else {
                let length = u64::from_le_bytes(rest[..8].try_into().expect("a length"));
                rest[8..].split_at(usize::try_from(length).expect("a length"))
            };
            found.insert(name, text(value));
            entry = rest.strip_prefix(b"\n").expect("a line");
        }
        found
    }

    fn logged(log: impl FnOnce()) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let inbox = UnixDatagram::bind(&path).expect("a socket");
        let journal = Journal::at(&path).expect("a way to it");
        tracing::subscriber::with_default(Registry::default().with(journal), log);
        inbox.set_nonblocking(true).expect("a socket");
        let mut entry = vec![0; 1 << 18];
        let length = inbox.recv(&mut entry).expect("an entry");
        fields(&entry[..length])
    }

    #[test]
    fn the_message_says_what_the_fields_say() {
        let error = "no route\nto host";
        let entry =
            logged(|| tracing::error!(step = "read", %error, tries = 3, "the store failed"));
        let has = |name: &str| entry.get(name).map_or("", String::as_str).to_owned();
        assert_eq!(
            has("MESSAGE"),
            "the store failed step=\"read\" error=no route\nto host tries=3"
        );
        assert_eq!(
            [has("OTPD_STEP"), has("OTPD_ERROR"), has("OTPD_TRIES")],
            ["read", "no route\nto host", "3"]
        );
        assert_eq!([has("PRIORITY"), has("SYSLOG_FACILITY")], ["3", "10"]);
        assert_eq!(has("SYSLOG_IDENTIFIER"), "otpd");
        assert_eq!(entry.get("OTPD_MESSAGE"), None);
    }

    #[test]
    fn an_event_without_words_has_a_message_too() {
        let entry =
            logged(|| tracing::info!(target: "audit", event = "login-granted", account = "al"));
        assert_eq!(entry["MESSAGE"], "event=\"login-granted\" account=\"al\"");
        assert_eq!(
            (entry["TARGET"].as_str(), entry["OTPD_EVENT"].as_str()),
            ("audit", "login-granted")
        );
    }

    #[test]
    fn a_long_field_is_cut_and_the_entry_arrives() {
        let long = "x".repeat(1 << 20);
        let entry = logged(|| tracing::warn!(%long, also = long.as_str(), "long"));
        assert_eq!((entry["OTPD_LONG"].len(), entry["MESSAGE"].len()), (LONGEST, LONGEST));
    }

    #[test]
    fn what_is_cut_is_still_text() {
        let long = format!("a{}", "é".repeat(1 << 19));
        let entry = logged(|| tracing::warn!(%long, "long"));
        assert_eq!(entry["OTPD_LONG"].len(), LONGEST - 1);
    }

    #[test]
    fn nobody_waits_for_a_journal_that_hangs_and_it_says_afterwards_what_was_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let inbox = UnixDatagram::bind(&path).expect("a socket");
        inbox.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
        let journal = Journal::at(&path).expect("a way to it");
        let taken = (0..100_000).take_while(|_| journal.send(b"A=1\n").is_ok()).count();
        // Each of them would wait for its time, and all for four hours.
        let lost = (0..50_000).filter(|_| journal.send(b"A=2\n").is_err()).count();
        assert_eq!(lost, 50_000);
        let mut entry = [0; 1024];
        // Room for one: there is none to say how many were lost, which is said later.
        inbox.recv(&mut entry).expect("an entry");
        assert!(journal.send(b"A=2\n").is_err());
        for _ in 0..taken {
            inbox.recv(&mut entry).expect("an entry");
        }
        journal.send(b"A=3\n").expect("there is room");
        assert_eq!(inbox.recv(&mut entry).expect("an entry"), 4);
        let length = inbox.recv(&mut entry).expect("an entry");
        let said = fields(&entry[..length]);
        assert_eq!(said["MESSAGE"], "the journal did not take 50001 entries before this");
        journal.send(b"A=4\n").expect("there is room");
        assert_eq!(inbox.recv(&mut entry).expect("an entry"), 4);
        inbox.set_nonblocking(true).expect("a socket");
        assert!(inbox.recv(&mut entry).is_err(), "it is said once");
    }

    #[test]
    fn a_journal_that_was_started_anew_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let first = UnixDatagram::bind(&path).expect("a socket");
        let journal = Journal::at(&path).expect("a way to it");
        drop(first);
        assert!(journal.send(b"A=1\n").is_err(), "nobody is there");
        std::fs::remove_file(&path).expect("it is there");
        let again = UnixDatagram::bind(&path).expect("a socket");
        journal.send(b"A=2\n").expect("it is found");
        let mut entry = [0; 9];
        assert_eq!(again.recv(&mut entry).expect("an entry"), 4);
    }
}
