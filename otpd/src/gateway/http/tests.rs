use std::{net::TcpListener, process::Command, time::Duration};

use zeroize::Zeroizing;

use super::{Channel, DEADLINE, Gateway, Http, HttpSettings, Outcome};
use crate::gateway::{
    VendorMessageId,
    testing::{Server, kind, message, nobody, patience, raw_server, silent_server},
};

fn settings(url: String) -> HttpSettings {
    HttpSettings {
        url,
        method: "POST".to_owned(),
        headers: vec![("Authorization".to_owned(), Zeroizing::new("Bearer sk_live_abc123".into()))],
        body: r#"{"to": "{to}", "text": "{text}"}"#.to_owned(),
        success_status: vec![],
        id_pointer: Some("/data/id".to_owned()),
        ca_file: None,
    }
}

async fn send(settings: &HttpSettings) -> Outcome {
    let gateway = Http::with_deadline(settings, patience(&settings.url)).unwrap();
    gateway.send(&message(Channel::Sms)).await
}

fn accepted(id: Option<&str>) -> Outcome {
    Outcome::Accepted { vendor_id: id.and_then(VendorMessageId::checked) }
}

#[tokio::test]
async fn a_message_is_posted_and_its_id_read() {
    let server = Server::start(202, &[], r#"{"data": {"id": "mdr2-0f"}}"#).await;
    let gateway = Http::open(&settings(server.url("/v2/messages?x=1"))).unwrap();
    for _ in 0..2 {
        assert_eq!(gateway.send(&message(Channel::Sms)).await, accepted(Some("mdr2-0f")));
    }
    assert_eq!(server.connections(), 1, "connections are kept");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((&*seen[0].method, &*seen[0].path), ("POST", "/v2/messages?x=1"));
    assert_eq!(seen[0].body, r#"{"to": "+13125550142", "text": "482913 is your code"}"#);
    let header = |name| seen[0].headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("authorization"), "Bearer sk_live_abc123");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), concat!("otpd/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn statuses_are_told_apart_by_consequence() {
    let cases = [
        (200, "accepted"),
        (201, "accepted"),
        (204, "accepted"),
        (300, "misconfigured"),
        (301, "misconfigured"),
        (304, "misconfigured"),
        (307, "misconfigured"),
        (400, "misconfigured"),
        (401, "misconfigured"),
        (402, "misconfigured"),
        (403, "misconfigured"),
        (404, "misconfigured"),
        (405, "misconfigured"),
        (408, "unknown"),
        (415, "misconfigured"),
        (422, "misconfigured"),
        (429, "retryable"),
        (500, "unknown"),
        (501, "retryable"),
        (502, "unknown"),
        (503, "retryable"),
        (504, "unknown"),
        (520, "unknown"),
    ];
    for (status, expected) in cases {
        let server = Server::start(status, &[], "").await;
        let outcome = send(&settings(server.url("/"))).await;
        assert_eq!(kind(&outcome), expected, "{status}: {outcome:?}");
        assert_eq!(server.seen().len(), 1, "{status}: sent once");
    }
}

#[tokio::test]
async fn only_listed_statuses_are_success_where_some_are_listed() {
    for (status, expected) in [(202, "accepted"), (200, "unknown"), (404, "misconfigured")] {
        let server = Server::start(status, &[], "queued? no").await;
        let settings = HttpSettings { success_status: vec![202], ..settings(server.url("/")) };
        assert_eq!(kind(&send(&settings).await), expected, "{status}");
    }
}

#[tokio::test]
async fn a_success_is_one_even_without_a_usable_id() {
    let cases: [(&str, Vec<u8>, Option<&str>); 10] = [
        ("a string", br#"{"data": {"id": "a-1"}}"#.into(), Some("a-1")),
        ("a number", br#"{"data": {"id": 12345678901}}"#.into(), Some("12345678901")),
        ("a fraction", br#"{"data": {"id": 1.5}}"#.into(), None),
        ("not there", br#"{"data": {}}"#.into(), None),
        ("empty", br#"{"data": {"id": ""}}"#.into(), None),
        ("control characters", br#"{"data": {"id": "a\nb"}}"#.into(), None),
        ("too long", format!(r#"{{"data": {{"id": "{}"}}}}"#, "x".repeat(129)).into(), None),
        ("not JSON", b"OK 4711".into(), None),
        ("not text", vec![0xff, 0xfe], None),
        ("ten megabytes", vec![b' '; 10_000_000], None),
    ];
    for (name, body, id) in cases {
        let server = Server::start(200, &[], body).await;
        assert_eq!(send(&settings(server.url("/"))).await, accepted(id), "{name}");
    }
    let without = HttpSettings {
        id_pointer: None,
        ..settings(Server::start(200, &[], r#"{"data": {"id": "a"}}"#).await.url("/"))
    };
    assert_eq!(send(&without).await, accepted(None));
}

#[tokio::test]
async fn a_vendor_may_ask_for_a_pause() {
    let cases = [
        ("7", Some(7)),
        ("99999999", Some(3600)),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("-1", None),
    ];
    for (asked, seconds) in cases {
        let headers = vec![("retry-after", asked)].leak();
        let server = Server::start(429, headers, "slow down").await;
        let reason = "HTTP 429: slow down".to_owned();
        let after = seconds.map(Duration::from_secs);
        let outcome = send(&settings(server.url("/"))).await;
        assert_eq!(outcome, Outcome::Retryable { after, reason });
    }
}

#[tokio::test]
async fn reasons_hold_neither_code_nor_number_nor_key() {
    let body = "no: 482913 is your code\r\nto +13125550142, key sk_live_abc123";
    let server = Server::start(400, &[], body).await;
    let reason = "HTTP 400: no: [code] is your code to +1 ••• ••• ••42, key [key]".to_owned();
    assert_eq!(send(&settings(server.url("/"))).await, Outcome::Misconfigured(reason));

    let server = Server::start(400, &[], vec![b'x'; 10_000_000]).await;
    let reason = "HTTP 400: (reply too long or cut off)".to_owned();
    assert_eq!(send(&settings(server.url("/"))).await, Outcome::Misconfigured(reason));
}

/// Vendors want keys in headers, in paths, in queries and in bodies, and repeat them when refusing.
#[tokio::test]
async fn keys_are_known_wherever_they_are_sent() {
    let reply = "phoneNumber of account AC0123456789ab, key a1/b2+c3d4 or a1%2Fb2%2Bc3d4, sig s1gn4ture, \
                 pass hunter2hunter2 and abcdefghijklmnopqrstuvwx in messages for user: bad";
    let server = Server::start(400, &[], reply).await;
    let mut settings = settings(
        server.url("/v2/AC0123456789ab/messages?apikey=a1%2Fb2%2Bc3d4&user=user&sig=s1gn4ture"),
    );
    settings.body = r#"{"phoneNumber": "{to}", "text": "{text}", "password": "hunter2hunter2",
                        "token": "abcdefghijklmnopqrstuvwx", "messages": 1}"#
        .to_owned();
    let reason = "HTTP 400: phoneNumber of account [key], key [key] or [key], sig [key], \
                  pass [key] and [key] in messages for user: bad";
    assert_eq!(send(&settings).await, Outcome::Misconfigured(reason.to_owned()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(200, &[], "").await;
    let location: &'static str = elsewhere.url("/").leak();
    let headers: &'static [(&str, &str)] = vec![("location", location)].leak();
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(status, headers, "").await;
        assert_eq!(kind(&send(&settings(server.url("/"))).await), "misconfigured", "{status}");
    }
    assert_eq!((elsewhere.connections(), elsewhere.seen().len()), (0, 0));
}

#[tokio::test]
async fn where_it_breaks_tells_whether_it_may_have_been_sent() {
    let cases = [
        ("refused", nobody(), "retryable"),
        ("closed without a word", raw_server(b"", true).await, "unknown"),
        ("cut in the head", raw_server(b"HTTP/1.1 200 OK\r\nConte", true).await, "unknown"),
        ("not HTTP", raw_server(b"220 smtp ready\r\n", true).await, "unknown"),
        ("silent", silent_server().await, "unknown"),
        (
            "cut in the body",
            raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", true).await,
            "accepted",
        ),
        (
            "silent in the body",
            raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", false).await,
            "accepted",
        ),
    ];
    for (name, address, expected) in cases {
        let outcome = send(&settings(format!("http://{address}/"))).await;
        assert_eq!(kind(&outcome), expected, "{name}: {outcome:?}");
        let text = format!("{outcome:?}");
        assert!(!text.contains("482913") && !text.contains("5550142"), "{name}: {text}");
    }
}

/// A proxy would see keys and codes. The environment is set for a second run of this program,
/// since changing one's own is not safe.
#[test]
fn a_proxy_in_the_environment_is_ignored() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "gateway::http::tests::a_message_is_posted_and_its_id_read"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        program.env(name, &url);
    }
    let output = program.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    proxy.set_nonblocking(true).unwrap();
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn calls_need_a_channel_in_the_body() {
    let texts = Http::open(&settings("http://127.0.0.1:1/".into())).unwrap();
    assert!(texts.supports(Channel::Sms) && !texts.supports(Channel::Voice));
    let both = HttpSettings {
        body: r#"{"to": "{to}", "text": "{text}", "by": "{channel}"}"#.to_owned(),
        ..settings("http://127.0.0.1:1/".into())
    };
    let both = Http::with_deadline(&both, DEADLINE).unwrap();
    assert!(both.supports(Channel::Sms) && both.supports(Channel::Voice));
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_remedy() {
    type Change = fn(&mut HttpSettings);
    let cases: [(Change, &str); 9] = [
        (|s| s.url = "http://sms.example/".into(), "loopback address only, not to `sms.example`"),
        (|s| s.url = "https://sms.example/?to={to}".into(), "put them into `body`"),
        (|s| s.method = "GET".into(), "expected POST, PUT or PATCH"),
        (|s| s.headers.push(("a b".into(), Zeroizing::new("x".into()))), "header `a b`"),
        (|s| s.headers.push(("key".into(), Zeroizing::new("s3cret\n".into()))), "header `key`"),
        (|s| s.body = r#"{"text": "{text}"}"#.into(), "must hold {to} and {text}"),
        (|s| s.body = r#"{"to": {to}, "text": {text}}"#.into(), "inside quotes"),
        (|s| s.success_status = vec![200, 302], "`success-status` holds 302"),
        (|s| s.id_pointer = Some("id".into()), "starts with '/'"),
    ];
    for (change, expected) in cases {
        let mut settings = settings("https://sms.example/".into());
        change(&mut settings);
        let error = Http::open(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
