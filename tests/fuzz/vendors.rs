//! What vendors reply, and templates that requests are made from.

use std::{panic::AssertUnwindSafe, time::Duration};

use zeroize::Zeroizing;

use super::{
    Message, Outcome, Status,
    client::Reply,
    flowroute,
    http::Http,
    plivo,
    redact::Redactor,
    settings::{
        FlowrouteSettings, FlowrouteVersion, HttpSettings, Key, PlivoSettings, SignalWireSettings,
        TelnyxSettings, TexmlSettings, TwilioSettings,
    },
    signalwire,
    spoken::Markup,
    telnyx,
    testing::message,
    twilio,
    vendor::{Dialect, VendorError},
};
use crate::{
    domain::challenge::Channel,
    fuzz::edit::{self, TIME, edited},
};

/// The key of every account; nobody may read it.
const KEY: &str = "canary-key-7f3a9c1e";

/// Replies of all of them, as they are documented.
const REPLIES: [&[u8]; 18] = [
    br#"{"data":{"id":"40385f64-5717-4562-b3fc-2c963f66afa6","to":[{"status":"queued","phone_number":"+13125550142"}],"errors":[]}}"#,
    br#"{"data":{"id":"m-1","to":[{"status":"delivery_failed"}],"errors":[{"code":"40300","title":"Blocked due to STOP message"}]}}"#,
    br#"{"errors":[{"code":"10009","title":"Authentication failed","detail":"482913 canary-key-7f3a9c1e +13125550142"}]}"#,
    br#"{"sid":"CA1","status":"initiated","call_sid":"v3:abc","error_code":null}"#,
    br#"{"message":"message(s) queued","message_uuid":["db3ce55a-7f1d-11e1-8ea7-1231380bc196"],"api_id":"x"}"#,
    br#"{"api_id":"x","error":"insufficient balance"}"#,
    br#"{"message_state":"failed","error_code":"300","message_uuid":"u","to_number":"13125550142"}"#,
    br#"{"message":"call fired","request_uuid":"9834029e-58b6-11e1-b8b7-a5bd0e4e126f"}"#,
    br#"{"sid":"SM1234567890abcdef1234567890abcdef","status":"queued","error_code":null,"error_message":null,"to":"+13125550142"}"#,
    br#"{"code":21610,"message":"Attempt to send to unsubscribed recipient","more_info":"https://www.twilio.com/docs/errors/21610","status":400}"#,
    br#"{"sid":"SM1","status":"undelivered","error_code":30007,"error_message":"482913"}"#,
    br#"{"data":{"links":{"self":"https://api.flowroute.com/v2.2/messages/mdr2-1"},"type":"message","id":"mdr2-39cadeace66e11e7aff806cd7f24ba2d"}}"#,
    br#"{"errors":[{"status":"422","title":"Invalid phone number","detail":"invalid to: 13125550142","id":"x"}]}"#,
    br#"{"data":{"attributes":{"status":"undelivered","delivery_receipts":[{"status":"undelivered","level":3,"status_code":"1011","status_code_description":"x"}]},"type":"message","id":"mdr2-1"}}"#,
    br#"{"id":"m-1"}"#,
    br#"{"id":184467440737095516150,"n":{"m":[1,2,{"id":"x"}]}}"#,
    b"<html><body>502 Bad Gateway 482913</body></html>",
    b"",
];

const STATUSES: [u16; 16] =
    [200, 201, 202, 204, 207, 301, 400, 401, 403, 404, 408, 422, 429, 500, 503, 599];

fn key() -> Key {
    Key { secret: Zeroizing::new(KEY.to_owned()), file: "vendor.key".to_owned() }
}

fn base() -> String {
    "https://api.example.com".to_owned()
}

/// Who sends.
fn from() -> String {
    "+13125550123".to_owned()
}

/// All five, and what a site does by itself.
fn dialects() -> Result<Vec<Box<dyn Dialect>>, VendorError> {
    let telnyx = TelnyxSettings {
        base_url: base(),
        from: Some(from()),
        messaging_profile_id: None,
        webhook_public_key: None,
        api_key: key(),
        texml: Some(TexmlSettings { application_sid: "1".into(), account_sid: "a".into() }),
        ca_file: None,
    };
    let plivo = |phlo_id| PlivoSettings {
        base_url: base(),
        auth_id: "MAAAAAAAAAAAAAAAAAAA".to_owned(),
        auth_token: key(),
        from: Some(from()),
        phlo_id,
        ca_file: None,
    };
    let flowroute = |version| FlowrouteSettings {
        base_url: base(),
        version,
        from: "+13125550123".parse().expect("a number"),
        access_key: "access".to_owned(),
        secret_key: key(),
        ca_file: None,
    };
    let twilio = TwilioSettings {
        base_url: base(),
        account_sid: "AC00000000000000000000000000000000".to_owned(),
        auth_token: key(),
        from: Some(from()),
        messaging_service_sid: None,
        ca_file: None,
    };
    let signalwire = SignalWireSettings {
        base_url: base(),
        project_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        api_token: key(),
        signing_key: None,
        from: from(),
        ca_file: None,
    };
    Ok(vec![
        Box::new(telnyx::Api::new(&telnyx)?),
        Box::new(plivo::Api::new(&plivo(None))?),
        Box::new(plivo::Api::new(&plivo(Some("phlo".to_owned())))?),
        Box::new(flowroute::Api::new(&flowroute(FlowrouteVersion::V22))?),
        Box::new(flowroute::Api::new(&flowroute(FlowrouteVersion::V2))?),
        Box::new(twilio::Api::new(&twilio)?),
        Box::new(signalwire::Api::new(&signalwire)?),
    ])
}

