//! What a vendor sends by itself: receipts, inbound messages, and questions what a call is to say.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method,
    body::Bytes,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{
    Vendor,
    exchange::{FORM, Form, encode},
    records::{Callback, Item, Target},
    told::{Event, Flaw},
    vendor::Unsigned,
    world::World,
};

/// Connects to whom callbacks go to.
pub(super) type Client = legacy::Client<HttpConnector, Full<Bytes>>;

/// How long an answer may take: the longest that any of the vendors waits.
const DEADLINE: Duration = Duration::from_secs(15);

/// Far enough from now that no signature of that time is taken any more, seconds.
const STALE: i64 = 600;

/// A new client.
pub(super) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// Something to send, not signed yet.
pub(super) struct Draft {
    pub vendor: Vendor,
    pub event: Event,
    /// The message or call that it is about.
    pub id: String,
    pub target: Target,
    /// Fields of the form, or of the query when it is a GET. Empty: the body is `json`.
    pub fields: Form,
    pub json: String,
}

/// The answer to a callback.
pub(super) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Moves a message on, and reports it where its receipts go.
pub(super) async fn tell(world: &Arc<World>, id: &str, status: &str, code: Option<&str>) {
    world.update(id, |item| {
        status.clone_into(&mut item.status);
        item.code = code.map(str::to_owned);
    });
    report(world, id, status, code).await;
}

/// Reports a message where its receipts go, whatever it has become since.
pub(super) async fn report(world: &Arc<World>, id: &str, status: &str, code: Option<&str>) {
    let Some(mut item) = world.update(id, |item| item.receipts += 1) else { return };
    status.clone_into(&mut item.status);
    item.code = code.map(str::to_owned);
    if let Some(target) = item.callback.clone()
        && let Some(draft) = item.vendor.receipt(world, &item, target)
    {
        send(world, draft).await;
    }
}

/// Signs and sends; `None` when it is held back, or nobody answered.
pub(super) async fn send(world: &Arc<World>, draft: Draft) -> Option<Answer> {
    let flaw = world.flaw(draft.vendor, draft.event);
    let callback = signed(world, draft, flaw);
    let n = world.called_back(|n| Callback { n, ..callback.clone() });
    if callback.held { None } else { deliver(world, &Callback { n, ..callback }).await }
}

/// Sends what was signed before, and takes note of the answer.
pub(super) async fn deliver(world: &Arc<World>, callback: &Callback) -> Option<Answer> {
    let answer = tokio::time::timeout(DEADLINE, exchange(world, callback)).await.ok().flatten();
    let status = answer.as_ref().map_or(0, |answer| answer.status);
    if !world.settings.quiet {
        world.change(|state| {
            if let Some(one) = state.callbacks.iter_mut().rev().find(|one| one.n == callback.n) {
                one.answer = Some(status);
                one.held = false;
            }
        });
    }
    answer
}

fn signed(world: &World, draft: Draft, flaw: Option<Flaw>) -> Callback {
    let Draft { vendor, event, id, target, fields, json } = draft;
    let Target { mut url, method } = target;
    let now = jiff::Timestamp::now().as_second();
    let seconds = match flaw {
        Some(Flaw::Stale) => now - STALE,
        Some(Flaw::Future) => now + STALE,
        None | Some(Flaw::WrongSignature | Flaw::NoSignature | Flaw::ChangedBody | Flaw::Held) => {
            now
        }
    };
    let form = encode(&fields);
    let mut body = if fields.is_empty() { json } else { form.clone() };
    let signed_fields = if method == Method::GET { &[][..] } else { &fields };
    if method == Method::GET {
        let joint = if url.contains('?') { '&' } else { '?' };
        url = format!("{url}{joint}{form}");
        body = String::new();
    }
    let mut headers = vendor.signature(
        world,
        &Unsigned {
            event,
            method: &method,
            url: &url,
            fields: signed_fields,
            seconds,
            body: &body,
        },
    );
    match flaw {
        Some(Flaw::WrongSignature) => {
            for (name, value) in &mut headers {
                if name.contains("signature") && !name.ends_with("nonce") {
                    *value = super::sign::spoiled(value);
                }
            }
        }
        Some(Flaw::NoSignature) => headers.clear(),
        Some(Flaw::ChangedBody) => body.push_str(if fields.is_empty() { " " } else { "&x=1" }),
        None | Some(Flaw::Stale | Flaw::Future | Flaw::Held) => {}
    }
    if method != Method::GET {
        let media = if fields.is_empty() { "application/json" } else { FORM };
        headers.push((CONTENT_TYPE.to_string(), media.to_owned()));
    }
    Callback {
        n: 0,
        vendor,
        event,
        id,
        url,
        method: method.to_string(),
        headers: headers.into_iter().collect(),
        body,
        held: flaw == Some(Flaw::Held),
        answer: None,
    }
}

