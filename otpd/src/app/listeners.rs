//! Where HTTP comes in: bound before the daemon serves, whatever becomes of it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use tracing::error;

use crate::config::{self, Listening};

/// Where HTTP comes in, bound at the start.
#[derive(Default)]
pub(super) struct Listeners {
    /// For vendors.
    pub(super) public: Option<TcpListener>,
    /// For health and metrics.
    pub(super) admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration wants. What cannot be bound is said and done without: nobody is
    /// kept from logging in because a port is taken.
    pub(super) fn bind(http: Option<&config::Http>) -> Self {
        let Some(http) = http else { return Self::default() };
        let public = http.public.as_ref().map(|public| (public.listen, "http.listen"));
        let bound = |(address, key)| {
            bind(address).inspect_err(|error| {
                error!(%address, %error, "{key} cannot be listened on: logins go on without it; \
                       free the port or choose another, and restart");
            })
        };
        Self {
            public: public.and_then(|listen| bound(listen).ok()),
            admin: bound((http.admin_listen, "http.admin-listen")).ok(),
        }
    }

    /// What was bound.
    pub(super) fn bound(&self) -> Listening {
        let address =
            |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        Listening { public: address(&self.public), admin: address(&self.admin) }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The same for the runtime that runs now.
pub(super) fn registered(listener: TcpListener) -> Option<tokio::net::TcpListener> {
    let listener = tokio::net::TcpListener::from_std(listener);
    listener.inspect_err(|error| error!(%error, "a listener for HTTP cannot be used")).ok()
}
