//! How each vendor signs what it sends, as its own validators check it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use hyper::Method;
use sha1::Sha1;
use sha2::Sha256;

/// Telnyx: Ed25519 over the time, a bar and the body.
pub(super) fn telnyx(key: &SigningKey, seconds: i64, body: &str) -> String {
    STANDARD.encode(key.sign(format!("{seconds}|{body}").as_bytes()).to_bytes())
}

/// The key of Telnyx's signatures, from the base64 of its seed.
pub(super) fn telnyx_key(seed: &str) -> SigningKey {
    let bytes = STANDARD.decode(seed).ok().and_then(|bytes| bytes.try_into().ok());
    SigningKey::from_bytes(&bytes.expect("`signing-seed` is the base64 of 32 bytes"))
}

/// Twilio, and `SignalWire` for calls and messages of its compatibility API: the URL with its query,
/// then every field's name and value, sorted.
pub(super) fn twilio(key: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort();
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Plivo's second way: the URL without its query, and the nonce.
pub(super) fn plivo_v2(key: &str, url: &str, nonce: &str) -> String {
    let (base, _) = split(url);
    plivo(key, &format!("{base}{nonce}"))
}

/// Plivo's third way. `fields` are those of the body, or for GET those that join the query.
pub(super) fn plivo_v3(
    key: &str,
    method: &Method,
    url: &str,
    fields: &[(String, String)],
    nonce: &str,
) -> String {
    let (base, query) = split(url);
    let mut of_query: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut text = base.to_owned();
    if method == Method::GET {
        of_query.extend_from_slice(fields);
    } else if !fields.is_empty() {
        text.push('?');
    }
    of_query.sort();
    let joined: Vec<_> = of_query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !joined.is_empty() {
        if !text.ends_with('?') {
            text.push('?');
        }
        text.push_str(&joined.join("&"));
    }
    if method != Method::GET && !fields.is_empty() {
        if !joined.is_empty() {
            text.push('.');
        }
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort();
        for (name, value) in sorted {
            text.push_str(name);
            text.push_str(value);
        }
    }
    plivo(key, &format!("{text}.{nonce}"))
}

/// The same signature with one bit wrong.
pub(super) fn spoiled(signature: &str) -> String {
    let mut bytes = STANDARD.decode(signature).unwrap_or_default();
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1;
    }
    STANDARD.encode(bytes)
}

fn split(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

fn plivo(key: &str, text: &str) -> String {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes()).expect("any length");
    STANDARD.encode(mac.chain_update(text).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::exchange::fields, *};

    #[test]
    fn plivo_signs_as_its_own_library_does() {
        let token = "my_auth_token";
        let receipt = fields([("MessageUUID", "abc"), ("Status", "delivered")]);
        let call = fields([("CallUUID", "x"), ("To", "1")]);
        let cases = [
            (
                Method::POST,
                "https://h.example/cb",
                &receipt,
                "ANOKbFJd26+zo2xsL4L5XJCo4ax3Y4rs3gsrD28Bpe4=",
            ),
            (
                Method::POST,
                "https://h.example/cb?b=2&a=1",
                &receipt,
                "mDRb0OQnWti54baocVrfRM/EPlZ6L2VYlK/u5kWdNC0=",
            ),
            (
                Method::GET,
                "https://h.example/cb?a=1",
                &call,
                "qPUsnr9CXltW5X56xCzOd2OzSYYOK0rp0xA7LkwnvPA=",
            ),
        ];
        for (method, url, fields, expected) in cases {
            assert_eq!(plivo_v3(token, &method, url, fields, "12345"), expected, "{method} {url}");
        }
        let second = plivo_v2(token, "https://answer.url", "12345");
        assert_eq!(second, "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc=");
    }

    #[test]
    fn twilio_signs_as_its_manual_says() {
        let call = fields([
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let signature = twilio("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", &call);
        assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert_ne!(spoiled(&signature), signature);
        assert_eq!(spoiled(&spoiled(&signature)), signature);
    }
}
