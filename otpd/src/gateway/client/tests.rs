use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use reqwest::{Method, Request};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{Client, ClientError, Failure, parse_url};
use crate::gateway::testing::{Server, nobody, patience, silent_server};

/// A file beside the tests. Certificates and key belong to nobody and are good for a century.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/gateway/client/testdata").join(name)
}

/// Serves one TLS connection for the name `localhost`; gives its port and what it read.
fn tls_server() -> (u16, JoinHandle<String>) {
    let chain = CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key")).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut request = vec![0; 4096];
        let length = tls.read(&mut request).unwrap_or(0);
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let _ = tls.flush();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, served)
}

async fn post(url: &str, ca: &str) -> Result<u16, Failure> {
    let patience = patience(url);
    let url = parse_url(url).unwrap();
    let client = Client::open(&url, Some(&file(ca)), patience).unwrap();
    client.send(Request::new(Method::POST, url)).await.map(|reply| reply.status)
}

#[tokio::test]
async fn a_certificate_counts_only_with_its_authority_and_name() {
    let (port, served) = tls_server();
    assert_eq!(post(&format!("https://localhost:{port}/"), "ca.pem").await, Ok(200));
    assert!(served.join().unwrap().starts_with("POST / HTTP/1.1\r\n"));

    let cases =
        [("unknown authority", "localhost", "server.pem"), ("another name", "127.0.0.1", "ca.pem")];
    for (name, host, ca) in cases {
        let (port, served) = tls_server();
        let failure = post(&format!("https://{host}:{port}/"), ca).await.unwrap_err();
        assert!(matches!(&failure, Failure::Untrusted(_)), "{name}: {failure:?}");
        assert_eq!(served.join().unwrap(), "", "{name}: nothing was sent");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let cases = [
        ("refused", format!("https://{}/", nobody())),
        ("no handshake in time", format!("https://{}/", silent_server().await)),
        // Longer than a label may be, so that no resolver is asked: some have an answer for every name.
        ("no such name", format!("https://{}.invalid/", "a".repeat(64))),
    ];
    for (name, url) in cases {
        let failure = post(&url, "ca.pem").await.unwrap_err();
        assert!(matches!(&failure, Failure::NotSent(_)), "{name}: {failure:?}");
    }
}

#[tokio::test]
async fn localhost_is_this_machine_in_either_address_family() {
    let server = Server::start(200, &[], "").await;
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(post(&url, "ca.pem").await, Ok(200));
}

#[tokio::test]
async fn a_client_for_loopback_sends_nowhere_else() {
    let open = parse_url("http://127.0.0.1:1/").unwrap();
    let client = Client::open(&open, None, patience("http://127.0.0.1:1/")).unwrap();
    let elsewhere = "http://192.0.2.1/".parse().unwrap();
    let failure = client.send(Request::new(Method::POST, elsewhere)).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::NotSent(
            "plain http goes to a loopback address only, not to `192.0.2.1`; write https".into()
        )
    );
}

#[test]
fn plain_http_is_for_loopback_only() {
    let cases = [
        ("https://api.example.com/v2", true),
        ("https://192.0.2.1/", true),
        ("http://127.0.0.1:8080/x", true),
        ("http://127.255.0.9/", true),
        ("http://localhost/", true),
        ("http://LOCALHOST/", true),
        ("http://[::1]:8080/", true),
        // The URL standard reads both as 127.0.0.1.
        ("http://127.1/", true),
        ("http://0x7f000001/", true),
        ("http://api.example.com/", false),
        ("http://192.0.2.1/", false),
        ("http://128.0.0.1/", false),
        ("http://0.0.0.0/", false),
        ("http://[::]/", false),
        ("http://[::ffff:127.0.0.1]/", false),
        ("http://localhost.example.com/", false),
        ("http://localhost./", false),
        ("http://127.0.0.1.example.com/", false),
        ("http://127.0.0.1@example.com/", false),
        ("https://user@example.com/", false),
        ("https://user:key@example.com/", false),
        ("ftp://127.0.0.1/", false),
        ("file:///etc/passwd", false),
        ("unix:/run/x", false),
        ("//example.com/", false),
        ("example.com", false),
        ("https://exa mple/?key=k3y", false),
        ("", false),
    ];
    for (url, allowed) in cases {
        assert_eq!(parse_url(url).is_ok(), allowed, "{url}");
    }
    for url in ["https://user:k3y@example.com/", "https://exa mple/?key=k3y"] {
        let error = parse_url(url).unwrap_err();
        assert!(!error.to_string().contains("k3y"), "{error}");
    }
}

#[test]
fn a_ca_file_must_hold_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &PathBuf| {
        let url = parse_url("https://example.com/").unwrap();
        Client::open(&url, Some(path), Duration::from_secs(1)).unwrap_err()
    };
    let path = folder.path().join("ca.pem");
    assert!(matches!(open(&path), ClientError::CaRead { path: named, .. } if named == path));
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(open(&path), ClientError::CaEmpty { .. }), "{text:?}");
    }
}
