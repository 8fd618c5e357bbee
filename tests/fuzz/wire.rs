//! The wire: frames, calls with every method's parameters, and replies as the module reads them.

#[path = "edit.rs"]
mod edit;

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use self::edit::{TIME, edited};
use crate::{
    admin, envelope,
    envelope::{Call, IncomingReply},
    frame::{Decoder, MAX_FRAME, encode},
    login, service,
};

/// What comes out of a decoder is what was put in between NULs, however it was cut; and what is too
/// long is refused.
#[test]
fn frames() {
    bolero::check!(name = "frames").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("frames", input);
        let (sizes, stream) = input.split_at(input.len().min(8));
        // Long frames without long inputs.
        let stream: Vec<u8> = match sizes.first() {
            Some(times @ 200..) => stream.repeat(usize::from(times % 32)),
            _ => stream.to_vec(),
        };
        let mut expected: Vec<&[u8]> = stream.split(|byte| *byte == 0).collect();
        let open = expected.pop().unwrap_or_default();
        let mut decoder = Decoder::default();
        let (mut found, mut rest, mut too_long) = (Vec::new(), stream.as_slice(), false);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((usize::from(*size) * 9 + 1).min(rest.len()));
            rest = later;
            decoder.push(now);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => found.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(_) => {
                        too_long = true;
                        break;
                    }
                }
            }
            if too_long {
                break;
            }
        }
        let fits = expected.iter().take_while(|frame| frame.len() <= MAX_FRAME).count();
        let refused = fits < expected.len() || open.len() > MAX_FRAME;
        assert_eq!(too_long, refused, "more than {MAX_FRAME} bytes without an end");
        assert!(found.iter().eq(expected.iter().take(fits)));
        assert!(found.iter().all(|frame| frame.len() <= MAX_FRAME));
    });
    edit::report("frames");
}

/// Calls as they are, one of every method with parameters.
const CALLS: [&[u8]; 8] = [
    br#"{"method":"org.otpd.Login.Begin","parameters":{"user":"alice","service":"sshd","rhost":"203.0.113.9","tty":"ssh","ruser":null,"connection":"203.0.113.9 40000 10.0.0.1 22 7","first_factor":["password"]}}"#,
    br#"{"method":"org.otpd.Login.Answer","parameters":{"challenge":"00112233445566778899aabbccddeeff","answer":"482913"}}"#,
    br#"{"method":"org.otpd.Login.Cancel","parameters":{"challenge":"00"},"oneway":true}"#,
    br#"{"method":"org.otpd.Admin.Enroll","parameters":{"user":"alice","phone":"+13125550142","channel":"sms","replace":false}}"#,
    br#"{"method":"org.otpd.Admin.Verify","parameters":{"user":"alice","code":"482913"}}"#,
    br#"{"method":"org.otpd.Admin.Bypass","parameters":{"user":"alice","seconds":3600,"reason":"lost","uses":1,"from":"10.0.0.0/8"},"more":true}"#,
    br#"{"method":"org.otpd.Admin.Log","parameters":{"user":null,"request":null,"since":0},"more":true}"#,
    br#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.otpd.Login"}}"#,
];

/// What is read, written and read again says the same.
fn stable<P: Serialize + DeserializeOwned>(call: &Call<'_>) {
    let Ok(first) = envelope::parameters::<P>(call.parameters) else { return };
    let text = serde_json::to_string(&first).expect("JSON");
    let again: P = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(serde_json::to_string(&again).expect("JSON"), text);
}

/// A secret that is no text is refused without being repeated.
fn tells_nothing<P: DeserializeOwned + std::fmt::Debug>(parameters: &Value) {
    let raw = serde_json::value::to_raw_value(parameters).expect("JSON");
    match envelope::parameters::<P>(Some(&raw)) {
        Ok(read) => assert!(!format!("{read:?}").contains("482913"), "{read:?}"),
        Err(error) => assert!(!error.to_string().contains("482913"), "{error}"),
    }
}

