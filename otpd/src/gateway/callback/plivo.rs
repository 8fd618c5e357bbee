//! Plivo: HMAC-SHA256 with the account's token. Version 3 signs the URL, its query, the fields and a
//! nonce; version 2, which messages still carry, only the URL and the nonce.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Callback, Caller, Mark, Refusal, Told,
    form::{Fields, split},
    from_base64, mark, number,
};
use crate::{
    domain::challenge::Channel,
    gateway::{Keyword, Notice, VendorMessageId, plivo::told_by_itself, redact, spoken::Markup},
};

/// Signatures of one request that are looked at.
const MOST_SIGNATURES: usize = 4;

/// The account's token, with which Plivo signs.
#[derive(Clone)]
pub struct Token(Hmac<Sha256>);

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    /// URL, query and fields.
    All,
    /// The URL without its query: the fields may be anybody's.
    Url,
}

impl Token {
    /// Takes the token; it is not kept as text.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        <Hmac<Sha256> as KeyInit>::new_from_slice(token.as_bytes()).ok().map(Self)
    }

    /// The token's signature over nothing, by which it is known again.
    pub(super) fn signed_nothing(&self) -> [u8; 32] {
        self.0.clone().finalize().into_bytes().into()
    }

    pub(super) fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        let (covers, mark) = self.verify(callback)?;
        let notice = notices(&callback.fields(), mark);
        Ok(match (covers, notice) {
            // Asked after before it counts.
            (Covers::Url, Some(Notice::Progress { id, .. })) => {
                Told::heard(vec![Notice::Hint { id }], mark)
            }
            // Who writes what is not signed, and Plivo itself keeps to a STOP.
            (Covers::Url, Some(Notice::Inbound { .. })) => {
                Told { notices: Vec::new(), mark, unproved: true }
            }
            (Covers::All | Covers::Url, notice) => Told::heard(notice.into_iter().collect(), mark),
        })
    }

    /// Only a signature over the fields tells which call it is.
    pub(super) fn caller(&self, callback: &Callback<'_>) -> Result<Caller, Refusal> {
        match self.verify(callback)? {
            (Covers::All, _) => {}
            (Covers::Url, _) => return Err(Refusal::Unsigned),
        }
        let fields = callback.fields();
        let call = fields.get("CallUUID").ok_or(Refusal::Unreadable)?.to_owned();
        let pressed = fields.get("Digits").map(str::to_owned);
        Ok(Caller { call, pressed, markup: Markup::Plivo })
    }

    /// What is signed, and its mark: nonce and all, so that a repeat is one however the same text
    /// is cut into fields and nonce, and under version 2 whatever the fields say.
    ///
    /// What is wrong with version 3 is not made good by version 2, which signs less.
    fn verify(&self, callback: &Callback<'_>) -> Result<(Covers, Mark), Refusal> {
        let (signatures, nonce) = ("x-plivo-signature-v3", "x-plivo-signature-v3-nonce");
        if callback.headers.contains_key(signatures) || callback.headers.contains_key(nonce) {
            let signatures = callback.header(signatures).ok_or(Refusal::Forged)?;
            let signed = version_3(callback, callback.header(nonce).ok_or(Refusal::Forged)?);
            return self.checked(Covers::All, &signed, signatures);
        }
        let signatures = callback.required("x-plivo-signature-v2")?;
        let nonce = callback.required("x-plivo-signature-v2-nonce")?;
        let signed = Zeroizing::new(format!("{}{nonce}", split(callback.url).0));
        self.checked(Covers::Url, &signed, signatures)
    }

    fn checked(
        &self,
        covers: Covers,
        signed: &str,
        signatures: &str,
    ) -> Result<(Covers, Mark), Refusal> {
        let right = self.signed(signed, signatures);
        right.then(|| (covers, mark(&[signed.as_bytes()]))).ok_or(Refusal::Forged)
    }

    /// Whether one of the signatures, of which a change of tokens brings two, is ours. However many
    /// there are, the text is hashed once: anybody may send thousands.
    fn signed(&self, text: &str, signatures: &str) -> bool {
        let own = self.0.clone().chain_update(text).finalize().into_bytes();
        let signatures = signatures.split(',').take(MOST_SIGNATURES).map(str::trim);
        let mut signatures = signatures.filter_map(|signature| from_base64(signature).ok());
        signatures.any(|signature| own.as_slice().ct_eq(&signature).into())
    }
}

/// What version 3 signs: `URL?sorted query.sorted fields.nonce`, as Plivo's libraries build it, with
/// the question mark that they leave before fields where there is no query.
fn version_3(callback: &Callback<'_>, nonce: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(split(callback.url).0.to_owned());
    let query = Fields::of_query(callback.url);
    let get = *callback.method == Method::GET;
    let body = if get { Fields::of(b"") } else { callback.fields() };
    if !query.is_empty() || !body.is_empty() {
        text.push('?');
    }
    for (index, (name, value)) in query.sorted().into_iter().enumerate() {
        let separator = if index == 0 { "" } else { "&" };
        let _ = write!(text, "{separator}{name}={value}");
    }
    if !query.is_empty() && !body.is_empty() {
        text.push('.');
    }
    for (name, value) in body.sorted() {
        let _ = write!(text, "{name}{value}");
    }
    let _ = write!(text, ".{nonce}");
    text
}

/// By the words and codes of the API's own answers.
fn notices(fields: &Fields, mark: Mark) -> Option<Notice> {
    if let Some(status) = fields.get("Status") {
        let id = VendorMessageId::checked(fields.get("MessageUUID")?)?;
        let record = json!({
            "message_state": status.to_ascii_lowercase(),
            "error_code": fields.get("ErrorCode"),
        });
        let status = told_by_itself(Channel::Sms, &record, &redact::masked)?;
        return Some(Notice::Progress { id, status });
    }
    if let Some(status) = fields.get("CallStatus") {
        let name = fields.get("RequestUUID").or(fields.get("CallUUID"))?;
        let id = VendorMessageId::checked(name)?;
        let status = status.to_ascii_lowercase();
        let answered = status == "completed";
        let ended =
            answered || matches!(&*status, "busy" | "failed" | "timeout" | "no-answer" | "cancel");
        let record = json!({
            "call_status": status,
            "answer_time": if answered { "told" } else { "" },
            "end_time": if ended { "told" } else { "" },
            "hangup_cause_code": fields.get("HangupCauseCode"),
            "hangup_cause_name": fields.get("HangupCauseName"),
        });
        let status = told_by_itself(Channel::Voice, &record, &redact::masked)?;
        return Some(Notice::Progress { id, status });
    }
    let from = number(fields.get("From")?)?;
    let id = fields.get("MessageUUID").and_then(VendorMessageId::checked);
    Some(Notice::Inbound { from, keyword: Keyword::of(fields.get("Text")?), mark, id })
}
