//! Twilio, and `SignalWire`, which speaks as Twilio does: HMAC over the URL and the sorted fields, or
//! over the URL with a hash of the body in it, or, with `SignalWire` and no form, over URL and body.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Callback, Caller, Mark, Refusal, Told,
    form::{Fields, split},
    from_base64, mark, number,
};
use crate::{
    domain::challenge::Channel,
    gateway::{
        Keyword, Notice, VendorMessageId,
        laml::{Codes, told_by_itself},
        redact, signalwire,
        spoken::Markup,
        twilio,
    },
};

/// The account's token with Twilio, with which Twilio signs.
#[derive(Clone)]
pub struct Twilio(pub(super) Signer);

/// The project's signing key (`PSK_…`) with `SignalWire`; not its API token.
#[derive(Clone)]
pub struct SignalWire(pub(super) Signer);

/// A key, ready to sign.
#[derive(Clone)]
pub(super) struct Signer {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
}

impl Twilio {
    /// Takes the token; it is not kept as text.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        Signer::new(token).map(Self)
    }

    pub(super) fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        let mark = self.verify(callback)?;
        Ok(Told::heard(notices(&read(callback), twilio::CODES, mark), mark))
    }

    pub(super) fn caller(&self, callback: &Callback<'_>) -> Result<Caller, Refusal> {
        self.verify(callback)?;
        caller(&read(callback))
    }

    fn verify(&self, callback: &Callback<'_>) -> Result<Mark, Refusal> {
        let signature = callback.required("x-twilio-signature")?;
        let hash = hash(callback.header("x-twilio-webhooks-signature-settings"))?;
        self.0.fields(hash, callback, signature)
    }
}

impl SignalWire {
    /// Takes the key; it is not kept as text.
    #[must_use]
    pub fn new(key: &str) -> Option<Self> {
        Signer::new(key).map(Self)
    }

    pub(super) fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        let mark = self.verify(callback)?;
        Ok(Told::heard(notices(&read(callback), signalwire::CODES, mark), mark))
    }

    pub(super) fn caller(&self, callback: &Callback<'_>) -> Result<Caller, Refusal> {
        self.verify(callback)?;
        caller(&read(callback))
    }

    /// A form is signed over its fields, and anything else over its bytes. A form whose bytes are
    /// signed is not taken: both signatures are made with one key, so the fields of one request,
    /// written one after the other, would pass as the bytes of another with other fields.
    ///
    /// The stronger signature over bytes counts where there is one; what is wrong with it is not
    /// made good by the weaker.
    fn verify(&self, callback: &Callback<'_>) -> Result<Mark, Refusal> {
        let Self(signer) = self;
        let signature = callback
            .header("x-signalwire-signature")
            .or_else(|| callback.header("x-twilio-signature"));
        if callback.is_form() {
            return signer.fields(Hash::Sha1, callback, signature.ok_or(Refusal::Unsigned)?);
        }
        if let Some(signature) = callback.header("x-signalwire-sha256-signature") {
            return signer.raw(Hash::Sha256, callback, signature);
        }
        let signature = signature.ok_or(Refusal::Unsigned)?;
        let raw = signer.raw(Hash::Sha1, callback, signature);
        raw.or_else(|_| signer.fields(Hash::Sha1, callback, signature))
    }
}

/// Which hash Twilio signs with: `key=…,algorithm=HMAC_SHA256`; without that, the one it always did.
fn hash(settings: Option<&str>) -> Result<Hash, Refusal> {
    let parts = settings.unwrap_or_default().split(',');
    let named = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        (name.trim() == "algorithm" && !value.trim().is_empty()).then(|| value.trim())
    });
    match named.map(str::to_ascii_uppercase).as_deref() {
        None | Some("HMAC_SHA1") => Ok(Hash::Sha1),
        Some("HMAC_SHA256") => Ok(Hash::Sha256),
        Some(_) => Err(Refusal::Forged),
    }
}

