//! Many people logging in at once, and how long they wait: against otpd's socket, or against another
//! server that has `POST /issue` and `POST /verify`. The vendor that both send by runs in here, so
//! that every code arrives over real HTTP.
//!
//! usage: load SETTINGS, where SETTINGS is JSON; see [`Settings`]. Prints the figures as JSON.

use std::{
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use otp_proto::login::{AnswerReply, BeginReply, Verdict};
use otpd_bench::{figures::Figures, number, user, vendor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::LocalSet,
};

type Failure = Box<dyn std::error::Error>;

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
    /// Where the vendor listens.
    vendor: u16,
    /// Who is asked.
    server: Server,
    /// Codes are asked for and not typed.
    #[serde(default)]
    leave: bool,
    /// Everybody who was shown a prompt waits until the standard input ends.
    #[serde(default)]
    wait: bool,
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
    let settings = Rc::new(settings);
    let next = Rc::new(AtomicU32::new(0));
    let began = now();
    let clients: Vec<_> = (0..settings.clients)
        .map(|_| {
            let (settings, next, phones) = (settings.clone(), next.clone(), phones.clone());
            tokio::task::spawn_local(client(settings, next, phones))
        })
        .collect();
    let mut times = Times::default();
    for client in clients {
        let own = client.await?.map_err(|failure| failure.to_string())?;
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

/// One person after another, until there are no more.
async fn client(
    settings: Rc<Settings>,
    next: Rc<AtomicU32>,
    phones: vendor::Phones,
) -> Result<Times, Failure> {
    let mut times = Times::default();
    let mut peer = match settings.server {
        Server::Otpd { .. } => None,
        Server::Http { port } => Some(Peer::connect(port).await?),
    };
    loop {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        if nth >= settings.cycles {
            return Ok(times);
        }
        let account = settings.first + nth % settings.accounts;
        let (user, number) = (user(account), number(account));
        let code = || phones.take(&number).ok_or_else(|| format!("no code came to {number}"));
        let began = now();
        let asked;
        match (&settings.server, &mut peer) {
            (Server::Otpd { socket, connection }, _) => {
                let mut wire = Wire::connect(socket).await?;
                let challenge = wire.begin(&user, nth).await?;
                asked = began.elapsed();
                if settings.wait {
                    wait().await?;
                }
                if settings.leave {
                    times.begin.push(asked);
                    continue;
                }
                let code = code()?;
                if matches!(connection, Connection::Request) {
                    wire = Wire::connect(socket).await?;
                }
                wire.answer(&challenge, &code).await?;
            }
            (Server::Http { .. }, Some(peer)) => {
                peer.post("/issue", &serde_json::json!({ "user": user, "phone": number })).await?;
                asked = began.elapsed();
                let body = serde_json::json!({ "user": user, "code": code()? });
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

/// Until the standard input ends.
async fn wait() -> Result<(), Failure> {
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    Ok(())
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
        // Everybody comes from an address of their own, and with every login from another port.
        let [_, high, middle, low] = nth.to_be_bytes();
        let address = format!("10.{high}.{middle}.{low}");
        let call = serde_json::json!({
            "method": "org.otpd.Login.Begin",
            "parameters": {
                "user": user, "service": "sshd", "rhost": address, "tty": "ssh", "ruser": null,
                "connection": format!("{address} {} 192.0.2.1 22 {nth}", 1024 + nth % 60_000),
                "first_factor": ["password"],
            },
        });
        let reply: BeginReply = self.call(&call).await?;
        reply
            .challenge
            .ok_or_else(|| format!("{user} was not asked for a code: {:?}", reply.step).into())
    }

    async fn answer(&mut self, challenge: &str, code: &str) -> Result<(), Failure> {
        let call = serde_json::json!({
            "method": "org.otpd.Login.Answer",
            "parameters": { "challenge": challenge, "answer": code },
        });
        let reply: AnswerReply = self.call(&call).await?;
        match reply.step.verdict {
            Some(Verdict::Granted) => Ok(()),
            _ => Err(format!("the code was not right: {:?}", reply.step).into()),
        }
    }

    async fn call<R: DeserializeOwned>(&mut self, call: &serde_json::Value) -> Result<R, Failure> {
        #[derive(Deserialize)]
        struct Reply<R> {
            parameters: R,
        }
        let mut frame = serde_json::to_vec(call)?;
        frame.push(0);
        self.stream.write_all(&frame).await?;
        self.buffer.clear();
        while self.buffer.last() != Some(&0) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the daemon closed the connection".into());
            }
        }
        self.buffer.pop();
        let reply: Reply<R> = serde_json::from_slice(&self.buffer)
            .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(&self.buffer)))?;
        Ok(reply.parameters)
    }
}

/// A kept connection to the other server.
struct Peer(SendRequest<Full<Bytes>>);

impl Peer {
    async fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(async move {
            // Its end shows in the next request.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<(), Failure> {
        self.0.ready().await?;
        let request = Request::post(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(body)?))?;
        let reply = self.0.send_request(request).await?;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        match status.as_u16() {
            200 => Ok(()),
            _ => Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}