/// A reason is short, one line, and tells neither code, number nor key.
fn fit(reason: &str) {
    assert!(reason.chars().count() <= 200, "{reason}");
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
    for secret in ["482913", "3125550142", "5550142", KEY] {
        assert!(!reason.contains(secret), "{reason}");
    }
}

fn outcome(outcome: &Outcome, status: u16) {
    match outcome {
        Outcome::Accepted { vendor_id } => {
            assert!((200..300).contains(&status), "{status} is no success");
            if let Some(id) = vendor_id {
                assert!(
                    (1..=128).contains(&id.0.len()) && id.0.bytes().all(|b| b.is_ascii_graphic())
                );
            }
        }
        Outcome::Rejected(reason)
        | Outcome::Misconfigured(reason)
        | Outcome::Unknown(reason)
        | Outcome::Retryable { reason, .. } => fit(reason),
        Outcome::OptedOut => {}
    }
}

#[test]
fn vendor_replies() {
    // They hold nothing that a panic could leave half done.
    let dialects = AssertUnwindSafe(dialects().expect("settings that work"));
    bolero::check!(name = "vendor_replies").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("vendor_replies", input);
        let (choice, script) = input.split_at(input.len().min(1));
        let choice = usize::from(choice.first().copied().unwrap_or(0));
        let body = edited(&REPLIES, script);
        let status = STATUSES.get(choice % STATUSES.len()).copied().unwrap_or(200);
        let reply = Reply {
            status,
            retry_after: (choice % 3 == 0).then_some(Duration::from_secs(7)),
            rate_reset: None,
            body: (choice != 255).then_some(body),
        };
        for channel in [Channel::Sms, Channel::Voice] {
            let message = message(channel);
            for dialect in dialects.iter() {
                let redactor = Redactor::new(&message, dialect.secrets());
                outcome(&dialect.sent(channel, &reply, &redactor), status);
                match dialect.status(channel, &reply, &redactor) {
                    Status::Failed { reason, .. } | Status::Unknown(reason) => fit(&reason),
                    Status::Delivered | Status::UnderWay | Status::Unconfirmed => {}
                }
                if let Some(hint) = dialect.hint(&reply) {
                    fit(&redactor.hinted(redactor.reason("x"), &hint));
                }
            }
        }
    });
    edit::report("vendor_replies");
}

const BODIES: [(&str, &[u8]); 4] = [
    ("application/json", br#"{"to":"{to}","text":"{text}","how":"{channel}"}"#),
    ("application/x-www-form-urlencoded", b"To={to}&Body={text}&x=1"),
    ("application/xml", b"<sms to=\"{to}\">{text}</sms>"),
    ("text/plain", b"{to} {text} {other} {"),
];

/// What a message says stays a value, whatever it says and however it is written.
#[test]
fn templates() {
    let seeds = BODIES.map(|(_, body)| body);
    bolero::check!(name = "templates").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("templates", input);
        let (first, script) = input.split_at(input.len().min(1));
        let kind = usize::from(first.first().copied().unwrap_or(0)) % BODIES.len();
        let template = edited(&seeds, script);
        let template = String::from_utf8_lossy(&template);
        let tail = script.get(script.len() / 2..).unwrap_or_default();
        // A message's own text is free of what cannot be in XML.
        let text: String =
            String::from_utf8_lossy(tail).chars().filter(|c| !c.is_control()).collect();
        let own = BODIES.get(kind).map(|(_, body)| String::from_utf8_lossy(body)).expect("a body");
        for body in [own, template] {
            let (content_type, _) = BODIES[kind];
            let settings = HttpSettings {
                url: "https://sms.example.com/send".to_owned(),
                method: "POST".to_owned(),
                headers: vec![("Content-Type".to_owned(), Zeroizing::new(content_type.to_owned()))],
                body: body.clone().into_owned(),
                success_status: Vec::new(),
                id_pointer: Some("/id".to_owned()),
                ca_file: None,
            };
            let Ok(http) = Http::open(&settings) else { continue };
            let message = Message { text: Zeroizing::new(text.clone()), ..message(Channel::Sms) };
            let sent = http.body(&message);
            let sent = str::from_utf8(&sent).expect("text");
            match content_type {
                "application/json" => {
                    serde_json::from_str::<serde_json::Value>(sent).expect("JSON stays JSON");
                }
                "application/x-www-form-urlencoded"
                    if body.starts_with("To={to}&Body={text}&x=1") =>
                {
                    let fields: Vec<_> = form_urlencoded::parse(sent.as_bytes()).collect();
                    assert_eq!(fields[0].1, "+13125550142");
                    assert_eq!(fields[1].1, text);
                }
                "application/xml" => {
                    let marks = |text: &str| text.matches(['<', '>']).count();
                    assert_eq!(marks(sent), marks(&body), "{sent}");
                }
                _ => {}
            }
        }
        for markup in [Markup::Twiml, Markup::Plivo] {
            let said = markup.says(&text);
            let inside = said.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>");
            let inside = inside.and_then(|rest| rest.strip_suffix("<Hangup/></Response>"));
            assert!(inside.is_some() && !said.contains('\0'), "{}", &*said);
            let elements = said.matches("</").count();
            assert_eq!(
                said.matches("<Say ").count() + said.matches("<Speak ").count() + 1,
                elements
            );
            let asked = markup.asks(&text, "https://h.example/answer/\"><Dial>1");
            assert!(!asked.contains("<Dial>"), "{}", &*asked);
        }
    });
    edit::report("templates");
}
