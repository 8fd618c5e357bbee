//! A module and a daemon of different versions go on with each other: an upgrade replaces one while
//! programs still have the other loaded.
//!
//! What version 0.1.0 writes stands here byte for byte. It stays when the types of `otp_proto` change:
//! a new request field comes as a new method, a new reply field is passed over.

use otp_proto::{
    Method, Secret,
    login::{Answer, AnswerReply, Begin, BeginReply, Cancel, Verdict},
};
use otpd_tests::{daemon::Place, phone::Phone, wire::Wire};
use serde_json::{Value, json};

use super::people::PEOPLE;

const BEGIN: &str = concat!(
    r#"{"method":"org.otpd.Login.Begin","parameters":{"user":"USER","service":"sshd","#,
    r#""rhost":"192.0.2.7","tty":"ssh","ruser":null,"#,
    r#""connection":"192.0.2.7 50000 192.0.2.1 22 4711","first_factor":["publickey ssh-ed25519 AAAA"]}}"#,
);
const ANSWER: &str = concat!(
    r#"{"method":"org.otpd.Login.Answer","#,
    r#""parameters":{"challenge":"CHALLENGE","answer":"CODE"}}"#,
);
const CANCEL: &str =
    r#"{"method":"org.otpd.Login.Cancel","parameters":{"challenge":"CHALLENGE"},"oneway":true}"#;

fn send(wire: &mut Wire, request: &str) {
    assert!(wire.send(&[request.as_bytes(), b"\0"].concat()), "hung up on: {request}");
}

fn reply(wire: &mut Wire, request: &str) -> Value {
    send(wire, request);
    let reply = wire.receive().expect("a reply");
    assert!(reply.get("error").is_none(), "{request}: {reply}");
    reply["parameters"].clone()
}

/// What the module of 0.1.0 reads of a reply: these keys, of these kinds, and no other verdict.
fn prompts(step: &Value) -> bool {
    let text = |value: &Value| value.is_null() || value.is_string();
    assert!(text(&step["text"]), "{step}");
    let (prompt, verdict) = (&step["prompt"], &step["verdict"]);
    assert_ne!(prompt.is_null(), verdict.is_null(), "exactly one: {step}");
    if prompt.is_null() {
        let known = ["granted", "denied", "ignored", "unavailable"];
        assert!(known.contains(&verdict.as_str().expect("a word")), "{step}");
        return false;
    }
    assert!(prompt["text"].is_string() && prompt["echo"].is_boolean(), "{step}");
    true
}

#[test]
fn a_module_of_the_first_version_logs_in_by_this_daemon() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let user = PEOPLE[0].0;
    daemon.enroll(&phone, user, PEOPLE[0].1);
    let begin = BEGIN.replace("USER", user);

    // One login is given up, and the next, from the same connection, is another.
    let mut codes = Vec::new();
    for ends in ["cancelled", "granted"] {
        let mut wire = daemon.connect();
        let first = reply(&mut wire, &begin);
        assert!(prompts(&first["step"]), "{first}");
        let challenge = first["challenge"].as_str().expect("a challenge").to_owned();
        let code = phone.next().code();
        let answer = |code: &str| ANSWER.replace("CHALLENGE", &challenge).replace("CODE", code);
        let help = reply(&mut wire, &answer("?"));
        assert!(prompts(&help["step"]), "{help}");
        if ends == "cancelled" {
            send(&mut wire, &CANCEL.replace("CHALLENGE", &challenge));
        } else {
            let granted = reply(&mut wire, &answer(&code));
            assert!(!prompts(&granted["step"]), "{granted}");
            assert_eq!(granted["step"]["verdict"], "granted");
        }
        codes.push(code);
    }
    assert_ne!(codes[0], codes[1]);
}

#[test]
fn this_module_asks_a_daemon_of_the_first_version_in_its_words() {
    let words = |request: &str| serde_json::from_str::<Value>(request).expect("JSON");
    let begin = Begin {
        user: "USER".into(),
        service: "sshd".into(),
        rhost: Some("192.0.2.7".into()),
        tty: Some("ssh".into()),
        ruser: None,
        connection: Some("192.0.2.7 50000 192.0.2.1 22 4711".into()),
        first_factor: vec!["publickey ssh-ed25519 AAAA".into()],
    };
    let answer = Answer { challenge: "CHALLENGE".into(), answer: Secret::new("CODE".to_owned()) };
    let cancel = Cancel { challenge: "CHALLENGE".into() };
    let requests = [
        (BEGIN, Begin::NAME, json!(begin)),
        (ANSWER, Answer::NAME, json!(answer)),
        (CANCEL, Cancel::NAME, json!(cancel)),
    ];
    for (request, method, parameters) in requests {
        let expected = words(request);
        assert_eq!(
            (method, &parameters),
            (expected["method"].as_str().unwrap(), &expected["parameters"])
        );
    }
}

#[test]
fn replies_of_the_first_version_and_of_later_ones_are_understood() {
    let first = r#"{"challenge":"c","step":{"text":null,"prompt":{"text":"Code: ","echo":true},"verdict":null}}"#;
    let later = first
        .replace("true}", "true,\"colour\":1}")
        .replace("\"challenge\"", "\"later\":[],\"challenge\"");
    for text in [first, &later] {
        let reply = serde_json::from_str::<BeginReply>(text).expect(text);
        assert_eq!(reply.challenge.as_deref(), Some("c"));
        assert!(reply.step.prompt.is_some_and(|prompt| prompt.echo && prompt.text == "Code: "));
        assert_eq!(reply.step.verdict, None);
    }
    let verdicts = [
        (r#"{"step":{"text":"Sorry","prompt":null,"verdict":"denied"}}"#, Verdict::Denied),
        (r#"{"step":{"verdict":"granted","later":{"verdict":"denied"}}}"#, Verdict::Granted),
    ];
    for (text, verdict) in verdicts {
        let reply = serde_json::from_str::<AnswerReply>(text).expect(text);
        assert_eq!(reply.step.verdict, Some(verdict));
    }
    // A verdict that this version does not know is none: the module refuses, and never guesses.
    serde_json::from_str::<AnswerReply>(r#"{"step":{"verdict":"maybe"}}"#).unwrap_err();
}
