//! Telnyx: Ed25519 over the time and the body (`telnyx-signature-ed25519`, `telnyx-timestamp`), for
//! messages in JSON and for calls in the form fields of `TeXML` alike.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use reqwest::Method;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Callback, Caller, Refusal, Told, form::split, from_base64, laml, mark, number};
use crate::{
    domain::time::Timestamp,
    gateway::{Keyword, MessageId, Notice, Status, VendorMessageId, redact, telnyx, twilio},
};

/// How far the time of a signature may be from ours, either way, as Telnyx's own libraries have it.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Telnyx's public key for an account, from its portal.
#[derive(Clone, Debug)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key as the portal shows it: 32 bytes in base64. `None` for anything else, and for
    /// the few keys under which anybody could sign.
    #[must_use]
    pub fn parse(base64: &str) -> Option<Self> {
        let bytes: [u8; 32] = STANDARD.decode(base64).ok()?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// The key itself, which is no secret.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        self.verify(callback)?;
        // A call's end comes as Twilio tells it, and without codes.
        if callback.is_form() {
            let (body, ours) = (mark(&[callback.body]), ours(callback.url));
            let notices = laml::notices(&callback.fields(), twilio::CODES, body).into_iter();
            // The URL is not signed: the same body under another call's name is told of that one, and
            // must not keep its own call's from being heard. What people write has no such name.
            let mark = ours.map_or(body, |ours| mark(&[&body.0, &ours.0]));
            let notices = notices.map(|notice| match (notice, ours) {
                (Notice::Progress { id, status }, Some(ours)) => Notice::Call { ours, id, status },
                (notice, Some(_) | None) => notice,
            });
            return Ok(Told::heard(notices.collect(), mark));
        }
        let event: Value = json(callback.body)?;
        let data = event.get("data").ok_or(Refusal::Unreadable)?;
        let text = |pointer| data.pointer(pointer).and_then(Value::as_str);
        // Telnyx tells the same up to three times, each time signed anew.
        let mark = mark(&[text("/id").ok_or(Refusal::Unreadable)?.as_bytes()]);
        let notice = match text("/event_type") {
            Some("message.sent" | "message.finalized") => {
                let payload = data.get("payload").cloned().unwrap_or_default();
                let told = telnyx::told_by_itself(payload, &redact::masked);
                let told = told.filter(|(_, status)| !matches!(status, Status::Unknown(_)));
                told.map(|(id, status)| Notice::Progress { id, status })
            }
            Some("message.received") => {
                // Telnyx's own judgement first: a profile may have words of its own.
                let keyword = match text("/payload/autoresponse_type") {
                    Some("STOP") => Keyword::Stop,
                    Some("START") => Keyword::Start,
                    Some("HELP") => Keyword::Help,
                    Some(_) | None => Keyword::of(text("/payload/text").unwrap_or_default()),
                };
                let from = text("/payload/from/phone_number").and_then(number);
                let id = text("/payload/id").and_then(VendorMessageId::checked);
                from.map(|from| Notice::Inbound { from, keyword, mark, id })
            }
            Some(_) | None => None,
        };
        Ok(Told::heard(notice.into_iter().collect(), mark))
    }

    /// By a form that was posted alone: of a GET, whose fields are the query, nothing is signed.
    pub(super) fn caller(&self, callback: &Callback<'_>) -> Result<Caller, Refusal> {
        if *callback.method != Method::POST || !callback.is_form() {
            return Err(Refusal::Unsigned);
        }
        self.verify(callback)?;
        laml::caller(&callback.fields())
    }

    fn verify(&self, callback: &Callback<'_>) -> Result<(), Refusal> {
        let signature = callback.required("telnyx-signature-ed25519")?;
        let stamp = callback.required("telnyx-timestamp")?;
        let signature: [u8; 64] =
            from_base64(signature)?.try_into().map_err(|_| Refusal::Forged)?;
        let signed = Zeroizing::new([stamp.as_bytes(), b"|", callback.body].concat());
        self.0
            .verify_strict(&signed, &Signature::from_bytes(&signature))
            .map_err(|_| Refusal::Forged)?;
        let seconds: i64 = stamp.parse().map_err(|_| Refusal::Stale)?;
        let (stamp, now) = (Timestamp(seconds.saturating_mul(1000)), callback.now);
        let off = now.since(stamp).max(stamp.since(now));
        if off > TOLERANCE { Err(Refusal::Stale) } else { Ok(()) }
    }
}

/// Which call it is, by the end of the URL that was given for it: `/receipts/NAME/ID`. The signature
/// does not cover that, but nobody else was told it.
fn ours(url: &str) -> Option<MessageId> {
    let mut parts = split(url).0.rsplit('/');
    let (id, _gateway, receipts) = (parts.next()?, parts.next()?, parts.next()?);
    MessageId::parse(id).filter(|_| receipts == "receipts")
}

/// Reads JSON; what is no JSON is refused without a word about it.
pub(super) fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Unreadable)
}
