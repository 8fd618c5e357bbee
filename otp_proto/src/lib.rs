//! The wire between `pam_otp`, `otpctl` and `otpd`: [Varlink](https://varlink.org), that is JSON
//! objects ended by NUL over a Unix stream socket.
//!
//! Both sides are here, so that they cannot drift apart: frames ([`frame`]), the call and reply
//! envelopes ([`envelope`]), one struct a method ([`login`], [`admin`], [`service`]), what the audit
//! trail says ([`event`]), what stands behind the module in a PAM service file ([`args`]), the interface texts that `org.varlink.service.GetInterfaceDescription` hands out, and a blocking client
//! ([`client`]). A request with a field that its struct does not name is refused; a reply may carry
//! more than the reader knows, so an old module keeps working with a new daemon.

pub mod admin;
pub mod args;
pub mod client;
pub mod envelope;
pub mod event;
pub mod frame;
#[cfg(test)]
#[path = "../../tests/fuzz/wire.rs"]
mod fuzz;
pub mod login;
mod secret;
pub mod service;
pub mod shell;

pub use client::{CallError, Client};
pub use envelope::Method;
pub use secret::Secret;

/// Where `otpd` listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/otpd/otpd.sock";