async fn exchange(world: &World, callback: &Callback) -> Option<Answer> {
    let host = callback.url.split_once("://")?.1.split(['/', '?']).next()?.to_owned();
    let mut request = hyper::Request::builder()
        .method(callback.method.as_str())
        .uri(reach(world, &callback.url))
        .header(HOST, host);
    for (name, value) in &callback.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::from(callback.body.clone())).ok()?;
    let response = world.client.request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some(Answer { status, body })
}

/// Where a public address is to be found.
fn reach(world: &World, url: &str) -> String {
    let found = world.settings.connect.iter().find_map(|(public, here)| {
        let rest = url.strip_prefix(public.as_str())?;
        rest.is_empty()
            .then(String::new)
            .or_else(|| rest.starts_with(['/', '?']).then(|| rest.to_owned()))
            .map(|rest| format!("{here}{rest}"))
    });
    found.unwrap_or_else(|| url.to_owned())
}

/// A message to one of the account's numbers.
pub(super) struct Inbound {
    pub from: String,
    pub to: String,
    pub text: String,
}

/// Brings a message to the account: a word that the vendor knows stops or starts what it sends.
/// Returns the status of the answer, `None` where nobody is told.
pub(super) async fn write(world: &Arc<World>, vendor: Vendor, inbound: Inbound) -> Option<u16> {
    // Telnyx stops the whole messaging profile, the others the one number.
    let sender = if vendor == Vendor::Telnyx { "" } else { inbound.to.as_str() };
    match Word::of(&inbound.text) {
        // SignalWire leaves that to its customers.
        Word::Stop if vendor != Vendor::SignalWire => {
            world.stop(vendor, sender, &inbound.from, true);
        }
        Word::Start => world.stop(vendor, sender, &inbound.from, false),
        Word::Stop | Word::Help | Word::Other => {}
    }
    let draft = vendor.inbound(world, &inbound)?;
    let answer = send(world, draft).await;
    Some(answer.map_or(0, |answer| answer.status))
}

/// What the words that carriers agreed on mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Stop,
    Start,
    Help,
    Other,
}

impl Word {
    /// Reads a message.
    pub(super) fn of(text: &str) -> Self {
        match text.trim().to_ascii_uppercase().as_str() {
            "STOP" | "STOPALL" | "STOP ALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" => {
                Self::Stop
            }
            "START" | "UNSTOP" | "YES" => Self::Start,
            "HELP" | "INFO" => Self::Help,
            _ => Self::Other,
        }
    }

    /// The name that Telnyx and Twilio have for it; `None` for none.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Stop => Some("STOP"),
            Self::Start => Some("START"),
            Self::Help => Some("HELP"),
            Self::Other => None,
        }
    }
}

/// A receipt's item, for vendors to describe.
pub(super) fn draft(item: &Item, target: Target) -> Draft {
    Draft {
        vendor: item.vendor,
        event: Event::Receipt,
        id: item.id.clone(),
        target,
        fields: Form::new(),
        json: String::new(),
    }
}
