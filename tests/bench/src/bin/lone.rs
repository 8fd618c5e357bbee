//! One person alone, and beside each login what the machine itself takes for the parts of it that
//! nothing can spare: one sync of the disk, and one exchange over a new connection.
//!
//! usage: lone SOCKET DIRECTORY VENDOR-PORT CYCLES, with as many accounts. Prints the figures as JSON.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        fs::FileExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use otpd_bench::{
    figures::Figures,
    number, user, vendor,
    wire::{self, Failure},
};
use serde::Serialize;

/// What a small commit writes.
const PAGE: [u8; 4096] = [0; 4096];
/// Its size, bytes.
const SIZE: u64 = 4096;
/// Pages of the file that is written to in turn, as a database's journal is.
const PAGES: u64 = 1024;

#[derive(Serialize)]
struct Report {
    /// A code checked, over a connection of its own.
    verify: Option<Figures>,
    /// A page overwritten and synced, in the directory of the database.
    sync: Option<Figures>,
    /// A frame of the same size sent to an echo, over a connection of its own.
    trip: Option<Figures>,
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is run for")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, directory, port, cycles] = arguments.as_slice() else {
        return Err("usage: lone SOCKET DIRECTORY VENDOR-PORT CYCLES".into());
    };
    let (socket, directory) = (Path::new(socket), Path::new(directory));
    let phones = vendor::Phones::default();
    // The vendor has a thread of its own, so that this one does nothing while it waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(vendor::serve(port.parse()?, phones.clone()))?;
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    let echo = echo(directory)?;
    let journal = journal(directory)?;
    let (mut verify, mut sync, mut trip) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..cycles.parse()? {
        let challenge = wire::begun(&exchange(socket, &wire::begin(&user(nth), nth)?)?)?;
        let code = phones.take(&number(nth)).ok_or("no code came")?;
        let frame = wire::answer(&challenge, &code)?;
        let (took, reply) = timed(|| exchange(socket, &frame))?;
        wire::granted(&reply)?;
        verify.push(took);
        let (took, reply) = timed(|| exchange(&echo, &frame))?;
        if reply != frame {
            return Err("the echo said something else".into());
        }
        trip.push(took);
        let place = u64::from(nth) % PAGES * SIZE;
        let (took, ()) = timed(|| {
            journal.write_all_at(&PAGE, place)?;
            journal.sync_data()
        })?;
        sync.push(took);
    }
    let report =
        Report { verify: Figures::of(verify), sync: Figures::of(sync), trip: Figures::of(trip) };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(Duration, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed(), done))
}

/// Connects, sends a frame and reads the frame that comes back.
fn exchange(socket: &Path, frame: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(frame)?;
    read_frame(&mut stream)
}

fn read_frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let (mut frame, mut block) = (Vec::with_capacity(1024), [0; 1024]);
    while frame.last() != Some(&0) {
        let count = stream.read(&mut block)?;
        match block.get(..count) {
            None | Some([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(part) => frame.extend_from_slice(part),
        }
    }
    Ok(frame)
}

/// Starts the echo; where it listens.
fn echo(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join("echo.sock");
    let listener = UnixListener::bind(&path)?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A connection that fails shows where it was made.
            let _ = stream.and_then(|mut stream| {
                let frame = read_frame(&mut stream)?;
                stream.write_all(&frame)
            });
        }
    });
    Ok(path)
}

/// A file with its blocks allocated and written, as a journal's are once it has been used.
fn journal(directory: &Path) -> io::Result<File> {
    let path = directory.join("journal");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    for page in 0..PAGES {
        file.write_all_at(&PAGE, page * SIZE)?;
    }
    file.sync_all()?;
    Ok(file)
}
