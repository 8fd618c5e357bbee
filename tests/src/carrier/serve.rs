//! The vendors' side of the stand-in: which vendor a request is for, and orders to misbehave.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::CONTENT_TYPE,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Interval};

use super::{
    Vendor,
    exchange::{Asked, Reply},
    records::Request,
    told::{self, On, What},
    world::World,
};

/// No vendor takes more in one request.
const MOST_BYTES: usize = 1 << 20;

/// What [`What::Huge`] answers.
const HUGE: usize = 10_000_000;

/// What [`What::Drip`] waits before each byte.
const DRIP: Duration = Duration::from_millis(100);

/// Serves the vendors until the future is dropped.
pub(super) async fn serve(world: Arc<World>, listener: std::net::TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        // Replies are one small packet each; none shall wait for another.
        let _ = stream.set_nodelay(true);
        let world = Arc::clone(&world);
        let service = service_fn(move |request| answer(Arc::clone(&world), request));
        tokio::spawn(async move {
            // Whoever is killed cuts their connections, and so does this one when told to.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    world: Arc<World>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Odd>, io::Error> {
    let (head, body) = request.into_parts();
    let found = Vendor::ALL.into_iter().find_map(|vendor| {
        let rest = head.uri.path().strip_prefix('/')?.strip_prefix(vendor.name())?;
        rest.starts_with('/').then(|| (vendor, rest.to_owned()))
    });
    let Some((vendor, path)) = found else {
        let body = json!({"error": "the path begins with no vendor's name"});
        return Ok(respond(Reply::json(404, &body)));
    };
    let kind = if head.method == Method::GET { On::Poll } else { On::Send };
    let order = told::next(&mut world.state().orders, vendor, |order| {
        order.on == On::Any || order.on == kind
    });
    let mut asked = Asked {
        method: head.method,
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: Bytes::new(),
    };
    if let Some(What::CutBefore) = order.as_ref().map(|order| &order.what) {
        world.asked(|n| record(n, vendor, &asked), vendor);
        return Err(cut());
    }
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        // Cut off in the middle, or longer than any vendor reads: nothing was ordered.
        return Err(cut());
    };
    asked.body = body.to_bytes();
    let n = world.asked(|n| record(n, vendor, &asked), vendor);
    let Some(order) = order else {
        let reply = carry_out(&world, vendor, &asked, n);
        return Ok(respond(reply));
    };
    let takes = order.takes.unwrap_or_else(|| order.what.takes());
    // Whoever hears of the message may let the request go at once.
    let release = world.release.subscribe();
    let reply = takes.then(|| carry_out(&world, vendor, &asked, n));
    let misbehaved = misbehave(&world, vendor, order.what, &asked, reply, release).await;
    let status = misbehaved.as_ref().map_or(0, |response| response.status().as_u16());
    world.complete(n, |request| request.status = Some(status));
    misbehaved
}

/// Has the vendor answer, and takes note of it.
fn carry_out(world: &Arc<World>, vendor: Vendor, asked: &Asked, n: u64) -> Reply {
    let mut reply = vendor.answer(world, asked);
    let before = reply.headers.len();
    reply.headers.retain(|(name, _)| name != super::telnyx::REPLAYED);
    let repeat = reply.headers.len() != before;
    if repeat {
        world.state().counts.entry(vendor).or_default().repeated += 1;
    }
    world.complete(n, |request| {
        request.status = Some(reply.status);
        request.repeat = repeat;
    });
    reply
}

/// Does what was ordered with the reply that the vendor would give, if it was to carry the request out.
async fn misbehave(
    world: &Arc<World>,
    vendor: Vendor,
    what: What,
    asked: &Asked,
    reply: Option<Reply>,
    mut release: watch::Receiver<u64>,
) -> Result<Response<Odd>, io::Error> {
    let good = || reply.clone().unwrap_or_else(|| Reply::json(200, &json!({})));
    let done = match what {
        What::Refuse { code } => match vendor.refusal(world, &code) {
            Some(refusal) => refusal,
            None => Reply::json(500, &json!({"error": format!("{code} is not documented")})),
        },
        What::TooMany { retry_after } => {
            let refusal = vendor.too_many(world);
            match retry_after {
                Some(seconds) => refusal.with("retry-after", seconds.to_string()),
                None => refusal,
            }
        }
        What::Stall => {
            let _ = release.changed().await;
            good()
        }
        What::CutBefore | What::CutAfter => return Err(cut()),
        What::CutReply => return Ok(begun(&good(), End::Cut)),
        What::StallReply => return Ok(begun(&good(), End::Silent)),
        What::Nonsense => Reply { body: json!({"hello": ["world", 7]}).to_string(), ..good() },
        What::WrongId => {
            let mut reply = good();
            let mut value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
            change_ids(&mut value, world);
            reply.body = value.to_string();
            reply
        }
        What::Endless => {
            let odd = Odd { parts: VecDeque::new(), end: End::Never, size: None };
            return Ok(respond_with(&good(), odd));
        }
        What::Drip => {
            let end = End::Drip(tokio::time::interval(DRIP));
            return Ok(respond_with(&good(), Odd { parts: VecDeque::new(), end, size: None }));
        }
        What::Huge => {
            let reply = good();
            let blank = " ".repeat(HUGE - reply.body.len());
            Reply { body: reply.body + &blank, ..reply }
        }
        What::Redirect { to, status } => Reply::new(status, "text/html", "").with("location", to),
        What::WrongType => Reply { media: "text/html; charset=utf-8".to_owned(), ..good() },
        What::BrokenJson => {
            let reply = good();
            let half = reply.body.chars().count() / 2;
            Reply { body: reply.body.chars().take(half).collect(), ..reply }
        }
        What::Echo { status } => Reply::new(status, "text/plain", asked.echo()),
        What::Say { status, body } => Reply::new(status, "application/json", body),
    };
    Ok(respond(done))
}

fn change_ids(value: &mut Value, world: &World) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(id) if ["id", "sid", "message_uuid"].contains(&name.as_str()) => {
                        *id = world.uuid();
                    }
                    _ => change_ids(value, world),
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                if value.is_string() {
                    *value = Value::String(world.uuid());
                } else {
                    change_ids(value, world);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn record(n: u64, vendor: Vendor, asked: &Asked) -> Request {
    let headers = asked.headers.iter().filter(|(name, _)| *name != "authorization");
    let headers = headers.map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Request {
        n,
        vendor,
        method: asked.method.to_string(),
        path: asked.path.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&asked.body).into_owned(),
        status: None,
        repeat: false,
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "told to cut the connection")
}

fn respond(mut reply: Reply) -> Response<Odd> {
    let body = Bytes::from(std::mem::take(&mut reply.body));
    let size = Some(body.len() as u64);
    respond_with(&reply, Odd { parts: VecDeque::from([body]), end: End::Good, size })
}

fn respond_with(reply: &Reply, body: Odd) -> Response<Odd> {
    let mut response =
        Response::builder().status(reply.status).header(CONTENT_TYPE, reply.media.as_str());
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(body).expect("headers that can be sent")
}

/// The first half of a reply, and what becomes of the rest.
fn begun(reply: &Reply, end: End) -> Response<Odd> {
    let half = reply.body.len() / 2;
    let whole = reply.body.len() as u64;
    let begun = Bytes::copy_from_slice(reply.body.as_bytes().get(..half).unwrap_or_default());
    respond_with(reply, Odd { parts: VecDeque::from([begun]), end, size: Some(whole) })
}

/// A body that need not end well.
struct Odd {
    parts: VecDeque<Bytes>,
    end: End,
    /// What the header says; `None`: nothing.
    size: Option<u64>,
}

enum End {
    Good,
    /// Once more, after what was sent is on its way.
    Cut,
    CutNow,
    /// Nothing more comes, and the connection stays.
    Silent,
    Never,
    /// The same, a byte at a time.
    Drip(Interval),
}

impl Body for Odd {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match &mut self.end {
            End::Good => Poll::Ready(None),
            End::Cut => {
                // An error at once would overtake the part before it.
                self.end = End::CutNow;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::CutNow => Poll::Ready(Some(Err(cut()))),
            // The client goes first; nobody need be woken for that.
            End::Silent => Poll::Pending,
            End::Never => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 16_384]))))),
            End::Drip(ticks) => {
                ticks.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Good) && self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
