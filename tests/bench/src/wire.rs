//! The calls of a login, as the module makes them.

use otp_proto::login::{AnswerReply, BeginReply, Verdict};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Why a call did not bring what a login needs.
pub type Failure = Box<dyn std::error::Error>;

/// The account's `nth` login begins: from an address of its own, and from another port than before.
///
/// # Errors
/// Never of what is called with here.
pub fn begin(user: &str, nth: u32) -> Result<Vec<u8>, Failure> {
    let [_, high, middle, low] = nth.to_be_bytes();
    let address = format!("10.{high}.{middle}.{low}");
    frame(&json!({
        "method": "org.otpd.Login.Begin",
        "parameters": {
            "user": user, "service": "sshd", "rhost": address, "tty": "ssh", "ruser": null,
            "connection": format!("{address} {} 192.0.2.1 22 {nth}", 1024 + nth % 60_000),
            "first_factor": ["password"],
        },
    }))
}

/// The challenge that a begun login has.
///
/// # Errors
/// When no code was asked for.
pub fn begun(reply: &[u8]) -> Result<String, Failure> {
    let reply: BeginReply = parameters(reply)?;
    reply.challenge.ok_or_else(|| format!("no code was asked for: {:?}", reply.step).into())
}

/// A code is typed.
///
/// # Errors
/// Never of what is called with here.
pub fn answer(challenge: &str, code: &str) -> Result<Vec<u8>, Failure> {
    frame(&json!({
        "method": "org.otpd.Login.Answer",
        "parameters": { "challenge": challenge, "answer": code },
    }))
}

/// The login is granted.
///
/// # Errors
/// When it is not.
pub fn granted(reply: &[u8]) -> Result<(), Failure> {
    let reply: AnswerReply = parameters(reply)?;
    match reply.step.verdict {
        Some(Verdict::Granted) => Ok(()),
        _ => Err(format!("the code was not right: {:?}", reply.step).into()),
    }
}

fn frame(call: &Value) -> Result<Vec<u8>, Failure> {
    let mut frame = serde_json::to_vec(call)?;
    frame.push(0);
    Ok(frame)
}

fn parameters<R: DeserializeOwned>(frame: &[u8]) -> Result<R, Failure> {
    #[derive(Deserialize)]
    struct Reply<R> {
        parameters: R,
    }
    let frame = frame.strip_suffix(&[0]).ok_or("the daemon closed the connection")?;
    let reply: Reply<R> = serde_json::from_slice(frame)
        .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(frame)))?;
    Ok(reply.parameters)
}