impl Signer {
    fn new(key: &str) -> Option<Self> {
        let sha1 = <Hmac<Sha1> as KeyInit>::new_from_slice(key.as_bytes()).ok()?;
        let sha256 = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes()).ok()?;
        Some(Self { sha1, sha256 })
    }

    /// The key's signature over nothing, by which it is known again.
    pub(super) fn signed_nothing(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into_bytes().into()
    }

    fn is_right(&self, hash: Hash, parts: &[&[u8]], signature: &[u8]) -> bool {
        match hash {
            Hash::Sha1 => {
                let mac = parts.iter().fold(self.sha1.clone(), Mac::chain_update);
                mac.verify_slice(signature).is_ok()
            }
            Hash::Sha256 => {
                let mac = parts.iter().fold(self.sha256.clone(), Mac::chain_update);
                mac.verify_slice(signature).is_ok()
            }
        }
    }

    /// In hexadecimal, over URL and body. The mark is of what was signed, as with
    /// [`Self::fields`].
    fn raw(&self, hash: Hash, callback: &Callback<'_>, signature: &str) -> Result<Mark, Refusal> {
        let signature = from_hex(signature).ok_or(Refusal::Forged)?;
        let urls = spellings(callback.url);
        let mut signed = urls.iter().map(|url| [url.as_bytes(), callback.body]);
        let found = signed.find(|parts| self.is_right(hash, parts, &signature));
        found.map(|parts| mark(&parts)).ok_or(Refusal::Forged)
    }

    /// In base64, over the URL and the sorted fields.
    ///
    /// The mark is of exactly what was signed. Nothing is signed between names and values, nor how
    /// they were escaped, nor their order: whoever recorded a request can write its fields anew,
    /// even cut them into other fields, but what is signed stays the same, and so does the mark.
    ///
    /// A body that is no form is covered only by its hash in the URL. `SignalWire`'s own library
    /// also takes a signature over the URL alone for any body; that would make one signature good
    /// for every body, so it is not taken here.
    fn fields(
        &self,
        hash: Hash,
        callback: &Callback<'_>,
        signature: &str,
    ) -> Result<Mark, Refusal> {
        let signature = from_base64(signature)?;
        let fields = match (callback.body.is_empty(), callback.is_form()) {
            (true, _) => Fields::of(b""),
            (false, true) => Fields::of(callback.body),
            (false, false) if body_is_hashed(callback) => Fields::of(b""),
            (false, false) => return Err(Refusal::Forged),
        };
        // Twilio drops what comes twice; SignalWire keeps it, in the order in which it came.
        let mut sorted = fields.sorted();
        sorted.dedup();
        let mut stable: Vec<_> = fields.iter().collect();
        stable.sort_by_key(|(name, _)| *name);
        let urls = spellings(callback.url);
        let mut signed = urls.iter().flat_map(|url| [(url, &sorted), (url, &stable)]);
        let found = signed.find_map(|(url, fields)| {
            let pairs = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
            let parts: Vec<&[u8]> = std::iter::once(url.as_bytes()).chain(pairs).collect();
            self.is_right(hash, &parts, &signature).then(|| mark(&parts))
        });
        found.ok_or(Refusal::Forged)
    }
}

/// The fields of a request that was verified: of the query where the vendor uses GET, else of a
/// form. What is signed as something else is not read as a form.
fn read(callback: &Callback<'_>) -> Fields {
    if *callback.method == Method::GET || callback.is_form() {
        callback.fields()
    } else {
        Fields::of(b"")
    }
}

/// Whether the URL's `bodySHA256` is the body's.
fn body_is_hashed(callback: &Callback<'_>) -> bool {
    let query = Fields::of_query(callback.url);
    let said = query.get("bodySHA256").and_then(from_hex).unwrap_or_default();
    Sha256::digest(callback.body).as_slice().ct_eq(&said).into()
}

/// The URL as it was given to the vendor, with the port that its scheme implies, and without any.
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let (before, query) = split(url);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let Some((scheme, rest)) = before.split_once("://") else { return spellings };
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return spellings,
    };
    // The address of an IPv6 host stands in brackets and has colons of its own.
    let port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    spellings.push(match port {
        Some((host, _)) => format!("{scheme}://{host}{path}{query}"),
        None => format!("{scheme}://{host}:{default}{path}{query}"),
    });
    spellings
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let pairs = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// What the fields of Twilio, `SignalWire` and `TeXML` say, by what the vendor's codes mean.
pub(super) fn notices(fields: &Fields, codes: Codes, mark: Mark) -> Vec<Notice> {
    notice(fields, codes, mark).into_iter().collect()
}

fn notice(fields: &Fields, codes: Codes, mark: Mark) -> Option<Notice> {
    if let Some(status) = fields.get("CallStatus") {
        return progress(Channel::Voice, fields.get("CallSid")?, status, fields, codes);
    }
    let status = fields.get("MessageStatus").or(fields.get("SmsStatus"));
    let name = fields.get("MessageSid").or(fields.get("SmsSid"));
    let inbound = match status {
        Some("received" | "receiving") => true,
        Some(_) => false,
        None => fields.has("Body"),
    };
    if inbound {
        let from = number(fields.get("From")?)?;
        // The vendor's own judgement first: an account may have words of its own.
        let keyword = match fields.get("OptOutType") {
            Some("STOP") => Keyword::Stop,
            Some("START") => Keyword::Start,
            Some("HELP") => Keyword::Help,
            Some(_) | None => Keyword::of(fields.get("Body").unwrap_or_default()),
        };
        let id = name.and_then(VendorMessageId::checked);
        return Some(Notice::Inbound { from, keyword, mark, id });
    }
    progress(Channel::Sms, name?, status?, fields, codes)
}

/// The same as the API answers when it is asked, by the same words.
fn progress(
    channel: Channel,
    name: &str,
    status: &str,
    fields: &Fields,
    codes: Codes,
) -> Option<Notice> {
    let description = serde_json::json!({
        "sid": name,
        "status": status.to_ascii_lowercase(),
        "error_code": fields.get("ErrorCode"),
        "error_message": fields.get("ErrorMessage"),
    });
    let told = told_by_itself(channel, description, codes, &redact::masked);
    told.map(|(id, status)| Notice::Progress { id, status })
}

/// The call whose words are asked for.
pub(super) fn caller(fields: &Fields) -> Result<Caller, Refusal> {
    let call = fields.get("CallSid").ok_or(Refusal::Unreadable)?.to_owned();
    let pressed = fields.get("Digits").map(str::to_owned);
    Ok(Caller { call, pressed, markup: Markup::Twiml })
}
