//! How much anybody can make the daemon hold, and for how long.

use tokio::io::AsyncWriteExt;

use super::{Open, read, status};

#[tokio::test]
async fn a_head_or_body_that_never_ends_is_not_waited_for() {
    let open = Open::public().await;
    tokio::time::pause();
    let cases = [
        ("nothing", "", None),
        ("half a head", "POST /receipts/twilio HTTP/1.1\r\nhost: h\r\nx:", None),
        (
            "half a body",
            "POST /receipts/twilio HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf",
            Some(408),
        ),
        (
            "a chunk that does not come",
            "POST /receipts/twilio HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
            Some(408),
        ),
    ];
    for (name, sent, expected) in cases {
        let begun = tokio::time::Instant::now();
        let mut stream = open.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = read(&mut stream).await;
        let got = (!answer.is_empty()).then(|| status(&answer));
        assert!(got == expected || (expected.is_none() && got == Some(408)), "{name}: {answer:?}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(12), "{name}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let open = Open::public().await;
    let body = "x".repeat(64 * 1024 + 1);
    assert_eq!(status(&open.post("/receipts/twilio", "", &body).await), 413);
    let fits = "x".repeat(64 * 1024);
    assert_eq!(status(&open.post("/receipts/twilio", "", &fits).await), 404, "only unsigned");

    let head = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let mut stream = open.connect().await;
    // The daemon may have closed before all of it was written.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = read(&mut stream).await;
    assert!(answer.is_empty() || status(&answer) == 431, "{answer:?}");
}

#[tokio::test]
async fn what_is_no_http_ends() {
    let open = Open::public().await;
    for sent in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = open.exchange(sent).await;
        assert!(answer.is_empty() || matches!(status(&answer), 400 | 505), "{sent:?}: {answer:?}");
    }
    assert_eq!(status(&open.get("/").await), 404, "and it serves on");
}

#[tokio::test]
async fn the_hundred_and_first_connection_takes_the_place_of_the_oldest() {
    let open = Open::public().await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(open.connect().await);
    }
    // Connections are accepted in their order, so that the others have their seats by then.
    held.push(open.connect().await);
    assert_eq!(read(&mut held.remove(0)).await, "");
    for stream in &mut held {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("still there");
        assert_eq!(status(&read(stream).await), 404);
    }
}

#[tokio::test]
async fn one_request_a_connection() {
    let open = Open::public().await;
    let twice = "GET / HTTP/1.1\r\nhost: h\r\n\r\n".repeat(2);
    let answer = open.exchange(&twice).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[test]
fn who_sent_a_request_is_said_by_trusted_proxies_alone() {
    use axum::http::Request;

    let trusted = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
    let cases = [
        ("no proxy", "192.0.2.1", &["192.0.2.9"][..], "192.0.2.1"),
        ("a proxy", "127.0.0.1", &["192.0.2.9"], "192.0.2.9"),
        ("what it was told counts not", "127.0.0.1", &["192.0.2.66, 192.0.2.9"], "192.0.2.9"),
        ("two proxies", "127.0.0.1", &["192.0.2.9", "10.1.2.3"], "192.0.2.9"),
        ("mapped", "127.0.0.1", &["::ffff:192.0.2.9"], "192.0.2.9"),
        ("a mapped proxy", "127.0.0.1", &["192.0.2.9, ::ffff:10.1.2.3"], "192.0.2.9"),
        ("unreadable", "127.0.0.1", &["192.0.2.9, unknown, 10.1.2.3"], "127.0.0.1"),
        ("nothing said", "127.0.0.1", &[], "127.0.0.1"),
    ];
    for (name, near, lines, expected) in cases {
        let request = lines
            .iter()
            .fold(Request::builder(), |request, line| request.header("x-forwarded-for", *line));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let source = super::super::source(near.parse().unwrap(), &head, &trusted);
        assert_eq!(source.to_string(), expected, "{name}");
    }
}
