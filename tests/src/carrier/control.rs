//! Telling a stand-in what to do over HTTP, for programs that are not written in Rust.
//!
//! | request | |
//! |---|---|
//! | `POST /orders`, `/fates`, `/flaws` | what holds for the next requests, messages, callbacks ([`Told`]) |
//! | `DELETE /orders`, `/fates`, `/flaws` | nothing of that any more |
//! | `POST /release` | answers the requests that were stalled |
//! | `PUT /phones/NUMBER` | what its owner does with calls ([`Habits`]); `*` for everybody else |
//! | `GET /phones/NUMBER?after=N&wait=SECONDS` | what it got after its Nth, waiting for the first |
//! | `GET /requests?after=N&wait=SECONDS[&vendor=V]` | what the vendors were asked |
//! | `GET /callbacks?after=N&wait=SECONDS[&vendor=V]` | what was called back, once it is answered or held |
//! | `POST /callbacks/N` | sends the same bytes again, or for the first time when it was held |
//! | `POST /status` | moves a message on and reports it: `vendor`, `id`, `status`, `code` |
//! | `POST /inbound` | somebody writes to the account: `vendor`, `from`, `to`, `text` |
//! | `POST /stop` | somebody is blocked without a word: `vendor`, `from` (empty: all), `to`, `stopped` |
//! | `GET /items/V/ID` | a message as the vendor knows it |
//! | `GET /counts` | how often the vendors were asked |
//! | `GET /public-key` | the key that Telnyx's signatures are checked with |

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Response,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Vendor,
    callback::{self, Inbound},
    records::Callback,
    told::{Habits, Told},
    world::World,
};

/// Serves whoever controls it until the future is dropped.
pub(super) async fn serve(world: Arc<World>, listener: std::net::TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let world = Arc::clone(&world);
        let service = service_fn(move |request| answer(Arc::clone(&world), request));
        tokio::spawn(async move {
            // Whoever is killed cuts their connections.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    world: Arc<World>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let query = Query::read(head.uri.query().unwrap_or_default());
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let (status, value) = match act(&world, &head.method, &path, &query, &body).await {
        Ok(value) => (200, value),
        Err(wrong) => (400, json!({"error": wrong})),
    };
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(value.to_string()))
        .expect("a response");
    Ok(response)
}

/// What all lists can be asked with.
struct Query {
    after: u64,
    wait: Duration,
    vendor: Option<String>,
}

impl Query {
    fn read(query: &str) -> Self {
        let mut read = Self { after: 0, wait: Duration::ZERO, vendor: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => read.after = value.parse().unwrap_or_default(),
                "wait" => read.wait = Duration::from_secs(value.parse().unwrap_or_default()),
                "vendor" => read.vendor = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }

    fn is_for(&self, n: u64, vendor: Vendor) -> bool {
        n > self.after && self.vendor.as_deref().is_none_or(|name| name == vendor.name())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    vendor: Vendor,
    id: String,
    status: String,
    #[serde(default)]
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    vendor: Vendor,
    from: String,
    to: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    vendor: Vendor,
    #[serde(default)]
    from: String,
    to: String,
    stopped: bool,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn shown<T: Serialize>(value: T) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

async fn act(
    world: &Arc<World>,
    method: &Method,
    path: &[&str],
    query: &Query,
    body: &[u8],
) -> Result<Value, String> {
    match (method.as_str(), path) {
        ("POST" | "DELETE", [list @ ("orders" | "fates" | "flaws")]) => {
            tell(world, list, method, body)
        }
        ("POST", ["release"]) => {
            world.release.send_modify(|times| *times += 1);
            Ok(json!({}))
        }
        ("PUT", ["phones", number]) => {
            let habits: Habits = parse(body)?;
            world.change(|state| match *number {
                "*" => state.habits = habits,
                number => {
                    state.phones.entry(number.to_owned()).or_default().habits = Some(habits);
                }
            });
            Ok(json!({}))
        }
        ("POST", ["status"]) => {
            let to: Move = parse(body)?;
            let known = world.item(to.vendor, &to.id).ok_or("there is no such message")?;
            callback::tell(world, &known.id, &to.status, to.code.as_deref()).await;
            Ok(json!({}))
        }
        ("POST", ["inbound"]) => {
            let Write { vendor, from, to, text } = parse(body)?;
            let answer = callback::write(world, vendor, Inbound { from, to, text }).await;
            Ok(json!({"answer": answer}))
        }
        ("POST", ["stop"]) => {
            let Stop { vendor, from, to, stopped } = parse(body)?;
            world.stop(vendor, &from, &to, stopped);
            Ok(json!({}))
        }
        ("POST", ["callbacks", n]) => {
            let n: u64 = n.parse().map_err(|_| "callbacks have numbers")?;
            let found = world.state().callbacks.iter().find(|one| one.n == n).cloned();
            let answer = callback::deliver(world, &found.ok_or("there is no such callback")?).await;
            Ok(json!({"answer": answer.map_or(0, |answer| answer.status)}))
        }
        ("GET", path) => show(world, path, query).await,
        _ => Err("there is nothing at this address".to_owned()),
    }
}

/// Keeps in mind what holds from now on, or forgets all of it.
fn tell(world: &World, list: &str, method: &Method, body: &[u8]) -> Result<Value, String> {
    fn put<T: serde::de::DeserializeOwned>(
        told: &mut Vec<Told<T>>,
        method: &Method,
        body: &[u8],
    ) -> Result<Value, String> {
        if method == Method::DELETE {
            told.clear();
        } else {
            told.push(parse(body)?);
        }
        Ok(json!({}))
    }
    let mut state = world.state();
    match list {
        "orders" => put(&mut state.orders, method, body),
        "fates" => put(&mut state.fates, method, body),
        _ => put(&mut state.flaws, method, body),
    }
}

async fn show(world: &World, path: &[&str], query: &Query) -> Result<Value, String> {
    match path {
        ["phones", number] => {
            let found = world.watch(query.wait, |state| {
                let got = state.phones.get(*number).map(|phone| &phone.got);
                some(got.into_iter().flatten().filter(|heard| heard.n > query.after).cloned())
            });
            shown(found.await.unwrap_or_default())
        }
        ["requests"] => {
            let found = world.watch(query.wait, |state| {
                let all = state.requests.iter();
                some(all.filter(|one| query.is_for(one.n, one.vendor)).cloned())
            });
            shown(found.await.unwrap_or_default())
        }
        ["callbacks"] => {
            let done = |one: &&Callback| one.held || one.answer.is_some();
            let found = world.watch(query.wait, |state| {
                let all = state.callbacks.iter();
                some(all.filter(|one| query.is_for(one.n, one.vendor)).filter(done).cloned())
            });
            shown(found.await.unwrap_or_default())
        }
        ["items", vendor, id] => {
            let vendor = Vendor::ALL.into_iter().find(|one| one.name() == *vendor);
            let item = vendor.and_then(|vendor| world.item(vendor, id));
            shown(item.ok_or("there is no such message")?)
        }
        ["counts"] => shown(&world.state().counts),
        ["public-key"] => Ok(json!({"key": world.public_key()})),
        _ => Err("there is nothing at this address".to_owned()),
    }
}

/// The list, unless it is empty.
fn some<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then_some(all)
}
