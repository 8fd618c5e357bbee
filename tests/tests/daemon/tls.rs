//! TLS in front of the stand-in, and somebody who listens in its place.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use otpd_tests::carrier::{Carrier, Vendor};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Certificates and a key that belong to nobody and are good for a century.
macro_rules! certificate {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../otpd/src/gateway/client/testdata/", $name)
    };
}

/// The authority that signed the certificate of [`Front`].
pub(crate) const CA_FILE: &str = certificate!("ca.pem");

/// TLS for the name `localhost` in front of a vendor, until the test ends.
pub(crate) struct Front(SocketAddr);

impl Front {
    pub(crate) fn start(carrier: &Carrier) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("an address");
        let (acceptor, behind) = (TlsAcceptor::from(Arc::new(config())), host(carrier));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    tokio::spawn(pass(acceptor.clone(), stream, behind.clone()));
                }
            });
        });
        Self(address)
    }

    /// The base URL of a vendor's API.
    pub(crate) fn url(&self, vendor: Vendor) -> String {
        format!("https://localhost:{}/{}", self.0.port(), vendor.name())
    }
}

fn config() -> ServerConfig {
    let chain = CertificateDer::from_pem_slice(include_bytes!(certificate!("server.pem")));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!(certificate!("server.key")));
    ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain.expect("a certificate")], key.expect("a key"))
        .expect("they fit")
}

/// Where a carrier listens.
fn host(carrier: &Carrier) -> String {
    let url = carrier.url(Vendor::Telnyx);
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    host.expect("a URL").to_owned()
}

/// What does not trust the certificate goes away before it has said anything.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, behind: String) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut behind = TcpStream::connect(behind).await.expect("the carrier");
    // Either end may cut the connection.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
}

/// Somebody who is no vendor, and keeps all that they are told.
pub(crate) struct Ear {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Ear {
    /// Listens, and answers in plain HTTP.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut begun = vec![0; 16_384];
                let length = stream.read(&mut begun).unwrap_or(0);
                begun.truncate(length);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(begun);
                // Whoever wanted TLS is gone by now.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            }
        });
        Self { address, heard }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The beginning of each connection so far.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
