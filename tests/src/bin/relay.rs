//! Connects to a socket as whoever runs it, for tests of what other users may do.
//!
//! `relay SOCKET` passes bytes on in both directions; `relay SOCKET NUMBER` opens that many
//! connections, calls `GetInfo` on each, prints a line with 1 for each that answered and 0 for each
//! that was closed, and holds them until its input ends, with another call now and then.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

/// What the connections of a siege say, in turn, how often in one write, and whether they say it
/// again in every round.
const HABITS: [(&[u8], usize, bool); 7] = [
    (b"", 1, false),
    (b" ", 1, true),
    (b"{\"method\":", 1, false),
    (b"{\"method\":\"org.varlink.service.GetInfo\"}\0{", 1, false),
    (b"\xff\x1b[\x01\x7f\0\0\x80}", 1, false),
    (b"{\"method\":\"org.otpd.Login.Answer\",\"parameters\":{}}\0", 1, false),
    // It gets no reply, so nothing holds it up.
    (b"{\"method\":\"org.otpd.Login.Cancel\",\"oneway\":true}\0", 400, true),
];

/// How often a connection that is held says something: the daemon ends those that say nothing for 10 s.
const AGAIN: Duration = Duration::from_secs(3);

const CALL: &[u8] = b"{\"method\":\"org.varlink.service.GetInfo\"}\0";

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let socket = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    match arguments.next() {
        None => relay(UnixStream::connect(socket)?),
        Some(number) => {
            let parsed = |word: &OsStr| word.to_str().and_then(|word| word.parse::<u32>().ok());
            let number = parsed(&number).ok_or(io::ErrorKind::InvalidInput)?;
            if let Some(pause) = arguments.next().as_deref().and_then(parsed) {
                let habits = if arguments.next().is_some() { &HABITS[6..] } else { &HABITS[..] };
                let pause = Duration::from_secs(pause.into());
                return besiege(Path::new(&socket), number, pause, habits);
            }
            let streams = (0..number).map(|_| UnixStream::connect(&socket));
            hold(streams.collect::<io::Result<Vec<_>>>()?)
        }
    }
}

fn relay(mut stream: UnixStream) -> io::Result<()> {
    let mut requests = stream.try_clone()?;
    std::thread::spawn(move || {
        // Whatever ends it, there is nothing more to pass on.
        let _ = io::copy(&mut io::stdin(), &mut requests);
        let _ = requests.shutdown(Shutdown::Both);
    });
    let mut output = io::stdout();
    let mut buffer = [0; 4096];
    loop {
        // A daemon that hangs up on unread requests is an end like any other.
        let count = stream.read(&mut buffer).unwrap_or(0);
        match buffer.get(..count) {
            None | Some([]) => return Ok(()),
            Some(bytes) => output.write_all(bytes)?,
        }
        output.flush()?;
    }
}

fn hold(mut streams: Vec<UnixStream>) -> io::Result<()> {
    let mut answered = String::new();
    for stream in &mut streams {
        // One that was closed at once may not even take the call.
        let mut reply = [0; 1];
        let served = stream.write_all(CALL).and_then(|()| stream.read(&mut reply));
        answered.push(if matches!(served, Ok(1)) { '1' } else { '0' });
    }
    let mut output = io::stdout();
    writeln!(output, "{answered}")?;
    output.flush()?;
    let end = end_of_input();
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(AGAIN) {
        for stream in &mut streams {
            // The few replies that this brings fit into the socket's buffer.
            let _ = stream.write_all(CALL);
        }
    }
    Ok(())
}

/// Tells when the standard input has ended.
fn end_of_input() -> mpsc::Receiver<()> {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        ended.send(())
    });
    end
}

/// Further rounds of a siege whose begin is told.
const TOLD: u32 = 3;

/// Prints a line when every connection has been tried, one when the next rounds begin, and at the end
/// how many connections were opened, and how many bytes were written in all.
fn besiege(
    socket: &Path,
    number: u32,
    pause: Duration,
    habits: &[(&[u8], usize, bool)],
) -> io::Result<()> {
    let habits = habits.iter().map(|&(words, times, again)| (words.repeat(times), again));
    let habits = habits.collect::<Vec<_>>();
    let end = end_of_input();
    let (mut opened, mut written, mut rounds) = (0_u64, 0_u64, 0_u32);
    let mut held = Vec::new();
    held.resize_with(usize::try_from(number).unwrap_or_default(), || None);
    loop {
        for (stream, (words, again)) in held.iter_mut().zip(habits.iter().cycle()) {
            let again = again.then_some(words);
            if stream.as_mut().is_some_and(|stream| is_open(stream, again, &mut written)) {
                continue;
            }
            let mut fresh = UnixStream::connect(socket)?;
            fresh.set_nonblocking(true)?;
            opened += 1;
            // It may have been closed already.
            written += fresh.write(words).map_or(0, |count| count as u64);
            *stream = Some(fresh);
        }
        if rounds == 0 {
            writeln!(io::stdout(), "all tried")?;
        }
        match end.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
        rounds = rounds.saturating_add(1);
        if rounds <= TOLD {
            writeln!(io::stdout(), "again")?;
        }
    }
    writeln!(io::stdout(), "{opened} {written}")
}

/// Whether the daemon holds it still; what it says is read, and these words are said again, and counted.
fn is_open(stream: &mut UnixStream, again: Option<&Vec<u8>>, written: &mut u64) -> bool {
    let mut replies = [0; 4096];
    let open = |result: io::Result<usize>, end: bool| match result {
        Ok(count) => count > 0 || !end,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    open(stream.read(&mut replies), true)
        && again.is_none_or(|words| {
            let said = stream.write(words);
            *written += said.as_ref().map_or(0, |count| *count as u64);
            open(said, false)
        })
}