#[test]
fn calls() {
    bolero::check!(name = "calls").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("calls", input);
        let text = edited(&CALLS, input);
        if let Ok(call) = Call::parse(&text) {
            stable::<login::Begin>(&call);
            stable::<login::Answer>(&call);
            stable::<login::Cancel>(&call);
            stable::<admin::Enroll>(&call);
            stable::<admin::Register>(&call);
            stable::<admin::Verify>(&call);
            stable::<admin::Resend>(&call);
            stable::<admin::Show>(&call);
            stable::<admin::Reveal>(&call);
            stable::<admin::Disable>(&call);
            stable::<admin::Enable>(&call);
            stable::<admin::Remove>(&call);
            stable::<admin::Unlock>(&call);
            stable::<admin::RecoveryCodes>(&call);
            stable::<admin::Bypass>(&call);
            stable::<admin::RevokeBypass>(&call);
            stable::<admin::TestMessage>(&call);
            stable::<admin::Backup>(&call);
            stable::<admin::Restore>(&call);
            stable::<admin::Log>(&call);
            stable::<admin::Watch>(&call);
            stable::<service::GetInterfaceDescription>(&call);
            assert!(!format!("{call:?}").contains("482913") || call.method.contains("482913"));
        }
        let secrets = [
            json!("482913"),
            json!(482_913),
            json!(-482_913.5),
            json!(["482913"]),
            json!({ "482913": 482_913 }),
            serde_json::from_slice(&text).unwrap_or(Value::Null),
        ];
        for secret in secrets {
            // Elsewhere than in a secret a text may say what it likes.
            if secret.to_string().contains("482913") && secret.is_object() && input.len() > 4 {
                continue;
            }
            tells_nothing::<login::Answer>(&json!({ "challenge": "0", "answer": secret }));
            tells_nothing::<admin::Verify>(&json!({ "user": "a", "code": secret }));
            tells_nothing::<admin::Enroll>(&json!({ "user": "a", "phone": secret }));
        }
    });
    edit::report("calls");
}

/// Replies as the daemon gives them.
const REPLIES: [&[u8]; 7] = [
    br#"{"parameters":{"challenge":"00","step":{"text":null,"prompt":{"text":"Code: ","echo":true},"verdict":null}}}"#,
    br#"{"parameters":{"step":{"text":"Locked.","verdict":"denied"}}}"#,
    br#"{"parameters":{"challenge":null,"step":{"verdict":"granted"}}}"#,
    br#"{"parameters":{"step":{"verdict":"ignored"}},"continues":false}"#,
    br#"{"error":"org.otpd.Login.UnknownChallenge","parameters":{}}"#,
    br#"{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"user"}}"#,
    br#"{"parameters":{"step":{"verdict":"unavailable","text":"x"},"later":[1,2]}}"#,
];

/// The text at the end of `path`. What stands beside it may be anything that has JSON's form: numbers
/// that no type holds, for example, which the reply's reader passes over as well.
fn inside(json: &[u8], path: &[&str]) -> Option<String> {
    let Some((name, rest)) = path.split_first() else { return serde_json::from_slice(json).ok() };
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(json).ok()?;
    inside(fields.get(*name)?.get().as_bytes(), rest)
}

/// Nothing but a reply that says so grants.
#[test]
fn replies() {
    bolero::check!(name = "replies").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("replies", input);
        let text = edited(&REPLIES, input);
        let Ok(reply) = serde_json::from_slice::<IncomingReply<'_>>(&text) else { return };
        let said = inside(&text, &["parameters", "step", "verdict"]);
        let steps = [
            envelope::parameters::<login::BeginReply>(reply.parameters).map(|reply| reply.step),
            envelope::parameters::<login::AnswerReply>(reply.parameters).map(|reply| reply.step),
        ];
        for step in steps.into_iter().flatten() {
            if step.verdict == Some(login::Verdict::Granted) {
                assert_eq!(said.as_deref(), Some("granted"), "{}", text.escape_ascii());
            }
            // What is written again is the same step, in a frame.
            let frame = encode(&step);
            if let Ok(frame) = frame {
                let body = frame.strip_suffix(b"\0").expect("a NUL");
                assert_eq!(serde_json::from_slice::<login::Step>(body).expect("a step"), step);
            }
        }
    });
    edit::report("replies");
}
