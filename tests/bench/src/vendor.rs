//! A vendor that takes every message at once, and the phones behind it.
//!
//! Not the stand-in that the tests have: that one judges messages, remembers them and can be told to
//! misbehave, on the processors that the server under test needs. What is here costs as little as a
//! vendor can, and both sides' servers the same.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpListener, sync::Notify};

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The newest code that each number got.
#[derive(Clone, Default)]
pub struct Phones(Arc<Inbox>);

#[derive(Default)]
struct Inbox {
    codes: Mutex<HashMap<String, String>>,
    came: Notify,
}

/// A message as the configured gateway and the peers post it.
#[derive(Deserialize)]
struct Text {
    to: String,
    text: String,
}

impl Phones {
    /// Takes the code that came to a number.
    #[must_use]
    pub fn take(&self, number: &str) -> Option<String> {
        self.codes().remove(number)
    }

    /// Takes it once it has come: a prompt may be there before its code. `None` when none comes.
    pub async fn wait(&self, number: &str) -> Option<String> {
        let code = async {
            loop {
                let came = self.0.came.notified();
                if let Some(code) = self.take(number) {
                    return code;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, code).await.ok()
    }

    fn codes(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, text: Text) {
        let code = text.text.split(' ').next().unwrap_or_default().to_owned();
        self.codes().insert(text.to, code);
        self.0.came.notify_waiters();
    }
}

/// Takes messages on a loopback port until the runtime ends.
///
/// # Errors
/// When the port is taken.
pub async fn serve(port: u16, phones: Phones) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let phones = phones.clone();
            let service = service_fn(move |request| accept(request, phones.clone()));
            tokio::spawn(async move {
                // A server under test that ends cuts its connections.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(())
}

async fn accept(
    request: Request<Incoming>,
    phones: Phones,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.into_body().collect().await {
        Ok(body) => serde_json::from_slice(&body.to_bytes()).ok(),
        Err(_) => None,
    };
    let Some(text) = text else {
        let mut refused = Response::default();
        *refused.status_mut() = hyper::StatusCode::BAD_REQUEST;
        return Ok(refused);
    };
    phones.ring(text);
    Ok(Response::new(Full::from("{\"id\":\"m-1\"}")))
}
