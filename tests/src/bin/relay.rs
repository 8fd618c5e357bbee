//! Connects to a socket as whoever runs it, for tests of what other users may do.
//!
//! `relay SOCKET` passes bytes on in both directions; `relay SOCKET NUMBER` opens that many
//! connections, calls `GetInfo` on each, prints a line with 1 for each that answered and 0 for each
//! that was closed, and holds them until its input ends.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
};

const CALL: &[u8] = b"{\"method\":\"org.varlink.service.GetInfo\"}\0";

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let socket = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    match arguments.next() {
        None => relay(UnixStream::connect(socket)?),
        Some(number) => {
            let number = number.to_str().and_then(|number| number.parse::<usize>().ok());
            let number = number.ok_or(io::ErrorKind::InvalidInput)?;
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
    io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ())
}
