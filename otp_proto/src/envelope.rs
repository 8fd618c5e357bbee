//! What stands around every Varlink call and reply.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A method as its parameters: the struct is the request, its reply and name hang on it.
pub trait Method: Serialize + DeserializeOwned {
    /// Full name, for example `org.otpd.Login.Begin`.
    const NAME: &'static str;
    /// Parameters of a reply.
    type Reply: Serialize + DeserializeOwned;
}

/// A call as it is read: the parameters stay text until the method is known and permitted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call<'a> {
    /// Full name of the method.
    #[serde(borrow)]
    pub method: std::borrow::Cow<'a, str>,
    /// Its parameters; absent means none.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// No reply is wanted.
    #[serde(default)]
    pub oneway: bool,
    /// More than one reply may come.
    #[serde(default)]
    pub more: bool,
    /// Asks to leave Varlink; never granted.
    #[serde(default)]
    pub upgrade: bool,
}

/// A call as it is written.
#[derive(Debug, Serialize)]
pub struct OutgoingCall<'a, P> {
    /// Full name of the method.
    pub method: &'a str,
    /// Its parameters.
    pub parameters: &'a P,
    /// No reply is wanted.
    #[serde(skip_serializing_if = "is_false")]
    pub oneway: bool,
    /// More than one reply may come.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
}

/// A reply as it is written.
#[derive(Debug, Serialize)]
pub struct Reply<'a, P> {
    /// What the method returns, or the fields of the error.
    pub parameters: &'a P,
    /// Another reply follows.
    #[serde(skip_serializing_if = "is_false")]
    pub continues: bool,
}

/// A reply as it is read; fields that are not known here are passed over.
#[derive(Debug, Deserialize)]
pub struct IncomingReply<'a> {
    /// Parameters of the reply or of the error.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Another reply follows.
    #[serde(default)]
    pub continues: bool,
    /// Full name of the error; absent for a success.
    #[serde(borrow, default)]
    pub error: Option<std::borrow::Cow<'a, str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Parameters may hold a code, so they are not shown.
impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

impl<'a> Call<'a> {
    /// Parses a frame.
    ///
    /// # Errors
    /// What keeps it from being a call, in serde's words.
    pub fn parse(frame: &'a [u8]) -> Result<Self, serde_json::Error> {
        object(frame)?;
        serde_json::from_slice(frame)
    }
}

impl<'a> IncomingReply<'a> {
    /// Parses a frame.
    ///
    /// # Errors
    /// What keeps it from being a reply, in serde's words.
    pub fn parse(frame: &'a [u8]) -> Result<Self, serde_json::Error> {
        object(frame)?;
        serde_json::from_slice(frame)
    }
}

/// Parses parameters; absent ones count as `{}`.
///
/// # Errors
/// The field that is unknown, missing or of the wrong type, in serde's words.
pub fn parameters<P: DeserializeOwned>(raw: Option<&RawValue>) -> Result<P, serde_json::Error> {
    let text = raw.map_or("{}", RawValue::get);
    object(text.as_bytes())?;
    serde_json::from_str(text)
}

/// serde would take an array for a struct, field by field; Varlink knows objects only.
fn object(json: &[u8]) -> Result<(), serde_json::Error> {
    match json.trim_ascii_start().first() {
        Some(b'{') => Ok(()),
        _ => Err(serde::de::Error::custom("expected a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Call, IncomingReply, parameters};
    use crate::{admin, login, service};

    fn call(text: &str) -> Result<Call<'_>, serde_json::Error> {
        Call::parse(text.as_bytes())
    }

    #[test]
    fn calls_are_read_strictly() {
        let cases = [
            ("method alone", r#"{"method":"a.B"}"#, true),
            (
                "everything",
                r#"{"method":"a.B","parameters":{},"more":true,"oneway":false,"upgrade":false}"#,
                true,
            ),
            ("unknown field", r#"{"method":"a.B","later":1}"#, false),
            ("no method", r#"{"parameters":{}}"#, false),
            ("method twice", r#"{"method":"a.B","method":"a.C"}"#, false),
            ("not an object", r#"["a.B"]"#, false),
            ("parameters that are none", r#"{"method":"a.B","parameters":["a"]}"#, true),
            ("two values", r#"{"method":"a.B"}{}"#, false),
        ];
        for (name, text, good) in cases {
            assert_eq!(call(text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn parameters_are_read_strictly() {
        let read = |text: &str| {
            let call = call(text).expect("a call");
            parameters::<login::Answer>(call.parameters).map_err(|error| error.to_string())
        };
        assert!(read(r#"{"method":"x","parameters":{"challenge":"c","answer":"1"}}"#).is_ok());
        let unknown = read(r#"{"method":"x","parameters":{"challenge":"c","answer":"1","b":2}}"#);
        assert!(unknown.expect_err("unknown field").contains("unknown field `b`"));
        let missing = read(r#"{"method":"x"}"#).expect_err("missing fields");
        assert!(missing.contains("missing field `challenge`"), "{missing}");
        assert!(
            !format!(
                "{:?}",
                read(r#"{"method":"x","parameters":{"challenge":"c","answer":"482913"}}"#)
            )
            .contains("482913")
        );
    }

    #[test]
    fn an_array_is_no_parameters() {
        let call = call(r#"{"method":"x","parameters":["c","1"]}"#).expect("a call");
        assert!(parameters::<login::Answer>(call.parameters).is_err());
    }

    #[test]
    fn an_array_is_no_reply() {
        assert!(IncomingReply::parse(br#"{"parameters":{}}"#).is_ok());
        assert!(IncomingReply::parse(br#"[{"step":{"verdict":"granted"}}]"#).is_err());
    }

    #[test]
    fn a_missing_nullable_parameter_is_null() {
        let text = r#"{"user":"a","service":"s","first_factor":[]}"#;
        let begin: login::Begin = serde_json::from_str(text).expect("the rest is nullable");
        assert!(begin.rhost.is_none() && begin.connection.is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Call::parse(&bytes);
            let _ = serde_json::from_slice::<IncomingReply<'_>>(&bytes);
            let _ = serde_json::from_slice::<login::BeginReply>(&bytes);
            let _ = serde_json::from_slice::<admin::Shown>(&bytes);
            let _ = serde_json::from_slice::<service::Info>(&bytes);
        }

        #[test]
        fn no_json_makes_a_reader_panic(text in r#"[\[\]{}:,"a-z0-9]{0,80}"#) {
            let _ = call(&text);
            let _ = serde_json::from_str::<login::BeginReply>(&text);
        }
    }
}
