//! Many people logging in at once, and how long they wait: against otpd's socket, or against another
//! server that has `POST /issue` and `POST /verify`. The vendor that both send by runs in here, so
//! that every code arrives over real HTTP.
//!
//! usage: load SETTINGS, where SETTINGS is JSON; see [`Settings`]. Prints the figures as JSON.

use std::{
    cell::Cell,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use otpd_bench::{
    figures::Figures,
    number,
    peer::Peer,
    user, vendor,
    wire::{self, Failure},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Semaphore,
    task::{JoinSet, LocalSet},
};

/// What to do.
#[derive(Clone, Deserialize)]
struct Settings {
    /// How many log in at once.
    clients: u32,
    /// How many logins there are in all.
    cycles: u32,
    /// The first account.
    #[serde(default)]
    first: u32,
    /// How many accounts there are; they take turns.
    accounts: u32,
    /// From one account to the next: what has no divisor in common with their number visits all of
    /// them, in an order that no cache foresees.
    #[serde(default = "one")]
    stride: u32,
    /// Where the vendor listens.
    vendor: u16,
    /// Who is asked.
    server: Server,
    /// Codes are asked for and not typed.
    #[serde(default)]
    leave: bool,
    /// Everybody who was shown a prompt waits until the standard input ends; `waiting` is printed
    /// when all do.
    #[serde(default)]
    wait: bool,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Server {
    /// The daemon's socket.
    Otpd { socket: PathBuf, connection: Connection },
    /// A port on the loopback address.
    Http { port: u16 },
}

/// How long a connection to the daemon lives.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Connection {
    Request,
    Login,
}

#[derive(Serialize)]
struct Report {
    seconds: f64,
    cycles_per_second: f64,
    /// From the first request of a login to its end.
    cycle: Option<Figures>,
    /// To ask for a code and have the vendor take it.
    begin: Option<Figures>,
    /// To have it checked.
    verify: Option<Figures>,
}

#[derive(Default)]
struct Times {
    cycle: Vec<Duration>,
    begin: Vec<Duration>,
    verify: Vec<Duration>,
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is run for")]
fn main() -> Result<(), Failure> {
    let settings: Settings = match std::env::args().nth(1) {
        Some(settings) => serde_json::from_str(&settings)?,
        None => return Err("usage: load SETTINGS".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, load(settings))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn now() -> Instant {
    Instant::now()
}

async fn load(settings: Settings) -> Result<Report, Failure> {
    let phones = vendor::Phones::default();
    vendor::serve(settings.vendor, phones.clone()).await?;
    let shared = Rc::new(Shared {
        phones,
        next: Cell::new(0),
        prompted: Cell::new(0),
        arriving: Semaphore::new(ARRIVING),
        released: Semaphore::new(0),
        settings,
    });
    let settings = &shared.settings;
    if settings.wait {
        tokio::task::spawn_local(release(shared.clone()));
    }
    let began = now();
    let mut clients = JoinSet::new();
    for _ in 0..settings.clients {
        clients.spawn_local(client(shared.clone()));
    }
    let mut times = Times::default();
    // The first who fails ends it, whoever still waits.
    while let Some(client) = clients.join_next().await {
        let own = client??;
        times.cycle.extend(own.cycle);
        times.begin.extend(own.begin);
        times.verify.extend(own.verify);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report {
        seconds,
        cycles_per_second: f64::from(settings.cycles) / seconds,
        cycle: Figures::of(times.cycle),
        begin: Figures::of(times.begin),
        verify: Figures::of(times.verify),
    })
}

/// So many of those who will wait arrive at once: how many wait is measured then, not how many come.
const ARRIVING: usize = 32;

/// What all clients share.
struct Shared {
    settings: Settings,
    phones: vendor::Phones,
    /// The next login.
    next: Cell<u32>,
    /// How many have been shown a prompt.
    prompted: Cell<u32>,
    /// Permits to arrive, where people wait.
    arriving: Semaphore,
    /// Closed when nobody shall wait any more.
    released: Semaphore,
}

impl Shared {
    /// Waits with everybody else.
    #[expect(clippy::print_stdout, reason = "whoever runs this program waits for it")]
    async fn wait(&self) {
        self.prompted.set(self.prompted.get() + 1);
        if self.prompted.get() == self.settings.clients {
            println!("waiting");
        }
        // Nobody ever gets a permit: this ends when the semaphore is closed.
        let _ = self.released.acquire().await;
    }
}

/// Releases everybody when the standard input ends.
async fn release(shared: Rc<Shared>) {
    let end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    // An input that cannot be read has ended, too.
    let _ = tokio::task::spawn_blocking(end).await;
    shared.released.close();
}

/// One person after another, until there are no more.
async fn client(shared: Rc<Shared>) -> Result<Times, Failure> {
    let settings = &shared.settings;
    let mut times = Times::default();
    let mut peer = match settings.server {
        Server::Otpd { .. } => None,
        Server::Http { port } => Some(Peer::connect(port).await?),
    };
    loop {
        let nth = shared.next.replace(shared.next.get() + 1);
        if nth >= settings.cycles {
            return Ok(times);
        }
        let step = u64::from(nth) * u64::from(settings.stride) % u64::from(settings.accounts);
        let account = settings.first + u32::try_from(step)?;
        let (user, number) = (user(account), number(account));
        let code = async || {
            let code = shared.phones.wait(&number).await;
            code.ok_or_else(|| format!("no code came to {number}"))
        };
        let began = now();
        let asked;
        match (&settings.server, &mut peer) {
            (Server::Otpd { socket, connection }, _) => {
                let arriving =
                    if settings.wait { Some(shared.arriving.acquire().await?) } else { None };
                let mut wire = Wire::connect(socket).await?;
                let challenge = wire.begin(&user, nth).await?;
                drop(arriving);
                asked = began.elapsed();
                if settings.wait {
                    shared.wait().await;
                }
                if settings.leave {
                    times.begin.push(asked);
                    continue;
                }
                let code = code().await?;
                if matches!(connection, Connection::Request) {
                    wire = Wire::connect(socket).await?;
                }
                wire.answer(&challenge, &code).await?;
            }
            (Server::Http { .. }, Some(peer)) => {
                peer.post("/issue", &serde_json::json!({ "user": user, "phone": number })).await?;
                asked = began.elapsed();
                let body = serde_json::json!({ "user": user, "code": code().await? });
                peer.post("/verify", &body).await?;
            }
            (Server::Http { .. }, None) => return Err("not connected".into()),
        }
        let whole = began.elapsed();
        times.begin.push(asked);
        times.verify.push(whole.saturating_sub(asked));
        times.cycle.push(whole);
    }
}

/// A connection to the daemon's socket.
struct Wire {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn connect(socket: &PathBuf) -> Result<Self, Failure> {
        Ok(Self { stream: UnixStream::connect(socket).await?, buffer: Vec::with_capacity(1024) })
    }

    async fn begin(&mut self, user: &str, nth: u32) -> Result<String, Failure> {
        wire::begun(self.call(&wire::begin(user, nth)?).await?)
    }

    async fn answer(&mut self, challenge: &str, code: &str) -> Result<(), Failure> {
        wire::granted(self.call(&wire::answer(challenge, code)?).await?)
    }

    /// Sends a frame; the reply, or what came of it before the connection ended.
    async fn call(&mut self, frame: &[u8]) -> Result<&[u8], Failure> {
        self.stream.write_all(frame).await?;
        self.buffer.clear();
        while self.buffer.last() != Some(&0) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                break;
            }
        }
        Ok(&self.buffer)
    }
}
