//! A vendor and the phones behind it: codes arrive here over real HTTP.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Mutex, PoisonError, mpsc},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::sync::watch;

use crate::PATIENCE;

/// What the vendor does with a message. It is taken note of in any case, as soon as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Takes it.
    Accepts,
    /// Does not answer until it is told to do something else.
    Stalls,
}

/// A message as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct Text {
    /// The number.
    pub to: String,
    /// What the person reads.
    pub text: String,
}

impl Text {
    /// The code in it: the first word.
    #[must_use]
    pub fn code(&self) -> String {
        let code = self.text.split(' ').next().unwrap_or_default();
        let digits = (6..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        assert!(digits, "no code at the beginning of {:?}", self.text);
        code.to_owned()
    }
}

/// A vendor on a port of its own, as long as this lives.
pub struct Phone {
    address: SocketAddr,
    inbox: Mutex<mpsc::Receiver<Text>>,
    vendor: watch::Sender<Vendor>,
}

impl Phone {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("address");
        let (sender, inbox) = mpsc::channel();
        let (vendor, watched) = watch::channel(Vendor::Accepts);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(serve(listener, &sender, watched));
        });
        Self { address, inbox: Mutex::new(inbox), vendor }
    }

    /// Where a gateway of kind `http` posts to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/send", self.address)
    }

    /// What the vendor does from now on, also with what it has not answered yet.
    pub fn set(&self, vendor: Vendor) {
        self.vendor.send_replace(vendor);
    }

    /// The next message; waits for it.
    #[must_use]
    pub fn next(&self) -> Text {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.recv_timeout(PATIENCE).expect("a message is sent")
    }

    /// A message that is there already.
    #[must_use]
    pub fn pending(&self) -> Option<Text> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}

async fn serve(
    listener: std::net::TcpListener,
    inbox: &mpsc::Sender<Text>,
    mut vendor: watch::Receiver<Vendor>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection").0,
            changed = vendor.changed() => match changed {
                Ok(()) => continue,
                // The phone was dropped.
                Err(_) => return,
            },
        };
        let (inbox, vendor) = (inbox.clone(), vendor.clone());
        let service = service_fn(move |request| answer(request, inbox.clone(), vendor.clone()));
        tokio::spawn(async move {
            // A daemon that is killed cuts its connections.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<body::Incoming>,
    inbox: mpsc::Sender<Text>,
    mut vendor: watch::Receiver<Vendor>,
) -> Result<Response<Full<body::Bytes>>, Infallible> {
    let Ok(body) = request.into_body().collect().await else {
        // Cut off in the middle: nothing was ordered.
        return Ok(Response::default());
    };
    let text = serde_json::from_slice(&body.to_bytes()).expect("the body that was configured");
    // The test may have ended.
    let _ = inbox.send(text);
    let _ = vendor.wait_for(|vendor| *vendor == Vendor::Accepts).await;
    Ok(Response::new(Full::from("{\"id\":\"m-1\"}")))
}
