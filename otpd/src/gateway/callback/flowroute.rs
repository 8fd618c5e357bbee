//! Flowroute, which signs nothing: what comes by a path that only Flowroute was told is a hint to ask
//! after a message, and no more than that.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Callback, Refusal, Told, form::split, mark, telnyx::json};
use crate::gateway::{GatewayName, Notice, VendorMessageId};

/// What only Flowroute was told: the last part of the path that receipts come by.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Made of the account's secret key, so that it needs no keeping and changes with that. `None`
    /// for a key of no length.
    #[must_use]
    pub fn derive(secret_key: &str, gateway: &GatewayName) -> Option<Self> {
        use std::fmt::Write as _;

        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret_key.as_bytes()).ok()?;
        let mac = mac.chain_update(b"otpd receipts ").chain_update(&gateway.0).finalize();
        let mut text = String::with_capacity(32);
        for byte in mac.into_bytes().iter().take(16) {
            let _ = write!(text, "{byte:02x}");
        }
        text.into_bytes().try_into().ok().map(Self)
    }

    /// The last part of the path: 128 bits in hexadecimal.
    #[must_use]
    pub fn path(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn told(&self, callback: &Callback<'_>) -> Result<Told, Refusal> {
        let path = split(callback.url).0;
        let last = path.rsplit('/').next().unwrap_or_default();
        if !bool::from(last.as_bytes().ct_eq(&self.0)) {
            return Err(Refusal::Forged);
        }
        let receipt: Value = json(callback.body)?;
        // With its wrapper or, as some were seen, without.
        let data = receipt.get("data").unwrap_or(&receipt);
        let text = |pointer| data.pointer(pointer).and_then(Value::as_str);
        // What people write is not acted on: anybody who came by the path could silence others,
        // and Flowroute itself keeps to a STOP.
        let written = text("/attributes/direction") == Some("inbound")
            || (data.get("from").is_some() && data.get("status").is_none());
        let id = text("/id").and_then(VendorMessageId::checked).filter(|_| !written);
        let notices = id.map(|id| Notice::Hint { id }).into_iter().collect();
        Ok(Told::heard(notices, mark(&[callback.body])))
    }
}
