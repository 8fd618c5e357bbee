//! The daemon: it issues, stores, sends and checks one-time codes.
//!
//! `domain` decides and is pure; everything else carries data to and from it. `app` is the only
//! place that knows which adapters there are.

pub mod accounts;
pub mod app;
mod audit_log;
pub mod backup;
pub mod clock;
pub mod config;
pub mod conversation;
pub mod domain;
mod failpoint;
#[cfg(test)]
#[path = "../../tests/fuzz/daemon.rs"]
mod fuzz;
pub mod gateway;
mod hex;
pub mod http;
pub mod ipc;
pub mod keys;
#[cfg(test)]
#[path = "../../tests/src/postgres.rs"]
#[allow(unreachable_pub, dead_code, reason = "the tests of the whole daemon share it")]
mod postgres_server;
mod quota;
pub mod random;
#[cfg(test)]
mod secrecy;
pub mod shutdown;
pub mod store;
pub mod systemd;
pub mod telemetry;
mod threads;
pub mod verifier;
mod waiting;
