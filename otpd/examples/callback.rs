//! Checks requests as the daemon checks what vendors tell: a line of JSON in, a line out. The tests
//! with the vendors' own libraries sign requests and read from it what is accepted.
//!
//! In: `kind`, `key`, `method`, `url`, `headers`, `body`, `now` (Unix milliseconds) and, for the words
//! of a call, `call`. Out: `told` and what, `call` and which, or `refused` and why.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{Write, stdin, stdout},
};

use otpd::{
    domain::time::Timestamp,
    gateway::callback::{Callback, Keys, laml, plivo, telnyx},
};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Request {
    kind: String,
    key: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    now: i64,
    #[serde(default)]
    call: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in stdin().lines() {
        writeln!(stdout(), "{}", judged(&serde_json::from_str(&line?)?)?)?;
    }
    Ok(())
}

fn judged(request: &Request) -> Result<String, Box<dyn Error>> {
    let key = request.key.as_str();
    let keys = match request.kind.as_str() {
        "telnyx" => telnyx::PublicKey::parse(key).map(Keys::Telnyx),
        "plivo" => plivo::Token::new(key).map(Keys::Plivo),
        "twilio" => laml::Twilio::new(key).map(Keys::Twilio),
        "signalwire" => laml::SignalWire::new(key).map(Keys::SignalWire),
        _ => None,
    };
    let keys = keys.ok_or("no such key")?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
    }
    let callback = Callback {
        method: &Method::from_bytes(request.method.as_bytes())?,
        url: &request.url,
        headers: &headers,
        body: request.body.as_bytes(),
        now: Timestamp(request.now),
    };
    if request.call {
        return Ok(match keys.caller(&callback) {
            Ok(caller) => format!("call {}", caller.call),
            Err(why) => format!("refused {why:?}"),
        });
    }
    Ok(match keys.told(&callback) {
        Ok(told) => format!("told {:?}", told.notices),
        Err(why) => format!("refused {why:?}"),
    })
}
