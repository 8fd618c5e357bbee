//! The other server's client.

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::wire::Failure;

/// A kept connection.
pub struct Peer(SendRequest<Full<Bytes>>);

impl Peer {
    /// Connects; within a local set, where the connection has its own task.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(async move {
            // Its end shows in the next request.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// Whatever is not answered with 200.
    pub async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<(), Failure> {
        self.0.ready().await?;
        let request = Request::post(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(body)?))?;
        let reply = self.0.send_request(request).await?;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        match status.as_u16() {
            200 => Ok(()),
            _ => Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}
