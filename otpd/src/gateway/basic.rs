//! HTTP's Basic authentication (RFC 7617), by which most vendors know an account.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::{settings::Key, vendor::VendorError};

/// An account's name and key, ready to be sent.
pub(super) struct Basic {
    /// The value of the `Authorization` header.
    pub(super) header: HeaderValue,
    /// What must never be repeated: the key, and the header in which it can be read.
    pub(super) secrets: [Zeroizing<String>; 2],
}

impl Basic {
    /// Puts them together. `name` is the configuration's key for the file that holds the key.
    ///
    /// # Errors
    /// [`VendorError::Key`] when a header cannot carry it, or the name holds the colon that ends it.
    pub(super) fn new(user: &str, key: &Key, name: &'static str) -> Result<Self, VendorError> {
        let sendable = HeaderValue::from_str(&key.secret).is_ok();
        if user.contains(':') || HeaderValue::from_str(user).is_err() || !sendable {
            return Err(VendorError::Key(name));
        }
        let plain = Zeroizing::new(format!("{user}:{}", key.secret.as_str()));
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        let value = Zeroizing::new(format!("Basic {}", encoded.as_str()));
        let mut header = HeaderValue::from_str(&value).map_err(|_| VendorError::Key(name))?;
        header.set_sensitive(true);
        Ok(Self { header, secrets: [key.secret.clone(), value] })
    }
}
